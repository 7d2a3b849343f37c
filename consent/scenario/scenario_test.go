package scenario_test

import (
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

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
		{"an unknown word", one + strings.Replace(one, "  title", "  ttle", 1), "x.yaml: line 7: ttle is unknown"},
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

// rows is § 3 of the table of legal bases, row by row, and what each must be here: "decides", a "human" act or decision,
// "none" (it gives no right through this gateway), or a "limit".
var rows = map[string]string{
	// Own register, joint documents and services.
	"ATL-4.3-H": "decides", "ATL-4.3-S": "decides", "ATL-14": "decides", "ATL-46": "decides", "ATL-47": "decides",
	// Across the sectors.
	"ATL-53.1": "decides", "ATL-53.2": "decides", "ATL-53.3": "decides", "ATL-53.5a": "human", "ATL-53.5b": "decides", "ATL-53.6": "human",
	// Within a sector.
	"ATL-54.1": "decides", "ATL-54.2": "human", "ATL-54.4": "human", "ATL-54.5": "decides", "ATL-55.1": "decides", "ATL-55.2a": "human",
	"ATL-55.2b": "decides", "RX-13.1": "none", "RX-13.3-6": "none",
	// Without or against a permit.
	"ATL-56": "human", "ATL-62": "human", "ATL-63.1": "human", "ATL-63.2": "human", "ATL-64.1": "none", "ATL-64.4": "none", "ATL-48": "none", "VIRKA-22": "human",
	// Other Acts.
	"SHL-35.1": "decides", "SHL-35.2": "human", "SHL-39.3": "human", "SHL-40.1": "decides", "SHL-41": "none", "SHL-42": "none", "THL-32.2": "none",
	"JÄRJL-10": "none", "VPL-25.1": "human", "VPL-25.2": "human", "VPL-17": "human", "LSL-25": "human", "LSL-25a": "none", "LSL-25c": "human",
	"LSL-25.3": "human", "LSL-25d": "human", "OHL-23.2": "human", "KAYL-8": "human", "TMEL-15": "human", "JULKL-26": "human", "JULKL-26.3": "human", "JULKL-29": "none",
	// Supervision, upkeep, others.
	"ATL-6": "human", "ATL-10": "decides", "ATL-9-ICT": "human",
	// The client and who acts for the client.
	"ATL-11": "decides", "ATL-74": "decides", "ATL-50": "decides", "ATL-51": "limit", "ATL-49": "human", "ATL-52": "human", "JULKL-11": "human",
	// Bans and caps (§§ 7 and 8 of the table).
	"ATL-59": "limit", "ATL-26.2": "limit", "STM457-5": "limit", "STM457-6": "limit", "STM457-7": "limit", "STM457-8": "limit", "STM457-9": "limit",
	"STM457-12": "limit", "STM457-13": "limit", "STM457-14": "limit", "STM457-15": "limit", "STM457-16": "limit", "STM457-17": "limit",
	"STM457-18": "limit", "STM457-18.1": "limit", "STM457-19": "limit", "STM457-21": "none", "ATL-24": "none", "STM457-23": "human", "STM457-24": "human",
}

func TestEveryRowOfTheTableIsHere(t *testing.T) {
	e, err := consent.New(consent.Config{})
	require.NoError(t, err)
	found := map[string]string{}
	for _, row := range e.Rows() {
		kind := "decides"
		switch {
		case row.GivesNone:
			kind = "none"
			require.NotEmpty(t, row.Instead, row.ID)
			require.NotEmpty(t, row.Reason, row.ID)
		case row.Limit:
			kind = "limit"
		case row.Human || row.Act:
			kind = "human"
		}
		found[row.ID] = kind
		require.NotEmpty(t, row.Citation, row.ID)
		require.NotEmpty(t, row.TitleFi, row.ID)
		require.NotEmpty(t, row.TitleEn, row.ID)
		if !row.GivesNone {
			require.False(t, row.From.IsZero(), row.ID)
			require.NotEmpty(t, row.Direction, "%s (%s:%d) says for people from whom to whom", row.ID, row.File, row.Line)
			require.NotEmpty(t, row.Scope, "%s (%s:%d) says for people which data", row.ID, row.File, row.Line)
		}
	}
	for id, kind := range rows {
		require.Equal(t, kind, found[id], id)
	}
}

// Every answer that a county may give to an open question has a scenario, and every question one that names it.
func TestEveryAnswerToAnOpenQuestionIsPlayed(t *testing.T) {
	suite, err := scenario.Read(builtIn(t))
	require.NoError(t, err)
	e, err := consent.New(consent.Config{})
	require.NoError(t, err)
	text, err := fs.ReadFile(consent.Bases(), "switches.yaml")
	require.NoError(t, err)
	var questions map[string]struct{ Values []string }
	require.NoError(t, yaml.Unmarshal(text, &questions))
	named, answered := map[string]bool{}, map[string]map[string]bool{}
	for _, one := range suite.Scenarios() {
		for question := range e.Switches() {
			if strings.Contains(one.Title, "("+question+")") || strings.Contains(one.Title, question+" so") || strings.Contains(one.Title, "out "+question+" ") {
				named[question] = true
			}
		}
		for question, answer := range one.Given.Switches {
			if answered[question] == nil {
				answered[question] = map[string]bool{}
			}
			answered[question][answer] = true
		}
	}
	for question, standing := range e.Switches() {
		require.True(t, named[question], "%s is in the title of a scenario", question)
		for _, answer := range questions[question].Values {
			if answer == standing || question == "O11" && answer == "on" { // by default; the cast's own answer
				continue
			}
			require.True(t, answered[question][answer], "%s: %s has a scenario", question, answer)
		}
	}
}
