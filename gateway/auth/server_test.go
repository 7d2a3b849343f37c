package auth

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/gateway/exchange"
	"sotesilta/gateway/shared"
	"sotesilta/gateway/shared/redistest"
	"sotesilta/internal/terms"
)

func TestATokenSpeaksForTheRegisteredUser(t *testing.T) {
	w := newWorld(t)
	tok := w.token("jukola-ehr", Claims{
		User: "nurse", Name: "N.N.", Role: "PractitionerRole/nurse", Organization: "Organization/jukola", Purpose: consent.Care,
	}, "")
	require.Equal(t, "system/*.cruds", tok.Scope)

	caller, err := w.Authenticate(context.Background(), tok.Authorization())
	require.NoError(t, err)
	require.Equal(t, consent.Actor{
		Kind: consent.Professional, App: "jukola-ehr", User: "nurse", Name: "Nina Sairaanhoitaja",
		Person: "Practitioner/nurse", Role: "PractitionerRole/nurse", Controller: "Organization/county",
		Register: consent.Health, Unit: "Organization/jukola",
		Units: []string{"Organization/jukola", "Organization/home-nursing"}, Task: "3.1", Service: "4.1",
	}, caller.Actor)
	require.Equal(t, consent.Care, caller.Purpose)
	require.Equal(t, consent.Assertion{}, caller.Assertion)
	require.NotEmpty(t, caller.TokenID)
	require.Empty(t, caller.RequestID)
	require.True(t, caller.Allows("Patient", exchange.Read))
}

func TestTheAnswerIsAnOAuthTokenAnswer(t *testing.T) {
	w := newWorld(t)
	status, body, h := w.ask(w.assertion("jukola-ehr", Claims{User: "nurse"}), "system/Patient.rs")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "no-store", h.Get("Cache-Control"))
	require.Equal(t, "Bearer", body["token_type"])
	require.Equal(t, 300.0, body["expires_in"])
	require.Equal(t, "system/Patient.rs", body["scope"])

	// An independent reader checks it with the published key.
	res, err := http.Get(w.issuer + KeysPath)
	require.NoError(t, err)
	_, set, _ := read(t, res)
	published := set["keys"].([]any)
	require.Len(t, published, 1)
	for _, secret := range []string{"d", "p", "q", "k"} {
		require.NotContains(t, published[0], secret)
	}
	data, err := json.Marshal(published[0])
	require.NoError(t, err)
	var m jwk
	require.NoError(t, json.Unmarshal(data, &m))
	pub, err := m.public()
	require.NoError(t, err)
	parsed, err := jwt.Parse(body["access_token"].(string), func(tok *jwt.Token) (any, error) {
		require.Equal(t, pub.ID(), tok.Header["kid"])
		require.Equal(t, "at+jwt", tok.Header["typ"])
		return pub.key.(*ecdsa.PublicKey), nil
	}, jwt.WithValidMethods([]string{"ES256"}), jwt.WithAudience(w.fhir), jwt.WithIssuer(w.issuer), jwt.WithExpirationRequired())
	require.NoError(t, err)
	claims := parsed.Claims.(jwt.MapClaims)
	require.Equal(t, "jukola-ehr", claims["sub"])
	require.Equal(t, 300.0, claims["exp"].(float64)-claims["iat"].(float64))
	iua := claims["extensions"].(map[string]any)["ihe_iua"].(map[string]any)
	require.Equal(t, "Nina Sairaanhoitaja", iua["subject_name"])
	require.Equal(t, "90000000001", iua["national_provider_identifier"])
	require.Equal(t, []any{map[string]any{"system": terms.Purpose, "code": "care"}}, iua["purpose_of_use"])
}

