package allowance

import (
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"

	"sotesilta/gateway/shared"
	"sotesilta/gateway/shared/redistest"
)

var silent = slog.New(slog.NewTextHandler(io.Discard, nil))

// granted asks as fast as it can from several requests at once, for a while, and counts what was granted by each node.
func granted(t *testing.T, d time.Duration, nodes ...*Allowance) []int64 {
	t.Helper()
	counts := make([]atomic.Int64, len(nodes))
	var wg sync.WaitGroup
	end := time.Now().Add(d)
	for i, node := range nodes {
		for range 4 {
			wg.Go(func() {
				for time.Now().Before(end) {
					if wait := node.Spend(t.Context(), "ehr", 1); wait == 0 {
						counts[i].Add(1)
					} else {
						time.Sleep(min(wait, 5*time.Millisecond))
					}
				}
			})
		}
	}
	wg.Wait()
	out := make([]int64, len(nodes))
	for i := range counts {
		out[i] = counts[i].Load()
	}
	return out
}

func TestNodesGrantOneAllowanceTogether(t *testing.T) {
	const limit, burst = rate.Limit(100), 50
	server := redistest.Start(t)
	one, other := New(limit, burst, shared.New(server.Client, silent)), New(limit, burst, shared.New(server.Client, silent))

	began := time.Now()
	got := granted(t, time.Second, one, other)
	most := burst + float64(limit)*time.Since(began).Seconds()
	require.LessOrEqual(t, float64(got[0]+got[1]), most+1, "not twice the allowance")
	require.GreaterOrEqual(t, float64(got[0]+got[1]), 0.7*(burst+float64(limit)))
	require.NotZero(t, got[0])
	require.NotZero(t, got[1])

	require.Zero(t, one.Spend(t.Context(), "another client", burst), "clients do not share theirs")

	// Without Redis each counts for itself: nobody is refused who would not have been, nobody gets more from one node.
	server.Kill()
	began = time.Now()
	got = granted(t, time.Second, one, other)
	most = burst + float64(limit)*time.Since(began).Seconds()
	for _, n := range got {
		require.LessOrEqual(t, float64(n), most+1)
		require.GreaterOrEqual(t, float64(n), 0.5*float64(limit))
	}
}

func TestARefusalSaysWhenToComeAgain(t *testing.T) {
	server := redistest.Start(t)
	for name, memory := range map[string]*shared.Memory{"alone": nil, "shared": shared.New(server.Client, silent)} {
		t.Run(name, func(t *testing.T) {
			a := New(10, 5, memory)
			require.Zero(t, a.Spend(t.Context(), "ehr", 100), "no request costs more than the burst")
			wait := a.Spend(t.Context(), "ehr", 5)
			require.InDelta(t, 500*time.Millisecond, wait, float64(100*time.Millisecond))
			time.Sleep(wait)
			require.Zero(t, a.Spend(t.Context(), "ehr", 5))

			require.Zero(t, a.Spend(t.Context(), "another", 1))
			require.Zero(t, a.SpendFurther(t.Context(), "another", 100), "nor does one that turns out to be a large batch")
			require.NotZero(t, a.Spend(t.Context(), "another", 1), "which costs all of it")
			wait = a.SpendFurther(t.Context(), "another", 100)
			time.Sleep(wait)
			require.Zero(t, a.Spend(t.Context(), "another", 1))
			require.Zero(t, a.SpendFurther(t.Context(), "another", 100), "who comes when told is not refused again")
		})
	}
}

// Whoever asks under ever new keys fills no memory.
func TestWhoWasNotSeenForLongestIsForgotten(t *testing.T) {
	a := Of("remote", 3, 1, 1, nil)
	for _, key := range []string{"a", "b", "c", "a", "d"} {
		a.Spend(t.Context(), key, 1)
	}
	require.Len(t, a.byKey, 3)
	require.Equal(t, 3, a.order.Len())
	require.NotZero(t, a.Spend(t.Context(), "a", 1), "is remembered")
	require.Zero(t, a.Spend(t.Context(), "b", 1), "was not seen for longest")
}

func TestKindsOfAllowanceAreApart(t *testing.T) {
	server := redistest.Start(t)
	memory := shared.New(server.Client, silent)
	one, other := Of("remote", 10, 0.001, 1, memory), Of("client", 10, 0.001, 1, memory)
	require.Zero(t, one.Spend(t.Context(), "x", 1))
	require.NotZero(t, one.Spend(t.Context(), "x", 1))
	require.Zero(t, other.Spend(t.Context(), "x", 1))
}

func TestNoLimitGrantsEverything(t *testing.T) {
	var none *Allowance
	require.Zero(t, none.Spend(t.Context(), "ehr", 1_000_000))
	require.Nil(t, New(0, 5, nil))
}

func BenchmarkSpend(b *testing.B) {
	server := redistest.Start(b)
	for name, memory := range map[string]*shared.Memory{"alone": nil, "shared": shared.New(server.Client, silent)} {
		b.Run(name, func(b *testing.B) {
			a := New(1_000_000, 0, memory)
			b.ReportAllocs()
			for b.Loop() {
				a.Spend(b.Context(), "ehr", 1)
			}
		})
	}
}
