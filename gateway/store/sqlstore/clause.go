package sqlstore

import (
	"errors"
	"fmt"
	"strings"

	"sotesilta/gateway/search"
)

// errClause answers a clause that no statement can be made of; search.Parse makes none such.
var errClause = errors.New("sqlstore: a condition that is not understood")

// above is greater than every text that begins with the text it is appended to.
const above = "\U0010FFFF"

// holds spells that clause c holds for the resource of type typ with alias r.
func (s *statement) holds(c search.Clause, typ, r string) (string, error) {
	switch {
	case len(c.Any) > 0:
		return s.holdsAny(c.Any, typ, r)
	case c.Has != nil:
		return s.holdsHas(c.Has, typ, r)
	case c.Param == nil:
		return "", errClause
	case c.Chain != nil:
		return s.holdsChain(c, typ, r)
	case c.Param.Name == "_id":
		return s.holdsID(c, r)
	case c.Modifier == "missing" && len(c.Values) > 0:
		if own(c.Param.Name) {
			return truth(!c.Values[0].Missing), nil
		}
		return negate(c.Values[0].Missing) + s.entry(first(c.Param), typ, r, ""), nil
	case c.Param.Name == "_lastUpdated":
		return s.anyOf(c, func(v search.Value) (string, error) {
			return s.dateMatch(v, r+".updated", r+".updated + 1")
		})
	}
	if c.Param.Type == search.Composite {
		return s.anyOf(c, func(v search.Value) (string, error) { return s.composed(c.Param, v, typ, r) })
	}
	x := s.alias("x")
	match, err := s.anyOf(c, func(v search.Value) (string, error) { return s.match(c, v, x) })
	if err != nil {
		return "", err
	}
	return negate(c.Modifier == "not") + s.entryAs(c.Param, typ, r, x, match), nil
}

// holdsAny spells that one of the alternatives holds.
func (s *statement) holdsAny(any []search.Clause, typ, r string) (string, error) {
	parts := make([]string, len(any))
	for i, c := range any {
		var err error
		if parts[i], err = s.holds(c, typ, r); err != nil {
			return "", err
		}
	}
	return join(parts, " OR "), nil
}

// first is the parameter that a resource has an entry of if it has any of p.
func first(p *search.Param) *search.Param {
	if len(p.Parts) > 0 {
		return p.Parts[0]
	}
	return p
}

// composed spells that the resource has entries of all parts of a composite that match a value and belong together.
func (s *statement) composed(p *search.Param, v search.Value, typ, r string) (string, error) {
	if len(p.Parts) == 0 || len(v.Parts) != len(p.Parts) {
		return "", errClause
	}
	aliases := make([]string, len(p.Parts))
	matches := make([]string, len(p.Parts))
	for i, part := range p.Parts {
		aliases[i] = s.alias("x")
		match, err := s.match(search.Clause{Param: part}, v.Parts[i], aliases[i])
		if err != nil {
			return "", err
		}
		matches[i] = match
	}
	inner := ""
	for i := len(p.Parts) - 1; i > 0; i-- { // each is looked up by its place, from the one before
		inner = " AND " + exists(fmt.Sprintf("SELECT 1 FROM %[1]s %[2]s WHERE %[2]s.rid = %[3]s.rid AND %[2]s.param = %[4]d AND %[2]s.ord = %[3]s.ord AND %[5]s%[6]s",
			tables[p.Parts[i].Type], aliases[i], aliases[i-1], s.number(typ, p.Parts[i].Name), matches[i], inner))
	}
	return s.entryAs(p.Parts[0], typ, r, aliases[0], matches[0]+inner), nil
}

func negate(not bool) string {
	if not {
		return "NOT "
	}
	return ""
}

func truth(t bool) string {
	if t {
		return "1 = 1"
	}
	return "1 = 0"
}

// anyOf joins what f spells of each value.
func (s *statement) anyOf(c search.Clause, f func(search.Value) (string, error)) (string, error) {
	parts := make([]string, 0, len(c.Values))
	for _, v := range c.Values {
		part, err := f(v)
		if err != nil {
			return "", err
		}
		parts = append(parts, part)
	}
	if len(parts) == 0 {
		return "", errClause
	}
	return join(parts, " OR "), nil
}

// tables are the index tables of the parameter types.
var tables = map[search.ParamType]string{
	search.Token: "ix_token", search.URI: "ix_token", search.Reference: "ix_reference", search.Date: "ix_date",
	search.String: "ix_string", search.Quantity: "ix_number", search.NumberType: "ix_number",
	search.Special: "ix_position",
}

