package sqlite

import (
	"context"
	"errors"
	"sync"
	"time"

	"sotesilta/gateway/store"
)

// pool lends the connections that read. The one given back last is lent first: its memory is still in the
// processor's caches, and connections that a burst opened lie idle after it.
type pool struct {
	room chan struct{} // one for each connection that is not lent
	mu   sync.Mutex
	idle []*conn
}

func newPool(size int) *pool {
	p := &pool{room: make(chan struct{}, size)}
	for range size {
		p.room <- struct{}{}
	}
	return p
}

// take lends a connection, or nil where one may be opened. It waits for room, but not for long.
func (p *pool) take(ctx context.Context) (*conn, error) {
	select {
	case <-p.room:
	default:
		wait := time.NewTimer(readWait)
		defer wait.Stop()
		select {
		case <-p.room:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-wait.C:
			return nil, store.ErrBusy
		}
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
	p.room <- struct{}{}
}

// close waits until all are given back, but not for long, and closes them.
func (p *pool) close() error {
	var errs []error
	wait := time.After(readWait)
	for range cap(p.room) {
		select {
		case <-p.room:
			continue
		case <-wait:
			errs = append(errs, errors.New("sqlite: closed while snapshots are open"))
		}
		break
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.idle {
		errs = append(errs, c.close())
	}
	return errors.Join(errs...)
}
