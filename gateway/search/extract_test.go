package search

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"sotesilta/internal/fhir"
)

func extract(t testing.TB, body string, bases ...string) Index {
	t.Helper()
	v, err := fhir.Parse([]byte(body), fhir.Limits{})
	require.NoError(t, err)
	return Extract(v, bases...)
}

func only[T any](entries []T, keep func(T) bool) []T {
	var out []T
	for _, e := range entries {
		if keep(e) {
			out = append(out, e)
		}
	}
	return out
}

func tokens(x Index, param string) []TokenEntry {
	return only(x.Tokens, func(e TokenEntry) bool { return e.Param == param })
}

func references(x Index, param string) []ReferenceEntry {
	return only(x.References, func(e ReferenceEntry) bool { return e.Param == param })
}

func dates(x Index, param string) []DateEntry {
	return only(x.Dates, func(e DateEntry) bool { return e.Param == param })
}

func TestTokensOfEachDataType(t *testing.T) {
	x := extract(t, `{"resourceType":"Observation","status":"final",
		"meta":{"tag":[{"system":"s","code":"t"}],"security":[{"system":"r","code":"health","display":"Potilasrekisteri"}],"profile":["http://a.example/p|2"],"source":"urn:x"},
		"identifier":[{"system":"urn:oid:1.2","value":"7","type":{"text":"Näyte"}}],
		"code":{"coding":[{"system":"http://loinc.org","code":"1-8","display":"Paino"},{"code":"local"}],"text":"Kehon paino"},
		"valueCodeableConcept":{"text":"Only words"}}`)
	require.Equal(t, []TokenEntry{{"status", "http://hl7.org/fhir/observation-status", "final", ""}}, tokens(x, "status"))
	require.Equal(t, []TokenEntry{{"_tag", "s", "t", ""}}, tokens(x, "_tag"))
	require.Equal(t, []TokenEntry{{"_security", "r", "health", "potilasrekisteri"}}, tokens(x, "_security"))
	require.Equal(t, []TokenEntry{{"identifier", "urn:oid:1.2", "7", "nayte"}}, tokens(x, "identifier"))
	require.Equal(t, []TokenEntry{
		{"code", "http://loinc.org", "1-8", "paino"}, {"code", "", "local", ""}, {"code", "", "", "kehon paino"},
	}, tokens(x, "code"))
	require.Equal(t, []TokenEntry{{"value-concept", "", "", "only words"}}, tokens(x, "value-concept"))
	require.Equal(t, []StringEntry{
		{"_profile", "", "http://a.example/p|2"}, {"_profile", "", "http://a.example/p"}, {"_source", "", "urn:x"},
	}, x.URIs, "a canonical is found with its version and without")
}

func TestReferencesOfEachForm(t *testing.T) {
	const here = "http://localhost:8080/fhir"
	x := extract(t, `{"resourceType":"CarePlan","contained":[{"resourceType":"CareTeam","id":"team"}],
		"subject":{"reference":"Patient/aino/_history/3"},
		"careTeam":[{"reference":"#team"},{"reference":"`+here+`/CareTeam/1"},{"reference":"http://elsewhere.example/fhir/CareTeam/1/_history/2"},
			{"reference":"urn:uuid:6ba7b810-9dad-11d1-80b4-00c04fd430c8"},{"identifier":{"system":"s","value":"v"}},{"display":"nobody"}],
		"instantiatesCanonical":["https://a.example/PlanDefinition/x|1"]}`, here)
	require.Equal(t, []ReferenceEntry{{Param: "subject", Type: "Patient", ID: "aino"}}, references(x, "subject"))
	require.Equal(t, []ReferenceEntry{{Param: "patient", Type: "Patient", ID: "aino"}}, references(x, "patient"))
	require.Equal(t, []ReferenceEntry{
		{Param: "care-team", URL: "#team"},
		{Param: "care-team", Type: "CareTeam", ID: "1"},
		{Param: "care-team", URL: "http://elsewhere.example/fhir/CareTeam/1"},
		{Param: "care-team", URL: "urn:uuid:6ba7b810-9dad-11d1-80b4-00c04fd430c8"},
		{Param: "care-team", System: "s", Code: "v"},
	}, references(x, "care-team"))
	require.Equal(t, []ReferenceEntry{
		{Param: "instantiates-canonical", URL: "https://a.example/PlanDefinition/x"},
		{Param: "instantiates-canonical", URL: "https://a.example/PlanDefinition/x|1"},
	}, references(x, "instantiates-canonical"))
}

