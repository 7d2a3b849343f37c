package sandbox

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/auth"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

// client is whose journey it is. At its end the client's directives are withdrawn, so that the county is again as the
// contract describes it.
const client = "aino"

// Journey plays one joint client's nine steps.
type Journey struct {
	Root   string // public root of the gateway
	MLLP   string // address of its MLLP listener
	Keys   func(client string) (*auth.Key, error)
	Feed   *Feed
	Out    io.Writer // headings, and what went wrong
	EHR    *EHR      // the health station's own system: sends and takes HL7 v2
	Client string    // for tests: another client than the default

	parties map[string]*Party
	plan    string            // CarePlan/id
	notes   map[string]string // ids found on the way, by name
	ctx     context.Context
}

// want is what the law says of an exchange: the outcome, and the row it rests on ("" for a denial).
type want struct {
	outcome consent.Outcome
	basis   string
}

func permit(basis string) want { return want{consent.Permitted, basis} }

var (
	denied     = want{consent.Denied, ""}
	needsHuman = want{consent.NeedsHuman, ""}
)

// Play runs the journey. The first exchange that does not go as the law says ends it with an error.
func (j *Journey) Play(ctx context.Context) (err error) {
	j.ctx, j.parties, j.notes = ctx, map[string]*Party{}, map[string]string{}
	if j.Client == "" {
		j.Client = client
	}
	defer func() {
		if problem := recover(); problem != nil {
			failure, ours := problem.(failure)
			if !ours {
				panic(problem)
			}
			err = failure.error
		}
	}()
	for _, step := range []struct {
		title string
		play  func()
	}{
		{"1 identify · Yhteisasiakkuus tunnistetaan kontaktissa", j.identify},
		{"2 discuss · Puheeksiotto asiakkaan kanssa", j.discuss},
		{"3 check-responsible · Onko asiakkaalla jo vastuutyöntekijä tai -tiimi?", j.checkResponsible},
		{"4 book-assessment · Varataan kontakti tilanteen kartoitusta varten", j.bookAssessment},
		{"5 assess · Tilanteen kartoitus", j.assess},
		{"6 invite · Kutsutaan yhteistyöhön tarvittavat ammattilaiset", j.invite},
		{"7 deliver · Palvelut suunnitellusti", j.deliver},
		{"8 review · Suunnitelman päivitys", j.review},
		{"9 end · Yhteisasiakkuus päättyy", j.end},
	} {
		fmt.Fprintf(j.Out, "\n%s\n", step.title)
		step.play()
	}
	return nil
}

type failure struct{ error }

func (j *Journey) fail(format string, args ...any) { panic(failure{fmt.Errorf(format, args...)}) }

// as is the party of a user of a client, "" for the client itself.
func (j *Journey) as(clientID, user string) *Party {
	name := user + "@" + clientID
	if p := j.parties[name]; p != nil {
		return p
	}
	key, err := j.Keys(clientID)
	if err != nil {
		j.fail("key of %s: %w", clientID, err)
	}
	p := &Party{Root: j.Root, Client: clientID, User: user, Key: key}
	j.parties[name] = p
	return p
}

func (j *Journey) nurse() *Party        { return j.as("jukola-ehr", "nurse") }
func (j *Journey) doctor() *Party       { return j.as("jukola-ehr", "doctor") }
func (j *Journey) socialWorker() *Party { return j.as("county-social", "social-worker") }
func (j *Journey) digiNurse() *Party    { return j.as("omaks", "digi-nurse") }
func (j *Journey) ownView() *Party      { return j.as("omaks", j.Client) }