// entry spells that the resource has an entry of the parameter, that matches if a match is given.
func (s *statement) entry(p *search.Param, typ, r, match string) string {
	return s.entryAs(p, typ, r, s.alias("x"), match)
}

func (s *statement) entryAs(p *search.Param, typ, r, x, match string) string {
	if match != "" {
		match = " AND " + match
	}
	return exists(fmt.Sprintf("SELECT 1 FROM %[1]s %[2]s WHERE %[2]s.rid = %[3]s.rid AND %[2]s.param = %[4]d%[5]s",
		tables[p.Type], x, r, s.number(typ, p.Name), match))
}

// match spells that the index row with alias x matches a value (search.Value says how).
func (s *statement) match(c search.Clause, v search.Value, x string) (string, error) {
	switch t := c.Param.Type; {
	case t == search.Token && c.Modifier == "text":
		return s.begins(x+".text", v.Text), nil
	case t == search.Token && (c.Modifier == "" || c.Modifier == "not"):
		return s.coded(v, x), nil
	case t == search.Reference && c.Modifier == "identifier":
		return x + ".code <> '' AND " + s.coded(v, x), nil
	case t == search.Reference && c.Modifier == "" && v.RefID != "" && v.RefType != "":
		return x + ".id = " + s.text(v.RefID) + " AND " + x + ".type = " + s.text(v.RefType), nil
	case t == search.Reference && c.Modifier == "" && v.RefID != "":
		return x + ".id = " + s.text(v.RefID) + " AND " + x + ".type <> ''", nil
	case t == search.Reference && c.Modifier == "" && v.URL != "":
		return x + ".id = " + s.text(v.URL) + " AND " + x + ".type = ''", nil
	case t == search.Date && c.Modifier == "":
		return s.dateMatch(v, x+".f", x+".t")
	case t == search.String && c.Modifier == "":
		return s.begins(x+".folded", v.Text), nil
	case t == search.String && c.Modifier == "contains":
		return s.d.Contains(x+".folded", s.text(v.Text)), nil
	case t == search.String && c.Modifier == "exact":
		return x + ".exact = " + s.text(v.Text), nil
	case t == search.URI && c.Modifier == "":
		return x + ".code = " + s.text(v.Text), nil
	case t == search.URI && c.Modifier == "below":
		return "(" + x + ".code = " + s.text(v.Text) + " OR " + s.begins(x+".code", v.Text+"/") + ")", nil
	case (t == search.NumberType || t == search.Quantity) && c.Modifier == "":
		return s.numberMatch(v, x)
	case t == search.Special && c.Modifier == "" && v.Circle != nil:
		return s.inCircle(v.Circle, x), nil
	}
	return "", fmt.Errorf("%w: %s:%s", errClause, c.Param.Name, c.Modifier)
}

// text adds a text as it would lie in an index.
func (s *statement) text(v string) string { return s.arg(bounded(v)) }

// begins spells that a column begins with a text.
func (s *statement) begins(column, text string) string {
	text = bounded(text)
	return column + " >= " + s.arg(text) + " AND " + column + " < " + s.arg(text+above)
}

// coded spells that code and system of an index row are those asked for.
func (s *statement) coded(v search.Value, x string) string {
	var all []string
	if v.Code != "" {
		all = append(all, x+".code = "+s.text(v.Code))
	}
	if v.SystemSet {
		all = append(all, x+".system = "+s.text(v.System))
	}
	if len(all) == 0 {
		return truth(true)
	}
	return strings.Join(all, " AND ")
}

// dateMatch spells how the span [from, to) of an entry answers to a value (FHIR R4 § 3.1.1.4.7).
func (s *statement) dateMatch(v search.Value, from, to string) (string, error) {
	low := func() string { return s.arg(millis(v.From)) }
	high := func() string { return s.arg(millis(v.To)) }
	eq := func() string { return "(" + from + " >= " + low() + " AND " + to + " <= " + high() + ")" }
	switch v.Prefix {
	case "", "eq":
		return eq(), nil
	case "ne":
		return "NOT " + eq(), nil
	case "gt":
		return to + " > " + high(), nil
	case "lt":
		return from + " < " + low(), nil
	case "ge":
		return "(" + to + " > " + high() + " OR " + eq() + ")", nil
	case "le":
		return "(" + from + " < " + low() + " OR " + eq() + ")", nil
	case "sa":
		return from + " >= " + high(), nil
	case "eb":
		return to + " <= " + low(), nil
	case "ap":
		return "(" + from + " < " + high() + " AND " + to + " > " + low() + ")", nil
	}
	return "", fmt.Errorf("%w: prefix %s", errClause, v.Prefix)
}