func TestThePatientParameterTakesReferencesToPatientsOnly(t *testing.T) {
	for subject, want := range map[string]int{
		`{"reference":"Patient/a"}`:                                                      1,
		`{"reference":"Group/a"}`:                                                        0,
		`{"reference":"http://elsewhere.example/Patient/a"}`:                             1,
		`{"reference":"urn:uuid:6ba7b810-9dad-11d1-80b4-00c04fd430c8"}`:                  0,
		`{"reference":"urn:uuid:6ba7b810-9dad-11d1-80b4-00c04fd430c8","type":"Patient"}`: 1,
		`{"identifier":{"value":"1"},"type":"Patient"}`:                                  1,
		`{"reference":"#p"}`:                                                             1,
		`{"reference":"#g"}`:                                                             0,
	} {
		x := extract(t, `{"resourceType":"CarePlan","contained":[{"resourceType":"Patient","id":"p"},{"resourceType":"Group","id":"g"}],"subject":`+subject+`}`)
		require.Len(t, references(x, "patient"), want, subject)
		require.Len(t, references(x, "subject"), 1, subject)
	}
}

func TestDatesCoverTheirPrecision(t *testing.T) {
	observation := func(effective string) []DateEntry {
		return dates(extract(t, `{"resourceType":"Observation",`+effective+`}`), "date")
	}
	span := func(from, to time.Time) []DateEntry { return []DateEntry{{"date", from, to}} }
	require.Equal(t, span(day("2026-01-01"), day("2027-01-01")), observation(`"effectiveDateTime":"2026"`))
	require.Equal(t, span(day("2026-02-01"), day("2026-03-01")), observation(`"effectiveDateTime":"2026-02"`))
	require.Equal(t, span(day("2026-02-02"), day("2026-02-02").Add(time.Second)), observation(`"effectiveDateTime":"2026-02-02T02:00:00+02:00"`))
	require.Equal(t, span(day("2026-02-02"), day("2026-02-02").Add(time.Millisecond)), observation(`"effectiveInstant":"2026-02-02T00:00:00.0004Z"`))
	require.Equal(t, span(day("2026-02-02"), MaxTime), observation(`"effectivePeriod":{"start":"2026-02-02"}`))
	require.Equal(t, span(MinTime, day("2026-02-03")), observation(`"effectivePeriod":{"end":"2026-02-02"}`))
	require.Equal(t, span(day("2026-01-01"), day("2026-04-01")), observation(`"effectiveTiming":{"event":["2026-03","2026-01-01"]}`))
	require.Equal(t, span(day("2026-01-01"), day("2026-01-03")), observation(`"effectiveTiming":{"repeat":{"boundsPeriod":{"start":"2026-01-01","end":"2026-01-02"}}}`))
	require.Equal(t, span(day("9999-01-01"), MaxTime), observation(`"effectiveDateTime":"9999"`))
	require.Empty(t, observation(`"effectiveDateTime":"yesterday"`))
	require.Empty(t, observation(`"effectivePeriod":{"start":"2026-02-02","end":"2026-01-01"}`))
	require.Empty(t, observation(`"effectivePeriod":{}`))
}

func TestNumbersAndQuantities(t *testing.T) {
	quantity := func(body string) []NumberEntry {
		x := extract(t, `{"resourceType":"Observation",`+body+`}`)
		return only(x.Numbers, func(e NumberEntry) bool { return e.Param == "value-quantity" })
	}
	require.Equal(t, []NumberEntry{{"value-quantity", "http://unitsofmeasure.org", "kg", 72.50, 72.5}, {"value-quantity", "", "kilo", 72.5, 72.5}},
		quantity(`"valueQuantity":{"value":72.50,"unit":"kilo","system":"http://unitsofmeasure.org","code":"kg"}`))
	require.Equal(t, []NumberEntry{{"value-quantity", "", "", -math.MaxFloat64, 5}}, quantity(`"valueQuantity":{"value":5,"comparator":"<"}`))
	require.Equal(t, []NumberEntry{{"value-quantity", "", "", 1, 4}}, quantity(`"valueSampledData":{"origin":{"value":0},"period":1,"dimensions":1,"lowerLimit":1,"upperLimit":4}`))
	require.Equal(t, []NumberEntry{{"value-quantity", "", "", math.MaxFloat64, math.MaxFloat64}}, quantity(`"valueQuantity":{"value":1e999}`))
	require.Empty(t, quantity(`"valueQuantity":{"unit":"kg"}`))
	risk := extract(t, `{"resourceType":"RiskAssessment","prediction":[{"probabilityDecimal":0.3},{"probabilityRange":{"low":{"value":1},"high":{"value":2}}}]}`)
	require.Equal(t, []NumberEntry{{"probability", "", "", 0.3, 0.3}, {"probability", "", "", 1, 2}}, risk.Numbers)
}

