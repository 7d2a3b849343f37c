package directive_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/consent/directive"
	"sotesilta/internal/fhir"
)

const codes = `https://sotesilta.example/fhir/CodeSystem/`

// consentOf is a Consent of Patient/client with the category coding and the members given.
func consentOf(system, code string, members ...string) string {
	return `{"resourceType":"Consent","id":"c1","meta":{"versionId":"3"},"status":"active",
		"scope":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/consentscope","code":"patient-privacy"}]},
		"category":[{"coding":[{"system":"` + codes + system + `","code":"` + code + `"}]}],
		"patient":{"reference":"Patient/client"}` + strings.Join(append([]string{""}, members...), ",") + `}`
}

func parse(t testing.TB, text string) *fhir.Value {
	t.Helper()
	v, err := fhir.Parse([]byte(text), fhir.DefaultLimits)
	require.NoError(t, err, text)
	return v
}

// day is the first moment of a day in Finland.
func day(y, m, d int) time.Time {
	return consent.FinnishDay(time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC)).UTC()
}

func TestADayOfADirectiveIsADayInFinland(t *testing.T) {
	_, got, err := directive.Read(parse(t, consentOf("permit-direction", "3",
		`"provision":{"period":{"start":"2026-07-01","end":"2026-12-31"}}`)), "Organization/u")
	require.NoError(t, err)
	require.True(t, got.Valid.Contains(time.Date(2026, 6, 30, 21, 0, 0, 0, time.UTC)), "summer: midnight is at 21 UTC")
	require.False(t, got.Valid.Contains(time.Date(2026, 6, 30, 20, 59, 59, 0, time.UTC)))
	require.True(t, got.Valid.Contains(time.Date(2026, 12, 31, 21, 59, 59, 0, time.UTC)))
	require.False(t, got.Valid.Contains(time.Date(2026, 12, 31, 22, 0, 0, 0, time.UTC)), "winter: midnight is at 22 UTC, and the permit is over")
	_, got, err = directive.Read(parse(t, consentOf("permit-direction", "3",
		`"provision":{"period":{"end":"2026-12-31T12:00:00Z"}}`)), "Organization/u")
	require.NoError(t, err)
	require.Equal(t, time.Date(2026, 12, 31, 12, 0, 1, 0, time.UTC), got.Valid.To, "a time says itself when it is")
}

const socialClass = `{"system":"` + codes + `data-class","code":"social-data","extension":[
	{"url":"https://sotesilta.example/fhir/StructureDefinition/function-code","valueCoding":{"system":"` + codes + `service-task","code":"older-people"}},
	{"url":"https://sotesilta.example/fhir/StructureDefinition/function-code","valueCoding":{"system":"` + codes + `service-task","code":"disability"}}]}`

func legalBasis(row string) string {
	return `"policyRule":{"coding":[{"system":"` + codes + `legal-basis","code":"` + row + `"}]}`
}

