package search

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

var testOptions = Options{
	Base: "http://localhost:8080/fhir", Now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC),
}

func parse(t *testing.T, typ, query string) *Query {
	t.Helper()
	pairs, err := Pairs(query)
	require.NoError(t, err)
	q, err := Parse(typ, pairs, testOptions)
	require.NoError(t, err, query)
	return q
}

func day(s string) time.Time {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return t
}

func TestValuesOfEachType(t *testing.T) {
	one := func(v Value) []Value { return []Value{v} }
	for _, c := range []struct {
		typ, query, param, modifier string
		want                        []Value
	}{
		{"CarePlan", "status=active,completed", "status", "", []Value{{Code: "active"}, {Code: "completed"}}},
		{"Patient", "identifier=urn:oid:1.2|abc", "identifier", "", one(Value{System: "urn:oid:1.2", Code: "abc", SystemSet: true})},
		{"Patient", "identifier=|abc", "identifier", "", one(Value{Code: "abc", SystemSet: true})},
		{"Patient", "identifier=urn:oid:1.2|", "identifier", "", one(Value{System: "urn:oid:1.2", SystemSet: true})},
		{"Patient", `identifier=a\,b\|c\\d\$`, "identifier", "", one(Value{Code: `a,b|c\d$`})},
		{"Patient", "active:not=true", "active", "not", one(Value{Code: "true"})},
		{"Patient", "active:missing=true", "active", "missing", one(Value{Missing: true})},
		{"Observation", "code:text=S%C3%84TE", "code", "text", one(Value{Text: "sate"})},
		{"CarePlan", "subject=Patient/aino", "subject", "", one(Value{RefType: "Patient", RefID: "aino"})},
		{"CarePlan", "subject=aino", "subject", "", one(Value{RefID: "aino"})},
		{"CarePlan", "patient=aino", "patient", "", one(Value{RefType: "Patient", RefID: "aino"})},
		{"CarePlan", "subject:Patient=aino", "subject", "", one(Value{RefType: "Patient", RefID: "aino"})},
		{"CarePlan", "subject=http://localhost:8080/fhir/Patient/aino", "subject", "", one(Value{RefType: "Patient", RefID: "aino"})},
		{"CarePlan", "subject=http://elsewhere.example/fhir/Patient/aino", "subject", "", one(Value{URL: "http://elsewhere.example/fhir/Patient/aino"})},
		{"CarePlan", "subject=urn:uuid:6ba7b810-9dad-11d1-80b4-00c04fd430c8", "subject", "", one(Value{URL: "urn:uuid:6ba7b810-9dad-11d1-80b4-00c04fd430c8"})},
		{"CarePlan", "subject:identifier=s|1", "subject", "identifier", one(Value{System: "s", Code: "1", SystemSet: true})},
		{"CarePlan", "instantiates-canonical=https://sotesilta.example/fhir/PlanDefinition/joint-client", "instantiates-canonical", "", one(Value{URL: "https://sotesilta.example/fhir/PlanDefinition/joint-client"})},
		{"Patient", "birthdate=1990", "birthdate", "", one(Value{Prefix: "eq", From: day("1990-01-01"), To: day("1991-01-01")})},
		{"Patient", "birthdate=ge1990-02", "birthdate", "", one(Value{Prefix: "ge", From: day("1990-02-01"), To: day("1990-03-01")})},
		{"CarePlan", "_lastUpdated=gt2026-01-01T02:00:00+02:00", "_lastUpdated", "", one(Value{Prefix: "gt", From: day("2026-01-01"), To: day("2026-01-01").Add(time.Second)})},
		{"CarePlan", "_lastUpdated=2026-01-01T00:00:00.1239Z", "_lastUpdated", "", one(Value{Prefix: "eq", From: day("2026-01-01").Add(123 * time.Millisecond), To: day("2026-01-01").Add(124 * time.Millisecond)})},
		{"CarePlan", "date=ap2026-11-11T12:00:00Z", "date", "", one(Value{Prefix: "ap", From: day("2026-11-10").Add(12 * time.Hour), To: day("2026-11-12").Add(12*time.Hour + time.Second)})},
		{"CarePlan", "_id=a,b", "_id", "", []Value{{Code: "a"}, {Code: "b"}}},
		{"Patient", "family=H%C3%A4m%C3%A4l%C3%A4inen", "family", "", one(Value{Text: "hamalainen"})},
		{"Patient", "family:exact=H%C3%A4m%C3%A4l%C3%A4inen", "family", "exact", one(Value{Text: "Hämäläinen"})},
		{"Patient", "family:contains=ALA", "family", "contains", one(Value{Text: "ala"})},
		{"PlanDefinition", "url=https://sotesilta.example/fhir/PlanDefinition/joint-client", "url", "", one(Value{Text: "https://sotesilta.example/fhir/PlanDefinition/joint-client"})},
		{"CarePlan", "_profile=http://a.example/p", "_profile", "", one(Value{Text: "http://a.example/p"})},
		{"CarePlan", "_security=http://a.example/s|health", "_security", "", one(Value{System: "http://a.example/s", Code: "health", SystemSet: true})},
		{"RiskAssessment", "probability=100", "probability", "", one(Value{Prefix: "eq", Low: 99.5, High: 100.5})},
		{"RiskAssessment", "probability=gt0.8", "probability", "", one(Value{Prefix: "gt", Low: 0.8, High: 0.8})},
		{"Observation", "value-quantity=5.4|http://unitsofmeasure.org|mg", "value-quantity", "", one(Value{Prefix: "eq", Low: 5.4 - 0.05, High: 5.4 + 0.05, System: "http://unitsofmeasure.org", Code: "mg", SystemSet: true})},
		{"Observation", "value-quantity=ap10||mg", "value-quantity", "", one(Value{Prefix: "ap", Low: 9, High: 11, Code: "mg"})},
	} {
		q := parse(t, c.typ, c.query)
		require.Len(t, q.Where, 1, c.query)
		got := q.Where[0]
		if got.Param != Lookup(c.typ, c.param) || got.Modifier != c.modifier {
			t.Errorf("%s: got parameter %v modifier %q", c.query, got.Param, got.Modifier)
		}
		if diff := cmp.Diff(c.want, got.Values, cmp.Comparer(near)); diff != "" {
			t.Errorf("%s: %s", c.query, diff)
		}
	}
}

