package exchange_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/exchange"
)

// Words are looked for in what would leave alone: not in what is denied, and not in what is withheld of what leaves.
func TestWordsAreLookedForInWhatMayLeave(t *testing.T) {
	w := newWorld(t)
	const narrative = `"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">Kuumetta illalla</div>"},`
	mine := w.put(nurse, `{"resourceType":"Observation",`+narrative+`"status":"final","code":{"text":"Lämpö"},"subject":{"reference":"Patient/aino"},"note":[{"text":"Merkillisen korkea"}]}`)
	for _, params := range []string{
		"_text=kuume", "_text:contains=llalla&patient=Patient/aino", "_content=merkillinen OR merkillisen&_total=accurate", "_content=lampo kuume", "_text:exact=Kuumetta&_sort=-_lastUpdated",
	} {
		require.Equal(t, []string{"Observation/" + mine.ID}, w.found(nurse, "Observation", params), params)
		require.Empty(t, w.found(worker, "Observation", params), params)
	}
	page, err := w.Search(w.ctx, as(worker), query(t, "Observation", "_content=merkillisen&_summary=count"))
	require.NoError(t, err)
	require.Zero(t, page.Total)

	w.put(physician, episode("toivo", "", "active"))
	city := doc(t, string(w.row("Patient", "toivo").Body)).Text("address", "city")
	family := w.name("toivo", "family")
	require.NotEmpty(t, city)
	for _, params := range []string{"_content=" + city, "_content:contains=" + string([]rune(city)[1:4]), "_content:exact=" + city, "_id=toivo&_content=" + city, "_content=" + family + " " + city} {
		require.Empty(t, w.found(physician, "Patient", params), params)
	}
	require.Equal(t, []string{"Patient/toivo"}, w.found(physician, "Patient", "_content="+family))
	require.Contains(t, w.found(nurse, "Patient", "_content="+family+" "+city), "Patient/toivo", "a county unit with a relationship is shown it")
}

// A search that has too many texts to read says so, on the record: it tells that there are many.
func TestTooManyTextsAreRefusedOnTheRecord(t *testing.T) {
	w := newWorld(t)
	for i := range 18 {
		w.put(nurse, `{"resourceType":"Observation","status":"final","code":{"text":"`+strconv.Itoa(i)+`"},"subject":{"reference":"Patient/aino"},"note":[{"text":"`+strings.Repeat("kuume ", 160_000)+`"}]}`)
	}
	asked := w.records(func() {
		_, err := w.Search(w.ctx, as(nurse), query(t, "Observation", "patient=Patient/aino&_content=kuume"))
		require.Equal(t, exchange.TooCostly, kind(err))
		require.ErrorContains(t, err, "patient, _id, identifier or a date")
	})
	require.Len(t, flat(asked), 1)
	rec := flat(asked)[0]
	require.Equal(t, "patient=Patient/aino&_content=kuume", rec.Query)
	require.Equal(t, "aino", rec.Client)
	require.Equal(t, "permit", rec.Outcome)
	require.False(t, rec.Success)
	require.Empty(t, w.found(worker, "Observation", "patient=Patient/aino&_content=kuume"), "who may see none has none to read")
}
