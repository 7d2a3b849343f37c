package terminology

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/internal/fhir"
)

func parse(t testing.TB, text string) *fhir.Value {
	t.Helper()
	doc, err := fhir.Parse([]byte(text), fhir.DefaultLimits)
	require.NoError(t, err)
	return doc
}

const conceptMap = `{"resourceType":"ConceptMap","url":"urn:map","version":"2","status":"active","group":[
 {"source":"urn:from","sourceVersion":"1","target":"urn:to","element":[
   {"code":"a","target":[{"code":"A","equivalence":"equivalent"},{"code":"AA","equivalence":"wider"}]},
   {"code":"b","target":[{"code":"AA","equivalence":"equivalent"}]},
   {"code":"none","target":[{"equivalence":"unmatched"}]},
   {"code":"if","target":[{"code":"M","equivalence":"equivalent","dependsOn":[{"property":"urn:sex","system":"urn:sexes","value":"m"}],
     "product":[{"property":"urn:kind","value":"k"}]}]}],
  "unmapped":{"mode":"fixed","code":"OTHER"}},
 {"source":"urn:from","target":"urn:third","unmapped":{"mode":"provided"},"element":[{"code":"a","target":[{"code":"A3","equivalence":"relatedto"}]}]},
 {"source":"urn:lead","target":"urn:to","unmapped":{"mode":"other-map","url":"urn:other"},"element":[{"code":"x","target":[{"code":"X","equivalence":"equal"}]}]}]}`

func TestTranslate(t *testing.T) {
	other := parse(t, `{"resourceType":"ConceptMap","url":"urn:other","group":[{"source":"urn:lead","target":"urn:to","element":[
	 {"code":"y","target":[{"code":"Y","equivalence":"narrower"}]}]}]}`)
	others := func(url string) (*fhir.Value, error) {
		if url == "urn:other" {
			return other, nil
		}
		return nil, nil
	}
	for name, c := range map[string]struct {
		asked Translation
		want  string // equivalence code, equivalence code…
		needs string
	}{
		"to every system":           {Translation{Codings: coded("urn:from", "a")}, "equivalent A, wider AA, relatedto A3", ""},
		"to one system":             {Translation{Codings: coded("urn:from", "a"), TargetSystem: "urn:third"}, "relatedto A3", ""},
		"a code without another":    {Translation{Codings: coded("urn:from", "none"), TargetSystem: "urn:to"}, "unmatched ", ""},
		"an unmapped code, fixed":   {Translation{Codings: coded("urn:from", "z"), TargetSystem: "urn:to"}, "relatedto OTHER", ""},
		"an unmapped code, as is":   {Translation{Codings: coded("urn:from", "z"), TargetSystem: "urn:third"}, "relatedto z", ""},
		"another map":               {Translation{Codings: coded("urn:lead", "y")}, "narrower Y", ""},
		"no map":                    {Translation{Codings: coded("urn:lead", "z")}, "", ""},
		"another system":            {Translation{Codings: coded("urn:else", "a")}, "", ""},
		"another version":           {Translation{Codings: []Coded{{fhir.Coding{System: "urn:from", Code: "a"}, "9"}}}, "relatedto A3", ""},
		"back":                      {Translation{Codings: coded("urn:to", "AA"), Reverse: true}, "narrower a, equivalent b", ""},
		"a dependency that misses":  {Translation{Codings: coded("urn:from", "if"), TargetSystem: "urn:to"}, "", "urn:sex"},
		"a dependency of otherness": {Translation{Codings: coded("urn:from", "if"), TargetSystem: "urn:to", Dependencies: depends("urn:sexes", "f")}, "", "urn:sex"},
		"a dependency that is met":  {Translation{Codings: coded("urn:from", "if"), TargetSystem: "urn:to", Dependencies: depends("urn:sexes", "m")}, "equivalent M", ""},
		"of several codings": {
			Translation{Codings: append(coded("urn:from", "a"), coded("urn:from", "b")...), TargetSystem: "urn:to"}, "equivalent A, wider AA, equivalent AA", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Translate(parse(t, conceptMap), c.asked, others)
			require.NoError(t, err)
			var told []string
			for _, m := range got.Matches {
				told = append(told, m.Equivalence+" "+m.Concept.Code)
			}
			require.Equal(t, c.want, strings.Join(told, ", "))
			require.Equal(t, c.needs, strings.Join(got.Needs, ", "))
		})
	}
	got, err := Translate(parse(t, conceptMap), Translation{Codings: coded("urn:from", "if"), TargetSystem: "urn:to", Dependencies: depends("urn:sexes", "m")}, nil)
	require.NoError(t, err)
	require.Equal(t, "urn:map|2", got.Matches[0].Source)
	require.Equal(t, []Dependency{{"urn:kind", fhir.Coding{Code: "k"}}}, got.Matches[0].Products)
}

