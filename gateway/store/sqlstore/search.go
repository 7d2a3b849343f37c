package sqlstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sotesilta/gateway/search"
	"sotesilta/gateway/store"
)

// Search implements store.Snapshot.
func (n *snapshot) Search(ctx context.Context, q *search.Query, g store.Guard) (store.Result, error) {
	out, err := n.search(ctx, q, g)
	if err != nil && !errors.Is(err, store.ErrTooCostly) && !errors.Is(err, store.ErrTexts) && !errors.Is(err, store.ErrCursor) {
		err = fmt.Errorf("sqlstore: search: %w", err)
	}
	return out, err
}

func (n *snapshot) search(ctx context.Context, q *search.Query, g store.Guard) (store.Result, error) {
	out := store.Result{Total: -1}
	if err := ctx.Err(); err != nil {
		return out, err
	}
	if len(q.Across) > 0 {
		return n.across(ctx, q, g)
	}
	keys, err := sortKeys(q)
	if err != nil {
		return out, err
	}
	var from *cursor
	if q.Cursor != "" {
		c, err := readCursor(q.Cursor, keys.print, keys.kinds())
		if err != nil {
			return out, err
		}
		from = &c
	}
	total := q.Total || q.Summary || q.Count <= 0
	if total {
		out.Total = 0
	}
	p := &plan{d: n.s.engine, typ: q.Type, where: q.Where}
	if p.params, err = n.numbers(ctx, q); err != nil {
		return out, err
	}
	// The guard is asked before anything is matched: what it is shown, and what is recorded of it, must not depend on
	// what the search would have found.
	permitted, err := n.permit(ctx, q, p, g)
	if err != nil || len(p.own) == 0 {
		return out, err
	}
	found, more, err := n.found(ctx, p, q, keys, from, &out)
	if err != nil {
		return out, err
	}
	if more {
		last := found[len(found)-1]
		if out.Next = (cursor{Sort: keys.print, Keys: last.keys, ID: last.row.ID}).String(); out.Next == "" {
			return out, errors.New("a sort key that no cursor can hold")
		}
	}
	seen := make(map[int64]bool, len(found))
	rids := make([]int64, len(found))
	out.Matches = make([]store.Found, 0, len(found))
	for i, f := range found {
		seen[f.rid], rids[i] = true, f.rid
		grant := permitted[f.class]
		if grant == nil {
			return store.Result{}, errOutside
		}
		f.row.Class = grant.Class
		out.Matches = append(out.Matches, store.Found{Row: f.row, Decision: &grant.Decision})
	}
	if len(q.Includes) > 0 && len(rids) > 0 {
		out.Includes, out.Cut, err = n.includes(ctx, p, q.Includes, rids, seen, permitted)
	}
	return out, err
}

// found reads the total, if it is wanted, and the rows of a page, by the driver that costs the least; more says that there
// are others after them.
func (n *snapshot) found(ctx context.Context, p *plan, q *search.Query, keys sorting, from *cursor, out *store.Result) (hits []hit, more bool, err error) {
	if slices.ContainsFunc(p.where, func(c search.Clause) bool { return c.Reads() }) {
		if err := n.driveByTexts(ctx, p); err != nil || len(p.met) == 0 {
			return nil, false, err
		}
	}
	drivers := p.drivers()
	ordered := keys.ordered() && out.Total < 0
	best, cost := drivers[0], int64(gaugeFew)
	if len(drivers) > 1 || ordered && !best.sure {
		// What is likely to give few rows is taken at its word first: mostly that is the page, and nothing need be gauged.
		if i := slices.IndexFunc(drivers, func(d *driver) bool { return d.likely }); i >= 0 {
			tried := out.Total < 0 && q.Count > 0 && p.plainly()
			if tried {
				hits, more, err = n.page(n.s.engine.Brief(ctx), p, drivers[i].ifFew(), keys, from, q.Count)
				if err != nil || len(hits) > 0 {
					return hits, more, err
				}
			}
			if best, cost, err = n.gauge(n.s.engine.Brief(ctx), p, drivers[i:i+1], gaugeFew); err != nil || cost == 0 || tried && cost < gaugeFew {
				return nil, false, err
			}
		}
		if cost == gaugeFew {
			if best, cost, err = n.gauge(ctx, p, drivers, gaugeFew); err != nil || cost == 0 {
				return nil, false, err
			}
		}
		if cost == gaugeFew && ordered {
			hits, more, err := n.page(ctx, p, walkDriver(walked), keys, from, q.Count)
			if err != nil || more {
				return hits, more, err
			}
		}
		if cost == gaugeFew {
			if best, cost, err = n.gauge(ctx, p, drivers, gaugeMany); err != nil {
				return nil, false, err
			}
			if cost == gaugeMany && ordered {
				best = walkDriver(0)
			}
		}
	}
	if out.Total >= 0 {
		if out.Total, err = n.total(ctx, p, best); err != nil || q.Summary || q.Count <= 0 {
			return nil, false, err
		}
	}
	if cost < gaugeFew && p.plainly() {
		ctx = n.s.engine.Brief(ctx)
	}
	return n.page(ctx, p, best, keys, from, q.Count)
}

