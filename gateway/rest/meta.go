package rest

import (
	"net/http"

	"sotesilta/internal/fhir"
)

// meta is $meta of an instance: it is a read, and decided and recorded as one.
const meta = "meta"

// getMeta answers the meta of a resource (FHIR R4 Resource/$meta) as Parameters; HEAD alike. Labels are the gateway's to
// give, so there is no $meta-add and no $meta-delete.
func (v *visit) getMeta(query params) (answer, error) {
	if v.r.Method == http.MethodPost && v.r.ContentLength != 0 {
		in, err := v.document(v.server.Limits.Body)
		if err != nil {
			return answer{}, err
		}
		if query, err = inputs(in, query); err != nil {
			return answer{}, err
		}
	}
	if err := v.none(query); err != nil {
		return answer{}, err
	}
	a, err := v.readResource(v.target.typ, v.target.id)
	if err != nil {
		return answer{}, err
	}
	doc, err := fhir.Parse(a.resource.Body, limitsOf(max(len(a.resource.Body), fhir.DefaultLimits.Bytes)))
	if err != nil {
		return answer{}, err
	}
	out := object("resourceType", "Parameters", "parameter", fhir.NewArray(object("name", "return", "valueMeta", doc.Get("meta"))))
	return answer{status: http.StatusOK, body: out.JSON()}, nil
}
