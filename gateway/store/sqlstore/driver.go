package sqlstore

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"sotesilta/gateway/search"
)

// A driver is where the rows of a search come from: an index that one of its conditions, or its permitted classes,
// narrow. Everything else is probed row by row. Which driver is best depends on how skewed the values are, and neither
// engine's planner can be trusted with that: one keeps no statistics, the other makes one plan for all values. So the
// store gauges: it counts what each driver would give, up to a bound that rises, and takes the least.
type driver struct {
	// rows spells a query of one column rid.
	rows func(*statement) string
	// gauges spell queries whose number of rows is what the driver costs; the greatest counts. A LIMIT is appended.
	gauges []func(*statement) string
	unique bool // rid comes at most once
	likely bool // to give few rows, whatever the values are like
	sure   bool // so narrow that nothing need be gauged
	// exact is the place of the condition that every row of the driver meets, so that it need not be probed; -1: none.
	exact int
	// walk, when not 0, is the driver of the first so many rows in the order of the search.
	walk int64
	// below, when not 0, is how many rows it must not give: if it gives as many, or more, it gives none.
	below int64
}

// Drivers are gauged up to these bounds: what is below the first is good enough for any search.
const (
	gaugeFew  = 64
	gaugeMany = 8192
)

// walked is how many rows in the order of the search are looked at, in the hope that enough of them match, before a
// driver that gives many is sorted.
const walked = 1000

// clauseDriver is the driver that a clause gives on resources of a type, or nil when it narrows too little to be one.
func (p *plan) clauseDriver(c search.Clause, typ string) *driver {
	switch {
	case len(c.Any) > 0:
		return p.anyDriver(c.Any, typ)
	case c.Has != nil:
		return p.hasDriver(c.Has, typ)
	case c.Param == nil || c.Modifier == "not" || c.Modifier == "missing" || c.Modifier == "text" || len(c.Values) == 0:
		return nil
	case c.Chain != nil:
		return p.chainDriver(c, typ)
	}
	if c.Param.Type == search.Composite {
		return p.compositeDriver(c, typ)
	}
	for _, v := range c.Values {
		if !narrow(c, v) {
			return nil
		}
	}
	rows := func(s *statement) string {
		parts := make([]string, len(c.Values))
		for i, v := range c.Values {
			parts[i] = s.valueRows(c, v, typ)
		}
		return strings.Join(parts, " UNION ALL ")
	}
	gauges := make([]func(*statement) string, len(c.Values))
	for i, v := range c.Values {
		gauges[i] = func(s *statement) string { return s.valueRows(c, v, typ) }
	}
	return &driver{
		rows: rows, gauges: gauges, exact: -1,
		unique: len(c.Values) == 1 && own(c.Param.Name), sure: c.Param.Name == "_id", likely: len(c.Values) == 1 && ofFew(c, c.Values[0]),
	}
}

// shared are types that very many resources refer to.
var shared = map[string]bool{
	"Practitioner": true, "PractitionerRole": true, "Organization": true, "Location": true, "HealthcareService": true, "Device": true,
	"PlanDefinition": true, "ActivityDefinition": true, "Questionnaire": true, "": true,
}

// ofFew says whether a value is likely to be that of few resources: what refers to one person or document, or has one
// business identifier.
func ofFew(c search.Clause, v search.Value) bool {
	switch c.Param.Type {
	case search.Reference:
		return c.Modifier == "" && v.RefID != "" && !shared[v.RefType]
	case search.Token:
		return c.Param.Name == "identifier" && v.Code != ""
	}
	return false
}

// anyDriver comes from all alternatives, if each narrows.
func (p *plan) anyDriver(any []search.Clause, typ string) *driver {
	d := &driver{exact: -1}
	var parts []*driver
	for _, c := range any {
		part := p.clauseDriver(c, typ)
		if part == nil {
			return nil
		}
		parts, d.gauges = append(parts, part), append(d.gauges, part.gauges...)
	}
	d.rows = func(s *statement) string {
		texts := make([]string, len(parts))
		for i, part := range parts {
			texts[i] = part.rows(s)
		}
		return strings.Join(texts, " UNION ALL ")
	}
	return d
}

