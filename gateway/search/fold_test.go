package search

import (
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// What the table makes of common texts is what folding letter by letter makes of any.
func TestFoldingByTableIsFolding(t *testing.T) {
	for r := range rune(tabled) {
		require.NotEmpty(t, folds()[r], "%U", r)
	}
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(
			rapid.StringOf(rapid.RuneFrom(nil, span(0, tabled-1))),
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
