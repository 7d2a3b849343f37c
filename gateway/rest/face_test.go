package rest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/gateway/exchange"
	"sotesilta/internal/fhir"
)

const (
	base     = "https://gw.example/fhir"
	ainoCode = "010190-900R" // synthetic: individual numbers 900–999 are never given to people
)

// face is the handler under test with its desk and its log.
type face struct {
	http.Handler
	desk *memoryDesk
	log  *bytes.Buffer
	cfg  Config
}

type badToken struct{}

func (badToken) Error() string { return "token of another audience" }

func (badToken) Challenge() string { return `Bearer error="invalid_token"` }

// newFace makes a face whose tokens are the user's name; the token limited may only read.
func newFace(t testing.TB, change ...func(*Config)) *face {
	t.Helper()
	f := &face{desk: newDesk(), log: &bytes.Buffer{}}
	f.cfg = Config{
		Desk: f.desk,
		Base: base,
		Authenticate: func(_ context.Context, header string) (exchange.Caller, error) {
			user, ok := strings.CutPrefix(header, "Bearer ")
			if !ok || user == "bad" {
				return exchange.Caller{}, badToken{}
			}
			return exchange.Caller{
				Actor: consent.Actor{Kind: consent.Professional, App: "jukola-ehr", User: user},
				Allows: func(_ string, i exchange.Interaction) bool {
					return user != "limited" || i == exchange.Read
				},
			}, nil
		},
		Types: []Type{
			{Name: "Patient", Interactions: ReadWrite, Documentation: "Clients."},
			{Name: "Task", Interactions: ReadWrite},
			{Name: "CareTeam", Interactions: ReadWrite},
			{Name: "Observation", Interactions: ReadWrite},
			{Name: "PlanDefinition", Interactions: ReadWrite},
			{Name: "AuditEvent", Interactions: ReadOnly, Params: exchange.AuditParams, Modifiers: exchange.AuditModifiers},
		},
		PageKey:  []byte("0123456789abcdef0123456789abcdef"),
		TokenURL: "https://gw.example/auth/token",
		Log:      slog.New(slog.NewJSONHandler(f.log, nil)),
		Version:  "0.1.0",
		Released: someTime,
	}
	f.cfg.Operations = []Operation{Match(f.desk, base), {
		Type: "PlanDefinition", Name: "apply", Instance: true,
		Definition: "http://hl7.org/fhir/OperationDefinition/PlanDefinition-apply",
		Handle: func(_ context.Context, _ exchange.Caller, id string, in *fhir.Value) (*exchange.Resource, error) {
			if in == nil {
				return nil, exchange.Refuse(exchange.Unprocessable, "required", "Parameters.parameter", "A subject is needed.")
			}
			return &exchange.Resource{Type: "CarePlan", ID: id, Version: 1, Updated: someTime, Body: []byte(`{"resourceType":"CarePlan"}`)}, nil
		},
	}}
	for _, c := range change {
		c(&f.cfg)
	}
	handler, err := New(f.cfg)
	require.NoError(t, err)
	f.Handler = handler
	return f
}

// ask sends a request of the nurse; headers come in pairs. A body is FHIR JSON unless a header says otherwise.
func (f *face) ask(method, target, body string, headers ...string) *httptest.ResponseRecorder {
	if target == "" || strings.ContainsRune("/?", rune(target[0])) {
		target = base + target
	}
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, target, reader)
	r.Header.Set("Authorization", "Bearer nurse")
	if body != "" {
		r.Header.Set("Content-Type", fhirJSON)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w
}

// parsed is an answer's body.
func parsed(t testing.TB, w *httptest.ResponseRecorder) *fhir.Value {
	t.Helper()
	doc, err := fhir.Parse(w.Body.Bytes(), fhir.DefaultLimits)
	require.NoError(t, err, "the answer is not JSON: %s", w.Body)
	return doc
}

// What a client calls its request is given back to it beside the id that the gateway gave.
func TestARequestIsCorrelated(t *testing.T) {
	f := newFace(t)
	for sent, want := range map[string]string{"vendor-77": "vendor-77", "": "", "two words": "", "ä": "", strings.Repeat("x", 129): ""} {
		h := f.ask("GET", "/Patient/nobody", "", "X-Request-Id", sent).Header()
		require.Equal(t, want, h.Get("X-Correlation-Id"), sent)
		require.NotEqual(t, sent, h.Get("X-Request-Id"))
	}
	require.Empty(t, f.ask("GET", "/Patient/nobody", "", "X-Request-Id", "010190-900R").Header().Get("X-Correlation-Id"))
}

