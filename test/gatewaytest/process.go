package gatewaytest

import (
	"strings"
	"testing"
	"time"

	"sotesilta/gateway/sandbox"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

// Direct records directives of a client as the nurse does: each Consent with its Provenance. It answers their
// references.
func (g *Gateway) Direct(t testing.TB, client string, consents ...string) []string {
	t.Helper()
	var entries []string
	for i, consent := range consents {
		urn := "urn:uuid:00000000-0000-4000-8000-00000000000" + string(rune('0'+i))
		entries = append(entries,
			`{"fullUrl":"`+urn+`","resource":`+consent+`,"request":{"method":"POST","url":"Consent"}}`,
			`{"resource":`+sandbox.Provenance(urn, client, "nurse")+`,"request":{"method":"POST","url":"Provenance"}}`)
	}
	done := g.Nurse().Do(t, "POST", "", `{"resourceType":"Bundle","type":"transaction","entry":[`+strings.Join(entries, ",")+`]}`).Want(t, 200).Doc(t)
	var refs []string
	for i := range consents {
		ref, _, _ := strings.Cut(strings.TrimPrefix(done.Get("entry").Items()[2*i].Text("response", "location"), g.Root+"/fhir/"), "/_history/")
		refs = append(refs, ref)
	}
	return refs
}

// Withdraw makes a directive inactive, as the nurse does when the client takes it back.
func (g *Gateway) Withdraw(t testing.TB, client, ref string) {
	t.Helper()
	current := g.Nurse().Get(t, ref)
	doc := current.Doc(t)
	doc.Set("status", fhir.NewString("inactive"))
	g.Nurse().Do(t, "POST", "", `{"resourceType":"Bundle","type":"transaction","entry":[`+
		`{"fullUrl":"`+g.Root+`/fhir/`+ref+`","resource":`+string(doc.AppendJSON(nil))+`,"request":{"method":"PUT","url":"`+ref+`"}},`+
		`{"resource":`+sandbox.Provenance(ref, client, "nurse")+`,"request":{"method":"POST","url":"Provenance"}}]}`).Want(t, 200)
}

// Process is a running joint-client process that the nurse leads.
type Process struct {
	g                  *Gateway
	Client, Plan, Team string
}

// Begin starts the process of a client and takes it through the nurse's steps up to the invitations; the client
// accepts, and agrees to contact with social care (SHL 35 §).
func (g *Gateway) Begin(t testing.TB, client string) *Process {
	t.Helper()
	nurse := g.Nurse()
	plan := nurse.Do(t, "POST", "PlanDefinition/joint-client/$apply",
		`{"resourceType":"Parameters","parameter":[{"name":"subject","valueString":"Patient/`+client+`"}]}`).Want(t, 200).Doc(t)
	p := &Process{g: g, Client: client, Plan: Ref(plan), Team: plan.Text("careTeam", "reference")}
	p.Complete(t, terms.StepIdentify)
	g.Direct(t, client, sandbox.Assent(client, "SHL-35.1"))
	p.Complete(t, terms.StepDiscuss, TaskOutput("answer", `"valueCode":"accepted"`))
	p.Complete(t, terms.StepCheckResponsible, TaskOutput("responsible", `"valueCode":"none"`))
	start := time.Now().AddDate(0, 0, 7).Format("2006-01-02")
	booked := nurse.Create(t, `{"resourceType":"Appointment","status":"booked","start":"`+start+`T09:00:00+02:00","end":"`+start+`T10:00:00+02:00",
		"participant":[{"actor":{"reference":"Patient/`+client+`"},"status":"accepted"},{"actor":{"reference":"PractitionerRole/nurse"},"status":"accepted"}]}`)
	p.Complete(t, terms.StepBookAssessment, TaskOutput("appointment", `"valueReference":{"reference":"`+Ref(booked)+`"}`))
	nurse.Create(t, `{"resourceType":"QuestionnaireResponse","basedOn":[{"reference":"`+p.Plan+`"}],"status":"completed",
		"subject":{"reference":"Patient/`+client+`"},"authored":"`+fhir.Instant(time.Now())+`"}`)
	p.Complete(t, terms.StepAssess)
	return p
}

// TaskOutput is a Task.output or Task.input of a kind of ours; value is a JSON member.
func TaskOutput(kind, value string) string {
	return `{"type":{"coding":[{"system":"` + terms.Base + `CodeSystem/joint-client-output","code":"` + kind + `"}]},` + value + `}`
}

// Complete completes the open Task of a step as the nurse.
func (p *Process) Complete(t testing.TB, step string, outputs ...string) {
	t.Helper()
	tasks := p.g.Nurse().All(t, "Task?based-on="+p.Plan+"&code="+terms.Step+"%7C"+step+"&status=ready")
	if len(tasks) != 1 {
		t.Fatalf("%d open Tasks of the step %s", len(tasks), step)
	}
	task := tasks[0].Clone()
	if len(outputs) > 0 {
		task.Set("output", Parse(t, []byte(`{"x":[`+strings.Join(outputs, ",")+`]}`)).Get("x"))
	}
	p.Move(t, p.g.Nurse(), task, "completed")
}

// Move gives a Task another status.
func (p *Process) Move(t testing.TB, by *Party, task *fhir.Value, status string) {
	t.Helper()
	next := task.Clone()
	next.Set("status", fhir.NewString(status))
	by.Do(t, "PUT", Ref(task), next, "If-Match", `W/"`+task.Text("meta", "versionId")+`"`).Want(t, 200)
}

// Invite invites a professional as the nurse and answers the invitation; service is a HealthcareService, or "".
func (p *Process) Invite(t testing.TB, owner, service string) string {
	t.Helper()
	inputs, location := TaskOutput("sentence", `"valueString":"Asiakas toivoo yhteistä apua."`), ""
	if service != "" {
		inputs += "," + TaskOutput("service", `"valueReference":{"reference":"`+service+`"}`)
		location = `"location":{"reference":"Location/jukola"},`
	}
	return Ref(p.g.Nurse().Create(t, `{"resourceType":"Task","basedOn":[{"reference":"`+p.Plan+`"}],"status":"requested","intent":"order",
		"code":{"coding":[{"system":"`+terms.Step+`","code":"invite"}]},"for":{"reference":"Patient/`+p.Client+`"},
		"requester":{"reference":"PractitionerRole/nurse"},"owner":{"reference":"PractitionerRole/`+owner+`"},`+location+`
		"restriction":{"period":{"end":"`+time.Now().AddDate(0, 0, 14).Format("2006-01-02")+`"}},"input":[`+inputs+`]}`))
}

// Answer moves an invitation as its owner.
func (p *Process) Answer(t testing.TB, by *Party, invitation, status string) {
	t.Helper()
	p.Move(t, by, by.Get(t, invitation).Doc(t), status)
}
