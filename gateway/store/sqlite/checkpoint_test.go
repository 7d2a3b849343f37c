package sqlite

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/store"
	"sotesilta/gateway/store/sqlstore"
)

// Under load without a pause, with readers all the while, the write-ahead log does not grow beyond its bound.
func TestTheLogBeginsAnewUnderLoad(t *testing.T) {
	const large = 2 << 20
	e, err := newEngine(t.Context(), filepath.Join(t.TempDir(), "store.db"), Options{}, limits{small: 256 << 10, large: large})
	require.NoError(t, err)
	s := sqlstore.New(e)
	defer func() { require.NoError(t, s.Close()) }()
	body := []byte(`{"resourceType":"Task","note":"` + strings.Repeat("x", 20_000) + `"}`)
	deadline := time.Now().Add(3 * time.Second)
	var wg sync.WaitGroup
	var written [4]int
	for g := range written {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for ; time.Now().Before(deadline); written[g]++ {
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
			}
		}()
	}
	largest := int64(0)
	c, err := open(e.dsn)
	require.NoError(t, err)
	for time.Now().Before(deadline) {
		n, err := s.Snapshot(t.Context())
		require.NoError(t, err)
		_, err = n.Get(t.Context(), "Task", "0-0")
		if err != nil {
			require.ErrorIs(t, err, store.ErrNotFound)
		}
		time.Sleep(5 * time.Millisecond)
		require.NoError(t, n.Close())
		size, err := walSize(c)
		require.NoError(t, err)
		largest = max(largest, size)
	}
	wg.Wait()
	require.NoError(t, c.close())
	total := int64(written[0]+written[1]+written[2]+written[3]) * int64(len(body))
	if total < 16*large {
		t.Skipf("only %d bytes were written: too slow a machine to tell", total)
	}
	require.Less(t, largest, total, "the log began anew")
	n, err := s.Snapshot(t.Context())
	require.NoError(t, err)
	for g, count := range written {
		_, err := n.Get(t.Context(), "Task", fmt.Sprintf("%d-%d", g, count-1))
		require.NoError(t, err)
	}
	require.NoError(t, n.Close())
	t.Logf("%d MB written, the log at most %d MB", total>>20, largest>>20)
}
