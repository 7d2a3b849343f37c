package access

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"sotesilta/gateway/exchange"
	"sotesilta/internal/fhir"
)

const notWish = "A wish is one Consent, or a Bundle of one Consent and its Provenance."

// simulate answers POST /access/v1/simulate: a Consent, or a Bundle of a Consent and its Provenance as they would be
// written.
func (a *api) simulate(v *visit, body []byte) (any, error) {
	if err := a.spend(v.ctx, v.caller.Actor.App, explainCost); err != nil {
		return nil, err
	}
	doc, err := fhir.Parse(body, fhir.DefaultLimits)
	if err != nil {
		var wrong *fhir.SyntaxError
		at := ""
		if errors.As(err, &wrong) {
			_, path, _ := strings.Cut(wrong.Expression, ".")
			at = pointer(path)
		}
		return nil, bad(at, "The request is no FHIR JSON: %v", err)
	}
	wish := exchange.Wish{}
	bundle := fhir.ResourceType(doc) == "Bundle"
	parts, places := []*fhir.Value{doc}, map[string]string{}
	if bundle {
		parts = doc.All("entry")
	}
	for i, part := range parts {
		at := ""
		if bundle {
			at, part = "/entry/"+strconv.Itoa(i)+"/resource", part.Get("resource")
		}
		switch typ := fhir.ResourceType(part); {
		case typ == "Consent" && wish.Consent == nil:
			wish.Consent, places[typ] = part, at
		case typ == "Provenance" && wish.Provenance == nil:
			wish.Provenance, places[typ] = part, at
		default:
			return nil, bad(at, notWish)
		}
	}
	if wish.Consent == nil {
		return nil, bad("/entry", notWish)
	}
	caller := v.caller
	caller.RequestID = v.id
	out, err := a.Desk.Simulate(v.ctx, caller, wish, slices.Collect(a.Staff.Professionals))
	if err != nil {
		return nil, refusedAs(err, places)
	}
	return struct {
		ID string `json:"id"` // of the ledger record of this question
		*exchange.Simulation
	}{v.id, out}, nil
}
