package fhir

import (
	"strings"
	"unicode/utf8"
)

// ParseXML reads a resource in FHIR's XML format (FHIR R4 § 2.6.1) into the tree of its JSON, within the same bounds as
// Parse. It refuses, with a *SyntaxError, what is not well-formed XML 1.0 in UTF-8, elements of other namespaces, elements
// that the type does not have or that stand out of order, and everything that XML brings and FHIR has no use for: document
// types, entities of one's own, processing instructions, CDATA, text between elements. Comments are dropped;
// xsi:schemaLocation is passed over. Narratives are kept as they stand.
//
// Of a document that is XML but not FHIR's, the error tells all that is wrong, in the document's order, and after it what
// Validate says of the rest: a sender learns from one answer what it would of the same resource in JSON.
func ParseXML(data []byte, lim Limits) (*Value, error) {
	lim = lim.orDefault()
	if len(data) > lim.Bytes {
		return nil, tooLong(lim)
	}
	x := xmlReader{src: string(data), lim: lim, t: definitions()}
	x.values.next = len(data)/32 + 8
	v, err := x.document()
	if len(x.faults) > 0 {
		return nil, x.faulty(v, err)
	}
	if err != nil {
		return nil, err
	}
	if x.outgrows(v) {
		return nil, tooLong(lim)
	}
	return v, nil
}

// outgrows says whether the JSON of what was read is longer than the bound: quotes and line feeds take more room there, and
// what is kept must be within the bound too.
func (x *xmlReader) outgrows(v *Value) bool {
	return len(x.src) > x.lim.Bytes/2 && len(v.JSON()) > x.lim.Bytes
}

func (x *xmlReader) document() (*Value, error) {
	if !utf8.ValidString(x.src) {
		return nil, x.fail(0, "the document is not valid UTF-8")
	}
	x.src = strings.TrimPrefix(x.src, "\uFEFF")
	if strings.HasPrefix(x.src, "<?xml") && len(x.src) > 5 && isXMLSpace(x.src[5]) {
		if err := x.declaration(); err != nil {
			return nil, err
		}
	}
	if err := x.between(); err != nil {
		return nil, err
	}
	if x.pos == len(x.src) {
		return nil, x.fail(x.pos, "the document ends before its XML does")
	}
	tag, err := x.tag()
	if err != nil {
		return nil, err
	}
	v, err := x.resource(tag)
	if err != nil {
		return nil, err
	}
	x.path = pathStack{}
	if err := x.between(); err != nil {
		return nil, err
	}
	if x.pos != len(x.src) {
		return nil, x.fail(x.pos, "something follows the end of the document")
	}
	return v, nil
}

// value makes a Value and counts it.
func (x *xmlReader) value(kind Kind, text string) (*Value, error) {
	if x.count++; x.count > x.lim.Values {
		return nil, x.fail(x.pos, "the document has more than %d values", x.lim.Values)
	}
	v := x.values.one()
	v.kind, v.text = kind, text
	return v, nil
}

// enter opens an object or array of the JSON.
func (x *xmlReader) enter() error {
	if x.depth++; x.depth > x.lim.Depth {
		return x.fail(x.pos, "elements are nested deeper than %d objects and arrays of JSON", x.lim.Depth)
	}
	return nil
}

// resource reads a resource whose start tag was read; nil is one within another that cannot be told apart from its type.
func (x *xmlReader) resource(t xmlTag) (*Value, error) {
	def := x.t.resource(t.local)
	if len(x.path.steps) == 0 {
		switch {
		case t.space != xmlNamespace:
			return nil, x.fail(t.start, notInNamespace)
		case def == nil:
			return nil, x.fail(t.start, notResource)
		}
		x.path.root = def.name
	} else if t.space != xmlNamespace || def == nil {
		rule := notResource
		if t.space != xmlNamespace {
			rule = notInNamespace
		}
		return nil, x.skip(t, rule)
	}
	for _, a := range x.attrs {
		if a.name != "xsi:schemaLocation" && a.name != "xml:lang" && a.name != "xml:id" {
			if err := x.note(t.start, "structure", "a resource has no attributes"); err != nil {
				return nil, err
			}
			break
		}
	}
	typ, err := x.value(String, def.name)
	if err != nil {
		return nil, err
	}
	v, err := x.value(Object, "")
	if err != nil {
		return nil, err
	}
	v.members = append(make([]Member, 0, 12), Member{"resourceType", typ})
	return v, x.content(v, t, def)
}

