package process

import (
	"context"
	"slices"
	"strings"

	"sotesilta/gateway/exchange"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

// openStatuses of a Task: it still asks for something or gives something.
var openStatuses = map[string]bool{
	"draft": true, "requested": true, "received": true, "accepted": true, "ready": true, "in-progress": true, "on-hold": true,
}

// membership are the statuses of an invitation in which its owner is a participant.
var membership = map[string]bool{"accepted": true, "in-progress": true, "on-hold": true}

// step is the code of a Task of the process, or "".
func step(doc *fhir.Value) string {
	for _, coding := range doc.Get("code").Get("coding").Items() {
		if coding.Text("system") == terms.Step {
			return coding.Text("code")
		}
	}
	return ""
}

// steps counts the codings of a Task that say it is a step.
func steps(doc *fhir.Value) int {
	n := 0
	for _, coding := range doc.Get("code").Get("coding").Items() {
		if coding.Text("system") == terms.Step {
			n++
		}
	}
	return n
}

// task governs a Task.
func (g *governing) task(ctx context.Context, item *exchange.Item) error {
	switch {
	case item.Before != nil && item.Before.Class.Process != "":
		if item.Doc == nil {
			return violation("", "A Task of the joint-client process is not deleted; an invitation is cancelled, a step ends with its process.")
		}
		return g.move(ctx, item)
	case item.Doc == nil:
		return nil
	case item.Before == nil && steps(item.Doc) > 0:
		return g.open(ctx, item)
	case steps(item.Doc) > 0 && step(item.Before.Doc) != step(item.Doc):
		return violation("Task.code", "A Task outside the joint-client process does not become a step of it.")
	case item.Before != nil && processOf(item.Before.Doc) == processOf(item.Doc):
		return nil
	}
	run, err := g.process(ctx, item.Doc)
	if err != nil || run == nil {
		return err
	}
	return violation("Task.basedOn", "Only the steps of a joint-client process are based on its CarePlan; name other work in CarePlan.activity.")
}

// open governs a Task that a caller makes: invitations, and nothing else; the other steps are opened by the flow.
func (g *governing) open(ctx context.Context, item *exchange.Item) error {
	code := step(item.Doc)
	action := g.flow.action(code)
	switch {
	case steps(item.Doc) > 1:
		return violation("Task.code", "A Task is one step of the joint-client process.")
	case action == nil:
		return violation("Task.code", "%q is no step of the joint-client process; see PlanDefinition/joint-client.", code)
	case !action.byCallers:
		return violation("Task.code", "The step %s is opened by the process when the step before it is completed; callers make invitations only.", code)
	}
	run, err := g.process(ctx, item.Doc)
	if err != nil {
		return err
	}
	if run == nil || !run.member(g.draft.Caller.Actor) {
		return violation("Task.basedOn", "An invitation is based on the CarePlan of a joint-client process whose team the inviter is in.")
	}
	return g.invite(ctx, item, run)
}

// fixedMembers of a Task never change while it is a step: who, whom, what for and about whom.
var fixedMembers = []string{
	"intent", "code", "basedOn", "for", "requester", "owner", "partOf", "restriction", "input", "location", "authoredOn",
	"instantiatesCanonical", "instantiatesUri", "groupIdentifier", "description",
}

// move governs a new version of a Task of the process.
func (g *governing) move(ctx context.Context, item *exchange.Item) error {
	run, err := g.load(ctx, item.Before.Class.Process)
	if err != nil {
		return err
	}
	if run == nil {
		return violation("Task.basedOn", "The process of this Task is not known.")
	}
	if err := run.open(); err != nil {
		return err
	}
	before, code := item.Before.Doc, step(item.Before.Doc)
	if err := keep(before, item.Doc, "Task", "of a step of the joint-client process does not change.", fixedMembers...); err != nil {
		return err
	}
	from, to := before.Text("status"), item.Doc.Text("status")
	table, what := g.transitions.Step, "A step"
	if code == terms.StepInvite {
		table, what = g.transitions.Invite, "An invitation"
		if err := carries(item.Doc, answerMembers); err != nil {
			return err
		}
	}
	if err := table.check(what, item.Ref(), from, to, g.parties(run, before)); err != nil {
		return err
	}
	if err := about(item, run); err != nil {
		return err
	}
	item.Doc.Set("lastModified", fhir.NewString(g.now()))
	switch {
	case from == to:
		return nil
	case code == terms.StepInvite:
		return g.answered(ctx, item, run, from, to)
	case to == "completed":
		return g.completed(ctx, item, run, code)
	}
	return nil
}

// parties is what the caller is to a Task: its owner, who asked for it and is still in the team, who answers for it.
func (g *governing) parties(run *running, task *fhir.Value) []string {
	var out []string
	if g.isCaller(task.Text("owner", "reference")) {
		out = append(out, owner)
	}
	if g.isCaller(task.Text("requester", "reference")) && run.member(g.draft.Caller.Actor) {
		out = append(out, requester)
	}
	if g.isCaller(run.lead()) {
		out = append(out, responsible)
	}
	return out
}

// completed draws the consequences of a completed step. What follows it is opened by settle.
func (g *governing) completed(ctx context.Context, item *exchange.Item, run *running, code string) error {
	if err := outputs(item.Doc, code); err != nil {
		return err
	}
	switch code {
	case terms.StepDiscuss:
		if output(item.Doc, answer).Str() == "declined" {
			g.end(run, "revoked")
		}
	case terms.StepCheckResponsible:
		return g.takeOver(ctx, item, run)
	case terms.StepBookAssessment:
		if err := g.booked(ctx, item, run); err != nil {
			return err
		}
		if run.responsible() == "" { // from assess on somebody answers for the client's matter
			run.setResponsible(personOf(g.draft.Caller.Actor))
		}
	case terms.StepAssess, terms.StepDeliver, terms.StepReview:
		if named := output(item.Doc, responsible); named != nil {
			return g.handOver(run, named, "")
		}
	case terms.StepEnd:
		g.end(run, "completed")
	}
	return nil
}

// demand is what completing a step must tell as an output.
type demand struct {
	kind   string
	values []string // of a valueCode
	typ    string   // of a valueReference
	either bool     // beside values, a valueReference of one of the types that takeOver takes
}

var demands = map[string]demand{
	terms.StepDiscuss:          {kind: answer, values: []string{"accepted", "declined"}},
	terms.StepReview:           {kind: outcome, values: []string{"continue", "end"}},
	terms.StepCheckResponsible: {kind: responsible, values: []string{"none"}, either: true},
	terms.StepBookAssessment:   {kind: appointment, typ: "Appointment"},
}

// outputs checks that a completed step says what came of it, once, in the type that its readers rely on
// (CodeSystem joint-client-output).
func outputs(doc *fhir.Value, code string) error {
	need, found := demands[code]
	if !found {
		return nil
	}
	typ, value, count := typed(doc.Get("output"), need.kind)
	if count != 1 || value == nil {
		return violation("Task.output", "Completing %s needs one output of type %s (CodeSystem joint-client-output): %s.", code, need.kind, need)
	}
	switch typ {
	case "Code":
		if slices.Contains(need.values, value.Str()) {
			return nil
		}
	case "Reference":
		if to := fhir.ParseReference(value.Text("reference")); need.either || need.typ != "" && to.Local() && to.Type == need.typ {
			return nil
		}
	}
	return violation("Task.output", "The output %s of %s is a %s.", need.kind, code, need)
}

// String is what the output must be, as the refusals say it.
func (d demand) String() string {
	switch {
	case d.either:
		return "valueCode " + strings.Join(d.values, " or ") + ", or valueReference of a CareTeam, Practitioner or PractitionerRole"
	case d.values != nil:
		return "valueCode " + strings.Join(d.values, " or ")
	}
	return "valueReference of an " + d.typ + " (" + d.typ + "/id)"
}

// booked checks that the Appointment of book-assessment is one about the client, there for the caller to see; an
// unseen one is as an absent one. It may be made in the same transaction.
func (g *governing) booked(ctx context.Context, item *exchange.Item, run *running) error {
	id := fhir.ParseReference(output(item.Doc, appointment).Text("reference")).ID
	unknown := violation("Task.output", "The output appointment names no Appointment about the client that you may see: book it first, or in the same transaction.")
	if made := g.draft.Find("Appointment", id); made != nil {
		if made.Doc == nil || !slices.Contains(made.Class.Clients, run.client()) {
			return unknown
		}
		return nil
	}
	row, err := g.view.Get(ctx, "Appointment", id)
	if err != nil {
		return err
	}
	if row == nil || !slices.Contains(row.Class.Clients, run.client()) {
		return unknown
	}
	visible, err := g.view.Visible(ctx, row)
	if err != nil {
		return err
	}
	if !visible {
		return unknown
	}
	return nil
}

// alone has the changes of a process committed one after another, also those that only add a row to it.
func (g *governing) alone(run *running) {
	if slices.ContainsFunc(g.draft.Items, func(i *exchange.Item) bool { return i.Class.Process == run.ref }) {
		g.draft.Keys = append(g.draft.Keys, run.ref)
	}
}

// settle opens what follows the last completed step of each running process, once its start condition holds, and
// shares the documents of a process that reached across.
func (g *governing) settle() error {
	for _, run := range g.loaded() {
		g.alone(run)
		if run.open() != nil {
			continue
		}
		if last := run.lastStep(); last != nil && last.Text("status") == "completed" {
			for _, next := range g.flow.after(step(last), last) {
				if next.waits && !run.anyParticipant() {
					continue
				}
				if next.id == terms.StepDeliver {
					run.touch(run.plan).Doc.Set("status", fhir.NewString("active"))
				}
				g.openStep(run, next)
			}
		}
		if run.crossed {
			run.share()
		}
	}
	return nil
}

// openStep makes the Task of the next step, for the responsible worker, otherwise for the caller, who asks for it.
func (g *governing) openStep(run *running, next *action) {
	me := personOf(g.draft.Caller.Actor)
	holder := run.responsible()
	if holder == "" {
		holder = me
	}
	doc := g.stepTask(run.ref, run.subject(), next, me, holder)
	if next.months > 0 {
		doc.Set("restriction", fhir.NewObject(fhir.Member{Name: "period", Value: fhir.NewObject(
			fhir.Member{Name: "end", Value: fhir.NewString(g.draft.Time.AddDate(0, next.months, 0).Format("2006-01-02"))})}))
	}
	doc.Set("authoredOn", fhir.NewString(g.now()))
	doc.Set("lastModified", fhir.NewString(g.now()))
	class := run.plan.Class
	class.Type, class.Invitation, class.ServiceEvent = "Task", "", ""
	class.Joint = run.joint() && sharedSteps[next.id]
	g.draft.Add(nil, "Task", newID(), doc, class)
}

// stepTask is the Task of a step.
func (p *Process) stepTask(plan, subject string, of *action, requester, owner string) *fhir.Value {
	return fhir.NewObject(
		fhir.Member{Name: "resourceType", Value: fhir.NewString("Task")},
		fhir.Member{Name: "instantiatesCanonical", Value: fhir.NewString(p.canonical)},
		fhir.Member{Name: "basedOn", Value: fhir.NewArray(reference(plan))},
		fhir.Member{Name: "status", Value: fhir.NewString("ready")},
		fhir.Member{Name: "intent", Value: fhir.NewString("order")},
		fhir.Member{Name: "code", Value: fhir.NewObject(fhir.Member{Name: "coding", Value: fhir.NewArray(
			fhir.Coding{System: terms.Step, Code: of.id, Display: of.title}.Value())})},
		fhir.Member{Name: "description", Value: fhir.NewString(of.title)},
		fhir.Member{Name: "for", Value: reference(subject)},
		fhir.Member{Name: "requester", Value: reference(requester)},
		fhir.Member{Name: "owner", Value: reference(owner)},
	)
}
