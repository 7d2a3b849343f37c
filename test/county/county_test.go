// Package county holds the sandbox's county against the contract's "The sandbox county" and "What follows": who sees
// which data of whom, over HTTP, with contents.
package county

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"sotesilta/consent"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
	"sotesilta/test/gatewaytest"
)

func TestMain(m *testing.M) { os.Exit(gatewaytest.Main(m)) }

var everybody = []string{"aino", "onni", "helmi", "eino", "lumi", "toivo", "veikko"}

// professionals are all users of API clients who are no clients themselves.
func professionals(g *gatewaytest.Gateway) []*gatewaytest.Party {
	return []*gatewaytest.Party{
		g.Nurse(), g.Doctor(), g.SocialWorker(), g.Counsellor(), g.DigiNurse(), g.DigiCounsellor(), g.Physician(),
	}
}

// brief is what a test says of a resource: its type and what it holds.
func brief(r *fhir.Value) string {
	switch fhir.ResourceType(r) {
	case "Observation":
		return r.Text("code", "coding", "code")
	case "Condition":
		return r.Text("code", "coding", "code")
	case "QuestionnaireResponse":
		return tag(r, terms.ServiceTask) + "/" + tag(r, terms.DataClass) + ": " + r.Text("item", "answer", "valueString")
	}
	return gatewaytest.Ref(r)
}

func tag(r *fhir.Value, system string) string {
	for _, coding := range r.Get("meta").Get("security").Items() {
		if coding.Text("system") == system {
			return coding.Text("code")
		}
	}
	return ""
}

// sees is the sorted briefs of what a party finds of a client, each found again by its id.
func sees(t *testing.T, p *gatewaytest.Party, typ, client string) []string {
	t.Helper()
	found := p.All(t, typ+"?patient=Patient/"+client)
	var out []string
	for _, r := range found {
		subject := r.Text("subject", "reference") + r.Text("patient", "reference")
		if subject != "Patient/"+client {
			t.Errorf("%s searched %s of %s and got %s of %s", p, typ, client, gatewaytest.Ref(r), subject)
		}
		again := p.Get(t, gatewaytest.Ref(r))
		if again.Doc(t).Text("meta", "versionId") == "" {
			t.Errorf("%s: %s has no version", p, gatewaytest.Ref(r))
		}
		out = append(out, brief(r))
	}
	slices.Sort(out)
	return out
}

func same(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s\n got: %q\nwant: %q", what, got, want)
	}
}

const (
	pressure, weight, mood = "85354-9", "29463-7", "44261-6" // LOINC codes of everybody's three Observations
	help                   = "Tarvitsen apua asioinnissa."
)

// "All but veikko have a running relationship with the health station (health register) and with county social care
// (social register), so own-register use is permitted from the start."
func TestOwnRegisterUse(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		for _, client := range everybody {
			for _, p := range []*gatewaytest.Party{g.Nurse(), g.Doctor()} {
				want := []string{pressure, weight, mood}
				if client == "toivo" {
					want = want[:2] // the third is specially protected (psychiatry): left out until confirmed
				}
				same(t, fmt.Sprintf("%s on %s's Observations", p, client), sees(t, p, "Observation", client), want...)
				if got := sees(t, p, "Condition", client); len(got) != 2 {
					t.Errorf("%s on %s's Conditions: %q", p, client, got)
				}
				if got := sees(t, p, "Encounter", client); len(got) != 2 {
					t.Errorf("%s on %s's Encounters: %q", p, client, got)
				}
			}
			confirmed := g.Nurse()
			confirmed.Ground = &consent.Assertion{Task: "hoito", Reason: "lääkityksen arvio", Confirm: true}
			if client == "toivo" {
				same(t, "the nurse confirms on toivo's Observations", sees(t, confirmed, "Observation", client), pressure, weight, mood)
			}
			if client == "veikko" {
				continue
			}
			worker := g.SocialWorker()
			want := map[string][]string{
				"aino": {"working-age/need-assessment: " + help}, "onni": {"older-people/need-assessment: " + help},
				"eino": {"older-people/need-assessment: " + help}, "lumi": {"children-families/need-assessment: " + help},
				"toivo": {"working-age/need-assessment: " + help},
				// The entry on therapeutic work is beyond a social worker of broad client responsibility (457/2024 § 12).
				"helmi": {"working-age/need-assessment: " + help, "substance-abuse/need-assessment: Ei käyttöä tällä hetkellä."},
			}[client]
			same(t, "the social worker on "+client+"'s QuestionnaireResponses", sees(t, worker, "QuestionnaireResponse", client), want...)
			for _, typ := range []string{"ServiceRequest", "DocumentReference"} {
				if got := sees(t, worker, typ, client); len(got) != 1 {
					t.Errorf("%s on %s's %s: %q", worker, client, typ, got)
				}
			}
		}
	})
}

