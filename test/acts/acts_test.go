// Package acts plays the human's acts of the sandbox's county over HTTP: disclosures that a person decides on, their
// refusal, and the mending of mistakes; who then sees what, and what the ledger says.
package acts

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
	"sotesilta/test/gatewaytest"
)

func TestMain(m *testing.M) { os.Exit(gatewaytest.Main(m)) }

// acting is a professional who acts on a ground of law.
func acting(p *gatewaytest.Party, ground string, confirm ...bool) *gatewaytest.Party {
	p.Purpose = consent.StatutoryAct
	p.Ground = &consent.Assertion{Ground: ground, Reason: "ks. tehtävä", Confirm: len(confirm) > 0}
	return p
}

// input is one Task.input; fact one that tells a fact.
func input(code, value string) string { return typed(terms.ActInput, code, value) }

func fact(code string) string {
	return typed(terms.DisclosureFact, code, `"valueString":"Kerrottu: `+code+`."`)
}

// saying tells a fact in other words.
func saying(code, text string) string {
	return typed(terms.DisclosureFact, code, `"valueString":"`+text+`"`)
}

func typed(system, code, value string) string {
	return `{"type":{"coding":[{"system":"` + system + `","code":"` + code + `"}]},` + value + `}`
}

func ground(row string) string { return input("ground", `"valueCode":"`+row+`"`) }
func limb(code string) string  { return input("limb", `"valueCode":"`+code+`"`) }
func reason() string {
	return input("reason", `"valueString":"Välttämätöntä asiakkaan hoidolle."`)
}

func document(ref string) string {
	return input("document", `"valueReference":{"reference":"`+ref+`"}`)
}
func to(ref string) string { return input("recipient", `"valueReference":{"reference":"`+ref+`"}`) }
func outside(name, kind string) string {
	return input("recipient", `"valueReference":{"display":"`+name+`"}`) + "," + input("recipient-kind", `"valueCode":"`+kind+`"`)
}

// task is a Task of an act by a user.
func task(code, status, client, user, more string, inputs ...string) string {
	if more != "" {
		more += ","
	}
	return `{"resourceType":"Task","status":"` + status + `","intent":"order","code":{"coding":[{"system":"` + terms.HumanAct + `","code":"` + code + `"}]},
		"for":{"reference":"Patient/` + client + `"},"requester":{"reference":"PractitionerRole/` + user + `"},` + more + `"input":[` + strings.Join(inputs, ",") + `]}`
}

// first is the first resource that a party finds.
func first(t *testing.T, p *gatewaytest.Party, query string) *fhir.Value {
	t.Helper()
	found := p.All(t, query)
	require.NotEmpty(t, found, "%s finds %s", p, query)
	return found[0]
}

// put changes a resource that a party sees.
func put(t *testing.T, p *gatewaytest.Party, ref string, change func(*fhir.Value)) *gatewaytest.Answer {
	t.Helper()
	doc := p.Get(t, ref).Doc(t)
	change(doc)
	return p.Do(t, "PUT", ref, doc)
}

func with(status string, inputs ...string) func(*fhir.Value) {
	return func(doc *fhir.Value) {
		doc.Set("status", fhir.NewString(status))
		for _, text := range inputs {
			value, err := fhir.Parse([]byte(text), fhir.DefaultLimits)
			if err != nil {
				panic(err)
			}
			doc.Get("input").Append(value)
		}
	}
}

// outputs are the references of a Task's outputs of type document.
func outputs(doc *fhir.Value, member string) []string {
	var out []string
	for _, o := range doc.Get(member).Items() {
		if o.Text("type", "coding", "code") == "document" {
			out = append(out, o.Text("valueReference", "reference"))
		}
	}
	return out
}

// audited is the AuditEvents of an interaction about a client that the auditor finds, newest first.
func audited(t *testing.T, g *gatewaytest.Gateway, client, basis string) []*fhir.Value {
	t.Helper()
	return g.Auditor().All(t, "AuditEvent?patient=Patient/"+client+"&policy="+terms.LegalBasis+"%23"+basis)
}

