package postgres

import (
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/store/pgtest"
	"sotesilta/gateway/store/storetest"
)

func TestEndedKeysAreForgotten(t *testing.T) {
	e, err := newEngine(t.Context(), pgtest.Postgres(t), Options{})
	require.NoError(t, err)
	storetest.Ended(t, e)
}