// "social users on health Observations see onni's, and nothing of aino, helmi, eino".
func TestSocialCareOnHealthData(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		for _, p := range []*gatewaytest.Party{g.SocialWorker(), g.Counsellor()} {
			same(t, p.String()+" on onni's Observations", sees(t, p, "Observation", "onni"), pressure, weight, mood)
			for _, client := range everybody {
				if client == "onni" {
					continue
				}
				for _, typ := range []string{"Observation", "Condition", "Encounter"} {
					same(t, fmt.Sprintf("%s on %s's %s", p, client, typ), sees(t, p, typ, client))
				}
			}
			for _, o := range p.All(t, "Observation?_count=2") {
				if o.Text("subject", "reference") != "Patient/onni" {
					t.Errorf("%s lists an Observation of %s", p, o.Text("subject", "reference"))
				}
			}
			for _, o := range g.Nurse().All(t, "Observation?patient=Patient/eino") {
				p.Do(t, "GET", gatewaytest.Ref(o), nil).Outcome(t, 404)
			}
		}
		if got := len(g.SocialWorker().All(t, "Condition?patient=Patient/onni")); got != 2 {
			t.Errorf("onni's permit covers all service events, but the social worker sees %d of 2 Conditions", got)
		}
	})
}

// "the nurse on social QuestionnaireResponses sees helmi's in the permitted palvelutehtävä and class, nothing of aino
// and onni". eino's permit to health care stands beside his ban, which is on the patient register only.
func TestHealthCareOnSocialData(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		for _, p := range []*gatewaytest.Party{g.Nurse(), g.Doctor()} {
			for _, client := range everybody {
				want := map[string][]string{
					"helmi": {"working-age/need-assessment: " + help}, "eino": {"older-people/need-assessment: " + help},
				}[client]
				same(t, fmt.Sprintf("%s on %s's QuestionnaireResponses", p, client), sees(t, p, "QuestionnaireResponse", client), want...)
				if want == nil {
					same(t, fmt.Sprintf("%s on %s's ServiceRequests", p, client), sees(t, p, "ServiceRequest", client))
					same(t, fmt.Sprintf("%s on %s's DocumentReferences", p, client), sees(t, p, "DocumentReference", client))
				}
			}
			var listed []string
			for _, r := range p.All(t, "QuestionnaireResponse") {
				listed = append(listed, brief(r))
			}
			same(t, p.String()+" lists QuestionnaireResponses", listed, "working-age/need-assessment: "+help, "older-people/need-assessment: "+help)
		}
	})
}

// "nobody sees eino's patient data across registers", whatever the purpose: with need-assessment too a human decides (O2).
func TestEino(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		across := []*gatewaytest.Party{g.SocialWorker(), g.Counsellor(), g.DigiNurse(), g.DigiCounsellor(), g.Physician(), g.NeedAssessment()}
		for _, typ := range []string{"Observation", "Condition", "Encounter"} {
			ids := gatewaytest.Refs(g.Nurse().All(t, typ+"?patient=Patient/eino"))
			if len(ids) == 0 {
				t.Fatalf("the nurse sees no %s of eino", typ)
			}
			for _, p := range across {
				same(t, fmt.Sprintf("%s on eino's %s", p, typ), sees(t, p, typ, "eino"))
				for _, ref := range ids {
					p.Do(t, "GET", ref, nil).Outcome(t, 404)
					p.Do(t, "GET", ref+"/_history", nil).Outcome(t, 404)
					p.Do(t, "GET", ref+"/_history/1", nil).Outcome(t, 404)
				}
			}
		}
	})
}

