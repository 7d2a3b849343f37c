package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"sotesilta/gateway/search"
	"sotesilta/gateway/store"
)

// maxIncludes bounds the rows included in a page; those beyond are left out.
const maxIncludes = 1000

// includes follows _include and _revinclude from the matches of a page, and with iterate from what was included, to
// permitted rows not yet seen.
func (n *snapshot) includes(ctx context.Context, p *plan, includes []search.Include, matches []int64, seen map[int64]bool, permitted map[int64]*store.Grant) ([]store.Found, error) {
	var order []int64
	first := true
	for step := matches; len(step) > 0 && len(order) < maxIncludes; first = false {
		var next []int64
		for _, i := range includes {
			if !first && !i.Iterate {
				continue
			}
			rids, err := n.follow(ctx, p, i, step, seen, maxIncludes-len(order))
			if err != nil {
				return nil, err
			}
			for _, rid := range rids {
				seen[rid] = true
			}
			order, next = append(order, rids...), append(next, rids...)
		}
		step = next
	}
	if len(order) == 0 {
		return nil, nil
	}
	found := make(map[int64]store.Found, len(order))
	d := n.s.engine
	err := each(ctx, n.r, func(rows Rows) error {
		var rid int64
		row, class, err := scanRow(rows, &rid)
		if err != nil {
			return err
		}
		grant := permitted[class]
		if grant == nil {
			return errors.New("an included row outside the permitted classes")
		}
		row.Class = grant.Class
		found[rid] = store.Found{Row: row, Decision: &grant.Decision}
		return nil
	}, over(d, "("+d.Ints("$1")+") x").look("resource", "r", "r.rid = x.v").look("version", "v", "v.vid = r.vid").sql(versionColumns+", r.rid"),
		d.IntsArg(order))
	if err != nil {
		return nil, err
	}
	out := make([]store.Found, 0, len(order))
	for _, rid := range order {
		out = append(out, found[rid])
	}
	return out, nil
}

// follow gives the permitted rows, not seen yet, that an include leads to from rows.
func (n *snapshot) follow(ctx context.Context, p *plan, i search.Include, from []int64, seen map[int64]bool, limit int) ([]int64, error) {
	if limit <= 0 {
		return nil, nil
	}
	known := make([]int64, 0, len(seen))
	for rid := range seen {
		known = append(known, rid)
	}
	s := &statement{plan: p}
	j := over(s.d, "("+s.d.Ints(s.arg(s.d.IntsArg(from)))+") m")
	pointed := "x"
	if i.Reverse {
		j.look("resource", "b", "b.rid = m.v").
			look("ix_reference", "x", fmt.Sprintf("x.param = %d AND x.id = b.id AND x.type = b.type", s.number(i.Type, i.Param.Name))).
			look("resource", "t", "t.rid = x.rid")
		pointed = "b"
	} else {
		j.look("ix_reference", "x", fmt.Sprintf("x.rid = m.v AND x.param = %d", s.number(i.Type, i.Param.Name))).
			look("resource", "t", "t.type = x.type AND t.id = x.id")
	}
	if i.Target != "" {
		j.and(pointed + ".type = " + s.text(i.Target))
	}
	j.and(s.permitted("t")).and("(t.rid IN (" + s.d.Ints(s.arg(s.d.IntsArg(known))) + ")) IS NOT TRUE")
	sql := j.sql("DISTINCT t.rid") + " ORDER BY t.rid LIMIT " + strconv.Itoa(limit)
	var out []int64
	err := each(ctx, n.r, func(rows Rows) error {
		var rid int64
		err := rows.Scan(&rid)
		out = append(out, rid)
		return err
	}, sql, s.args...)
	return out, err
}
