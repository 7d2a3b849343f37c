package rest

import (
	"net/http"

	"sotesilta/gateway/exchange"
)

// getRead answers the current version of a resource (FHIR R4 § 3.1.0.2); HEAD alike.
func (v *visit) getRead(query params) (answer, error) {
	subset, err := v.subsetOf(query)
	if err != nil {
		return answer{}, err
	}
	a, err := v.readResource(v.target.typ, v.target.id)
	if err == nil && v.cached().still(a.resource) {
		a.status = http.StatusNotModified
	}
	if err == nil {
		a.resource, err = subset.of(a.resource)
	}
	return a, err
}

// subsetOf reads the only parameters that a read has.
func (v *visit) subsetOf(query params) (wanted, error) {
	if len(query) == 0 {
		return wanted{}, nil
	}
	subset, err := v.takePart(&query)
	if err != nil {
		return subset, err
	}
	return subset, v.none(query)
}

func (v *visit) readResource(typ, id string) (answer, error) {
	caller := v.exchange()
	resource, err := v.server.Desk.Read(v.ctx, caller, typ, id)
	if err != nil {
		return answer{}, err
	}
	return current(resource, caller.RequestID)
}

// current answers a version that an exchange read; one that is a deletion has no body to answer with.
func current(resource *exchange.Resource, exchangeID string) (answer, error) {
	if resource.Deleted {
		return answer{}, refuse(http.StatusGone, "deleted", "", "This version is a deletion.")
	}
	a := answer{status: http.StatusOK, resource: resource}
	if resource.Disclosed {
		a.origin = exchangeID
	}
	return a, nil
}
