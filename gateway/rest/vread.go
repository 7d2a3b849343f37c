package rest

import (
	"net/http"
	"strconv"
)

// getVRead answers one version of a resource (FHIR R4 § 3.1.0.3); HEAD alike. Who has it already gets 304: R4 speaks of
// that with reads only, HTTP of every GET (RFC 9110 § 13.1.2).
func (v *visit) getVRead(query params) (answer, error) {
	subset, err := v.subsetOf(query)
	if err != nil {
		return answer{}, err
	}
	a, err := v.readVersion(v.target.typ, v.target.id, v.target.version)
	if err == nil && v.cached().still(a.resource) {
		a.status = http.StatusNotModified
	}
	if err == nil {
		a.resource, err = subset.of(a.resource)
	}
	return a, err
}

func (v *visit) readVersion(typ, id, version string) (answer, error) {
	number, err := strconv.ParseInt(version, 10, 64)
	if err != nil || number < 1 || strconv.FormatInt(number, 10) != version {
		return answer{}, &refusal{status: http.StatusNotFound, issues: notKnown}
	}
	caller := v.exchange()
	resource, err := v.server.Desk.VRead(v.ctx, caller, typ, id, number)
	if err != nil {
		return answer{}, err
	}
	return current(resource, caller.RequestID)
}
