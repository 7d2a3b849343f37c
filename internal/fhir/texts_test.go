package fhir

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTextsAreWhatAResourceSaysInWords(t *testing.T) {
	v, err := Parse([]byte(`{"resourceType":"Observation","id":"an-id","meta":{"tag":[{"display":"a tag"}]},
		"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>Verenpaine</p></div>"},
		"contained":[{"resourceType":"Practitioner","id":"p","name":[{"family":"Virtanen","given":["Kaisa","Liisa"]}]}],
		"extension":[{"url":"http://x.example/says","valueString":"an extension"},{"url":"http://x.example/code","valueCode":"a-code"}],
		"identifier":[{"system":"http://x.example/ids","value":"A 77"}],"status":"final","_status":{"extension":[{"url":"http://x.example/why","valueMarkdown":"of a status"}]},
		"code":{"coding":[{"system":"http://loinc.org","code":"85354-9","display":"Blood pressure"}],"text":"RR"},
		"subject":{"reference":"Patient/aino","display":"Aino"},"effectiveDateTime":"2026-11-01","valueQuantity":{"value":1.5,"unit":"mmHg","code":"mm[Hg]"},
		"note":[{"text":"Levossa\nmitattu"}],"unknown":"not of FHIR"}`), DefaultLimits)
	require.NoError(t, err)
	require.Equal(t, []string{
		"  Verenpaine  ", "Virtanen", "Kaisa", "Liisa", "an extension", "A 77", "of a status", "Blood pressure", "RR", "Aino", "mmHg", "Levossa\nmitattu",
	}, slices.Collect(Texts(v)))
	for text := range Texts(v) {
		require.Contains(t, text, "Verenpaine")
		break
	}
	require.Empty(t, slices.Collect(Texts(NewObject())))
	require.Contains(t, NarrativeText(v), "Verenpaine")
	require.Empty(t, NarrativeText(NewObject()))
}

func TestANarrativeReadsAsAReaderSeesIt(t *testing.T) {
	const div = `<div xmlns="http://www.w3.org/1999/xhtml">`
	for xhtml, text := range map[string]string{
		div + `kuume</div>`: " kuume ",
		div + `<b>ku</b>ume<br/>38&#160;&#xb0;C &lt;39</div>`: " kuume 38\u00a0°C <39 ",
		div + `<td title="a > b">1</td><td>2</td></div>`:      "  1  2  ",
		div + `<!-- <p>hidden</p> -- > -->seen</div>`:         " seen ",
		div + `<a href="x?a=1&amp;b=2">&amp;lt;</a></div>`:    " &lt; ",
		`no markup`: "no markup", `cut off <b class="x`: "cut off ", `a<!-- b`: "a", ``: "",
	} {
		assert.Equal(t, text, readXHTML(xhtml), xhtml)
	}
}
