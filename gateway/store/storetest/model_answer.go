package storetest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"sotesilta/consent"
	"sotesilta/gateway/search"
	"sotesilta/gateway/store"
)

// visible says whether a row is within reach and permitted.
func (m *model) visible(r store.Row, g *guard) bool {
	if r.Version == 0 || r.Deleted {
		return false
	}
	reached := len(r.Class.Clients) == 0
	for _, client := range r.Class.Clients {
		i := slices.Index(modelClients, client)
		in := g.reach.All || slices.Contains(g.reach.Units, fmt.Sprint("Organization/", i%3)) ||
			slices.Contains(g.reach.Persons, fmt.Sprint("Practitioner/", i%2)) || slices.Contains(g.reach.Clients, client) ||
			g.reach.Author != "" && g.reach.Author == r.Class.Author
		reached = reached || in && (g.reach.Only == nil || slices.Contains(g.reach.Only, client))
	}
	d := g.decide(r.Class)
	recorded := len(d.Recorded) == 0
	for _, p := range d.Recorded {
		recorded = recorded || p.Contains(r.Recorded)
	}
	return reached && d.Outcome == consent.Permitted && recorded && !slices.Contains(d.Exclude, r.Type+"/"+r.ID)
}

func (m *model) holds(r store.Row, c search.Clause, g *guard) bool {
	if len(c.Any) > 0 {
		return slices.ContainsFunc(c.Any, func(alternative search.Clause) bool { return m.holds(r, alternative, g) })
	}
	if c.Has != nil {
		for _, other := range m.rows {
			if other.Type == c.Has.Type && m.visible(other, g) && m.holds(other, c.Has.Where, g) && slices.ContainsFunc(other.Index.References, func(e search.ReferenceEntry) bool {
				return e.Param == c.Has.Param.Name && e.Type == r.Type && e.ID == r.ID
			}) {
				return true
			}
		}
		return false
	}
	if c.Chain != nil {
		return slices.ContainsFunc(r.Index.References, func(e search.ReferenceEntry) bool {
			branch, ok := c.Chain.Branches[e.Type]
			target := m.rows[e.Type+"/"+e.ID]
			return ok && e.Param == c.Param.Name && m.visible(target, g) && m.holds(target, branch, g)
		})
	}
	if c.Param.Type == search.Composite {
		return m.composed(r, c)
	}
	any := func(match func(v search.Value) bool) bool { return slices.ContainsFunc(c.Values, match) }
	token := func(v search.Value, system, code string) bool {
		return (v.Code == "" || v.Code == code) && (!v.SystemSet || v.System == system)
	}
	entries, matches := 0, 0
	entry := func(param string, match func(v search.Value) bool) {
		if param == c.Param.Name {
			entries++
			if c.Modifier != "missing" && any(match) {
				matches++
			}
		}
	}
	switch c.Param.Name {
	case "_id":
		entry("_id", func(v search.Value) bool { return v.Code == r.ID })
	case "_lastUpdated":
		entry("_lastUpdated", func(v search.Value) bool { return dateHolds(v, r.Updated, r.Updated.Add(time.Millisecond)) })
	}
	for _, e := range r.Index.Tokens {
		entry(e.Param, func(v search.Value) bool {
			if c.Modifier == "text" {
				return strings.HasPrefix(e.Text, v.Text)
			}
			return token(v, e.System, e.Code)
		})
	}
	for _, e := range r.Index.References {
		entry(e.Param, func(v search.Value) bool {
			if c.Modifier == "identifier" {
				return e.Code != "" && token(v, e.System, e.Code)
			}
			return v.URL != "" && v.URL == e.URL || v.RefID != "" && v.RefID == e.ID && (v.RefType == "" || v.RefType == e.Type)
		})
	}
	for _, e := range r.Index.Positions {
		entry(e.Param, func(v search.Value) bool { return v.Circle.Holds(e.Point) })
	}
	for _, e := range r.Index.Dates {
		entry(e.Param, func(v search.Value) bool { return dateHolds(v, e.From, e.To) })
	}
	for _, e := range r.Index.Strings {
		entry(e.Param, func(v search.Value) bool {
			switch c.Modifier {
			case "exact":
				return e.Exact == v.Text
			case "contains":
				return strings.Contains(e.Folded, v.Text)
			}
			return strings.HasPrefix(e.Folded, v.Text)
		})
	}
	for _, e := range r.Index.URIs {
		entry(e.Param, func(v search.Value) bool {
			return e.Exact == v.Text || c.Modifier == "below" && strings.HasPrefix(e.Exact, v.Text+"/")
		})
	}
	for _, e := range r.Index.Numbers {
		entry(e.Param, func(v search.Value) bool { return token(v, e.System, e.Code) && numberHolds(v, e.Low, e.High) })
	}
	switch c.Modifier {
	case "missing":
		return c.Values[0].Missing == (entries == 0)
	case "not":
		return matches == 0
	}
	return matches > 0
}

// composed says whether the entries of a composite's parts that belong together match.
func (m *model) composed(r store.Row, c search.Clause) bool {
	var tokens []search.TokenEntry
	var numbers []search.NumberEntry
	for _, e := range r.Index.Tokens {
		if e.Param == c.Param.Parts[0].Name {
			tokens = append(tokens, e)
		}
	}
	for _, e := range r.Index.Numbers {
		if e.Param == c.Param.Parts[1].Name {
			numbers = append(numbers, e)
		}
	}
	if c.Modifier == "missing" {
		return c.Values[0].Missing == (len(tokens) == 0)
	}
	return slices.ContainsFunc(c.Values, func(v search.Value) bool {
		for i := range tokens {
			one := store.Row{Index: search.Index{Tokens: tokens[i : i+1], Numbers: numbers[i : i+1]}}
			if m.holds(one, search.Clause{Param: c.Param.Parts[0], Values: v.Parts[:1]}, nil) &&
				m.holds(one, search.Clause{Param: c.Param.Parts[1], Values: v.Parts[1:]}, nil) {
				return true
			}
		}
		return false
	})
}

