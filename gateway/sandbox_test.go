package main

import (
	"context"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/auth"
)

// sandboxed runs the sandbox without its journey until f is done; f gets its root and the folder of its keys.
func sandboxed(t *testing.T, f func(root, keys string), args ...string) {
	t.Helper()
	dir := t.TempDir()
	for name, value := range map[string]string{
		"SOTESILTA_ADDR": "127.0.0.1:0", "SOTESILTA_ADMIN_ADDR": "127.0.0.1:0", "SOTESILTA_MLLP_ADDR": "off",
		"SOTESILTA_STORE": "sqlite:" + filepath.Join(dir, "sandbox.db"), "TMPDIR": dir,
	} {
		t.Setenv(name, value)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	said, ended := &logs{}, make(chan int, 1)
	go func() { ended <- run(ctx, append([]string{"sandbox", "--no-journey"}, args...), said, said) }()
	loaded := regexp.MustCompile(`FHIR (http://\S+)/fhir .*\n.*Keys: (\S+)\n`)
	for {
		if found := loaded.FindStringSubmatch(said.String()); found != nil {
			f(found[1], found[2])
			stop()
			require.Zero(t, <-ended, said.String())
			return
		}
		select {
		case code := <-ended:
			t.Fatalf("it ended with %d: %s", code, said)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// asking asks the sandbox's FHIR base as a user of one of its API clients.
func asking(t *testing.T, root, keys, client, user string) func(method, path, body string) *http.Response {
	t.Helper()
	key, err := auth.ReadClientKey(keys, client)
	require.NoError(t, err)
	assertion, err := auth.Assertion(key, client, root+auth.TokenPath, auth.Claims{User: user})
	require.NoError(t, err)
	token, err := auth.Fetch(t.Context(), root+auth.TokenPath, assertion, "")
	require.NoError(t, err)
	return func(method, path, body string) *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), method, root+"/fhir"+path, strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Authorization", token.Authorization())
		req.Header.Set("Content-Type", "application/fhir+json")
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		return res
	}
}

// The sandbox lets who tries it ask as often as they like, unless SOTESILTA_RATE says otherwise: then each API client by itself,
// as in production.
func TestTheSandboxLimitsRatesWhenItIsTold(t *testing.T) {
	// A batch costs as many requests as it has entries, whatever these ask for.
	const entry = `{"request":{"method":"GET","url":"Toimeksianto/1"}}`
	thousand := `{"resourceType":"Bundle","type":"batch","entry":[` + strings.Repeat(entry+",", 999) + entry + `]}`
	t.Run("not told", func(t *testing.T) {
		sandboxed(t, func(root, keys string) {
			nurse := asking(t, root, keys, "jukola-ehr", "nurse")
			for range 3 { // far more than production's 200 a second
				require.Equal(t, 200, nurse("POST", "", thousand).StatusCode)
			}
			require.Equal(t, 200, nurse("GET", "/Organization?_count=1", "").StatusCode)
		})
	})
	for name, args := range map[string][]string{"told by the variable": nil, "told by the flag": {"--rate", "0.01"}} {
		t.Run(name, func(t *testing.T) {
			if args == nil {
				t.Setenv("SOTESILTA_RATE", "0.01")
			}
			sandboxed(t, func(root, keys string) {
				nurse := asking(t, root, keys, "jukola-ehr", "nurse")
				require.Equal(t, 200, nurse("GET", "/Organization?_count=1", "").StatusCode)
				for _, user := range []string{"nurse", "doctor"} {
					res := asking(t, root, keys, "jukola-ehr", user)("GET", "/Organization?_count=1", "")
					require.Equal(t, 429, res.StatusCode, "one in a hundred seconds, all users of the API client together")
					require.NotEmpty(t, res.Header.Get("Retry-After"))
				}
				worker := asking(t, root, keys, "county-social", "social-worker")
				require.Equal(t, 200, worker("GET", "/Organization?_count=1", "").StatusCode, "another API client has its own")
			}, args...)
		})
	}
	t.Run("told what is no rate", func(t *testing.T) {
		t.Setenv("SOTESILTA_RATE", "-1")
		code, _, errs := command(t, "sandbox", "--no-journey")
		require.Equal(t, exitFailed, code)
		require.Contains(t, errs, "SOTESILTA_RATE: requests a second, above 0")
	})
}