// "With need-assessment the social-worker sees aino's necessary health data".
func TestNeedAssessment(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		p := g.NeedAssessment()
		same(t, "need assessment on aino's Observations", sees(t, p, "Observation", "aino"), pressure, weight, mood)
		same(t, "need assessment on aino's Conditions", sees(t, p, "Condition", "aino"), "E11", "F32")
		same(t, "need assessment on veikko, unknown to social care", sees(t, p, "Observation", "veikko"))
		// The exchange is recorded as that person's assertion.
		event := record(t, g, p.Get(t, gatewaytest.Ref(p.All(t, "Observation?patient=Patient/aino")[0])))
		text := string(event.AppendJSON(nil))
		for _, want := range []string{"ATL-53.5b", "palvelutarpeen arviointi", "SHL 36 §", "need-assessment", "Practitioner/social-worker"} {
			if !strings.Contains(text, want) {
				t.Errorf("the AuditEvent does not hold %q: %s", want, text)
			}
		}
		// No default claims a statutory ground, and a client claims only what is registered.
		bare := g.SocialWorker()
		bare.Purpose = consent.NeedAssessment
		if bare.TryToken() == nil {
			t.Error("a token for need-assessment without an assertion")
		}
		nurse := g.Nurse()
		nurse.Purpose, nurse.Ground = p.Purpose, p.Ground
		if nurse.TryToken() == nil {
			t.Error("jukola-ehr is not registered for need-assessment and got a token for it")
		}
	})
}

// record is the AuditEvent that an answer's X-Request-Id names.
func record(t *testing.T, g *gatewaytest.Gateway, a *gatewaytest.Answer) *fhir.Value {
	t.Helper()
	id := a.Header.Get("X-Request-Id")
	if id == "" {
		t.Fatalf("%s: no X-Request-Id", a.Request)
	}
	return g.Auditor().Get(t, "AuditEvent/"+id).Doc(t)
}

// "toivo (turvakielto: address, telecom and municipality only to county units with a relationship, never in
// invitations, messages or notifications)".
func TestTurvakielto(t *testing.T) {
	gatewaytest.Own(t, func(t *testing.T, g *gatewaytest.Gateway) {
		hidden := func(r *fhir.Value) []string {
			var has []string
			for _, member := range []string{"address", "telecom"} {
				if r.Get(member) != nil {
					has = append(has, member)
				}
			}
			for _, ext := range r.Get("extension").Items() {
				if strings.HasSuffix(ext.Text("url"), "municipality-code") {
					has = append(has, "municipality")
				}
			}
			return has
		}
		for _, p := range []*gatewaytest.Party{g.Nurse(), g.SocialWorker()} {
			same(t, p.String()+" reads toivo", hidden(p.Get(t, "Patient/toivo").Doc(t)), "address", "municipality", "telecom")
		}
		// A clinic that treats him does not see them, and sees anybody else's.
		for _, client := range []string{"toivo", "aino"} {
			g.Physician().Do(t, "GET", "Patient/"+client, nil).Outcome(t, 404)
			g.Physician().Create(t, `{"resourceType":"EpisodeOfCare","status":"active","patient":{"reference":"Patient/`+client+`"},
				"managingOrganization":{"reference":"Organization/private-clinic"},"period":{"start":"2026-01-01"}}`)
		}
		other := g.Physician().Get(t, "Patient/aino").Doc(t)
		same(t, "the clinic reads aino", hidden(other), "address", "municipality", "telecom")
		toivo := g.Physician().Get(t, "Patient/toivo")
		same(t, "the clinic reads toivo", hidden(toivo.Doc(t)))
		if toivo.Doc(t).Text("name", "family") != "Testi" {
			t.Error("the clinic does not see toivo's name")
		}
		for _, leak := range []string{"Esimerkkikatu", "40100", "+358", "Jyväskylä"} {
			if strings.Contains(string(toivo.Body), leak) {
				t.Errorf("the clinic's view of toivo holds %q", leak)
			}
		}
		for _, found := range g.Physician().Get(t, "Patient?_id=toivo").Matches(t) {
			same(t, "the clinic finds toivo", hidden(found))
		}
		// What is withheld is no filter either.
		for _, query := range []string{"address-city=Jyväskylä", "address=Esimerkkikatu", "phone=%2B358%2040%20000%201005", "address-postalcode=40100"} {
			answer := g.Physician().Do(t, "GET", "Patient?"+query, nil)
			if answer.Status == 400 {
				continue // not a parameter here
			}
			if slices.Contains(answer.Want(t, 200).Refs(t), "Patient/toivo") {
				t.Errorf("the clinic finds toivo by %s", query)
			}
		}
	})
}

