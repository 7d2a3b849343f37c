package fhir

import (
	"html"
	"iter"
	"strings"
)

// Texts iterates over what a resource says in words, in document order: its elements of the types string and markdown,
// those of contained resources and extensions too, and what a reader sees of narratives. Ids, codes, URIs and references
// are no words, and meta says how a resource is kept.
func Texts(resource *Value) iter.Seq[string] {
	return func(yield func(string) bool) {
		w := textWalk{definitions(), yield}
		w.resource(resource)
	}
}

// NarrativeText is what a reader sees of a resource's own narrative; "" where it has none.
func NarrativeText(resource *Value) string { return readXHTML(resource.Get("text").Get("div").Str()) }

type textWalk struct {
	*tables
	yield func(string) bool
}

// resource answers false when the iteration was stopped, as the others do.
func (w *textWalk) resource(v *Value) bool {
	def := w.tables.resource(ResourceType(v))
	return def == nil || w.object(v, def)
}

func (w *textWalk) object(v *Value, def *typeDef) bool {
	at := 0
	for i := range v.Members() {
		m := &v.members[i]
		visit := w.visitor(m.Name, def, &at)
		if visit == nil {
			continue
		}
		if m.Value.Kind() != Array {
			if !visit(m.Value) {
				return false
			}
			continue
		}
		for _, item := range m.Value.Items() {
			if !visit(item) {
				return false
			}
		}
	}
	return true
}

// visitor is how the values of a member are gone through; nil where they hold no words.
func (w *textWalk) visitor(name string, def *typeDef, at *int) func(*Value) bool {
	if strings.HasPrefix(name, "_") {
		return func(v *Value) bool { return w.object(v, w.element()) }
	}
	md := def.member(name, at)
	switch {
	case md == nil, name == "reference" && def.name == "Reference":
		return nil
	case md.typ == typeResource:
		return w.resource
	case md.typ >= firstComplex:
		if of := w.complex(md); of.name != "Meta" {
			return func(v *Value) bool { return w.object(v, of) }
		}
		return nil
	}
	switch primitives[md.typ].name {
	case "string", "markdown":
		return func(v *Value) bool { return v.Kind() != String || w.yield(v.text) }
	case "xhtml":
		return func(v *Value) bool { return v.Kind() != String || w.yield(readXHTML(v.text)) }
	}
	return nil
}

// withinLine are the elements of XHTML that stand within a line of text: where they begin and end no word does.
var withinLine = set("a abbr acronym b bdo big cite code dfn em i kbd q samp small span strong sub sup tt var")

// readXHTML is what a reader sees of XHTML (IsXHTML), with a space where an element begins or ends that is not within a
// line. Of what is no XHTML it gives something.
func readXHTML(s string) string {
	var b strings.Builder
	for {
		text, markup, found := strings.Cut(s, "<")
		b.WriteString(text)
		if !found {
			return html.UnescapeString(b.String())
		}
		if comment, ok := strings.CutPrefix(markup, "!--"); ok {
			_, s, _ = strings.Cut(comment, "-->")
			continue
		}
		x := xhtml{s: strings.TrimPrefix(markup, "/")}
		if !withinLine[x.name()] {
			b.WriteByte(' ')
		}
		s = afterTag(x.s[x.i:])
	}
}

// afterTag is what follows the end of a tag, which does not lie within the quotes of an attribute.
func afterTag(s string) string {
	var quote byte
	for i := range len(s) {
		switch c := s[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '>':
			return s[i+1:]
		}
	}
	return ""
}
