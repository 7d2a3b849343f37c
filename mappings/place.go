package mappings

import (
	"fmt"
	"strconv"
	"strings"

	"sotesilta/internal/fhir"
	"sotesilta/mappings/hl7v2"
)

// at is a place in a message as a lens writes it: PV1, PV1-19, PV1-3.4. A zero part is not said.
type at struct {
	segment string
	place   hl7v2.Place
}

func parseAt(s string) (at, error) {
	if !strings.Contains(s, "-") {
		if len(s) != 3 || strings.ToUpper(s) != s {
			return at{}, fmt.Errorf("%q is not a place such as PV1-19.1", s)
		}
		return at{segment: s}, nil
	}
	p, err := hl7v2.ParsePath(s)
	if err != nil || p.Occurrence != 0 || p.Repetition != 0 {
		return at{}, fmt.Errorf("%q is not a place such as PV1-19.1", s)
	}
	return at{p.Segment, p.Place}, nil
}

func (a at) String() string { return hl7v2.Path{Segment: a.segment, Place: a.place}.String() }

// covers says whether p lies at or below a.
func (a at) covers(p hl7v2.Place) bool {
	return (a.place.Field == 0 || a.place.Field == p.Field) &&
		(a.place.Component == 0 || a.place.Component == p.Component) &&
		(a.place.Subcomponent == 0 || a.place.Subcomponent == p.Subcomponent)
}

// step is one name of an element path; list says that it is an array, of which a path writes the first item.
type step struct {
	name string
	list bool
}

// path is a place in a resource as a lens writes it: period.start, type[].coding[].code; "." is the value itself.
type path []step

func parsePath(s string) (path, error) {
	if s == "." {
		return path{}, nil
	}
	var p path
	for _, name := range strings.Split(s, ".") {
		name, list := strings.CutSuffix(name, "[]")
		if name == "" || strings.ContainsAny(name, "[] ") {
			return nil, fmt.Errorf("%q is not an element path such as type[].coding[].code", s)
		}
		p = append(p, step{name, list})
	}
	return p, nil
}

func (p path) String() string {
	names := make([]string, len(p))
	for i, s := range p {
		names[i] = s.name
	}
	return strings.Join(names, ".")
}

func (p path) names() []string {
	names := make([]string, len(p))
	for i, s := range p {
		names[i] = s.name
	}
	return names
}

// all gives every value at the path.
func (p path) all(v *fhir.Value) []*fhir.Value {
	if len(p) == 0 {
		return v.All()
	}
	return v.All(p.names()...)
}

// first is the first value at the path, or nil.
func (p path) first(v *fhir.Value) *fhir.Value { return v.First(p.names()...) }

// set puts value at the path below the object v and makes what is missing on the way; a list gets its first item, and
// "." takes over the members of value. It answers false, and changes nothing, when something is there already.
func (p path) set(v, value *fhir.Value) bool {
	if len(p) == 0 {
		if len(v.Members()) > 0 {
			return false
		}
		for _, m := range value.Members() {
			v.Set(m.Name, m.Value)
		}
		return true
	}
	if p.first(v) != nil {
		return false
	}
	for i, s := range p {
		last := i == len(p)-1
		next := v.Get(s.name)
		switch {
		case last && s.list && next == nil:
			v.Set(s.name, fhir.NewArray(value))
			return true
		case last && s.list:
			next.Append(value)
			return true
		case last:
			v.Set(s.name, value)
			return true
		case next == nil:
			child := fhir.NewObject()
			if s.list {
				v.Set(s.name, fhir.NewArray(child))
			} else {
				v.Set(s.name, child)
			}
			v = child
		case s.list:
			if len(next.Items()) == 0 {
				next.Append(fhir.NewObject())
			}
			v = next.Items()[0]
		default:
			v = next
		}
	}
	return true
}

// add appends an item to the list at the path, whose last step is a list.
func (p path) add(v, item *fhir.Value) {
	for i, s := range p {
		next := v.Get(s.name)
		if i == len(p)-1 {
			if next == nil {
				v.Set(s.name, fhir.NewArray(item))
			} else {
				next.Append(item)
			}
			return
		}
		if next == nil {
			next = fhir.NewObject()
			if s.list {
				v.Set(s.name, fhir.NewArray(next))
			} else {
				v.Set(s.name, next)
			}
		} else if s.list {
			next = next.Items()[0]
		}
		v = next
	}
}

// split divides a path after its first list: outer ends with the list, inner is relative to an item of it.
func (p path) split() (outer, inner path, ok bool) {
	for i, s := range p {
		if s.list {
			return p[:i+1], p[i+1:], true
		}
	}
	return nil, nil, false
}

func indexed(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }
