package consent

import (
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// broken is the files of the law with one of them changed.
func broken(t *testing.T, change func(files map[string][]byte)) map[string][]byte {
	t.Helper()
	files, err := readFiles(lawFiles, "bases")
	require.NoError(t, err)
	files = maps.Clone(files)
	change(files)
	return files
}

const goodNotes = `@id("X-1") @citation("1/2000 § 1") @title_fi("Esimerkki") @title_en("Example") @from("2024-01-01")`

func TestPoliciesAreCheckedWhenLoaded(t *testing.T) {
	tests := []struct{ name, policy, complaint string }{
		{
			"an attribute that the schema does not know", goodNotes + "\n" +
				`permit (principal is Professional, action == Action::"read", resource) when { context.relatedd };`,
			`consent/bases/extra.cedar:2:`,
		},
		{
			"an attribute of another kind of actor", goodNotes + `permit (principal is Client, action == Action::"read", resource) when { principal.task == "3.1" };`,
			"extra.cedar:1",
		},
		{
			"a clash of types", goodNotes + `permit (principal is Professional, action == Action::"read", resource) when { context.related == "yes" };`,
			"extra.cedar:1",
		},
		{"an unknown action", goodNotes + `permit (principal, action == Action::"peek", resource);`, "extra.cedar:1"},
		{"syntax", goodNotes + `permit (principal, action == Action::"read", resource) when { context. };`, "extra.cedar"},
		{
			"no citation", `@id("X-1") @title_fi("Esimerkki") @title_en("Example") @from("2024-01-01") permit (principal, action == Action::"read", resource);`,
			"extra.cedar:1: annotation @citation is missing",
		},
		{"an annotation nobody reads", goodNotes + `@note("x") permit (principal, action == Action::"read", resource);`, "annotation @note is not known"},
		{"a date that is none", `@id("X-1") @citation("1") @title_fi("a") @title_en("b") @from("1.1.2024") permit (principal, action == Action::"read", resource);`, "@from"},
		{"an end before the beginning", goodNotes + `@to("2023-01-01") permit (principal, action == Action::"read", resource);`, "@to is not after @from"},
		{"an unknown switch", goodNotes + `@ban("switch:O99") permit (principal, action == Action::"read", resource);`, "O99"},
		{"an unknown word on bans", goodNotes + `@ban("maybe") permit (principal, action == Action::"read", resource);`, "maybe"},
		{"bans on a forbid", goodNotes + `@ban("no") forbid (principal, action == Action::"read", resource);`, "@ban belongs to a permit"},
		{"an unknown outcome", goodNotes + `@outcome("perhaps") permit (principal, action == Action::"read", resource);`, "perhaps"},
		{"has", goodNotes + `permit (principal is Professional, action == Action::"read", resource) when { context has related && context.related };`, "`has` is not used"},
		{
			"one row under two citations", `@id("ATL-53.2") @citation("elsewhere") @title_fi("Esimerkki") @title_en("Example") @from("2024-01-01") permit (principal, action == Action::"read", resource);`,
			"row ATL-53.2 is written with another citation",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := newEngine(broken(t, func(files map[string][]byte) { files["extra.cedar"] = []byte(test.policy) }), Config{})
			require.Error(t, err)
			require.Contains(t, err.Error(), test.complaint)
		})
	}
}

