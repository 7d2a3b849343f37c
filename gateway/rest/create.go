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
	if given := v.r.Header["If-None-Exist"]; len(given) > 0 { // empty as well: who meant a condition must not get a twin
		if len(given) > 1 {
			return answer{}, refuse(http.StatusBadRequest, "invalid", "http.If-None-Exist",
				"One condition is needed: join its parameters with &.")
		}
		condition := given[0]
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

// conditionIn reads the condition of a create: search parameters (FHIR R4 § 3.1.0.8.1). Clients made after HAPI write the
// search itself, Type?… or [base]/Type?…, which means the same where the type is that of the create.
func (v *visit) conditionIn(typ, text string) (*search.Query, error) {
	if address, query, ok := strings.Cut(text, "?"); ok && !strings.Contains(address, "=") {
		address = strings.TrimPrefix(address, v.server.Base)
		if address = strings.TrimPrefix(address, "/"); address != "" && address != typ {
			return nil, refuse(http.StatusBadRequest, "invalid", "",
				"The condition of a create is search parameters of the type that is created, such as identifier=system|value.")
		}
		text = query
	}
	condition, err := readParams(text)
	if err != nil {
		return nil, err
	}
	return v.condition(typ, condition, "The condition of a create narrows nothing: give search parameters that only what is created would meet, such as identifier=system|value.")
}

// condition understands the condition of a change, strictly whatever Prefer says: a parameter left out would mean other
// resources. It must name at least one: a condition that every row meets is a mistake, refused with what to do instead.
func (v *visit) condition(typ string, query params, instead string) (*search.Query, error) {
	q, err := v.parse(typ, search.Within{}, query, false)
	if err != nil {
		return nil, err
	}
	if len(q.Where) == 0 {
		return nil, refuse(http.StatusBadRequest, "invalid", "", instead)
	}
	return q, nil
}

// conditionOfChange understands the condition that stands in the address of a PUT, PATCH or DELETE.
func (v *visit) conditionOfChange(typ string, query params) (*search.Query, error) {
	return v.condition(typ, query, "The condition narrows nothing: name the resource by its id ("+typ+"/[id]), or give search parameters that it alone meets.")
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
	a := changed(op.Interaction, &written[0])
	if a.resource != nil && (op.Where != nil || op.IfNoneExist != nil) {
		a.location = versioned(a.resource) // the address did not say which one, nor does the body after return=minimal
	}
	return a, nil
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
