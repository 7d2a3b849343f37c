package exchange

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/store"
)

// eraseBatch is how many records are erased in one transaction.
const eraseBatch = 500

// Retainer erases the content of records whose retention time is over (703/2023 § 24 and annex; ledger.Retentions), as
// KeepTerms lengthened it, but for those of clients that a legal hold keeps. It remembers how far it has come, so that what is
// kept longer is not looked through again each time. It is for one goroutine.
type Retainer struct {
	desk *Desk
	// through tells up to when everything was erased that is kept for so many years, under what was decided then.
	through map[int]time.Time
	decided string
}

// Retainer makes one.
func (d *Desk) Retainer() *Retainer { return &Retainer{desk: d} }

// Erase erases what is over its time, oldest first, at most so many records, and answers how many; progress, when not nil, is
// told of each batch. A batch is one transaction with the record of the erasure, which names what it erased by node and count
// and is itself never erased. The tree and the chains stay whole. Others may erase at once: none does so twice.
func (r *Retainer) Erase(ctx context.Context, most int, progress func(erased int)) (int, error) {
	erased := 0
	for again := 0; erased < most; {
		n, err := r.once(ctx, min(eraseBatch, most-erased))
		switch {
		case errors.Is(err, store.ErrStale) && again < attempts: // another erased, or something was decided
			again++
			continue
		case errors.Is(err, errNoTerms):
			return erased, err
		case err != nil:
			return erased, r.desk.failed(err)
		case n == 0:
			return erased, nil
		}
		again = 0
		if erased += n; progress != nil {
			progress(erased)
		}
	}
	return erased, nil
}

