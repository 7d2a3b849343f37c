package fhir

import "iter"

// Modifier is an element that may change the meaning of the resource that it stands in, beyond what R4 defines.
type Modifier struct {
	Name       string // implicitRules or modifierExtension
	Expression string // where it stands, such as Task.input[0].modifierExtension[1]
}

// Modifiers iterates over the implicitRules and each modifierExtension of a resource, in document order: those of
// contained resources too. It says nothing of what they mean.
func Modifiers(v *Value) iter.Seq[Modifier] {
	return func(yield func(Modifier) bool) {
		w := modifierWalk{yield: yield}
		w.path.root = printable(ResourceType(v))
		w.visit(v)
	}
}

type modifierWalk struct {
	path  pathStack
	yield func(Modifier) bool
}

// visit answers false when the iteration was stopped.
func (w *modifierWalk) visit(v *Value) bool {
	switch v.Kind() {
	case Object:
		for i := range v.members {
			m := &v.members[i]
			extension := m.Name == "modifierExtension"
			rules := m.Name == "implicitRules" && m.Value.Kind() == String
			if !rules && m.Value.Kind() < Array {
				continue
			}
			w.path.pushMember(m.Name, v)
			on := true
			switch {
			case rules:
				on = w.yield(Modifier{m.Name, w.path.String()})
			case extension:
				on = w.extensions(m.Value)
			default:
				on = w.visit(m.Value)
			}
			w.path.pop()
			if !on {
				return false
			}
		}
	case Array:
		for i, item := range v.items {
			w.path.index(i)
			if !w.visit(item) {
				return false
			}
		}
		w.path.index(-1)
	}
	return true
}

func (w *modifierWalk) extensions(list *Value) bool {
	for i := range list.Items() {
		w.path.index(i)
		if !w.yield(Modifier{"modifierExtension", w.path.String()}) {
			return false
		}
	}
	w.path.index(-1)
	return true
}
