package directive_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/consent/directive"
	"sotesilta/internal/constraints"
	"sotesilta/internal/fhir"
)

// beyond are the refusals that a profile does not tell: what stands in other rules of R4, and what is compared.
var beyond = map[string]bool{
	"no status": true, "a client of another server": true,
	"a period that ends before it starts": true, "a period of no date": true, "a period of nothing": true,
	"a ban of a document elsewhere":                     true,
	"a consent for a person":                            true,
	"an association's name that looks like a reference": true,
	"a contact to an authority of the display":          true,
}

// profiled is what a Consent breaks of the profile that it breaks least of; nothing where one accepts it.
func profiled(t testing.TB, doc *fhir.Value) []fhir.Issue {
	t.Helper()
	var least []fhir.Issue
	for i, p := range profiles(t, "Consent") {
		if issues := p.Check(doc); i == 0 || len(issues) < len(least) {
			least = issues
		}
	}
	return least
}

func profiles(t testing.TB, typ string) []*constraints.Profile {
	t.Helper()
	var out []*constraints.Profile
	for _, shape := range directive.Profiles() {
		if shape.Type == typ {
			p, err := constraints.NewProfile(shape.Definition())
			require.NoError(t, err)
			out = append(out, p)
		}
	}
	return out
}

// TestProfilesNameThePlaceAndTheRule: an issue tells where and which rule.
func TestProfilesNameThePlaceAndTheRule(t *testing.T) {
	issues := profiles(t, "Consent")[0].Check(parse(t, consentOf("permit-direction", "1",
		`"provision":{"type":"permit","provision":[{"type":"deny","class":[{"system":"x","code":"statement"}],"actor":[{"role":{"text":"x"},"reference":{"reference":"Practitioner/1"}}]}]}`)))
	got := map[string]string{}
	for _, is := range issues {
		got[is.Expression] = is.Diagnostics
	}
	require.Contains(t, got["Consent.provision.provision[0].type"], "(directive-permit#Consent.provision.provision.type)")
	require.Contains(t, got["Consent.provision.provision[0].class[0]"], "(permit-class)")
	require.Contains(t, got["Consent.provision.provision[0].actor[0].reference"], "Organization")
	require.Len(t, got, 3)
}
