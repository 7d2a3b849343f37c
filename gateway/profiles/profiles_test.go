package profiles_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/process"
	"sotesilta/gateway/profiles"
	"sotesilta/internal/constraints"
	"sotesilta/internal/fhir"
)

// TestEveryProfileIsASoundStructureDefinition by R4's own rules, has a text in both languages, and compiles.
func TestEveryProfileIsASoundStructureDefinition(t *testing.T) {
	p, err := process.New()
	require.NoError(t, err)
	set, err := profiles.New(p)
	require.NoError(t, err)
	require.Len(t, set.Definitions, 11)
	keys := map[string]bool{}
	for _, d := range set.Definitions {
		id := fhir.ID(d)
		require.Empty(t, fhir.Validate(d), id)
		require.Empty(t, constraints.Check(d, constraints.Errors), id)
		require.NotEmpty(t, d.Text("title"), id)
		require.NotEmpty(t, d.Text("description"), id)
		require.Contains(t, set.ByType[d.Text("type")], d.Text("url"))
		require.NotNil(t, set.Checks.Find(d.Text("url")+"|1"))
		require.Nil(t, set.Checks.Find(d.Text("url")+"|9"))
		for _, list := range d.All("differential", "element", "constraint") {
			for _, c := range append(list.Items(), list) {
				if key := c.Text("key"); key != "" {
					require.False(t, keys[key], "the key %s is used once", key)
					keys[key] = true
				}
			}
		}
	}
	require.Greater(t, len(keys), 40)
}

// TestAProfileThatIsNotUnderstoodIsRefused: one that is checked in part says more than is known.
func TestAProfileThatIsNotUnderstoodIsRefused(t *testing.T) {
	for name, element := range map[string]string{
		"a slice":              `"slicing":{"rules":"open"}`,
		"a binding":            `"binding":{"strength":"required","valueSet":"http://hl7.org/fhir/ValueSet/task-status"}`,
		"an expression":        `"constraint":[{"key":"x","severity":"error","human":"x","expression":"status ="}]`,
		"a type of its own":    `"type":[{"code":"Reference","targetProfile":["http://example.org/StructureDefinition/x"]}]`,
		"a length that is not": `"maxLength":5`,
	} {
		doc, err := fhir.Parse([]byte(`{"resourceType":"StructureDefinition","url":"urn:x","kind":"resource","type":"Task","derivation":"constraint",
			"baseDefinition":"http://hl7.org/fhir/StructureDefinition/Task","differential":{"element":[{"id":"Task.status","path":"Task.status",`+element+`}]}}`), fhir.DefaultLimits)
		require.NoError(t, err)
		_, err = constraints.NewProfile(doc)
		require.Error(t, err, name)
	}
}
