package answers

import (
	"strings"
	"testing"

	"sotesilta/consent/ledger"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
	"sotesilta/test/gatewaytest"
)

// An answer that disclosed data names its Provenance (703/2023 §§ 39 and 48); use of one's own register, an empty answer
// and a refusal name none.
func TestAnAnswerThatDisclosesNamesItsProvenance(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		nurse, worker := g.Nurse(), g.SocialWorker()
		onni := gatewaytest.Ref(nurse.Create(t, note("disclosed")))
		aino := gatewaytest.Ref(nurse.All(t, "Observation?patient=Patient/aino")[0])
		follow := func(a *gatewaytest.Answer) string {
			t.Helper()
			address, rel, ok := strings.Cut(strings.TrimPrefix(a.Header.Get("Link"), "<"), `>; rel="`)
			if !ok || rel != `http://www.w3.org/ns/prov#has_provenance"` || !strings.HasSuffix(address, "/fhir/Provenance/"+a.Header.Get("X-Request-Id")) {
				t.Fatalf("Link: %s", a.Header.Get("Link"))
			}
			return address[strings.Index(address, "Provenance/"):]
		}
		for _, path := range []string{onni, onni + "/_history/1", onni + "/_history", "Observation?patient=Patient/onni", "Patient/onni/$everything"} {
			told := worker.Get(t, follow(worker.Get(t, path))).Doc(t)
			found := false
			for _, target := range told.All("target", "reference") {
				found = found || target.Str() == onni+"/_history/1"
			}
			if !found || told.Text("policy") != terms.LegalBasisPolicy("ATL-53.2") || told.Text("entity", "agent", "role", "coding", "code") != "health" {
				t.Errorf("%s: %s", path, told.JSON())
			}
		}
		batch := worker.Do(t, "POST", "", `{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"`+aino+`"}},{"request":{"method":"GET","url":"`+onni+`"}}]}`).Want(t, 200).Doc(t)
		entries := batch.Get("entry").Items()
		if entries[0].Get("link") != nil {
			t.Errorf("a refused entry names a Provenance: %s", entries[0].JSON())
		}
		link := entries[1].Text("link", "url")
		told := worker.Get(t, link[strings.Index(link, "Provenance/"):]).Doc(t)
		if told.Text("target", "reference") != onni+"/_history/1" || fhir.ResourceType(told) != "Provenance" {
			t.Errorf("of a batch: %s", told.JSON())
		}
		for _, of := range []struct {
			who    *gatewaytest.Party
			path   string
			status int
		}{
			{nurse, onni, 200},
			{nurse, "Observation?patient=Patient/onni", 200},
			{worker, aino, 404},
			{worker, "Observation/" + absentID, 404},
			{worker, "Observation?patient=Patient/aino", 200},
			{worker, "Organization/county", 200},
			{worker, "Provenance/" + ledger.NewID(), 404},
		} {
			a := of.who.Do(t, "GET", of.path, nil).Want(t, of.status)
			if a.Header.Get("Link") != "" {
				t.Errorf("%s: Link: %s", of.path, a.Header.Get("Link"))
			}
			of.who.Do(t, "GET", "Provenance/"+a.Header.Get("X-Request-Id"), nil).Want(t, 404)
		}
	})
}
