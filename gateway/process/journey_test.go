package process

import (
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

// TestTheWholeJourney plays the nine steps and looks at every row they make.
func TestTheWholeJourney(t *testing.T) {
	w := newWorld(t)

	// 1 identify
	plan, err := w.apply("nurse")
	require.NoError(t, err)
	require.Equal(t, "draft", w.status(plan))
	require.Equal(t, "proposed", w.team(plan).Doc.Text("status"))
	require.Equal(t, []string{"recogniser nurse"}, w.members(plan))
	first := w.openTask(plan, terms.StepIdentify)
	for _, name := range []string{"instantiatesCanonical", "description", "authoredOn", "lastModified", "requester", "owner", "code", "for"} {
		require.NotNil(t, w.rows[first].Doc.Get(name), "Task.%s (IHE DCP)", name)
	}
	for _, ref := range []string{plan, w.team(plan).Ref(), first} {
		require.Equal(t, plan, w.rows[ref].Class.Process)
		require.Equal(t, consent.Health, w.rows[ref].Class.Register)
		require.False(t, w.rows[ref].Class.Joint)
		require.True(t, w.sees("doctor", ref), "the unit's own register")
		require.False(t, w.sees("social-worker", ref))
	}
	require.NoError(t, w.complete("nurse", plan, terms.StepIdentify))

	// 2 discuss
	require.NoError(t, w.complete("nurse", plan, terms.StepDiscuss, code(answer, "accepted")))
	// 3 check-responsible
	require.NoError(t, w.complete("nurse", plan, terms.StepCheckResponsible, code(responsible, "none")))
	require.Equal(t, []string{"recogniser nurse"}, w.members(plan), "nobody answers for the matter yet")
	// 4 book-assessment
	require.NoError(t, w.complete("nurse", plan, terms.StepBookAssessment, refTo(appointment, "Appointment/1")))
	require.Equal(t, []string{"recogniser nurse", "responsible nurse"}, w.members(plan))

	// 5 assess
	assessment, err := w.post("nurse", `{"resourceType":"QuestionnaireResponse","status":"completed","basedOn":[{"reference":"`+plan+`"}],"subject":{"reference":"Patient/aino"}}`)
	require.NoError(t, err)
	require.Equal(t, plan, w.rows[assessment].Class.Process)
	require.False(t, w.rows[assessment].Class.Joint, "in one register until somebody accepts across")
	require.NoError(t, w.complete("nurse", plan, terms.StepAssess))
	require.Empty(t, w.openTask(plan, terms.StepDeliver), "deliver waits for a participant")

	// 6 invite
	service := refTo("service", "HealthcareService/joint-reception")
	toWorker, err := w.invite("nurse", plan, "social-worker", `"input":[`+service+`]`, `"location":{"reference":"Location/jukola"}`)
	require.NoError(t, err)
	rels := w.relationship(toWorker)
	require.Len(t, rels, 1)
	require.Equal(t, consent.Invited, rels[0].Kind)
	require.Equal(t, "SHL-35.1", rels[0].Basis)
	require.Equal(t, "2026-12-06T00:00:00Z", rels[0].Period.To.Format("2006-01-02T15:04:05Z07:00"), "the end of the reply date")
	require.True(t, w.sees("social-worker", toWorker))
	require.False(t, w.sees("social-worker", plan))
	require.False(t, w.sees("counsellor", toWorker), "a colleague is not invited")
	toDigi, err := w.invite("nurse", plan, "digi-nurse")
	require.NoError(t, err)
	require.NoError(t, w.put("digi-nurse", toDigi, to("rejected")))
	require.Empty(t, w.relationship(toDigi))

	require.NoError(t, w.put("social-worker", toWorker, to("accepted")))
	rels = w.relationship(toWorker)
	require.Len(t, rels, 1)
	require.Equal(t, consent.Relationship{
		Kind: consent.Participant, Evidence: toWorker, Controller: county, Register: consent.Social, Unit: "Organization/county-social",
		Person: "PractitionerRole/social-worker", Process: plan, Service: "HealthcareService/joint-reception", Location: "Location/jukola",
		Basis: "SHL-35.1", Period: rels[0].Period,
	}, rels[0])
	require.Equal(t, []string{"recogniser nurse", "responsible nurse", "participant social-worker"}, w.members(plan))
	require.Equal(t, "active", w.team(plan).Doc.Text("status"))
	require.Equal(t, "active", w.status(plan))
	deliver := w.openTask(plan, terms.StepDeliver)
	require.Equal(t, "PractitionerRole/nurse", w.rows[deliver].Doc.Text("owner", "reference"))
	for ref, joint := range map[string]bool{
		plan: true, w.team(plan).Ref(): true, assessment: true, deliver: true, toWorker: true, first: false, toDigi: false,
	} {
		require.Equal(t, joint, w.rows[ref].Class.Joint, ref)
		require.Equal(t, joint, w.sees("counsellor", ref), "%s: the other register reads its own copy of joint documents", ref)
	}
	require.Equal(t, consent.Health, w.rows[plan].Class.Register, "the register it began in stays known")

	// Later documents are joint from the start.
	later, err := w.post("social-worker", `{"resourceType":"QuestionnaireResponse","status":"completed","basedOn":[{"reference":"`+plan+`"}],"subject":{"reference":"Patient/aino"}}`)
	require.NoError(t, err)
	require.True(t, w.rows[later].Class.Joint)
	toDoctor, err := w.accept("social-worker", plan, "doctor")
	require.NoError(t, err)
	require.True(t, w.rows[toDoctor].Class.Joint)

	// 7 deliver ↔ 8 review, with due dates
	require.NoError(t, w.complete("nurse", plan, terms.StepDeliver))
	for range 2 {
		review := w.openTask(plan, terms.StepReview)
		require.True(t, w.rows[review].Class.Joint)
		require.Equal(t, w.now.AddDate(0, 1, 0).Format("2006-01-02"), w.rows[review].Doc.Text("restriction", "period", "end"))
		require.NoError(t, w.complete("nurse", plan, terms.StepReview, code(outcome, "continue")))
		again := w.openTask(plan, terms.StepDeliver)
		require.Equal(t, w.now.AddDate(1, 0, 0).Format("2006-01-02"), w.rows[again].Doc.Text("restriction", "period", "end"))
		require.NoError(t, w.complete("nurse", plan, terms.StepDeliver))
	}
	require.NoError(t, w.put("social-worker", plan, set("note", `[{"text":"Sosiaaliohjaus alkaa."}]`)))
	require.NoError(t, w.complete("nurse", plan, terms.StepReview, code(outcome, "end")))

	// 9 end
	require.NoError(t, w.complete("nurse", plan, terms.StepEnd))
	require.Equal(t, "completed", w.status(plan))
	require.NotEmpty(t, w.rows[plan].Doc.Text("period", "end"))
	require.Equal(t, "inactive", w.team(plan).Doc.Text("status"))
	require.Empty(t, w.members(plan))
	require.Equal(t, "completed", w.status(toWorker))
	for _, ref := range []string{toWorker, toDoctor, toDigi} {
		require.Empty(t, w.relationship(ref))
	}
	require.True(t, w.sees("counsellor", plan), "each register keeps its copy")
	refused(t, w.put("nurse", plan, set("note", `[{"text":"?"}]`)), "has ended")
	_, err = w.apply("nurse")
	require.NoError(t, err, "a new process may begin")
}

func TestDeclinedAtDiscuss(t *testing.T) {
	w := newWorld(t)
	plan := w.until("nurse", terms.StepDiscuss)
	require.NoError(t, w.complete("nurse", plan, terms.StepDiscuss, code(answer, "declined")))
	require.Equal(t, "revoked", w.status(plan))
	require.Equal(t, "inactive", w.team(plan).Doc.Text("status"))
	require.Empty(t, w.members(plan))
	for _, ref := range w.order {
		require.False(t, w.rows[ref].Class.Joint)
		require.False(t, w.sees("social-worker", ref), "for ever only the register it began in")
		if w.rows[ref].Type == "Task" {
			require.False(t, openStatuses[w.status(ref)], ref)
		}
	}
	_, err := w.invite("nurse", plan, "social-worker")
	refused(t, err, "has ended")
	_, err = w.post("nurse", `{"resourceType":"QuestionnaireResponse","status":"completed","basedOn":[{"reference":"`+plan+`"}],"subject":{"reference":"Patient/aino"}}`)
	refused(t, err, "has ended")
}

func TestAResponsibleWorkerWhoIsFoundTakesOver(t *testing.T) {
	w := newWorld(t)
	plan := w.until("nurse", terms.StepCheckResponsible)
	for name, c := range map[string]struct{ output, says string }{
		"not registered":                       {refTo(responsible, "PractitionerRole/nobody"), "not a registered professional"},
		"of the other register":                {refTo(responsible, "PractitionerRole/social-worker"), "accepting an invitation"},
		"without a relationship":               {refTo(responsible, "PractitionerRole/digi-nurse"), "no running relationship"},
		"a team that is not there":             {refTo(responsible, "CareTeam/none"), "not known or not active"},
		"a patient":                            {refTo(responsible, "Patient/aino"), "valueCode none, or valueReference"},
		"nothing told":                         {code(outcome, "end"), "needs one output of type responsible"},
		"two answers at once":                  {code(responsible, "none") + "," + refTo(responsible, "PractitionerRole/doctor"), "needs one output"},
		"a code that is no worker and no none": {code(responsible, "maybe"), "valueCode none, or valueReference"},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, w.complete("nurse", plan, terms.StepCheckResponsible, c.output), c.says)
		})
	}
	require.NoError(t, w.complete("nurse", plan, terms.StepCheckResponsible, refTo(responsible, "PractitionerRole/doctor")))
	require.Equal(t, []string{"recogniser nurse", "responsible doctor"}, w.members(plan))
	require.Empty(t, w.openTask(plan, terms.StepBookAssessment), "no second contact is booked")
	assess := w.openTask(plan, terms.StepAssess)
	require.Equal(t, "PractitionerRole/doctor", w.rows[assess].Doc.Text("owner", "reference"))
	refused(t, w.put("nurse", assess, to("completed")), "not allowed for the requester")
	require.NoError(t, w.put("doctor", assess, to("completed")))
}

