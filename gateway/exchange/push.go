package exchange

import (
	"context"
	"errors"
	"strings"
	"time"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/store"
)

// Bounds of one look at the outbox.
const (
	maxRefs   = 100
	maxEvents = 1000
)

// Gather answers current resources for a push to the caller, in the order of refs ("Type/id", at most 100), after the
// push is recorded: one record per client whose data are sent; where nothing of a client is sent, one denial. A denied
// or absent resource is nil; directory data need no record. Each attempt to send gathers anew, so that a message that
// waited is decided on present facts (law 4).
func (d *Desk) Gather(ctx context.Context, c Caller, refs ...string) ([]*Resource, error) {
	return d.GatherWith(ctx, c, nil, refs...)
}

// GatherWith gathers further resources that those found refer to: more is shown what each round found, in the order
// asked, and answers the references of the next; nil ends it. What was found comes in the order asked, at most 100 in
// all. However much follows, the push is recorded as one: the ledger, whose size anybody may look up, grows by as much
// for one that was sent as for one that was withheld.
func (d *Desk) GatherWith(ctx context.Context, c Caller, more func(found []*Resource) []string, refs ...string) ([]*Resource, error) {
	c = d.complete(c)
	if len(refs) > maxRefs {
		return nil, Refuse(TooCostly, "too-costly", "", "Too many resources for one message.")
	}
	snap, err := d.open(ctx)
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	opened := snap.Time()
	first := d.record(c, Notify, strings.Join(refs, " "))
	first.Recipient = c.Actor.App

	left := &disclosed{first: first}
	kept := map[string]ledger.Record{} // the denial per client
	var order []string
	look := func(ref string) (*Resource, error) {
		typ, id, _ := strings.Cut(ref, "/")
		row, err := snap.Get(ctx, typ, id)
		if errors.Is(err, store.ErrNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, unrecorded(err)
		}
		facts, err := snap.Facts(ctx, row.Class.Clients...)
		if err != nil {
			return nil, unrecorded(err)
		}
		decision := d.notifies(c, row, facts, first)
		if decision.Outcome == consent.Permitted {
			out, err := released(row, decision)
			if err == nil {
				left.add(row, decision, facts, "sent")
			}
			return out, err
		}
		for _, client := range orNobody(row.Class.Clients) {
			if _, known := kept[client]; !known {
				rec := deny(describe(about(first, client, facts), row.Class, facts, decision), decision)
				rec.Row = versioned(row)
				kept[client] = rec
				order = append(order, client)
			}
		}
		return nil, nil
	}
	var out []*Resource
	for len(refs) > 0 && len(out)+len(refs) <= maxRefs {
		from := len(out)
		for _, ref := range refs {
			found, err := look(ref)
			if err != nil {
				return nil, err
			}
			out = append(out, found)
		}
		if refs = nil; more != nil {
			refs = more(out[from:])
		}
	}
	snap.Close()
	records := left.records()
	sent := map[string]bool{}
	for _, rec := range records {
		sent[rec.Client] = true
	}
	for _, client := range order {
		if sent[client] {
			continue
		}
		rec := kept[client]
		if len(records) > 0 {
			rec.ID = ledger.NewID()
		}
		records = append(records, rec)
	}
	if len(records) == 0 {
		return out, nil
	}
	if err := d.commit(ctx, opened, records...); err != nil {
		return nil, err
	}
	return out, nil
}

// notifies decides whether a row may be sent to the caller. Directory data is read.
func (d *Desk) notifies(c Caller, row store.Row, facts map[string]*consent.Facts, first ledger.Record) *consent.Decision {
	switch {
	case row.Deleted:
		return &consent.Decision{Reason: "absent: it was deleted"}
	case c.Allows == nil || !c.Allows(row.Type, Read):
		return &consent.Decision{Reason: "the receiver's scopes do not allow reading " + row.Type}
	}
	action := consent.Notify
	if !recorded(row.Class) {
		action = consent.Read
	}
	class := d.decide(c, action, row.Class, facts, first.Time)
	return covering(&class, row)
}

// Hold is how one node at a time deals with the events of a consumer: a lease in the store.
type Hold struct {
	Consumer string        // such as notify/jukola-ehr
	Holder   string        // names the node, unlike any other
	Life     time.Duration // how long it lasts without being renewed
}

func (h Hold) lease() store.Lease {
	return store.Lease{Name: h.Consumer, Holder: h.Holder, Life: h.Life}
}

// Hold takes or renews a hold, or, with a Life of 0, gives it back; false: another node's lasts.
func (d *Desk) Hold(ctx context.Context, h Hold) (bool, error) {
	held, err := d.store.Hold(ctx, h.lease())
	return held, d.failed(err)
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

// Advance writes down that the holder dealt with the events after from up to to, and renews the hold. Conflict: another
// node has, or had, the hold meanwhile, and nothing is written down.
func (d *Desk) Advance(ctx context.Context, h Hold, from, to int64) error {
	err := d.store.Advance(ctx, h.lease(), from, to)
	if errors.Is(err, store.ErrStale) {
		return Refuse(Conflict, "conflict", "", "Another node deals with the events of "+h.Consumer+".")
	}
	return d.failed(err)
}
