package rest

import (
	"net/http"

	"sotesilta/internal/fhir"
)

// meta is $meta of an instance: it is a read, and decided and recorded as one.
const meta = "meta"

// meta answers the meta of a resource (FHIR R4 Resource/$meta) as Parameters; HEAD alike.
func (v *visit) meta(i *invocation) (answer, error) {
	query, err := i.params()
	if err != nil {
		return answer{}, err
	}
	if err := v.none(query); err != nil {
		return answer{}, err
	}
	a, err := v.readResource(i.typ, i.id)
	if err != nil {
		return answer{}, err
	}
	return metaOf(a.resource.Body)
}

// metaOf is the meta of a resource as an answer.
func metaOf(body []byte) (answer, error) {
	doc, err := fhir.Parse(body, limitsOf(max(len(body), fhir.DefaultLimits.Bytes)))
	if err != nil {
		return answer{}, err
	}
	out := object("resourceType", "Parameters", "parameter", fhir.NewArray(object("name", "return", "valueMeta", doc.Get("meta"))))
	return answer{status: http.StatusOK, body: out.JSON()}, nil
}
