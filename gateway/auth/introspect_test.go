package auth

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/internal/terms"
)

// introspects asks about a token, as whoever holds another.
func (w *world) introspects(holder, form string) (int, map[string]any, http.Header) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, strings.TrimSuffix(w.tokenURL, TokenPath)+IntrospectPath, strings.NewReader(form))
	require.NoError(w.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if holder != "" {
		req.Header.Set("Authorization", "Bearer "+holder)
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(w.t, err)
	return read(w.t, res)
}

func about(token string) string { return url.Values{"token": {token}}.Encode() }

func TestATokenIsIntrospectedByItsClient(t *testing.T) {
	w := newWorld(t)
	nurse := w.token("jukola-ehr", Claims{User: "nurse"}, "system/Observation.rs").AccessToken
	system := w.token("jukola-ehr", Claims{}, "").AccessToken
	other := w.token("omaks", Claims{User: "digi-nurse"}, "").AccessToken

	status, told, header := w.introspects(system, about(nurse))
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "no-store", header.Get("Cache-Control"))
	require.Equal(t, true, told["active"])
	require.Equal(t, "jukola-ehr", told["client_id"])
	require.Equal(t, "system/Observation.rs", told["scope"])
	require.Equal(t, w.fhir, told["aud"])
	require.Equal(t, 300.0, told["exp"].(float64)-told["iat"].(float64))
	iua := told["extensions"].(map[string]any)["ihe_iua"].(map[string]any)
	require.Equal(t, "Nina Sairaanhoitaja", iua["subject_name"])
	require.Equal(t, []any{map[string]any{"system": terms.Purpose, "code": "care"}}, iua["purpose_of_use"])

	inactive := map[string]any{"active": false}
	for name, token := range map[string]string{"garbage": "garbage", "another's": nurse, "spoiled": nurse[:len(nurse)-4] + "AAAA"} {
		status, told, _ := w.introspects(other, about(token))
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, inactive, told, name)
	}
	for _, all := range []string{"auditor", "operator"} {
		_, told, _ := w.introspects(w.token(all, Claims{}, "").AccessToken, about(nurse))
		require.Equal(t, true, told["active"], all)
	}

	// It tells what the token is worth now: narrowed with the registration, and nothing once it is over.
	w.Use(w.registry(func(text string) string { return strings.ReplaceAll(text, "id: nurse\n", "id: nurse-no-more\n") }))
	_, told, _ = w.introspects(system, about(nurse))
	require.Equal(t, inactive, told)
	_, told, _ = w.introspects(system, about(system))
	require.Equal(t, true, told["active"])
	w.clock.pass(4 * time.Minute)
	fresh := w.token("jukola-ehr", Claims{}, "").AccessToken
	w.clock.pass(2 * time.Minute)
	_, told, _ = w.introspects(fresh, about(system))
	require.Equal(t, inactive, told)
}

func TestBadIntrospectionsAreRefused(t *testing.T) {
	w := newWorld(t)
	good := w.token("jukola-ehr", Claims{}, "").AccessToken
	status, told, header := w.introspects("", about(good))
	require.Equal(t, http.StatusUnauthorized, status)
	require.Equal(t, "invalid_token", told["error"])
	require.NotEmpty(t, header.Get("WWW-Authenticate"))
	for name, form := range map[string]string{
		"none": "", "twice": about(good) + "&" + about(good), "too long": about(strings.Repeat("a", maxJWS+1)),
	} {
		status, told, _ := w.introspects(good, form)
		require.Equal(t, http.StatusBadRequest, status, name)
		require.Equal(t, "invalid_request", told["error"], name)
	}
	status, _, _ = w.introspects(good, "token="+strings.Repeat("a", maxTokenBody))
	require.Equal(t, http.StatusRequestEntityTooLarge, status)
	require.NotContains(t, w.log.String(), good)
}