// "lumi (minor, capable of deciding, denies giving health data to the guardian)"; the clients' own view.
func TestOwnView(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		lumi, guardian, aino := g.As("omaks", "lumi"), g.As("omaks", "lumi-guardian"), g.As("omaks", "aino")
		same(t, "lumi on her Observations", sees(t, lumi, "Observation", "lumi"), pressure, weight, mood)
		same(t, "aino on her Observations", sees(t, aino, "Observation", "aino"), pressure, weight, mood)
		same(t, "aino on her QuestionnaireResponses", sees(t, aino, "QuestionnaireResponse", "aino"), "working-age/need-assessment: "+help)
		for _, typ := range []string{"Observation", "Condition", "Encounter"} {
			same(t, "lumi's guardian on her "+typ, sees(t, guardian, typ, "lumi"))
			same(t, "lumi on aino's "+typ, sees(t, lumi, typ, "aino"))
			same(t, "aino on lumi's "+typ, sees(t, aino, typ, "lumi"))
			if got := aino.All(t, typ); len(got) == 0 {
				t.Errorf("aino lists no %s", typ)
			} else {
				for _, r := range got {
					if who := r.Text("subject", "reference"); who != "Patient/aino" {
						t.Errorf("aino lists %s of %s", gatewaytest.Ref(r), who)
					}
				}
			}
		}
		for _, o := range lumi.All(t, "Observation?patient=Patient/lumi") {
			guardian.Do(t, "GET", gatewaytest.Ref(o), nil).Outcome(t, 404)
		}
		aino.Get(t, "Patient/aino")
		aino.Do(t, "GET", "Patient/onni", nil).Outcome(t, 404)
	})
}

// personTypes are all types that hold data about persons.
var personTypes = []string{
	"Patient", "CarePlan", "CareTeam", "Task", "Consent", "Provenance", "EpisodeOfCare", "Encounter", "Condition",
	"Observation", "QuestionnaireResponse", "ServiceRequest", "DocumentReference", "Appointment",
}

// The private clinic is another controller without a relationship, Omaks' professionals have none either, and the
// operator publishes without reading: none of them sees anybody.
func TestWithoutRelationship(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		for _, p := range []*gatewaytest.Party{g.Physician(), g.As("private-clinic", ""), g.DigiNurse(), g.DigiCounsellor(), g.As("omaks", ""), g.Operator()} {
			for _, typ := range personTypes {
				answer := p.Get(t, typ+"?_total=accurate")
				if refs := answer.Refs(t); len(refs) > 0 {
					t.Errorf("%s sees %q", p, refs)
				}
				if got := string(answer.Doc(t).Get("total").AppendJSON(nil)); got != "0" {
					t.Errorf("%s: %s has a total of %s", p, typ, got)
				}
			}
			for _, client := range everybody {
				p.Do(t, "GET", "Patient/"+client, nil).Outcome(t, 404)
			}
			p.Get(t, "HealthcareService/joint-reception") // the directory is everybody's
		}
	})
}

// "Without a user a client writes its own register's data and reads back what it wrote; all other person data answer
// as absent."
func TestSystemWithoutUser(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		ehr, social := g.As("jukola-ehr", ""), g.As("county-social", "")
		if got := len(ehr.All(t, "Observation")); got < 21 {
			t.Errorf("jukola-ehr reads back %d of the 21 Observations that it wrote", got)
		}
		if got := len(social.All(t, "QuestionnaireResponse")); got < 8 {
			t.Errorf("county-social reads back %d of the 8 QuestionnaireResponses that it wrote", got)
		}
		for _, typ := range []string{"QuestionnaireResponse", "ServiceRequest", "DocumentReference"} {
			same(t, "jukola-ehr lists "+typ, gatewaytest.Refs(ehr.All(t, typ)))
		}
		for _, typ := range []string{"Observation", "Condition", "Encounter"} {
			same(t, "county-social lists "+typ, gatewaytest.Refs(social.All(t, typ)))
		}
		// The users' permits are not the system's: helmi's and onni's data across stay absent.
		helmi := g.Nurse().All(t, "QuestionnaireResponse?patient=Patient/helmi")[0]
		ehr.Do(t, "GET", gatewaytest.Ref(helmi), nil).Outcome(t, 404)
		onni := g.SocialWorker().All(t, "Observation?patient=Patient/onni")[0]
		social.Do(t, "GET", gatewaytest.Ref(onni), nil).Outcome(t, 404)
		for _, client := range everybody {
			ehr.Do(t, "GET", "Patient/"+client, nil).Outcome(t, 404)
			social.Do(t, "GET", "Patient/"+client, nil).Outcome(t, 404)
		}
		same(t, "jukola-ehr lists Patients", gatewaytest.Refs(ehr.All(t, "Patient")))
	})
}

