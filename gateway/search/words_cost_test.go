package search

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A word is found where one begins, also after a text in which it nearly was at each letter.
func TestAWordIsFoundAfterAllThatIsNearlyIt(t *testing.T) {
	whole, word := strings.Repeat("a", 1<<20), strings.Repeat("a", 500)
	for _, modifier := range []string{"", "exact"} {
		require.False(t, says("b"+whole, word, modifier), modifier)
		require.True(t, says("b"+whole+" "+word, word, modifier), modifier)
	}
	require.False(t, says(whole+"b", "b", ""))
	require.True(t, says(whole+"b b", "b", ""))
	require.True(t, says("xb, b-c", "b", "exact"))
}

// A text takes time by its length, whatever is in it: letters that decompose into many, and words that nearly are there at
// each letter. Compare the megabytes a second: when these took a hundred times as long as plain texts, a search was a bomb.
func BenchmarkTexts(b *testing.B) {
	const length = 1 << 20
	for name, letters := range map[string]string{"plain": "Ää Bb ", "ligature-of-eighteen": "\ufdfa", "square": "\u3300", "two-marks": "\u0344", "three-marks": "\u1f82"} {
		text := strings.Repeat(letters, length/len(letters))
		b.Run("fold/"+name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				Fold(text)
			}
		})
	}
	for name, text := range map[string]string{"plain": strings.Repeat("aaaaaaa ", length/8), "one-letter": "b" + strings.Repeat("a", length)} {
		for _, modifier := range []string{"", "exact"} {
			b.Run("says/"+name+"/"+modifier, func(b *testing.B) {
				word := strings.Repeat("a", 500)
				b.SetBytes(int64(len(text)))
				for b.Loop() {
					says(text, word, modifier)
				}
			})
		}
	}
}
