package sqlstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sotesilta/gateway/search"
	"sotesilta/gateway/store"
)

// across searches several types at once. Each type is searched by itself, by the driver that costs the least for it, for
// the places of its rows alone; these are merged in their order, of equal ones by the name of the type, and only then the
// bodies of the page are read, so that a page takes no more room whatever the number of types. The guard is asked once,
// about the classes of all of them.
func (n *snapshot) across(ctx context.Context, q *search.Query, g store.Guard) (store.Result, error) {
	out := store.Result{Total: -1}
	total := q.Total || q.Summary || q.Count <= 0
	if total {
		out.Total = 0
	}
	order := make([]sorting, len(q.Across))
	var prints []string
	for i, of := range q.Across {
		var err error
		if order[i], err = sortKeys(of); err != nil {
			return out, err
		}
		if prints = append(prints, fmt.Sprint(order[i].print)); !slices.Equal(order[i].kinds(), order[0].kinds()) {
			return out, fmt.Errorf("%w: sorted by values of several kinds", errClause)
		}
	}
	print := fingerprint(strings.Join(prints, " "))
	var from *cursor
	if q.Cursor != "" {
		c, err := readCursor(q.Cursor, print, order[0].kinds())
		if err != nil || !q.Searches(c.Type) {
			return out, store.ErrCursor
		}
		from = &c
	}
	whole := &plan{d: n.s.engine}
	var err error
	if whole.params, err = n.numbers(ctx, q); err != nil {
		return out, err
	}
	permitted, err := n.permit(ctx, q, whole, g)
	if err != nil || len(whole.own) == 0 {
		return out, err
	}
	var hits []hit
	for i, of := range q.Across {
		p := whole.of(of, permitted)
		if len(p.own) == 0 {
			continue
		}
		after := from
		if from != nil {
			c := *from
			c.even = of.Type > c.Type
			after = &c
		}
		part := store.Result{Total: min(out.Total, 0)}
		found, _, err := n.found(ctx, p, &search.Query{Count: q.Count, Summary: q.Summary}, order[i], after, &part)
		if err != nil {
			return out, err
		}
		hits = append(hits, found...)
		if total {
			out.Total += part.Total
		}
	}
	slices.SortFunc(hits, func(a, b hit) int { return cmp.Or(order[0].compare(&a, &b), strings.Compare(a.row.Type, b.row.Type)) })
	if q.Summary || q.Count <= 0 {
		return out, nil
	}
	more := len(hits) > q.Count
	hits = hits[:min(len(hits), q.Count)]
	if out.Matches, err = n.rowsAt(ctx, hits, permitted); err != nil {
		return out, err
	}
	if more = more || len(out.Matches) < len(hits); more {
		last := hits[len(out.Matches)-1]
		if out.Next = (cursor{Sort: print, Keys: last.keys, ID: last.row.ID, Type: last.row.Type}).String(); out.Next == "" {
			return out, errors.New("a sort key that no cursor can hold")
		}
	}
	if len(q.Includes) > 0 && len(out.Matches) > 0 {
		seen := make(map[int64]bool, len(out.Matches))
		rids := make([]int64, len(out.Matches))
		for i := range out.Matches {
			seen[hits[i].rid], rids[i] = true, hits[i].rid
		}
		out.Includes, out.Cut, err = n.includes(ctx, whole, q.Includes, rids, seen, permitted)
	}
	return out, err
}

// of is the plan of one type of a search across types.
func (p *plan) of(q *search.Query, permitted map[int64]*store.Grant) *plan {
	part := *p
	part.typ, part.where, part.places, part.own = q.Type, q.Where, true, nil
	for _, no := range p.own {
		if permitted[no].Class.Type == q.Type {
			part.own = append(part.own, no)
		}
	}
	return &part
}

// placesOf reads where the rows of a page are, with what they are sorted by: at most one more than count, which tells that
// there are others.
func (n *snapshot) placesOf(ctx context.Context, typ string, keys sorting, count int, sql string, args []any) (out []hit, more bool, _ error) {
	var h hit
	h.row.Type = typ
	h.keys = make([]any, len(keys.keys))
	dest := []any{&h.rid, &h.row.ID, &h.vid}
	for i := range h.keys {
		dest = append(dest, &h.keys[i])
	}
	err := each(ctx, n.r, func(rows Rows) error {
		err := rows.Scan(dest...)
		out = append(out, hit{row: h.row, rid: h.rid, vid: h.vid, keys: slices.Clone(h.keys)})
		return err
	}, sql, args...)
	return out, len(out) > count, err
}

// rowsAt reads the rows at some places, in their order, as far as there is room.
func (n *snapshot) rowsAt(ctx context.Context, hits []hit, permitted map[int64]*store.Grant) ([]store.Found, error) {
	if len(hits) == 0 {
		return nil, nil
	}
	places := make([][3]int64, len(hits))
	for i, h := range hits {
		places[i] = [3]int64{h.vid, int64(i)}
	}
	d := n.s.engine
	var a arguments
	sql := over(d, "("+d.Spans(a.arg, places)+") o").look("version", "v", "v.vid = o.c").look("resource", "r", "r.rid = v.rid").
		sql(versionColumns + ", o.f")
	read := func(sql string) ([]store.Found, error) {
		out := make([]store.Found, 0, len(hits))
		in := newRoom(len(hits))
		var at int64
		scan := newScan(&at)
		err := each(ctx, n.r, func(rows Rows) error {
			if !in.left() {
				return errEnough
			}
			row, class, err := scan.next(rows)
			if err != nil {
				return err
			}
			if at != int64(len(out)) {
				return errDisorder
			}
			grant := permitted[class]
			if grant == nil {
				return errOutside
			}
			row.Class = grant.Class
			in.take(&row)
			out = append(out, store.Found{Row: row, Decision: &grant.Decision})
			return nil
		}, sql, a.args...)
		return out, err
	}
	out, err := read(sql)
	if errors.Is(err, errDisorder) {
		out, err = read(sql + " ORDER BY o.f")
	}
	return out, err
}
