package fhir

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// xmlReader reads a document from its beginning to its end. This file has what it knows of XML: names, tags, attributes,
// references, comments; xml_read.go what FHIR makes of them.
type xmlReader struct {
	src        string
	pos        int
	lim        Limits
	t          *tables
	path       pathStack
	depth      int // of the JSON: objects and arrays
	count      int
	attrs      []xmlAttr // of the tag read last
	namespaces []namespaceBinding
	values     slab[Value]
	faults     []fault
}

// xmlTag is a start tag; its attributes are in xmlReader.attrs until the next is read.
type xmlTag struct {
	prefix, local string
	space         string // namespace
	start         int    // where it begins
	empty         bool   // <x/>
	bindings      int    // of xmlReader.namespaces before it
	declares      bool   // has an xmlns of its own
}

// name is the name as it is written.
func (t xmlTag) name() string {
	if t.prefix == "" {
		return t.local
	}
	return t.prefix + ":" + t.local
}

type xmlAttr struct{ name, value string }

type namespaceBinding struct{ prefix, uri string }

// fail is a fault that nothing can be read beyond.
func (x *xmlReader) fail(at int, format string, args ...any) error {
	return (&SyntaxError{Expression: x.path.String(), Msg: fmt.Sprintf(format, args...)}).at(x.src, int64(at))
}

// declaration reads <?xml … ?>: of version 1.0, in UTF-8.
func (x *xmlReader) declaration() error {
	end := strings.Index(x.src, "?>")
	if end < 0 {
		return x.fail(0, "the XML declaration does not end")
	}
	for field := range strings.FieldsSeq(x.src[5:end]) {
		name, value, _ := strings.Cut(field, "=")
		value = strings.ToLower(strings.Trim(value, `"'`))
		if name == "encoding" && value != "utf-8" && value != "us-ascii" || name == "version" && value != "1.0" {
			return x.fail(0, "the document must be XML 1.0 in UTF-8")
		}
	}
	x.pos = end + 2
	return nil
}

func isXMLSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// between passes over white space and comments, to the next tag or the end.
func (x *xmlReader) between() error {
	for x.pos < len(x.src) {
		switch c := x.src[x.pos]; {
		case isXMLSpace(c):
			x.pos++
		case c != '<' && len(x.path.root) == 0:
			return x.fail(x.pos, "text between elements has no meaning in FHIR")
		case c != '<':
			if err := x.note(x.pos, "structure", "text between elements has no meaning in FHIR"); err != nil {
				return err
			}
			if err := x.text(); err != nil {
				return err
			}
		case strings.HasPrefix(x.src[x.pos:], "<!--"):
			if err := x.comment(); err != nil {
				return err
			}
		case strings.HasPrefix(x.src[x.pos:], "<!"):
			return x.fail(x.pos, "document types, entities and CDATA are not allowed")
		case strings.HasPrefix(x.src[x.pos:], "<?"):
			return x.fail(x.pos, "processing instructions are not allowed")
		default:
			return nil
		}
	}
	return nil
}

func (x *xmlReader) comment() error {
	end := strings.Index(x.src[x.pos+4:], "--")
	if end < 0 || !strings.HasPrefix(x.src[x.pos+4+end:], "-->") {
		return x.fail(x.pos, "a comment does not end")
	}
	if at := badXMLChar(x.src[x.pos : x.pos+4+end]); at >= 0 {
		return x.fail(x.pos+at, "a character is not allowed in XML")
	}
	x.pos += 4 + end + 3
	return nil
}

// badXMLChar is where a character stands that XML does not allow, or -1.
func badXMLChar(s string) int {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c < ' ' && !isXMLSpace(c):
			return i
		case c == 0xEF && (strings.HasPrefix(s[i:], "\uFFFE") || strings.HasPrefix(s[i:], "\uFFFF")):
			return i
		}
	}
	return -1
}

// name reads a name without a colon. FHIR's names are plain; what else XML allows in a name is read so that a foreign
// element is named as such, and never shown.
func (x *xmlReader) name() string {
	start := x.pos
	for x.pos < len(x.src) {
		switch c := x.src[x.pos]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_', c >= utf8.RuneSelf:
		case (c >= '0' && c <= '9' || c == '-' || c == '.') && x.pos > start:
		default:
			return x.src[start:x.pos]
		}
		x.pos++
	}
	return x.src[start:x.pos]
}

