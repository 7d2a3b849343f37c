package gatewaytest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"sotesilta/consent"
	"sotesilta/gateway/auth"
	"sotesilta/internal/fhir"
)

// client follows no redirects and compresses nothing: tests see what was sent.
var client = &http.Client{
	Timeout:       60 * time.Second,
	Transport:     &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 32},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// Party is an API client of the gateway and the user that it speaks for.
type Party struct {
	g       *Gateway
	Client  string
	User    string
	Purpose consent.Purpose
	Ground  *consent.Assertion
	Scope   string // "" for all that the client may have
}

func (p *Party) name() string {
	return fmt.Sprint(p.User, "@", p.Client, " ", p.Purpose, " ", p.Scope, " ", p.Ground)
}

// String is user@client.
func (p *Party) String() string { return strings.TrimPrefix(p.User+"@"+p.Client, "@") }

// TryToken asks for a token and answers the token endpoint's error, if any.
func (p *Party) TryToken() error {
	_, err := p.g.token(p)
	return err
}

// Authorization is the header's value for the party.
func (p *Party) Authorization(t testing.TB) string {
	t.Helper()
	token, err := p.g.token(p)
	if err != nil {
		t.Fatalf("token for %s: %v", p, err)
	}
	return token.Authorization()
}

// Answer is one answer, as it came over the wire.
type Answer struct {
	Request string // method and path, for messages
	Status  int
	Header  http.Header
	Body    []byte
}

// Do sends a request to a path below the FHIR base ("" is the base itself). body is nil, a string, or []byte; header
// holds names and values in turn, and an empty value takes a header away.
func (p *Party) Do(t testing.TB, method, path string, body any, header ...string) *Answer {
	t.Helper()
	address := "/fhir/" + path
	if path == "" {
		address = "/fhir"
	}
	return p.g.Send(t, method, address, body, append([]string{"Authorization", p.Authorization(t)}, header...)...)
}

