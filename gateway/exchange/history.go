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
	asked := d.question(c, History)
	defer func() {
		if err != nil {
			asked.wait(ctx)
		}
	}()
	if typ == auditEvent {
		event, err := d.readAudit(ctx, c, id, History, p.Before)
		if err != nil {
			return nil, 0, err
		}
		return []Resource{*event}, 0, nil
	}
	l, err := d.look(ctx, c, History, typ+"/"+id)
	if err != nil {
		return nil, 0, err
	}
	defer l.Close()
	return l.retrospect(ctx, typ, id, p)
}

// retrospect is a look at the versions of a resource.
type retrospect struct {
	*look
	wanted  Past
	limit   int
	decided map[string]*consent.Decision // by the key of the class
	facts   map[string]*consent.Facts
	left    *disclosed
	denied  ledger.Record // what is recorded when nothing leaves: the newest denial
	person  bool          // data about persons is among the versions
	newest  store.Row     // that the caller may see, on visible; nil: none
	visible *consent.Decision
	ended   time.Time // when a newer one that the caller may see was made
	out     []Resource
	size    int // of the bodies in out
	next    int64
}

// retrospect answers the wanted part of a resource's past, and where what follows begins.
func (l *look) retrospect(ctx context.Context, typ, id string, p Past) ([]Resource, int64, error) {
	r := &retrospect{
		look: l, wanted: p, limit: p.Count, decided: map[string]*consent.Decision{}, facts: map[string]*consent.Facts{},
		left: &disclosed{first: l.rec}, denied: l.rec,
	}
	if r.limit <= 0 || r.limit > maxHistory {
		r.limit = maxHistory
	}
	r.denied.Reason = "absent: there is no such resource"
	current, facts, found, err := l.current(ctx, typ, id)
	if err != nil {
		return nil, 0, err
	}
	if !found { // what has no current version has none at all
		return nil, 0, l.conceal(ctx, r.denied, absent(typ, id))
	}
	// What the current label does not let the caller see, older labels do not either.
	maps.Copy(r.facts, facts)
	if class := r.decides(current.Class); class.Outcome != consent.Permitted {
		r.deny(current, class)
		return nil, 0, l.conceal(ctx, r.denied, absent(typ, id))
	}
	if err := r.walk(ctx, typ, id); err != nil {
		return nil, 0, err
	}
	switch {
	case r.visible == nil:
		return nil, 0, l.conceal(ctx, r.denied, absent(typ, id))
	case !r.person:
		return r.out, r.next, nil
	case len(r.out) == 0: // nothing of what is visible is of the part that is wanted
		return nil, 0, l.commit(ctx, everyone(l.rec, r.newest.Class.Clients, r.facts, func(rec ledger.Record) ledger.Record {
			rec = describe(rec, r.newest.Class, r.facts, r.visible)
			rec.Success = true
			return rec
		})...)
	}
	if err := l.commit(ctx, r.left.records()...); err != nil {
		return nil, 0, err
	}
	return r.out, r.next, nil
}

// walk goes through the versions, newest first, until the page is full or there are no more.
func (r *retrospect) walk(ctx context.Context, typ, id string) error {
	cursor := r.wanted.Before
	if !r.wanted.At.From.IsZero() {
		cursor = 0 // when a version ended is told by the one above it
	}
	for {
		rows, err := r.History(ctx, typ, id, cursor, historyPage)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return unrecorded(err)
		}
		bodies := 0
		for _, row := range rows {
			bodies += len(row.Body)
			cursor = row.Version
			if err := r.version(ctx, row); err != nil || r.next != 0 {
				return err
			}
		}
		if len(rows) < historyPage && bodies < store.PageBytes {
			return nil // those were the last
		}
	}
}

// version decides on one version by its own label, and takes it if it is wanted.
func (r *retrospect) version(ctx context.Context, row store.Row) error {
	r.person = r.person || recorded(row.Class)
	if r.decided[row.Class.Key()] == nil {
		facts, err := r.Facts(ctx, row.Class.Clients...)
		if err != nil {
			return unrecorded(err)
		}
		maps.Copy(r.facts, facts)
	}
	decision := covering(r.decides(row.Class), row)
	if decision.Outcome != consent.Permitted {
		r.deny(row, decision)
		return nil
	}
	if r.visible == nil {
		r.visible, r.newest = decision, row
	}
	wanted := r.wanted.keeps(row.Updated, r.ended) && (r.wanted.Before == 0 || row.Version < r.wanted.Before)
	if r.ended = row.Updated; !wanted {
		return nil
	}
	if len(r.out) == r.limit || r.size >= store.PageBytes {
		r.next = r.out[len(r.out)-1].Version
		return nil
	}
	resource, err := released(row, decision)
	if err != nil {
		return err
	}
	r.out = append(r.out, *resource)
	r.size += len(resource.Body)
	r.left.add(row, decision, r.facts, "match")
	return nil
}

// decides is the decision on a class, of whose clients the facts are known.
func (r *retrospect) decides(class consent.Class) *consent.Decision {
	key := class.Key()
	if r.decided[key] == nil {
		made := r.decide(consent.Read, class, r.facts)
		r.decided[key] = &made
	}
	return r.decided[key]
}

// deny notes the first denial, which is the newest.
func (r *retrospect) deny(row store.Row, decision *consent.Decision) {
	if len(r.denied.Classes) == 0 {
		r.denied = deny(describe(r.denied, row.Class, r.facts, decision), decision)
		r.denied.Row = versioned(row)
	}
}

// Histories answers a page of the history of a type, or with "" of the system (every type that the caller's scopes let it
// read), newest first. Each version is decided by its own label, and what the caller may not see takes no part: it is in
// no page, moves no link, and ends no other version.
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
	asked := d.question(c, i)
	defer func() {
		if err != nil || len(page.Matches) == 0 {
			asked.wait(ctx)
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
