package exchange

import (
	"context"
	"slices"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/search"
	"sotesilta/gateway/store"
)

// Search answers one page. What the caller may not see takes no part in it: not in matches, totals, sorting, chains,
// _has, includes or links. One record for the query, and one per client whose data left.
func (d *Desk) Search(ctx context.Context, c Caller, q *search.Query) (*Page, error) {
	c = complete(c)
	if err := allowed(c, q.Type, Search); err != nil {
		return nil, err
	}
	if q.Type == auditEvent {
		return d.searchAudit(ctx, c, q)
	}
	snap, err := d.open(ctx)
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	opened := snap.Time()

	query := d.record(c, Search, q.Type)
	query.Query = q.Raw
	g := &guard{desk: d, caller: c, at: query.Time}
	if only, bound := q.Clients(); bound {
		g.only = only
	}
	found, err := snap.Search(ctx, q, g)
	if err != nil {
		return nil, d.failed(err)
	}
	snap.Close()

	page := &Page{Total: found.Total, Next: found.Next}
	if page.Matches, err = leave(found.Matches); err != nil {
		return nil, err
	}
	if page.Includes, err = leave(found.Includes); err != nil {
		return nil, err
	}
	records := d.searched(query, g, q, found)
	if len(records) == 0 {
		return page, nil
	}
	return page, firstErrorOf(page, d.commit(ctx, opened, records...))
}

// firstErrorOf empties a page that may not leave.
func firstErrorOf(page *Page, err error) error {
	if err != nil {
		*page = Page{}
	}
	return err
}

// searched makes the records of a search: the query's own, and one per client whose data left. Reading nothing but
// directory data makes none.
func (d *Desk) searched(query ledger.Record, g *guard, q *search.Query, found store.Result) []ledger.Record {
	clients := map[string]*ledger.Record{}
	var order []string
	persons := !directoryTypes[q.Type]
	add := func(rows []store.Found, role string) {
		for _, row := range rows {
			if !recorded(row.Class) {
				continue
			}
			persons = true
			for _, client := range orNobody(row.Class.Clients) {
				rec := clients[client]
				if rec == nil {
					next := follow(query)
					next.Client = client
					if known := g.facts[client]; known != nil {
						next.Facts = known.Version
					}
					rec = &next
					clients[client] = rec
					order = append(order, client)
				}
				if !slices.ContainsFunc(rec.Classes, func(k consent.Class) bool { return k.Key() == row.Class.Key() }) {
					*rec = describe(*rec, row.Class, g.facts, row.Decision)
				}
				rec.Success = true
				rec.Entities = append(rec.Entities, ledger.Entity{What: versioned(row.Row), Role: role})
			}
		}
	}
	add(found.Matches, "match")
	add(found.Includes, "include")
	if !persons {
		return nil
	}

	query.Success = true
	permitted := false
	var denied *consent.Decision
	for i, class := range g.classes {
		if class.Type != q.Type {
			continue
		}
		if g.decisions[i].Outcome == consent.Permitted {
			permitted = true
			query = rest(query, &g.decisions[i])
		} else if denied == nil || g.decisions[i].Outcome == consent.NeedsHuman {
			denied = &g.decisions[i]
		}
	}
	switch {
	case permitted:
		query.Outcome = "permit"
	case len(g.only) == 1:
		// Nothing of the one client asked about is open to the caller: the query itself had no basis. When there is
		// nothing at all, the law is asked about the caller's own register, so that a look-up without a relationship
		// is told from an empty answer.
		query.Client = g.only[0]
		if known := g.facts[query.Client]; known != nil {
			query.Facts = known.Version
		}
		if denied == nil {
			probe := d.decide(g.caller, consent.Read, consent.Class{
				Type: q.Type, Clients: g.only, Controller: g.caller.Actor.Controller, Register: g.caller.Actor.Register,
			}, g.facts, g.at)
			denied = &probe
		}
		if denied.Outcome == consent.Permitted {
			query = rest(query, denied)
			query.Outcome = "permit"
		} else {
			query = deny(query, denied)
		}
	case denied != nil:
		query = deny(query, denied)
	default:
		query.Outcome, query.Reason = "permit", "no client within the caller's reach"
	}
	records := make([]ledger.Record, 0, 1+len(order))
	records = append(records, query)
	for _, client := range order {
		records = append(records, *clients[client])
	}
	return records
}

// rest adds what a decision rests on to the record of a query, which names no client's label.
func rest(query ledger.Record, decision *consent.Decision) ledger.Record {
	described := describe(query, consent.Class{}, nil, decision)
	described.Classes = query.Classes
	return described
}

// orNobody makes one record for rows that are about nobody known.
func orNobody(clients []string) []string {
	if len(clients) == 0 {
		return []string{""}
	}
	return clients
}

// leave releases rows.
func leave(rows []store.Found) ([]Resource, error) {
	out := make([]Resource, 0, len(rows))
	for _, row := range rows {
		resource, err := released(row.Row, row.Decision)
		if err != nil {
			return nil, err
		}
		out = append(out, *resource)
	}
	return out, nil
}