// O2: eino banned the county's patient register, so the social authority's right needs a human. The social worker asks,
// the nurse of the health station decides, and the social worker reads exactly what the nurse named.
func TestAHumanDecidesWhatABanLeavesToThem(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		asker := g.NeedAssessment()
		require.Empty(t, asker.All(t, "Observation?patient=Patient/eino"), "the ban stands")
		request := asker.Create(t, task("request-disclosure", "requested", "eino", "social-worker", `"owner":{"reference":"Organization/jukola"}`,
			ground("ATL-53.5b"), fact("task"), reason(), input("wanted", `"valueString":"Verenpaineen viimeiset mittaukset."`)))
		ref := gatewaytest.Ref(request)

		nurse := acting(g.Nurse(), "ATL-53.5b")
		decision := first(t, nurse, "Task?patient=Patient/eino&code="+terms.HumanAct+"%7Cdecide-disclosure&status=requested")
		require.Equal(t, "PractitionerRole/social-worker", decision.Text("requester", "reference"))
		asker.Do(t, "GET", gatewaytest.Ref(decision), nil).Want(t, 404) // of the other register

		document_ := first(t, nurse, "Observation?patient=Patient/eino")
		put(t, nurse, gatewaytest.Ref(decision), with("completed")).Outcome(t, 422) // names no document
		put(t, nurse, gatewaytest.Ref(decision), with("completed", document(gatewaytest.Ref(document_)))).Want(t, 200)

		answered := asker.Get(t, ref).Doc(t)
		require.Equal(t, "completed", answered.Text("status"))
		copies := outputs(answered, "output")
		require.Len(t, copies, 1)
		worker := g.SocialWorker() // in ordinary work: it is in the social register now
		got := worker.Get(t, copies[0]).Doc(t)
		require.Equal(t, string(document_.Get("valueQuantity").JSON()), string(got.Get("valueQuantity").JSON()))
		require.Equal(t, []string{copies[0]}, worker.Get(t, "Observation?patient=Patient/eino").Refs(t), "and nothing beside it")
		provenance := first(t, worker, "Provenance?target="+copies[0])
		require.Equal(t, terms.LegalBasisPolicy("ATL-53.5b"), provenance.Get("policy").Items()[0].Str())
		require.Equal(t, terms.LegalBasisPolicy("ATL-48-ONWARD"), provenance.Get("policy").Items()[1].Str())
		require.Equal(t, gatewaytest.Ref(document_)+"/_history/1", provenance.Text("entity", "what", "reference"))
		require.Equal(t, "Organization/county", provenance.Get("agent").Items()[1].Text("who", "reference"))
		// What came stays as it came, and the nurse does not see the copy.
		put(t, worker, copies[0], func(doc *fhir.Value) { doc.Set("status", fhir.NewString("amended")) }).Outcome(t, 422)
		g.Nurse().Do(t, "GET", copies[0], nil).Want(t, 404)

		var disclosed *fhir.Value
		for _, event := range audited(t, g, "eino", "ATL-53.5b") {
			if strings.Contains(string(event.JSON()), gatewaytest.Ref(document_)+"/_history/1") && strings.Contains(string(event.Get("agent").JSON()), "PractitionerRole/nurse\"") || strings.Contains(string(event.JSON()), "Niina") {
				disclosed = event
			}
		}
		require.NotNil(t, disclosed, "the disclosure is recorded on its basis")
		text := string(disclosed.JSON())
		for _, holds := range []string{"Välttämätöntä asiakkaan hoidolle.", "task: Kerrottu: task.", "Organization/county-social", "\"disclosure\""} {
			require.Contains(t, text, holds)
		}
	})
}

