package answers

import (
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/test/gatewaytest"
)

// The ways of asking beyond plain parameters work over the wire, on both stores.
func TestSearchesInEveryWay(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		nurse := g.Nurse()
		modes := func(query string) map[string]int {
			t.Helper()
			found := map[string]int{}
			for _, entry := range nurse.Get(t, query).Want(t, 200).Doc(t).Get("entry").Items() {
				found[entry.Text("search", "mode")+" "+entry.Text("resource", "resourceType")]++
			}
			return found
		}
		for query, want := range map[string]string{
			"Observation?patient=aino&component-code-value-quantity=8480-6$gt100":                      "match Observation",
			"Observation?patient=aino&status:in=http://hl7.org/fhir/ValueSet/observation-status":       "match Observation",
			"Observation?patient=aino&_include=*":                                                      "include Patient",
			"Location?near=62.2|25.8|10|km":                                                            "match Location",
			"HealthcareService?location.near=62.2|25.8|10":                                             "match HealthcareService",
			"Patient?phonetic=Ajno&_revinclude=Condition:*":                                            "include Condition",
			"PlanDefinition?url:below=https://sotesilta.example/fhir":                                  "match PlanDefinition",
			"ValueSet?url=https://sotesilta.example/fhir/ValueSet/joint-client-step":                   "match ValueSet",
			"Condition?patient=aino&_include:iterate=Condition:encounter&_include:iterate=Encounter:*": "include Patient",
		} {
			require.NotZero(t, modes(query)[want], query)
		}
		for _, query := range []string{
			"Observation?patient=aino&component-code-value-quantity=8480-6$gt1000",
			"Location?near=62.2|25.8|10|m",
			"Observation?patient=aino&status:not-in=http://hl7.org/fhir/ValueSet/observation-status",
			"Task?patient=aino&code:in=https://sotesilta.example/fhir/ValueSet/joint-client-step&status=draft",
		} {
			require.Zero(t, modes(query)["match Observation"]+modes(query)["match Task"]+modes(query)["match Location"], query)
		}
		for _, query := range []string{"Observation?_filter=x", "Observation?status:in=http://x.example/unknown"} {
			require.Equal(t, "not-supported", nurse.Do(t, "GET", query, nil).Want(t, 400).Doc(t).Text("issue", "code"), query)
		}
	})
}
