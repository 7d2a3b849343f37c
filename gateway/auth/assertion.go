package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
)

// Bounds of an assertion in time and size (SMART App Launch 2.2, "Client Authentication: Asymmetric": exp no more than
// five minutes in the future, jti required).
const (
	assertionLife = 5 * time.Minute
	clockSkew     = 30 * time.Second
	maxJTI        = 256
)

// assertionClaims is the payload of a client's assertion.
type assertionClaims struct {
	Issuer     string      `json:"iss"`
	Subject    string      `json:"sub"`
	Audience   audience    `json:"aud"`
	Expires    numericDate `json:"exp,omitzero"`
	NotBefore  numericDate `json:"nbf,omitzero"`
	IssuedAt   numericDate `json:"iat,omitzero"`
	ID         string      `json:"jti"`
	Extensions extensions  `json:"extensions,omitzero"`
}

// assertion is a client's assertion of which the form was read and nothing was believed yet.
type assertion struct {
	compact
	claims assertionClaims
}

// errAssertion is a fault in the form of an assertion, told to whoever sent it: it says nothing of registrations.
type errAssertion string

func (e errAssertion) Error() string { return string(e) }

// readAssertion reads the form, and holds the algorithm against the list of the two we take, so that neither "none"
// nor a symmetric one is ever looked at.
func readAssertion(raw string) (*assertion, error) {
	c, err := readCompact(raw)
	if err != nil {
		return nil, errAssertion(err.Error())
	}
	switch {
	case c.header.Alg != ES384 && c.header.Alg != RS384:
		return nil, errAssertion("alg: ES384 and RS384 only")
	case c.header.Kid == "":
		return nil, errAssertion("kid is missing")
	case c.header.Typ != "" && c.header.Typ != "JWT":
		return nil, errAssertion("typ: JWT only")
	}
	a := &assertion{compact: c}
	if json.Unmarshal(c.payload, &a.claims) != nil {
		return nil, errAssertion("the claims are not a JSON object of their members, each once")
	}
	if a.claims.Issuer == "" || a.claims.Issuer != a.claims.Subject {
		return nil, errAssertion("iss and sub are both the client's id")
	}
	return a, nil
}

// verify looks the key up and then, once, at the signature.
func (a *assertion) verify(ctx context.Context, client *Client) error {
	if a.header.Jku != "" && a.header.Jku != client.jwksURI {
		return errors.New("jku is not the registered address")
	}
	key, err := client.key(ctx, a.header.Kid)
	if err != nil {
		return err
	}
	if key.alg != a.header.Alg {
		return errors.New("alg is not that of the key")
	}
	return key.verify(a.signed, a.sig)
}

// check holds the claims against the clock and the token endpoint's addresses. It answers when the assertion can no
// longer be used. Signature first: these texts tell a client that proved itself what is wrong.
func (a *assertion) check(now time.Time, tokenURLs []string) (time.Time, error) {
	c := a.claims
	if len(c.Audience) != 1 || !slices.Contains(tokenURLs, c.Audience[0]) {
		return time.Time{}, errAssertion("aud: exactly the address of this token endpoint")
	}
	exp, ok := moment(c.Expires)
	switch {
	case !ok:
		return time.Time{}, errAssertion("exp is missing or not a time")
	case !now.Before(exp):
		return time.Time{}, errAssertion("the assertion has expired")
	case exp.After(now.Add(assertionLife + clockSkew)):
		return time.Time{}, errAssertion("exp is more than five minutes ahead")
	}
	for _, date := range []struct {
		name  string
		value numericDate
	}{{"iat", c.IssuedAt}, {"nbf", c.NotBefore}} {
		if date.value == nil {
			continue
		}
		if t, ok := moment(date.value); !ok || t.After(now.Add(clockSkew)) {
			return time.Time{}, errAssertion(date.name + " is in the future")
		}
	}
	if c.ID == "" || len(c.ID) > maxJTI {
		return time.Time{}, errAssertion(fmt.Sprintf("jti: missing, or longer than %d", maxJTI))
	}
	return exp, nil
}
