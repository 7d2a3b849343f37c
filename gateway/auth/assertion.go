package auth

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"sync"
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

// verify looks the key up and then, once, at the signature. client is nil when none is registered under the issuer's
// id.
func (a *assertion) verify(ctx context.Context, client *Client) error {
	key, unknown := a.verifier(ctx, client)
	if err := key.verify(a.signed, a.sig); unknown == nil {
		return err
	}
	return unknown
}

// verifier is the key that the signature is held against, whatever is registered, and why it is nobody's: whatever is not
// as registered costs one verification as well, since the time an answer takes must not tell who is registered, nor with
// which keys.
func (a *assertion) verifier(ctx context.Context, client *Client) (key PublicKey, unknown error) {
	if key, unknown = a.key(ctx, client); unknown != nil {
		key = nobodys()[a.header.Alg]
	}
	return key, unknown
}

// key is the registered key that the assertion says it is signed with.
func (a *assertion) key(ctx context.Context, client *Client) (PublicKey, error) {
	switch {
	case client == nil:
		return PublicKey{}, errors.New("unknown client")
	case a.header.Jku != "" && a.header.Jku != client.jwksURI:
		return PublicKey{}, errors.New("jku is not the registered address")
	}
	key, err := client.key(ctx, a.header.Kid)
	if err == nil && key.alg != a.header.Alg {
		return PublicKey{}, errors.New("alg is not that of the key")
	}
	return key, err
}

// nobodys are keys by algorithm that nothing was ever signed with; their private parts were never kept, and what they
// verify is not asked. The modulus of the RSA key is a random number of the least size that is registered, by far the
// most usual one; a larger registered key costs some microseconds more, to who knows its kid.
var nobodys = sync.OnceValue(func() map[string]PublicKey {
	ec, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		panic(err) // the system's random source never fails
	}
	n := make([]byte, minRSABits/8)
	_, _ = rand.Read(n)                     // never fails
	copy(n, bytes.Repeat([]byte{0xff}, 16)) // above any signature: one beyond the modulus is refused without a verification
	n[len(n)-1] |= 1
	keys := map[string]PublicKey{}
	for _, pub := range []crypto.PublicKey{&ec.PublicKey, &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 65537}} {
		key, err := newPublicKey(pub, "")
		if err != nil {
			panic(err) // of the sizes and kinds above, it takes both
		}
		keys[key.alg] = key
	}
	return keys
})

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
