package exchange_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/gateway/exchange"
)

func actor(user string) consent.Actor { return as(user).Actor }

// The auditor is told of a past exchange how it was decided, whatever happened since.
func TestARecordedExchangeIsExplained(t *testing.T) {
	w := newWorld(t)
	seen := w.put("jukola-ehr", observation("onni", "2026-01-10")).ID
	hidden := w.put("jukola-ehr", observation("eino", "2026-01-10")).ID
	explain := func(who string, do func()) *exchange.Explanation {
		t.Helper()
		rec := flat(w.records(do))[0]
		var out *exchange.Explanation
		asked := flat(w.records(func() {
			var err error
			out, err = w.ExplainRecord(w.ctx, as(who), rec.ID, exchange.Narrowing{})
			require.NoError(t, err)
		}))
		require.Len(t, asked, 1)
		require.Equal(t, "explain", asked[0].Interaction)
		require.Equal(t, "AuditEvent/"+rec.ID, asked[0].Target)
		require.Equal(t, "permit", asked[0].Outcome)
		require.True(t, asked[0].Success)
		return out
	}
	policy := func(x *exchange.Explanation, row string, verdict consent.Verdict) consent.Considered {
		t.Helper()
		for _, p := range x.Parts[0].Clients[0].Policies {
			if p.Basis.ID == row && p.Verdict == verdict {
				return p
			}
		}
		t.Fatalf("%s is not %s", row, verdict)
		return consent.Considered{}
	}

	x := explain("auditor", func() { _, _ = w.Read(w.ctx, as(worker), "Observation", seen) })
	require.True(t, x.Permitted)
	require.True(t, x.Kept)
	require.Equal(t, law().Version(), x.Policy)
	policy(x, "ATL-53.2", consent.Permits)
	require.Len(t, x.Parts[0].Clients[0].Directives, 1)
	require.Contains(t, x.Plain["fi"], "703/2023 § 53.2")
	require.Equal(t, worker, x.Record.Actor.User+"@"+x.Record.Actor.App)

	x = explain("auditor", func() { _, err := w.Read(w.ctx, as(worker), "Observation", hidden); require.Error(t, err) })
	require.False(t, x.Permitted)
	require.Equal(t, []string{"ATL-59"}, policy(x, "ATL-53.2", consent.Stopped).By)
	require.Contains(t, x.Plain["fi"], "Luovutuskieltosi (Consent/")

	x = explain("auditor", func() { w.found(worker, "Observation", "patient=Patient/eino") })
	require.Equal(t, "now", x.Labels, "a search does not list what it withheld")
	require.NotEmpty(t, x.Parts)
	require.False(t, x.Permitted)
	policy(x, "ATL-59", consent.Limits)

	x = explain("auditor", func() { require.Len(t, w.found(nurse, "QuestionnaireResponse", "patient=Patient/helmi"), 1) })
	require.Equal(t, "permit", x.Record.Outcome)
	outcomes := map[string]bool{}
	for _, p := range x.Parts {
		outcomes[p.Outcome] = true
	}
	require.Len(t, outcomes, 2, "her permit is for one service task")
	require.True(t, x.Permitted, "a search answers with what is permitted, whatever else it leaves out")
	require.Contains(t, x.Plain["fi"], "703/2023 § 53.3")

	x = explain("auditor", func() { w.found(worker, "Observation", "patient=Patient/veikko") })
	require.Contains(t, x.Parts[0].Clients[0].Missing, "client.relationship")

	x = explain("auditor", func() { _, err := w.Read(w.ctx, as(worker), "Observation", "nowhere"); require.Error(t, err) })
	require.Empty(t, x.Parts)
	require.False(t, x.Permitted)
}

// The client is told in plain words of what moved about the client alone, and of nobody else's part in it.
func TestTheClientIsToldOfTheirOwn(t *testing.T) {
	w := newWorld(t)
	mine := w.put("jukola-ehr", observation("aino", "2026-01-10")).ID
	theirs := w.put("jukola-ehr", observation("onni", "2026-01-10")).ID
	read := func(who, id string) string {
		return flat(w.records(func() { _, _ = w.Read(w.ctx, as(who), "Observation", id) }))[0].ID
	}
	const aino = "aino@omaks"
	x, err := w.ExplainRecord(w.ctx, as(aino), read(nurse, mine), exchange.Narrowing{})
	require.NoError(t, err)
	require.True(t, x.Permitted)
	require.Nil(t, x.Record, "no names of the staff")
	require.Contains(t, x.Plain["fi"], "Oman potilasrekisterin käyttö")
	require.Empty(t, x.Parts[0].Clients[0].Policies)

	for name, id := range map[string]string{
		"another client's": read(nurse, theirs), "a denied one": read(worker, mine), "none": "nothing-there",
	} {
		recs := flat(w.records(func() {
			_, err = w.ExplainRecord(w.ctx, as(aino), id, exchange.Narrowing{})
			require.True(t, exchange.IsRefusal(err, exchange.Absent), name)
		}))
		require.Len(t, recs, 1, name)
		require.Equal(t, "deny", recs[0].Outcome)
	}
	for _, who := range []string{nurse, worker, "lumi-guardian@omaks", "jukola-ehr"} {
		recs := w.records(func() {
			_, err := w.ExplainRecord(w.ctx, as(who), "anything", exchange.Narrowing{})
			require.True(t, exchange.IsRefusal(err, exchange.Forbidden), who)
			_, err = w.ExplainHypothesis(w.ctx, as(who), exchange.Hypothesis{})
			require.True(t, exchange.IsRefusal(err, exchange.Forbidden), who)
		})
		require.Empty(t, recs)
	}
}

