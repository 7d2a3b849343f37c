// Package answers holds the gateway's HTTP answers against the contract's "Answers" and the issue's "Bad input": each
// refusal is precise, changes nothing, leaks nothing, and the process keeps serving.
package answers

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"sotesilta/internal/fhir"
	"sotesilta/test/gatewaytest"
)

func TestMain(m *testing.M) { os.Exit(gatewaytest.Main(m)) }

// note is an Observation of onni with one line of its own.
func note(text string) string {
	return `{"resourceType":"Observation","status":"final","code":{"text":"` + text + `"},"subject":{"reference":"Patient/onni"},"issued":"2026-03-01T10:00:00+02:00"}`
}

// census is all that a party sees of the types that tests write, with versions: what a refusal may not change.
func census(t *testing.T, p *gatewaytest.Party) string {
	t.Helper()
	var b strings.Builder
	for _, typ := range []string{"Observation", "Condition", "Encounter", "EpisodeOfCare", "Task", "CarePlan", "Consent", "Provenance", "Appointment", "Patient"} {
		for _, r := range p.All(t, typ+"?_count=200&_sort=_id") {
			fmt.Fprintf(&b, "%s/%s/%s\n", typ, fhir.ID(r), r.Text("meta", "versionId"))
		}
	}
	return b.String()
}

// unchanged fails the test when something changes while it runs.
func unchanged(t *testing.T, p *gatewaytest.Party) (check func()) {
	t.Helper()
	before := census(t, p)
	return func() {
		t.Helper()
		if after := census(t, p); after != before {
			was, is := strings.Split(before, "\n"), strings.Split(after, "\n")
			gone := slices.DeleteFunc(slices.Clone(was), func(line string) bool { return slices.Contains(is, line) })
			come := slices.DeleteFunc(is, func(line string) bool { return slices.Contains(was, line) })
			t.Errorf("a refused request changed something: gone %q, come %q", gone, come)
		}
	}
}

const absentID = "00000000-0000-4000-8000-000000000000"

// "401 no or bad token (WWW-Authenticate)".
func TestUnauthorized(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		good := g.Nurse().Authorization(t)
		head, rest, _ := strings.Cut(strings.TrimPrefix(good, "Bearer "), ".")
		payload, signature, _ := strings.Cut(rest, ".")
		flipped := []byte(signature)
		flipped[10] ^= 1
		for name, authorization := range map[string]string{
			"none": "", "another scheme": "Basic bnVyc2U6bnVyc2U=", "garbage": "Bearer garbage", "empty": "Bearer ",
			"no signature": "Bearer " + head + "." + payload + ".", "another signature": "Bearer " + head + "." + payload + "." + string(flipped),
			"alg none":   "Bearer eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0." + payload + ".",
			"two tokens": good + " " + good, "very long": "Bearer " + strings.Repeat("a", 20000),
		} {
			for _, path := range []string{"/fhir/Observation", "/fhir/Patient/onni", "/fhir/Patient/" + absentID} {
				answer := g.Send(t, "GET", path, nil, "Authorization", authorization)
				answer.Outcome(t, 401)
				if challenge := answer.Header.Get("WWW-Authenticate"); !strings.HasPrefix(challenge, "Bearer") {
					t.Errorf("%s: WWW-Authenticate: %q", name, challenge)
				}
				if strings.Contains(string(answer.Body), "onni") {
					t.Errorf("%s: the 401 quotes the address: %s", name, answer.Body)
				}
			}
		}
		for _, open := range []string{"/fhir/metadata", "/fhir/.well-known/smart-configuration", "/auth/jwks.json", "/healthz", "/readyz", "/ledger/checkpoint"} {
			g.Send(t, "GET", open, nil, "Accept", "*/*").Want(t, 200)
		}
		for _, document := range []string{"/fhir/metadata", "/fhir/.well-known/smart-configuration"} {
			answer := g.Send(t, "OPTIONS", document, nil)
			answer.Want(t, 204)
			refused := g.Send(t, "POST", document, "{}", "Content-Type", "application/fhir+json")
			refused.Outcome(t, 405)
			for _, a := range []*gatewaytest.Answer{answer, refused} {
				if allow := a.Header.Get("Allow"); allow != "GET, HEAD, OPTIONS" {
					t.Errorf("%s: Allow: %q", document, allow)
				}
			}
		}
	})
}

