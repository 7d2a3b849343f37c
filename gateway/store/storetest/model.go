package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/gateway/search"
	"sotesilta/gateway/store"
)

// testModel searches a random county in random ways, and compares with a model that looks at every row and does what
// search.Value says, word for word.
func testModel(t *testing.T, e Engine) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			m := &model{r: rand.New(rand.NewPCG(seed, 7)), rows: map[string]store.Row{}}
			s := open(t, e)
			m.fill(t, s)
			found := 0
			for i := range 250 {
				q, g := m.query(), m.guard()
				want := m.search(q, g)
				found += len(want)
				where := fmt.Sprintf("query %d: %s", i, describe(q))
				n := opened(t, s)
				got, err := n.Search(t.Context(), q, g)
				require.NoError(t, err, where)
				if q.Total {
					require.EqualValues(t, len(want), got.Total, where)
				} else {
					require.EqualValues(t, -1, got.Total, where)
				}
				require.Equal(t, refs(want[:min(len(want), q.Count)]), foundRefs(got.Matches), where)
				included := m.includes(q, g, want[:min(len(want), q.Count)])
				require.ElementsMatch(t, refs(included), foundRefs(got.Includes), where)
				all := got.Matches
				for got.Next != "" {
					require.Len(t, got.Matches, q.Count, where)
					q.Cursor = got.Next
					got, err = n.Search(t.Context(), q, g)
					require.NoError(t, err, where)
					all = append(all, got.Matches...)
				}
				require.Equal(t, refs(want), foundRefs(all), where)
				require.NoError(t, n.Close())
			}
			require.Greater(t, found, 500, "the queries find something")
		})
	}
}

type model struct {
	r    *rand.Rand
	rows map[string]store.Row // current, by Type/id
}

var (
	modelTypes   = []string{"Patient", "Observation", "Task", "ServiceRequest", "Location"}
	modelClients = []string{"aino", "onni", "eino", "lumi", "toivo"}
)

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// fill commits rows in versions, some of them deleted in the end.
func (m *model) fill(t *testing.T, s store.Store) {
	var facts []*consent.Facts
	for i, client := range modelClients {
		facts = append(facts, &consent.Facts{Client: client, Version: 1, Relationships: []consent.Relationship{
			{Kind: consent.InCare, Evidence: "EpisodeOfCare/1", Unit: fmt.Sprint("Organization/", i%3), Person: fmt.Sprint("Practitioner/", i%2)},
		}})
	}
	commit(t, s, store.Change{Facts: facts})
	for range 30 {
		var rows []store.Row
		for range 1 + m.r.IntN(8) {
			typ := pick(m.r, modelTypes)
			id := fmt.Sprint(m.r.IntN(25))
			ref := typ + "/" + id
			if slices.ContainsFunc(rows, func(r store.Row) bool { return r.Type+"/"+r.ID == ref }) {
				continue
			}
			r := row(m.class(typ), id, m.rows[ref].Version+1, m.index(typ))
			r.Recorded = day(1 + m.r.IntN(10))
			r.Updated = noon.Add(time.Duration(m.r.IntN(6)) * time.Millisecond)
			if m.r.IntN(6) == 0 {
				r.Deleted, r.Body, r.Index = true, nil, search.Index{}
			}
			rows = append(rows, r)
			m.rows[ref] = r
		}
		commit(t, s, store.Change{Put: rows})
	}
}

func (m *model) class(typ string) consent.Class {
	var clients []string
	for range m.r.IntN(3) {
		clients = append(clients, pick(m.r, modelClients))
	}
	slices.Sort(clients)
	c := class(typ, slices.Compact(clients)...)
	c.Author = pick(m.r, []string{"jukola-ehr", "county-social"})
	return c
}

