package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"sotesilta/gateway/search"
	"sotesilta/gateway/store"
)

// Versions implements store.Snapshot.
func (n *snapshot) Versions(ctx context.Context, q store.VersionQuery, g store.Guard) (store.Result, error) {
	out, err := n.versions(ctx, q, g)
	if err != nil && !errors.Is(err, store.ErrTooCostly) && !errors.Is(err, store.ErrCursor) {
		err = fmt.Errorf("sqlstore: versions: %w", err)
	}
	return out, err
}

func (n *snapshot) versions(ctx context.Context, q store.VersionQuery, g store.Guard) (out store.Result, err error) {
	out.Total = -1
	if q.Limit <= 0 {
		return out, errors.New("a page of nothing")
	}
	print := fingerprint(fmt.Sprintf("%q %q %t %t %q %q", q.Types, q.Clients, q.Current, q.Personal, q.Process, q.Rows))
	var from *cursor
	if q.Cursor != "" {
		c, err := readCursor(q.Cursor, print, []keyKind{intKey})
		if err != nil || c.Keys[0] == nil {
			return out, store.ErrCursor
		}
		if _, err := strconv.ParseInt(c.ID, 10, 64); err != nil {
			return out, store.ErrCursor
		}
		from = &c
	}
	p := &plan{d: n.s.engine, past: true}
	if p.params, err = n.careParams(ctx, q); err != nil {
		return out, err
	}
	permitted, err := n.permitVersions(ctx, q, p, g)
	if err != nil || len(permitted) == 0 {
		return out, err
	}
	hits, more, err := n.versionPage(ctx, p, q, from)
	if err != nil {
		return out, err
	}
	if more {
		last := hits[len(hits)-1]
		out.Next = cursor{Sort: print, Keys: []any{last.keys[0]}, ID: strconv.FormatInt(last.rid, 10)}.String()
	}
	for _, h := range hits {
		grant := permitted[h.class]
		if grant == nil {
			return store.Result{}, errors.New("a version outside the permitted classes")
		}
		h.row.Class = grant.Class
		out.Matches = append(out.Matches, store.Found{Row: h.row, Decision: &grant.Decision})
	}
	return out, nil
}

// versionPage reads up to a page: of history by time of the version, newest first; of what is there by the row, oldest
// first. Each hit's rid is what breaks ties; more says that there are others after them.
func (n *snapshot) versionPage(ctx context.Context, p *plan, q store.VersionQuery, from *cursor) (out []hit, more bool, _ error) {
	s := &statement{plan: p}
	own := s.ints(p.own)
	driver := over(s.d, "("+own+") g")
	key, tie, order := "v.updated", "v.vid", "p.k DESC, p.t DESC"
	switch {
	case around(q):
		rows, err := s.around(q)
		if err != nil {
			return nil, false, err
		}
		driver = over(s.d, "("+rows+") g").look("resource", "v", "v.rid = g.v AND v.deleted = 0")
		driver.and(within("v.class", own))
		key, tie, order = "0", "v.rid", "p.t"
	case q.Current:
		driver.look("resource", "v", "v.class = g.v AND v.deleted = 0")
		key, tie, order = "0", "v.rid", "p.t"
	default:
		driver.look("version", "v", "v.class = g.v"+s.since("v", q.Since))
	}
	if q.Current && !q.Since.IsZero() {
		driver.and("v.updated >= " + s.arg(ceilMillis(q.Since)))
	}
	driver.and(s.permittedVersion("v")).and(s.caredFor("v", q.CareFrom, q.CareTo))
	if !q.Current {
		// A label that was mended closes the versions before it: the class that the resource has now is permitted as well.
		driver.and(exists("SELECT 1 FROM resource c WHERE c.rid = v.rid AND " + within("c.class", own)))
		driver.and(s.currentWithin("v", q.From, q.To))
	}
	if from != nil {
		after, _ := strconv.ParseInt(from.ID, 10, 64)
		if q.Current {
			driver.and("v.rid > " + s.arg(after))
		} else {
			at := s.arg(from.Keys[0])
			driver.and("v.updated <= " + at + " AND (v.updated < " + at + " OR v.vid < " + s.arg(after) + ")")
		}
	}
	page := driver.sql(key + " AS k, " + tie + " AS t, v.vid AS vid, v.rid AS rid")
	limited := fmt.Sprintf("(SELECT p.k AS k, p.t AS t, p.vid AS vid, p.rid AS rid FROM (%s) p ORDER BY %s LIMIT %d) p", page, order, q.Limit+1)
	sql := over(s.d, limited).look("version", "v", "v.vid = p.vid").look("resource", "r", "r.rid = p.rid").
		sql(versionColumns+", p.k, p.t") + " ORDER BY " + order
	in := newRoom(q.Limit)
	var at, rid int64
	scan := newScan(&at, &rid)
	err := each(ctx, n.r, func(rows Rows) error {
		if more = !in.left(); more {
			return errEnough
		}
		row, class, err := scan.next(rows)
		in.take(&row)
		out = append(out, hit{row: row, rid: rid, class: class, keys: []any{at}})
		return err
	}, sql, s.args...)
	return out, more, err
}

