// Package hostile sends what no honest client would to the token endpoint and the MLLP listener: each is refused
// precisely, changes nothing, and the process keeps serving.
package hostile

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"sotesilta/gateway/auth"
	"sotesilta/test/gatewaytest"
)

func TestMain(m *testing.M) { os.Exit(gatewaytest.Main(m)) }

// serving fails the test unless the gateway still serves, tokens and data.
func serving(t *testing.T, g *gatewaytest.Gateway) {
	t.Helper()
	g.Send(t, "GET", "/readyz", nil, "Accept", "*/*").Want(t, 200)
	if got := len(g.Nurse().Get(t, "Observation?patient=Patient/onni").Matches(t)); got < 3 {
		t.Errorf("the nurse sees %d Observations of onni", got)
	}
}

// honest is an assertion of a client as it should be, taken apart.
func honest(t *testing.T, g *gatewaytest.Gateway, client string) (header, claims map[string]any, raw string) {
	t.Helper()
	raw, err := auth.Assertion(g.Key(t, client), client, g.TokenURL(), auth.Claims{User: "nurse"})
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(raw, ".")
	for i, into := range []*map[string]any{&header, &claims} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, into); err != nil {
			t.Fatal(err)
		}
	}
	return header, claims, raw
}

// sign makes an assertion with any header, claims and key.
func sign(t *testing.T, header, claims map[string]any, method jwt.SigningMethod, key any) string {
	t.Helper()
	token := jwt.NewWithClaims(method, jwt.MapClaims(claims))
	token.Header = maps.Clone(header)
	token.Header["alg"] = method.Alg()
	raw, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// private is the private key of an API client as golang-jwt takes it.
func private(t *testing.T, g *gatewaytest.Gateway, client string) *ecdsa.PrivateKey {
	t.Helper()
	text, err := os.ReadFile(g.Keys + "/clients/" + client + ".jwk")
	if err != nil {
		t.Fatal(err)
	}
	var jwk struct{ D, X, Y string }
	if err := json.Unmarshal(text, &jwk); err != nil {
		t.Fatal(err)
	}
	d, err := base64.RawURLEncoding.DecodeString(jwk.D)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P384(), d)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// withKey is a header that brings the key to check it with.
func withKey(header map[string]any, key *ecdsa.PrivateKey) map[string]any {
	public, err := key.PublicKey.Bytes()
	if err != nil {
		panic(err)
	}
	half := (len(public) - 1) / 2
	brought := maps.Clone(header)
	brought["jwk"] = map[string]any{
		"kty": "EC", "crv": "P-384", "kid": header["kid"],
		"x": base64.RawURLEncoding.EncodeToString(public[1 : 1+half]), "y": base64.RawURLEncoding.EncodeToString(public[1+half:]),
	}
	return brought
}

func form(values ...string) string {
	all := url.Values{}
	for i := 0; i+1 < len(values); i += 2 {
		all.Add(values[i], values[i+1])
	}
	return all.Encode()
}

const (
	grantType     = "client_credentials"
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
)

func exchange(assertion string, more ...string) string {
	return form(append([]string{"grant_type", grantType, "client_assertion_type", assertionType, "client_assertion", assertion}, more...)...)
}

// "Wrong or missing token, wrong audience, expired or replayed assertion": each is an OAuth error that names what is
// wrong to who proved itself, and tells nobody else who is registered.
func TestAssertions(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		key := private(t, g, "jukola-ehr")
		other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		header, claims, _ := honest(t, g, "jukola-ehr")
		with := func(edit func(header, claims map[string]any)) string {
			h, c := maps.Clone(header), maps.Clone(claims)
			c["jti"] = rand.Text()
			edit(h, c)
			return sign(t, h, c, jwt.SigningMethodES384, key)
		}
		claim := func(name string, value any) string {
			return with(func(_, c map[string]any) {
				if c[name] = value; value == nil {
					delete(c, name)
				}
			})
		}
		// The test's own signing is sound: an honest assertion made this way is taken.
		post := func(body string, header ...string) *gatewaytest.Answer {
			return g.Send(t, "POST", auth.TokenPath, body, append([]string{"Content-Type", "application/x-www-form-urlencoded"}, header...)...)
		}
		post(exchange(with(func(_, _ map[string]any) {}))).Want(t, 200)
		now := time.Now().Unix()
		unsigned := func() string {
			_, _, raw := honest(t, g, "jukola-ehr")
			parts := strings.Split(raw, ".")
			none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT","kid":"` + header["kid"].(string) + `"}`))
			return none + "." + parts[1] + "."
		}()
		unknown, foreign := "", ""
		for name, tc := range map[string]struct {
			body   string
			status int
			code   string
			keep   *string
		}{
			"nothing":                       {"", 400, "invalid_request", nil},
			"no assertion":                  {form("grant_type", grantType, "client_assertion_type", assertionType), 400, "invalid_request", nil},
			"two assertions":                {exchange("a.b.c") + "&client_assertion=d", 400, "invalid_request", nil},
			"another grant":                 {strings.Replace(exchange(claim("x", 1)), grantType, "password", 1), 400, "unsupported_grant_type", nil},
			"another kind of assertion":     {form("grant_type", grantType, "client_assertion_type", "x", "client_assertion", claim("x", 1)), 400, "invalid_request", nil},
			"garbage":                       {exchange("garbage"), 401, "invalid_client", nil},
			"three empty parts":             {exchange(".."), 401, "invalid_client", nil},
			"alg none":                      {exchange(unsigned), 401, "invalid_client", nil},
			"symmetric with the public key": {exchange(sign(t, header, claims, jwt.SigningMethodHS384, []byte("secret"))), 401, "invalid_client", nil},
			"wrong audience":                {exchange(claim("aud", "https://elsewhere.example/token")), 401, "invalid_client", nil},
			"audience of the FHIR base":     {exchange(claim("aud", g.Root+"/fhir")), 401, "invalid_client", nil},
			"several audiences":             {exchange(claim("aud", []string{g.TokenURL(), "https://elsewhere.example/token"})), 401, "invalid_client", nil},
			"no audience":                   {exchange(claim("aud", nil)), 401, "invalid_client", nil},
			"expired":                       {exchange(claim("exp", now-60)), 401, "invalid_client", nil},
			"expires in an hour":            {exchange(claim("exp", now+3600)), 401, "invalid_client", nil},
			"never expires":                 {exchange(claim("exp", nil)), 401, "invalid_client", nil},
			"expiry that is no time":        {exchange(claim("exp", "tomorrow")), 401, "invalid_client", nil},
			"not yet valid":                 {exchange(claim("nbf", now+200)), 401, "invalid_client", nil},
			"issued in the future":          {exchange(claim("iat", now+200)), 401, "invalid_client", nil},
			"no jti":                        {exchange(claim("jti", nil)), 401, "invalid_client", nil},
			"a very long jti":               {exchange(claim("jti", strings.Repeat("j", 10000))), 401, "invalid_client", nil},
			"issuer and subject differ":     {exchange(claim("sub", "county-social")), 401, "invalid_client", nil},
			"no issuer":                     {exchange(claim("iss", nil)), 401, "invalid_client", nil},
			"another client's name":         {exchange(with(func(_, c map[string]any) { c["iss"], c["sub"] = "county-social", "county-social" })), 401, "invalid_client", &foreign},
			"an unknown client":             {exchange(with(func(_, c map[string]any) { c["iss"], c["sub"] = "county-secret", "county-secret" })), 401, "invalid_client", &unknown},
			"another key":                   {exchange(sign(t, header, claims, jwt.SigningMethodES384, other)), 401, "invalid_client", nil},
			"no kid":                        {exchange(with(func(h, _ map[string]any) { delete(h, "kid") })), 401, "invalid_client", nil},
			"an unknown kid":                {exchange(with(func(h, _ map[string]any) { h["kid"] = "other" })), 401, "invalid_client", nil},
			"keys from elsewhere":           {exchange(with(func(h, _ map[string]any) { h["jku"] = "https://elsewhere.example/jwks" })), 401, "invalid_client", nil},
			"its own key in the header":     {exchange(sign(t, withKey(header, other), claims, jwt.SigningMethodES384, other)), 401, "invalid_client", nil},
			"another client_id":             {exchange(claim("x", 1), "client_id", "county-social"), 401, "invalid_client", nil},
			"a user of another client": {exchange(claim("extensions", map[string]any{"ihe_iua": map[string]any{
				"version": "1", "national_provider_identifier": "social-worker",
			}})), 400, "invalid_grant", nil},
			"a purpose not registered": {exchange(claim("extensions", map[string]any{"ihe_iua": map[string]any{
				"version": "1", "national_provider_identifier": "nurse",
				"purpose_of_use": []any{map[string]any{"code": "supervision"}},
			}})), 400, "invalid_grant", nil},
			"scopes not registered": {exchange(claim("x", 1), "scope", "user/*.cruds"), 400, "invalid_scope", nil},
			"scopes that are none":  {exchange(claim("x", 1), "scope", "everything"), 400, "invalid_scope", nil},
			"32 KB and more":        {exchange(strings.Repeat("a", 40<<10)), 413, "", nil},
		} {
			t.Run(name, func(t *testing.T) {
				answer := post(tc.body)
				if tc.code == "" && answer.Status >= 400 && answer.Status < 500 {
					return
				}
				if tc.status == 401 && answer.Status == 400 {
					answer.Status = 401 // RFC 6749 § 5.2 allows both for invalid_client
				}
				answer.Want(t, tc.status)
				var refused struct {
					Error       string `json:"error"`
					Description string `json:"error_description"`
					Token       string `json:"access_token"`
				}
				if err := json.Unmarshal(answer.Body, &refused); err != nil || refused.Error != tc.code || refused.Description == "" || refused.Token != "" {
					t.Errorf("%s: want %s", answer.Body, tc.code)
				}
				if answer.Header.Get("Cache-Control") != "no-store" {
					t.Errorf("Cache-Control: %q", answer.Header.Get("Cache-Control"))
				}
				if tc.keep != nil {
					*tc.keep = string(answer.Body)
				}
			})
		}
		if unknown != foreign || unknown == "" {
			t.Errorf("the token endpoint tells who is registered:\n%s\n%s", unknown, foreign)
		}
		post(exchange(claim("x", 1)), "Content-Type", "application/json").Want(t, 400)
		if allow := g.Send(t, "GET", auth.TokenPath+"?"+exchange(claim("x", 1)), nil).Want(t, 405).Header.Get("Allow"); allow != "POST" {
			t.Errorf("Allow: %q", allow)
		}
		serving(t, g)
	})
}

// An assertion is good once: in a row, and sixteen times at once.
func TestReplay(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		assertion := func() string {
			_, _, raw := honest(t, g, "jukola-ehr")
			return raw
		}
		once := assertion()
		if _, err := auth.Fetch(context.Background(), g.TokenURL(), once, ""); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			var refused *auth.TokenError
			if _, err := auth.Fetch(context.Background(), g.TokenURL(), once, ""); !errors.As(err, &refused) || refused.Code != "invalid_client" {
				t.Errorf("the assertion sent again: %v", err)
			}
		}
		race := assertion()
		var mu sync.Mutex
		got := map[string]int{}
		var group sync.WaitGroup
		for range 16 {
			group.Go(func() {
				_, err := auth.Fetch(context.Background(), g.TokenURL(), race, "")
				outcome := "token"
				var refused *auth.TokenError
				if errors.As(err, &refused) {
					outcome = refused.Code
				} else if err != nil {
					outcome = err.Error()
				}
				mu.Lock()
				got[outcome]++
				mu.Unlock()
			})
		}
		group.Wait()
		if got["token"] != 1 || got["invalid_client"] != 15 {
			t.Errorf("one assertion sent sixteen times at once: %v", got)
		}
		serving(t, g)
	})
}
