package exchange

import (
	"context"
	"errors"
	"time"

	"sotesilta/gateway/store"
)

// maxEvents bounds one look at the outbox.
const maxEvents = 1000

// Lease is how one node at a time deals with the events of a consumer; the store keeps it.
type Lease struct {
	Name   string        // of the consumer, such as notify/jukola-ehr
	Holder string        // names the node, unlike any other
	Life   time.Duration // how long it lasts without being renewed
}

// TakeLease takes or renews a lease, or, with a Life of 0, gives it back; false: another node's lasts.
func (d *Desk) TakeLease(ctx context.Context, l Lease) (bool, error) {
	taken, err := d.store.TakeLease(ctx, store.Lease(l))
	return taken, d.failed(err)
}

// Position is how far a consumer has come: the Seq of the last event that it dealt with, 0 at first.
func (d *Desk) Position(ctx context.Context, consumer string) (int64, error) {
	snap, err := d.open(ctx)
	if err != nil {
		return 0, err
	}
	defer snap.Close()
	position, err := snap.Position(ctx, consumer)
	return position, d.failed(err)
}

// Events gives the events that follow one, at most limit (1 to 1,000). An event tells that something changed, never
// what: its receiver is decided on by Gather.
func (d *Desk) Events(ctx context.Context, after int64, limit int) ([]Event, error) {
	snap, err := d.open(ctx)
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	limit = max(1, min(limit, maxEvents))
	var out []Event
	for event, err := range snap.Events(ctx, after) {
		if err != nil {
			return nil, unrecorded(err)
		}
		out = append(out, Event{
			Seq: event.Seq, Type: event.Type, ID: event.ID, Version: event.Version,
			Interaction: Interaction(event.Interaction), Time: event.Time,
		})
		if len(out) == limit {
			break
		}
	}
	return out, nil
}

// Advance writes down that the holder dealt with the events after from up to to, and renews the lease. Conflict: another
// node has, or had, the lease meanwhile, and nothing is written down.
func (d *Desk) Advance(ctx context.Context, l Lease, from, to int64) error {
	err := d.store.Advance(ctx, store.Lease(l), from, to)
	if errors.Is(err, store.ErrStale) {
		return Refuse(Conflict, "conflict", "", "Another node deals with the events of "+l.Name+".")
	}
	return d.failed(err)
}
