package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json"

	"sotesilta/consent"
	"sotesilta/gateway/allowance"
	"sotesilta/gateway/exchange"
	"sotesilta/internal/terms"
)

// Addresses below the gateway's root.
const (
	TokenPath = "/auth/token"
	KeysPath  = "/auth/jwks.json"
	// IntrospectPath is where a token is asked about (RFC 7662, IHE ITI-102).
	IntrospectPath = "/auth/introspect"
)

// tokenLife is how long an access token lives.
const tokenLife = 5 * time.Minute

// Config is what a Server needs.
type Config struct {
	// BaseURL is the gateway's public root without a final slash, such as http://localhost:8080: the issuer of
	// tokens. The FHIR base, the audience, is BaseURL/fhir, and the token endpoint BaseURL/auth/token.
	BaseURL string
	// TokenURLs is further addresses of the token endpoint that an assertion's aud may name, such as that of
	// 127.0.0.1 beside localhost.
	TokenURLs []string
	Registry  *Registry
	Key       *Key // signs access tokens: LoadOrCreateKey
	Used      Used
	Limits    Limits
	Cache     CacheLimits
	// Reasoned says whether a text is a reason told in a person's own words, and in words what would be. Nil: whatever is
	// not blank is one.
	Reasoned func(text string) (told bool, rule string)
	// Refused records that a person's claim was refused, before the answer says so; when it cannot, the answer is a 503.
	// Nil: the log alone tells of it.
	Refused func(ctx context.Context, who exchange.Caller, why string) error
	Log     *slog.Logger     // nil: slog.Default()
	Now     func() time.Time // nil: time.Now
}

// Server is the token endpoint with the documents beside it. It is safe for concurrent use.
type Server struct {
	*Verifier
	tokenURLs []string
	used      Used
	// How often may be asked: by registered clients, under ids that are not, and from an address; nil: no limits.
	perClient, perUnknown, perRemote *allowance.Allowance

	reasoned func(text string) (told bool, rule string)
	recorded func(ctx context.Context, who exchange.Caller, why string) error
	log      *slog.Logger
}

// state is what a change of registry replaces as a whole, the verified tokens with it.
type state struct {
	registry *Registry
	key      *Key
	cache    *cache
}

