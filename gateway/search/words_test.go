package search

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/internal/fhir"
)

const said = `{"resourceType":"Observation","status":"final","code":{"text":"Sydänkuume (matala), HbA1c"},"note":[{"text":"Ei  lääkettä"},{"text":"Lepo auttaa"}],
	"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>Kuumetta, <b>yskä</b>ä</p><p>c-reaktiivinen 38,5</p></div>"}}`

func meets(t *testing.T, doc, param, value string) bool {
	t.Helper()
	q, err := Parse("Observation", []Pair{{param, value}}, testOptions)
	require.NoError(t, err, "%s=%s", param, value)
	require.Len(t, q.Where, 1)
	require.True(t, q.Where[0].Reads())
	resource, err := fhir.Parse([]byte(doc), fhir.DefaultLimits)
	require.NoError(t, err)
	return Saying(resource).Meets(&q.Where[0])
}

func TestWordsAreFoundWhereTheyBegin(t *testing.T) {
	for _, c := range []struct {
		param, value string
		meets        bool
	}{
		{"_text", "kuume", true},
		{"_text", "KUUME yskaa", true},
		{"_text", "kuume nuha", false},
		{"_text", "nuha OR yskä", true},
		{"_text", "(nuha or yskä) and kuume", true},
		{"_text", "(nuha OR yskä) AND (flunssa OR angiina)", false},
		{"_text", "kuume nuha OR reaktiivinen", true},
		{"_text", "nuha,yskä", true},
		{"_text", `"kuumetta\, yskää"`, true},
		{"_text", `"kuumetta\, yskää c"`, true},
		{"_text", `"yskää kuumetta"`, false},
		{"_text", `38\,5`, true},
		{"_text", "uume", false},
		{"_text", "reaktiivinen", true},
		{"_text", "sydän", false},
		{"_text", `"or" "and"`, false},
		{"_text", "kuum*.", true},
		{"_text", "kuume - yskä", true},
		{"_text:contains", "uumett", true},
		{"_text:contains", "uumett nuha", false},
		{"_text:exact", "Kuumetta yskää", true},
		{"_text:exact", "kuumetta", false},
		{"_text:exact", "Kuume", false},
		{"_text:exact", "yskaa", false},
		{"_text:missing", "true", false},
		{"_text:missing", "false", true},
		{"_content", "yskä hba1c lepo", true},
		{"_content", "kuume", true},
		{"_content", "final", false},
		{"_content", `"ei lääke"`, true},
		{"_content", `"lääkettä lepo"`, false},
		{"_content:contains", "dänkuum", true},
		{"_content:exact", `"Ei lääkettä"`, true},
		{"_content:missing", "true", false},
	} {
		require.Equal(t, c.meets, meets(t, said, c.param, c.value), "%s=%s", c.param, c.value)
	}
	const silent = `{"resourceType":"Observation","status":"final"}`
	require.True(t, meets(t, silent, "_text:missing", "true"))
	require.True(t, meets(t, silent, "_content:missing", "true"))
	require.False(t, meets(t, silent, "_content", "a"))
}

func TestWordsThatCannotBeUnderstoodAreRefused(t *testing.T) {
	for value, says := range map[string]string{
		"":                                     "empty value",
		" ":                                    "no letter or digit",
		"-":                                    "no letter or digit",
		"and":                                  "words are missing",
		"OR kuume":                             "words are missing",
		"kuume OR":                             "words are missing",
		"()":                                   "no letter or digit",
		"(kuume":                               "not closed",
		"kuume)":                               "closes none",
		`"kuume`:                               "not closed",
		`"kuume, yskä"`:                        `a comma in a phrase is written \,`,
		"(kuume) ()":                           "words are missing",
		"kuume -yskä":                          "excluded",
		"kuume NOT yskä":                       "excluded",
		strings.Repeat("(", 30) + "a":          "too deep",
		strings.Repeat("a ", MaxWords+1):       "at most 32 words",
		strings.Repeat("a,", MaxWords+1) + "a": "at most 32 words",
		strings.Repeat("a", MaxValueLength+1):  "longer than",
	} {
		_, err := Parse("Observation", []Pair{{"_text", value}}, testOptions)
		require.ErrorContains(t, err, says, value)
	}
	for _, pair := range []Pair{
		{"encounter._text", "x"},
		{"subject:Patient._content", "x"},
		{"_has:Observation:encounter:_content", "x"},
		{"_sort", "_text"},
		{"_text:text", "x"},
		{"_content:not", "x"},
		{"_include", "Observation:_text"},
	} {
		_, err := Parse("Observation", []Pair{pair}, testOptions)
		require.Error(t, err, pair.Name)
	}
	for typ, has := range map[string]bool{"Observation": true, "Binary": false, "Bundle": false} {
		require.Equal(t, has, Lookup(typ, "_text") != nil, typ)
		require.NotNil(t, Lookup(typ, "_content"), typ)
	}
}

// FuzzWords: whatever is asked of texts, reading and answering end, and what one word finds, that word with another or finds.
func FuzzWords(f *testing.F) {
	f.Add(`(bone OR liver) and "metastases`, said)
	f.Add(`"a b" -c ((d) or e)`, `{"resourceType":"Observation"}`)
	f.Fuzz(func(t *testing.T, value, text string) {
		r := valueReader{param: &Param{Name: content, Type: Texts}}
		v, why := r.words(value)
		if why != "" {
			return
		}
		resource := fhir.NewObject(fhir.Member{Name: "resourceType", Value: fhir.NewString("Observation")},
			fhir.Member{Name: "note", Value: fhir.NewArray(fhir.NewObject(fhir.Member{Name: "text", Value: fhir.NewString(text)}))})
		found := Saying(resource).Meets(&Clause{Param: r.param, Values: []Value{v}})
		either, why := r.words("(" + value + ") OR xyzzy")
		if why == "" && found {
			require.True(t, Saying(resource).Meets(&Clause{Param: r.param, Values: []Value{either}}), "%q in %q", value, text)
		}
		if found {
			require.True(t, Saying(resource).Meets(&Clause{Param: r.param, Modifier: "contains", Values: []Value{v}}), "%q in %q", value, text)
		}
	})
}