// "403 the scope does not allow the interaction at all (says nothing of any client)".
func TestScopes(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		narrow := g.Nurse()
		narrow.Scope = "system/Observation.rs"
		narrow.Get(t, "Observation?patient=Patient/onni")
		observation := gatewaytest.Ref(g.Nurse().All(t, "Observation?patient=Patient/onni")[0])
		narrow.Get(t, observation)
		check := unchanged(t, g.Nurse())
		texts := map[bool]string{} // by whether it is a read
		for _, path := range []string{
			"Condition", "Condition?patient=Patient/onni", "Condition?patient=Patient/" + absentID,
			gatewaytest.Ref(g.Nurse().All(t, "Condition?patient=Patient/onni")[0]), "Condition/" + absentID,
		} {
			answer := narrow.Do(t, "GET", path, nil)
			answer.Outcome(t, 403)
			read := strings.Contains(path, "/") && !strings.Contains(path, "?")
			if texts[read] != "" && texts[read] != string(answer.Body) {
				t.Errorf("a 403 tells addresses apart:\n%s\n%s", texts[read], answer.Body)
			}
			texts[read] = string(answer.Body)
		}
		narrow.Do(t, "POST", "Observation", note("beyond the scope")).Outcome(t, 403)
		narrow.Do(t, "PUT", observation, `{"resourceType":"Observation","id":"`+strings.TrimPrefix(observation, "Observation/")+`","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/onni"}}`).Outcome(t, 403)
		narrow.Do(t, "DELETE", observation, nil).Outcome(t, 403)
		narrow.Do(t, "DELETE", "Observation/"+absentID, nil).Outcome(t, 403)
		// Includes, chains and _has see no further than the scope.
		if got := narrow.Get(t, "Observation?patient=Patient/onni&_include=Observation:encounter").Included(t); len(got) > 0 {
			t.Errorf("includes beyond the scope: %q", got)
		}
		check()
	})
}

