package exchange

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// spread is how answers' own times are spread: never less than the least, mostly about the middle, some much later. They are
// log-normal, as what waits in queues is.
type spread struct{ least, middle, sigma float64 } // ms; sigma of the logarithm

func (s spread) draw(r *rand.Rand) float64 {
	return s.least + s.middle*math.Exp(s.sigma*r.NormFloat64())
}

// before is the share of answers that are ready within t ms.
func (s spread) before(t float64) float64 {
	if t <= s.least {
		return 0
	}
	return math.Erfc(-math.Log((t-s.least)/s.middle)/s.sigma/math.Sqrt2) / 2
}

// told is how many of so many answers would leave at another mark if they took d ms longer, as a share: the probability
// that what is hidden is told from what is absent by one answer. marks are those in force when a question comes.
func (s spread) told(n int, d float64, marks func(took time.Duration) (inForce func(yield func(float64)))) float64 {
	r := rand.New(rand.NewPCG(1, 2))
	sum := 0.
	for range n {
		took := s.draw(r)
		marks(time.Duration(took * float64(time.Millisecond)))(func(mark float64) { sum += s.before(mark) - s.before(mark-d) })
	}
	return sum / float64(n)
}

// paced are the marks of a pace, evenly those on a grid of 5 ms, doubling those of a grid that doubles.
func paced() func(time.Duration) func(func(float64)) {
	p, now := &pace{}, time.Time{}
	return func(took time.Duration) func(func(float64)) {
		first := p.first
		now = now.Add(20 * time.Millisecond)
		p.leave(now, took)
		return func(yield func(float64)) {
			for step := first; step < 10; step++ {
				yield(float64(tick<<step) / float64(time.Millisecond))
			}
		}
	}
}

func doubling(time.Duration) func(func(float64)) {
	return func(yield func(float64)) {
		for step := range 10 {
			yield(float64(tick<<step) / float64(time.Millisecond))
		}
	}
}

func evenly(time.Duration) func(func(float64)) {
	return func(yield func(float64)) {
		for mark := 5.; mark < 3000; mark += 5 {
			yield(mark)
		}
	}
}

// Under whatever load, with times spread over 1–100 ms, one answer tells hidden from absent by a mark with a probability of
// less than an eighth of the difference over the spread: of 10 µs over 10 ms, one answer of 8,000.
func TestFewAnswersLieAtAMark(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := spread{least: rapid.Float64Range(0.3, 20).Draw(t, "least"), sigma: rapid.Float64Range(0.2, 1).Draw(t, "sigma")}
		wide := rapid.Float64Range(1, 100*s.sigma).Draw(t, "wide") // standard deviation, about
		s.middle = wide / s.sigma
		d := rapid.Float64Range(0.001, 0.1).Draw(t, "difference")
		require.Less(t, s.told(2000, d, paced()), d/wide/8)
	})
}

// Marks that double tell less than a grid of 5 ms, and marks that follow the load much less than either. The README of
// test/leak states these figures.
func TestMarksThatFollowTheLoad(t *testing.T) {
	const d = 0.01
	for _, s := range []spread{{0.5, 1, 1}, {1, 3, 1}, {1, 10, 1}, {1, 30, 1}, {1, 100, 1}} {
		even, doubled, followed := s.told(2000, d, evenly), s.told(2000, d, doubling), s.told(10_000, d, paced())
		t.Logf("10 µs of %v: on a grid %.2g, doubling %.2g, following %.2g", s, even, doubled, followed)
		require.Less(t, doubled, even)
		require.Less(t, followed, doubled/3)
	}
}

// The first mark comes back when answers are quick again, and one slow answer does not move it.
func TestThePaceFollowsTheLoad(t *testing.T) {
	p, now := &pace{}, time.Time{}
	leave := func(took time.Duration) time.Duration {
		now = now.Add(50 * time.Millisecond)
		return p.leave(now, took)
	}
	require.Equal(t, 5*time.Millisecond, leave(time.Millisecond))
	require.Equal(t, 5*time.Millisecond, leave(5*time.Millisecond))
	require.Equal(t, 40*time.Millisecond, leave(21*time.Millisecond), "what is late leaves at the next mark")
	require.Equal(t, 5*time.Millisecond, leave(time.Millisecond), "one slow answer is no load")
	for range 10 {
		leave(21 * time.Millisecond)
	}
	require.Equal(t, 40*time.Millisecond, leave(time.Millisecond), "under load all wait for the mark that nearly all come before")
	for range 4 * paceLooks {
		leave(time.Millisecond)
	}
	require.Equal(t, 5*time.Millisecond, leave(time.Millisecond))
	for range 100 {
		leave(time.Hour)
	}
	require.Equal(t, 640*time.Millisecond, leave(time.Millisecond), "no load makes it later")
}

// Answers of a request that may not wait for their mark leave at nearer ones, which are marks nonetheless: answers that
// were ready at somewhat other times leave together, however many questions a request asks.
func TestWhoMayNotWaitForTheMarkLeavesAtANearerOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		took := time.Duration(rapid.Int64Range(0, int64(2*time.Second)).Draw(t, "took"))
		most := time.Duration(rapid.Int64Range(1, int64(20*time.Second)).Draw(t, "most"))
		left := sooner(took, most)
		require.Positive(t, left)
		require.LessOrEqual(t, left, most)
	})
	for _, took := range []time.Duration{time.Millisecond, 1020 * time.Microsecond, 4 * time.Millisecond} {
		require.Equal(t, 5*time.Millisecond, took+sooner(took, 9*time.Millisecond))
		require.Equal(t, 10*time.Millisecond, took+sooner(took, 11*time.Millisecond))
	}
	require.Equal(t, 1250*time.Microsecond, 700*time.Microsecond+sooner(700*time.Microsecond, 2*time.Millisecond))
	require.Zero(t, sooner(time.Millisecond, 0))
	require.Zero(t, sooner(time.Millisecond, -time.Second))
}
