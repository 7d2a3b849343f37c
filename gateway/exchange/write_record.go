package exchange

import (
	"context"
	"errors"
	"fmt"

	"sotesilta/consent/ledger"
	"sotesilta/gateway/search"
	"sotesilta/gateway/store"
	"sotesilta/internal/finland"
)

// matched records the disclosure of a conditional create's match.
func (w *writing) matched(match store.Found, g *guard) {
	if !recorded(match.Class) {
		return
	}
	for _, client := range match.Class.Clients {
		w.facts[client] = g.facts[client] // what was released rests on them
	}
	for _, client := range orNobody(match.Class.Clients) {
		rec := w.recordOf(client)
		*rec = describe(*rec, match.Class, g.facts, match.Decision)
		rec.Entities = append(rec.Entities, ledger.Entity{What: versioned(match.Row), Role: "match"})
	}
}

// entity adds what was written to the records of its clients. What Rules added is about a client whom a decision of
// this change is about: otherwise nothing would permit it.
func (w *writing) entity(item *Item, row store.Row) error {
	role := "updated"
	switch {
	case row.Deleted:
		role = "deleted"
	case item.Before == nil:
		role = "created"
	case row.Version == item.Before.Version: // nothing changed: it was looked at
		role = "match"
	}
	for _, client := range orNobody(item.Class.Clients) {
		if rec := w.delivered[item][client]; rec != nil {
			rec.Entities = append(rec.Entities, ledger.Entity{What: versioned(row), Role: role})
			continue
		}
		if w.basis[client] == nil {
			return unrecorded(fmt.Errorf("exchange: the process changes %s of a client whom nothing was decided about", item.Ref()))
		}
		rec := w.basis[client]
		rec.Entities = append(rec.Entities, ledger.Entity{What: versioned(row), Role: role})
	}
	return nil
}

// recordOf is the record of a client in this exchange.
func (w *writing) recordOf(client string) *ledger.Record {
	if rec := w.basis[client]; rec != nil {
		return rec
	}
	interaction, target := w.ops[0].Interaction, w.ops[0].Type
	if len(w.ops) > 1 {
		interaction, target = "transaction", ""
	} else if w.items[0] != nil {
		target = w.items[0].Ref()
	}
	rec := about(w.record(interaction, target), client, w.facts)
	w.basis[client] = &rec
	w.records = append(w.records, &rec)
	return &rec
}

// record begins a record of this attempt, under the time that it is decided for.
func (w *writing) record(i Interaction, target string) ledger.Record {
	rec := w.desk.record(w.caller, i, target)
	rec.Time = w.at
	return rec
}

// finished are the records of the change, the first one under the request's id. What is not a denial of a Delete that
// changes nothing was permitted and done.
func (w *writing) finished() []ledger.Record {
	out := make([]ledger.Record, 0, len(w.records))
	for i, rec := range w.records {
		next := *rec
		if w.basis[rec.Client] == rec {
			next.Outcome, next.Success = "permit", true
		}
		if i > 0 {
			next.ID = ledger.NewID()
		}
		out = append(out, next)
	}
	return out
}

// refused records a refusal and answers it. One record: what the law said no to, otherwise the caller's sight of the row
// that the refusal tells of. What could not be recorded or decided told nothing.
func (w *writing) refused(ctx context.Context, err error) error {
	var refusal *Error
	if !errors.As(err, &refusal) || refusal.Kind == Unrecorded || refusal.Kind == Busy || w.draft == nil {
		return err
	}
	rec := w.denial
	if rec == nil {
		made := w.refusal(refusal)
		rec = &made
	}
	if failure := w.desk.store.Commit(ctx, store.Change{Records: []ledger.Record{*rec}}); failure != nil {
		return w.desk.failed(failure)
	}
	return err
}

// refusal is the record of a change that a rule refused although the law would have let the caller see the row.
func (w *writing) refusal(refusal *Error) ledger.Record {
	op := w.ops[max(refusal.Entry, 0)]
	target := op.Type
	if op.ID != "" {
		target += "/" + op.ID
	}
	rec := w.record(op.Interaction, target)
	for _, condition := range []*search.Query{op.Where, op.IfNoneExist} {
		if condition != nil {
			rec.Query = condition.Raw
		}
	}
	for item, seen := range w.seen {
		if item.Type == op.Type && item.ID == op.ID {
			rec = *seen
		}
	}
	if rec.Client == "" && refusal.Entry >= 0 && refusal.Entry < len(w.items) && w.items[refusal.Entry] != nil {
		for _, client := range w.items[refusal.Entry].Class.Clients {
			if w.facts[client] != nil {
				rec = about(rec, client, w.facts)
				break
			}
		}
	}
	rec.Success = false
	rec.Reason = finland.MaskIdentityCodes("refused: " + refusal.Error())
	return rec
}
