package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"

	"sotesilta/gateway/exchange"
)

// Verifier turns access tokens into callers. It is part of a Server and safe for concurrent use.
type Verifier struct {
	issuer   string
	audience string
	now      func() time.Time
	limits   CacheLimits
	state    atomic.Pointer[state]
}

// Unauthorized says why there is no caller. Its text may be shown: it quotes nothing.
type Unauthorized struct {
	Code string // of RFC 6750 § 3.1: invalid_token or invalid_request; empty when no token was given
	Text string
	Err  error // the cause, for the log
}

func (e *Unauthorized) Error() string {
	if e.Text == "" {
		return "an access token is needed"
	}
	return e.Text
}

func (e *Unauthorized) Unwrap() error { return e.Err }

// Challenge is the value of WWW-Authenticate (RFC 6750 § 3).
func (e *Unauthorized) Challenge() string {
	if e.Code == "" {
		return `Bearer realm="fhir"`
	}
	return `Bearer realm="fhir", error="` + e.Code + `", error_description="` + ascii(e.Text) + `"`
}

// challenge is what WWW-Authenticate says of an error of Authenticate.
func challenge(err error) string {
	var u *Unauthorized
	if errors.As(err, &u) {
		return u.Challenge()
	}
	return (&Unauthorized{}).Challenge()
}

func invalidToken(text string, cause error) error {
	return &Unauthorized{Code: "invalid_token", Text: text, Err: cause}
}

// Authenticate reads the Authorization header and answers who asks; every error is an *Unauthorized. Who the actor is
// comes from the registry in use, not from the token. The caller's slices and maps are shared: do not change them.
// RequestID and Interaction are left to the wire.
func (v *Verifier) Authenticate(_ context.Context, authorization string) (exchange.Caller, error) {
	scheme, token, _ := strings.Cut(authorization, " ")
	token = strings.Trim(token, " ")
	switch {
	case authorization == "" || !strings.EqualFold(scheme, "Bearer"):
		return exchange.Caller{}, &Unauthorized{}
	case token == "":
		return exchange.Caller{}, &Unauthorized{Code: "invalid_request", Text: "the Authorization header holds no token"}
	case len(token) > maxJWS:
		return exchange.Caller{}, invalidToken("the token is too long", nil)
	}
	st, now := v.state.Load(), v.now()
	sum := sumOf(token)
	if caller, ok := st.cache.get(sum, now); ok {
		return caller, nil
	}
	caller, expires, err := v.verify(st, token, now)
	if err != nil {
		return exchange.Caller{}, err
	}
	st.cache.put(sum, caller, expires, now)
	return caller, nil
}

// sumOf is SHA-256 of the token; common lengths cost no allocation.
func sumOf(token string) [sha256.Size]byte {
	var room [2048]byte
	if len(token) <= len(room) {
		return sha256.Sum256(room[:copy(room[:], token)])
	}
	return sha256.Sum256([]byte(token))
}

const notOurs = "the token is not one of ours, or not for this server"

// verify looks at the token itself, without the cache.
func (v *Verifier) verify(st *state, token string, now time.Time) (exchange.Caller, time.Time, error) {
	claims, err := v.claims(st, token, now)
	if err != nil {
		return exchange.Caller{}, time.Time{}, err
	}
	caller, err := st.caller(claims)
	if err != nil {
		return exchange.Caller{}, time.Time{}, invalidToken(err.Error(), nil)
	}
	expires, _ := moment(claims.Expires)
	return caller, expires, nil
}

// claims are those of a token that is ours, for this server, and good now.
func (v *Verifier) claims(st *state, token string, now time.Time) (accessClaims, error) {
	fail := func(text string, cause error) (accessClaims, error) {
		return accessClaims{}, invalidToken(text, cause)
	}
	c, err := readCompact(token)
	if err != nil {
		return fail(notOurs, err)
	}
	key := st.key.public
	if c.header.Kid != key.id || c.header.Alg != key.alg || c.header.Typ != accessType {
		return fail(notOurs, errors.New("kid, alg or typ"))
	}
	if err := key.verify(c.signed, c.sig); err != nil {
		return fail(notOurs, err)
	}
	var claims accessClaims
	if err := json.Unmarshal(c.payload, &claims); err != nil {
		return fail(notOurs, errors.New("claims"))
	}
	expires, ok := moment(claims.Expires)
	switch {
	case claims.Issuer != v.issuer:
		return fail(notOurs, errors.New("iss"))
	case claims.Audience != v.audience:
		return fail(notOurs, errors.New("aud"))
	case !ok || !now.Before(expires):
		return fail("the token has expired", nil)
	}
	if issued, ok := moment(claims.IssuedAt); !ok || issued.After(now.Add(clockSkew)) {
		return fail("the token is not valid yet", nil)
	}
	return claims, nil
}