// A body that does not come is the sender's fault, and no failure of the gateway (503).
func TestABodyThatDoesNotCome(t *testing.T) {
	f := newFace(t)
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(50*time.Millisecond))
	defer cancel()
	r := httptest.NewRequestWithContext(ctx, "POST", base+"/Task", untilDone{ctx})
	r.Header.Set("Authorization", "Bearer nurse")
	r.Header.Set("Content-Type", fhirJSON)
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	outcome(t, w, 408, "timeout")
	require.Empty(t, w.Header().Get("Retry-After"))
}

type untilDone struct{ ctx context.Context }

func (u untilDone) Read([]byte) (int, error) {
	<-u.ctx.Done()
	return 0, os.ErrDeadlineExceeded
}

func TestWhatPatchesAreTakenIsSaid(t *testing.T) {
	w := newFace(t).ask("PATCH", "/Task/t1", "{}", "Content-Type", "application/merge-patch+json")
	outcome(t, w, 415, "not-supported")
	require.Contains(t, w.Header().Get("Accept-Patch"), jsonPatch)
}

// outcome demands an OperationOutcome and gives its first issue.
func outcome(t testing.TB, w *httptest.ResponseRecorder, status int, code string) *fhir.Value {
	t.Helper()
	require.Equal(t, status, w.Code, "%s", w.Body)
	require.Equal(t, fhirJSON+"; charset=utf-8", w.Header().Get("Content-Type"))
	doc := parsed(t, w)
	require.Equal(t, "OperationOutcome", fhir.ResourceType(doc))
	require.NotEmpty(t, w.Header().Get("X-Request-Id"))
	is := doc.Get("issue").Items()[0]
	require.Equal(t, code, is.Text("code"), "%s", w.Body)
	require.NotEmpty(t, is.Text("diagnostics"))
	return is
}

func links(doc *fhir.Value) map[string]string {
	out := map[string]string{}
	for _, l := range doc.Get("link").Items() {
		out[l.Text("relation")] = l.Text("url")
	}
	return out
}

func TestReadAnswersTheResourceAsKept(t *testing.T) {
	f := newFace(t)
	kept := f.desk.put(`{"resourceType":"Observation","id":"o1","status":"final","valueDecimal":1.10,"_status":{"id":"x"}}`)
	w := f.ask("GET", "/Observation/o1", "")
	require.Equal(t, 200, w.Code)
	require.Equal(t, string(kept.Body), w.Body.String(), "what came in is what is kept")
	require.Equal(t, `W/"1"`, w.Header().Get("ETag"))
	require.Equal(t, "Sat, 21 Nov 2026 10:01:00 GMT", w.Header().Get("Last-Modified"))
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
	require.Equal(t, f.desk.ids[0], w.Header().Get("X-Request-Id"), "the record's id is the answer's")
	require.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, f.desk.ids[0])
}

func TestHeadEqualsGet(t *testing.T) {
	f := newFace(t)
	f.desk.put(`{"resourceType":"Patient","id":"aino"}`)
	for _, target := range []string{"/Patient/aino", "/Patient/aino/_history/1", "/Patient?_id=aino", "/Patient/veikko", "/metadata"} {
		get, head := f.ask("GET", target, ""), f.ask("HEAD", target, "")
		require.Equal(t, get.Code, head.Code, target)
		require.Empty(t, head.Body.String(), target)
		get.Header().Del("X-Request-Id")
		head.Header().Del("X-Request-Id")
		require.Equal(t, get.Header(), head.Header(), target)
		require.NotEmpty(t, head.Header().Get("Content-Length"), target)
	}
}

