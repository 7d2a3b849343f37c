package storetest

import (
	"compress/gzip"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/search"
	"sotesilta/gateway/store"
	"sotesilta/internal/fhir"
)

// Unpack reads a gzipped fixture.
func Unpack(t testing.TB, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	zr, err := gzip.NewReader(f)
	require.NoError(t, err)
	data, err := io.ReadAll(zr)
	require.NoError(t, err)
	return data
}

// Upgraded opens a store at a place that release 0.1.0 made and looks at it: a Patient, two Observations, one of them in two
// versions, and an Organization, written in five changes; a Location is added as that release would have. Nothing is lost, and once the rows are indexed anew they are
// found by the parameters that release did not have.
func Upgraded(t *testing.T, e Engine, place string) {
	s := reopen(t, e, place)
	found := func(typ, params string) []string {
		t.Helper()
		pairs, err := search.Pairs(params)
		require.NoError(t, err)
		q, err := search.Parse(typ, pairs, search.Options{})
		require.NoError(t, err)
		return ids(find(t, s, q, everything()).Matches)
	}
	old := map[string][]string{
		"Observation?status=final":                      {"pressure", "weight"},
		"Observation?patient=Patient/aino":              {"pressure", "weight"},
		"Observation?value-quantity=gt70":               {"weight"},
		"Patient?family=virtanen":                       {"aino"},
		"Observation?subject:Patient.name=aino":         {"pressure", "weight"},
		"Patient?_has:Observation:patient:code=29463-7": {"aino"},
	}
	fresh := map[string][]string{
		"Observation?component-code-value-quantity=http://loinc.org|8480-6$gt140":           {"pressure"},
		"Observation?component-code-value-quantity=http://loinc.org|8462-4$gt140":           {},
		"Observation?code-value-quantity=29463-7$70.5||kg":                                  {"weight"},
		"Patient?identifier:of-type=http://terminology.hl7.org/CodeSystem/v2-0203|MR|12345": {"aino"},

		"Patient?phonetic=Wirtanen":                  {"aino"},
		"Organization?phonetic=jukolan terveisasema": {"jukola"},
		"Location?near=62.24|25.75|3":                {"square"},
	}
	check := func(cases map[string][]string) {
		t.Helper()
		for query, want := range cases {
			typ, params, _ := strings.Cut(query, "?")
			require.Equal(t, want, found(typ, params), query)
		}
	}
	square := row(class("Location"), "square", 1, search.Index{}) // as the release indexed one
	square.Body = []byte(`{"resourceType":"Location","id":"square","position":{"longitude":25.74,"latitude":62.23}}`)
	commit(t, s, store.Change{Put: []store.Row{square}})
	check(old)
	require.Empty(t, found("Patient", "phonetic=Wirtanen"), "the release did not index it")
	require.Empty(t, found("Location", "near=62.24|25.75|3"), "nor places")
	extract := func(body []byte) search.Index {
		doc, err := fhir.Parse(body, fhir.DefaultLimits)
		require.NoError(t, err)
		return search.Extract(doc)
	}
	changed, err := s.Reindex(t.Context(), search.Edition(), extract)
	require.NoError(t, err)
	require.Equal(t, 5, changed)
	check(old)
	check(fresh)
	changed, err = s.Reindex(t.Context(), search.Edition(), func([]byte) search.Index { panic("once for each edition") })
	require.NoError(t, err)
	require.Zero(t, changed)
	changed, err = s.Reindex(t.Context(), "another", extract)
	require.NoError(t, err)
	require.Zero(t, changed, "nothing differs")

	n := snapshot(t, s)
	versions, err := n.History(t.Context(), "Observation", "weight", 0, 10)
	require.NoError(t, err)
	require.Len(t, versions, 2)
	require.Contains(t, string(versions[0].Body), "70.50")
	pending := 0
	for _, err := range s.Ledger().Pending(t.Context()) {
		require.NoError(t, err)
		pending++
	}
	require.Equal(t, 6, pending, "the records wait for their places as before")
	commit(t, s, store.Change{Put: []store.Row{row(class("Observation", "aino"), "next", 1, search.Index{})}})
}
