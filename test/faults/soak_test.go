//go:build soak

package faults

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/test/load"
)

func TestSoakKilledManyTimes(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) {
		killed(t, "sqlite:"+filepath.Join(t.TempDir(), "faults.db"), 25, 5*time.Second)
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		killed(t, startPostgres(t).URL, 15, 5*time.Second)
	})
}

// TestSoakDatabaseCrashes crashes the database server under a gateway that goes on: what was acknowledged is there,
// and the gateway serves again by itself when the database does.
func TestSoakDatabaseCrashes(t *testing.T) {
	server := startPostgres(t)
	w := newWorld(t, server.URL)
	w.start()
	for round := range 8 {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan *load.Result)
		go func() { done <- w.load(ctx, round, 8) }()
		time.Sleep(500*time.Millisecond + rand.N(3*time.Second))
		require.NoError(t, server.Stop(t.Context(), "immediate"))
		time.Sleep(rand.N(2 * time.Second))
		require.NoError(t, server.Start(t.Context()))
		time.Sleep(2 * time.Second) // load on the database that is back
		cancel()
		result := <-done
		t.Logf("round %d: %d exchanges acknowledged, %d not", round, result.Answers, result.Failures)
		require.NoError(t, w.gateway.Await(t.Context(), "/readyz"), "the gateway does not come back with its database")
		w.whole()
	}
	w.pairs()
	require.NoError(t, w.gateway.Stop())
	w.verified()
}

// TestSoakMemoryStaysBounded: a gateway under load does not grow with what it has answered.
func TestSoakMemoryStaysBounded(t *testing.T) {
	w := newWorld(t, "sqlite:"+filepath.Join(t.TempDir(), "memory.db"))
	w.start()
	var sizes []int64
	for round := range 12 {
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		result := w.load(ctx, round, 16)
		cancel()
		w.mu.Lock()
		clear(w.written)
		w.records = nil
		w.mu.Unlock()
		size := w.gateway.Usage().RSS
		sizes = append(sizes, size)
		t.Logf("round %d: %d answers, %d MB", round, result.Answers, size>>20)
	}
	early, late := sizes[3], sizes[len(sizes)-1]
	require.Less(t, late, early+early/4+64<<20, "the process grows with what it has answered: %v", sizes)
}