// "404 absent", "405, 406, 413, 415 as in HTTP", unknown types, and what each says.
func TestRefusals(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		nurse := g.Nurse()
		check := unchanged(t, nurse)
		own := gatewaytest.Ref(nurse.All(t, "Observation?patient=Patient/onni")[0])
		ownID := strings.TrimPrefix(own, "Observation/")
		for _, tc := range []struct {
			name         string
			method, path string
			body         any
			header       []string
			status       int
			code         string
		}{
			{"absent", "GET", "Observation/" + absentID, nil, nil, 404, "not-found"},
			{"absent version", "GET", own + "/_history/99", nil, nil, 404, "not-found"},
			{"version that is no number", "GET", own + "/_history/x", nil, nil, 404, "not-found"},
			{"version 0", "GET", own + "/_history/0", nil, nil, 404, "not-found"},
			{"version beyond 64 bits", "GET", own + "/_history/99999999999999999999", nil, nil, 404, "not-found"},
			{"unknown type", "GET", "Spaceship/1", nil, nil, 404, ""},
			{"type of FHIR that is not served", "GET", "Medication/1", nil, nil, 404, ""},
			{"search of an unknown type", "GET", "Spaceship?x=1", nil, nil, 404, ""},
			{"create of an unknown type", "POST", "Spaceship", `{"resourceType":"Spaceship"}`, nil, 404, ""},
			{"lower-case type", "GET", "observation/1", nil, nil, 404, ""},
			{"unknown operation", "POST", "Patient/$everything", `{"resourceType":"Parameters"}`, nil, 404, ""},
			{"ids have a form", "GET", "Observation/a%2Fb", nil, nil, 404, ""},
			{"update as create", "PUT", "Observation/" + absentID, strings.Replace(note("x"), `{`, `{"id":"`+absentID+`",`, 1), nil, 405, "not-supported"},
			{"AuditEvents are not written", "POST", "AuditEvent", `{"resourceType":"AuditEvent"}`, nil, 405, ""},
			{"AuditEvents are not deleted", "DELETE", "AuditEvent/" + absentID, nil, nil, 405, ""},
			{"PATCH that says it is JSON", "PATCH", own, `[{"op":"replace","path":"/status","value":"final"}]`, []string{"Content-Type", "application/json"}, 415, "not-supported"},
			{"JSON Patch as a resource", "PATCH", own, `[{"op":"replace","path":"/status","value":"final"}]`, nil, 415, "not-supported"},
			{"FHIRPath Patch as JSON Patch", "PATCH", own, `{"resourceType":"Parameters"}`, []string{"Content-Type", "application/json-patch+json"}, 415, "not-supported"},
			{"a parameter without a name", "GET", "Observation?=x", nil, nil, 400, "invalid"},
			{"UTF-16", "POST", "Observation", "\xff\xfe{\x00}\x00", nil, 415, "not-supported"},
			{"PATCH of an absent element", "PATCH", own, `[{"op":"remove","path":"/component/7"}]`, []string{"Content-Type", "application/json-patch+json"}, 422, "processing"},
			{"PATCH to what is invalid", "PATCH", own, `[{"op":"replace","path":"/status","value":"colourful"}]`, []string{"Content-Type", "application/json-patch+json"}, 422, ""},
			{"PATCH of the absent", "PATCH", "Observation/" + absentID, `[{"op":"replace","path":"/status","value":"final"}]`, []string{"Content-Type", "application/json-patch+json"}, 404, "not-found"},
			{"stale If-Match of a patch", "PATCH", own, `[{"op":"replace","path":"/status","value":"final"}]`, []string{"Content-Type", "application/json-patch+json", "If-Match", `W/"77"`}, 412, "conflict"},
			{"XML Patch", "PATCH", own, `<diff/>`, []string{"Content-Type", "application/xml-patch+xml"}, 415, ""},
			{"population data are read-only", "PUT", "Patient/onni", `{"resourceType":"Patient","id":"onni","active":false}`, nil, 405, "not-supported"},
			{"HTML wanted", "GET", own, nil, []string{"Accept", "text/html"}, 406, ""},
			{"XML of no namespace", "POST", "Observation", "<Observation/>", []string{"Content-Type", "application/fhir+xml"}, 400, "structure"},
			{"history since no time", "GET", "Observation/_history?_since=soon", nil, nil, 400, "value"},
			{"Turtle wanted", "GET", own, nil, []string{"Accept", "text/turtle"}, 406, ""},
			{"Turtle sent", "POST", "Observation", "<Observation/>", []string{"Content-Type", "text/turtle"}, 415, ""},
			{"text sent", "POST", "Observation", note("x"), []string{"Content-Type", "text/plain"}, 415, ""},
			{"no content type", "POST", "Observation", note("x"), []string{"Content-Type", ""}, 415, ""},
			{"compressed", "POST", "Observation", note("x"), []string{"Content-Encoding", "gzip"}, 415, ""},
			{"form for JSON", "POST", "Observation/_search", "{}", []string{"Content-Type", "application/fhir+json"}, 415, ""},
			{"stale If-Match", "PUT", own, strings.Replace(note("x"), `{`, `{"id":"`+ownID+`",`, 1), []string{"If-Match", `W/"77"`}, 412, "conflict"},
			{"stale If-Match of a delete", "DELETE", own, nil, []string{"If-Match", `W/"77"`}, 412, "conflict"},
			{"If-Match that is no tag", "PUT", own, strings.Replace(note("x"), `{`, `{"id":"`+ownID+`",`, 1), []string{"If-Match", `77`}, 400, "value"},
			{"id of another resource", "PUT", own, strings.Replace(note("x"), `{`, `{"id":"other",`, 1), nil, 400, ""},
			{"no id", "PUT", own, note("x"), nil, 400, ""},
			{"unknown parameter", "GET", "Observation?favourite-colour=blue", nil, nil, 400, ""},
			{"unknown modifier", "GET", "Observation?code:loudly=1", nil, nil, 400, ""},
			{"unknown prefix", "GET", "Observation?date=zz2026", nil, nil, 400, ""},
			{"a date that is none", "GET", "Observation?date=2026-13-45", nil, nil, 400, ""},
			{"unknown chain", "GET", "Observation?subject:Patient.favourite=1", nil, nil, 400, ""},
			{"unknown sort", "GET", "Observation?_sort=favourite", nil, nil, 400, ""},
			{"unknown include", "GET", "Observation?_include=Observation:favourite", nil, nil, 400, ""},
			{"unknown _has", "GET", "Patient?_has:Observation:favourite:code=1", nil, nil, 400, ""},
			{"_count that is no number", "GET", "Observation?_count=many", nil, nil, 400, ""},
			{"negative _count", "GET", "Observation?_count=-1", nil, nil, 400, ""},
			{"a page that is none of ours", "GET", "Observation?_page=AAAA", nil, nil, 400, ""},
			{"bad escape in the query", "GET", "Observation?code=%zz", nil, nil, 400, ""},
			{"parameters on a read", "GET", own + "?code=1", nil, nil, 400, ""},
			{"conditional delete of several", "DELETE", "Observation?patient=Patient/onni", nil, nil, 412, "multiple-matches"},
			{"conditional update of several", "PUT", "Observation?patient=Patient/onni", note("x"), nil, 412, "multiple-matches"},
			{"conditional update of none", "PUT", "Observation?_id=" + absentID, note("x"), nil, 405, "not-supported"},
			{"conditional patch of none", "PATCH", "Observation?_id=" + absentID, `[{"op":"replace","path":"/status","value":"final"}]`, []string{"Content-Type", "application/json-patch+json"}, 404, "not-found"},
			{"delete by no condition", "DELETE", "Observation", nil, nil, 400, "invalid"},
			{"a conditional reference alone", "POST", "Observation", strings.Replace(note("x"), "Patient/onni", "Patient?_id=onni", 1), nil, 400, "not-supported"},
			{"unknown subject", "POST", "Observation", strings.Replace(note("x"), "Patient/onni", "Patient/"+absentID, 1), nil, 422, "business-rule"},
			{"a Consent alone", "POST", "Consent", `{"resourceType":"Consent","status":"active","scope":{"text":"x"},"category":[{"text":"x"}],"patient":{"reference":"Patient/onni"},"policyRule":{"text":"x"}}`, nil, 422, ""},
			{"an empty condition", "POST", "Observation", note("x"), []string{"If-None-Exist", "_count=1"}, 400, ""},
			{"an unknown condition", "POST", "Observation", note("x"), []string{"If-None-Exist", "favourite=1"}, 400, ""},
			{"a Bundle of another type", "POST", "", `{"resourceType":"Bundle","type":"collection"}`, nil, 400, ""},
			{"no Bundle", "POST", "", note("x"), nil, 400, ""},
		} {
			t.Run(tc.name, func(t *testing.T) {
				answer := nurse.Do(t, tc.method, tc.path, tc.body, tc.header...)
				issue := answer.Outcome(t, tc.status)
				if tc.code != "" && issue.Text("code") != tc.code {
					t.Errorf("issue code %q, want %q: %s", issue.Text("code"), tc.code, answer.Body)
				}
				if tc.status == 405 && answer.Header.Get("Allow") == "" {
					t.Error("405 without Allow")
				}
				formal(t, answer)
			})
		}
		check()
	})
}

