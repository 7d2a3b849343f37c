package process

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/gateway/exchange"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

func TestWhatAProcessTaskIsAboutNeverChanges(t *testing.T) {
	w := newWorld(t)
	plan := w.until("nurse", terms.StepAssess)
	invitation, err := w.invite("nurse", plan, "social-worker", `"input":[`+kind(sentence, `"valueString":"Asiakas toivoo apua."`)+`]`)
	require.NoError(t, err)
	for _, ref := range []string{w.openTask(plan, terms.StepAssess), invitation} {
		for name, text := range map[string]string{
			"intent": `"plan"`, "code": `{"coding":[{"system":"` + terms.Step + `","code":"end"}]}`, "basedOn": `[{"reference":"CarePlan/other"}]`,
			"for": `{"reference":"Patient/onni"}`, "requester": `{"reference":"PractitionerRole/doctor"}`, "owner": `{"reference":"PractitionerRole/doctor"}`,
			"partOf": `[{"reference":"Task/1"}]`, "restriction": `{"period":{"end":"2030-01-01"}}`, "location": `{"reference":"Location/jukola"}`,
			"input": `[` + refTo(service, "HealthcareService/joint-reception") + `]`, "authoredOn": `"2020-01-01"`, "instantiatesCanonical": `"http://example.org/x"`,
		} {
			refused(t, w.put("nurse", ref, set(name, text)), "Task."+name)
		}
		refused(t, w.delete("nurse", ref), "not deleted")
	}
	require.NoError(t, w.put("nurse", w.openTask(plan, terms.StepAssess), func(doc *fhir.Value) {
		doc.Set("code", parse(`{"coding":[{"display":"Tilanteen kartoitus","code":"assess","system":"`+terms.Step+`"}]}`))
	}), "the order of members does not count")
	refused(t, w.put("doctor", w.openTask(plan, terms.StepAssess), set("note", `[{"text":"?"}]`)), "only its owner")
	refused(t, w.put("nurse", w.openTask(plan, terms.StepAssess), set("note", `[{"authorReference":{"reference":"Patient/onni"},"text":"?"}]`)), "no other client")
	refused(t, w.put("nurse", invitation, set("description", `"HbA1c 90"`)), "Task.description")
	refused(t, w.put("nurse", invitation, set("note", `[{"text":"HbA1c 90"}]`)), "nothing from a register")
}

func TestAnswersStayWhatTheyWere(t *testing.T) {
	w := newWorld(t)
	plan := w.until("nurse", terms.StepCheckResponsible)
	var discuss string
	for _, ref := range w.order {
		if w.rows[ref].Type == "Task" && step(w.rows[ref].Doc) == terms.StepDiscuss {
			discuss = ref
		}
	}
	refused(t, w.put("nurse", discuss, to("completed", code(answer, "declined"))), "does not change any more")
	require.Equal(t, "draft", w.status(plan))
}