func TestDeniedLooksLikeAbsentByteForByte(t *testing.T) {
	for _, request := range [][]string{
		{"GET", "/Observation/o1", ""},
		{"HEAD", "/Observation/o1", ""},
		{"GET", "/Observation/o1/_history/1", ""},
		{"GET", "/Observation/o1/_history", ""},
		{"GET", "/Observation?_id=o1&_total=accurate", ""},
		{"GET", "/Observation?_summary=count", ""},
		{"PUT", "/Observation/o1", `{"resourceType":"Observation","id":"o1"}`},
		{"PUT", "/Observation/o1", `{"resourceType":"Observation","id":"o1"}`, "If-Match", `W/"7"`},
		{"DELETE", "/Observation/o1", ""},
		{"DELETE", "/Observation/o1", "", "If-Match", `W/"7"`},
		{"POST", "", `{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"Observation/o1"}}]}`},
		{"POST", "", `{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"GET","url":"Observation/o1"}}]}`},
		{"POST", "", `{"resourceType":"Bundle","type":"transaction","entry":[{"resource":{"resourceType":"Observation","id":"o1"},"request":{"method":"PUT","url":"Observation/o1"}}]}`},
	} {
		denied, absent := newFace(t), newFace(t)
		denied.desk.put(`{"resourceType":"Observation","id":"o1"}`)
		denied.desk.denied["Observation/o1"] = true
		a, b := denied.ask(request[0], request[1], request[2], request[3:]...), absent.ask(request[0], request[1], request[2], request[3:]...)
		a.Header().Del("X-Request-Id")
		b.Header().Del("X-Request-Id")
		require.Equal(t, b.Code, a.Code, request)
		require.Equal(t, b.Body.String(), a.Body.String(), request)
		require.Equal(t, b.Header(), a.Header(), request)
		require.Empty(t, a.Header().Get("ETag"), request)
	}
}

func TestEveryRefusalHasItsStatus(t *testing.T) {
	for kind, want := range map[exchange.ErrorKind]int{
		exchange.Invalid: 400, exchange.Unprocessable: 422, exchange.Absent: 404, exchange.Gone: 410, exchange.NotAllowed: 405,
		exchange.Forbidden: 403, exchange.Stale: 412, exchange.Ambiguous: 412, exchange.Conflict: 409, exchange.TooCostly: 400,
		exchange.Unrecorded: 503, exchange.Busy: 503,
	} {
		f := newFace(t)
		f.desk.fail = exchange.Refuse(kind, "processing", "Task.status", "the rule and the place")
		w := f.ask("GET", "/Task/1", "")
		require.Equal(t, want, w.Code)
		is := parsed(t, w).Get("issue").Items()[0]
		if kind != exchange.Absent {
			require.Equal(t, "the rule and the place", is.Text("diagnostics"))
			require.Equal(t, "Task.status", is.Text("expression"))
		}
		require.Equal(t, want == 503, w.Header().Get("Retry-After") != "", "kind %d", kind)
		require.Equal(t, want == 405, w.Header().Get("Allow") != "", "kind %d", kind)
	}
}

func TestAnErrorThatIsNobodysBusinessIs500(t *testing.T) {
	f := newFace(t)
	f.desk.fail = errors.New("disk of node 7")
	w := f.ask("GET", "/Task/1", "")
	is := outcome(t, w, 500, "exception")
	require.NotContains(t, is.Text("diagnostics"), "disk")
	require.Contains(t, f.log.String(), "disk of node 7")

	f.desk.fail = context.DeadlineExceeded
	require.Equal(t, "1", f.ask("GET", "/Task/1", "").Header().Get("Retry-After"))
}

func TestWhoMayNotAskIsTold(t *testing.T) {
	f := newFace(t)
	w := f.ask("GET", "/Patient/aino", "", "Authorization", "Bearer bad")
	outcome(t, w, 401, "login")
	require.Equal(t, `Bearer error="invalid_token"`, w.Header().Get("WWW-Authenticate"))
	require.Empty(t, f.desk.calls)
	require.NotContains(t, w.Body.String(), "audience")

	outcome(t, f.ask("GET", "/Patient/aino/_history", "", "Authorization", "Bearer limited"), 403, "forbidden")

	f = newFace(t, func(c *Config) {
		c.Authenticate = func(context.Context, string) (exchange.Caller, error) {
			return exchange.Caller{}, exchange.Refuse(exchange.Unrecorded, "exception", "", "The store of used tokens is missing.")
		}
	})
	w = f.ask("GET", "/Patient/aino", "")
	outcome(t, w, 503, "exception")
}