// "Directives are read by the unit that recorded them, the client's app and the auditor; to others they are absent."
func TestDirectives(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		all := g.Auditor().All(t, "Consent")
		var given []string
		byKey := map[string]string{}
		for _, c := range all {
			key := c.Text("patient", "reference") + " " + c.Text("policyRule", "coding", "code")
			given = append(given, key)
			byKey[key] = gatewaytest.Ref(c)
		}
		slices.Sort(given)
		same(t, "the auditor on all Consents", given, "Patient/onni ATL-53.2", "Patient/helmi ATL-53.3",
			"Patient/eino ATL-53.2", "Patient/eino ATL-53.3", "Patient/eino ATL-59")
		health := []string{"Patient/onni ATL-53.2", "Patient/eino ATL-53.2", "Patient/eino ATL-59"}
		social := []string{"Patient/helmi ATL-53.3", "Patient/eino ATL-53.3"}
		for _, tc := range []struct {
			p    *gatewaytest.Party
			sees []string
		}{
			{g.Nurse(), health},
			{g.Doctor(), health},
			{g.SocialWorker(), social},
			{g.Counsellor(), social},
			{g.DigiNurse(), nil},
			{g.DigiCounsellor(), nil},
			{g.Physician(), nil},
			{g.As("omaks", "aino"), nil},
			{g.As("omaks", "lumi-guardian"), nil},
			{g.NeedAssessment(), social},
		} {
			var want []string
			for _, key := range tc.sees {
				want = append(want, byKey[key])
			}
			same(t, tc.p.String()+" lists Consents", gatewaytest.Refs(tc.p.All(t, "Consent")), want...)
			total := tc.p.Get(t, "Consent?_summary=count").Doc(t).Get("total")
			if got := string(total.AppendJSON(nil)); got != fmt.Sprint(len(want)) {
				t.Errorf("%s counts %s Consents, sees %d", tc.p, got, len(want))
			}
			if got := len(tc.p.All(t, "Provenance")); got != len(want) {
				t.Errorf("%s sees %d Provenances of %d Consents", tc.p, got, len(want))
			}
			for key, ref := range byKey {
				if slices.Contains(tc.sees, key) {
					tc.p.Get(t, ref)
				} else {
					tc.p.Do(t, "GET", ref, nil).Outcome(t, 404)
				}
			}
		}
	})
}

// "veikko (health only, unknown to social care)".
func TestVeikko(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		g.Nurse().Get(t, "Patient/veikko")
		for _, p := range []*gatewaytest.Party{g.SocialWorker(), g.Counsellor(), g.NeedAssessment()} {
			p.Do(t, "GET", "Patient/veikko", nil).Outcome(t, 404)
			for _, r := range p.All(t, "Patient") {
				if fhir.ID(r) == "veikko" {
					t.Errorf("%s finds veikko", p)
				}
			}
			want := []string{"Patient/aino", "Patient/eino", "Patient/helmi", "Patient/lumi", "Patient/onni", "Patient/toivo"}
			same(t, p.String()+" lists Patients", gatewaytest.Refs(p.All(t, "Patient")), want...)
		}
	})
}