// do makes one exchange, and holds its answer and its record against what the law says.
func (j *Journey) do(p *Party, w want, status int, method, path string, body []byte, header ...string) *Answer {
	answer, err := p.Do(j.ctx, method, path, body, header...)
	if err != nil {
		j.fail("%s: %w", p.Name(), err)
	}
	if answer.Status != status {
		j.fail("%s: %s %s: answered %d, expected %d: %s", p.Name(), method, path, answer.Status, status, answer.Doc.Text("issue", "diagnostics"))
	}
	lines, err := j.Feed.Exchange(j.ctx, answer.RequestID)
	if err != nil {
		j.fail("%s: %s %s: %w", p.Name(), method, path, err)
	}
	if got := lines[0].Record.Outcome; got != w.outcome.String() {
		j.fail("%s: %s %s: the ledger says %s, the law says %s (%s)", p.Name(), method, path, got, w.outcome, lines[0].Record.Reason)
	}
	if w.basis == "" {
		return answer
	}
	for _, line := range lines {
		for _, basis := range line.Record.Bases {
			if basis.ID == w.basis {
				return answer
			}
		}
	}
	j.fail("%s: %s %s: does not rest on %s", p.Name(), method, path, w.basis)
	return nil
}

// search counts the matches that the law lets the party have.
func (j *Journey) search(p *Party, w want, query string, matches int) *Answer {
	answer := j.do(p, w, 200, "GET", query, nil)
	if got := len(answer.Matches()); got != matches {
		j.fail("%s: GET %s: %d matches, expected %d", p.Name(), query, got, matches)
	}
	return answer
}

// read reads a resource, or finds it absent.
func (j *Journey) read(p *Party, w want, ref string) *Answer {
	status := 200
	if w.outcome != consent.Permitted {
		status = 404
	}
	return j.do(p, w, status, "GET", ref, nil)
}

// openTask finds the one open Task of a step of the plan.
func (j *Journey) openTask(p *Party, basis, step string) *fhir.Value {
	answer := j.search(p, permit(basis), "Task?patient=Patient/"+j.Client+"&based-on="+j.plan+"&code="+terms.Step+"|"+step+"&status=ready", 1)
	return answer.Matches()[0].Clone()
}

// complete completes the open Task of a step, with outputs.
func (j *Journey) complete(p *Party, basis, step string, outputs ...string) {
	task := j.openTask(p, basis, step)
	if len(outputs) > 0 {
		task.Set("output", j.parse("["+strings.Join(outputs, ",")+"]"))
	}
	j.move(p, basis, task, "completed")
}

// move gives a Task another status.
func (j *Journey) move(p *Party, basis string, task *fhir.Value, status string) {
	task.Set("status", fhir.NewString(status))
	j.do(p, permit(basis), 200, "PUT", "Task/"+fhir.ID(task), task.AppendJSON(nil), "If-Match", `W/"`+task.Text("meta", "versionId")+`"`)
}

// output is a Task.output or Task.input of a kind of ours; value is a JSON member such as "valueCode":"none".
func output(kind, value string) string {
	return `{"type":{"coding":[{"system":"` + terms.Base + `CodeSystem/joint-client-output","code":"` + kind + `"}]},` + value + `}`
}

func (j *Journey) parse(text string) *fhir.Value {
	v, err := fhir.Parse([]byte(text), fhir.DefaultLimits)
	if err != nil {
		j.fail("%w", err)
	}
	return v
}

func (j *Journey) patient() string { return "Patient/" + j.Client }

// 1. The client comes to the health station; its system says so over MLLP, and the nurse recognises a joint client.
func (j *Journey) identify() {
	before := len(j.Feed.Lines())
	visit, err := j.EHR.Arrive(j.ctx, j.MLLP, j.Client)
	if err != nil {
		j.fail("ADT over MLLP: %w", err)
	}
	if _, err := j.Feed.Await(j.ctx, before, func(r *ledger.Record) bool {
		return r.Interaction == "receive" && r.Success && r.Outcome == "permit" && len(r.Entities) > 0
	}); err != nil {
		j.fail("the received message: %w", err)
	}
	nurse := j.nurse()
	arrived := j.search(nurse, permit("ATL-4.3-H"), "Encounter?patient="+j.patient()+"&identifier="+visit, 1)
	j.notes["encounter"] = "Encounter/" + fhir.ID(arrived.Matches()[0])
	j.do(nurse, permit("ATL-8"), 200, "POST", "Patient/$match", j.EHR.Match(j.Client))
	observations := j.search(nurse, permit("ATL-4.3-H"), "Observation?patient="+j.patient()+"&_sort=date", 3)
	j.notes["old"] = "Observation/" + fhir.ID(observations.Matches()[0])
	j.notes["new"] = "Observation/" + fhir.ID(observations.Matches()[2])
	j.notes["event"] = observations.Matches()[2].Text("encounter", "reference")
	// A client plan of social care: a type of which the nurse's own register holds nothing, from an earlier journey either.
	j.search(nurse, denied, "DocumentReference?patient="+j.patient(), 0)
	j.search(j.socialWorker(), denied, "Observation?patient="+j.patient(), 0)

	plan := j.do(nurse, permit("ATL-4.3-H"), 200, "POST", "PlanDefinition/joint-client/$apply",
		[]byte(`{"resourceType":"Parameters","parameter":[{"name":"subject","valueString":"`+j.patient()+`"}]}`))
	j.plan = "CarePlan/" + fhir.ID(plan.Doc)
	j.notes["team"] = plan.Doc.Text("careTeam", "reference")
	j.complete(nurse, "ATL-4.3-H", terms.StepIdentify)
}

