package rest

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/exchange"
	"sotesilta/gateway/search"
	"sotesilta/internal/fhir"
)

func TestCapabilityStatementSaysWhatIsRegistered(t *testing.T) {
	f := newFace(t)
	w := f.ask("GET", "/metadata", "", "Authorization", "")
	require.Equal(t, 200, w.Code, "no token is needed")
	doc := parsed(t, w)
	require.Equal(t, "CapabilityStatement", fhir.ResourceType(doc))
	require.Empty(t, fhir.Validate(doc))
	require.Equal(t, "0.1.0", doc.Text("software", "version"))
	require.Equal(t, base, doc.Text("implementation", "url"))
	require.Equal(t, "4.0.1", doc.Text("fhirVersion"))
	server := doc.Get("rest").Items()[0]
	require.Equal(t, "https://gw.example/auth/token", server.Text("security", "extension", "extension", "valueUri"))
	require.Equal(t, "SMART-on-FHIR", server.Text("security", "service", "coding", "code"))
	for _, deviation := range []string{
		"bodies only", "exactly as what is absent", "Unknown search parameters", "no update-as-create", "address and telecom",
		"_sort", "_count (50", "_total=accurate", "_summary", "_elements", "_include and _revinclude", "_has and chained", "5 MB", "1000 entries",
	} {
		require.Contains(t, server.Text("documentation"), deviation)
	}

	byType := map[string]*fhir.Value{}
	for _, r := range server.Get("resource").Items() {
		byType[r.Text("type")] = r
	}
	require.Len(t, byType, len(f.cfg.Types))
	codes := func(typ string) (out []string) {
		for _, c := range byType[typ].All("interaction", "code") {
			out = append(out, c.Str())
		}
		return out
	}
	require.Equal(t, []string{"read", "vread", "history-instance", "history-type", "search-type", "create", "update", "patch", "delete"}, codes("Task"))
	require.Equal(t, []string{"read", "search-type"}, codes("AuditEvent"))
	for typ, r := range byType {
		require.Equal(t, "versioned", r.Text("versioning"))
		require.Equal(t, "false", r.Text("updateCreate"))
		require.Equal(t, typ != "AuditEvent", r.Get("conditionalCreate").True(), typ)
		var names []string
		for _, n := range r.All("searchParam", "name") {
			names = append(names, n.Str())
		}
		if typ == "AuditEvent" {
			require.ElementsMatch(t, exchange.AuditParams, names)
			require.Nil(t, r.Get("searchInclude"))
			for _, param := range r.Get("searchParam").Items() {
				require.Equal(t, param.Text("name") == "agent", strings.Contains(param.Text("documentation"), "Modifiers: identifier."), param.Text("name"))
				require.Equal(t, param.Text("name") == "agent", strings.Contains(param.Text("documentation"), "Modifiers:"), param.Text("name"))
			}
			continue
		}
		require.Len(t, names, len(search.Params(typ)), typ)
		require.Contains(t, names, "_id", typ)
	}
	for _, param := range byType["Task"].Get("searchParam").Items() {
		if before, _, found := strings.Cut(param.Text("documentation"), "Modifiers:"); found && before != "" {
			require.Regexp(t, `[.!?] $`, before, "the modifiers are a sentence of their own")
		}
	}
	require.NotContains(t, string(byType["Patient"].Get("searchParam").JSON()), `"telecom"`)
	require.Equal(t, "match", byType["Patient"].Text("operation", "name"))
	require.Equal(t, "http://hl7.org/fhir/OperationDefinition/Patient-match", byType["Patient"].Text("operation", "definition"))
	includes := byType["Task"].All("searchInclude")
	require.True(t, slices.ContainsFunc(includes, func(v *fhir.Value) bool { return v.Str() == "Task:patient" }))
	require.True(t, slices.ContainsFunc(includes, func(v *fhir.Value) bool { return v.Str() == "Task:*" }))
	revIncludes := byType["Patient"].All("searchRevInclude")
	require.True(t, slices.ContainsFunc(revIncludes, func(v *fhir.Value) bool { return v.Str() == "Observation:subject" }))
	for _, r := range revIncludes {
		require.NotContains(t, r.Str(), "AuditEvent:")
		require.NotContains(t, r.Str(), "Basic:", "types that are not served are not named")
	}
}

func TestAFaceIsNotMadeOfABadConfiguration(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no desk":           func(c *Config) { c.Desk = nil },
		"no authentication": func(c *Config) { c.Authenticate = nil },
		"relative base":     func(c *Config) { c.Base = "/fhir" },
		"no key":            func(c *Config) { c.PageKey = nil },
		"unknown type":      func(c *Config) { c.Types = append(c.Types, Type{Name: "Toimeksianto"}) },
		"a type twice":      func(c *Config) { c.Types = append(c.Types, Type{Name: "Task"}) },
		"no interaction": func(c *Config) {
			c.Types = append(c.Types, Type{Name: "Basic", Interactions: ReadWrite[:1:1]}, Type{Name: "Flag", Interactions: append(ReadWrite[:1:1], "receive")})
		},
		"operation twice":   func(c *Config) { c.Operations = append(c.Operations, c.Operations[0]) },
		"operation of none": func(c *Config) { c.Operations = append(c.Operations, Operation{Type: "Basic", Name: "x"}) },
	} {
		f := newFace(t)
		change(&f.cfg)
		_, err := New(f.cfg)
		require.Error(t, err, name)
	}
}