func TestADecisionNotToDiscloseIsOneToo(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		asker := g.NeedAssessment()
		request := asker.Create(t, task("request-disclosure", "requested", "helmi", "social-worker", `"owner":{"reference":"Organization/jukola"}`,
			ground("ATL-53.5b"), fact("task"), reason()))
		nurse := acting(g.Nurse(), "ATL-53.5b")
		decision := first(t, nurse, "Task?patient=Patient/helmi&code="+terms.HumanAct+"%7Cdecide-disclosure&status=requested")
		put(t, nurse, gatewaytest.Ref(decision), with("rejected")).Outcome(t, 422) // without saying why
		put(t, nurse, gatewaytest.Ref(decision), func(doc *fhir.Value) {
			with("rejected")(doc)
			doc.Set("statusReason", gatewaytest.Parse(t, []byte(`{"text":"-"}`)))
		}).Outcome(t, 422)
		put(t, nurse, gatewaytest.Ref(decision), func(doc *fhir.Value) {
			with("rejected")(doc)
			doc.Set("statusReason", gatewaytest.Parse(t, []byte(`{"text":"Ei välttämätöntä arvioinnissa."}`)))
		}).Want(t, 200)
		got := asker.Get(t, gatewaytest.Ref(request)).Doc(t)
		require.Equal(t, "rejected", got.Text("status"))
		require.NotContains(t, string(got.JSON()), "välttämätöntä arvioinnissa", "the asker is not told why")
		denied := g.Auditor().All(t, "AuditEvent?patient=Patient/helmi&outcome=4")
		require.Contains(t, fmt.Sprint(texts(denied)), "a human decided: Ei välttämätöntä arvioinnissa.")
	})
}

func texts(list []*fhir.Value) []string {
	var out []string
	for _, v := range list {
		out = append(out, v.Text("outcomeDesc"))
	}
	return out
}

