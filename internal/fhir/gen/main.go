// Command gen compiles the official FHIR R4 definitions into the tables that internal/fhir validates with.
//
//	go run ./gen
//
// r4.tables.gz is gzipped text, one record a line, fields separated by tabs, indexes counted from 0 per kind of record:
//
//	V url                          a required value set; its S lines follow
//	S system open codes            codes of one system, sorted, separated by U+001F; open=1: any code of the system
//	G types                        a set of reference targets, separated by spaces; G 0 and V 0 stand for "none"
//	T name                         a resource type, data type or backbone element; its E lines follow
//	E name min array               an element; its M lines follow
//	M json type set targets        a JSON member that carries the element (several for a choice); type is the index of
//	                               a T, the name of a primitive type (with ! where _json is not allowed) or Resource
//
// summary.tsv says which elements are of a summary, and which are modifiers: summary.go.
package main

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"maps"
	"slices"
	"strconv"
	"strings"

	"sotesilta/internal/official"
)

func main() { official.Main(tables) }

// tables are the files.
func tables(folder official.Folder) (map[string][]byte, error) {
	defs, err := read(folder)
	if err != nil {
		return nil, err
	}
	text, err := defs.compile()
	if err != nil {
		return nil, err
	}
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	short, err := summary(folder)
	return map[string][]byte{"r4.tables.gz": packed.Bytes(), "summary.tsv": short}, err
}

// definitions are the official resources that the tables are made of, by canonical URL.
type definitions struct {
	structures  []structure
	valueSets   map[string]*valueSet
	codeSystems map[string]*codeSystem
}

type structure struct {
	Type, Kind, Derivation string
	Abstract               bool
	Snapshot               struct{ Element []element }
}

type element struct {
	Path             string
	Min              int
	Max              string
	Type             []elementType
	ContentReference string
	Binding          *struct{ Strength, ValueSet string }
}

type elementType struct {
	Code          string
	TargetProfile []string
	Extension     []struct{ URL, ValueURL string }
}

// read reads the definitions.
func read(folder official.Folder) (*definitions, error) {
	d := &definitions{
		valueSets: map[string]*valueSet{}, codeSystems: map[string]*codeSystem{},
	}
	for resource, err := range folder.Bundled("types", "resources", "valuesets", "v2-valuesets", "v3-valuesets") {
		if err != nil {
			return nil, err
		}
		if err := d.add(resource); err != nil {
			return nil, fmt.Errorf("%s: %w", resource.URL, err)
		}
	}
	return d, nil
}

func (d *definitions) add(resource official.Resource) error {
	switch resource.ResourceType {
	case "StructureDefinition":
		var s structure
		if err := json.Unmarshal(resource.JSON, &s); err != nil {
			return err
		}
		d.structures = append(d.structures, s)
	case "ValueSet":
		vs := new(valueSet)
		if err := json.Unmarshal(resource.JSON, vs); err != nil {
			return err
		}
		d.valueSets[resource.URL] = vs
	case "CodeSystem":
		cs := new(codeSystem)
		if err := json.Unmarshal(resource.JSON, cs); err != nil {
			return err
		}
		d.codeSystems[resource.URL] = cs
	}
	return nil
}

// compile writes the tables.
func (d *definitions) compile() ([]byte, error) {
	c := compiler{defs: d, types: map[string]int{}, sets: map[string]int{"": 0}, targets: map[string]int{"": 0}}
	c.head.WriteString("V\t\nG\t\n")
	structures := slices.DeleteFunc(slices.Clone(d.structures), func(s structure) bool {
		return s.Derivation == "constraint" || s.Kind != "resource" && s.Kind != "complex-type" ||
			s.Abstract && s.Type != "Element" && s.Type != "BackboneElement"
	})
	slices.SortFunc(structures, func(a, b structure) int { return cmp.Compare(a.Type, b.Type) })
	for _, s := range structures {
		for path := range parents(s) {
			c.types[path] = len(c.types)
		}
	}
	for _, s := range structures {
		for path, children := range parents(s) {
			if err := c.typ(s, path, children); err != nil {
				return nil, err
			}
		}
	}
	return append(c.head.Bytes(), c.body.Bytes()...), nil
}

// parents gives every element of a structure that has children, the root first, with the children.
func parents(s structure) func(yield func(string, []element) bool) {
	return func(yield func(string, []element) bool) {
		for _, parent := range s.Snapshot.Element {
			var children []element
			for _, e := range s.Snapshot.Element {
				if at := strings.LastIndexByte(e.Path, '.'); at >= 0 && e.Path[:at] == parent.Path {
					children = append(children, e)
				}
			}
			if len(children) > 0 && !yield(parent.Path, children) {
				return
			}
		}
	}
}

// compiler assigns indexes: head holds the V, S and G lines, body the rest.
type compiler struct {
	defs                 *definitions
	types, sets, targets map[string]int
	head, body           bytes.Buffer
}