// TestNothingOfTheProcessIsMadeAroundIt: what is not ours to govern gets no process either, and an unseen process is
// as an absent one.
func TestNothingOfTheProcessIsMadeAroundIt(t *testing.T) {
	w := newWorld(t)
	plan := w.until("nurse", "")
	team := w.team(plan).Ref()
	task := func(members string) string {
		return `{"resourceType":"Task","status":"requested","intent":"order","for":{"reference":"Patient/aino"}` + members + `}`
	}
	ofStep := func(code string) string {
		return `,"code":{"coding":[{"system":"` + terms.Step + `","code":"` + code + `"}]}`
	}
	for name, c := range map[string]struct{ text, says string }{
		"a plan":                     {`{"resourceType":"CarePlan","status":"active","intent":"plan","subject":{"reference":"Patient/aino"},"instantiatesCanonical":["` + terms.JointClient + `|1"]}`, "$apply"},
		"a step":                     {task(ofStep(terms.StepEnd) + `,"basedOn":[{"reference":"` + plan + `"}]`), "opened by the process"},
		"no step of ours":            {task(ofStep("conquer") + `,"basedOn":[{"reference":"` + plan + `"}]`), "no step"},
		"two steps at once":          {task(`,"code":{"coding":[{"system":"` + terms.Step + `","code":"invite"},{"system":"` + terms.Step + `","code":"end"}]},"basedOn":[{"reference":"` + plan + `"}]`), "is one step"},
		"a Task based on the plan":   {task(`,"basedOn":[{"reference":"` + plan + `"}]`), "CarePlan.activity"},
		"an invitation into nothing": {task(ofStep(terms.StepInvite)), "whose team the inviter is in"},
		"an invitation into another": {w.invitation("CarePlan/none", "nurse", "doctor"), "whose team the inviter is in"},
	} {
		_, err := w.post("nurse", c.text)
		require.Error(t, err, name)
		refused(t, err, c.says)
	}
	_, err := w.invite("doctor", plan, "digi-nurse")
	refused(t, err, "whose team the inviter is in")
	_, err = w.invite("social-worker", plan, "counsellor")
	refused(t, err, "whose team the inviter is in")

	own, err := w.post("nurse", task(""))
	require.NoError(t, err)
	refused(t, w.put("nurse", own, set("basedOn", `[{"reference":"`+plan+`"}]`)), "CarePlan.activity")
	refused(t, w.put("nurse", own, set("code", `{"coding":[{"system":"`+terms.Step+`","code":"invite"}]}`)), "does not become a step")
	foreign, err := w.post("social-worker", task(`,"basedOn":[{"reference":"`+plan+`"}]`))
	require.NoError(t, err, "kept as given: who does not see the plan learns nothing of it")
	require.Empty(t, w.rows[foreign].Class.Process)
	require.NoError(t, w.put("social-worker", foreign, set("basedOn", `[{"reference":"CarePlan/none"}]`)))
	require.NoError(t, w.put("social-worker", foreign, set("basedOn", `[{"reference":"`+plan+`"}]`)))
	ownPlan, err := w.post("nurse", `{"resourceType":"CarePlan","status":"active","intent":"plan","subject":{"reference":"Patient/aino"}}`)
	require.NoError(t, err)
	refused(t, w.put("nurse", ownPlan, set("instantiatesCanonical", `["`+terms.JointClient+`"]`)), "$apply")
	require.NoError(t, w.put("nurse", ownPlan, set("careTeam", `[{"reference":"`+team+`"}]`)))
	require.Empty(t, w.rows[ownPlan].Class.Process)

	for name, text := range map[string]string{
		"subject": `{"reference":"Patient/onni"}`, "status": `"active"`, "intent": `"order"`, "instantiatesCanonical": `["x"]`, "careTeam": `[{"reference":"CareTeam/other"}]`, "period": `{"end":"2030"}`,
	} {
		err := w.put("nurse", plan, set(name, text))
		require.Error(t, err, name)
	}
	for name, text := range map[string]string{
		"subject": `{"reference":"Patient/aino","display":"x"}`, "status": `"active"`, "participant": `[{"member":{"reference":"PractitionerRole/doctor"}}]`,
	} {
		refused(t, w.put("nurse", team, set(name, text)), "CareTeam."+name)
	}
	refused(t, w.delete("nurse", plan), "not deleted")
	refused(t, w.delete("nurse", team), "not deleted")
	require.NoError(t, w.put("nurse", team, set("name", `"Ainon tiimi"`)))
}

func TestAssessments(t *testing.T) {
	w := newWorld(t)
	plan := w.until("nurse", terms.StepAssess)
	text := `{"resourceType":"QuestionnaireResponse","status":"completed","basedOn":[{"reference":"` + plan + `"}],"subject":{"reference":"Patient/aino"}}`
	_, err := w.post("doctor", text)
	refused(t, err, "a member of its team")
	_, err = w.post("jukola-ehr", text)
	refused(t, err, "a member of its team")
	foreign, err := w.post("social-worker", text)
	require.NoError(t, err, "who does not see the plan learns nothing of it")
	require.Empty(t, w.rows[foreign].Class.Process)
	_, err = w.post("nurse", strings.Replace(text, "Patient/aino", "Patient/onni", 1))
	refused(t, err, "about the plan's client")
	own, err := w.post("nurse", `{"resourceType":"QuestionnaireResponse","status":"completed","subject":{"reference":"Patient/aino"}}`)
	require.NoError(t, err)
	refused(t, w.put("nurse", own, set("basedOn", `[{"reference":"`+plan+`"}]`)), "does not become a joint document")
	joint, err := w.post("nurse", text)
	require.NoError(t, err)
	require.Equal(t, plan, w.rows[joint].Class.Process)
	refused(t, w.put("nurse", joint, set("basedOn", "")), "does not change")
	refused(t, w.delete("nurse", joint), "not deleted")
	require.NoError(t, w.put("nurse", joint, to("amended")))

	_, err = w.accept("nurse", plan, "social-worker")
	require.NoError(t, err)
	require.True(t, w.rows[joint].Class.Joint, "shared from this version on")
	require.False(t, w.rows[foreign].Class.Joint)
	require.False(t, w.rows[own].Class.Joint)
}

