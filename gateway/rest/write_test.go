package rest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/internal/fhir"
)

func TestCreate(t *testing.T) {
	f := newFace(t)
	w := f.ask("POST", "/Task", `{"resourceType":"Task","status":"requested"}`)
	require.Equal(t, 201, w.Code, "%s", w.Body)
	require.Equal(t, base+"/Task/new-1/_history/1", w.Header().Get("Location"))
	require.Equal(t, `W/"1"`, w.Header().Get("ETag"))
	require.Equal(t, "Sat, 21 Nov 2026 10:01:00 GMT", w.Header().Get("Last-Modified"))
	require.Equal(t, "new-1", fhir.ID(parsed(t, w)))

	w = f.ask("POST", "/Task", `{"resourceType":"Task"}`, "Prefer", "return=minimal")
	require.Equal(t, 201, w.Code)
	require.Empty(t, w.Body.String())
	require.Equal(t, `W/"1"`, w.Header().Get("ETag"))

	w = f.ask("POST", "/Task", `{"resourceType":"Task"}`, "Prefer", `handling=strict; return="OperationOutcome"`)
	require.Equal(t, 201, w.Code)
	require.Equal(t, "information", parsed(t, w).Text("issue", "severity"))

	is := outcome(t, f.ask("POST", "/Task", `{"resourceType":"Task","status":"rejected"}`), 422, "business-rule")
	require.Equal(t, "Task.status", is.Text("expression"))
	require.Contains(t, is.Text("diagnostics"), "requested → rejected")
	outcome(t, f.ask("POST", "/Task?x=1", `{"resourceType":"Task"}`), 400, "not-supported")
}

func TestConditionalCreate(t *testing.T) {
	f := newFace(t)
	f.desk.put(`{"resourceType":"Task","id":"t1","identifier":[{"value":"a"}]}`)
	body := `{"resourceType":"Task","identifier":[{"value":"a"}]}`
	w := f.ask("POST", "/Task", body, "If-None-Exist", "identifier=a")
	require.Equal(t, 200, w.Code, "%s", w.Body)
	require.Equal(t, "t1", fhir.ID(parsed(t, w)))
	require.Equal(t, base+"/Task/t1/_history/1", w.Header().Get("Location"))
	for _, condition := range []string{"?identifier=a", "Task?identifier=a", "/Task?identifier=a", base + "/Task?identifier=a"} { // as HAPI's client writes it
		w = f.ask("POST", "/Task", body, "If-None-Exist", condition, "Prefer", "return=minimal")
		require.Equal(t, 200, w.Code, "%s: %s", condition, w.Body)
		require.Equal(t, base+"/Task/t1/_history/1", w.Header().Get("Location"), "nothing else names what was found")
	}
	for _, condition := range []string{"", "Patient?identifier=a", "https://elsewhere.example/fhir/Task?identifier=a", "Task/t1?identifier=a"} {
		outcome(t, f.ask("POST", "/Task", body, "If-None-Exist", condition), 400, "invalid")
	}
	require.Equal(t, 201, f.ask("POST", "/Task", body, "If-None-Exist", "identifier=b").Code)
	require.Equal(t, 201, f.ask("POST", "/Task", body, "If-None-Exist", "identifier=https://vendor.example/?|1").Code)
	require.Equal(t, 201, f.ask("POST", "/Task", body).Code)
	outcome(t, f.ask("POST", "/Task", body, "If-None-Exist", "identifier=a"), 412, "multiple-matches")
	outcome(t, f.ask("POST", "/Task", body, "If-None-Exist", "colour=red"), 400, "not-supported")
	wide := outcome(t, f.ask("POST", "/Task", body, "If-None-Exist", "_count=1"), 400, "invalid").Text("diagnostics")
	require.Contains(t, wide, "of a create narrows nothing")
	require.NotContains(t, wide, "by its id", "what is not there yet has none")
	outcome(t, f.ask("POST", "/Task", body, "If-None-Exist", "_total=accurate"), 400, "invalid")
}

