package exchange

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/store"
)

// Span is a span of time, From inside and To outside; the zero Span is all time.
type Span struct{ From, To time.Time }

// Past says which part of a history is wanted (FHIR R4 § 3.1.0.12).
type Past struct {
	Since  time.Time // versions made at or after
	At     Span      // versions that were the newest, among those that the caller may see, at some moment of it
	Count  int       // versions a page
	Before int64     // of a resource: versions below; 0: from the newest
	Cursor string    // of a type or the system: Page.Next of the page before
}

// keeps says whether a version is of the part that is wanted; ended is when a newer one that the caller may see was
// made, zero when there is none.
func (p Past) keeps(made, ended time.Time) bool {
	return !made.Before(p.Since) && (p.At.To.IsZero() || made.Before(p.At.To)) &&
		(p.At.From.IsZero() || ended.IsZero() || ended.After(p.At.From))
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

// Histories answers a page of the history of a type, or with "" of the system (every type that the caller's scopes let it
// read), newest first. Each version is decided by its own label, and what the caller may not see takes no part: it is in no page, moves no link, and ends no other version.
// Deletions are without a body. One record for the question, and one per client whose data left.
func (d *Desk) Histories(ctx context.Context, c Caller, typ string, p Past) (page *Page, err error) {
	c = d.complete(c)
	i, q := HistorySystem, store.VersionQuery{Since: p.Since, From: p.At.From, To: p.At.To, Cursor: p.Cursor, Limit: p.Count}
	if typ != "" {
		i, q.Types = HistoryType, []string{typ}
	}
	scope := typ
	if scope == "" {
		scope = "*"
	}
	if err := allowed(c, scope, i); err != nil {
		return nil, err
	}
	if typ == auditEvent {
		return nil, Refuse(NotAllowed, "not-supported", "", "AuditEvents have no versions: search them.")
	}
	held := d.hold(c, i)
	defer func() {
		if err != nil || len(page.Matches) == 0 {
			held.wait(ctx)
		}
	}()
	return d.versions(ctx, c, i, typ, q)
}

// versions carries out a query of versions under the guard, and records it.
func (d *Desk) versions(ctx context.Context, c Caller, i Interaction, target string, q store.VersionQuery) (*Page, error) {
	l, err := d.look(ctx, c, i, target)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	g := l.guard()
	if len(q.Clients) > 0 {
		g.only = q.Clients
		l.rec.Bound = bindings(g.only)
	}
	found, err := l.Versions(ctx, q, g)
	if err != nil {
		return nil, d.failed(err)
	}
	var known map[string]*consent.Facts
	if len(q.Clients) == 1 {
		if known, err = l.Facts(ctx, q.Clients[0]); err != nil {
			return nil, unrecorded(err)
		}
	}
	page := &Page{Total: -1, Next: found.Next}
	left := &disclosed{first: l.rec, follow: true}
	if page.Matches, err = leave(found.Matches, "match", left, g.facts); err != nil {
		return nil, err
	}
	data := left.records()
	if len(data) == 0 && len(q.Types) > 0 && !slices.ContainsFunc(q.Types, func(typ string) bool { return !impersonalType(typ) || g.persons(typ) }) {
		return page, nil // directory data only: the access log's
	}
	if len(q.Clients) == 1 && known[q.Clients[0]] != nil {
		l.rec = about(l.rec, q.Clients[0], known)
	}
	if err := l.commit(ctx, append([]ledger.Record{overview(l.rec, g)}, data...)...); err != nil {
		return nil, err
	}
	return page, nil
}

// overview makes the record of a question over many types: the bases that opened something, and nothing of what was
// withheld.
func overview(query ledger.Record, g *guard) ledger.Record {
	query.Success = true
	for i := range g.decisions {
		decision := &g.decisions[i]
		if decision.Outcome != consent.Permitted {
			continue
		}
		query.Outcome = "permit"
		if !recorded(g.classes[i]) {
			continue
		}
		if len(g.only) == 1 {
			decision = decision.Of(g.only[0])
		}
		for _, basis := range decision.Bases {
			if !slices.ContainsFunc(query.Bases, func(b consent.Basis) bool { return b.ID == basis.ID }) {
				query.Bases = append(query.Bases, basis)
			}
		}
		query.Disclosure = query.Disclosure || decision.Disclosure
	}
	switch {
	case query.Outcome == "permit":
	case len(g.classes) > 0:
		query = deny(query, &consent.Decision{Reason: "nothing within the caller's reach is open to it"})
	default:
		query.Outcome, query.Reason = "permit", "no client within the caller's reach"
	}
	return query
}