// TestMapsThatLeadToThemselvesEnd: a ConceptMap is a client's, and may name itself.
func TestMapsThatLeadToThemselvesEnd(t *testing.T) {
	group := `{"source":"urn:a","target":"urn:b","unmapped":{"mode":"other-map","url":"urn:me"}}`
	me := parse(t, `{"resourceType":"ConceptMap","url":"urn:me","group":[`+strings.Repeat(group+",", 500)+group+`]}`)
	asked := 0
	got, err := Translate(me, Translation{Codings: coded("urn:a", "x")}, func(string) (*fhir.Value, error) { asked++; return me, nil })
	require.NoError(t, err)
	require.Empty(t, got.Matches)
	require.LessOrEqual(t, asked, maxMaps)
}

func coded(system, code string) []Coded {
	return []Coded{{Coding: fhir.Coding{System: system, Code: code}}}
}

func depends(system, code string) []Dependency {
	return []Dependency{{"urn:sex", fhir.Coding{System: system, Code: code}}}
}

const animals = `{"resourceType":"CodeSystem","url":"urn:animals","version":"1","name":"Animals","status":"active","content":"complete","concept":[
 {"code":"mammal","display":"Nisäkäs","concept":[
   {"code":"dog","display":"Koira","concept":[{"code":"spitz","display":"Pystykorva"}],"designation":[{"language":"sv","value":"Hund"}]},
   {"code":"aurochs","display":"Alkuhärkä","property":[{"code":"status","valueCode":"retired"}]}]},
 {"code":"bird","display":"Lintu","property":[{"code":"legs","valueInteger":2}]}]}`

// shelf is a Vocabulary of resources by their url.
type shelf map[string]*fhir.Value

func (s shelf) CodeSystem(url, _ string) (*CodeSystem, error) {
	if s[url] == nil {
		return nil, nil
	}
	return ReadCodeSystem(s[url]), nil
}

func (s shelf) ValueSet(url string) (*fhir.Value, []Entry, error) { return s[url], nil, nil }

