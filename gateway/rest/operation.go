package rest

import (
	"net/http"
	"strconv"

	"sotesilta/internal/fhir"
)

// invoke invokes an operation (FHIR R4 § 3.2.1). Its input is a resource in the body, Parameters as a rule, or nothing at
// all; parameters in the URL are not taken, because they may name a person, but with GET of an operation that asks of none.
func (v *visit) invoke(query params) (answer, error) {
	op := v.target.operation
	var in *fhir.Value
	inURL := v.r.Method != http.MethodPost
	if inURL {
		var err error
		if in, query, err = asked(op, query); err != nil {
			return answer{}, err
		}
	}
	if err := v.none(query); err != nil {
		v.unread = true
		return answer{}, err
	}
	if !inURL && v.r.ContentLength != 0 {
		var err error
		if in, err = v.document(v.server.Limits.Body); err != nil {
			return answer{}, err
		}
	}
	if in != nil && !op.Unread {
		if err := sound(in); err != nil {
			return answer{}, err
		}
	}
	resource, err := op.Handle(v.ctx, v.exchange(), v.target.id, in)
	if err != nil {
		return answer{}, err
	}
	if resource == nil {
		return answer{status: http.StatusNoContent}, nil
	}
	return answer{status: http.StatusOK, resource: resource}, nil
}

// asked is the Parameters of an operation that is asked with GET, and what else stands in the URL.
func asked(op *Operation, query params) (in *fhir.Value, rest params, err error) {
	list := fhir.NewArray()
	for _, p := range query {
		member := op.Asked[p.Name]
		value := fhir.NewString(p.Value)
		switch _, err := strconv.ParseInt(p.Value, 10, 32); {
		case member == "":
			rest = append(rest, p)
			continue
		case p.Value == "" || member == "valueInteger" && err != nil || member == "valueBoolean" && p.Value != "true" && p.Value != "false":
			return nil, nil, refuse(http.StatusBadRequest, "value", "http."+p.Name, "The parameter "+p.Name+" has another form of value.")
		case member == "valueInteger":
			value = fhir.NewNumber(p.Value)
		case member == "valueBoolean":
			value = fhir.NewBool(p.Value == "true")
		}
		list.Append(object("name", p.Name, member, value))
	}
	return object("resourceType", "Parameters", "parameter", orNone(list)), rest, nil
}