// 2. The nurse raises it with the client, who accepts, gives a permit for what was recorded in the first half of 2026, and consents to
// contacting social care. Social care sees what the permit covers and not more.
func (j *Journey) discuss() {
	nurse := j.nurse()
	written := j.do(nurse, permit("ATL-58"), 200, "POST", "", j.directives(
		given{name: "permit", body: PermitToSocial(j.Client, Period{From: "2026-01-01", To: "2026-06-30"})},
		given{name: "assent", body: Assent(j.Client, "SHL-35.1")},
	))
	for i, name := range []string{"permit", "", "assent", ""} {
		if name == "" {
			continue
		}
		location := written.Doc.Get("entry").Items()[i].Text("response", "location")
		location, _, _ = strings.Cut(location, "/_history/")
		if at := strings.Index(location, "Consent/"); at >= 0 {
			j.notes[name] = location[at:]
		}
	}
	j.complete(nurse, "ATL-4.3-H", terms.StepDiscuss, output("answer", `"valueCode":"accepted"`))

	worker := j.socialWorker()
	j.search(worker, permit("ATL-53.2"), "Observation?patient="+j.patient(), 1)
	j.read(worker, permit("ATL-53.2"), j.notes["new"])
	j.read(worker, denied, j.notes["old"])
	j.read(worker, denied, j.plan)
	j.read(worker, denied, j.notes["permit"])
}

// 3. Nobody answers for the client's matter yet, in the nurse's own register. Across registers it is not asked: that
// would be a disclosure.
func (j *Journey) checkResponsible() {
	j.search(j.nurse(), permit("ATL-4.3-H"), "CareTeam?patient="+j.patient()+"&status=active", 0)
	j.complete(j.nurse(), "ATL-4.3-H", terms.StepCheckResponsible, output("responsible", `"valueCode":"none"`))
}

// 4. The nurse books the contact; the health station's system hears of it as HL7 v2.
func (j *Journey) bookAssessment() {
	before := len(j.Feed.Lines())
	start := time.Now().AddDate(0, 0, 7).Format("2006-01-02")
	booked := j.do(j.nurse(), permit("ATL-4.3-H"), 201, "POST", "Appointment", []byte(`{"resourceType":"Appointment","status":"booked",
		"serviceType":[{"text":"Tilanteen kartoitus"}],"start":"`+start+`T09:00:00+02:00","end":"`+start+`T10:00:00+02:00","minutesDuration":60,
		"participant":[{"actor":{"reference":"`+j.patient()+`"},"status":"accepted"},
		{"actor":{"reference":"PractitionerRole/nurse"},"status":"accepted"},
		{"actor":{"reference":"Location/jukola"},"status":"accepted"}]}`))
	j.complete(j.nurse(), "ATL-4.3-H", terms.StepBookAssessment, output("appointment", `"valueReference":{"reference":"Appointment/`+fhir.ID(booked.Doc)+`"}`))
	if _, err := j.Feed.Await(j.ctx, before, func(r *ledger.Record) bool { return r.Interaction == "notify" && r.Success }); err != nil {
		j.fail("the message that goes out: %w", err)
	}
	message, err := j.EHR.Received(j.ctx)
	if err != nil {
		j.fail("the health station's system: %w", err)
	}
	fmt.Fprintf(j.Out, "              the health station's system took in %s\n", message)
}

