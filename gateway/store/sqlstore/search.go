package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"sotesilta/gateway/search"
	"sotesilta/gateway/store"
)

// Search implements store.Snapshot.
func (n *snapshot) Search(ctx context.Context, q *search.Query, g store.Guard) (store.Result, error) {
	out, err := n.search(ctx, q, g)
	if err != nil && !errors.Is(err, store.ErrTooCostly) && !errors.Is(err, store.ErrCursor) {
		err = fmt.Errorf("sqlstore: search: %w", err)
	}
	return out, err
}

func (n *snapshot) search(ctx context.Context, q *search.Query, g store.Guard) (store.Result, error) {
	out := store.Result{Total: -1}
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
	granted, permitted, err := n.permit(ctx, q, g)
	if err != nil || len(granted.own) == 0 {
		return out, err
	}
	params, err := n.numbers(ctx, q)
	if err != nil {
		return out, err
	}
	p := &plan{d: n.s.engine, typ: q.Type, where: q.Where, params: params, grants: granted}
	best, none, err := n.choose(ctx, p, keys.ordered() && !total)
	if err != nil || none {
		return out, err
	}
	if total {
		if out.Total, err = n.total(ctx, p, best); err != nil {
			return out, err
		}
	}
	if q.Summary || q.Count <= 0 {
		return out, nil
	}
	found, err := n.page(ctx, p, best, keys, from, q.Count+1)
	if err != nil {
		return out, err
	}
	if len(found) > q.Count {
		found = found[:q.Count]
		last := found[q.Count-1]
		if out.Next = (cursor{keys.print, last.keys, last.row.ID}).String(); out.Next == "" {
			return out, errors.New("a sort key that no cursor can hold")
		}
	}
	seen := make(map[int64]bool, len(found))
	rids := make([]int64, len(found))
	for i, f := range found {
		seen[f.rid], rids[i] = true, f.rid
		grant := permitted[f.class]
		if grant == nil {
			return store.Result{}, errors.New("a row outside the permitted classes")
		}
		f.row.Class = grant.Class
		out.Matches = append(out.Matches, store.Found{Row: f.row, Decision: &grant.Decision})
	}
	if len(q.Includes) > 0 && len(rids) > 0 {
		out.Includes, err = n.includes(ctx, p, q.Includes, rids, seen, permitted)
	}
	return out, err
}

// hit is a row found, with its sort keys.
type hit struct {
	row        store.Row
	rid, class int64
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

// from spells the FROM and WHERE of the permitted resources that meet every condition, as r.
func (s *statement) from(best *driver) (with, from string, err error) {
	conditions := []string{"r.type = " + s.text(s.typ)}
	source := "resource r"
	if best != nil {
		distinct := "DISTINCT "
		if best.unique {
			distinct = ""
		}
		with = "WITH d AS MATERIALIZED (SELECT " + distinct + "y.rid AS rid FROM (" + best.rows(s) + ") y) "
		source = "d CROSS JOIN resource r"
		conditions = append(conditions, "r.rid = d.rid")
	}
	conditions = append(conditions, s.permitted("r"))
	for _, c := range s.where {
		holds, err := s.holds(c, s.typ, "r")
		if err != nil {
			return "", "", err
		}
		conditions = append(conditions, holds)
	}
	return with, source + " WHERE " + strings.Join(conditions, " AND "), nil
}

func (n *snapshot) total(ctx context.Context, p *plan, best *driver) (total int64, err error) {
	s := &statement{plan: p}
	with, from, err := s.from(best)
	if err != nil {
		return 0, err
	}
	err = each(ctx, n.r, func(rows Rows) error { return rows.Scan(&total) }, with+"SELECT count(*) FROM "+from, s.args...)
	return total, err
}

// page reads up to limit rows after a cursor.
func (n *snapshot) page(ctx context.Context, p *plan, best *driver, keys sorting, after *cursor, limit int) ([]hit, error) {
	s := &statement{plan: p}
	with, from, err := s.from(best)
	if err != nil {
		return nil, err
	}
	direction := map[bool]string{false: "", true: " DESC"}
	inner := []string{"r.rid AS rid", "r.id AS id", "r.vid AS vid"}
	var orderIn, orderOut, outer []string
	for i, k := range keys.keys {
		name := fmt.Sprintf("k%d", i)
		inner = append(inner, s.sortValue(k, "r")+" AS "+name)
		nulls := ""
		if k.column == "" {
			nulls = " NULLS LAST"
		}
		orderIn = append(orderIn, "m."+name+direction[k.key.Desc]+nulls)
		orderOut = append(orderOut, "p."+name+direction[k.key.Desc]+nulls)
		outer = append(outer, "p."+name)
	}
	orderIn = append(orderIn, "m.id"+direction[keys.desc])
	orderOut = append(orderOut, "p.id"+direction[keys.desc])
	where := ""
	if after != nil {
		where = " WHERE " + s.beyond(keys, after)
	}
	sql := fmt.Sprintf(`%sSELECT %s FROM (SELECT m.* FROM (SELECT %s FROM %s) m%s ORDER BY %s LIMIT %s) p
		CROSS JOIN version v CROSS JOIN resource r WHERE v.vid = p.vid AND r.rid = p.rid ORDER BY %s`,
		with, strings.Join(append([]string{versionColumns, "p.rid"}, outer...), ", "), strings.Join(inner, ", "), from, where,
		strings.Join(orderIn, ", "), s.arg(int64(limit)), strings.Join(orderOut, ", "))
	var out []hit
	err = each(ctx, n.r, func(rows Rows) error {
		h := hit{keys: make([]any, len(keys.keys))}
		extra := []any{&h.rid}
		for i := range h.keys {
			extra = append(extra, &h.keys[i])
		}
		var err error
		h.row, h.class, err = scanRow(rows, extra...)
		out = append(out, h)
		return err
	}, sql, s.args...)
	return out, err
}

// beyond spells that a row m comes after a cursor. Rows without a value come last, whichever the direction.
func (s *statement) beyond(keys sorting, after *cursor) string {
	var any, equal []string
	for i, k := range keys.keys {
		column := fmt.Sprintf("m.k%d", i)
		value := after.Keys[i]
		if value == nil {
			equal = append(equal, column+" IS NULL")
			continue
		}
		arg := s.arg(value)
		sign := " > "
		if k.key.Desc {
			sign = " < "
		}
		later := column + sign + arg
		if k.column == "" {
			later = "(" + later + " OR " + column + " IS NULL)"
		}
		any = append(any, strings.Join(append(equal[:len(equal):len(equal)], later), " AND "))
		equal = append(equal, column+" = "+arg)
	}
	sign := " > "
	if keys.desc {
		sign = " < "
	}
	any = append(any, strings.Join(append(equal[:len(equal):len(equal)], "m.id"+sign+s.arg(after.ID)), " AND "))
	beyond := "(" + strings.Join(any, " OR ") + ")"
	if len(keys.keys) > 0 && keys.keys[0].column != "" && after.Keys[0] != nil {
		// Said again in a form that bounds the walk of the index.
		beyond = "m.k0" + strings.TrimSuffix(map[bool]string{false: " > ", true: " < "}[keys.keys[0].key.Desc], " ") + "= " + s.arg(after.Keys[0]) + " AND " + beyond
	}
	return beyond
}
