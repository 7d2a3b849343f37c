package exchange

import (
	"context"
	"errors"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/store"
	"sotesilta/internal/fhir"
)

// look is an exchange in which the caller asks to see something. It keeps the law's order: what is found in its snapshot is
// decided on, the records are committed, and only then may the answer be released (law 3).
type look struct {
	store.Snapshot
	desk   *Desk
	caller Caller
	rec    ledger.Record // of the exchange, or what its records begin with; until something permits it, a denial
}

// look begins a look; it is closed when it is over.
func (d *Desk) look(ctx context.Context, c Caller, i Interaction, target string) (*look, error) {
	return d.begin(ctx, d.open, c, i, target)
}

// lookBeside is look for an exchange that reads the store by another snapshot as well (openBeside).
func (d *Desk) lookBeside(ctx context.Context, c Caller, i Interaction, target string) (*look, error) {
	return d.begin(ctx, d.openBeside, c, i, target)
}

func (d *Desk) begin(ctx context.Context, open func(context.Context) (store.Snapshot, error), c Caller, i Interaction, target string) (*look, error) {
	snap, err := open(ctx)
	if err != nil {
		return nil, err
	}
	return &look{snap, d, c, d.record(c, i, target)}, nil
}

// find gets a row of a type and what is known of its clients; found is false when there is no such row.
func (l *look) find(ctx context.Context, typ string, get func(store.Snapshot) (store.Row, error)) (row store.Row, facts map[string]*consent.Facts, found bool, _ error) {
	row, err := get(l.Snapshot)
	if errors.Is(err, store.ErrNotFound) {
		return row, nil, false, l.asker().decoy(ctx, l.Snapshot, typ, l.rec)
	}
	if err != nil {
		return row, nil, false, unrecorded(err)
	}
	if facts, err = l.Facts(ctx, row.Class.Clients...); err != nil {
		return row, nil, false, unrecorded(err)
	}
	return row, facts, true, nil
}

// current finds the newest version of a resource, which may be its deletion.
func (l *look) current(ctx context.Context, typ, id string) (row store.Row, facts map[string]*consent.Facts, found bool, _ error) {
	return l.find(ctx, typ, func(snap store.Snapshot) (store.Row, error) { return snap.Get(ctx, typ, id) })
}

// organisation is what the directory says of Organization/…; nil where it knows none.
func (l *look) organisation(ctx context.Context, ref string) (*fhir.Value, error) {
	row, err := l.Get(ctx, "Organization", fhir.ParseReference(ref).ID)
	switch {
	case errors.Is(err, store.ErrNotFound) || err == nil && (row.Deleted || row.Class.Register != consent.Directory):
		return nil, nil
	case err != nil:
		return nil, unrecorded(err)
	}
	doc, err := fhir.Parse(row.Body, fhir.DefaultLimits)
	return doc, unrecordedIf(err)
}

// asker is who looks, at the time of the look.
func (l *look) asker() *asker { return &asker{l.caller, l.rec.Time} }

// decide asks the law whether the caller may do something with a class, at the time of the look.
func (l *look) decide(action consent.Action, class consent.Class, facts map[string]*consent.Facts) consent.Decision {
	return l.asker().decide(action, class, facts)
}

// guard decides the classes of one search of the look.
func (l *look) guard() *guard { return &guard{asker: *l.asker()} }

// audits decides whether the caller may see what is kept for supervision of its controller (703/2023 § 10; 906/2019 § 17):
// the ledger, and the register of users and rights. The record tells of it either way.
func (l *look) audits() bool {
	class := auditClass(l.caller.Actor.Controller)
	decision := l.decide(consent.Audit, class, nil)
	l.rec = describe(l.rec, class, nil, &decision)
	if decision.Outcome != consent.Permitted {
		l.rec = deny(l.rec, &decision)
		return false
	}
	return true
}

// saw adds to the record what the caller is shown.
func (l *look) saw(what string) {
	l.rec.Entities = append(l.rec.Entities, ledger.Entity{What: what, Role: "match"})
}

// commit makes records durable after closing the snapshot. Only when it succeeded may the answer be released.
func (l *look) commit(ctx context.Context, records ...ledger.Record) error {
	opened := l.Time()
	l.Close()
	return l.desk.commit(ctx, opened, records...)
}

// conceal commits the record of what was denied or is not there, and answers the one refusal that both have.
func (l *look) conceal(ctx context.Context, rec ledger.Record, refusal *Error) error {
	if err := l.commit(ctx, rec); err != nil {
		return err
	}
	return refusal
}
