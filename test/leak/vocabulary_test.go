package leak

import (
	"slices"
	"testing"

	"sotesilta/internal/fhir"
	"sotesilta/test/gatewaytest"
)

// What is asked of vocabularies, places, all types at once, the work queue and profiles tells nothing of what is hidden: a
// code system, value set or map that names another register's client is as one that never was, by its id, by its url, in a
// search that it would widen and in what the gateway says that it holds.
func TestHiddenVocabulary(t *testing.T) {
	gatewaytest.Own(t, func(t *testing.T, g *gatewaytest.Gateway) {
		nurse, worker := g.Nurse(), g.SocialWorker()
		const (
			url   = "https://example.org/vocabulary/hidden"
			never = "https://example.org/vocabulary/nought"
			about = `"extension":[{"url":"https://example.org/about","valueReference":{"reference":"Patient/aino"}}],`
		)
		standing := []string{
			"metadata?mode=terminology", "Location?near=62.2426%7C25.7473%7C3%7Ckm&_total=accurate", "Location?near=62.2426%7C25.7473%7C3%7Ckm&_summary=count",
			"CodeSystem?_total=accurate", "ValueSet?_summary=count", "ConceptMap?_total=accurate", "?_type=CodeSystem,ValueSet,Location&_total=accurate",
			"?_type=Observation,Condition&_summary=count",
		}
		before := map[string]string{}
		for _, path := range standing {
			before[path] = plain(worker.Do(t, "GET", path, nil))
		}
		hide := func(body string) twin { return twinOf(fhir.ID(nurse.Create(t, body))) }
		system := hide(`{"resourceType":"CodeSystem",` + about + `"url":"` + url + `","status":"draft","content":"complete","concept":[{"code":"a","display":"A"}]}`)
		set := hide(`{"resourceType":"ValueSet",` + about + `"url":"` + url + `","status":"draft","compose":{"include":[{"system":"http://loinc.org","concept":[{"code":"85354-9"}]}]}}`)
		conceptMap := hide(`{"resourceType":"ConceptMap",` + about + `"url":"` + url + `","status":"draft","group":[{"source":"https://example.org/s","target":"https://example.org/t",` +
			`"element":[{"code":"a","target":[{"code":"b","equivalence":"equal"}]}]}]}`)
		place := hide(`{"resourceType":"Location",` + about + `"name":"Koti","position":{"latitude":62.2426,"longitude":25.7473}}`)
		seen := hide(observation)
		task := hide(`{"resourceType":"Task","status":"requested","intent":"order","for":{"reference":"Patient/aino"}}`)
		for _, path := range []string{ // who may see them is answered
			"CodeSystem/$lookup?system=" + url + "&code=a", "CodeSystem/" + system.hidden + "/$validate-code?code=a", "ValueSet/$expand?url=" + url,
			"ConceptMap/$translate?url=" + url + "&system=https://example.org/s&code=a",
		} {
			nurse.Get(t, path)
		}
		if refs := nurse.Get(t, "Location?near=62.2426%7C25.7473%7C0.1%7Ckm").Refs(t); !slices.Contains(refs, "Location/"+place.hidden) {
			t.Errorf("the nurse finds %q by their place", refs)
		}
		for _, path := range standing {
			if after := plain(worker.Do(t, "GET", path, nil)); after != before[path] {
				t.Errorf("%s tells what was hidden meanwhile:\n--- before\n%.1500s\n--- after\n%.1500s", path, before[path], after)
			}
		}
		for _, probe := range []struct {
			tw   twin
			path string
		}{
			{system, "CodeSystem/{id}"},
			{system, "CodeSystem/{id}/$validate-code?code=a"},
			{system, "CodeSystem/{id}/$validate-code?code=b"},
			{system, "CodeSystem/{id}/$subsumes?codeA=a&codeB=a"},
			{set, "ValueSet/{id}/$expand"},
			{set, "ValueSet/{id}/$expand?count=0"},
			{set, "ValueSet/{id}/$validate-code?system=http://loinc.org&code=85354-9"},
			{conceptMap, "ConceptMap/{id}/$translate?system=https://example.org/s&code=a"},
			{place, "Location/{id}"},
			{place, "Location?_id={id}&near=62.2426%7C25.7473%7C3%7Ckm&_total=accurate"},
			{seen, "?_type=Observation,Condition&_id={id}&_total=accurate"},
			{seen, "?_type=Observation,Condition&_id={id}&_summary=count"},
			{seen, "?_id={id}"},
			{seen, "Observation/{id}/$validate?profile=http://hl7.org/fhir/StructureDefinition/Observation"},
			{task, "Task/{id}"},
		} {
			alike(t, worker, probe.tw, "GET", probe.path, "")
		}
		named := twin{url, never}
		for _, path := range []string{
			"CodeSystem/$lookup?system={id}&code=a", "CodeSystem/$validate-code?url={id}&code=a", "CodeSystem/$subsumes?system={id}&codeA=a&codeB=a",
			"ValueSet/$expand?url={id}", "ValueSet/$validate-code?url={id}&system=http://loinc.org&code=85354-9", "ConceptMap/$translate?url={id}&system=https://example.org/s&code=a",
			"CodeSystem?url={id}&_total=accurate", "ValueSet?url={id}&_summary=count", "Observation?code:in={id}&_total=accurate", "Observation?code:not-in={id}&_total=accurate",
			"?_type=CodeSystem,ValueSet,ConceptMap&url={id}&_total=accurate",
		} {
			alike(t, worker, named, "GET", path, "")
		}
		for _, probe := range []struct {
			tw         twin
			path, body string
		}{
			{named, "ValueSet/$expand", `{"resourceType":"Parameters","parameter":[{"name":"valueSet","resource":{"resourceType":"ValueSet","status":"draft","compose":{"include":[{"valueSet":["{id}"]}]}}}]}`},
			{named, "ValueSet/$expand", `{"resourceType":"Parameters","parameter":[{"name":"valueSet","resource":{"resourceType":"ValueSet","status":"draft","compose":{"include":[{"system":"{id}"}]}}}]}`},
			{named, "CodeSystem/$validate-code", `{"resourceType":"Parameters","parameter":[{"name":"coding","valueCoding":{"system":"{id}","code":"a"}}]}`},
			{task, "Task/{id}/$resolve", `{"resourceType":"Parameters","parameter":[{"name":"resource","resource":{"resourceType":"Patient","identifier":[{"system":"urn:oid:1.2.246.21","value":"010190-999P"}],` +
				`"name":[{"family":"Testi","given":["Tuntematon"]}]}}]}`},
			{seen, "Observation/{id}/$validate", `{"resourceType":"Parameters","parameter":[{"name":"mode","valueCode":"delete"}]}`},
			{seen, "", `{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"?_type=Observation&_id={id}"}}]}`},
			{set, "", `{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"ValueSet/{id}/$expand"}}]}`},
		} {
			alike(t, worker, probe.tw, "POST", probe.path, probe.body)
		}
	})
}