func TestUpdate(t *testing.T) {
	f := newFace(t)
	f.desk.put(`{"resourceType":"Task","id":"t1","status":"draft"}`)
	body := `{"resourceType":"Task","id":"t1","status":"ready"}`
	w := f.ask("PUT", "/Task/t1", body, "If-Match", `W/"1"`)
	require.Equal(t, 200, w.Code, "%s", w.Body)
	require.Equal(t, `W/"2"`, w.Header().Get("ETag"))
	require.Empty(t, w.Header().Get("Location"))
	require.Equal(t, "ready", parsed(t, w).Text("status"))

	for _, tag := range []string{`W/"1"`, `"1"`, `W/"abc"`, `"99999999999999999999"`, `W/"0"`} {
		outcome(t, f.ask("PUT", "/Task/t1", body, "If-Match", tag), 412, "conflict")
	}
	for _, tag := range []string{`2`, `W/2`, `W/"1", W/"2"`, `"`, ``} {
		is := outcome(t, f.ask("PUT", "/Task/t1", body, "If-Match", tag), 400, "value")
		require.Equal(t, "http.If-Match", is.Text("expression"))
		require.Contains(t, is.Text("diagnostics"), "If-Match")
	}
	require.Equal(t, 200, f.ask("PUT", "/Task/t1", body, "If-Match", `*`).Code)
	require.Equal(t, "id", outcome(t, f.ask("PUT", "/Task/t1", `{"resourceType":"Task"}`), 400, "required").Text("expression"))
	require.Equal(t, "id", outcome(t, f.ask("PUT", "/Task/t1", `{"resourceType":"Task","id":"t2"}`), 400, "invalid").Text("expression"))
	outcome(t, f.ask("PUT", "/Task/t1", `{"resourceType":"Patient","id":"t1"}`), 400, "invalid")

	w = f.ask("PUT", "/Task/t9", `{"resourceType":"Task","id":"t9"}`)
	outcome(t, w, 405, "not-supported")
	require.Equal(t, "GET, HEAD, PATCH, DELETE, OPTIONS", w.Header().Get("Allow"))
}

func TestDelete(t *testing.T) {
	f := newFace(t)
	f.desk.put(`{"resourceType":"Task","id":"t1"}`)
	outcome(t, f.ask("DELETE", "/Task/t1", "", "If-Match", `W/"9"`), 412, "conflict")
	for range 2 {
		w := f.ask("DELETE", "/Task/t1", "")
		require.Equal(t, 204, w.Code)
		require.Empty(t, w.Body.String())
		require.Empty(t, w.Header().Get("ETag"), "it would tell a deletion from an absence")
		require.Empty(t, w.Header().Get("Content-Type"))
	}
	require.Equal(t, 204, f.ask("DELETE", "/Task/never", "").Code)
	outcome(t, f.ask("GET", "/Task/t1", ""), 410, "deleted")
	require.Equal(t, 403, f.ask("DELETE", "/Task/t1", "", "Authorization", "Bearer limited").Code)
}

// bundleOf is a Bundle of entries.
func bundleOf(kind string, entries ...string) string {
	return `{"resourceType":"Bundle","type":"` + kind + `","entry":[` + strings.Join(entries, ",") + `]}`
}

func post(typ, members, urn string) string {
	return fmt.Sprintf(`{"fullUrl":"urn:uuid:%s","resource":{"resourceType":"%s"%s},"request":{"method":"POST","url":"%s"}}`, urn, typ, members, typ)
}

const (
	urn1 = "61ebe359-bfdc-4613-8bf2-c5e300945f0a"
	urn2 = "61ebe359-bfdc-4613-8bf2-c5e300945f0b"
)

