package sqlstore

import (
	"context"
	"fmt"
	"slices"

	"sotesilta/consent"
	"sotesilta/gateway/search"
	"sotesilta/gateway/store"
	"sotesilta/internal/fhir"
)

// Conditions on texts (_text, _content) have no index, for what it would cost everybody else. Measured on creates of a Task
// of 3 KB by 8 connections: a row of an index for each of 60 words makes the store's part of a create take two to four times
// as long, on SQLite and PostgreSQL; one row with the whole folded text an eighth longer, and its folding as much again. They are met in three steps of one snapshot. The other conditions find the rows that the guard permits; of
// these the bodies are read, as they leave, and compared; those that meet all drive the search, for its order, pages and
// total, as any driver does. A search whose other conditions leave too much to read is refused. What is hidden takes no
// part in any step, nor in what is counted against the bounds.

// driveByTexts finds the rows that the plan's conditions hold for, those on texts too, and lets them drive it.
// store.ErrTexts.
func (n *snapshot) driveByTexts(ctx context.Context, p *plan) error {
	if n.reading == nil {
		n.reading = &reading{store.MaxTexts, store.TextBytes}
	}
	var texts []search.Clause
	others := *p
	others.where = nil
	for _, c := range p.where {
		if c.Reads() {
			texts = append(texts, c)
		} else {
			others.where = append(others.where, c)
		}
	}
	p.where, p.met = nil, []int64{}
	best, cost, err := n.narrowest(ctx, &others)
	if err != nil || cost == 0 {
		return err
	}
	s := &statement{plan: &others}
	with, from, err := s.from(best, sorting{}, nil)
	if err != nil {
		return err
	}
	// The rows are found before any body is read.
	found := fmt.Sprintf("(%s LIMIT %d) p", from.sql("r.rid AS rid, r.id AS id, r.vid AS vid"), max(n.reading.rows, 0)+1)
	var rid int64
	scan := newCurrentScan(p.typ, &rid)
	return each(ctx, n.r, func(rows Rows) error {
		row, class, err := scan.next(rows)
		if err != nil {
			return err
		}
		doc, size, err := leaving(&row, p.grants.all[class])
		if err != nil {
			return err
		}
		if !n.reading.take(size) {
			return store.ErrTexts
		}
		said := search.Saying(doc)
		if !slices.ContainsFunc(texts, func(c search.Clause) bool { return !said.Meets(&c) }) {
			p.met = append(p.met, rid)
		}
		return ctx.Err()
	}, with+over(s.d, found).look("version", "v", "v.vid = p.vid").sql(currentColumns+", p.rid"), s.args...)
}

// narrowest is the driver that gives the fewest rows of those of a plan, with what it costs.
func (n *snapshot) narrowest(ctx context.Context, p *plan) (best *driver, cost int64, err error) {
	drivers := p.drivers()
	if len(drivers) == 1 {
		return drivers[0], gaugeFew, nil
	}
	if best, cost, err = n.gauge(ctx, p, drivers, gaugeFew); err != nil || cost < gaugeFew {
		return best, cost, err
	}
	return n.gauge(ctx, p, drivers, gaugeMany)
}

// leaving is a row's document as it leaves on a grant, and its size.
func leaving(row *store.Row, grant *store.Grant) (doc *fhir.Value, size int, err error) {
	if grant == nil {
		return nil, 0, errOutside
	}
	decision := grant.Decision.For(row.Type+"/"+row.ID, row.Recorded)
	if decision.Outcome != consent.Permitted {
		return nil, 0, errOutside
	}
	if doc, err = fhir.Parse(row.Body, fhir.DefaultLimits); err != nil || len(decision.Redact) == 0 {
		return doc, len(row.Body), err
	}
	for _, member := range decision.Redact {
		fhir.Withhold(doc, member)
	}
	return doc, len(doc.JSON()), nil // what is withheld does not count
}

// reading is how much more may be read of texts in a snapshot: by a search, whatever the number of its types, and by all
// conditions of a transaction together.
type reading struct{ rows, bytes int }

// take says whether a document of a size may still be read, and counts it.
func (r *reading) take(size int) bool {
	r.rows--
	r.bytes -= size
	return r.rows >= 0 && r.bytes >= 0
}
