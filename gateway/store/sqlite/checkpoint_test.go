package sqlite

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/store"
	"sotesilta/gateway/store/sqlstore"
)

// Under load without a pause, with readers all the while, the write-ahead log begins anew again and again. How soon
// depends on the machine and what else it does, so the load goes on until it did, or far too much was written.
func TestTheLogBeginsAnewUnderLoad(t *testing.T) {
	const large, times = 2 << 20, 3
	e, err := newEngine(t.Context(), filepath.Join(t.TempDir(), "store.db"), Options{}, limits{small: 256 << 10, large: large})
	require.NoError(t, err)
	s := sqlstore.New(e)
	defer func() { require.NoError(t, s.Close()) }()
	body := []byte(`{"resourceType":"Task","note":"` + strings.Repeat("x", 20_000) + `"}`)
	var over atomic.Bool
	var total atomic.Int64
	var wg sync.WaitGroup
	var written [4]int
	for g := range written {
		wg.Go(func() {
			for ; !over.Load(); written[g]++ {
				err := s.Commit(t.Context(), store.Change{
					Put: []store.Row{{
						Type: "Task", ID: fmt.Sprintf("%d-%d", g, written[g]), Version: 1, Class: consent.Class{Type: "Task"},
						Recorded: time.Now(), Updated: time.Now(), Method: "POST", Body: body,
					}},
					Records: []ledger.Record{{ID: ledger.NewID(), Time: time.Now(), Interaction: "create", Outcome: "permit"}},
				})
				if err != nil {
					t.Error(err)
					return
				}
				total.Add(int64(len(body)))
			}
		})
	}
	c, err := open(e.dsn)
	require.NoError(t, err)
	anew, size, largest := 0, int64(0), int64(0)
	for begun := time.Now(); anew < times && total.Load() < 128*large && time.Since(begun) < 2*time.Minute; {
		n, err := s.Snapshot(t.Context())
		require.NoError(t, err)
		_, err = n.Get(t.Context(), "Task", "0-0")
		if err != nil {
			require.ErrorIs(t, err, store.ErrNotFound)
		}
		time.Sleep(5 * time.Millisecond)
		require.NoError(t, n.Close())
		before := size
		size, err = walSize(c)
		require.NoError(t, err)
		if largest = max(largest, size); size < before {
			anew++
		}
	}
	over.Store(true)
	wg.Wait()
	require.NoError(t, c.close())
	require.Equal(t, times, anew, "times that the log began anew, of at most %d MB, while %d MB were written", largest>>20, total.Load()>>20)
	n, err := s.Snapshot(t.Context())
	require.NoError(t, err)
	for g, count := range written {
		_, err := n.Get(t.Context(), "Task", fmt.Sprintf("%d-%d", g, count-1))
		require.NoError(t, err)
	}
	require.NoError(t, n.Close())
	t.Logf("%d MB written, the log at most %d MB", total.Load()>>20, largest>>20)
}
