package fhir

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReferencesAreTakenApart(t *testing.T) {
	for _, c := range []struct {
		s    string
		want Reference
	}{
		{"Patient/aino", Reference{Kind: RelativeReference, Type: "Patient", ID: "aino"}},
		{"Patient/aino/_history/2", Reference{Kind: RelativeReference, Type: "Patient", ID: "aino", Version: "2"}},
		{"https://a.fi/fhir/Patient/1", Reference{Kind: AbsoluteReference, Type: "Patient", ID: "1", URL: "https://a.fi/fhir"}},
		{"HTTPS://a.fi/Patient/1/_history/4#x", Reference{Kind: AbsoluteReference, Type: "Patient", ID: "1", Version: "4", URL: "HTTPS://a.fi", Fragment: "x"}},
		{"http://a.fi/x?y=/Patient/1", Reference{Kind: AbsoluteReference, URL: "http://a.fi/x?y=/Patient/1"}},
		{"http://Patient/1", Reference{Kind: AbsoluteReference, URL: "http://Patient/1"}},
		{"https://a.fi/Patient/..", Reference{Kind: AbsoluteReference, URL: "https://a.fi/Patient/.."}},
		{"https://a.fi/Patient/1/_history/", Reference{Kind: AbsoluteReference, URL: "https://a.fi/Patient/1/_history/"}},
		{"http://loinc.org|2", Reference{Kind: AbsoluteReference, URL: "http://loinc.org|2"}},
		{"urn:uuid:0c3f", Reference{Kind: URNReference, URL: "urn:uuid:0c3f"}},
		{"urn:oid:1.2", Reference{Kind: URNReference, URL: "urn:oid:1.2"}},
		{"urn:isbn:1", Reference{Kind: OtherReference, URL: "urn:isbn:1"}},
		{"ftp://a", Reference{Kind: OtherReference, URL: "ftp://a"}},
		{"#team", Reference{Kind: ContainedReference, Fragment: "team"}},
		{"#", Reference{Kind: ContainedReference}},
		{"Patient?identifier=a|b", Reference{Kind: ConditionalReference, Type: "Patient", Query: "identifier=a|b"}},
	} {
		assert.Equal(t, c.want, ParseReference(c.s), c.s)
	}
	for _, s := range []string{
		"", "Patient", "Patient/", "/Patient/1", "patient/1", "Zebra/1", "Patient/.", "Patient/..", "Patient/../x", "Patient/a/b", "Patient/a/", "Patient/a/_history",
		"Patient/a/_history/", "Patient/a/_history/../b", "Patient/a b", "Patient/a%2e", "Patient/a\n", "Patient/" + strings.Repeat("a", 65), "Patient/a;b", "Patient//a",
		"Patient/ä", "Patient?", "Zebra?a=b", "#a b", "#../x", "Patient\\a", "Patient/a#b", ":a", "//a.fi/Patient/1",
	} {
		assert.Equal(t, Reference{}, ParseReference(s), s)
	}
}

func TestReferencesAreFoundAndRewritten(t *testing.T) {
	v := parsed(t, `{"resourceType":"Bundle","entry":[{"fullUrl":"urn:uuid:1","resource":{"resourceType":"Task","input":[{"type":{"text":"x"},"valueReference":{"reference":"urn:uuid:2"}}],`+
		`"contained":[{"resourceType":"Basic","subject":{"reference":"Patient/a"}}],"for":{"reference":"Patient/a","identifier":{"assigner":{"reference":"Organization/o"}}},"010190-999W":{"reference":"x"}}}]}`)
	type found struct {
		where, text string
		contained   bool
	}
	var all []found
	for ref := range References(v) {
		all = append(all, found{ref.Expression(), ref.Text(), ref.Contained})
		if ref.Parse().Kind == URNReference {
			ref.Set("Task/new")
		}
	}
	assert.Equal(t, []found{
		{"Bundle.entry[0].resource.input[0].value.reference", "urn:uuid:2", false},
		{"Bundle.entry[0].resource.contained[0].subject.reference", "Patient/a", true},
		{"Bundle.entry[0].resource.for.reference", "Patient/a", false},
		{"Bundle.entry[0].resource.for.identifier.assigner.reference", "Organization/o", false},
		{"Bundle.entry[0].resource.?.reference", "x", false},
	}, all)
	assert.Contains(t, string(v.JSON()), `"valueReference":{"reference":"Task/new"}`)
	n := 0
	for range References(v) {
		if n++; n == 2 {
			break
		}
	}
	require.Equal(t, 2, n)
}

