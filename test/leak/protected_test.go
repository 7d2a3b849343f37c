package leak

import (
	"slices"
	"strings"
	"testing"

	"sotesilta/consent"
	"sotesilta/internal/fhir"
	"sotesilta/test/gatewaytest"
)

// outcomes are the entries of an answer that are about the search itself.
func outcomes(t *testing.T, a *gatewaytest.Answer) []string {
	t.Helper()
	var out []string
	for _, entry := range a.Doc(t).Get("entry").Items() {
		if entry.Text("search", "mode") == "outcome" {
			out = append(out, string(entry.AppendJSON(nil)))
		}
	}
	return out
}

// Specially protected data are left out until their use is confirmed, and every search of patient data says so alike,
// whether or not there are any (703/2023 § 26.2; design § 6).
func TestProtectedData(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		nurse, confirmed := g.Nurse(), g.Nurse()
		confirmed.Ground = &consent.Assertion{Reason: "masennuksen hoito", Confirm: true}
		const query = "Observation?patient=Patient/toivo"
		var protected string
		for _, r := range confirmed.All(t, query) {
			if strings.Contains(string(r.Get("meta").AppendJSON(nil)), "psychiatry") {
				protected = fhir.ID(r)
			}
		}
		if protected == "" {
			t.Fatal("the nurse who confirms sees no protected Observation of toivo")
		}

		t.Run("the notice", func(t *testing.T) {
			notice := outcomes(t, nurse.Get(t, query))
			if len(notice) != 1 || !strings.Contains(notice[0], "Specially protected data, if any") {
				t.Fatalf("the answer says %q", notice)
			}
			for _, p := range []*gatewaytest.Party{nurse, g.Doctor(), g.SocialWorker(), g.Counsellor(), g.DigiNurse(), g.Physician(), g.NeedAssessment()} {
				for _, search := range []string{
					query, "Observation?patient=Patient/onni", "Observation?patient=Patient/nobody", "Observation?code=nothing", "Condition?patient=Patient/veikko",
					"Encounter", "QuestionnaireResponse", "Task", "CarePlan", "Observation?_count=1", "Patient?_has:Observation:patient:code=44261-6",
					"Patient?_revinclude=Observation:subject",
				} {
					if got := outcomes(t, p.Get(t, search)); !slices.Equal(got, notice) {
						t.Errorf("%s: %s says %q", p, search, got)
					}
				}
				for _, search := range []string{"Patient", "Organization", "HealthcareService", "Consent", "Observation?_summary=count"} {
					if got := outcomes(t, p.Get(t, search)); len(got) > 0 {
						t.Errorf("%s: %s says %q", p, search, got)
					}
				}
			}
			for _, p := range []*gatewaytest.Party{confirmed, g.As("omaks", "aino"), g.As("jukola-ehr", "")} {
				if got := outcomes(t, p.Get(t, query)); len(got) > 0 {
					t.Errorf("%s has nothing to confirm: %q", p, got)
				}
			}
		})

		t.Run("totals count rows only", func(t *testing.T) {
			for _, tc := range []struct {
				p     *gatewaytest.Party
				total string
			}{{nurse, "2"}, {confirmed, "3"}} {
				for _, more := range []string{"&_total=accurate", "&_summary=count", "&_total=accurate&_count=1"} {
					if got := string(tc.p.Get(t, query+more).Doc(t).Get("total").AppendJSON(nil)); got != tc.total {
						t.Errorf("%s: total %s, want %s", more, got, tc.total)
					}
				}
			}
		})

		t.Run("until then it looks absent", func(t *testing.T) {
			for _, p := range []*gatewaytest.Party{nurse, g.Doctor()} {
				probes(t, p, "Observation", twinOf(protected), `{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/toivo"}}`)
			}
			confirmed.Get(t, "Observation/"+protected)
		})

		t.Run("the confirmation and its reason are recorded", func(t *testing.T) {
			id := confirmed.Get(t, "Observation/"+protected).Header.Get("X-Request-Id")
			event := string(g.Auditor().Get(t, "AuditEvent/"+id).Body)
			for _, told := range []string{"masennuksen hoito", "ATL-4.3-H"} {
				if !strings.Contains(event, told) {
					t.Errorf("the record does not say %q: %s", told, event)
				}
			}
		})

		t.Run("confirming opens nothing else", func(t *testing.T) {
			worker := g.SocialWorker()
			worker.Ground = confirmed.Ground
			alike(t, worker, twinOf(protected), "GET", "Observation/{id}", "")
			if found := worker.Get(t, query).Refs(t); len(found) > 0 {
				t.Errorf("the social worker sees %q", found)
			}
		})
	})
}
