package fhir

import "strings"

// IsXHTML says whether s is the XHTML of a narrative (FHIR R4 § 2.26.0.1, txt-1 and txt-2): one well-formed div in the
// XHTML namespace, with elements and attributes of formatting only, and something in it to read. What could act when
// somebody looks at it (scripts, forms, event handlers, foreign schemes in links) is thereby out. Documents have
// neither a DOCTYPE nor processing instructions nor CDATA.
func IsXHTML(s string) bool {
	x := xhtml{s: strings.TrimSpace(s)}
	return x.document() && x.content
}

type xhtml struct {
	s       string
	i       int
	open    []string // elements not closed yet
	room    [24]string
	content bool // something to read was seen
}

// maxXHTMLDepth bounds the nesting of elements.
const maxXHTMLDepth = 200

// document reads a well-formed div, and sets content where there is something in it to read.
func (x *xhtml) document() bool {
	x.open = x.room[:0]
	if !x.tag() || len(x.open) == 0 && x.i < len(x.s) {
		return false
	}
	for len(x.open) > 0 {
		if x.i >= len(x.s) {
			return false
		}
		switch c := x.s[x.i]; {
		case c == '<':
			if !x.markup() {
				return false
			}
		case c == '&':
			if !x.entity() {
				return false
			}
			x.content = true
		case c < ' ' && c != '\t' && c != '\n' && c != '\r':
			return false
		default:
			x.content = x.content || c > ' '
			x.i++
		}
	}
	return x.i == len(x.s)
}

// markup reads what begins with < inside the div.
func (x *xhtml) markup() bool {
	rest := x.s[x.i:]
	switch {
	case strings.HasPrefix(rest, "<!--"):
		end := strings.Index(rest[4:], "--")
		if end < 0 || !strings.HasPrefix(rest[4+end:], "-->") {
			return false
		}
		x.i += 4 + end + 3
		return true
	case strings.HasPrefix(rest, "</"):
		x.i += 2
		name := x.name()
		x.space()
		last := len(x.open) - 1
		if name == "" || name != x.open[last] || !x.next('>') {
			return false
		}
		x.open = x.open[:last]
		return true
	}
	return x.tag()
}

// tag reads a start tag or an empty element.
func (x *xhtml) tag() bool {
	root := len(x.open) == 0
	if !x.next('<') {
		return false
	}
	name := x.name()
	if root && name != "div" || !xhtmlElements[name] {
		return false
	}
	namespace := false
	for {
		spaced := x.space()
		switch {
		case x.next('/'):
			x.content = x.content || name == "img"
			return (!root || namespace) && x.next('>')
		case x.next('>'):
			if root && !namespace || len(x.open) >= maxXHTMLDepth {
				return false
			}
			x.content = x.content || name == "img"
			x.open = append(x.open, name)
			return true
		case !spaced:
			return false
		}
		attribute := x.name()
		x.space()
		if !x.next('=') {
			return false
		}
		x.space()
		value, ok := x.quoted()
		if !ok {
			return false
		}
		switch attribute {
		case "xmlns":
			if value != "http://www.w3.org/1999/xhtml" {
				return false
			}
			namespace = true
		case "href", "src", "cite", "longdesc", "usemap":
			if !safeLink(value, attribute) {
				return false
			}
		default:
			if !xhtmlAttributes[attribute] {
				return false
			}
		}
	}
}

// name reads a name of letters, digits and colons; what it stands for decides whether it may be there.
func (x *xhtml) name() string {
	start := x.i
	for x.i < len(x.s) {
		c := x.s[x.i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != ':' && c != '-' {
			break
		}
		x.i++
	}
	return x.s[start:x.i]
}

func (x *xhtml) space() bool {
	start := x.i
	for x.i < len(x.s) && (x.s[x.i] == ' ' || x.s[x.i] == '\t' || x.s[x.i] == '\n' || x.s[x.i] == '\r') {
		x.i++
	}
	return x.i > start
}

func (x *xhtml) next(c byte) bool {
	if x.i < len(x.s) && x.s[x.i] == c {
		x.i++
		return true
	}
	return false
}

// quoted reads the value of an attribute.
func (x *xhtml) quoted() (string, bool) {
	if x.i >= len(x.s) || x.s[x.i] != '"' && x.s[x.i] != '\'' {
		return "", false
	}
	quote := x.s[x.i]
	x.i++
	start := x.i
	for x.i < len(x.s) && x.s[x.i] != quote {
		switch x.s[x.i] {
		case '<':
			return "", false
		case '&':
			if !x.entity() {
				return "", false
			}
		default:
			x.i++
		}
	}
	value := x.s[start:x.i]
	return value, x.next(quote)
}

// entity reads &name; or &#number;.
func (x *xhtml) entity() bool {
	end := strings.IndexByte(x.s[x.i:min(len(x.s), x.i+12)], ';')
	if end < 2 {
		return false
	}
	name := x.s[x.i+1 : x.i+end]
	x.i += end + 1
	if number, ok := strings.CutPrefix(name, "#"); ok {
		if hex, ok := strings.CutPrefix(number, "x"); ok {
			return hex != "" && strings.Trim(hex, "0123456789abcdefABCDEF") == ""
		}
		return number != "" && strings.Trim(number, "0123456789") == ""
	}
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// safeLink says whether a link goes where looking at it does no harm: nowhere but to a place, a page or a mail address;
// an image may be within the document.
func safeLink(link, attribute string) bool {
	if strings.ContainsAny(link, "\t\r\n") || strings.IndexByte(link, '&') >= 0 && strings.Contains(link, "&#") {
		return false // characters written in another way could spell another scheme
	}
	link = strings.TrimSpace(link)
	switch strings.ToLower(uriScheme(link)) {
	case "":
		// a colon before any slash is a scheme to some readers, in whatever characters it is written
		colon := strings.IndexAny(link, ":&")
		return colon < 0 || strings.ContainsAny(link[:colon], "/?#")
	case "http", "https", "mailto", "tel", "ftp", "urn":
		return true
	case "data":
		media := strings.TrimLeft(link[len("data:"):], " ") // the official narratives have a space here
		return attribute == "src" && strings.HasPrefix(strings.ToLower(media), "image/")
	}
	return false
}

// xhtmlElements are the elements of HTML 4.0 chapters 7–11 (without section 9.4) and 15, a and img.
var xhtmlElements = set("p br div h1 h2 h3 h4 h5 h6 a span b em i strong small big tt dfn q var abbr acronym cite blockquote" +
	" hr address bdo kbd sub sup ul ol li dl dt dd pre table caption colgroup col thead tr tfoot tbody th td code samp img map area")

// xhtmlAttributes are those elements' attributes, but links, which safeLink judges.
var xhtmlAttributes = set("title style class id lang xml:lang dir accesskey tabindex span width align valign char charoff abbr axis headers" +
	" scope rowspan colspan border frame rules cellspacing cellpadding summary alt height name hreflang type rel rev charset shape coords" +
	" nowrap start value compact clear size noshade ismap bgcolor")

func set(words string) map[string]bool {
	out := map[string]bool{}
	for word := range strings.FieldsSeq(words) {
		out[word] = true
	}
	return out
}
