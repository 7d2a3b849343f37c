package consent

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The law asks professionals to confirm, and only for types that a protection can hold back (703/2023 § 26.2).
func TestWhomTheLawAsksToConfirm(t *testing.T) {
	e := propertyEngine(t)
	nurse := Request{
		Actor:  Actor{Kind: Professional, App: "ehr", Register: Health, Controller: "Organization/county", Task: "3.1", Service: "4.1"},
		Action: Read, Purpose: Care, Time: noon,
	}
	with := func(change func(*Request)) Request {
		r := nurse
		change(&r)
		return r
	}
	for _, c := range []struct {
		name string
		req  Request
		typ  string
		asks bool
	}{
		{"a nurse", nurse, "Observation", true},
		{"a nurse, on questionnaires", nurse, "QuestionnaireResponse", true},
		{"a psychiatric nurse, for what is not psychiatry's", with(func(r *Request) { r.Actor.Service = "4.6" }), "Observation", true},
		{"a social worker", with(func(r *Request) { r.Actor.Register, r.Actor.Task = Social, "10.1.1" }), "Observation", true},
		{"who confirms", with(func(r *Request) { r.Assertion = Assertion{Confirm: true, Reason: "acute"} }), "Observation", false},
		{"on medication, which is exempt", nurse, "MedicationStatement", false},
		{"on risks, which are exempt", nurse, "AllergyIntolerance", false},
		{"the client", with(func(r *Request) { r.Actor.Kind, r.Purpose = Client, OwnData }), "Observation", false},
		{"a system", with(func(r *Request) { r.Actor.Kind = System }), "Observation", false},
		{"nobody", with(func(r *Request) { r.Actor = Actor{} }), "Observation", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			for range 2 { // computed, then remembered
				require.Equal(t, c.asks, e.Confirms(c.req, c.typ))
			}
		})
	}
}
