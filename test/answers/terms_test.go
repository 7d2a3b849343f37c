package answers

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"

	"sotesilta/internal/fhir"
	"sotesilta/test/gatewaytest"
)

// Terminology is asked of what the gateway works by itself, of what a client published, and of what stands in the question.
func TestTerminology(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		nurse := g.Nurse()
		parameter := func(doc *fhir.Value, name, member string) string {
			for _, p := range doc.Get("parameter").Items() {
				if p.Text("name") == name {
					return p.Text(member)
				}
			}
			return ""
		}
		matches := func(doc *fhir.Value) string {
			var out []string
			for _, p := range doc.Get("parameter").Items() {
				if p.Text("name") != "match" {
					continue
				}
				said := map[string]string{}
				for _, part := range p.Get("part").Items() {
					said[part.Text("name")] = part.Text("valueCode") + part.Text("valueCoding", "code")
				}
				out = append(out, said["equivalence"]+" "+said["concept"])
			}
			return strings.Join(out, ", ")
		}
		parse := func(a *gatewaytest.Answer) *fhir.Value {
			t.Helper()
			doc, err := fhir.Parse(a.Body, fhir.DefaultLimits)
			if err != nil {
				t.Fatal(err)
			}
			if issues := fhir.Validate(doc); len(issues) > 0 {
				t.Errorf("%s: %v", a.Body, issues)
			}
			return doc
		}
		create := func(body string) string {
			t.Helper()
			doc := nurse.Create(t, body)
			return fhir.ResourceType(doc) + "/" + fhir.ID(doc)
		}
		get := func(path string, status int) *fhir.Value {
			t.Helper()
			return parse(nurse.Do(t, "GET", path, nil).Want(t, status))
		}
		post := func(path, parameters string, status int) *fhir.Value {
			t.Helper()
			return parse(nurse.Do(t, "POST", path, `{"resourceType":"Parameters","parameter":[`+parameters+`]}`).Want(t, status))
		}
		const ours = "https://sotesilta.example/fhir/"
		const v2 = "http://terminology.hl7.org/CodeSystem/v2-"
		onHold := "code=on-hold&system=" + url.QueryEscape("http://hl7.org/fhir/request-status")

		// Ours: by url, at the id, by all of them, and back.
		for _, path := range []string{
			"ConceptMap/$translate?url=" + url.QueryEscape(ours+"ConceptMap/jukola-ref-referral-status") + "&" + onHold,
			"ConceptMap/jukola-ref-referral-status/$translate?" + onHold,
			"ConceptMap/$translate?targetsystem=" + url.QueryEscape(v2+"0283") + "&" + onHold,
			"ConceptMap/$translate?target=" + url.QueryEscape("http://terminology.hl7.org/ValueSet/v2-0283") + "&" + onHold,
		} {
			doc := get(path, 200)
			if got := matches(doc); got != "wider P" || parameter(doc, "result", "valueBoolean") != "true" {
				t.Errorf("%s: %s", path, doc.JSON())
			}
		}
		back := post("ConceptMap/jukola-ref-referral-status/$translate", `{"name":"coding","valueCoding":{"system":"`+v2+`0283","code":"P"}},{"name":"reverse","valueBoolean":true}`, 200)
		if got := matches(back); got != "equivalent active, narrower on-hold" {
			t.Errorf("back: %s", got)
		}
		visit := post("ConceptMap/$translate", `{"name":"codeableConcept","valueCodeableConcept":{"coding":[{"system":"`+v2+`0004","code":"R"},{"system":"urn:other","code":"R"}]}}`, 200)
		if got := matches(visit); got != "wider AMB" {
			t.Errorf("a visit's class: %s", got)
		}
		none := get("ConceptMap/$translate?code=nothing&system=urn:x", 200)
		if parameter(none, "result", "valueBoolean") != "false" || parameter(none, "message", "valueString") == "" {
			t.Errorf("%s", none.JSON())
		}
		for path, status := range map[string]int{
			"ConceptMap/$translate?code=on-hold":                                                              400,
			"ConceptMap/$translate?system=urn:x":                                                              400,
			"ConceptMap/$translate?" + onHold + "&reverse=maybe":                                              400,
			"ConceptMap/$translate?" + onHold + "&filter=x":                                                   400,
			"ConceptMap/$translate?" + onHold + "&url=urn:nobody":                                             404,
			"ConceptMap/nobody/$translate?" + onHold:                                                          404,
			"ConceptMap/jukola-ref-referral-status/$translate?" + onHold + "&target=urn:other":                422,
			"ConceptMap/jukola-ref-referral-status/$translate?" + onHold + "&conceptMapVersion=0":             404,
			"ConceptMap/jukola-ref-referral-status/$translate?" + onHold + "&url=" + url.QueryEscape("urn:x"): 400,
		} {
			get(path, status)
		}

		// A client's own: found by its url, led on to by another, and seen by others as all definitions are.
		mine := "urn:uuid:" + uuid.NewString()
		first := create(`{"resourceType":"ConceptMap","url":"` + mine + `","version":"1","status":"active","group":[
			{"source":"urn:local","target":"http://loinc.org","unmapped":{"mode":"other-map","url":"` + ours + `ConceptMap/purpose-of-use"},"element":[
			{"code":"pulse","target":[{"code":"8867-4","equivalence":"equivalent"}]}]}]}`)
		for _, p := range []*gatewaytest.Party{nurse, g.SocialWorker()} {
			doc := parse(p.Get(t, "ConceptMap/$translate?url="+mine+"&code=pulse&system=urn:local"))
			if got := matches(doc); got != "equivalent 8867-4" {
				t.Errorf("%s by url: %s", p, doc.JSON())
			}
		}
		if doc := get(first+"/$translate?code=pulse&system=urn:local", 200); matches(doc) != "equivalent 8867-4" {
			t.Errorf("at its id: %s", doc.JSON())
		}
		create(`{"resourceType":"ConceptMap","url":"` + mine + `","version":"2","status":"active"}`)
		get("ConceptMap/$translate?url="+mine+"&code=pulse&system=urn:local", 412)
		if doc := get("ConceptMap/$translate?url="+mine+"&conceptMapVersion=1&code=pulse&system=urn:local", 200); matches(doc) != "equivalent 8867-4" {
			t.Errorf("of a version: %s", doc.JSON())
		}
		inline := post("ConceptMap/$translate", `{"name":"code","valueCode":"x"},{"name":"system","valueUri":"urn:a"},
			{"name":"conceptMap","resource":{"resourceType":"ConceptMap","status":"draft","group":[{"source":"urn:a","target":"urn:b","unmapped":{"mode":"provided"},"element":[{"code":"y"}]}]}}`, 200)
		if matches(inline) != "relatedto x" {
			t.Errorf("in the body: %s", inline.JSON())
		}

		// Value sets: at their ids, in the body, of a client's own code system.
		if doc := get("ValueSet/joint-client-step/$expand?filter=invi&includeDefinition=true", 200); doc.Text("expansion", "contains", "code") != "invite" ||
			doc.Text("expansion", "contains", "extension", "valueString") == "" {
			t.Errorf("at its id: %s", doc.JSON())
		}
		system := "urn:uuid:" + uuid.NewString()
		animals := create(`{"resourceType":"CodeSystem","url":"` + system + `","name":"Animals","status":"active","content":"complete","concept":[
			{"code":"mammal","display":"Nisäkäs","concept":[{"code":"dog","display":"Koira","designation":[{"language":"sv","value":"Hund"}]}]},
			{"code":"aurochs","display":"Alkuhärkä","property":[{"code":"inactive","valueBoolean":true}]}]}`)
		set := create(`{"resourceType":"ValueSet","url":"` + system + `:set","status":"active","compose":{"include":[{"system":"` + system + `"}]}}`)
		for _, path := range []string{set + "/$expand?", "ValueSet/$expand?url=" + system + ":set&"} {
			if doc := get(path+"activeOnly=true&includeDesignations=true&count=1&offset=1", 200); doc.Text("expansion", "total") != "2" ||
				doc.Text("expansion", "contains", "designation", "value") != "Hund" {
				t.Errorf("%s: %s", path, doc.JSON())
			}
		}
		within := `{"name":"valueSet","resource":{"resourceType":"ValueSet","status":"draft","compose":{"include":[
			{"system":"` + system + `","filter":[{"property":"concept","op":"is-a","value":"mammal"}]}]}}}`
		if doc := post("ValueSet/$expand", within, 200); doc.Text("expansion", "total") != "2" {
			t.Errorf("in the body: %s", doc.JSON())
		}
		for code, want := range map[string]string{"dog": "true", "aurochs": "false"} {
			if doc := post("ValueSet/$validate-code", within+`,{"name":"code","valueCode":"`+code+`"},{"name":"system","valueUri":"`+system+`"}`, 200); parameter(doc, "result", "valueBoolean") != want {
				t.Errorf("%s in the body: %s", code, doc.JSON())
			}
		}
		if doc := get(set+"/$validate-code?code=aurochs&system="+system, 200); parameter(doc, "result", "valueBoolean") != "true" {
			t.Errorf("at its id: %s", doc.JSON())
		}
		for path, want := range map[string]string{
			animals + "/$validate-code?code=dog":                                "true",
			"CodeSystem/$validate-code?code=cat&url=" + system:                  "false",
			"CodeSystem/joint-client-step/$validate-code?code=invite":           "true",
			"CodeSystem/joint-client-step/$validate-code?code=invite&display=x": "false",
		} {
			if doc := get(path, 200); parameter(doc, "result", "valueBoolean") != want {
				t.Errorf("%s: %s", path, doc.JSON())
			}
		}
		if doc := get("CodeSystem/$lookup?code=dog&system="+system, 200); parameter(doc, "display", "valueString") != "Koira" {
			t.Errorf("$lookup: %s", doc.JSON())
		}
		for path, want := range map[string]string{
			"CodeSystem/$subsumes?codeA=mammal&codeB=dog&system=" + system: "subsumes",
			animals + "/$subsumes?codeA=dog&codeB=mammal":                  "subsumed-by",
			animals + "/$subsumes?codeA=dog&codeB=aurochs":                 "not-subsumed",
		} {
			if doc := get(path, 200); parameter(doc, "outcome", "valueCode") != want {
				t.Errorf("%s: %s", path, doc.JSON())
			}
		}
		get("CodeSystem/$subsumes?codeA=mammal&system="+system, 400)
		get(animals+"/$subsumes?codeA=mammal&codeB=cat", 404)
		post("ValueSet/$expand", `{"name":"valueSet","resource":{"resourceType":"ValueSet","status":"draft","compose":{"include":[{"system":"http://snomed.info/sct"}]}}}`, 422)
		get("ValueSet/$expand", 400)
		get("ValueSet/$expand?url=urn:nobody", 404)
		const bound = "http://hl7.org/fhir/ValueSet/observation-status"
		if doc := get("ValueSet/$expand?url="+bound+"|4.0.1", 200); doc.Text("url") != bound || doc.Text("version") != "4.0.1" {
			t.Errorf("the expansion of a version: %s", doc.JSON())
		}
		if doc := get("ValueSet/$expand?valueSetVersion=4.0.1&url="+bound, 200); doc.Text("url") != bound || doc.Text("version") != "4.0.1" {
			t.Errorf("a version beside the url: %s", doc.JSON())
		}
		get("ValueSet/$expand?url="+bound+"|9", 404)
		get("ValueSet/$expand?valueSetVersion=9&url="+bound, 404)
		get("ValueSet/$validate-code?url="+bound+"&code=final", 400) // a code of which system?
	})
}
