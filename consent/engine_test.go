package consent

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEngineLoads(t *testing.T) {
	e, err := New(Config{})
	require.NoError(t, err)
	require.Len(t, e.Version(), 64)
	require.Equal(t, 1<<len(flagNames), int(deceased)<<1, "each flag has a name in the schema")
}