// formal checks what every answer has.
func formal(t *testing.T, a *gatewaytest.Answer) {
	t.Helper()
	if id := a.Header.Get("X-Request-Id"); len(id) != 36 {
		t.Errorf("%s: X-Request-Id %q", a.Request, id)
	}
	if len(a.Body) > 0 && !strings.HasPrefix(a.Header.Get("Content-Type"), "application/fhir+json") {
		t.Errorf("%s: Content-Type %q", a.Request, a.Header.Get("Content-Type"))
	}
	for _, leak := range []string{"sqlite", "postgres", "pgx", "sql:", ".go:", "goroutine", "/tmp/", "panic"} {
		if a.Status >= 400 && strings.Contains(string(a.Body), leak) {
			t.Errorf("%s: the error tells of the inside: %s", a.Request, a.Body)
		}
	}
}

// "Unknown search parameters: strict handling is the default, lenient only on Prefer: handling=lenient."
func TestLenient(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		answer := g.Nurse().Do(t, "GET", "Observation?patient=Patient/onni&favourite=blue", nil, "Prefer", "handling=lenient").Want(t, 200)
		if len(answer.Matches(t)) == 0 {
			t.Error("no matches")
		}
		if self := answer.Link(t, "self"); strings.Contains(self, "favourite") || !strings.Contains(self, "patient=") {
			t.Errorf("self says what was understood; it says %q", self)
		}
		if !strings.Contains(string(answer.Body), `"mode":"outcome"`) {
			t.Error("no notice of what was left out")
		}
		// What was understood leniently goes on so.
		paged := g.Nurse().Do(t, "GET", "Observation?patient=Patient/onni&favourite=blue&_count=1", nil, "Prefer", "handling=lenient").Want(t, 200)
		g.Nurse().Follow(t, paged.Link(t, "next")).Want(t, 200)
	})
}

