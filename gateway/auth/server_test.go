package auth

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
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

func TestClaimsBeyondTheRegistrationAreRefused(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		client string
		claims Claims
		code   string
		says   string
	}{
		"user of another client":              {"jukola-ehr", Claims{User: "social-worker"}, "invalid_grant", "not registered with this client"},
		"unknown user":                        {"jukola-ehr", Claims{User: "nobody"}, "invalid_grant", "not registered"},
		"a name without an identifier":        {"jukola-ehr", Claims{Name: "Nina"}, "invalid_grant", "identifier"},
		"another unit":                        {"jukola-ehr", Claims{User: "nurse", Organization: "Organization/home-nursing"}, "invalid_grant", "subject_organization_id"},
		"another's role":                      {"jukola-ehr", Claims{User: "nurse", Role: "PractitionerRole/student"}, "invalid_grant", "subject_role"},
		"another task":                        {"jukola-ehr", Claims{User: "student", Role: "3.1"}, "invalid_grant", "subject_role"},
		"purpose beyond the client":           {"jukola-ehr", Claims{User: "nurse", Purpose: consent.NeedAssessment, Ground: needAssessment}, "invalid_grant", "beyond"},
		"purpose beyond the user":             {"jukola-ehr", Claims{User: "student", Purpose: consent.Emergency, Ground: &consent.Assertion{Ground: "ATL-54.2"}}, "invalid_grant", "beyond"},
		"no such purpose":                     {"jukola-ehr", Claims{User: "nurse", Purpose: "curiosity"}, "invalid_grant", "purpose_of_use"},
		"statutory purpose without a ground":  {"county-social", Claims{User: "social-worker", Purpose: consent.NeedAssessment}, "invalid_grant", "extensions.sotesilta"},
		"statutory purpose, ground left open": {"county-social", Claims{User: "social-worker", Purpose: consent.NeedAssessment, Ground: &consent.Assertion{Reason: "please"}}, "invalid_grant", "extensions.sotesilta.ground"},
		"statutory purpose without a user":    {"county-social", Claims{Purpose: consent.NeedAssessment, Ground: needAssessment}, "invalid_grant", "beyond"},
		"an assertion without a user":         {"county-social", Claims{Ground: &consent.Assertion{Confirm: true}}, "invalid_grant", "needs a user"},
		"supervision by a professional":       {"jukola-ehr", Claims{User: "nurse", Purpose: consent.Supervision}, "invalid_grant", "beyond"},
		"own data by a professional":          {"omaks", Claims{User: "digi-nurse", Purpose: consent.OwnData}, "invalid_grant", "beyond"},
		"care by a client":                    {"omaks", Claims{User: "aino", Purpose: consent.Care}, "invalid_grant", "beyond"},
		"care by the auditor":                 {"auditor", Claims{Purpose: consent.Care}, "invalid_grant", "beyond"},
		"own-view app without a user":         {"my-data", Claims{}, "invalid_grant", "user"},
		"an identity code in the reason":      {"county-social", Claims{User: "social-worker", Purpose: consent.NeedAssessment, Ground: &consent.Assertion{Ground: "ATL-53.5b", Reason: "about 010190-999X"}}, "invalid_request", "identity code"},
		"an endless reason":                   {"county-social", Claims{User: "social-worker", Purpose: consent.NeedAssessment, Ground: &consent.Assertion{Ground: "ATL-53.5b", Reason: strings.Repeat("x", maxReason+1)}}, "invalid_request", "reason"},
		"a ground that is none":               {"county-social", Claims{User: "social-worker", Purpose: consent.NeedAssessment, Ground: &consent.Assertion{Ground: "because"}}, "invalid_request", "ground"},
	} {
		t.Run(name, func(t *testing.T) {
			refused := w.refused(c.client, c.claims, "")
			require.Equal(t, http.StatusBadRequest, refused.Status)
			require.Equal(t, c.code, refused.Code, refused.Description)
			require.Contains(t, refused.Description, c.says)
			require.Zero(t, w.used.asked)
		})
	}
}