func near(a, b float64) bool { return a-b < 1e-9 && b-a < 1e-9 }

func TestChainsLookIntoTheTypesThatKnowTheParameter(t *testing.T) {
	q := parse(t, "CarePlan", "subject:Patient.family=V")
	chain := q.Where[0].Chain
	require.Equal(t, Lookup("CarePlan", "subject"), q.Where[0].Param)
	require.Equal(t, []string{"Patient"}, chain.Types)
	require.Equal(t, Clause{Param: Lookup("Patient", "family"), Values: []Value{{Text: "v"}}}, chain.Branches["Patient"])

	q = parse(t, "CarePlan", "subject.identifier=1")
	require.Equal(t, []string{"Group", "Patient"}, q.Where[0].Chain.Types)
	q = parse(t, "CarePlan", "subject.birthdate=1990")
	require.Equal(t, []string{"Patient"}, q.Where[0].Chain.Types, "a Group has no birth date")

	q = parse(t, "Task", "based-on:CarePlan.care-team.participant:Practitioner.name=x")
	deep := q.Where[0].Chain.Branches["CarePlan"].Chain.Branches["CareTeam"].Chain
	require.Equal(t, []string{"Practitioner"}, deep.Types)
	require.Equal(t, []string{"CarePlan", "CareTeam", "Practitioner", "Task"}, q.Types())
}

