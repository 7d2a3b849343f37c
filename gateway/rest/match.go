package rest

import (
	"context"
	"errors"
	"net/http"
	"strings"

	models "github.com/samply/golang-fhir-models/fhir-models/fhir"

	"sotesilta/gateway/exchange"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

// matchGrade says how certain a match is (FHIR R4 Patient/$match).
const matchGrade = "http://hl7.org/fhir/StructureDefinition/match-grade"

// Match is Patient/$match: Parameters with a Patient as the parameter resource, who has an identity code in identifier
// and a name. It answers a searchset with the one certain match of the population data, or an empty one, and the same
// when the caller may not identify clients; base is the absolute service base. There are no uncertain matches: nobody is linked by guess.
func Match(desk Desk, base string) Operation {
	return Operation{
		Type: "Patient", Name: "match", Reads: true,
		Definition: "http://hl7.org/fhir/OperationDefinition/Patient-match",
		Documentation: "Finds a client of the population data by personal identity code and name, both in the body. " +
			"Answers the one certain match or none; onlyCertainMatches and count are accepted and change nothing.",
		Handle: func(ctx context.Context, c exchange.Caller, _ string, in *fhir.Value) (*exchange.Resource, error) {
			who, err := identification("$match", in)
			if err != nil {
				return nil, err
			}
			found, err := desk.Match(ctx, c, who)
			var refusal *exchange.Error
			if errors.As(err, &refusal) && refusal.Kind == exchange.Absent {
				found, err = nil, nil
			}
			if err != nil {
				return nil, err
			}
			return matches(strings.TrimRight(base, "/"), found), nil
		},
	}
}

// matches is the answer of $match.
func matches(base string, found *exchange.Resource) *exchange.Resource {
	if found == nil {
		return &exchange.Resource{Type: "Bundle", Body: newBundle(base, "searchset", 0, 0).done()}
	}
	b := newBundle(base, "searchset", 1, len(found.Body))
	open := b.entry(found.Type+"/"+found.ID, found.Body)
	b.add(open, `"search":{"extension":[{"url":"`, matchGrade, `","valueCode":"certain"}],"mode":"match","score":1}}`)
	return &exchange.Resource{Type: "Bundle", Body: b.done()}
}

// identification reads the input of $match, and of another operation that identifies a client as it does.
func identification(operation string, in *fhir.Value) (exchange.Identification, error) {
	var who exchange.Identification
	if fhir.ResourceType(in) != "Parameters" {
		return who, refuse(http.StatusBadRequest, "structure", "Parameters",
			operation+" takes Parameters with a parameter resource that is a Patient.")
	}
	var patient *fhir.Value
	for _, p := range in.Get("parameter").Items() {
		switch p.Text("name") {
		case "resource":
			if patient != nil {
				return who, refuse(http.StatusBadRequest, "invalid", "Parameters.parameter", operation+" takes one parameter resource.")
			}
			patient = p.Get("resource")
		case "onlyCertainMatches", "count":
		default:
			return who, refuse(http.StatusBadRequest, "not-supported", "Parameters.parameter", operation+" has the parameters resource, onlyCertainMatches and count.")
		}
	}
	if fhir.ResourceType(patient) != "Patient" {
		return who, refuse(http.StatusBadRequest, "required", "Parameters.parameter", operation+" takes a parameter resource that is a Patient.")
	}
	// The typed model is a read view of a few elements; what is sent or stored is never made of it.
	view, err := models.UnmarshalPatient(patient.JSON())
	if err != nil {
		return who, refuse(http.StatusBadRequest, "structure", "Parameters.parameter.resource", "The Patient is not one of FHIR R4.")
	}
	for _, id := range view.Identifier {
		if id.System != nil && *id.System == terms.HETU && id.Value != nil {
			who.IdentityCode = strings.TrimSpace(*id.Value)
			break
		}
	}
	who.Family, who.Given = nameOf(view.Name)
	if view.BirthDate != nil {
		who.BirthDate = *view.BirthDate
	}
	switch {
	case who.IdentityCode == "":
		return who, refuse(http.StatusUnprocessableEntity, "required", "Patient.identifier",
			operation+" needs the personal identity code: an identifier of the system "+terms.HETU+".")
	case who.Family == "" && who.Given == "":
		return who, refuse(http.StatusUnprocessableEntity, "required", "Patient.name", operation+" needs the name beside the identity code.")
	}
	return who, nil
}

// nameOf is the official name, or the first there is.
func nameOf(names []models.HumanName) (family, given string) {
	var chosen *models.HumanName
	for i := range names {
		if official := names[i].Use != nil && *names[i].Use == models.NameUseOfficial; chosen == nil || official {
			chosen = &names[i]
			if official {
				break
			}
		}
	}
	if chosen == nil {
		return "", ""
	}
	if chosen.Family != nil {
		family = *chosen.Family
	}
	return family, strings.Join(chosen.Given, " ")
}