// Each ground asks for what its provision says, and the answer names it.
func TestAGroundAsksForItsFacts(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		worker := func(row string) *gatewaytest.Party { return acting(g.SocialWorker(), row) }
		nurse := func(row string) *gatewaytest.Party { return acting(g.Nurse(), row) }
		social := gatewaytest.Ref(first(t, g.SocialWorker(), "QuestionnaireResponse?patient=Patient/aino"))
		health := gatewaytest.Ref(first(t, g.Nurse(), "Observation?patient=Patient/aino"))
		police := outside("Sisä-Suomen poliisilaitos", "police")
		for _, c := range []struct {
			name   string
			by     *gatewaytest.Party
			inputs []string
			status int
			says   string
		}{
			{"limb of § 56", worker("ATL-56"), []string{ground("ATL-56"), fact("forbidden"), fact("need"), reason(), to("Organization/jukola"), document(social)}, 422, "needs its limb: one of 1, 2, 3"},
			{"unknown limb", worker("ATL-56"), []string{ground("ATL-56"), limb("9"), fact("forbidden"), fact("need"), reason(), to("Organization/jukola"), document(social)}, 422, "needs its limb"},
			{"facts of § 56", worker("ATL-56"), []string{ground("ATL-56"), limb("1"), fact("forbidden"), reason(), to("Organization/jukola"), document(social)}, 422, "needs the facts need"},
			{"reason", worker("ATL-56"), []string{ground("ATL-56"), limb("1"), fact("forbidden"), fact("need"), to("Organization/jukola"), document(social)}, 422, "needs a reason"},
			{"a fact of one sign", worker("ATL-56"), []string{ground("ATL-56"), limb("1"), fact("forbidden"), saying("need", "x"), reason(), to("Organization/jukola"), document(social)}, 422, "What was told of need does not count: a fact is at least 4 letters or digits, 3 of them different"},
			{"a reason of dots", worker("ATL-56"), []string{ground("ATL-56"), limb("1"), fact("forbidden"), fact("need"), input("reason", `"valueString":"....."`), to("Organization/jukola"), document(social)}, 422, "needs a reason, told in the person's own words: at least 4"},
			{"unknown ground", worker("ATL-999"), []string{ground("ATL-999"), reason(), to("Organization/jukola"), document(social)}, 422, "ATL-999 is no ground on which a person discloses"},
			{"no ground", worker("ATL-56"), []string{reason(), to("Organization/jukola"), document(social)}, 422, "names no ground"},
			{"unknown fact", worker("ATL-56"), []string{ground("ATL-56"), fact("whim"), reason(), to("Organization/jukola"), document(social)}, 422, "no fact of CodeSystem"},
			{"no recipient", worker("ATL-56"), []string{ground("ATL-56"), limb("1"), reason(), document(social)}, 422, "names its recipient"},
			{"recipient beyond the row", nurse("ATL-62"), []string{ground("ATL-62"), fact("threat"), reason(), outside("Käräjäoikeus", "court"), document(health)}, 422, "none but: police"},
			{"other register's ground", nurse("ATL-56"), []string{ground("ATL-56"), limb("1"), fact("forbidden"), fact("need"), reason(), to("Organization/county-social"), document(health)}, 422, "does not speak of these data"},
			{"unseen document", nurse("ATL-62"), []string{ground("ATL-62"), fact("threat"), reason(), police, document(social)}, 422, "no document about the client that you may see"},
			{"absent document", nurse("ATL-62"), []string{ground("ATL-62"), fact("threat"), reason(), police, document("Observation/none")}, 422, "no document about the client that you may see"},
			{"another ground than the token's", nurse("ATL-62"), []string{ground("LSL-25"), fact("concern"), reason(), to("Organization/county-social"), document(health)}, 422, "a person acts on one ground"},
			{"ordinary work", g.Nurse(), []string{ground("ATL-62"), fact("threat"), reason(), police, document(health)}, 422, "purpose_of_use statutory-act"},
			{"a system", g.As("jukola-ehr", ""), []string{ground("ATL-62"), fact("threat"), reason(), police, document(health)}, 422, "a professional's"},
			{"the police are told", nurse("ATL-62"), []string{ground("ATL-62"), fact("threat"), reason(), police, document(health)}, 201, ""},
			{"limb 2 of § 56", worker("ATL-56"), []string{ground("ATL-56"), limb("2"), fact("unobtainable"), fact("need"), reason(), to("Organization/jukola"), document(social)}, 201, ""},
		} {
			t.Run(c.name, func(t *testing.T) {
				user := c.by.User
				if user == "" {
					user = "nurse"
				}
				answer := c.by.Do(t, "POST", "Task", task("disclose", "completed", "aino", user, "", c.inputs...)).Want(t, c.status)
				require.Contains(t, string(answer.Body), c.says)
			})
		}
		told := audited(t, g, "aino", "ATL-62")
		require.Len(t, told, 1)
		require.Contains(t, string(told[0].JSON()), "Sisä-Suomen poliisilaitos")
		require.Contains(t, string(told[0].JSON()), health+"/_history/1")
	})
}

// An emergency is claimed with its reason, or it is none: no token, and the ledger tells who tried.
func TestAnEmergencyWithoutAReasonGetsNoToken(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		claims := func(reason string) *gatewaytest.Party {
			p := g.Nurse()
			p.Purpose, p.Ground = consent.Emergency, &consent.Assertion{Ground: "ATL-54.2", Reason: reason}
			return p
		}
		for _, reason := range []string{"", " ", "x", "......"} {
			require.ErrorContains(t, claims(reason).TryToken(), "an emergency is claimed with its reason", "%q", reason)
		}
		require.NoError(t, claims("potilas tajuton").TryToken())
		refused := g.Auditor().All(t, "AuditEvent?subtype="+terms.Interaction+"%7Ctoken")
		require.Len(t, refused, 4)
		text := string(refused[0].JSON())
		for _, holds := range []string{"an emergency was claimed without a reason", "PractitionerRole/nurse", "jukola-ehr", "emergency"} {
			require.Contains(t, text, holds)
		}
		require.Equal(t, "4", refused[0].Text("outcome"))
	})
}