func TestInvitationsCarryNothingFromARegister(t *testing.T) {
	w := newWorld(t)
	plan := w.until("nurse", "")
	said := kind(sentence, `"valueString":"Asiakas toivoo apua."`)
	for name, c := range map[string]struct {
		change func(*fhir.Value)
		says   string
	}{
		"a focus": {set("focus", `{"reference":"Observation/1"}`), "nothing from a register"},
		"a note":  {set("note", `[{"text":"x"}]`), "nothing from a register"},
		"contained data": {func(doc *fhir.Value) {
			set("contained", `[{"resourceType":"Basic","id":"x","code":{"text":"x"}}]`)(doc)
			set("focus", `{"reference":"#x"}`)(doc)
		}, "nothing from a register"},
		"an extension":         {set("extension", `[{"url":"http://example.org/x","valueString":"x"}]`), "nothing from a register"},
		"another input":        {set("input", `[{"type":{"text":"x"},"valueString":"x"}]`), "at most one service"},
		"two sentences":        {set("input", `[`+said+`,`+said+`]`), "at most one service"},
		"a long sentence":      {set("input", `[`+kind(sentence, `"valueString":"`+strings.Repeat("a", sentenceLimit+1)+`"`)+`]`), "at most one service"},
		"a sentence of codes":  {set("input", `[`+kind(sentence, `"valueReference":{"reference":"Observation/1"}`)+`]`), "at most one service"},
		"a service elsewhere":  {set("input", `[`+refTo(service, "Observation/1")+`]`), "at most one service"},
		"an input that hides":  {set("input", `[`+strings.Replace(said, `{"type"`, `{"extension":[{"url":"http://example.org/x","valueString":"x"}],"type"`, 1)+`]`), "at most one service"},
		"a recipient":          {set("restriction", `{"period":{"end":"2026-12-01"},"recipient":[{"reference":"Patient/aino"}]}`), "its reply date"},
		"an output":            {set("output", `[`+code(outcome, "end")+`]`), "nothing from a register"},
		"no reply date":        {set("restriction", ""), "names the date"},
		"a reply date gone by": {set("restriction", `{"period":{"end":"2026-11-20"}}`), "names the date"},
		"a reply date far off": {set("restriction", `{"period":{"end":"2099-01-01"}}`), "names the date"},
		"accepted already":     {set("status", `"accepted"`), "begins as requested"},
		"a proposal":           {set("intent", `"proposal"`), "intent"},
		"two plans":            {set("basedOn", `[{"reference":"`+plan+`"},{"reference":"CarePlan/2"}]`), "one CarePlan"},
		"another client":       {set("for", `{"reference":"Patient/onni"}`), "the client of its CarePlan"},
		"in another's name":    {set("requester", `{"reference":"PractitionerRole/doctor"}`), "The inviter is the caller"},
		"nobody":               {set("owner", ""), "not registered"},
		"a stranger":           {set("owner", `{"reference":"Practitioner/stranger"}`), "not registered"},
		"a unit":               {set("owner", `{"reference":"Organization/county-social"}`), "not registered"},
		"oneself":              {set("owner", `{"reference":"PractitionerRole/nurse"}`), "Nobody invites themselves"},
		"oneself as a person":  {set("owner", `{"reference":"Practitioner/nurse"}`), "Nobody invites themselves"},
		"another definition":   {set("instantiatesCanonical", `"http://example.org/x"`), "instantiates"},
	} {
		t.Run(name, func(t *testing.T) {
			doc := parse(w.invitation(plan, "nurse", "social-worker"))
			c.change(doc)
			_, err := w.post("nurse", string(doc.JSON()))
			refused(t, err, c.says)
		})
	}
	early := newWorld(t)
	plan = early.until("nurse", terms.StepDiscuss)
	_, err := early.invite("nurse", plan, "doctor")
	refused(t, err, "before the client accepted")
}

