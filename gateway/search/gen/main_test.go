package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/internal/official"
)

func TestTheCommittedTablesAreThoseOfTheDefinitions(t *testing.T) { official.Committed(t, tables) }

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