func TestHasLooksFromTheReferringSide(t *testing.T) {
	q := parse(t, "Patient", "_has:Observation:patient:code=s|1")
	require.Equal(t, &Has{
		Type: "Observation", Param: Lookup("Observation", "patient"),
		Where: Clause{Param: Lookup("Observation", "code"), Values: []Value{{System: "s", Code: "1", SystemSet: true}}},
	}, q.Where[0].Has)
	q = parse(t, "Patient", "_has:CarePlan:patient:_has:Task:based-on:status=ready")
	inner := q.Where[0].Has.Where.Has
	require.Equal(t, "Task", inner.Type)
	require.Equal(t, []string{"CarePlan", "Patient", "Task"}, q.Types())
	q = parse(t, "CarePlan", "subject:Patient._has:Observation:patient:status=final")
	require.Equal(t, "Observation", q.Where[0].Chain.Branches["Patient"].Has.Type)
}

func TestResultParameters(t *testing.T) {
	require.Equal(t, parse(t, "Task", "status=ready"), parse(t, "Task", "status=ready&_contained=false"), "what is done without it")
	q := parse(t, "CarePlan", "_sort=-date,_id&_count=7&_total=accurate&_include=CarePlan:subject:Patient&_revinclude=Task:based-on")
	require.Equal(t, []SortKey{{Lookup("CarePlan", "date"), "date", true}, {Lookup("CarePlan", "_id"), "_id", false}}, q.Sort)
	require.Equal(t, 7, q.Count)
	require.True(t, q.Total)
	require.Equal(t, []Include{
		{Type: "CarePlan", Params: []*Param{Lookup("CarePlan", "subject")}, Target: "Patient"},
		{Type: "Task", Params: []*Param{Lookup("Task", "based-on")}, Reverse: true},
	}, q.Includes)
	require.Equal(t, []string{"CarePlan", "Patient", "Task"}, q.Types())

	require.Equal(t, 50, parse(t, "CarePlan", "").Count)
	require.Equal(t, 500, parse(t, "CarePlan", "_count=100000").Count)
	for _, total := range []string{"_count=0", "_summary=count", "_count=3&_summary=count&_sort=date&_include=CarePlan:subject"} {
		q = parse(t, "CarePlan", total)
		require.Equal(t, &Query{Type: "CarePlan", Total: true, Summary: true, Raw: "_summary=count"}, q, total)
	}
	require.False(t, parse(t, "CarePlan", "_total=none").Total)
	require.True(t, parse(t, "CarePlan", "_total=estimate").Total)
	require.True(t, parse(t, "CarePlan", "_include:iterate=CareTeam:participant").Includes[0].Iterate)
}

func TestIncludesIterateAndTakeWildcards(t *testing.T) {
	q := parse(t, "CarePlan", "_include=*&_include:iterate=CareTeam:participant&_revinclude=Task:*&_include=CarePlan:*:Patient")
	require.Len(t, q.Includes, 4)
	names := func(in Include) (out []string) {
		for _, p := range in.Params {
			out = append(out, p.Name)
		}
		return out
	}
	require.Contains(t, names(q.Includes[0]), "care-team")
	require.NotContains(t, names(q.Includes[0]), "status")
	require.True(t, q.Includes[1].Iterate)
	require.Equal(t, []string{"based-on", "focus", "subject"}, names(q.Includes[2]), "those of Task that may point to a CarePlan")
	require.Equal(t, []string{"patient", "performer", "subject"}, names(q.Includes[3]))
	require.Equal(t, []string{"Patient"}, q.Includes[3].Targets())
	require.Contains(t, q.Types(), "Practitioner", "what may be included takes part")
}

func TestCompositesAreParsedByTheirParts(t *testing.T) {
	q := parse(t, "Observation", `code-value-quantity=http://loinc.org|8480-6$ge140||mm[Hg],a\$b$lt5`)
	c := q.Where[0]
	require.Equal(t, Composite, c.Param.Type)
	require.Equal(t, []ParamType{Token, Quantity}, []ParamType{c.Param.Parts[0].Type, c.Param.Parts[1].Type})
	require.Len(t, c.Values, 2)
	require.Equal(t, Value{System: "http://loinc.org", Code: "8480-6", SystemSet: true}, c.Values[0].Parts[0])
	require.Equal(t, "ge", c.Values[0].Parts[1].Prefix)
	require.Equal(t, "a$b", c.Values[1].Parts[0].Code)
	q = parse(t, "DocumentReference", "relationship=replaces$DocumentReference/1")
	require.Equal(t, "1", q.Where[0].Values[0].Parts[1].RefID)
}

