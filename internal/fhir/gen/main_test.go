package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheCommittedTablesAreThoseOfTheDefinitions(t *testing.T) {
	folder := os.Getenv("FHIR_EXAMPLES")
	if folder == "" {
		folder = filepath.Join("..", "..", "..", "tmp", "hl7.fhir.r4.examples", "package")
	}
	if _, err := os.Stat(filepath.Join(folder, "Bundle-types.json")); err != nil {
		t.Skipf("the npm package hl7.fhir.r4.examples 4.0.1 is not unpacked in %s (FHIR_EXAMPLES names another folder)", folder)
	}
	defs, err := read(folder)
	require.NoError(t, err)
	want, err := defs.compile()
	require.NoError(t, err)
	packed, err := os.ReadFile(filepath.Join("..", "r4.tables.gz"))
	require.NoError(t, err)
	zr, err := gzip.NewReader(bytes.NewReader(packed))
	require.NoError(t, err)
	got, err := io.ReadAll(zr)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(want, got), "run go generate ./internal/fhir")
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
		require.NoError(t, d.add(json.RawMessage(doc)))
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

func TestElementPaths(t *testing.T) {
	for _, c := range []struct{ branch, typ, path string }{
		{" CarePlan.subject.where(resolve() is Patient) ", "CarePlan", "subject"},
		{"Task.for", "CarePlan", ""},
		{"(MedicationRequest.medication as Reference)", "MedicationRequest", "medicationReference"},
		{"Procedure.performer.actor", "Procedure", "performer.actor"},
	} {
		path, err := elementPath(c.branch, c.typ)
		require.NoError(t, err)
		assert.Equal(t, c.path, path)
	}
	_, err := elementPath("Task.input.first()", "Task")
	require.Error(t, err)
}