// An emergency without a reason is no emergency: no token, a record of who claimed it, and none without the record.
func TestAnEmergencyIsClaimedWithItsReason(t *testing.T) {
	var recorded []exchange.Caller
	var fails error
	w := newWorld(t, func(c *Config) {
		c.Reasoned = func(text string) (bool, string) { return len(text) > 3, "four signs" }
		c.Refused = func(_ context.Context, who exchange.Caller, why string) error {
			require.Contains(t, why, "four signs")
			recorded = append(recorded, who)
			return fails
		}
	})
	claim := func(reason string) Claims {
		return Claims{User: "nurse", Purpose: consent.Emergency, Ground: &consent.Assertion{Ground: "ATL-54.2", Reason: reason}}
	}
	refused := w.refused("jukola-ehr", claim("x"), "")
	require.Equal(t, []any{http.StatusBadRequest, "invalid_grant"}, []any{refused.Status, refused.Code})
	require.Contains(t, refused.Description, "extensions.sotesilta.reason: four signs")
	require.Len(t, recorded, 1)
	require.Equal(t, "nurse", recorded[0].Actor.User)
	require.Equal(t, "x", recorded[0].Assertion.Reason)
	require.Equal(t, 1, w.used.asked, "the assertion is spent")
	fails = errors.New("no ledger")
	require.Equal(t, http.StatusServiceUnavailable, w.refused("jukola-ehr", claim(""), "").Status)
	recorded = nil
	require.NotEmpty(t, w.token("jukola-ehr", claim("unconscious"), ""))
	require.Empty(t, recorded)
}

