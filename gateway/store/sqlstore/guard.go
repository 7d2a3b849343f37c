package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sotesilta/consent"
	"sotesilta/gateway/search"
	"sotesilta/gateway/store"
)

// grants are the permitted classes as numbers, in the form that is joined into every statement.
type grants struct {
	plain    []int64    // classes all of whose rows are permitted
	ranged   [][3]int64 // class, from and to: rows recorded in that span
	excluded []int64    // rows left out
	own      []int64    // those of all the classes that are of what is searched
	all      map[int64]*store.Grant
}

// permit asks the guard about every class within its reach that the search may meet, and makes the grants of the plan.
func (n *snapshot) permit(ctx context.Context, q *search.Query, p *plan, g store.Guard) (map[int64]*store.Grant, error) {
	numbers, err := n.reach(ctx, p, g.Reach(), touched(q), true)
	if err != nil {
		return nil, err
	}
	classes, err := n.classes(ctx, numbers)
	if err != nil {
		return nil, err
	}
	return n.grant(ctx, p, g, numbers, classes)
}

// permitVersions is permit for a query of versions, which meets the classes that only past versions have too.
func (n *snapshot) permitVersions(ctx context.Context, q store.VersionQuery, p *plan, g store.Guard) (map[int64]*store.Grant, error) {
	reach := g.Reach()
	if len(q.Clients) > 0 {
		reach.Only = q.Clients
	}
	var numbers []int64
	var err error
	if around(q) {
		numbers, err = n.classesAround(ctx, p, q)
	} else {
		numbers, err = n.reach(ctx, p, reach, q.Types, q.Current)
	}
	if err != nil {
		return nil, err
	}
	classes, err := n.classes(ctx, numbers)
	if err != nil {
		return nil, err
	}
	if len(q.Clients) > 0 || q.Personal || around(q) { // what is about nobody is within every reach
		strange := func(c consent.Class) bool {
			if len(q.Types) > 0 && !slices.Contains(q.Types, c.Type) {
				return true
			}
			return (len(q.Clients) > 0 || q.Personal) &&
				!slices.ContainsFunc(c.Clients, func(client string) bool { return len(q.Clients) == 0 || slices.Contains(q.Clients, client) })
		}
		var about []int64
		for i, c := range classes {
			if !strange(c) {
				about = append(about, numbers[i])
			}
		}
		classes, numbers = slices.DeleteFunc(classes, strange), about
	}
	return n.grant(ctx, p, g, numbers, classes)
}

// reach lists the classes of types within a reach, by number: of all versions, or of current rows alone.
// store.ErrTooCostly.
func (n *snapshot) reach(ctx context.Context, p *plan, reach store.Reach, types []string, current bool) ([]int64, error) {
	r := &reaching{&statement{plan: p}, reach, types}
	if len(reach.Only) == 1 {
		ctx = n.s.engine.Brief(ctx)
	}
	there := ""
	if current {
		there = " WHERE " + exists("SELECT 1 FROM resource r WHERE r.class = u.class AND r.deleted = 0")
	}
	text := fmt.Sprintf("SELECT n.no, '' AS client FROM (SELECT u.class AS no FROM (%s) u%s LIMIT %d) n", r.all(), there, store.MaxClasses+1)
	named := n.unasked(reach.Only)
	if len(named) > 0 { // what is known of them is asked for next: its versions come along
		text += " UNION ALL " + r.versions(r.d, named)
	}
	out, err := n.numbered(ctx, named, text, r.args)
	if err != nil {
		return nil, err
	}
	if len(out) > store.MaxClasses {
		return nil, store.ErrTooCostly
	}
	slices.Sort(out)
	return out, nil
}

// classes is what the classes say, by their numbers, in order.
func (n *snapshot) classes(ctx context.Context, numbers []int64) ([]consent.Class, error) {
	out := make([]consent.Class, len(numbers))
	var missing []int64
	for i, no := range numbers {
		c, ok := n.s.names.say(no)
		if out[i] = c; !ok {
			missing = append(missing, no)
		}
	}
	if len(missing) == 0 {
		return out, nil
	}
	found := make(map[int64]consent.Class, len(missing))
	d := n.s.engine
	var a arguments
	err := each(ctx, n.r, func(rows Rows) error {
		var no int64
		var text string
		if err := rows.Scan(&no, &text); err != nil {
			return err
		}
		c, err := n.s.names.learnClass(no, text)
		found[no] = c
		return err
	}, over(d, "("+d.Ints(a.arg, missing)+") o").look("class", "c", "c.class = o.v").sql("c.class, c.json"), a.args...)
	if err != nil {
		return nil, err
	}
	for i, no := range numbers {
		if c, ok := found[no]; ok {
			out[i] = c
		}
	}
	return out, nil
}