func TestATeamThatIsFoundGivesItsResponsibleWorker(t *testing.T) {
	w := newWorld(t)
	team := func(user, status string) string {
		ref, err := w.post(user, `{"resourceType":"CareTeam","status":"`+status+`","subject":{"reference":"Patient/aino"},"participant":[
			{"role":[{"coding":[{"system":"`+roleSystem+`","code":"responsible"}]}],"member":{"reference":"PractitionerRole/nurse"},"period":{"end":"2026-01-01"}},
			{"role":[{"coding":[{"system":"`+roleSystem+`","code":"responsible"}]}],"member":{"reference":"PractitionerRole/doctor"}}]}`)
		require.NoError(t, err)
		return ref
	}
	plan := w.until("nurse", terms.StepCheckResponsible)
	unseen, over, running := team("social-worker", "active"), team("nurse", "inactive"), team("nurse", "active")
	for _, ref := range []string{unseen, over} {
		refused(t, w.complete("nurse", plan, terms.StepCheckResponsible, refTo(responsible, ref)), "not known or not active")
	}
	require.NoError(t, w.complete("nurse", plan, terms.StepCheckResponsible, refTo(responsible, running)))
	require.Equal(t, []string{"recogniser nurse", "responsible doctor"}, w.members(plan))
}

func TestTheResponsibleWorkerIsNeverMissing(t *testing.T) {
	invited := func(t *testing.T) (*world, string, map[string]string) {
		w := newWorld(t)
		plan := w.until("nurse", "")
		tasks := map[string]string{}
		for _, who := range []string{"doctor", "social-worker"} {
			task, err := w.accept("nurse", plan, who)
			require.NoError(t, err)
			tasks[who] = task
		}
		require.NoError(t, w.complete("nurse", plan, terms.StepDeliver, refTo(responsible, "PractitionerRole/social-worker")), "hands over")
		require.Equal(t, []string{"recogniser nurse", "participant doctor", "participant social-worker", "responsible social-worker"}, w.members(plan))
		require.Equal(t, "PractitionerRole/social-worker", w.rows[w.openTask(plan, terms.StepReview)].Doc.Text("owner", "reference"))
		return w, plan, tasks
	}
	t.Run("who leaves names another member", func(t *testing.T) {
		w, plan, tasks := invited(t)
		refused(t, w.put("social-worker", tasks["social-worker"], to("completed", refTo(responsible, "PractitionerRole/counsellor"))), "names a member of the team")
		refused(t, w.put("social-worker", tasks["social-worker"], to("completed", refTo(responsible, "PractitionerRole/social-worker"))), "names a member of the team")
		require.NoError(t, w.put("social-worker", tasks["social-worker"], to("completed", refTo(responsible, "PractitionerRole/doctor"))))
		require.Equal(t, []string{"recogniser nurse", "participant doctor", "responsible doctor"}, w.members(plan))
		require.Equal(t, "PractitionerRole/doctor", w.rows[w.openTask(plan, terms.StepReview)].Doc.Text("owner", "reference"), "open steps go over")
	})
	t.Run("otherwise the recogniser takes over", func(t *testing.T) {
		w, plan, tasks := invited(t)
		require.NoError(t, w.put("nurse", tasks["social-worker"], to("cancelled")))
		require.Equal(t, []string{"recogniser nurse", "participant doctor", "responsible nurse"}, w.members(plan))
		require.Empty(t, w.relationship(tasks["social-worker"]))
	})
	t.Run("only the responsible worker's end names a successor", func(t *testing.T) {
		w, _, tasks := invited(t)
		refused(t, w.put("doctor", tasks["doctor"], to("completed", refTo(responsible, "PractitionerRole/nurse"))), "Only the end of the responsible")
	})
}

