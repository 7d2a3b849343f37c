package postgres

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/store"
	"sotesilta/gateway/store/pgtest"
)

// A server that drops its connections in mid-load loses no acknowledged commit, and the store goes on by itself. Where
// an outcome is not known the node's chain ends, so that no entry is ever counted twice.
func TestCommitsOutliveLostConnections(t *testing.T) {
	url := pgtest.Postgres(t)
	s, err := Open(t.Context(), url, Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	admin, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer admin.Close(context.Background())

	stop := make(chan struct{})
	var mu sync.Mutex
	var acknowledged []string
	var failed int
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				id := fmt.Sprintf("%d-%d", g, i)
				err := s.Commit(t.Context(), store.Change{
					Put: []store.Row{{
						Type: "Task", ID: id, Version: 1, Class: consent.Class{Type: "Task"}, Recorded: time.Now(), Updated: time.Now(),
						Method: "POST", Body: []byte("{}"),
					}},
					Records: []ledger.Record{{ID: "r" + id, Time: time.Now(), Interaction: "create", Outcome: "permit"}},
				})
				mu.Lock()
				if err == nil {
					acknowledged = append(acknowledged, id)
				} else {
					failed++
				}
				mu.Unlock()
			}
		}()
	}
	for range 10 {
		time.Sleep(100 * time.Millisecond)
		_, err := admin.Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()")
		require.NoError(t, err)
	}
	time.Sleep(100 * time.Millisecond)
	close(stop)
	wg.Wait()
	require.Greater(t, len(acknowledged), 100)
	require.NotEqual(t, acknowledged[len(acknowledged)-1], "", "it went on")

	// Readers whose connections were dropped while idle begin anew as well.
	for range 3 {
		var open []store.Snapshot
		for range 4 {
			n, err := s.Snapshot(t.Context())
			require.NoError(t, err)
			_, err = n.Get(t.Context(), "Task", acknowledged[0])
			require.NoError(t, err)
			open = append(open, n)
		}
		for _, n := range open {
			require.NoError(t, n.Close())
		}
		time.Sleep(20 * time.Millisecond)
		_, err := admin.Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()")
		require.NoError(t, err)
	}
	n, err := s.Snapshot(t.Context())
	require.NoError(t, err)
	for _, id := range acknowledged {
		_, err := n.Get(t.Context(), "Task", id)
		require.NoError(t, err)
		_, err = n.Entry(t.Context(), "r"+id)
		require.NoError(t, err)
	}
	require.NoError(t, n.Close())
	last := map[string]ledger.Entry{}
	for e, err := range s.Ledger().Pending(t.Context()) {
		require.NoError(t, err)
		require.Equal(t, last[e.Node].Count+1, e.Count)
		require.Equal(t, last[e.Node].Chain, e.Prev)
		last[e.Node] = e
	}
	t.Logf("%d acknowledged, %d failed, %d chains", len(acknowledged), failed, len(last))
}
