package exchange

import (
	"context"
	"errors"
	"strings"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/store"
)

// Gather answers current resources for a push to the caller, in the order of refs ("Type/id"), after the push is
// recorded: one record per client, denied or permitted. A denied or absent resource is nil; directory data need no
// record. Each attempt to send gathers anew, so that a message that waited is decided on present facts (law 4).
func (d *Desk) Gather(ctx context.Context, c Caller, refs ...string) ([]*Resource, error) {
	c = complete(c)
	snap, err := d.open(ctx)
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	opened := snap.Time()
	first := d.record(c, Notify, strings.Join(refs, " "))
	first.Recipient = c.Actor.App

	out := make([]*Resource, len(refs))
	byClient := map[string]*ledger.Record{}
	var order []string
	for i, ref := range refs {
		typ, id, _ := strings.Cut(ref, "/")
		row, err := snap.Get(ctx, typ, id)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, unrecorded(err)
		}
		facts, err := snap.Facts(ctx, row.Class.Clients...)
		if err != nil {
			return nil, unrecorded(err)
		}
		action := consent.Notify
		if !recorded(row.Class) {
			action = consent.Read
		}
		decision := d.decide(c, action, row.Class, facts, first.Time)
		permitted := permits(&decision, row) && !row.Deleted
		if permitted {
			if out[i], err = released(row, &decision); err != nil {
				return nil, err
			}
		}
		if !recorded(row.Class) {
			continue
		}
		for _, client := range orNobody(row.Class.Clients) {
			rec := byClient[client]
			if rec == nil {
				next := first
				if len(order) > 0 {
					next = follow(first)
					next.Recipient = first.Recipient
				}
				rec = &next
				byClient[client] = rec
				order = append(order, client)
			}
			*rec = describe(*rec, row.Class, facts, &decision)
			if permitted {
				rec.Success = true
				rec.Entities = append(rec.Entities, ledger.Entity{What: versioned(row), Role: "sent"})
			} else if !rec.Success {
				rec.Reason = decision.Reason
			}
		}
	}
	snap.Close()
	records := make([]ledger.Record, 0, len(order))
	for _, client := range order {
		records = append(records, *byClient[client])
	}
	if len(records) == 0 {
		return out, nil
	}
	if err := d.commit(ctx, opened, records...); err != nil {
		return nil, err
	}
	return out, nil
}

// Events gives a consumer the next events after its position, at most limit. An event tells that something changed,
// never what: its receiver is decided on by Gather.
func (d *Desk) Events(ctx context.Context, consumer string, limit int) ([]Event, error) {
	snap, err := d.open(ctx)
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	position, err := snap.Position(ctx, consumer)
	if err != nil {
		return nil, unrecorded(err)
	}
	var out []Event
	for event, err := range snap.Events(ctx, position) {
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

// Advance moves a consumer's position to seq, after it dealt with the events up to there.
func (d *Desk) Advance(ctx context.Context, consumer string, seq int64) error {
	return d.failed(d.store.Commit(ctx, store.Change{Position: &store.Position{Consumer: consumer, Seq: seq}}))
}
