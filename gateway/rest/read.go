package rest

import (
	"net/http"

	"sotesilta/gateway/exchange"
)

// getRead answers the current version of a resource (FHIR R4 § 3.1.0.2); HEAD alike.
func (v *visit) getRead(query params) (answer, error) {
	if err := v.none(query); err != nil {
		return answer{}, err
	}
	a, err := v.readResource(v.target.typ, v.target.id)
	if err == nil && v.holds().still(a.resource) {
		a.status = http.StatusNotModified
	}
	return a, err
}

func (v *visit) readResource(typ, id string) (answer, error) {
	resource, err := v.server.Desk.Read(v.ctx, v.exchange(), typ, id)
	if err != nil {
		return answer{}, err
	}
	return current(resource)
}

// current answers a version that was read; one that is a deletion has no body to answer with.
func current(resource *exchange.Resource) (answer, error) {
	if resource.Deleted {
		return answer{}, refuse(http.StatusGone, "deleted", "", "This version is a deletion.")
	}
	return answer{status: http.StatusOK, resource: resource}, nil
}
