package process

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/exchange"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

// TestOutputsAreOfTheirType: what a step says came of it is read by others, so it is in the type that the CodeSystem
// joint-client-output says, and in no other.
func TestOutputsAreOfTheirType(t *testing.T) {
	str := func(kindOf, value string) string { return kind(kindOf, `"valueString":"`+value+`"`) }
	for name, c := range map[string]struct{ step, output, says string }{
		"an answer as text":           {terms.StepDiscuss, str(answer, "accepted"), "valueCode accepted or declined"},
		"an answer that is none":      {terms.StepDiscuss, code(answer, "maybe"), "valueCode accepted or declined"},
		"an answer by reference":      {terms.StepDiscuss, refTo(answer, "Patient/aino"), "valueCode accepted or declined"},
		"no answer":                   {terms.StepDiscuss, code(outcome, "end"), "needs one output of type answer (CodeSystem joint-client-output): valueCode accepted or declined"},
		"none as text":                {terms.StepCheckResponsible, str(responsible, "none"), "valueCode none, or valueReference"},
		"a worker as text":            {terms.StepCheckResponsible, str(responsible, "PractitionerRole/doctor"), "valueCode none, or valueReference"},
		"an appointment as text":      {terms.StepBookAssessment, str(appointment, "Appointment/1"), "valueReference of an Appointment"},
		"something else than booked":  {terms.StepBookAssessment, refTo(appointment, "Encounter/1"), "valueReference of an Appointment"},
		"an appointment elsewhere":    {terms.StepBookAssessment, refTo(appointment, "https://example.org/Appointment/1"), "valueReference of an Appointment"},
		"an appointment of nothing":   {terms.StepBookAssessment, refTo(appointment, "Appointment/none"), "names no Appointment about the client"},
		"another client's":            {terms.StepBookAssessment, refTo(appointment, "Appointment/onni"), "names no Appointment about the client"},
		"the other register's":        {terms.StepBookAssessment, refTo(appointment, "Appointment/social"), "names no Appointment about the client"},
		"the outcome of one as text":  {terms.StepReview, str(outcome, "end"), "valueCode continue or end"},
		"an outcome that is none":     {terms.StepReview, code(outcome, "pause"), "valueCode continue or end"},
		"two outcomes, each possible": {terms.StepReview, code(outcome, "end") + "," + code(outcome, "continue"), "needs one output"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			var plan string
			if c.step == terms.StepReview {
				plan = w.until("nurse", "")
				_, err := w.accept("nurse", plan, "doctor")
				require.NoError(t, err)
				require.NoError(t, w.complete("nurse", plan, terms.StepDeliver))
			} else {
				plan = w.until("nurse", c.step)
			}
			task := w.openTask(plan, c.step)
			refused(t, w.complete("nurse", plan, c.step, c.output), c.says)
			require.Equal(t, "ready", w.status(task), "nothing changed")
		})
	}
}

func TestAnUnseenAppointmentIsAsAnAbsentOne(t *testing.T) {
	w := newWorld(t)
	plan := w.until("nurse", terms.StepBookAssessment)
	unseen := w.complete("nurse", plan, terms.StepBookAssessment, refTo(appointment, "Appointment/social"))
	absent := w.complete("nurse", plan, terms.StepBookAssessment, refTo(appointment, "Appointment/none"))
	require.Equal(t, absent.Error(), unseen.Error())
}

func TestAnAppointmentMayBeBookedInTheSameTransaction(t *testing.T) {
	w := newWorld(t)
	plan := w.until("nurse", terms.StepBookAssessment)
	book := func(client string) error {
		urn := "urn:uuid:00000000-0000-4000-8000-000000000001"
		_, err := w.Transact(context.Background(), w.people["nurse"], []exchange.Op{
			{Interaction: exchange.Create, Type: "Appointment", FullURL: urn, Doc: parse(`{"resourceType":"Appointment","status":"booked",
				"participant":[{"actor":{"reference":"Patient/` + client + `"},"status":"accepted"}]}`)},
			w.op(w.openTask(plan, terms.StepBookAssessment), to("completed", refTo(appointment, urn))),
		})
		return err
	}
	refused(t, book("onni"), "names no Appointment about the client")
	require.NoError(t, book("aino"))
	require.NotEmpty(t, w.openTask(plan, terms.StepAssess))
}

func TestAnInvitationNamesAServiceOfTheDirectory(t *testing.T) {
	w := newWorld(t)
	plan := w.until("nurse", "")
	_, err := w.invite("nurse", plan, "doctor", `"input":[`+refTo(service, "HealthcareService/none")+`]`)
	refused(t, err, "HealthcareService/none is not there")
	_, err = w.invite("nurse", plan, "doctor", `"input":[`+refTo(service, "HealthcareService/home-care")+`]`)
	require.NoError(t, err)
}

