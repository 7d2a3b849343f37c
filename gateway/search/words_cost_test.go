package search

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A text takes time by its length, whatever is in it: letters that decompose into many, and words that nearly are there
// at each letter. Both took a hundred times as long.
func TestTextsTakeTimeByTheirLengthAlone(t *testing.T) {
	const length = 1 << 20
	took := func(f func()) time.Duration {
		least := time.Hour
		for range 3 {
			began := time.Now()
			f()
			least = min(least, time.Since(began))
		}
		return least
	}
	plainly := took(func() { Fold(strings.Repeat("Ää Bb ", length/8)) })
	for _, letter := range []string{"\ufdfa", "\u3300", "\u0344", "\u1f82"} {
		text := strings.Repeat(letter, length/len(letter))
		require.Less(t, took(func() { Fold(text) }), 50*plainly+20*time.Millisecond, "%q", letter)
	}
	words := strings.Repeat("aaaaaaa ", length/8)
	once := took(func() { says(words, "ab", "") })
	whole := strings.Repeat("a", length)
	for _, modifier := range []string{"", "exact"} {
		word := strings.Repeat("a", 500)
		require.Less(t, took(func() { require.False(t, says("b"+whole, word, modifier), modifier) }), 50*once+10*time.Millisecond, modifier)
	}
	require.False(t, says(whole+"b", "b", ""))
	require.True(t, says(whole+"b b", "b", ""))
	require.True(t, says("xb, b-c", "b", "exact"))
}