// since spells that a version was made at or after a time.
func (s *statement) since(v string, at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return " AND " + v + ".updated >= " + s.arg(ceilMillis(at))
}

// currentWithin spells that a version was the newest that the guard permits at some moment of a span: what is hidden
// ends nothing.
func (s *statement) currentWithin(v string, from, to time.Time) string {
	if from.IsZero() && to.IsZero() {
		return ""
	}
	var all []string
	if !to.IsZero() {
		all = append(all, v+".updated < "+s.arg(ceilMillis(to)))
	}
	if !from.IsZero() {
		n := s.alias("n")
		all = append(all, "NOT "+exists(fmt.Sprintf("SELECT 1 FROM version %s WHERE %[1]s.rid = %[2]s.rid AND %[1]s.version > %[2]s.version AND %[1]s.updated <= %[3]s AND %[4]s",
			n, v, s.arg(ceilMillis(from)), s.permittedVersion(n))))
	}
	return strings.Join(all, " AND ")
}

// around says whether a query is of a process and of rows by name.
func around(q store.VersionQuery) bool { return q.Process != "" || len(q.Rows) > 0 }

// around spells the rows of a process, and those that are named: a column v.
func (s *statement) around(q store.VersionQuery) (string, error) {
	byType := map[string][]string{}
	for _, ref := range q.Rows {
		typ, id, ok := strings.Cut(ref, "/")
		if !ok {
			return "", errors.New("a row that is no Type/id: " + ref)
		}
		byType[typ] = append(byType[typ], clean(id))
	}
	var parts []string
	if q.Process != "" {
		parts = append(parts, over(s.d, "class c").look("resource", "r", "r.class = c.class AND r.deleted = 0").
			and("c.process = "+s.arg(clean(q.Process))+" AND c.process <> ''").sql("r.rid AS v"))
	}
	for _, typ := range slices.Sorted(maps.Keys(byType)) {
		parts = append(parts, over(s.d, "("+s.d.Texts(s.arg, byType[typ])+") o").
			look("resource", "r", "r.type = "+s.text(typ)+" AND r.id = o.v").and("r.deleted = 0").sql("r.rid AS v"))
	}
	return strings.Join(parts, " UNION "), nil
}

// classesAround are the numbers of the classes of such rows. store.ErrTooCostly.
func (n *snapshot) classesAround(ctx context.Context, p *plan, q store.VersionQuery) ([]int64, error) {
	s := &statement{plan: p}
	rows, err := s.around(q)
	if err != nil {
		return nil, err
	}
	out, err := n.column(ctx, over(s.d, "("+rows+") g").look("resource", "r", "r.rid = g.v").sql("DISTINCT r.class")+
		fmt.Sprintf(" LIMIT %d", store.MaxClasses+1), s.args...)
	if err == nil && len(out) > store.MaxClasses {
		err = store.ErrTooCostly
	}
	slices.Sort(out)
	return out, err
}

// careParams finds the numbers of the parameters that tell of dates of care, if the query asks for such.
func (n *snapshot) careParams(ctx context.Context, q store.VersionQuery) (map[ParamKey]int64, error) {
	if q.CareFrom.IsZero() && q.CareTo.IsZero() {
		return nil, nil
	}
	wanted := set[ParamKey]{}
	for _, typ := range search.CareTypes() {
		if len(q.Types) > 0 && !slices.Contains(q.Types, typ) {
			continue
		}
		for _, name := range search.CareDates(typ) {
			wanted.add(nil, ParamKey{typ, name})
		}
	}
	return n.numbersOf(ctx, wanted)
}

// caredFor spells that a row tells a date of care in a span, or none at all.
func (s *statement) caredFor(v string, from, to time.Time) string {
	var numbers []int64
	for _, no := range s.params {
		if no != 0 {
			numbers = append(numbers, no)
		}
	}
	if from.IsZero() && to.IsZero() || len(numbers) == 0 {
		return ""
	}
	slices.Sort(numbers)
	in := ""
	if !to.IsZero() {
		in += " AND x.f < " + s.arg(ceilMillis(to))
	}
	if !from.IsZero() {
		in += " AND x.t > " + s.arg(millis(from))
	}
	dated := "SELECT 1 FROM ix_date x WHERE x.rid = " + v + ".rid AND " + within("x.param", s.ints(numbers))
	return "(NOT " + exists(dated) + " OR " + exists(dated+in) + ")"
}