func TestReadCompilesDirectives(t *testing.T) {
	base := consent.Terms{Evidence: "Consent/c1", Version: 3, Active: true, RecordedBy: "Organization/u"}
	tests := []struct {
		name, consent string
		want          func(t *consent.Terms)
	}{
		{"a permit on patient data that names nothing", consentOf("permit-direction", "1", `"provision":{"type":"permit"}`), func(w *consent.Terms) {
			w.Kind, w.From, w.To = consent.Permit, "health", "social"
		}},
		{"a permit without a provision", consentOf("permit-direction", "1"), func(w *consent.Terms) {
			w.Kind, w.From, w.To = consent.Permit, "health", "social"
		}},
		{"a targeted permit on patient data", consentOf("permit-direction", "1", legalBasis("ATL-53.2"),
			`"provision":{"period":{"start":"2026-01-01"},"provision":[{"type":"permit","period":{"start":"2024","end":"2025-06"},
			"actor":[{"role":{"text":"saaja"},"reference":{"reference":"Organization/a"}},{"role":{"text":"saaja"},"reference":{"reference":"Organization/b"}}],
			"class":[{"system":"`+codes+`data-class","code":"patient-summary"},{"system":"`+codes+`data-class","code":"statement"}]}]}`), func(w *consent.Terms) {
			w.Kind, w.From, w.To = consent.Permit, "health", "social"
			w.Valid = consent.Period{From: day(2026, 1, 1)}
			w.Recorded = consent.Period{From: day(2024, 1, 1), To: day(2025, 7, 1)}
			w.Recipients = []string{"Organization/a", "Organization/b"}
			w.DataClasses = []string{"patient-summary", "statement"}
		}},
		{"a permit on social data", consentOf("permit-direction", "2", `"provision":{"type":"permit","provision":[{"type":"permit","class":[`+socialClass+`]}]}`), func(w *consent.Terms) {
			w.Kind, w.From, w.To = consent.Permit, "social", "health"
			w.ServiceTasks = []string{"older-people", "disability"}
		}},
		{"a general permit within health care", consentOf("permit-direction", "3", `"provision":{"type":"permit","period":{"end":"2027-12-31"}}`), func(w *consent.Terms) {
			w.Kind, w.From, w.To = consent.Permit, "health", "health"
			w.Valid = consent.Period{To: day(2028, 1, 1)}
		}},
		{"a general permit within social care", consentOf("permit-direction", "4"), func(w *consent.Terms) {
			w.Kind, w.From, w.To = consent.Permit, "social", "social"
		}},
		{"a ban on all patient data", consentOf("directive", "ban", legalBasis("ATL-59"), `"provision":{"type":"deny","class":[{"system":"`+codes+`register","code":"health"}]}`), func(w *consent.Terms) {
			w.Kind, w.AllHealth = consent.Ban, true
		}},
		{"a ban on a controller's register", consentOf("directive", "ban", `"provision":{"type":"deny","actor":[{"role":{"text":"rekisterinpitäjä"},"reference":{"reference":"Organization/county"}}],
			"class":[{"system":"`+codes+`register","code":"social"}]}`), func(w *consent.Terms) {
			w.Kind, w.Controller, w.Register = consent.Ban, "Organization/county", consent.Social
		}},
		{"a ban on service tasks", consentOf("directive", "ban", `"provision":{"type":"deny","class":[{"system":"`+codes+`service-task","code":"child-protection"}]}`), func(w *consent.Terms) {
			w.Kind, w.ServiceTasks = consent.Ban, []string{"child-protection"}
		}},
		{"a ban on a service event", consentOf("directive", "ban", `"provision":{"type":"deny","data":[{"meaning":"instance","reference":{"reference":"Encounter/7"}}]}`), func(w *consent.Terms) {
			w.Kind, w.ServiceEvents = consent.Ban, []string{"Encounter/7"}
		}},
		{"a ban on documents", consentOf("directive", "ban", `"provision":{"type":"deny","data":[{"meaning":"instance","reference":{"reference":"DocumentReference/7"}},{"meaning":"instance","reference":{"reference":"CarePlan/8"}}]}`), func(w *consent.Terms) {
			w.Kind, w.Documents = consent.Ban, []string{"DocumentReference/7", "CarePlan/8"}
		}},
		{"a consent under another Act", consentOf("directive", "consent", legalBasis("SHL-35.1")), func(w *consent.Terms) {
			w.Kind, w.Statute = consent.Assent, "SHL-35.1"
		}},
		{"an agreement with the patient on a provider", consentOf("directive", "consent", legalBasis("ATL-54.5"),
			`"provision":{"type":"permit","actor":[{"role":{"text":"saaja"},"reference":{"reference":"Organization/clinic"}}]}`), func(w *consent.Terms) {
			w.Kind, w.Statute, w.Recipients = consent.Assent, "ATL-54.5", []string{"Organization/clinic"}
		}},
		{"a consent for one authority", consentOf("directive", "consent", legalBasis("SHL-35.1"),
			`"provision":{"actor":[{"role":{"text":"saaja"},"reference":{"reference":"Organization/county"}}]}`), func(w *consent.Terms) {
			w.Kind, w.Statute, w.Recipients = consent.Assent, "SHL-35.1", []string{"Organization/county"}
		}},
		{"a consent that names an association", consentOf("directive", "consent", legalBasis("ATL-6"),
			`"provision":{"actor":[{"role":{"text":"saaja"},"reference":{"display":" Apu ry "}},{"role":{"text":"saaja"},"reference":{"reference":"Organization/school"}}]}`), func(w *consent.Terms) {
			w.Kind, w.Statute, w.Recipients = consent.Assent, "ATL-6", []string{"Apu ry", "Organization/school"}
		}},
		{"a consent whose statute is a category", strings.Replace(consentOf("directive", "consent"), `"category":[`,
			`"category":[{"coding":[{"system":"`+codes+`legal-basis","code":"SHL-40.1"}]},`, 1), func(w *consent.Terms) {
			w.Kind, w.Statute = consent.Assent, "SHL-40.1"
		}},
		{"a minor's denial towards the guardian", consentOf("directive", "denial", `"extension":[{"url":"https://sotesilta.example/fhir/StructureDefinition/weighty-reason","valueString":"fear"}]`, `"provision":{"type":"deny"}`), func(w *consent.Terms) {
			w.Kind = consent.Denial
		}},
		{"a withdrawn permit", strings.Replace(consentOf("permit-direction", "1"), `"active"`, `"inactive"`, 1), func(w *consent.Terms) {
			w.Kind, w.From, w.To, w.Active = consent.Permit, "health", "social", false
		}},
		{"other systems' categories are kept and not read", strings.Replace(consentOf("permit-direction", "1"), `"category":[`,
			`"category":[{"coding":[{"system":"http://loinc.org","code":"59284-0"}]},`, 1), func(w *consent.Terms) {
			w.Kind, w.From, w.To = consent.Permit, "health", "social"
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			want := base
			test.want(&want)
			client, got, err := directive.Read(parse(t, test.consent), "Organization/u")
			require.Empty(t, profiled(t, parse(t, test.consent)), "a profile of the directives accepts it too")
			require.NoError(t, err)
			require.Equal(t, "client", client)
			require.Equal(t, want, got)
		})
	}
}

