package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
)

// Whoever asks learns nothing of registrations from the time an answer takes: every assertion that is not as registered
// is held against a key of its algorithm and of the usual size, like one whose signature does not hold.
func TestRefusalsCostOneVerificationEach(t *testing.T) {
	w := newWorld(t)
	client, ok := w.Registry().Client("county-social") // has a key of each kind
	require.True(t, ok)
	for alg, key := range map[string]*Key{ES384: w.keys["county-social"], RS384: rsaKey()} {
		other := map[string]string{ES384: rsaKey().public.id, RS384: w.keys["county-social"].public.id}[alg]
		signed := func(change func(*assertion)) *assertion {
			a, err := readAssertion(w.sign(key, w.claims("county-social")))
			require.NoError(t, err)
			a.sig[0] ^= 1
			change(a)
			return a
		}
		type asked struct {
			*assertion
			client *Client
		}
		refused := map[string]asked{
			"bad signature":    {signed(func(*assertion) {}), client},
			"unknown client":   {signed(func(*assertion) {}), nil},
			"unknown key":      {signed(func(a *assertion) { a.header.Kid = "x" }), client},
			"another key":      {signed(func(a *assertion) { a.header.Kid = other }), client},
			"another's jku":    {signed(func(a *assertion) { a.header.Jku = "https://a.fi/keys" }), client},
			"no jku is known":  {signed(func(a *assertion) { a.header.Jku = "https://a.fi/keys" }), nil},
			"nothing is known": {signed(func(a *assertion) { a.header.Kid = "x" }), nil},
		}
		for name, a := range refused {
			key, _ := a.verifier(t.Context(), a.client)
			require.Equal(t, alg, key.alg, name)
			switch public := key.key.(type) {
			case *ecdsa.PublicKey:
				require.Equal(t, elliptic.P384(), public.Curve, name)
			case *rsa.PublicKey:
				require.Equal(t, rsaKey().public.key.(*rsa.PublicKey).Size(), public.Size(), name)
				require.Equal(t, 65537, public.E, name)
				require.Negative(t, new(big.Int).SetBytes(a.sig).Cmp(public.N), "%s: a signature beyond the modulus is refused without a verification", name)
			default:
				t.Fatalf("%s is held against a %T", name, public)
			}
			require.Error(t, key.verify(a.signed, a.sig), name)
			require.Error(t, a.verify(t.Context(), a.client), name)
		}
	}
}

// An id that is not registered is limited as one that is: 429 tells nothing either.
func TestUnknownClientsAreLimitedAsKnownOnes(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Limits = Limits{PerClient: 0.001, PerRemote: 1000, Burst: 3} })
	w.perRemote = nil
	for _, id := range []string{"jukola-ehr", "nobody", "nobody-else"} {
		for i := range 5 {
			claims := w.claims(id)
			status, _, _ := w.ask(w.sign(rsaKey(), claims), "")
			want := http.StatusUnauthorized
			if i >= 3 {
				want = http.StatusTooManyRequests
			}
			require.Equal(t, want, status, "%s, request %d", id, i)
		}
	}
}

func TestBothAlgorithmsOfSMARTAreTaken(t *testing.T) {
	w := newWorld(t)
	for alg, key := range map[string]*Key{ES384: w.keys["county-social"], RS384: rsaKey()} {
		require.Equal(t, alg, key.Public().Algorithm())
		text, err := assertionAt(w.clock.now(), key, "county-social", w.tokenURL, Claims{User: "social-worker"})
		require.NoError(t, err)
		status, _, _ := w.ask(text, "")
		require.Equal(t, http.StatusOK, status, alg)
	}
	// An assertion by golang-jwt itself, as another vendor's client would write it.
	tok := jwt.NewWithClaims(jwt.SigningMethodES384, jwt.MapClaims(w.claims("jukola-ehr")))
	tok.Header["kid"] = w.keys["jukola-ehr"].Public().ID()
	text, err := tok.SignedString(w.keys["jukola-ehr"].signer)
	require.NoError(t, err)
	status, body, _ := w.ask(text, "")
	require.Equal(t, http.StatusOK, status, body)
}

