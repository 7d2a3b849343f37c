package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/consent/ledger"
	"sotesilta/gateway/exchange"
)

// command runs the program and answers its exit code and output.
func command(t *testing.T, args ...string) (int, string, string) {
	t.Helper()
	var out, err bytes.Buffer
	code := run(t.Context(), args, &out, &err)
	return code, out.String(), err.String()
}

// played is the store of a sandbox whose journey is over.
func played(t *testing.T) {
	t.Helper()
	for name, value := range map[string]string{
		"SOTESILTA_ADDR": "127.0.0.1:0", "SOTESILTA_ADMIN_ADDR": "127.0.0.1:0", "SOTESILTA_MLLP_ADDR": "127.0.0.1:0",
		"SOTESILTA_STORE": "sqlite:" + filepath.Join(t.TempDir(), "journey.db"),
	} {
		t.Setenv(name, value)
	}
	code, out, errs := command(t, "sandbox", "--exit")
	require.Zero(t, code, "%s\n%s", out, errs)
}

// replayJSON is what replay --json prints.
type replayJSON struct {
	Differences []exchange.Difference `json:"differences"`
	OK          bool                  `json:"ok"`
	Report      exchange.Repeated     `json:"report"`
}

func replay(t *testing.T, args ...string) (int, replayJSON) {
	t.Helper()
	code, out, errs := command(t, append([]string{"replay", "--sandbox", "--json"}, args...)...)
	require.Empty(t, errs, "in a pipe, no progress")
	var told replayJSON
	require.NoError(t, json.Unmarshal([]byte(out), &told), out)
	return code, told
}

// readOn are the records of the ledger in which data were read on a basis.
func readOn(t *testing.T, basis string) []string {
	t.Helper()
	s, err := openStore(t.Context(), os.Getenv("SOTESILTA_STORE"))
	require.NoError(t, err)
	defer s.Close()
	var ids []string
	for entry, err := range s.Ledger().Entries(context.Background(), 0) {
		require.NoError(t, err)
		rec, err := ledger.ParseRecord(entry.Canonical)
		require.NoError(t, err)
		for _, b := range rec.Bases {
			if b.ID == basis && rec.Interaction != "create" { // invitations have a policy of their own for the row
				ids = append(ids, rec.ID)
			}
		}
	}
	slices.Sort(ids)
	return ids
}

func TestTheJourneyIsReplayed(t *testing.T) {
	if testing.Short() {
		t.Skip("plays the sandbox's journey")
	}
	played(t)

	t.Run("under its own policies each record is answered as then", func(t *testing.T) {
		code, out, errs := command(t, "replay", "--sandbox")
		require.Zero(t, code, out+errs)
		require.Contains(t, out, "every record was repeated, and answered as then")
		code, told := replay(t)
		require.Zero(t, code)
		require.True(t, told.OK)
		require.Empty(t, told.Differences)
		require.Greater(t, told.Report.Asked, int64(150))
		require.Equal(t, told.Report.Asked, told.Report.Same)
	})

	t.Run("another answer to O1 opens the one read that a ban left to a human", func(t *testing.T) {
		code, told := replay(t, "--switch", "O1=passes")
		require.Zero(t, code, "another policy version is no error")
		require.Len(t, told.Differences, 1)
		d := told.Differences[0]
		require.Equal(t, "social-worker@county-social", d.Actor)
		require.Equal(t, "read", d.Interaction)
		require.Equal(t, "aino", d.Client)
		require.Equal(t, "needs-human", d.Then.Outcome)
		require.Equal(t, "permit", d.Now.Outcome)
		require.Equal(t, []string{"ATL-53.1"}, d.Now.Bases)
		require.False(t, d.SamePolicy)
		require.Equal(t, map[string]*exchange.Shift{"ATL-53.1": {Opened: 1}}, told.Report.Shifts)
	})

	t.Run("a policy that is not in force yet is missed by exactly what rested on it", func(t *testing.T) {
		drafts := t.TempDir()
		text, err := os.ReadFile(filepath.Join("..", "consent", "bases", "permits.cedar"))
		require.NoError(t, err)
		before, after, found := strings.Cut(string(text), `@id("ATL-53.2")`)
		require.True(t, found)
		from := strings.Index(after, `@from("`) + len(`@from("`)
		draft := before + `@id("ATL-53.2")` + after[:from] + "2099-01-01" + after[from+len("2099-01-01"):]
		require.NoError(t, os.WriteFile(filepath.Join(drafts, "permits.cedar"), []byte(draft), 0o600))
		code, told := replay(t, "--policy", drafts)
		require.Zero(t, code)
		var ids []string
		for _, d := range told.Differences {
			ids = append(ids, d.Record)
			require.Contains(t, d.Then.Bases, "ATL-53.2")
			require.NotContains(t, d.Now.Bases, "ATL-53.2")
		}
		slices.Sort(ids)
		require.NotEmpty(t, ids)
		require.Equal(t, readOn(t, "ATL-53.2"), ids)
		require.Len(t, told.Report.Shifts, 1)
		shift := told.Report.Shifts["ATL-53.2"]
		require.Equal(t, len(ids), shift.Closed+shift.Lost)
	})

	t.Run("a draft with an error is refused by file and line", func(t *testing.T) {
		drafts := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(drafts, "permits.cedar"), []byte("permit (\nprincipal is Nobody, action, resource"), 0o600))
		code, _, errs := command(t, "replay", "--sandbox", "--policy", drafts)
		require.Equal(t, exitFailed, code)
		require.Contains(t, errs, "permits.cedar")
	})
}
