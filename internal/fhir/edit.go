package fhir

import "slices"

// Insert puts an item into an array at index i, from 0 to its length. It changes v.
func (v *Value) Insert(i int, item *Value) { v.items = slices.Insert(v.items, i, item) }

// Remove takes the item at index i out of an array. It changes v.
func (v *Value) Remove(i int) { v.items = slices.Delete(v.items, i, i+1) }

// Replace puts another item in the place of that at index i of an array. It changes v.
func (v *Value) Replace(i int, item *Value) { v.items[i] = item }

// Rename gives the member called name of an object another name and value, in its place. It changes v.
func (v *Value) Rename(name, to string, value *Value) {
	for i := range v.members {
		if v.members[i].Name == name {
			v.members[i] = Member{to, value}
		}
	}
}

// Definition is what R4 defines of the objects of one type: a resource, a data type or a backbone element. The zero
// Definition is that of what R4 does not know.
type Definition struct{ def *typeDef }

// Element is an element of a Definition as one JSON member carries it.
type Element struct {
	Name     string     // of the element, without [x]
	Member   string     // of the JSON object; differs from Name where the element is a choice of types
	Array    bool       // it may repeat
	Required bool       // it must be there
	Choice   bool       // it is a choice of types (value[x])
	Type     Definition // of its content; zero for primitives and for resources, which say their own type
}

// DefinitionOf is the definition of a resource type.
func DefinitionOf(resourceType string) Definition {
	return Definition{definitions().resource(resourceType)}
}

// Known says whether R4 defines the type.
func (d Definition) Known() bool { return d.def != nil }

// Member finds the element that a JSON member carries.
func (d Definition) Member(name string) (Element, bool) {
	if d.def == nil {
		return Element{}, false
	}
	at := 0
	md := d.def.member(name, &at)
	if md == nil {
		return Element{}, false
	}
	return d.element(md), true
}

// Members are the elements of a name: one, or for a choice one for each of its types.
func (d Definition) Members(name string) []Element {
	var out []Element
	if d.def == nil {
		return out
	}
	for i := range d.def.members {
		if md := &d.def.members[i]; d.def.elements[md.element].name == name {
			out = append(out, d.element(md))
		}
	}
	return out
}

func (d Definition) element(md *memberDef) Element {
	e := &d.def.elements[md.element]
	return Element{Name: e.name, Member: md.name, Array: e.array, Choice: e.choice, Required: d.def.required&(1<<md.element) != 0, Type: Definition{definitions().complex(md)}}
}

// Names are the names of the elements, each once, in the order of the definition.
func (d Definition) Names() []string {
	var out []string
	if d.def != nil {
		for i := range d.def.elements {
			out = append(out, d.def.elements[i].name)
		}
	}
	return out
}
