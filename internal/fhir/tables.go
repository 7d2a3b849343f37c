package fhir

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"io"
	"sort"
	"strconv"
	"strings"
	"sync"
)

//go:generate go run ./gen

// packedTables are the official R4 4.0.1 definitions (CC0) as gen compiled them; its doc comment tells the format.
//
//go:embed r4.tables.gz
var packedTables []byte

// tables hold what a resource may contain. All strings are pieces of one text, and elements and members of all types
// lie in two arrays, so that loading takes a few allocations and milliseconds.
type tables struct {
	types     []typeDef
	resources map[string]int // concrete resource types: index in types
	sets      []valueSet
	targets   []targetSet
	base      int // Element: what the extension of a primitive may hold
}

// definitions loads the tables once, on first use.
var definitions = sync.OnceValue(loadTables)

// typeDef is a resource type, a data type or a backbone element.
type typeDef struct {
	name     string
	elements []elementDef
	members  []memberDef // in the order of the definition
	required uint64      // bit i: elements[i] must be there
}

// elementDef is an element; a choice (value[x]) is one element of several members.
type elementDef struct {
	name   string // without [x]
	array  bool
	choice bool
}

// memberDef is a JSON member that carries an element.
type memberDef struct {
	name    string
	element uint16 // index in typeDef.elements
	typ     uint16 // a primitive, typeResource, or firstComplex + index in tables.types
	set     uint16 // index in tables.sets; 0: not bound
	targets uint16 // index in tables.targets; 0: any
	bare    bool   // a primitive without extensions: _name is not allowed
}

// typeResource and firstComplex continue the numbers of the primitives.
const (
	typeResource = 63
	firstComplex = 64
)

// valueSet is a value set of a required binding.
type valueSet struct {
	url     string
	systems []codeList
}

// codeList are the codes of one system, sorted. open: the system cannot be enumerated, so any code passes.
type codeList struct {
	system string
	codes  []string
	open   bool
}

// targetSet is a set of resource types, as bits by their index in resourceTypes.
type targetSet struct {
	bits  [3]uint64
	names string // for people, separated by spaces
}

// loadTables panics on tables it does not understand: they are part of the program.
func loadTables() *tables {
	zr, err := gzip.NewReader(bytes.NewReader(packedTables))
	if err != nil {
		panic("fhir: the compiled definitions cannot be read: " + err.Error())
	}
	var text strings.Builder
	text.Grow(400 << 10)
	if _, err := io.Copy(&text, zr); err != nil {
		panic("fhir: the compiled definitions cannot be read: " + err.Error())
	}
	t := &tables{
		types:     make([]typeDef, 0, 700),
		resources: make(map[string]int, len(resourceTypes)),
		sets:      make([]valueSet, 0, 240),
		targets:   make([]targetSet, 0, 200),
	}
	elements := make([]elementDef, 0, 7500)
	members := make([]memberDef, 0, 8300)
	firstElement, firstMember := 0, 0
	finish := func() {
		if n := len(t.types); n > 0 {
			t.types[n-1].elements = elements[firstElement:len(elements):len(elements)]
			t.types[n-1].members = members[firstMember:len(members):len(members)]
			firstElement, firstMember = len(elements), len(members)
		}
	}
	var f [5]string
	for line := range strings.Lines(text.String()) {
		split(strings.TrimSuffix(line, "\n"), &f)
		switch f[0] {
		case "V":
			t.sets = append(t.sets, valueSet{url: f[1]})
		case "S":
			list := codeList{system: f[1], open: f[2] == "1"}
			if f[3] != "" {
				list.codes = strings.Split(f[3], "\x1f")
			}
			set := &t.sets[len(t.sets)-1]
			set.systems = append(set.systems, list)
		case "G":
			t.targets = append(t.targets, newTargetSet(f[1]))
		case "T":
			finish()
			if IsResource(f[1]) {
				t.resources[f[1]] = len(t.types)
			}
			if f[1] == "Element" {
				t.base = len(t.types)
			}
			t.types = append(t.types, typeDef{name: f[1]})
		case "E":
			if f[2] != "0" {
				t.types[len(t.types)-1].required |= 1 << (len(elements) - firstElement)
			}
			elements = append(elements, elementDef{name: f[1], array: f[3] == "1"})
		case "M":
			element := len(elements) - 1
			name, bare := strings.CutSuffix(f[2], "!")
			m := memberDef{
				name: f[1], element: uint16(element - firstElement), typ: typeNumber(name), bare: bare,
				set: number(f[3]), targets: number(f[4]),
			}
			if m.name != elements[element].name {
				elements[element].choice = true
			}
			members = append(members, m)
		default:
			panic("fhir: the compiled definitions hold an unknown record")
		}
	}
	finish()
	return t
}