func TestListsAreCheckedWhenLoaded(t *testing.T) {
	tests := []struct{ name, file, text, complaint string }{
		{"a row that gives none names a row that does", "none.yaml", "- {id: A-1, citation: c, title_fi: f, title_en: e, reason: r, instead: [ATL-99]}", "ATL-99 is no policy that permits"},
		{"a row that gives none says why", "none.yaml", "- {id: A-1, citation: c, title_fi: f, title_en: e, instead: [ATL-53.2]}", "lacks"},
		{"a row that gives none is no policy", "none.yaml", "- {id: ATL-53.1, citation: c, title_fi: f, title_en: e, reason: r, instead: [ATL-53.2]}", "also a policy"},
		{"keys are known", "none.yaml", "- {id: A-1, why: x}", "none.yaml"},
		{"switches have values", "switches.yaml", "O1: {question: \"what?\"}", "O1 lacks"},
		{"codes have sources", "classes.yaml", "service-task: {x: {fi: a, en: b}}", "lacks"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := newEngine(broken(t, func(files map[string][]byte) { files[test.file] = []byte(test.text) }), Config{})
			require.ErrorContains(t, err, test.complaint)
		})
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, test := range []struct {
		name      string
		cfg       Config
		complaint string
	}{
		{"an unknown question", Config{Switches: map[string]string{"O13": "on"}}, "O13"},
		{"a value no policy acts on", Config{Switches: map[string]string{"O6": "permit-wins"}}, "O6"},
		{"a joint service without a place", Config{JointServices: []JointService{{Service: "HealthcareService/a", Controller: "Organization/b"}}}, "joint service 0"},
		{"a public controller that is none", Config{Public: []string{"county"}}, "county"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := New(test.cfg)
			require.ErrorContains(t, err, test.complaint)
		})
	}
}

func TestVersionFollowsTheLawAndTheCounty(t *testing.T) {
	versions := map[string]string{}
	add := func(name string, e *Engine, err error) {
		require.NoError(t, err)
		for other, v := range versions {
			require.NotEqual(t, v, e.Version(), "%s and %s", name, other)
		}
		versions[name] = e.Version()
	}
	plain, err := New(Config{})
	add("plain", plain, err)
	again, err := New(Config{})
	require.NoError(t, err)
	require.Equal(t, plain.Version(), again.Version())
	e, err := New(Config{Switches: map[string]string{"O11": "on"}})
	add("switch", e, err)
	e, err = New(Config{JointServices: []JointService{{"HealthcareService/a", "Location/b", "Organization/c"}}})
	add("joint service", e, err)
	e, err = New(Config{Public: []string{"Organization/c"}})
	add("public", e, err)
	e, err = newEngine(broken(t, func(files map[string][]byte) {
		files["permits.cedar"] = append([]byte("// a comment\n"), files["permits.cedar"]...)
	}), Config{})
	add("text", e, err)
}

func TestAPolicyAppliesOnlyWhileInForce(t *testing.T) {
	e, err := New(Config{Switches: map[string]string{"O11": "on"}, Public: []string{"Organization/county"}})
	require.NoError(t, err)
	at := func(s string) Outcome {
		when, err := time.Parse(time.RFC3339, s)
		require.NoError(t, err)
		return e.Decide(Request{
			Actor: Actor{
				Kind: Professional, App: "a", Controller: "Organization/county", Register: Health, Unit: "Organization/u", Task: "3.1", Service: "4.1",
			},
			Action: Read, Purpose: Care, Time: when,
		}, Class{Type: "Observation", Register: Health, Controller: "Organization/county", Clients: []string{"c"}},
			[]*Facts{{Client: "c", Version: 1, Relationships: []Relationship{{
				Kind: InCare, Evidence: "EpisodeOfCare/1", Controller: "Organization/county", Register: Health, Unit: "Organization/u",
			}}}}).Outcome
	}
	require.Equal(t, Denied, at("2023-12-31T21:59:59Z"), "703/2023 is not in force in 2023, Finnish time")
	require.Equal(t, Permitted, at("2023-12-31T22:00:00Z"), "it is from midnight in Finland")
}

