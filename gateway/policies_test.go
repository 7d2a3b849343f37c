package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/auth"
)

// permits is the text of the built-in permits with more at its end.
func permits(t *testing.T, more string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "consent", "bases", "permits.cedar"))
	require.NoError(t, err)
	return string(text) + more
}

func get(t *testing.T, url string, header http.Header) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	req.Header = header
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(text)
}

// decidedUnder are the policy versions that reads of Patient/aino were decided under, in order.
func decidedUnder(t *testing.T, setting string) []string {
	t.Helper()
	s, err := openStore(t.Context(), setting)
	require.NoError(t, err)
	defer s.Close()
	var versions []string
	for entry, err := range s.Ledger().Entries(context.Background(), 0) {
		require.NoError(t, err)
		rec, err := ledger.ParseRecord(entry.Canonical)
		require.NoError(t, err)
		if rec.Interaction == "read" && rec.Target == "Patient/aino" {
			versions = append(versions, rec.Policy)
		}
	}
	return versions
}

// Policies are edited while the gateway runs: a good file comes into force for what follows, a bad one changes nothing
// and is told aloud, and what was decided under the earlier ones is decided again from their kept texts.
func TestPoliciesAreLoadedAnew(t *testing.T) {
	p := newProduction(t)
	folder := p.path("policies")
	require.NoError(t, os.Mkdir(folder, 0o755))
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600))
	}
	hup := func() { require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGHUP)) }
	write("permits.cedar", permits(t, "// first\n"))
	var log *logs
	p.running(t, p.args("--init-keys", "--policies", folder), func(root string, l *logs) {
		log = l
		read := func() {
			token, err := auth.Fetch(t.Context(), root+auth.TokenPath, p.assertion(t, root), "")
			require.NoError(t, err)
			status, _ := get(t, root+"/fhir/Patient/aino", http.Header{"Authorization": {token.Authorization()}})
			require.Equal(t, 404, status)
		}
		told := func(what string) {
			t.Helper()
			require.Eventually(t, func() bool { return bytes.Contains([]byte(log.String()), []byte(what)) }, 20*time.Second, 20*time.Millisecond, what)
		}
		ready := func() string {
			status, text := get(t, root+"/readyz", nil)
			require.Equal(t, 200, status)
			return text
		}
		read()

		write("permits.cedar", permits(t, "// second\n"))
		told(`"msg":"other policies are in force"`) // the change is seen without a signal
		read()
		require.Equal(t, "ready\n", ready())

		write("permits.cedar", permits(t, "\npermit (principal is Nobody, action, resource);\n"))
		hup()
		told(`"msg":"the policies are not loaded: the version before stays in force"`)
		require.Regexp(t, `policies/permits\.cedar:\d+`, log.String(), "the file and the line")
		require.Contains(t, ready(), "ready, without the newest policies (an error keeps version ")
		read()

		write("permits.cedar", permits(t, "// third\n"))
		write("answers.yaml", "O11: on\n")
		hup()
		require.Eventually(t, func() bool { return ready() == "ready\n" }, 10*time.Second, 20*time.Millisecond)
		read()
	})

	versions := decidedUnder(t, "sqlite:"+p.path("gateway.db"))
	require.Len(t, versions, 4)
	require.NotEqual(t, versions[0], versions[1])
	require.Equal(t, versions[1], versions[2], "the erroneous file changed nothing")
	require.NotEqual(t, versions[2], versions[3])

	var out, errs bytes.Buffer
	code := run(t.Context(), []string{
		"replay", "--json", "--store", "sqlite:" + p.path("gateway.db"), "--policies", folder, "--public-controllers", "Organization/county",
	}, &out, &errs)
	require.Zero(t, code, errs.String()+out.String())
	var told replayJSON
	require.NoError(t, json.Unmarshal(out.Bytes(), &told))
	require.True(t, told.OK)
	require.Equal(t, versions[3], told.Report.Policy)
	require.ElementsMatch(t, []string{versions[0], versions[1]}, told.Report.Kept)

	write("permits.cedar", "permit (\nprincipal is")
	require.Contains(t, p.refused(t, p.args("--policies", folder)...), "policies/permits.cedar:", "a gateway does not start on an error")
}

// What decides is in order, but its text cannot be kept: it does not come into force, and is tried again.
func TestPoliciesThatCannotBeKeptWait(t *testing.T) {
	folder := t.TempDir()
	cfg := nodeConfig{settings: settings{Policies: folder}}
	require.NoError(t, os.WriteFile(filepath.Join(folder, "permits.cedar"), []byte(permits(t, "")), 0o600))
	first, err := cfg.law()
	require.NoError(t, err)
	kept, full := 0, true
	p := &policies{
		law: consent.NewInForce(first), read: cfg.law, files: cfg.watched(), metrics: newMetrics(), log: slog.New(slog.DiscardHandler),
		keep: func(context.Context, *consent.Engine) error {
			if full {
				return errors.New("disk full")
			}
			kept++
			return nil
		},
	}
	ticks, ctx := make(chan time.Time), t.Context()
	go followAt(ctx, func() []string { return p.files }, nil, ticks, p.load)
	tick := func(n int) {
		for range n {
			ticks <- time.Now()
		}
	}
	tick(2)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "permits.cedar"), []byte(permits(t, "// next\n")), 0o600))
	tick(4)
	require.Equal(t, first.Version(), p.law.Version())
	require.Len(t, p.lost(), 1)
	full = false
	tick(4)
	require.NotEqual(t, first.Version(), p.law.Version())
	require.Empty(t, p.lost())
	require.Equal(t, 1, kept)
}