// Send sends a request to any path of the public port, without a token unless a header gives one.
func (g *Gateway) Send(t testing.TB, method, path string, body any, header ...string) *Answer {
	t.Helper()
	answer, err := g.Try(method, path, body, header...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer
}

// Try is Send for tests that expect the connection to fail, or that run beside the test's own goroutine.
func (g *Gateway) Try(method, path string, body any, header ...string) (*Answer, error) {
	var data []byte
	var stream io.Reader
	switch body := body.(type) {
	case nil:
	case string:
		data = []byte(body)
	case []byte:
		data = body
	case *fhir.Value:
		data = body.AppendJSON(nil)
	case io.Reader:
		stream = body
	default:
		return nil, fmt.Errorf("a body of type %T", body)
	}
	if stream == nil && data != nil {
		stream = bytes.NewReader(data)
	}
	req, err := http.NewRequest(method, g.Root+path, stream)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/fhir+json")
	if stream != nil {
		req.Header.Set("Content-Type", "application/fhir+json")
	}
	if strings.HasSuffix(strings.TrimSuffix(req.URL.Path, "/"), "_search") {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i+1] == "" {
			req.Header.Del(header[i])
			continue
		}
		req.Header.Set(header[i], header[i+1])
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	answer := &Answer{Request: method + " " + path, Status: res.StatusCode, Header: res.Header}
	if answer.Body, err = io.ReadAll(res.Body); err != nil {
		return nil, err
	}
	g.watchAnswer(answer)
	return answer, nil
}

// Get reads or searches; it fails the test unless the answer is 200.
func (p *Party) Get(t testing.TB, path string) *Answer {
	t.Helper()
	return p.Do(t, "GET", path, nil).Want(t, 200)
}

// Create creates a resource and answers what was stored.
func (p *Party) Create(t testing.TB, body string) *fhir.Value {
	t.Helper()
	doc := Parse(t, []byte(body))
	answer := p.Do(t, "POST", fhir.ResourceType(doc), body, "Prefer", "return=representation").Want(t, 201)
	return answer.Doc(t)
}

// Want fails the test unless the answer has this status.
func (a *Answer) Want(t testing.TB, status int) *Answer {
	t.Helper()
	if a.Status != status {
		t.Fatalf("%s: answered %d, expected %d\n%.600s", a.Request, a.Status, status, a.Body)
	}
	return a
}

// Doc is the body.
func (a *Answer) Doc(t testing.TB) *fhir.Value {
	t.Helper()
	return Parse(t, a.Body)
}

// Outcome fails the test unless the answer is an OperationOutcome of this status, and answers its first issue.
func (a *Answer) Outcome(t testing.TB, status int) *fhir.Value {
	t.Helper()
	a.Want(t, status)
	doc := a.Doc(t)
	if fhir.ResourceType(doc) != "OperationOutcome" || len(doc.Get("issue").Items()) == 0 {
		t.Fatalf("%s: %d without an OperationOutcome: %.300s", a.Request, a.Status, a.Body)
	}
	issue := doc.Get("issue").Items()[0]
	if issue.Text("diagnostics") == "" || issue.Text("severity") == "" || issue.Text("code") == "" {
		t.Errorf("%s: an issue without severity, code or diagnostics: %s", a.Request, a.Body)
	}
	return issue
}

// Refs are Type/id of a searchset's matches, in order.
func (a *Answer) Refs(t testing.TB) []string { return a.refs(t, "match") }

// Included are Type/id of a searchset's includes.
func (a *Answer) Included(t testing.TB) []string { return a.refs(t, "include") }

func (a *Answer) refs(t testing.TB, mode string) []string {
	t.Helper()
	refs := []string{}
	for _, r := range a.resources(t, mode) {
		refs = append(refs, Ref(r))
	}
	return refs
}

// Matches are a searchset's matches.
func (a *Answer) Matches(t testing.TB) []*fhir.Value { t.Helper(); return a.resources(t, "match") }

func (a *Answer) resources(t testing.TB, mode string) []*fhir.Value {
	t.Helper()
	var out []*fhir.Value
	for _, entry := range a.Doc(t).Get("entry").Items() {
		if entry.Text("search", "mode") == mode {
			out = append(out, entry.Get("resource"))
		}
	}
	return out
}

// Link is a link of a Bundle as a path on the gateway's port, or "".
func (a *Answer) Link(t testing.TB, relation string) string {
	t.Helper()
	for _, link := range a.Doc(t).Get("link").Items() {
		if link.Text("relation") == relation {
			u, err := url.Parse(link.Text("url"))
			if err != nil {
				t.Fatal(err)
			}
			return u.RequestURI()
		}
	}
	return ""
}

// Follow gets a path on the gateway's port that a link named.
func (p *Party) Follow(t testing.TB, path string) *Answer {
	t.Helper()
	return p.g.Send(t, "GET", path, nil, "Authorization", p.Authorization(t))
}

// All are the matches of a search over all its pages.
func (p *Party) All(t testing.TB, query string) []*fhir.Value {
	t.Helper()
	var out []*fhir.Value
	for answer := p.Get(t, query); ; {
		out = append(out, answer.Matches(t)...)
		next := answer.Link(t, "next")
		if next == "" {
			return out
		}
		answer = p.Follow(t, next).Want(t, 200)
	}
}

// Ref is Type/id of a resource.
func Ref(r *fhir.Value) string { return fhir.ResourceType(r) + "/" + fhir.ID(r) }

// Refs are sorted Type/ids of resources.
func Refs(rs []*fhir.Value) []string {
	refs := []string{}
	for _, r := range rs {
		refs = append(refs, Ref(r))
	}
	slices.Sort(refs)
	return refs
}

// Parse reads JSON or fails the test.
func Parse(t testing.TB, data []byte) *fhir.Value {
	t.Helper()
	doc, err := fhir.Parse(data, fhir.Limits{Bytes: 64 << 20, Depth: 100})
	if err != nil {
		t.Fatalf("not readable as FHIR JSON: %v\n%.300s", err, data)
	}
	return doc
}

// Key is the key of an API client, for tests that make their own assertions.
func (g *Gateway) Key(t testing.TB, client string) *auth.Key {
	t.Helper()
	key, err := auth.ReadClientKey(g.Keys, client)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