// 703/2023 § 74.2 and 621/1999 § 11.2: the own view does not tell by itself that the police or child protection were told,
// nor by what surrounds it. The clerk's report on request, which a person makes, does; and other acts are shown.
func TestTheOwnViewLeavesNoticesToAPerson(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		report := func(p *gatewaytest.Party, parameters string) (string, []*fhir.Value) {
			answer := p.Do(t, "POST", "Patient/aino/$disclosure-report", `{"resourceType":"Parameters","parameter":[`+parameters+`]}`).Want(t, 200)
			var lines []*fhir.Value
			for _, r := range answer.Doc(t).All("entry", "resource") {
				if fhir.ResourceType(r) == "AuditEvent" {
					lines = append(lines, r)
				}
			}
			return string(answer.Body), lines
		}
		own := func() (string, []*fhir.Value) {
			return report(g.As("omaks", "aino"), `{"name":"form","valueCode":"own-view"}`)
		}
		clerk := func(register string) string {
			text, _ := report(g.Auditor(), `{"name":"form","valueCode":"section-11"},{"name":"register","valueCode":"`+register+`"}`)
			return text
		}
		health := gatewaytest.Ref(first(t, g.Nurse(), "Observation?patient=Patient/aino"))
		_, before := own()
		by := func(row string) *gatewaytest.Party { return acting(g.Nurse(), row) }
		by("ATL-62").Get(t, health) // to see what there is to tell
		by("ATL-62").Do(t, "POST", "Task", task("disclose", "completed", "aino", "nurse", "", ground("ATL-62"), reason(), outside("Poliisi", "police"), document(health))).Outcome(t, 422)
		by("ATL-62").Create(t, task("disclose", "completed", "aino", "nurse", "", ground("ATL-62"), fact("threat"), reason(), outside("Poliisi", "police"), document(health)))
		by("LSL-25").Create(t, task("disclose", "completed", "aino", "nurse", "", ground("LSL-25"), fact("concern"), reason(), to("Organization/county-social"), document(health)))
		text, after := own()
		require.Len(t, after, len(before)+1, "the line of the first report, and nothing else")
		for _, silent := range []string{"ATL-62", "LSL-25", "703/2023 § 62", "417/2007 § 25", "oliisi"} {
			require.False(t, strings.Contains(text, silent), silent)
		}
		require.True(t, strings.Contains(text, "Kaikkia ilmoituksia viranomaisille ei näytetä tässä"))
		asked := clerk("health")
		require.True(t, strings.Contains(asked, "703/2023 § 62") && strings.Contains(asked, "417/2007 § 25"))

		by("ATL-54.5").Create(t, task("disclose", "completed", "aino", "nurse", "", ground("ATL-54.5"), fact("agreement"), reason(), to("Organization/private-clinic"), document(health)))
		text, _ = own()
		require.True(t, strings.Contains(text, "703/2023 § 54.5"), "what was agreed with the patient is no secret from the patient")
	})
}

// A child protection notice about a client whom social care does not know yet: the unit reads it and the client's identity,
// and nothing else of the client.
func TestANotificationOpensItselfOnly(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		nurse := acting(g.Nurse(), "LSL-25")
		health := first(t, nurse, "Condition?patient=Patient/veikko")
		g.SocialWorker().Do(t, "GET", "Patient/veikko", nil).Want(t, 404)
		nurse.Create(t, task("disclose", "completed", "veikko", "nurse", "", ground("LSL-25"), fact("concern"), reason(), to("Organization/county-social"), document(gatewaytest.Ref(health))))
		worker := g.SocialWorker()
		notice := first(t, worker, "Task?patient=Patient/veikko")
		require.Equal(t, "receive-disclosure", notice.Text("code", "coding", "code"))
		require.NotContains(t, string(notice.JSON()), "Välttämätöntä", "the reason is the discloser's record")
		copies := outputs(notice, "input")
		require.Len(t, copies, 1)
		worker.Get(t, copies[0])
		require.Equal(t, "Patient/veikko", gatewaytest.Ref(worker.Get(t, "Patient/veikko").Doc(t)))
		require.Equal(t, copies, worker.Get(t, "Condition?patient=Patient/veikko").Refs(t))
		require.Empty(t, worker.All(t, "Observation?patient=Patient/veikko"))
		g.DigiCounsellor().Do(t, "GET", copies[0], nil).Want(t, 404) // another unit
		put(t, worker, gatewaytest.Ref(notice), with("completed")).Want(t, 200)
		require.NotEmpty(t, audited(t, g, "veikko", "LSL-25"))
	})
}

