package exchange_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/exchange"
)

// Everything of a client is everything that the caller may see: pages are full, the hidden leaves no trace, and a client
// whom the caller may not see is absent.
func TestEverythingOfAClient(t *testing.T) {
	w := newWorld(t)
	mine := w.put(nurse, observation("aino", "2026-01-01"))
	hidden := w.put(worker, observation("aino", "2026-01-02"))
	other := w.put(nurse, observation("onni", "2026-01-02"))
	all := func(who string, types ...string) map[string]bool {
		out := map[string]bool{}
		for cursor := ""; ; {
			page, err := w.Everything(w.ctx, as(who), "Patient", "aino", exchange.Gathering{Types: types, Cursor: cursor, Count: 3})
			require.NoError(t, err)
			for _, r := range page.Matches {
				require.False(t, out[r.Type+"/"+r.ID], "nothing twice")
				out[r.Type+"/"+r.ID] = true
			}
			if cursor = page.Next; cursor == "" {
				return out
			}
			require.Len(t, page.Matches, 3)
		}
	}
	health, social := all(nurse), all(worker)
	require.True(t, health["Patient/aino"])
	require.True(t, health["Observation/"+mine.ID])
	require.False(t, health["Observation/"+hidden.ID])
	require.False(t, health["Observation/"+other.ID])
	require.True(t, social["Observation/"+hidden.ID])
	require.False(t, social["Observation/"+mine.ID])
	for ref := range all(nurse, "Observation") {
		require.Contains(t, ref, "Observation/")
	}
	commits := w.records(func() {
		page, err := w.Everything(w.ctx, as(nurse), "Patient", "aino", exchange.Gathering{Types: []string{"Observation"}, Since: mine.Updated, Count: 10})
		require.NoError(t, err)
		require.Len(t, page.Matches, 1)
	})
	require.Len(t, flat(commits), 2, "the question, and what left of the client")
	require.Equal(t, "everything", flat(commits)[0].Interaction)
	require.Equal(t, "aino", flat(commits)[1].Client)

	for _, unseen := range []string{"aino", "nobody"} {
		commits := w.records(func() {
			_, err := w.Everything(w.ctx, as(physician), "Patient", unseen, exchange.Gathering{Count: 10})
			require.Equal(t, exchange.Absent, kind(err))
		})
		require.Len(t, flat(commits), 1)
		require.Equal(t, "deny", flat(commits)[0].Outcome)
	}
}

// The graph of a plan holds what it refers to, as far as the caller may see each.
func TestGraphOfAPlan(t *testing.T) {
	w := newWorld(t)
	seen := w.put(nurse, observation("aino", "2026-01-01"))
	hidden := w.put(worker, observation("aino", "2026-01-02"))
	plan := w.put(nurse, `{"resourceType":"CarePlan","status":"draft","intent":"plan","subject":{"reference":"Patient/aino"},"supportingInfo":[{"reference":"Observation/`+seen.ID+
		`"},{"reference":"Observation/`+hidden.ID+`"},{"reference":"Observation/absent"}]}`)
	page, err := w.Everything(w.ctx, as(nurse), "CarePlan", plan.ID, exchange.Gathering{Count: 50})
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"CarePlan/" + plan.ID, "Patient/aino", "Observation/" + seen.ID}, refs(page.Matches))
	for _, id := range []string{plan.ID, "absent"} {
		_, err = w.Everything(w.ctx, as(physician), "CarePlan", id, exchange.Gathering{Count: 50})
		require.Equal(t, exchange.Absent, kind(err))
	}
}

// start and end ask for care of a time: what tells a date of care outside it is left out, what tells none is kept.
func TestEverythingOfATime(t *testing.T) {
	w := newWorld(t)
	on := func(day string) string {
		return `{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/aino"},"effectiveDateTime":"` + day + `"}`
	}
	inside := w.put(nurse, on("2031-05-02"))
	outside := w.put(nurse, on("2031-07-01"))
	undated := w.put(nurse, `{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/aino"}}`)
	running := w.put(nurse, `{"resourceType":"EpisodeOfCare","status":"active","patient":{"reference":"Patient/aino"},"period":{"start":"2031-01-01"}}`)
	hidden := w.put(worker, on("2031-05-03"))
	page, err := w.Everything(w.ctx, as(nurse), "Patient", "aino", exchange.Gathering{Count: 500, Care: exchange.Span{
		From: time.Date(2031, 5, 1, 0, 0, 0, 0, time.UTC), To: time.Date(2031, 6, 1, 0, 0, 0, 0, time.UTC),
	}})
	require.NoError(t, err)
	got := refs(page.Matches)
	require.Subset(t, got, []string{"Patient/aino", "Observation/" + inside.ID, "Observation/" + undated.ID, "EpisodeOfCare/" + running.ID})
	require.NotContains(t, got, "Observation/"+outside.ID)
	require.NotContains(t, got, "Observation/"+hidden.ID)
}

// A plan's everything comes in pages, each decided anew, so that it is bounded however long it is.
func TestGraphOfAPlanInPages(t *testing.T) {
	w := newWorld(t)
	refers := ""
	want := []string{"Patient/aino"}
	for range 3 {
		seen := w.put(nurse, observation("aino", "2026-01-01"))
		want, refers = append(want, "Observation/"+seen.ID), refers+`,{"reference":"Observation/`+seen.ID+`"}`
	}
	plan := w.put(nurse, `{"resourceType":"CarePlan","status":"draft","intent":"plan","subject":{"reference":"Patient/aino"},"supportingInfo":[`+refers[1:]+`]}`)
	var got []string
	commits := flat(w.records(func() {
		for cursor := ""; ; {
			page, err := w.Everything(w.ctx, as(nurse), "CarePlan", plan.ID, exchange.Gathering{Count: 2, Cursor: cursor})
			require.NoError(t, err)
			got = append(got, refs(page.Matches)...)
			if cursor = page.Next; cursor == "" {
				return
			}
			require.Len(t, page.Matches, 2)
		}
	}))
	require.Equal(t, append(want, "CarePlan/"+plan.ID), got)
	for _, rec := range commits {
		require.Equal(t, "everything", rec.Interaction)
		require.Equal(t, "permit", rec.Outcome)
	}
	require.Len(t, commits, 6, "of each of three pages the question and what left of the client")
	page, err := w.Everything(w.ctx, as(nurse), "CarePlan", plan.ID, exchange.Gathering{Count: 10, Types: []string{"CarePlan"}})
	require.NoError(t, err)
	require.Equal(t, []string{"CarePlan/" + plan.ID}, refs(page.Matches))
	_, err = w.Everything(w.ctx, as(nurse), "Task", plan.ID, exchange.Gathering{Count: 10})
	require.Error(t, err)

	many := strings.Repeat(`,{"reference":"Observation/x"}`, 1)
	for i := range 501 {
		many += `,{"reference":"Observation/x` + strconv.Itoa(i) + `"}`
	}
	wide := w.put(nurse, `{"resourceType":"CarePlan","status":"draft","intent":"plan","subject":{"reference":"Patient/aino"},"supportingInfo":[`+many[1:]+`]}`)
	_, err = w.Everything(w.ctx, as(nurse), "CarePlan", wide.ID, exchange.Gathering{Count: 10})
	require.Equal(t, exchange.TooCostly, kind(err))
}
