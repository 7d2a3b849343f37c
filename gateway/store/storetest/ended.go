package storetest

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/store"
	"sotesilta/gateway/store/sqlstore"
)

// Ended proves on an engine with an empty store, which it closes, that keys that may be used once are forgotten some time
// after they ended, and those that run are kept.
func Ended(t *testing.T, e sqlstore.Engine) {
	begin := time.Now()
	var later atomic.Int64
	s := sqlstore.NewAt(e, func() time.Time { return begin.Add(time.Duration(later.Load())) })
	defer func() { require.NoError(t, s.Close()) }()
	require.NoError(t, s.Commit(t.Context(), store.Change{Once: []store.Once{
		{Key: "ended", Until: begin.Add(time.Minute)}, {Key: "runs", Until: begin.Add(time.Hour)},
	}}))
	later.Store(int64(5 * time.Minute))
	keys := func() (out []string) {
		r, err := e.Read(t.Context())
		require.NoError(t, err)
		defer r.Close()
		rows, err := r.Query(t.Context(), "SELECT key FROM once ORDER BY key")
		require.NoError(t, err)
		defer rows.Close()
		for rows.Next() {
			var key string
			require.NoError(t, rows.Scan(&key))
			out = append(out, key)
		}
		require.NoError(t, rows.Err())
		return out
	}
	require.Eventually(t, func() bool { return len(keys()) == 1 }, 5*time.Second, 20*time.Millisecond)
	require.Equal(t, []string{"runs"}, keys())
	require.ErrorIs(t, s.Commit(t.Context(), store.Change{Once: []store.Once{{Key: "runs", Until: begin.Add(time.Hour)}}}), store.ErrUsed)
}