// An exchange about many classes is explained page by page, or the classes that are asked for: no class is left out unsaid,
// and what it came to is told alike on every page.
func TestAnExplanationHasPages(t *testing.T) {
	w := newWorld(t)
	for i := range 120 {
		of := strings.Replace(observation("veikko", "2026-01-10"), `"issued"`, `"encounter":{"reference":"Encounter/e`+strconv.Itoa(i)+`"},"issued"`, 1)
		w.put("jukola-ehr", of)
	}
	permitted := flat(w.records(func() { w.found(nurse, "Observation", "patient=Patient/veikko&_count=200") }))
	withheld := flat(w.records(func() { w.found(worker, "Observation", "patient=Patient/veikko&_count=200") }))
	explain := func(id string, of exchange.Narrowing) *exchange.Explanation {
		t.Helper()
		x, err := w.ExplainRecord(w.ctx, as("auditor"), id, of)
		require.NoError(t, err)
		return x
	}
	for name, id := range map[string]string{"what left": permitted[len(permitted)-1].ID, "what was withheld": withheld[0].ID} {
		t.Run(name, func(t *testing.T) {
			seen := map[string]bool{}
			var of exchange.Narrowing
			first := explain(id, of)
			require.Equal(t, name == "what left", first.Permitted)
			require.Greater(t, first.Total, 110)
			for {
				x := explain(id, of)
				require.Equal(t, first.Total, x.Total)
				require.Equal(t, first.Permitted, x.Permitted)
				require.Equal(t, first.Plain, x.Plain)
				for _, p := range x.Parts {
					require.NotEmpty(t, p.Clients[0].Policies)
					require.False(t, seen[p.Class.Key()], "told before")
					seen[p.Class.Key()] = true
				}
				if of.After = x.Next; x.Next == "" {
					break
				}
				require.Len(t, x.Parts, 50)
			}
			require.Len(t, seen, first.Total)
			require.Equal(t, first.Total, explain(id, exchange.Narrowing{Register: consent.Health, Type: "Observation", Controller: "Organization/county", Client: "veikko"}).Total)
			for _, of := range []exchange.Narrowing{{Register: consent.Social}, {Type: "Condition"}, {Controller: "Organization/x"}, {ServiceTask: "working-age"}, {DataClass: "medication"}, {Client: "aino"}} {
				x := explain(id, of)
				require.Zero(t, x.Total)
				require.Empty(t, x.Parts)
				require.Equal(t, first.Plain, x.Plain, "the exchange came to the same")
			}
			_, err := w.ExplainRecord(w.ctx, as("auditor"), id, exchange.Narrowing{After: "!"})
			require.True(t, exchange.IsRefusal(err, exchange.Invalid))
		})
	}
}

// Of a unit's professionals every one is asked for, however many they are.
func TestAHypothesisAsksForEveryProfessional(t *testing.T) {
	w := newWorld(t)
	mine := w.put("jukola-ehr", observation("aino", "2026-01-10")).ID
	actors := slices.Repeat([]consent.Actor{actor(worker)}, 200)
	ask := func() *exchange.Explanation {
		x, err := w.ExplainHypothesis(w.ctx, as("auditor"), exchange.Hypothesis{Actors: actors, Interaction: exchange.Read, Type: "Observation", ID: mine})
		require.NoError(t, err)
		return x
	}
	require.False(t, ask().Permitted)
	actors = append(actors, actor(nurse))
	require.True(t, ask().Permitted)
}

// What a registered person would be answered is explained without that anybody asked.
func TestAHypothesisIsExplained(t *testing.T) {
	w := newWorld(t)
	mine := w.put("jukola-ehr", observation("aino", "2026-01-10")).ID
	ask := func(who string, h exchange.Hypothesis) (*exchange.Explanation, error) {
		h.Type, h.ID = "Observation", mine
		if h.Interaction == "" {
			h.Interaction = exchange.Read
		}
		return w.ExplainHypothesis(w.ctx, as(who), h)
	}
	x, err := ask("auditor", exchange.Hypothesis{Actors: []consent.Actor{actor(worker)}})
	require.NoError(t, err)
	require.False(t, x.Permitted)
	require.Contains(t, x.Parts[0].Clients[0].Missing, "client.permit")
	require.Contains(t, x.Plain["fi"], "lupasi tai suostumuksesi")

	x, err = ask("auditor", exchange.Hypothesis{
		Actors: []consent.Actor{actor(worker)}, Purpose: consent.NeedAssessment,
		Assertion: consent.Assertion{Ground: "ATL-53.5b", Task: "palvelutarpeen arviointi"},
	})
	require.NoError(t, err)
	require.True(t, x.Permitted)
	require.Equal(t, "ATL-53.5b", x.Parts[0].Clients[0].Bases[0].ID)

	x, err = ask("aino@omaks", exchange.Hypothesis{Actors: []consent.Actor{actor(worker), actor(nurse)}})
	require.NoError(t, err)
	require.True(t, x.Permitted, "the one who is let furthest")
	require.Empty(t, x.Parts[0].Clients[0].Policies)

	x, err = ask("auditor", exchange.Hypothesis{Actors: []consent.Actor{actor(nurse)}, Interaction: exchange.Update})
	require.NoError(t, err)
	require.Len(t, x.Parts, 2)
	require.Equal(t, consent.Change, x.Parts[1].Action)

	_, err = ask("lumi@omaks", exchange.Hypothesis{Actors: []consent.Actor{actor(nurse)}})
	require.True(t, exchange.IsRefusal(err, exchange.Absent), "another's data")
	_, err = w.ExplainHypothesis(w.ctx, as("auditor"), exchange.Hypothesis{Actors: []consent.Actor{actor(nurse)}, Interaction: exchange.Read, Type: "Observation", ID: "nowhere"})
	require.True(t, exchange.IsRefusal(err, exchange.Absent))
}
