package exchange

import (
	"context"
	"errors"
	"maps"
	"time"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/store"
	"sotesilta/internal/fhir"
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
	held := d.hold(c, i)
	defer func() {
		if err != nil {
			held.wait(ctx)
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

// historyPage is how many versions are looked at together, maxHistory how many are answered.
const (
	historyPage = 256
	maxHistory  = 500
)

// History answers the versions of a resource that the caller may see, of the part of its past that is wanted, newest
// first, and the Before of the next page (0: no more). Each version is decided by its own label.
// One record, and one more for each further client whose data left.
func (d *Desk) History(ctx context.Context, c Caller, typ, id string, p Past) (versions []Resource, following int64, err error) {
	c = d.complete(c)
	if err := allowed(c, typ, History); err != nil {
		return nil, 0, err
	}
	held := d.hold(c, History)
	defer func() {
		if err != nil {
			held.wait(ctx)
		}
	}()
	if typ == auditEvent {
		event, err := d.readAudit(ctx, c, id, History, p.Before)
		if err != nil {
			return nil, 0, err
		}
		return []Resource{*event}, 0, nil
	}
	limit := p.Count
	if limit <= 0 || limit > maxHistory {
		limit = maxHistory
	}
	l, err := d.look(ctx, c, History, typ+"/"+id)
	if err != nil {
		return nil, 0, err
	}
	defer l.Close()

	var out []Resource
	var next int64
	left := &disclosed{first: l.rec}
	denied := l.rec // the record when nothing leaves: that of the newest denial
	denied.Reason = "absent: there is no such resource"
	person := false
	decided := map[string]*consent.Decision{}
	facts := map[string]*consent.Facts{}
	// What the current label does not let the caller see, older labels do not either.
	current, known, found, err := l.current(ctx, typ, id)
	if err != nil {
		return nil, 0, err
	}
	if !found { // what has no current version has none at all
		return nil, 0, l.conceal(ctx, denied, absent(typ, id))
	}
	maps.Copy(facts, known)
	newer := l.decide(consent.Read, current.Class, facts)
	decided[current.Class.Key()] = &newer
	if newer.Outcome != consent.Permitted {
		denied = deny(describe(denied, current.Class, facts, &newer), &newer)
		denied.Row = versioned(current)
		return nil, 0, l.conceal(ctx, denied, absent(typ, id))
	}
	var visible *consent.Decision // of the newest version that the caller may see
	var newest store.Row
	var ended time.Time
	size := 0 // of the bodies in out
	cursor := p.Before
	if !p.At.From.IsZero() {
		cursor = 0 // when a version ended is told by the one above it
	}
	for next == 0 {
		rows, err := l.History(ctx, typ, id, cursor, historyPage)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, 0, unrecorded(err)
		}
		bodies := 0
		for _, row := range rows {
			bodies += len(row.Body)
			cursor = row.Version
			person = person || recorded(row.Class)
			key := row.Class.Key()
			class := decided[key]
			if class == nil {
				known, err := l.Facts(ctx, row.Class.Clients...)
				if err != nil {
					return nil, 0, unrecorded(err)
				}
				maps.Copy(facts, known)
				made := l.decide(consent.Read, row.Class, facts)
				class = &made
				decided[key] = class
			}
			decision := covering(class, row)
			if decision.Outcome != consent.Permitted {
				if len(denied.Classes) == 0 {
					denied = deny(describe(denied, row.Class, facts, decision), decision)
					denied.Row = versioned(row)
				}
				continue
			}
			if visible == nil {
				visible, newest = decision, row
			}
			wanted := p.keeps(row.Updated, ended) && (p.Before == 0 || row.Version < p.Before)
			if ended = row.Updated; !wanted {
				continue
			}
			if len(out) == limit || size >= store.PageBytes {
				next = out[len(out)-1].Version
				break
			}
			resource, err := released(row, decision)
			if err != nil {
				return nil, 0, err
			}
			out = append(out, *resource)
			size += len(resource.Body)
			left.add(row, decision, facts, "match")
		}
		if len(rows) < historyPage && bodies < store.PageBytes {
			break // those were the last
		}
	}
	switch {
	case visible == nil:
		return nil, 0, l.conceal(ctx, denied, absent(typ, id))
	case len(out) == 0 && person: // nothing of what is visible is of the part that is wanted
		return nil, 0, l.commit(ctx, everyone(l.rec, newest.Class.Clients, facts, func(rec ledger.Record) ledger.Record {
			rec = describe(rec, newest.Class, facts, visible)
			rec.Success = true
			return rec
		})...)
	}
	if person && len(out) > 0 {
		if err := l.commit(ctx, left.records()...); err != nil {
			return nil, 0, err
		}
	}
	return out, next, nil
}

// covering narrows a decision on a class to one of its rows: what it rests on, or why it may not leave.
func covering(decision *consent.Decision, row store.Row) *consent.Decision {
	if row.Class.Register == "" {
		return &consent.Decision{Reason: "unlabelled data never leave"}
	}
	return decision.For(row.Type+"/"+row.ID, row.Recorded)
}

// permits says whether a decision on a class lets this row of it leave.
func permits(decision *consent.Decision, row store.Row) bool {
	return covering(decision, row).Outcome == consent.Permitted
}

// released is a row as it may leave, without the members that the decision withholds.
func released(row store.Row, decision *consent.Decision) (*Resource, error) {
	out := &Resource{
		Type: row.Type, ID: row.ID, Version: row.Version, Updated: row.Updated,
		Deleted: row.Deleted, Method: row.Method, Body: row.Body, Disclosed: decision.Disclosure,
	}
	if len(decision.Redact) == 0 || row.Deleted {
		return out, nil
	}
	doc, err := fhir.Parse(row.Body, fhir.DefaultLimits)
	if err != nil {
		return nil, unrecorded(err)
	}
	for _, member := range decision.Redact {
		withhold(doc, member)
	}
	out.Body = doc.AppendJSON(nil)
	return out, nil
}

// withhold takes a member out of a resource: a member name such as address, or extension[url] for one extension.
func withhold(doc *fhir.Value, member string) {
	url, isExtension := extensionURL(member)
	if !isExtension {
		doc.Set(member, nil)
		doc.Set("_"+member, nil)
		return
	}
	var kept []*fhir.Value
	for _, ext := range doc.Get("extension").Items() {
		if ext.Text("url") != url {
			kept = append(kept, ext)
		}
	}
	if len(kept) == 0 {
		doc.Set("extension", nil)
		return
	}
	doc.Set("extension", fhir.NewArray(kept...))
}

func gone(row store.Row) *Error {
	return Refuse(Gone, "deleted", "", row.Type+"/"+row.ID+" was deleted.")
}