func TestAnInvitationNotAnsweredInTimeIsOver(t *testing.T) {
	w := newWorld(t)
	plan := w.until("nurse", "")
	task, err := w.invite("nurse", plan, "social-worker")
	require.NoError(t, err)
	until := w.relationship(task)[0].Period.To
	w.now = until.Add(-time.Millisecond)
	require.True(t, w.sees("social-worker", task))
	w.now = until
	require.False(t, w.sees("social-worker", task), "the relationship ended by its period")

	// Also past the law the process refuses.
	row := w.rows[task]
	doc := row.Doc.Clone()
	doc.Set("status", fhir.NewString("accepted"))
	d := &exchange.Draft{Caller: w.people["social-worker"], Time: w.now, Items: []*exchange.Item{{Type: "Task", ID: row.ID, Before: row, Doc: doc, Class: row.Class}}}
	refused(t, w.process.Govern(context.Background(), w.View(d.Caller), d), "was to be answered by")
	require.NoError(t, w.put("nurse", task, to("cancelled")))
	require.Empty(t, w.relationship(task))
}

func TestAnInvitationWithoutARecordedBasisIsNotAccepted(t *testing.T) {
	w := newWorld(t)
	plan := w.until("nurse", "")
	task, err := w.invite("nurse", plan, "social-worker")
	require.NoError(t, err)
	row := w.rows[task]
	w.facts[client] = w.facts[client].Relate(task)
	doc := row.Doc.Clone()
	doc.Set("status", fhir.NewString("accepted"))
	d := &exchange.Draft{Caller: w.people["social-worker"], Time: w.now, Items: []*exchange.Item{{Type: "Task", ID: row.ID, Before: row, Doc: doc, Class: row.Class}}}
	refused(t, w.process.Govern(context.Background(), w.View(d.Caller), d), "no recorded decision")
}

func TestWhoLeftHasNoSay(t *testing.T) {
	w := newWorld(t)
	plan := w.until("nurse", "")
	doctor, err := w.accept("nurse", plan, "doctor")
	require.NoError(t, err)
	worker, err := w.accept("doctor", plan, "counsellor")
	if err == nil {
		require.NoError(t, w.put("doctor", doctor, to("completed")))
		refused(t, w.put("doctor", worker, to("cancelled")), "no party")
		_, err = w.invite("doctor", plan, "digi-nurse")
		refused(t, err, "whose team the inviter is in")
		require.NoError(t, w.put("nurse", worker, to("cancelled")), "the responsible worker has")
	}
}

func TestApply(t *testing.T) {
	w := newWorld(t)
	_, err := w.apply("digi-nurse")
	refused(t, err, "a client of one's own unit")
	_, err = w.apply("jukola-ehr")
	var refusal *exchange.Error
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, exchange.Forbidden, refusal.Kind)
	plan, err := w.apply("nurse")
	require.NoError(t, err)
	_, err = w.apply("doctor")
	refused(t, err, "running joint-client process already: "+plan)
	_, err = w.apply("social-worker")
	require.NoError(t, err, "what the caller may not see decides nothing")

	ended := w.people["counsellor"]
	facts := w.facts[client]
	facts.Relationships[1].Period = consent.Period{To: w.now}
	w.people["counsellor"] = ended
	_, err = w.apply("counsellor")
	refused(t, err, "a client of one's own unit")

	for name, c := range map[string]struct {
		params string
		says   string
	}{
		"no subject":         {`{"resourceType":"Parameters"}`, "exactly one subject"},
		"two subjects":       {`{"resourceType":"Parameters","parameter":[{"name":"subject","valueString":"a"},{"name":"subject","valueString":"b"}]}`, "exactly one subject"},
		"another resource":   {`{"resourceType":"Patient"}`, "exactly one subject"},
		"somebody elsewhere": {`{"resourceType":"Parameters","parameter":[{"name":"subject","valueReference":{"reference":"https://example.org/Patient/1"}}]}`, "a Patient of this gateway"},
		"a group":            {`{"resourceType":"Parameters","parameter":[{"name":"subject","valueString":"Group/1"}]}`, "a Patient of this gateway"},
	} {
		_, err := w.process.Apply(context.Background(), w, w.people["nurse"], parse(c.params))
		require.ErrorAs(t, err, &refusal, name)
		require.Equal(t, exchange.Invalid, refusal.Kind, name)
		require.Contains(t, refusal.Error(), c.says, name)
	}
	for _, id := range []string{"a", "Patient/a"} {
		subject, err := subjectOf(parse(`{"resourceType":"Parameters","parameter":[{"name":"subject","valueReference":{"reference":"` + id + `"}}]}`))
		require.NoError(t, err)
		require.Equal(t, "Patient/a", subject)
	}
}

