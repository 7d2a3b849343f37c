package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// Whoever follows deploy/ with variables of the environment starts the binary in the same environment as well: no name that is
// given there is one that the binary refuses.
func TestDeployNamesNoVariableThatIsUnknown(t *testing.T) {
	files, err := filepath.Glob("../deploy/*")
	require.NoError(t, err)
	ours := regexp.MustCompile(`SOTESILTA_[A-Z_]*[A-Z]`)
	var named []string
	for _, file := range append(files, "../README.md") {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, name := range ours.FindAllString(string(text), -1) {
			require.NoError(t, unknownVariables([]string{name + "=x"}), file)
			named = append(named, name)
		}
	}
	require.True(t, slices.Contains(named, "SOTESILTA_STORE"), "deploy/ was read")
	require.ErrorContains(t, unknownVariables([]string{"PGPASSWORD=x", "SOTESILTA_STORRE=x", "SOTESILTA_RATES=1"}),
		"unknown variables: SOTESILTA_RATES, SOTESILTA_STORRE")
}
