package search

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func across(types []string, raw string) (*Query, error) {
	pairs, err := Pairs(raw)
	if err != nil {
		return nil, err
	}
	return ParseAcross(types, pairs, Options{Base: "http://gw.example/fhir"})
}

// Each type has the conditions and the order as it knows them; all else is of the whole.
func TestParseAcross(t *testing.T) {
	q, err := across([]string{"Task", "Observation", "Task"}, "patient=Patient/aino&_tag=x&_sort=-_lastUpdated&_count=7&_total=accurate&_include=Observation:encounter&_include=*")
	require.NoError(t, err)
	require.Equal(t, "_type=Observation,Task&patient=Patient/aino&_tag=x&_include=Observation:encounter&_include=Observation:*&_include=Task:*&_sort=-_lastUpdated&_count=7&_total=accurate", q.Raw)
	require.Equal(t, []string{"Observation", "Task"}, AskedTypes(q.Asked()))
	require.Empty(t, q.Type)
	require.Empty(t, q.Where)
	require.Equal(t, 7, q.Count)
	require.True(t, q.Total)
	require.Len(t, q.Of(), 2)
	for i, typ := range []string{"Observation", "Task"} {
		of := q.Of()[i]
		require.Equal(t, typ, of.Type)
		require.Same(t, Lookup(typ, "patient"), of.Where[0].Param)
		require.Equal(t, "_lastUpdated", of.Sort[0].Name)
		require.True(t, q.Searches(typ))
	}
	require.False(t, q.Searches("Encounter"))
	require.Subset(t, q.Types(), []string{"Observation", "Task", "Encounter"})
	ids, bound := q.Clients()
	require.True(t, bound)
	require.Equal(t, []string{"aino"}, ids)

	q, err = across([]string{"Patient", "Task"}, "_id=aino&_summary=count&_sort=_id")
	require.NoError(t, err)
	require.True(t, q.Summary)
	require.Empty(t, q.Of()[0].Sort)
	_, bound = q.Clients()
	require.False(t, bound, "a Task of that id may be about anybody")

	q, err = ParseAcross([]string{"Observation", "Condition"}, nil, Options{Within: Within{"Patient", "aino"}})
	require.NoError(t, err)
	require.Equal(t, "_compartment=Patient/aino&_type=Condition,Observation", q.Asked())
	ids, bound = q.Clients()
	require.True(t, bound)
	require.Equal(t, []string{"aino"}, ids)
}

func TestParseAcrossRefuses(t *testing.T) {
	for raw, code := range map[string]string{
		"owner=x":                             "not-supported", // Observation has none
		"status:colour=x":                     "not-supported",
		"_sort=owner":                         "not-supported",
		"_sort=status,status":                 "invalid",
		"_sort=code-value-quantity":           "not-supported",
		"_include=Patient:organization":       "invalid",
		"_revinclude=Encounter:subject":       "invalid",
		"_revinclude=Provenance:target:Group": "invalid",
		"_lastUpdated=yesterday":              "invalid",
	} {
		_, err := across([]string{"Task", "Observation"}, raw)
		var refused *Error
		require.ErrorAs(t, err, &refused, raw)
		require.Equal(t, code, refused.Issues[0].Code, raw)
	}
	var many []string
	for typ := range tables() {
		many = append(many, typ)
	}
	_, err := across(many, "")
	require.ErrorContains(t, err, "at most 16")
	_, err = across(nil, "")
	require.ErrorContains(t, err, "names them")
	_, err = across([]string{"Toimeksianto"}, "")
	require.ErrorContains(t, err, "no such resource type")
	_, err = across([]string{"Task", "Observation"}, "_revinclude=Provenance:target&_revinclude:iterate=Encounter:*&_list=x&_has:Provenance:target:_id=y")
	require.NoError(t, err)
}

// What every type knows is what a search across any types takes.
func TestCommonParameters(t *testing.T) {
	var names []string
	for _, p := range Common() {
		names = append(names, p.Name)
		require.NotEmpty(t, p.URL)
		for typ := range tables() {
			require.NotNil(t, Lookup(typ, p.Name), typ)
		}
	}
	require.Subset(t, names, []string{"_id", "_lastUpdated", "_profile", "_security", "_source", "_tag"})
}