// Malformed bodies: each is a 400 that names the place where it can, and none changes anything.
func TestMalformed(t *testing.T) {
	deep := strings.Repeat(`{"extension":[`, 5000) + strings.Repeat(`]}`, 5000)
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		nurse := g.Nurse()
		check := unchanged(t, nurse)
		for name, tc := range map[string]struct {
			body       string
			expression string // a prefix of issue.expression; "" when there is no place
		}{
			"empty":                       {"", ""},
			"white space":                 {"  \n", ""},
			"truncated":                   {note("x")[:60], ""},
			"trailing garbage":            {note("x") + "}", ""},
			"two documents":               {note("x") + note("x"), ""},
			"an array":                    {"[" + note("x") + "]", ""},
			"a string":                    {`"Observation"`, ""},
			"null":                        {`null`, ""},
			"not JSON":                    {`resourceType: Observation`, ""},
			"single quotes":               {`{'resourceType':'Observation'}`, ""},
			"comment":                     {`{"resourceType":"Observation"/*x*/}`, ""},
			"duplicate member":            {strings.Replace(note("x"), `"status":"final"`, `"status":"final","status":"preliminary"`, 1), ""},
			"duplicate member in escapes": {strings.Replace(note("x"), `"status":"final"`, `"status":"final","\u0073tatus":"preliminary"`, 1), ""},
			"duplicate member deep":       {strings.Replace(note("x"), `"text":"x"`, `"text":"x","text":"y"`, 1), ""},
			"invalid UTF-8":               {strings.Replace(note("x"), `"x"`, "\"\xff\xfe\"", 1), ""},
			"overlong UTF-8":              {strings.Replace(note("x"), `"x"`, "\"\xc0\xaf\"", 1), ""},
			"lone surrogate":              {strings.Replace(note("x"), `"x"`, `"\ud800"`, 1), ""},
			"control character":           {strings.Replace(note("x"), `"x"`, "\"\x01\"", 1), ""},
			"deep objects":                {deep, ""},
			"deep arrays":                 {strings.Repeat("[", 100000), ""},
			"no resourceType":             {`{"status":"final"}`, ""},
			"wrong resourceType":          {strings.Replace(note("x"), "Observation", "Condition", 1), "resourceType"},
			"unknown resourceType":        {strings.Replace(note("x"), "Observation", "Spaceship", 1), ""},
			"unknown member":              {strings.Replace(note("x"), `"status"`, `"colour":"blue","status"`, 1), "Observation"},
			"missing member":              {`{"resourceType":"Observation","status":"final"}`, "Observation"},
			"wrong type":                  {strings.Replace(note("x"), `{"text":"x"}`, `"x"`, 1), "Observation.code"},
			"array for one":               {strings.Replace(note("x"), `{"text":"x"}`, `[{"text":"x"}]`, 1), "Observation.code"},
			"one for array":               {strings.Replace(note("x"), `"status"`, `"category":{"text":"x"},"status"`, 1), "Observation.category"},
			"empty object":                {strings.Replace(note("x"), `{"text":"x"}`, `{}`, 1), "Observation.code"},
			"empty array":                 {strings.Replace(note("x"), `"status"`, `"category":[],"status"`, 1), "Observation.category"},
			"null member":                 {strings.Replace(note("x"), `"final"`, `null`, 1), "Observation.status"},
			"unknown code":                {strings.Replace(note("x"), `"final"`, `"finished"`, 1), "Observation.status"},
			"date that is none":           {strings.Replace(note("x"), `2026-03-01`, `2026-02-30`, 1), "Observation.issued"},
			"two values":                  {strings.Replace(note("x"), `"status"`, `"valueString":"a","valueInteger":1,"status"`, 1), "Observation"},
			"number too long":             {strings.Replace(note("x"), `"status"`, `"valueInteger":99999999999,"status"`, 1), "Observation.value"},
		} {
			t.Run(name, func(t *testing.T) {
				answer := nurse.Do(t, "POST", "Observation", tc.body)
				issue := answer.Outcome(t, 400)
				formal(t, answer)
				if got := issue.Text("expression"); !strings.HasPrefix(got, tc.expression) || tc.expression != "" && got == "" {
					t.Errorf("expression %q, want %q…: %s", got, tc.expression, answer.Body)
				}
			})
		}
		check()
		nurse.Do(t, "POST", "Observation", "\xef\xbb\xbf\xef\xbb\xbf"+note("one byte order mark is passed over, not two")).Outcome(t, 400)
	})
}

