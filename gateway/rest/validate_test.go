package rest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/internal/fhir"
)

func newValidating(t testing.TB) *face {
	return newFace(t, func(c *Config) { c.Operations = append(c.Operations, Validate(c.Desk, c.Types, nil)...) })
}

func TestValidateTellsEverythingAndKeepsNothing(t *testing.T) {
	f := newValidating(t)
	const good = `{"resourceType":"Task","status":"draft","intent":"order"}`
	parameters := func(resource, more string) string {
		return `{"resourceType":"Parameters","parameter":[{"name":"resource","resource":` + resource + `}` + more + `]}`
	}
	for name, c := range map[string]struct {
		target, body                string
		severity, code, place, says string
	}{
		"a sound resource lacks a narrative": {"/Task/$validate", good, "warning", "invariant", "Task", "dom-6"},
		"in Parameters":                      {"/Task/$validate", parameters(good, `,{"name":"mode","valueCode":"create"}`), "warning", "invariant", "Task", "dom-6"},
		"another type":                       {"/Task/$validate", `{"resourceType":"Patient"}`, "error", "structure", "Patient", "must be Task"},
		"an unknown element":                 {"/Task/$validate", parameters(`{"resourceType":"Task","status":"draft","intent":"order","nope":1}`, ""), "error", "structure", "Task.nope", "no such element"},
		"an invariant": {
			"/Task/$validate", `{"resourceType":"Task","status":"draft","intent":"order","authoredOn":"2026-02-01","lastModified":"2026-01-01"}`,
			"error", "invariant", "Task", "inv-1",
		},
		"rules nobody knows":       {"/Task/$validate", `{"resourceType":"Task","status":"draft","intent":"order","implicitRules":"http://example.org/r"}`, "error", "not-supported", "Task.implicitRules", "rules"},
		"an unknown profile":       {"/Task/$validate", parameters(good, `,{"name":"profile","valueUri":"http://example.org/p"}`), "error", "not-supported", "Task", "profile"},
		"a profile in the URL":     {"/Task/$validate?profile=http%3A%2F%2Fexample.org%2Fp", good, "error", "not-supported", "Task", "profile"},
		"a mode in the URL":        {"/Task/$validate?mode=update", good, "error", "value", "Task.id", "id of its address"},
		"an update without its id": {"/Task/$validate", parameters(good, `,{"name":"mode","valueCode":"update"}`), "error", "value", "Task.id", "id of its address"},
	} {
		w := f.ask("POST", c.target, c.body)
		require.Equal(t, 200, w.Code, "%s: %s", name, w.Body)
		found := false
		for _, is := range parsed(t, w).Get("issue").Items() {
			found = found || is.Text("severity") == c.severity && is.Text("code") == c.code && is.Text("expression") == c.place
			if found {
				require.Contains(t, is.Text("diagnostics"), c.says, name)
				break
			}
		}
		require.True(t, found, "%s: %s", name, w.Body)
	}
	narrated := `{"resourceType":"Task","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>"},"status":"draft","intent":"order"}`
	require.Equal(t, "information", parsed(t, f.ask("POST", "/Task/$validate", narrated)).Text("issue", "severity"))

	outcome(t, f.ask("POST", "/Task/$validate", `{"resourceType":"Parameters","parameter":[{"name":"nope","valueCode":"x"}]}`), 400, "not-supported")
	outcome(t, f.ask("POST", "/Task/$validate", `{"resourceType":"Parameters"}`), 400, "required")
	outcome(t, f.ask("POST", "/Task/nobody/$validate", ""), 404, "not-found")

	outcome(t, f.ask("POST", "/Task/$validate?mode=create", parameters(good, "")), 400, "invalid")
	outcome(t, f.ask("POST", "/Task/$validate?mode=nope", good), 400, "not-supported")
	outcome(t, f.ask("POST", "/Task/$validate?nope=1", good), 400, "not-supported")

	made := parsed(t, f.ask("POST", "/Task", narrated))
	kept := parsed(t, f.ask("POST", "/Task/"+fhir.ID(made)+"/$validate", ""))
	require.Equal(t, "OperationOutcome", fhir.ResourceType(kept))
	require.Equal(t, "information", kept.Text("issue", "severity"))
}