func dateHolds(v search.Value, from, to time.Time) bool {
	eq := !from.Before(v.From) && !to.After(v.To)
	switch v.Prefix {
	case "ne":
		return !eq
	case "gt":
		return to.After(v.To)
	case "lt":
		return from.Before(v.From)
	case "ge":
		return to.After(v.To) || eq
	case "le":
		return from.Before(v.From) || eq
	case "sa":
		return !from.Before(v.To)
	case "eb":
		return !to.After(v.From)
	case "ap":
		return from.Before(v.To) && to.After(v.From)
	}
	return eq
}

func numberHolds(v search.Value, low, high float64) bool {
	eq := v.Low <= low && high < v.High
	switch v.Prefix {
	case "ne":
		return !eq
	case "gt":
		return high > v.High
	case "lt":
		return low < v.Low
	case "ge":
		return high >= v.High
	case "le":
		return low <= v.Low
	case "sa":
		return low > v.High
	case "eb":
		return high < v.Low
	case "ap":
		return low <= v.High && high >= v.Low
	}
	return eq
}

// search is what a query finds, in order.
func (m *model) search(q *search.Query, g *guard) []store.Row {
	var out []store.Row
	for _, of := range q.Of() {
		for _, r := range m.rows {
			if r.Type == of.Type && m.visible(r, g) && !slices.ContainsFunc(of.Where, func(c search.Clause) bool { return !m.holds(r, c, g) }) {
				out = append(out, r)
			}
		}
	}
	slices.SortFunc(out, func(a, b store.Row) int {
		last := false
		for _, k := range q.Of()[0].Sort {
			last = k.Desc
			if k.Name == "_id" {
				break
			}
			va, oka := sortValue(a, k)
			vb, okb := sortValue(b, k)
			order := 0
			if oka && okb {
				order = compare(va, vb)
			}
			switch {
			case oka != okb && oka:
				return -1
			case oka != okb:
				return 1
			case oka && order != 0 && k.Desc:
				return -order
			case oka && order != 0:
				return order
			}
		}
		ids := strings.Compare(a.ID, b.ID)
		if last {
			ids = -ids
		}
		return cmp.Or(ids, strings.Compare(a.Type, b.Type))
	})
	return out
}

// sortValue is the least value of a row, or the greatest when descending.
func sortValue(r store.Row, k search.SortKey) (any, bool) {
	var values []any
	if k.Name == "_lastUpdated" {
		values = append(values, r.Updated)
	}
	for _, e := range r.Index.Tokens {
		if e.Param == k.Name {
			values = append(values, e.Code)
		}
	}
	for _, e := range r.Index.URIs {
		if e.Param == k.Name {
			values = append(values, e.Exact)
		}
	}
	for _, e := range r.Index.Strings {
		if e.Param == k.Name {
			values = append(values, e.Folded)
		}
	}
	for _, e := range r.Index.Dates {
		if e.Param == k.Name {
			values = append(values, e.From)
		}
	}
	for _, e := range r.Index.Numbers {
		if e.Param == k.Name {
			values = append(values, e.Low)
		}
	}
	if len(values) == 0 {
		return nil, false
	}
	if k.Desc {
		return slices.MaxFunc(values, compare), true
	}
	return slices.MinFunc(values, compare), true
}

func compare(a, b any) int {
	switch a := a.(type) {
	case string:
		return strings.Compare(a, b.(string))
	case float64:
		return cmp.Compare(a, b.(float64))
	case time.Time:
		return a.Compare(b.(time.Time))
	}
	return 0
}

// pPair is a composite of a code and a value.
var pPair = &search.Param{Name: "code-value-quantity", Type: search.Composite, Parts: []*search.Param{
	{Name: "code-value-quantity$0", Type: search.Token}, {Name: "code-value-quantity$1", Type: search.Quantity},
}}

// includes is what a page of matches includes.
func (m *model) includes(q *search.Query, g *guard, matches []store.Row) []store.Row {
	seen := map[string]bool{}
	for _, r := range matches {
		seen[r.Type+"/"+r.ID] = true
	}
	var out []store.Row
	for n, step := 0, matches; len(step) > 0 && n < modelSteps; n++ {
		var next []store.Row
		for _, i := range q.Includes {
			if n > 0 && !i.Iterate {
				continue
			}
			for _, from := range step {
				for _, to := range m.rows {
					holder, target := from, to
					if i.Reverse {
						holder, target = to, from
					}
					if holder.Type == i.Type && (i.Target == "" || target.Type == i.Target) && m.visible(to, g) && !seen[to.Type+"/"+to.ID] &&
						slices.ContainsFunc(holder.Index.References, func(e search.ReferenceEntry) bool {
							return slices.ContainsFunc(i.Params, func(p *search.Param) bool { return p.Name == e.Param }) && e.Type == target.Type && e.ID == target.ID
						}) {
						seen[to.Type+"/"+to.ID] = true
						next = append(next, to)
					}
				}
			}
		}
		out, step = append(out, next...), next
	}
	return out
}
