package rest

import (
	"net/http"

	"sotesilta/internal/fhir"
)

// postOperation invokes an operation (FHIR R4 § 3.2.1). Its input is a resource in the body, Parameters as a rule, or
// nothing at all; parameters in the URL are not taken, because they may name a person.
func (v *visit) postOperation(query params) (answer, error) {
	if err := v.none(query); err != nil {
		v.unread = true
		return answer{}, err
	}
	op := v.target.operation
	var in *fhir.Value
	if v.r.ContentLength != 0 {
		var err error
		if in, err = v.document(v.server.Limits.Body); err != nil {
			return answer{}, err
		}
		if !op.Unread {
			if err := sound(in); err != nil {
				return answer{}, err
			}
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
