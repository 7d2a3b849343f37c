package fhir

import (
	"strings"
	"sync"
)

// Node is an element of a document seen through the definitions: its value, what stands beside it, where it is held and
// what its type is. It is what paths and rules walk over, where a Value alone does not tell that value and valueQuantity
// are one element, or that a text is a date.
//
// Elements that no definition knows are not reached. Nodes only read the document; In, Member and Index tell a patch
// what to change. The zero Node is none.
type Node struct {
	Value  *Value // nil where a primitive has nothing but extensions
	Ext    *Value // what stands beside a primitive in _name: its id and extensions; nil where there is none
	In     *Value // the object that holds the element; nil of a root
	Member string // the JSON member of In, without the underscore
	def    *elementDef
	index  int32
	typ    uint16
}

// typeUnknown is the type of what no definition knows.
const typeUnknown = 1<<16 - 1

// Root is a whole resource as a Node.
func Root(v *Value) Node { return Node{Value: v, index: -1, typ: definitions().typeOf(v)} }

// typeOf is the number of the type of a resource.
func (t *tables) typeOf(v *Value) uint16 {
	if i, ok := t.resources[ResourceType(v)]; ok {
		return uint16(firstComplex + i)
	}
	return typeUnknown
}

// Name is the name of the element in its definition, which of a choice is shorter than its Member: value, not
// valueQuantity. It is "" of a root.
func (n Node) Name() string {
	if n.def == nil {
		return ""
	}
	return n.def.name
}

// Index is the place of the element in its array, or -1 where it is in none.
func (n Node) Index() int { return int(n.index) }

// IsPrimitive says whether the element is of a primitive type.
func (n Node) IsPrimitive() bool { return n.typ < typeResource }

// IsResource says whether the element is a resource.
func (n Node) IsResource() bool {
	return n.typ >= firstComplex && n.typ != typeUnknown && n.Value.Get("resourceType") != nil
}

// Type is the name of the element's type: a resource type, a data type, a primitive such as dateTime, or the path of a
// backbone element such as CarePlan.activity; "" where no definition knows it.
func (n Node) Type() string { return TypeName(int(n.typ)) }

// TypeName is the Type of the Nodes of a TypeNumber, "" of one that no type has.
func TypeName(number int) string {
	switch {
	case number < 0, number >= TypeNumbers():
		return ""
	case number < len(primitives):
		if name := primitives[number].name; name != "elementId" {
			return name
		}
		return "string"
	case number < firstComplex:
		return ""
	}
	return definitions().types[number-firstComplex].name
}

// TypeNumber tells types apart without their names: one number per name of Type, below TypeNumbers, constant while the
// process lives.
func (n Node) TypeNumber() int { return int(n.typ) }

// TypeNumbers is above every TypeNumber of a Node that has a type.
func TypeNumbers() int { return firstComplex + len(definitions().types) }

// Elements appends the elements called name to dst, in their order: name is that of the definition (value, not
// valueQuantity).
func (n Node) Elements(dst []Node, name string) []Node {
	t := definitions()
	def, of := n.inside(t)
	if def == nil || name == "" {
		return dst
	}
	var value, ext *Value
	for i := range of.members {
		switch m := &of.members[i]; {
		case m.Name == name:
			value = m.Value
		case len(m.Name) == len(name)+1 && m.Name[0] == '_' && m.Name[1:] == name:
			ext = m.Value
		}
	}
	at := 0
	if value != nil || ext != nil {
		if md := def.member(name, &at); md != nil && def.elements[md.element].name == name {
			return t.append(dst, of, def, md, value, ext)
		}
		return dst
	}
	// A choice: its members begin with the element's name.
	for i := range of.members {
		member := strings.TrimPrefix(of.members[i].Name, "_")
		if len(member) <= len(name) || member[:len(name)] != name {
			continue
		}
		if md := def.member(member, &at); md != nil && def.elements[md.element].choice && def.elements[md.element].name == name {
			value, ext := of.Get(member), of.Get("_"+member)
			return t.append(dst, of, def, md, value, ext)
		}
	}
	return dst
}

// Children appends all elements within n to dst, in the order of the document.
func (n Node) Children(dst []Node) []Node {
	t := definitions()
	def, of := n.inside(t)
	if def == nil {
		return dst
	}
	extended := false
	for i := range of.members {
		if name := of.members[i].Name; name != "" && name[0] == '_' {
			extended = true
		}
	}
	at := 0
	for i := range of.members {
		m := &of.members[i]
		name, value, ext := m.Name, m.Value, (*Value)(nil)
		if name != "" && name[0] == '_' {
			if name = name[1:]; of.Get(name) != nil {
				continue // taken together with its value
			}
			value, ext = nil, m.Value
		}
		md := def.member(name, &at)
		if md == nil {
			continue
		}
		if extended && value != nil && md.extensible() {
			ext = of.Get("_" + name)
		}
		dst = t.append(dst, of, def, md, value, ext)
	}
	return dst
}

// inside is the definition of what n holds and the object that holds it: of a primitive, that of its extensions.
func (n Node) inside(t *tables) (*typeDef, *Value) {
	switch {
	case n.typ < typeResource:
		if n.Ext.Kind() != Object {
			return nil, nil
		}
		return t.element(), n.Ext
	case n.typ == typeResource, n.typ == typeUnknown, n.Value.Kind() != Object:
		return nil, nil
	}
	return &t.types[n.typ-firstComplex], n.Value
}

// append appends the element or elements of one member.
func (t *tables) append(dst []Node, in *Value, def *typeDef, md *memberDef, value, ext *Value) []Node {
	if !md.extensible() {
		ext = nil
	}
	if value.Kind() != Array && ext.Kind() != Array {
		return append(dst, t.node(in, def, md, value, ext, -1))
	}
	values, exts := value.Items(), ext.Items()
	for i := range max(len(values), len(exts)) {
		var v, x *Value
		if i < len(values) && values[i].Kind() != Null {
			v = values[i]
		}
		if i < len(exts) && exts[i].Kind() != Null {
			x = exts[i]
		}
		if v != nil || x != nil {
			dst = append(dst, t.node(in, def, md, v, x, i))
		}
	}
	return dst
}

func (t *tables) node(in *Value, def *typeDef, md *memberDef, value, ext *Value, index int) Node {
	typ := md.typ
	if typ == typeResource {
		typ = t.typeOf(value)
	}
	return Node{Value: value, Ext: ext, In: in, Member: md.name, def: &def.elements[md.element], index: int32(index), typ: typ}
}

// ElementNames are the names of all elements of all types; the map is not to be changed.
func ElementNames() map[string]bool { return elementNames() }

var elementNames = sync.OnceValue(func() map[string]bool {
	names := make(map[string]bool, 2000)
	for i := range definitions().types {
		for _, e := range definitions().types[i].elements {
			names[e.name] = true
		}
	}
	return names
})
