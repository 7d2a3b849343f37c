package sqlite

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/store/storetest"
)

func TestEndedKeysAreForgotten(t *testing.T) {
	e, err := newEngine(t.Context(), filepath.Join(t.TempDir(), "store.db"), Options{}, ordinary)
	require.NoError(t, err)
	storetest.Ended(t, e)
}
