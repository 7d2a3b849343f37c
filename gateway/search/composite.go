package search

import (
	"slices"
	"strconv"
	"strings"

	"sotesilta/internal/fhir"
)

// maxParts is how many parts a composite may have.
const maxParts = 3

// tuple is the entries of a composite's parts that come from one element: a TokenEntry, ReferenceEntry, … each.
type tuple [maxParts]any

// compose compiles a place of a composite: the element that is composed, and after each $ the places of a part in it.
func (t *table) compose(e entry, place string) {
	pieces := strings.Split(place, "$")
	if len(e.param.Parts) == 0 {
		for i, name := range e.parts {
			part := *t.byName[name]
			part.Name = e.param.Name + "$" + strconv.Itoa(i)
			e.param.Parts = append(e.param.Parts, &part)
		}
	}
	trees := make([]node, len(e.param.Parts))
	for i, part := range e.param.Parts {
		for _, place := range strings.Split(pieces[i+1], ",") {
			trees[i].place(part, place)
		}
	}
	at := &t.root
	if pieces[0] != "" {
		for _, name := range strings.Split(pieces[0], ".") {
			at = at.child(name)
		}
	}
	at.leaves = append(at.leaves, leaf{param: e.param, read: readComposite(trees)})
}

// readComposite reads an element by all the ways in which its parts go together. The last part is read first: it is
// the one that is most often not there.
func readComposite(trees []node) reader {
	return func(x *extraction, _ *leaf, v *fhir.Value) {
		parts := make([][]any, len(trees))
		for i := len(trees) - 1; i >= 0; i-- {
			part := extraction{resource: x.resource, bases: x.bases, entries: x.entries}
			part.walk(v, &trees[i])
			if parts[i] = part.index.all(); len(parts[i]) == 0 {
				return
			}
		}
		tuples := []tuple{{}}
		for i, entries := range parts {
			var longer []tuple
			for _, t := range tuples {
				for _, entry := range entries {
					if !x.more() {
						return
					}
					t[i] = entry
					longer = append(longer, t)
				}
			}
			tuples = longer
		}
		x.tuples = append(x.tuples, tuples...)
	}
}

// all are the distinct entries of an index of one part; no part is a URI.
func (x *Index) all() []any {
	var out []any
	for i, e := range x.Tokens { // displays are not asked for in a composite
		if x.Tokens[i].Text = ""; e.System != "" || e.Code != "" {
			out = append(out, x.Tokens[i])
		}
	}
	out = distinct(out)
	out = appendAll(out, distinct(x.References))
	out = appendAll(out, distinct(x.Dates))
	out = appendAll(out, distinct(x.Strings))
	return appendAll(out, distinct(x.Numbers))
}

func appendAll[T any](to []any, entries []T) []any {
	to = slices.Grow(to, len(entries))
	for _, e := range entries {
		to = append(to, e)
	}
	return to
}

// add appends tuples, so that the n-th entries of a composite's parts belong together.
func (x *Index) add(tuples []tuple) {
	for _, t := range tuples {
		for _, entry := range t {
			switch e := entry.(type) {
			case TokenEntry:
				x.Tokens = append(x.Tokens, e)
			case ReferenceEntry:
				x.References = append(x.References, e)
			case DateEntry:
				x.Dates = append(x.Dates, e)
			case StringEntry:
				x.Strings = append(x.Strings, e)
			case NumberEntry:
				x.Numbers = append(x.Numbers, e)
			}
		}
	}
}

// readTypedIdentifier reads an Identifier by its type and value, for the modifier of-type (FHIR R4 § 3.1.1.4.10).
func readTypedIdentifier(x *extraction, l *leaf, v *fhir.Value) {
	value := text(v.Get("value"))
	if value == "" {
		return
	}
	for _, coding := range v.Get("type").Get("coding").Items() {
		if code := text(coding.Get("code")); code != "" {
			x.token(l.param, typed(text(coding.Get("system")), code), value, "")
		}
	}
}

// typed is a type of identifiers as the Index holds it in the place of their system.
func typed(system, code string) string { return system + "|" + code }
