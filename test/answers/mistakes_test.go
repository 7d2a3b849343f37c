package answers

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/internal/fhir"
	"sotesilta/test/gatewaytest"
)

// The mistakes of a resource are told all at once, and alike in JSON and XML: the same places, codes and words; in XML with
// the lines.
func TestMistakesAreToldAlikeInBothForms(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		nurse := g.Nurse()
		told := func(typ, body, form string) []*fhir.Value {
			t.Helper()
			return nurse.Do(t, "POST", typ, body, "Content-Type", form).Want(t, 400).Doc(t).Get("issue").Items()
		}
		for _, c := range []struct {
			typ, json, xml string
			lines          []string // of the issues in XML; "" where validation tells them
		}{
			{
				"Task", `{"resourceType":"Task","nope":1,"status":"x","for":{"reference":"Patient/onni"}}`,
				"<Task xmlns='http://hl7.org/fhir'>\n<nope value='1'/>\n<status value='x'/><for><reference value='Patient/onni'/></for></Task>",
				[]string{"line 2, column 1", "", ""},
			},
			{
				"Observation", `{"resourceType":"Observation","status":"final","code":{"text":"x","coding":[{"nope":1,"code":"a b "}]},"subject":{"reference":"Patient/onni"},"effectiveDateTime":"yesterday"}`,
				"<Observation xmlns='http://hl7.org/fhir'><status value='final'/><code><coding>\n  <code value='a b '/><nope value='1'/></coding><text value='x'/></code>\n<subject><reference value='Patient/onni'/></subject><effectiveDateTime value='yesterday'/></Observation>",
				[]string{"line 2, column 23", "", ""},
			},
			{
				"Bundle", `{"resourceType":"Bundle","type":"transaction","nope":1,"entry":[{"nope":2}]}`,
				"<Bundle xmlns='http://hl7.org/fhir'><type value='transaction'/><nope value='1'/><entry><nope value='2'/></entry></Bundle>",
				[]string{"line 1, column 64", "line 1, column 88"},
			},
		} {
			path := c.typ
			if path == "Bundle" {
				path = ""
			}
			inJSON, inXML := told(path, c.json, "application/fhir+json"), told(path, c.xml, "application/fhir+xml")
			require.Len(t, inXML, len(c.lines), c.xml)
			require.Len(t, inJSON, len(c.lines), c.json)
			for i, is := range inXML {
				want := inJSON[i].Text("diagnostics")
				if c.lines[i] != "" {
					want += " (" + c.lines[i] + ")"
				}
				require.Equal(t, want, is.Text("diagnostics"))
				for _, member := range []string{"severity", "code", "expression"} {
					require.Equal(t, string(inJSON[i].Get(member).JSON()), string(is.Get(member).JSON()), is.Text("diagnostics"))
				}
			}
		}
		// $validate tells them as its answer.
		asked := nurse.Do(t, "POST", "Task/$validate", "<Task xmlns='http://hl7.org/fhir'><nope/><status value='draft'/></Task>", "Content-Type", "application/fhir+xml").Want(t, 200).Doc(t)
		require.Equal(t, "OperationOutcome", fhir.ResourceType(asked))
		require.Len(t, asked.Get("issue").Items(), 2, string(asked.JSON()))
		nurse.Do(t, "POST", "Task/$validate", "<Task xmlns='http://hl7.org/fhir'><nope/>", "Content-Type", "application/fhir+xml").Want(t, 400)
		// What is no JSON or XML at all has a line and a column in both.
		for form, body := range map[string]string{
			"application/fhir+json": "{\"resourceType\":\"Task\",\n\"status\": }", "application/fhir+xml": "<Task xmlns='http://hl7.org/fhir'>\n<status </Task>",
		} {
			issues := told("Task", body, form)
			require.Len(t, issues, 1)
			require.Equal(t, "fatal", issues[0].Text("severity"))
			require.True(t, strings.Contains(issues[0].Text("diagnostics"), "(line 2, column "), issues[0].Text("diagnostics"))
		}
	})
}
