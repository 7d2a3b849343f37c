package hostile

import (
	"fmt"
	"strings"
	"testing"

	"sotesilta/internal/fhir"
	"sotesilta/test/gatewaytest"
)

// resolveInput is who a professional says that a message is about.
func resolveInput(code, family, given string) string {
	return fmt.Sprintf(`{"resourceType":"Parameters","parameter":[{"name":"resource","resource":{"resourceType":"Patient",
		"identifier":[{"system":"urn:oid:1.2.246.21","value":%q}],"name":[{"family":%q,"given":[%q]}]}}]}`, code, family, given)
}

// named finds the waiting Task of a message by its control id.
func named(t *testing.T, g *gatewaytest.Gateway, by *gatewaytest.Party, control string) *fhir.Value {
	t.Helper()
	found := by.All(t, "Task?code=unmatched-message&identifier=https://sotesilta.example/fhir/NamingSystem/message-control-id%7C"+control)
	if len(found) != 1 {
		t.Fatalf("%d Tasks of the message %s", len(found), control)
	}
	return found[0]
}

// A message that waits is given to a client by a professional of the system that sent it, by an explicit act that is
// recorded; nobody else can, and never to another person than the message names.
func TestAProfessionalResolvesAWaitingMessage(t *testing.T) {
	gatewaytest.Own(t, func(t *testing.T, g *gatewaytest.Gateway) {
		code, family, given, born := of(t, g, "aino")
		otherCode, otherFamily, otherGiven, _ := of(t, g, "onni")
		conn := dial(t, g)
		for control, message := range map[string]string{
			"R-NAME":    admit("R-NAME", code, "Entinen", given, born, "V-R1"),
			"R-NOCODE":  admit("R-NOCODE", "", family, given, born, "V-R2"),
			"R-SEVERAL": admit("R-SEVERAL", code, family, given, born, "V-R3") + "PID|2||" + otherCode + "^^^HETU^NNFIN||" + otherFamily + "^" + otherGiven + "\r",
			"R-TAKEN":   admit("R-TAKEN", "", family, given, born, "V-R4"),
		} {
			if got := send(t, conn, message).Get("MSA-1"); got != "AA" {
				t.Fatalf("%s is acknowledged with %s", control, got)
			}
		}
		// The visit V-R4 is another client's by now.
		send(t, conn, admit("R-OTHER", otherCode, otherFamily, otherGiven, strings.ReplaceAll(g.Nurse().Get(t, "Patient/onni").Doc(t).Text("birthDate"), "-", ""), "V-R4"))
		nurse := g.Nurse()
		task := named(t, g, nurse, "R-NAME")
		ref := gatewaytest.Ref(task)
		aino, onni := resolveInput(code, family, given), resolveInput(otherCode, otherFamily, otherGiven)
		encounters := func(visit string) []*fhir.Value { return nurse.All(t, "Encounter?identifier="+visit) }

		// Who does not see the Task, is no professional, or names somebody else.
		for _, p := range []*gatewaytest.Party{g.SocialWorker(), g.Physician(), g.DigiNurse()} {
			p.Do(t, "POST", ref+"/$resolve", aino).Outcome(t, 404)
		}
		g.As("jukola-ehr", "").Do(t, "POST", ref+"/$resolve", aino).Outcome(t, 422)
		nurse.Do(t, "POST", ref+"/$resolve", onni).Outcome(t, 422)
		nurse.Do(t, "POST", ref+"/$resolve", resolveInput(code, "Väärä", given)).Outcome(t, 422)
		nurse.Do(t, "POST", ref+"/$resolve", `{"resourceType":"Parameters"}`).Outcome(t, 400)
		nurse.Do(t, "POST", gatewaytest.Ref(named(t, g, nurse, "R-SEVERAL"))+"/$resolve", aino).Outcome(t, 422)
		nurse.Do(t, "POST", gatewaytest.Ref(named(t, g, nurse, "R-TAKEN"))+"/$resolve", aino).Outcome(t, 422)
		own := nurse.Create(t, `{"resourceType":"Task","status":"requested","intent":"order"}`)
		nurse.Do(t, "POST", gatewaytest.Ref(own)+"/$resolve", aino).Outcome(t, 422)
		if got := len(encounters("V-R1")) + len(encounters("V-R3")); got != 0 {
			t.Fatalf("%d Encounters were made by acts that were refused", got)
		}
		if status := nurse.Get(t, ref).Doc(t).Text("status"); status != "requested" {
			t.Fatalf("the Task is %s", status)
		}

		for control, visit := range map[string]string{"R-NAME": "V-R1", "R-NOCODE": "V-R2"} {
			task := named(t, g, nurse, control)
			ref := gatewaytest.Ref(task)
			done := nurse.Do(t, "POST", ref+"/$resolve", aino).Want(t, 200).Doc(t)
			made := encounters(visit)
			if len(made) != 1 || made[0].Text("subject", "reference") != "Patient/aino" || made[0].Text("meta", "security", "code") != "health" {
				t.Fatalf("the message made %d Encounters", len(made))
			}
			if gatewaytest.Ref(done) != ref || done.Text("status") != "completed" || done.Text("for", "reference") != "Patient/aino" ||
				done.All("output")[1].Text("valueReference", "reference") != gatewaytest.Ref(made[0]) {
				t.Errorf("the Task: %s", done.JSON())
			}
			// Once: the Task is over, and the message sent again makes nothing.
			nurse.Do(t, "POST", ref+"/$resolve", aino).Outcome(t, 422)
			if len(encounters(visit)) != 1 {
				t.Error("the message was recorded twice")
			}
			// What was done, and by whom, is in the client's log.
			by, together := map[string]bool{}, 0
			for _, event := range g.Auditor().All(t, "AuditEvent?patient=Patient/aino&_count=100") {
				text := string(event.JSON())
				if strings.Contains(text, `"nurse"`) || strings.Contains(text, "Practitioner/nurse") || strings.Contains(text, "PractitionerRole/nurse") {
					both := 0
					for _, of := range []string{ref, gatewaytest.Ref(made[0])} {
						if strings.Contains(text, of) {
							by[of] = true
							both++
						}
					}
					if both == 2 && strings.Contains(text, `"receive"`) {
						together++
					}
				}
			}
			// One record of both is one commit of both: no failure can come between them.
			if together != 1 {
				t.Errorf("the visit and the Task are in %d records together", together)
			}
			if !by[ref] || !by[gatewaytest.Ref(made[0])] {
				t.Errorf("the nurse's act is not recorded: %v", by)
			}
		}
		// Another way out: the message is nobody's here, which the professional says with a reason.
		task = named(t, g, nurse, "R-SEVERAL").Clone()
		task.Set("status", fhir.NewString("rejected"))
		nurse.Do(t, "PUT", gatewaytest.Ref(task), task, "If-Match", `W/"1"`).Want(t, 200)
		nurse.Do(t, "POST", gatewaytest.Ref(task)+"/$resolve", aino).Outcome(t, 422)
	})
}