// 5. The situation is mapped; what is needed for the joint work is chosen into the assessment.
func (j *Journey) assess() {
	j.do(j.nurse(), permit("ATL-4.3-H"), 201, "POST", "QuestionnaireResponse", []byte(`{"resourceType":"QuestionnaireResponse",
		"basedOn":[{"reference":"`+j.plan+`"}],"status":"completed","subject":{"reference":"`+j.patient()+`"},"authored":"`+fhir.Instant(time.Now())+`",
		"item":[{"linkId":"1","text":"Mihin tarvitset tukea?","answer":[{"valueString":"Arjen sujumiseen ja diabeteksen hoitoon."}]}]}`))
	j.complete(j.nurse(), "ATL-4.3-H", terms.StepAssess)
}

// 6. A social worker and the station's doctor are invited into the joint reception, a digital nurse into the team.
// Social worker and doctor accept, the digital nurse rejects.
func (j *Journey) invite() {
	nurse := j.nurse()
	worker, doctor, digi := j.socialWorker(), j.doctor(), j.digiNurse()
	jointReception := output("service", `"valueReference":{"reference":"HealthcareService/joint-reception"}`)
	toWorker := j.invitation(nurse, "SHL-35.1", "social-worker", jointReception)
	toDoctor := j.invitation(nurse, "ATL-4.3-H", "doctor", jointReception)
	toDigi := j.invitation(nurse, "ATL-4.3-H", "digi-nurse", "")

	j.read(worker, denied, j.plan)
	task := j.read(worker, permit("SHL-35.1"), toWorker)
	j.move(worker, "SHL-35.1", task.Doc, "accepted")
	task = j.read(doctor, permit("ATL-4.3-H"), toDoctor)
	j.move(doctor, "ATL-4.3-H", task.Doc, "accepted")
	task = j.read(digi, permit("ATL-4.3-H"), toDigi)
	j.move(digi, "ATL-4.3-H", task.Doc, "rejected")
	j.read(digi, denied, j.plan)
}

// invitation makes an invitation and answers its reference.
func (j *Journey) invitation(from *Party, basis, owner, service string) string {
	inputs := output("sentence", `"valueString":"Asiakas toivoo yhteistä apua arkeen."`)
	location := ""
	if service != "" {
		inputs += "," + service
		location = `"location":{"reference":"Location/jukola"},`
	}
	answer := j.do(from, permit(basis), 201, "POST", "Task", []byte(`{"resourceType":"Task","basedOn":[{"reference":"`+j.plan+`"}],
		"status":"requested","intent":"order","code":{"coding":[{"system":"`+terms.Step+`","code":"invite"}]},
		"for":{"reference":"`+j.patient()+`"},"requester":{"reference":"PractitionerRole/`+from.User+`"},
		"owner":{"reference":"PractitionerRole/`+owner+`"},`+location+`
		"restriction":{"period":{"end":"`+time.Now().AddDate(0, 0, 14).Format("2006-01-02")+`"}},"input":[`+inputs+`]}`))
	return "Task/" + fhir.ID(answer.Doc)
}

// 7. The plan and the team are joint documents now: each sector reads its own copy. The joint reception's participants
// see what § 53.1 gives them, in both directions; nobody else does. Then the client bans one service event, and the
// next read of its data answers as absent.
func (j *Journey) deliver() {
	worker, doctor := j.socialWorker(), j.doctor()
	j.read(worker, permit("ATL-46"), j.plan)
	j.read(worker, permit("ATL-46"), j.notes["team"])
	j.search(worker, permit("ATL-53.1"), "Observation?patient="+j.patient(), 3)
	j.read(worker, permit("ATL-53.1"), j.notes["old"])
	assessed := j.search(doctor, permit("ATL-53.1"), "QuestionnaireResponse?patient="+j.patient()+"&authored=lt2026-01-01", 1)
	j.notes["social"] = "QuestionnaireResponse/" + fhir.ID(assessed.Matches()[0])
	j.read(j.nurse(), denied, j.notes["social"])

	ban := j.do(j.ownView(), permit("ATL-58"), 200, "POST", "", j.directives(given{name: "ban", body: BanServiceEvent(j.Client, j.notes["event"])}))
	location, _, _ := strings.Cut(ban.Doc.Get("entry").Items()[0].Text("response", "location"), "/_history/")
	j.notes["ban"] = location[strings.Index(location, "Consent/"):]
	j.read(worker, needsHuman, j.notes["new"])
	j.search(worker, permit("ATL-53.1"), "Observation?patient="+j.patient(), 2)
	j.read(j.nurse(), permit("ATL-4.3-H"), j.notes["new"])
	j.complete(j.nurse(), "ATL-4.3-H", terms.StepDeliver)
}

