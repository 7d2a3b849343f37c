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
		if i.Reverse {
			types.add(nil, i.Type)
			continue
		}
		targets := i.Targets()
		if len(targets) == 0 {
			return nil
		}
		for _, t := range targets {
			types.add(nil, t)
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
	for _, alternative := range c.Any {
		clauseTypes(to, alternative)
	}
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

// reaching is a statement about the classes within a reach.
type reaching struct {
	*statement
	store.Reach
	types []string // nil: any
}

func (n *snapshot) reaching(p *plan, r store.Reach, types []string) *reaching {
	return &reaching{&statement{plan: p}, r, types}
}

// of spells that a column is one of the types.
func (r *reaching) of(column string) string {
	if r.types == nil {
		return ""
	}
	list := make([]string, len(r.types))
	for i, t := range r.types {
		list[i] = r.text(t)
	}
	return " AND " + column + " IN (" + strings.Join(list, ", ") + ")"
}

func (r *reaching) texts(list []string) string { return r.d.Texts(r.arg(r.d.TextsArg(cleaned(list)))) }

// parties are those with whom a client has a relationship to be within reach.
func (r *reaching) parties() []string { return append(slices.Clone(r.Units), r.Persons...) }

// meets spells that a client, and the class c, are within reach by any of its ways; "" when there is none.
func (r *reaching) meets(client string) string {
	if r.All {
		return "1 = 1"
	}
	var any []string
	if len(r.Clients) > 0 {
		any = append(any, within(client, r.texts(r.Clients)))
	}
	if parties := r.parties(); len(parties) > 0 {
		any = append(any, exists(over(r.d, "("+r.texts(parties)+") p").look("relation", "y", "y.party = p.v AND y.client = "+client).sql("1")))
	}
	if r.Author != "" {
		any = append(any, "c.author = "+r.text(r.Author))
	}
	if len(any) == 0 {
		return ""
	}
	return join(any, " OR ")
}

// all spells the classes within reach. With Only it looks at these clients alone, so that its cost does not depend on
// how many there are.
func (r *reaching) all() string {
	if r.Only == nil && r.All {
		return "SELECT c.class AS class FROM class c WHERE 1 = 1" + r.of("c.type")
	}
	// What is about nobody is within every reach.
	union := []string{"SELECT c.class AS class FROM class c WHERE c.clients = 0" + r.of("c.type")}
	if r.Only != nil {
		if len(r.Only) == 0 {
			return union[0]
		}
		meets := r.meets("o.v")
		if meets == "" {
			return union[0]
		}
		return union[0] + " UNION " + over(r.d, "("+r.texts(r.Only)+") o").look("class_client", "k", "k.client = o.v"+r.of("k.type")).
			look("class", "c", "c.class = k.class").and(meets).sql("k.class AS class")
	}
	var clients []string
	if parties := r.parties(); len(parties) > 0 {
		clients = append(clients, over(r.d, "("+r.texts(parties)+") p").look("relation", "y", "y.party = p.v").sql("y.client AS client"))
	}
	if len(r.Clients) > 0 {
		clients = append(clients, "SELECT p.v AS client FROM ("+r.texts(r.Clients)+") p")
	}
	if len(clients) > 0 {
		union = append(union, over(r.d, "("+strings.Join(clients, " UNION ")+") o").look("class_client", "k", "k.client = o.client"+r.of("k.type")).sql("k.class AS class"))
	}
	if r.Author != "" {
		union = append(union, "SELECT c.class AS class FROM class c WHERE c.author = "+r.text(r.Author)+r.of("c.type"))
	}
	return strings.Join(union, " UNION ")
}

// reach lists the classes of current rows of types within a reach, by number. store.ErrTooCostly.
func (n *snapshot) reach(ctx context.Context, p *plan, reach store.Reach, types []string) ([]int64, error) {
	r := n.reaching(p, reach, types)
	var out []int64
	err := each(ctx, n.r, func(rows Rows) error {
		var no int64
		err := rows.Scan(&no)
		out = append(out, no)
		return err
	}, fmt.Sprintf("SELECT u.class FROM (%s) u WHERE %s LIMIT %d", r.all(),
		exists("SELECT 1 FROM resource r WHERE r.class = u.class AND r.deleted = 0"), store.MaxClasses+1), r.args...)
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

// permit asks the guard about every class within its reach that the search may meet, and makes the grants of the plan.
func (n *snapshot) permit(ctx context.Context, q *search.Query, p *plan, g store.Guard) (map[int64]*store.Grant, error) {
	numbers, err := n.reach(ctx, p, g.Reach(), touched(q))
	if err != nil || len(numbers) == 0 {
		return nil, err
	}
	classes, err := n.classes(ctx, numbers)
	if err != nil {
		return nil, err
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
		return nil, fmt.Errorf("sqlstore: the guard decided %d of %d classes", len(decisions), len(classes))
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
	p.excluded, err = n.exclude(ctx, exclude)
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
