package exchange

import (
	"context"
	"maps"

	"sotesilta/consent"
	"sotesilta/gateway/store"
)

// mended is the label of a resource's current version, where it differs from that of a version: a label that was wrong
// opens no older version either. nil when they are the same. What is known of further clients is put into facts.
func (d *Desk) mended(ctx context.Context, snap store.Snapshot, row store.Row, facts map[string]*consent.Facts) (*consent.Class, error) {
	current, err := snap.Get(ctx, row.Type, row.ID)
	if err != nil {
		return nil, unrecorded(err)
	}
	if current.Class.Key() == row.Class.Key() {
		return nil, nil
	}
	known, err := snap.Facts(ctx, current.Class.Clients...)
	if err != nil {
		return nil, unrecorded(err)
	}
	maps.Copy(facts, known)
	return &current.Class, nil
}

// withoutMended takes the versions out of a page whose resource has a label now that the caller may not see. Such a page is
// shorter; what it lacks tells no more than that something of it is not the caller's.
func (d *Desk) withoutMended(ctx context.Context, snap store.Snapshot, g *guard, page []store.Found) ([]store.Found, error) {
	if g.facts == nil {
		g.facts = map[string]*consent.Facts{}
	}
	kept := make([]store.Found, 0, len(page))
	for i := range page {
		label, err := d.mended(ctx, snap, page[i].Row, g.facts)
		if err != nil {
			return nil, err
		}
		if label != nil {
			if now := d.decide(g.caller, consent.Read, *label, g.facts, g.at); now.Outcome != consent.Permitted {
				continue
			}
		}
		kept = append(kept, page[i])
	}
	return kept, nil
}
