package process

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"sotesilta/consent"
	"sotesilta/gateway/exchange"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

func newID() string { return uuid.NewString() }

// running is one process with its rows as they will be after the draft. Rows are cloned into the draft when touched.
type running struct {
	ref   string // CarePlan/id
	plan  *exchange.Current
	team  *exchange.Current
	tasks []*exchange.Current
	other []*exchange.Current // further documents of the process
	draft *exchange.Draft
	// crossed: a professional of the controller's other register accepted an invitation in this draft.
	crossed bool
	over    bool // the process ends in this draft
}

// load reads a process, seen by the caller or not; nil when there is none. What is decided on these rows counts only if
// none of them changed meanwhile (alone).
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

// loaded are the processes of the draft, in a fixed order.
func (g *governing) loaded() []*running {
	var out []*running
	for _, ref := range slices.Sorted(maps.Keys(g.processes)) {
		if run := g.processes[ref]; run != nil {
			out = append(out, run)
		}
	}
	return out
}

// open refuses when the process has ended, before or in this draft.
func (r *running) open() error {
	if status := r.plan.Doc.Text("status"); !r.over && (status == "draft" || status == "active") {
		return nil
	}
	return violation("", "The joint-client process has ended; what belongs to it does not change any more.")
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

// taskDocs are the Tasks of the process as the draft leaves them, oldest first.
func (r *running) taskDocs() []*fhir.Value {
	out := make([]*fhir.Value, 0, len(r.tasks)+1)
	for _, row := range r.tasks {
		out = append(out, r.doc(row))
	}
	for _, item := range r.draft.Items {
		if item.Before == nil && item.Type == "Task" && item.Class.Process == r.ref && item.Doc != nil {
			out = append(out, item.Doc)
		}
	}
	return out
}

// lastStep is the step that was opened last; invitations are beside the line of steps.
func (r *running) lastStep() *fhir.Value {
	var last *fhir.Value
	for _, doc := range r.taskDocs() {
		// authoredOn is an instant that openStep wrote, so its texts compare as times do.
		if step(doc) != terms.StepInvite && (last == nil || doc.Text("authoredOn") >= last.Text("authoredOn")) {
			last = doc
		}
	}
	return last
}

// accepted says whether the client accepted the joint work at discuss, in the draft or before.
func (r *running) accepted() bool {
	return slices.ContainsFunc(r.taskDocs(), func(doc *fhir.Value) bool {
		return step(doc) == terms.StepDiscuss && doc.Text("status") == "completed" && output(doc, answer).Str() == "accepted"
	})
}

// anyParticipant says whether somebody accepted an invitation and still takes part.
func (r *running) anyParticipant() bool {
	return slices.ContainsFunc(r.taskDocs(), func(doc *fhir.Value) bool {
		return step(doc) == terms.StepInvite && membership[doc.Text("status")]
	})
}

// joint says whether the documents of the process are in both registers, after the draft.
func (r *running) joint() bool {
	if item := r.draft.Find("CarePlan", r.plan.ID); item != nil && item.Class.Joint {
		return true
	}
	return r.plan.Class.Joint || r.crossed
}

// ours says whether a row is of the controller whose process it is: only its two registers share documents.
func (r *running) ours(class consent.Class) bool {
	return class.Controller == r.plan.Class.Controller && (class.Register == consent.Health || class.Register == consent.Social)
}

// sharedSteps are the steps whose Tasks belong to the joint documents (design § 4, law 6).
var sharedSteps = map[string]bool{
	terms.StepAssess: true, terms.StepInvite: true, terms.StepDeliver: true, terms.StepReview: true, terms.StepEnd: true,
}

// shared says whether a Task belongs to the joint documents. An invitation does once it is accepted; before, only who
// is invited and the inviter's register see it.
func shared(doc *fhir.Value) bool {
	code := step(doc)
	return sharedSteps[code] && (code != terms.StepInvite || membership[doc.Text("status")])
}

// share gives the documents of the process both registers' labels, from the version made now on (703/2023 §§ 46–47).
func (r *running) share() {
	rows := append([]*exchange.Current{r.plan, r.team}, r.other...)
	for _, task := range r.tasks {
		if shared(r.doc(task)) {
			rows = append(rows, task)
		}
	}
	for _, row := range rows {
		if !r.ours(row.Class) {
			continue
		}
		if item := r.draft.Find(row.Type, row.ID); item != nil {
			item.Class.Joint = true
		} else if !row.Class.Joint {
			r.touch(row).Class.Joint = true
		}
	}
	for _, item := range r.draft.Items {
		if item.Before == nil && item.Class.Process == r.ref && item.Doc != nil && r.ours(item.Class) && (item.Type != "Task" || shared(item.Doc)) {
			item.Class.Joint = true
		}
	}
}

// end ends the process: the plan gets its last status, the team is inactive, open Tasks are over, and every
// relationship that rested on the process is over.
func (g *governing) end(run *running, planStatus string) {
	now := g.now()
	run.over = true
	plan := run.touch(run.plan)
	plan.Doc.Set("status", fhir.NewString(planStatus))
	if period := plan.Doc.Get("period"); period != nil {
		period.Set("end", fhir.NewString(now))
	}
	team := run.touch(run.team)
	team.Doc.Set("status", fhir.NewString("inactive"))
	for _, p := range team.Doc.Get("participant").Items() {
		if runs(p, g.draft.Time) {
			p.Get("period").Set("end", fhir.NewString(now))
		}
	}
	for _, task := range run.tasks {
		if openStatuses[run.doc(task).Text("status")] || run.doc(task).Text("status") == "failed" && step(task.Doc) != terms.StepInvite {
			g.close(run.touch(task), run, task.Doc.Text("status"))
		}
	}
	for _, item := range g.draft.Items { // made in this very draft
		if item.Before == nil && item.Type == "Task" && item.Class.Process == run.ref && openStatuses[item.Doc.Text("status")] {
			g.close(item, run, "")
		}
	}
}

// close ends an open Task with its process: work under an accepted invitation is completed, all else is cancelled.
func (g *governing) close(item *exchange.Item, run *running, from string) {
	status := "cancelled"
	if membership[from] && step(item.Doc) == terms.StepInvite {
		status = "completed"
	}
	item.Doc.Set("status", fhir.NewString(status))
	item.Doc.Set("lastModified", fhir.NewString(g.now()))
	if item.Class.Invitation != "" {
		item.Relationships = ended(run.client())
	}
}

// ended is a relationship list that says none: the row gives no relationship any more.
func ended(client string) map[string][]consent.Relationship {
	return map[string][]consent.Relationship{client: nil}
}

// responsible is the responsible worker, or "".
func (r *running) responsible() string { return activeWith(r.doc(r.team), responsible, r.draft.Time) }

// lead is who has the say over the process: the responsible worker, and the recogniser until there is one.
func (r *running) lead() string {
	if worker := r.responsible(); worker != "" {
		return worker
	}
	return activeWith(r.doc(r.team), recogniser, r.draft.Time)
}

// member says whether a professional is in the team now, in whatever role.
func (r *running) member(a consent.Actor) bool {
	return slices.ContainsFunc(r.members(), func(p *fhir.Value) bool { return is(a, p.Text("member", "reference")) })
}

// inTeam says whether a reference is a member now.
func (r *running) inTeam(ref string) bool {
	return slices.ContainsFunc(r.members(), func(p *fhir.Value) bool { return p.Text("member", "reference") == ref })
}

// stays says whether a member is in the team otherwise than as the responsible worker.
func (r *running) stays(is func(ref string) bool) bool {
	return slices.ContainsFunc(r.members(), func(p *fhir.Value) bool { return !hasRole(p, responsible) && is(p.Text("member", "reference")) })
}

// members are the participants whose period runs.
func (r *running) members() []*fhir.Value {
	var out []*fhir.Value
	for _, p := range r.doc(r.team).Get("participant").Items() {
		if runs(p, r.draft.Time) {
			out = append(out, p)
		}
	}
	return out
}

// setResponsible makes a member the one responsible worker: the one before is so no longer, and open steps go over.
func (r *running) setResponsible(member string) {
	if r.responsible() == member || member == "" {
		return
	}
	now := fhir.Instant(r.draft.Time)
	team := r.touch(r.team)
	for _, p := range team.Doc.Get("participant").Items() {
		if hasRole(p, responsible) && runs(p, r.draft.Time) {
			p.Get("period").Set("end", fhir.NewString(now))
		}
	}
	addParticipant(team.Doc, newParticipant("", member, "", responsible, now))
	for _, row := range r.tasks {
		doc := r.doc(row)
		if step(doc) == terms.StepInvite || !openStatuses[doc.Text("status")] && doc.Text("status") != "failed" {
			continue
		}
		item := r.touch(row)
		item.Doc.Set("owner", reference(member))
		item.Doc.Set("lastModified", fhir.NewString(now))
	}
}

// runs says whether a participation is not over at t.
func runs(participant *fhir.Value, t time.Time) bool {
	end := participant.Get("period").Get("end")
	if end == nil {
		return true
	}
	_, until, ok := fhir.ParseDate(end.Str())
	return ok && t.Before(until.Add(-time.Millisecond)) // an end that we wrote is the first moment that is outside
}

// activeWith is the member of a team who has a role now, or "".
func activeWith(team *fhir.Value, role string, t time.Time) string {
	for _, p := range team.Get("participant").Items() {
		if runs(p, t) && hasRole(p, role) {
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

// newParticipant is a member of the team from since on. The id of the element is that of the invitation (Task) that
// the participation rests on, so that each ends with its own.
func newParticipant(invitation, member, onBehalfOf, role, since string) *fhir.Value {
	p := fhir.NewObject()
	if invitation != "" {
		p.Set("id", fhir.NewString(invitation))
	}
	p.Set("role", fhir.NewArray(fhir.NewObject(fhir.Member{Name: "coding", Value: fhir.NewArray(
		fhir.Coding{System: roleSystem, Code: role}.Value())})))
	p.Set("member", reference(member))
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

// endParticipant ends the participation that rests on an invitation.
func endParticipant(team *fhir.Value, invitation string, t time.Time) {
	for _, p := range team.Get("participant").Items() {
		if p.Text("id") == invitation && runs(p, t) {
			p.Get("period").Set("end", fhir.NewString(fhir.Instant(t)))
		}
	}
}