// plainly says whether each condition is about a resource's own values: then few rows are searched in no time.
func (p *plan) plainly() bool {
	return !slices.ContainsFunc(p.where, func(c search.Clause) bool { return c.Any != nil || c.Chain != nil || c.Has != nil })
}

// errOutside is answered for a row that is of none of the permitted classes: a statement joined more than the guard let out.
var errOutside = errors.New("a row outside the permitted classes")

// expected is how many rows of a page there is room for before they are there.
const expected = 16

// hit is a row found, with its sort keys.
type hit struct {
	row        store.Row
	rid, class int64
	vid        int64 // of a place whose body is not read yet
	keys       []any
}

// sorting is how a search is sorted.
type sorting struct {
	keys  []sortKey
	desc  bool   // of the id, which breaks ties
	print uint64 // tells cursors of one way of sorting from those of another
}

type sortKey struct {
	key    search.SortKey
	kind   keyKind
	column string // of the table resource; "" when it is a value of an index
}

// sortKeys reads _sort. Ties are broken by the id, in the direction of the last key, so that one walk of an index
// serves both.
func sortKeys(q *search.Query) (sorting, error) {
	s := sorting{}
	var print strings.Builder
	print.WriteString(q.Type)
	for _, k := range q.Sort {
		if k.Param == nil {
			return s, errClause
		}
		key := sortKey{key: k}
		switch {
		case k.Name == "_id":
			key.column = "id"
		case k.Name == "_lastUpdated":
			key.column, key.kind = "updated", intKey
		case k.Param.Type == search.Token, k.Param.Type == search.String, k.Param.Type == search.URI:
		case k.Param.Type == search.Date:
			key.kind = intKey
		case k.Param.Type == search.Quantity, k.Param.Type == search.NumberType:
			key.kind = realKey
		default:
			return s, fmt.Errorf("%w: sorted by %s", errClause, k.Name)
		}
		fmt.Fprintf(&print, "\x00%s %t", k.Name, k.Desc)
		s.desc = k.Desc
		if k.Name == "_id" {
			break // nothing after it can matter
		}
		s.keys = append(s.keys, key)
	}
	s.print = fingerprint(print.String())
	return s, nil
}

func (s sorting) kinds() []keyKind {
	kinds := make([]keyKind, len(s.keys))
	for i, k := range s.keys {
		kinds[i] = k.kind
	}
	return kinds
}

// direction spells the direction of the id.
func (s sorting) direction() string { return direction(s.desc) }

// present spells that a row is not deleted, so that only the index in the order of the search can be walked: that by
// time holds no others, that by id holds all.
func (s sorting) present(r string) string {
	if len(s.keys) > 0 {
		return r + ".deleted = 0"
	}
	return r + ".deleted + 0 = 0"
}

func direction(desc bool) string {
	if desc {
		return " DESC"
	}
	return ""
}

// ordered says whether an index of the table resource is in the order of the search.
func (s sorting) ordered() bool {
	return len(s.keys) == 0 || len(s.keys) == 1 && s.keys[0].column == "updated"
}

// sortValue spells the value that a resource is sorted by: the least, or descending the greatest, of its values. The
// empty operations keep a planner from walking the index of all values in their order.
func (s *statement) sortValue(k sortKey, r string) string {
	if k.column != "" {
		return r + "." + k.column
	}
	column := map[search.ParamType]string{
		search.Token: "code || ''", search.URI: "code || ''", search.String: "folded || ''", search.Date: "f + 0",
		search.Quantity: "low + 0", search.NumberType: "low + 0",
	}[k.key.Param.Type]
	pick, x := "min", s.alias("x")
	if k.key.Desc {
		pick = "max"
	}
	return fmt.Sprintf("(SELECT %s(%s.%s) FROM %s %[2]s WHERE %[2]s.rid = %[5]s.rid AND %[2]s.param = %[6]d)",
		pick, x, column, tables[k.key.Param.Type], r, s.number(s.typ, k.key.Name))
}

