// Package load drives a running gateway over HTTP as many clients would, and counts what it answers. Its loops are
// lean on purpose: the generator runs on the same processors as the server it measures, and its own cost would hide
// the server's. Server and generator are separate processes, always.
//
//	gateway := load.Start(…)            // the binary, as a process of its own
//	result := load.Run(ctx, load.Plan{Addr: gateway.Addr, Connections: 32, …})
//	result.Rate(), result.Quantile(.99)
//
// The command test/load/bench prints the figures of a release with it; test/faults kills the server under it.
package load

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Plan is one run: every connection sends its next request when the last is answered, until the time is over.
type Plan struct {
	Addr        string // host:port
	Connections int
	// Plain makes every connection an ordinary Go http.Client's instead of our own lean one. It costs two to three
	// times as much, as the clients of most benchmarks do.
	Plain    bool
	Warmup   time.Duration // answered and counted, but not measured
	Duration time.Duration
	// Next is the n-th request of a connection, from 0.
	Next func(connection, n int) Request
	// Seen is told every whole answer, from the connection's own goroutine; may be nil. Returning false makes the
	// answer a failure.
	Seen func(connection, n int, a *Answer) bool
}

// Result is what came of a run.
type Result struct {
	Connections int
	Answers     int // whole answers that Seen took, those of the warm-up too
	Failures    int // requests without a whole answer, or with one that Seen refused
	Elapsed     time.Duration
	times       []time.Duration // of the measured answers, sorted
}

// Rate is the measured answers a second.
func (r *Result) Rate() float64 { return float64(len(r.times)) / r.Elapsed.Seconds() }

// Quantile is the time within which the share q of the measured answers came.
func (r *Result) Quantile(q float64) time.Duration {
	if len(r.times) == 0 {
		return 0
	}
	return r.times[min(int(q*float64(len(r.times))), len(r.times)-1)]
}

// Run carries a plan out. A connection that fails is opened anew until the time is over; the context ends it early.
func Run(ctx context.Context, p Plan) *Result {
	begin := time.Now().Add(p.Warmup)
	ctx, cancel := context.WithDeadline(ctx, begin.Add(p.Duration))
	defer cancel()
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		total = &Result{Connections: p.Connections, Elapsed: p.Duration}
	)
	for number := range p.Connections {
		wg.Go(func() {
			one := p.connection(ctx, number, begin)
			mu.Lock()
			defer mu.Unlock()
			total.Answers += one.Answers
			total.Failures += one.Failures
			total.times = append(total.times, one.times...)
		})
	}
	wg.Wait()
	if last := time.Since(begin); last > total.Elapsed {
		total.Elapsed = last // the last answers came after the bell
	}
	slices.Sort(total.times)
	return total
}

func (p *Plan) dial() (doer, error) {
	if p.Plain {
		return newPlain(p.Addr), nil
	}
	c, err := Dial(p.Addr)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// doer is a connection of either kind.
type doer interface {
	Do(Request) (*Answer, error)
	Close() error
}

func (p *Plan) connection(ctx context.Context, number int, begin time.Time) *Result {
	r := &Result{times: make([]time.Duration, 0, 1<<16)}
	var c doer
	defer func() {
		if c != nil {
			_ = c.Close()
		}
	}()
	for n := 0; ctx.Err() == nil; n++ {
		if c == nil {
			var err error
			if c, err = p.dial(); err != nil {
				r.Failures++
				select {
				case <-ctx.Done():
				case <-time.After(20 * time.Millisecond):
				}
				continue
			}
		}
		request := p.Next(number, n)
		sent := time.Now()
		a, err := c.Do(request)
		switch {
		case err != nil:
			_ = c.Close()
			c = nil
			r.Failures++
		case p.Seen != nil && !p.Seen(number, n, a):
			r.Failures++
		default:
			r.Answers++
			if !sent.Before(begin) {
				r.times = append(r.times, time.Since(sent))
			}
		}
	}
	return r
}
