package exchange_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/exchange"
	"sotesilta/gateway/search"
)

// across searches across the types that _type names.
func (w *world) across(who, types, params string, opt ...search.Options) *exchange.Page {
	w.t.Helper()
	pairs, err := search.Pairs(params)
	require.NoError(w.t, err)
	options := search.Options{Base: base}
	if len(opt) > 0 {
		options = opt[0]
	}
	q, err := search.ParseAcross(strings.Split(types, ","), pairs, options)
	require.NoError(w.t, err)
	page, err := w.Search(w.ctx, as(who), q)
	require.NoError(w.t, err)
	return page
}

// A search across types is guarded as that of each type: what is denied takes no part in rows, totals, order, pages,
// conditions or includes. It is one question in the ledger, with a record for each client whose data left.
func TestSearchAcrossTypes(t *testing.T) {
	w := newWorld(t)
	mine := w.put(nurse, observation("aino", "2026-01-01"))
	condition := w.put(nurse, `{"resourceType":"Condition","code":{"text":"y"},"subject":{"reference":"Patient/aino"}}`)
	theirs := w.put(worker, observation("aino", "2026-01-02"))
	newest := func(who, types, params string, n int) []string {
		return refs(w.across(who, types, "_sort=-_lastUpdated&_count="+string(rune('0'+n))+params).Matches)
	}
	require.Equal(t, []string{"Condition/" + condition.ID, "Observation/" + mine.ID}, newest(nurse, "Observation,Condition", "&patient=Patient/aino", 2))
	require.Equal(t, []string{"Observation/" + theirs.ID}, newest(worker, "Observation,Condition", "&patient=Patient/aino", 2)[:1])

	// Types by themselves and together find the same, page by page.
	for _, who := range []string{nurse, worker} {
		var apart []string
		total := int64(0)
		for _, typ := range []string{"Condition", "Encounter", "Observation"} {
			page := w.across(who, typ, "_total=accurate&_count=500")
			apart, total = append(apart, refs(page.Matches)...), total+page.Total
		}
		var together []string
		q, err := search.ParseAcross([]string{"Observation", "Encounter", "Condition"}, []search.Pair{{Name: "_count", Value: "4"}, {Name: "_total", Value: "accurate"}}, search.Options{Base: base})
		require.NoError(t, err)
		for {
			page, err := w.Search(w.ctx, as(who), q)
			require.NoError(t, err)
			require.Equal(t, total, page.Total)
			together = append(together, refs(page.Matches)...)
			if q.Cursor = page.Next; q.Cursor == "" {
				break
			}
			require.Len(t, page.Matches, 4, "pages are full")
		}
		require.ElementsMatch(t, apart, together)
		require.NotEmpty(t, together)
	}

	// Denied is as absent: by id, by client, in a compartment, as a count, among includes.
	for _, params := range []string{"_id=", "_total=accurate&_id=", "_summary=count&_id=", "_sort=-_lastUpdated&_id=", "_include=*&_revinclude=Provenance:target&_id="} {
		require.Equal(t, w.across(worker, "Condition,Observation", params+"nothing"), w.across(worker, "Condition,Observation", params+mine.ID), params)
	}
	within := func(who, id string) *exchange.Page {
		return w.across(who, "Condition,Encounter", "_total=accurate", search.Options{Base: base, Within: search.Within{Type: "Patient", ID: id}})
	}
	require.Contains(t, refs(within(nurse, "aino").Matches), "Condition/"+condition.ID)
	require.Equal(t, within(worker, "nobody"), within(worker, "aino"))
	included := w.across(nurse, "Condition,Observation", "_id="+mine.ID+"&_include=Observation:subject&_include=Condition:subject")
	require.Equal(t, []string{"Observation/" + mine.ID}, refs(included.Matches))
	require.Equal(t, []string{"Patient/aino"}, refs(included.Includes))

	// The records.
	commits := flat(w.records(func() {
		w.across(nurse, "Observation,Condition", "patient=Patient/aino&_count=3")
	}))
	require.Equal(t, []string{"search-system", "search-system"}, []string{commits[0].Interaction, commits[1].Interaction})
	require.Len(t, commits, 2, "the question, and what left of the client")
	require.Equal(t, "_type=Condition,Observation&patient=Patient/aino&_count=3", commits[0].Query)
	require.Equal(t, "permit", commits[0].Outcome)
	require.Equal(t, "aino", commits[1].Client)
	denied := flat(w.records(func() { w.across(worker, "Condition,Encounter", "patient=Patient/aino") }))
	require.Len(t, denied, 1)
	require.Equal(t, "deny", denied[0].Outcome)
	require.Equal(t, "aino", denied[0].Client)
	require.Empty(t, w.records(func() { w.across(worker, "Organization,Location", "") }), "the directory is the access log's")

	// A scope must allow each type.
	limited := as(nurse)
	limited.Allows = func(typ string, _ exchange.Interaction) bool { return typ == "Observation" }
	q, err := search.ParseAcross([]string{"Observation", "Condition"}, nil, search.Options{Base: base})
	require.NoError(t, err)
	_, err = w.Search(w.ctx, limited, q)
	require.Equal(t, exchange.Forbidden, kind(err))
	q, err = search.ParseAcross([]string{"Observation", "AuditEvent"}, nil, search.Options{Base: base})
	require.NoError(t, err)
	_, err = w.Search(w.ctx, as(nurse), q)
	require.Equal(t, exchange.Invalid, kind(err))
}
