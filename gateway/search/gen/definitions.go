package main

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"sotesilta/internal/official"
)

// definitions reads StructureDefinitions and ValueSets when they are asked for.
type definitions struct {
	folder     official.Folder
	structures map[string]*structure
	systems    map[string]string          // of a value set, by its URL
	params     map[string]searchParameter // by URL
}

// structure is a StructureDefinition by the path of its elements.
type structure struct{ elements map[string]element }

type element struct {
	Path             string
	ContentReference string
	Type             []struct {
		Code          string
		TargetProfile []string
	}
	Binding *struct{ Strength, ValueSet string }
}

// place is one kind of value that an expression leads to.
type place struct {
	path       string   // members of the JSON, with conditions
	typ        string   // data type there
	system     string   // implied by the binding of a code
	resolvesTo string   // only references to this type
	profiles   []string // types that a Reference there may point to; empty: any
}

// targets are the types a reference at the place may point to, of those the parameter declares.
func (p place) targets(declared []string) []string {
	switch {
	case p.resolvesTo != "":
		return []string{p.resolvesTo}
	case len(p.profiles) == 0 && p.typ == "Reference":
		return []string{"*"}
	case len(p.profiles) == 0:
		return declared
	case len(declared) == 0:
		return p.profiles
	}
	var both []string
	for _, t := range p.profiles {
		if slices.Contains(declared, t) {
			both = append(both, t)
		}
	}
	if both == nil {
		return p.profiles
	}
	return both
}

func (d *definitions) structure(typ string) (*structure, error) {
	if s := d.structures[typ]; s != nil {
		return s, nil
	}
	var definition struct {
		Snapshot struct{ Element []element }
	}
	if err := d.folder.Read("StructureDefinition-"+typ, &definition); err != nil {
		return nil, err
	}
	s := &structure{elements: map[string]element{}}
	for _, e := range definition.Snapshot.Element {
		s.elements[e.Path] = e
	}
	d.structures[typ] = s
	return s, nil
}

// resolve follows steps from the root of a type, and answers every place they may end at: one for each data type of
// a choice.
func (d *definitions) resolve(typ string, steps []step) ([]place, error) {
	return d.follow(typ, typ, "", steps)
}

// follow resolves steps from the element at within the structure of typ; path is what led there.
func (d *definitions) follow(typ, at, path string, steps []step) ([]place, error) {
	s, err := d.structure(typ)
	if err != nil {
		return nil, err
	}
	current := steps[0]
	if current.notSupported != "" {
		return nil, fmt.Errorf("%s is not compiled", current.notSupported)
	}
	member := current.name
	e, ok := s.elements[at+"."+member]
	choice := false
	if !ok {
		e, ok = s.elements[at+"."+member+"[x]"]
		choice = true
	}
	if !ok {
		return nil, fmt.Errorf("no element %s in %s.%s", member, typ, at)
	}
	if e.ContentReference != "" {
		at = strings.TrimPrefix(e.ContentReference, "#")
		e = s.elements[at]
	} else {
		at = e.Path
	}
	var places []place
	for _, t := range e.Type {
		code := t.Code
		if strings.Contains(code, "/") { // http://hl7.org/fhirpath/System.String: the type of id and url
			code = "string"
		}
		if current.as != "" && !strings.EqualFold(current.as, code) { // the definitions also write DateTime
			continue
		}
		name := member
		if choice {
			name += strings.ToUpper(code[:1]) + code[1:]
		}
		if current.field != "" {
			name += "[" + current.field + "=" + current.value + "]"
		}
		next := name
		if path != "" {
			next = path + "." + name
		}
		if len(steps) > 1 {
			if current.resolvesTo != "" {
				return nil, fmt.Errorf("%s: resolve() in the middle is not compiled", next)
			}
			var more []place
			if code == "BackboneElement" || code == "Element" {
				more, err = d.follow(typ, at, next, steps[1:])
			} else {
				more, err = d.follow(code, code, next, steps[1:])
			}
			if err != nil {
				return nil, err
			}
			places = append(places, more...)
			continue
		}
		p := place{path: next, typ: code, resolvesTo: current.resolvesTo}
		for _, profile := range t.TargetProfile {
			target := profile[strings.LastIndexByte(profile, '/')+1:]
			if target == "Resource" {
				p.profiles = nil
				break
			}
			p.profiles = append(p.profiles, target)
		}
		if code == "code" && e.Binding != nil && e.Binding.Strength == "required" {
			if p.system, err = d.system(e.Binding.ValueSet); err != nil {
				return nil, err
			}
		}
		places = append(places, p)
	}
	if len(places) == 0 {
		return nil, fmt.Errorf("%s.%s is never a %s", at, member, current.as)
	}
	return places, nil
}

// system is the one code system that a value set takes its codes from, or "" if there are several or none is said.
func (d *definitions) system(valueSet string) (string, error) {
	valueSet, _, _ = strings.Cut(valueSet, "|")
	if system, ok := d.systems[valueSet]; ok {
		return system, nil
	}
	var vs struct {
		Compose struct{ Include []struct{ System string } }
	}
	err := d.folder.Read("ValueSet-"+valueSet[strings.LastIndexByte(valueSet, '/')+1:], &vs)
	if errors.Is(err, fs.ErrNotExist) {
		d.systems[valueSet] = ""
		return "", nil
	}
	if err != nil {
		return "", err
	}
	system := ""
	for i, include := range vs.Compose.Include {
		if i > 0 && include.System != system {
			system = ""
			break
		}
		system = include.System
	}
	d.systems[valueSet] = system
	return system, nil
}