func TestBadAssertionsAreRefused(t *testing.T) {
	w := newWorld(t)
	key, other := w.keys["jukola-ehr"], w.keys["omaks"]
	with := func(change func(map[string]any)) string {
		c := w.claims("jukola-ehr")
		change(c)
		return w.sign(key, c)
	}
	set := func(name string, value any) string { return with(func(c map[string]any) { c[name] = value }) }
	now := w.clock.now()
	good := w.sign(key, w.claims("jukola-ehr"))
	cut := strings.LastIndexByte(good, '.')

	hmac := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims(w.claims("jukola-ehr")))
	hmac.Header["kid"] = key.Public().ID()
	public, err := json.Marshal(mustMembers(key.Public()))
	require.NoError(t, err)
	confused, err := hmac.SignedString(public)
	require.NoError(t, err)
	none := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims(w.claims("jukola-ehr")))
	unsigned, err := none.SignedString(jwt.UnsafeAllowNoneSignatureType)
	require.NoError(t, err)
	raw := func(head, payload string) string {
		signed := b64([]byte(head)) + "." + b64([]byte(payload))
		sig, err := key.public.method.Sign(signed, key.signer)
		require.NoError(t, err)
		return signed + "." + b64(sig)
	}
	head := `{"alg":"ES384","kid":"` + key.Public().ID() + `"}`

	for name, c := range map[string]struct {
		assertion, says string
	}{
		"wrong audience":            {set("aud", "https://elsewhere.example/auth/token"), "aud"},
		"several audiences":         {set("aud", []string{w.tokenURL, "https://elsewhere.example"}), "aud"},
		"audience of the FHIR base": {set("aud", w.fhir), "aud"},
		"no audience":               {with(func(c map[string]any) { delete(c, "aud") }), "aud"},
		"expired":                   {set("exp", now.Unix()), "expired"},
		"far too long a life":       {set("exp", now.Add(6*time.Minute).Unix()), "five minutes"},
		"no exp":                    {with(func(c map[string]any) { delete(c, "exp") }), "exp"},
		"exp of another world":      {set("exp", 1e300), "exp"},
		"issued in the future":      {set("iat", now.Add(time.Minute).Unix()), "iat"},
		"not yet":                   {set("nbf", now.Add(time.Minute).Unix()), "nbf"},
		"no jti":                    {with(func(c map[string]any) { delete(c, "jti") }), "jti"},
		"endless jti":               {set("jti", strings.Repeat("x", 257)), "jti"},
		"sub is not iss":            {set("sub", "omaks"), "iss and sub"},
		"unknown client":            {w.sign(key, w.claims("nobody")), notProved},
		"another client's key":      {w.sign(other, w.claims("jukola-ehr")), notProved},
		"another client's key, kid": {w.sign(&Key{PublicKey{id: key.public.id, alg: ES384, method: jwt.SigningMethodES384}, other.signer}, w.claims("jukola-ehr")), notProved},
		"unknown kid":               {w.sign(&Key{PublicKey{id: "no-such", alg: ES384, method: jwt.SigningMethodES384}, key.signer}, w.claims("jukola-ehr")), notProved},
		"RS384 said of an EC key":   {strings.Replace(good, good[:strings.IndexByte(good, '.')], b64([]byte(strings.Replace(head, "ES384", "RS384", 1))), 1), notProved},
		"signature of another":      {good[:cut] + "." + b64(make([]byte, 96)), notProved},
		"signature empty":           {good[:cut] + ".", notProved},
		"alg none":                  {unsigned, "ES384 and RS384"},
		"HS256 with the public key": {confused, "ES384 and RS384"},
		"ES256":                     {w.sign(w.state.Load().key, w.claims("jukola-ehr")), "ES384 and RS384"},
		"no kid":                    {raw(`{"alg":"ES384"}`, `{}`), "kid"},
		"jku elsewhere":             {raw(strings.Replace(head, "{", `{"jku":"https://evil.example/keys",`, 1), string(mustJSON(w.claims("jukola-ehr")))), notProved},
		"crit":                      {raw(strings.Replace(head, "{", `{"crit":["exp"],`, 1), `{}`), "crit"},
		"claims twice":              {raw(head, `{"iss":"omaks","iss":"jukola-ehr"}`), "each once"},
		"header twice":              {raw(`{"alg":"none","alg":"ES384","kid":"x"}`, `{}`), "header"},
		"an access token":           {w.token("jukola-ehr", Claims{}, "").AccessToken, "ES384 and RS384"},
		"not a JWT":                 {"hello", "three parts"},
		"oversized":                 {good + strings.Repeat("A", maxJWS), "longer than"},
		"padding":                   {good + "=", "base64url"},
		"line end within":           {good[:cut] + "\n" + good[cut:], "base64url"},
		"payload is not an object":  {raw(head, `[]`), "claims"},
		"payload is broken UTF-8":   {raw(head, "{\"iss\":\"\xff\"}"), "claims"},
		"deep":                      {raw(head, strings.Repeat("[", 4000)), "claims"},
	} {
		t.Run(name, func(t *testing.T) {
			before := w.used.asked
			status, body, h := w.ask(c.assertion, "")
			require.Equal(t, http.StatusUnauthorized, status, body)
			require.Equal(t, "invalid_client", body["error"])
			require.Contains(t, body["error_description"], c.says)
			require.Equal(t, "no-store", h.Get("Cache-Control"))
			require.NotEmpty(t, h.Get("WWW-Authenticate"))
			require.NotContains(t, body, "access_token")
			require.Equal(t, before, w.used.asked, "a bad assertion reached the store")
		})
	}
	status, _, _ := w.ask(good, "")
	require.Equal(t, http.StatusOK, status, "the unspoiled one is good")
}

