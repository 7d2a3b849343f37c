package sqlite

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/store"
)

// TestFewReadersKeepTheProcessorsBusy: no more than the few are lent as long as each comes back soon.
func TestFewReadersKeepTheProcessorsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(8, 2)
		var mu sync.Mutex
		lent, most := 0, 0
		count := func(by int) {
			mu.Lock()
			defer mu.Unlock()
			lent += by
			most = max(most, lent)
		}
		for range 100 {
			go func() {
				l, err := p.take(context.Background())
				if err != nil {
					t.Error(err)
					return
				}
				count(1)
				time.Sleep(100 * time.Microsecond)
				count(-1)
				p.give(l)
			}()
		}
		time.Sleep(time.Second)
		synctest.Wait()
		require.Zero(t, lent)
		require.Equal(t, 2, most)
	})
}

// TestLongSearchesDoNotHoldUpOthers: whoever has waited for the few is lent one more, up to the bound.
func TestLongSearchesDoNotHoldUpOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(3, 2)
		long := [2]loan{}
		for i := range long {
			var err error
			long[i], err = p.take(t.Context())
			require.NoError(t, err)
		}
		began := time.Now()
		third, err := p.take(t.Context())
		require.NoError(t, err)
		require.Equal(t, fewFor, time.Since(began))
		began = time.Now()
		_, err = p.take(t.Context())
		require.ErrorIs(t, err, store.ErrBusy)
		require.Equal(t, readWait, time.Since(began))
		for _, l := range append(long[:], third) {
			p.give(l)
		}
		began = time.Now()
		again, err := p.take(t.Context())
		require.NoError(t, err)
		require.True(t, again.few)
		require.Zero(t, time.Since(began))
		p.give(again)
		require.NoError(t, p.close())
	})
}
