package fhirpath

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/internal/fhir"
)

const patient = `{"resourceType":"Patient","id":"p","active":true,"birthDate":"1974-12-25",
"_birthDate":{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/patient-birthTime","valueDateTime":"1974-12-25T14:35:45-05:00"}]},
"contained":[{"resourceType":"Organization","id":"o","name":"Jukola"}],
"managingOrganization":{"reference":"#o"},
"multipleBirthInteger":2,
"name":[{"use":"official","family":"Virtanen","given":["Aino","Maria"]},{"use":"usual","given":["Aino"]}],
"telecom":[{"system":"phone","value":"1","rank":1},{"system":"email","value":"b","rank":2}]}`

const observation = `{"resourceType":"Observation","status":"final","code":{"text":"x"},
"valueQuantity":{"value":185.0,"unit":"lbs","system":"http://unitsofmeasure.org","code":"[lb_av]"},
"effectivePeriod":{"start":"2012","end":"2012-05-03"},
"component":[{"code":{"coding":[{"system":"s","code":"a"}]},"valueString":"one"},{"code":{"coding":[{"system":"s","code":"b"}]},"valueBoolean":true}]}`

func root(t testing.TB, doc string) fhir.Node {
	t.Helper()
	v, err := fhir.Parse([]byte(doc), fhir.Limits{})
	require.NoError(t, err)
	return fhir.Root(v)
}