func TestADeceasedPatientIsFoundByEitherElement(t *testing.T) {
	for body, want := range map[string]string{
		`{"resourceType":"Patient"}`:                                 "false",
		`{"resourceType":"Patient","deceasedBoolean":false}`:         "false",
		`{"resourceType":"Patient","deceasedBoolean":true}`:          "true",
		`{"resourceType":"Patient","deceasedDateTime":"2020-01-01"}`: "true",
	} {
		require.Equal(t, []TokenEntry{{"deceased", "", want, ""}}, tokens(extract(t, body), "deceased"), body)
	}
}

// Law: the address, telecom and municipality of a person under turvakielto are withheld; a search must not tell them.
func TestNoParameterReachesAddressOrTelecomOfAPrivatePerson(t *testing.T) {
	for _, typ := range []string{"Patient", "Person", "RelatedPerson"} {
		x := extract(t, `{"resourceType":"`+typ+`","active":true,"name":[{"family":"Toivonen"}],
			"address":[{"use":"home","text":"hidden","line":["hidden"],"city":"hidden","postalCode":"hidden","state":"hidden","country":"hidden"}],
			"telecom":[{"system":"phone","value":"hidden"},{"system":"email","value":"hidden"}]}`)
		require.NotContains(t, render(x), "hidden", typ)
		require.NotContains(t, render(x), "home", typ)
		for _, name := range []string{
			"address", "address-city", "address-country", "address-postalcode", "address-state", "address-use",
			"phone", "email", "telecom",
		} {
			require.Nil(t, Lookup(typ, name), "%s.%s", typ, name)
			_, err := Parse(typ, []Pair{{name, "x"}}, Options{})
			require.ErrorContains(t, err, name)
		}
	}
	_, err := Parse("CarePlan", []Pair{{"subject:Patient.address-city", "x"}}, Options{})
	require.Error(t, err, "nor through a chain")
	require.NotNil(t, Lookup("Organization", "address-city"))
	require.NotNil(t, Lookup("Practitioner", "phone"))
}

func TestConditionsOnElementsAreKept(t *testing.T) {
	x := extract(t, `{"resourceType":"Practitioner","telecom":[{"system":"phone","value":"1"},{"system":"email","value":"a@b"}]}`)
	require.Equal(t, []TokenEntry{{"phone", "", "1", ""}}, tokens(x, "phone"))
	require.Equal(t, []TokenEntry{{"email", "", "a@b", ""}}, tokens(x, "email"))
	require.Len(t, tokens(x, "telecom"), 2)
}

func TestTextsAreCutBetweenCharactersAndFreeOfNul(t *testing.T) {
	x := extract(t, `{"resourceType":"Organization","name":"`+strings.Repeat("ä", 1000)+`","identifier":[{"value":"a\u0000b"}]}`)
	require.Len(t, x.Strings[0].Folded, maxIndexed)
	require.Equal(t, strings.Repeat("ä", maxIndexed/2), x.Strings[0].Exact)
	require.Greater(t, maxIndexed, MaxValueLength, "a text that was cut is never equal to a value")
	require.Equal(t, "ab", tokens(x, "identifier")[0].Code)
}

func TestMalformedResourcesAreReadAsFarAsTheyGo(t *testing.T) {
	for _, body := range []string{
		`{}`, `[]`, `null`, `{"resourceType":"Nothing"}`, `{"resourceType":7}`, `{"resourceType":"Patient","name":7,"birthDate":{},"identifier":"x","gender":[["a"]]}`,
		`{"resourceType":"CarePlan","subject":[{"reference":[]}],"period":"x","activity":{"detail":[{"code":null}]}}`,
	} {
		extract(t, body)
	}
	require.Equal(t, Index{}, Extract(nil))
}

