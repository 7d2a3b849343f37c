package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/internal/official"
)

func TestTheCommittedTablesAreThoseOfTheDefinitions(t *testing.T) {
	made, err := compile(official.Test(t))
	require.NoError(t, err)
	for name, want := range made {
		got, err := os.ReadFile(filepath.Join("..", name))
		require.NoError(t, err)
		require.Equal(t, string(want), string(got), "run go generate ./internal/constraints")
	}
}