// qualified reads a name that may have a prefix.
func (x *xmlReader) qualified() (prefix, local string) {
	local = x.name()
	if x.pos < len(x.src) && x.src[x.pos] == ':' && local != "" {
		x.pos++
		prefix, local = local, x.name()
	}
	return prefix, local
}

func (x *xmlReader) space() bool {
	start := x.pos
	for x.pos < len(x.src) && isXMLSpace(x.src[x.pos]) {
		x.pos++
	}
	return x.pos > start
}

func (x *xmlReader) take(s string) bool {
	if strings.HasPrefix(x.src[x.pos:], s) {
		x.pos += len(s)
		return true
	}
	return false
}

// maxXMLAttributes bounds the attributes of an element: FHIR needs two, namespaces some more.
const maxXMLAttributes = 16

// tag reads a start tag and finds its namespace.
func (x *xmlReader) tag() (xmlTag, error) {
	t := xmlTag{start: x.pos, bindings: len(x.namespaces)}
	x.attrs = x.attrs[:0]
	x.pos++
	if t.prefix, t.local = x.qualified(); t.local == "" {
		return t, x.fail(x.pos, "the document is not XML here")
	}
	for {
		spaced := x.space()
		switch {
		case x.take("/>"):
			t.empty = true
		case x.take(">"):
		case !spaced || x.pos >= len(x.src):
			return t, x.fail(x.pos, "a tag is not XML here")
		default:
			if err := x.attribute(&t); err != nil {
				return t, err
			}
			continue
		}
		var ok bool
		if t.space, ok = x.namespace(t.prefix); !ok {
			return t, x.fail(t.start, "the prefix of an element is not declared")
		}
		return t, nil
	}
}

func (x *xmlReader) attribute(t *xmlTag) error {
	at := x.pos
	prefix, local := x.qualified()
	x.space()
	if local == "" || !x.take("=") {
		return x.fail(at, "an attribute is not XML here")
	}
	x.space()
	value, err := x.quoted()
	if err != nil {
		return err
	}
	name := local
	switch {
	case prefix == "xmlns":
		x.namespaces = append(x.namespaces, namespaceBinding{local, value})
		name = ""
	case prefix == "" && local == "xmlns":
		x.namespaces = append(x.namespaces, namespaceBinding{"", value})
		t.declares, name = true, ""
	case prefix != "":
		name = prefix + ":" + local
	}
	if len(x.attrs) >= maxXMLAttributes || len(x.namespaces)-t.bindings > maxXMLAttributes {
		return x.fail(at, "an element has more than %d attributes", maxXMLAttributes)
	}
	if name == "" {
		return nil
	}
	for _, other := range x.attrs {
		if other.name == name {
			return x.fail(at, "an attribute occurs twice")
		}
	}
	x.attrs = append(x.attrs, xmlAttr{name, value})
	return nil
}

// namespace is what a prefix stands for; no prefix may stand for none.
func (x *xmlReader) namespace(prefix string) (string, bool) {
	for i := len(x.namespaces) - 1; i >= 0; i-- {
		if x.namespaces[i].prefix == prefix {
			return x.namespaces[i].uri, true
		}
	}
	return "", prefix == ""
}

// quoted reads the value of an attribute: references resolved, white space made spaces (XML 1.0 § 3.3.3).
func (x *xmlReader) quoted() (string, error) {
	if x.pos >= len(x.src) || x.src[x.pos] != '"' && x.src[x.pos] != '\'' {
		return "", x.fail(x.pos, "the value of an attribute must be in quotes")
	}
	start := x.pos + 1
	end := strings.IndexByte(x.src[start:], x.src[x.pos])
	if end < 0 {
		return "", x.fail(x.pos, "the value of an attribute does not end")
	}
	raw := x.src[start : start+end]
	x.pos = start + end + 1
	if strings.IndexByte(raw, '<') >= 0 {
		return "", x.fail(start, "< must be written &lt; in the value of an attribute")
	}
	if at := badXMLChar(raw); at >= 0 {
		return "", x.fail(start+at, "a character is not allowed in XML")
	}
	if !strings.ContainsAny(raw, "&\t\n\r") {
		return raw, nil
	}
	var b strings.Builder
	b.Grow(len(raw))
	for i := 0; i < len(raw); {
		switch c := raw[i]; c {
		case '\r':
			b.WriteByte(' ')
			if i++; i < len(raw) && raw[i] == '\n' { // a line's end is one character
				i++
			}
		case '\t', '\n':
			b.WriteByte(' ')
			i++
		case '&':
			text, n := xmlReference(raw[i:])
			if n == 0 {
				return "", x.fail(start+i, "& must be written &amp;, and no entities are defined but XML's own five")
			}
			b.WriteString(text)
			i += n
		default:
			b.WriteByte(c)
			i++
		}
	}
	return b.String(), nil
}

