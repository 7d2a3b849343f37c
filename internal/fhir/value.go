// Package fhir reads FHIR R4 JSON strictly and checks it against the official definitions.
//
// What came in is what is kept: a resource is a tree of Values that keeps the order of members, the spelling of
// decimals and the primitive extensions of the JSON it was read from, so writing it out again loses nothing.
// Reading refuses what other readers let pass: duplicate members, invalid UTF-8, numbers that are not JSON,
// nesting beyond a bound (RFC 8259; FHIR R4 § 2.6.2).
//
// The way of a document: Parse reads it, Validate compares it with tables compiled from the official R4 definitions
// (gen; the definitions are HL7's, CC0-1.0), SetMeta gives it what only the gateway may say of it, AppendJSON writes
// it. References tell whom and what it names. No error or issue shows what stands in
// a document: they name places, rules and what would be allowed.
//
// The package imports nothing of ours, and all three subjects (gateway, consent, mappings) use it.
package fhir

// Kind is the JSON kind of a Value.
type Kind uint8

// The kinds of JSON. The zero Kind is Null.
const (
	Null Kind = iota
	Bool
	Number
	String
	Array
	Object
)

// Value is one JSON value of a document. The zero Value is null. Methods that look something up accept a nil
// receiver and answer nil or "", so that paths may be walked without checks.
//
// A Value that came from Parse may be shared between goroutines as long as nobody changes it; Clone before
// changing one that others hold.
type Value struct {
	kind    Kind
	text    string // Bool: true or false; Number: as written; String: decoded
	members []Member
	items   []*Value
}

// Member is one name and its value in an object, in the order of the document.
type Member struct {
	Name  string
	Value *Value
}

// NewString is the JSON string s.
func NewString(s string) *Value { return &Value{kind: String, text: s} }

// NewNumber is the JSON number as spelled in s.
func NewNumber(s string) *Value { return &Value{kind: Number, text: s} }

// NewBool is true or false.
func NewBool(b bool) *Value {
	if b {
		return &Value{kind: Bool, text: "true"}
	}
	return &Value{kind: Bool, text: "false"}
}

// NewObject is an object of the members given, in that order. Members whose value is nil are left out.
func NewObject(members ...Member) *Value {
	v := &Value{kind: Object, members: make([]Member, 0, len(members))}
	for _, m := range members {
		if m.Value != nil {
			v.members = append(v.members, m)
		}
	}
	return v
}

// NewArray is an array of the items given; nil items are left out.
func NewArray(items ...*Value) *Value {
	v := &Value{kind: Array, items: make([]*Value, 0, len(items))}
	for _, item := range items {
		if item != nil {
			v.items = append(v.items, item)
		}
	}
	return v
}

// Kind tells what v is; a nil Value is Null.
func (v *Value) Kind() Kind {
	if v == nil {
		return Null
	}
	return v.kind
}

// Str is the text of a string, number or boolean as decoded (numbers as written), and "" of anything else.
func (v *Value) Str() string {
	if v == nil || v.kind < Bool || v.kind > String {
		return ""
	}
	return v.text
}

// True says whether v is the boolean true.
func (v *Value) True() bool { return v != nil && v.kind == Bool && v.text == "true" }

// Members are the members of an object in document order; the slice belongs to v.
func (v *Value) Members() []Member {
	if v == nil {
		return nil
	}
	return v.members
}

// Items are the items of an array; the slice belongs to v.
func (v *Value) Items() []*Value {
	if v == nil {
		return nil
	}
	return v.items
}

// Get is the member called name of an object, or nil.
func (v *Value) Get(name string) *Value {
	if v == nil {
		return nil
	}
	for i := range v.members {
		if v.members[i].Name == name {
			return v.members[i].Value
		}
	}
	return nil
}

// All walks the names from v and gives every value found, arrays flattened at each step:
// All("participant", "member", "reference") of a CareTeam is the reference of every participant.
func (v *Value) All(names ...string) []*Value {
	var out []*Value
	v.walk(names, func(found *Value) bool { out = append(out, found); return true })
	return out
}

// First is the first of All, or nil; it allocates nothing.
func (v *Value) First(names ...string) *Value {
	var out *Value
	v.walk(names, func(found *Value) bool { out = found; return false })
	return out
}

// Text is the text of First(names...), or "".
func (v *Value) Text(names ...string) string { return v.First(names...).Str() }

// walk calls yield for each value at the path until yield answers false; it answers false when stopped.
func (v *Value) walk(names []string, yield func(*Value) bool) bool {
	if v == nil {
		return true
	}
	if v.kind == Array {
		for _, item := range v.items {
			if !item.walk(names, yield) {
				return false
			}
		}
		return true
	}
	if len(names) == 0 {
		return yield(v)
	}
	return v.Get(names[0]).walk(names[1:], yield)
}

// Set makes name the given value, in its place if the member is there already and at the end if not; a nil value
// takes the member away. It changes v, which must be an object.
func (v *Value) Set(name string, value *Value) {
	for i := range v.members {
		if v.members[i].Name == name {
			if value == nil {
				v.members = append(v.members[:i:i], v.members[i+1:]...)
				return
			}
			v.members[i].Value = value
			return
		}
	}
	if value != nil {
		v.members = append(v.members, Member{name, value})
	}
}

// Append adds items to an array. It changes v.
func (v *Value) Append(items ...*Value) { v.items = append(v.items, items...) }

// Clone is a deep copy that shares nothing with v.
func (v *Value) Clone() *Value {
	if v == nil {
		return nil
	}
	c := &Value{kind: v.kind, text: v.text}
	if v.members != nil {
		c.members = make([]Member, len(v.members))
		for i, m := range v.members {
			c.members[i] = Member{m.Name, m.Value.Clone()}
		}
	}
	if v.items != nil {
		c.items = make([]*Value, len(v.items))
		for i, item := range v.items {
			c.items[i] = item.Clone()
		}
	}
	return c
}