func TestReinvitationMakesAMemberAnew(t *testing.T) {
	w := newWorld(t)
	plan := w.until("nurse", "")
	first, err := w.accept("nurse", plan, "social-worker")
	require.NoError(t, err)
	require.NoError(t, w.put("social-worker", first, to("rejected")))
	require.Equal(t, []string{"recogniser nurse", "responsible nurse"}, w.members(plan))
	require.Empty(t, w.relationship(first))
	refused(t, w.put("nurse", first, to("requested")), "not a transition")
	second, err := w.accept("nurse", plan, "social-worker")
	require.NoError(t, err)
	require.Equal(t, []string{"recogniser nurse", "responsible nurse", "participant social-worker"}, w.members(plan))
	entries := w.team(plan).Doc.Get("participant").Items()
	require.Len(t, entries, 4, "a new entry beside the one that ended")
	require.NotEmpty(t, entries[2].Text("period", "end"))
	require.Equal(t, fhir.ID(entries[3]), second[len("Task/"):])
}

// TestTwoInvitationsOfOnePerson: each membership ends with its own invitation.
func TestTwoInvitationsOfOnePerson(t *testing.T) {
	w := newWorld(t)
	plan := w.until("nurse", "")
	one, err := w.accept("nurse", plan, "doctor")
	require.NoError(t, err)
	two, err := w.accept("nurse", plan, "doctor", `"input":[`+refTo("service", "HealthcareService/joint-reception")+`]`)
	require.NoError(t, err)
	require.NoError(t, w.put("doctor", one, to("completed")))
	require.Equal(t, []string{"recogniser nurse", "responsible nurse", "participant doctor"}, w.members(plan))
	require.Empty(t, w.relationship(one))
	require.Len(t, w.relationship(two), 1)
}

