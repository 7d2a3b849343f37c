package search

import "slices"

// Clients are the Patient ids that the query's matches are bound to: no resource can match that does not name one of
// them as its patient or subject, or in another place that puts it into their compartment. ok is false when the query binds none. An empty list with ok says that nothing can
// match.
//
// params are the reference parameters that bind a resource to its client; none given means patient and subject. A
// search of Patient is bound by _id. Bound are the matches alone: what an _include reaches may be about others. A search
// across types is bound when that of each type is.
func (q *Query) Clients(params ...string) (ids []string, ok bool) {
	if len(q.Across) > 0 {
		for _, of := range q.Across {
			named, bound := of.Clients(params...)
			if !bound {
				return nil, false
			}
			ids = append(ids, named...)
		}
		slices.Sort(ids)
		return append([]string{}, slices.Compact(ids)...), true
	}
	if len(params) == 0 {
		params = []string{"patient", "subject"}
	}
	for _, c := range q.Where {
		named, binds := boundBy(q.Type, c, params)
		switch {
		case !binds:
		case !ok:
			ids, ok = named, true
		default:
			ids = slices.DeleteFunc(ids, func(id string) bool { return !slices.Contains(named, id) })
		}
	}
	return ids, ok
}

// boundBy are the clients that a condition at the top binds to; false if it binds none: alternatives that leave the
// type open or point elsewhere could be about anybody.
func boundBy(typ string, c Clause, params []string) ([]string, bool) {
	if len(c.Any) > 0 {
		return boundByAny(typ, c.Any)
	}
	if c.Param == nil || c.Modifier != "" || c.Chain != nil {
		return nil, false
	}
	self := typ == "Patient" && c.Param.Name == "_id"
	if !self && (c.Param.Type != Reference || !slices.Contains(params, c.Param.Name)) {
		return nil, false
	}
	ids := make([]string, 0, len(c.Values))
	for _, v := range c.Values {
		id := v.RefID
		if self {
			id = v.Code
		} else if v.RefType != "Patient" || id == "" {
			return nil, false
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids, true
}

// boundByAny are the clients that all alternatives bind to, whichever their parameters.
func boundByAny(typ string, any []Clause) ([]string, bool) {
	var ids []string
	for _, c := range any {
		if c.Param == nil {
			return nil, false
		}
		named, binds := boundBy(typ, c, []string{c.Param.Name})
		if !binds {
			return nil, false
		}
		ids = append(ids, named...)
	}
	slices.Sort(ids)
	return slices.Compact(ids), true
}

// Types are the resource types that answering the query touches, sorted: the one searched, those that chains and
// _has look into, and those that may be included.
func (q *Query) Types() []string {
	var types []string
	for _, of := range q.Of() {
		types = append(types, of.Type)
		for _, c := range of.Where {
			types = c.types(types)
		}
	}
	for _, in := range q.Includes {
		types = append(types, in.Type)
		if !in.Reverse {
			types = append(types, in.Targets()...)
		}
	}
	slices.Sort(types)
	return slices.Compact(types)
}

// types adds the types that c looks into.
func (c Clause) types(to []string) []string {
	for _, alternative := range c.Any {
		to = alternative.types(to)
	}
	if c.Has != nil {
		return c.Has.Where.types(append(to, c.Has.Type))
	}
	if c.Chain != nil {
		to = append(to, c.Chain.Types...)
		for _, branch := range c.Chain.Branches {
			to = branch.types(to)
		}
	}
	return to
}