func TestTransactionIsMadeInItsOrder(t *testing.T) {
	f := newFace(t)
	f.desk.put(`{"resourceType":"Task","id":"old"}`)
	f.desk.put(`{"resourceType":"Task","id":"kept","status":"draft"}`)
	w := f.ask("POST", "", bundleOf("transaction",
		`{"request":{"method":"GET","url":"Task?status=ready"}}`,
		`{"request":{"method":"GET","url":"Task/kept"}}`,
		`{"resource":{"resourceType":"Task","id":"kept","status":"ready","for":{"reference":"urn:uuid:`+urn1+`"}},"request":{"method":"PUT","url":"Task/kept","ifMatch":"W/\"1\""}}`,
		post("Patient", "", urn1),
		post("Task", `,"for":{"reference":"urn:uuid:`+urn1+`"}`, urn2),
		`{"request":{"method":"DELETE","url":"Task/old"}}`,
	))
	require.Equal(t, 200, w.Code, "%s", w.Body)
	require.Equal(t, []string{
		"read Task/kept", // whether it can be read at all, before anything is written
		"delete Task/old", "create Patient", "create Task", "update Task/kept",
		"search-type Task", "read Task/kept",
	}, f.desk.calls)
	require.Equal(t, w.Header().Get("X-Request-Id"), f.desk.ids[1], "the changes are the request's own exchange")
	require.Equal(t, ExchangeID(f.desk.ids[1], 1), f.desk.ids[0])
	require.Equal(t, ExchangeID(f.desk.ids[1], 3), f.desk.ids[6])

	doc := parsed(t, w)
	require.Equal(t, "transaction-response", doc.Text("type"))
	entries := doc.Get("entry").Items()
	require.Len(t, entries, 6)
	require.Equal(t, "searchset", entries[0].Text("resource", "type"))
	require.Equal(t, "kept", entries[0].Text("resource", "entry", "resource", "id"), "what was written is found")
	require.Equal(t, "ready", entries[1].Text("resource", "status"))
	require.Equal(t, "Patient/new-1", entries[1].Text("resource", "for", "reference"))
	require.Equal(t, "200 OK", entries[2].Text("response", "status"))
	require.Equal(t, "Task/kept/_history/2", entries[2].Text("response", "location"))
	require.Nil(t, entries[2].Get("resource"))
	require.Equal(t, "201 Created", entries[3].Text("response", "status"))
	require.Equal(t, "Patient/new-1/_history/1", entries[3].Text("response", "location"))
	require.Equal(t, `W/"1"`, entries[3].Text("response", "etag"))
	require.Equal(t, "2026-11-21T10:01:00.000Z", entries[3].Text("response", "lastModified"))
	require.Equal(t, base+"/Patient/new-1", entries[3].Text("fullUrl"))
	require.Equal(t, `{"status":"204 No Content"}`, string(entries[5].Get("response").JSON()))
	require.Contains(t, f.ask("GET", "/Task/new-2", "").Body.String(), `"Patient/new-1"`)

	w = f.ask("POST", "/", bundleOf("transaction", post("Task", "", urn1)), "Prefer", "return=representation")
	require.Equal(t, "new-3", parsed(t, w).Text("entry", "resource", "id"))
	w = f.ask("POST", "/", bundleOf("transaction", post("Task", "", urn1)), "Prefer", "return=OperationOutcome")
	require.Equal(t, "OperationOutcome", parsed(t, w).Text("entry", "response", "outcome", "resourceType"))
	require.Equal(t, `{"resourceType":"Bundle","type":"transaction-response"}`, f.ask("POST", "", `{"resourceType":"Bundle","type":"transaction"}`).Body.String())
}

