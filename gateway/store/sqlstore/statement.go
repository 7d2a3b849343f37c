package sqlstore

import (
	"context"
	"strconv"

	"sotesilta/gateway/search"
)

// plan is what the statements of one search share.
type plan struct {
	d      Dialect
	typ    string // that is searched; "" for several
	past   bool   // versions are looked at, not rows as they are
	places bool   // a page is read without its bodies
	where  []search.Clause
	params map[ParamKey]int64
	// met are the rows that meet the conditions on texts, and all others: nil until they are found.
	met []int64
	grants
}

// number is the number of a parameter, or -1 when no resource has ever had a value of it.
func (p *plan) number(typ, name string) int64 {
	if no := p.params[ParamKey{typ, name}]; no != 0 {
		return no
	}
	return -1
}

// statement is one SQL text under construction, with its arguments.
type statement struct {
	*plan
	arguments
	aliases int
	lists   [3]string // queries of plain, ranged and excluded, once used
}

// arguments are those of a statement.
type arguments struct{ args []any }

// arg adds an argument and gives its placeholder.
func (a *arguments) arg(v any) string {
	a.args = append(a.args, v)
	return "$" + strconv.Itoa(len(a.args))
}

// ints spells a query of one column v with these numbers.
func (s *statement) ints(list []int64) string { return s.d.Ints(s.arg, list) }

// alias is a fresh name of a table.
func (s *statement) alias(prefix string) string {
	s.aliases++
	return prefix + strconv.Itoa(s.aliases)
}

// within spells "expr is among the values of the query", evaluated once per statement and looked up in a hash or tree:
// never as a join, whose order a planner could turn round. "IS TRUE" is the fence on both engines.
func within(expr, query string) string { return "(" + expr + " IN (" + query + ")) IS TRUE" }

// among spells within for a list of values that query spells: a list of one is compared with, and takes no tree.
func among(expr, query string, values int) string {
	if values == 1 {
		return "(" + expr + " = (" + query + ")) IS TRUE"
	}
	return within(expr, query)
}

// exists spells a probe that is made row by row: LIMIT and OFFSET are the fence that keeps a planner from making a join
// of it, on both engines.
func exists(query string) string { return "EXISTS (" + query + " LIMIT 1 OFFSET 0)" }

// numbers finds the numbers of all parameters that a query names.
func (n *snapshot) numbers(ctx context.Context, q *search.Query) (map[ParamKey]int64, error) {
	wanted := set[ParamKey]{}
	for _, of := range q.Of() {
		for _, c := range of.Where {
			clauseParams(&wanted, of.Type, c)
		}
		for _, k := range of.Sort {
			if !own(k.Name) {
				wanted.add(nil, ParamKey{of.Type, k.Name})
			}
		}
	}
	for _, i := range q.Includes {
		for _, param := range i.Params {
			wanted.add(nil, ParamKey{i.Type, param.Name})
		}
	}
	return n.numbersOf(ctx, wanted)
}

// numbersOf finds the numbers of parameters.
func (n *snapshot) numbersOf(ctx context.Context, wanted set[ParamKey]) (map[ParamKey]int64, error) {
	out := make(map[ParamKey]int64, len(wanted))
	for key := range wanted {
		no := n.s.names.param(key)
		if no == 0 {
			err := each(ctx, n.r, func(rows Rows) error { return rows.Scan(&no) },
				`SELECT param FROM param WHERE type = $1 AND name = $2`, key.Type, key.Name)
			if err != nil {
				return nil, err
			}
			if no != 0 {
				n.s.names.learnParam(key, no)
			}
		}
		out[key] = no
	}
	return out, nil
}

// clauseParams adds the parameters of a clause on resources of a type.
func clauseParams(to *set[ParamKey], typ string, c search.Clause) {
	for _, alternative := range c.Any {
		clauseParams(to, typ, alternative)
	}
	switch {
	case c.Param == nil || own(c.Param.Name) || c.Reads():
	case len(c.Param.Parts) > 0:
		for _, part := range c.Param.Parts {
			to.add(nil, ParamKey{typ, part.Name})
		}
	default:
		to.add(nil, ParamKey{typ, c.Param.Name})
	}
	if c.Chain != nil {
		for t, branch := range c.Chain.Branches {
			clauseParams(to, t, branch)
		}
	}
	if c.Has != nil {
		to.add(nil, ParamKey{c.Has.Type, c.Has.Param.Name})
		clauseParams(to, c.Has.Type, c.Has.Where)
	}
}

// own says whether a parameter is a column of the table resource.
func own(name string) bool { return name == "_id" || name == "_lastUpdated" }