// caller is who the token speaks for, as the registry in use has it. What was accepted when the token was given is
// held against it again: a registration narrowed since counts at once.
func (st *state) caller(claims accessClaims) (exchange.Caller, error) {
	client, ok := st.registry.Client(claims.Subject)
	if !ok {
		return exchange.Caller{}, errors.New("the token's client is not registered any more")
	}
	c, err := readClaims(claims.Extensions)
	if err != nil {
		return exchange.Caller{}, errors.New("the token's claims cannot be read")
	}
	// The name, unit and task are ours, taken from the registry then; now they are taken anew.
	c.iua.SubjectName, c.iua.SubjectOrganizationID, c.iua.SubjectRole = "", "", nil
	g, err := accept(client, c)
	if err != nil {
		return exchange.Caller{}, errors.New("the token claims more than is registered now")
	}
	set, err := parseScopes(claims.Scope)
	if err != nil {
		return exchange.Caller{}, errors.New("the token's scopes cannot be read")
	}
	set = set.and(client.scopes)
	return exchange.Caller{
		Actor: g.actor, Purpose: g.purpose, Assertion: g.assertion, TokenID: claims.ID, Allows: set.allows,
	}, nil
}

// Caller is a registered client, or its user, as caller on a wire without tokens: MLLP and hooks speak as the client
// they are configured for. It has the client's scopes and the default purpose; false when there is no such actor.
func (v *Verifier) Caller(clientID, userID string) (exchange.Caller, bool) {
	st := v.state.Load()
	client, ok := st.registry.Client(clientID)
	if !ok {
		return exchange.Caller{}, false
	}
	actor, ok := st.registry.Actor(clientID, userID)
	if !ok {
		return exchange.Caller{}, false
	}
	return exchange.Caller{Actor: actor, Purpose: kindPurposes[actor.Kind][0], Allows: client.scopes.allows}, true
}

// CacheLimits bounds the verified tokens that are kept. The zero value is the defaults.
type CacheLimits struct {
	Tokens int           // 10,000
	Life   time.Duration // at most, and never beyond the token's own; one minute
}

func (l CacheLimits) withDefaults() CacheLimits {
	if l.Tokens == 0 {
		l.Tokens = 10000
	}
	if l.Life == 0 {
		l.Life = time.Minute
	}
	return l
}

// cache holds callers by SHA-256 of their whole token, so that no token lies in memory for longer than its request.
// What failed is not kept: it would let anybody fill it.
type cache struct {
	limits CacheLimits
	mu     sync.RWMutex
	byHash map[[sha256.Size]byte]cached
}

type cached struct {
	caller exchange.Caller
	until  time.Time
}

func newCache(limits CacheLimits) *cache {
	return &cache{limits: limits, byHash: map[[sha256.Size]byte]cached{}}
}

func (c *cache) get(sum [sha256.Size]byte, now time.Time) (exchange.Caller, bool) {
	c.mu.RLock()
	e, ok := c.byHash[sum]
	c.mu.RUnlock()
	if !ok || !now.Before(e.until) {
		return exchange.Caller{}, false
	}
	return e.caller, true
}

func (c *cache) put(sum [sha256.Size]byte, caller exchange.Caller, expires, now time.Time) {
	until := now.Add(c.limits.Life)
	if expires.Before(until) {
		until = expires
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, there := c.byHash[sum]; !there && len(c.byHash) >= c.limits.Tokens {
		c.makeRoom(now)
	}
	c.byHash[sum] = cached{caller, until}
}

// makeRoom drops what is over, and some other when nothing is: an entry dropped too early costs one verification.
func (c *cache) makeRoom(now time.Time) {
	maps.DeleteFunc(c.byHash, func(_ [sha256.Size]byte, e cached) bool { return !now.Before(e.until) })
	spare := c.limits.Tokens / 16
	for sum := range c.byHash {
		if len(c.byHash) < c.limits.Tokens-spare {
			return
		}
		delete(c.byHash, sum)
	}
}