// New makes a Server.
func New(c Config) (*Server, error) {
	base, err := url.Parse(c.BaseURL)
	switch {
	case err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" || strings.HasSuffix(c.BaseURL, "/"):
		return nil, errors.New("auth: BaseURL: not an http(s) address without a final slash")
	case c.Registry == nil:
		return nil, errors.New("auth: Registry: missing")
	case c.Key == nil || c.Key.public.alg != ES256:
		return nil, errors.New("auth: Key: not a P-256 key")
	case c.Used == nil:
		return nil, errors.New("auth: Used: missing")
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Reasoned == nil {
		c.Reasoned = func(text string) (bool, string) { return strings.TrimSpace(text) != "", "not blank" }
	}
	if c.Refused == nil {
		c.Refused = func(context.Context, exchange.Caller, string) error { return nil }
	}
	nobodys() // made now, so that the first unknown client's answer takes no longer
	v := &Verifier{issuer: c.BaseURL, audience: c.BaseURL + "/fhir", now: c.Now, limits: c.Cache.withDefaults()}
	s := &Server{
		Verifier: v, tokenURLs: append([]string{c.BaseURL + TokenPath}, c.TokenURLs...), used: c.Used,
		reasoned: c.Reasoned, recorded: c.Refused, log: c.Log,
	}
	s.perClient, s.perUnknown, s.perRemote = c.Limits.allowances()
	v.state.Store(&state{registry: c.Registry, key: c.Key, cache: newCache(v.limits)})
	return s, nil
}

// Use puts a new registry in the place of the old. Verified tokens are forgotten: from the next request on, a token
// says what its client and user are now, or nothing when they are no longer registered.
func (s *Server) Use(reg *Registry) {
	for {
		old := s.state.Load()
		next := &state{registry: reg, key: old.key, cache: newCache(s.limits)}
		if s.state.CompareAndSwap(old, next) {
			return
		}
	}
}

// Registry is the one in use.
func (s *Server) Registry() *Registry { return s.state.Load().registry }

// Person is an exchange.Person over the registry in use.
func (s *Server) Person(ref string) (consent.Actor, bool) { return s.Registry().Person(ref) }

// Party finds a registered professional or unit: Registry.Party of the registry in force.
func (s *Server) Party(ref string) (consent.Actor, bool) { return s.Registry().Party(ref) }

// Routes sets the handlers on the gateway's root. The remote address is gin's ClientIP: set the engine's trusted
// proxies, or one sender can pass for many.
func (s *Server) Routes(r gin.IRouter) {
	r.POST(TokenPath, s.token)
	r.POST(IntrospectPath, s.introspect)
	r.Match([]string{http.MethodGet, http.MethodHead}, KeysPath, s.jwks)
}

// refusal is an error answer of the token endpoint (RFC 6749 § 5.2).
type refusal struct {
	status int
	code   string
	text   string        // for whoever asked
	cause  error         // for the log
	retry  time.Duration // Retry-After
}

func (r *refusal) Error() string { return r.code + ": " + r.text }

// What is told before a client has proved itself: never which of them it was, so that nobody learns who is registered.
const notProved = "the client is not registered, the key is not one of its keys, or the signature does not hold"

func invalidRequest(text string) *refusal {
	return &refusal{status: http.StatusBadRequest, code: "invalid_request", text: text}
}

func invalidClient(text string, cause error) *refusal {
	return &refusal{status: http.StatusUnauthorized, code: "invalid_client", text: text, cause: cause}
}

func unavailable(cause error) *refusal {
	return &refusal{
		status: http.StatusServiceUnavailable, code: "temporarily_unavailable", cause: cause, retry: time.Second,
		text: "the use of the assertion cannot be recorded now",
	}
}

func tooMany(wait time.Duration) *refusal {
	return &refusal{
		status: http.StatusTooManyRequests, code: "temporarily_unavailable", text: "too many token requests", retry: wait,
	}
}

const (
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	maxTokenBody  = 32 << 10
)

// tokenAnswer is RFC 6749 § 5.1.
type tokenAnswer struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int    `json:"expires_in"`
	Scope       string `json:"scope"`
}

// token is POST /auth/token.
func (s *Server) token(c *gin.Context) {
	h := c.Writer.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	answer, g, err := s.serveToken(c)
	if err != nil {
		s.refuse(c, g, err)
		return
	}
	user := ""
	if g.user != nil {
		user = g.user.ID
	}
	s.log.InfoContext(c.Request.Context(), "token issued",
		"client", g.client.ID, "user", user, "purpose", g.purpose, "scope", answer.Scope)
	writeJSON(c, http.StatusOK, answer)
}

func (s *Server) refuse(c *gin.Context, g grant, r *refusal) {
	level := slog.LevelWarn
	if r.status == http.StatusServiceUnavailable {
		level = slog.LevelError
	}
	attrs := []any{"error", r.code, "reason", r.text}
	if g.client != nil {
		attrs = append(attrs, "client", g.client.ID) // a registered id, though not always proved
	}
	if r.cause != nil {
		attrs = append(attrs, "cause", r.cause)
	}
	s.log.Log(c.Request.Context(), level, "token refused", attrs...)
	if r.retry > 0 {
		c.Header("Retry-After", strconv.Itoa(int((r.retry+time.Second-1)/time.Second)))
	}
	if r.status == http.StatusUnauthorized {
		c.Header("WWW-Authenticate", `Bearer realm="token"`) // HTTP asks for one with a 401
	}
	writeJSON(c, r.status, struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{r.code, ascii(r.text)})
}

