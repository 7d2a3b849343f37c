package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/gateway/exchange"
)

func TestWithoutAGoodTokenThereIsNoCaller(t *testing.T) {
	w, elsewhere := newWorld(t), newWorld(t)
	st := w.state.Load()
	g := grant{client: mustClient(st.registry, "jukola-ehr"), purpose: consent.Care, scopes: scopes{"*": rightR}}
	forge := func(key *Key, issuer, audience string, at time.Time) string {
		text, err := issue(key, issuer, audience, g, at)
		require.NoError(t, err)
		return text
	}
	now := w.clock.now()
	good := forge(st.key, w.issuer, w.audience, now)
	own, err := newTokenKey()
	require.NoError(t, err)
	posing := &Key{PublicKey{id: st.key.public.id, alg: ES256, method: own.public.method, key: own.public.key}, own.signer}

	for name, c := range map[string]struct{ header, code, challenge string }{
		"nothing":            {"", "", `Bearer realm="fhir"`},
		"another scheme":     {"Basic bnVyc2U6bnVyc2U=", "", `Bearer realm="fhir"`},
		"no token":           {"Bearer ", "invalid_request", "error=\"invalid_request\""},
		"rubbish":            {"Bearer rubbish", "invalid_token", "error=\"invalid_token\""},
		"endless":            {"Bearer " + strings.Repeat("x", maxJWS+1), "invalid_token", "too long"},
		"another gateway":    {elsewhere.token("jukola-ehr", Claims{}, "").Authorization(), "invalid_token", "not one of ours"},
		"another key":        {"Bearer " + forge(posing, w.issuer, w.audience, now), "invalid_token", "not one of ours"},
		"another issuer":     {"Bearer " + forge(st.key, "https://evil.example", w.audience, now), "invalid_token", "not one of ours"},
		"another audience":   {"Bearer " + forge(st.key, w.issuer, w.issuer+"/other", now), "invalid_token", "not for this server"},
		"expired":            {"Bearer " + forge(st.key, w.issuer, w.audience, now.Add(-tokenLife)), "invalid_token", "expired"},
		"of the future":      {"Bearer " + forge(st.key, w.issuer, w.audience, now.Add(time.Minute)), "invalid_token", "not valid yet"},
		"a client assertion": {"Bearer " + w.assertion("jukola-ehr", Claims{}), "invalid_token", "not one of ours"},
		"signature cut":      {"Bearer " + good[:len(good)-4], "invalid_token", "not one of ours"},
		"our key, not a token": {"Bearer " + func() string {
			text, err := signJWT(st.key, "JWT", map[string]any{"iss": w.issuer, "sub": "jukola-ehr", "aud": w.audience, "exp": now.Unix() + 60, "iat": now.Unix()})
			require.NoError(t, err)
			return text
		}(), "invalid_token", "not one of ours"},
	} {
		t.Run(name, func(t *testing.T) {
			caller, err := w.Authenticate(context.Background(), c.header)
			var u *Unauthorized
			require.True(t, errors.As(err, &u))
			require.Equal(t, c.code, u.Code)
			require.Contains(t, challenge(err), c.challenge)
			require.Nil(t, caller.Allows)
			require.Empty(t, caller.Actor.App)
		})
	}
	require.Empty(t, st.cache.byHash, "what failed is not kept")
	_, err = w.Authenticate(context.Background(), "bearer "+good)
	require.NoError(t, err, "the scheme's case does not matter (RFC 9110 § 11.1)")
}

func TestAVerifiedTokenIsForgottenInTime(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Cache = CacheLimits{Life: 10 * time.Minute} })
	tok := w.token("jukola-ehr", Claims{User: "nurse"}, "")
	_, err := w.Authenticate(context.Background(), tok.Authorization())
	require.NoError(t, err)
	require.Len(t, w.state.Load().cache.byHash, 1)
	w.clock.pass(tokenLife - time.Second)
	_, err = w.Authenticate(context.Background(), tok.Authorization())
	require.NoError(t, err)
	w.clock.pass(time.Second)
	_, err = w.Authenticate(context.Background(), tok.Authorization())
	require.ErrorContains(t, err, "expired", "the cache outlived the token")
}

func TestTheCacheIsBounded(t *testing.T) {
	c := newCache(CacheLimits{Tokens: 64, Life: time.Minute})
	now := time.Now()
	for i := range 1000 {
		c.put([32]byte{byte(i), byte(i >> 8)}, exchange.Caller{}, now.Add(time.Hour), now)
		require.LessOrEqual(t, len(c.byHash), 64)
		_, ok := c.get([32]byte{byte(i), byte(i >> 8)}, now)
		require.True(t, ok, "the newest is there")
	}
	_, ok := c.get([32]byte{byte(999 & 0xff), byte(999 >> 8)}, now.Add(time.Minute))
	require.False(t, ok, "a short life")
}