func TestRowsTellWhatTheLawIs(t *testing.T) {
	e, err := New(Config{})
	require.NoError(t, err)
	byID := map[string]Row{}
	for _, row := range e.Rows() {
		require.NotContains(t, byID, row.ID, "each row once")
		byID[row.ID] = row
		require.NotEmpty(t, row.Citation)
		require.NotEmpty(t, row.TitleFi)
		require.NotEmpty(t, row.TitleEn)
		b, ok := e.Basis(row.ID)
		require.True(t, ok)
		require.Equal(t, row.Basis, b)
	}
	for _, id := range []string{"SHL-41", "SHL-42", "THL-32.2", "JÄRJL-10", "JULKL-29"} {
		require.True(t, byID[id].GivesNone, id)
		require.NotEmpty(t, byID[id].Instead, id)
	}
	require.Equal(t, "703/2023 § 53.2", byID["ATL-53.2"].Citation)
	require.True(t, byID["ATL-59"].Limit)
	require.Equal(t, []string{"inform"}, byID["ATL-53.5b"].Obligations)
	_, ok := e.Basis("ATL-999")
	require.False(t, ok)
	lists, err := CodeLists()
	require.NoError(t, err)
	require.Len(t, lists.ServiceTasks, 9)
	require.NotEmpty(t, lists.DataClasses)
	require.NotEmpty(t, lists.Protections)
}

func TestPeriods(t *testing.T) {
	d := func(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }
	require.Equal(t, []Period{{d(1), d(4)}, {d(6), d(7)}}, union([]Period{{d(6), d(7)}, {d(1), d(3)}, {d(2), d(4)}}))
	require.Equal(t, []Period{{time.Time{}, d(4)}}, union([]Period{{d(1), d(3)}, {time.Time{}, d(4)}}))
	require.Nil(t, union([]Period{{time.Time{}, d(4)}, {d(2), time.Time{}}}), "together they cover all time")
	require.Nil(t, union([]Period{{d(1), d(2)}, {}}))
	require.Equal(t, []Period{{d(2), d(3)}}, intersect([]Period{{d(1), d(3)}}, []Period{{d(2), time.Time{}}}))
	require.Empty(t, intersect([]Period{{d(1), d(2)}}, []Period{{d(2), d(3)}}))
}

// Labels come from outside: however many there are, what is kept of them is bounded, and the answers stay right.
func TestRulingsAreBoundedAndShared(t *testing.T) {
	e := propertyEngine(t)
	req, class, facts := aQuestion(0, false)
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 4000 {
				c := class
				c.DataClass = fmt.Sprintf("class-%d-%d", worker, i)
				if d := e.Decide(req, c, facts); d.Outcome != Permitted {
					t.Errorf("%s: %s", c.DataClass, d.Reason)
					return
				}
			}
		}()
	}
	wg.Wait()
	for i := range e.rulings.shards {
		require.LessOrEqual(t, len(e.rulings.shards[i].m), rulingsPerShard)
	}
}

func TestAPolicyCeasesOnItsDay(t *testing.T) {
	const passing = `@id("X-1") @citation("1/2000 § 1") @title_fi("Esimerkki") @title_en("Example") @from("2025-01-01") @to("2026-01-01") @ban("no")
		permit (principal is Operator, action == Action::"audit", resource) when { resource.type == "AuditEvent" };`
	e, err := newEngine(broken(t, func(files map[string][]byte) { files["extra.cedar"] = []byte(passing) }), Config{})
	require.NoError(t, err)
	at := func(day string) Outcome {
		when, err := time.Parse(time.RFC3339, day)
		require.NoError(t, err)
		return e.Decide(Request{Actor: Actor{Kind: Operator, App: "a"}, Action: Audit, Purpose: Care, Time: when},
			Class{Type: "AuditEvent", Register: Directive}, nil).Outcome
	}
	require.Equal(t, Denied, at("2024-12-31T12:00:00Z"))
	require.Equal(t, Permitted, at("2025-12-31T21:59:59Z"))
	require.Equal(t, Denied, at("2025-12-31T22:00:00Z"), "midnight in Finland")
	require.Equal(t, Permitted, at("2025-06-01T00:00:00Z"), "and a decision of the past is repeated as it was")
}
