package access

import (
	"slices"

	"sotesilta/gateway/exchange"
	"sotesilta/internal/fhir"
)

// simulate answers POST /access/v1/simulate: a Consent, or a Bundle of a Consent and its Provenance as they would be
// written.
func (a *api) simulate(v *visit, body []byte) (any, error) {
	if err := a.spend(v.ctx, v.caller.Actor.App, explainCost); err != nil {
		return nil, err
	}
	doc, err := fhir.Parse(body, fhir.DefaultLimits)
	if err != nil {
		return nil, bad("The request is no FHIR JSON: %v", err)
	}
	var wish exchange.Wish
	parts := []*fhir.Value{doc}
	if fhir.ResourceType(doc) == "Bundle" {
		parts = doc.All("entry", "resource")
	}
	for _, part := range parts {
		switch typ := fhir.ResourceType(part); {
		case typ == "Consent" && wish.Consent == nil:
			wish.Consent = part
		case typ == "Provenance" && wish.Provenance == nil:
			wish.Provenance = part
		default:
			return nil, bad("A wish is one Consent, or a Bundle of one Consent and its Provenance.")
		}
	}
	if wish.Consent == nil {
		return nil, bad("A wish is one Consent, or a Bundle of one Consent and its Provenance.")
	}
	caller := v.caller
	caller.RequestID = v.id
	out, err := a.Desk.Simulate(v.ctx, caller, wish, slices.Collect(a.Staff.Professionals))
	if err != nil {
		return nil, refusedAs(err)
	}
	return struct {
		ID string `json:"id"` // of the ledger record of this question
		*exchange.Simulation
	}{v.id, out}, nil
}