// index gives few distinct values, so that queries meet them.
func (m *model) index(typ string) search.Index {
	var x search.Index
	for range m.r.IntN(3) {
		x.Tokens = append(x.Tokens, search.TokenEntry{
			Param: pick(m.r, []string{"status", "code"}), System: pick(m.r, []string{"", "s", "t"}), Code: pick(m.r, []string{"", "a", "b", "c"}),
			Text: pick(m.r, []string{"", "verenpaine", "veri", "paino"}),
		})
	}
	for range m.r.IntN(4) {
		ref := search.ReferenceEntry{Param: pick(m.r, []string{"subject", "based-on", "part-of"})}
		switch m.r.IntN(4) {
		case 0:
			ref.URL = pick(m.r, []string{"http://x/1", "urn:y"})
		default:
			ref.Type, ref.ID = pick(m.r, modelTypes), fmt.Sprint(m.r.IntN(25))
		}
		if m.r.IntN(3) == 0 {
			ref.System, ref.Code = pick(m.r, []string{"", "s"}), pick(m.r, []string{"1", "2"})
		}
		x.References = append(x.References, ref)
	}
	for range m.r.IntN(3) {
		from := m.r.IntN(10)
		x.Dates = append(x.Dates, search.DateEntry{Param: "date", From: day(from), To: day(from + 1 + m.r.IntN(3))})
	}
	for range m.r.IntN(3) {
		exact := pick(m.r, []string{"Aino", "AINO", "Aino Maria", "Eino", "Ää", "a%_"})
		x.Strings = append(x.Strings, search.StringEntry{Param: "name", Folded: search.Fold(exact), Exact: exact})
	}
	if m.r.IntN(3) == 0 {
		x.URIs = append(x.URIs, search.StringEntry{Param: "url", Exact: pick(m.r, []string{"http://a", "http://a/b", "http://a/b/c", "http://ab"})})
	}
	if m.r.IntN(2) == 0 {
		low := float64(m.r.IntN(6))
		x.Numbers = append(x.Numbers, search.NumberEntry{Param: "value-quantity", System: pick(m.r, []string{"", "u"}), Code: pick(m.r, []string{"mg", "g"}), Low: low, High: low + float64(m.r.IntN(3))})
	}
	for range m.r.IntN(4) {
		low := float64(m.r.IntN(3))
		x.Tokens = append(x.Tokens, search.TokenEntry{Param: pPair.Parts[0].Name, System: pick(m.r, []string{"", "s"}), Code: pick(m.r, []string{"a", "b"})})
		x.Numbers = append(x.Numbers, search.NumberEntry{Param: pPair.Parts[1].Name, Low: low, High: low})
	}
	for range m.r.IntN(3) {
		if search.Positioned(typ) {
			x.Positions = append(x.Positions, search.PositionEntry{Param: "near", Point: pick(m.r, modelPoints)})
		}
	}
	return x
}

// modelPoints are a few places on and about the axes of the unit sphere.
var modelPoints = []search.Point{{X: 1}, {X: -1}, {Y: 1}, {Z: 1}, {Z: -1}, {X: 0.6, Y: 0.8}, {X: 0.6, Y: -0.8}, {Y: 0.8, Z: 0.6}}

