package consent

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// What a condition of one attribute means is told in words, to people who do not read policies; and no words are kept for
// a condition that no policy has.
func TestConditionsOfOneAttributeAreToldInWords(t *testing.T) {
	e, err := New(Config{})
	require.NoError(t, err)
	boolean := regexp.MustCompile(`^when \{ !?context\.\w+ \}$`)
	elsewhere := map[string]bool{ // told by tell itself, or never the reason of a denial alone
		"related": true, "participant": true, "localPermits": true, "jointService": true, "reasoned": true,
		"deceased": true,
	}
	used := map[string]bool{}
	for _, slice := range e.law.slices {
		for _, p := range slice.permits {
			for i := range p.clauses {
				c := &p.clauses[i]
				used[c.text] = true
				if i > 0 && boolean.MatchString(c.text) && !elsewhere[c.about] {
					if said[c.text] == "" {
						t.Errorf("%s: %s (about %s) is not told in words", p.id, c.text, c.about)
					}
				}
			}
		}
	}
	for text := range said {
		require.True(t, used[text], text)
	}
}
