package leak

import (
	"strings"
	"testing"

	"sotesilta/gateway/sandbox"
	"sotesilta/internal/fhir"
	"sotesilta/test/gatewaytest"
)

// The Provenance of a directive names the unit that received it. Naming a hidden row there is answered as naming one that
// never was: only the directory, which everybody may see, can contradict the sender.
func TestHiddenReceiversOfDirectives(t *testing.T) {
	gatewaytest.Own(t, func(t *testing.T, g *gatewaytest.Gateway) {
		nurse, worker := g.Nurse(), g.SocialWorker()
		named := func(ref string) *gatewaytest.Answer {
			const urn = "urn:uuid:00000000-0000-4000-8000-000000000001"
			provenance := strings.NewReplacer("Practitioner/nurse", "PractitionerRole/social-worker", "Organization/jukola", ref).
				Replace(sandbox.Provenance(urn, "helmi", "nurse"))
			return worker.Do(t, "POST", "", `{"resourceType":"Bundle","type":"transaction","entry":[`+
				`{"fullUrl":"`+urn+`","resource":`+sandbox.PermitToSocial("helmi", sandbox.Period{From: "2026-01-01"})+`,"request":{"method":"POST","url":"Consent"}},`+
				`{"resource":`+provenance+`,"request":{"method":"POST","url":"Provenance"}}]}`)
		}
		for _, text := range []string{
			`{"resourceType":"Device","patient":{"reference":"Patient/aino"}}`,
			`{"resourceType":"RelatedPerson","patient":{"reference":"Patient/aino"}}`,
			`{"resourceType":"Organization","name":"x","extension":[{"url":"http://example.org/x","valueReference":{"reference":"Patient/aino"}}]}`,
		} {
			hidden := nurse.Create(t, text)
			typ := fhir.ResourceType(hidden)
			worker.Do(t, "GET", gatewaytest.Ref(hidden), nil).Outcome(t, 404)
			there, never := named(gatewaytest.Ref(hidden)), named(typ+"/"+never(fhir.ID(hidden)))
			if there.Status != 200 || never.Status != 200 {
				t.Errorf("a directive received by a hidden %s is answered %d, by one that never was %d: %s", typ, there.Status, never.Status, there.Body)
			}
		}
		named("Organization/jukola").Outcome(t, 422) // a unit of the directory that is not the caller's
	})
}