// serveToken does the cheap checks first, so that a flood costs little: form, limits, key, signature, claims, and
// last the durable use of the assertion.
func (s *Server) serveToken(c *gin.Context) (tokenAnswer, grant, *refusal) {
	var g grant
	form, refused := readForm(c)
	if refused != nil {
		return tokenAnswer{}, g, refused
	}
	if wait := s.perRemote.Spend(c.Request.Context(), remoteKey(c.ClientIP()), 1); wait > 0 {
		return tokenAnswer{}, g, tooMany(wait)
	}
	a, err := readAssertion(form.assertion)
	if err != nil {
		return tokenAnswer{}, g, invalidClient(err.Error(), nil)
	}
	if form.clientID != "" && form.clientID != a.claims.Issuer {
		return tokenAnswer{}, g, invalidClient("client_id is not that of the assertion", nil)
	}
	st := s.state.Load()
	client, registered := st.registry.Client(a.claims.Issuer)
	limits, id := s.perUnknown, ""
	if registered {
		g.client, limits, id = client, s.perClient, client.ID
	} else {
		sum := sha256.Sum256([]byte(a.claims.Issuer)) // an unknown id may be of any length
		id = hex.EncodeToString(sum[:])
	}
	if wait := limits.Spend(c.Request.Context(), id, 1); wait > 0 {
		return tokenAnswer{}, g, tooMany(wait)
	}
	if err := a.verify(c.Request.Context(), client); err != nil {
		return tokenAnswer{}, g, invalidClient(notProved, err)
	}
	until, err := a.check(s.now(), s.tokenURLs)
	if err != nil {
		return tokenAnswer{}, g, invalidClient(err.Error(), nil)
	}
	accepted, refused := s.grant(client, a, form.scope)
	if refused != nil {
		return tokenAnswer{}, g, refused
	}
	switch err := s.used.Use(c.Request.Context(), useKey(client.ID, a.claims.ID), until.Add(clockSkew)); {
	case errors.Is(err, ErrUsed):
		return tokenAnswer{}, g, invalidClient("the assertion was used before; make a new one with its own jti", nil)
	case err != nil:
		return tokenAnswer{}, g, unavailable(err)
	}
	if refused := s.claimless(c, accepted); refused != nil {
		return tokenAnswer{}, accepted, refused
	}
	text, err := issue(st.key, s.issuer, s.audience, accepted, s.now())
	if err != nil {
		return tokenAnswer{}, g, unavailable(err)
	}
	return tokenAnswer{
		AccessToken: text, TokenType: "Bearer", ExpiresIn: int(tokenLife / time.Second), Scope: accepted.scopes.String(),
	}, accepted, nil
}

// grant accepts the claims and narrows the scopes to those registered.
func (s *Server) grant(client *Client, a *assertion, scope string) (grant, *refusal) {
	if err := misplaced(a.payload); err != nil {
		return grant{}, invalidRequest(err.Error())
	}
	c, err := readClaims(a.claims.Extensions)
	if err != nil {
		return grant{}, invalidRequest(err.Error())
	}
	g, err := accept(client, c)
	if err != nil {
		return grant{}, &refusal{status: http.StatusBadRequest, code: "invalid_grant", text: err.Error()}
	}
	g.scopes = client.scopes
	if scope != "" {
		asked, err := parseScopes(scope)
		if err != nil {
			return grant{}, &refusal{status: http.StatusBadRequest, code: "invalid_scope", text: err.Error()}
		}
		g.scopes = client.scopes.and(asked)
	}
	if len(g.scopes) == 0 {
		return grant{}, &refusal{
			status: http.StatusBadRequest, code: "invalid_scope", text: "none of the scopes is registered for the client",
		}
	}
	return g, nil
}

