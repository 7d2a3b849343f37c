package answers

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sotesilta/internal/fhir"
	"sotesilta/test/gatewaytest"
)

// "versionId counts 1, 2, …; ETag is W/"n"", Location, Last-Modified; "410 only for who could have read it".
func TestVersions(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		nurse, worker, clinic := g.Nurse(), g.SocialWorker(), g.Physician()
		created := nurse.Do(t, "POST", "Observation", strings.Replace(note("version one"), `{`, `{"id":"mine","meta":{"versionId":"9","lastUpdated":"2001-01-01T00:00:00Z","security":[{"system":"https://sotesilta.example/fhir/CodeSystem/register","code":"social"}]},`, 1), "Prefer", "return=representation").Want(t, 201)
		doc := created.Doc(t)
		id := fhir.ID(doc)
		if id == "mine" || doc.Text("meta", "versionId") != "1" || created.Header.Get("ETag") != `W/"1"` {
			t.Errorf("created: id %q version %q ETag %q", id, doc.Text("meta", "versionId"), created.Header.Get("ETag"))
		}
		if got, want := created.Header.Get("Location"), g.Root+"/fhir/Observation/"+id+"/_history/1"; got != want {
			t.Errorf("Location %q, want %q", got, want)
		}
		// "labels a client sends are dropped and set anew"
		if labels := string(doc.Get("meta").Get("security").AppendJSON(nil)); strings.Contains(labels, "social") || !strings.Contains(labels, `"health"`) {
			t.Errorf("labels: %s", labels)
		}
		if when, err := time.Parse(time.RFC1123, created.Header.Get("Last-Modified")); err != nil || time.Since(when) > time.Hour {
			t.Errorf("Last-Modified %q", created.Header.Get("Last-Modified"))
		}
		ref := "Observation/" + id
		update := func(text string, header ...string) *gatewaytest.Answer {
			return nurse.Do(t, "PUT", ref, strings.Replace(note(text), `{`, `{"id":"`+id+`",`, 1), append(header, "Prefer", "return=representation")...)
		}
		for version := 2; version <= 4; version++ {
			answer := update(fmt.Sprint("version ", version), "If-Match", fmt.Sprintf(`W/"%d"`, version-1)).Want(t, 200)
			if got := answer.Header.Get("ETag"); got != fmt.Sprintf(`W/"%d"`, version) {
				t.Errorf("ETag %q of version %d", got, version)
			}
			update("stale", "If-Match", fmt.Sprintf(`W/"%d"`, version-1)).Outcome(t, 412)
		}
		old := nurse.Get(t, ref+"/_history/1")
		if old.Doc(t).Text("code", "text") != "version one" || old.Header.Get("ETag") != `W/"1"` {
			t.Errorf("version 1: %s %s", old.Body, old.Header.Get("ETag"))
		}
		history := nurse.Get(t, ref+"/_history").Doc(t)
		var versions []string
		for _, entry := range history.Get("entry").Items() {
			versions = append(versions, entry.Text("resource", "meta", "versionId"))
		}
		if got := strings.Join(versions, " "); got != "4 3 2 1" || history.Text("type") != "history" {
			t.Errorf("history: %s of %s", got, history.Text("type"))
		}
		first := nurse.Get(t, ref+"/_history?_count=3")
		if next := first.Link(t, "next"); next == "" {
			t.Error("history of 4 in pages of 3 has no next link")
		} else if got := nurse.Follow(t, next).Want(t, 200).Doc(t).Get("entry").Items(); len(got) != 1 {
			t.Errorf("the second page of history has %d entries", len(got))
		}
		// A conditional read tells that nothing changed, and nothing of the hidden.
		nurse.Do(t, "GET", ref, nil, "If-None-Match", `W/"4"`).Want(t, 304)
		nurse.Do(t, "GET", ref, nil, "If-None-Match", `W/"3"`).Want(t, 200)
		clinic.Do(t, "GET", ref, nil, "If-None-Match", `W/"4"`).Outcome(t, 404)

		// onni's permit lets the social worker read it; the clinic could not.
		worker.Get(t, ref)
		nurse.Do(t, "DELETE", ref, nil, "If-Match", `W/"4"`).Want(t, 204)
		nurse.Do(t, "GET", ref, nil).Outcome(t, 410)
		worker.Do(t, "GET", ref, nil).Outcome(t, 410)
		clinic.Do(t, "GET", ref, nil).Outcome(t, 404)
		nurse.Get(t, ref+"/_history/4")
		nurse.Do(t, "GET", ref+"/_history/5", nil).Outcome(t, 410)
		nurse.Do(t, "DELETE", ref, nil).Want(t, 204)
		update("after the end").Outcome(t, 405)
		for _, r := range nurse.All(t, "Observation?patient=Patient/onni") {
			if fhir.ID(r) == id {
				t.Error("a deleted Observation is found")
			}
		}
	})
}