func TestEntriesAreDistinct(t *testing.T) {
	coding := `{"system":"s","code":"c"}`
	x := extract(t, `{"resourceType":"CareTeam","category":[{"coding":[`+coding+strings.Repeat(","+coding, 60)+`]}]}`)
	require.Equal(t, []TokenEntry{{"category", "s", "c", ""}}, x.Tokens)
	x = extract(t, `{"resourceType":"CareTeam","category":[{"coding":[`+coding+`,`+coding+`]}]}`)
	require.Equal(t, []TokenEntry{{"category", "s", "c", ""}}, x.Tokens)
}

func TestFold(t *testing.T) {
	for in, want := range map[string]string{
		"Hämäläinen": "hamalainen", "hämäläinen": "hamalainen", "ÅSTRÖM": "astrom", "Søren Łuczak": "soren luczak",
		"  Anna   Liisa ": "anna liisa", "Straße": "strasse", "ﬁ": "fi", "İstanbul": "istanbul", "": "", "x": "x",
		"Anna\tLiisa\n": "anna liisa", "Ⅷ": "viii", "O’Brien": "o'brien", "ΟΔΟΣ": "οδοσ", "οδος": "οδοσ",
	} {
		require.Equal(t, want, Fold(in), "%q", in)
	}
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "s")
		once := Fold(s)
		if twice := Fold(once); twice != once {
			t.Fatalf("Fold(%q) = %q, folded again %q", s, once, twice)
		}
		if up := Fold(strings.ToUpper(s)); strings.IndexFunc(s, func(r rune) bool { return r > 0x17f }) < 0 && up != once && !strings.ContainsAny(s, "ŉſ") {
			t.Fatalf("Fold(%q) = %q, of its upper case %q", s, once, up)
		}
	})
}

func TestParametersDescribeThemselves(t *testing.T) {
	params := Params("CarePlan")
	names := map[string]Definition{}
	for _, d := range params {
		names[d.Name] = d
		require.NotEmpty(t, d.Type, d.Name)
		require.NotEmpty(t, d.Documentation, d.Name)
		require.True(t, strings.HasPrefix(d.URL, "http://hl7.org/fhir/SearchParameter/"), d.URL)
	}
	require.Equal(t, Definition{
		Name: "subject", Type: "reference", URL: "http://hl7.org/fhir/SearchParameter/CarePlan-subject",
		Documentation: "Who the care plan is for", Targets: []string{"Group", "Patient"}, Modifiers: []string{"missing", "identifier"},
	}, names["subject"])
	require.Equal(t, []string{"Patient"}, names["patient"].Targets)
	require.Contains(t, names, "_id")
	require.Contains(t, names, "_lastUpdated")
	require.Contains(t, names, "_security")
	require.Empty(t, names["_id"].Modifiers)
	require.Nil(t, Params("Nothing"))
	require.Same(t, Lookup("CarePlan", "subject"), Lookup("CarePlan", "subject"))
	for _, typ := range fhir.Types() {
		require.GreaterOrEqual(t, len(Params(typ)), 6, typ)
	}
	ours := slices.IndexFunc(Params("AuditEvent"), func(d Definition) bool { return d.Name == "ledger" })
	require.Equal(t, "https://sotesilta.example/fhir/SearchParameter/AuditEvent-ledger", Params("AuditEvent")[ours].URL)
	require.Equal(t, NumberType, Lookup("AuditEvent", "ledger").Type)
}

// The 3 KB CarePlan of the speed targets, in shape.
var carePlan = `{"resourceType":"CarePlan","id":"p1","meta":{"versionId":"3","lastUpdated":"2026-11-21T08:30:00.000Z","security":[{"system":"https://sotesilta.example/fhir/CodeSystem/register","code":"health"},{"system":"https://sotesilta.example/fhir/CodeSystem/register","code":"social"}]},
"identifier":[{"system":"urn:oid:1.2.246.10.1.14","value":"plan-1"}],"instantiatesCanonical":["https://sotesilta.example/fhir/PlanDefinition/joint-client"],"status":"active","intent":"plan",
"category":[{"coding":[{"system":"http://snomed.info/sct","code":"734163000","display":"Care plan"}],"text":"Yhteisasiakkaan suunnitelma"}],"title":"Yhteinen suunnitelma","description":"` + strings.Repeat("Tavoitteena arjen sujuminen. ", 30) + `",
"subject":{"reference":"Patient/aino"},"period":{"start":"2026-11-01"},"created":"2026-11-01","author":{"reference":"PractitionerRole/nurse"},"careTeam":[{"reference":"CareTeam/t1"}],
"addresses":[{"reference":"Condition/c1"},{"reference":"Condition/c2"}],"goal":[{"reference":"Goal/g1"}],
"activity":[` + strings.TrimSuffix(strings.Repeat(`{"detail":{"kind":"ServiceRequest","code":{"coding":[{"system":"http://snomed.info/sct","code":"410155007","display":"Occupational therapy assessment"}]},"status":"in-progress","scheduledPeriod":{"start":"2026-11-05","end":"2026-12-05"},"performer":[{"reference":"PractitionerRole/ot"}]}},`, 4), ",") + `]}`

