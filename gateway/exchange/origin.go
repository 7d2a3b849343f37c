package exchange

import (
	"context"
	"math"
	"slices"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/store"
)

// Where disclosed data came from and what their recipient owes (703/2023 §§ 39 and 48) is told by a Provenance. What a
// human disclosed has one beside its copies. What the gateway disclosed by a read or a search would have to be written on
// every read, so it is a view of the exchange's own records, made when it is asked for: Provenance/ID, where ID is the
// exchange's X-Request-Id. A Provenance that is stored under the id is answered instead; ids are random.

// provenance is the type of those views.
const provenance = "Provenance"

// origin answers the Provenance of an exchange that disclosed data, to the API client that made it: to the same user, or
// to a professional of the same unit. It is data of the recipient's own register, about the clients whose data were
// disclosed, and decided on as such; so it stays readable after a permit was withdrawn, as what was received does. Any
// other id, another's exchange, and one in which nothing was disclosed, are absent.
func (d *Desk) origin(ctx context.Context, l *look, id string) (*Resource, error) {
	actor := l.caller.Actor
	parts, err := l.disclosedTo(ctx, actor, id)
	if err != nil {
		return nil, err
	}
	var clients []string
	for i := range parts {
		clients = union(clients, []string{parts[i].Client})
	}
	facts, err := l.Facts(ctx, slices.DeleteFunc(slices.Clone(clients), func(client string) bool { return client == "" })...)
	if err != nil {
		return nil, unrecorded(err)
	}
	l.Close()
	var seen []ledger.Record // parts that the caller may read
	var records []ledger.Record
	refused := l.rec
	refused.Reason = "absent: there is no such resource"
	for _, client := range clients {
		class := consent.Class{
			Type: provenance, Controller: actor.Controller, Register: actor.Register, Unit: parts[0].Actor.Unit, Author: actor.App,
		}
		if client != "" {
			class.Clients = []string{client}
		}
		decision := l.decide(consent.Read, class, facts)
		if decision.Outcome != consent.Permitted {
			refused = deny(describe(l.rec, class, facts, &decision), &decision)
			continue
		}
		next := l.rec
		if len(records) > 0 {
			next = follow(l.rec)
		}
		next = describe(next, class, facts, &decision)
		next.Success, next.Entities = true, []ledger.Entity{{What: provenance + "/" + id, Role: "match"}}
		records = append(records, next)
		for i := range parts {
			if parts[i].Client == client {
				seen = append(seen, parts[i])
			}
		}
	}
	if len(seen) == 0 {
		return nil, l.conceal(ctx, refused, absent(provenance, id))
	}
	doc := ledger.Provenance(seen)
	row := store.Row{
		Type: provenance, ID: id, Version: 1, Updated: seen[0].Time, Method: "POST", Class: consent.Class{Register: actor.Register},
	}
	setMeta(doc, row)
	if err := l.commit(ctx, records...); err != nil {
		return nil, err
	}
	return &Resource{Type: row.Type, ID: row.ID, Version: row.Version, Updated: row.Updated, Method: row.Method, Body: doc.AppendJSON(nil)}, nil
}

// disclosedTo are the records of an exchange that disclosed data to an actor, in the order in which they were made.
func (l *look) disclosedTo(ctx context.Context, a consent.Actor, exchange string) (out []ledger.Record, _ error) {
	_, err := l.sift(ctx, store.EntryQuery{
		Exchange: exchange, App: []string{a.App}, Outcome: []string{consent.Permitted.String()}, Ascending: true, Limit: 1000,
	}, math.MaxInt, func(t *told) (bool, error) {
		if t.rec.Owed() && received(t.rec.Actor, a) {
			out = append(out, *t.rec)
		}
		return false, nil
	})
	return out, err
}

// received says whether what one actor received is the other's to know: the same user's, or a colleague's of the unit.
func received(by, a consent.Actor) bool {
	if by.App != a.App || by.Kind != a.Kind || by.Controller != a.Controller || by.Register != a.Register {
		return false
	}
	return by.User == a.User || by.Kind == consent.Professional && by.Unit != "" && by.Unit == a.Unit
}
