// Package process is the joint-client process as rules over FHIR resources: $apply on the PlanDefinition starts it,
// completing a Task opens the next ones, an accepted invitation makes a participant of the CareTeam, and the end of
// the process ends what it gave access to.
//
// The flow is read from the PlanDefinition that clients see (gateway/conformance) and who may move a Task how from
// transitions.yaml: rules are data (law 7). Process implements exchange.Rules, so that its rules hold for every
// change, whichever wire it came by; it decides nothing about law, but tells the Desk which invitations need a basis
// and which relationships rest on them.
package process

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"sotesilta/consent"
	"sotesilta/gateway/conformance"
	"sotesilta/gateway/exchange"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

// Codes of the outputs and inputs of steps (CodeSystem joint-client-output) and of team roles (CodeSystem team-role).
const (
	outputSystem = terms.Base + "CodeSystem/joint-client-output"
	roleSystem   = terms.Base + "CodeSystem/team-role"

	answer      = "answer"
	responsible = "responsible"
	appointment = "appointment"
	service     = "service"
	recogniser  = "recogniser"
	participant = "participant"
)

// Process holds the flow and the transitions of one PlanDefinition.
type Process struct {
	canonical   string
	flow        flow
	transitions transitions
	steps       map[string]string // display text by step code
}

// New reads the definitions of the joint-client process.
func New() (*Process, error) {
	definition, err := conformance.Resource("PlanDefinition", "joint-client")
	if err != nil {
		return nil, fmt.Errorf("process: %w", err)
	}
	p := &Process{canonical: definition.Text("url"), steps: map[string]string{}}
	if p.flow, err = readFlow(definition); err != nil {
		return nil, fmt.Errorf("process: %w", err)
	}
	for _, action := range definition.Get("action").Items() {
		p.steps[action.Text("id")] = action.Text("title")
	}
	if p.transitions, err = readTransitions(transitionsFile); err != nil {
		return nil, fmt.Errorf("process: %w", err)
	}
	return p, nil
}

// Govern holds every change to the process. It implements exchange.Rules.
func (p *Process) Govern(ctx context.Context, v exchange.View, d *exchange.Draft) error {
	g := &governing{Process: p, view: v, draft: d, processes: map[string]*running{}}
	if d.Caller.Interaction == exchange.Apply {
		return g.start(ctx)
	}
	for _, item := range slices.Clone(d.Items) { // consequences are ours already
		var err error
		switch {
		case item.Consequence:
		case item.Type == "Task":
			err = g.task(ctx, item)
		case item.Type == "CarePlan":
			err = g.plan(ctx, item)
		case item.Type == "CareTeam":
			err = g.team(ctx, item)
		case item.Type == "QuestionnaireResponse":
			err = g.assessment(ctx, item)
		}
		if err != nil {
			return err
		}
	}
	return g.settle(ctx)
}

// governing is one draft under the rules.
type governing struct {
	*Process
	view      exchange.View
	draft     *exchange.Draft
	processes map[string]*running // by CarePlan/id
}

// violation refuses a change that breaks the process. It says which rule.
func violation(expression, format string, args ...any) error {
	return exchange.Refuse(exchange.Unprocessable, "business-rule", expression, fmt.Sprintf(format, args...))
}

// step is the code of a Task of the process, or "".
func step(doc *fhir.Value) string {
	for _, coding := range doc.Get("code").Get("coding").Items() {
		if coding.Text("system") == terms.Step {
			return coding.Text("code")
		}
	}
	return ""
}

// processOf is the CarePlan that a resource is based on, or "".
func processOf(doc *fhir.Value) string {
	for _, based := range doc.All("basedOn", "reference") {
		if ref := fhir.ParseReference(based.Str()); ref.Local() && ref.Type == "CarePlan" {
			return "CarePlan/" + ref.ID
		}
	}
	return ""
}

// task governs a Task.
func (g *governing) task(ctx context.Context, item *exchange.Item) error {
	if item.Before != nil && item.Before.Class.Process != "" {
		if item.Doc == nil {
			return violation("", "A Task of the joint-client process is not deleted; set its status to cancelled or entered-in-error.")
		}
		return g.move(ctx, item)
	}
	if item.Doc == nil || step(item.Doc) == "" {
		return nil
	}
	if item.Before != nil {
		return violation("Task.code", "A Task outside the joint-client process does not become a step of it.")
	}
	return g.open(ctx, item)
}

