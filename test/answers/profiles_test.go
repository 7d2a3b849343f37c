package answers

import (
	"slices"
	"strings"
	"testing"

	"sotesilta/internal/fhir"
	"sotesilta/test/gatewaytest"
)

// The gateway's own profiles are served, named, asked for with $validate, and hold who claims them.
func TestProfiles(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		const ours = "https://sotesilta.example/fhir/StructureDefinition/"
		nurse := g.Nurse()
		parse := func(a *gatewaytest.Answer) *fhir.Value {
			t.Helper()
			doc, err := fhir.Parse(a.Body, fhir.DefaultLimits)
			if err != nil {
				t.Fatal(err)
			}
			return doc
		}
		// Every profile that the CapabilityStatement names is found by its URL, of the type that names it.
		named := 0
		for _, resource := range parse(g.Send(t, "GET", "/fhir/metadata", nil)).First("rest").Get("resource").Items() {
			for _, url := range resource.Get("supportedProfile").Items() {
				named++
				found := parse(nurse.Get(t, "StructureDefinition?url="+url.Str())).All("entry", "resource")
				if len(found) != 1 || found[0].Text("type") != resource.Text("type") || !strings.HasSuffix(url.Str(), "/"+fhir.ID(found[0])) {
					t.Errorf("%s: %v", url.Str(), found)
				}
				nurse.Get(t, "StructureDefinition/"+fhir.ID(found[0]))
			}
		}
		if named != 11 {
			t.Errorf("%d profiles are named", named)
		}
		nurse.Do(t, "POST", "StructureDefinition", `{"resourceType":"StructureDefinition","url":"`+ours+`human-act","name":"X","status":"active","kind":"resource","abstract":false,"type":"Task","baseDefinition":"http://hl7.org/fhir/StructureDefinition/Task","derivation":"constraint","differential":{"element":[{"id":"Task","path":"Task"}]}}`).Want(t, 422)

		const task = `{"resourceType":"Task","status":"draft","intent":"proposal","description":"x"}`
		claiming := func(url string) string {
			return strings.Replace(task, `"status"`, `"meta":{"profile":["`+url+`"]},"status"`, 1)
		}
		issues := func(body string) map[string]string {
			t.Helper()
			told := map[string]string{}
			for _, is := range parse(nurse.Do(t, "POST", "Task/$validate", body).Want(t, 200)).Get("issue").Items() {
				if is.Text("severity") != "information" && !strings.Contains(is.Text("diagnostics"), "dom-6") {
					told[is.Get("expression").Items()[0].Str()+" "+is.Text("severity")] += is.Text("diagnostics")
				}
			}
			return told
		}
		asked := func(url string) map[string]string {
			return issues(`{"resourceType":"Parameters","parameter":[{"name":"profile","valueUri":"` + url + `"},{"name":"resource","resource":` + task + `}]}`)
		}
		for how, told := range map[string]map[string]string{"asked": asked(ours + "joint-client-invitation"), "claimed": issues(claiming(ours + "joint-client-invitation|1"))} {
			for place, key := range map[string]string{
				"Task.intent error":      "joint-client-invitation#Task.intent",
				"Task.description error": "joint-client-invitation#Task.description",
				"Task.owner error":       "joint-client-invitation#Task.owner",
				"Task.status error":      "invitation-status",
				"Task error":             "invitation-code",
			} {
				if !strings.Contains(told[place], "("+key+")") {
					t.Errorf("%s: %s is not told: %v", how, key, told)
				}
			}
		}
		if told := asked(ours + "directive-permit"); !strings.Contains(told["Task error"], "Consent") {
			t.Errorf("a profile of another type: %v", told)
		}
		if told := asked("http://example.org/p"); !strings.Contains(told["Task error"], "not known") {
			t.Errorf("a profile that is not known: %v", told)
		}
		if told := issues(claiming("http://example.org/p")); len(told) != 1 || !strings.Contains(told["Task.meta.profile warning"], "http://example.org/p") {
			t.Errorf("a claim that is not known: %v", told)
		}
		if told := issues(claiming("http://hl7.org/fhir/StructureDefinition/Task")); len(told) != 0 {
			t.Errorf("a claim of R4's own: %v", told)
		}

		// On a write a claim of ours is held, any other is kept.
		refused := parse(nurse.Do(t, "POST", "Task", claiming(ours+"joint-client-invitation")).Want(t, 422))
		if !slices.ContainsFunc(refused.Get("issue").Items(), func(is *fhir.Value) bool {
			return is.Get("expression").Items()[0].Str() == "Task.owner" && strings.Contains(is.Text("diagnostics"), "joint-client-invitation#Task.owner")
		}) {
			t.Errorf("%s", refused.JSON())
		}
		kept := nurse.Create(t, claiming("http://example.org/p"))
		if kept.Get("meta").Get("profile").Items()[0].Str() != "http://example.org/p" {
			t.Errorf("%s", kept.JSON())
		}
		nurse.Do(t, "PATCH", "Task/"+fhir.ID(kept), `[{"op":"add","path":"/meta/profile/-","value":"`+ours+`human-act"}]`, "Content-Type", "application/json-patch+json").Want(t, 422)
	})
}
