package mappings_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"sotesilta/internal/fhir"
	"sotesilta/mappings"
	"sotesilta/mappings/hl7v2"
)

const small = `lens: small
version: 1.0.0
direction: both
zone: Europe/Helsinki
message: {type: ADT, structure: ADT_A01, version: "2.5", events: [{event: A04}], segments: [PID, PV1]}
authorities: {HETU: "urn:oid:1.2.246.21", VISIT: "https://example.org/visit"}
systems: {I10: "urn:oid:1.2.246.537.6.1"}
maps:
  class: {as: coding, table: HL70004, system: "http://terminology.hl7.org/CodeSystem/v3-ActCode", codes: [{at: I, to: IMP, display: inpatient}, {at: O, to: AMB}, {at: R, to: AMB, only: in}]}
client:
  - {at: PID-3, to: "identifier[]", codec: cx}
  - {at: PID-5, to: "name[]", codec: xpn}
  - {at: PID-7, to: birthDate, codec: date}
resources:
  - type: Encounter
    client: subject
    identity: "identifier[]"
    rules:
      - {at: PV1-19, to: "identifier[]", codec: cx}
      - {at: PV1-2, to: class, codec: code, map: class}
      - {at: PV1-18, to: "reasonCode[]", codec: cwe}
      - {each: PV1-7, to: "participant[]", rules: [{at: PV1-7, to: individual, codec: xcn, system: "urn:oid:1.2.246.537.26"}]}
      - {at: PV1-44, to: period.start, codec: ts}
      - {at: PV1-45, to: period.end, codec: ts}
ignored:
  - {at: MSH, why: not about the client}
`

func load(t interface {
	Helper()
	Fatal(...any)
}, text string,
) *mappings.Lens {
	t.Helper()
	lenses, err := mappings.Load(fstest.MapFS{"small.yaml": {Data: []byte(text)}})
	if err != nil {
		t.Fatal(err)
	}
	return lenses[0]
}

// A lens that is wrong is refused when it is read, with the place.
func TestWrongLensesAreRefused(t *testing.T) {
	for name, c := range map[string]struct{ from, to, why string }{
		"unknown member":           {"direction: both", "direction: both\nscript: x", "script"},
		"unknown codec":            {"codec: date", "codec: magic", `codec "magic" is not known`},
		"unknown map":              {"map: class", "map: other", `map "other" is not defined`},
		"unknown resource type":    {"type: Encounter", "type: Visit", `"Visit" is not a resource type`},
		"no way back":              {"{at: R, to: AMB, only: in}", "{at: R, to: AMB}", "AMB comes from two codes"},
		"two ways forth":           {"{at: R, to: AMB, only: in}", "{at: O, to: VR, only: in}", "O leads to two codes"},
		"place that is none":       {"PID-7", "PID-x", `"PID-x" is not a place`},
		"no direction":             {"direction: both", "direction: up", "direction is in, out or both"},
		"no version":               {"version: 1.0.0", "version: ''", "version is missing"},
		"no time zone":             {"zone: Europe/Helsinki", "zone: Mars/Base", "not the name of a time zone"},
		"ignored without reason":   {"why: not about the client", "why: ''", "why it is not carried"},
		"two names for one system": {"VISIT: \"https://example.org/visit\"", "PIC: \"urn:oid:1.2.246.21\"", "two names for"},
		"codec without element":    {"{at: PID-7, to: birthDate, codec: date}", "{at: PID-7, codec: date}", "names no element"},
		"whole segment":            {"{at: PID-7,", "{at: PID,", "names no field"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Contains(t, small, c.from)
			_, err := mappings.Load(fstest.MapFS{"small.yaml": {Data: []byte(strings.Replace(small, c.from, c.to, 1))}})
			require.ErrorContains(t, err, c.why)
			require.ErrorContains(t, err, "small.yaml")
		})
	}
	_, err := mappings.Load(fstest.MapFS{})
	require.Error(t, err)
}