func TestExpressionsComeToWhatTheStandardSays(t *testing.T) {
	for expression, want := range map[string]string{
		// paths
		"name.given":                "Aino, Maria, Aino",
		"Patient.name.given":        "Aino, Maria, Aino",
		"Observation.status":        "",
		"name[0].given[1]":          "Maria",
		"name[5].given":             "",
		"birthDate":                 "1974-12-25",
		"birthDate.extension.value": "1974-12-25T14:35:45-05:00",
		"birthDate.extension('http://hl7.org/fhir/StructureDefinition/patient-birthTime').value is dateTime": "true",
		"multipleBirth":                                  "2",
		"multipleBirth is integer":                       "true",
		"multipleBirth is Integer":                       "true",
		"multipleBirth is boolean":                       "false",
		"(multipleBirth as integer) + 1":                 "3",
		"multipleBirth.ofType(boolean)":                  "",
		"`birthDate`":                                    "1974-12-25",
		"$this.active":                                   "true",
		"%resource.id":                                   "p",
		"contained.name":                                 "Jukola",
		"managingOrganization.resolve().name":            "Jukola",
		"managingOrganization.resolve() is Organization": "true",
		// existence
		"name.exists()":                                  "true",
		"photo.exists()":                                 "false",
		"photo.empty()":                                  "true",
		"name.exists(use = 'usual')":                     "true",
		"name.all(given.exists())":                       "true",
		"name.all(family.exists())":                      "false",
		"photo.all(false)":                               "true",
		"name.count()":                                   "2",
		"name.given.count() = 3":                         "true",
		"name.given.distinct().count()":                  "2",
		"name.given.isDistinct()":                        "false",
		"(true | false).allTrue()":                       "false",
		"name.given.subsetOf('Aino' | 'Maria' | 'Lumi')": "true",
		"name.given.supersetOf('Aino')":                  "true",
		"active.not()":                                   "false",
		"{}.not()":                                       "",
		// filtering and subsetting
		"name.where(use = 'usual').given":                    "Aino",
		"name.select(given.first())":                         "Aino, Aino",
		"name.select($index)":                                "0, 1",
		"name.given.first()":                                 "Aino",
		"name.given.last()":                                  "Aino",
		"name.given.tail()":                                  "Maria, Aino",
		"name.given.skip(1).take(1)":                         "Maria",
		"name.given.intersect('Aino')":                       "Aino",
		"name.given.exclude('Aino')":                         "Maria",
		"(name.given | 'Lumi').count()":                      "3",
		"name.given.combine('Lumi').count()":                 "4",
		"telecom.repeat(children()).ofType(code)":            "phone, email",
		"telecom.rank.aggregate($this + $total, 0)":          "3",
		"iif(active, 'yes', 'no')":                           "yes",
		"photo.iif(empty(), 'none', 'some')":                 "none",
		"name.given.trace('x', $this).count()":               "3",
		"descendants().where($this is ContactPoint).count()": "2",
		// booleans
		"true and {}":        "",
		"false and {}":       "false",
		"true or {}":         "true",
		"false implies {}":   "true",
		"{} implies true":    "true",
		"true xor false":     "true",
		"true implies false": "false",
		"'x' and true":       "true",
		// comparison
		"1 = 1.0":                               "true",
		"1.50 = 1.5":                            "true",
		"'a' = 'b'":                             "false",
		"{} = 1":                                "",
		"(1 | 2) = (1 | 2)":                     "true",
		"(1 | 2) = (2 | 1)":                     "false",
		"(1 | 2) ~ (2 | 1)":                     "true",
		"'Abc  D' ~ 'abc d'":                    "true",
		"1 != 2":                                "true",
		"2 > 1 and 1 < 2 and 2 >= 2 and 2 <= 2": "true",
		"1e2 = 100":                             "error",
		"'b' > 'a'":                             "true",
		"birthDate < @1975":                     "true",
		"birthDate < @1974":                     "",
		"birthDate = @1974-12-25":               "true",
		"birthDate = @1974-12":                  "",
		"@2015-02-04T14:00:00+02:00 = @2015-02-04T12:00:00Z": "true",
		"@T10:30 < @T11:00":        "true",
		"'a' in ('a' | 'b')":       "true",
		"('a' | 'b') contains 'c'": "false",
		"4 'mg' = 4.0 'mg'":        "true",
		"4 'mg' < 5 'kg'":          "",
		"1 > 'a'":                  "error",
		// arithmetic
		"1 + 2 * 3":      "7",
		"(1 + 2) * 3":    "9",
		"7 div 2":        "3",
		"7 mod 2":        "1",
		"1 / 4":          "0.25",
		"1 / 0":          "",
		"-3 + 1":         "-2",
		"1.2 - 0.2":      "1",
		"'a' + 'b'":      "ab",
		"'a' & {}":       "a",
		"(-1.5).abs()":   "1.5",
		"1.5.ceiling()":  "2",
		"(-1.5).floor()": "-2",
		// texts
		"'abc'.startsWith('ab')":            "true",
		"'abc'.endsWith('bc')":              "true",
		"'abc'.contains('b')":               "true",
		"'abc'.substring(1)":                "bc",
		"'abc'.substring(1, 1)":             "b",
		"'äbc'.substring(1, 1)":             "b",
		"'abc'.indexOf('c')":                "2",
		"'abc'.length()":                    "3",
		"'a.b'.replaceMatches('\\..*', '')": "a",
		"'abc'.matches('^[a-c]+$')":         "true",
		"'abc'.replace('b', 'x')":           "axc",
		"'a,b'.split(',').join('-')":        "a-b",
		"'1'.toInteger() + 1":               "2",
		"'x'.toInteger()":                   "",
		"'x'.convertsToInteger()":           "false",
		"'\\u00e4'":                         "ä",
		"today() > @2020 and now() > @2020": "true",
		// what is refused
		"name.foo":           "error",
		"name.memberOf('x')": "error",
		"name.given = ":      "error",
		"'a":                 "error",
		"1 +":                "error",
		"@2015-13":           "error",
		"name.where()":       "error",
		"(1 | 2) > 1":        "error",
		"'a'.matches('(')":   "error",
		"%nobody":            "error",
	} {
		got := "error"
		if e, err := Compile(expression); err == nil {
			if items, err := e.Evaluate(root(t, patient), Context{}); err == nil {
				texts := make([]string, len(items))
				for i := range items {
					texts[i] = items[i].Text()
				}
				got = strings.Join(texts, ", ")
			}
		}
		require.Equal(t, want, got, expression)
	}
}

func TestQuantitiesPeriodsAndChoicesAreReadByTheirTypes(t *testing.T) {
	for expression, want := range map[string]string{
		"value.value":                                     "185.0",
		"value is Quantity":                               "true",
		"value > 180 '[lb_av]'":                           "true",
		"value > 180 'kg'":                                "",
		"effective.start <= effective.end":                "",
		"effective is Period":                             "true",
		"component.value":                                 "one, true",
		"component.value.ofType(string)":                  "one",
		"component.where(value = 'one').code.coding.code": "a",
		"component.code.where(coding.intersect(%resource.component.code.coding).exists()).count()": "2",
	} {
		e, err := Compile(expression)
		require.NoError(t, err, expression)
		items, err := e.Evaluate(root(t, observation), Context{})
		require.NoError(t, err, expression)
		texts := make([]string, len(items))
		for i := range items {
			texts[i] = items[i].Text()
		}
		require.Equal(t, want, strings.Join(texts, ", "), expression)
	}
}