func TestAFailedEntryFailsTheTransactionAndIsNamed(t *testing.T) {
	good := post("Patient", "", urn1)
	for name, c := range map[string]struct {
		entry            string
		status           int
		code, expression string
	}{
		"breaks the process":  {post("Task", `,"status":"rejected"`, urn2), 422, "business-rule", "Bundle.entry[1].resource.status"},
		"unseen target":       {`{"resource":{"resourceType":"Task","id":"t9"},"request":{"method":"PUT","url":"Task/t9"}}`, 405, "not-supported", "Bundle.entry[1]"},
		"stale":               {`{"resource":{"resourceType":"Task","id":"t1"},"request":{"method":"PUT","url":"Task/t1","ifMatch":"W/\"7\""}}`, 412, "conflict", "Bundle.entry[1]"},
		"read of the absent":  {`{"request":{"method":"GET","url":"Task/t9"}}`, 404, "not-found", "Bundle.entry[1]"},
		"unknown parameter":   {`{"request":{"method":"GET","url":"Task?colour=red"}}`, 400, "not-supported", "Bundle.entry[1]"},
		"another server":      {`{"request":{"method":"GET","url":"https://ehr.example/fhir/Task/t1"}}`, 400, "invalid", "Bundle.entry[1]"},
		"type not served":     {`{"request":{"method":"GET","url":"Basic/1"}}`, 404, "not-supported", "Bundle.entry[1]"},
		"no interaction":      {`{"request":{"method":"DELETE","url":"AuditEvent/1"}}`, 405, "not-supported", "Bundle.entry[1]"},
		"no patch":            {`{"request":{"method":"PATCH","url":"Task/t1"}}`, 400, "required", "Bundle.entry[1]"},
		"no patch type":       {`{"resource":{"resourceType":"Binary","contentType":"text/plain","data":"W10="},"request":{"method":"PATCH","url":"Task/t1"}}`, 400, "structure", "Bundle.entry[1]"},
		"a patch of nothing":  {`{"resource":{"resourceType":"Binary","contentType":"application/json-patch+json"},"request":{"method":"PATCH","url":"Task/t1"}}`, 400, "required", "Bundle.entry[1].resource.data"},
		"a patch cut off":     {patchEntry("Task/t1", `[{"op":"remove"`), 400, "structure", "Bundle.entry[1].resource.data"},
		"a test that fails":   {patchEntry("Task/t1", `[{"op":"test","path":"/id","value":"t2"}]`), 422, "processing", "Bundle.entry[1]"},
		"create-only PUT":     {`{"resource":{"resourceType":"Task","id":"t1"},"request":{"method":"PUT","url":"Task/t1","ifNoneMatch":"*"}}`, 400, "not-supported", "Bundle.entry[1]"},
		"no request":          {`{"resource":{"resourceType":"Task"}}`, 400, "not-supported", "Bundle.entry[1]"},
		"no url":              {`{"request":{"method":"GET"}}`, 400, "required", "Bundle.entry[1].request.url"},
		"PUT without id":      {`{"resource":{"resourceType":"Task"},"request":{"method":"PUT","url":"Task/t1"}}`, 400, "required", "Bundle.entry[1].resource"},
		"PUT of a type":       {`{"resource":{"resourceType":"Task"},"request":{"method":"PUT","url":"Task"}}`, 400, "not-supported", "Bundle.entry[1]"},
		"conditional update":  {`{"resource":{"resourceType":"Task"},"request":{"method":"PUT","url":"Task?identifier=a"}}`, 405, "not-supported", "Bundle.entry[1]"},
		"a condition of all":  {`{"request":{"method":"DELETE","url":"Task?_count=1"}}`, 400, "invalid", "Bundle.entry[1]"},
		"no resource":         {`{"request":{"method":"POST","url":"Task"}}`, 400, "required", "Bundle.entry[1]"},
		"other resource":      {`{"resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Task"}}`, 400, "invalid", "Bundle.entry[1].resource"},
		"bad ifMatch":         {`{"resource":{"resourceType":"Task","id":"t1"},"request":{"method":"PUT","url":"Task/t1","ifMatch":"7"}}`, 400, "value", "Bundle.entry[1]"},
		"same fullUrl":        {good, 400, "duplicate", "Bundle.entry[1]"},
		"an address too long": {`{"request":{"method":"GET","url":"Task/t1/_history/1/2"}}`, 400, "not-supported", "Bundle.entry[1]"},
	} {
		f := newFace(t)
		f.desk.put(`{"resourceType":"Task","id":"t1"}`)
		w := f.ask("POST", "", bundleOf("transaction", good, c.entry))
		require.Equal(t, c.status, w.Code, "%s: %s", name, w.Body)
		is := outcome(t, w, c.status, c.code)
		require.Equal(t, c.expression, is.Text("expression"), name)
		require.Empty(t, f.desk.rows["Patient/new-1"], "%s: nothing is written", name)
	}

	f := newFace(t)
	f.desk.put(`{"resourceType":"Task","id":"t1"}`)
	put := `{"resource":{"resourceType":"Task","id":"t1"},"request":{"method":"PUT","url":"Task/t1"}}`
	erase, read := `{"request":{"method":"DELETE","url":"Task/t1"}}`, `{"request":{"method":"GET","url":"Task/t1"}}`
	outcome(t, f.ask("POST", "", bundleOf("transaction", put, erase)), 400, "duplicate")
	outcome(t, f.ask("POST", "", bundleOf("transaction", erase, read)), 400, "business-rule")
	outcome(t, f.ask("POST", "", `{"resourceType":"Bundle","type":"searchset"}`), 400, "value")
	is := outcome(t, f.ask("POST", "", bundleOf("batch", `{"colour":"red","request":{"method":"GET","url":"Task/t1"}}`)), 400, "structure")
	require.Equal(t, "Bundle.entry[0].colour", is.Text("expression"))
	require.Equal(t, "Bundle.entry", outcome(t, f.ask("POST", "", `{"resourceType":"Bundle","type":"batch","entry":[]}`), 400, "structure").Text("expression"))
	outcome(t, f.ask("POST", "", `{"resourceType":"Patient"}`), 400, "invalid")

	f = newFace(t, func(c *Config) { c.Limits.Entries = 1 })
	outcome(t, f.ask("POST", "", bundleOf("batch", read, read)), 413, "too-costly")
}

