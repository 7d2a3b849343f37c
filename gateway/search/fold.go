package search

import (
	"strings"
	"sync/atomic"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Fold is s without case, accents and surplus white space, as strings are compared unless the modifier is exact
// (FHIR R4 § 3.1.1.4.8): compatibility decomposition (NFKD), combining marks dropped, lower case. Letters that
// Unicode does not decompose but readers take for a plain letter (ø, ł, ß) become that letter. Fold(Fold(s)) is Fold(s).
func Fold(s string) string {
	if plain(s) {
		return s
	}
	first := foldsOf(0)
	var b strings.Builder
	b.Grow(len(s))
	space := true // white space at the beginning is dropped
	for _, r := range s {
		page := first
		if r > 0xff {
			page = foldsOf(r)
		}
		to := page[r&0xff]
		if space && to != "" && to[0] == ' ' {
			to = to[1:]
		}
		if to != "" {
			b.WriteString(to)
			space = to[len(to)-1] == ' '
		}
	}
	return strings.TrimSuffix(b.String(), " ")
}

// folds are what foldAny makes of each letter by itself, 256 to a page, made when a letter of theirs is met. Marks, whose
// order a text of several could change, are dropped but for some of music; so a text is folded letter by letter, in a time
// that grows with its length alone: there are letters that Unicode decomposes into eighteen.
var folds [unicode.MaxRune>>8 + 1]atomic.Pointer[[256]string]

func foldsOf(r rune) *[256]string {
	at := &folds[r>>8]
	page := at.Load()
	if page == nil {
		page = new([256]string)
		for i := range page {
			folded := foldAny("x" + string(r&^0xff|rune(i)) + "x")
			page[i] = folded[1 : len(folded)-1]
		}
		at.Store(page)
	}
	return page
}

// foldAny is Fold of any letters.
func foldAny(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	space := true // white space at the beginning is dropped
	for _, r := range lowered(s) {
		switch {
		case r < utf8.RuneSelf && r != ' ' && r > 0x1f:
		case unicode.IsSpace(r) || unicode.IsControl(r):
			if !space {
				b.WriteByte(' ')
				space = true
			}
			continue
		case unicode.Is(unicode.Mn, r):
			continue
		}
		space = false
		if to, ok := letters[r]; ok {
			b.WriteString(to)
		} else {
			b.WriteRune(r)
		}
	}
	return strings.TrimSuffix(b.String(), " ")
}

// lowered is s decomposed and in lower case, until both hold: lowering may give a letter that decomposes further.
func lowered(s string) string {
	for range 4 {
		next := norm.NFKD.String(strings.ToLower(norm.NFKD.String(s)))
		if next == s {
			break
		}
		s = next
	}
	return s
}

// letters are what NFKD leaves whole.
var letters = map[rune]string{
	'ø': "o", 'ł': "l", 'đ': "d", 'ð': "d", 'ħ': "h", 'ı': "i", 'ŧ': "t", 'ß': "ss", 'æ': "ae", 'œ': "oe", 'þ': "th",
	'ŋ': "n", 'ς': "σ", '’': "'", '‘': "'", '–': "-", '‐': "-",
}

// plain says whether Fold would change nothing: lower-case ASCII with single spaces inside. Most values searched are.
func plain(s string) bool {
	space := true
	for i := range len(s) {
		c := s[i]
		if c >= utf8.RuneSelf || c < ' ' || c == 0x7f || c >= 'A' && c <= 'Z' || c == ' ' && space {
			return false
		}
		space = c == ' '
	}
	return !space || s == ""
}

// maxIndexed bounds a text in an Index, in bytes: a longer one is cut, so that it fits the index pages of any store.
// It is above MaxValueLength, so a text that was cut is never equal to a value searched for; it is found by its
// beginning.
const maxIndexed = 600

// cut is s within maxIndexed bytes, cut between characters, and without NUL, which PostgreSQL has no place for.
func cut(s string) string {
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "")
	}
	if len(s) <= maxIndexed {
		return s
	}
	end := maxIndexed
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}
