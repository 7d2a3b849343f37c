package jukola_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/internal/fhir"
	"sotesilta/mappings"
	"sotesilta/mappings/hl7v2"
	"sotesilta/mappings/jukola"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var setting = mappings.Setting{Tables: map[string]map[string]string{"units": {"JUKOLA-AK": "Organization/jukola"}}}

func lens(t *testing.T, name string) *mappings.Lens {
	t.Helper()
	all, err := jukola.Lenses()
	require.NoError(t, err)
	l := mappings.Find(all, name)
	require.NotNil(t, l, name)
	return l
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(file, got, 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got))
}

func pretty(t *testing.T, v *fhir.Value) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, json.Indent(&b, v.JSON(), "", "  "))
	return append(b.Bytes(), '\n')
}

func visit(t *testing.T, changes ...string) *hl7v2.Message {
	t.Helper()
	data, err := os.ReadFile("testdata/visit.hl7")
	require.NoError(t, err)
	m, err := hl7v2.Parse([]byte(strings.NewReplacer(changes...).Replace(string(data))), hl7v2.Limits{})
	require.NoError(t, err)
	return m
}

func report(r mappings.Report) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d values, %d mapped, %d ignored, %d lost\n", r.Lens, r.Values, r.Mapped, r.Ignored, r.Lost)
	for _, loss := range r.Losses {
		fmt.Fprintf(&b, "%s: %s\n", loss.Path, loss.Why)
	}
	return []byte(b.String())
}

func TestVisitBecomesAnEncounterLinkedToNobody(t *testing.T) {
	result, err := mappings.Translate(lens(t, "jukola-adt"), visit(t), setting)
	require.NoError(t, err)
	require.Len(t, result.Resources, 1)
	made := result.Resources[0]
	require.Nil(t, made.Doc.Get("subject"), "a message links nobody")
	golden(t, "visit.client.json", pretty(t, result.Client))
	golden(t, "visit.encounter.json", pretty(t, made.Doc))
	golden(t, "visit.report.txt", report(result.Report))
	r := result.Report
	require.Equal(t, r.Values, r.Mapped+r.Ignored+r.Lost)

	system, value, ok := made.Identity()
	require.True(t, ok)
	require.Equal(t, "https://sotesilta.example/fhir/NamingSystem/jukola-visit", system)
	require.Equal(t, "4711", value)
	made.Link("Patient/aino")
	require.Equal(t, "Patient/aino", made.Doc.Text("subject", "reference"))
	require.Empty(t, fhir.Validate(made.Doc))
	require.Empty(t, fhir.Validate(result.Client))
}

// Of two people a message gives no client: taking the first would be a guess.
func TestSeveralPeopleAreNoClient(t *testing.T) {
	result, err := mappings.Translate(lens(t, "jukola-adt"), visit(t, "PV1|1", "PID|2||010594Y9021^^^HETU||Testi^Onni\nPV1|1"), setting)
	require.NoError(t, err)
	require.True(t, result.Several)
	require.Nil(t, result.Client)
	require.Equal(t, result.Report.Values, result.Report.Mapped+result.Report.Ignored+result.Report.Lost)
	result, err = mappings.Translate(lens(t, "jukola-adt"), visit(t), setting)
	require.NoError(t, err)
	require.False(t, result.Several)
}

func TestVisitStates(t *testing.T) {
	for name, c := range map[string]struct{ from, to, status string }{
		"registered": {"", "", "arrived"},
		"admitted":   {"ADT^A04", "ADT^A01", "in-progress"},
		"left":       {"ADT^A04", "ADT^A03", "finished"},
		"never was":  {"ADT^A04", "ADT^A11", "cancelled"},
		"discharged": {"20260302081000+0200", "20260302081000+0200|20260302091000+0200", "finished"},
	} {
		t.Run(name, func(t *testing.T) {
			m := visit(t)
			if c.from != "" {
				m = visit(t, c.from, c.to)
			}
			result, err := mappings.Translate(lens(t, "jukola-adt"), m, setting)
			require.NoError(t, err)
			require.Equal(t, c.status, result.Resources[0].Doc.Text("status"))
		})
	}
}

func TestUnknownUnitGivesNoServiceProvider(t *testing.T) {
	result, err := mappings.Translate(lens(t, "jukola-adt"), visit(t), mappings.Setting{})
	require.NoError(t, err)
	require.Nil(t, result.Resources[0].Doc.Get("serviceProvider"))
	require.Contains(t, string(report(result.Report)), "PV1-39: codec code: the code is not in the map units")
}

func TestVisitsThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct{ from, to, code, at string }{
		"no visit number":     {"4711^^^VISIT", "", hl7v2.FieldMissing, "PV1-19"},
		"no class":            {"PV1|1|O|", "PV1|1||", hl7v2.FieldMissing, "PV1-2"},
		"unknown class":       {"PV1|1|O|", "PV1|1|SECRET|", hl7v2.TableValue, "PV1-2"},
		"another event":       {"ADT^A04", "ADT^A08", hl7v2.UnsupportedEvent, "MSH-9.2"},
		"another type":        {"ADT^A04", "SIU^S12", hl7v2.UnsupportedType, "MSH-9.1"},
		"another version":     {"|P|2.5|", "|P|3.0|", hl7v2.UnsupportedForm, "MSH-12"},
		"hidden in a number":  {"4711^^^VISIT", `47\X0D\11^^^VISIT`, hl7v2.DataType, "PV1-19"},
		"hidden in authority": {"4711^^^VISIT", `4711^^^VIS\X0A\IT`, hl7v2.DataType, "PV1-19"},
		"hidden in a type":    {"^JUKOLA^MR", `^JUKOLA^M\X09\R`, hl7v2.DataType, "PID-3"},
		"hidden in a class":   {"PV1|1|O|", `PV1|1|O\X00\|`, hl7v2.DataType, "PV1-2"},
		"hidden in a unit":    {"JUKOLA-AK", `JUKOLA-AK\X0D\`, hl7v2.DataType, "PV1-39"},
		"hidden in a reason":  {"Z60^", `Z60\XC285\^`, hl7v2.DataType, "PV2-3"},
		"hidden in a place":   {"AK1^", `AK\XE2808B\1^`, hl7v2.DataType, "PV1-3"},
		"hidden in a person":  {"90002^Suo", `90002\X0D0A\^Suo`, hl7v2.DataType, "PV1-7"},
		"no PV1":              {"PV1|", "ZV1|", hl7v2.FieldMissing, "PV1-19"},
		"two authorities":     {"4711^^^VISIT", "4711^^^VISIT&1.2.3&ISO", hl7v2.DataType, "PV1-19"},
		"authority of no oid": {"4711^^^VISIT", "4711^^^VISIT&x&DNS", hl7v2.DataType, "PV1-19"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := mappings.Translate(lens(t, "jukola-adt"), visit(t, c.from, c.to), setting)
			var refusal *mappings.Refusal
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, c.code, refusal.Code)
			require.Equal(t, c.at, refusal.At)
			require.NotContains(t, err.Error(), "SECRET")
			require.Equal(t, c.at, refusal.HL7().Path.String())
		})
	}
}

func TestUnusableValuesAreReportedNotGuessed(t *testing.T) {
	for name, c := range map[string]struct{ from, to, loss string }{
		"a time that summer time leaves out": {"20260302081000+0200", "20260329033000", "PV1-44: codec ts: it is not a time, or one that summer time leaves out"},
		"a day that is none":                 {"|19940501|", "|19940231|", "PID-7: codec date: it is not a time"},
		"a coding system nobody knows":       {"^I10", "^XYZ", "PV2-3.3: codec cwe: its coding system is not one that the lens knows"},
		"a sex of no table":                  {"|F|", "|Q|", "PID-8: codec code: the code is not in the map sex"},
	} {
		t.Run(name, func(t *testing.T) {
			result, err := mappings.Translate(lens(t, "jukola-adt"), visit(t, c.from, c.to), setting)
			require.NoError(t, err)
			require.Contains(t, string(report(result.Report)), c.loss)
		})
	}
}

func TestLocalTimesGetTheZonesOffset(t *testing.T) {
	for hl7, want := range map[string]string{
		"202603020810": "2026-03-02T08:10:00+02:00", "20260702081000": "2026-07-02T08:10:00+03:00",
		"20260302081000.25+0000": "2026-03-02T08:10:00.25Z", "20260302": "2026-03-02", "202603": "2026-03", "2026": "2026",
	} {
		result, err := mappings.Translate(lens(t, "jukola-adt"), visit(t, "20260302081000+0200", hl7), setting)
		require.NoError(t, err)
		require.Equal(t, want, result.Resources[0].Doc.Text("period", "start"))
	}
}

const appointment = `{"resourceType":"Appointment","id":"a1","meta":{"versionId":"1"},"status":"booked",
"identifier":[{"type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"PLAC"}]},"system":"https://sotesilta.example/fhir/NamingSystem/sotesilta","value":"P-7"}],
"serviceType":[{"coding":[{"system":"urn:oid:1.2.246.537.6.1222","code":"50","display":"Palvelutarpeen arviointi"}]}],
"appointmentType":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0276","code":"ROUTINE"}]},
"reasonCode":[{"text":"Yhteinen arviointi | sote"}],"minutesDuration":45,
"start":"2026-03-10T10:00:00+02:00","end":"2026-03-10T10:45:00+02:00","comment":"Ovi B\nkerros 2","priority":0,
"participant":[{"actor":{"reference":"Patient/aino","display":"Aino Testi"},"status":"accepted"},
{"actor":{"reference":"PractitionerRole/nurse"},"status":"accepted"},
{"actor":{"reference":"Location/jukola"},"status":"accepted"}]}`

var others = []string{
	`{"resourceType":"Patient","id":"aino","identifier":[{"system":"urn:oid:1.2.246.21","value":"010594Y9032"},{"system":"urn:other","value":"9"}],
	"name":[{"use":"official","family":"Testi","given":["Aino","Maria"]}],"gender":"female","birthDate":"1994-05-01",
	"address":[{"line":["Testitie 1"],"city":"Jyväskylä"}],"telecom":[{"system":"phone","value":"+358401234567"}]}`,
	`{"resourceType":"PractitionerRole","id":"nurse","practitioner":{"reference":"Practitioner/olli"}}`,
	`{"resourceType":"Practitioner","id":"olli","identifier":[{"system":"urn:oid:1.2.246.537.26","value":"90001"}],"name":[{"family":"Ojala","given":["Olli"]}]}`,
	`{"resourceType":"Location","id":"jukola","name":"Jukolan terveysasema","identifier":[{"system":"https://sotesilta.example/fhir/NamingSystem/sotesilta","value":"JUK"}]}`,
}

func resources(t *testing.T, changes ...string) []*fhir.Value {
	t.Helper()
	var out []*fhir.Value
	for _, text := range append([]string{strings.NewReplacer(changes...).Replace(appointment)}, others...) {
		v, err := fhir.Parse([]byte(text), fhir.Limits{})
		require.NoError(t, err)
		out = append(out, v)
	}
	return out
}

var envelope = mappings.Envelope{
	ControlID: "N1", Time: time.Date(2026, 3, 2, 6, 30, 0, 0, time.UTC),
	Sender: hl7v2.HD{"SOTESILTA"}, Receiver: hl7v2.HD{"JUKOLA-EHR"},
}

func TestAppointmentGoesOut(t *testing.T) {
	l := lens(t, "jukola-siu")
	all := resources(t)
	require.Equal(t, []string{"Patient/aino", "PractitionerRole/nurse", "Location/jukola"}, l.References(all[0]))
	m, r, err := mappings.Render(l, envelope, setting, all...)
	require.NoError(t, err)
	wire, err := m.Encode()
	require.NoError(t, err)
	golden(t, "appointment.hl7", bytes.ReplaceAll(wire, []byte("\r"), []byte("\n")))
	golden(t, "appointment.report.txt", report(r))
	require.Equal(t, r.Values, r.Mapped+r.Ignored+r.Lost)
	require.NotContains(t, string(wire), "Testitie", "an address never leaves in a message")
	require.NotContains(t, string(wire), "+358")
	back, err := hl7v2.Parse(wire, hl7v2.Limits{})
	require.NoError(t, err)
	require.Equal(t, "Yhteinen arviointi | sote", back.Get("SCH-7.2"))
	require.Equal(t, "Ovi B\nkerros 2", back.Get("NTE-3"))
}

func TestAppointmentEvents(t *testing.T) {
	for name, c := range map[string]struct{ from, to, event string }{
		"booked":    {"", "", "S12"},
		"changed":   {`"versionId":"1"`, `"versionId":"2"`, "S14"},
		"cancelled": {`"status":"booked"`, `"status":"cancelled"`, "S15"},
		"missed":    {`"status":"booked"`, `"status":"noshow"`, "S26"},
	} {
		t.Run(name, func(t *testing.T) {
			all := resources(t)
			if c.from != "" {
				all = resources(t, c.from, c.to)
			}
			m, _, err := mappings.Render(lens(t, "jukola-siu"), envelope, setting, all...)
			require.NoError(t, err)
			require.Equal(t, c.event, m.Get("MSH-9.2"))
		})
	}
}

func TestAppointmentsThatDoNotGoOut(t *testing.T) {
	l := lens(t, "jukola-siu")
	refused := func(all []*fhir.Value, why string) {
		t.Helper()
		m, _, err := mappings.Render(l, envelope, setting, all...)
		require.ErrorContains(t, err, why)
		require.Nil(t, m)
	}
	refused(resources(t)[:1], "the client was not given")
	refused(resources(t, `"status":"booked"`, `"status":"proposed"`), "no event of the lens fits")
	refused(resources(t, `"start":"2026-03-10T10:00:00+02:00",`, ""), "a needed value is missing")
	refused(resources(t, "Patient/aino", "Group/1"), "it concerns no client")
	other, err := fhir.Parse([]byte(strings.Replace(others[0], `"aino"`, `"onni"`, 1)), fhir.Limits{})
	require.NoError(t, err)
	refused(append(resources(t, "PractitionerRole/nurse", "Patient/onni"), other), "it concerns several clients")
}

const referral = `{"resourceType":"ServiceRequest","id":"r1","meta":{"versionId":"1"},"status":"active","intent":"order","priority":"urgent",
"code":{"text":"Kotipalvelun arviointi"},"subject":{"reference":"Patient/aino"},"authoredOn":"2026-03-02T09:00:00+02:00",
"requester":{"reference":"PractitionerRole/nurse"},"performer":[{"reference":"Organization/social"},{"reference":"Practitioner/olli"}],
"reasonCode":[{"coding":[{"system":"urn:oid:1.2.246.537.6.1","code":"Z60"}]}],"note":[{"text":"Soita ensin"},{"text":"Avain naapurilla"}],
"locationCode":[{"text":"koti"}]}`

func TestReferralGoesOut(t *testing.T) {
	l := lens(t, "jukola-ref")
	render := func(text string) (*hl7v2.Message, mappings.Report) {
		var all []*fhir.Value
		for _, text := range append([]string{text, `{"resourceType":"Organization","id":"social","name":"Aikuisten palvelut"}`}, others[:3]...) {
			v, err := fhir.Parse([]byte(text), fhir.Limits{})
			require.NoError(t, err)
			all = append(all, v)
		}
		require.Equal(t, []string{"Patient/aino", "PractitionerRole/nurse", "Organization/social", "Practitioner/olli"}, l.References(all[0]))
		m, r, err := mappings.Render(l, envelope, setting, all...)
		require.NoError(t, err)
		return m, r
	}
	m, r := render(referral)
	wire, err := m.Encode()
	require.NoError(t, err)
	golden(t, "referral.hl7", bytes.ReplaceAll(wire, []byte("\r"), []byte("\n")))
	golden(t, "referral.report.txt", report(r))
	m, _ = render(strings.Replace(referral, `"versionId":"1"`, `"versionId":"2"`, 1))
	require.Equal(t, "I13", m.Get("MSH-9.2"))
	m, _ = render(strings.Replace(referral, "active", "revoked", 1))
	require.Equal(t, "I14", m.Get("MSH-9.2"))
}

// What PID says comes back from PID: the same rules work both ways.
func TestClientRoundTrip(t *testing.T) {
	m, _, err := mappings.Render(lens(t, "jukola-siu"), envelope, setting, resources(t)...)
	require.NoError(t, err)
	wire, err := m.Encode()
	require.NoError(t, err)
	pid := string(wire[bytes.Index(wire, []byte("PID|")):])
	pid = pid[:strings.IndexByte(pid, '\r')]
	data, err := os.ReadFile("testdata/visit.hl7")
	require.NoError(t, err)
	from := bytes.Index(data, []byte("PID|"))
	to := from + bytes.IndexByte(data[from:], '\n')
	in, err := hl7v2.Parse([]byte(string(data[:from])+pid+string(data[to:])), hl7v2.Limits{})
	require.NoError(t, err)
	result, err := mappings.Translate(lens(t, "jukola-adt"), in, setting)
	require.NoError(t, err)
	require.Equal(t, "010594Y9032", result.Client.Text("identifier", "value"))
	require.Equal(t, "urn:oid:1.2.246.21", result.Client.Text("identifier", "system"))
	require.JSONEq(t, `{"use":"official","family":"Testi","given":["Aino","Maria"]}`, string(result.Client.First("name").JSON()))
	require.Equal(t, "1994-05-01", result.Client.Text("birthDate"))
	require.Equal(t, "female", result.Client.Text("gender"))
}

func TestPublicSamplesAreTakenOrRefusedNeverLostInSilence(t *testing.T) {
	files, err := filepath.Glob("../../../shared/samples/hl7v2/*.hl7")
	require.NoError(t, err)
	if len(files) == 0 {
		t.Skip("0 public samples found: ../shared/samples/hl7v2 is absent")
	}
	taken := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		m, err := hl7v2.Parse(data, hl7v2.Limits{})
		require.NoError(t, err)
		result, err := mappings.Translate(lens(t, "jukola-adt"), m, setting)
		if err != nil {
			var refusal *mappings.Refusal
			require.ErrorAs(t, err, &refusal, file)
			t.Log(filepath.Base(file), err)
			continue
		}
		taken++
		r := result.Report
		require.Equal(t, r.Values, r.Mapped+r.Ignored+r.Lost, file)
		require.Equal(t, "Encounter", fhir.ResourceType(result.Resources[0].Doc))
		for _, issue := range fhir.Validate(result.Resources[0].Doc) {
			require.NotEqual(t, "error", issue.Severity, "%s: %+v", file, issue)
		}
		t.Logf("%s: %d values, %d mapped, %d ignored, %d lost", filepath.Base(file), r.Values, r.Mapped, r.Ignored, r.Lost)
	}
	require.Positive(t, taken)
}
