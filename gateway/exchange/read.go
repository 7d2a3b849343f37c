package exchange

import (
	"context"
	"errors"
	"maps"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/store"
)

// Read answers the current version of a resource: Absent when there is none or it is denied, Gone when it was deleted
// and the caller could have read it.
func (d *Desk) Read(ctx context.Context, c Caller, typ, id string) (*Resource, error) {
	return d.readOne(ctx, c, typ, id, Read, 0, func(snap store.Snapshot) (store.Row, error) { return snap.Get(ctx, typ, id) })
}

// VRead answers one version of a resource; each version is decided by its own label.
func (d *Desk) VRead(ctx context.Context, c Caller, typ, id string, version int64) (*Resource, error) {
	return d.readOne(ctx, c, typ, id, VRead, version, func(snap store.Snapshot) (store.Row, error) { return snap.Version(ctx, typ, id, version) })
}

func (d *Desk) readOne(ctx context.Context, c Caller, typ, id string, i Interaction, version int64, get func(store.Snapshot) (store.Row, error)) (out *Resource, err error) {
	c = d.complete(c)
	if err := allowed(c, typ, i); err != nil {
		return nil, err
	}
	asked := d.question(c, i)
	defer func() {
		if err != nil {
			asked.wait(ctx)
		}
	}()
	if typ == auditEvent {
		if i == VRead && version != 1 {
			version = -1 // an AuditEvent has one version
		}
		return d.readAudit(ctx, c, id, i, version)
	}
	l, err := d.look(ctx, c, i, typ+"/"+id)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	row, facts, found, err := l.find(ctx, typ, get)
	switch {
	case err != nil:
		return nil, err
	case !found && typ == provenance && version <= 1:
		return d.origin(ctx, l, id)
	case !found:
		if i == VRead { // as mended does
			if _, err := l.Get(ctx, typ, id); err != nil && !errors.Is(err, store.ErrNotFound) {
				return nil, unrecorded(err)
			}
		}
		l.rec.Reason = "absent: there is no such resource"
		return nil, l.conceal(ctx, l.rec, absent(typ, id))
	}
	var label *consent.Class // as it was mended, where the version read has another
	if i == VRead {
		facts = maps.Clone(facts)
		if label, err = d.mended(ctx, l, row, facts); err != nil {
			return nil, err
		}
	}
	l.Close()

	class := l.decide(consent.Read, row.Class, facts)
	decision := covering(&class, row)
	if label != nil && decision.Outcome == consent.Permitted {
		if now := l.decide(consent.Read, *label, facts); now.Outcome != consent.Permitted {
			l.rec = deny(describe(describe(l.rec, row.Class, facts, decision), *label, facts, &now), &now)
			l.rec.Row = versioned(row)
			return nil, l.conceal(ctx, l.rec, absent(typ, id))
		}
	}
	permitted := decision.Outcome == consent.Permitted
	if permitted && !recorded(row.Class) {
		if row.Deleted {
			return nil, gone(row)
		}
		return released(row, decision)
	}
	if !permitted {
		l.rec = deny(describe(l.rec, row.Class, facts, decision), decision)
		l.rec.Row = versioned(row)
		return nil, l.conceal(ctx, l.rec, absent(typ, id))
	}
	out, releaseErr := released(row, decision)
	if err := l.commit(ctx, everyone(l.rec, row.Class.Clients, facts, func(rec ledger.Record) ledger.Record {
		rec = describe(rec, row.Class, facts, decision)
		rec.Success = !row.Deleted && releaseErr == nil
		rec.Entities = []ledger.Entity{{What: versioned(row), Role: "match"}}
		return rec
	})...); err != nil {
		return nil, err
	}
	if row.Deleted {
		return nil, gone(row)
	}
	return out, releaseErr
}