// xmlReference reads &name; or &#number; at the start of s: its text and length, or 0.
func xmlReference(s string) (string, int) {
	end := strings.IndexByte(s[:min(len(s), 12)], ';')
	if end < 2 {
		return "", 0
	}
	name := s[1:end]
	if name[0] != '#' {
		if text := predefined(name); text != "" {
			return text, end + 1
		}
		return "", 0
	}
	base, digits := 10, name[1:]
	if strings.HasPrefix(digits, "x") {
		base, digits = 16, digits[1:]
	}
	n, err := strconv.ParseUint(digits, base, 32)
	r := rune(n)
	if err != nil || n > utf8.MaxRune || !utf8.ValidRune(r) || badXMLChar(string(r)) >= 0 {
		return "", 0
	}
	return string(r), end + 1
}

// endTag reads </name>.
func (x *xmlReader) endTag(t xmlTag) error {
	at := x.pos
	x.pos += 2
	prefix, local := x.qualified()
	x.space()
	if prefix != t.prefix || local != t.local || !x.take(">") {
		return x.fail(at, "an end tag does not fit its start tag")
	}
	x.namespaces = x.namespaces[:t.bindings]
	return nil
}

// text passes over what stands between tags.
func (x *xmlReader) text() error {
	next := strings.IndexByte(x.src[x.pos:], '<')
	if next < 0 {
		return x.fail(x.pos, "the document ends before its XML does")
	}
	text := x.src[x.pos : x.pos+next]
	if bad := badXMLChar(text); bad >= 0 {
		return x.fail(x.pos+bad, "a character is not allowed in XML")
	}
	for i := strings.IndexByte(text, '&'); i >= 0; {
		_, n := xmlReference(text[i:])
		if n == 0 {
			return x.fail(x.pos+i, "& must be written &amp;, and no entities are defined but XML's own five")
		}
		more := strings.IndexByte(text[i+n:], '&')
		if more < 0 {
			break
		}
		i += n + more
	}
	x.pos += next
	return nil
}

// passOver reads to the end of the element t, which is not empty: a narrative, or what is no part of the resource.
func (x *xmlReader) passOver(t xmlTag) error {
	open := []string{t.name()}
	for len(open) > 0 {
		if err := x.text(); err != nil {
			return err
		}
		at, rest := x.pos, x.src[x.pos:]
		switch {
		case strings.HasPrefix(rest, "<!--"):
			if err := x.comment(); err != nil {
				return err
			}
		case strings.HasPrefix(rest, "<!"), strings.HasPrefix(rest, "<?"):
			return x.fail(x.pos, "document types, entities, CDATA and processing instructions are not allowed")
		case strings.HasPrefix(rest, "</"):
			x.pos += 2
			prefix, local := x.qualified()
			x.space()
			if prefix != "" {
				local = prefix + ":" + local
			}
			if local != open[len(open)-1] || !x.take(">") {
				return x.fail(at, "an end tag does not fit its start tag")
			}
			open = open[:len(open)-1]
		default:
			inner, err := x.tag()
			if err != nil {
				return err
			}
			x.namespaces = x.namespaces[:inner.bindings]
			if !inner.empty {
				if open = append(open, inner.name()); len(open) > maxXHTMLDepth {
					return x.fail(at, "elements are nested deeper than %d here", maxXHTMLDepth)
				}
			}
		}
	}
	return nil
}
