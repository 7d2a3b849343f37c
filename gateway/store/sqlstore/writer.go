package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"sotesilta/consent/ledger"
	"sotesilta/gateway/store"
)

// maxBatch is how many changes share one transaction at most.
const maxBatch = 256

// maxQueue is how many changes may wait; one more is answered ErrBusy.
const maxQueue = 4096

// maxAttempts is how often a transaction that another writer disturbed is run anew.
const maxAttempts = 20

var (
	// ErrAgain is wrapped by what an engine answers when a transaction may pass if it is run anew.
	ErrAgain = errors.New("sqlstore: disturbed by another writer")
	// ErrDoubt is wrapped by what an engine answers when it cannot tell whether a transaction was committed.
	ErrDoubt = errors.New("sqlstore: the outcome of the transaction is not known")
	// errNothing rolls back a transaction in which no change held.
	errNothing = errors.New("sqlstore: nothing to write")
	errClosed  = errors.New("sqlstore: closed")
)

// sweepEvery is how often Once keys that have ended are forgotten, at most sweepMost at a time.
const (
	sweepEvery = time.Minute
	sweepMost  = 2000
)

// upkeepEvery is how long an idle writer waits before it gives the engine its turn.
const upkeepEvery = 500 * time.Millisecond

// Commit implements store.Store.
func (s *Store) Commit(ctx context.Context, c store.Change) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j, err := prepare(&c)
	if err != nil {
		return err
	}
	s.closing.RLock()
	if s.closed {
		s.closing.RUnlock()
		return errClosed
	}
	select {
	case s.queue <- j:
		s.closing.RUnlock()
	default:
		s.closing.RUnlock()
		return store.ErrBusy
	}
	select {
	case <-j.done:
		return j.err
	case <-ctx.Done():
		if j.state.CompareAndSwap(waiting, dropped) {
			return ctx.Err()
		}
		<-j.done
		return j.err
	}
}

// write is the goroutine that writes.
func (s *Store) write() {
	defer close(s.stopped)
	tick := time.NewTicker(upkeepEvery)
	defer tick.Stop()
	batch := make([]*job, 0, maxBatch)
	swept := s.clock()
	var company company
	for {
		batch = batch[:0]
		select {
		case j, ok := <-s.queue:
			if !ok {
				return
			}
			batch = s.take(batch, j)
		case f := <-s.alone:
			f()
		case <-tick.C:
		}
		batch = s.fill(batch, nil)
		if wait := company.wait(len(batch)); wait > 0 {
			timer := time.NewTimer(wait)
			for len(batch) < company.enough() {
				was := len(batch)
				if batch = s.fill(batch, timer.C); len(batch) == was {
					break
				}
			}
			timer.Stop()
		}
		if len(batch) > 0 {
			began := time.Now()
			s.commit(batch)
			company.met(len(batch)+len(s.queue), time.Since(began))
		}
		if now := s.clock(); now.Sub(swept) >= sweepEvery {
			swept = now
			s.sweep(now)
		}
		s.engine.Upkeep()
	}
}

// fill adds what waits to a batch that has begun. With a channel it first waits for one more, until the channel speaks.
func (s *Store) fill(batch []*job, until <-chan time.Time) []*job {
	if len(batch) == 0 || len(batch) >= maxBatch {
		return batch
	}
	if until != nil {
		select {
		case j, ok := <-s.queue:
			if !ok {
				return batch
			}
			batch = s.take(batch, j)
		case <-until:
			return batch
		}
	}
	for len(batch) < maxBatch {
		select {
		case j, ok := <-s.queue:
			if !ok {
				return batch
			}
			batch = s.take(batch, j)
		default:
			return batch
		}
	}
	return batch
}

// company guesses how many callers commit over and over, so that they share one durable write. Callers who are answered
// together come back together: without waiting they fall into two halves, each of which sits out the other's write. A
// lone caller never waits, and nobody waits for longer than a write takes.
type company struct {
	expected int           // callers who came lately
	write    time.Duration // how long a write takes, smoothed
}

// maxWait bounds the wait for company, whatever a write takes.
const maxWait = 500 * time.Microsecond

