package exchange_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/exchange"
)

// An export gives what the caller may see when the file leaves, of clients only, and records it; a client's change of mind
// counts at the next page, and what was cancelled is absent (laws 1–4).
func TestAnExportIsDecidedAsItLeaves(t *testing.T) {
	w := newWorld(t)
	mine := w.put(nurse, `{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/aino"}}`)
	w.put(nurse, `{"resourceType":"Observation","status":"final","code":{"text":"nobody's"}}`)
	export := func(who string, b exchange.Bulk) []string {
		var out []string
		for cursor := ""; ; {
			page, err := w.Bulk(w.ctx, as(who), b, "Observation", cursor)
			require.NoError(t, err)
			for _, r := range page.Matches {
				require.Contains(t, string(r.Body), `"Patient/`, "data about nobody are not exported")
			}
			out = append(out, refs(page.Matches)...)
			if cursor = page.Next; cursor == "" {
				return out
			}
		}
	}
	all := exchange.Bulk{ID: "e1"}
	require.NoError(t, w.BeginBulk(w.ctx, as(nurse), all))
	require.Contains(t, export(nurse, all), "Observation/"+mine.ID)
	last := w.store.commits[len(w.store.commits)-1]
	require.Equal(t, "export", last[0].Interaction)
	named := false
	for _, rec := range last {
		named = named || rec.Client == "aino" && rec.Outcome == "permit" && len(rec.Bases) > 0
	}
	require.True(t, named, "a record for the client whose data left")

	require.NotContains(t, export(worker, all), "Observation/"+mine.ID)
	require.Equal(t, []string{"Observation/" + mine.ID}, export(nurse, exchange.Bulk{ID: "e2", Clients: []string{"aino", "nobody"}, Since: mine.Updated}))
	require.Empty(t, export(nurse, exchange.Bulk{ID: "e3", Clients: []string{"nobody"}}))
	require.Equal(t, export(worker, exchange.Bulk{ID: "e4", Clients: []string{"nobody"}}), export(worker, exchange.Bulk{ID: "e5", Clients: []string{"aino"}}))

	group := w.put(nurse, `{"resourceType":"Group","type":"person","actual":true,"member":[{"entity":{"reference":"Patient/aino"}},{"entity":{"reference":"Patient/onni"},"inactive":true}]}`)
	of := exchange.Bulk{ID: "e6", Group: group.ID}
	require.Contains(t, export(nurse, of), "Observation/"+mine.ID)
	require.Error(t, w.BeginBulk(w.ctx, as(worker), of), "a Group that is not to be seen is absent")
	require.Equal(t, w.BeginBulk(w.ctx, as(worker), exchange.Bulk{Group: "none"}).Error(),
		w.BeginBulk(w.ctx, as(worker), exchange.Bulk{Group: "none"}).Error())

	require.NoError(t, w.CancelBulk(w.ctx, as(nurse), all))
	_, err := w.Bulk(w.ctx, as(nurse), all, "Observation", "")
	require.Error(t, err)
	gone, err := w.Cancelled(w.ctx, all)
	require.NoError(t, err)
	require.True(t, gone)
}
