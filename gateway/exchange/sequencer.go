package exchange

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"sotesilta/consent/ledger"
	"sotesilta/gateway/store"
)

// The sequencer's times: records get their place in the tree within a second, and exchanges stop when one has waited
// for more than ten (design § 7).
const (
	sequenceEvery = 100 * time.Millisecond // unless said otherwise
	checkLagEvery = time.Second
	maxLag        = 10 * time.Second
	sequenceBatch = 4096
	sequenceMany  = 16 // records at once that are load, not conversation
)

// Sequencer gives the records of all nodes their places in the ledger's tree. Each node runs one; the store's lease
// lets one of them work at a time.
type Sequencer struct {
	store    store.Store
	seal     store.Seal
	holder   string
	every    time.Duration
	log      *slog.Logger
	observer func([]ledger.Entry)

	mu      sync.Mutex
	err     error     // why exchanges must stop; nil when all is well
	checked time.Time // when the lag was last measured; zero before the first time
	failing time.Time // since when the sequencing fails; zero while it does not
	cause   error     // why it fails
}

// NewSequencer makes a sequencer. holder names the node for the lease; every is the pause between batches (0: the
// default); observer, when not nil, is shown the entries this node sequenced, in their order, after the checkpoint
// over them is durable.
func NewSequencer(s store.Store, seal store.Seal, holder string, every time.Duration, log *slog.Logger, observer func([]ledger.Entry)) *Sequencer {
	if every <= 0 {
		every = sequenceEvery
	}
	return &Sequencer{store: s, seal: seal, holder: holder, every: every, log: log, observer: observer}
}

// Err says whether the ledger lags too far behind to go on: a Config.Sequencer. A lag that could not be measured, and a
// sequencing that failed, for ten seconds are too much as well.
func (s *Sequencer) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil && !s.checked.IsZero() && time.Since(s.checked) > maxLag {
		return fmt.Errorf("ledger: the lag was not measured for %s", time.Since(s.checked).Round(time.Second))
	}
	if s.err == nil && !s.failing.IsZero() && time.Since(s.failing) > maxLag {
		return fmt.Errorf("ledger: no record was given its place for %s: %w", time.Since(s.failing).Round(time.Second), s.cause)
	}
	return s.err
}

// went notes how sequencing went.
func (s *Sequencer) went(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		s.failing, s.cause = time.Time{}, nil
	case s.failing.IsZero():
		s.failing, s.cause = time.Now(), err
	default:
		s.cause = err
	}
}

// Run sequences until the context ends.
func (s *Sequencer) Run(ctx context.Context) {
	var measuring sync.WaitGroup
	defer measuring.Wait()
	measuring.Go(func() { s.measure(ctx) }) // beside the work, which may be what hangs
	tick := time.NewTicker(s.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for {
			placed, err := s.Once(ctx)
			if ctx.Err() == nil {
				s.went(err)
			}
			if err != nil && ctx.Err() == nil {
				s.log.Error("ledger: sequencing failed", "error", err)
			}
			if placed < sequenceBatch {
				// Under load fewer, larger batches leave the writer to the exchanges themselves.
				if placed > sequenceMany && s.every < sequenceEvery {
					tick.Reset(sequenceEvery)
				} else {
					tick.Reset(s.every)
				}
				break
			}
		}
	}
}

// measure measures the lag until the context ends.
func (s *Sequencer) measure(ctx context.Context) {
	tick := time.NewTicker(checkLagEvery)
	defer tick.Stop()
	for {
		s.check(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// CatchUp gives what a gateway left without places when it ended their places, before anything else is done: records
// that waited while no gateway ran are no lag of this one's. It waits for the lease of a gateway that ended without
// giving it back, and goes on without an error when others are at it; Err tells if it did not come about.
func (s *Sequencer) CatchUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, maxLag)
	defer cancel()
	for {
		if _, err := s.Once(ctx); err != nil {
			return err
		}
		old := false
		for entry, err := range s.store.Ledger().Pending(ctx) {
			if err != nil {
				return err
			}
			if old = time.Since(entry.Time()) > maxLag/2; old {
				break
			}
		}
		if !old {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(s.every):
		}
	}
}

// leaveTo is how long Settle leaves the work to a gateway that runs: it would lose its lease for seconds.
const leaveTo = time.Second

// Settle waits until nothing waits for its place any more: a gateway that runs sees to that, and otherwise this does. It is for
// who records and ends, and waits as long as a record may; what is left then is for the next gateway.
func (s *Sequencer) Settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, maxLag)
	defer cancel()
	for began := time.Now(); ; {
		if time.Since(began) >= leaveTo {
			if _, err := s.Once(ctx); err != nil {
				return err
			}
		}
		waits := false
		for _, err := range s.store.Ledger().Pending(ctx) {
			if err != nil {
				return err
			}
			waits = true
			break
		}
		if !waits {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(s.every):
		}
	}
}

// Once sequences one batch of pending records, and answers how many.
func (s *Sequencer) Once(ctx context.Context) (int, error) {
	var sealed []ledger.Entry
	placed, err := s.store.Sequence(ctx, s.holder, sequenceBatch,
		func(ctx context.Context, src ledger.Source, size int64, entries []ledger.Entry) ([]byte, error) {
			sealed = append(sealed[:0], entries...)
			for i := range sealed {
				sealed[i].Seq = size + int64(i)
			}
			return s.seal(ctx, src, size, entries)
		})
	if err != nil {
		return 0, err
	}
	if placed > 0 && s.observer != nil {
		s.observer(sealed)
	}
	return placed, nil
}

// check measures whether a record of any node has waited too long for its place.
func (s *Sequencer) check(ctx context.Context) {
	var lag error
	for entry, err := range s.store.Ledger().Pending(ctx) {
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			lag = fmt.Errorf("ledger: pending records cannot be read: %w", err)
		case time.Since(entry.Time()) > maxLag:
			lag = fmt.Errorf("ledger: a record has waited %s for its place in the tree", time.Since(entry.Time()).Round(time.Second))
		}
		if lag != nil {
			break
		}
	}
	s.mu.Lock()
	if (lag == nil) != (s.err == nil) {
		s.log.Warn("ledger: lag", "stopped", lag != nil)
	}
	s.err, s.checked = lag, time.Now()
	s.mu.Unlock()
}