func TestWhatIsSelectedTellsWhereItStands(t *testing.T) {
	e, err := Compile("name.where(use = 'official').given.skip(1)")
	require.NoError(t, err)
	doc := root(t, patient)
	items, err := e.Evaluate(doc, Context{})
	require.NoError(t, err)
	require.Len(t, items, 1)
	n, ok := items[0].Node()
	require.True(t, ok)
	require.Equal(t, "given", n.Member)
	require.Equal(t, 1, n.Index())
	require.Same(t, doc.Value.Get("name").Items()[0], n.In)
	require.Equal(t, "string", n.Type())
}

// Bombs are expressions that would take for ever: each is refused, or given up after its steps (a second or two; a machine
// that does much else may take longer).
func TestBombsAreBounded(t *testing.T) {
	doc := root(t, patient)
	for _, bomb := range []string{
		strings.Repeat("(", 100_000),
		strings.Repeat("(", 10_000) + "1" + strings.Repeat(")", 10_000),
		strings.Repeat("-", 10_000) + "1",
		"name" + strings.Repeat(".where(true)", 3_000),
		"1" + strings.Repeat("+1", 3_000),
		"descendants()" + strings.Repeat(".select(%resource.descendants())", 20) + ".count()",
		"name.repeat($this | $this.given.select($this & $this))",
		"'" + strings.Repeat("a", 1000) + "'" + strings.Repeat(".replace('a', 'aaaaaaaaaa')", 50) + ".length()",
		"'a'.matches('" + strings.Repeat("(a{1,999})", 50) + "')",
		"'" + strings.Repeat("a", 2000) + "b'.matches('^(a+)+$')",
		"1e999999999 > 0",
		strings.Repeat("iif(true,", 1000),
	} {
		began := time.Now()
		e, err := Compile(bomb)
		if err == nil {
			_, err = e.Evaluate(doc, Context{})
		}
		require.Less(t, time.Since(began), 30*time.Second, bomb[:min(len(bomb), 60)])
		if err != nil {
			require.Less(t, len(err.Error()), 200)
		}
	}
}

func TestAnEvaluationIsUsedByManyAtOnce(t *testing.T) {
	e, err := Compile("name.where(use = 'official').given.first() = 'Aino'")
	require.NoError(t, err)
	doc := root(t, patient)
	done := make(chan error)
	for range 8 {
		go func() {
			for range 200 {
				if holds, _, err := e.Test(doc, Context{}); err != nil || !holds {
					done <- fmt.Errorf("holds %t: %w", holds, err)
					return
				}
			}
			done <- nil
		}()
	}
	for range 8 {
		require.NoError(t, <-done)
	}
}

func BenchmarkTest(b *testing.B) {
	e, err := Compile("name.exists() or telecom.exists() or contact.where(gender = 'male').exists()")
	require.NoError(b, err)
	doc := root(b, patient)
	b.ReportAllocs()
	for b.Loop() {
		_, _, _ = e.Test(doc, Context{})
	}
}

func FuzzCompile(f *testing.F) {
	for _, seed := range []string{
		"name.where(use = 'official').given", "a.b[1] | c", "%resource.descendants().as(uri)", "iif(1 > 2, @2020, {})", "'\\u00e4' & `x`",
		"(value as Quantity).value > 5.4 'mg'", "-1 + +2 div 3 mod 4", "name.repeat(children()).distinct()", "$this is FHIR.Patient",
	} {
		f.Add(seed)
	}
	v, err := fhir.Parse([]byte(patient), fhir.Limits{})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, expression string) {
		e, err := Compile(expression)
		if err != nil {
			return
		}
		first, err1 := e.Evaluate(fhir.Root(v), Context{Steps: 20_000, Now: time.Unix(1, 0)})
		second, err2 := e.Evaluate(fhir.Root(v), Context{Steps: 20_000, Now: time.Unix(1, 0)})
		require.Equal(t, err1, err2)
		require.Len(t, second, len(first))
	})
}