func TestOfTypeLooksIntoTheTypesOfIdentifiers(t *testing.T) {
	c := parse(t, "Patient", "identifier:of-type=http://t|MR|12345").Where[0]
	require.Equal(t, "identifier:of-type", c.Param.Name)
	require.Equal(t, []Value{{System: "http://t|MR", Code: "12345", SystemSet: true}}, c.Values)
	q := parse(t, "Patient", "identifier:of-type=http://t|HETU|131052-9994")
	require.True(t, q.HasSecrets)
	require.NotContains(t, q.Raw, "131052")
}

// hierarchy is terms of a small hierarchy.
type hierarchy struct{}

func (hierarchy) Members(url string) ([]Code, bool) {
	switch url {
	case "http://x/vs":
		return []Code{{"s", "a"}, {"s", "b"}}, true
	case "http://x/none":
		return nil, true
	case "http://x/large":
		return make([]Code, MaxValues+1), true
	}
	return nil, false
}

func (hierarchy) Below(_, code string) ([]Code, bool) {
	return []Code{{"s", code}, {"s", code + "1"}}, code == "a"
}

func (hierarchy) Above(_, code string) ([]Code, bool) {
	return []Code{{"s", code}, {"s", "root"}}, code == "a"
}

func TestModifiersOfTermsStandForTheirCodes(t *testing.T) {
	opt := testOptions
	opt.Terms = hierarchy{}
	for name, want := range map[string]Clause{
		"status:in=http://x/vs":     {Values: []Value{{System: "s", Code: "a", SystemSet: true}, {System: "s", Code: "b", SystemSet: true}}},
		"status:not-in=http://x/vs": {Modifier: "not", Values: []Value{{System: "s", Code: "a", SystemSet: true}, {System: "s", Code: "b", SystemSet: true}}},
		"status:in=http://x/none":   {Values: []Value{{System: nothing, Code: nothing, SystemSet: true}}},
		"status:below=s|a":          {Values: []Value{{System: "s", Code: "a", SystemSet: true}, {System: "s", Code: "a1", SystemSet: true}}},
		"status:above=s|a":          {Values: []Value{{System: "s", Code: "a", SystemSet: true}, {System: "s", Code: "root", SystemSet: true}}},
	} {
		pairs, err := Pairs(name)
		require.NoError(t, err)
		q, err := Parse("CarePlan", pairs, opt)
		require.NoError(t, err, name)
		want.Param = Lookup("CarePlan", "status")
		require.Equal(t, want, q.Where[0], name)
	}
	for name, code := range map[string]string{"status:in=http://x/large": "too-costly", "status:in=http://x/other": "not-supported", "status:below=s|b": "not-supported"} {
		pairs, err := Pairs(name)
		require.NoError(t, err)
		_, err = Parse("CarePlan", pairs, opt)
		var refusal *Error
		require.ErrorAs(t, err, &refusal, name)
		require.Equal(t, code, refusal.Issues[0].Code, name)
	}
}

func TestURLsAreAboveAndBelowBySegments(t *testing.T) {
	c := parse(t, "PlanDefinition", "url:below=http://acme.org/fhir/").Where[0]
	require.Equal(t, Clause{Param: Lookup("PlanDefinition", "url"), Modifier: "below", Values: []Value{{Text: "http://acme.org/fhir"}}}, c)
	c = parse(t, "PlanDefinition", "url:above=http://acme.org/fhir/x").Where[0]
	var texts []string
	for _, v := range c.Values {
		texts = append(texts, v.Text)
	}
	require.Equal(t, []string{"http://acme.org/fhir/x", "http://acme.org/fhir/", "http://acme.org/fhir", "http://acme.org/", "http://acme.org"}, texts)
}

