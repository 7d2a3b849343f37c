package sqlite

import (
	"context"
	"errors"
	"sync"

	"sotesilta/gateway/store/turns"
)

// pool lends the connections that read, to those who ask in turn. The one given back last is lent first: its memory is
// still in the processor's caches, and connections that a burst opened lie idle after it.
type pool struct {
	size  int
	turns *turns.Turns
	mu    sync.Mutex
	idle  []*conn
}

func newPool(size int) *pool { return &pool{size: size, turns: turns.New(size, readWait)} }

// take lends a connection, or nil where one may be opened. It waits for a turn, but not for long.
func (p *pool) take(ctx context.Context) (*conn, error) {
	if err := p.turns.Take(ctx); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return nil, nil
	}
	c := p.idle[len(p.idle)-1]
	p.idle = p.idle[:len(p.idle)-1]
	return c, nil
}

// give takes back what was lent; nil when it was not opened, or had to be closed.
func (p *pool) give(c *conn) {
	if c != nil {
		p.mu.Lock()
		p.idle = append(p.idle, c)
		p.mu.Unlock()
	}
	p.turns.Give()
}

// close waits until all are given back, but not for long, and closes them.
func (p *pool) close() error {
	var errs []error
	wait, cancel := context.WithTimeout(context.Background(), readWait)
	defer cancel()
	for range p.size {
		if p.turns.Take(wait) != nil {
			errs = append(errs, errors.New("sqlite: closed while snapshots are open"))
			break
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.idle {
		errs = append(errs, c.close())
	}
	return errors.Join(errs...)
}
