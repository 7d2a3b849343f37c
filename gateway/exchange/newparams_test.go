package exchange_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/exchange"
	"sotesilta/gateway/search"
)

// What is denied takes no part in any answer, whichever parameter asks for it (law 1): social care sees nothing of
// aino's health data, so every way of asking is as if there were none, and the nurse's answers show that there is.
func TestNewWaysOfAskingTellNothingOfWhatIsDenied(t *testing.T) {
	w := newWorld(t)
	pressure := w.put(nurse, `{"resourceType":"Observation","status":"final","identifier":[{"type":{"coding":[{"system":"http://t","code":"MR"}]},"value":"k-77"}],
		"code":{"coding":[{"system":"http://loinc.org","code":"85354-9"}]},"subject":{"reference":"Patient/aino"},
		"component":[{"code":{"coding":[{"system":"http://loinc.org","code":"8480-6"}]},"valueQuantity":{"value":152,"unit":"mmHg"}}]}`)
	list := w.put(nurse, `{"resourceType":"List","status":"current","mode":"working","subject":{"reference":"Patient/aino"},"entry":[{"item":{"reference":"Observation/`+pressure.ID+`"}},{"item":{"reference":"Organization/county"}}]}`)
	task := w.put(worker, `{"resourceType":"Task","status":"requested","intent":"order","for":{"reference":"Patient/aino"},"focus":{"reference":"Observation/`+pressure.ID+`"}}`)
	home := w.put(nurse, `{"resourceType":"Location","name":"Koti","position":{"longitude":25.3,"latitude":61.2},"extension":[{"url":"http://x.example/of","valueReference":{"reference":"Patient/aino"}}]}`)
	visit := w.put(nurse, `{"resourceType":"Encounter","status":"finished","class":{"code":"HH"},"subject":{"reference":"Patient/aino"},"location":[{"location":{"reference":"Location/`+home.ID+`"}}]}`)
	includes := func(who, typ, params string) []string {
		pairs, err := search.Pairs(params)
		require.NoError(t, err)
		q, err := search.Parse(typ, pairs, search.Options{Base: base})
		require.NoError(t, err)
		page, err := w.Search(w.ctx, as(who), q)
		require.NoError(t, err)
		require.False(t, page.Cut)
		return refs(page.Includes)
	}
	for _, c := range []struct{ typ, params, nurses string }{
		{"Observation", "component-code-value-quantity=8480-6$gt140", "Observation/" + pressure.ID},
		{"Observation", "component-code-value-quantity:missing=false&_id=" + pressure.ID, "Observation/" + pressure.ID},
		{"Observation", "identifier:of-type=http://t|MR|k-77", "Observation/" + pressure.ID},
		{"Observation", "_list=" + list.ID, "Observation/" + pressure.ID},
		{"Organization", "_list=" + list.ID, "Organization/county"},
		{"Location", "near=61.2|25.4|10|km", "Location/" + home.ID},
		{"Encounter", "location.near=61.2|25.4|10|km", "Encounter/" + visit.ID},
		{"Patient", "phonetic=Aino&_has:Observation:patient:component-code-value-quantity=8480-6$gt140", "Patient/aino"},
	} {
		require.Equal(t, []string{c.nurses}, w.found(nurse, c.typ, c.params), c.params)
		require.Empty(t, w.found(worker, c.typ, c.params), c.params)
	}
	require.Contains(t, includes(nurse, "Patient", "_id=aino&_revinclude=Observation:*"), "Observation/"+pressure.ID)
	require.Contains(t, includes(nurse, "Patient", "_id=aino&_revinclude=List:*&_include:iterate=List:*"), "Observation/"+pressure.ID)
	for _, params := range []string{
		"_id=aino&_revinclude=Observation:*", "_id=aino&_revinclude=List:*&_include:iterate=List:item", "_id=aino&_revinclude:iterate=Observation:*&_revinclude:iterate=List:*",
	} {
		for _, ref := range includes(worker, "Patient", params) {
			require.NotContains(t, ref, pressure.ID, params)
			require.NotContains(t, ref, list.ID, params)
		}
	}
	require.Equal(t, []string{"Patient/aino"}, includes(worker, "Task", "_id="+task.ID+"&_include=*"), "what the social worker's own Task names of the other register stays")
}

// A compartment holds what refers to its resource in any of the official ways, of what the caller may see, and its
// record names the client.
func TestACompartmentHoldsWhatTheCallerMaySee(t *testing.T) {
	w := newWorld(t)
	of := w.put(nurse, `{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/aino"}}`)
	by := w.put(nurse, `{"resourceType":"Observation","status":"final","code":{"text":"y"},"performer":[{"reference":"Patient/aino"}]}`)
	w.put(nurse, `{"resourceType":"Observation","status":"final","code":{"text":"z"}}`)
	within := func(who, typ, id, params string) *exchange.Page {
		pairs, err := search.Pairs(params)
		require.NoError(t, err)
		q, err := search.Parse(typ, pairs, search.Options{Base: base, Within: search.Within{Type: "Patient", ID: id}})
		require.NoError(t, err)
		page, err := w.Search(w.ctx, as(who), q)
		require.NoError(t, err)
		return page
	}
	mine := within(nurse, "Observation", "aino", "_sort=_lastUpdated&_total=accurate&_count=500")
	require.Subset(t, refs(mine.Matches), []string{"Observation/" + of.ID, "Observation/" + by.ID})
	require.EqualValues(t, len(mine.Matches), mine.Total)
	require.Len(t, within(nurse, "Observation", "aino", "code:text=y").Matches, 1)
	last := w.store.commits[len(w.store.commits)-1]
	require.Equal(t, "_compartment=Patient/aino&code:text=y", last[0].Query)
	require.Equal(t, "aino", last[0].Client)
	require.Contains(t, refs(within(nurse, "Patient", "aino", "").Matches), "Patient/aino")

	hidden := within(worker, "Observation", "aino", "_total=accurate")
	require.Empty(t, hidden.Matches)
	require.Zero(t, hidden.Total)
	nobody := within(worker, "Observation", "nobody", "_total=accurate")
	require.Equal(t, hidden, nobody, "denied looks like absent")
}