// open governs a Task that a caller makes: invitations, and nothing else; the other steps are opened by the flow.
func (g *governing) open(ctx context.Context, item *exchange.Item) error {
	code := step(item.Doc)
	if _, known := g.steps[code]; !known {
		return violation("Task.code", "%q is no step of the joint-client process; see PlanDefinition/joint-client.", code)
	}
	if code != terms.StepInvite {
		return violation("Task.code", "The step %s is opened by the process when the step before it is completed; callers make invitations only.", code)
	}
	run, err := g.process(ctx, processOf(item.Doc))
	if err != nil {
		return err
	}
	if run == nil {
		return violation("Task.basedOn", "An invitation is based on the CarePlan of a joint-client process that the inviter takes part in.")
	}
	return g.invite(item, run)
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
	before, code := item.Before.Doc, step(item.Before.Doc)
	for _, name := range fixedMembers {
		if !same(before.Get(name), item.Doc.Get(name)) {
			return violation("Task."+name, "Task.%s of a step of the joint-client process does not change.", name)
		}
	}
	from, to := before.Text("status"), item.Doc.Text("status")
	parties := g.parties(run, before)
	table := g.transitions.Step
	if code == terms.StepInvite {
		table = g.transitions.Invite
	}
	if err := table.check(item.Ref(), from, to, parties); err != nil {
		return err
	}
	item.Class.Process, item.Class.Invitation, item.Class.Joint = item.Before.Class.Process, item.Before.Class.Invitation, item.Before.Class.Joint
	if from == to {
		return nil
	}
	item.Doc.Set("lastModified", fhir.NewString(fhir.Instant(g.draft.Time)))
	if code == terms.StepInvite {
		return g.answered(ctx, item, run, from, to)
	}
	if to != "completed" {
		return nil
	}
	return g.completed(ctx, item, run, code)
}

// fixedMembers of a Task never change while it is a step: who, whom, what for and about whom.
var fixedMembers = []string{"intent", "code", "basedOn", "for", "requester", "owner", "partOf", "restriction", "input", "location", "authoredOn"}

func same(a, b *fhir.Value) bool {
	return string(a.AppendJSON(nil)) == string(b.AppendJSON(nil))
}

// completed opens what follows a completed step.
func (g *governing) completed(ctx context.Context, item *exchange.Item, run *running, code string) error {
	if err := g.outputs(item, code); err != nil {
		return err
	}
	switch code {
	case terms.StepDiscuss:
		if output(item.Doc, answer).Str() == "declined" {
			g.end(run, "revoked")
			return nil
		}
	case terms.StepCheckResponsible:
		if err := g.takeOver(ctx, item, run); err != nil {
			return err
		}
	case terms.StepBookAssessment:
		run.ensureResponsible(g.draft)
	case terms.StepEnd:
		g.end(run, "completed")
		return nil
	}
	for _, next := range g.flow.after(code, item.Doc) {
		if next == terms.StepDeliver && code != terms.StepReview {
			continue // opened by assess and the first accepted invitation together, see settle
		}
		g.openStep(run, next)
	}
	return nil
}

// outputs checks that a completed step says what came of it.
func (g *governing) outputs(item *exchange.Item, code string) error {
	need := map[string]struct {
		kind   string
		values []string
	}{
		terms.StepDiscuss:          {answer, []string{"accepted", "declined"}},
		terms.StepReview:           {"outcome", []string{"continue", "end"}},
		terms.StepCheckResponsible: {responsible, nil},
		terms.StepBookAssessment:   {appointment, nil},
	}[code]
	if need.kind == "" {
		return nil
	}
	value := output(item.Doc, need.kind)
	if value == nil {
		return violation("Task.output", "Completing %s needs an output of type %s (CodeSystem joint-client-output).", code, need.kind)
	}
	if need.values != nil && !slices.Contains(need.values, value.Str()) {
		return violation("Task.output", "The output %s of %s is one of %s, as valueCode.", need.kind, code, strings.Join(need.values, ", "))
	}
	return nil
}

// output is the value of a Task.output of our kind: the text of a valueCode or valueString, or a Reference.
func output(doc *fhir.Value, kind string) *fhir.Value { return parameter(doc.Get("output"), kind) }

func parameter(list *fhir.Value, kind string) *fhir.Value {
	for _, out := range list.Items() {
		for _, coding := range out.Get("type").Get("coding").Items() {
			if coding.Text("system") != outputSystem || coding.Text("code") != kind {
				continue
			}
			for _, member := range out.Members() {
				if strings.HasPrefix(member.Name, "value") {
					return member.Value
				}
			}
		}
	}
	return nil
}

// takeOver gives the process to the responsible worker or team that was found; there is no double team.
func (g *governing) takeOver(ctx context.Context, item *exchange.Item, run *running) error {
	found := output(item.Doc, responsible)
	if found.Str() == "none" {
		return nil
	}
	ref := fhir.ParseReference(found.Text("reference"))
	switch {
	case ref.Local() && ref.Type == "CareTeam":
		team, err := g.view.Get(ctx, "CareTeam", ref.ID)
		if err != nil {
			return err
		}
		if team != nil {
			visible, err := g.view.Visible(ctx, team)
			if err != nil {
				return err
			}
			if visible && team.Doc.Text("status") == "active" {
				worker := activeWith(team.Doc, responsible)
				if worker == "" {
					return violation("Task.output", "The CareTeam found has no responsible worker.")
				}
				run.setResponsible(g.draft, worker)
				return nil
			}
		}
		return violation("Task.output", "The CareTeam found is not known or not active.")
	case ref.Local() && (ref.Type == "Practitioner" || ref.Type == "PractitionerRole"):
		actor, known := g.view.Person(ref.Type + "/" + ref.ID)
		if !known {
			return violation("Task.output", "The responsible worker found is not a registered professional.")
		}
		if actor.Controller != g.draft.Caller.Actor.Controller || actor.Register != g.draft.Caller.Actor.Register {
			return violation("Task.output", "A responsible worker of another register takes part by accepting an invitation.")
		}
		run.setResponsible(g.draft, ref.Type+"/"+ref.ID)
		return nil
	}
	return violation("Task.output", "The output responsible is valueCode none, or valueReference of a CareTeam, Practitioner or PractitionerRole.")
}