// lumi denies giving patient data to the guardian (703/2023 § 51). What health care tells child protection of her lies in
// the social register too, whose data her guardian sees: neither the copy nor the notice is among them.
func TestTheGuardianDoesNotReadWhatWasToldChildProtection(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		nurse := acting(g.Nurse(), "LSL-25")
		observation := gatewaytest.Ref(first(t, nurse, "Observation?patient=Patient/lumi"))
		act := gatewaytest.Ref(nurse.Create(t, task("disclose", "completed", "lumi", "nurse", "", ground("LSL-25"), fact("concern"), reason(),
			to("Organization/county-social"), document(observation))))
		worker := g.SocialWorker()
		notice := first(t, worker, "Task?patient=Patient/lumi&code="+terms.HumanAct+"%7Creceive-disclosure")
		copied := outputs(notice, "input")[0]
		worker.Get(t, copied)

		guardian := g.As("omaks", "lumi-guardian")
		require.NotEmpty(t, guardian.All(t, "QuestionnaireResponse?patient=Patient/lumi"), "social care's own data are the guardian's to see")
		require.Empty(t, guardian.All(t, "Observation?patient=Patient/lumi"))
		require.Empty(t, guardian.All(t, "Task?patient=Patient/lumi"))
		for _, ref := range []string{copied, copied + "/_history/1", gatewaytest.Ref(notice), act} {
			guardian.Do(t, "GET", ref, nil).Want(t, 404)
		}
		lumi := g.As("omaks", "lumi")
		lumi.Get(t, copied) // her own
		lumi.Do(t, "GET", act, nil).Want(t, 404)
	})
}

// Data about the dead are given of the dead, and a relative has a right of their own where the patient cannot decide
// (703/2023 §§ 49 and 52); a private provider is told what immediate care needs (§ 56.3).
func TestARowIsNotUsedForAnotherCase(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		refused := func(who *gatewaytest.Party, row, client, user, query string, inputs ...string) string {
			who = acting(who, row)
			ref := gatewaytest.Ref(first(t, who, query+"?patient=Patient/"+client))
			inputs = append(inputs, ground(row), reason(), document(ref))
			return who.Do(t, "POST", "Task", task("disclose", "completed", client, user, "", inputs...)).Outcome(t, 422).Text("diagnostics")
		}
		refused(g.Nurse(), "ATL-52", "onni", "nurse", "Observation", fact("application"), outside("Naapuri", "private-party"))
		require.Contains(t, refused(g.Nurse(), "ATL-49", "onni", "nurse", "Observation", fact("representation"), outside("Serkku", "representative")), "incapacity")
		refused(g.Nurse(), "JULKL-11", "lumi", "nurse", "Observation", fact("application"), outside("Lahja Testi", "private-party"))
		require.Contains(t, refused(g.SocialWorker(), "ATL-56", "onni", "social-worker", "QuestionnaireResponse",
			limb("1"), fact("need"), fact("unobtainable"), outside("Hoiva Oy", "private-social")), "immediate-care")
		for _, row := range []string{"TMEL-15", "VIRKA-22"} { // eino's ban is not passed inside the county
			refused(g.Nurse(), row, "eino", "nurse", "Observation", fact("multi-agency"), fact("request"), fact("task"), to("Organization/county-social"))
		}
	})
}

