// Package leak is the leak battery: what is denied looks like what is absent (law 2), byte for byte, by every way that a
// question can be asked; and a change of mind counts with the next answer (law 4).
package leak

import (
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"sotesilta/internal/fhir"
	"sotesilta/test/gatewaytest"
)

func TestMain(m *testing.M) { os.Exit(gatewaytest.Main(m)) }

// twin is a hidden thing and one that never was: ids of one length, so that answers have one length too.
type twin struct{ hidden, absent string }

// never is an id as long as another that nothing has.
func never(id string) string {
	if len(id) == 36 {
		return "0badc0de-0000-4000-8000-000000000000"
	}
	return strings.Repeat("q", len(id))
}

func twinOf(id string) twin { return twin{id, never(id)} }

var (
	sealed  = regexp.MustCompile(`_page=[A-Za-z0-9_%=-]+`)
	instant = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)|[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT`)
)

// plain is an answer without what differs between any two answers: Date, X-Request-Id, times, random seals (their
// length stays), and the ids that were asked for.
func plain(a *gatewaytest.Answer, replace ...string) string {
	var b strings.Builder
	fmt.Fprintln(&b, a.Status)
	var names []string
	for name := range a.Header {
		if name != "Date" && name != "X-Request-Id" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&b, "%s: %q\n", name, a.Header[name])
	}
	fmt.Fprintf(&b, "X-Request-Id: %d bytes\n\n%s", len(a.Header.Get("X-Request-Id")), a.Body)
	text := strings.NewReplacer(replace...).Replace(b.String())
	text = sealed.ReplaceAllStringFunc(text, func(s string) string { return fmt.Sprintf("_page=%d bytes", len(s)) })
	return instant.ReplaceAllString(text, "TIME")
}

// alike asks the same question about a hidden thing and an absent one, and fails when the answers can be told apart.
func alike(t *testing.T, p *gatewaytest.Party, tw twin, method, path, body string, header ...string) {
	t.Helper()
	ask := func(id string) (*gatewaytest.Answer, string) {
		of := func(s string) string { return strings.ReplaceAll(s, "{id}", id) }
		headers := slices.Clone(header)
		for i := range headers {
			headers[i] = of(headers[i])
		}
		var sent any
		if body != "" {
			sent = of(body)
		}
		answer := p.Do(t, method, of(path), sent, headers...)
		return answer, plain(answer, id, "ID", url.QueryEscape(id), "ID")
	}
	hidden, a := ask(tw.hidden)
	_, b := ask(tw.absent)
	if a != b {
		t.Errorf("%s: %s %s tells hidden from absent:\n--- hidden\n%.1500s\n--- absent\n%.1500s", p, method, path, a, b)
	}
	if hidden.Status >= 500 {
		t.Errorf("%s %s: %d", method, path, hidden.Status)
	}
}

// first is the first that a party finds.
func first(t *testing.T, p *gatewaytest.Party, query string) *fhir.Value {
	t.Helper()
	found := p.All(t, query)
	if len(found) == 0 {
		t.Fatalf("%s finds nothing by %s", p, query)
	}
	return found[0]
}

// probes are all ways to ask about a resource of a type by its id. They change nothing: what is hidden cannot be
// changed.
func probes(t *testing.T, p *gatewaytest.Party, typ string, tw twin, resource string) {
	t.Helper()
	withID := strings.Replace(resource, `{`, `{"id":"{id}",`, 1)
	at := typ + "/{id}"
	put := func(more string) string {
		return `{"resourceType":"Bundle","type":"transaction","entry":[{"resource":` + withID + `,"request":{"method":"PUT","url":"` + at + `"` + more + `}}]}`
	}
	entry := func(kind, method, url string) string {
		return `{"resourceType":"Bundle","type":"` + kind + `","entry":[{"request":{"method":"` + method + `","url":"` + url + `"}}]}`
	}
	var asked sync.WaitGroup // refusals wait for their marks: together
	room := make(chan struct{}, 8)
	for _, probe := range []struct {
		method, path, body string
		header             []string
	}{
		{"GET", at, "", nil},
		{"HEAD", at, "", nil},
		{"GET", at, "", []string{"If-None-Match", `W/"1"`}},
		{"GET", at, "", []string{"If-Modified-Since", "Mon, 02 Jan 2006 15:04:05 GMT"}},
		{"GET", at + "/_history", "", nil},
		{"GET", at + "/_history?_count=1", "", nil},
		{"GET", at + "/_history/1", "", nil},
		{"HEAD", at + "/_history/1", "", nil},
		{"GET", at + "/_history/2", "", nil},
		{"GET", at + "/_history/999", "", nil},
		{"GET", typ + "?_id={id}", "", nil},
		{"GET", typ + "?_id={id}&_total=accurate", "", nil},
		{"GET", typ + "?_id={id}&_summary=count", "", nil},
		{"GET", typ + "?_id={id}&_count=1", "", nil},
		{"GET", typ + "?_id={id}&_count=0", "", nil},
		{"GET", typ + "?_id={id}&_sort=-_lastUpdated", "", nil},
		{"GET", typ + "?_id={id}&_lastUpdated=gt2000", "", nil},
		{"POST", typ + "/_search", "_id={id}&_total=accurate", nil},
		{"POST", typ + "/_search", "_id={id}&_summary=count", nil},
		{"GET", typ + "?_id={id}&_revinclude=Provenance:target", "", nil},
		{"GET", typ + "?_id={id}&_has:Provenance:target:_id=x", "", nil},
		{"GET", "?_type=" + typ + "&_id={id}", "", nil},
		{"GET", "?_type=Patient," + typ + ",Task&_id={id}&_total=accurate", "", nil},
		{"GET", "?_type=Patient," + typ + ",Task&_id={id}&_summary=count", "", nil},
		{"GET", "?_type=Patient," + typ + ",Task&_id={id}&_count=1&_sort=-_lastUpdated", "", nil},
		{"GET", "?_type=Basic," + typ + "&_id={id}", "", nil},
		{"GET", "?_type=Patient," + typ + "&_id={id}&_revinclude=Provenance:target&_include=*", "", nil},
		{"GET", "?_type=Patient," + typ + "&_id={id}&_has:Provenance:target:_id=x&_list=x", "", nil},
		{"POST", "_search", "_type=Patient," + typ + "&_id={id}&_total=accurate", nil},
		{"PUT", at, withID, nil},
		{"PUT", at, withID, []string{"If-Match", `W/"1"`}},
		{"PUT", at, withID, []string{"If-Match", `W/"2"`}},
		{"PUT", at, withID, []string{"If-Match", `W/"9999"`}},
		{"PUT", at, withID, []string{"If-Match", "nonsense"}},
		{"PUT", at, withID, []string{"If-None-Match", "*"}},
		{"PUT", at, withID, []string{"Prefer", "return=representation"}},
		{"PUT", at, strings.Replace(withID, `{`, `{"colour":"blue",`, 1), nil},
		{"GET", at, "", []string{"If-None-Match", "*"}},
		{"OPTIONS", at, "", nil},
		{"PATCH", at, "[]", jsonPatch},
		{"PATCH", at, anyPatch, jsonPatch},
		{"PATCH", at, anyPatch, append([]string{"If-Match", `W/"1"`}, jsonPatch...)},
		{"PATCH", at, anyPatch, append([]string{"If-Match", `W/"9999"`}, jsonPatch...)},
		{"PATCH", at, `[{"op":"test","path":"/resourceType","value":"` + typ + `"}]`, jsonPatch},
		{"PATCH", at, pathPatch(typ), nil},
		{"PATCH", typ + "?_id={id}", anyPatch, jsonPatch},
		{"PUT", typ + "?_id={id}", withID, nil},
		{"PUT", typ + "?_id={id}", withID, []string{"If-Match", `W/"1"`}},
		{"DELETE", typ + "?_id={id}", "", nil},
		{"DELETE", typ + "?_id={id}", "", []string{"If-Match", `W/"9999"`}},
		{"DELETE", at, "", nil},
		{"DELETE", at, "", []string{"If-Match", `W/"1"`}},
		{"DELETE", at, "", []string{"If-Match", `W/"9999"`}},
		{"GET", at, "", nil},
		{"POST", "", put(""), nil},
		{"POST", "", put(`,"ifMatch":"W/\"1\""`), nil},
		{"POST", "", put(`,"ifMatch":"W/\"9999\""`), nil},
		{"POST", "", strings.Replace(put(""), "transaction", "batch", 1), nil},
		{"POST", "", strings.Replace(put(""), `"url":"`+at, `"url":"`+typ+"?_id={id}", 1), nil},
		{"POST", "", strings.NewReplacer(`"method":"PUT"`, `"method":"PATCH"`, withID, pathPatch(typ)).Replace(put("")), nil},
		{"POST", "", strings.NewReplacer(`"method":"PUT"`, `"method":"PATCH"`, withID, pathPatch(typ), "transaction", "batch").Replace(put("")), nil},
		{"POST", "", `{"resourceType":"Bundle","type":"transaction","entry":[{"resource":{"resourceType":"Provenance","target":[{"reference":"` + typ +
			`?_id={id}"}],"recorded":"2026-01-01T00:00:00Z","agent":[{"who":{"display":"x"}}]},"request":{"method":"POST","url":"Provenance"}}]}`, nil},
		{"POST", "", strings.Replace(entry("batch", "GET", at), `"url"`, `"ifNoneMatch":"W/\"1\"","url"`, 1), nil},
		{"POST", "", entry("transaction", "DELETE", typ+"?_id={id}"), nil},
		{"POST", "", entry("transaction", "DELETE", at), nil},
		{"POST", "", entry("batch", "DELETE", at), nil},
		{"POST", "", entry("transaction", "GET", at), nil},
		{"POST", "", entry("batch", "GET", at), nil},
		{"POST", "", entry("transaction", "GET", typ+"?_id={id}"), nil},
		{"POST", "", entry("batch", "GET", typ+"?_id={id}&_total=accurate"), nil},
		{"POST", "", entry("transaction", "GET", at+"/_history/1"), nil},
		{"POST", "", entry("batch", "GET", at+"/_history"), nil},
		{"GET", "Provenance?target=" + at, "", nil},
		{"GET", "Provenance?target=" + at + "&_total=accurate&_include=Provenance:target", "", nil},
		{"GET", at + "/$everything", "", nil},
		{"GET", at + "/$everything?_count=1&_type=" + typ, "", nil},
		{"GET", at + "/$meta", "", nil},
		{"POST", at + "/$meta-add", `{"resourceType":"Parameters","parameter":[{"name":"meta","valueMeta":{"tag":[{"code":"x"}]}}]}`, nil},
		{"POST", at + "/$meta-delete", `{"resourceType":"Parameters","parameter":[{"name":"meta","valueMeta":{"tag":[{"code":"x"}]}}]}`, nil},
		{"GET", at + "/$everything?start=2020&end=2030", "", nil},
		{"POST", "", entry("batch", "GET", "?_type="+typ+"&_id={id}&_total=accurate"), nil},
		{"POST", "", entry("transaction", "GET", "?_type="+typ+"&_id={id}"), nil},
		{"POST", "", entry("batch", "GET", at+"/$everything"), nil},
		{"POST", "", entry("transaction", "GET", at+"/$everything"), nil},
		{"POST", "", entry("batch", "POST", at+"/$everything"), nil},
		{"POST", "", entry("batch", "GET", at+"/$meta"), nil},
		{"GET", at + "?_summary=true", "", nil},
		{"GET", typ + "?_id={id}&_elements=id", "", nil},
		{"POST", at + "/$everything", `{"resourceType":"Parameters"}`, nil},
	} {
		room <- struct{}{}
		asked.Go(func() {
			defer func() { <-room }()
			alike(t, p, tw, probe.method, probe.path, probe.body, probe.header...)
		})
	}
	asked.Wait()
	for _, path := range []string{typ + "/_history?_count=500", "_history?_count=500", "_history?_count=500&_at=2999", typ + "/_history?_count=500&_at=2999"} {
		if answer := p.Do(t, "GET", path, nil); strings.Contains(string(answer.Body), `/`+typ+`/`+tw.hidden+`","re`) {
			t.Errorf("%s: GET %s holds the hidden %s/%s", p, path, typ, tw.hidden)
		}
	}
}

const (
	observation = `{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/aino"}}`
	response    = `{"resourceType":"QuestionnaireResponse","status":"completed","subject":{"reference":"Patient/aino"}}`
)

// Patches that would do to any resource.
var jsonPatch = []string{"Content-Type", "application/json-patch+json"}

const anyPatch = `[{"op":"add","path":"/language","value":"fi"}]`

func pathPatch(typ string) string {
	return `{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"replace"},` +
		`{"name":"path","valueString":"` + typ + `.status"},{"name":"value","valueCode":"final"}]}]}`
}

// Every way to ask about one resource, for hidden ones of every kind: another register's, under a ban, without a
// relationship, a directive, another unit's process.
func TestHiddenResources(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		nurse, worker := g.Nurse(), g.SocialWorker()
		health := func(typ, client string) twin { return twinOf(fhir.ID(first(t, nurse, typ+"?patient=Patient/"+client))) }
		social := func(typ, client string) twin {
			return twinOf(fhir.ID(first(t, worker, typ+"?patient=Patient/"+client)))
		}
		consent := twinOf(fhir.ID(first(t, nurse, "Consent?patient=Patient/eino")))
		provenance := twinOf(fhir.ID(first(t, nurse, "Provenance")))
		var therapy twin
		for _, r := range g.As("county-social", "").All(t, "QuestionnaireResponse?patient=Patient/helmi") {
			if strings.Contains(string(r.AppendJSON(nil)), "therapy") {
				therapy = twinOf(fhir.ID(r))
			}
		}
		other := g.Physician().Create(t, `{"resourceType":"Patient","active":true,"name":[{"family":"Omassa","given":["Rekisterissä"]}]}`)
		plan := nurse.Do(t, "POST", "PlanDefinition/joint-client/$apply", `{"resourceType":"Parameters","parameter":[{"name":"subject","valueString":"Patient/lumi"}]}`).Want(t, 200).Doc(t)
		task := first(t, nurse, "Task?based-on="+gatewaytest.Ref(plan))
		condition := `{"resourceType":"Condition","subject":{"reference":"Patient/aino"}}`
		encounter := `{"resourceType":"Encounter","status":"finished","class":{"code":"AMB"},"subject":{"reference":"Patient/aino"}}`
		for _, tc := range []struct {
			p        *gatewaytest.Party
			typ      string
			tw       twin
			resource string
		}{
			{worker, "Observation", health("Observation", "aino"), observation},
			{worker, "Observation", health("Observation", "eino"), observation},
			{worker, "Observation", health("Observation", "veikko"), observation},
			{worker, "Condition", health("Condition", "helmi"), condition},
			{worker, "Encounter", health("Encounter", "aino"), encounter},
			{g.NeedAssessment(), "Observation", health("Observation", "eino"), observation},
			{g.Physician(), "Observation", health("Observation", "onni"), observation},
			{g.DigiNurse(), "Observation", health("Observation", "onni"), observation},
			{g.As("omaks", "lumi-guardian"), "Observation", health("Observation", "lumi"), observation},
			{g.As("omaks", "lumi"), "Observation", health("Observation", "aino"), observation},
			{g.As("county-social", ""), "Observation", health("Observation", "onni"), observation},
			{nurse, "QuestionnaireResponse", social("QuestionnaireResponse", "aino"), response},
			{nurse, "QuestionnaireResponse", social("QuestionnaireResponse", "onni"), response},
			{nurse, "QuestionnaireResponse", therapy, response},
			{worker, "QuestionnaireResponse", therapy, response},
			{worker, "Consent", consent, `{"resourceType":"Consent","status":"active","scope":{"text":"x"},"category":[{"text":"x"}],"patient":{"reference":"Patient/eino"},"policyRule":{"text":"x"}}`},
			{g.DigiNurse(), "Consent", consent, `{"resourceType":"Consent","status":"active","scope":{"text":"x"},"category":[{"text":"x"}],"patient":{"reference":"Patient/eino"},"policyRule":{"text":"x"}}`},
			{worker, "Provenance", provenance, `{"resourceType":"Provenance","target":[{"reference":"Patient/aino"}],"recorded":"2026-01-01T10:00:00Z","agent":[{"who":{"reference":"Patient/aino"}}]}`},
			{worker, "Patient", twinOf("veikko"), `{"resourceType":"Patient","active":true}`},
			{g.Physician(), "Patient", twinOf("aino"), `{"resourceType":"Patient","active":true}`},
			{g.Operator(), "Patient", twinOf("onni"), ""},
			{nurse, "Patient", twinOf(fhir.ID(other)), `{"resourceType":"Patient","active":true}`},
			{worker, "CarePlan", twinOf(fhir.ID(plan)), `{"resourceType":"CarePlan","status":"draft","intent":"plan","subject":{"reference":"Patient/lumi"}}`},
			{worker, "CareTeam", twinOf(strings.TrimPrefix(plan.Text("careTeam", "reference"), "CareTeam/")), `{"resourceType":"CareTeam","status":"active"}`},
			{worker, "Task", twinOf(fhir.ID(task)), `{"resourceType":"Task","status":"completed","intent":"order"}`},
		} {
			t.Run(fmt.Sprint(tc.p, " ", tc.typ), func(t *testing.T) {
				if tc.resource == "" {
					for _, path := range []string{tc.typ + "/{id}", tc.typ + "/{id}/_history", tc.typ + "?_id={id}&_total=accurate"} {
						alike(t, tc.p, tc.tw, "GET", path, "")
					}
					return
				}
				probes(t, tc.p, tc.typ, tc.tw, tc.resource)
			})
		}
		// After all that, everything hidden is as it was.
		nurse.Get(t, gatewaytest.Ref(plan))
		nurse.Get(t, "Consent/"+consent.hidden)
		g.Physician().Get(t, gatewaytest.Ref(other))
	})
}

// AuditEvents answer alike for who does not supervise.
func TestHiddenRecords(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		id := g.Nurse().Get(t, "Observation?patient=Patient/onni").Header.Get("X-Request-Id")
		g.Auditor().Get(t, "AuditEvent/"+id)
		for _, p := range []*gatewaytest.Party{g.Nurse(), g.SocialWorker(), g.Physician(), g.As("omaks", "aino"), g.Operator()} {
			for _, path := range []string{"AuditEvent/{id}", "AuditEvent?_id={id}", "AuditEvent?_id={id}&_total=accurate", "AuditEvent?_id={id}&_summary=count"} {
				alike(t, p, twinOf(id), "GET", path, "")
			}
		}
	})
}

// A person with something hidden is as a person with nothing: a ban, a refused permit, and no data at all look alike.
func TestHiddenPersons(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		for _, tc := range []struct {
			p  *gatewaytest.Party
			tw twin
		}{
			{g.SocialWorker(), twin{"eino", "aino"}}, // a ban and a permit; neither
			{g.SocialWorker(), twinOf("veikko")},     // unknown to social care; nobody
			{g.SocialWorker(), twinOf("aino")},       // known, nothing permitted; nobody
			{g.Physician(), twinOf("aino")},
			{g.DigiNurse(), twinOf("onni")},
			{g.As("omaks", "lumi"), twinOf("aino")},
			{g.As("omaks", "lumi-guardian"), twinOf("lumi")},
		} {
			for _, typ := range []string{"Observation", "Condition"} {
				for _, query := range []string{
					"?patient=Patient/{id}", "?patient={id}", "?subject=Patient/{id}", "?patient=Patient/{id}&_total=accurate", "?patient=Patient/{id}&_summary=count",
					"?patient=Patient/{id}&_count=1", "?patient=Patient/{id}&_sort=-_lastUpdated&_count=1", "?patient=Patient/{id}&_include=" + typ + ":encounter",
					"?patient=Patient/{id}&_revinclude=Provenance:target", "?encounter.patient=Patient/{id}", "?patient:missing=false&patient=Patient/{id}",
					"?patient=Patient/{id}&_include=*&_revinclude:iterate=Provenance:*", "?patient=Patient/{id}&code:not-in=http://hl7.org/fhir/ValueSet/task-status",
				} {
					alike(t, tc.p, tc.tw, "GET", typ+query, "")
				}
				alike(t, tc.p, tc.tw, "POST", typ+"/_search", "patient=Patient/{id}&_total=accurate")
			}
			for _, path := range []string{
				"Patient?_id={id}&_has:Observation:patient:code=85354-9", "Patient?_id={id}&_has:Observation:patient:code=85354-9&_total=accurate",
				"Patient?_id={id}&_has:Observation:patient:component-code-value-quantity=8480-6$gt1", "Observation?patient=Patient/{id}&component-code-value-quantity=8480-6$gt1&_total=accurate",
				"Observation?patient=Patient/{id}&combo-code-value-quantity:missing=false&_summary=count", "List?patient=Patient/{id}&_include=List:*",
				"?_type=Observation,Condition,Encounter&patient=Patient/{id}&_total=accurate", "?_type=Observation,Condition&subject=Patient/{id}&_sort=-_lastUpdated&_count=1",
				"?_type=Observation,Condition&patient=Patient/{id}&_summary=count", "Patient/{id}/*?_type=Observation,Condition&_total=accurate",
				"?_type=Observation,Encounter&patient=Patient/{id}&_include=*&_revinclude=Provenance:*",
				"Consent?patient=Patient/{id}", "EpisodeOfCare?patient=Patient/{id}&organization=Organization/jukola", "Encounter?patient=Patient/{id}",
			} {
				if tc.tw.absent == "aino" && (strings.HasPrefix(path, "Consent") || strings.HasPrefix(path, "Patient")) {
					continue // both Patients are the social worker's own clients, and one has a directive with her unit
				}
				alike(t, tc.p, tc.tw, "GET", path, "")
			}
			if tc.tw.hidden != "aino" && tc.tw.absent != "aino" && tc.tw.hidden != "lumi" {
				alike(t, tc.p, tc.tw, "GET", "Patient/{id}", "")
				alike(t, tc.p, tc.tw, "GET", "Patient?_id={id}&_total=accurate", "")
			}
		}
		// By name and by identity code, where the person is not the unit's client.
		worker := g.SocialWorker()
		alike(t, worker, twin{"Veikko", "Viekko"}, "GET", "Patient?family=Testi&given={id}&_total=accurate", "")
		code := ""
		for _, identifier := range g.Nurse().Get(t, "Patient/veikko").Doc(t).Get("identifier").Items() {
			code = identifier.Text("value")
		}
		for _, form := range []string{"identifier={id}", "identifier=urn%3Aoid%3A1.2.246.21%7C{id}&_total=accurate", "identifier={id}&_summary=count"} {
			alike(t, worker, twin{code, "010190-999P"}, "POST", "Patient/_search", form)
		}
		alike(t, worker, twin{code, "010190-999P"}, "POST", "Observation/_search", "subject:Patient.identifier={id}&_total=accurate")
	})
}

// Hidden rows take no part in chains, _has, includes, sorting, counting or paging.
func TestHiddenRowsTakeNoPart(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		nurse, worker := g.Nurse(), g.SocialWorker()
		want := func(p *gatewaytest.Party, query string, refs ...string) {
			t.Helper()
			if got := gatewaytest.Refs(p.All(t, query)); !slices.Equal(got, refs) {
				t.Errorf("%s: %s finds %q, want %q", p, query, got, refs)
			}
			counted := string(p.Get(t, query+"&_summary=count").Doc(t).Get("total").AppendJSON(nil))
			total := string(p.Get(t, query+"&_total=accurate&_count=1").Doc(t).Get("total").AppendJSON(nil))
			if counted != fmt.Sprint(len(refs)) || total != counted {
				t.Errorf("%s: %s counts %s, totals %s, want %d", p, query, counted, total, len(refs))
			}
		}
		mine := gatewaytest.Refs(worker.All(t, "Observation"))
		if len(mine) != 3 {
			t.Fatalf("the social worker sees %d Observations, onni has 3", len(mine))
		}
		// Only onni's health data is the social worker's to see: it alone answers for a person.
		want(worker, "Patient?_has:Observation:patient:code=85354-9", "Patient/onni")
		want(worker, "Patient?_has:Condition:patient:code=E11")
		want(worker, "Patient?_has:Encounter:patient:status=finished", "Patient/onni")
		want(worker, "Patient?_has:Consent:patient:status=active", "Patient/eino", "Patient/helmi") // her own unit's directives
		want(nurse, "Patient?_has:Consent:patient:status=active", "Patient/eino", "Patient/onni")
		want(nurse, "Patient?_has:ServiceRequest:patient:status=active", "Patient/eino", "Patient/helmi") // by their permits
		want(worker, "Observation?encounter.status=finished", mine...)
		want(worker, "Observation?subject:Patient.family=Esimerkki", mine...)
		want(worker, "Observation?subject:Patient.family=Malli")
		want(worker, "Observation?code=85354-9,29463-7,44261-6&_sort=-date", mine...)
		want(g.Physician(), "Observation?code=85354-9")

		// Pages are whole: each of size 1 holds one, and after the last there is none.
		seen := map[string]bool{}
		pages := 0
		for answer := worker.Get(t, "Observation?_count=1&_sort=date&_total=accurate"); ; {
			pages++
			refs := answer.Refs(t)
			if len(refs) != 1 || seen[refs[0]] {
				t.Fatalf("page %d holds %q", pages, refs)
			}
			seen[refs[0]] = true
			if got := string(answer.Doc(t).Get("total").AppendJSON(nil)); got != "3" {
				t.Errorf("page %d totals %s", pages, got)
			}
			next := answer.Link(t, "next")
			if next == "" {
				break
			}
			if strings.Contains(next, "Observation/") || strings.Contains(next, "date") {
				t.Errorf("a next link is not opaque: %s", next)
			}
			// A page link is its caller's only.
			nurse.Follow(t, next).Outcome(t, 400)
			answer = worker.Follow(t, next).Want(t, 200)
		}
		if pages != 3 {
			t.Errorf("%d pages of 3 matches", pages)
		}
		broken := worker.Get(t, "Observation?_count=1").Link(t, "next")
		at := strings.Index(broken, "_page=") + 20
		worker.Follow(t, broken[:at]+string('A'+(broken[at]-'A'+1)%26)+broken[at+1:]).Outcome(t, 400)
	})
}

