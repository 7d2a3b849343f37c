package sqlstore

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"sotesilta/gateway/search"
	"sotesilta/gateway/store"
)

// maxIncludes bounds the rows included in a page, and maxSteps how far includes that iterate go; what is beyond is left
// out, and the result says so, as it does of what the bytes of a page have no room for.
const (
	maxIncludes = 1000
	maxSteps    = 8
)

// includes follows _include and _revinclude from the matches of a page, and with iterate from what was included, to
// permitted rows not yet seen. cut says that there are more than the bounds let in: of permitted rows alone.
func (n *snapshot) includes(ctx context.Context, p *plan, includes []search.Include, matches []int64, seen map[int64]bool, permitted map[int64]*store.Grant) (_ []store.Found, cut bool, _ error) {
	var order []int64
	for step, from := 0, matches; len(from) > 0 && !cut; step++ {
		var next []int64
		for _, i := range includes {
			if step > 0 && !i.Iterate {
				continue
			}
			rids, err := n.follow(ctx, p, i, from, seen, maxIncludes-len(order)+1)
			if err != nil {
				return nil, false, err
			}
			if len(rids) > 0 && (step == maxSteps || len(rids) > maxIncludes-len(order)) {
				rids, cut = rids[:min(len(rids), maxIncludes-len(order))], true
				if step == maxSteps {
					rids = nil
				}
			}
			for _, rid := range rids {
				seen[rid] = true
			}
			order, next = append(order, rids...), append(next, rids...)
		}
		from = next
	}
	if len(order) == 0 {
		return nil, cut, nil
	}
	found := make(map[int64]store.Found, len(order))
	d := n.s.engine
	in := newRoom(maxIncludes)
	var a arguments
	var rid int64
	scan := newScan(&rid)
	err := each(ctx, n.r, func(rows Rows) error {
		if !in.left() {
			cut = true
			return errEnough
		}
		row, class, err := scan.next(rows)
		if err != nil {
			return err
		}
		grant := permitted[class]
		if grant == nil {
			return errors.New("an included row outside the permitted classes")
		}
		row.Class = grant.Class
		in.take(&row)
		found[rid] = store.Found{Row: row, Decision: &grant.Decision}
		return nil
	}, over(d, "("+d.Ints(a.arg, order)+") o").look("resource", "r", "r.rid = o.v").look("version", "v", "v.vid = r.vid").sql(versionColumns+", r.rid"),
		a.args...)
	if err != nil {
		return nil, false, err
	}
	out := make([]store.Found, 0, len(order))
	for _, rid := range order {
		if row, ok := found[rid]; ok {
			out = append(out, row)
		}
	}
	return out, cut, nil
}

// pointing spells that a column is the number of one of an include's parameters.
func (s *statement) pointing(column string, i search.Include) string {
	var numbers []string
	for _, param := range i.Params {
		if no := s.number(i.Type, param.Name); no >= 0 {
			numbers = append(numbers, strconv.FormatInt(no, 10))
		}
	}
	switch len(numbers) {
	case 0:
		return column + " = -1"
	case 1:
		return column + " = " + numbers[0]
	}
	slices.Sort(numbers)
	return column + " IN (" + strings.Join(numbers, ", ") + ")"
}

// follow gives the permitted rows, not seen yet, that an include leads to from rows.
func (n *snapshot) follow(ctx context.Context, p *plan, i search.Include, from []int64, seen map[int64]bool, limit int) ([]int64, error) {
	known := make([]int64, 0, len(seen))
	for rid := range seen {
		known = append(known, rid)
	}
	s := &statement{plan: p}
	j := over(s.d, "("+s.ints(from)+") m")
	pointed := "x"
	if i.Reverse {
		j.look("resource", "b", "b.rid = m.v").
			look("ix_reference", "x", s.pointing("x.param", i)+" AND x.id = b.id AND x.type = b.type").
			look("resource", "t", "t.rid = x.rid")
		pointed = "b"
	} else {
		j.look("ix_reference", "x", "x.rid = m.v AND "+s.pointing("x.param", i)).
			look("resource", "t", "t.type = x.type AND t.id = x.id")
	}
	if i.Target != "" {
		j.and(pointed + ".type = " + s.text(i.Target))
	}
	j.and(s.permitted("t")).and("(t.rid IN (" + s.ints(known) + ")) IS NOT TRUE")
	return n.column(ctx, j.sql("DISTINCT t.rid")+" ORDER BY t.rid LIMIT "+strconv.Itoa(limit), s.args...)
}