// A disclosure made by mistake is taken back: at the next answer the recipient does not have it, and is told so.
func TestAMistakenDisclosureIsRecalled(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		nurse := acting(g.Nurse(), "LSL-25")
		health := gatewaytest.Ref(first(t, nurse, "Encounter?patient=Patient/veikko"))
		made := gatewaytest.Ref(nurse.Create(t, task("disclose", "completed", "veikko", "nurse", "", ground("LSL-25"), fact("concern"), reason(), to("Organization/county-social"), document(health))))
		worker := g.SocialWorker()
		copies := worker.Get(t, "Encounter?patient=Patient/veikko").Refs(t)
		require.Len(t, copies, 1)
		act := func(ref string) string { return input("act", `"valueReference":{"reference":"`+ref+`"}`) }
		mending := acting(g.Nurse(), "GDPR-17")
		mending.Do(t, "POST", "Task", task("recall", "completed", "veikko", "nurse", "", ground("GDPR-17"), act(made))).Outcome(t, 422)
		acting(g.SocialWorker(), "GDPR-17").Do(t, "POST", "Task", task("recall", "completed", "veikko", "social-worker", "", ground("GDPR-17"), reason(), act(made))).Outcome(t, 422)
		mending.Create(t, task("recall", "completed", "veikko", "nurse", "", ground("GDPR-17"), reason(), act(made)))
		require.Empty(t, worker.Get(t, "Encounter?patient=Patient/veikko").Refs(t))
		worker.Do(t, "GET", copies[0], nil).Want(t, 404)
		worker.Do(t, "GET", copies[0]+"/_history/1", nil).Want(t, 404) // nor what it was
		worker.Do(t, "GET", copies[0]+"/_history", nil).Want(t, 404)
		for _, entry := range worker.Get(t, "Encounter/_history?_count=200").Doc(t).Get("entry").Items() {
			require.NotContains(t, entry.Text("fullUrl"), copies[0], "nor in the history of the type")
		}
		told := worker.All(t, "Task?patient=Patient/veikko&status=requested")
		require.Contains(t, fmt.Sprint(descriptions(told)), "peruttu")
		require.NotEmpty(t, audited(t, g, "veikko", "GDPR-17"))
		g.Nurse().Get(t, health) // one's own is as it was
	})
}

func descriptions(list []*fhir.Value) []string {
	var out []string
	for _, v := range list {
		out = append(out, v.Text("description"))
	}
	return out
}

