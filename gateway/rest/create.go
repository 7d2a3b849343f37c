package rest

import (
	"net/http"
	"strings"

	"sotesilta/gateway/exchange"
	"sotesilta/gateway/search"
	"sotesilta/internal/fhir"
)

// postCreate makes a new resource (FHIR R4 § 3.1.0.8); with If-None-Exist only if the caller sees none that matches.
func (v *visit) postCreate(query params) (answer, error) {
	if err := v.none(query); err != nil {
		v.unread = true
		return answer{}, err
	}
	op := exchange.Op{Interaction: exchange.Create, Type: v.target.typ}
	var err error
	if op.Doc, err = v.document(v.server.Limits.Body); err != nil {
		return answer{}, err
	}
	if err := sameType(op.Doc, op.Type, ""); err != nil {
		return answer{}, err
	}
	if condition := v.r.Header.Get("If-None-Exist"); condition != "" {
		if textCarriesIdentityCode(condition) {
			return answer{}, refuse(http.StatusBadRequest, "invalid", "http.If-None-Exist",
				"A personal identity code must not stand in a header, which may be logged. Make the conditional create in a "+
					"transaction (request.ifNoneExist), or ask POST Patient/_search first.")
		}
		if op.IfNoneExist, err = v.condition(op.Type, condition); err != nil {
			return answer{}, err
		}
	}
	return v.change(op)
}

// condition reads the query of a conditional create. It must name at least one parameter: a condition that every row
// meets is a mistake.
func (v *visit) condition(typ, query string) (*search.Query, error) {
	condition, err := readParams(strings.TrimPrefix(query, "?"))
	if err != nil {
		return nil, err
	}
	q, err := v.parse(typ, condition, false)
	if err != nil {
		return nil, err
	}
	if len(q.Where) == 0 {
		return nil, refuse(http.StatusBadRequest, "invalid", "", "The condition of a conditional create narrows nothing.")
	}
	return q, nil
}

// sameType refuses a resource of another type than its address says.
func sameType(doc *fhir.Value, typ, place string) error {
	if fhir.ResourceType(doc) == typ {
		return nil
	}
	expression := "resourceType"
	if place != "" {
		expression = place + "." + expression
	}
	return refuse(http.StatusBadRequest, "invalid", expression, "resourceType is not "+typ+", the type of the address.")
}

// change makes one change and answers what came of it.
func (v *visit) change(op exchange.Op) (answer, error) {
	written, err := v.server.Desk.Transact(v.ctx, v.exchange(), []exchange.Op{op})
	if err != nil {
		return answer{}, err
	}
	return changed(op.Interaction, &written[0]), nil
}

// changed is the answer to a change that was made.
func changed(i exchange.Interaction, w *exchange.Written) answer {
	switch {
	case i == exchange.Delete:
		return answer{status: http.StatusNoContent}
	case w.Created:
		return answer{status: http.StatusCreated, resource: &w.Resource, location: versioned(&w.Resource), written: true}
	default: // a new version, or the match of a conditional create
		return answer{status: http.StatusOK, resource: &w.Resource, written: true}
	}
}