func TestNobodyIsInvitedTwiceAtOnce(t *testing.T) {
	w := newWorld(t)
	plan := w.until("nurse", "")
	first, err := w.invite("nurse", plan, "doctor")
	require.NoError(t, err)
	again := strings.Replace(w.invitation(plan, "nurse", "doctor"), "PractitionerRole/doctor", "Practitioner/doctor", 1)
	for name, text := range map[string]string{"by role": w.invitation(plan, "nurse", "doctor"), "by person": again} {
		_, err := w.post("nurse", text)
		require.Error(t, err, name)
		refused(t, err, "invited into this process already")
		require.Contains(t, err.Error(), first, "the refusal names the invitation that stands")
	}
	_, err = w.Transact(context.Background(), w.people["nurse"], []exchange.Op{
		{Interaction: exchange.Create, Type: "Task", Doc: parse(w.invitation(plan, "nurse", "social-worker"))},
		{Interaction: exchange.Create, Type: "Task", Doc: parse(w.invitation(plan, "nurse", "social-worker"))},
	})
	refused(t, err, "invited into this process already")

	require.NoError(t, w.put("doctor", first, to("accepted")))
	_, err = w.post("nurse", again)
	refused(t, err, "takes part in this process already, by "+first)
	_, err = w.invite("nurse", plan, "doctor", `"input":[`+refTo(service, "HealthcareService/joint-reception")+`]`)
	require.NoError(t, err, "into a joint service that the first invitation did not name")

	// One that is over, by its answer or by its date, is in nobody's way.
	rejected, err := w.invite("nurse", plan, "digi-nurse")
	require.NoError(t, err)
	require.NoError(t, w.put("digi-nurse", rejected, to("rejected")))
	_, err = w.invite("nurse", plan, "digi-nurse")
	require.NoError(t, err)
	w.now = w.now.AddDate(0, 0, 20)
	_, err = w.invite("nurse", plan, "digi-nurse")
	require.NoError(t, err)
}

// TestAnUnseenInvitationRefusesNothing: that a colleague of the other register invited somebody is told to nobody who
// may not read it.
func TestAnUnseenInvitationRefusesNothing(t *testing.T) {
	w := newWorld(t)
	plan := w.until("nurse", "")
	_, err := w.accept("nurse", plan, "social-worker")
	require.NoError(t, err)
	hidden, err := w.invite("social-worker", plan, "counsellor")
	require.NoError(t, err)
	if w.sees("nurse", hidden) {
		t.Skip("the law shows an unanswered invitation of the other register to the team")
	}
	_, err = w.invite("nurse", plan, "counsellor")
	require.NoError(t, err)
}

func TestAnIllegalTransitionIsToldWhatIsPossible(t *testing.T) {
	w := newWorld(t)
	plan := w.until("nurse", terms.StepAssess)
	step := w.openTask(plan, terms.StepAssess)
	refused(t, w.put("nurse", step, to("accepted")),
		"ready → accepted: not a transition. A step that is ready goes to in-progress, on-hold, completed or failed by its owner or the responsible worker.")
	refused(t, w.put("doctor", step, to("completed")), "not allowed for who is no party of the Task. A step that is ready goes to")
	invitation, err := w.invite("nurse", plan, "doctor")
	require.NoError(t, err)
	refused(t, w.put("nurse", invitation, to("accepted")),
		"An invitation that is requested goes to received, accepted or rejected by its owner; or to cancelled or entered-in-error by its requester or the responsible worker.")
	require.NoError(t, w.put("doctor", invitation, to("rejected")))
	refused(t, w.put("doctor", invitation, to("accepted")), "An invitation that is rejected is over and stays so.")
}

func TestApplyTakesTheSubjectAlone(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct{ parameter, says string }{
		"of R4's definition": {`{"name":"practitioner","valueString":"Practitioner/nurse"}`, "practitioner of $apply is not supported here"},
		"a unit":             {`{"name":"organization","valueString":"Organization/jukola"}`, "organization of $apply is not supported here"},
		"unknown":            {`{"name":"patient","valueString":"Patient/aino"}`, `$apply has no parameter "patient": it is unknown`},
	} {
		_, err := w.process.Apply(context.Background(), w, w.people["nurse"],
			parse(`{"resourceType":"Parameters","parameter":[{"name":"subject","valueString":"Patient/aino"},`+c.parameter+`]}`))
		var refusal *exchange.Error
		require.True(t, errors.As(err, &refusal), name)
		require.Equal(t, exchange.Invalid, refusal.Kind, name)
		require.Equal(t, fhir.Issue{Severity: "error", Code: "not-supported", Expression: "Parameters.parameter[1]", Diagnostics: refusal.Error()}, refusal.Issues[0], name)
		require.Contains(t, refusal.Error(), c.says, name)
	}
	for _, row := range w.order {
		require.NotContains(t, row, "CarePlan/", "nothing was started")
	}
}
