package fhir

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// told are the issues of a document in lines: severity, code, place and text.
func told(issues []Issue) string {
	var b strings.Builder
	for _, is := range issues {
		b.WriteString(strings.Join([]string{is.Severity, is.Code, is.Expression, is.Diagnostics}, " | ") + "\n")
	}
	return b.String()
}

// faultsOfXML are what a sender of XML is told: by reading, or by validation.
func faultsOfXML(t *testing.T, doc string) []Issue {
	t.Helper()
	v, err := ParseXML([]byte(doc), Limits{})
	if err == nil {
		return Validate(v)
	}
	var syntax *SyntaxError
	require.ErrorAs(t, err, &syntax)
	require.Equal(t, syntax.Issues()[0].Expression, syntax.Expression, "the error is the first of them")
	return syntax.Issues()
}

// All that is wrong with a document is told at once: what is wrong as XML of FHIR with its line, in the document's order,
// and then what validation says of the rest.
func TestAllThatIsWrongWithXMLIsTold(t *testing.T) {
	const doc = `<?xml version="1.0" encoding="UTF-8"?>
<CarePlan xmlns="http://hl7.org/fhir">
  <id value="a b"/>
  <contained><Nope xmlns="http://hl7.org/fhir"><x/>y</Nope></contained>
  <contained/>
  <intent value="plan" colour="red"/>
  <status value="activ"/>
  text
  <intent value="order"/>
  <subject><reference value="Patient/1"/><reference value="Patient/2"/></subject>
  <created value=""/>
  <activity>
    <detail><status value="scheduled"/><doNotPerform value="maybe"/><nä><nä/></nä></detail>
  </activity>
  <activity><progress/></activity>
  <other xmlns="urn:x"><deeper/></other>
  <note xmlns="urn:x" value="1"/>
</CarePlan>`
	require.Equal(t, strings.Join([]string{
		"error | structure | CarePlan.contained[0] | the element must be a resource type of FHIR R4 (line 4, column 14)",
		"error | structure | CarePlan.contained[1] | a resource is missing here (line 5, column 3)",
		"error | structure | CarePlan.intent | a primitive element has no attributes but value and id (line 6, column 3)",
		"error | structure | CarePlan.status | the element stands after elements that it should precede (line 7, column 3)",
		"error | structure | CarePlan | text between elements has no meaning in FHIR (line 8, column 3)",
		"error | structure | CarePlan.intent | the element stands after elements that it should precede (line 9, column 3)",
		"error | structure | CarePlan.subject.reference | the element may be given once only (line 10, column 42)",
		"error | value | CarePlan.activity[0].detail.doNotPerform | must be true or false (line 13, column 40)",
		"error | structure | CarePlan.activity[0].detail.? | CarePlan.activity.detail has no such element (line 13, column 69)",
		"error | structure | CarePlan.activity[1].progress[0] | an element must not be empty (line 15, column 13)",
		"error | structure | CarePlan.other | CarePlan has no such element (line 16, column 3)",
		"error | structure | CarePlan.note[0] | elements must be in the namespace http://hl7.org/fhir (line 17, column 3)",
		"error | value | CarePlan.id | must be an id: 1 to 64 of A-Z, a-z, 0-9, - and .",
		"error | value | CarePlan.created | must be a dateTime: YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss with a zone",
		"",
	}, "\n"), told(faultsOfXML(t, doc)))
}

// What breaks the XML itself ends the reading; what was told before is told with it.
func TestBrokenXMLIsToldAfterWhatWasReadBeforeIt(t *testing.T) {
	for doc, formal := range map[string]bool{"<nope/></Patient>": true, "<nope/>": false, "<nope></Patient>": false} {
		_, err := ParseXML([]byte("<Patient xmlns='http://hl7.org/fhir'>"+doc), Limits{})
		var syntax *SyntaxError
		require.ErrorAs(t, err, &syntax)
		require.Equal(t, formal, syntax.Formal(), doc)
	}
	issues := faultsOfXML(t, "<Patient xmlns='http://hl7.org/fhir'>\n<nope/>\n<gender value='x'>\n</Patient>")
	require.Equal(t, "error | structure | Patient.nope | Patient has no such element (line 2, column 1)\n"+
		"fatal | structure | Patient.gender | an end tag does not fit its start tag (line 4, column 1)\n", told(issues))
	for _, end := range []string{"", "<", "<a", "<a b", "<a b='", "&", "]]>", "<!-- ", "<![CDATA[", "</b>", "\x01"} {
		issues := faultsOfXML(t, "<Patient xmlns='http://hl7.org/fhir'><nope><a/>x</nope><contained>"+end)
		require.GreaterOrEqual(t, len(issues), 2, end)
		require.Equal(t, "fatal", issues[len(issues)-1].Severity, end)
	}
}