// compositeDriver comes from the first part of a composite that narrows; the parts together are probed.
func (p *plan) compositeDriver(c search.Clause, typ string) *driver {
	for i, part := range c.Param.Parts {
		by := search.Clause{Param: part}
		for _, v := range c.Values {
			if len(v.Parts) == len(c.Param.Parts) {
				by.Values = append(by.Values, v.Parts[i])
			}
		}
		if d := p.clauseDriver(by, typ); d != nil {
			return d
		}
	}
	return nil
}

// narrow says whether a value bounds a range of an index.
func narrow(c search.Clause, v search.Value) bool {
	switch c.Param.Type {
	case search.Token:
		return v.Code != "" && c.Modifier == ""
	case search.Reference:
		return c.Modifier == "" || c.Modifier == "identifier" && v.Code != ""
	case search.String:
		return c.Modifier == "" && v.Text != ""
	case search.URI:
		return c.Modifier == "" || c.Modifier == "below"
	case search.Special:
		return v.Circle != nil
	case search.Date:
		if c.Param.Name == "_lastUpdated" {
			return v.Prefix != "ne"
		}
		switch v.Prefix {
		case "", "eq", "lt", "le", "sa", "eb":
			return true
		}
	case search.Quantity, search.NumberType:
		switch v.Prefix {
		case "", "eq", "lt", "le", "sa", "eb":
			return true
		}
	}
	return false
}

// valueRows spells the rows whose index has a value that matches v.
func (s *statement) valueRows(c search.Clause, v search.Value, typ string) string {
	switch {
	case c.Param.Name == "_id":
		return "SELECT r.rid AS rid FROM resource r WHERE r.type = " + s.text(typ) + " AND r.id = " + s.text(v.Code)
	case c.Param.Name == "_lastUpdated":
		match, _ := s.dateMatch(v, "r.updated", "r.updated + 1")
		return "SELECT r.rid AS rid FROM resource r WHERE r.deleted = 0 AND r.type = " + s.text(typ) + s.range1("r.updated", v) + " AND " + match
	}
	match, _ := s.match(c, v, "x") // narrow knows only values that match knows
	switch c.Param.Type {
	case search.Date:
		match += s.range1("x.f", v)
	case search.Quantity, search.NumberType:
		switch v.Prefix {
		case "", "eq":
			match += " AND x.low < " + s.arg(v.High)
		case "eb":
			match += " AND x.low < " + s.arg(v.Low)
		}
	}
	return fmt.Sprintf("SELECT x.rid AS rid FROM %s x WHERE x.param = %d AND %s", tables[c.Param.Type], s.number(typ, c.Param.Name), match)
}

// range1 spells the bounds of the beginning of a span that follow from a value, so that an index over beginnings serves.
func (s *statement) range1(column string, v search.Value) string {
	switch v.Prefix {
	case "", "eq":
		return " AND " + column + " >= " + s.arg(millis(v.From)) + " AND " + column + " < " + s.arg(millis(v.To))
	case "lt":
		return " AND " + column + " < " + s.arg(millis(v.From))
	case "le", "ap":
		return " AND " + column + " < " + s.arg(millis(v.To))
	case "gt", "sa":
		if column == "r.updated" {
			return " AND " + column + " >= " + s.arg(millis(v.To))
		}
		return ""
	case "ge":
		if column == "r.updated" {
			return " AND " + column + " >= " + s.arg(millis(v.From))
		}
		return ""
	case "eb":
		return " AND " + column + " < " + s.arg(millis(v.From))
	}
	return ""
}

