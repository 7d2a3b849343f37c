package auth

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// FuzzAssertion: whatever comes as an assertion, reading it never panics, what is read is of the two algorithms and
// names a client, only what the client's key signed verifies, and no error quotes what came.
func FuzzAssertion(f *testing.F) {
	w := newWorld(f)
	client := mustClient(w.Registry(), "jukola-ehr")
	good := w.assertion("jukola-ehr", Claims{User: "nurse", Purpose: "emergency", Ground: needAssessment})
	cut := strings.LastIndexByte(good, '.')
	f.Add(good)
	f.Add(good[:cut+1])
	f.Add(b64([]byte(`{"alg":"none"}`)) + "." + b64([]byte(`{}`)) + ".")
	f.Add(b64([]byte(`{"alg":"ES384","kid":"x","alg":"none"}`)) + "." + b64([]byte(`{"aud":["a"],"exp":1e999}`)) + ".AA")
	f.Add("..")
	f.Fuzz(func(t *testing.T, raw string) {
		a, err := readAssertion(raw)
		if err != nil {
			if len(raw) > 12 && strings.Contains(err.Error(), raw) {
				t.Fatal("the error quotes the assertion")
			}
			return
		}
		if a.header.Alg != ES384 && a.header.Alg != RS384 || a.header.Kid == "" || a.claims.Issuer == "" {
			t.Fatalf("read: %+v", a.header)
		}
		_, _ = a.check(w.clock.now(), w.tokenURLs)
		if c, err := readClaims(a.claims.Extensions); err == nil {
			if g, err := accept(client, c); err == nil && g.actor.App != "jukola-ehr" {
				t.Fatalf("accepted for %s", g.actor.App)
			}
		}
		if a.verify(context.Background(), client) == nil && a.signed != good[:cut] {
			t.Fatal("verified what the client never signed")
		}
	})
}

// FuzzGround: what is asserted stays within its bounds.
func FuzzGround(f *testing.F) {
	f.Add(`{"task":"x","ground":"ATL-53.5b","facts":{"assessor":"a","n":1,"b":true},"reason":"why","confirm":true}`)
	f.Add(`{"facts":{"a":{"b":1}}}`)
	f.Add(`null`)
	f.Fuzz(func(t *testing.T, raw string) {
		a, err := ParseGround([]byte(raw))
		if err != nil {
			return
		}
		if len(a.Facts) > maxFacts || identityCode.MatchString(a.Reason) || len(a.Ground) > 64 {
			t.Fatalf("%+v", a)
		}
	})
}

func genScopes() *rapid.Generator[scopes] {
	return rapid.Custom(func(t *rapid.T) scopes {
		set := scopes{}
		for _, typ := range rapid.SliceOfDistinct(rapid.SampledFrom([]string{"*", "Patient", "Task", "CarePlan"}), rapid.ID[string]).Draw(t, "types") {
			set[typ] = rights(rapid.IntRange(1, 31).Draw(t, "rights"))
		}
		return set
	})
}

func TestNarrowingGivesWhatBothAllowAndNoMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := genScopes().Draw(t, "a"), genScopes().Draw(t, "b")
		both := a.and(b)
		for _, typ := range []string{"Patient", "Task", "CarePlan", "Observation"} {
			require.Equal(t, a.of(typ)&b.of(typ), both.of(typ), "%s and %s: %s on %s", a, b, both, typ)
		}
		read, err := parseScopes(both.String())
		require.NoError(t, err)
		require.Equal(t, both, read, "the text says the same")
	})
}
