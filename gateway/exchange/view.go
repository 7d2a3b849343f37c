package exchange

import (
	"context"
	"errors"

	"sotesilta/consent"
	"sotesilta/gateway/search"
	"sotesilta/gateway/store"
	"sotesilta/internal/fhir"
)

// view shows Rules the rows of the attempt's snapshot. The facts that it shows or decides on must still be so when the
// change commits; Rules say themselves what else must (Draft.Keys).
type view struct{ *writing }

func (v *view) Get(ctx context.Context, typ, id string) (*Current, error) {
	row, err := v.snap.Get(ctx, typ, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, unrecorded(err)
	}
	return current(row)
}

func (v *view) Process(ctx context.Context, process string) ([]*Current, error) {
	rows, err := v.snap.Process(ctx, process)
	if err != nil {
		return nil, unrecorded(err)
	}
	return currents(rows)
}

func (v *view) Facts(ctx context.Context, client string) (*consent.Facts, error) {
	if err := v.know(ctx, []string{client}); err != nil {
		return nil, err
	}
	if v.facts[client] == nil {
		return &consent.Facts{Client: client}, nil
	}
	return v.facts[client], nil
}

func (v *view) Visible(ctx context.Context, row *Current) (bool, error) {
	if err := v.know(ctx, row.Class.Clients); err != nil {
		return false, err
	}
	decision := v.decide(consent.Read, row.Class, v.facts)
	return permits(&decision, store.Row{Type: row.Type, ID: row.ID, Class: row.Class, Recorded: row.Recorded}), nil
}

// ownLimit bounds what View.Own lists.
const ownLimit = 100

func (v *view) Own(ctx context.Context, typ, client string) ([]*Current, error) {
	param := search.Lookup(typ, "patient")
	if param == nil {
		param = search.Lookup(typ, "subject")
	}
	if param == nil {
		return nil, nil
	}
	found, err := v.snap.Search(ctx, &search.Query{
		Type: typ, Count: ownLimit,
		Where: []search.Clause{{Param: param, Values: []search.Value{{RefType: "Patient", RefID: client}}}},
	}, &guard{asker: v.asker, only: []string{client}})
	if err != nil {
		return nil, v.desk.failed(err)
	}
	rows := make([]store.Row, len(found.Matches))
	for i := range found.Matches {
		rows[i] = found.Matches[i].Row
	}
	return currents(rows)
}

func (v *view) Person(ref string) (consent.Actor, bool) { return v.desk.person(ref) }

// current reads a row; a deletion is nil.
func current(row store.Row) (*Current, error) {
	if row.Deleted {
		return nil, nil
	}
	doc, err := fhir.Parse(row.Body, fhir.DefaultLimits)
	if err != nil {
		return nil, unrecorded(err)
	}
	return &Current{
		Type: row.Type, ID: row.ID, Version: row.Version, Class: row.Class, Recorded: row.Recorded, Updated: row.Updated, Doc: doc,
	}, nil
}

func currents(rows []store.Row) ([]*Current, error) {
	out := make([]*Current, 0, len(rows))
	for _, row := range rows {
		c, err := current(row)
		if err != nil {
			return nil, err
		}
		if c != nil {
			out = append(out, c)
		}
	}
	return out, nil
}
