package auth

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Whoever asks learns nothing of registrations from the time an answer takes: every assertion that is not as registered
// costs one verification of its algorithm, like one whose signature does not hold.
func TestRefusalsTakeEquallyLong(t *testing.T) {
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
		names := slices.Sorted(maps.Keys(refused))
		took := map[string][]time.Duration{}
		for range 41 { // by turns, so that the machine's other work falls on all alike
			for _, name := range names {
				began := time.Now()
				require.Error(t, refused[name].verify(context.Background(), refused[name].client), name)
				took[name] = append(took[name], time.Since(began))
			}
		}
		median := func(name string) time.Duration { slices.Sort(took[name]); return took[name][len(took[name])/2] }
		for _, name := range names {
			bad := median("bad signature") // without a verification it would be a hundredth
			require.True(t, bad/2 < median(name) && median(name) < 2*bad, "%s: %s takes %s, a bad signature %s", alg, name, median(name), bad)
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
