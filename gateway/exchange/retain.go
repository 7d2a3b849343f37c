package exchange

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/store"
)

// Bounds of one erasure.
const (
	eraseBatch = 500    // records erased in one transaction
	eraseMost  = 20_000 // records erased by one call
)

// retention is the key that erasures move, so that two nodes do not erase the same at once.
var retention = keyOf("ledger", "retention")

// Retain erases the content of records whose retention time is over (703/2023 § 24 and annex: twelve years from the
// event), oldest first, and answers how many. Each batch is one transaction with the record of the erasure, which names
// what it erased by node and count and is itself never erased. The tree and the chains stay whole.
func (d *Desk) Retain(ctx context.Context, operator consent.Actor) (int, error) {
	erased := 0
	for erased < eraseMost {
		n, err := d.retainOnce(ctx, operator)
		if errors.Is(err, store.ErrStale) { // another node erases
			return erased, nil
		}
		if err != nil {
			return erased, d.failed(err)
		}
		if erased += n; n == 0 {
			break
		}
	}
	return erased, nil
}

func (d *Desk) retainOnce(ctx context.Context, operator consent.Actor) (int, error) {
	snap, err := d.open(ctx)
	if err != nil {
		return 0, err
	}
	defer snap.Close()
	version, err := snap.Key(ctx, retention)
	if err != nil {
		return 0, unrecorded(err)
	}
	over, err := d.expired(ctx, snap)
	if err != nil || len(over) == 0 {
		return 0, err
	}
	rec := d.record(d.complete(Caller{Actor: operator}), Interaction(ledger.Erase), "")
	rec.Outcome, rec.Success = consent.Permitted.String(), true
	rec.Bases = []consent.Basis{basisOf(d.current(), "ATL-24")}
	rec.Reason = "the retention time of " + strconv.Itoa(len(over)) + " records is over: " + strconv.Itoa(ledger.RetentionYears) + " years from the event"
	change := store.Change{
		Expect: []store.Expect{{Key: retention, Version: version}}, Keys: []string{retention}, Erase: spans(over),
	}
	for _, s := range change.Erase {
		rec.Entities = append(rec.Entities, ledger.ErasedEntity(s.Node, s.First, s.Last))
	}
	change.Records = []ledger.Record{rec}
	snap.Close()
	return len(over), d.store.Commit(ctx, change)
}

// basisOf is a row of the table of legal bases as the law in force writes it, for what the gateway does of itself.
func basisOf(law consent.Decider, id string) consent.Basis {
	if rows, ok := law.(interface {
		Basis(id string) (consent.Basis, bool)
	}); ok {
		if basis, ok := rows.Basis(id); ok {
			return basis
		}
	}
	return consent.Basis{ID: id}
}

// expired are the oldest records that are over their time, at most a batch.
func (d *Desk) expired(ctx context.Context, snap store.Snapshot) ([]ledger.Entry, error) {
	var over []ledger.Entry
	q := store.EntryQuery{To: ledger.Expired(d.clock()), Ascending: true, Limit: eraseBatch}
	for {
		page, err := snap.Entries(ctx, q)
		if err != nil {
			return nil, unrecorded(err)
		}
		for _, e := range page.Entries {
			kept := slices.Contains(e.Columns, ledger.Column{Name: ledger.ColumnInteraction, Value: ledger.Erase})
			if e.Seq >= 0 && !kept {
				over = append(over, e)
			}
		}
		if len(over) > 0 || page.Next == "" {
			return over, nil
		}
		q.After = page.Next
	}
}

// spans are the entries as ranges of counts of their nodes, in order.
func spans(entries []ledger.Entry) []store.Span {
	slices.SortFunc(entries, func(a, b ledger.Entry) int {
		return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Count, b.Count))
	})
	var out []store.Span
	for _, e := range entries {
		if last := len(out) - 1; last >= 0 && out[last].Node == e.Node && out[last].Last == e.Count-1 {
			out[last].Last = e.Count
			continue
		}
		out = append(out, store.Span{Node: e.Node, First: e.Count, Last: e.Count})
	}
	return out
}
