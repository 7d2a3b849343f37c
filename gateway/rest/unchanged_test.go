package rest

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhoHoldsTheVersionIsToldThatNothingChanged(t *testing.T) {
	f := newFace(t)
	f.desk.put(`{"resourceType":"Observation","id":"o1","status":"final"}`) // version 1, of 10:01:00
	for _, c := range []struct {
		header, value string
		status        int
	}{
		{"If-None-Match", `W/"1"`, 304},
		{"If-None-Match", `"1"`, 304},
		{"If-None-Match", `W/"7", W/"1"`, 304},
		{"If-None-Match", `*`, 304},
		{"If-None-Match", `W/"2"`, 200},
		{"If-None-Match", `1`, 200},
		{"If-Modified-Since", "Sat, 21 Nov 2026 10:01:00 GMT", 304},
		{"If-Modified-Since", "Sat, 21 Nov 2026 10:00:59 GMT", 200},
		{"If-Modified-Since", "yesterday", 200},
	} {
		for _, request := range []string{"GET /Observation/o1", "HEAD /Observation/o1", "GET /Observation/o1/_history/1", "HEAD /Observation/o1/_history/1"} {
			method, target, _ := strings.Cut(request, " ")
			w := f.ask(method, target, "", c.header, c.value)
			require.Equal(t, c.status, w.Code, c)
			require.Equal(t, `W/"1"`, w.Header().Get("ETag"), c)
			require.Equal(t, "Sat, 21 Nov 2026 10:01:00 GMT", w.Header().Get("Last-Modified"), c)
			if c.status == 304 {
				require.Empty(t, w.Body.String(), c)
				require.Empty(t, w.Header().Get("Content-Length"), c)
			}
		}
	}
	require.Equal(t, 200, f.ask("GET", "/Observation/o1", "", "If-None-Match", `W/"2"`, "If-Modified-Since", "Sat, 21 Nov 2026 10:01:00 GMT").Code,
		"the tag is asked before the date")

	in := f.ask("POST", "", bundleOf("batch", `{"request":{"method":"GET","url":"Observation/o1/_history/1","ifNoneMatch":"W/\"1\""}}`))
	require.Equal(t, "304 Not Modified", parsed(t, in).Get("entry").Items()[0].Text("response", "status"))

	f.desk.denied["Observation/o1"] = true
	outcome(t, f.ask("GET", "/Observation/o1", "", "If-None-Match", `W/"1"`), 404, "not-found")
	outcome(t, f.ask("GET", "/Observation/o1/_history/1", "", "If-None-Match", `W/"1"`), 404, "not-found")
	outcome(t, f.ask("GET", "/Observation/o1", "", "If-None-Match", "*"), 404, "not-found")
}

