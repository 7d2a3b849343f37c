package search

import (
	"testing"
	"unicode"

	"pgregory.net/rapid"
)

// What pages of letters make of a text is what folding makes of it whole, whatever letters it is of.
func TestFoldingByTableIsFolding(t *testing.T) {
	for r := range rune(unicode.MaxRune + 1) {
		for _, s := range []string{string(r), "a " + string(r), string(r) + " B"} {
			if got, want := Fold(s), foldAny(s); got != want {
				t.Fatalf("%U: %q folds to %q by the table, and to %q", r, s, got, want)
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(
			rapid.StringOf(rapid.RuneFrom(nil, span(0, 0x17f))),
			rapid.StringOf(rapid.OneOf(rapid.RuneFrom(nil, span(0, 0x24f)), rapid.RuneFrom(nil, span(0x300, 0x310)), rapid.RuneFrom(nil, span(0x2000, 0x2030)))),
			rapid.String(),
		).Draw(t, "text")
		if got, want := Fold(s), foldAny(s); got != want {
			t.Fatalf("%q folds to %q by the table, and to %q", s, got, want)
		}
	})
}

// span is the range of runes from one to another.
func span(from, to uint16) *unicode.RangeTable {
	return &unicode.RangeTable{R16: []unicode.Range16{{Lo: from, Hi: to, Stride: 1}}}
}
