package sqlstore

import "strings"

// joined is a query that takes its tables in the order in which they are written, each looked up by an index from those
// before it, whatever a planner believes of the values.
type joined struct {
	d     Dialect
	from  string
	where []string
}

// over begins with a table or query and its alias.
func over(d Dialect, first string) *joined { return &joined{d: d, from: first} }

// look adds a table that is looked up on a condition, which an index serves.
func (j *joined) look(table, alias, on string) *joined {
	from, where := j.d.Look(table, alias, on)
	j.from += " CROSS JOIN " + from
	return j.and(where)
}

// and adds a condition that is checked, not looked up by; "" is none.
func (j *joined) and(condition string) *joined {
	if condition != "" {
		j.where = append(j.where, condition)
	}
	return j
}

// sql spells the query of columns.
func (j *joined) sql(columns string) string {
	text := "SELECT " + columns + " FROM " + j.from
	if len(j.where) > 0 {
		text += " WHERE " + strings.Join(j.where, " AND ")
	}
	return text
}
