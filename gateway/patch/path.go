package patch

import (
	"strconv"
	"strings"

	"sotesilta/internal/fhir"
)

// The paths of a FHIRPath Patch are compiled from the part of FHIRPath that walks to a place:
//
//	Patient.name[0].given            elements and indexes
//	CarePlan.activity.where(id = '7' and detail.status = 'scheduled').detail
//	Patient.name.first(), .last()
//	Observation.value.ofType(Quantity)   a choice by its type; .value alone finds whichever there is
//	Patient.extension('https://…')
//
// Each step looks at what the one before it found, once: the cost of a path is its length times the size of the
// resource, and nothing in it repeats, recurs or computes. That alone is seconds where both are large, so what paths look
// at is counted (Effort).

// path is a compiled path.
type path []step

// step takes places further.
type step interface {
	walk(e *Effort, from []place) []place
}

// place is a value of a resource and where it stands.
type place struct {
	value *fhir.Value
	def   fhir.Definition // of an object
	in    *fhir.Value     // the object that holds it; nil for the resource
	over  fhir.Definition // of in
	name  string          // member of in
	at    int             // index in the member's array; -1 when it is no array
}

// compile reads a path, from the type of the resource on.
func compile(text string) (typ string, p path, err error) {
	if len(text) > MaxPath {
		return "", nil, wrong("path is longer than %d bytes", MaxPath)
	}
	s := &scanner{rest: text}
	if typ = s.name(); !fhir.IsResource(typ) {
		return "", nil, wrong("path begins with the type of the resource, such as Patient.name")
	}
	for s.rest != "" {
		next, err := s.step()
		if err != nil {
			return "", nil, err
		}
		if p = append(p, next); len(p) > MaxSteps {
			return "", nil, wrong("path has more than %d steps", MaxSteps)
		}
	}
	return typ, p, nil
}

// find are the places of a path in a resource.
func (p path) find(e *Effort, resource *fhir.Value) ([]place, error) {
	places := []place{{value: resource, def: fhir.DefinitionOf(fhir.ResourceType(resource)), at: -1}}
	for _, s := range p {
		if places = s.walk(e, places); e.looks < 0 {
			return nil, wrong("the paths of a request look at %d elements at most", MaxLooks)
		}
	}
	return places, nil
}

// element walks to an element by name.
type element string

func (e element) walk(effort *Effort, from []place) []place {
	var out []place
	for _, p := range from {
		out = append(out, p.children(effort, string(e))...)
	}
	return out
}

// children are the items of an element of the place: under its own name, or of a choice under any of its types.
func (p place) children(effort *Effort, name string) []place {
	if !effort.look(1) || p.value.Kind() != fhir.Object {
		return nil
	}
	var out []place
	for _, e := range p.def.Members(name) {
		value := p.value.Get(e.Member)
		items, array := []*fhir.Value{value}, value.Kind() == fhir.Array
		if array {
			items = value.Items()
		}
		if !effort.look(len(items)) {
			return nil
		}
		for i, item := range items {
			if item == nil {
				continue
			}
			found := place{value: item, def: e.Type, in: p.value, over: p.def, name: e.Member, at: -1}
			if array {
				found.at = i
			}
			if typ := fhir.ResourceType(item); typ != "" && !e.Type.Known() {
				found.def = fhir.DefinitionOf(typ)
			}
			out = append(out, found)
		}
	}
	return out
}

// nth keeps one of the places: from the front, or counted from -1 from the back.
type nth int

func (n nth) walk(_ *Effort, from []place) []place {
	i := int(n)
	if i < 0 {
		i += len(from)
	}
	if i < 0 || i >= len(from) {
		return nil
	}
	return from[i : i+1]
}

// typed keeps a choice of one type.
type typed string

func (t typed) walk(_ *Effort, from []place) []place {
	var out []place
	for _, p := range from {
		if e, ok := p.over.Member(p.name); ok && e.Choice && strings.EqualFold(strings.TrimPrefix(p.name, e.Name), string(t)) ||
			fhir.ResourceType(p.value) == string(t) {
			out = append(out, p)
		}
	}
	return out
}

// where keeps the places for which all conditions hold.
type where []condition

// condition is a path below a place and the text that it has there.
type condition struct {
	names []string
	text  string
}

