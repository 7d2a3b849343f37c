package rest

import (
	"encoding/base64"
	"testing"

	"github.com/stretchr/testify/require"
)

// patchEntry is a PATCH entry that carries a JSON Patch.
func patchEntry(url, patch string) string {
	return `{"resource":{"resourceType":"Binary","contentType":"application/json-patch+json","data":"` +
		base64.StdEncoding.EncodeToString([]byte(patch)) + `"},"request":{"method":"PATCH","url":"` + url + `"}}`
}

const (
	toReady  = `[{"op":"replace","path":"/status","value":"ready"}]`
	pathForm = `{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"replace"},
		{"name":"path","valueString":"Task.status"},{"name":"value","valueCode":"ready"}]}]}`
)

func TestPatch(t *testing.T) {
	for name, c := range map[string]struct{ mediaType, body string }{
		"JSON Patch":     {jsonPatch, toReady},
		"FHIRPath Patch": {fhirJSON, pathForm},
	} {
		f := newFace(t)
		f.desk.put(`{"resourceType":"Task","id":"t1","status":"draft","identifier":[{"value":"a"}],"_status":{"id":"kept"}}`)
		outcome(t, f.ask("PATCH", "/Task/t1", c.body, "Content-Type", c.mediaType, "If-Match", `W/"7"`), 412, "conflict")
		w := f.ask("PATCH", "/Task/t1", c.body, "Content-Type", c.mediaType, "If-Match", `W/"1"`)
		require.Equal(t, 200, w.Code, "%s: %s", name, w.Body)
		require.Equal(t, `W/"2"`, w.Header().Get("ETag"), name)
		require.Equal(t, "ready", parsed(t, w).Text("status"), name)

		w = f.ask("PATCH", "/Task?identifier=a", c.body, "Content-Type", c.mediaType, "Prefer", "return=minimal")
		require.Equal(t, 200, w.Code, "%s: %s", name, w.Body)
		require.Empty(t, w.Body.String(), name)
		require.Equal(t, `W/"3"`, w.Header().Get("ETag"), name)

		outcome(t, f.ask("PATCH", "/Task/t9", c.body, "Content-Type", c.mediaType), 404, "not-found")
		outcome(t, f.ask("PATCH", "/Task?identifier=b", c.body, "Content-Type", c.mediaType), 404, "not-found")
	}
	f := newFace(t)
	f.desk.put(`{"resourceType":"Task","id":"t1","status":"draft"}`)
	for _, mediaType := range []string{jsonPatch, fhirJSON} {
		outcome(t, f.ask("PATCH", "/Task/t1", " ", "Content-Type", mediaType), 400, "required")
	}
	outcome(t, f.ask("PATCH", "/Task/t1", `[{"op":"test","path":"/status","value":"ready"}]`, "Content-Type", jsonPatch), 422, "processing")
	outcome(t, f.ask("PATCH", "/Task/t1", `{"op":"remove"}`, "Content-Type", jsonPatch), 400, "invalid")
	outcome(t, f.ask("PATCH", "/Task/t1", `[{"op":"rem`, "Content-Type", jsonPatch), 400, "structure")
	outcome(t, f.ask("PATCH", "/Task/t1", `{"resourceType":"Task"}`), 400, "invalid")
	is := outcome(t, f.ask("PATCH", "/Task/t1", toReady, "Content-Type", "application/xml-patch+xml"), 415, "not-supported")
	require.Contains(t, is.Text("diagnostics"), jsonPatch)
	require.Len(t, f.desk.rows["Task/t1"], 1)
}

// A patch whose Content-Type is not its own is refused with the one to send.
func TestAPatchOfAnotherMediaType(t *testing.T) {
	f := newFace(t)
	f.desk.put(`{"resourceType":"Task","id":"t1","status":"draft"}`)
	for _, c := range []struct{ body, sentAs, says string }{
		{toReady, plainJSON, jsonPatch},
		{toReady, fhirJSON, jsonPatch},
		{"[]", fhirJSON, jsonPatch},
		{pathForm, jsonPatch, fhirJSON},
		{toReady, "application/merge-patch+json", jsonPatch},
		{toReady, "", jsonPatch},
	} {
		w := f.ask("PATCH", "/Task/t1", c.body, "Content-Type", c.sentAs)
		is := outcome(t, w, 415, "not-supported")
		require.Contains(t, is.Text("diagnostics"), c.says, "%s as %s", c.body, c.sentAs)
		require.Equal(t, "application/json-patch+json, application/fhir+json, application/fhir+xml", w.Header().Get("Accept-Patch"))
		asXML := f.ask("PATCH", "/Task/t1", c.body, "Content-Type", c.sentAs, "Accept", fhirXML)
		require.Contains(t, xmlOf(t, asXML, 415).Text("issue", "diagnostics"), c.says)
	}
	require.Len(t, f.desk.rows["Task/t1"], 1)
	require.Equal(t, 200, f.ask("PATCH", "/Task/t1", pathForm, "Content-Type", plainJSON).Code, "a resource in JSON, as elsewhere")
}