func TestMalformedClaimsAreRefused(t *testing.T) {
	w := newWorld(t)
	for name, ext := range map[string]string{
		"two purposes":                `{"ihe_iua":{"national_provider_identifier":"nurse","purpose_of_use":["care","emergency"]}}`,
		"purpose of another system":   `{"ihe_iua":{"national_provider_identifier":"nurse","purpose_of_use":[{"system":"urn:oid:1.0.14265.1","code":"1"}]}}`,
		"unknown member of sotesilta": `{"ihe_iua":{"national_provider_identifier":"nurse"},"sotesilta":{"grounds":"ATL-54.2"}}`,
		"sotesilta is no object":      `{"ihe_iua":{"national_provider_identifier":"nurse"},"sotesilta":"ATL-54.2"}`,
		"nested facts":                `{"ihe_iua":{"national_provider_identifier":"nurse"},"sotesilta":{"facts":{"a":{"b":1}}}}`,
		"users that differ":           `{"ihe_iua":{"national_provider_identifier":"90000000001","user_id":"student"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			var value any
			require.NoError(t, json.Unmarshal([]byte(ext), &value))
			c := w.claims("jukola-ehr")
			c["extensions"] = value
			status, body, _ := w.ask(w.sign(w.keys["jukola-ehr"], c), "")
			require.Equal(t, http.StatusBadRequest, status, body)
		})
	}
}

// TestMisplacedClaimsAreRefused: claims that stand where nobody reads them would make the client the system without a
// user, and its answers those of another actor than it asked for.
func TestMisplacedClaimsAreRefused(t *testing.T) {
	w := newWorld(t)
	nurse := map[string]any{"national_provider_identifier": "nurse"}
	for name, c := range map[string]struct {
		member string
		value  any
		says   string
	}{
		"IUA at the top":          {"ihe_iua", nurse, "ihe_iua belongs in extensions"},
		"a ground at the top":     {"sotesilta", map[string]any{"ground": "ATL-53.5b"}, "sotesilta belongs in extensions"},
		"a name at the top":       {"subject_name", "Nina", "subject_name belongs in extensions.ihe_iua"},
		"a role at the top":       {"subject_role", "3.1", "subject_role belongs in extensions.ihe_iua"},
		"a user at the top":       {"user_id", "nurse", "user_id belongs in extensions.ihe_iua"},
		"a purpose at the top":    {"purpose_of_use", "care", "purpose_of_use belongs in extensions.ihe_iua"},
		"a unit at the top":       {"subject_organization_id", "Organization/jukola", "subject_organization_id belongs in extensions.ihe_iua"},
		"IUA claims one level up": {"extensions", nurse, "national_provider_identifier belongs in extensions.ihe_iua"},
		"a bare ground":           {"extensions", map[string]any{"ihe_iua": nurse, "ground": "ATL-53.5b"}, "ground belongs in extensions.sotesilta"},
	} {
		t.Run(name, func(t *testing.T) {
			claims := w.claims("jukola-ehr")
			claims[c.member] = c.value
			status, body, _ := w.ask(w.sign(w.keys["jukola-ehr"], claims), "")
			require.Equal(t, http.StatusBadRequest, status, "%v", body)
			require.Equal(t, "invalid_request", body["error"])
			require.Contains(t, body["error_description"], c.says)
			require.NotContains(t, body["error_description"], "Nina", "nothing of the claims is quoted")
		})
	}
	claims := w.claims("jukola-ehr")
	claims["extensions"], claims["example_vendor_tag"] = map[string]any{"ihe_iua": nurse}, "x"
	status, _, _ := w.ask(w.sign(w.keys["jukola-ehr"], claims), "")
	require.Equal(t, http.StatusOK, status, "claims that are not ours are the client's own matter")
}

func TestTheFormsOfIUAClaimsAreRead(t *testing.T) {
	w := newWorld(t)
	for name, ext := range map[string]string{
		"national number":     `{"ihe_iua":{"national_provider_identifier":"90000000001"}}`,
		"own id":              `{"ihe_iua":{"national_provider_identifier":"nurse"}}`,
		"own id apart":        `{"ihe_iua":{"national_provider_identifier":"90000000001","user_id":"nurse"}}`,
		"plain purpose":       `{"ihe_iua":{"user_id":"nurse","purpose_of_use":"care"}}`,
		"coding":              `{"ihe_iua":{"user_id":"nurse","purpose_of_use":{"system":"` + terms.Purpose + `","code":"care"}}}`,
		"array of codings":    `{"ihe_iua":{"user_id":"nurse","purpose_of_use":[{"system":"` + terms.Purpose + `","code":"care","display":"Care"}]}}`,
		"unit by OID":         `{"ihe_iua":{"user_id":"nurse","subject_organization_id":"urn:oid:1.2.246.10.99999999.10.1"}}`,
		"unit by id":          `{"ihe_iua":{"user_id":"nurse","subject_organization_id":"jukola"}}`,
		"task as role":        `{"ihe_iua":{"user_id":"nurse","subject_role":[{"system":"` + terms.AccessTask + `","code":"3.1"}]}}`,
		"registered role":     `{"ihe_iua":{"user_id":"nurse","subject_role":[{"system":"https://example.org/roles","code":"nurse"}]}}`,
		"claims of no weight": `{"ihe_iua":{"user_id":"nurse","home_community_id":"urn:oid:1.2.3"},"other":{"x":[1]}}`,
	} {
		t.Run(name, func(t *testing.T) {
			var value any
			require.NoError(t, json.Unmarshal([]byte(ext), &value))
			c := w.claims("jukola-ehr")
			c["extensions"] = value
			status, body, _ := w.ask(w.sign(w.keys["jukola-ehr"], c), "")
			require.Equal(t, http.StatusOK, status, body)
			caller, err := w.Authenticate(context.Background(), "Bearer "+body["access_token"].(string))
			require.NoError(t, err)
			require.Equal(t, "nurse", caller.Actor.User)
		})
	}
}

func TestWhatAHumanAssertsTravelsWordForWord(t *testing.T) {
	w := newWorld(t)
	tok := w.token("county-social", Claims{User: "social-worker", Purpose: consent.NeedAssessment, Ground: needAssessment}, "")
	caller, err := w.Authenticate(context.Background(), tok.Authorization())
	require.NoError(t, err)
	require.Equal(t, consent.NeedAssessment, caller.Purpose)
	require.Equal(t, *needAssessment, caller.Assertion)
	require.True(t, caller.Actor.Authority)
}

func TestRegisterFollowsFromTheUsersUnit(t *testing.T) {
	w := newWorld(t)
	for user, want := range map[string]consent.Actor{
		"digi-nurse": {
			Kind: consent.Professional, App: "omaks", User: "digi-nurse", Name: "Dina Digihoitaja",
			Person: "Practitioner/digi-nurse", Role: "PractitionerRole/digi-nurse", Controller: "Organization/county",
			Register: consent.Health, Unit: "Organization/omaks-health", Units: []string{"Organization/omaks-health"},
			Task: "3.1", Service: "4.1",
		},
		"digi-counsellor": {
			Kind: consent.Professional, App: "omaks", User: "digi-counsellor", Name: "Dani Ohjaaja",
			Person: "Practitioner/digi-counsellor", Role: "PractitionerRole/digi-counsellor", Controller: "Organization/county",
			Register: consent.Social, Unit: "Organization/omaks-social", Units: []string{"Organization/omaks-social"},
			Task: "10.1.2",
		},
		"aino": {
			Kind: consent.Client, App: "omaks", User: "aino", Name: "Aino Asiakas", Person: "Patient/aino",
			Controller: "Organization/county", Clients: []string{"aino"},
		},
		"lumi-guardian": {
			Kind: consent.Guardian, App: "omaks", User: "lumi-guardian", Name: "Lauri Huoltaja",
			Person: "RelatedPerson/lumi-guardian", Controller: "Organization/county", Clients: []string{"lumi"},
		},
		"": {
			Kind: consent.System, App: "omaks", Controller: "Organization/county",
			Units: []string{"Organization/omaks-health", "Organization/omaks-social"},
		},
	} {
		caller, err := w.Authenticate(context.Background(), w.token("omaks", Claims{User: user}, "").Authorization())
		require.NoError(t, err)
		require.Equal(t, want, caller.Actor, user)
		purpose := consent.Care
		if len(want.Clients) > 0 {
			purpose = consent.OwnData
		}
		require.Equal(t, purpose, caller.Purpose, user)
	}
}

func TestAuditorAndOperatorNeedNoUser(t *testing.T) {
	w := newWorld(t)
	for client, want := range map[string]struct {
		kind    consent.Kind
		purpose consent.Purpose
	}{"auditor": {consent.Auditor, consent.Supervision}, "operator": {consent.Operator, consent.Care}} {
		caller, err := w.Authenticate(context.Background(), w.token(client, Claims{}, "").Authorization())
		require.NoError(t, err)
		require.Equal(t, want.kind, caller.Actor.Kind)
		require.Equal(t, want.purpose, caller.Purpose)
		require.Equal(t, "Organization/county", caller.Actor.Controller)
	}
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

func TestScopesAreNarrowed(t *testing.T) {
	w := newWorld(t) // county-social: system/*.rs system/Task.cu system/QuestionnaireResponse.c
	for asked, want := range map[string]string{
		"":                     "system/*.rs system/QuestionnaireResponse.c system/Task.cu",
		"system/*.cruds":       "system/*.rs system/QuestionnaireResponse.c system/Task.cu",
		"system/Patient.cruds": "system/Patient.rs",
		"system/Patient.r system/Patient.s system/Task.cruds": "system/Patient.rs system/Task.crus",
		"system/*.c": "system/QuestionnaireResponse.c system/Task.c",
		"system/Observation.d   system/Condition.r": "system/Condition.r",
	} {
		require.Equal(t, want, w.token("county-social", Claims{}, asked).Scope, asked)
	}
	for asked, says := range map[string]string{
		"system/Observation.d":             "none of the scopes",
		"system/Patient.read":              "v1",
		"patient/Patient.rs":               "only system/",
		"openid":                           "only system/",
		"system/Patient.sr":                "order",
		"system/Patient.":                  "order",
		"system/Observation.rs?category=x": "search parameters",
		"system/patient.r":                 "system/Type",
		strings.Repeat("system/A.r ", 201): "more than 200",
	} {
		refused := w.refused("county-social", Claims{}, asked)
		require.Equal(t, 400, refused.Status, asked)
		require.Equal(t, "invalid_scope", refused.Code)
		require.Contains(t, refused.Description, says)
	}
}

func TestScopesOpenInteractions(t *testing.T) {
	w := newWorld(t)
	allows := func(scope string) func(string, exchange.Interaction) bool {
		caller, err := w.Authenticate(context.Background(), w.token("jukola-ehr", Claims{}, scope).Authorization())
		require.NoError(t, err)
		return caller.Allows
	}
	all := []exchange.Interaction{
		exchange.Read, exchange.VRead, exchange.History, exchange.Search, exchange.Create, exchange.Update, exchange.Delete,
		exchange.Match, exchange.Apply, exchange.Receive, exchange.Notify, exchange.Export,
	}
	for scope, want := range map[string][]exchange.Interaction{
		"system/Patient.r":  {exchange.Read, exchange.VRead, exchange.History, exchange.Match, exchange.Notify, exchange.Export},
		"system/Patient.s":  {exchange.Search, exchange.Match},
		"system/Patient.c":  {exchange.Create, exchange.Receive},
		"system/Patient.u":  {exchange.Update},
		"system/Patient.d":  {exchange.Delete},
		"system/CarePlan.c": {exchange.Apply},
		"system/*.cruds":    all,
	} {
		f := allows(scope)
		for _, i := range all {
			expected := false
			for _, x := range want {
				expected = expected || x == i
			}
			require.Equal(t, expected, f("Patient", i), "%s %s", scope, i)
		}
		require.False(t, f("Patient", "import"), scope)
	}
	require.False(t, allows("system/Patient.cruds")("Task", exchange.Read))
	require.True(t, allows("system/CarePlan.c")("PlanDefinition", exchange.Apply))
	require.False(t, allows("system/PlanDefinition.cruds")("PlanDefinition", exchange.Apply))
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
	require.NotContains(t, body, "authorization_endpoint")
}

// gin does not go back from a static segment: the documents' paths must not hide the generic FHIR routes.
func TestTheRoutesStandBesideTheFHIROnes(t *testing.T) {
	w := newWorld(t)
	engine := gin.New()
	w.Routes(engine)
	for _, path := range []string{"/fhir", "/fhir/:type", "/fhir/:type/:id", "/fhir/:type/:id/:op", "/fhir/:type/:id/:op/:version"} {
		engine.GET(path, func(c *gin.Context) { c.String(http.StatusOK, c.FullPath()) })
	}
	for path, route := range map[string]string{
		"/fhir/Patient": "/fhir/:type", "/fhir/Patient/1": "/fhir/:type/:id", "/fhir/metadata": "/fhir/:type",
		"/fhir/Patient/1/_history/2": "/fhir/:type/:id/:op/:version",
	} {
		rec := httptest.NewRecorder()
		engine.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
		require.Equal(t, route, rec.Body.String(), path)
	}
	rec := httptest.NewRecorder()
	engine.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, SmartPath, nil))
	require.Contains(t, rec.Body.String(), "token_endpoint")
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