// "a body over 5 MB is 413 (a Bundle too, unless configured)", and 40 MB do not hurt.
func TestTooLarge(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		nurse := g.Nurse()
		check := unchanged(t, nurse)
		for _, size := range []int{5<<20 + 1, 40 << 20} {
			filler := strings.Repeat("x", size)
			for path, body := range map[string]string{
				"Observation": note(filler), "": `{"resourceType":"Bundle","type":"transaction","entry":[{"resource":` + note(filler) + `,"request":{"method":"POST","url":"Observation"}}]}`,
			} {
				nurse.Do(t, "POST", path, body).Outcome(t, 413)
				// Without a length, too.
				nurse.Do(t, "POST", path, struct{ *bytes.Buffer }{bytes.NewBufferString(body)}).Outcome(t, 413)
			}
		}
		check()
		// Just below it is taken, as one resource.
		nurse.Do(t, "POST", "Observation", note(strings.Repeat("y", 1<<20))).Want(t, 201)
		nurse.Get(t, "Observation?patient=Patient/onni&_count=1")
	})
}

// "Identity codes live in bodies only": "400 … also an identity code in a URL (the answer names POST Patient/_search)".
func TestIdentityCodeInURL(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		nurse := g.Nurse()
		for _, code := range gatewaytest.IdentityCodes() {
			doubly := url.QueryEscape(url.QueryEscape(code))
			var percent strings.Builder
			for i := range len(code) {
				fmt.Fprintf(&percent, "%%%02X", code[i])
			}
			for _, path := range []string{
				"Patient/" + code, "Patient?identifier=" + code, "Patient?identifier=urn:oid:1.2.246.21%7C" + code,
				"Patient?identifier=" + percent.String(), "Patient/" + percent.String(), "Patient?identifier=" + strings.ToLower(code),
				"Patient?identifier=" + doubly, "Observation?subject:Patient.identifier=" + code, code + "/1", "Patient/onni/_history/" + code,
				"Patient?favourite=" + code, "Patient/x?_format=" + code,
			} {
				answer := nurse.Do(t, "GET", path, nil)
				issue := answer.Outcome(t, 400)
				if !strings.Contains(issue.Text("diagnostics"), "POST Patient/_search") {
					t.Errorf("%s: the answer does not name POST Patient/_search: %s", answer.Request, answer.Body)
				}
				formal(t, answer)
			}
			g.Send(t, "GET", "/"+code, nil).Want(t, 400)
			g.Send(t, "POST", "/auth/token?x="+code, "").Want(t, 400)
			nurse.Do(t, "DELETE", "Patient/"+code, nil).Outcome(t, 400)
			nurse.Do(t, "POST", "Patient", `{"resourceType":"Patient"}`, "If-None-Exist", "identifier="+code).Outcome(t, 400)

			// In a body it is fine, and no link repeats it.
			found := nurse.Do(t, "POST", "Patient/_search", "identifier=urn%3Aoid%3A1.2.246.21%7C"+code+"&_count=1").Want(t, 200)
			if len(found.Matches(t)) != 1 {
				t.Errorf("POST Patient/_search with an identity code finds %d", len(found.Matches(t)))
			}
			nurse.Follow(t, found.Link(t, "self")).Want(t, 200)
		}
		// Neither does the record of the search.
		answer := nurse.Do(t, "POST", "Patient/_search", "identifier="+gatewaytest.IdentityCodes()[0]).Want(t, 200)
		g.Auditor().Get(t, "AuditEvent/"+answer.Header.Get("X-Request-Id"))
	})
}

