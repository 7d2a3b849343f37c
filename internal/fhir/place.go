package fhir

import "strconv"

// pathStack is the place of a walk in a document, rendered only when somebody asks.
type pathStack struct {
	root  string
	steps []pathStep
	room  [16]pathStep
}

type pathStep struct {
	name  string
	index int // -1: not in an array
	// in is the object whose member the step is, where name is the member's: it is the element's where in is nil.
	in *Value
}

func (p *pathStack) push(name string) { p.pushMember(name, nil) }

func (p *pathStack) pushMember(name string, in *Value) {
	if p.steps == nil {
		p.steps = p.room[:0]
	}
	p.steps = append(p.steps, pathStep{name, -1, in})
}

func (p *pathStack) pop() { p.steps = p.steps[:len(p.steps)-1] }

func (p *pathStack) index(i int) {
	if len(p.steps) > 0 {
		p.steps[len(p.steps)-1].index = i
	}
}

// String is the place as a simple FHIRPath: the members of a choice are named by their element (value, not valueCode).
func (p *pathStack) String() string {
	b := append(make([]byte, 0, 64), p.root...)
	var def *typeDef
	for _, s := range p.steps {
		name := s.name
		if s.in != nil {
			t := definitions()
			if typ := ResourceType(s.in); typ != "" {
				def = t.resource(typ)
			}
			if def != nil {
				at := 0
				if md := def.member(name, &at); md != nil {
					name = def.elements[md.element].name
					def = t.complex(md)
				} else {
					def = nil
				}
			}
		}
		if len(b) > 0 {
			b = append(b, '.')
		}
		b = append(b, printable(name)...)
		if s.index >= 0 {
			b = append(b, '[')
			b = strconv.AppendInt(b, int64(s.index), 10)
			b = append(b, ']')
		}
	}
	return string(b)
}

// owner is the definition of the object whose member the last step is, nil where it is not known.
func (p *pathStack) owner() *typeDef {
	t := definitions()
	var def *typeDef
	for i, s := range p.steps {
		if typ := ResourceType(s.in); typ != "" {
			def = t.resource(typ)
		}
		if i == len(p.steps)-1 || def == nil {
			break
		}
		at := 0
		def = t.complex(def.member(s.name, &at))
	}
	return def
}