func TestAddresses(t *testing.T) {
	f := newFace(t)
	f.desk.put(`{"resourceType":"Patient","id":"metadata"}`)
	f.desk.put(`{"resourceType":"Patient","id":"aino"}`)
	for _, c := range []struct {
		method, target string
		status         int
		code, allow    string
	}{
		{"GET", "/Patient/metadata", 200, "", ""},
		{"GET", "/Patient/aino/_history", 200, "", ""},
		{"GET", "/Patient", 200, "", ""},
		{"GET", "/Basic/1", 404, "not-supported", ""},
		{"GET", "/Nothing", 404, "not-supported", ""},
		{"GET", "/patient/aino", 404, "not-supported", ""},
		{"GET", "/Patient/aino/Observation", 200, "", ""},
		{"DELETE", "/Patient/aino/Observation", 405, "not-supported", "GET, HEAD, OPTIONS"},
		{"GET", "/Patient/aino/Observation/_search", 405, "not-supported", "POST, OPTIONS"},
		{"GET", "/Patient/aino/Task", 404, "not-supported", ""},
		{"GET", "/Patient/aino/observations", 404, "not-found", ""},
		{"GET", "/Patient/aino/", 200, "", ""},
		{"GET", "/Patient/", 200, "", ""},
		{"GET", "/Patient/aino/_history/", 200, "", ""},
		{"GET", "/Patient//", 404, "not-found", ""},
		{"GET", "/Patient/aino/$everything", 200, "", ""},
		{"GET", "/Task/t1/$everything", 404, "not-supported", ""},
		{"GET", "/Patient/a_b", 404, "not-found", ""},
		{"GET", "/Patient/..", 404, "not-found", ""},
		{"GET", "/Patient/" + strings.Repeat("x", 65), 404, "not-found", ""},
		{"GET", "/Patient/aino/_history/0", 404, "not-found", ""},
		{"GET", "/Patient/aino/_history/01", 404, "not-found", ""},
		{"GET", "/Patient/aino/_history/x", 404, "not-found", ""},
		{"GET", "/Patient/aino/_history/1/x", 404, "not-found", ""},
		{"GET", "/_history", 200, "", ""},
		{"GET", "/Patient/_history", 200, "", ""},
		{"POST", "/Patient/_history", 405, "not-supported", "GET, HEAD, OPTIONS"},
		{"POST", "/_history", 405, "not-supported", "GET, HEAD, OPTIONS"},
		{"GET", "/AuditEvent/_history", 405, "not-supported", "OPTIONS"},
		{"GET", "/Basic/_history", 404, "not-supported", ""},
		{"POST", "/_search", 400, "required", ""},
		{"GET", "/_search", 405, "not-supported", "POST, OPTIONS"},
		{"POST", "/$export", 404, "not-supported", ""},
		{"GET", "", 400, "required", ""},
		{"GET", "/", 400, "required", ""},
		{"PATCH", "/AuditEvent/1", 405, "not-supported", "GET, HEAD, OPTIONS"},
		{"POST", "/Patient/aino", 405, "not-supported", "GET, HEAD, PUT, PATCH, DELETE, OPTIONS"},
		{"PUT", "/Patient", 400, "invalid", ""},
		{"DELETE", "/Patient", 400, "invalid", ""},
		{"PATCH", "/Patient", 400, "invalid", ""},
		{"POST", "/AuditEvent", 405, "not-supported", "GET, HEAD, OPTIONS"},
		{"DELETE", "/AuditEvent/1", 405, "not-supported", "GET, HEAD, OPTIONS"},
		{"GET", "/AuditEvent/1/_history", 405, "not-supported", "OPTIONS"},
		{"GET", "/Patient/_search", 405, "not-supported", "POST, OPTIONS"},
		{"GET", "/Patient/$match", 405, "not-supported", "POST, OPTIONS"},
		{"POST", "/metadata", 405, "not-supported", "GET, HEAD, OPTIONS"},
		{"GET", "https://gw.example/elsewhere", 404, "not-found", ""},
	} {
		w := f.ask(c.method, c.target, "")
		name := c.method + " " + c.target
		require.Equal(t, c.status, w.Code, "%s: %s", name, w.Body)
		require.Equal(t, c.allow, w.Header().Get("Allow"), name)
		require.NotEmpty(t, w.Header().Get("X-Request-Id"), name)
		if c.code != "" {
			outcome(t, w, c.status, c.code)
		}
	}
}

