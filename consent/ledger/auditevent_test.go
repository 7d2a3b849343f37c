package ledger

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

func nurse() consent.Actor {
	return consent.Actor{
		Kind: consent.Professional, App: "jukola-ehr", User: "nurse", Name: "Helena Hoitaja",
		Person: "Practitioner/nurse", Controller: "Organization/county", Register: consent.Health,
		Unit: "Organization/jukola", Units: []string{"Organization/jukola"}, Task: "3.1", Service: "4.1",
	}
}

// auditEvents are the records whose FHIR view is kept in testdata.
func auditEvents() map[string]*Record {
	own := []consent.Basis{{ID: "ATL-4.3-H", Citation: "703/2023 § 4.3", TitleEn: "Own register"}}
	base := func(interaction string) *Record {
		return &Record{
			ID: "0b6c9b1e-7a55-4d53-9d0a-0f5c3c1f0002", Exchange: "0b6c9b1e-7a55-4d53-9d0a-0f5c3c1f0001", Time: at(1),
			Interaction: interaction, Outcome: "permit", Success: true, Actor: nurse(), Purpose: consent.Care, TokenID: "jti-2",
			Client: "aino", Controller: "Organization/county", Register: consent.Health, Bases: own,
			Evidence: []string{"EpisodeOfCare/aino-health"}, Facts: 3, Policy: "sha256:5f2c",
		}
	}
	read := base("read")
	read.Target, read.Entities = "Condition/9", []Entity{{What: "Condition/9/_history/1", Role: "match"}}
	read.Classes = []consent.Class{{
		Type: "Condition", Clients: []string{"aino"}, Controller: "Organization/county", Register: consent.Health,
		DataClass: "diagnoses", ServiceEvent: "Encounter/4",
	}}

	denied := readPermit()
	denied.Outcome, denied.Success, denied.Disclosure = "deny", false, false
	denied.Bases, denied.Entities, denied.Directives = nil, nil, []string{"Consent/eino-ban/_history/1"}
	denied.Client, denied.Reason = "eino", "a ban on the county's patient register outweighs the permit"

	human := readPermit()
	human.Outcome, human.Success, human.Bases, human.Entities = "needs-human", false, nil, nil
	human.Purpose = consent.Incapacity
	human.Assertion = consent.Assertion{
		Task: "need-assessment", Ground: "ATL-53.5a", Reason: "client\x00 unconscious", Confirm: true,
		Facts: map[string]string{"assessor": "Practitioner/social-worker", "capacity": "none"},
	}

	absent := base("read")
	absent.Target, absent.Success, absent.Client, absent.Bases, absent.Reason = "Condition/404", false, "", nil, "there is no such row"
	absent.Outcome, absent.Evidence, absent.Facts, absent.Controller, absent.Register = "deny", nil, 0, "", ""

	query := base("search-type")
	query.Client, query.Target, query.Query = "", "Observation", "code=8480-6&_sort=-date"
	query.Bases, query.Evidence, query.Facts, query.Controller, query.Register = nil, nil, 0, "", ""

	matches := base("search-type")
	matches.Target = "Observation"
	matches.Entities = []Entity{{What: "Observation/1/_history/1", Role: "match"}, {What: "Patient/aino/_history/1", Role: "include"}}

	create := base("create")
	create.Target, create.Entities = "Observation", []Entity{{What: "Observation/77/_history/1", Role: "created"}}

	match := base("match")
	match.Target, match.Entities = "Patient/$match", []Entity{{What: "Patient/aino/_history/1", Role: "match"}}

	push := readPermit()
	push.Interaction, push.Target, push.Recipient = "notify", "", "county-social"
	push.Entities = []Entity{{What: "Task/5/_history/2", Role: "sent"}}
	push.Actor = consent.Actor{
		Kind: consent.System, App: "county-social", Controller: "Organization/county", Register: consent.Social,
		Units: []string{"Organization/county-social"},
	}

	receive := base("receive")
	receive.Actor = consent.Actor{Kind: consent.System, App: "jukola-ehr", Controller: "Organization/county", Register: consent.Health}
	receive.Target, receive.Entities = "Encounter", []Entity{{What: "Encounter/8/_history/1", Role: "created"}}

	erase := base(Erase)
	erase.Client, erase.Entities = "", []Entity{ErasedEntity("node-1", 3, 7)}

	return map[string]*Record{
		"read-own-register": read, "read-permit": readPermit(), "read-deny": denied, "read-needs-human": human, "read-absent": absent,
		"search-query": query, "search-client": matches, "create": create, "match": match, "push": push, "receive": receive, "erase": erase,
	}
}

func TestAuditEvent(t *testing.T) {
	for name, r := range auditEvents() {
		t.Run(name, func(t *testing.T) {
			body := r.AuditEvent(41)
			v, err := fhir.Parse(body, fhir.DefaultLimits)
			require.NoError(t, err)
			require.Empty(t, fhir.ValidateAs(v, "AuditEvent"))
			var pretty bytes.Buffer
			require.NoError(t, json.Indent(&pretty, body, "", "  "))
			golden(t, "auditevent-"+name+".json", append(pretty.Bytes(), '\n'))
		})
	}
}