func TestListIsWhatTheListNames(t *testing.T) {
	c := parse(t, "Condition", "_list=42").Where[0]
	require.Equal(t, &Has{Type: "List", Param: Lookup("List", "item"), Where: Clause{Param: Lookup("List", "_id"), Values: []Value{{Code: "42"}}}}, c.Has)
}

func TestNamesThatSoundAlike(t *testing.T) {
	for _, same := range [][]string{
		{"Virtanen", "Wirtanen", "VIRTANEN"}, {"Mattsson", "Matson"}, {"Christian", "Kristian"}, {"Aalto", "Alto"}, {"Sjöberg", "Söberg"},
	} {
		for _, name := range same[1:] {
			require.Equal(t, Sound(same[0]), Sound(name), name)
		}
	}
	require.NotEqual(t, Sound("Aino"), Sound("Onni"))
	require.Equal(t, Sound("Virtanen"), parse(t, "Patient", "phonetic=Wirtanen").Where[0].Values[0].Text)
}

func TestIdentityCodesAreNeitherInRawNorLinked(t *testing.T) {
	q := parse(t, "Patient", "identifier=urn:oid:1.2.246.21|131052-9994&active=true")
	require.True(t, q.HasSecrets)
	require.Equal(t, "identifier=***&active=true", q.Raw)
	require.Equal(t, "131052-9994", q.Where[0].Values[0].Code)
	require.False(t, parse(t, "Patient", "identifier=urn:oid:1.2|abc").HasSecrets)
	q = parse(t, "CarePlan", "subject:Patient.identifier=131052-9994")
	require.Equal(t, "subject:Patient.identifier=***", q.Raw)
}

func TestRawIsReadableAndEscaped(t *testing.T) {
	q := parse(t, "CarePlan", "category=http://a.example/s%7Cx%26y,b&_count=5&date=ge2026-01-01T00:00:00%2B02:00&subject=Patient/a")
	require.Equal(t, "category=http://a.example/s%7Cx%26y,b&date=ge2026-01-01T00:00:00%2B02:00&subject=Patient/a&_count=5", q.Raw)
}

func TestPairsKeepTheirOrder(t *testing.T) {
	pairs, err := Pairs("b=1&a=%2B+x&&b=2&c")
	require.NoError(t, err)
	require.Equal(t, []Pair{{"b", "1"}, {"a", "+ x"}, {"b", "2"}, {"c", ""}}, pairs)
	for _, bad := range []string{"a=%zz", "a=%2", strings.Repeat("a&", 1000), "a=" + strings.Repeat("x", MaxQueryLength)} {
		_, err = Pairs(bad)
		var refusal *Error
		require.ErrorAs(t, err, &refusal)
	}
	for _, nameless := range []string{"=x", "a=1&=", "=010190-900R"} {
		_, err = Pairs(nameless)
		require.EqualError(t, err, "search: A parameter has a value but no name: it is written name=value.")
	}
}

// The indexes keep no versions of what is referred to: only AuditEvents, whose records name versions, are searched by them.
func TestAReferenceToAVersion(t *testing.T) {
	q, err := Parse("AuditEvent", []Pair{{"entity", "Task/1/_history/2,Task/3"}}, Options{})
	require.NoError(t, err)
	require.Equal(t, []Value{{RefType: "Task", RefID: "1", RefVersion: "2"}, {RefType: "Task", RefID: "3"}}, q.Where[0].Values)
	for typ, param := range map[string]string{"AuditEvent": "agent", "Task": "focus", "Provenance": "target", "CarePlan": "encounter"} {
		_, err := Parse(typ, []Pair{{param, "Patient/1/_history/2"}}, Options{})
		require.ErrorContains(t, err, "leave /_history/… out", typ)
	}
}