// numberMatch spells how the span [low, high] of an entry answers to a value (FHIR R4 § 3.1.1.4.6).
func (s *statement) numberMatch(v search.Value, x string) (string, error) {
	low := func() string { return s.arg(v.Low) }
	high := func() string { return s.arg(v.High) }
	eq := func() string { return "(" + x + ".low >= " + low() + " AND " + x + ".high < " + high() + ")" }
	var match string
	switch v.Prefix {
	case "", "eq":
		match = eq()
	case "ne":
		match = "NOT " + eq()
	case "gt":
		match = x + ".high > " + high()
	case "lt":
		match = x + ".low < " + low()
	case "ge":
		match = x + ".high >= " + high()
	case "le":
		match = x + ".low <= " + low()
	case "sa":
		match = x + ".low > " + high()
	case "eb":
		match = x + ".high < " + low()
	case "ap":
		match = "(" + x + ".low <= " + high() + " AND " + x + ".high >= " + low() + ")"
	default:
		return "", fmt.Errorf("%w: prefix %s", errClause, v.Prefix)
	}
	if v.Code != "" || v.SystemSet {
		match += " AND " + s.coded(v, x)
	}
	return match, nil
}

// inCircle spells that the point of an index row is in a circle: first in the cube around it, which bounds a range of the
// index, then within reach of its centre.
func (s *statement) inCircle(c *search.Circle, x string) string {
	var cube, chord []string
	for _, axis := range []struct {
		name string
		at   float64
	}{{"x", c.Centre.X}, {"y", c.Centre.Y}, {"z", c.Centre.Z}} {
		column := x + "." + axis.name
		cube = append(cube, column+" >= "+s.arg(axis.at-c.Chord)+" AND "+column+" <= "+s.arg(axis.at+c.Chord))
		off := "(" + column + " - " + s.arg(axis.at) + ")"
		chord = append(chord, off+" * "+off)
	}
	return strings.Join(cube, " AND ") + " AND " + strings.Join(chord, " + ") + " <= " + s.arg(c.Chord*c.Chord)
}

// holdsID spells that the id is among the values.
func (s *statement) holdsID(c search.Clause, r string) (string, error) {
	switch c.Modifier {
	case "", "not":
		ids, err := s.anyOf(c, func(v search.Value) (string, error) { return r + ".id = " + s.text(v.Code), nil })
		return negate(c.Modifier == "not") + "(" + ids + ")", err
	case "missing":
		if len(c.Values) > 0 {
			return truth(!c.Values[0].Missing), nil
		}
	}
	return "", fmt.Errorf("%w: _id:%s", errClause, c.Modifier)
}

// holdsChain spells that the resource refers to a permitted one that meets the branch of its type.
func (s *statement) holdsChain(c search.Clause, typ, r string) (string, error) {
	var parts []string
	for _, target := range c.Chain.Types {
		branch, ok := c.Chain.Branches[target]
		if !ok {
			continue
		}
		x, t := s.alias("x"), s.alias("t")
		holds, err := s.holds(branch, target, t)
		if err != nil {
			return "", err
		}
		parts = append(parts, exists(over(s.d, "ix_reference "+x).
			look("resource", t, fmt.Sprintf("%[1]s.type = %[2]s.type AND %[1]s.id = %[2]s.id", t, x)).
			and(fmt.Sprintf("%[1]s.rid = %[2]s.rid AND %[1]s.param = %[3]d AND %[1]s.type = %[4]s", x, r, s.number(typ, c.Param.Name), s.text(target))).
			and(s.permitted(t)).and(holds).sql("1")))
	}
	if len(parts) == 0 {
		return truth(false), nil
	}
	return join(parts, " OR "), nil
}

// holdsHas spells that a permitted resource that meets the condition refers to the resource.
func (s *statement) holdsHas(h *search.Has, typ, r string) (string, error) {
	x, t := s.alias("x"), s.alias("t")
	holds, err := s.holds(h.Where, h.Type, t)
	if err != nil {
		return "", err
	}
	return exists(over(s.d, "ix_reference "+x).
		look("resource", t, t+".rid = "+x+".rid").
		and(fmt.Sprintf("%[1]s.param = %[2]d AND %[1]s.id = %[3]s.id AND %[1]s.type = %[4]s", x, s.number(h.Type, h.Param.Name), r, s.text(typ))).
		and(s.permitted(t)).and(holds).sql("1")), nil
}