// split cuts a line at its tabs; fields beyond the last are empty.
func split(line string, f *[5]string) {
	for i := range f {
		f[i], line, _ = strings.Cut(line, "\t")
	}
}

func number(s string) uint16 {
	n, err := strconv.ParseUint(s, 10, 15)
	if err != nil {
		panic("fhir: the compiled definitions hold a bad number")
	}
	return uint16(n)
}

func typeNumber(name string) uint16 {
	if name == "Resource" {
		return typeResource
	}
	if name[0] >= '0' && name[0] <= '9' {
		return firstComplex + number(name)
	}
	for i := range primitives {
		if primitives[i].name == name {
			return uint16(i)
		}
	}
	panic("fhir: the compiled definitions use the unknown type " + name)
}

func newTargetSet(names string) targetSet {
	set := targetSet{names: names}
	for name := range strings.FieldsSeq(names) {
		i := sort.SearchStrings(resourceTypes[:], name)
		set.bits[i/64] |= 1 << (i % 64)
	}
	return set
}

// has says whether the resource type is in the set.
func (s *targetSet) has(typ string) bool {
	i := sort.SearchStrings(resourceTypes[:], typ)
	return i < len(resourceTypes) && resourceTypes[i] == typ && s.bits[i/64]&(1<<(i%64)) != 0
}

// resource is the definition of a resource type, or nil.
func (t *tables) resource(typ string) *typeDef {
	i, ok := t.resources[typ]
	if !ok {
		return nil
	}
	return &t.types[i]
}

// element is the definition of Element.
func (t *tables) element() *typeDef { return &t.types[t.base] }

// complex is the definition of a member's type where it is a complex one, or nil.
func (t *tables) complex(m *memberDef) *typeDef {
	if m == nil || m.typ < firstComplex {
		return nil
	}
	return &t.types[m.typ-firstComplex]
}

// member finds a JSON member by name. Documents mostly follow the order of the definitions, so the search begins at
// *at, which it moves behind what it found.
func (d *typeDef) member(name string, at *int) *memberDef {
	for i := *at; i < len(d.members); i++ {
		if d.members[i].name == name {
			*at = i + 1
			return &d.members[i]
		}
	}
	for i := range min(*at, len(d.members)) {
		if d.members[i].name == name {
			*at = i + 1
			return &d.members[i]
		}
	}
	return nil
}

// names lists the JSON members of a choice: valueString, valueCode, …
func (d *typeDef) names(element int) string {
	var names []string
	for i := range d.members {
		if int(d.members[i].element) == element {
			names = append(names, d.members[i].name)
		}
	}
	if len(names) > 8 {
		names = append(names[:8], "…")
	}
	return strings.Join(names, ", ")
}

// has says whether the set has the code, in any of its systems: for elements of type code, whose system is implied.
func (s *valueSet) has(code string) bool {
	for i := range s.systems {
		if s.systems[i].has(code) {
			return true
		}
	}
	return false
}

// hasCoding says whether the set has the code of the system.
func (s *valueSet) hasCoding(system, code string) bool {
	for i := range s.systems {
		if s.systems[i].system == system && s.systems[i].has(code) {
			return true
		}
	}
	return false
}

func (l *codeList) has(code string) bool {
	if l.open {
		return true
	}
	i := sort.SearchStrings(l.codes, code)
	return i < len(l.codes) && l.codes[i] == code
}

// allowed names the codes of a set for people: all of a short one, the first of a long one.
func (s *valueSet) allowed() string {
	var codes []string
	for i := range s.systems {
		codes = append(codes, s.systems[i].codes...)
	}
	const few = 20
	if len(codes) > few {
		codes = append(codes[:few:few], "…")
	}
	if len(codes) == 0 {
		return s.url
	}
	return s.url + ": " + strings.Join(codes, ", ")
}