// A label that was wrong is mended, and counts at the next answer; a rectified document is rectified where it went.
func TestWrongLabelsAndWrongDataAreMended(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		mending := acting(g.Nurse(), "GDPR-16")
		doc := g.Nurse().Create(t, `{"resourceType":"Observation","status":"final","code":{"text":"Mieliala"},"subject":{"reference":"Patient/onni"},"valueString":"Alakuloinen"}`)
		ref := gatewaytest.Ref(doc)
		g.SocialWorker().Get(t, ref) // onni's permit covers it
		label := func(code string) string {
			return input("label", `"valueCoding":{"system":"`+terms.Protection+`","code":"`+code+`"}`)
		}
		mending.Do(t, "POST", "Task", task("relabel", "completed", "onni", "nurse", "", ground("GDPR-16"), reason(), document(ref), label("no-such"))).Outcome(t, 422)
		mending.Create(t, task("relabel", "completed", "onni", "nurse", "", ground("GDPR-16"), reason(), document(ref), label("psychiatry")))
		g.SocialWorker().Do(t, "GET", ref, nil).Want(t, 404)
		g.SocialWorker().Do(t, "GET", ref+"/_history/1", nil).Want(t, 404) // the old version under its old label neither
		g.SocialWorker().Do(t, "GET", ref+"/_history", nil).Want(t, 404)
		for _, entry := range g.SocialWorker().Get(t, "Observation/_history?_count=200").Doc(t).Get("entry").Items() {
			require.NotContains(t, entry.Text("fullUrl"), ref, "nor in the history of the type")
		}
		require.NotEmpty(t, audited(t, g, "onni", "GDPR-16"))

		disclosing := acting(g.Nurse(), "LSL-25", true)
		disclosing.Create(t, task("disclose", "completed", "onni", "nurse", "", ground("LSL-25"), fact("concern"), reason(), to("Organization/county-social"), document(ref)))
		confirmed := g.SocialWorker()
		confirmed.Ground = &consent.Assertion{Task: "arviointi", Reason: "vahvistan", Confirm: true}
		notice := first(t, confirmed, "Task?patient=Patient/onni&code="+terms.HumanAct+"%7Creceive-disclosure")
		copied := outputs(notice, "input")[0]
		require.Equal(t, "Alakuloinen", confirmed.Get(t, copied).Doc(t).Text("valueString"))
		mending = acting(g.Nurse(), "GDPR-16", true)
		right := mending.Get(t, ref).Doc(t)
		right.Set("valueString", fhir.NewString("Tavanomainen"))
		rectify := task("rectify", "completed", "onni", "nurse", "", ground("GDPR-16"), reason(), document(ref))
		mending.Do(t, "POST", "Task", rectify).Outcome(t, 422) // without the corrected document
		mending.Do(t, "POST", "", `{"resourceType":"Bundle","type":"transaction","entry":[
			{"resource":`+rectify+`,"request":{"method":"POST","url":"Task"}},
			{"resource":`+string(right.JSON())+`,"request":{"method":"PUT","url":"`+ref+`"}}]}`).Want(t, 200)
		require.Equal(t, "Tavanomainen", confirmed.Get(t, copied).Doc(t).Text("valueString"))
		require.Contains(t, fmt.Sprint(descriptions(confirmed.All(t, "Task?patient=Patient/onni"))), "oikaistu")
	})
}

// A label that is mended after the document was disclosed bounds the recipient's copy too, and its unit is told.
func TestAMendedLabelReachesTheCopies(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		nurse, worker := g.Nurse(), g.SocialWorker()
		ref := gatewaytest.Ref(nurse.Create(t, `{"resourceType":"Observation","status":"final","code":{"text":"mieliala"},"subject":{"reference":"Patient/lumi"},"valueString":"Alakuloinen"}`))
		acting(nurse, "LSL-25").Create(t, task("disclose", "completed", "lumi", "nurse", "", ground("LSL-25"), fact("concern"), reason(), to("Organization/county-social"), document(ref)))
		var copied string
		for _, row := range worker.All(t, "Observation?patient=Patient/lumi") {
			if row.Text("valueString") == "Alakuloinen" {
				copied = gatewaytest.Ref(row)
			}
		}
		require.NotEmpty(t, copied)
		before := len(descriptions(worker.All(t, "Task?patient=Patient/lumi")))
		acting(nurse, "GDPR-16").Create(t, task("relabel", "completed", "lumi", "nurse", "", ground("GDPR-16"), reason(), document(ref),
			input("label", `"valueCoding":{"system":"`+terms.Protection+`","code":"psychiatry"}`)))

		worker.Do(t, "GET", copied, nil).Want(t, 404) // specially protected from now on: its use is confirmed
		worker.Do(t, "GET", copied+"/_history/1", nil).Want(t, 404)
		confirmed := g.SocialWorker()
		confirmed.Ground = &consent.Assertion{Task: "arviointi", Reason: "vahvistan", Confirm: true}
		require.Equal(t, "Alakuloinen", confirmed.Get(t, copied).Doc(t).Text("valueString"), "what was received stays as it came")
		told := descriptions(worker.All(t, "Task?patient=Patient/lumi"))
		require.Len(t, told, before+1)
		require.Contains(t, fmt.Sprint(told), "luokitus")
	})
}