// "Every answer carries X-Request-Id, the ledger record's random id, to quote to the auditor."
func TestRequestID(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		nurse, worker := g.Nurse(), g.SocialWorker()
		created := nurse.Do(t, "POST", "Observation", note("recorded")).Want(t, 201)
		ref := strings.TrimPrefix(created.Header.Get("Location"), g.Root+"/fhir/")
		ref, _, _ = strings.Cut(ref, "/_history")
		hidden := gatewaytest.Ref(nurse.All(t, "Observation?patient=Patient/aino")[0])
		body := func(id, text string) string { return strings.Replace(note(text), `{`, `{"id":"`+id+`",`, 1) }
		id := strings.TrimPrefix(ref, "Observation/")
		for _, tc := range []struct {
			answer  *gatewaytest.Answer
			subtype string
			outcome string
			who     string
		}{
			{created, "create", "0", "Practitioner/nurse"},
			{nurse.Do(t, "GET", ref, nil).Want(t, 200), "read", "0", "Practitioner/nurse"},
			{nurse.Do(t, "GET", ref+"/_history/1", nil).Want(t, 200), "vread", "0", "Practitioner/nurse"},
			{nurse.Do(t, "GET", ref+"/_history", nil).Want(t, 200), "history-instance", "0", "Practitioner/nurse"},
			{nurse.Do(t, "PUT", ref, body(id, "changed")).Want(t, 200), "update", "0", "Practitioner/nurse"},
			{nurse.Do(t, "GET", "Observation?patient=Patient/onni", nil).Want(t, 200), "search-type", "0", "Practitioner/nurse"},
			{nurse.Do(t, "POST", "Observation/_search", "patient=Patient/onni").Want(t, 200), "search-type", "0", "Practitioner/nurse"},
			{worker.Do(t, "GET", hidden, nil).Want(t, 404), "read", "4", "Practitioner/social-worker"},
			{worker.Do(t, "GET", hidden+"/_history", nil).Want(t, 404), "history-instance", "4", "Practitioner/social-worker"},
			{worker.Do(t, "GET", "Observation/"+absentID, nil).Want(t, 404), "read", "4", "Practitioner/social-worker"},
			{worker.Do(t, "PUT", hidden, body(strings.TrimPrefix(hidden, "Observation/"), "x")).Want(t, 405), "update", "4", "Practitioner/social-worker"},
			{worker.Do(t, "PUT", "Observation/"+absentID, body(absentID, "x")).Want(t, 405), "update", "4", "Practitioner/social-worker"},
			{worker.Do(t, "DELETE", hidden, nil).Want(t, 204), "delete", "4", "Practitioner/social-worker"},
			{worker.Do(t, "DELETE", "Observation/"+absentID, nil).Want(t, 204), "delete", "4", "Practitioner/social-worker"},
			{worker.Do(t, "GET", "Observation?patient=Patient/aino", nil).Want(t, 200), "search-type", "4", "Practitioner/social-worker"},
			{nurse.Do(t, "DELETE", ref, nil).Want(t, 204), "delete", "0", "Practitioner/nurse"},
			{nurse.Do(t, "GET", ref, nil).Want(t, 410), "read", "0", "Practitioner/nurse"},
		} {
			id := tc.answer.Header.Get("X-Request-Id")
			event := g.Auditor().Get(t, "AuditEvent/"+id).Doc(t)
			if got := event.Text("subtype", "code"); got != tc.subtype {
				t.Errorf("%s is recorded as %q", tc.answer.Request, got)
			}
			if got := event.Text("outcome"); got != tc.outcome && !(tc.outcome == "4" && got != "0") && tc.answer.Status != 410 {
				t.Errorf("%s is recorded with outcome %q", tc.answer.Request, got)
			}
			if !strings.Contains(string(event.AppendJSON(nil)), tc.who) {
				t.Errorf("%s: the AuditEvent does not name %s", tc.answer.Request, tc.who)
			}
		}
		// The id is the gateway's own, not the caller's word.
		wish := "11111111-2222-4333-8444-555555555555"
		if got := nurse.Do(t, "GET", "Patient/onni", nil, "X-Request-Id", wish).Header.Get("X-Request-Id"); got == wish || got == "" {
			t.Errorf("X-Request-Id %q", got)
		}
	})
}