// "What came in is what is kept": primitive extensions, contained resources, decimals as written, order.
func TestKeptAsReceived(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		nurse := g.Nurse()
		members := []string{
			`"contained":[{"resourceType":"Device","id":"meter","_manufacturer":{"extension":[{"url":"https://example.org/unknown","valueString":"ei tiedossa"}]}}]`,
			`"_issued":{"id":"a1","extension":[{"url":"https://example.org/clock","valueCode":"approximate"}]}`,
			`"valueQuantity":{"value":74.50,"unit":"kg","system":"http://unitsofmeasure.org","code":"kg"}`,
			`"code":{"text":"paino – kotimittaus äö €"}`, `"status":"final"`, `"issued":"2026-03-01T10:00:00.120+02:00"`,
			`"subject":{"reference":"Patient/onni"}`, `"device":{"reference":"#meter"}`,
			`"component":[{"code":{"text":"pieni"},"valueQuantity":{"value":1.0E-3}},{"code":{"text":"suuri"},"valueQuantity":{"value":10000000000000000000000.10}}]`,
		}
		body := `{"resourceType":"Observation",` + strings.Join(members, ",") + `}`
		ref := gatewaytest.Ref(nurse.Create(t, body))
		read := string(nurse.Get(t, ref).Body)
		at := 0
		for _, member := range members {
			next := strings.Index(read[at:], member)
			if next < 0 {
				t.Fatalf("not kept, or not in order: %s\n%s", member, read)
			}
			at += next
		}
	})
}

// A patch that changes nothing makes no version: one of no operations or to what is there, a tag that is there already. It is
// in the auditor's sight all the same. An update always makes one, so that of two under one If-Match the second fails.
func TestAPatchThatChangesNothingMakesNoVersion(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		nurse, auditor := g.Nurse(), g.Auditor()
		const tag = `{"resourceType":"Parameters","parameter":[{"name":"meta","valueMeta":{"tag":[{"system":"https://vendor.example/tags","code":"seen"}]}}]}`
		created := nurse.Do(t, "POST", "Observation", note("kept"), "Prefer", "return=representation").Want(t, 201)
		ref := "Observation/" + fhir.ID(created.Doc(t))
		steps := []struct {
			name, method, path string
			header             []string
			body               func() string
		}{
			{"a patch of no operations", "PATCH", ref, []string{"Content-Type", "application/json-patch+json"}, func() string { return "[]" }},
			{"a FHIRPath Patch of none", "PATCH", ref, nil, func() string { return `{"resourceType":"Parameters"}` }},
			{"one in XML", "PATCH", ref, []string{"Content-Type", "application/fhir+xml"}, func() string { return `<Parameters xmlns="http://hl7.org/fhir"/>` }},
			{"a patch to what is there", "PATCH", ref, []string{"Content-Type", "application/json-patch+json", "If-Match", `W/"1"`}, func() string { return `[{"op":"replace","path":"/code/text","value":"kept"}]` }},
			{"a tag taken away that is not there", "POST", ref + "/$meta-delete", nil, func() string { return tag }},
		}
		for _, step := range steps {
			answer := nurse.Do(t, step.method, step.path, step.body(), step.header...).Want(t, 200)
			if etag := answer.Header.Get("ETag"); step.method != "POST" && (etag != `W/"1"` || answer.Header.Get("Last-Modified") != created.Header.Get("Last-Modified")) {
				t.Errorf("%s: ETag %s", step.name, etag)
			}
			record := auditor.Get(t, "AuditEvent/"+answer.Header.Get("X-Request-Id")).Doc(t)
			if record.Text("outcome") != "0" || !strings.Contains(string(record.JSON()), ref+"/_history/1") {
				t.Errorf("%s: the record is %s", step.name, record.JSON())
			}
		}
		if versions := nurse.Get(t, ref+"/_history").Doc(t).Get("entry").Items(); len(versions) != 1 {
			t.Errorf("%d versions after nothing changed", len(versions))
		}
		for range 2 {
			nurse.Do(t, "POST", ref+"/$meta-add", tag).Want(t, 200)
		}
		if etag := nurse.Get(t, ref).Header.Get("ETag"); etag != `W/"2"` {
			t.Errorf("after the same tag was added twice: %s", etag)
		}
		patch := `{"request":{"method":"PATCH","url":"` + ref + `"},"resource":{"resourceType":"Parameters"}}`
		for _, kind := range []string{"batch", "transaction"} {
			answered := nurse.Do(t, "POST", "", `{"resourceType":"Bundle","type":"`+kind+`","entry":[`+patch+`]}`).Want(t, 200).Doc(t)
			if got := answered.Text("entry", "response", "etag"); got != `W/"2"` || answered.Text("entry", "response", "status") != "200 OK" {
				t.Errorf("in a %s: %s", kind, answered.JSON())
			}
		}
		read := string(nurse.Get(t, ref).Body)
		if etag := nurse.Do(t, "PUT", ref, read, "If-Match", `W/"2"`).Want(t, 200).Header.Get("ETag"); etag != `W/"3"` {
			t.Errorf("an update with what was read: %s", etag)
		}
		nurse.Do(t, "PUT", ref, read, "If-Match", `W/"2"`).Outcome(t, 412)
	})
}
