package answers

import (
	"encoding/json"
	"strings"
	"testing"

	"sotesilta/test/gatewaytest"
)

// The auditor has any exchange explained, and a client tries a wish before giving it. The questions are recorded, and are
// answered alike when the ledger is replayed.
func TestAsking(t *testing.T) {
	gatewaytest.Own(t, func(t *testing.T, g *gatewaytest.Gateway) {
		ask := func(p *gatewaytest.Party, path, body string, into any) string {
			t.Helper()
			a := g.Send(t, "POST", path, body, "Authorization", p.Authorization(t), "Content-Type", "application/json", "Accept", "application/json").Want(t, 200)
			if err := json.Unmarshal(a.Body, into); err != nil {
				t.Fatal(err)
			}
			return a.Header.Get("X-Request-Id")
		}
		var told struct {
			Decision bool
			Context  struct {
				ReasonUser map[string]string `json:"reason_user"`
			}
		}
		explain := func(p *gatewaytest.Party, id string) string {
			t.Helper()
			return ask(p, "/access/v1/explain", `{"resource":{"type":"AuditEvent","id":"`+id+`"}}`, &told)
		}
		denied := g.SocialWorker().Get(t, "Observation?patient=Patient/eino").Header.Get("X-Request-Id")
		asked := explain(g.Auditor(), denied)
		if told.Decision || !strings.Contains(told.Context.ReasonUser["fi"], "Luovutuskieltosi") {
			t.Errorf("the ban is not told: %+v", told)
		}
		if event := string(g.Auditor().Get(t, "AuditEvent/"+asked).Body); !strings.Contains(event, "explain") {
			t.Errorf("the question is not recorded: %s", event)
		}
		read := g.Nurse().Get(t, g.Nurse().Get(t, "Observation?patient=Patient/aino").Refs(t)[0]).Header.Get("X-Request-Id")
		explain(g.As("omaks", "aino"), read)
		if !told.Decision || strings.Contains(told.Context.ReasonUser["fi"], "Niina") {
			t.Errorf("aino is told %+v", told)
		}
		var simulated struct {
			Lines []struct{ Fi string }
			Past  struct{ Asked, Stopped int }
		}
		wish := `{"resourceType":"Consent","status":"active","scope":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/consentscope","code":"patient-privacy"}]},
 "category":[{"coding":[{"system":"https://sotesilta.example/fhir/CodeSystem/permit-direction","code":"1"}]}],"patient":{"reference":"Patient/aino"},
 "policyRule":{"coding":[{"system":"https://sotesilta.example/fhir/CodeSystem/legal-basis","code":"ATL-53.2"}]},"provision":{"type":"permit"}}`
		asked = ask(g.As("omaks", "aino"), "/access/v1/simulate", wish, &simulated)
		if len(simulated.Lines) < 2 || !strings.Contains(simulated.Lines[0].Fi, "ATL-53.2") || simulated.Past.Asked == 0 {
			t.Errorf("aino's permit would mean %+v", simulated)
		}
		if event := string(g.Auditor().Get(t, "AuditEvent/"+asked).Body); !strings.Contains(event, "simulate") {
			t.Errorf("the question is not recorded: %s", event)
		}
		if found := g.SocialWorker().Get(t, "Observation?patient=Patient/aino").Refs(t); len(found) > 0 {
			t.Errorf("the wish was only tried, and the social worker sees %q", found)
		}
	})
}
