package search

import (
	"strings"

	"sotesilta/internal/fhir"
)

// phonetic is the parameter whose algorithm FHIR leaves to the server (search-xpath-usage phonetic).
const phonetic = "phonetic"

// sounds are spellings that sound alike in Finnish and Swedish names, longest first: Virtanen and Wirtanen, Mattsson
// and Matson, Christian and Kristian.
var sounds = strings.NewReplacer(
	"tsch", "s", "sch", "s", "skj", "s", "stj", "s", "sj", "s", "tj", "s", "ch", "k", "ck", "k", "ph", "f", "th", "t",
	"qu", "kv", "dt", "t", "cz", "s", "gh", "k", "hj", "j",
	"w", "v", "z", "s", "x", "ks", "q", "k", "c", "k", "b", "p", "d", "t", "g", "k", "y", "j", "i", "j", "'", "", "-", " ",
)

// Sound is how a name sounds, roughly: folded, spellings that sound alike made one, letters that are doubled single.
func Sound(s string) string {
	s = sounds.Replace(Fold(s))
	var b strings.Builder
	var last rune
	for _, r := range s {
		if r != last {
			b.WriteRune(r)
		}
		last = r
	}
	return strings.TrimSpace(b.String())
}

// readSound reads the sounds of a text and of its words, or of those of several members of a data type.
func readSound(members ...string) reader {
	words := func(x *extraction, p *Param, v *fhir.Value) {
		whole := Sound(text(v))
		x.text(p, whole)
		for word := range strings.FieldsSeq(whole) {
			x.text(p, word)
		}
	}
	return func(x *extraction, l *leaf, v *fhir.Value) {
		if len(members) == 0 {
			words(x, l.param, v)
		}
		for _, name := range members {
			part := v.Get(name)
			if part.Kind() != fhir.Array {
				words(x, l.param, part)
			}
			for _, item := range part.Items() {
				words(x, l.param, item)
			}
		}
	}
}