func TestReadRefusesWhatItWouldOnlyHalfUnderstand(t *testing.T) {
	targeted := func(inner string) string {
		return consentOf("permit-direction", "1", `"provision":{"type":"permit","provision":[`+inner+`]}`)
	}
	ban := func(inner string) string {
		return consentOf("directive", "ban", `"provision":{"type":"deny",`+inner+`}`)
	}
	tests := []struct{ name, consent, expression string }{
		{"another resource", `{"resourceType":"Patient"}`, "Consent"},
		{"no client", strings.Replace(consentOf("permit-direction", "1"), "Patient/client", "Group/1", 1), "Consent.patient"},
		{"a client of another server", strings.Replace(consentOf("permit-direction", "1"), "Patient/client", "https://elsewhere.example/Patient/client", 1), "Consent.patient"},
		{"no status", strings.Replace(consentOf("permit-direction", "1"), `"active"`, `"on"`, 1), "Consent.status"},
		{"an unknown direction", consentOf("permit-direction", "9"), "Consent.category[0].coding[0]"},
		{"an unknown kind", consentOf("directive", "wish"), "Consent.category[0].coding[0]"},
		{"no category of ours", consentOf("other", "1"), "Consent.category"},
		{"a permit without a direction", consentOf("directive", "permit"), "Consent.category"},
		{"a permit and a ban at once", strings.Replace(consentOf("permit-direction", "1"), `"category":[`, `"category":[{"coding":[{"system":"`+codes+`directive","code":"ban"}]},`, 1), "Consent.category[1].coding[0]"},
		{"two directions at once", strings.Replace(consentOf("permit-direction", "1"), `"category":[`, `"category":[{"coding":[{"system":"`+codes+`permit-direction","code":"2"}]},`, 1), "Consent.category[1].coding[0]"},
		{"a modifier extension", consentOf("permit-direction", "1", `"modifierExtension":[{"url":"https://x.example","valueBoolean":true}]`), "Consent.modifierExtension"},
		{"a basis that is not the permit's", consentOf("permit-direction", "1", legalBasis("ATL-53.3")), "Consent.policyRule"},
		{"a permit that denies", consentOf("permit-direction", "1", `"provision":{"type":"deny"}`), "Consent.provision.type"},
		{"two targets", targeted(`{"type":"permit"},{"type":"permit"}`), "Consent.provision.provision"},
		{"an exception inside a permit", targeted(`{"type":"deny"}`), "Consent.provision.provision[0].type"},
		{"a limit to a purpose", targeted(`{"type":"permit","purpose":[{"code":"TREAT"}]}`), "Consent.provision.provision[0].purpose"},
		{"a limit to single documents", targeted(`{"type":"permit","data":[{"meaning":"instance","reference":{"reference":"Observation/1"}}]}`), "Consent.provision.provision[0].data"},
		{"a limit below the target", targeted(`{"type":"permit","provision":[{"type":"deny"}]}`), "Consent.provision.provision[0].provision"},
		{"a limit beside the target", consentOf("permit-direction", "1", `"provision":{"type":"permit","securityLabel":[{"code":"R"}]}`), "Consent.provision.securityLabel"},
		{"a professional as recipient", targeted(`{"type":"permit","actor":[{"role":{"text":"x"},"reference":{"reference":"Practitioner/1"}}]}`), "Consent.provision.provision[0].actor[0].reference"},
		{"a class that a permit cannot name", targeted(`{"type":"permit","class":[{"system":"` + codes + `data-class","code":"therapy"}]}`), "Consent.provision.provision[0].class[0]"},
		{"a class of another system", targeted(`{"type":"permit","class":[{"system":"http://hl7.org/fhir/resource-types","code":"Observation"}]}`), "Consent.provision.provision[0].class[0]"},
		{"four classes", targeted(`{"type":"permit","class":[` + strings.Repeat(`{"system":"`+codes+`data-class","code":"statement"},`, 3) + `{"system":"` + codes + `data-class","code":"statement"}]}`), "Consent.provision.provision[0].class"},
		{"a permit on social data that names no service task", consentOf("permit-direction", "2", `"provision":{"type":"permit"}`), "Consent.provision.provision"},
		{"a permit on social data with an empty class", consentOf("permit-direction", "2", `"provision":{"type":"permit","provision":[{"type":"permit","class":[{"system":"`+codes+`data-class","code":"social-data"}]}]}`), "Consent.provision.provision"},
		{"a general permit that is targeted", consentOf("permit-direction", "3", `"provision":{"type":"permit","provision":[{"type":"permit"}]}`), "Consent.provision.provision"},
		{"a period that ends before it starts", targeted(`{"type":"permit","period":{"start":"2026-02-01","end":"2026-01-01"}}`), "Consent.provision.provision[0].period"},
		{"a period of no date", consentOf("permit-direction", "1", `"provision":{"period":{"start":"soon"}}`), "Consent.provision.period.start"},
		{"a period of nothing", consentOf("permit-direction", "1", `"provision":{"period":{}}`), "Consent.provision.period"},
		{"a ban that permits", consentOf("directive", "ban", `"provision":{"type":"permit"}`), "Consent.provision.type"},
		{"a ban of nothing", ban(`"period":{"start":"2026"}`), "Consent.provision"},
		{"a ban of two kinds of target", ban(`"class":[{"system":"` + codes + `service-task","code":"disability"}],"data":[{"meaning":"instance","reference":{"reference":"Encounter/1"}}]`), "Consent.provision"},
		{"a ban on a whole sector's social data", ban(`"class":[{"system":"` + codes + `register","code":"social"}]`), "Consent.provision.actor"},
		{"a ban for one unit's documents", ban(`"actor":[{"role":{"text":"x"},"reference":{"reference":"Organization/u"}}],"data":[{"meaning":"instance","reference":{"reference":"Encounter/1"}}]`), "Consent.provision.actor"},
		{"a ban for two controllers", ban(`"actor":[{"role":{"text":"x"},"reference":{"reference":"Organization/u"}},{"role":{"text":"x"},"reference":{"reference":"Organization/v"}}],"class":[{"system":"` + codes + `register","code":"social"}]`), "Consent.provision.actor"},
		{"a ban of what depends on a document", ban(`"data":[{"meaning":"related","reference":{"reference":"Encounter/1"}}]`), "Consent.provision.data[0].meaning"},
		{"a ban of a document elsewhere", ban(`"data":[{"meaning":"instance","reference":{"reference":"https://elsewhere.example/Encounter/1"}}]`), "Consent.provision.data[0].reference"},
		{"a denial without a reason", consentOf("directive", "denial", `"provision":{"type":"deny"}`), "Consent.extension"},
		{"a denial of some data only", consentOf("directive", "denial", `"extension":[{"url":"https://sotesilta.example/fhir/StructureDefinition/weighty-reason","valueString":"fear"}]`, `"provision":{"type":"deny","class":[{"code":"x"}]}`), "Consent.provision.class"},
		{"a consent to no statute", consentOf("directive", "consent"), "Consent.policyRule"},
		{"a consent to a statute that asks for none", consentOf("directive", "consent", legalBasis("ATL-53.2")), "Consent.policyRule"},
		{"a consent with limits", consentOf("directive", "consent", legalBasis("SHL-35.1"), `"provision":{"purpose":[{"code":"TREAT"}]}`), "Consent.provision.purpose"},
		{"a consent for a person", consentOf("directive", "consent", legalBasis("SHL-35.1"), `"provision":{"actor":[{"role":{"text":"x"},"reference":{"reference":"Practitioner/u"}}]}`), "Consent.provision.actor[0].reference"},
		{"a consent to no association", consentOf("directive", "consent", legalBasis("ATL-6")), "Consent.provision.actor"},
		{"an association's name that looks like a reference", consentOf("directive", "consent", legalBasis("ATL-6"), `"provision":{"actor":[{"role":{"text":"x"},"reference":{"display":"Organization/county"}}]}`), "Consent.provision.actor[0].reference"},
		{"a contact to an authority of the display", consentOf("directive", "consent", legalBasis("SHL-35.1"), `"provision":{"actor":[{"role":{"text":"x"},"reference":{"display":"county"}}]}`), "Consent.provision.actor[0].reference"},
		{"an agreement with the patient on nobody", consentOf("directive", "consent", legalBasis("ATL-54.5")), "Consent.provision.actor"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, got, err := directive.Read(parse(t, test.consent), "Organization/u")
			require.Equal(t, !beyond[test.name], len(profiled(t, parse(t, test.consent))) > 0, "the profiles tell it too, but for what is beyond them")
			var wrong *directive.Error
			require.True(t, errors.As(err, &wrong), "it is refused with issues: %v", err)
			require.Equal(t, consent.Terms{}, got, "nothing half read is given out")
			var expressions []string
			for _, issue := range wrong.Issues {
				require.NotEmpty(t, issue.Diagnostics)
				require.NotEmpty(t, issue.Code)
				expressions = append(expressions, issue.Expression)
			}
			require.Contains(t, expressions, test.expression)
		})
	}
}

