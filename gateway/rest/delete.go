package rest

import (
	"errors"
	"net/http"

	"sotesilta/gateway/exchange"
)

// deleteDelete deletes a resource (FHIR R4 § 3.1.0.7): that of the address, or the one that the query finds (§ 3.1.0.7.1);
// several are refused. What is absent, denied or deleted already is answered alike, 204
// without an ETag, because a delete asks for an end that is then given.
func (v *visit) deleteDelete(query params) (answer, error) {
	op, err := v.aimed(exchange.Delete, query)
	if err != nil {
		return answer{}, err
	}
	return v.delete(op)
}

func (v *visit) delete(op exchange.Op) (answer, error) {
	a, err := v.change(op)
	var desk *exchange.Error
	if errors.As(err, &desk) && (desk.Kind == exchange.Absent || desk.Kind == exchange.Gone) {
		return answer{status: http.StatusNoContent}, nil
	}
	return a, err
}