// from spells the FROM and WHERE of the permitted resources that meet every condition, as r, and what goes before the
// SELECT. A walk needs the order, and where to begin.
func (s *statement) from(best *driver, keys sorting, after *cursor) (with string, j *joined, err error) {
	j = over(s.d, "d").look("resource", "r", "r.rid = d.rid") // whose type follows from the driver
	switch {
	case best.rows != nil:
		distinct := "DISTINCT "
		if best.unique {
			distinct = ""
		}
		bound := ""
		if best.below > 0 {
			bound = " LIMIT " + strconv.FormatInt(best.below, 10)
			j.and("(SELECT count(*) FROM d) < " + strconv.FormatInt(best.below, 10))
		}
		with = "WITH d AS " + s.d.Whole() + " (SELECT " + distinct + "y.rid AS rid FROM (" + best.rows(s) + ") y" + bound + ") "
	case best.walk > 0:
		order := "w.id" + keys.direction()
		if len(keys.keys) > 0 {
			order = "w.updated" + keys.direction() + ", " + order
		}
		begin := ""
		if after != nil {
			begin = " AND " + s.beyond(keys, after, func(i int) string { return "w." + keys.keys[i].column }, "w.id")
		}
		with = fmt.Sprintf("WITH d AS %s (SELECT w.rid AS rid FROM resource w WHERE w.type = %s AND %s%s ORDER BY %s LIMIT %d) ",
			s.d.Whole(), s.text(s.typ), keys.present("w"), begin, order, best.walk)
	default:
		j = over(s.d, "resource r").and("r.type = " + s.text(s.typ)).and(keys.present("r"))
	}
	j.and(s.permitted("r"))
	for i, c := range s.where {
		if i == best.exact {
			continue
		}
		holds, err := s.holds(c, s.typ, "r")
		if err != nil {
			return "", nil, err
		}
		j.and(holds)
	}
	return with, j, nil
}

func (n *snapshot) total(ctx context.Context, p *plan, best *driver) (total int64, err error) {
	s := &statement{plan: p}
	with, from, err := s.from(best, sorting{}, nil)
	if err != nil {
		return 0, err
	}
	err = each(ctx, n.r, func(rows Rows) error { return rows.Scan(&total) }, with+from.sql("count(*)"), s.args...)
	return total, err
}

// page reads up to count rows after a cursor, as far as there is room; more says that there are others after them.
func (n *snapshot) page(ctx context.Context, p *plan, best *driver, keys sorting, after *cursor, count int) (_ []hit, more bool, _ error) {
	s := &statement{plan: p}
	with, from, err := s.from(best, keys, after)
	if err != nil {
		return nil, false, err
	}
	inner := []string{"r.rid AS rid", "r.id AS id", "r.vid AS vid"}
	var orderIn, orderOut, outer []string
	for i, k := range keys.keys {
		name := fmt.Sprintf("k%d", i)
		inner = append(inner, s.sortValue(k, "r")+" AS "+name)
		nulls := ""
		if k.column == "" {
			nulls = " NULLS LAST"
		}
		orderIn = append(orderIn, "m."+name+direction(k.key.Desc)+nulls)
		orderOut = append(orderOut, "p."+name+direction(k.key.Desc)+nulls)
		outer = append(outer, "p."+name)
	}
	orderIn = append(orderIn, "m.id"+keys.direction())
	orderOut = append(orderOut, "p.id"+keys.direction())
	where := ""
	if after != nil {
		where = " WHERE " + s.beyond(keys, after, func(i int) string { return fmt.Sprintf("m.k%d", i) }, "m.id")
	}
	hits := fmt.Sprintf("(SELECT m.* FROM (%s) m%s ORDER BY %s LIMIT %d) p", from.sql(strings.Join(inner, ", ")), where, strings.Join(orderIn, ", "), count+1)
	if p.places {
		return n.placesOf(ctx, p.typ, keys, count,
			with+"SELECT "+strings.Join(append([]string{"p.rid", "p.id", "p.vid"}, outer...), ", ")+" FROM "+hits, s.args)
	}
	sql := with + over(s.d, hits).look("version", "v", "v.vid = p.vid").
		sql(strings.Join(append([]string{currentColumns, "p.rid"}, outer...), ", "))
	out, more, err := n.hits(ctx, p.typ, keys, count, sql, s.args)
	if errors.Is(err, errDisorder) {
		out, more, err = n.hits(ctx, p.typ, keys, count, sql+" ORDER BY "+strings.Join(orderOut, ", "), s.args)
	}
	return out, more, err
}