// complex reads an element of a complex type whose start tag was read.
func (x *xmlReader) complex(t xmlTag, def *typeDef) (*Value, error) {
	v, err := x.value(Object, "")
	if err != nil {
		return nil, err
	}
	at := 0
	for _, a := range x.attrs {
		md := def.member(a.name, &at)
		if md == nil || !md.attribute() {
			if err := x.note(t.start, "structure", "%s has no such attribute", def.name); err != nil {
				return nil, err
			}
			continue
		}
		text, err := x.value(String, a.value)
		if err != nil {
			return nil, err
		}
		v.members = append(v.members, Member{md.name, text})
	}
	if len(v.members) == 2 && v.members[0].Name == "url" { // id first, as in the definition
		v.members[0], v.members[1] = v.members[1], v.members[0]
	}
	noted := len(x.faults)
	if err := x.content(v, t, def); err != nil || len(v.members) > 0 || noted < len(x.faults) {
		return v, err
	}
	return v, x.note(t.start, "structure", "an element must not be empty")
}

// series are the elements of one JSON member as they come.
type series struct {
	md      *memberDef
	array   bool
	values  []*Value
	exts    []*Value
	seen    int // elements, those told to be wrong too
	valued  bool
	extends bool
}

// content reads the elements within t into v, up to its end tag.
func (x *xmlReader) content(v *Value, t xmlTag, def *typeDef) error {
	if err := x.enter(); err != nil {
		return err
	}
	defer func() { x.depth-- }()
	if t.empty {
		x.namespaces = x.namespaces[:t.bindings]
		return nil
	}
	var now series
	at := 0
	for {
		if err := x.between(); err != nil {
			return err
		}
		if x.pos >= len(x.src) {
			return x.fail(x.pos, "the document ends before its XML does")
		}
		if strings.HasPrefix(x.src[x.pos:], "</") {
			if err := x.flush(v, &now); err != nil {
				return err
			}
			return x.endTag(t)
		}
		child, err := x.tag()
		if err != nil {
			return err
		}
		before := at
		md := def.member(child.local, &at)
		if md == nil || md.attribute() {
			x.path.push(child.local)
			if err := x.skip(child, def.name+" has no such element"); err != nil {
				return err
			}
			x.path.pop()
			at = before
			continue
		}
		x.path.push(def.elements[md.element].name)
		into := &now
		switch {
		case md == now.md && !now.array:
			if err := x.note(child.start, "structure", "the element may be given once only"); err != nil {
				return err
			}
			into = &series{md: md}
		case md != now.md:
			if err := x.flush(v, &now); err != nil {
				return err
			}
			now.md, now.array = md, def.elements[md.element].array
			if at > before {
				break
			}
			if err := x.note(child.start, "structure", "the element stands after elements that it should precede"); err != nil {
				return err
			}
			if v.Get(md.name) != nil || v.Get("_"+md.name) != nil { // read for what may be wrong in it
				into = &series{md: md, array: now.array}
				now.md = nil
			}
		}
		at = max(at, before)
		if into.array {
			x.path.index(into.seen)
		}
		into.seen++
		if err := x.element(child, into); err != nil {
			return err
		}
		x.path.pop()
	}
}

// element reads an element of the series.
func (x *xmlReader) element(t xmlTag, now *series) error {
	if now.array {
		if err := x.enter(); err != nil {
			return err
		}
		defer func() { x.depth-- }()
	}
	md := now.md
	narrative := md.typ < typeResource && primitives[md.typ].name == "xhtml"
	if !narrative && t.space != xmlNamespace {
		return x.skip(t, notInNamespace)
	}
	var value, ext *Value
	var err error
	switch {
	case narrative:
		value, err = x.narrative(t)
	case md.typ == typeResource:
		value, err = x.wrapped(t)
	case md.typ >= firstComplex:
		value, err = x.complex(t, x.t.complex(md))
	default:
		value, ext, err = x.primitive(t, md)
	}
	if err != nil {
		return err
	}
	if value == nil && ext == nil { // what is wrong was told
		return nil
	}
	now.values, now.exts = append(now.values, value), append(now.exts, ext)
	now.valued, now.extends = now.valued || value != nil, now.extends || ext != nil
	return nil
}

// flush makes members of what a series gathered.
func (x *xmlReader) flush(v *Value, now *series) error {
	if now.md == nil {
		return nil
	}
	for _, half := range []struct {
		there  bool
		name   string
		values []*Value
	}{{now.valued, now.md.name, now.values}, {now.extends, "_" + now.md.name, now.exts}} {
		switch {
		case !half.there:
		case !now.array:
			v.members = append(v.members, Member{half.name, half.values[0]})
		default:
			array, err := x.value(Array, "")
			if err != nil {
				return err
			}
			for _, item := range half.values {
				if item == nil {
					if item, err = x.value(Null, ""); err != nil {
						return err
					}
				}
				array.items = append(array.items, item)
			}
			v.members = append(v.members, Member{half.name, array})
		}
	}
	*now = series{}
	return nil
}

