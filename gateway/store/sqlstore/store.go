package sqlstore

import (
	"context"
	"sync"
	"time"

	"sotesilta/consent/ledger"
	"sotesilta/gateway/store"
)

// Store is a store.Store over an Engine.
type Store struct {
	engine  Engine
	names   *names
	facts   *factsCache
	bodies  *bodies
	recent  recent
	clock   func() time.Time
	queue   chan *job
	alone   chan func() // runs in the writer's goroutine
	stopped chan struct{}
	chain   chain // the writer's own

	closing sync.RWMutex
	closed  bool
}

var _ store.Store = (*Store)(nil)

// New begins to serve over an engine whose schema is in place; it owns the engine from now on. Each Store writes a
// chain of ledger entries of its own, under a random node id.
func New(engine Engine) *Store { return NewAt(engine, time.Now) }

// NewAt is New with another clock.
func NewAt(engine Engine, clock func() time.Time) *Store {
	s := &Store{
		engine: engine, names: newNames(), facts: newFactsCache(), bodies: newBodies(), clock: clock,
		queue: make(chan *job, maxQueue), alone: make(chan func()), stopped: make(chan struct{}),
		chain: chain{node: ledger.NewID()},
	}
	go s.write()
	return s
}

// Ping implements store.Store.
func (s *Store) Ping(ctx context.Context) error { return s.engine.Ping(ctx) }

// Close commits what waits, and closes the engine.
func (s *Store) Close() error {
	s.closing.Lock()
	if s.closed {
		s.closing.Unlock()
		return nil
	}
	s.closed = true
	close(s.queue)
	s.closing.Unlock()
	<-s.stopped
	return s.engine.Close()
}
