package sqlstore

import (
	"slices"
	"strings"

	"sotesilta/gateway/search"
	"sotesilta/gateway/store"
)

// touched are the resource types that a query looks at; nil is any.
func touched(q *search.Query) []string {
	types := set[string]{}
	for _, of := range q.Of() {
		types.add(nil, of.Type)
		for _, c := range of.Where {
			clauseTypes(&types, c)
		}
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

func (r *reaching) texts(list []string) string { return r.d.Texts(r.arg, cleaned(list)) }

// parties are those with whom a client has a relationship to be within reach.
func (r *reaching) parties() []string { return append(slices.Clone(r.Units), r.Persons...) }

// reached spells that a client, and a class, are within reach by any of its ways; "" when there is none. Who wrote the class
// is asked last: mostly a relationship has said it.
func (r *reaching) reached(client, class string) string {
	if r.All {
		return "1 = 1"
	}
	var any []string
	if len(r.Clients) > 0 {
		any = append(any, among(client, r.texts(r.Clients), len(r.Clients)))
	}
	if parties := r.parties(); len(parties) > 0 {
		any = append(any, exists(over(r.d, "("+r.texts(parties)+") p").look("relation", "y", "y.party = p.v AND y.client = "+client).sql("1")))
	}
	if r.Author != "" {
		any = append(any, "(SELECT c.author FROM class c WHERE c.class = "+class+") = "+r.text(r.Author))
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
		reached := r.reached("o.v", "k.class")
		if reached == "" {
			return union[0]
		}
		both := " UNION "
		if len(r.Only) == 1 { // then no class comes twice
			both = " UNION ALL "
		}
		return union[0] + both + over(r.d, "("+r.texts(r.Only)+") o").look("class_client", "k", "k.client = o.v"+r.of("k.type")).and(reached).sql("k.class AS class")
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