func BenchmarkExtractCarePlan(b *testing.B) {
	v, err := fhir.Parse([]byte(carePlan), fhir.Limits{})
	require.NoError(b, err)
	b.SetBytes(int64(len(carePlan)))
	b.ReportAllocs()
	for b.Loop() {
		Extract(v)
	}
}

func BenchmarkParse(b *testing.B) {
	pairs, err := Pairs("patient=Patient/aino&status=active,draft&date=ge2026-01-01&_sort=-date&_count=20&_include=CarePlan:care-team")
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse("CarePlan", pairs, testOptions); err != nil {
			b.Fatal(err)
		}
	}
}

// A resource is a bounded number of rows in the index, whatever they are made of.
func TestIndexesAreBounded(t *testing.T) {
	entries := func(x Index) int {
		return len(x.Tokens) + len(x.References) + len(x.Dates) + len(x.Strings) + len(x.URIs) + len(x.Numbers)
	}
	repeated := func(format string, n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, ","+format, i)
		}
		return b.String()[1:]
	}
	for name, format := range map[string]string{
		"codes":       `{"resourceType":"Observation","category":[{"coding":[` + repeated(`{"code":"c%d"}`, 20_000) + `]}]}`,
		"identifiers": `{"resourceType":"Patient","identifier":[` + repeated(`{"system":"urn:x","value":"%d"}`, 20_000) + `]}`,
		"names":       `{"resourceType":"Patient","name":[{"given":[` + repeated(`"n%d"`, 20_000) + `]}]}`,
		"canonicals":  `{"resourceType":"CarePlan","instantiatesCanonical":[` + repeated(`"http://a.fi/%d|1"`, 20_000) + `]}`,
		"uris":        `{"resourceType":"CarePlan","instantiatesUri":[` + repeated(`"http://a.fi/%d"`, 20_000) + `]}`,
		"quantities":  `{"resourceType":"Observation","component":[` + repeated(`{"valueQuantity":{"value":%d}}`, 20_000) + `]}`,
		"dates":       `{"resourceType":"CarePlan","activity":[` + repeated(`{"detail":{"scheduledPeriod":{"start":"2026-01-01T10:00:00.%05dZ"}}}`, 20_000) + `]}`,
		"equal codes": `{"resourceType":"Observation","category":[{"coding":[` + strings.Repeat(`{"code":"c"},`, 20_000) + `{"code":"c"}]}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			v, err := fhir.Parse([]byte(format), fhir.Limits{})
			require.NoError(t, err)
			x := Extract(v)
			require.True(t, x.Over)
			require.LessOrEqual(t, entries(x), MaxEntries)
		})
	}
	v, err := fhir.Parse([]byte(`{"resourceType":"Patient","identifier":[`+repeated(`{"system":"urn:x","value":"%d"}`, MaxEntries-1)+`]}`), fhir.Limits{})
	require.NoError(t, err)
	x := Extract(v) // and whether the Patient is deceased
	require.False(t, x.Over)
	require.Equal(t, MaxEntries, entries(x))
}

// References to contained resources are looked up once, not each among all.
func TestContainedReferencesCostNoSquare(t *testing.T) {
	var contained, members strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&contained, `,{"resourceType":"Patient","id":"p%d"}`, i)
	}
	for range 2000 {
		members.WriteString(`,{"entity":{"reference":"#p19999"}}`)
	}
	v, err := fhir.Parse([]byte(`{"resourceType":"Group","contained":[`+contained.String()[1:]+`],"member":[`+members.String()[1:]+`]}`), fhir.Limits{})
	require.NoError(t, err)
	began := time.Now()
	x := Extract(v)
	require.Less(t, time.Since(began), time.Second)
	require.Contains(t, x.References, ReferenceEntry{Param: "member", URL: "#p19999"})
}
