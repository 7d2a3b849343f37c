package exchange

import (
	"context"
	"errors"
	"slices"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/search"
	"sotesilta/gateway/store"
)

// PageBytes bounds the bytes of a page's matches, and those of what is included.
const PageBytes = store.PageBytes

// MaxTexts bounds the resources in which a search looks for words (_text, _content), and TextBytes the bytes of them.
const (
	MaxTexts  = store.MaxTexts
	TextBytes = store.TextBytes
)

// Search answers one page. What the caller may not see takes no part in it: not in matches, totals, sorting, chains,
// _has, includes or links. One record for the query, and one per client whose data left.
func (d *Desk) Search(ctx context.Context, c Caller, q *search.Query) (page *Page, err error) {
	c = d.complete(c)
	i := Search
	if len(q.Across) > 0 {
		i = SearchSystem
	}
	for _, of := range q.Of() {
		if err := allowed(c, of.Type, Search); err != nil {
			return nil, err
		}
	}
	asked := d.question(c, i)
	defer func() {
		if page == nil || len(page.Matches) == 0 {
			asked.wait(ctx)
		}
	}()
	switch {
	case q.Type == auditEvent:
		return d.searchAudit(ctx, c, q)
	case q.Searches(auditEvent):
		return nil, Refuse(Invalid, "not-supported", "", "AuditEvents are searched by themselves, not across types.")
	}
	l, err := d.look(ctx, c, i, q.Type)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	l.rec.Query = q.Asked()
	g := l.guard()
	if only, bound := q.Clients(); bound {
		g.only = only
		l.rec.Bound = bindings(only)
	}
	found, err := l.Search(ctx, q, g)
	refusal := d.failed(err)
	if err != nil && !errors.Is(err, store.ErrTexts) {
		return nil, refusal
	}
	var known map[string]*consent.Facts // of the one client that the query is about
	if len(g.only) == 1 {
		if known, err = l.Facts(ctx, g.only...); err != nil {
			return nil, unrecorded(err)
		}
	}
	l.Close()
	if refusal != nil { // it tells that there is much that the caller may see
		rec := g.asked(l.rec, q, known)
		rec.Success = false
		if err := l.commit(ctx, rec); err != nil {
			return nil, err
		}
		return nil, refusal
	}

	page = &Page{Total: found.Total, Next: found.Next, Cut: found.Cut}
	left := &disclosed{first: l.rec, follow: true}
	if page.Matches, err = leave(found.Matches, "match", left, g.facts); err != nil {
		return nil, err
	}
	if page.Includes, err = leave(found.Includes, "include", left, g.facts); err != nil {
		return nil, err
	}
	data := left.records()
	if len(data) == 0 && !slices.ContainsFunc(q.Types(), func(typ string) bool { return !impersonalType(typ) }) && !slices.ContainsFunc(q.Of(), func(of *search.Query) bool { return g.persons(of.Type) }) {
		return page, nil // directory data only: the access log's
	}
	records := append([]ledger.Record{g.asked(l.rec, q, known)}, data...)
	if err := l.commit(ctx, records...); err != nil {
		return nil, err
	}
	return page, nil
}

// asked makes the record of the query itself. What was withheld is not in it: a query about one client of whom nothing
// is open is a denial and tells why, any other names the bases that opened something, and no directive or relationship
// of a client whose data stayed.
func (g *guard) asked(query ledger.Record, q *search.Query, known map[string]*consent.Facts) ledger.Record {
	query.Success = true
	permitted := false
	var denied *consent.Decision
	var deniedClass consent.Class
	for i, class := range g.classes {
		if !q.Searches(class.Type) || len(g.only) == 1 && !slices.Contains(class.Clients, g.only[0]) {
			continue
		}
		decision := &g.decisions[i]
		if len(g.only) == 1 {
			decision = decision.Of(g.only[0])
		}
		switch {
		case decision.Outcome == consent.Permitted:
			permitted = true
			for _, basis := range decision.Bases {
				if !slices.ContainsFunc(query.Bases, func(b consent.Basis) bool { return b.ID == basis.ID }) {
					query.Bases = append(query.Bases, basis)
				}
			}
			query.Disclosure = query.Disclosure || decision.Disclosure
		case denied == nil, len(g.only) == 1 && before(decision, class, denied, deniedClass):
			denied, deniedClass = decision, class
		}
	}
	if len(g.only) == 1 && known[g.only[0]] != nil {
		query = about(query, g.only[0], known)
	}
	switch {
	case permitted:
		query.Outcome = "permit"
	case len(g.only) == 1:
		// Nothing of the one client asked about is open to the caller: the query itself had no basis. When there is
		// nothing at all, the law is asked about the caller's own register, so that a look-up without a relationship
		// is told from an empty answer.
		if denied == nil {
			probe := g.decide(consent.Read, consent.Class{
				Type: q.Of()[0].Type, Clients: g.only, Controller: g.caller.Actor.Controller, Register: g.caller.Actor.Register,
			}, known)
			denied = &probe
		}
		if denied.Outcome == consent.Permitted {
			query.Outcome, query.Bases, query.Reason = "permit", denied.Bases, "nothing recorded"
		} else {
			query = deny(query, denied)
		}
	case denied != nil:
		query = deny(query, &consent.Decision{Reason: "nothing within the caller's reach is open to it"})
	default:
		query.Outcome, query.Reason = "permit", "no client within the caller's reach"
	}
	return query
}

// queryOf is the search that a record of a query is of, as far as types go; nil where the record is of something else.
func queryOf(rec *ledger.Record) *search.Query {
	switch Interaction(rec.Interaction) {
	case Search:
		if rec.Target != auditEvent {
			return &search.Query{Type: rec.Target}
		}
	case SearchSystem:
		if types := search.AskedTypes(rec.Query); len(types) > 0 {
			return search.AcrossOf(types...)
		}
	}
	return nil
}

// before says which of two denials a query's record tells of, whatever the order in which the store lists the classes.
func before(a *consent.Decision, of consent.Class, b *consent.Decision, than consent.Class) bool {
	if a.Outcome != b.Outcome {
		return a.Outcome > b.Outcome
	}
	return of.Key() < than.Key()
}

// orNobody makes one record for rows that are about nobody known.
func orNobody(clients []string) []string {
	if len(clients) == 0 {
		return []string{""}
	}
	return clients
}

// leave releases rows, each on what of the decision covers it, and gathers their records.
func leave(rows []store.Found, role string, left *disclosed, facts map[string]*consent.Facts) ([]Resource, error) {
	out := make([]Resource, 0, len(rows))
	for _, row := range rows {
		decision := covering(row.Decision, row.Row)
		if decision.Outcome != consent.Permitted { // the store joined more than the decision lets out
			return nil, unrecorded(errors.New("exchange: a row outside the decision on its class: " + decision.Reason))
		}
		resource, err := released(row.Row, decision)
		if err != nil {
			return nil, err
		}
		out = append(out, *resource)
		left.add(row.Row, decision, facts, role)
	}
	return out, nil
}