func (w where) walk(e *Effort, from []place) []place {
	var out []place
	for _, p := range from {
		if w.holds(e, p) {
			out = append(out, p)
		}
	}
	return out
}

func (w where) holds(e *Effort, p place) bool {
	for _, c := range w {
		places := []place{p}
		for _, name := range c.names {
			places = element(name).walk(e, places)
		}
		if len(places) != 1 || places[0].value.Kind() > fhir.String || places[0].value.Str() != c.text {
			return false
		}
	}
	return true
}

// scanner reads the text of a path.
type scanner struct{ rest string }

func (s *scanner) space() { s.rest = strings.TrimLeft(s.rest, " \t\r\n") }

// take reads a symbol if it is next.
func (s *scanner) take(symbol string) bool {
	s.space()
	rest, ok := strings.CutPrefix(s.rest, symbol)
	if ok {
		s.rest = rest
	}
	return ok
}

// name reads an identifier, "" when there is none.
func (s *scanner) name() string {
	s.space()
	i := 0
	for i < len(s.rest) {
		c := s.rest[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || i > 0 && c >= '0' && c <= '9' {
			i++
			continue
		}
		break
	}
	name := s.rest[:i]
	s.rest = s.rest[i:]
	return name
}

// number reads digits, -1 when there are none or too many.
func (s *scanner) number() int {
	s.space()
	i := 0
	for i < len(s.rest) && s.rest[i] >= '0' && s.rest[i] <= '9' {
		i++
	}
	n, err := strconv.Atoi(s.rest[:i])
	s.rest = s.rest[i:]
	if err != nil {
		return -1
	}
	return n
}

// text reads a string literal.
func (s *scanner) text() (string, bool) {
	if !s.take("'") {
		return "", false
	}
	var b strings.Builder
	for i := 0; i < len(s.rest); i++ {
		switch c := s.rest[i]; {
		case c == '\'':
			s.rest = s.rest[i+1:]
			return b.String(), true
		case c == '\\' && i+1 < len(s.rest) && strings.IndexByte(`\'"/`+"`", s.rest[i+1]) >= 0:
			i++
			b.WriteByte(s.rest[i])
		case c == '\\':
			return "", false
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}

// literal reads a string, a whole number or a boolean as the text that JSON has.
func (s *scanner) literal() (string, bool) {
	if text, ok := s.text(); ok {
		return text, true
	}
	for _, word := range []string{"true", "false"} {
		if s.take(word) {
			return word, true
		}
	}
	if n := s.number(); n >= 0 {
		return strconv.Itoa(n), true
	}
	return "", false
}

var errPath = wrong("path is not of the supported part of FHIRPath: elements, [index], first(), last(), where(element = 'text' and …), ofType(Type), extension('url')")

// step reads the next step.
func (s *scanner) step() (step, error) {
	if s.take("[") {
		n := s.number()
		if n < 0 || !s.take("]") {
			return nil, errPath
		}
		return nth(n), nil
	}
	if !s.take(".") {
		return nil, errPath
	}
	name := s.name()
	if name == "" {
		return nil, errPath
	}
	if !s.take("(") {
		return element(name), nil
	}
	next, ok := s.function(name)
	if !ok || !s.take(")") {
		return nil, errPath
	}
	return next, nil
}

// function reads what is between the brackets of a function.
func (s *scanner) function(name string) (step, bool) {
	switch name {
	case "first":
		return nth(0), true
	case "last":
		return nth(-1), true
	case "ofType", "as":
		typ := s.name()
		if typ == "FHIR" && s.take(".") {
			typ = s.name()
		}
		return typed(typ), typ != ""
	case "extension":
		url, ok := s.text()
		return extension(url), ok
	case "where":
		var w where
		for {
			c := condition{names: []string{s.name()}}
			for s.take(".") {
				c.names = append(c.names, s.name())
			}
			if c.names[len(c.names)-1] == "" || !s.take("=") {
				return nil, false
			}
			var ok bool
			if c.text, ok = s.literal(); !ok {
				return nil, false
			}
			w = append(w, c)
			if !s.take("and ") {
				return w, true
			}
		}
	}
	return nil, false
}

// extension walks to the extensions of a url.
type extension string

func (e extension) walk(effort *Effort, from []place) []place {
	return where{{names: []string{"url"}, text: string(e)}}.walk(effort, element("extension").walk(effort, from))
}