func TestBatchEntriesStandAlone(t *testing.T) {
	f := newFace(t)
	f.desk.put(`{"resourceType":"Task","id":"t1"}`)
	w := f.ask("POST", "", bundleOf("batch",
		`{"request":{"method":"GET","url":"Task/t1"}}`,
		`{"request":{"method":"GET","url":"Task/t9"}}`,
		`{"request":{"method":"DELETE","url":"Task/t9"}}`,
		`{"request":{"method":"GET","url":"Patient?identifier=010190-900R"}}`,
		`{"resource":{"resourceType":"Task","status":"rejected"},"request":{"method":"POST","url":"Task"}}`,
		`{"resource":{"resourceType":"Task","identifier":[{"value":"a"}]},"request":{"method":"POST","url":"Task","ifNoneExist":"identifier=a"}}`,
		`{"resource":{"resourceType":"Task","identifier":[{"value":"a"}]},"request":{"method":"POST","url":"Task","ifNoneExist":"Task?identifier=a"}}`,
		`{"request":{"method":"GET","url":"Task/t1/_history"}}`,
		`{"request":{"method":"GET","url":"Task/t1/_history/1"}}`,
		`{"request":{"method":"PATCH","url":"Task/t1"}}`,
		post("Task", `,"for":{"reference":"Patient?identifier=a"}`, urn2),
		`{"request":{"method":"GET","url":"Task/t1","ifNoneMatch":"W/\"1\""}}`,
	))
	require.Equal(t, 200, w.Code, "%s", w.Body)
	doc := parsed(t, w)
	require.Equal(t, "batch-response", doc.Text("type"))
	var statuses []string
	for _, e := range doc.Get("entry").Items() {
		statuses = append(statuses, e.Text("response", "status")[:3])
	}
	require.Equal(t, []string{"200", "404", "204", "200", "422", "201", "200", "200", "200", "400", "400", "304"}, statuses)
	require.Equal(t, `W/"1"`, doc.Get("entry").Items()[11].Text("response", "etag"))
	require.Nil(t, doc.Get("entry").Items()[11].Get("resource"))
	entries := doc.Get("entry").Items()
	require.Equal(t, "t1", entries[0].Text("resource", "id"))
	require.Equal(t, "not-found", entries[1].Text("response", "outcome", "issue", "code"))
	require.NotContains(t, w.Body.String(), ainoCode, "no link repeats an identity code")
	require.Equal(t, "Task.status", entries[4].Text("response", "outcome", "issue", "expression"))
	require.Equal(t, entries[5].Text("fullUrl"), entries[6].Text("fullUrl"))
	require.Equal(t, "history", entries[7].Text("resource", "type"))

	seen := map[string]bool{}
	for _, id := range f.desk.ids {
		require.False(t, seen[id], "every exchange has a record of its own")
		seen[id] = true
	}
	require.True(t, seen[w.Header().Get("X-Request-Id")])
}