// grant asks the guard about classes, and makes the grants of the plan of what it permits.
func (n *snapshot) grant(ctx context.Context, p *plan, g store.Guard, numbers []int64, classes []consent.Class) (map[int64]*store.Grant, error) {
	if len(classes) == 0 {
		return nil, nil
	}
	asked := set[string]{}
	var clients []string
	for _, c := range classes {
		for _, client := range c.Clients {
			asked.add(&clients, client)
		}
	}
	facts, err := n.Facts(ctx, clients...)
	if err != nil {
		return nil, err
	}
	decisions, err := g.Permit(ctx, classes, facts)
	if err != nil {
		return nil, err
	}
	if len(decisions) != len(classes) {
		return nil, fmt.Errorf("the guard decided %d of %d classes", len(decisions), len(classes))
	}
	permitted := make(map[int64]*store.Grant, len(classes))
	exclude := map[string][]int64{} // row → classes it is left out of
	for i, no := range numbers {
		d := decisions[i]
		if d.Outcome != consent.Permitted {
			continue
		}
		permitted[no] = &store.Grant{Class: classes[i], Decision: d}
		if p.typ == "" || p.typ == classes[i].Type {
			p.own = append(p.own, no)
		}
		if len(d.Recorded) == 0 {
			p.plain = append(p.plain, no)
		}
		for _, period := range d.Recorded {
			p.ranged = append(p.ranged, span(no, period))
		}
		for _, row := range d.Exclude {
			exclude[row] = append(exclude[row], no)
		}
	}
	p.all = permitted
	p.excluded, err = n.exclude(ctx, exclude, p.past)
	return permitted, err
}

// span is a class with a period in milliseconds; a row recorded at a bound's very millisecond counts as after it, as
// the store keeps no finer time.
func span(class int64, p consent.Period) [3]int64 {
	from, to := int64(-1<<62), int64(1<<62)
	if !p.From.IsZero() {
		from = ceilMillis(p.From)
	}
	if !p.To.IsZero() {
		to = ceilMillis(p.To)
	}
	return [3]int64{class, from, to}
}

// exclude finds the numbers of rows, each Type/id, that are left out of their classes; of history a row that is left out of
// one class is left out whole.
func (n *snapshot) exclude(ctx context.Context, rows map[string][]int64, history bool) ([]int64, error) {
	byType := map[string][]string{}
	for ref := range rows {
		typ, id, ok := strings.Cut(ref, "/")
		if !ok {
			return nil, errors.New("an exclusion that is no Type/id: " + ref)
		}
		byType[typ] = append(byType[typ], clean(id))
	}
	var out []int64
	d := n.s.engine
	for typ, ids := range byType {
		var a arguments
		err := each(ctx, n.r, func(found Rows) error {
			var rid, class int64
			var id string
			err := found.Scan(&rid, &class, &id)
			if history || slices.Contains(rows[typ+"/"+id], class) {
				out = append(out, rid)
			}
			return err
		}, over(d, "("+d.Texts(a.arg, ids)+") o").look("resource", "r", "r.type = "+a.arg(clean(typ))+" AND r.id = o.v").sql("r.rid, r.class, r.id"),
			a.args...)
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// permitted spells that a resource with alias r lies in a permitted class and is not deleted. Nothing that a search
// looks at goes without it.
func (s *statement) permitted(r string) string {
	// Deletion is checked, never looked up by: "+ 0" keeps the partial indexes for what is looked up in them.
	return r + ".deleted + 0 = 0 AND " + s.granted(r, func(spans string) string {
		g, x := s.alias("g"), s.alias("x")
		return within(r+".rid", over(s.d, "("+spans+") "+g).look("resource", x, fmt.Sprintf(
			"%[2]s.class = %[1]s.c AND %[2]s.deleted = 0 AND %[2]s.recorded >= %[1]s.f AND %[2]s.recorded < %[1]s.t", g, x)).sql(x+".rid"))
	})
}

// permittedVersion spells that a version with alias v (or a row of the table resource) lies in a permitted class, is
// within its recording dates and not of a row left out.
func (s *statement) permittedVersion(v string) string {
	return s.granted(v, func(spans string) string {
		g := s.alias("g")
		return exists(fmt.Sprintf("SELECT 1 FROM (%s) %s WHERE %[2]s.c = %[3]s.class AND %[2]s.f <= %[3]s.recorded AND %[2]s.t > %[3]s.recorded",
			spans, g, v))
	})
}

// granted spells that something with alias v lies in the granted classes and is not of a row left out; ranged spells that
// it was recorded in one of a query of spans.
func (s *statement) granted(v string, ranged func(spans string) string) string {
	var any []string
	if len(s.plain) > 0 {
		any = append(any, among(v+".class", s.list(0, func() string { return s.ints(s.plain) }), len(s.plain)))
	}
	if len(s.ranged) > 0 {
		any = append(any, ranged(s.list(1, func() string { return s.d.Spans(s.arg, s.ranged) })))
	}
	if len(any) == 0 {
		return "1 = 0"
	}
	all := join(any, " OR ")
	if len(s.excluded) > 0 {
		all += " AND (" + v + ".rid IN (" + s.list(2, func() string { return s.ints(s.excluded) }) + ")) IS NOT TRUE"
	}
	return all
}

// list is one of the queries of grants, whose argument is made once in a statement.
func (s *statement) list(which int, spell func() string) string {
	if s.lists[which] == "" {
		s.lists[which] = spell()
	}
	return s.lists[which]
}