// chainDriver comes from the target's side.
func (p *plan) chainDriver(c search.Clause, typ string) *driver {
	d := &driver{exact: -1}
	var parts []func(*statement) string
	for _, target := range c.Chain.Types {
		branch, ok := c.Chain.Branches[target]
		if !ok {
			continue
		}
		inner := p.clauseDriver(branch, target)
		if inner == nil {
			return nil
		}
		d.gauges = append(d.gauges, inner.gauges...)
		part := func(s *statement) string {
			return over(s.d, "("+inner.rows(s)+") i").look("resource", "t", "t.rid = i.rid").
				look("ix_reference", "x", fmt.Sprintf("x.param = %d AND x.id = t.id AND x.type = t.type", s.number(typ, c.Param.Name))).
				sql("x.rid AS rid")
		}
		parts, d.gauges = append(parts, part), append(d.gauges, part)
	}
	if len(parts) == 0 {
		return nil
	}
	d.rows = func(s *statement) string {
		texts := make([]string, len(parts))
		for i, part := range parts {
			texts[i] = part(s)
		}
		return strings.Join(texts, " UNION ALL ")
	}
	return d
}

// hasDriver comes from the referring side.
func (p *plan) hasDriver(h *search.Has, typ string) *driver {
	inner := p.clauseDriver(h.Where, h.Type)
	if inner == nil {
		return nil
	}
	rows := func(s *statement) string {
		return over(s.d, "("+inner.rows(s)+") i").
			look("ix_reference", "x", fmt.Sprintf("x.rid = i.rid AND x.param = %d", s.number(h.Type, h.Param.Name))).
			look("resource", "t", "t.type = x.type AND t.id = x.id").
			and("x.type = " + s.text(typ)).sql("t.rid AS rid")
	}
	return &driver{rows: rows, gauges: append(slices.Clone(inner.gauges), rows), exact: -1}
}

// classDriver comes from the permitted classes of the type searched.
func (p *plan) classDriver() *driver {
	rows := func(s *statement) string {
		return over(s.d, "("+s.ints(s.own)+") c").look("resource", "r", "r.class = c.v AND r.deleted = 0").sql("r.rid AS rid")
	}
	return &driver{rows: rows, gauges: []func(*statement) string{rows}, unique: true, exact: -1}
}

// walkDriver is the driver of all rows of the type, or the first so many, in the order of the search.
func walkDriver(limit int64) *driver { return &driver{walk: limit, unique: true, exact: -1} }

// ifFew is the driver as long as it gives few rows; else it gives none.
func (d *driver) ifFew() *driver {
	few := *d
	few.below = gaugeFew
	return &few
}

// metDriver comes from the rows that were found to meet every condition.
func (p *plan) metDriver() *driver {
	return &driver{rows: func(s *statement) string { return "SELECT o.v AS rid FROM (" + s.ints(s.met) + ") o" }, unique: true, sure: true, exact: -1}
}

// drivers are those that a search has.
func (p *plan) drivers() []*driver {
	if p.met != nil {
		return []*driver{p.metDriver()}
	}
	var all []*driver
	for i, c := range p.where {
		if d := p.clauseDriver(c, p.typ); d != nil {
			if c.Any == nil && c.Chain == nil && c.Has == nil && c.Param.Type != search.Composite {
				d.exact = i
			}
			if d.sure {
				return []*driver{d}
			}
			all = append(all, d)
		}
	}
	if p.own != nil {
		all = append(all, p.classDriver())
	}
	return all
}

// gauge counts what each driver gives, up to a bound, and answers the least with its count.
func (n *snapshot) gauge(ctx context.Context, p *plan, drivers []*driver, bound int64) (least *driver, cost int64, err error) {
	s := &statement{plan: p}
	var counts []string
	var of []int
	for i, d := range drivers {
		for _, gauge := range d.gauges {
			counts = append(counts, fmt.Sprintf("(SELECT count(*) FROM (SELECT 1 AS one FROM (%s) y LIMIT %d) z)", gauge(s), bound))
			of = append(of, i)
		}
	}
	costs := make([]int64, len(drivers))
	err = each(ctx, n.r, func(rows Rows) error {
		values := make([]int64, len(counts))
		dest := make([]any, len(counts))
		for i := range values {
			dest[i] = &values[i]
		}
		err := rows.Scan(dest...)
		for i, v := range values {
			costs[of[i]] = max(costs[of[i]], v)
		}
		return err
	}, "SELECT "+strings.Join(counts, ", "), s.args...)
	at := slices.Index(costs, slices.Min(costs))
	return drivers[at], costs[at], err
}