// errDisorder answers rows that came in another order than that in which they were found.
var errDisorder = errors.New("sqlstore: rows out of order")

// hits reads the rows of a page, as far as there is room. Engines join to rows in the order in which these were found,
// though nothing says that they must, and a page is no place to sort bodies in: so the order is checked here.
func (n *snapshot) hits(ctx context.Context, typ string, keys sorting, count int, sql string, args []any) (out []hit, more bool, err error) {
	in := newRoom(count)
	out = make([]hit, 0, min(count+1, expected))
	var h hit
	h.keys = make([]any, len(keys.keys))
	extra := []any{&h.rid}
	for i := range h.keys {
		extra = append(extra, &h.keys[i])
	}
	scan := newCurrentScan(typ, extra...)
	err = each(ctx, n.r, func(rows Rows) (err error) {
		if more = !in.left(); more {
			return errEnough
		}
		if h.row, h.class, err = scan.next(rows); err != nil {
			return err
		}
		if len(out) > 0 && keys.compare(&out[len(out)-1], &h) > 0 {
			return errDisorder
		}
		out = append(out, hit{row: h.row, rid: h.rid, class: h.class, keys: slices.Clone(h.keys)})
		in.take(&h.row)
		return nil
	}, sql, args...)
	return out, more, err
}

// compare is the order of two rows: as the engines sort, texts byte by byte and what has no value last.
func (s sorting) compare(a, b *hit) int {
	for i, k := range s.keys {
		if c := compareKeys(a.keys[i], b.keys[i], k.key.Desc); c != 0 {
			return c
		}
	}
	if s.desc {
		return strings.Compare(b.row.ID, a.row.ID)
	}
	return strings.Compare(a.row.ID, b.row.ID)
}

func compareKeys(a, b any, desc bool) (c int) {
	switch a := a.(type) {
	case nil:
		if b == nil {
			return 0
		}
		return 1
	case string:
		b, ok := b.(string)
		if !ok {
			return -1
		}
		c = strings.Compare(a, b)
	case int64:
		b, ok := b.(int64)
		if !ok {
			return -1
		}
		c = cmp.Compare(a, b)
	case float64:
		b, ok := b.(float64)
		if !ok {
			return -1
		}
		c = cmp.Compare(a, b)
	}
	if desc {
		return -c
	}
	return c
}

// beyond spells that a row comes after a cursor, given the columns of its keys and its id. Rows without a value come
// last, whichever the direction.
func (s *statement) beyond(keys sorting, after *cursor, key func(int) string, id string) string {
	sign := func(desc bool) string {
		if desc {
			return " <"
		}
		return " >"
	}
	var any, equal []string
	for i, k := range keys.keys {
		column := key(i)
		if after.Keys[i] == nil {
			equal = append(equal, column+" IS NULL")
			continue
		}
		arg := s.arg(after.Keys[i])
		later := column + sign(k.key.Desc) + " " + arg
		if k.column == "" {
			later = "(" + later + " OR " + column + " IS NULL)"
		}
		any = append(any, strings.Join(append(equal[:len(equal):len(equal)], later), " AND "))
		equal = append(equal, column+" = "+arg)
	}
	last := sign(keys.desc)
	if after.even {
		last += "="
	}
	any = append(any, strings.Join(append(equal[:len(equal):len(equal)], id+last+" "+s.arg(after.ID)), " AND "))
	beyond := "(" + strings.Join(any, " OR ") + ")"
	if len(keys.keys) > 0 && keys.keys[0].column != "" && after.Keys[0] != nil {
		// Said again in a form that bounds the walk of the index.
		beyond = key(0) + sign(keys.keys[0].key.Desc) + "= " + s.arg(after.Keys[0]) + " AND " + beyond
	}
	return beyond
}
