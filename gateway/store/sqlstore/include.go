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
	}, "SELECT "+versionColumns+", r.rid FROM ("+d.Ints("$1")+") x CROSS JOIN resource r CROSS JOIN version v WHERE r.rid = x.v AND v.vid = r.vid",
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
	sql := ""
	target := ""
	if i.Reverse {
		if i.Target != "" {
			target = " AND b.type = " + s.text(i.Target)
		}
		sql = fmt.Sprintf(`SELECT DISTINCT t.rid FROM (%s) m CROSS JOIN resource b CROSS JOIN ix_reference x CROSS JOIN resource t
			WHERE b.rid = m.v%s AND x.param = %d AND x.id = b.id AND x.type = b.type AND t.rid = x.rid AND %s`,
			s.d.Ints(s.arg(s.d.IntsArg(from))), target, s.number(i.Type, i.Param.Name), s.permitted("t"))
	} else {
		if i.Target != "" {
			target = " AND x.type = " + s.text(i.Target)
		}
		sql = fmt.Sprintf(`SELECT DISTINCT t.rid FROM (%s) m CROSS JOIN ix_reference x CROSS JOIN resource t
			WHERE x.rid = m.v AND x.param = %d%s AND t.type = x.type AND t.id = x.id AND %s`,
			s.d.Ints(s.arg(s.d.IntsArg(from))), s.number(i.Type, i.Param.Name), target, s.permitted("t"))
	}
	sql += " AND (t.rid IN (" + s.d.Ints(s.arg(s.d.IntsArg(known))) + ")) IS NOT TRUE ORDER BY t.rid LIMIT " + strconv.Itoa(limit)
	var out []int64
	err := each(ctx, n.r, func(rows Rows) error {
		var rid int64
		err := rows.Scan(&rid)
		out = append(out, rid)
		return err
	}, sql, s.args...)
	return out, err
}
