package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/consent/ledger"
	"sotesilta/gateway/store"
)

// scripted is an engine that does what a test tells it.
type scripted struct {
	Dialect
	mu      sync.Mutex
	write   func(attempt int) error // what becomes of a transaction; nil commits
	before  func()                  // called when a transaction begins
	writes  int
	entries []EntryRow
	batches []int
}

func (e *scripted) Read(context.Context) (Reader, error) { return nil, errors.New("no reads") }
func (e *scripted) Upkeep()                              {}
func (e *scripted) Ping(context.Context) error           { return nil }
func (e *scripted) Close() error                         { return nil }
func (e *scripted) Write(_ context.Context, f func(Tx) error) error {
	if e.before != nil {
		e.before()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	t := &scriptedTx{}
	if err := f(t); err != nil {
		return err
	}
	e.writes++
	if e.write != nil {
		if err := e.write(e.writes); err != nil {
			return err
		}
	}
	e.entries = append(e.entries, t.w.Entries...)
	e.batches = append(e.batches, len(t.w.Entries))
	return nil
}

type scriptedTx struct{ w *Writes }

func (t *scriptedTx) Query(context.Context, string, ...any) (Rows, error) {
	return nil, errors.New("no queries")
}
func (t *scriptedTx) Exec(context.Context, string, ...any) error { return nil }
func (t *scriptedTx) Look(_ context.Context, l *Look) (*There, error) {
	there := &There{}
	if l.Node != "" {
		there.Node = 1
	}
	return there, nil
}

func (t *scriptedTx) Store(_ context.Context, w *Writes) error {
	for _, e := range w.Entries {
		if e.Columns[columnPlace[ledger.ColumnInteraction]] == "unwritable" {
			return errors.New("the engine refuses it")
		}
	}
	t.w = w
	return nil
}

func change(interaction string) store.Change {
	return store.Change{Records: []ledger.Record{{ID: ledger.NewID(), Time: time.Now(), Interaction: interaction, Outcome: "permit"}}}
}

// together commits changes so that they share a batch: the writer stands still until all wait.
func together(t *testing.T, e *scripted, s *Store, changes ...store.Change) []error {
	t.Helper()
	errs := make([]error, len(changes))
	var wg sync.WaitGroup
	release, first := stall(t, e, s)
	for i, c := range changes {
		wg.Add(1)
		go func() { defer wg.Done(); errs[i] = s.Commit(t.Context(), c) }()
	}
	require.Eventually(t, func() bool { return len(s.queue) == len(changes) }, 5*time.Second, time.Millisecond)
	release()
	require.NoError(t, <-first)
	wg.Wait()
	return errs
}

// stall makes a first change, and keeps the writer in its transaction until it is released.
func stall(t *testing.T, e *scripted, s *Store) (release func(), first <-chan error) {
	t.Helper()
	gate, entered, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	var once sync.Once
	e.before = func() {
		once.Do(func() { close(entered) })
		<-gate
	}
	go func() { done <- s.Commit(t.Context(), change("first")) }()
	<-entered
	return func() { close(gate) }, done
}

func chained(t *testing.T, entries []EntryRow) {
	t.Helper()
	var count int64
	var prev [32]byte
	for _, e := range entries {
		require.Equal(t, count+1, e.Entry.Count)
		require.Equal(t, prev, e.Entry.Prev)
		count, prev = e.Entry.Count, e.Entry.Chain
	}
}

func TestWaitingChangesShareOneTransaction(t *testing.T) {
	e := &scripted{}
	s := New(e)
	defer s.Close()
	changes := make([]store.Change, maxBatch+10)
	for i := range changes {
		changes[i] = change("read")
	}
	for _, err := range together(t, e, s, changes...) {
		require.NoError(t, err)
	}
	require.Equal(t, []int{1, maxBatch, 10}, e.batches)
	chained(t, e.entries)
}

func TestOnlyTheChangeAtFaultFails(t *testing.T) {
	e := &scripted{}
	s := New(e)
	defer s.Close()
	errs := together(t, e, s, change("read"), change("unwritable"), change("read"))
	require.NoError(t, errs[0])
	require.ErrorContains(t, errs[1], "the engine refuses it")
	require.NoError(t, errs[2])
	require.Len(t, e.entries, 3)
	chained(t, e.entries)
}

func TestADisturbedTransactionIsRunAnew(t *testing.T) {
	e := &scripted{write: func(attempt int) error {
		if attempt < 4 {
			return fmt.Errorf("%w: deadlock", ErrAgain)
		}
		return nil
	}}
	s := New(e)
	defer s.Close()
	require.NoError(t, s.Commit(t.Context(), change("read")))
	require.Equal(t, 4, e.writes)
	chained(t, e.entries)
}

func TestAnUnknownOutcomeEndsTheChain(t *testing.T) {
	doubtful := true
	e := &scripted{write: func(int) error {
		if doubtful {
			return fmt.Errorf("%w: connection lost", ErrDoubt)
		}
		return nil
	}}
	s := New(e)
	defer s.Close()
	before := s.chain.node
	require.ErrorIs(t, s.Commit(t.Context(), change("read")), ErrDoubt)
	doubtful = false
	require.NoError(t, s.Commit(t.Context(), change("read")))
	require.NotEqual(t, before, e.entries[0].Entry.Node, "entries that may be there are never counted twice")
	require.EqualValues(t, 1, e.entries[0].Entry.Count)
}

func TestAFullQueueIsBusy(t *testing.T) {
	e := &scripted{}
	s := New(e)
	defer s.Close()
	release, first := stall(t, e, s)
	var wg sync.WaitGroup
	for range maxQueue {
		wg.Add(1)
		go func() { defer wg.Done(); _ = s.Commit(t.Context(), change("read")) }()
	}
	require.Eventually(t, func() bool { return len(s.queue) == maxQueue }, 5*time.Second, time.Millisecond)
	require.ErrorIs(t, s.Commit(t.Context(), change("read")), store.ErrBusy)
	release()
	require.NoError(t, <-first)
	wg.Wait()
	require.NoError(t, s.Commit(t.Context(), change("read")), "and serves again")
	require.Len(t, e.entries, maxQueue+2)
}

func TestAChangeNobodyWaitsForIsNotMade(t *testing.T) {
	e := &scripted{}
	s := New(e)
	defer s.Close()
	release, first := stall(t, e, s)
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() { gone <- s.Commit(ctx, change("gone")) }()
	require.Eventually(t, func() bool { return len(s.queue) == 1 }, time.Second, time.Millisecond)
	cancel()
	require.ErrorIs(t, <-gone, context.Canceled)
	release()
	require.NoError(t, <-first)
	require.NoError(t, s.Commit(t.Context(), change("last")))
	require.Len(t, e.entries, 2)
}

func TestALongIndexedTextIsCutBetweenCharacters(t *testing.T) {
	long := ""
	for range 400 {
		long += "ä"
	}
	require.Equal(t, long[:maxText], bounded(long))
	require.Equal(t, "a"+long[:maxText-2], bounded("a"+long))
	require.Equal(t, "a\uFFFDb", bounded("a\x00b"))
	require.Equal(t, "a\uFFFDb", bounded("a\xffb"))
}