// wait is how long a batch of n should wait for the others; 0 when nobody else is expected.
func (c *company) wait(n int) time.Duration {
	if n == 0 || n >= c.enough() {
		return 0
	}
	return min(c.write, maxWait)
}

// enough is how many of the expected callers are worth waiting for: all of a few; of many half, so that the other half
// prepares its changes while these are written.
func (c *company) enough() int {
	if c.expected <= few {
		return c.expected
	}
	return max(few, c.expected/2)
}

// few is how many callers leave nothing to do beside a write.
const few = 4

// met takes in how many callers were there when a write that took so long ended: those whose changes it wrote, and those
// who came meanwhile. Who does not come back is expected less and less.
func (c *company) met(callers int, took time.Duration) {
	c.expected = min(max(callers, c.expected-1), maxBatch)
	c.write += (took - c.write) / 8
}

// take adds a job to the batch unless who waited for it has gone.
func (s *Store) take(batch []*job, j *job) []*job {
	if j.state.CompareAndSwap(waiting, taken) {
		return append(batch, j)
	}
	return batch
}

// commit settles a batch. When the whole fails for a reason of the engine's, each change is tried alone, so that only
// the one at fault fails.
func (s *Store) commit(batch []*job) {
	err := s.settleIn(batch)
	if err != nil && len(batch) > 1 && !errors.Is(err, ErrDoubt) && !errors.Is(err, ErrAgain) {
		for _, j := range batch {
			s.commit([]*job{j})
		}
		return
	}
	for _, j := range batch {
		if err != nil {
			j.err = err
		}
		close(j.done)
	}
}

// settleIn settles a batch in one transaction. An error means that none of it was committed.
func (s *Store) settleIn(batch []*job) error {
	ctx := context.Background() // who waits may go; the batch belongs to all
	var err error
	for attempt := range maxAttempts {
		if attempt > 0 {
			time.Sleep(time.Duration(attempt) * time.Millisecond)
		}
		var (
			look  *Look
			there *There
			next  chain
			w     *Writes
		)
		err = s.engine.Write(ctx, func(tx Tx) (err error) {
			now := s.clock()
			look = s.look(batch, now)
			if there, err = tx.Look(ctx, look); err != nil {
				return err
			}
			if there.Node < 0 || there.Node > maxNode {
				return fmt.Errorf("%w: the ledger has no number for another node: somebody changed it, gateway verify tells more", store.ErrUnrecorded)
			}
			var after chain
			if w, after = s.settle(batch, there, now); w == nil {
				return errNothing
			}
			next = after
			return tx.Store(ctx, w)
		})
		switch {
		case err == nil:
			s.chain = next
			s.names.learn(look, there)
			s.facts.learn(w.Facts)
			s.recent.add(w.Entries)
			return nil
		case errors.Is(err, errNothing):
			return nil
		case errors.Is(err, ErrDoubt):
			// Whether the entries are there is not known, so the chain cannot go on: a new one begins.
			s.chain = chain{node: ledger.NewID()}
			return fmt.Errorf("sqlstore: commit: %w", err)
		case !errors.Is(err, ErrAgain):
			return fmt.Errorf("sqlstore: commit: %w", err)
		}
	}
	return fmt.Errorf("sqlstore: commit: %w", err)
}

// sweep forgets Once keys that have ended.
func (s *Store) sweep(now time.Time) {
	ctx := context.Background()
	err := s.engine.Write(ctx, func(tx Tx) error {
		err := tx.Exec(ctx, "DELETE FROM once WHERE key IN (SELECT o.key FROM once o WHERE o.until <= $1 ORDER BY o.until LIMIT "+strconv.Itoa(sweepMost)+")", millis(now))
		if err != nil {
			return err
		}
		return tx.Store(ctx, &Writes{})
	})
	if err != nil {
		slog.Warn("store: keys that have ended were not forgotten", "error", err)
	}
}

// byWriter runs f in the goroutine that writes, between batches.
func (s *Store) byWriter(ctx context.Context, f func() error) error {
	done := make(chan error, 1)
	select {
	case s.alone <- func() { done <- f() }:
		return <-done
	case <-ctx.Done():
		return ctx.Err()
	case <-s.stopped:
		return errClosed
	}
}
