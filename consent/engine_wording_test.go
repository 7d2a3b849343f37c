package consent

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What counts as told of a fact or a reason: a dot or one letter over and over says nothing.
func TestWording(t *testing.T) {
	law, err := readActs(loadedFiles(t))
	require.NoError(t, err)
	for text, told := range map[string]bool{
		"": false, " ": false, "x": false, "....": false, "- - - -": false, "xxxxxxxx": false, "XxxXXxyY": false, "ok!": false,
		"told": true, "hätä": true, "LL Laine": true, "ei ole": true, "112/2026": true, "tajuton": true,
	} {
		require.Equal(t, told, law.fact.Told(text), "%q", text)
		require.Equal(t, told, law.reason.Told(text), "%q", text)
	}
	require.True(t, Wording{}.Told("x"), "a version of before the rule is decided again as it was")
	require.False(t, Wording{}.Told(" "))
}

func loadedFiles(t *testing.T) map[string][]byte {
	t.Helper()
	files, err := readFiles(lawFiles, "bases")
	require.NoError(t, err)
	return files
}
