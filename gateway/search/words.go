package search

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"sotesilta/internal/fhir"
)

// The parameters of type Texts: the narrative of a resource, and all that it says.
const (
	narrative = "_text"
	content   = "_content"
)

// Bounds of what is asked of texts.
const (
	MaxWords     = 32 // words and phrases of one search
	maxWordDepth = 8  // parentheses within each other
)

// textsHelp is what Definition says of _text and _content beyond the official sentence: FHIR R4 § 3.1.1.5 leaves to the
// server how it is asked.
const textsHelp = " Words that begin so and are all there, OR between those of which any will do, parentheses, and quotation marks about a phrase;" +
	" contains finds them within words, exact whole words as they are written. It narrows what other parameters find: " +
	"texts are in no index, and only so many are read."

// Words is what a value of _text or _content asks a text to say. Exactly one of three forms.
type Words struct {
	Word string   // this word or phrase, folded but for the modifier exact ...
	All  []*Words // ... or all of these ...
	Any  []*Words // ... or any of these
}

// count is how many words and phrases there are.
func (w *Words) count() int {
	if w.Word != "" {
		return 1
	}
	n := 0
	for _, part := range slices.Concat(w.All, w.Any) {
		n += part.count()
	}
	return n
}

// in says whether a text says so. modifier is that of the clause.
func (w *Words) in(text, modifier string) bool {
	for _, part := range w.Any {
		if part.in(text, modifier) {
			return true
		}
	}
	for _, part := range w.All {
		if !part.in(text, modifier) {
			return false
		}
	}
	return w.All != nil || w.Word != "" && says(text, w.Word, modifier)
}

// says finds a word in a text: where a word begins, with the modifier exact where one ends too, with contains anywhere.
func says(text, word, modifier string) bool {
	for from := 0; ; {
		at := strings.Index(text[from:], word)
		if at < 0 {
			return false
		}
		at += from
		before, _ := utf8.DecodeLastRuneInString(text[:at])
		after, _ := utf8.DecodeRuneInString(text[at+len(word):])
		if modifier == "contains" || !spells(before) && (modifier != "exact" || !spells(after)) {
			return true
		}
		// No word begins before that one ends which this stands in: so a text of one letter a million times is read once.
		for from = at; ; {
			r, size := utf8.DecodeRuneInString(text[from:])
			if from += size; !spells(r) {
				break
			}
		}
	}
}

// spells says whether r is part of a word.
func spells(r rune) bool {
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.Is(unicode.Mn, r))
}

// Reads says whether the condition is on texts, which are in no Index: Said tells whether it holds.
func (c *Clause) Reads() bool { return c.Param != nil && c.Param.Type == Texts }

// Said is what a resource says, in the forms that conditions on texts compare; each is made when one asks for it.
type Said struct {
	resource *fhir.Value
	forms    [2][2]*string // of the narrative or all, folded or as written
}

// Saying is what a resource says. It must be as it leaves, without what is withheld: a search would tell it by guessing.
func Saying(resource *fhir.Value) *Said { return &Said{resource: resource} }

// Meets says whether a condition that Reads holds.
func (s *Said) Meets(c *Clause) bool {
	text := s.form(c.Param.Name == content, c.Modifier == "exact")
	for _, v := range c.Values {
		switch {
		case c.Modifier == "missing":
			if v.Missing == (text == "") {
				return true
			}
		case v.Words != nil && v.Words.in(text, c.Modifier):
			return true
		}
	}
	return false
}

// form is a line for each text, so that no phrase runs from one into another.
func (s *Said) form(all, exact bool) string {
	form := &s.forms[place01(all)][place01(exact)]
	if *form != nil {
		return **form
	}
	var b strings.Builder
	write := func(text string) {
		if exact {
			text = spaced(text)
		} else {
			text = Fold(text)
		}
		if text != "" {
			b.WriteString(text)
			b.WriteByte('\n')
		}
	}
	if all {
		for text := range fhir.Texts(s.resource) {
			write(text)
		}
	} else {
		write(fhir.NarrativeText(s.resource))
	}
	text := b.String()
	*form = &text
	return text
}