func TestReadBoundsADirective(t *testing.T) {
	data := strings.TrimSuffix(strings.Repeat(`{"meaning":"instance","reference":{"reference":"Encounter/1"}},`, 201), ",")
	_, _, err := directive.Read(parse(t, consentOf("directive", "ban", `"provision":{"type":"deny","data":[`+data+`]}`)), "")
	require.ErrorContains(t, err, "at most 200")
}

func provenance(agents ...string) string {
	return `{"resourceType":"Provenance","target":[{"reference":"urn:uuid:3acaf507-2e64-590f-a1a9-b03a816fa569"}],
		"recorded":"2026-11-02T09:01:00+02:00","agent":[` + strings.Join(agents, ",") + `]}`
}

func agent(role, who string) string {
	return fmt.Sprintf(`{"type":{"coding":[{"system":"http://gen.kanta.fi/figen-cs-provenancerolecategory","code":%q}]},"who":{"reference":%q}}`, role, who)
}

func TestAProvenanceTellsWhoGaveAndWhoReceived(t *testing.T) {
	client, representative := agent("12", "Patient/client"), agent("5", "RelatedPerson/g")
	professional, unit := agent("2", "Practitioner/n"), agent("7", "Organization/u")
	inRole := `{"role":[{"coding":[{"system":"http://gen.kanta.fi/figen-cs-provenancerolecategory","code":"12"}]}],"who":{"reference":"Patient/client"}}`
	tests := []struct {
		name, provenance, expression string
	}{
		{"the client in an own app", provenance(client), ""},
		{"the role may stand in agent.role", provenance(inRole), ""},
		{"the client to a professional", provenance(client, professional, unit), ""},
		{"to a professional, the client being who else", provenance(professional, unit), ""},
		{"the legal representative to a professional", provenance(representative, professional, unit), ""},
		{"other agents are not read", provenance(client, `{"who":{"reference":"Device/1"}}`), ""},
		{"nobody", provenance(`{"who":{"reference":"Device/1"}}`), "Provenance.agent"},
		{"a professional of no unit", provenance(client, professional), "Provenance.agent"},
		{"a unit without a professional", provenance(client, unit), "Provenance.agent"},
		{"client and representative", provenance(client, representative), "Provenance.agent"},
		{"two professionals", provenance(professional, professional, unit), "Provenance.agent"},
		{"somebody else as the client", provenance(agent("12", "Patient/other")), "Provenance.agent[0].who"},
		{"the client as the own representative", provenance(agent("5", "Patient/client")), "Provenance.agent[0].who"},
		{"an agent who is nobody", provenance(`{"type":{"coding":[{"system":"http://gen.kanta.fi/figen-cs-provenancerolecategory","code":"12"}]},"who":{}}`), "Provenance.agent[0].who"},
		{"about something else", strings.Replace(provenance(client), "urn:uuid:3acaf507-2e64-590f-a1a9-b03a816fa569", "Observation/1", 1), "Provenance.target"},
		{"no Provenance", `{"resourceType":"AuditEvent"}`, "Provenance"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			issues := directive.CheckProvenance(parse(t, consentOf("permit-direction", "1")), parse(t, test.provenance))
			if told := profiles(t, "Provenance")[0].Check(parse(t, test.provenance)); test.expression == "" {
				require.Empty(t, told)
			} else if !strings.HasSuffix(test.expression, ".who") { // who is whom is compared with the Consent
				require.NotEmpty(t, told)
			}
			var expressions []string
			for _, issue := range issues {
				require.Equal(t, "error", issue.Severity)
				expressions = append(expressions, issue.Expression)
			}
			if test.expression == "" {
				require.Empty(t, issues)
				return
			}
			require.Contains(t, expressions, test.expression)
		})
	}
}

