package scenario_test

import (
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/consent/scenario"
)

func builtIn(t testing.TB) fs.FS {
	t.Helper()
	folder, err := fs.Sub(consent.Bases(), "scenarios")
	require.NoError(t, err)
	return folder
}

// The law answers every scenario as the lawyers wrote it.
func TestScenarios(t *testing.T) {
	suite, err := scenario.Read(builtIn(t))
	require.NoError(t, err)
	results, err := suite.Run(nil)
	require.NoError(t, err)
	require.NotEmpty(t, results)
	for i := range results {
		r := &results[i]
		t.Run(strings.TrimSuffix(r.Scenario.File, ".yaml")+"/"+r.Scenario.Title, func(t *testing.T) {
			require.Empty(t, r.Wrong, "%s:%d %s\n given %s\n when  %s\n then  %s", r.Scenario.File, r.Scenario.Line, r.Scenario.Basis, r.Given, r.When, r.Then)
			for _, b := range r.Decision.Bases {
				require.NotEmpty(t, b.Citation)
			}
		})
	}
}

func TestEveryRowHasItsScenarios(t *testing.T) {
	suite, err := scenario.Read(builtIn(t))
	require.NoError(t, err)
	e, err := consent.New(consent.Config{})
	require.NoError(t, err)
	require.Empty(t, scenario.Gaps(e.Rows(), suite.Scenarios()))
	var without []scenario.Scenario
	for _, one := range suite.Scenarios() {
		if one.Basis != "ATL-53.2" || one.Then.Outcome != "permit" {
			without = append(without, one)
		}
	}
	require.Len(t, scenario.Gaps(e.Rows(), without), 1, "a row that never permits in a scenario is told")
}

// with is the built-in folder with one more file.
func with(t *testing.T, name, text string) fs.FS {
	t.Helper()
	cast, err := fs.ReadFile(builtIn(t), "cast.yaml")
	require.NoError(t, err)
	return fstest.MapFS{"cast.yaml": {Data: cast}, name: {Data: []byte(text)}}
}

const one = `- basis: ATL-4.3-H
  title: a title
  given: {client: {relationships: [{care: health-station}]}}
  when: {who: nurse, does: read, data: {type: Observation, register: health}}
  then: {outcome: permit, bases: [ATL-4.3-H], disclosure: false}
`

func TestAScenarioThatIsWrongIsTold(t *testing.T) {
	suite, err := scenario.Read(with(t, "x.yaml", strings.Replace(one, "outcome: permit, bases: [ATL-4.3-H]", "outcome: deny", 1)))
	require.NoError(t, err)
	results, err := suite.Run(nil)
	require.NoError(t, err)
	require.Len(t, results, 1)
	require.False(t, results[0].OK())
	require.Contains(t, strings.Join(results[0].Wrong, "\n"), "outcome: permit, not deny")
	require.Equal(t, "the client: in the care of health-station", results[0].Given)
	require.Equal(t, "nurse (task 3.1, service 4.1) reads Observation [health]", results[0].When)
}

func TestScenariosAreReadStrictly(t *testing.T) {
	for _, test := range []struct{ name, text, complaint string }{
		{"an unknown word", one + strings.Replace(one, "  title", "  ttle", 1), "x.yaml: yaml: unmarshal errors:\n  line 7: field ttle not found"},
		{"a title that is there twice", one + one, "x.yaml:6: ATL-4.3-H \"a title\" is there before, in line 1"},
		{"an outcome that is none", strings.Replace(one, "permit", "perhaps", 1), "x.yaml:1: the outcome is permit, deny or needs-human"},
		{"no basis", strings.Replace(one, "ATL-4.3-H", "\"\"", 1), "x.yaml:1: a scenario has a basis and a title"},
		{"nobody", strings.Replace(one, "who: nurse", "who: \"\"", 1), "x.yaml:1: a scenario says who does what"},
		{"somebody who is not in the cast", one + strings.NewReplacer("who: nurse", "who: a stranger", "a title", "another").Replace(one), `x.yaml:6: cast.yaml knows no "a stranger"`},
		{"a day that is none", strings.Replace(one, "{care: health-station}", "{care: health-station, from: soon}", 1), `x.yaml:1: "soon" is no date`},
		{"a ban of nothing the law knows", strings.Replace(one, "}]}}", "}], directives: [{ban: everything}]}}", 1), "x.yaml:1: a ban is of all patient data"},
	} {
		t.Run(test.name, func(t *testing.T) {
			suite, err := scenario.Read(with(t, "x.yaml", test.text))
			if err == nil {
				_, err = suite.Run(nil)
			}
			require.ErrorContains(t, err, test.complaint)
		})
	}
	_, err := scenario.Read(builtIn(t), "nowhere.yaml")
	require.ErrorContains(t, err, "there is no nowhere.yaml")
	_, err = scenario.Read(os.DirFS(t.TempDir()))
	require.ErrorContains(t, err, "cast.yaml")
}

// An error in any policy denies, whatever else would permit: a limit that errs must not be skipped (Cedar skips it).
func TestAnErrorInAPolicyDenies(t *testing.T) {
	// Adding up beyond 64 bits passes the schema and errs when evaluated.
	const overflow = `@id("X-1") @citation("1/2000 § 1") @title_fi("Esimerkki") @title_en("Example") @from("2024-01-01")
		forbid (principal is Professional, action == Action::"read", resource)
		when { 9223372036854775807 + (if context.related then 1 else 0) == 0 };`
	suite, err := scenario.Read(builtIn(t), "own-register.yaml")
	require.NoError(t, err)
	results, err := suite.Run(func(cfg *consent.Config) {
		cfg.Bases = fstest.MapFS{"extra.cedar": {Data: []byte(overflow)}}
	})
	require.NoError(t, err)
	denied := 0
	for i := range results {
		r := &results[i]
		if r.Scenario.When.Does != consent.Read || r.Scenario.Then.Outcome != "permit" || !strings.Contains(r.When, "task") {
			continue
		}
		denied++
		require.Equal(t, consent.Denied, r.Decision.Outcome, r.Scenario.Title)
		require.Empty(t, r.Decision.Bases)
		require.Contains(t, r.Decision.Reason, "policy error: consent/bases/extra.cedar:1")
	}
	require.NotZero(t, denied)
}