func TestBadRequestsAreRefused(t *testing.T) {
	w := newWorld(t)
	good := func() url.Values {
		return url.Values{
			"grant_type": {"client_credentials"}, "client_assertion_type": {assertionType},
			"client_assertion": {w.assertion("jukola-ehr", Claims{})},
		}
	}
	const form = "application/x-www-form-urlencoded"
	with := func(name string, values ...string) string {
		f := good()
		f[name] = values
		return f.Encode()
	}
	for name, c := range map[string]struct {
		contentType, body string
		status            int
		code              string
	}{
		"JSON":                {"application/json", `{"grant_type":"client_credentials"}`, 400, "invalid_request"},
		"no content type":     {"", good().Encode(), 400, "invalid_request"},
		"empty":               {form, "", 400, "invalid_request"},
		"another grant":       {form, with("grant_type", "password"), 400, "unsupported_grant_type"},
		"no assertion type":   {form, with("client_assertion_type"), 400, "invalid_request"},
		"no assertion":        {form, with("client_assertion"), 400, "invalid_request"},
		"assertion twice":     {form, with("client_assertion", "a", "b"), 400, "invalid_request"},
		"scope twice":         {form, with("scope", "system/*.r", "system/*.s"), 400, "invalid_request"},
		"oversized":           {form, with("scope", strings.Repeat("x", maxTokenBody)), 413, "invalid_request"},
		"broken escape":       {form, "grant_type=%zz", 400, "invalid_request"},
		"client_id of others": {form, with("client_id", "omaks"), 401, "invalid_client"},
	} {
		t.Run(name, func(t *testing.T) {
			status, body, _ := w.post(c.contentType, c.body)
			require.Equal(t, c.status, status, body)
			require.Equal(t, c.code, body["error"])
		})
	}
	res, err := http.Post(w.tokenURL+"?client_assertion=x", form, strings.NewReader(good().Encode()))
	require.NoError(t, err)
	status, body, _ := read(t, res)
	require.Equal(t, 400, status)
	require.Equal(t, "invalid_request", body["error"])
	require.Zero(t, w.used.asked)
}

func TestNoTokenWhenTheUseCannotBeRecorded(t *testing.T) {
	w := newWorld(t)
	w.used.err = errors.New("disk full at /somewhere")
	status, body, h := w.ask(w.assertion("jukola-ehr", Claims{}), "")
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Equal(t, "1", h.Get("Retry-After"))
	require.NotContains(t, body, "access_token")
	require.NotContains(t, body["error_description"], "disk")
	require.Contains(t, w.log.String(), "disk full")
}

func TestTheSMARTDocumentSaysWhatIsImplemented(t *testing.T) {
	w := newWorld(t)
	res, err := http.Get(w.fhir + "/.well-known/smart-configuration")
	require.NoError(t, err)
	status, body, h := read(t, res)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "application/json", h.Get("Content-Type"))
	require.Equal(t, w.tokenURL, body["token_endpoint"])
	require.Equal(t, []any{"client_credentials"}, body["grant_types_supported"])
	require.Equal(t, []any{"private_key_jwt"}, body["token_endpoint_auth_methods_supported"])
	require.Equal(t, []any{"ES384", "RS384"}, body["token_endpoint_auth_signing_alg_values_supported"])
	require.Equal(t, []any{"client-confidential-asymmetric", "permission-v2"}, body["capabilities"])
	require.Equal(t, []any{"S256"}, body["code_challenge_methods_supported"], "demanded of every server, never plain")
	require.NotContains(t, body, "authorization_endpoint")
	for _, address := range []string{w.fhir + "/.well-known/smart-configuration", strings.TrimSuffix(w.fhir, "/fhir") + KeysPath} {
		res, err := http.Head(address)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, res.StatusCode, "HEAD where GET is")
	}
}

