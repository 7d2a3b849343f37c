package oracle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"sotesilta/gateway/auth"
)

// Access is how requests of one party are authorised.
type Access interface {
	// Authorization is the value of the header, or "" for none.
	Authorization(ctx context.Context) (string, error)
}

// Open is access without credentials, to a server that asks for none.
type Open struct{}

// Authorization implements Access.
func (Open) Authorization(context.Context) (string, error) { return "", nil }

// Bearer is an access token that somebody else got.
type Bearer string

// Authorization implements Access.
func (b Bearer) Authorization(context.Context) (string, error) { return "Bearer " + string(b), nil }

// Backend is a client of SMART Backend Services (client_credentials with a private_key_jwt), and the user that it speaks
// for where the server reads the claims of IHE IUA. Tokens are renewed before they expire.
type Backend struct {
	TokenURL string
	Client   string
	Key      *auth.Key
	Claims   auth.Claims
	Scope    string

	mu    sync.Mutex
	token auth.Token
}

// Authorization implements Access.
func (b *Backend) Authorization(ctx context.Context) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if time.Until(b.token.Expires) > 20*time.Second {
		return b.token.Authorization(), nil
	}
	assertion, err := auth.Assertion(b.Key, b.Client, b.TokenURL, b.Claims)
	if err != nil {
		return "", err
	}
	if b.token, err = auth.Fetch(ctx, b.TokenURL, assertion, b.Scope); err != nil {
		return "", err
	}
	return b.token.Authorization(), nil
}

// TokenURL is the token endpoint that a server's SMART configuration names (SMART App Launch 2.2 § 7).
func TokenURL(ctx context.Context, base string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(base, "/")+"/.well-known/smart-configuration", nil)
	if err != nil {
		return "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	var smart struct {
		Token string `json:"token_endpoint"`
	}
	if res.StatusCode != http.StatusOK || json.NewDecoder(http.MaxBytesReader(nil, res.Body, 1<<20)).Decode(&smart) != nil || smart.Token == "" {
		return "", errors.New("the server's SMART configuration names no token endpoint: give --token-url")
	}
	return smart.Token, nil
}

// party is one set of credentials on one server, and its connection.
type party struct {
	base   string
	access Access
	client *http.Client
	sent   int
}

func newParty(base string, access Access) *party {
	if access == nil {
		access = Open{}
	}
	return &party{base: strings.TrimSuffix(base, "/"), access: access, client: &http.Client{
		Timeout: 60 * time.Second,
		// One connection: what is measured is the server, not the dialling.
		Transport:     &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 1, MaxConnsPerHost: 1, Proxy: http.ProxyFromEnvironment},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 32 << 20

// do sends one request to a path below the base; an address with a scheme stands for itself.
func (p *party) do(ctx context.Context, q request) (*answer, error) {
	address := q.path
	if !strings.HasPrefix(address, "http://") && !strings.HasPrefix(address, "https://") {
		address = strings.TrimSuffix(p.base+"/"+q.path, "/")
	} else if !sameHost(address, p.base) { // the token goes nowhere else
		return nil, fmt.Errorf("%s is on another host than %s", address, p.base)
	}
	req, err := http.NewRequestWithContext(ctx, q.method, address, strings.NewReader(q.body))
	if err != nil {
		return nil, err
	}
	if q.body == "" {
		req.Body, req.ContentLength = nil, 0
	}
	authorization, err := p.access.Authorization(ctx)
	if err != nil {
		return nil, err
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	req.Header.Set("Accept", "application/fhir+json")
	if q.body != "" {
		req.Header.Set("Content-Type", "application/fhir+json")
		if strings.HasSuffix(strings.TrimSuffix(req.URL.Path, "/"), "/_search") {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
	}
	for i := 0; i+1 < len(q.header); i += 2 {
		req.Header.Set(q.header[i], q.header[i+1])
	}
	p.sent++
	begun := time.Now()
	res, err := p.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	a := &answer{status: res.StatusCode, header: res.Header, length: res.ContentLength}
	if a.body, err = readAll(res.Body); err != nil {
		return nil, err
	}
	a.took = time.Since(begun)
	return a, nil
}
