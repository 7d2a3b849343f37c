package fhir

import (
	"encoding/xml"
	"html"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// arranged is v with the members of all objects sorted by name and HTML's entities in narratives resolved, which is all
// that the way through XML may change.
func arranged(v *Value) *Value {
	c := &Value{kind: v.kind, text: v.text}
	if v.kind == String && strings.HasPrefix(strings.TrimSpace(v.text), "<div") {
		c.text = html.UnescapeString(strings.TrimSpace(v.text))
	}
	for _, m := range v.members {
		c.members = append(c.members, Member{m.Name, arranged(m.Value)})
	}
	slices.SortFunc(c.members, func(a, b Member) int { return strings.Compare(a.Name, b.Name) })
	for _, item := range v.items {
		c.items = append(c.items, arranged(item))
	}
	return c
}

// notXML are the official examples that have no form in XML, with the reason.
var notXML = map[string]string{}

func TestOfficialExamplesComeThroughXMLUnchanged(t *testing.T) {
	examples(t, func(name string, data []byte) {
		v, err := Parse(data, wide)
		require.NoError(t, err, name)
		text, err := v.AppendXML(nil, len(data)%2 == 0)
		if err != nil {
			if notXML[strings.TrimSuffix(name, ".json")] == "" {
				t.Errorf("%s: %v", name, err)
			}
			return
		}
		back, err := ParseXML(text, wide)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		if want, got := arranged(v).JSON(), arranged(back).JSON(); string(want) != string(got) {
			at := 0
			for at < min(len(want), len(got)) && want[at] == got[at] {
				at++
			}
			t.Errorf("%s: not the same after XML: %s… became %s…", name, want[max(0, at-60):min(len(want), at+60)], got[max(0, at-60):min(len(got), at+60)])
		}
		if len(text) < 1<<20 { // another reader of XML agrees that it is some
			d := xml.NewDecoder(strings.NewReader(string(text)))
			for err = nil; err == nil; _, err = d.Token() {
			}
			if err != io.EOF {
				t.Errorf("%s: not XML to others: %v", name, err)
			}
		}
	})
}

// spoken is a Patient in XML written by the rules of FHIR R4 § 2.6.1, and the same in JSON.
const spoken = `<?xml version="1.0" encoding="UTF-8"?>
<!-- comments go -->
<Patient xmlns="http://hl7.org/fhir" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="http://hl7.org/fhir patient.xsd">
  <id value="p1"/>
  <text>
    <status value="generated"/>
    <div xmlns="http://www.w3.org/1999/xhtml"><p class='x'>Aino &lt; <b>Lumi</b>&#160;<br/></p><!-- kept --></div>
  </text>
  <contained>
    <Organization><id value="o"/><name value="Jukola &amp; &quot;pojat&quot;"/></Organization>
  </contained>
  <extension url="http://example.org/a">
    <extension id="e1" url="b"><valueDecimal value="1.10"/></extension>
  </extension>
  <active value="true"/>
  <name id="n1">
    <family value="Virtanen"/>
    <given value="Aino"/>
    <given><extension url="http://example.org/c"><valueCode value="d"/></extension></given>
    <given id="g3" value="rivi&#10;toinen	sarkain"/>
  </name>
  <birthDate id="b1" value="1974-12-25"><extension url="http://example.org/t"><valueInteger value="-3"/></extension></birthDate>
  <multipleBirthInteger value="2"/>
  <managingOrganization><reference value="#o"/></managingOrganization>
</Patient>`

const spokenJSON = `{"resourceType":"Patient","id":"p1","text":{"status":"generated","div":` +
	`"<div xmlns=\"http://www.w3.org/1999/xhtml\"><p class='x'>Aino &lt; <b>Lumi</b>&#160;<br/></p><!-- kept --></div>"},` +
	`"contained":[{"resourceType":"Organization","id":"o","name":"Jukola & \"pojat\""}],` +
	`"extension":[{"url":"http://example.org/a","extension":[{"id":"e1","url":"b","valueDecimal":1.10}]}],"active":true,` +
	`"name":[{"id":"n1","family":"Virtanen","given":["Aino",null,"rivi\ntoinen sarkain"],` +
	`"_given":[null,{"extension":[{"url":"http://example.org/c","valueCode":"d"}]},{"id":"g3"}]}],` +
	`"birthDate":"1974-12-25","_birthDate":{"id":"b1","extension":[{"url":"http://example.org/t","valueInteger":-3}]},` +
	`"multipleBirthInteger":2,"managingOrganization":{"reference":"#o"}}`

func TestXMLIsReadAsTheStandardWritesIt(t *testing.T) {
	v, err := ParseXML([]byte(spoken), Limits{})
	require.NoError(t, err)
	require.Equal(t, spokenJSON, string(v.JSON()))
	require.Empty(t, Validate(v))

	prefixed := strings.ReplaceAll(spoken, "<", "<f:")
	for _, plain := range []string{"<f:?", "<f:!"} {
		prefixed = strings.ReplaceAll(prefixed, plain, "<"+plain[3:])
	}
	prefixed = strings.ReplaceAll(prefixed, "<f:/", "</f:")
	prefixed = strings.ReplaceAll(prefixed, "Patient xmlns=", "Patient xmlns:f=")
	div := spoken[strings.Index(spoken, "<div") : strings.Index(spoken, "</div>")+6]
	prefixed = prefixed[:strings.Index(prefixed, "<f:div")] + div + prefixed[strings.Index(prefixed, "</f:div>")+8:]
	v, err = ParseXML([]byte(prefixed), Limits{})
	require.NoError(t, err, prefixed)
	require.Equal(t, spokenJSON, string(v.JSON()))

	text, err := v.AppendXML(nil, false)
	require.NoError(t, err)
	again, err := ParseXML(text, Limits{})
	require.NoError(t, err)
	require.Equal(t, spokenJSON, string(again.JSON()))
}

func TestXMLIsWrittenInTheOrderOfTheDefinition(t *testing.T) {
	v, err := Parse([]byte(`{"birthDate":"2000","name":[{"given":["<\"&\n"],"family":"B"}],"id":"x","resourceType":"Patient"}`), Limits{})
	require.NoError(t, err)
	text, err := v.AppendXML(nil, false)
	require.NoError(t, err)
	require.Equal(t, `<Patient xmlns="http://hl7.org/fhir"><id value="x"/><name><family value="B"/>`+
		`<given value="&lt;&quot;&amp;&#10;"/></name><birthDate value="2000"/></Patient>`, string(text))
	text, err = v.AppendXML(nil, true)
	require.NoError(t, err)
	require.Contains(t, string(text), "\n  <name>\n    <family value=\"B\"/>\n")
}

func TestXMLThatIsNotFHIRsIsRefusedWithItsPlace(t *testing.T) {
	patient := func(content string) string { return `<Patient xmlns="http://hl7.org/fhir">` + content + `</Patient>` }
	for _, c := range []struct{ doc, place, says string }{
		{`<!DOCTYPE Patient [<!ENTITY x SYSTEM "file:///etc/passwd">]>` + patient(""), "", "document types"},
		{`<?xml version="1.0"?><?php x?>` + patient(""), "", "processing instructions"},
		{`<?xml version="1.1"?>` + patient(""), "", "XML 1.0"},
		{`<?xml version="1.0" encoding="ISO-8859-1"?>` + patient(""), "", "UTF-8"},
		{patient("<gender value='&x;'/>"), "Patient", "no entities"},
		{patient("<gender value='&#0;'/>"), "Patient", "no entities"},
		{patient("<![CDATA[x]]>"), "Patient", "CDATA"},
		{patient("text"), "Patient", "text between"},
		{patient("<nope value='x'/>"), "Patient.nope", "no such element"},
		{patient("<birthDate value='2000'/><gender value='male'/>"), "Patient.gender", "precede"},
		{patient("<gender value='male'/><gender value='male'/>"), "Patient.gender", "once"},
		{patient("<name><given value='a'/></name><active value='true'/>"), "Patient.active", "precede"},
		{patient("<name><given value='a'/><period><start value='2000'/></period><given value='b'/></name>"), "Patient.name[0].given", "precede"},
		{patient("<gender/>"), "Patient.gender", "ele-1"},
		{patient("<name/>"), "Patient.name[0]", "empty"},
		{patient("<gender other='x'/>"), "Patient.gender", "no attributes but"},
		{patient("<gender value='a' value='b'/>"), "Patient", "twice"},
		{patient("<gender value='a'"), "Patient", "not XML"},
		{patient("<gender value='a'>"), "Patient.gender", "end tag"},
		{patient("<x:gender value='a'/>"), "Patient", "not declared"},
		{patient("<gender xmlns='urn:x' value='a'/>"), "Patient.gender", "namespace"},
		{patient("<text><status value='generated'/><div>x</div></text>"), "Patient.text.div", "xmlns"},
		{patient("<text><div xmlns='http://www.w3.org/1999/xhtml'>&nbsp;</div></text>"), "Patient.text.div", "no entities"},
		{patient("<text><div xmlns='http://www.w3.org/1999/xhtml'><p>x</div></text>"), "Patient.text.div", "end tag"},
		{patient("<contained/>"), "Patient.contained[0]", "missing"},
		{patient("<contained><Nope/></contained>"), "Patient.contained[0]", "resource type"},
		{"<Patient/>", "", "namespace"},
		{`<Nope xmlns="http://hl7.org/fhir"/>`, "", "resource type"},
		{patient("") + "<x/>", "", "follows"},
		{"", "", "ends before"},
		{`{"resourceType":"Patient"}`, "", "text between"},
		{patient("<gender value='\x01'/>"), "Patient", "not allowed"},
		{patient("<gender value='\xff'/>"), "", "UTF-8"},
	} {
		_, err := ParseXML([]byte(c.doc), Limits{})
		var syntax *SyntaxError
		require.ErrorAs(t, err, &syntax, c.doc)
		require.Equal(t, c.place, syntax.Expression, c.doc)
		require.Contains(t, syntax.Msg, c.says, c.doc)
	}
}

func TestXMLIsBounded(t *testing.T) {
	deep := `<Questionnaire xmlns="http://hl7.org/fhir">` + strings.Repeat("<item>", 10_000)
	_, err := ParseXML([]byte(deep), Limits{})
	require.ErrorContains(t, err, "nested deeper")
	_, err = ParseXML([]byte(`<Patient xmlns="http://hl7.org/fhir">`+strings.Repeat("<name><text value='a'/></name>", 1000)+"</Patient>"), Limits{Values: 500})
	require.ErrorContains(t, err, "more than 500 values")
	_, err = ParseXML(make([]byte, 100), Limits{Bytes: 99})
	require.ErrorIs(t, err, ErrTooLarge)
	quotes := `<Patient xmlns="http://hl7.org/fhir"><name><family value='` + strings.Repeat(`"`, 800) + `'/></name></Patient>`
	_, err = ParseXML([]byte(quotes), Limits{Bytes: 1000})
	require.ErrorIs(t, err, ErrTooLarge, "what becomes longer than the bound as JSON")
	_, err = ParseXML([]byte(`<Patient xmlns="http://hl7.org/fhir" `+strings.Repeat("xmlns:a='b' ", 1000)+"/>"), Limits{})
	require.ErrorContains(t, err, "attributes")
	_, err = ParseXML([]byte(`<Patient xmlns="http://hl7.org/fhir"><text><div xmlns="http://www.w3.org/1999/xhtml">`+strings.Repeat("<p>", 1000)), Limits{})
	require.ErrorContains(t, err, "nested deeper")
}

func BenchmarkParseXML(b *testing.B) {
	v, err := Parse(carePlan(b), Limits{})
	require.NoError(b, err)
	text, err := v.AppendXML(nil, false)
	require.NoError(b, err)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseXML(text, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendXML(b *testing.B) {
	v, err := Parse(carePlan(b), Limits{})
	require.NoError(b, err)
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		if buf, err = v.AppendXML(buf[:0], false); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzParseXML: what is read and valid comes through XML and JSON unchanged.
func FuzzParseXML(f *testing.F) {
	f.Add([]byte(spoken))
	f.Add([]byte(`<Bundle xmlns="http://hl7.org/fhir"><type value="batch"/><entry><resource><Binary><contentType value="a/b"/></Binary></resource></entry></Bundle>`))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := ParseXML(data, Limits{})
		if err != nil {
			return
		}
		again, err := Parse(v.JSON(), Limits{})
		require.NoError(t, err, "what was read from XML is JSON within the same bounds")
		require.Equal(t, string(v.JSON()), string(again.JSON()))
		if len(Validate(v)) > 0 {
			return
		}
		text, err := v.AppendXML(nil, false)
		require.NoError(t, err)
		back, err := ParseXML(text, Limits{Bytes: 64 << 20})
		require.NoError(t, err, string(text))
		require.Equal(t, string(arranged(v).JSON()), string(arranged(back).JSON()))
	})
}
