package sandbox

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"sotesilta/consent"
	"sotesilta/gateway/auth"
	"sotesilta/internal/fhir"
)

// Party is one API client, with the user it speaks for, as the gateway's own client: it gets its tokens by
// private_key_jwt and speaks HTTP, nothing else.
type Party struct {
	Root   string // the gateway's public root, such as http://localhost:8080
	Client string
	User   string
	Key    *auth.Key
	// Purpose and Ground are claimed in the assertion; empty for ordinary care.
	Purpose consent.Purpose
	Ground  *consent.Assertion

	token auth.Token
}

// Name is user@client, or the client alone.
func (p *Party) Name() string {
	if p.User == "" {
		return p.Client
	}
	return p.User + "@" + p.Client
}

// Answer is what the gateway answered.
type Answer struct {
	Status    int
	RequestID string // X-Request-Id: the id of the exchange's first ledger record
	ETag      string
	Doc       *fhir.Value // nil when there is no body
}

// Total is the number of matches in a searchset.
func (a *Answer) Matches() []*fhir.Value {
	var out []*fhir.Value
	for _, entry := range a.Doc.Get("entry").Items() {
		if mode := entry.Text("search", "mode"); mode == "" || mode == "match" {
			out = append(out, entry.Get("resource"))
		}
	}
	return out
}

// answerLimit bounds what is read of an answer.
const answerLimit = 16 << 20

var httpClient = &http.Client{Timeout: 30 * time.Second}

// Do sends one request below the FHIR base. body may be nil; a url-encoded search is sent where it begins without {.
func (p *Party) Do(ctx context.Context, method, path string, body []byte, header ...string) (*Answer, error) {
	if err := p.authorize(ctx); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, p.Root+"/fhir/"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", p.token.Authorization())
	req.Header.Set("Accept", "application/fhir+json")
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/fhir+json")
		if body[0] != '{' {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := httpClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, answerLimit))
	if err != nil {
		return nil, err
	}
	answer := &Answer{Status: res.StatusCode, RequestID: res.Header.Get("X-Request-Id"), ETag: res.Header.Get("ETag")}
	if len(data) > 0 && strings.Contains(res.Header.Get("Content-Type"), "json") {
		if answer.Doc, err = fhir.Parse(data, fhir.Limits{Bytes: answerLimit, Depth: fhir.DefaultLimits.Depth}); err != nil {
			return nil, fmt.Errorf("%s %s: the answer cannot be read: %w", method, path, err)
		}
	}
	return answer, nil
}

// authorize gets a token when there is none, or it is about to expire.
func (p *Party) authorize(ctx context.Context) error {
	if p.token.AccessToken != "" && time.Until(p.token.Expires) > 30*time.Second {
		return nil
	}
	tokenURL := p.Root + auth.TokenPath
	assertion, err := auth.Assertion(p.Key, p.Client, tokenURL, auth.Claims{User: p.User, Purpose: p.Purpose, Ground: p.Ground})
	if err != nil {
		return err
	}
	p.token, err = auth.Fetch(ctx, tokenURL, assertion, "")
	if err != nil {
		return fmt.Errorf("token for %s: %w", p.Name(), err)
	}
	return nil
}