// Three uri elements are called reference, and are none.
func TestAURICalledReferenceIsNoReference(t *testing.T) {
	for text, want := range map[string]bool{
		`{"resourceType":"Task","for":{"reference":"urn:oid:1"}}`:                                                                    true,
		`{"resourceType":"CarePlan","activity":[{"reference":{"reference":"urn:oid:1"}}]}`:                                           true,
		`{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Task","focus":{"reference":"urn:oid:1"}}}]}`:                 true,
		`{"resourceType":"Task","extension":[{"url":"https://x.example","valueReference":{"reference":"urn:oid:1"}}]}`:               true,
		`{"resourceType":"DetectedIssue","reference":"urn:oid:1"}`:                                                                   false,
		`{"resourceType":"Immunization","education":[{"reference":"urn:oid:1"}]}`:                                                    false,
		`{"resourceType":"Task","contained":[{"resourceType":"Measure","group":[{"population":[{"criteria":{"reference":"x"}}]}]}]}`: false,
	} {
		n := 0
		for ref := range References(parsed(t, text)) {
			n++
			assert.Equal(t, want, ref.OfReference(), text)
		}
		assert.Equal(t, 1, n, text)
	}
}

// What may change a resource's meaning is found wherever it stands.
func TestModifiersAreFound(t *testing.T) {
	v := parsed(t, `{"resourceType":"Task","implicitRules":"https://x.example/rules","modifierExtension":[{"url":"https://x.example/a"},{"url":"https://x.example/b"}],`+
		`"contained":[{"resourceType":"Basic","implicitRules":"x"}],"input":[{"type":{"text":"implicitRules"},"modifierExtension":[{"url":"https://x.example/c"}],"valueString":"modifierExtension"}]}`)
	var all []Modifier
	for m := range Modifiers(v) {
		all = append(all, m)
	}
	assert.Equal(t, []Modifier{
		{"implicitRules", "Task.implicitRules"},
		{"modifierExtension", "Task.modifierExtension[0]"},
		{"modifierExtension", "Task.modifierExtension[1]"},
		{"implicitRules", "Task.contained[0].implicitRules"},
		{"modifierExtension", "Task.input[0].modifierExtension[0]"},
	}, all)
	for range Modifiers(v) {
		break
	}
}

func FuzzParseReference(f *testing.F) {
	for _, s := range []string{"Patient/a", "https://a.fi/Patient/1/_history/2#x", "#a", "urn:uuid:1", "Patient?a=b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r := ParseReference(s)
		if r.Local() {
			again := r.Type + "/" + r.ID
			if r.Version != "" {
				again += "/_history/" + r.Version
			}
			if again != s || !IsResource(r.Type) || !ValidID(r.ID) {
				t.Fatalf("%q is read as %+v", s, r)
			}
		}
		if r.ID != "" && !ValidID(r.ID) || strings.Contains(r.ID, "/") {
			t.Fatalf("%q gives the id %q", s, r.ID)
		}
	})
}

// The links of a transaction stand in uris and narratives too; what names itself, a canonical and prose are left.
func TestLinksByURNAreRewritten(t *testing.T) {
	const urn = "urn:uuid:6f1c2a52-9d0c-4c55-8b0e-5d6f1f0e7a01"
	v := parsed(t, strings.ReplaceAll(`{"resourceType":"PlanDefinition","url":"URN","status":"draft","library":["URN"],"_title":{"extension":[{"url":"https://x.example/a","valueUri":"URN"}]},`+
		`"extension":[{"url":"https://x.example/b","valueUri":"URN"},{"url":"https://x.example/c","valueString":"URN"},{"url":"https://x.example/d","valueUri":"urn:uuid:other"}],`+
		`"relatedArtifact":[{"type":"documentation","url":"URN","document":{"url":"URN"}}],`+
		`"contained":[{"resourceType":"DocumentReference","id":"d","status":"current","content":[{"attachment":{"url":"URN"}}]}],`+
		`"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><a class='x' href='URN'>href=\"URN\"</a><img alt=\"\" src=\"URN\"/><a title=\"URN\" href=\"urn:uuid:other\">y</a></div>"}}`, "URN", urn))
	RewriteLinks(v, func(to string) (string, bool) { return "Task/new", to == urn })
	want := strings.ReplaceAll(`{"resourceType":"PlanDefinition","url":"URN","status":"draft","library":["URN"],"_title":{"extension":[{"url":"https://x.example/a","valueUri":"Task/new"}]},`+
		`"extension":[{"url":"https://x.example/b","valueUri":"Task/new"},{"url":"https://x.example/c","valueString":"URN"},{"url":"https://x.example/d","valueUri":"urn:uuid:other"}],`+
		`"relatedArtifact":[{"type":"documentation","url":"Task/new","document":{"url":"Task/new"}}],`+
		`"contained":[{"resourceType":"DocumentReference","id":"d","status":"current","content":[{"attachment":{"url":"Task/new"}}]}],`+
		`"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><a class='x' href='Task/new'>href=\"URN\"</a><img alt=\"\" src=\"Task/new\"/><a title=\"URN\" href=\"urn:uuid:other\">y</a></div>"}}`, "URN", urn)
	assert.Equal(t, want, string(v.JSON()))
}
