package conformance_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/conformance"
	"sotesilta/gateway/exchange"
	"sotesilta/gateway/rest"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

func TestTheTerminologyOperationsTellOfWhatIsHeld(t *testing.T) {
	ask := func(typ, name, parameters string) (*fhir.Value, error) {
		for _, op := range rest.Terminology(nil, conformance.Terms{}) {
			if op.Type == typ && op.Name == name && !op.Instance {
				in, err := fhir.Parse([]byte(`{"resourceType":"Parameters","parameter":[`+parameters+`]}`), fhir.Limits{})
				require.NoError(t, err)
				out, err := op.Handle(context.Background(), exchange.Caller{Allows: func(string, exchange.Interaction) bool { return true }}, "", in)
				if err != nil {
					return nil, err
				}
				doc, err := fhir.Parse(out.Body, fhir.Limits{})
				require.NoError(t, err)
				require.Empty(t, fhir.Validate(doc), "%s", out.Body)
				return doc, nil
			}
		}
		t.Fatal("no such operation")
		return nil, nil
	}
	value := func(doc *fhir.Value, name, member string) string {
		for _, p := range doc.Get("parameter").Items() {
			if p.Text("name") == name {
				return p.Text(member)
			}
		}
		return ""
	}
	step := `{"name":"code","valueCode":"invite"},{"name":"system","valueUri":"` + terms.Step + `"}`
	const gender = "http://hl7.org/fhir/ValueSet/administrative-gender"

	found, err := ask("CodeSystem", "lookup", step)
	require.NoError(t, err)
	require.NotEmpty(t, value(found, "display", "valueString"))
	_, err = ask("CodeSystem", "lookup", `{"name":"coding","valueCoding":{"system":"`+terms.Step+`","code":"dance"}}`)
	require.ErrorContains(t, err, "no such code")
	_, err = ask("CodeSystem", "lookup", `{"name":"coding","valueCoding":{"system":"http://loinc.org","code":"1-8"}}`)
	require.ErrorContains(t, err, "not held")
	_, err = ask("CodeSystem", "lookup", `{"name":"code","valueCode":"x"}`)
	require.ErrorContains(t, err, "needs a code")
	_, err = ask("CodeSystem", "lookup", `{"name":"nonsense","valueCode":"x"}`)
	require.ErrorContains(t, err, "not one of those")

	is, err := ask("CodeSystem", "validate-code", `{"name":"code","valueCode":"invite"},{"name":"url","valueUri":"`+terms.Step+`"}`)
	require.NoError(t, err)
	require.Equal(t, "true", value(is, "result", "valueBoolean"))
	is, err = ask("CodeSystem", "validate-code", `{"name":"code","valueCode":"invite"},{"name":"display","valueString":"Väärä"},{"name":"url","valueUri":"`+terms.Step+`"}`)
	require.NoError(t, err)
	require.Equal(t, "false", value(is, "result", "valueBoolean"), "another display")
	is, err = ask("ValueSet", "validate-code", `{"name":"url","valueUri":"`+gender+`"},{"name":"code","valueCode":"female"},{"name":"system","valueUri":"http://hl7.org/fhir/administrative-gender"}`)
	require.NoError(t, err)
	require.Equal(t, "true", value(is, "result", "valueBoolean"))
	is, err = ask("ValueSet", "validate-code", `{"name":"url","valueUri":"`+gender+`"},{"name":"codeableConcept","valueCodeableConcept":{"coding":[{"system":"x","code":"female"}]}}`)
	require.NoError(t, err)
	require.Equal(t, "false", value(is, "result", "valueBoolean"))

	all, err := ask("ValueSet", "expand", `{"name":"url","valueUri":"`+gender+`"}`)
	require.NoError(t, err)
	require.Equal(t, "4", all.Text("expansion", "total"))
	page, err := ask("ValueSet", "expand", `{"name":"url","valueUri":"`+terms.Base+`ValueSet/joint-client-step"},{"name":"offset","valueInteger":1},{"name":"count","valueInteger":2}`)
	require.NoError(t, err)
	require.Equal(t, "9", page.Text("expansion", "total"))
	require.Len(t, page.Get("expansion").Get("contains").Items(), 2)
	one, err := ask("ValueSet", "expand", `{"name":"url","valueUri":"`+terms.Base+`ValueSet/joint-client-step"},{"name":"filter","valueString":"INVI"}`)
	require.NoError(t, err)
	require.Equal(t, "invite", one.Text("expansion", "contains", "code"))
	_, err = ask("ValueSet", "expand", `{"name":"url","valueUri":"http://example.org/vs"}`)
	require.ErrorContains(t, err, "not held")
}