func TestHistoryPages(t *testing.T) {
	f := newFace(t)
	for range 3 {
		f.desk.put(`{"resourceType":"Task","id":"t1"}`)
	}
	f.desk.erase("Task/t1")
	w := f.ask("GET", "/Task/t1/_history?_count=2", "")
	doc := parsed(t, w)
	require.Equal(t, "history", doc.Text("type"))
	entries := doc.Get("entry").Items()
	require.Len(t, entries, 2)
	require.Equal(t, `{"fullUrl":"https://gw.example/fhir/Task/t1","request":{"method":"DELETE","url":"Task/t1"},"response":{"status":"204 No Content","etag":"W/\"4\"","lastModified":"2026-11-21T10:04:00.000Z"}}`,
		string(entries[0].JSON()))
	require.Equal(t, "PUT", entries[1].Text("request", "method"))
	require.Equal(t, "3", entries[1].Text("resource", "meta", "versionId"))

	next := links(doc)["next"]
	require.Regexp(t, `^https://gw\.example/fhir/Task/t1/_history\?_page=[\w-]+$`, next)
	doc = parsed(t, f.ask("GET", next, ""))
	require.Len(t, doc.Get("entry").Items(), 2)
	last := doc.Get("entry").Items()[1]
	require.Equal(t, `{"method":"POST","url":"Task"}`, string(last.Get("request").JSON()))
	require.Equal(t, "201 Created", last.Text("response", "status"))
	require.Empty(t, links(doc)["next"])
	require.Equal(t, string(parsed(t, f.ask("GET", links(doc)["self"], "")).Get("entry").JSON()), string(doc.Get("entry").JSON()))

	for _, query := range []string{"_count=0", "_count=x", "_since=soon", "_page=x", "_page=" + next[len(next)-20:]} {
		require.Equal(t, 400, f.ask("GET", "/Task/t1/_history?"+query, "").Code, query)
	}
	other := strings.Replace(next, "/Task/t1/", "/Task/t2/", 1)
	outcome(t, f.ask("GET", other, ""), 400, "invalid")
	outcome(t, f.ask("GET", next, "", "Authorization", "Bearer doctor"), 400, "invalid")
	outcome(t, f.ask("GET", "/Task/none/_history", ""), 404, "not-found")
}

func TestHistoriesOfATypeAndTheSystem(t *testing.T) {
	f := newFace(t)
	f.desk.put(`{"resourceType":"Task","id":"t1","status":"draft"}`)
	f.desk.put(`{"resourceType":"Task","id":"t1","status":"ready"}`)
	f.desk.put(`{"resourceType":"Patient","id":"aino"}`)
	f.desk.put(`{"resourceType":"Task","id":"t2"}`)
	f.desk.erase("Task/t2")
	for target, want := range map[string][]string{
		"/_history":      {"Task/t2", "Task/t2", "Patient/aino", "Task/t1", "Task/t1"},
		"/Task/_history": {"Task/t2", "Task/t2", "Task/t1", "Task/t1"},
		"/Task/_history?_since=2026-11-21T10:02:00Z": {"Task/t2", "Task/t1"},
		"/Task/_history?_at=2026-11-21":              {"Task/t2", "Task/t2", "Task/t1", "Task/t1"},
	} {
		var got []string
		for _, size := range []string{"", "_count=2"} {
			got = nil
			next := base + target
			if size != "" {
				if strings.Contains(target, "?") {
					size = "&" + size
				} else {
					size = "?" + size
				}
			}
			for next += size; next != ""; {
				w := f.ask("GET", next, "")
				require.Equal(t, 200, w.Code, "%s: %s", target, w.Body)
				doc := parsed(t, w)
				require.Equal(t, "history", doc.Text("type"))
				for _, e := range doc.Get("entry").Items() {
					got = append(got, strings.TrimPrefix(e.Text("fullUrl"), base+"/"))
					require.Equal(t, e.Text("request", "method") == "DELETE", e.Get("resource") == nil)
				}
				next = links(doc)["next"]
			}
			require.Equal(t, want, got, "%s %s", target, size)
		}
	}
	page := links(parsed(t, f.ask("GET", "/Task/_history?_count=1", "")))["next"]
	_, token, _ := strings.Cut(page, "?")
	for _, other := range []string{"/Task?", "/_history?", "/Patient/_history?", "/Task/t1/_history?"} {
		outcome(t, f.ask("GET", other+token, ""), 400, "invalid")
	}
	require.Equal(t, 200, f.ask("GET", "/_history?_since=2026-11-21T12:00:00+02:00", "").Code, "a zone whose + was not percent-encoded")
	require.Equal(t, 200, f.ask("GET", "/_history?_count=1&_count=1", "").Code, "what is said twice is the same")
	for _, bad := range []string{"_since=2026-11-21&_since=2020", "_count=1&_count=2", "_format=json&_format=xml", "_since=yesterday", "_at=2026-13", "_count=0", "colour=red"} {
		require.Equal(t, 400, f.ask("GET", "/_history?"+bad, "").Code, bad)
	}
	w := f.ask("POST", "", bundleOf("batch", `{"request":{"method":"GET","url":"Task/_history?_count=1"}}`))
	require.Equal(t, "history", parsed(t, w).Get("entry").Items()[0].Text("resource", "type"))
}
