package main

import (
	"fmt"
	"slices"
	"strings"
)

// readable says which data types each type of parameter can be read from (FHIR R4 § 3.1.1.4); the package search has
// a reader for each pair.
var readable = map[string][]string{
	"token": {
		"code", "Coding", "CodeableConcept", "Identifier", "boolean", "ContactPoint", "string", "id", "uri", "canonical",
	},
	"reference": {"Reference", "canonical", "uri"},
	"date":      {"date", "dateTime", "instant", "Period", "Timing"},
	"string":    {"string", "markdown", "HumanName", "Address"},
	"uri":       {"uri", "url", "canonical", "oid", "uuid"},
	"quantity":  {"Quantity", "Age", "Duration", "Count", "Distance", "Money", "Range", "SampledData"},
	"number":    {"integer", "decimal", "positiveInt", "unsignedInt", "Range"},
}

// byHand are the expressions that are no path; the package search holds their code under the name of the parameter.
var byHand = map[string]string{
	"Patient.deceased.exists() and Patient.deceased != false": "!deceased",
	"Location.position": "!position",
}

// texts are the parameters that look for words: nothing is read into an index for them.
var texts = map[string]bool{"_text": true, "_content": true}

// secret are elements of private persons that may be withheld from whoever may see the rest of the person
// (turvakielto, 661/2009 § 36). A search by them would be an oracle: it would tell the address by guessing, although
// it is never shown. So such parameters do not exist for these types, under any name, whoever asks.
var (
	secretOwners   = []string{"Patient", "Person", "RelatedPerson"}
	secretElements = []string{"address", "telecom"}
)

// step is one step of a compiled expression.
type step struct {
	name         string
	as           string // data type of a choice
	field, value string // where(field='value')
	resolvesTo   string // where(resolve() is Type)
	notSupported string // a function or an index that is not compiled
}

// compile makes the row of one parameter for one resource type, nil if nothing of it can be read, and notes of what
// was left out.
func compile(defs *definitions, p searchParameter, base string) (*row, []string, error) {
	switch {
	case p.Type == "composite":
		return compileComposite(defs, p, base)
	case texts[p.Code]:
		return &row{resource: base, name: p.Code, typ: "texts", url: p.URL, documentation: documentation(p.Description, base)}, nil, nil
	case p.Type == "special" && byHand[p.Expression] == "", p.XpathUsage != "normal" && p.XpathUsage != "phonetic" && p.XpathUsage != "nearby":
		return nil, []string{"needs its own algorithm (" + p.XpathUsage + ")"}, nil
	case p.Expression == "":
		return nil, []string{"has no expression"}, nil
	}
	r := row{resource: base, name: p.Code, typ: p.Type, url: p.URL, documentation: documentation(p.Description, base)}
	suffix := ""
	if p.XpathUsage == "phonetic" {
		suffix = "~"
	}
	if base == "Resource" && (p.Code == "_id" || p.Code == "_lastUpdated") {
		return &r, nil, nil // columns of the store's own
	}
	if hand, ok := byHand[p.Expression]; ok {
		r.program = []string{hand}
		return &r, nil, nil
	}
	alternatives, err := parse(base, p.Expression)
	if err != nil {
		return nil, nil, err
	}
	var notes []string
	targets := map[string]bool{}
	for _, steps := range alternatives {
		if steps[0].name != base {
			continue
		}
		if slices.Contains(secretOwners, base) && slices.Contains(secretElements, steps[1].name) {
			return nil, []string{"may be withheld: a search would be an oracle"}, nil
		}
		places, err := defs.resolve(base, steps[1:])
		if err != nil {
			notes = append(notes, err.Error())
			continue
		}
		for _, place := range places {
			if !slices.Contains(readable[p.Type], place.typ) {
				notes = append(notes, fmt.Sprintf("%s is a %s, which is no %s", place.path, place.typ, p.Type))
				continue
			}
			text := place.path + ":" + place.typ + suffix
			if place.system != "" && p.Type == "token" {
				text += "@" + place.system
			}
			if place.resolvesTo != "" {
				text += "?" + place.resolvesTo
			}
			if !slices.Contains(r.program, text) {
				r.program = append(r.program, text)
			}
			if p.Type == "reference" {
				for _, t := range place.targets(p.Target) {
					targets[t] = true
				}
			}
		}
	}
	if len(r.program) == 0 {
		return nil, notes, nil
	}
	for t := range targets {
		r.targets = append(r.targets, t)
	}
	slices.Sort(r.targets)
	if slices.Contains(r.targets, "*") {
		r.targets = []string{"*"}
	}
	if p.Type == "reference" && len(r.targets) == 0 {
		r.targets = []string{"*"}
	}
	return &r, notes, nil
}

