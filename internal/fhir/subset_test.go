package fhir

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSubset(t *testing.T) {
	const whole = `{"resourceType":"Observation","id":"o","meta":{"versionId":"1","tag":[{"code":"x"}]},"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>"},` +
		`"extension":[{"url":"http://a","valueString":"x"}],"status":"final","_status":{"id":"s"},"code":{"text":"RR"},"note":[{"text":"n"}],"valueQuantity":{"value":1.50},"method":{"text":"m"}}`
	doc, err := Parse([]byte(whole), DefaultLimits)
	require.NoError(t, err)
	tagged := func(rest string) string {
		return `{"resourceType":"Observation","id":"o","meta":{"versionId":"1","tag":[{"code":"x"},{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED","display":"Resource encoded in summary mode"}]},` + rest + `}`
	}
	const text = `"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>"},`
	for name, c := range map[string]struct {
		subset Subset
		want   string
	}{
		"whole":            {Subset{}, whole},
		"summary":          {Subset{Mode: Summary}, tagged(`"status":"final","_status":{"id":"s"},"code":{"text":"RR"},"valueQuantity":{"value":1.50}`)},
		"text":             {Subset{Mode: Narrative}, tagged(text + `"status":"final","_status":{"id":"s"},"code":{"text":"RR"}`)},
		"data":             {Subset{Mode: Data}, tagged(`"extension":[{"url":"http://a","valueString":"x"}],"status":"final","_status":{"id":"s"},"code":{"text":"RR"},"note":[{"text":"n"}],"valueQuantity":{"value":1.50},"method":{"text":"m"}`)},
		"elements":         {Subset{Mode: OfElements, Elements: []string{"note", "Observation.method"}}, tagged(`"status":"final","_status":{"id":"s"},"code":{"text":"RR"},"note":[{"text":"n"}],"method":{"text":"m"}`)},
		"a choice by type": {Subset{Mode: OfElements, Elements: []string{"valueQuantity", "Observation.effectiveDateTime"}}, tagged(`"status":"final","_status":{"id":"s"},"code":{"text":"RR"},"valueQuantity":{"value":1.50}`)},
		"not of its type":  {Subset{Mode: OfElements, Elements: []string{"valueString"}}, tagged(`"status":"final","_status":{"id":"s"},"code":{"text":"RR"}`)},
		"a choice by name": {Subset{Mode: OfElements, Elements: []string{"value"}}, tagged(`"status":"final","_status":{"id":"s"},"code":{"text":"RR"},"valueQuantity":{"value":1.50}`)},
	} {
		require.Equal(t, c.want, string(c.subset.Of(doc).JSON()), name)
		require.Equal(t, whole, string(doc.JSON()), "%s: the resource stays as it is", name)
	}
	patient, err := Parse([]byte(`{"resourceType":"Patient","id":"p","contact":[{"gender":"male"}],"link":[{"id":"l","other":{"reference":"Patient/q"},"type":"seealso"}],"photo":[{"title":"x"}]}`), DefaultLimits)
	require.NoError(t, err)
	got := Subset{Mode: Summary}.Of(patient)
	require.Equal(t, "Patient/q", got.Text("link", "other", "reference"))
	require.Nil(t, got.Get("contact"))
	require.Nil(t, got.Get("photo"))
	for _, typ := range resourceTypes {
		if !DefinitionOf(typ).Known() {
			continue
		}
		for _, name := range summaries()[typ].elements {
			require.NotEmpty(t, DefinitionOf(typ).Members(name), "%s.%s", typ, name)
		}
	}
}