func TestFaultsOfXMLAreBounded(t *testing.T) {
	doc := "<Patient xmlns='http://hl7.org/fhir'>" + strings.Repeat("<nope/>", 10_000)
	require.Len(t, faultsOfXML(t, doc), maxIssues)
	require.Len(t, faultsOfXML(t, strings.Repeat("<", 3)), 1)
	deep := faultsOfXML(t, "<Patient xmlns='http://hl7.org/fhir'><nope>"+strings.Repeat("<a>", 10_000))
	require.Len(t, deep, 2)
	require.Contains(t, deep[1].Diagnostics, "nested deeper")
	names := "<Patient xmlns='http://hl7.org/fhir'><nope/>" + strings.Repeat("<name><use value='x'/></name>", 100) + "</Patient>"
	require.Len(t, faultsOfXML(t, names), maxIssues)
	for _, is := range faultsOfXML(t, "<Patient xmlns='http://hl7.org/fhir'><h010190-999W/><gender value='010190-999W'/></Patient>") {
		require.NotContains(t, told([]Issue{is}), "999", "what stands there is never shown")
	}
}

// The same mistake is told alike, whichever the form: as severe, by the same code, at the same place, and in the same
// words except for what the form itself is about.
func TestAMistakeIsToldAlikeInJSONAndXML(t *testing.T) {
	place := regexp.MustCompile(` \(line \d+, column \d+\)$`)
	for _, c := range []struct {
		name, json, xml string
		words           [2]string // in JSON, in XML; empty where they are the same
	}{
		{"unknown element", `"nope":1`, `<nope value="1"/>`, [2]string{}},
		{"unknown element within", `"name":[{"nope":"x"}]`, `<name><nope value="x"/></name>`, [2]string{}},
		{"unknown code", `"gender":"x"`, `<gender value="x"/>`, [2]string{}},
		{"no date", `"birthDate":"x"`, `<birthDate value="x"/>`, [2]string{}},
		{"empty text", `"birthDate":""`, `<birthDate value=""/>`, [2]string{}},
		{"required", `"link":[{"type":"refer"}]`, `<link><type value="refer"/></link>`, [2]string{}},
		{"two of a choice", `"deceasedBoolean":true,"deceasedDateTime":"2020"`, `<deceasedBoolean value="true"/><deceasedDateTime value="2020"/>`, [2]string{}},
		{"another target", `"managingOrganization":{"reference":"Patient/1"}`, `<managingOrganization><reference value="Patient/1"/></managingOrganization>`, [2]string{}},
		{"bad reference", `"managingOrganization":{"reference":"x y"}`, `<managingOrganization><reference value="x y"/></managingOrganization>`, [2]string{}},
		{"empty element", `"name":[{}]`, `<name/>`, [2]string{"an object must not be empty", "an element must not be empty"}},
		{"text for a boolean", `"active":"yes"`, `<active value="yes"/>`, [2]string{"must be true or false, as a JSON boolean", "must be true or false"}},
		{"no number", `"multipleBirthInteger":"x"`, `<multipleBirthInteger value="x"/>`, [2]string{
			"must be a whole number of 32 bits, as a JSON number", "must be a whole number of 32 bits",
		}},
		{"several of one", `"maritalStatus":[{"text":"a"},{"text":"b"}]`, `<maritalStatus><text value="a"/></maritalStatus><maritalStatus><text value="b"/></maritalStatus>`, [2]string{
			"must not be an array", "the element may be given once only",
		}},
		{"extension without value", `"extension":[{"url":"http://x"}]`, `<extension url="http://x"/>`, [2]string{}},
	} {
		v, err := Parse([]byte(`{"resourceType":"Patient",`+c.json+`}`), Limits{})
		require.NoError(t, err, c.name)
		inJSON := Validate(v)
		inXML := faultsOfXML(t, `<Patient xmlns="http://hl7.org/fhir">`+c.xml+`</Patient>`)
		require.NotEmpty(t, inJSON, c.name)
		if c.words[0] != "" {
			require.Equal(t, c.words[0], inJSON[0].Diagnostics, c.name)
			inJSON[0].Diagnostics = c.words[1]
			if strings.HasSuffix(c.words[0], "JSON boolean") || strings.HasSuffix(c.words[0], "JSON number") {
				require.Equal(t, "structure", inJSON[0].Code)
				inJSON[0].Code = "value" // JSON has kinds of values, XML has texts
			}
		}
		for i := range inXML {
			inXML[i].Diagnostics = place.ReplaceAllString(inXML[i].Diagnostics, "")
		}
		require.Equal(t, told(inJSON), told(inXML), c.name)
	}
}
