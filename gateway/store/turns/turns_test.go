package turns

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/store"
)

// TestAskersTakeTurns: one request of another client waits for one turn, however many the first has waiting.
func TestAskersTakeTurns(t *testing.T) {
	turns := New(1, time.Minute)
	require.NoError(t, turns.Take(t.Context()))
	var mu sync.Mutex
	var served []string
	var running sync.WaitGroup
	line := 0
	queue := func(app string) {
		running.Go(func() {
			if err := turns.Take(For(t.Context(), app)); err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			served = append(served, app)
			mu.Unlock()
			turns.Give()
		})
		line++
		require.Eventually(t, func() bool { return turns.queued() == line }, time.Second, time.Millisecond)
	}
	for range 20 {
		queue("hungry")
	}
	queue("modest")
	queue("other")
	queue("modest")
	turns.Give()
	running.Wait()
	require.Equal(t, []string{"hungry", "modest", "other", "hungry", "modest", "hungry"}, served[:6])
	require.Len(t, served, 23)
	require.Equal(t, 1, turns.free)
	require.Empty(t, turns.order)
	require.Empty(t, turns.waiting)
}

func (t *Turns) queued() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, list := range t.waiting {
		n += len(list)
	}
	return n
}

// TestNoTurnIsLost: whoever gives up waiting, at whatever moment, takes none away.
func TestNoTurnIsLost(t *testing.T) {
	turns := New(3, 300*time.Microsecond)
	var running sync.WaitGroup
	for i := range 40 {
		running.Go(func() {
			for range 100 {
				ctx, cancel := context.WithTimeout(For(t.Context(), string(rune('a'+i%5))), 200*time.Microsecond)
				switch err := turns.Take(ctx); {
				case err == nil:
					time.Sleep(10 * time.Microsecond)
					turns.Give()
				case !errors.Is(err, store.ErrBusy) && !errors.Is(err, context.DeadlineExceeded):
					t.Error(err)
				}
				cancel()
			}
		})
	}
	running.Wait()
	require.Equal(t, 3, turns.free)
	require.Empty(t, turns.order)
	require.Empty(t, turns.waiting)
}