func place01(b bool) int {
	if b {
		return 1
	}
	return 0
}

// spaced is s with a single space for all white space, and none at its ends.
func spaced(s string) string { return strings.Join(strings.Fields(s), " ") }

// words reads a value of _text or _content, unescaped: words that must all be there, with or (or OR) between those of
// which any will do, parentheses, and quotation marks about a phrase. AND may be written and means nothing more. This is
// the language of the example in FHIR R4 § 3.1.1.5, (bone OR liver) and metastases.
func (r valueReader) words(s string) (Value, string) {
	w := wordReader{rest: s, exact: r.modifier == "exact"}
	words, why := w.any(0)
	switch {
	case why == noWord && strings.IndexFunc(s, spells) >= 0:
		return Value{}, "words are missing in it, on a side of OR or between parentheses"
	case why != "":
		return Value{}, why
	case w.rest != "":
		return Value{}, "a parenthesis in it closes none"
	}
	return Value{Words: words}, ""
}

const noWord = "it has no letter or digit to search by"

type wordReader struct {
	rest  string
	exact bool
}

// any reads alternatives, to the end or a closing parenthesis.
func (w *wordReader) any(depth int) (*Words, string) {
	if depth > maxWordDepth {
		return nil, "its parentheses lie too deep within each other"
	}
	var out Words
	for {
		all, why := w.all(depth)
		if why != "" {
			return nil, why
		}
		out.Any = append(out.Any, all)
		if !w.operator("or") {
			return &out, ""
		}
	}
}

// all reads what must be there together.
func (w *wordReader) all(depth int) (*Words, string) {
	var out Words
	for {
		word, quoted := w.peek()
		switch {
		case word == "" && !quoted, word == ")", !quoted && strings.EqualFold(word, "or"):
			if len(out.All) == 0 {
				return nil, noWord
			}
			return &out, ""
		case word == "(":
			w.next()
			part, why := w.any(depth + 1)
			if why != "" {
				return nil, why
			}
			if end, _ := w.peek(); end != ")" {
				return nil, "a parenthesis in it is not closed"
			}
			w.next()
			out.All = append(out.All, part)
			continue
		case quoted && strings.Count(w.rest, `"`) < 2:
			return nil, `a quotation mark in it is not closed (a comma in a phrase is written \,)`
		case !quoted && (strings.HasPrefix(word, "-") && strings.IndexFunc(word, spells) == 1 || word == "NOT"):
			return nil, "words cannot be excluded, by - or NOT"
		}
		w.next()
		if !quoted && strings.EqualFold(word, "and") {
			continue
		}
		word = strings.TrimFunc(word, func(r rune) bool { return !spells(r) })
		if w.exact {
			word = spaced(word)
		} else {
			word = Fold(word)
		}
		if word != "" {
			out.All = append(out.All, &Words{Word: word})
		}
	}
}

// operator takes an operator if it comes next.
func (w *wordReader) operator(name string) bool {
	word, quoted := w.peek()
	if quoted || !strings.EqualFold(word, name) {
		return false
	}
	w.next()
	return true
}

// peek is what comes next: a parenthesis, a word, or what stands in quotation marks; "" at the end.
func (w *wordReader) peek() (word string, quoted bool) {
	w.rest = strings.TrimLeft(w.rest, " ")
	switch {
	case w.rest == "":
		return "", false
	case w.rest[0] == '"':
		word, _, _ = strings.Cut(w.rest[1:], `"`)
		return word, true
	case w.rest[0] == '(' || w.rest[0] == ')':
		return w.rest[:1], false
	}
	if end := strings.IndexAny(w.rest, ` ()"`); end >= 0 {
		return w.rest[:end], false
	}
	return w.rest, false
}

// next takes what peek gives.
func (w *wordReader) next() {
	word, quoted := w.peek()
	if w.rest = w.rest[len(word):]; quoted {
		w.rest = w.rest[2:]
	}
}