// plan governs a CarePlan of the process: its status, client and team follow from the steps.
func (g *governing) plan(_ context.Context, item *exchange.Item) error {
	if item.Before == nil || item.Before.Class.Process == "" {
		if item.Doc != nil && instantiates(item.Doc, g.canonical) {
			return violation("CarePlan.instantiatesCanonical", "A joint-client process is started with POST PlanDefinition/joint-client/$apply.")
		}
		return nil
	}
	if item.Doc == nil {
		return violation("", "The CarePlan of a joint-client process is not deleted; complete the step end.")
	}
	for _, name := range []string{"subject", "status", "intent", "instantiatesCanonical", "careTeam"} {
		if !same(item.Before.Doc.Get(name), item.Doc.Get(name)) {
			return violation("CarePlan."+name, "CarePlan.%s of a joint-client process follows from its steps and is not set by callers.", name)
		}
	}
	if status := item.Doc.Text("status"); status == "completed" || status == "revoked" {
		return violation("CarePlan.status", "The process has ended; its plan does not change any more.")
	}
	item.Class.Process, item.Class.Joint = item.Before.Class.Process, item.Before.Class.Joint
	return nil
}

// team governs a CareTeam of the process: its participants come from invitations.
func (g *governing) team(_ context.Context, item *exchange.Item) error {
	if item.Before == nil || item.Before.Class.Process == "" {
		return nil
	}
	if item.Doc == nil {
		return violation("", "The CareTeam of a joint-client process is not deleted; complete the step end.")
	}
	for _, name := range []string{"subject", "status", "participant"} {
		if !same(item.Before.Doc.Get(name), item.Doc.Get(name)) {
			return violation("CareTeam."+name, "CareTeam.%s of a joint-client process follows from its steps and invitations.", name)
		}
	}
	item.Class.Process, item.Class.Joint = item.Before.Class.Process, item.Before.Class.Joint
	return nil
}

// assessment makes a QuestionnaireResponse that is based on the plan a document of the process: the joint need
// assessment (703/2023 §§ 46–47). What it refers to stays in its own register.
func (g *governing) assessment(ctx context.Context, item *exchange.Item) error {
	if item.Before != nil {
		item.Class.Process, item.Class.Joint = item.Before.Class.Process, item.Before.Class.Joint
		return nil
	}
	run, err := g.process(ctx, processOf(item.Doc))
	if err != nil || run == nil {
		return err
	}
	if item.Doc.Text("subject", "reference") != run.subject() {
		return violation("QuestionnaireResponse.subject", "An assessment based on a joint plan is about the plan's client.")
	}
	item.Class.Process, item.Class.Joint = run.ref, run.joint()
	return nil
}

// process is the running process that the caller may see, or nil.
func (g *governing) process(ctx context.Context, ref string) (*running, error) {
	if ref == "" {
		return nil, nil
	}
	run, err := g.load(ctx, ref)
	if err != nil || run == nil {
		return nil, err
	}
	visible, err := g.view.Visible(ctx, run.plan)
	if err != nil || !visible {
		return nil, err
	}
	if status := run.plan.Doc.Text("status"); status != "draft" && status != "active" {
		return nil, violation("", "The joint-client process has ended.")
	}
	return run, nil
}

// instantiates says whether a CarePlan follows a definition.
func instantiates(doc *fhir.Value, canonical string) bool {
	for _, url := range doc.Get("instantiatesCanonical").Items() {
		if text, _, _ := strings.Cut(url.Str(), "|"); text == canonical {
			return true
		}
	}
	return false
}

// now is the time of the change as FHIR writes it.
func (g *governing) now() string { return fhir.Instant(g.draft.Time) }

// openStatuses of a Task: it still asks for something or gives something.
var openStatuses = map[string]bool{
	"draft": true, "requested": true, "received": true, "accepted": true, "ready": true, "in-progress": true, "on-hold": true,
}

// membership are the statuses of an invitation in which its owner is a participant.
var membership = map[string]bool{"accepted": true, "in-progress": true, "on-hold": true}

// ended is a relationship list that says none: the row gives no relationship any more.
func ended(client string) map[string][]consent.Relationship {
	return map[string][]consent.Relationship{client: nil}
}

// year is how long reviews lie apart at most: the plan is checked at least yearly.
const year = 365 * 24 * time.Hour
