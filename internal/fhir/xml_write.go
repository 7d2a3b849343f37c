package fhir

import (
	"errors"
	"html"
	"strings"
	"unicode/utf8"
)

// Namespaces of FHIR's XML (FHIR R4 § 2.6.1).
const (
	xmlNamespace   = "http://hl7.org/fhir"
	xhtmlNamespace = "http://www.w3.org/1999/xhtml"
)

// errNotXML says that a document cannot be written as XML because no definition knows what it holds. Nothing that passed
// Validate is so.
var errNotXML = errors.New("fhir: the document holds what no definition knows, and has no form in XML")

// AppendXML appends a resource in FHIR's XML format (FHIR R4 § 2.6.1) to dst: elements in the order of their definitions,
// decimals as written, narratives as they stand. With indent there is white space for people, outside of narratives.
//
// ParseXML reads it back to the same document, but for the order of members. Entities of HTML in a narrative, which XML
// does not know, become the characters they stand for; characters that XML forbids (U+FFFE, U+FFFF and controls, which
// FHIR forbids in texts) become U+FFFD. A document that no definition knows is an error.
func (v *Value) AppendXML(dst []byte, indent bool) ([]byte, error) {
	w := xmlWriter{t: definitions(), dst: dst, indent: indent}
	w.resource(v, ` xmlns="`+xmlNamespace+`"`)
	if w.failed {
		return dst, errNotXML
	}
	return w.dst, nil
}

// xmlWriter appends to dst; once failed it does no harm.
type xmlWriter struct {
	t      *tables
	dst    []byte
	indent bool
	depth  int
	failed bool
}

// placed is a member of an object with its definition, and so its place in XML.
type placed struct {
	at         int // index in typeDef.members
	value, ext *Value
}

func (w *xmlWriter) resource(v *Value, namespace string) {
	def := w.t.resource(ResourceType(v))
	if def == nil || v.Kind() != Object {
		w.failed = true
		return
	}
	w.line()
	w.open(def.name)
	w.text(namespace)
	w.object(v, def, def.name)
}

// object writes the attributes and elements of v and closes the element name, whose start tag is open.
func (w *xmlWriter) object(v *Value, def *typeDef, name string) {
	var room [24]placed
	members := w.placed(room[:0], v, def)
	elements := 0
	for _, m := range members {
		if md := &def.members[m.at]; md.attribute() {
			w.attribute(md.name, m.value)
		} else {
			elements++
		}
	}
	if elements == 0 {
		w.text("/>")
		return
	}
	w.text(">")
	w.depth++
	for _, m := range members {
		if md := &def.members[m.at]; !md.attribute() {
			w.member(md, m.value, m.ext)
		}
	}
	w.depth--
	w.close(name)
}

// attribute says whether the member is an attribute in XML: the id of an element and the url of an extension.
func (m *memberDef) attribute() bool {
	return m.bare && m.typ < typeResource && primitives[m.typ].attribute()
}

func (p *primitiveDef) attribute() bool { return p.name == "elementId" || p.name == "uri" }

// placed lists the members of v in the order of the definition.
func (w *xmlWriter) placed(out []placed, v *Value, def *typeDef) []placed {
	if v.Kind() != Object {
		w.failed = true
		return nil
	}
	extended := false
	for i := range v.members {
		if name := v.members[i].Name; name != "" && name[0] == '_' {
			extended = true
		}
	}
	at := 0
	for i := range v.members {
		m := placed{value: v.members[i].Value}
		name := v.members[i].Name
		switch {
		case name == "resourceType" && IsResource(def.name):
			continue
		case extended && name != "" && name[0] == '_':
			if name = name[1:]; v.Get(name) != nil {
				continue
			}
			m.value, m.ext = nil, m.value
		case extended:
			m.ext = v.Get("_" + name)
		}
		md := def.member(name, &at)
		if md == nil || m.ext != nil && !md.extensible() {
			w.failed = true
			return nil
		}
		m.at = at - 1
		out = append(out, m)
		for j := len(out) - 1; j > 0 && out[j-1].at > out[j].at; j-- {
			out[j-1], out[j] = out[j], out[j-1]
		}
	}
	return out
}

// member writes the element or elements of a JSON member.
func (w *xmlWriter) member(md *memberDef, value, ext *Value) {
	if value.Kind() != Array && ext.Kind() != Array {
		w.element(md, value, ext)
		return
	}
	for i := range max(len(value.Items()), len(ext.Items())) {
		var v, x *Value
		if i < len(value.Items()) && value.items[i].Kind() != Null {
			v = value.items[i]
		}
		if i < len(ext.Items()) && ext.items[i].Kind() != Null {
			x = ext.items[i]
		}
		w.element(md, v, x)
	}
}

