package rest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/internal/fhir"
)

// A bulk export from its start to its end (FHIR Bulk Data Access 2.0): asked for, polled, downloaded, cancelled.
func TestAnExportIsDownloadedAndCancelled(t *testing.T) {
	f := newFace(t)
	for i := range 3 {
		f.desk.put(fmt.Sprintf(`{"resourceType":"Observation","id":"o%d","status":"final"}`, i))
	}
	outcome(t, f.ask("GET", "/Patient/$export", ""), 400, "required")
	for address, code := range map[string]string{
		"_type=Organization": "value", "_outputFormat=csv": "not-supported", "_since=soon": "value", "_typeFilter=x": "not-supported", "patient=Patient/aino": "value",
	} {
		outcome(t, f.ask("GET", "/Patient/$export?"+address, "", "Prefer", "respond-async"), 400, code)
	}
	w := f.ask("GET", "/Patient/$export?_type=Observation,Task&_since=2026-01-01T00:00:00Z&_outputFormat=application/fhir%2Bndjson", "", "Prefer", "respond-async")
	require.Equal(t, 202, w.Code, "%s", w.Body)
	status := w.Header().Get("Content-Location")
	require.Regexp(t, `^https://gw\.example/fhir/Patient/\$export-status\?_job=[\w-]+$`, status)

	w = f.ask("GET", status, "", "Accept", "application/json")
	require.Equal(t, 200, w.Code, "%s", w.Body)
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	require.NotEmpty(t, w.Header().Get("Expires"))
	manifest := parsed(t, w)
	require.Equal(t, "true", manifest.Text("requiresAccessToken"))
	require.Contains(t, manifest.Text("request"), "/Patient/$export?_type=Observation")
	require.Equal(t, []string{"Observation", "Task"}, idsIn(manifest.All("output", "type")))
	file := manifest.First("output", "url").Str()

	w = f.ask("GET", file, "", "Accept", ndjson)
	require.Equal(t, 200, w.Code, "%s", w.Body)
	require.Equal(t, ndjson, w.Header().Get("Content-Type"))
	lines := strings.Split(strings.TrimSuffix(w.Body.String(), "\n"), "\n")
	require.Len(t, lines, 3)
	for _, line := range lines {
		_, err := fhir.Parse([]byte(line), fhir.DefaultLimits)
		require.NoError(t, err)
	}
	require.Equal(t, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), f.desk.bulks[0].Since.UTC())

	for _, address := range []string{status, file} {
		outcome(t, f.ask("GET", address, "", "Authorization", "Bearer worker"), 404, "not-found")
		outcome(t, f.ask("GET", address+"x", ""), 404, "not-found")
	}
	outcome(t, f.ask("GET", strings.Replace(status, "$export-status", "$export-file", 1), ""), 404, "not-found")
	require.Equal(t, 202, f.ask("DELETE", status, "").Code)
	for _, address := range []string{status, file} {
		outcome(t, f.ask("GET", address, ""), 404, "not-found")
	}
}

// A POST names clients in its body, never in the address.
func TestAnExportNamesClientsInItsBody(t *testing.T) {
	f := newFace(t)
	body := `{"resourceType":"Parameters","parameter":[{"name":"patient","valueReference":{"reference":"Patient/aino"}},{"name":"_type","valueString":"Observation"}]}`
	w := f.ask("POST", "/Patient/$export", body, "Prefer", "respond-async")
	require.Equal(t, 202, w.Code, "%s", w.Body)
	require.NotContains(t, w.Header().Get("Content-Location"), "aino")
	manifest := parsed(t, f.ask("GET", w.Header().Get("Content-Location"), ""))
	require.Equal(t, base+"/Patient/$export", manifest.Text("request"))
	f.ask("GET", manifest.First("output", "url").Str(), "")
	require.Equal(t, []string{"aino"}, f.desk.bulks[0].Clients)
}