func TestNegotiation(t *testing.T) {
	f := newFace(t)
	f.desk.put(`{"resourceType":"Patient","id":"aino"}`)
	for _, c := range []struct {
		target, accept string
		status         int
		mediaType      string
	}{
		{"/Patient/aino", "", 200, fhirJSON},
		{"/Patient/aino", "*/*", 200, fhirJSON},
		{"/Patient/aino", "text/html, */*;q=0.1", 200, fhirJSON},
		{"/Patient/aino", "application/json", 200, plainJSON},
		{"/Patient/aino", "application/json;q=0.5, application/fhir+json", 200, fhirJSON},
		{"/Patient/aino", "application/fhir+json; fhirVersion=4.0", 200, fhirJSON},
		{"/Patient/aino", "application/fhir+json; fhirVersion=5.0", 406, ""},
		{"/Patient/aino", "application/fhir+xml", 200, fhirXML},
		{"/Patient/aino", "text/xml;q=0.9, text/html", 200, plainXML},
		{"/Patient/aino", "application/fhir+xml;q=0.5, application/fhir+json", 200, fhirJSON},
		{"/Patient/aino", "application/fhir+turtle", 406, ""},
		{"/Patient/aino", "application/json;q=0", 406, ""},
		{"/Patient/aino", "application/fhir+xml, */*", 200, fhirXML},
		{"/Patient/aino", "*/*, application/fhir+json", 200, fhirJSON},
		{"/Patient/aino", "*/*;q=0.2, application/fhir+xml;q=0.1", 200, fhirJSON},
		{"/Patient/aino", "application/fhir+xml;q=0, */*", 200, fhirJSON},
		{"/Patient/aino", "application/fhir+json;q=0, application/json;q=0, */*", 200, fhirXML},
		{"/Patient/aino", "*/*;q=0", 406, ""},
		{"/Patient/aino?_format=json", "application/fhir+xml", 200, fhirJSON},
		{"/Patient/aino?_format=application/fhir+json", "", 200, fhirJSON},
		{"/Patient/aino?_format=application%2Ffhir%2Bjson", "", 200, fhirJSON},
		{"/Patient/aino?_format=xml", "", 200, fhirXML},
		{"/Patient/aino?_format=application/xml", fhirJSON, 200, plainXML},
		{"/metadata?_format=xml", "", 200, fhirXML},
		{"/Patient/aino?_format=ttl", "", 406, ""},
		{"/Patient/aino?_format=application/fhir%2Bxml;fhirVersion=4.0", "", 200, fhirXML},
		{"/Patient/aino?_format=application/fhir%2Bxml;fhirVersion=3.0", "", 406, ""},
		{"/Patient/aino?_format=", "", 406, ""},
	} {
		w := f.ask("GET", c.target, "", "Accept", c.accept)
		require.Equal(t, c.status, w.Code, c)
		if c.status == 406 {
			outcome(t, w, 406, "not-supported")
			continue
		}
		require.Equal(t, c.mediaType+"; charset=utf-8", w.Header().Get("Content-Type"), c)
	}
	require.Equal(t, "{\n  \"resourceType\"", f.ask("GET", "/Patient/aino?_pretty=true", "").Body.String()[:18])
	outcome(t, f.ask("GET", "/Patient/aino?_pretty=maybe", ""), 400, "value")
	is := outcome(t, f.ask("GET", "/Patient/aino?_contained=true", ""), 400, "not-supported")
	require.Contains(t, is.Text("diagnostics"), `"_contained"`)
	require.Equal(t, 200, f.ask("GET", "/Patient/aino?_contained=true", "", "Prefer", "handling=lenient").Code)
}