// claimless refuses a claim of an emergency that tells no reason, and records that it was made: who claims one passes
// over what others may not see, and supervision should find who tried (703/2023 § 10 asks for uses and disclosures; that
// refusals are kept is our practice). The assertion is used by then, so that a flood of them costs who floods. The policies ask for the reason as well.
func (s *Server) claimless(c *gin.Context, g grant) *refusal {
	if g.purpose != consent.Emergency {
		return nil
	}
	told, rule := s.reasoned(g.assertion.Reason)
	if told {
		return nil
	}
	who := exchange.Caller{Actor: g.actor, Purpose: g.purpose, Assertion: g.assertion, RequestID: c.Writer.Header().Get("X-Request-Id")}
	if err := s.recorded(c.Request.Context(), who, "an emergency was claimed without a reason ("+rule+")"); err != nil {
		r := unavailable(err)
		r.text = "the request cannot be recorded now"
		return r
	}
	return &refusal{
		status: http.StatusBadRequest, code: "invalid_grant",
		text: "an emergency is claimed with its reason, in extensions.sotesilta.reason: " + rule,
	}
}

type tokenForm struct {
	assertion, clientID, scope string
}

// postForm reads a request's parameters: one form in the body, each parameter once (RFC 6749 § 3.2), nothing in the
// URL, where a secret would be logged.
func postForm(c *gin.Context) (url.Values, *refusal) {
	req := c.Request
	if req.URL.RawQuery != "" {
		return nil, invalidRequest("parameters belong in the body, not in the address")
	}
	if media, _, err := mime.ParseMediaType(req.Header.Get("Content-Type")); err != nil || media != "application/x-www-form-urlencoded" {
		return nil, invalidRequest("Content-Type is application/x-www-form-urlencoded")
	}
	req.Body = http.MaxBytesReader(c.Writer, req.Body, maxTokenBody)
	if err := req.ParseForm(); err != nil {
		var tooBig *http.MaxBytesError
		if errors.As(err, &tooBig) {
			r := invalidRequest("the request is larger than " + strconv.Itoa(maxTokenBody) + " bytes")
			r.status = http.StatusRequestEntityTooLarge
			return nil, r
		}
		return nil, invalidRequest("the body is not a form")
	}
	for _, values := range req.PostForm {
		if len(values) > 1 {
			return nil, invalidRequest("a parameter is there more than once")
		}
	}
	return req.PostForm, nil
}

// readForm reads a token request.
func readForm(c *gin.Context) (tokenForm, *refusal) {
	form, refused := postForm(c)
	if refused != nil {
		return tokenForm{}, refused
	}
	f := tokenForm{form.Get("client_assertion"), form.Get("client_id"), form.Get("scope")}
	switch grantType := form.Get("grant_type"); {
	case grantType == "":
		return tokenForm{}, invalidRequest("grant_type is missing")
	case grantType != "client_credentials":
		return tokenForm{}, &refusal{
			status: http.StatusBadRequest, code: "unsupported_grant_type", text: "grant_type: client_credentials only",
		}
	case form.Get("client_assertion_type") != assertionType:
		return tokenForm{}, invalidRequest("client_assertion_type is " + assertionType)
	case f.assertion == "":
		return tokenForm{}, invalidRequest("client_assertion is missing")
	}
	return f, nil
}

// accessClaims is the payload of an access token (RFC 9068), with the claims of IUA as accepted.
type accessClaims struct {
	Issuer     string      `json:"iss"`
	Subject    string      `json:"sub"`
	ClientID   string      `json:"client_id"`
	Audience   string      `json:"aud"`
	Expires    numericDate `json:"exp"`
	IssuedAt   numericDate `json:"iat"`
	ID         string      `json:"jti"`
	Scope      string      `json:"scope"`
	Extensions extensions  `json:"extensions,omitzero"`
}

const accessType = "at+jwt"