// "A system learns the id by POST Patient/$match (identity code and name in the body; recorded)."
func TestMatch(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		toivo := g.Nurse().Get(t, "Patient/toivo").Doc(t)
		ask := func(code, family, given string) string {
			return `{"resourceType":"Parameters","parameter":[{"name":"resource","resource":{"resourceType":"Patient",
				"identifier":[{"system":"urn:oid:1.2.246.21","value":"` + code + `"}],"name":[{"family":"` + family + `","given":["` + given + `"]}]}}]}`
		}
		code := toivo.Text("identifier", "value")
		for _, p := range []*gatewaytest.Party{g.As("jukola-ehr", ""), g.As("private-clinic", ""), g.Physician(), g.SocialWorker()} {
			found := p.Do(t, "POST", "Patient/$match", ask(code, "Testi", "Toivo")).Want(t, 200)
			same(t, p.String()+" asks for toivo", found.Refs(t), "Patient/toivo")
			for _, member := range []string{"address", "telecom", "extension"} {
				if found.Matches(t)[0].Get(member) != nil {
					t.Errorf("$match tells %s toivo's %s", p, member)
				}
			}
			if p.Client == "private-clinic" {
				continue // its exchanges with identity data are for its own controller's auditor
			}
			if event := record(t, g, found); event.Text("outcome") != "0" {
				t.Errorf("the match is recorded with outcome %s", event.Text("outcome"))
			}
			for _, wrong := range []string{ask(code, "Malli", "Toivo"), ask(code, "Testi", "Aino"), ask("010190-9999", "Testi", "Toivo")} {
				missed := p.Do(t, "POST", "Patient/$match", wrong).Want(t, 200)
				same(t, p.String()+" asks with a wrong name", missed.Refs(t))
				record(t, g, missed)
			}
		}
	})
}

// The auditor reads the ledger and nothing else; nobody else reads the ledger.
func TestAuditor(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		read := g.Nurse().Get(t, "Observation?patient=Patient/onni")
		id := read.Header.Get("X-Request-Id")
		event := record(t, g, read)
		if event.Text("outcome") != "0" || event.Text("id") != id {
			t.Errorf("the AuditEvent of a search: %s", event.AppendJSON(nil))
		}
		denied := g.SocialWorker().Get(t, "Observation?patient=Patient/aino")
		if event := record(t, g, denied); event.Text("outcome") == "0" {
			t.Errorf("the denial is recorded as a success: %s", event.AppendJSON(nil))
		}
		for _, p := range append(professionals(g), g.As("jukola-ehr", ""), g.As("omaks", "aino"), g.Operator()) {
			p.Do(t, "GET", "AuditEvent/"+id, nil).Outcome(t, 404)
			p.Do(t, "GET", "AuditEvent/00000000-0000-4000-8000-000000000000", nil).Outcome(t, 404)
			same(t, p.String()+" lists AuditEvents", gatewaytest.Refs(p.All(t, "AuditEvent")))
		}
		for _, typ := range []string{"Patient", "Observation", "Task", "CarePlan"} {
			g.Auditor().Do(t, "GET", typ, nil).Outcome(t, 403)
			g.Auditor().Do(t, "GET", typ+"/aino", nil).Outcome(t, 403)
		}
		of := g.Auditor().All(t, "AuditEvent?patient=Patient/onni&_count=50")
		if len(of) == 0 {
			t.Error("the auditor finds nothing about onni")
		}
		// What another controller's user asked of the county's data is for the county's auditor.
		observation := gatewaytest.Ref(g.Nurse().All(t, "Observation?patient=Patient/aino")[0])
		event = record(t, g, g.Physician().Do(t, "GET", observation, nil).Want(t, 404))
		if event.Text("outcome") == "0" || !strings.Contains(string(event.AppendJSON(nil)), "Practitioner/physician") {
			t.Errorf("the clinic's denied read: %s", event.AppendJSON(nil))
		}
	})
}

// "Labels show in meta.security (our CodeSystem register)".
func TestLabels(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		for _, tc := range []struct {
			p          *gatewaytest.Party
			typ, label string
		}{
			{g.Nurse(), "Observation", "health"},
			{g.Nurse(), "Encounter", "health"},
			{g.Nurse(), "Patient", "identity"},
			{g.SocialWorker(), "DocumentReference", "social"},
			{g.SocialWorker(), "Consent", "directive"},
			{g.SocialWorker(), "Provenance", "directive"},
			{g.Nurse(), "Organization", "directory"},
			{g.Nurse(), "HealthcareService", "directory"},
			{g.Nurse(), "PlanDefinition", "directory"},
		} {
			found := tc.p.All(t, tc.typ+"?_count=100")
			if len(found) == 0 {
				t.Errorf("%s sees no %s", tc.p, tc.typ)
			}
			for _, r := range found {
				want := tc.label
				if fhir.ResourceType(r) == "Observation" && r.Text("subject", "reference") == "" {
					want = "health"
				}
				if got := tag(r, terms.Register); got != want {
					t.Errorf("%s is labelled %q, want %q", gatewaytest.Ref(r), got, want)
				}
			}
		}
	})
}
