package main

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"sotesilta/internal/official"
)

func TestTheCommittedTablesAreThoseOfTheDefinitions(t *testing.T) { official.Committed(t, tables) }

// resource is a definition as a Bundle holds it.
func resource(t *testing.T, doc string) official.Resource {
	r := official.Resource{JSON: json.RawMessage(doc)}
	require.NoError(t, json.Unmarshal(r.JSON, &r))
	return r
}

func TestValueSetsAreExpanded(t *testing.T) {
	d := &definitions{valueSets: map[string]*valueSet{}, codeSystems: map[string]*codeSystem{}}
	for _, doc := range []string{
		`{"resourceType":"CodeSystem","url":"s","content":"complete","concept":[{"code":"a","concept":[{"code":"b","concept":[{"code":"c"}]}]},
			{"code":"d","property":[{"code":"subsumedBy","valueCode":"b"},{"code":"kind","valueCode":"k"}]},{"code":"e"}]}`,
		`{"resourceType":"CodeSystem","url":"part","content":"fragment","concept":[{"code":"x"}]}`,
		`{"resourceType":"ValueSet","url":"all","compose":{"include":[{"system":"s"}]}}`,
		`{"resourceType":"ValueSet","url":"listed","compose":{"include":[{"system":"s","concept":[{"code":"a"},{"code":"e"}]}]}}`,
		`{"resourceType":"ValueSet","url":"below","compose":{"include":[{"system":"s","filter":[{"property":"concept","op":"is-a","value":"b"}]}]}}`,
		`{"resourceType":"ValueSet","url":"strictly","compose":{"include":[{"system":"s","filter":[{"property":"concept","op":"descendent-of","value":"b"}]}]}}`,
		`{"resourceType":"ValueSet","url":"kind","compose":{"include":[{"system":"s","filter":[{"property":"kind","op":"=","value":"k"}]}]}}`,
		`{"resourceType":"ValueSet","url":"odd","compose":{"include":[{"system":"s","filter":[{"property":"kind","op":"exists","value":"true"}]}]}}`,
		`{"resourceType":"ValueSet","url":"less","compose":{"include":[{"valueSet":["all|1"]}],"exclude":[{"system":"s","concept":[{"code":"c"}]}]}}`,
		`{"resourceType":"ValueSet","url":"both","compose":{"include":[{"system":"s","valueSet":["listed"]}]}}`,
		`{"resourceType":"ValueSet","url":"part","compose":{"include":[{"system":"part"}]}}`,
		`{"resourceType":"ValueSet","url":"loop","compose":{"include":[{"valueSet":["loop"]}]}}`,
	} {
		require.NoError(t, d.add(resource(t, doc)))
	}
	for url, want := range map[string][]string{
		"all": {"a", "b", "c", "d", "e"}, "listed": {"a", "e"}, "below": {"b", "c", "d"}, "strictly": {"c", "d"}, "kind": {"d"}, "less": {"a", "b", "d", "e"}, "both": {"a", "e"},
	} {
		got, err := d.expand(url, nil)
		require.NoError(t, err, url)
		assert.Equal(t, want, slices.Sorted(maps.Keys(got["s"].list)), url)
		assert.False(t, got["s"].open, url)
	}
	for url, system := range map[string]string{"odd": "s", "part": "part"} {
		got, err := d.expand(url, nil)
		require.NoError(t, err)
		assert.True(t, got[system].open, "%s cannot be listed", url)
	}
	_, err := d.expand("loop", nil)
	require.Error(t, err)
	_, err = d.expand("none", nil)
	require.ErrorIs(t, err, errUndefined)
}