// TestChangesAtOnce: of two changes that each decided on what the other changed, one is decided again.
func TestChangesAtOnce(t *testing.T) {
	for name, c := range map[string]struct {
		first, second func(w *world, plan, a, b string) error
	}{
		"two accept": {
			func(w *world, _, a, _ string) error { return w.put("doctor", a, to("accepted")) },
			func(w *world, _, _, b string) error { return w.put("social-worker", b, to("accepted")) },
		},
		"the end and an invitation": {
			func(w *world, plan, _, _ string) error { _, err := w.invite("nurse", plan, "digi-nurse"); return err },
			func(w *world, plan, _, _ string) error { return w.put("nurse", plan, to("revoked")) },
		},
		"an assessment and the first participant across": {
			func(w *world, plan, _, _ string) error {
				_, err := w.post("nurse", `{"resourceType":"QuestionnaireResponse","status":"completed","basedOn":[{"reference":"`+plan+`"}],"subject":{"reference":"Patient/aino"}}`)
				return err
			},
			func(w *world, _, _, b string) error { return w.put("social-worker", b, to("accepted")) },
		},
		"the last step and the first participant": {
			func(w *world, _, a, _ string) error { return w.put("doctor", a, to("accepted")) },
			func(w *world, plan, _, _ string) error { return w.complete("nurse", plan, terms.StepAssess) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			plan := w.until("nurse", terms.StepAssess)
			a, err := w.invite("nurse", plan, "doctor")
			require.NoError(t, err)
			b, err := w.invite("nurse", plan, "social-worker")
			require.NoError(t, err)
			w.before = func() { require.NoError(t, c.second(w, plan, a, b)) }
			require.ErrorIs(t, c.first(w, plan, a, b), errStale)
			_ = c.first(w, plan, a, b) // again, on what the other left
			whole(t, w)
		})
	}
	t.Run("two begin", func(t *testing.T) {
		w := newWorld(t)
		w.before = func() { _, err := w.apply("doctor"); require.NoError(t, err) }
		_, err := w.apply("nurse")
		require.ErrorIs(t, err, errStale)
		_, err = w.apply("nurse")
		refused(t, err, "running joint-client process already")
	})
}

// TestATransactionIsGovernedAsAWhole: what ends with its process in one transaction does not begin in it.
func TestATransactionIsGovernedAsAWhole(t *testing.T) {
	w := newWorld(t)
	plan := w.until("nurse", "")
	task, err := w.invite("nurse", plan, "social-worker")
	require.NoError(t, err)
	invitation := exchange.Op{Interaction: exchange.Create, Type: "Task", Doc: parse(w.invitation(plan, "nurse", "doctor"))}
	end := w.op(plan, to("revoked"))
	_, err = w.Transact(context.Background(), w.people["nurse"], []exchange.Op{invitation, end})
	refused(t, err, "has ended")
	_, err = w.Transact(context.Background(), w.people["nurse"], []exchange.Op{end, w.op(task, to("cancelled"))})
	refused(t, err, "has ended")
	whole(t, w)
	note := w.op(plan, set("note", `[{"text":"Arvio kirjattu."}]`))
	_, err = w.Transact(context.Background(), w.people["nurse"], []exchange.Op{note, invitation})
	require.NoError(t, err)
	whole(t, w)
}
