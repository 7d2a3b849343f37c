package search

import (
	"slices"
	"strconv"
	"strings"

	"sotesilta/internal/fhir"
)

// MaxTypes bounds the resource types of one search across types.
const MaxTypes = 16

// typesParam is the parameter that names the types of a search across types (FHIR R4 § 3.1.1.4.2).
const typesParam = "_type"

// ParseAcross understands a search of several resource types at once (FHIR R4 § 3.1.1.1, "all resource types"), those
// that _type names; that parameter was taken out of params. Every other parameter must be one that all of the types have;
// what it means is found for each type by itself, so that those beyond R4's common ones, such as patient, do as well.
// _sort takes what all have in one kind, _include and _revinclude what begins with, or leads to, any of them. The error is
// an *Error as that of Parse.
func ParseAcross(types []string, params []Pair, opt Options) (*Query, error) {
	types = slices.Compact(slices.Sorted(slices.Values(types)))
	switch {
	case len(types) == 0:
		return nil, refused("required", "A search across types names them: _type=Task,CarePlan, at most "+strconv.Itoa(MaxTypes)+".")
	case len(types) > MaxTypes:
		return nil, refused("too-costly", "A search across types names at most "+strconv.Itoa(MaxTypes)+" of them in _type.")
	}
	p := newParser(Query{Within: opt.Within}, opt)
	p.each = nil
	for _, typ := range types {
		of := newParser(Query{Type: typ, Within: opt.Within}, opt)
		if err := of.enter(); err != nil {
			return nil, err
		}
		p.each, p.q.Across = append(p.each, of), append(p.q.Across, of.q)
	}
	p.raw = append(p.raw, Pair{typesParam, strings.Join(types, ",")})
	return p.parse(params)
}

// AcrossOf is the search of everything of some types.
func AcrossOf(types ...string) *Query {
	q := &Query{}
	for _, typ := range types {
		q.Across = append(q.Across, &Query{Type: typ})
	}
	return q
}

// Of are the searches of each type that the query is made of: itself, or those across types.
func (q *Query) Of() []*Query {
	if len(q.Across) > 0 {
		return q.Across
	}
	return []*Query{q}
}

// Searches says whether rows of a type may be matches.
func (q *Query) Searches(typ string) bool {
	return slices.ContainsFunc(q.Of(), func(of *Query) bool { return of.Type == typ })
}

// AskedTypes are the types that a search across types named, as Query.Asked tells of it; none if it is another search.
func AskedTypes(asked string) []string {
	pairs, err := Pairs(asked)
	if err != nil {
		return nil
	}
	for _, pair := range pairs {
		if pair.Name == typesParam {
			return slices.DeleteFunc(strings.Split(pair.Value, ","), func(typ string) bool { return !fhir.IsResource(typ) })
		}
	}
	return nil
}

// filter understands a condition for each type that is searched, as each knows its parameters.
func (p *parser) filter(name, value string) *fault {
	clauses := make([]Clause, len(p.each))
	for i, of := range p.each {
		var f *fault
		if clauses[i], f = of.clause(of.q.Type, name, value, 0); f != nil {
			if f.unknown && len(p.each) > 1 {
				f.text += " A search across types takes the parameters that all of them have."
			}
			return f
		}
	}
	for i, of := range p.each {
		of.q.Where = append(of.q.Where, clauses[i])
	}
	return nil
}

// searched says whether a type is searched; of several, by any.
func (p *parser) searched(typ string) bool {
	return slices.ContainsFunc(p.each, func(of *parser) bool { return of.q.Type == typ })
}

// named is how refusals name what is searched.
func (p *parser) named() string {
	names := make([]string, len(p.each))
	for i, of := range p.each {
		names[i] = of.q.Type
	}
	return strings.Join(names, ", ")
}

// sortBy is the sort key of a parameter for each type that is searched; nil unless all of them have it in one kind that
// sorts.
func (p *parser) sortBy(name string, desc bool) []SortKey {
	keys := make([]SortKey, len(p.each))
	for i, of := range p.each {
		param := Lookup(of.q.Type, name)
		if param == nil || param.Type == Reference || param.Type == Composite || param.Type == Special || param.Type == Texts || i > 0 && param.Type != keys[0].Param.Type {
			return nil
		}
		keys[i] = SortKey{Param: param, Name: name, Desc: desc}
	}
	return keys
}