func (c *compiler) typ(s structure, path string, children []element) error {
	if len(children) > 64 {
		return fmt.Errorf("%s: more than 64 elements do not fit the mask of the validator", path)
	}
	fmt.Fprintf(&c.body, "T\t%s\n", path)
	for _, e := range children {
		name := e.Path[len(path)+1:]
		base := strings.TrimSuffix(name, "[x]")
		array := 0
		switch e.Max {
		case "*":
			array = 1
		case "0":
			continue
		case "1":
		default:
			return fmt.Errorf("%s: max %s is not foreseen", e.Path, e.Max)
		}
		fmt.Fprintf(&c.body, "E\t%s\t%d\t%d\n", base, e.Min, array)
		if ref, ok := strings.CutPrefix(e.ContentReference, "#"); ok {
			index, found := c.types[ref]
			if !found {
				return fmt.Errorf("%s: content of %s is not there", e.Path, ref)
			}
			fmt.Fprintf(&c.body, "M\t%s\t%d\t0\t0\n", base, index)
			continue
		}
		set, err := c.set(e)
		if err != nil {
			return err
		}
		for _, t := range e.Type {
			json := base
			if base != name {
				json += strings.ToUpper(t.Code[:1]) + t.Code[1:]
			}
			typ, err := c.typeOf(s, path, e, t)
			if err != nil {
				return err
			}
			bound := 0
			switch t.Code {
			case "code", "string", "uri", "Coding", "CodeableConcept", "Quantity":
				bound = set
			}
			fmt.Fprintf(&c.body, "M\t%s\t%s\t%d\t%d\n", json, typ, bound, c.target(t))
		}
	}
	return nil
}

// typeOf names the type of an element: the index of a T, a primitive, or Resource.
func (c *compiler) typeOf(s structure, path string, e element, t elementType) (string, error) {
	if index, ok := c.types[e.Path]; ok { // a backbone element, or Timing.repeat and its like
		return strconv.Itoa(index), nil
	}
	if t.Code == "Resource" {
		return "Resource", nil
	}
	if strings.HasPrefix(t.Code, "http://hl7.org/fhirpath/System.") {
		// Ids and Extension.url are attributes in XML: they have no extensions. R4 types the ids as string, which
		// loses the format of a resource's id and "no spaces" of an element's (FHIR R4 §§ 2.27.0.1, 2.24.0.2).
		switch {
		case e.Path == "Extension.url":
			return "uri!", nil
		case s.Kind == "resource" && path == s.Type:
			return "id!", nil
		}
		return "elementId!", nil
	}
	if index, ok := c.types[t.Code]; ok {
		return strconv.Itoa(index), nil
	}
	if t.Code == "xhtml" {
		return "xhtml!", nil
	}
	for _, p := range c.defs.structures {
		if p.Kind == "primitive-type" && p.Type == t.Code {
			return t.Code, nil
		}
	}
	return "", fmt.Errorf("%s: type %s is not defined", e.Path, t.Code)
}

// target is the index of the set of resource types that a Reference may point to; 0 is any.
func (c *compiler) target(t elementType) int {
	if t.Code != "Reference" {
		return 0
	}
	var types []string
	for _, profile := range t.TargetProfile {
		typ := profile[strings.LastIndexByte(profile, '/')+1:]
		if typ == "Resource" {
			return 0
		}
		types = append(types, typ)
	}
	slices.Sort(types)
	key := strings.Join(types, " ")
	if _, ok := c.targets[key]; !ok {
		c.targets[key] = len(c.targets)
		fmt.Fprintf(&c.head, "G\t%s\n", key)
	}
	return c.targets[key]
}

// set is the index of the value set that an element is bound to; 0 is none.
func (c *compiler) set(e element) (int, error) {
	if e.Binding == nil || e.Binding.Strength != "required" {
		return 0, nil
	}
	url, _, _ := strings.Cut(e.Binding.ValueSet, "|")
	if index, ok := c.sets[url]; ok {
		return index, nil
	}
	expansion, err := c.defs.expand(url, nil)
	if errors.Is(err, errUndefined) {
		log.Printf("%s: %v: not checked", e.Path, err)
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", e.Path, err)
	}
	c.sets[url] = len(c.sets)
	fmt.Fprintf(&c.head, "V\t%s\n", url)
	for _, system := range slices.Sorted(maps.Keys(expansion)) {
		codes, open := expansion[system], 0
		if codes.open {
			open = 1
			log.Printf("%s: %s is not enumerated: any code of it passes", url, system)
		}
		fmt.Fprintf(&c.head, "S\t%s\t%d\t%s\n", system, open, strings.Join(slices.Sorted(maps.Keys(codes.list)), "\x1f"))
	}
	return c.sets[url], nil
}
