package exchange

import (
	"context"
	"slices"
	"strconv"
	"time"

	"sotesilta/consent"
	"sotesilta/gateway/store"
	"sotesilta/internal/fhir"
)

// maxNamed bounds the resources that a CarePlan itself names.
const maxNamed = 500

// Gathering says which part of everything is wanted, and which page of it.
type Gathering struct {
	Types  []string  // of these types; empty: all
	Since  time.Time // changed at or after
	Care   Span      // with a date of care in this span, or with none (FHIR R4 Patient/$everything: start and end)
	Cursor string    // Page.Next of the page before
	Count  int       // resources a page
}

// Everything answers a page of what the caller may see of a client (Patient/$everything: the Patient and every resource
// whose label names the client), or of a plan (CarePlan/$everything: the plan, the rows of its process, and what the plan
// itself refers to): current versions, the oldest first. Absent when the caller may not see the Patient or the plan. What
// is hidden takes no part; one record for the question, and one per client whose data left.
func (d *Desk) Everything(ctx context.Context, c Caller, typ, id string, of Gathering) (page *Page, err error) {
	c = d.complete(c)
	if err := allowed(c, typ, Everything); err != nil {
		return nil, err
	}
	asked := d.question(c, Everything)
	defer func() {
		if err != nil || len(page.Matches) == 0 {
			asked.wait(ctx)
		}
	}()
	row, err := d.visible(ctx, c, typ, id)
	if err != nil {
		return nil, err
	}
	q := store.VersionQuery{
		Types: of.Types, Current: true, Since: of.Since, CareFrom: of.Care.From, CareTo: of.Care.To, Cursor: of.Cursor, Limit: of.Count,
	}
	switch typ {
	case "Patient":
		q.Clients = []string{id}
	case "CarePlan":
		q.Process = "CarePlan/" + id
		if q.Rows, err = named(row); err != nil {
			return nil, err
		}
	default:
		return nil, Refuse(Invalid, "not-supported", "", "There is no $everything of a "+typ+".")
	}
	return d.versions(ctx, c, Everything, typ+"/"+id, q)
}

// named are a row itself and what it refers to here, each once.
func named(row *store.Row) ([]string, error) {
	doc, err := fhir.Parse(row.Body, fhir.DefaultLimits)
	if err != nil {
		return nil, unrecorded(err)
	}
	out := []string{row.Type + "/" + row.ID}
	for ref := range fhir.References(doc) {
		if to := ref.Parse(); to.Local() && to.Type != auditEvent {
			out = append(out, to.Type+"/"+to.ID)
		}
	}
	slices.Sort(out)
	if out = slices.Compact(out); len(out) > maxNamed {
		return nil, Refuse(TooCostly, "too-costly", "", "The "+row.Type+" refers to more than "+strconv.Itoa(maxNamed)+" resources: search them by type.")
	}
	return out, nil
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