// "/fhir and /fhir/ are alike".
func TestBase(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		nurse := g.Nurse()
		batch := `{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"Patient/onni"}}]}`
		var bodies []string
		for _, base := range []string{"/fhir", "/fhir/"} {
			answer := g.Send(t, "POST", base, batch, "Authorization", nurse.Authorization(t)).Want(t, 200)
			bodies = append(bodies, string(answer.Body))
		}
		if bodies[0] != bodies[1] {
			t.Errorf("/fhir and /fhir/ differ:\n%s\n%s", bodies[0], bodies[1])
		}
		for _, path := range []string{"/fhir", "/fhir/"} {
			with := g.Send(t, "GET", path, nil, "Authorization", nurse.Authorization(t))
			if with.Status == 301 || with.Status == 307 || with.Status >= 500 {
				t.Errorf("GET %s: %d", path, with.Status)
			}
		}
		a, b := g.Send(t, "GET", "/fhir/metadata", nil).Want(t, 200), g.Send(t, "GET", "/fhir/metadata/", nil)
		if b.Status == 200 && string(a.Body) != string(b.Body) {
			t.Error("metadata differs")
		}
		head := nurse.Do(t, "HEAD", "Patient/onni", nil).Want(t, 200)
		if len(head.Body) > 0 || head.Header.Get("ETag") == "" {
			t.Errorf("HEAD: %d bytes, ETag %q", len(head.Body), head.Header.Get("ETag"))
		}
	})
}

// A type or parameter that is not reached is absent from /metadata, and what is named there works.
func TestMetadata(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		doc := g.Send(t, "GET", "/fhir/metadata", nil).Want(t, 200).Doc(t)
		if fhir.ResourceType(doc) != "CapabilityStatement" || doc.Text("fhirVersion") != "4.0.1" {
			t.Fatalf("metadata: %.200s", doc.AppendJSON(nil))
		}
		resources := doc.Get("rest").Items()[0].Get("resource").Items()
		if len(resources) < 20 {
			t.Errorf("%d types", len(resources))
		}
		for _, r := range resources {
			typ := r.Text("type")
			for _, interaction := range r.All("interaction", "code") {
				if interaction.Str() == "search-type" {
					p := g.Nurse()
					p.Get(t, typ+"?_summary=count")
					for _, include := range r.Get("searchInclude").Items() {
						if include.Str() != "*" {
							p.Do(t, "GET", typ+"?_count=1&_include="+url.QueryEscape(include.Str()), nil).Want(t, 200)
						}
					}
					for _, include := range r.Get("searchRevInclude").Items() {
						p.Do(t, "GET", typ+"?_count=1&_revinclude="+url.QueryEscape(include.Str()), nil).Want(t, 200)
					}
				}
			}
			for _, param := range r.Get("searchParam").Items() {
				value := map[string]string{
					"token": "x", "reference": "Patient/onni", "date": "2026", "string": "x", "uri": "urn:x", "number": "1", "quantity": "1",
				}[param.Text("type")]
				if value == "" {
					continue
				}
				name := param.Text("name")
				answer := g.Nurse().Do(t, "GET", typ+"?_count=1&"+name+"="+url.QueryEscape(value), nil)
				if answer.Status == 400 && typ == "AuditEvent" {
					continue // its values have forms of their own
				}
				if answer.Status == 400 && strings.Contains(string(answer.Body), "of a type the parameter may point to") {
					continue // something else than a Patient
				}
				answer.Want(t, 200)
			}
		}
		if !strings.Contains(strings.ToLower(string(doc.AppendJSON(nil))), "identity code") {
			t.Error("metadata does not state that identity codes live in bodies only (law 11)")
		}
	})
}