func TestTwoDraftsAreUnitedAtTheFirstInvitationAcrossThatIsAccepted(t *testing.T) {
	w := newWorld(t)
	health := w.until("nurse", "")
	social := w.until("social-worker", "") // neither sees the other's
	kept, err := w.accept("social-worker", social, "counsellor")
	require.NoError(t, err)
	open, err := w.invite("social-worker", social, "digi-counsellor")
	require.NoError(t, err)
	require.Equal(t, "active", w.status(social))

	_, err = w.accept("nurse", health, "social-worker")
	require.NoError(t, err)
	require.Equal(t, "revoked", w.status(social))
	require.Equal(t, health, w.rows[social].Doc.Text("partOf", "reference"))
	require.False(t, w.rows[social].Class.Joint, "its documents stay in their register")
	require.False(t, w.sees("nurse", social))
	require.Empty(t, w.members(social))
	require.Equal(t, []string{"recogniser nurse", "responsible nurse", "participant social-worker", "participant counsellor"}, w.members(health))
	require.Equal(t, health, w.rows[kept].Class.Process)
	require.Equal(t, health, w.relationship(kept)[0].Process)
	require.Equal(t, consent.Participant, w.relationship(kept)[0].Kind)
	require.Equal(t, "cancelled", w.status(open))
	require.Empty(t, w.relationship(open))
	require.NoError(t, w.put("counsellor", kept, to("completed")))
	require.Equal(t, []string{"recogniser nurse", "responsible nurse", "participant social-worker"}, w.members(health))
	_, err = w.apply("social-worker")
	refused(t, err, "running joint-client process already")
}

