package exchange

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/store"
	"sotesilta/internal/fhir"
)

// maxGraph bounds the resources around a CarePlan.
const maxGraph = 500

// Everything answers a page of what the caller may see of a client (Patient/$everything): the Patient and every resource
// whose label names the client, current versions, the oldest first. Absent when the caller may not see the Patient.
// Types and Since narrow it. What is hidden takes no part; one record for the question, and one per client whose data left.
func (d *Desk) Everything(ctx context.Context, c Caller, client string, types []string, since time.Time, cursor string, count int) (page *Page, err error) {
	c = d.complete(c)
	if err := allowed(c, "Patient", Everything); err != nil {
		return nil, err
	}
	held := d.hold(c, Everything)
	defer func() {
		if err != nil || len(page.Matches) == 0 {
			held.wait(ctx)
		}
	}()
	if _, err := d.visible(ctx, c, "Patient", client); err != nil {
		return nil, err
	}
	return d.versions(ctx, c, Everything, "Patient/"+client, store.VersionQuery{
		Types: types, Clients: []string{client}, Current: true, Since: since, Cursor: cursor, Limit: count,
	})
}

// visible is a current row that the caller may read; what is absent, deleted or denied is recorded and refused alike.
func (d *Desk) visible(ctx context.Context, c Caller, typ, id string) (*store.Row, error) {
	l, err := d.look(ctx, c, Everything, typ+"/"+id)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	row, facts, found, err := l.current(ctx, typ, id)
	if err != nil {
		return nil, err
	}
	if !found || row.Deleted {
		l.rec.Reason = "absent: there is no such resource"
		return nil, l.conceal(ctx, l.rec, absent(typ, id))
	}
	class := l.decide(consent.Read, row.Class, facts)
	if decision := covering(&class, row); decision.Outcome != consent.Permitted {
		l.rec = deny(describe(l.rec, row.Class, facts, decision), decision)
		l.rec.Row = versioned(row)
		return nil, l.conceal(ctx, l.rec, absent(typ, id))
	}
	return &row, nil
}

// Graph answers a CarePlan with what belongs to it, as far as the caller may see each: the rows of its process, and what
// the plan itself refers to. Absent when the caller may not see the plan; at most maxGraph resources.
func (d *Desk) Graph(ctx context.Context, c Caller, id string) (page *Page, err error) {
	c = d.complete(c)
	if err := allowed(c, "CarePlan", Everything); err != nil {
		return nil, err
	}
	held := d.hold(c, Everything)
	defer func() {
		if err != nil {
			held.wait(ctx)
		}
	}()
	plan, err := d.visible(ctx, c, "CarePlan", id)
	if err != nil {
		return nil, err
	}
	l, err := d.look(ctx, c, Everything, "CarePlan/"+id)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	rows, err := around(ctx, l, plan)
	if err != nil {
		return nil, err
	}
	g := l.guard()
	for _, row := range rows {
		g.classes = append(g.classes, row.Class)
	}
	var clients []string
	for _, class := range g.classes {
		clients = union(clients, class.Clients)
	}
	facts, err := l.Facts(ctx, clients...)
	if err != nil {
		return nil, unrecorded(err)
	}
	decisions, err := g.Permit(ctx, g.classes, facts)
	if err != nil {
		return nil, err
	}
	var found []store.Found
	for i, row := range rows {
		if permits(&decisions[i], row) {
			found = append(found, store.Found{Row: row, Decision: &decisions[i]})
		}
	}
	left := &disclosed{first: l.rec, follow: true}
	page = &Page{Total: -1}
	if page.Matches, err = leave(found, "match", left, facts); err != nil {
		return nil, err
	}
	if err := l.commit(ctx, append([]ledger.Record{overview(l.rec, g)}, left.records()...)...); err != nil {
		return nil, err
	}
	return page, nil
}

// around are a plan as it stands, the current rows of its process and those that the plan refers to, each once.
func around(ctx context.Context, snap store.Snapshot, plan *store.Row) ([]store.Row, error) {
	rows, err := snap.Process(ctx, "CarePlan/"+plan.ID)
	if err != nil {
		return nil, unrecorded(err)
	}
	doc, err := fhir.Parse(plan.Body, fhir.DefaultLimits)
	if err != nil {
		return nil, unrecorded(err)
	}
	refs := []fhir.Reference{{Type: "CarePlan", ID: plan.ID}}
	for ref := range fhir.References(doc) {
		if to := ref.Parse(); to.Local() && to.Type != auditEvent {
			refs = append(refs, to)
		}
	}
	for _, ref := range refs {
		if slices.ContainsFunc(rows, func(r store.Row) bool { return r.Type == ref.Type && r.ID == ref.ID }) {
			continue
		}
		if len(rows) >= maxGraph {
			return nil, Refuse(TooCostly, "too-costly", "", "More than "+strconv.Itoa(maxGraph)+" resources belong to the plan: search them by type.")
		}
		row, err := snap.Get(ctx, ref.Type, ref.ID)
		switch {
		case errors.Is(err, store.ErrNotFound) || err == nil && row.Deleted:
		case err != nil:
			return nil, unrecorded(err)
		default:
			rows = append(rows, row)
		}
	}
	return rows, nil
}