// A visible row that refers to something hidden is as one that refers to nothing: when it is written, included from,
// chained through or sorted by.
func TestReferencesToTheHidden(t *testing.T) {
	gatewaytest.Own(t, func(t *testing.T, g *gatewaytest.Gateway) {
		nurse, worker := g.Nurse(), g.SocialWorker()
		encounter := twinOf(fhir.ID(first(t, nurse, "Encounter?patient=Patient/aino")))
		hidden := twinOf(fhir.ID(first(t, nurse, "Observation?patient=Patient/aino")))
		request := func(encounter, key string) string {
			return `{"resourceType":"ServiceRequest","identifier":[{"system":"https://example.org/k","value":"` + key + `"}],"status":"active","intent":"order",
				"code":{"text":"x"},"subject":{"reference":"Patient/aino"},"encounter":{"reference":"Encounter/` + encounter + `"},"authoredOn":"2026-01-01"}`
		}
		var wrote []string
		var ids [2]string
		for i, id := range []string{encounter.hidden, encounter.absent} {
			answer := worker.Do(t, "POST", "ServiceRequest", request(id, []string{"aaa", "bbb"}[i]), "Prefer", "return=representation").Want(t, 201)
			ids[i] = fhir.ID(answer.Doc(t))
			wrote = append(wrote, plain(answer, ids[i], "NEW", id, "ID", "aaa", "KEY", "bbb", "KEY"))
		}
		if wrote[0] != wrote[1] {
			t.Errorf("writing a reference tells hidden from absent:\n%s\n%s", wrote[0], wrote[1])
		}
		for _, query := range []string{
			"ServiceRequest?_id={id}&_include=ServiceRequest:encounter", "ServiceRequest?_id={id}&_include=*",
			"ServiceRequest?_id={id}&encounter.status=finished", "ServiceRequest?_id={id}&encounter:Encounter.patient=Patient/aino&_total=accurate",
			"ServiceRequest?_id={id}&encounter.status=finished&_summary=count",
		} {
			var plains []string
			for i, id := range ids {
				answer := worker.Do(t, "GET", strings.ReplaceAll(query, "{id}", id), nil)
				if answer.Status != 200 && answer.Status != 400 {
					t.Errorf("%s: %d", query, answer.Status)
				}
				plains = append(plains, plain(answer, id, "NEW", []string{encounter.hidden, encounter.absent}[i], "ID", "aaa", "KEY", "bbb", "KEY"))
			}
			if plains[0] != plains[1] {
				t.Errorf("%s tells hidden from absent:\n%s\n%s", query, plains[0], plains[1])
			}
		}
		for _, probe := range []struct{ path, form string }{
			{"ServiceRequest?encounter=Encounter/{id}&_summary=count", ""},
			{"Encounter?_id={id}&_revinclude=ServiceRequest:encounter", ""},
			{"Encounter?_id={id}&_has:ServiceRequest:encounter:status=active", ""},
		} {
			alike(t, worker, encounter, "GET", probe.path, probe.form)
		}

		// Creates under a condition, and as a client of another's record.
		for name, probe := range map[string]struct {
			tw     twin
			body   string
			header []string
		}{
			"condition that a hidden row meets": {hidden, response, []string{"If-None-Exist", "_id={id}"}},
			"subject of another's register": {
				twinOf(fhir.ID(g.Physician().Create(t, `{"resourceType":"Patient","active":true,"name":[{"family":"Klinikan"}]}`))),
				strings.Replace(response, "Patient/aino", "Patient/{id}", 1), nil,
			},
			"Consent about another's record": {
				twinOf(fhir.ID(g.Physician().Create(t, `{"resourceType":"Patient","active":true,"name":[{"family":"Klinikan"}]}`))),
				`{"resourceType":"Consent","status":"active","scope":{"text":"x"},"category":[{"text":"x"}],"patient":{"reference":"Patient/{id}"},"policyRule":{"text":"x"}}`, nil,
			},
		} {
			var plains []string
			for _, id := range []string{probe.tw.hidden, probe.tw.absent} {
				headers := slices.Clone(probe.header)
				for i := range headers {
					headers[i] = strings.ReplaceAll(headers[i], "{id}", id)
				}
				typ := fhir.ResourceType(gatewaytest.Parse(t, []byte(probe.body)))
				answer := worker.Do(t, "POST", typ, strings.ReplaceAll(probe.body, "{id}", id), headers...)
				replace := []string{id, "ID"}
				if answer.Status == 201 {
					replace = append(replace, fhir.ID(answer.Doc(t)), "NEW")
				}
				plains = append(plains, plain(answer, replace...))
			}
			if plains[0] != plains[1] {
				t.Errorf("%s tells hidden from absent:\n%s\n%s", name, plains[0], plains[1])
			}
		}
		// A condition on the type of the hidden rows themselves.
		key := `"identifier":[{"system":"https://example.org/k","value":"one"}],`
		nurse.Do(t, "POST", "DocumentReference", `{"resourceType":"DocumentReference",`+key+`"status":"current","subject":{"reference":"Patient/aino"},"content":[{"attachment":{"title":"x"}}]}`).Want(t, 201)
		for i, value := range []string{"one", "two"} {
			answer := worker.Do(t, "POST", "DocumentReference", `{"resourceType":"DocumentReference","status":"current","subject":{"reference":"Patient/aino"},"content":[{"attachment":{"title":"x"}}]}`,
				"If-None-Exist", "identifier=https://example.org/k%7C"+value)
			if answer.Status != 201 || answer.Header.Get("ETag") != `W/"1"` {
				t.Errorf("conditional create %d: %d %s", i, answer.Status, answer.Body)
			}
		}

		// $apply about a record of another, and about nobody.
		other := twinOf(fhir.ID(g.Physician().Create(t, `{"resourceType":"Patient","active":true,"name":[{"family":"Klinikan"}]}`)))
		alike(t, nurse, other, "POST", "PlanDefinition/joint-client/$apply", `{"resourceType":"Parameters","parameter":[{"name":"subject","valueString":"Patient/{id}"}]}`)
	})
}
