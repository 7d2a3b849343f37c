package openapi

import (
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/rest"
	"sotesilta/internal/fhir"
)

// An operation without parameters has an empty list of them.
func TestAnOperationWithoutParameters(t *testing.T) {
	statement := fhir.NewObject(fhir.Member{Name: "resourceType", Value: fhir.NewString("CapabilityStatement")})
	text, err := specification(statement, "http://localhost:8080/fhir", []rest.Operation{{Type: "Task", Name: "meta", Instance: true, Asked: map[string]string{}}}, nil)
	require.NoError(t, err)
	require.Contains(t, string(text), `"parameters":[]`)
	require.NotContains(t, string(text), "null")
}

// What is served beside the FHIR base and not described keeps the gateway from starting.
func TestARouteThatIsNotDescribedIsAnError(t *testing.T) {
	statement := fhir.NewObject(fhir.Member{Name: "resourceType", Value: fhir.NewString("CapabilityStatement")})
	of := func(method, path string) error {
		_, err := specification(statement, "http://localhost:8080/fhir", nil, []rest.Route{{Method: method, Path: path}})
		return err
	}
	require.NoError(t, of("GET", "/ledger/tile/*path"))
	require.NoError(t, of("POST", "/auth/token"))
	for method, path := range map[string]string{"GET": "/auth/token", "POST": "/nowhere", "DELETE": "/ledger/:what"} {
		require.ErrorContains(t, of(method, path), path)
	}
}