func TestAnotherControllersParticipantMakesNothingJoint(t *testing.T) {
	w := newWorld(t)
	plan := w.until("nurse", "")
	task, err := w.accept("nurse", plan, "clinic-doctor")
	require.NoError(t, err)
	require.Equal(t, "ATL-54.5", w.relationship(task)[0].Basis)
	require.Contains(t, w.members(plan), "participant clinic-doctor")
	_, err = w.accept("nurse", plan, "neighbour")
	require.NoError(t, err)
	require.Contains(t, w.members(plan), "participant neighbour")
	for _, ref := range w.order {
		require.False(t, w.rows[ref].Class.Joint, ref)
	}
	require.False(t, w.sees("clinic-doctor", plan))
	_, err = w.accept("nurse", plan, "social-worker")
	require.NoError(t, err)
	require.True(t, w.rows[plan].Class.Joint)
	require.False(t, w.sees("clinic-doctor", plan), "never by this label")
	refused(t, w.complete("nurse", plan, terms.StepDeliver, refTo(responsible, "PractitionerRole/clinic-doctor")), "controller whose process it is")
}

func TestAProcessIsBrokenOffAtAnyTime(t *testing.T) {
	for _, stop := range []string{terms.StepIdentify, terms.StepDiscuss, terms.StepCheckResponsible, terms.StepBookAssessment, terms.StepAssess, ""} {
		t.Run("before "+stop, func(t *testing.T) {
			w := newWorld(t)
			plan := w.until("nurse", stop)
			refused(t, w.put("doctor", plan, to("revoked")), "only the responsible worker")
			refused(t, w.put("nurse", plan, to("completed")), "follows from its steps")
			require.NoError(t, w.put("nurse", plan, to("revoked")))
			require.Equal(t, "revoked", w.status(plan))
			require.Empty(t, w.members(plan))
			for _, ref := range w.order {
				if w.rows[ref].Type == "Task" {
					require.False(t, openStatuses[w.status(ref)], ref)
				}
			}
		})
	}
}

func TestAFailedStepIsTriedAgain(t *testing.T) {
	w := newWorld(t)
	plan := w.until("nurse", terms.StepAssess)
	assess := w.openTask(plan, terms.StepAssess)
	require.NoError(t, w.put("nurse", assess, to("failed")))
	_, err := w.accept("nurse", w.rows[assess].Class.Process, "doctor")
	require.NoError(t, err)
	require.Empty(t, w.openTask(w.rows[assess].Class.Process, terms.StepDeliver), "a failed step opens nothing")
	require.NoError(t, w.put("nurse", assess, to("ready")))
	require.NoError(t, w.put("nurse", assess, to("completed")))
	deliver := w.openTask(w.rows[assess].Class.Process, terms.StepDeliver)
	require.NoError(t, w.put("nurse", deliver, to("failed")))
	require.NoError(t, w.put("nurse", w.rows[assess].Class.Process, to("revoked")))
	require.Equal(t, "cancelled", w.status(deliver), "and is over with its process")
}

func TestWhoIsAParty(t *testing.T) {
	worker := consent.Actor{Kind: consent.Professional, Person: "Practitioner/1", Role: "PractitionerRole/1", Unit: "Organization/1"}
	for _, ref := range []string{"Practitioner/1", "PractitionerRole/1", "Organization/1"} {
		require.True(t, is(worker, ref), ref)
		for _, kind := range []consent.Kind{consent.System, consent.Client, consent.Guardian, consent.Auditor, consent.Operator} {
			other := worker
			other.Kind = kind
			require.False(t, is(other, ref), "%s is no party", kind)
		}
	}
	require.False(t, is(worker, ""))
	require.False(t, is(consent.Actor{Kind: consent.Professional}, ""))
	require.False(t, is(worker, "Practitioner/2"))
}