// Whoever sends a merge patch, or the resource as it shall be, is told which patches are taken.
func TestWhatIsNoPatchIsToldWhatIs(t *testing.T) {
	f := newFace(t)
	f.desk.put(`{"resourceType":"Task","id":"t1","status":"draft"}`)
	for _, c := range []struct {
		body, sentAs string
		status       int
		code         string
	}{
		{`{"status":"ready"}`, "application/merge-patch+json", 415, "not-supported"},
		{`{"status":"ready"}`, fhirJSON, 400, "invalid"},
		{`{"status":"ready"}`, plainJSON, 400, "invalid"},
		{`{"status":"ready"}`, jsonPatch, 400, "invalid"},
		{`{"resourceType":"Task","id":"t1","status":"ready"}`, fhirJSON, 400, "invalid"},
		{`{"resourceType":"Toimeksianto"}`, plainJSON, 400, "invalid"},
		{`<Task xmlns="http://hl7.org/fhir"><status value="ready"/></Task>`, fhirXML, 400, "invalid"},
		{`"ready"`, fhirJSON, 400, "invalid"},
	} {
		w := f.ask("PATCH", "/Task/t1", c.body, "Content-Type", c.sentAs)
		said := outcome(t, w, c.status, c.code).Text("diagnostics")
		for _, part := range []string{"an array of operations", jsonPatch, "a Parameters resource", fhirJSON, "merge patches", "not taken"} {
			require.Contains(t, said, part, "%s as %s", c.body, c.sentAs)
		}
	}
	said := outcome(t, f.ask("POST", "", bundleOf("transaction", `{"resource":{"resourceType":"Binary","contentType":"application/merge-patch+json","data":"e30="},"request":{"method":"PATCH","url":"Task/t1"}}`)), 400, "structure")
	require.Contains(t, said.Text("diagnostics"), "merge patches are not taken")
	said = outcome(t, f.ask("POST", "", bundleOf("transaction", patchEntry("Task/t1", `{"status":"ready"}`))), 400, "invalid")
	require.Contains(t, said.Text("diagnostics"), "merge patches")
	require.Len(t, f.desk.rows["Task/t1"], 1)
}

// Patches of no operations are patches (RFC 6902 § 3: an array).
func TestAnEmptyPatchIsOne(t *testing.T) {
	for body, mediaType := range map[string]string{"[]": jsonPatch, `{"resourceType":"Parameters"}`: fhirJSON, `<Parameters xmlns="http://hl7.org/fhir"/>`: fhirXML} {
		f := newFace(t)
		f.desk.put(`{"resourceType":"Task","id":"t1","status":"draft"}`)
		w := f.ask("PATCH", "/Task/t1", body, "Content-Type", mediaType)
		require.Equal(t, 200, w.Code, "%s: %s", body, w.Body)
		require.Equal(t, "draft", parsed(t, w).Text("status"))
	}
}

func TestConditionalUpdateAndDelete(t *testing.T) {
	f := newFace(t)
	f.desk.put(`{"resourceType":"Task","id":"t1","status":"draft","identifier":[{"value":"a"}]}`)
	f.desk.put(`{"resourceType":"Task","id":"t2","status":"draft","identifier":[{"value":"b"}]}`)
	f.desk.put(`{"resourceType":"Task","id":"t3","status":"draft","identifier":[{"value":"b"}]}`)
	w := f.ask("PUT", "/Task?identifier=a", `{"resourceType":"Task","status":"ready"}`)
	require.Equal(t, 200, w.Code, "%s", w.Body)
	require.Equal(t, `W/"2"`, w.Header().Get("ETag"))
	require.Equal(t, "t1", parsed(t, w).Text("id"))
	require.Equal(t, base+"/Task/t1/_history/2", w.Header().Get("Location"))
	outcome(t, f.ask("PUT", "/Task?identifier=b", `{"resourceType":"Task","status":"ready"}`), 412, "multiple-matches")
	outcome(t, f.ask("PUT", "/Task?identifier=c", `{"resourceType":"Task","status":"ready"}`), 405, "not-supported")
	outcome(t, f.ask("PUT", "/Task/t1", `{"resourceType":"Task","id":"t1","status":"ready"}`, "If-None-Match", "*"), 400, "not-supported")
	outcome(t, f.ask("DELETE", "/Task?identifier=b", ""), 412, "multiple-matches")
	outcome(t, f.ask("DELETE", "/Task", ""), 400, "invalid")
	outcome(t, f.ask("DELETE", "/Task?colour=red", "", "Prefer", "handling=lenient"), 400, "not-supported")
	f.desk.denied["Task/t3"] = true
	require.Equal(t, 204, f.ask("DELETE", "/Task?identifier=b", "").Code, "what is hidden makes nothing ambiguous")
	require.Equal(t, 204, f.ask("DELETE", "/Task?identifier=b", "").Code, "nothing left")
	require.Len(t, f.desk.rows["Task/t3"], 1)
}

func TestPatchesInBundles(t *testing.T) {
	f := newFace(t)
	f.desk.put(`{"resourceType":"Task","id":"t1","status":"draft"}`)
	f.desk.put(`{"resourceType":"Task","id":"t2","status":"draft","identifier":[{"value":"a"}]}`)
	w := f.ask("POST", "", bundleOf("transaction",
		patchEntry("Task/t1", toReady), `{"resource":`+pathForm+`,"request":{"method":"PATCH","url":"Task?identifier=a"}}`), "Prefer", "return=representation")
	require.Equal(t, 200, w.Code, "%s", w.Body)
	for _, e := range parsed(t, w).Get("entry").Items() {
		require.Equal(t, "ready", e.Text("resource", "status"))
		require.Equal(t, `W/"2"`, e.Text("response", "etag"))
	}
	outcome(t, f.ask("POST", "", bundleOf("transaction", patchEntry("Task/t1", toReady),
		`{"resource":{"resourceType":"Task","id":"t1"},"request":{"method":"PUT","url":"Task/t1"}}`)), 400, "duplicate")
}