// issue writes an access token.
func issue(key *Key, issuer, audience string, g grant, now time.Time) (string, error) {
	iua := iuaClaims{PurposeOfUse: codings{{System: terms.Purpose, Code: string(g.purpose)}}}
	if g.user != nil {
		iua.SubjectName, iua.SubjectOrganizationID = g.user.Name, g.user.Unit
		iua.NationalProviderIdentifier = or(g.user.NationalProviderIdentifier, g.user.ID)
		iua.UserID = g.user.ID
		if g.user.Task != "" {
			iua.SubjectRole = codings{{System: terms.AccessTask, Code: g.user.Task}}
		}
	}
	c := accessClaims{
		Issuer: issuer, Subject: g.client.ID, ClientID: g.client.ID, Audience: audience,
		Expires: dateOf(now.Add(tokenLife)), IssuedAt: dateOf(now), ID: rand.Text(), Scope: g.scopes.String(),
		Extensions: extensions{IUA: &iua},
	}
	if a := g.assertion; a.Task+a.Service+a.Ground+a.Reason != "" || len(a.Facts) > 0 || a.Confirm {
		text, err := json.Marshal(a, json.Deterministic(true))
		if err != nil {
			return "", errors.New("auth: the assertion cannot be written")
		}
		c.Extensions.Sotesilta = text
	}
	return signJWT(key, accessType, c)
}

// jwks is GET /auth/jwks.json: the public key of access tokens.
func (s *Server) jwks(c *gin.Context) {
	set := jwks{Keys: []jwk{}}
	if m, err := s.state.Load().key.public.members(); err == nil {
		set.Keys = append(set.Keys, m)
	}
	c.Header("Cache-Control", "public, max-age=300")
	writeJSON(c, http.StatusOK, set)
}

// ServeSMART answers GET [base]/.well-known/smart-configuration (SMART App Launch 2.2, "Conformance"): what is
// implemented, no more. It stands below the FHIR base, whose face calls it and answers the other methods there. There is
// no authorization endpoint, so there are no members of the App Launch. code_challenge_methods_supported is the exception:
// the specification demands it of every server, with S256 and without plain, and clients and validators look for it. It
// promises nothing here: a challenge belongs to the grant authorization_code, which grant_types_supported does not name.
func (s *Server) ServeSMART(w http.ResponseWriter, _ *http.Request) {
	data, err := json.Marshal(struct {
		JWKS         string   `json:"jwks_uri"`
		Token        string   `json:"token_endpoint"`
		Introspect   string   `json:"introspection_endpoint"`
		Grants       []string `json:"grant_types_supported"`
		Methods      []string `json:"token_endpoint_auth_methods_supported"`
		Algorithms   []string `json:"token_endpoint_auth_signing_alg_values_supported"`
		Challenges   []string `json:"code_challenge_methods_supported"`
		Scopes       []string `json:"scopes_supported"`
		Capabilities []string `json:"capabilities"`
	}{
		JWKS: s.issuer + KeysPath, Token: s.issuer + TokenPath, Introspect: s.issuer + IntrospectPath,
		Grants: []string{"client_credentials"}, Methods: []string{"private_key_jwt"}, Algorithms: []string{ES384, RS384},
		Challenges:   []string{"S256"},
		Scopes:       []string{"system/*.cruds", "system/*.rs"},
		Capabilities: []string{"client-confidential-asymmetric", "permission-v2"},
	})
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Cache-Control", "public, max-age=300")
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(data)))
	_, _ = w.Write(data)
}

func writeJSON(c *gin.Context, status int, body any) {
	data, err := json.Marshal(body)
	if err != nil {
		c.AbortWithStatus(http.StatusInternalServerError)
		return
	}
	c.Abort()
	c.Data(status, "application/json", data)
}

// ascii keeps a description within the characters of RFC 6749 § 5.2.
func ascii(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '§':
			return -1
		case r == '"' || r == '\\' || r < 0x20 || r > 0x7e:
			return '\''
		}
		return r
	}, s)
}