// compileComposite makes the row of a composite (FHIR R4 § 3.1.1.4.17): its targets are the names of the parameters
// that it is composed of, and its program says, for each element that is composed, the places of each part within it.
func compileComposite(defs *definitions, p searchParameter, base string) (*row, []string, error) {
	r := row{resource: base, name: p.Code, typ: p.Type, url: p.URL, documentation: documentation(p.Description, base)}
	for _, element := range strings.Split(p.Expression, " | ") {
		typ, within, _ := strings.Cut(element, ".")
		if typ != base {
			continue
		}
		text := within
		r.targets = nil
		for _, c := range p.Component {
			var found []place
			for _, expression := range strings.Split(c.Expression, " | ") {
				if strings.HasPrefix(expression, "%") {
					return nil, []string{expression + " is not compiled"}, nil
				}
				alternatives, err := parse(base, element+"."+expression)
				if err != nil {
					return nil, nil, err
				}
				more, err := defs.resolve(base, alternatives[0][1:])
				if err != nil {
					return nil, []string{err.Error()}, nil
				}
				found = append(found, more...)
			}
			part, places := defs.part(p, c.Definition, within, found)
			if places == nil {
				return nil, []string{c.Expression + " is nothing that can be read"}, nil
			}
			r.targets = append(r.targets, part.Code)
			text += "$" + strings.Join(places, ",")
		}
		r.program = append(r.program, text)
	}
	return &r, nil, nil
}

// part is the parameter that a part of a composite is read as, and the places it is read from: its own definition, or
// another of the composite's where that cannot read what is there (DocumentReference.relationship has them crossed).
func (d *definitions) part(composite searchParameter, own, within string, found []place) (part searchParameter, places []string) {
	candidates := []string{own}
	for _, c := range composite.Component {
		candidates = append(candidates, c.Definition)
	}
	for _, url := range candidates {
		part = d.params[url]
		for _, f := range found {
			if !slices.Contains(readable[part.Type], f.typ) {
				continue
			}
			text := strings.TrimPrefix(strings.TrimPrefix(f.path, within), ".") + ":" + f.typ
			if f.system != "" && part.Type == "token" {
				text += "@" + f.system
			}
			places = append(places, text)
		}
		if places != nil {
			break
		}
	}
	return part, places
}

// documentation is the line about base in a description of many types, or the whole of one about a single type.
func documentation(description, base string) string {
	for line := range strings.Lines(description) {
		if rest, ok := strings.CutPrefix(line, "* ["+base+"]("); ok {
			if _, text, ok := strings.Cut(rest, "): "); ok {
				description = text
			}
		}
	}
	return strings.Join(strings.Fields(description), " ")
}

// parse reads the subset of FHIRPath that the official parameters are written in: unions of paths with as, ofType,
// where and a leading (path as Type).
func parse(base, expression string) ([][]step, error) {
	var out [][]step
	for _, alternative := range strings.Split(expression, " | ") {
		alternative = strings.TrimSpace(alternative)
		cast, after := "", ""
		if rest, ok := strings.CutPrefix(alternative, "("); ok {
			inside, tail, ok := strings.Cut(rest, ")")
			if !ok {
				return nil, fmt.Errorf("no closing parenthesis in %q", alternative)
			}
			path, typ, ok := strings.Cut(inside, " as ")
			if !ok {
				return nil, fmt.Errorf("no cast in %q", alternative)
			}
			alternative, cast, after = path, typ, strings.TrimPrefix(tail, ".")
		}
		steps, err := parsePath(alternative)
		if err != nil {
			return nil, err
		}
		if cast != "" {
			steps[len(steps)-1].as = cast
		}
		if after != "" {
			more, err := parsePath(after)
			if err != nil {
				return nil, err
			}
			steps = append(steps, more...)
		}
		if name := steps[0].name; name[0] >= 'a' { // a path may leave out the type it starts from
			steps = append([]step{{name: base}}, steps...)
		}
		if len(steps) < 2 {
			return nil, fmt.Errorf("%q names no element", alternative)
		}
		out = append(out, steps)
	}
	return out, nil
}

func parsePath(path string) ([]step, error) {
	var steps []step
	for _, part := range splitPath(path) {
		name, argument, call := strings.Cut(strings.TrimSuffix(part, ")"), "(")
		if !call {
			name, _, indexed := strings.Cut(part, "[")
			s := step{name: name}
			if indexed {
				s.notSupported = part
			}
			steps = append(steps, s)
			continue
		}
		if len(steps) == 0 {
			return nil, fmt.Errorf("%q begins with a function", path)
		}
		last := &steps[len(steps)-1]
		switch name {
		case "as", "ofType":
			last.as = argument
		case "where":
			if typ, ok := strings.CutPrefix(argument, "resolve() is "); ok {
				last.resolvesTo = typ
			} else if field, value, ok := strings.Cut(argument, "="); ok {
				last.field, last.value = strings.TrimSpace(field), strings.Trim(strings.TrimSpace(value), "'")
			} else {
				return nil, fmt.Errorf("where(%s) is not compiled", argument)
			}
		default:
			last.notSupported = part
		}
	}
	return steps, nil
}

// splitPath cuts at the dots outside of parentheses.
func splitPath(path string) []string {
	var parts []string
	depth, start := 0, 0
	for i, c := range path {
		switch {
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == '.' && depth == 0:
			parts = append(parts, path[start:i])
			start = i + 1
		}
	}
	return append(parts, path[start:])
}
