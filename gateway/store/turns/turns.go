// Package turns lends a store's reading connections in turn: when all are lent, whoever waits is served one for each
// asker after another, so that what one asker has waiting delays another by one turn, not by all of it.
package turns

import (
	"context"
	"slices"
	"sync"
	"time"

	"sotesilta/gateway/store"
)

// asker is the key of a context's asker.
type asker struct{}

// For tells whose turn is taken under a context: an API client. Without one all share the turn of nobody.
func For(ctx context.Context, app string) context.Context {
	return context.WithValue(ctx, asker{}, app)
}

// Turns counts what is lent. It is safe for concurrent use.
type Turns struct {
	wait time.Duration

	mu      sync.Mutex
	free    int
	order   []string                   // askers that wait, whose turn is next first
	waiting map[string][]chan struct{} // their requests, the oldest first
}

// New makes Turns of so many to lend. Who waited for so long is answered store.ErrBusy.
func New(size int, wait time.Duration) *Turns {
	return &Turns{wait: wait, free: size, waiting: map[string][]chan struct{}{}}
}

// Take waits for a turn, until ctx ends or the wait is over. Who got one gives it back.
func (t *Turns) Take(ctx context.Context) error {
	t.mu.Lock()
	if t.free > 0 { // then nobody waits
		t.free--
		t.mu.Unlock()
		return nil
	}
	app, _ := ctx.Value(asker{}).(string)
	turn := make(chan struct{})
	if len(t.waiting[app]) == 0 {
		t.order = append(t.order, app)
	}
	t.waiting[app] = append(t.waiting[app], turn)
	t.mu.Unlock()

	timer := time.NewTimer(t.wait)
	defer timer.Stop()
	var err error
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-timer.C:
		err = store.ErrBusy
	}
	if !t.leave(app, turn) { // the turn came meanwhile
		t.Give()
	}
	return err
}

// leave takes a request out of those that wait, and says whether it still did.
func (t *Turns) leave(app string, turn chan struct{}) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := slices.Index(t.waiting[app], turn)
	if at < 0 {
		return false
	}
	t.keep(app, slices.Delete(t.waiting[app], at, at+1))
	return true
}

// keep leaves an asker these requests, and without any no turn.
func (t *Turns) keep(app string, left []chan struct{}) {
	if t.waiting[app] = left; len(left) > 0 {
		return
	}
	delete(t.waiting, app)
	if at := slices.Index(t.order, app); at >= 0 {
		t.order = slices.Delete(t.order, at, at+1)
	}
}

// Give ends a turn: it is the next asker's, who then goes behind the others.
func (t *Turns) Give() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.order) == 0 {
		t.free++
		return
	}
	app := t.order[0]
	list := t.waiting[app]
	if t.keep(app, list[1:]); len(list) > 1 {
		t.order = append(t.order[1:], app)
	}
	close(list[0])
}