func TestAChangedRegistrationCountsAtOnce(t *testing.T) {
	w := newWorld(t)
	nurse := w.token("jukola-ehr", Claims{User: "nurse"}, "")
	worker := w.token("county-social", Claims{User: "social-worker", Purpose: consent.NeedAssessment, Ground: needAssessment}, "")
	for _, tok := range []Token{nurse, worker} {
		_, err := w.Authenticate(context.Background(), tok.Authorization())
		require.NoError(t, err)
	}
	w.Use(w.registry(func(text string) string {
		text = strings.Replace(text, "      - id: nurse\n", "      - id: nurse-2\n", 1)
		text = strings.Replace(text, "purposes: [care, need-assessment, incapacity, statutory-act]", "purposes: [care]", 1)
		return strings.Replace(text, "scopes: [system/*.rs, system/Task.cu, system/QuestionnaireResponse.c]", "scopes: [system/Task.r]", 1)
	}))
	_, err := w.Authenticate(context.Background(), worker.Authorization())
	require.ErrorContains(t, err, "more than is registered now")
	_, err = w.Authenticate(context.Background(), nurse.Authorization())
	require.Error(t, err, "the user is gone")
	plain := w.token("county-social", Claims{User: "social-worker"}, "")
	require.Equal(t, "system/Task.r", plain.Scope)

	// Scopes narrowed after the token was given.
	w.Use(w.registry(nil))
	wide := w.token("jukola-ehr", Claims{}, "")
	w.Use(w.registry(func(text string) string {
		return strings.Replace(text, "scopes: [system/*.cruds]", "scopes: [system/Task.r]", 1)
	}))
	caller, err := w.Authenticate(context.Background(), wide.Authorization())
	require.NoError(t, err)
	require.True(t, caller.Allows("Task", exchange.Read))
	require.False(t, caller.Allows("Task", exchange.Update))
	require.False(t, caller.Allows("Patient", exchange.Read))
}

// A gateway that was started anew with another key knows its own tokens only.
func TestTokensOfAnotherKeyAreNotOurs(t *testing.T) {
	w := newWorld(t)
	tok := w.token("jukola-ehr", Claims{}, "")
	next, err := newTokenKey()
	require.NoError(t, err)
	w.state.Store(&state{registry: w.Registry(), key: next, cache: newCache(w.limits)})
	_, err = w.Authenticate(context.Background(), tok.Authorization())
	require.ErrorContains(t, err, "not one of ours")
	_, err = w.Authenticate(context.Background(), w.token("jukola-ehr", Claims{}, "").Authorization())
	require.NoError(t, err)
	_, err = New(Config{BaseURL: "https://gw.example", Registry: w.Registry(), Key: w.keys["omaks"], Used: w.used})
	require.ErrorContains(t, err, "not a P-256 key")
}

func TestWiresWithoutTokensSpeakAsTheirClient(t *testing.T) {
	w := newWorld(t)
	caller, ok := w.Caller("jukola-ehr", "")
	require.True(t, ok)
	require.Equal(t, consent.System, caller.Actor.Kind)
	require.Equal(t, consent.Care, caller.Purpose)
	require.True(t, caller.Allows("Task", exchange.Create))
	for _, unknown := range [][2]string{{"nobody", ""}, {"jukola-ehr", "nobody"}, {"my-data", ""}} {
		_, ok = w.Caller(unknown[0], unknown[1])
		require.False(t, ok, unknown)
	}
}

func TestAuthenticateIsSafeAtOnce(t *testing.T) {
	w := newWorld(t)
	var headers []string
	for range 4 {
		headers = append(headers, w.token("jukola-ehr", Claims{User: "nurse"}, "").Authorization())
	}
	reg := w.registry(nil)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 50 {
				if i == 0 && n%10 == 0 {
					w.Use(reg)
				}
				caller, err := w.Authenticate(context.Background(), headers[(i+n)%4])
				if err != nil || caller.Actor.User != "nurse" {
					panic(fmt.Sprint(err))
				}
			}
		})
	}
	wg.Wait()
}

func mustClient(r *Registry, id string) *Client {
	c, ok := r.Client(id)
	if !ok {
		panic(id)
	}
	return c
}

func BenchmarkAuthenticateCached(b *testing.B) {
	w := newWorld(b)
	header := w.token("county-social", Claims{User: "social-worker", Purpose: consent.NeedAssessment, Ground: needAssessment}, "").Authorization()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.Authenticate(context.Background(), header); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAuthenticateUncached(b *testing.B) {
	w := newWorld(b)
	token := w.token("county-social", Claims{User: "social-worker", Purpose: consent.NeedAssessment, Ground: needAssessment}, "").AccessToken
	st := w.state.Load()
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := w.verify(st, token, w.clock.now()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyAssertion(b *testing.B) {
	w := newWorld(b)
	client := mustClient(w.Registry(), "county-social")
	for _, key := range []*Key{w.keys["county-social"], rsaKey()} {
		text, err := assertionAt(w.clock.now(), key, "county-social", w.tokenURL, Claims{User: "social-worker"})
		if err != nil {
			b.Fatal(err)
		}
		b.Run(key.Public().Algorithm(), func(b *testing.B) {
			for b.Loop() {
				a, err := readAssertion(text)
				if err == nil {
					err = a.verify(context.Background(), client)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