func TestAFloodIsStoppedBeforeTheSignature(t *testing.T) {
	forged := func(w *world, client string) string {
		text := w.sign(w.keys[client], w.claims(client))
		return text[:strings.LastIndexByte(text, '.')+1] + b64(make([]byte, 96))
	}
	t.Run("per remote address", func(t *testing.T) {
		w := newWorld(t, func(c *Config) { c.Limits = Limits{PerRemote: 0.001, PerClient: 1000, Burst: 3} })
		for range 3 {
			status, _, _ := w.ask(forged(w, "omaks"), "")
			require.Equal(t, http.StatusUnauthorized, status)
		}
		status, body, h := w.ask(w.assertion("jukola-ehr", Claims{}), "")
		require.Equal(t, http.StatusTooManyRequests, status)
		require.Equal(t, "temporarily_unavailable", body["error"])
		require.NotEmpty(t, h.Get("Retry-After"))
	})
	t.Run("per client", func(t *testing.T) {
		w := newWorld(t, func(c *Config) { c.Limits = Limits{PerClient: 0.001, PerRemote: 1000, Burst: 3} })
		w.perRemote = nil
		for range 3 {
			status, _, _ := w.ask(forged(w, "omaks"), "")
			require.Equal(t, http.StatusUnauthorized, status)
		}
		status, _, _ := w.ask(w.assertion("omaks", Claims{}), "")
		require.Equal(t, http.StatusTooManyRequests, status)
		status, _, _ = w.ask(w.assertion("jukola-ehr", Claims{}), "")
		require.Equal(t, http.StatusOK, status, "other clients are not held up")
	})
	t.Run("whichever node it comes to", func(t *testing.T) {
		redis := redistest.Start(t)
		node := func() *world {
			return newWorld(t, func(c *Config) {
				c.Limits = Limits{PerClient: 0.001, PerRemote: 1000, Burst: 3, Memory: shared.New(redis.Client, slog.New(slog.DiscardHandler))}
			})
		}
		one, other := node(), node()
		for i, w := range []*world{one, other, one, other, one} {
			status, _, _ := w.ask(forged(w, "omaks"), "")
			want := http.StatusUnauthorized
			if i >= 3 {
				want = http.StatusTooManyRequests
			}
			require.Equal(t, want, status, "request %d", i)
		}
		keys, err := redis.Client.Keys(t.Context(), "*").Result()
		require.NoError(t, err)
		require.NotEmpty(t, keys)

		// Without Redis each node counts for itself, and nobody is let in beyond that.
		redis.Kill()
		for i := range 5 {
			status, _, _ := other.ask(forged(other, "omaks"), "")
			require.Equal(t, i >= 3, status == http.StatusTooManyRequests, "request %d is answered %d", i, status)
		}
	})
	t.Run("an address is its network", func(t *testing.T) {
		require.Equal(t, remoteKey("2001:db8::1"), remoteKey("2001:db8::ffff"))
		require.NotEqual(t, remoteKey("2001:db8::1"), remoteKey("2001:db8:0:1::1"))
		require.Equal(t, remoteKey("192.0.2.1"), remoteKey("::ffff:192.0.2.1"))
	})
}

func TestSecretsStayOutOfLogsAndAnswers(t *testing.T) {
	w := newWorld(t)
	good := w.assertion("jukola-ehr", Claims{User: "nurse"})
	status, body, _ := w.ask(good, "")
	require.Equal(t, http.StatusOK, status)
	secrets := []string{good, body["access_token"].(string), "010190-999X", "marker-of-a-claim"}
	c := w.claims("jukola-ehr")
	c["extensions"] = map[string]any{"ihe_iua": map[string]any{"national_provider_identifier": "010190-999X"}}
	d := w.claims("marker-of-a-claim")
	answers := []map[string]any{}
	for _, text := range []string{good, w.sign(w.keys["jukola-ehr"], c), w.sign(w.keys["jukola-ehr"], d), good + "x"} {
		_, body, _ := w.ask(text, "marker-of-a-claim")
		answers = append(answers, body)
		secrets = append(secrets, text)
	}
	private, err := w.keys["jukola-ehr"].MarshalJWK()
	require.NoError(t, err)
	var m jwk
	require.NoError(t, json.Unmarshal(private, &m))
	secrets = append(secrets, m.D)
	said := w.log.String() + string(mustJSON(answers)) + w.keys["jukola-ehr"].String()
	_, err = w.Authenticate(context.Background(), "Bearer "+good)
	said += err.Error() + challenge(err)
	for _, secret := range secrets {
		require.NotContains(t, said, secret)
	}
	require.Contains(t, said, "unknown client")
	require.Contains(t, said, "token issued")
}

func mustMembers(k PublicKey) jwk {
	m, err := k.members()
	if err != nil {
		panic(err)
	}
	return m
}

func mustJSON(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}
