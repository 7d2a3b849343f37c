package exchange_test

import (
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
			page, err := w.Everything(w.ctx, as(who), "aino", types, time.Time{}, cursor, 3)
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
		page, err := w.Everything(w.ctx, as(nurse), "aino", []string{"Observation"}, mine.Updated, "", 10)
		require.NoError(t, err)
		require.Len(t, page.Matches, 1)
	})
	require.Len(t, flat(commits), 2, "the question, and what left of the client")
	require.Equal(t, "everything", flat(commits)[0].Interaction)
	require.Equal(t, "aino", flat(commits)[1].Client)

	for _, unseen := range []string{"aino", "nobody"} {
		commits := w.records(func() {
			_, err := w.Everything(w.ctx, as(physician), unseen, nil, time.Time{}, "", 10)
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
	page, err := w.Graph(w.ctx, as(nurse), plan.ID)
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"CarePlan/" + plan.ID, "Patient/aino", "Observation/" + seen.ID}, refs(page.Matches))
	for _, id := range []string{plan.ID, "absent"} {
		_, err = w.Graph(w.ctx, as(physician), id)
		require.Equal(t, exchange.Absent, kind(err))
	}
}
