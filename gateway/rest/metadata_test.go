package rest

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/search"
	"sotesilta/internal/fhir"
)

// oneSystem holds a single code system.
type oneSystem struct{ search.Terms }

func (oneSystem) Concept(string, string) (search.Concept, bool, bool) {
	return search.Concept{}, false, false
}

func (oneSystem) Definition(string, string) *fhir.Value { return nil }

func (oneSystem) ConceptMaps() []*fhir.Value { return nil }

func (oneSystem) Systems() []*fhir.Value {
	return []*fhir.Value{object("url", "https://vendor.example/steps", "version", "3")}
}

// The statement is sent once to who keeps it, and compressed to who takes that; what it says is the same.
func TestTheStatementIsSentOnceAndCompressed(t *testing.T) {
	f := newFace(t)
	whole := f.ask("GET", "/metadata", "", "Authorization", "")
	tag := whole.Header().Get("ETag")
	require.Regexp(t, `^W/".+"$`, tag)
	require.Equal(t, "no-cache", whole.Header().Get("Cache-Control"))
	require.Equal(t, []string{"Accept", "Accept-Encoding"}, whole.Header().Values("Vary"))
	require.Empty(t, whole.Header().Get("Content-Encoding"))
	for _, cached := range []string{tag, strings.TrimPrefix(tag, "W/"), `W/"other", ` + tag, "*"} {
		w := f.ask("GET", "/metadata", "", "If-None-Match", cached)
		require.Equal(t, 304, w.Code, cached)
		require.Zero(t, w.Body.Len())
		require.Equal(t, tag, w.Header().Get("ETag"))
	}
	require.Equal(t, 200, f.ask("GET", "/metadata", "", "If-None-Match", `W/"other"`).Code)

	for accept, taken := range map[string]bool{
		"gzip": true, "br, GZIP;q=0.5": true, "*": true, "gzip; q=1.0, identity": true,
		"": false, "br": false, "gzip;q=0": false, "*;q=1, gzip;q=0": false, "gzip;q=x": false, "identity": false,
	} {
		w := f.ask("GET", "/metadata", "", "Accept-Encoding", accept)
		require.Equal(t, 200, w.Code)
		require.Equal(t, tag, w.Header().Get("ETag"), accept)
		if !taken {
			require.Empty(t, w.Header().Get("Content-Encoding"), accept)
			require.Equal(t, whole.Body.String(), w.Body.String(), accept)
			continue
		}
		require.Equal(t, "gzip", w.Header().Get("Content-Encoding"), accept)
		require.Less(t, w.Body.Len(), whole.Body.Len()/4)
		require.Equal(t, whole.Body.String(), unzipped(t, w), accept)
	}
	head := f.ask("HEAD", "/metadata", "", "Accept-Encoding", "gzip")
	require.Zero(t, head.Body.Len())
	require.Equal(t, "gzip", head.Header().Get("Content-Encoding"))
	inXML := f.ask("GET", "/metadata?_format=xml", "", "Accept-Encoding", "gzip")
	require.Contains(t, unzipped(t, inXML), "<CapabilityStatement")
	require.NotEqual(t, tag, inXML.Header().Get("ETag"))
}

func unzipped(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(w.Body.Bytes()))
	require.NoError(t, err)
	text, err := io.ReadAll(r)
	require.NoError(t, err)
	return string(text)
}

// A part of the statement is what R4 says that it is, marked as a part.
func TestPartsOfTheStatement(t *testing.T) {
	f := newFace(t, func(c *Config) { c.Terms = oneSystem{} })
	get := func(query string) *fhir.Value {
		t.Helper()
		w := f.ask("GET", "/metadata?"+query, "")
		require.Equal(t, 200, w.Code, "%s", w.Body)
		doc := parsed(t, w)
		require.Empty(t, fhir.Validate(doc), query)
		return doc
	}
	require.NotEmpty(t, get("mode=full").All("rest", "resource", "searchParam"))
	require.Empty(t, get("mode=full&_pretty=true").All("meta", "tag"))
	for range 2 { // made, and kept
		summary := get("_summary=true")
		require.Equal(t, "SUBSETTED", summary.Text("meta", "tag", "code"))
		require.NotEmpty(t, summary.All("rest", "resource", "type"))
		require.Empty(t, summary.All("rest", "resource", "searchParam"))
	}
	few := get("_elements=software,format")
	require.Equal(t, "0.1.0", few.Text("software", "version"))
	require.Nil(t, few.Get("rest"))
	require.NotNil(t, few.Get("fhirVersion"), "what is mandatory stays")

	normative := get("mode=normative")
	require.NotEmpty(t, normative.All("rest", "resource", "searchParam"))
	require.Nil(t, normative.First("rest").Get("security"))
	require.Empty(t, normative.All("rest", "resource", "searchInclude"))

	terms := get("mode=terminology")
	require.Equal(t, "TerminologyCapabilities", fhir.ResourceType(terms))
	require.Equal(t, "https://vendor.example/steps", terms.Text("codeSystem", "uri"))
	require.Equal(t, "3", terms.Text("codeSystem", "version", "code"))

	outcome(t, f.ask("GET", "/metadata?mode=all", ""), 400, "value")
	outcome(t, f.ask("GET", "/metadata?_elements=rest/resource", ""), 400, "value")
	outcome(t, f.ask("GET", "/metadata?name=x", ""), 400, "not-supported")
	outcome(t, newFace(t).ask("GET", "/metadata?mode=terminology", ""), 400, "value")
}

// No answer about a person is compressed, whatever its receiver takes.
func TestWhatTellsOfPersonsIsNeverCompressed(t *testing.T) {
	f := newFace(t)
	f.desk.put(`{"resourceType":"Task","id":"t","status":"requested","intent":"order","description":"` + strings.Repeat("kotikäynti ", 500) + `"}`)
	for _, address := range []string{"/Task/t", "/Task?status=requested", "/Task/t/_history", "/Task/absent"} {
		w := f.ask("GET", address, "", "Accept-Encoding", "gzip")
		require.Empty(t, w.Header().Get("Content-Encoding"), address)
		require.Empty(t, w.Header().Get("Vary"), address)
		parsed(t, w)
	}
}