// The view of an exchange for its recipient, of what two registers disclosed; what was denied, used or withheld is not owed.
func TestProvenance(t *testing.T) {
	first, second := readPermit(), readPermit()
	for _, r := range []*Record{first, second} {
		r.Obligations = []string{consent.Source, consent.Onward}
	}
	second.Controller, second.Register = "Organization/clinic", consent.Social
	second.Entities = []Entity{{What: "DocumentReference/2/_history/1", Role: "include"}, {What: "Task/1/_history/1", Role: "created"}}
	second.Bases = []consent.Basis{{ID: "ATL-55.1", Citation: "703/2023 § 55.1", TitleFi: "Sosiaalihuollon luovutuslupa"}}
	v := Provenance([]Record{*first, *second})
	require.Empty(t, fhir.ValidateAs(v, "Provenance"))
	var pretty bytes.Buffer
	require.NoError(t, json.Indent(&pretty, v.JSON(), "", "  "))
	golden(t, "provenance.json", append(pretty.Bytes(), '\n'))

	require.True(t, first.Owed())
	for name, change := range map[string]func(*Record){
		"denied":           func(r *Record) { r.Outcome = "deny" },
		"not done":         func(r *Record) { r.Success = false },
		"use":              func(r *Record) { r.Disclosure = false },
		"pushed":           func(r *Record) { r.Recipient = "county-social" },
		"nothing left":     func(r *Record) { r.Entities = nil },
		"without a duty":   func(r *Record) { r.Obligations = nil },
		"only a Task made": func(r *Record) { r.Entities = second.Entities[1:] },
	} {
		r := *first
		change(&r)
		require.False(t, r.Owed(), name)
	}
}

// TestAuditEventHoldsSection10 names the contents that 703/2023 § 10 asks for and finds each in the view.
func TestAuditEventHoldsSection10(t *testing.T) {
	v, err := fhir.Parse(readPermit().AuditEvent(41), fhir.DefaultLimits)
	require.NoError(t, err)
	agent := func(system, code string) *fhir.Value {
		for _, a := range v.All("agent") {
			if a.Text("type", "coding", "system") == system && a.Text("type", "coding", "code") == code {
				return a
			}
		}
		return nil
	}
	custodian := agent(systemSNOMED, "159541003")
	require.Equal(t, "Organization/county", custodian.Text("who", "reference"))
	require.Equal(t, "health", custodian.Text("role", "coding", "code"))
	user := agent(systemPart, "IRCP")
	require.Equal(t, "Practitioner/social-worker", user.Text("who", "reference"))
	require.Equal(t, "care", user.Text("purposeOfUse", "coding", "code"))
	require.Equal(t, terms.LegalBasisPolicy("ATL-53.2"), user.Text("policy"))
	require.Equal(t, "county-social", agent(systemDCM, "110152").Text("who", "identifier", "value"))
	require.Equal(t, v.First("source", "observer").JSON(), agent(systemDCM, "110153").First("who").JSON(), "BALP val-audit-source")
	require.Equal(t, "110106", v.Text("type", "code"))
	require.Equal(t, "disclose", v.Text("subtype", "code"))
	require.Equal(t, "0", v.Text("outcome"))
	var whats []string
	for _, w := range v.All("entity", "what", "reference") {
		whats = append(whats, w.Str())
	}
	require.Equal(t, []string{
		"Patient/onni", "Observation/1/_history/3", "Consent/onni-permit/_history/1", "EpisodeOfCare/onni-social",
	}, whats)
	found := map[string]string{}
	for _, d := range v.All("entity", "detail") {
		found[d.Text("type")] = d.Text("valueString")
	}
	require.Equal(t, "41", found["ledger"])
	require.Equal(t, "permit", found["decision"])
	require.Equal(t, "ATL-53.2", found["basis"])
	require.Contains(t, found["citation"], "703/2023 § 53.2")
	require.Equal(t, "7", found["facts"])
}

func TestAuditEventOfADenialSaysWhy(t *testing.T) {
	v, err := fhir.Parse(auditEvents()["read-deny"].AuditEvent(-1), fhir.DefaultLimits)
	require.NoError(t, err)
	require.Equal(t, "4", v.Text("outcome"))
	require.Equal(t, "deny: a ban on the county's patient register outweighs the permit", v.Text("outcomeDesc"))
	require.Empty(t, v.All("meta", "profile"), "BALP profiles speak of what succeeded")
	require.Contains(t, string(v.JSON()), `{"type":"ledger","valueString":"pending"}`)
}

func BenchmarkAuditEvent(b *testing.B) {
	r := readPermit()
	for b.Loop() {
		r.AuditEvent(41)
	}
}
