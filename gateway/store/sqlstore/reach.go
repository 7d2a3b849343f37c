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

// touched are the resource types that a query looks at; nil is any.
func touched(q *search.Query) []string {
	types := set[string]{q.Type: {}}
	for _, c := range q.Where {
		clauseTypes(&types, c)
	}
	for _, i := range q.Includes {
		switch {
		case i.Reverse:
			types.add(nil, i.Type)
		case i.Target != "":
			types.add(nil, i.Target)
		case len(i.Param.Targets) == 0:
			return nil
		default:
			for _, t := range i.Param.Targets {
				types.add(nil, t)
			}
		}
	}
	if len(types) > 32 {
		return nil
	}
	list := make([]string, 0, len(types))
	for t := range types {
		list = append(list, t)
	}
	slices.Sort(list)
	return list
}

func clauseTypes(to *set[string], c search.Clause) {
	if c.Chain != nil {
		for t, branch := range c.Chain.Branches {
			to.add(nil, t)
			clauseTypes(to, branch)
		}
	}
	if c.Has != nil {
		to.add(nil, c.Has.Type)
		clauseTypes(to, c.Has.Where)
	}
}

// reach lists the classes of current rows of types within a reach, by number. With Reach.Only it looks at these
// clients alone, so that its cost does not depend on how many there are. store.ErrTooCostly.
func (n *snapshot) reach(ctx context.Context, r store.Reach, types []string) ([]int64, error) {
	s := &statement{plan: &plan{d: n.s.engine}}
	of := func(column string) string {
		if types == nil {
			return ""
		}
		list := make([]string, len(types))
		for i, t := range types {
			list[i] = s.text(t)
		}
		return " AND " + column + " IN (" + strings.Join(list, ", ") + ")"
	}
	texts := func(list []string) string { return s.d.Texts(s.arg(s.d.TextsArg(cleaned(list)))) }
	parties := append(slices.Clone(r.Units), r.Persons...)
	var union []string
	if r.Only == nil && r.All {
		union = append(union, "SELECT c.class AS class FROM class c WHERE 1 = 1"+of("c.type"))
	} else { // what is about nobody is within every reach
		union = append(union, "SELECT c.class AS class FROM class c WHERE c.clients = 0"+of("c.type"))
	}
	switch {
	case r.Only != nil:
		named := intersect(r.Only, r.Clients)
		if len(r.Only) == 0 || !r.All && len(named) == 0 && len(parties) == 0 && r.Author == "" {
			break
		}
		only := over(s.d, "("+texts(r.Only)+") o").look("class_client", "k", "k.client = o.v"+of("k.type")).look("class", "c", "c.class = k.class")
		if r.All {
			union = append(union, only.sql("k.class AS class"))
			break
		}
		var any []string
		if len(named) > 0 {
			any = append(any, within("o.v", texts(named)))
		}
		if len(parties) > 0 {
			any = append(any, exists(over(s.d, "("+texts(parties)+") p").look("relation", "y", "y.party = p.v AND y.client = o.v").sql("1")))
		}
		if r.Author != "" {
			any = append(any, "c.author = "+s.text(r.Author))
		}
		union = append(union, only.and(join(any, " OR ")).sql("k.class AS class"))
	case r.All:
	default:
		var clients []string
		if len(parties) > 0 {
			clients = append(clients, over(s.d, "("+texts(parties)+") p").look("relation", "y", "y.party = p.v").sql("y.client AS client"))
		}
		if len(r.Clients) > 0 {
			clients = append(clients, "SELECT p.v AS client FROM ("+texts(r.Clients)+") p")
		}
		if len(clients) > 0 {
			union = append(union, over(s.d, "("+strings.Join(clients, " UNION ")+") o").look("class_client", "k", "k.client = o.client"+of("k.type")).sql("k.class AS class"))
		}
		if r.Author != "" {
			union = append(union, "SELECT c.class AS class FROM class c WHERE c.author = "+s.text(r.Author)+of("c.type"))
		}
	}
	sql := fmt.Sprintf("SELECT u.class FROM (%s) u WHERE %s LIMIT %d", strings.Join(union, " UNION "),
		exists("SELECT 1 FROM resource r WHERE r.class = u.class AND r.deleted = 0"), store.MaxClasses+1)
	var out []int64
	err := each(ctx, n.r, func(rows Rows) error {
		var no int64
		err := rows.Scan(&no)
		out = append(out, no)
		return err
	}, sql, s.args...)
	if err != nil {
		return nil, err
	}
	if len(out) > store.MaxClasses {
		return nil, store.ErrTooCostly
	}
	slices.Sort(out)
	return out, nil
}

