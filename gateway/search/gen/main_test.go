package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheCommittedTablesAreWhatTheDefinitionsGive(t *testing.T) {
	folder := os.Getenv("FHIR_EXAMPLES")
	if folder == "" {
		folder = filepath.Join("..", "..", "..", "tmp", "hl7.fhir.r4.examples", "package")
	}
	if _, err := os.Stat(folder); err != nil {
		t.Skip("the official definitions are not here; set FHIR_EXAMPLES to the unpacked package hl7.fhir.r4.examples")
	}
	made := t.TempDir()
	require.NoError(t, run(folder, filepath.Join(made, "params.tsv"), filepath.Join(made, "compartments.tsv")))
	for _, table := range []string{"params.tsv", "compartments.tsv"} {
		got, err := os.ReadFile(filepath.Join(made, table))
		require.NoError(t, err)
		want, err := os.ReadFile(filepath.Join("..", table))
		require.NoError(t, err)
		require.Equal(t, string(want), string(got), "run go generate ./gateway/search with FHIR_DEFINITIONS set")
	}
}

func TestExpressionsAreTakenApart(t *testing.T) {
	got, err := parse("Observation", "(Observation.value as CodeableConcept).text | telecom.where(system='phone') | Observation.subject.where(resolve() is Patient)")
	require.NoError(t, err)
	require.Equal(t, [][]step{
		{{name: "Observation"}, {name: "value", as: "CodeableConcept"}, {name: "text"}},
		{{name: "Observation"}, {name: "telecom", field: "system", value: "phone"}},
		{{name: "Observation"}, {name: "subject", resolvesTo: "Patient"}},
	}, got)
	for _, bad := range []string{"(Observation.value as", "(Observation.value)", "Observation", "Observation.a.where(x)"} {
		_, err = parse("Observation", bad)
		require.Error(t, err, bad)
	}
}
