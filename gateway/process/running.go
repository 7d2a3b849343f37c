package process

import (
	"context"
	"slices"

	"sotesilta/consent"
	"sotesilta/gateway/exchange"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

// running is one process with its rows as they will be after the draft. Rows are cloned into the draft when touched.
type running struct {
	ref   string // CarePlan/id
	plan  *exchange.Current
	team  *exchange.Current
	tasks []*exchange.Current
	other []*exchange.Current // further documents of the process
	draft *exchange.Draft
	// crossed: a professional of the other sector accepted an invitation in this draft.
	crossed bool
}

// load reads a process, seen by the caller or not; nil when there is none.
func (g *governing) load(ctx context.Context, ref string) (*running, error) {
	if run, known := g.processes[ref]; known {
		return run, nil
	}
	rows, err := g.view.Process(ctx, ref)
	if err != nil {
		return nil, err
	}
	run := &running{ref: ref, draft: g.draft}
	for _, row := range rows {
		switch {
		case row.Ref() == ref:
			run.plan = row
		case row.Type == "CareTeam":
			run.team = row
		case row.Type == "Task":
			run.tasks = append(run.tasks, row)
		default:
			run.other = append(run.other, row)
		}
	}
	if run.plan == nil || run.team == nil {
		run = nil
	}
	g.processes[ref] = run
	return run, nil
}

// touch is the draft's item for a row of the process, made as a consequence when the caller did not ask for it.
func (r *running) touch(row *exchange.Current) *exchange.Item {
	if item := r.draft.Find(row.Type, row.ID); item != nil {
		return item
	}
	return r.draft.Add(row, row.Type, row.ID, row.Doc.Clone(), row.Class)
}

// doc is a row as the draft leaves it.
func (r *running) doc(row *exchange.Current) *fhir.Value {
	if item := r.draft.Find(row.Type, row.ID); item != nil && item.Doc != nil {
		return item.Doc
	}
	return row.Doc
}

func (r *running) subject() string { return r.plan.Doc.Text("subject", "reference") }

func (r *running) client() string { return fhir.ParseReference(r.subject()).ID }

// joint says whether the documents of the process are in both registers, after the draft.
func (r *running) joint() bool {
	if item := r.draft.Find("CarePlan", r.plan.ID); item != nil {
		return item.Class.Joint
	}
	return r.plan.Class.Joint
}

// accepted says whether the client accepted the joint work at discuss, in the draft or before.
func (r *running) accepted() bool {
	return slices.ContainsFunc(r.tasks, func(t *exchange.Current) bool {
		doc := r.doc(t)
		return step(doc) == terms.StepDiscuss && doc.Text("status") == "completed" && output(doc, answer).Str() == "accepted"
	})
}

// done says whether a step was completed.
func (r *running) done(code string) bool {
	return slices.ContainsFunc(r.tasks, func(t *exchange.Current) bool {
		doc := r.doc(t)
		return step(doc) == code && doc.Text("status") == "completed"
	})
}

// opened says whether a step was ever opened, in the draft or before.
func (r *running) opened(code string) bool {
	if slices.ContainsFunc(r.tasks, func(t *exchange.Current) bool { return step(t.Doc) == code }) {
		return true
	}
	return slices.ContainsFunc(r.draft.Items, func(i *exchange.Item) bool {
		return i.Type == "Task" && i.Class.Process == r.ref && i.Doc != nil && step(i.Doc) == code
	})
}

// responsible is the member with the role responsible, or "".
func (r *running) responsible() string { return activeWith(r.doc(r.team), responsible) }

// activeWith is the member of a team who has a role now.
func activeWith(team *fhir.Value, role string) string {
	for _, p := range team.Get("participant").Items() {
		if p.Get("period").Get("end") == nil && hasRole(p, role) {
			return p.Text("member", "reference")
		}
	}
	return ""
}

func hasRole(participant *fhir.Value, role string) bool {
	for _, coding := range participant.All("role", "coding") {
		if coding.Text("system") == roleSystem && coding.Text("code") == role {
			return true
		}
	}
	return false
}

// setResponsible makes a member the one responsible worker.
func (r *running) setResponsible(d *exchange.Draft, member string) {
	if r.responsible() == member {
		return
	}
	item := r.touch(r.team)
	for _, p := range item.Doc.Get("participant").Items() {
		if p.Get("period").Get("end") == nil && hasRole(p, responsible) {
			p.Get("period").Set("end", fhir.NewString(fhir.Instant(d.Time)))
		}
	}
	addParticipant(item.Doc, newParticipant(member, "", responsible, fhir.Instant(d.Time)))
}

// ensureResponsible makes the caller responsible when nobody is: from assess on somebody answers for the client's
// matter (vastuutyöntekijä).
func (r *running) ensureResponsible(d *exchange.Draft) {
	if r.responsible() == "" {
		r.setResponsible(d, personOf(d.Caller))
	}
}

// personOf is how the process names a caller: by role, otherwise by person, otherwise by unit.
func personOf(c exchange.Caller) string {
	for _, ref := range []string{c.Actor.Role, c.Actor.Person, c.Actor.Unit} {
		if ref != "" {
			return ref
		}
	}
	return ""
}

func newParticipant(member, onBehalfOf, role, since string) *fhir.Value {
	p := fhir.NewObject(
		fhir.Member{Name: "role", Value: fhir.NewArray(fhir.NewObject(fhir.Member{Name: "coding", Value: fhir.NewArray(
			fhir.Coding{System: roleSystem, Code: role}.Value())}))},
		fhir.Member{Name: "member", Value: reference(member)},
	)
	if onBehalfOf != "" {
		p.Set("onBehalfOf", reference(onBehalfOf))
	}
	p.Set("period", fhir.NewObject(fhir.Member{Name: "start", Value: fhir.NewString(since)}))
	return p
}

func addParticipant(team, p *fhir.Value) {
	list := team.Get("participant")
	if list == nil {
		team.Set("participant", fhir.NewArray(p))
		return
	}
	list.Append(p)
}

// endParticipant ends the running participation of a member that came by invitation.
func endParticipant(team *fhir.Value, member, at string) {
	for _, p := range team.Get("participant").Items() {
		if p.Text("member", "reference") == member && p.Get("period").Get("end") == nil && hasRole(p, participant) {
			p.Get("period").Set("end", fhir.NewString(at))
		}
	}
}

func reference(to string) *fhir.Value {
	return fhir.NewObject(fhir.Member{Name: "reference", Value: fhir.NewString(to)})
}

// sharedSteps are the steps whose Tasks belong to the joint documents (design § 4, law 6).
var sharedSteps = map[string]bool{
	terms.StepAssess: true, terms.StepInvite: true, terms.StepDeliver: true, terms.StepReview: true, terms.StepEnd: true,
}

// share gives the documents of the process both registers' labels, from the version made now on (703/2023 §§ 46–47).
// Invitations not accepted stay what they were: only who was invited and the inviter's register see them.
func (r *running) share() {
	rows := append([]*exchange.Current{r.plan, r.team}, r.other...)
	for _, task := range r.tasks {
		doc := r.doc(task)
		code := step(doc)
		if sharedSteps[code] && (code != terms.StepInvite || membership[doc.Text("status")]) {
			rows = append(rows, task)
		}
	}
	for _, row := range rows {
		if item := r.draft.Find(row.Type, row.ID); item != nil {
			item.Class.Joint = true
		} else if !row.Class.Joint {
			r.touch(row).Class.Joint = true
		}
	}
	for _, item := range r.draft.Items {
		if item.Before == nil && item.Class.Process == r.ref && item.Doc != nil && (item.Type != "Task" || sharedSteps[step(item.Doc)] && step(item.Doc) != terms.StepInvite) {
			item.Class.Joint = true
		}
	}
}

// end ends the process: the plan gets its last status, the team is inactive, open Tasks are cancelled, and every
// relationship that rested on the process is over.
func (g *governing) end(run *running, planStatus string) {
	now := g.now()
	plan := run.touch(run.plan)
	plan.Doc.Set("status", fhir.NewString(planStatus))
	if period := plan.Doc.Get("period"); period != nil {
		period.Set("end", fhir.NewString(now))
	}
	team := run.touch(run.team)
	team.Doc.Set("status", fhir.NewString("inactive"))
	for _, p := range team.Doc.Get("participant").Items() {
		if p.Get("period").Get("end") == nil {
			p.Get("period").Set("end", fhir.NewString(now))
		}
	}
	for _, task := range run.tasks {
		if !openStatuses[run.doc(task).Text("status")] {
			continue
		}
		item := run.touch(task)
		status := "cancelled"
		if membership[task.Doc.Text("status")] && step(task.Doc) == terms.StepInvite {
			status = "completed" // the work under an accepted invitation ends with the process
		}
		item.Doc.Set("status", fhir.NewString(status))
		item.Doc.Set("lastModified", fhir.NewString(now))
		if item.Class.Invitation != "" {
			item.Relationships = ended(run.client())
		}
	}
}

// openStep makes the Task of the next step, for the responsible worker, otherwise for the caller.
func (g *governing) openStep(run *running, code string) *exchange.Item {
	holder := run.responsible()
	if holder == "" {
		holder = personOf(g.draft.Caller)
	}
	doc := g.stepTask(run.ref, run.subject(), code, holder, holder)
	if code == terms.StepReview {
		doc.Set("restriction", fhir.NewObject(fhir.Member{Name: "period", Value: fhir.NewObject(
			fhir.Member{Name: "end", Value: fhir.NewString(g.draft.Time.Add(year).Format("2006-01-02"))})}))
	}
	doc.Set("authoredOn", fhir.NewString(g.now()))
	doc.Set("lastModified", fhir.NewString(g.now()))
	class := run.plan.Class
	class.Type, class.Invitation, class.ServiceEvent = "Task", "", ""
	class.Joint = run.joint() && sharedSteps[code]
	return g.draft.Add(nil, "Task", newID(), doc, class)
}

// stepTask is the Task of a step.
func (p *Process) stepTask(plan, subject, code, requester, owner string) *fhir.Value {
	return fhir.NewObject(
		fhir.Member{Name: "resourceType", Value: fhir.NewString("Task")},
		fhir.Member{Name: "instantiatesCanonical", Value: fhir.NewString(p.canonical)},
		fhir.Member{Name: "basedOn", Value: fhir.NewArray(reference(plan))},
		fhir.Member{Name: "status", Value: fhir.NewString("ready")},
		fhir.Member{Name: "intent", Value: fhir.NewString("order")},
		fhir.Member{Name: "code", Value: fhir.NewObject(fhir.Member{Name: "coding", Value: fhir.NewArray(
			fhir.Coding{System: terms.Step, Code: code, Display: p.steps[code]}.Value())})},
		fhir.Member{Name: "for", Value: reference(subject)},
		fhir.Member{Name: "requester", Value: reference(requester)},
		fhir.Member{Name: "owner", Value: reference(owner)},
	)
}

// participation is the relationship that an accepted invitation makes.
func participation(invitation, process string, actor consent.Actor, task *fhir.Value, kind consent.Relation) consent.Relationship {
	rel := consent.Relationship{
		Kind: kind, Evidence: invitation, Controller: actor.Controller, Register: actor.Register,
		Unit: actor.Unit, Person: task.Text("owner", "reference"), Process: process,
	}
	if kind == consent.Participant {
		rel.Service = parameter(task.Get("input"), service).Text("reference")
		rel.Location = task.Text("location", "reference")
	}
	return rel
}
