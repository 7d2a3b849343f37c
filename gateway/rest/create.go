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
		if op.IfNoneExist, err = v.conditionIn(op.Type, condition); err != nil {
			return answer{}, err
		}
	}
	return v.change(op)
}

// conditionIn reads the condition of a change from a query string.
func (v *visit) conditionIn(typ, query string) (*search.Query, error) {
	condition, err := readParams(strings.TrimPrefix(query, "?"))
	if err != nil {
		return nil, err
	}
	return v.condition(typ, condition)
}

// condition understands the condition of a change, strictly whatever Prefer says: a parameter left out would mean other
// resources. It must name at least one: a condition that every row meets is a mistake.
func (v *visit) condition(typ string, query params) (*search.Query, error) {
	q, err := v.parse(typ, query, false)
	if err != nil {
		return nil, err
	}
	if len(q.Where) == 0 {
		return nil, refuse(http.StatusBadRequest, "invalid", "", "The condition narrows nothing: name the resource by its id ("+typ+
			"/[id]), or give search parameters that it alone meets.")
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
	for ref := range fhir.References(op.Doc) {
		if ref.Parse().Kind == fhir.ConditionalReference {
			return answer{}, refuse(http.StatusBadRequest, "not-supported", ref.Expression(),
				"Conditional references are resolved in transactions only (FHIR R4 § 3.1.0.11.2): search first, and refer by id.")
		}
	}
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
