package sqlite

import (
	"context"
	"errors"
	"sync"
	"time"

	"sotesilta/gateway/store"
	"sotesilta/gateway/store/turns"
)

// pool lends the connections that read, to those who ask in turn. The one given back last is lent first: its memory is
// still in the processor's caches, and connections that a burst opened lie idle after it.
//
// A connection forgets its pages at each commit, so what many read side by side is read anew by each of them, and more
// of them than keep the processors busy only cost. So few are lent as long as each comes back soon; who has waited while
// those few are held by long searches is lent one of the others.
type pool struct {
	size int
	all  *turns.Turns
	few  *turns.Turns
	mu   sync.Mutex
	idle []*conn
}

// fewFor is how long one of the few is waited for: some of the longest waits for short reads under full load.
const fewFor = 25 * time.Millisecond

func newPool(size, few int) *pool {
	return &pool{size: size, all: turns.New(size, readWait), few: turns.New(min(few, size), fewFor)}
}

// loan is a connection lent.
type loan struct {
	c   *conn
	few bool // it is one of the few
}

// take lends a connection; without one, the borrower opens it. It waits for a turn, but not for long.
func (p *pool) take(ctx context.Context) (loan, error) {
	var l loan
	if err := p.all.Take(ctx); err != nil {
		return l, err
	}
	switch err := p.few.Take(ctx); {
	case err == nil:
		l.few = true
	case !errors.Is(err, store.ErrBusy):
		p.all.Give()
		return l, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if last := len(p.idle) - 1; last >= 0 {
		l.c, p.idle = p.idle[last], p.idle[:last]
	}
	return l, nil
}

// give takes back what was lent; without a connection when it was not opened, or had to be closed.
func (p *pool) give(l loan) {
	if l.c != nil {
		p.mu.Lock()
		p.idle = append(p.idle, l.c)
		p.mu.Unlock()
	}
	if l.few {
		p.few.Give()
	}
	p.all.Give()
}

// close waits until all are given back, but not for long, and closes them.
func (p *pool) close() error {
	var errs []error
	wait, cancel := context.WithTimeout(context.Background(), readWait)
	defer cancel()
	for range p.size {
		if p.all.Take(wait) != nil {
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