// What a two-way lens renders, it translates back to the same resource, whatever the values.
func TestRenderedIsTranslatedBack(t *testing.T) {
	lens := load(t, small)
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[A-Za-zÅÄÖåäö|^~&\\#.-]{1,12}`)
		code := rapid.StringMatching(`[A-Z0-9|^.]{1,8}`)
		str := fhir.NewString
		obj := func(pairs ...any) *fhir.Value {
			v := fhir.NewObject()
			for i := 0; i < len(pairs); i += 2 {
				v.Set(pairs[i].(string), pairs[i+1].(*fhir.Value))
			}
			return v
		}
		client := obj("resourceType", str("Patient"), "id", str("c"),
			"identifier", fhir.NewArray(obj("system", str("urn:oid:1.2.246.21"), "value", str("010594Y9032"))),
			"name", fhir.NewArray(obj("use", str(rapid.SampledFrom([]string{"official", "usual", "maiden"}).Draw(t, "use")),
				"family", str(text.Draw(t, "family")), "given", fhir.NewArray(str(text.Draw(t, "given")), str(text.Draw(t, "second"))))),
			"birthDate", str(rapid.SampledFrom([]string{"1994-05-01", "1994-05", "1994"}).Draw(t, "born")))
		visit := obj("resourceType", str("Encounter"), "subject", obj("reference", str("Patient/c")),
			"identifier", fhir.NewArray(obj("system", str("https://example.org/visit"), "value", str(code.Draw(t, "visit")))),
			"class", obj("system", str("http://terminology.hl7.org/CodeSystem/v3-ActCode"), "code", str(rapid.SampledFrom([]string{"IMP", "AMB"}).Draw(t, "class"))),
			"period", obj("start", str(rapid.SampledFrom([]string{"2026-03-02T08:10:00+02:00", "2026-03-02T08:10:00Z", "2026-03-02", "2026-07-01T00:00:00.125+03:00"}).Draw(t, "start"))))
		if visit.Text("class", "code") == "IMP" {
			visit.Get("class").Set("display", str("inpatient"))
		}
		reasons, doctors := fhir.NewArray(), fhir.NewArray()
		for range rapid.IntRange(0, 3).Draw(t, "reasons") {
			reasons.Append(obj("coding", fhir.NewArray(obj("system", str("urn:oid:1.2.246.537.6.1"), "code", str(code.Draw(t, "reason")), "display", str(text.Draw(t, "display"))))))
		}
		for range rapid.IntRange(0, 3).Draw(t, "doctors") {
			doctors.Append(obj("individual", obj("identifier", obj("system", str("urn:oid:1.2.246.537.26"), "value", str(code.Draw(t, "licence"))), "display", str(text.Draw(t, "doctor")+" "+text.Draw(t, "surname")))))
		}
		if len(reasons.Items()) > 0 {
			visit.Set("reasonCode", reasons)
		}
		if len(doctors.Items()) > 0 {
			visit.Set("participant", doctors)
		}
		msg, report, err := mappings.Render(lens, mappings.Envelope{ControlID: "1"}, mappings.Setting{}, visit, client)
		if err != nil {
			t.Fatal(err)
		}
		if report.Lost > 0 || report.Values != report.Mapped {
			t.Fatalf("lost: %+v", report)
		}
		wire, err := msg.Encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := hl7v2.Parse(wire, hl7v2.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		result, err := mappings.Translate(lens, back, mappings.Setting{})
		if err != nil {
			t.Fatal(err)
		}
		if result.Report.Lost > 0 {
			t.Fatalf("lost on the way back: %+v", result.Report)
		}
		made := result.Resources[0]
		made.Link("Patient/c")
		same(t, made.Doc, visit)
		client.Set("id", nil)
		same(t, result.Client, client)
	})
}

// same compares objects without regard to the order of members.
func same(t *rapid.T, got, want *fhir.Value) {
	if !equal(got, want) {
		t.Fatalf("got  %s\nwant %s", got.JSON(), want.JSON())
	}
}

func equal(a, b *fhir.Value) bool {
	if a.Kind() != b.Kind() || a.Str() != b.Str() || len(a.Members()) != len(b.Members()) || len(a.Items()) != len(b.Items()) {
		return false
	}
	for _, m := range a.Members() {
		if !equal(m.Value, b.Get(m.Name)) {
			return false
		}
	}
	for i, item := range a.Items() {
		if !equal(item, b.Items()[i]) {
			return false
		}
	}
	return true
}

// Translating never panics and accounts for every value, whatever the message.
func FuzzTranslate(f *testing.F) {
	f.Add([]byte("MSH|^~\\&|||||20260101||ADT^A04|1|P|2.5\rPID|||1^^^HETU&1.2.3&ISO~2||A^B^C^D^E^^L~^^|1994\rPV1||O|||||1^A^B~^^||||||||||||9^^^VISIT|||||||||||||||||||||||||2026|\"\"\r"))
	lens := load(f, small)
	f.Fuzz(func(t *testing.T, data []byte) {
		msg, err := hl7v2.Parse(data, hl7v2.Limits{Bytes: 4096})
		if err != nil {
			return
		}
		result, err := mappings.Translate(lens, msg, mappings.Setting{})
		if err != nil {
			return
		}
		if r := result.Report; r.Values != r.Mapped+r.Ignored+r.Lost {
			t.Fatalf("values do not add up: %+v", r)
		}
		if _, err := fhir.Parse(result.Resources[0].Doc.JSON(), fhir.DefaultLimits); err != nil {
			t.Fatal(err)
		}
	})
}