// wrapped reads the one resource within an element such as contained.
func (x *xmlReader) wrapped(t xmlTag) (*Value, error) {
	if len(x.attrs) > 0 {
		if err := x.note(t.start, "structure", "an element with a resource has no attributes"); err != nil {
			return nil, err
		}
	}
	if !t.empty {
		if err := x.between(); err != nil {
			return nil, err
		}
	}
	switch {
	case t.empty:
		x.namespaces = x.namespaces[:t.bindings]
		return nil, x.note(t.start, "structure", "a resource is missing here")
	case x.pos >= len(x.src):
		return nil, x.fail(x.pos, "the document ends before its XML does")
	case strings.HasPrefix(x.src[x.pos:], "</"):
		if err := x.note(x.pos, "structure", "a resource is missing here"); err != nil {
			return nil, err
		}
		return nil, x.endTag(t)
	}
	inner, err := x.tag()
	if err != nil {
		return nil, err
	}
	v, err := x.resource(inner)
	if err != nil {
		return nil, err
	}
	for {
		if err := x.between(); err != nil {
			return nil, err
		}
		switch {
		case x.pos >= len(x.src):
			return nil, x.fail(x.pos, "the document ends before its XML does")
		case strings.HasPrefix(x.src[x.pos:], "</"):
			return v, x.endTag(t)
		}
		another, err := x.tag()
		if err == nil {
			err = x.skip(another, "only one resource may stand here")
		}
		if err != nil {
			return nil, err
		}
	}
}

// primitive reads an element of a primitive type: its value, and what JSON puts beside it.
func (x *xmlReader) primitive(t xmlTag, md *memberDef) (value, ext *Value, err error) {
	noted := len(x.faults)
	for _, a := range x.attrs {
		switch {
		case a.name == "value":
			value, err = x.scalar(t, md, a.value)
		case a.name == "id" && !md.bare:
			var id *Value
			if id, err = x.value(String, a.value); err == nil {
				ext = NewObject(Member{"id", id})
			}
		default:
			err = x.note(t.start, "structure", "a primitive element has no attributes but value and id")
		}
		if err != nil {
			return nil, nil, err
		}
	}
	if t.empty {
		x.namespaces = x.namespaces[:t.bindings]
	} else {
		within := ext
		if within == nil {
			within = NewObject()
		}
		if err := x.content(within, t, x.t.element()); err != nil {
			return nil, nil, err
		}
		if len(within.members) > 0 {
			ext = within
		}
	}
	switch {
	case ext == nil && value == nil && noted == len(x.faults):
		err = x.note(t.start, "structure", "an element must have a value or extensions (ele-1)")
	case ext != nil && md.bare:
		ext, err = nil, x.note(t.start, "structure", "the element must not have extensions")
	}
	return value, ext, err
}

// scalar makes a value of the kind that the type has in JSON; one that cannot be of it is told here.
func (x *xmlReader) scalar(t xmlTag, md *memberDef, text string) (*Value, error) {
	p := &primitives[md.typ]
	if p.kind == Number && !isJSONNumber(text) || p.kind == Bool && text != "true" && text != "false" {
		return nil, x.note(t.start, "value", "must be %s", p.rule)
	}
	return x.value(p.kind, text)
}

// isJSONNumber says whether s is a number of JSON (RFC 8259 § 6), as FHIR's numbers are.
func isJSONNumber(s string) bool {
	i := 0
	digits := func() bool {
		start := i
		for i < len(s) && s[i] >= '0' && s[i] <= '9' {
			i++
		}
		return i > start
	}
	if i < len(s) && s[i] == '-' {
		i++
	}
	start := i
	if !digits() || s[start] == '0' && i > start+1 {
		return false
	}
	if i < len(s) && s[i] == '.' {
		if i++; !digits() {
			return false
		}
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		if i++; i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		if !digits() {
			return false
		}
	}
	return i == len(s)
}

// narrative takes the div of a narrative as it stands; what may be in it is for Validate to say.
func (x *xmlReader) narrative(t xmlTag) (*Value, error) {
	if t.space != xhtmlNamespace || t.prefix != "" || !t.declares {
		return nil, x.skip(t, `a narrative is a div with xmlns="`+xhtmlNamespace+`"`)
	}
	if !t.empty {
		if err := x.passOver(t); err != nil {
			return nil, err
		}
	}
	x.namespaces = x.namespaces[:t.bindings]
	return x.value(String, x.src[t.start:x.pos])
}