func TestAnAssertionOpensOneToken(t *testing.T) {
	w := newWorld(t)
	text := w.assertion("jukola-ehr", Claims{User: "nurse"})
	status, _, _ := w.ask(text, "")
	require.Equal(t, http.StatusOK, status)
	status, body, _ := w.ask(text, "")
	require.Equal(t, http.StatusUnauthorized, status)
	require.Equal(t, "invalid_client", body["error"])
	require.Contains(t, body["error_description"], "used before")

	// The same jti in a new assertion is the same use; another client's is not.
	c := w.claims("jukola-ehr")
	c["jti"] = "one"
	again := w.claims("jukola-ehr")
	again["jti"] = "one"
	again["exp"] = w.clock.now().Add(2 * time.Minute).Unix()
	theirs := w.claims("omaks")
	theirs["jti"] = "one"
	status, _, _ = w.ask(w.sign(w.keys["jukola-ehr"], c), "")
	require.Equal(t, http.StatusOK, status)
	status, _, _ = w.ask(w.sign(w.keys["jukola-ehr"], again), "")
	require.Equal(t, http.StatusUnauthorized, status)
	status, _, _ = w.ask(w.sign(w.keys["omaks"], theirs), "")
	require.Equal(t, http.StatusOK, status)
	for key, until := range w.used.keys {
		require.Len(t, key, len("assertion:")+64)
		require.True(t, until.After(w.clock.now()))
	}
}

func TestAnAssertionSentManyTimesAtOnceOpensOneToken(t *testing.T) {
	w := newWorld(t)
	text := w.assertion("jukola-ehr", Claims{User: "nurse"})
	var given, refused atomic.Int64
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			if _, err := Fetch(context.Background(), w.tokenURL, text, ""); err == nil {
				given.Add(1)
			} else {
				refused.Add(1)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, given.Load())
	require.EqualValues(t, 31, refused.Load())
}