func TestClientsAreBoundByPatientSubjectAndID(t *testing.T) {
	for query, want := range map[string][]string{
		"CarePlan?patient=aino":                                    {"aino"},
		"CarePlan?patient=Patient/aino,onni,onni":                  {"aino", "onni"},
		"CarePlan?subject=Patient/aino&status=active":              {"aino"},
		"CarePlan?subject:Patient=aino":                            {"aino"},
		"CarePlan?patient=aino,onni&subject=Patient/onni":          {"onni"},
		"CarePlan?patient=aino&subject=Patient/onni":               {},
		"Task?patient=aino":                                        {"aino"},
		"EpisodeOfCare?patient=aino":                               {"aino"},
		"Patient?_id=aino,onni":                                    {"aino", "onni"},
		"CarePlan?patient=http://localhost:8080/fhir/Patient/aino": {"aino"},
		// These could match data of anybody.
		"CarePlan?subject=aino":                                    nil,
		"CarePlan?subject=Patient/aino,Group/g":                    nil,
		"CarePlan?subject=Patient/aino,http://x.example/Patient/1": nil,
		"CarePlan?patient:missing=true":                            nil,
		"CarePlan?patient:identifier=a":                            nil,
		"CarePlan?subject:Patient._id=aino":                        nil,
		"CarePlan?_id=aino":                                        nil,
		"Patient?_has:CarePlan:patient:status=active":              nil,
		"CarePlan?performer=Patient/aino":                          nil,
	} {
		typ, rest, _ := strings.Cut(query, "?")
		got, bound := parse(t, typ, rest).Clients()
		if bound != (want != nil) {
			t.Errorf("%s: bound %v", query, bound)
		}
		require.Equal(t, want, got, query)
	}
	got, bound := parse(t, "CarePlan", "performer=Patient/aino").Clients("performer")
	require.True(t, bound)
	require.Equal(t, []string{"aino"}, got)
}

// A compartment is any of the parameters that its official definition names (FHIR R4 § 2.49), beside all others of the
// search, and that of a client binds to the client whichever of them it is.
func TestACompartmentIsAnyOfItsParameters(t *testing.T) {
	within := func(of, id, typ, query string) (*Query, error) {
		pairs, err := Pairs(query)
		require.NoError(t, err)
		opt := testOptions
		opt.Within = Within{Type: of, ID: id}
		return Parse(typ, pairs, opt)
	}
	q, err := within("Patient", "aino", "Observation", "status=final&_sort=-date")
	require.NoError(t, err)
	require.Len(t, q.Where, 2)
	aino := []Value{{RefType: "Patient", RefID: "aino"}}
	require.Equal(t, Clause{Any: []Clause{
		{Param: Lookup("Observation", "subject"), Values: aino}, {Param: Lookup("Observation", "performer"), Values: aino},
	}}, q.Where[0])
	require.Equal(t, "status=final&_sort=-date", q.Raw, "links name the compartment in their path")
	require.Equal(t, "_compartment=Patient/aino&status=final&_sort=-date", q.Asked())
	clients, bound := q.Clients()
	require.True(t, bound)
	require.Equal(t, []string{"aino"}, clients)

	q, err = within("Encounter", "e1", "Condition", "")
	require.NoError(t, err)
	require.Equal(t, []Clause{{Param: Lookup("Condition", "encounter"), Values: []Value{{RefType: "Encounter", RefID: "e1"}}}}, q.Where)
	require.Equal(t, "_compartment=Encounter/e1", q.Asked())
	_, bound = q.Clients()
	require.False(t, bound)

	q, err = within("Patient", "aino", "Patient", "")
	require.NoError(t, err)
	require.Equal(t, "_id", q.Where[0].Any[0].Param.Name, "a client is in its own compartment")
	clients, _ = q.Clients()
	require.Equal(t, []string{"aino"}, clients)

	for _, c := range [][2]string{{"Patient", "Task"}, {"Patient", "PlanDefinition"}, {"Task", "Patient"}} {
		_, err = within(c[0], "x", c[1], "")
		var refusal *Error
		require.ErrorAs(t, err, &refusal, c)
		require.Equal(t, "not-supported", refusal.Issues[0].Code)
	}
	require.Equal(t, []string{"Device", "Encounter", "Patient", "Practitioner", "RelatedPerson"}, Compartments())
	for of, members := range compartments() {
		for typ, params := range members {
			for _, name := range params {
				require.NotNil(t, Lookup(typ, name), "%s of %s in %s", name, typ, of)
			}
		}
	}
}