func TestMalformedBodiesChangeNothing(t *testing.T) {
	for name, c := range map[string]struct {
		body, contentType string
		status            int
		code, expression  string
	}{
		"empty":                {" ", fhirJSON, 400, "required", ""},
		"cut off":              {`{"resourceType":"Task"`, fhirJSON, 400, "structure", ""},
		"deep":                 {strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000), fhirJSON, 400, "structure", ""},
		"duplicate members":    {`{"resourceType":"Task","status":"draft","status":"ready"}`, fhirJSON, 400, "structure", ""},
		"invalid UTF-8":        {"{\"resourceType\":\"Task\",\"description\":\"\xff\"}", fhirJSON, 400, "structure", ""},
		"trailing text":        {`{"resourceType":"Task"} {}`, fhirJSON, 400, "structure", ""},
		"array":                {`[]`, fhirJSON, 400, "structure", ""},
		"no resourceType":      {`{"status":"draft"}`, fhirJSON, 400, "structure", "resourceType"},
		"unknown resourceType": {`{"resourceType":"Toimeksianto"}`, fhirJSON, 400, "structure", "resourceType"},
		"other resourceType":   {`{"resourceType":"Patient"}`, fhirJSON, 400, "invalid", "resourceType"},
		"XML cut off":          {`<Task xmlns="http://hl7.org/fhir"><status value="draft"/>`, fhirXML, 400, "structure", "Task"},
		"XML of no namespace":  {`<Task/>`, fhirXML, 400, "structure", ""},
		"XML with a DOCTYPE":   {`<!DOCTYPE Task [<!ENTITY a "b">]><Task xmlns="http://hl7.org/fhir"/>`, plainXML, 400, "structure", ""},
		"XML out of order":     {`<Task xmlns="http://hl7.org/fhir"><intent value="order"/><status value="draft"/></Task>`, "text/xml", 400, "structure", "Task.status"},
		"XML called JSON":      {`<Task xmlns="http://hl7.org/fhir"/>`, fhirJSON, 400, "structure", ""},
		"turtle":               {`[] a fhir:Task`, "text/turtle", 415, "not-supported", ""},
		"no content type":      {`{"resourceType":"Task"}`, "", 415, "not-supported", ""},
		"other charset":        {`{"resourceType":"Task"}`, "application/fhir+json; charset=latin1", 415, "not-supported", ""},
		"other FHIR":           {`{"resourceType":"Task"}`, "application/fhir+json; fhirVersion=5.0", 415, "not-supported", "http.Content-Type"},
		"over 5 MB":            {`{"resourceType":"Task","description":"` + strings.Repeat("x", 5<<20) + `"}`, fhirJSON, 413, "too-long", ""},
	} {
		f := newFace(t)
		w := f.ask("POST", "/Task", c.body, "Content-Type", c.contentType)
		require.Equal(t, c.status, w.Code, "%s: %s", name, w.Body)
		is := outcome(t, w, c.status, c.code)
		if c.expression != "" {
			require.Equal(t, c.expression, is.Text("expression"), name)
		}
		require.Empty(t, f.desk.calls, name)
	}
	f := newFace(t)
	outcome(t, f.ask("POST", "/Task", `{"resourceType":"Task"}`, "Content-Encoding", "gzip"), 415, "not-supported")
}

func TestAPanicIsAnsweredAndServedOn(t *testing.T) {
	f := newFace(t, func(c *Config) { c.Desk = nil; c.Desk = panickingDesk{} })
	w := f.ask("GET", "/Patient/aino", "")
	outcome(t, w, 500, "exception")
	require.NotContains(t, w.Body.String()+f.log.String(), ainoCode, "the value of a panic stays inside")
	require.Contains(t, f.log.String(), w.Header().Get("X-Request-Id"))
	require.Equal(t, 200, f.ask("GET", "/metadata", "").Code)
}

type panickingDesk struct{ Desk }

func (panickingDesk) Read(context.Context, exchange.Caller, string, string) (*exchange.Resource, error) {
	panic("client " + ainoCode)
}