// Whatever comes in, Read neither fails otherwise than by an Error nor gives out a directive that opens without naming
// its direction.
func FuzzRead(f *testing.F) {
	f.Add(consentOf("permit-direction", "1", `"provision":{"type":"permit"}`))
	f.Add(consentOf("permit-direction", "2", `"provision":{"type":"permit","provision":[{"type":"permit","class":[`+socialClass+`]}]}`))
	f.Add(consentOf("directive", "ban", `"provision":{"type":"deny","class":[{"system":"`+codes+`register","code":"health"}]}`))
	f.Add(consentOf("directive", "consent", legalBasis("SHL-35.1")))
	f.Add(`{"resourceType":"Consent","provision":[1],"category":"x","patient":[[]]}`)
	f.Fuzz(func(t *testing.T, text string) {
		v, err := fhir.Parse([]byte(text), fhir.DefaultLimits)
		if err != nil {
			return
		}
		client, terms, err := directive.Read(v, "Organization/u")
		if err == nil && len(fhir.Validate(v)) == 0 && !strings.Contains(string(v.JSON()), "59284-0") {
			require.Empty(t, profiled(t, v))
		}
		if err != nil {
			var wrong *directive.Error
			if !errors.As(err, &wrong) || len(wrong.Issues) == 0 || client != "" {
				t.Fatal(client, err)
			}
			return
		}
		if client == "" || terms.Kind == "" || terms.Kind == consent.Permit && (terms.From == "" || terms.To == "") ||
			terms.Kind == consent.Permit && terms.From == "social" && terms.To == "health" && len(terms.ServiceTasks) == 0 {
			t.Fatalf("%q: %+v", client, terms)
		}
		directive.CheckProvenance(v, v)
	})
}
