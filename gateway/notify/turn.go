package notify

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"sotesilta/gateway/exchange"
)

// The times of a turn. It is renewed often enough that one failure in between does not end it, and ends for its holder
// before another node can have it, so that a message under way has come to its end or been given up.
const (
	turnLife = 6 * time.Second
	renew    = turnLife / 3
	margin   = 1500 * time.Millisecond
)

// turn is how one node at a time deals with the events of a receiver: while its context lasts, no other node does. A
// node that was killed has its turn until its life is over; one that slept through the end of it writes down nothing.
type turn struct {
	ctx    context.Context
	cancel context.CancelFunc
	desk   Desk
	lease  exchange.Lease
	ended  chan struct{} // the renewing

	at   int64 // the event that was dealt with last
	kept int64 // the one that was written down last
	when time.Time
}

// take takes the turn at a consumer's events; nil when another node has it.
func (w *Worker) take(ctx context.Context, consumer string) (*turn, error) {
	lease := exchange.Lease{Name: consumer, Holder: w.node, Life: turnLife}
	began := time.Now()
	taken, err := w.Desk.TakeLease(ctx, lease)
	if err != nil || !taken {
		return nil, err
	}
	t := &turn{desk: w.Desk, lease: lease, ended: make(chan struct{})}
	t.ctx, t.cancel = context.WithCancel(ctx)
	go t.renew(began)
	t.kept, err = w.Desk.Position(t.ctx, consumer)
	if t.at = t.kept; err != nil {
		t.end()
		return nil, err
	}
	return t, nil
}

// renew renews the turn until it ends. Its end comes by a timer, because a renewal may hang.
func (t *turn) renew(began time.Time) {
	defer close(t.ended)
	over := time.AfterFunc(time.Until(began.Add(turnLife-margin)), t.cancel)
	defer over.Stop()
	tick := time.NewTicker(renew)
	defer tick.Stop()
	for {
		select {
		case <-t.ctx.Done():
			return
		case <-tick.C:
		}
		began := time.Now()
		switch taken, err := t.desk.TakeLease(t.ctx, t.lease); {
		case err != nil: // the timer tells when it is too late
		case !taken:
			t.cancel()
		default:
			over.Reset(time.Until(began.Add(turnLife - margin)))
		}
	}
}

// keep writes down how far the turn has come, again while it cannot be, so that what was sent is not sent again. It errs
// when the turn ended.
func (t *turn) keep(w *Worker) error {
	for failures := 1; t.kept < t.at; failures++ {
		err := t.desk.Advance(t.ctx, t.lease, t.kept, t.at)
		var refusal *exchange.Error
		switch {
		case err == nil:
			t.kept, t.when = t.at, time.Now()
			return nil
		case t.ctx.Err() != nil:
			return t.ctx.Err()
		case errors.As(err, &refusal) && refusal.Kind == exchange.Conflict:
			t.cancel()
			return err
		}
		w.log().LogAttrs(t.ctx, slog.LevelWarn, "position in the outbox not kept", slog.String("consumer", t.lease.Name), slog.Int("failures", failures))
		w.sleep(t.ctx, w.pause(failures), nil)
	}
	return nil
}

// end gives the turn back, with what was dealt with written down.
func (t *turn) end() {
	t.cancel()
	<-t.ended
	ctx, cancel := context.WithTimeout(context.Background(), margin)
	defer cancel()
	if t.kept < t.at && t.desk.Advance(ctx, t.lease, t.kept, t.at) != nil {
		return // another has it, or will when its life is over
	}
	given := t.lease
	given.Life = 0
	_, _ = t.desk.TakeLease(ctx, given) // likewise
}