// What is mounted beside the FHIR base passes the same front.
func TestMountedAddresses(t *testing.T) {
	var seen []Seen
	f := newFace(t, func(c *Config) {
		c.Mount = func(r gin.IRouter) {
			r.POST("/auth/token", func(g *gin.Context) {
				if _, err := io.ReadAll(g.Request.Body); err != nil {
					g.Status(413)
					return
				}
				g.JSON(200, gin.H{"access_token": "x"})
			})
			r.GET("/ledger/*tile", func(g *gin.Context) { panic("broken") })
		}
		c.SMART = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"token_endpoint":"x"}`) })
		c.Observe = func(s Seen) { seen = append(seen, s) }
	})
	w := f.ask("POST", "https://gw.example/auth/token", "a=b", "Content-Type", formBody)
	require.Equal(t, 200, w.Code)
	require.NotEmpty(t, w.Header().Get("X-Request-Id"))
	require.Equal(t, 413, f.ask("POST", "https://gw.example/auth/token", strings.Repeat("x", 6<<20)).Code)
	outcome(t, f.ask("GET", "https://gw.example/ledger/tile/0/000", ""), 500, "exception")
	w = f.ask("GET", "/.well-known/smart-configuration", "", "Authorization", "")
	require.Equal(t, `{"token_endpoint":"x"}`, w.Body.String())
	f.ask("GET", "/Task/1", "")
	for i := range seen {
		require.Positive(t, seen[i].Duration)
		seen[i].Duration = 0
	}
	require.Equal(t, []Seen{
		{Route: "/auth/token", Status: 200},
		{Route: "/auth/token", Status: 413},
		{Route: "/ledger/*tile", Status: 500},
		{Route: "/fhir/:type/:id", Status: 200},
		{Route: "/fhir/:type/:id", Type: "Task", Interaction: "read", Status: 404, App: "jukola-ehr"},
	}, seen)
}

// Whatever is sent to the base, the answer is a refusal or a response, never a failure of ours.
func FuzzBundle(f *testing.F) {
	f.Add(bundleOf("batch", `{"request":{"method":"GET","url":"Task/t1"}}`))
	f.Add(bundleOf("transaction", post("Task", `,"for":{"reference":"urn:uuid:`+urn1+`"}`, urn1)))
	f.Add(bundleOf("batch", `{"resource":5,"request":{"method":"PUT","url":"Task/t1?x=%zz","ifMatch":"W/"}}`, `[]`))
	f.Add(`{"resourceType":"Bundle","type":"transaction","entry":{"request":[]}}`)
	h := newFace(f, func(c *Config) { c.Log = nil })
	f.Fuzz(func(t *testing.T, body string) {
		w := h.ask("POST", "", body)
		if w.Code >= 500 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if _, err := fhir.Parse(w.Body.Bytes(), fhir.Limits{Bytes: 64 << 20}); err != nil {
			t.Fatal(err)
		}
	})
}

func TestHealth(t *testing.T) {
	var lost []string
	var broken error
	f := newFace(t, func(c *Config) { c.Ready = func(context.Context) ([]string, error) { return lost, broken } })
	require.Equal(t, 200, f.ask("GET", "https://gw.example/healthz", "").Code)
	require.Equal(t, "ready\n", f.ask("GET", "https://gw.example/readyz", "").Body.String())
	lost = []string{"redis"}
	w := f.ask("GET", "https://gw.example/readyz", "")
	require.Equal(t, 200, w.Code)
	require.Contains(t, w.Body.String(), "redis")
	broken = errors.New("no store")
	require.Equal(t, 503, f.ask("GET", "https://gw.example/readyz", "").Code)
	require.Contains(t, f.log.String(), `"level":"ERROR","msg":"not ready"`)
	f.log.Reset()
	broken = ErrLoading
	require.Equal(t, 503, f.ask("GET", "https://gw.example/readyz", "").Code)
	require.Contains(t, f.log.String(), `"level":"INFO","msg":"not ready"`, "every start passes through it")
	require.Equal(t, 200, f.ask("GET", "https://gw.example/healthz", "").Code)
}

// Two Authorization headers are two claims of who asks; servers and proxies on the way may read different ones.
func TestOneAuthorizationOnly(t *testing.T) {
	f := newFace(t)
	f.desk.put(`{"resourceType":"Patient","id":"aino"}`)
	for _, second := range []string{"Bearer nurse", "Bearer doctor", "Bearer bad", "Basic x", ""} {
		for _, target := range []string{"/Patient/aino", "/Patient?_id=aino", "/metadata", "/nonsense"} {
			r := httptest.NewRequest("GET", base+target, nil)
			r.Header.Add("Authorization", "Bearer nurse")
			r.Header.Add("Authorization", second)
			w := httptest.NewRecorder()
			f.ServeHTTP(w, r)
			outcome(t, w, 400, "invalid")
		}
	}
	require.Empty(t, f.desk.ids, "nothing is asked of the Desk")
	require.Equal(t, 200, f.ask("GET", "/Patient/aino", "").Code)
}
