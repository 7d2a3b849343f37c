package exchange

import (
	"context"
	"strings"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/store"
)

// maxRefs bounds what one message is made of.
const maxRefs = 100

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
	l, err := d.look(ctx, c, Notify, strings.Join(refs, " "))
	if err != nil {
		return nil, err
	}
	defer l.Close()
	l.rec.Recipient = c.Actor.App
	g := &gathering{look: l, sent: &disclosed{first: l.rec}, kept: map[string]ledger.Record{}}
	var out []*Resource
	for len(refs) > 0 && len(out)+len(refs) <= maxRefs {
		from := len(out)
		for _, ref := range refs {
			found, err := g.gather(ctx, ref)
			if err != nil {
				return nil, err
			}
			out = append(out, found)
		}
		if refs = nil; more != nil {
			refs = more(out[from:])
		}
	}
	if records := g.records(); len(records) > 0 {
		if err := l.commit(ctx, records...); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// gathering is a push on its way: what of it is sent, and of whom something is kept back.
type gathering struct {
	*look
	sent  *disclosed
	kept  map[string]ledger.Record // the first denial of a client's
	order []string                 // of kept
}

// gather finds a resource and decides whether it is sent; nil when it is not.
func (g *gathering) gather(ctx context.Context, ref string) (*Resource, error) {
	typ, id, _ := strings.Cut(ref, "/")
	row, facts, found, err := g.current(ctx, typ, id)
	if err != nil || !found {
		return nil, err
	}
	decision := g.notifies(row, facts)
	if decision.Outcome == consent.Permitted {
		out, err := released(row, decision)
		if err == nil {
			g.sent.add(row, decision, facts, "sent")
		}
		return out, err
	}
	for _, client := range orNobody(row.Class.Clients) {
		if _, known := g.kept[client]; !known {
			rec := deny(describe(about(g.rec, client, facts), row.Class, facts, decision), decision)
			rec.Row = versioned(row)
			g.kept[client] = rec
			g.order = append(g.order, client)
		}
	}
	return nil, nil
}

// notifies decides whether a row may be sent to the caller. Directory data is read.
func (g *gathering) notifies(row store.Row, facts map[string]*consent.Facts) *consent.Decision {
	switch {
	case row.Deleted:
		return &consent.Decision{Reason: "absent: it was deleted"}
	case g.caller.Allows == nil || !g.caller.Allows(row.Type, Read):
		return &consent.Decision{Reason: "the receiver's scopes do not allow reading " + row.Type}
	}
	action := consent.Notify
	if !recorded(row.Class) {
		action = consent.Read
	}
	class := g.decide(action, row.Class, facts)
	return covering(&class, row)
}

// records are those of what is sent, and a denial for each client of whom nothing is.
func (g *gathering) records() []ledger.Record {
	records := g.sent.records()
	sent := map[string]bool{}
	for _, rec := range records {
		sent[rec.Client] = true
	}
	for _, client := range g.order {
		if sent[client] {
			continue
		}
		rec := g.kept[client]
		if len(records) > 0 {
			rec.ID = ledger.NewID()
		}
		records = append(records, rec)
	}
	return records
}