var prefixes = []string{"", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"}

func (m *model) value(p *search.Param, modifier string) search.Value {
	r := m.r
	switch {
	case modifier == "missing":
		return search.Value{Missing: r.IntN(2) == 0}
	case modifier == "text":
		return search.Value{Text: pick(r, []string{"ver", "veri", "aine", "x"})}
	case p.Name == "_id":
		return search.Value{Code: fmt.Sprint(r.IntN(25))}
	case p.Name == "_lastUpdated":
		from := noon.Add(time.Duration(r.IntN(6)) * time.Millisecond)
		return search.Value{Prefix: pick(r, prefixes), From: from, To: from.Add(time.Duration(1+r.IntN(3)) * time.Millisecond)}
	case p.Type == search.Token:
		switch r.IntN(4) {
		case 0:
			return search.Value{System: pick(r, []string{"s", "t"}), SystemSet: true}
		case 1:
			return search.Value{System: pick(r, []string{"", "s", "t"}), SystemSet: true, Code: pick(r, []string{"a", "b", "c"})}
		}
		return search.Value{Code: pick(r, []string{"a", "b", "c"})}
	case modifier == "identifier":
		return search.Value{System: pick(r, []string{"", "s"}), SystemSet: r.IntN(2) == 0, Code: pick(r, []string{"1", "2"})}
	case p.Type == search.Reference:
		switch r.IntN(4) {
		case 0:
			return search.Value{URL: pick(r, []string{"http://x/1", "urn:y"})}
		case 1:
			return search.Value{RefID: fmt.Sprint(r.IntN(25))}
		}
		return search.Value{RefType: pick(r, modelTypes), RefID: fmt.Sprint(r.IntN(25))}
	case p.Type == search.Date:
		from := r.IntN(12)
		return search.Value{Prefix: pick(r, prefixes), From: day(from), To: day(from + 1 + r.IntN(2))}
	case p.Type == search.String && modifier == "exact":
		return search.Value{Text: pick(r, []string{"Aino", "AINO", "aino"})}
	case p.Type == search.String:
		return search.Value{Text: pick(r, []string{"a", "aino", "ino", "aa", "%", "e"})}
	case p.Type == search.URI:
		return search.Value{Text: pick(r, []string{"http://a", "http://a/b"})}
	case p.Type == search.Special:
		return search.Value{Circle: &search.Circle{Centre: pick(r, modelPoints), Chord: pick(r, []float64{0, 0.5, 1, 1.5, 2})}}
	case p.Type == search.Composite:
		return search.Value{Parts: []search.Value{m.value(p.Parts[0], ""), m.value(p.Parts[1], "")}}
	default:
		low := float64(r.IntN(7))
		v := search.Value{Prefix: pick(r, prefixes), Low: low, High: low + pick(r, []float64{0, 0.5, 1, 3})}
		if r.IntN(3) == 0 {
			v.Code, v.SystemSet = pick(r, []string{"mg", "g"}), r.IntN(2) == 0
		}
		return v
	}
}

var modelModifiers = map[search.ParamType][]string{
	search.Token: {"", "", "", "not", "text", "missing"}, search.Reference: {"", "", "identifier", "missing"}, search.Date: {"", "", "missing"},
	search.String: {"", "contains", "exact", "missing"}, search.URI: {"", "below", "missing"}, search.Quantity: {"", "", "missing"},
	search.Composite: {"", "", "missing"}, search.Special: {"", "", "missing"},
}

func (m *model) clause(typ string, depth int) search.Clause {
	if depth > 0 && m.r.IntN(6) == 0 {
		any := search.Clause{}
		for range 1 + m.r.IntN(3) {
			any.Any = append(any.Any, m.clause(typ, depth-1))
		}
		return any
	}
	if depth > 0 && m.r.IntN(3) == 0 {
		name := pick(m.r, []string{"subject", "based-on", "part-of"})
		if m.r.IntN(2) == 0 {
			from := pick(m.r, modelTypes)
			return search.Clause{Has: &search.Has{Type: from, Param: params[name], Where: m.clause(from, depth-1)}}
		}
		c := search.Clause{Param: params[name], Chain: &search.Chain{Branches: map[string]search.Clause{}}}
		for range 1 + m.r.IntN(2) {
			to := pick(m.r, modelTypes)
			c.Chain.Branches[to] = m.clause(to, depth-1)
		}
		for to := range c.Chain.Branches {
			c.Chain.Types = append(c.Chain.Types, to)
		}
		slices.Sort(c.Chain.Types)
		return c
	}
	p := params[pick(m.r, []string{"_id", "_lastUpdated", "status", "code", "subject", "based-on", "date", "name", "url", "value-quantity", "code-value-quantity", "near"})]
	c := search.Clause{Param: p}
	if p != pID && p != pUpdated {
		c.Modifier = pick(m.r, modelModifiers[p.Type])
	}
	c.Values = append(c.Values, m.value(p, c.Modifier))
	if c.Modifier != "missing" && m.r.IntN(2) == 0 {
		c.Values = append(c.Values, m.value(p, c.Modifier))
	}
	return c
}

func (m *model) query() *search.Query {
	q := &search.Query{Type: pick(m.r, modelTypes), Count: 1 + m.r.IntN(6), Total: m.r.IntN(4) != 0}
	if m.r.IntN(3) == 0 {
		q = search.AcrossOf(modelTypes[m.r.IntN(2):]...)
		q.Count, q.Total = 1+m.r.IntN(6), m.r.IntN(2) == 0
	}
	for _, of := range q.Of() {
		for range m.r.IntN(3) {
			of.Where = append(of.Where, m.clause(of.Type, 2))
		}
	}
	for range m.r.IntN(3) {
		key := sortBy(pick(m.r, []string{"_id", "_lastUpdated", "status", "date", "name", "url", "value-quantity"}), m.r.IntN(2) == 0)
		for _, of := range q.Of() {
			of.Sort = append(of.Sort, key)
		}
	}
	for range m.r.IntN(3) {
		i := search.Include{Reverse: m.r.IntN(2) == 0, Type: pick(m.r, modelTypes), Iterate: m.r.IntN(2) == 0}
		names := []string{"subject", "based-on", "part-of"}
		if m.r.IntN(2) == 0 { // no wildcard
			names = []string{pick(m.r, names)}
		}
		for _, name := range names {
			i.Params = append(i.Params, &search.Param{Name: name, Type: search.Reference, Targets: modelTypes})
		}
		if m.r.IntN(3) == 0 {
			i.Target = pick(m.r, modelTypes)
		}
		q.Includes = append(q.Includes, i)
	}
	return q
}

// guard reaches some clients, and permits some classes, in part.
func (m *model) guard() *guard {
	var reach store.Reach
	switch m.r.IntN(4) {
	case 0:
		reach.All = true
	default:
		reach.Units = []string{fmt.Sprint("Organization/", m.r.IntN(4))}
		reach.Persons = []string{fmt.Sprint("Practitioner/", m.r.IntN(3))}
		reach.Clients = []string{pick(m.r, modelClients)}
		reach.Author = pick(m.r, []string{"", "", "county-social"})
	}
	if m.r.IntN(3) == 0 {
		reach.Only = []string{pick(m.r, modelClients), pick(m.r, modelClients)}
	}
	salt, from := m.r.IntN(1000), 1+m.r.IntN(10)
	var exclude []string
	for range 3 {
		exclude = append(exclude, fmt.Sprint(pick(m.r, modelTypes), "/", m.r.IntN(25)))
	}
	return &guard{reach: reach, decide: func(c consent.Class) consent.Decision {
		h := salt
		for _, b := range []byte(c.Key()) {
			h = (h*31 + int(b)) % 1009
		}
		switch h % 6 {
		case 0:
			return consent.Decision{}
		case 1:
			return consent.Decision{Outcome: consent.Permitted, Recorded: []consent.Period{{From: day(from)}, {To: day(from - 2)}}}
		case 2:
			return consent.Decision{Outcome: consent.Permitted, Exclude: exclude}
		}
		return consent.Decision{Outcome: consent.Permitted}
	}}
}

// modelSteps is how far includes that iterate go.
const modelSteps = 8

func refs(rows []store.Row) []string {
	out := []string{}
	for _, r := range rows {
		out = append(out, r.Type+"/"+r.ID)
	}
	return out
}

func foundRefs(rows []store.Found) []string {
	out := []string{}
	for _, r := range rows {
		out = append(out, r.Type+"/"+r.ID)
	}
	return out
}

// describe tells a query to a person.
func describe(q *search.Query) string {
	out := ""
	for _, of := range q.Of() {
		out += of.Type + "?"
		for _, c := range of.Where {
			out += describeClause(c) + " & "
		}
		for _, k := range of.Sort {
			out += fmt.Sprintf("sort %s %t, ", k.Name, k.Desc)
		}
	}
	for _, i := range q.Includes {
		out += fmt.Sprintf("include %t %s:%s (of %d):%s %t, ", i.Reverse, i.Type, i.Params[0].Name, len(i.Params), i.Target, i.Iterate)
	}
	return out
}

func describeClause(c search.Clause) string {
	switch {
	case len(c.Any) > 0:
		out := "any("
		for _, alternative := range c.Any {
			out += describeClause(alternative) + " | "
		}
		return out + ")"
	case c.Has != nil:
		return "_has:" + c.Has.Type + ":" + c.Has.Param.Name + ":" + describeClause(c.Has.Where)
	case c.Chain != nil:
		out := c.Param.Name + "{"
		for _, typ := range c.Chain.Types {
			out += typ + "." + describeClause(c.Chain.Branches[typ]) + " "
		}
		return out + "}"
	}
	return fmt.Sprintf("%s:%s=%+v", c.Param.Name, c.Modifier, c.Values)
}
