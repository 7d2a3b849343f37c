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