func TestOptionsTellWhatAnAddressTakes(t *testing.T) {
	f := newFace(t, func(c *Config) { c.SMART = http.NotFoundHandler() })
	for target, allow := range map[string]string{
		"":                                 "GET, HEAD, POST, OPTIONS",
		"/metadata":                        "GET, HEAD, OPTIONS",
		"/.well-known/smart-configuration": "GET, HEAD, OPTIONS",
		"/Task":                            "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
		"/Task/absent/_history":            "GET, HEAD, OPTIONS",
		"/AuditEvent/1":                    "GET, HEAD, OPTIONS",
		"/Patient/$match":                  "POST, OPTIONS",
	} {
		w := f.ask("OPTIONS", target, "", "Authorization", "")
		require.Equal(t, 204, w.Code, target)
		require.Equal(t, allow, w.Header().Get("Allow"), target)
		require.Empty(t, w.Body.String(), target)
	}
	const patches = "application/json-patch+json, application/fhir+json, application/fhir+xml"
	for target, accepted := range map[string]string{"/Task/t1": patches, "/Task": patches, "/AuditEvent/1": "", "/Task/t1/_history": "", "": ""} {
		require.Equal(t, accepted, f.ask("OPTIONS", target, "", "Authorization", "").Header().Get("Accept-Patch"), target)
	}
	outcome(t, f.ask("OPTIONS", "/Basic", ""), 404, "not-supported")
	w := f.ask("POST", "/metadata", "{}", "Accept", fhirXML)
	require.Equal(t, 405, w.Code)
	require.Contains(t, w.Body.String(), `<code value="not-supported"/>`, "in the form that was asked for")
	w = f.ask("POST", "/.well-known/smart-configuration", "{}", "Authorization", "")
	outcome(t, w, 405, "not-supported")
	require.Equal(t, "GET, HEAD, OPTIONS", w.Header().Get("Allow"))
	require.Empty(t, f.desk.calls, "no row is asked for")
	for target, allow := range map[string]string{
		"": "GET, HEAD, POST, OPTIONS", "/": "GET, HEAD, POST, OPTIONS", "/metadata": "GET, HEAD, OPTIONS",
		"/.well-known/smart-configuration": "GET, HEAD, OPTIONS",
		"/Task":                            "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
		"/Task/t1":                         "GET, HEAD, PUT, PATCH, DELETE, OPTIONS",
		"/AuditEvent/1":                    "GET, HEAD, OPTIONS",
		"/Task/t1/_history/1":              "GET, HEAD, OPTIONS",
	} {
		w := f.ask("BREW", target, "")
		outcome(t, w, 405, "not-supported")
		require.Equal(t, allow, w.Header().Get("Allow"), "of a method that is none, at %q", target)
	}
}

func TestPagesOfConfiguredOriginsMayCall(t *testing.T) {
	const app = "https://app.example"
	preflight := []string{"Authorization", "", "Origin", app, "Access-Control-Request-Method", "PUT", "Access-Control-Request-Headers", "authorization"}
	closed := newFace(t)
	require.Empty(t, closed.ask("OPTIONS", "/Task", "", preflight...).Header().Get("Access-Control-Allow-Origin"), "off unless configured")

	f := newFace(t, func(c *Config) { c.Origins = []string{app, "http://localhost:3000"} })
	f.desk.put(`{"resourceType":"Task","id":"t1","status":"draft"}`)
	w := f.ask("OPTIONS", "/Task", "", preflight...)
	require.Equal(t, 204, w.Code)
	require.Equal(t, app, w.Header().Get("Access-Control-Allow-Origin"))
	require.Contains(t, w.Header().Get("Access-Control-Allow-Headers"), "Authorization")
	require.Contains(t, w.Header().Get("Access-Control-Allow-Methods"), "PATCH")
	require.Empty(t, w.Header().Get("Access-Control-Allow-Credentials"), "no cookies are taken")

	w = f.ask("GET", "/Task/t1", "", "Origin", app)
	require.Equal(t, 200, w.Code)
	require.Equal(t, app, w.Header().Get("Access-Control-Allow-Origin"))
	require.Contains(t, w.Header().Get("Access-Control-Expose-Headers"), "ETag")
	require.Equal(t, "Origin", w.Header().Get("Vary"))
	w = f.ask("GET", "/Task/t2", "", "Origin", app)
	require.Equal(t, 404, w.Code)
	require.Equal(t, app, w.Header().Get("Access-Control-Allow-Origin"), "refusals can be read as well")
	for _, other := range []string{"https://app.example.evil", "https://app.example:444", "null", "http://app.example"} {
		w = f.ask("GET", "/Task/t1", "", "Origin", other)
		require.Equal(t, 200, w.Code)
		require.Empty(t, w.Header().Get("Access-Control-Allow-Origin"), other)
	}
	for _, bad := range []string{"*", "app.example", "https://app.example/", "https://App.example", "ftp://app.example", "https://u@app.example"} {
		require.Error(t, CheckOrigin(bad), bad)
	}
}