// 8. The social worker updates the plan; both sectors see the new version.
func (j *Journey) review() {
	worker := j.socialWorker()
	plan := j.read(worker, permit("ATL-46"), j.plan)
	plan.Doc.Set("note", j.parse(`[{"time":"`+fhir.Instant(time.Now())+`","text":"Sosiaaliohjaus alkaa, diabeteksen seuranta jatkuu."}]`))
	j.do(worker, permit("ATL-46"), 200, "PUT", j.plan, plan.Doc.AppendJSON(nil), "If-Match", plan.ETag)
	if again, err := worker.Do(j.ctx, "PUT", j.plan, plan.Doc.AppendJSON(nil), "If-Match", plan.ETag); err != nil || again.Status != 412 {
		j.fail("a stale If-Match is not refused: %v", err)
	}
	j.read(j.nurse(), permit("ATL-4.3-H"), j.plan)
	j.complete(j.nurse(), "ATL-4.3-H", terms.StepReview, output("outcome", `"valueCode":"end"`))
}

// 9. The joint clientship ends: access to the other register's data is over at once, and each register keeps its copy
// of the joint documents. The client takes back the directives given for it.
func (j *Journey) end() {
	worker := j.socialWorker()
	j.complete(j.nurse(), "ATL-4.3-H", terms.StepEnd)
	j.read(worker, denied, j.notes["old"])
	j.read(j.doctor(), denied, j.notes["social"])
	j.read(worker, permit("ATL-47"), j.plan)
	j.read(j.nurse(), permit("ATL-4.3-H"), j.plan)
	j.withdraw(j.nurse(), j.notes["permit"])
	j.withdraw(j.nurse(), j.notes["assent"])
	j.withdraw(j.ownView(), j.notes["ban"])
	j.search(worker, denied, "Observation?patient="+j.patient(), 0)
}

// withdraw makes a directive inactive, with the Provenance of who took it back.
func (j *Journey) withdraw(p *Party, ref string) {
	current := j.read(p, permit(map[bool]string{true: "ATL-74", false: "ATL-58"}[p.User == j.Client]), ref)
	current.Doc.Set("status", fhir.NewString("inactive"))
	body := `{"resourceType":"Bundle","type":"transaction","entry":[{"fullUrl":"` + p.Root + `/fhir/` + ref + `","resource":` + string(current.Doc.AppendJSON(nil)) +
		`,"request":{"method":"PUT","url":"` + ref + `","ifMatch":"` + strings.ReplaceAll(current.ETag, `"`, `\"`) + `"}},` +
		`{"resource":` + Provenance(ref, j.Client, p.User) + `,"request":{"method":"POST","url":"Provenance"}}]}`
	j.do(p, permit("ATL-58"), 200, "POST", "", []byte(body))
}

// given is a directive that the client gives, under the name the journey remembers it by.
type given struct{ name, body string }

// directives is a transaction of Consents, each with its Provenance.
func (j *Journey) directives(all ...given) []byte {
	var entries []string
	for _, d := range all {
		urn := "urn:uuid:" + ledger.NewID()
		by := "nurse"
		if d.name == "ban" {
			by = j.Client
		}
		entries = append(entries,
			`{"fullUrl":"`+urn+`","resource":`+d.body+`,"request":{"method":"POST","url":"Consent"}}`,
			`{"resource":`+Provenance(urn, j.Client, by)+`,"request":{"method":"POST","url":"Provenance"}}`)
	}
	return []byte(`{"resourceType":"Bundle","type":"transaction","entry":[` + strings.Join(entries, ",") + `]}`)
}
