package storetest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/store"
)

// at is how far a consumer has come.
func at(t testing.TB, s store.Store, consumer string) int64 {
	t.Helper()
	return within(t, s, func(n store.Snapshot) (int64, error) { return n.Position(t.Context(), consumer) })
}

func testLease(t *testing.T, e Engine) {
	place := e.Fresh(t)
	one, other := reopen(t, e, place), reopen(t, e, place)
	lease := func(name, holder string, life time.Duration) store.Lease {
		return store.Lease{Name: name, Holder: holder, Life: life}
	}
	take := func(s store.Store, l store.Lease) bool {
		t.Helper()
		taken, err := s.TakeLease(t.Context(), l)
		require.NoError(t, err)
		return taken
	}
	t.Run("is one holder's until it is given back or ends", func(t *testing.T) {
		a, b := lease("given", "a", time.Minute), lease("given", "b", time.Minute)
		require.True(t, take(one, a))
		require.False(t, take(other, b))
		require.True(t, take(other, a), "a holder is who it says it is, wherever it asks")
		require.True(t, take(other, lease("another", "b", time.Minute)))
		require.False(t, take(other, lease("given", "b", 0)), "nobody gives back what another has")
		require.True(t, take(one, lease("given", "a", 0)))
		require.True(t, take(other, b))
		require.False(t, take(one, a))

		require.True(t, take(one, lease("ended", "a", 200*time.Millisecond)))
		require.Eventually(t, func() bool { return take(other, lease("ended", "b", time.Minute)) }, 10*time.Second, 20*time.Millisecond)
	})
	t.Run("moves a position, and nobody else's does", func(t *testing.T) {
		a, b := lease("c", "a", time.Minute), lease("c", "b", time.Minute)
		require.Zero(t, at(t, one, "c"))
		require.NoError(t, one.Advance(t.Context(), a, 0, 4), "a lease that nobody has is taken")
		require.False(t, take(other, b))
		require.ErrorIs(t, other.Advance(t.Context(), b, 4, 5), store.ErrStale)
		require.EqualValues(t, 4, at(t, other, "c"))
		require.NoError(t, one.Advance(t.Context(), a, 4, 4))
		require.NoError(t, one.Advance(t.Context(), a, 4, 7))
		require.True(t, take(one, lease("c", "a", 0)))
		require.NoError(t, other.Advance(t.Context(), b, 7, 9))
		require.True(t, take(other, lease("c", "b", 0)))

		// Who slept meanwhile may have the lease again, but not move what the other has moved.
		require.ErrorIs(t, one.Advance(t.Context(), a, 7, 8), store.ErrStale)
		require.EqualValues(t, 9, at(t, one, "c"))
		require.True(t, take(other, b), "and did not renew it by that")
		require.Error(t, one.Advance(t.Context(), lease("c", "a", 0), 9, 10))
		require.Error(t, other.Advance(t.Context(), b, 9, 8), "a position does not go back")
		require.Zero(t, at(t, one, "d"))
	})
	t.Run("of nobody is none", func(t *testing.T) {
		for _, l := range []store.Lease{lease("", "a", time.Minute), lease("x", "", time.Minute), lease("x", "a", -1), lease("sequencer", "a", time.Minute)} {
			_, err := one.TakeLease(t.Context(), l)
			require.Error(t, err)
		}
	})
	t.Run("lets holders who take it from each other move a position once for each step", func(t *testing.T) {
		var moved atomic.Int64
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var all sync.WaitGroup
		for name, s := range map[string]store.Store{"a": one, "b": other, "c": one} {
			all.Go(func() {
				l := lease("steps", name, time.Millisecond)
				for ctx.Err() == nil {
					n, err := s.Snapshot(t.Context())
					if err != nil {
						t.Error(err)
						return
					}
					from, err := n.Position(t.Context(), "steps")
					if err := errors.Join(err, n.Close()); err != nil {
						t.Error(err)
						return
					}
					switch err := s.Advance(t.Context(), l, from, from+1); {
					case err == nil:
						moved.Add(1)
					case !errors.Is(err, store.ErrStale):
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		require.NotZero(t, moved.Load())
		require.Equal(t, moved.Load(), at(t, one, "steps"))
	})
}