func intersect(a, b []string) []string {
	var out []string
	for _, v := range a {
		if slices.Contains(b, v) {
			out = append(out, v)
		}
	}
	return out
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
	err := each(ctx, n.r, func(rows Rows) error {
		var no int64
		var text string
		if err := rows.Scan(&no, &text); err != nil {
			return err
		}
		c, err := n.s.names.learnClass(no, text)
		found[no] = c
		return err
	}, over(d, "("+d.Ints("$1")+") x").look("class", "c", "c.class = x.v").sql("c.class, c.json"), d.IntsArg(missing))
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

// permit asks the guard about every class within its reach.
func (n *snapshot) permit(ctx context.Context, q *search.Query, g store.Guard) (grants, map[int64]*store.Grant, error) {
	var gr grants
	numbers, err := n.reach(ctx, g.Reach(), touched(q))
	if err != nil || len(numbers) == 0 {
		return gr, nil, err
	}
	classes, err := n.classes(ctx, numbers)
	if err != nil {
		return gr, nil, err
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
		return gr, nil, err
	}
	decisions, err := g.Permit(ctx, classes, facts)
	if err != nil {
		return gr, nil, err
	}
	if len(decisions) != len(classes) {
		return gr, nil, fmt.Errorf("sqlstore: the guard decided %d of %d classes", len(decisions), len(classes))
	}
	permitted := make(map[int64]*store.Grant, len(classes))
	exclude := map[string][]int64{} // row → classes it is left out of
	for i, no := range numbers {
		d := decisions[i]
		if d.Outcome != consent.Permitted {
			continue
		}
		permitted[no] = &store.Grant{Class: classes[i], Decision: d}
		if classes[i].Type == q.Type {
			gr.own = append(gr.own, no)
		}
		if len(d.Recorded) == 0 {
			gr.plain = append(gr.plain, no)
		}
		for _, p := range d.Recorded {
			gr.ranged = append(gr.ranged, span(no, p))
		}
		for _, row := range d.Exclude {
			exclude[row] = append(exclude[row], no)
		}
	}
	gr.excluded, err = n.exclude(ctx, exclude)
	return gr, permitted, err
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

// exclude finds the numbers of rows that are left out of their classes.
func (n *snapshot) exclude(ctx context.Context, rows map[string][]int64) ([]int64, error) {
	byType := map[string][]string{}
	for ref := range rows {
		typ, id, ok := strings.Cut(ref, "/")
		if !ok {
			return nil, errors.New("sqlstore: an exclusion that is no Type/id: " + ref)
		}
		byType[typ] = append(byType[typ], clean(id))
	}
	var out []int64
	d := n.s.engine
	for typ, ids := range byType {
		err := each(ctx, n.r, func(found Rows) error {
			var rid, class int64
			var id string
			err := found.Scan(&rid, &class, &id)
			if slices.Contains(rows[typ+"/"+id], class) {
				out = append(out, rid)
			}
			return err
		}, over(d, "("+d.Texts("$1")+") x").look("resource", "r", "r.type = $2 AND r.id = x.v").sql("r.rid, r.class, r.id"),
			d.TextsArg(ids), clean(typ))
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}