func (w *xmlWriter) element(md *memberDef, value, ext *Value) {
	if w.failed {
		return
	}
	switch {
	case md.typ == typeResource:
		w.line()
		w.open(md.name)
		w.text(">")
		w.depth++
		w.resource(value, "")
		w.depth--
		w.close(md.name)
	case md.typ >= firstComplex:
		w.line()
		w.open(md.name)
		w.object(value, w.t.complex(md), md.name)
	case primitives[md.typ].name == "xhtml":
		w.line()
		w.narrative(value.Str())
	default:
		w.primitive(md, value, ext)
	}
}

func (w *xmlWriter) primitive(md *memberDef, value, ext *Value) {
	w.line()
	w.open(md.name)
	if id := ext.Get("id"); id != nil {
		w.attribute("id", id)
	}
	if value != nil {
		w.attribute("value", value)
	}
	extensions := ext.Get("extension").Items()
	if len(extensions) == 0 {
		w.text("/>")
		return
	}
	w.text(">")
	w.depth++
	at := 0
	if extension := w.t.element().member("extension", &at); extension != nil {
		for _, item := range extensions {
			w.element(extension, item, nil)
		}
	}
	w.depth--
	w.close(md.name)
}

func (w *xmlWriter) text(s string) { w.dst = append(w.dst, s...) }

func (w *xmlWriter) open(name string) { w.dst = append(append(w.dst, '<'), name...) }

func (w *xmlWriter) close(name string) {
	w.line()
	w.dst = append(append(append(w.dst, "</"...), name...), '>')
}

// line begins a line, but for the first.
func (w *xmlWriter) line() {
	if !w.indent || len(w.dst) == 0 {
		return
	}
	w.dst = append(w.dst, '\n')
	for range w.depth {
		w.dst = append(w.dst, "  "...)
	}
}

// attribute writes an attribute with a text, number or boolean.
func (w *xmlWriter) attribute(name string, value *Value) {
	if k := value.Kind(); k < Bool || k > String {
		w.failed = true
		return
	}
	w.dst = append(append(append(w.dst, ' '), name...), `="`...)
	w.dst = append(appendEscaped(w.dst, value.text), '"')
}

// appendEscaped writes a text as the value of an attribute, where a literal line feed or tab would be read as a space.
func appendEscaped(dst []byte, s string) []byte {
	from := 0
	for i := 0; i < len(s); {
		c, size, as := s[i], 1, ""
		switch {
		case c == '&':
			as = "&amp;"
		case c == '<':
			as = "&lt;"
		case c == '>':
			as = "&gt;"
		case c == '"':
			as = "&quot;"
		case c == '\n':
			as = "&#10;"
		case c == '\r':
			as = "&#13;"
		case c == '\t':
			as = "&#9;"
		case c < ' ':
			as = "\uFFFD"
		case c >= 0xEF: // U+FFFE and U+FFFF begin here
			var r rune
			if r, size = utf8.DecodeRuneInString(s[i:]); r == 0xFFFE || r == 0xFFFF || r == utf8.RuneError {
				as = "\uFFFD"
			}
		}
		if as != "" {
			dst = append(append(dst, s[from:i]...), as...)
			from = i + size
		}
		i += size
	}
	return append(dst, s[from:]...)
}

// narrative writes the XHTML of a narrative, which is well-formed XML but for the names of HTML's entities.
func (w *xmlWriter) narrative(div string) {
	x := xhtml{s: strings.TrimSpace(div)}
	if !x.document() {
		w.failed = true
		return
	}
	rest := x.s
	for {
		at := strings.IndexByte(rest, '&')
		if at < 0 {
			w.text(rest)
			return
		}
		w.text(rest[:at])
		rest = rest[at:]
		end := strings.IndexByte(rest, ';') + 1
		if end == 0 { // within a comment
			w.text("&amp;")
			rest = rest[1:]
			continue
		}
		switch entity := rest[:end]; {
		case entity[1] == '#' || predefined(entity[1:end-1]) != "":
			w.text(entity)
		default:
			w.dst = appendEscaped(w.dst, html.UnescapeString(entity))
		}
		rest = rest[end:]
	}
}

// predefined is the character of one of the five entities that XML knows without being told, or "".
func predefined(name string) string {
	switch name {
	case "amp":
		return "&"
	case "lt":
		return "<"
	case "gt":
		return ">"
	case "quot":
		return `"`
	case "apos":
		return "'"
	}
	return ""
}
