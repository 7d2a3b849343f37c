package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"math/big"
	"net/http"
	"testing"

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