func (r *Retainer) once(ctx context.Context, most int) (int, error) {
	d := r.desk
	snap, err := d.open(ctx)
	if err != nil {
		return 0, err
	}
	defer snap.Close()
	k, err := d.kept(ctx, snap)
	if err != nil {
		return 0, err
	}
	if k.operator.App == "" {
		return 0, errNoTerms
	}
	if decided := fmt.Sprint(k.terms.List(), k.holds); decided != r.decided {
		r.decided, r.through = decided, map[int]time.Time{}
	}
	over, err := r.over(ctx, snap, k, most)
	if err != nil || len(over.entries) == 0 {
		return 0, err
	}
	rec := d.keepingRecord(k.operator, ledger.Erase)
	rec.Reason = over.reason(k.terms)
	change := store.Change{
		Expect: []store.Expect{{Key: retention, Version: k.version}}, Keys: []string{retention}, Erase: spans(over.entries),
	}
	for _, s := range change.Erase {
		rec.Entities = append(rec.Entities, ledger.ErasedEntity(s.Node, s.First, s.Last))
	}
	change.Records = []ledger.Record{rec}
	snap.Close()
	if err := d.store.Commit(ctx, change); err != nil {
		return 0, err
	}
	r.through[over.years] = over.until
	return len(over.entries), nil
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

// expired are records that are over their time, and how many of each class.
type expired struct {
	entries []ledger.Entry
	of      map[string]int
	// With them everything is erased that is kept no longer than so many years, and is older than until.
	years int
	until time.Time
}

// reason tells of the classes, and how long each was kept.
func (e *expired) reason(terms ledger.Terms) string {
	var parts []string
	for _, class := range slices.Sorted(maps.Keys(e.of)) {
		parts = append(parts, fmt.Sprintf("%d %s (%d years)", e.of[class], class, terms.Years(class)))
	}
	return "the retention time of " + strconv.Itoa(len(e.entries)) + " records is over: " + strings.Join(parts, ", ")
}

// over are records that are over their time, at most so many: of each number of years that classes are kept for, the oldest
// first, those that are kept no longer than that. What is kept longest goes first: of what is older nothing is left.
func (r *Retainer) over(ctx context.Context, snap store.Snapshot, k *keeping, most int) (*expired, error) {
	out := &expired{of: map[string]int{}}
	now := r.desk.clock()
	for _, years := range k.terms.Steps() {
		q := store.EntryQuery{From: r.through[years], To: ledger.ExpiredAfter(now, years), Ascending: true, Limit: most}
		for {
			page, err := snap.Entries(ctx, q)
			if err != nil {
				return nil, unrecorded(err)
			}
			for _, e := range page.Entries {
				rec, err := ledger.ParseRecord(e.Canonical)
				if err != nil {
					return nil, unrecorded(err)
				}
				out.years, out.until = years, rec.Time
				class := rec.Retention()
				if keeps := k.terms.Years(class); e.Seq < 0 || keeps == 0 || keeps > years || k.held(rec) {
					continue
				}
				out.entries = append(out.entries, e)
				out.of[class]++
			}
			if len(out.entries) > 0 {
				return out, nil
			}
			if page.Next == "" {
				break
			}
			q.After = page.Next
		}
		r.through[years] = q.To
	}
	return out, nil
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

// RetainedClass counts what is kept of a class.
type RetainedClass struct {
	Class   string    `json:"class"`
	TitleFi string    `json:"titleFi"`
	Of      string    `json:"of"`     // what falls into it
	Years   int       `json:"years"`  // kept for; 0: for ever
	Least   int       `json:"least"`  // by the law
	Since   string    `json:"since"`  // from what moment
	Source  string    `json:"source"` // of the time
	Records int64     `json:"records"`
	Over    int64     `json:"over"` // of Records: over their time, and not held back
	Held    int64     `json:"held"` // of Records: over their time, and held back by a legal hold
	Oldest  time.Time `json:"oldest,omitzero"`
	Next    time.Time `json:"next,omitzero"` // when the next that is not over its time will be
}

// Retained is what is kept of a ledger, by class.
type Retained struct {
	At      time.Time       `json:"at"`
	Classes []RetainedClass `json:"classes"`
	Holds   []LegalHold     `json:"holds"`
	Erased  int64           `json:"erased"` // records whose content is gone already
}

// Over is how many records would be erased.
func (r *Retained) Over() (n int64) {
	for _, c := range r.Classes {
		n += c.Over
	}
	return n
}

// Retained goes through the whole ledger and counts; progress, when not nil, is told now and then how many records were gone
// through. It is the operator's, tells of no client but those of the holds, and changes nothing.
func (d *Desk) Retained(ctx context.Context, progress func(records int64)) (*Retained, error) {
	snap, err := d.store.Snapshot(ctx)
	if err != nil {
		return nil, unrecorded(err)
	}
	k, err := d.kept(ctx, snap)
	snap.Close()
	if err != nil {
		return nil, err
	}
	out := &Retained{At: d.clock(), Holds: k.holds}
	place := map[string]int{}
	for _, of := range ledger.Retentions {
		if of.Class == ledger.KeptNewest || of.Class == ledger.KeptEarlier {
			continue // rows, and no records
		}
		place[of.Class] = len(out.Classes)
		out.Classes = append(out.Classes, RetainedClass{
			Class: of.Class, TitleFi: of.TitleFi, Of: of.Of, Years: k.terms.Years(of.Class), Least: of.Years, Since: of.Since, Source: of.Source,
		})
	}
	records := int64(0)
	for entry, err := range entries(ctx, d.store.Ledger()) {
		if err != nil {
			return nil, unrecorded(err)
		}
		if records++; progress != nil && records%10_000 == 0 {
			progress(records)
		}
		if entry.Canonical == nil {
			out.Erased++
			continue
		}
		rec, err := ledger.ParseRecord(entry.Canonical)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w (run gateway verify)", entry.Seq, err)
		}
		out.Classes[place[rec.Retention()]].count(rec, out.At, k)
	}
	return out, nil
}

// count takes in a record.
func (c *RetainedClass) count(rec *ledger.Record, at time.Time, k *keeping) {
	c.Records++
	if c.Oldest.IsZero() || rec.Time.Before(c.Oldest) {
		c.Oldest = rec.Time
	}
	if c.Years == 0 {
		return
	}
	switch until := rec.Time.AddDate(c.Years, 0, 0); {
	case until.After(at):
		if c.Next.IsZero() || until.Before(c.Next) {
			c.Next = until
		}
	case k.held(rec):
		c.Held++
	default:
		c.Over++
	}
}

// EraseAll is as many records as there are, for Erase.
const EraseAll = math.MaxInt