func TestExpand(t *testing.T) {
	kept := shelf{
		"urn:animals": parse(t, animals),
		"urn:dogs":    parse(t, `{"resourceType":"ValueSet","url":"urn:dogs","compose":{"include":[{"system":"urn:animals","filter":[{"property":"concept","op":"is-a","value":"dog"}]}]}}`),
		"urn:loop":    parse(t, `{"resourceType":"ValueSet","url":"urn:loop","compose":{"include":[{"valueSet":["urn:loop"]}]}}`),
	}
	for name, c := range map[string]struct{ compose, want, fault string }{
		"a whole system":             {`"include":[{"system":"urn:animals"}]`, "mammal dog spitz aurochs bird", ""},
		"codes that are named":       {`"include":[{"system":"urn:elsewhere","concept":[{"code":"x"},{"code":"y"},{"code":"x"}]}]`, "x y", ""},
		"what is below":              {`"include":[{"system":"urn:animals","filter":[{"property":"concept","op":"descendent-of","value":"mammal"}]}]`, "dog spitz aurochs", ""},
		"what is not below":          {`"include":[{"system":"urn:animals","filter":[{"property":"concept","op":"is-not-a","value":"dog"}]}]`, "mammal aurochs bird", ""},
		"by a property":              {`"include":[{"system":"urn:animals","filter":[{"property":"legs","op":"=","value":"2"}]}]`, "bird", ""},
		"without a property":         {`"include":[{"system":"urn:animals","filter":[{"property":"legs","op":"exists","value":"false"}]}]`, "mammal dog spitz aurochs", ""},
		"among":                      {`"include":[{"system":"urn:animals","filter":[{"property":"code","op":"in","value":"dog, bird"}]}]`, "dog bird", ""},
		"several filters":            {`"include":[{"system":"urn:animals","filter":[{"property":"code","op":"is-a","value":"mammal"},{"property":"code","op":"not-in","value":"dog"}]}]`, "mammal spitz aurochs", ""},
		"without retired ones":       {`"inactive":false,"include":[{"system":"urn:animals"}]`, "mammal dog spitz bird", ""},
		"without some":               {`"include":[{"system":"urn:animals"}],"exclude":[{"valueSet":["urn:dogs"]},{"system":"urn:animals","concept":[{"code":"bird"}]}]`, "mammal aurochs", ""},
		"another value set":          {`"include":[{"valueSet":["urn:dogs"]}]`, "dog spitz", ""},
		"what both have":             {`"include":[{"system":"urn:animals","concept":[{"code":"bird"},{"code":"spitz"}],"valueSet":["urn:dogs"]}]`, "spitz", ""},
		"a system that is not held":  {`"include":[{"system":"http://snomed.info/sct"}]`, "", "not held here as a whole"},
		"a set that is not held":     {`"include":[{"valueSet":["urn:cats"]}]`, "", "not held here"},
		"a filter that is not known": {`"include":[{"system":"urn:animals","filter":[{"property":"code","op":"regex","value":"(a+)+$"}]}]`, "", "not supported"},
		"a set that is in itself":    {`"include":[{"valueSet":["urn:loop"]}]`, "", "deep"},
		"another date":               {`"lockedDate":"2020-01-01","include":[{"system":"urn:animals"}]`, "", "lockedDate"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Expand(parse(t, `{"resourceType":"ValueSet","compose":{`+c.compose+`}}`), kept)
			if c.fault != "" {
				require.ErrorContains(t, err, c.fault)
				return
			}
			require.NoError(t, err)
			var codes []string
			for _, e := range got {
				codes = append(codes, e.Code)
			}
			require.Equal(t, c.want, strings.Join(codes, " "))
		})
	}
	got, err := Expand(parse(t, `{"resourceType":"ValueSet","expansion":{"contains":[{"abstract":true,"code":"g","contains":[{"system":"urn:x","code":"y","display":"Y"}]}]}}`), kept)
	require.NoError(t, err)
	require.Equal(t, []Entry{{Coding: fhir.Coding{System: "urn:x", Code: "y", Display: "Y"}}}, got)
	many := make([]string, MaxCodes+1)
	for i := range many {
		many[i] = `{"code":"c` + strconv.Itoa(i) + `"}`
	}
	_, err = Expand(parse(t, `{"resourceType":"ValueSet","compose":{"include":[{"system":"urn:x","concept":[`+strings.Join(many, ",")+`]}]}}`), kept)
	require.ErrorContains(t, err, "more than 10000 codes")
}

func TestSubsumption(t *testing.T) {
	s := ReadCodeSystem(parse(t, animals))
	for _, c := range [][3]string{
		{"dog", "dog", "equivalent"}, {"mammal", "spitz", "subsumes"}, {"spitz", "dog", "subsumed-by"}, {"bird", "dog", "not-subsumed"},
	} {
		got, err := s.Subsumption(c[0], c[1])
		require.NoError(t, err)
		require.Equal(t, c[2], got, "%s, %s", c[0], c[1])
	}
	_, err := s.Subsumption("dog", "cat")
	require.ErrorContains(t, err, "not both codes")
	grouped := ReadCodeSystem(parse(t, strings.Replace(animals, `"concept":[`, `"hierarchyMeaning":"grouped-by","concept":[`, 1)))
	_, err = grouped.Subsumption("mammal", "dog")
	require.ErrorContains(t, err, "hierarchyMeaning")
}
