package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
)

// play runs the command with the words given.
func play(t *testing.T, words ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(context.Background(), append([]string{"scenarios"}, words...), &out, &errs)
	return code, out.String(), errs.String()
}

func TestALawyerReadsTheScenariosOfARow(t *testing.T) {
	code, out, errs := play(t)
	require.Zero(t, code, errs)
	require.Contains(t, out, "ATL-53.2 · 703/2023 § 53.2 · Luovutuslupa: potilastiedot sosiaalihuoltoon\nPermit: patient data to social care · permits\n")
	require.Contains(t, out, `  PASS  a permit without a relationship opens nothing
        given  the client: permit, health to social
        when   social worker (task 10.1.1) reads Observation [health]
        then   deny, because “ATL-53.2: no relationship”
`)
	require.Contains(t, out, " 0 otherwise; 0 missing")

	code, out, errs = play(t, "--basis", "ATL-51", "--brief", "persons.yaml")
	require.Zero(t, code, errs)
	require.Contains(t, out, "ATL-51 ·")
	require.NotContains(t, out, "given")
	require.NotContains(t, out, "ATL-74")
}

func TestAnswersThatDifferFromTheScenariosAreTold(t *testing.T) {
	code, out, _ := play(t, "--switch", "O1=passes", "--basis", "ATL-53.1")
	require.Equal(t, exitNotWell, code)
	require.Contains(t, out, "FAIL  with a ban a human decides (O1)")
	require.Contains(t, out, "WRONG  outcome: permit, not needs-human")
	require.Contains(t, out, "in     joint.yaml:")

	code, out, _ = play(t, "--switch", "O1=passes", "--basis", "ATL-53.1", "--json")
	require.Equal(t, exitNotWell, code)
	var told struct {
		Policy    string
		Scenarios []playedScenario
	}
	require.NoError(t, json.Unmarshal([]byte(out), &told))
	require.Len(t, told.Policy, 64)
	wrong := 0
	for _, s := range told.Scenarios {
		require.Equal(t, "ATL-53.1", s.Basis)
		if !s.Pass {
			wrong++
			require.NotEmpty(t, s.Wrong)
		}
	}
	require.Equal(t, 1, wrong)

	code, _, errs := play(t, "--switch", "O1")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "O1=passes")
	code, _, errs = play(t, "nowhere.yaml")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "there is no nowhere.yaml")
}

func TestADraftOfPoliciesIsPlayed(t *testing.T) {
	draft := t.TempDir()
	text, err := os.ReadFile("../consent/bases/permits.cedar")
	require.NoError(t, err)
	without := strings.Replace(string(text), "when { context.localPermits }\n", "", 1)
	require.NotEqual(t, string(text), without)
	require.NoError(t, os.WriteFile(filepath.Join(draft, "permits.cedar"), []byte(without), 0o600))
	code, out, _ := play(t, "--policy", draft, "--basis", "ATL-53.2")
	require.Equal(t, exitNotWell, code)
	require.Contains(t, out, "FAIL  without O11 a permit kept locally does not count")

	require.NoError(t, os.WriteFile(filepath.Join(draft, "permits.cedar"), []byte(strings.Replace(string(text), "context.localPermits", "context.localPermit", 1)), 0o600))
	code, _, errs := play(t, "--policy", draft)
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "consent/bases/permits.cedar:")
	require.Contains(t, errs, "localPermit")
}

// A draft may be of scenarios alone: a lawyer asks the law that is in force.
func TestADraftOfScenariosAloneIsPlayed(t *testing.T) {
	draft := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(draft, "scenarios"), 0o755))
	cast, err := fs.ReadFile(consent.Bases(), "scenarios/cast.yaml")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(draft, "scenarios", "cast.yaml"), cast, 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(draft, "scenarios", "mine.yaml"), []byte(`- basis: ATL-53.2
  title: without a permit nothing
  given: {client: {relationships: [{care: social-services}]}}
  when: {who: social worker, does: read, data: {type: Observation, register: health}}
  then: {outcome: deny}
`), 0o644))
	code, out, errs := play(t, "--policy", draft, "mine.yaml")
	require.Zero(t, code, errs)
	require.Contains(t, out, "1 scenarios of 1 rows: 1 as written")
}

func TestTheOverviewHasEveryRow(t *testing.T) {
	code, out, errs := play(t, "--overview")
	require.Zero(t, code, errs)
	for _, row := range []string{"ATL-4.3-H", "ATL-53.5b", "ATL-59", "STM457-18.1", "JÄRJL-10"} {
		require.Contains(t, out, "\n| "+row+" | ")
	}
	require.Contains(t, out, "follows O1")
	require.Contains(t, out, "| O11 | off |")
}
