package process

import (
	"context"
	"time"

	"sotesilta/consent"
	"sotesilta/gateway/exchange"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

// inviteMembers are all that an invitation carries: client, inviter, unit, service wanted, reply date and one
// sentence that the client approved, and nothing from a register (design § 6).
var inviteMembers = map[string]bool{
	"resourceType": true, "id": true, "meta": true, "identifier": true, "instantiatesCanonical": true, "basedOn": true,
	"status": true, "intent": true, "priority": true, "code": true, "for": true, "requester": true, "owner": true,
	"authoredOn": true, "lastModified": true, "restriction": true, "input": true, "location": true,
}

// answerMembers are what an invitation carries once it is answered: why, and who is responsible after its end.
var answerMembers = with(inviteMembers, "statusReason", "output")

func with(set map[string]bool, more ...string) map[string]bool {
	out := map[string]bool{}
	for name := range set {
		out[name] = true
	}
	for _, name := range more {
		out[name] = true
	}
	return out
}

// Bounds of an invitation.
const (
	sentenceLimit = 500 // bytes of the one sentence
	replyMonths   = 12  // the reply date is at most so far away
)

// carries refuses what an invitation does not carry.
func carries(doc *fhir.Value, members map[string]bool) error {
	for _, member := range doc.Members() {
		if !members[member.Name] {
			return violation("Task."+member.Name, "An invitation carries nothing from a register: client, inviter, unit, service wanted, reply date and one sentence only.")
		}
	}
	for _, out := range doc.Get("output").Items() {
		if _, count := parameter(fhir.NewArray(out), responsible); count != 1 || len(doc.Get("output").Items()) > 1 {
			return violation("Task.output", "The one output of an invitation is responsible: who takes over from a responsible worker who leaves.")
		}
	}
	return nil
}

// invite governs a new invitation.
func (g *governing) invite(ctx context.Context, item *exchange.Item, run *running) error {
	doc := item.Doc
	if err := carries(doc, inviteMembers); err != nil {
		return err
	}
	if err := inputs(doc); err != nil {
		return err
	}
	switch {
	case doc.Text("status") != "requested":
		return violation("Task.status", "An invitation begins as requested.")
	case doc.Text("intent") != "order":
		return violation("Task.intent", "The intent of an invitation is order.")
	case len(doc.Get("basedOn").Items()) != 1:
		return violation("Task.basedOn", "An invitation is based on one CarePlan.")
	case doc.Text("for", "reference") != run.subject():
		return violation("Task.for", "An invitation is about the client of its CarePlan.")
	case !g.isCaller(doc.Text("requester", "reference")):
		return violation("Task.requester", "The inviter is the caller.")
	case doc.Get("instantiatesCanonical") != nil && doc.Text("instantiatesCanonical") != g.canonical:
		return violation("Task.instantiatesCanonical", "A step of the joint-client process instantiates %s.", g.canonical)
	case !run.accepted():
		return violation("Task.basedOn", "Nobody is invited before the client accepted the joint work (step discuss).")
	}
	if err := about(item, run); err != nil {
		return err
	}
	until, err := g.replyDate(doc)
	if err != nil {
		return err
	}
	ref := doc.Text("owner", "reference")
	actor, known := g.view.Person(ref)
	switch {
	case ref == "" || !known || actor.Kind != consent.Professional:
		return violation("Task.owner", "The invited professional is not registered; name a Practitioner or PractitionerRole of the directory.")
	case g.isCaller(ref) || names(actor, personOf(g.draft.Caller.Actor)):
		return violation("Task.owner", "Nobody invites themselves: another member of the team does.")
	}
	if err := g.serves(ctx, doc); err != nil {
		return err
	}
	if err := g.once(ctx, run, item); err != nil {
		return err
	}
	item.Class.Process, item.Class.Invitation, item.Class.Joint = run.ref, item.Ref(), false
	item.Invitee = &consent.Invitee{Person: ref, Controller: actor.Controller, Register: actor.Register, Unit: actor.Unit}
	rel := participation(item.Ref(), run.ref, actor, doc, consent.Invited)
	rel.Period = consent.Period{From: g.draft.Time, To: until}
	item.Relationships = map[string][]consent.Relationship{run.client(): {rel}}
	if doc.Get("instantiatesCanonical") == nil {
		doc.Set("instantiatesCanonical", fhir.NewString(g.canonical))
	}
	if doc.Get("authoredOn") == nil {
		doc.Set("authoredOn", fhir.NewString(g.now()))
	}
	doc.Set("lastModified", fhir.NewString(g.now()))
	return nil
}

// inputs checks the inputs of an invitation: at most one service and one sentence, and nothing beside.
func inputs(doc *fhir.Value) error {
	list := doc.Get("input")
	wanted, services := parameter(list, service)
	text, sentences := parameter(list, sentence)
	ok := services <= 1 && sentences <= 1 && services+sentences == len(list.Items())
	if services == 1 {
		ref := fhir.ParseReference(wanted.Text("reference"))
		ok = ok && ref.Local() && ref.Type == "HealthcareService"
	}
	if sentences == 1 {
		ok = ok && text.Kind() == fhir.String && len(text.Str()) <= sentenceLimit
	}
	for _, input := range list.Items() {
		ok = ok && len(input.Members()) == 2 // type and value, nothing beside
	}
	if !ok {
		return violation("Task.input", "The inputs of an invitation are at most one service (valueReference of a HealthcareService) and one sentence (valueString, at most %d bytes).", sentenceLimit)
	}
	for _, member := range doc.Get("restriction").Members() {
		if member.Name != "period" {
			return violation("Task.restriction", "The restriction of an invitation is its reply date, in period.")
		}
	}
	return nil
}

// serves checks that the service that somebody is invited into is in the directory. Whether it is a joint service is
// for the law to say (703/2023 § 53.1).
func (g *governing) serves(ctx context.Context, doc *fhir.Value) error {
	wanted, count := parameter(doc.Get("input"), service)
	if count == 0 {
		return nil
	}
	ref := wanted.Text("reference")
	row, err := g.view.Get(ctx, "HealthcareService", fhir.ParseReference(ref).ID)
	if err != nil {
		return err
	}
	if row == nil || row.Class.Register != consent.Directory {
		return violation("Task.input", "The input service names no HealthcareService of the directory: %s is not there.", ref)
	}
	return nil
}

// once refuses a second open invitation of a person into the same process, whether it names them as a person or in a
// role: one that waits for its answer, or one by which they take part. Who takes part may be invited into another
// service, because what a joint service gives rests on the invitation into it (703/2023 § 53.1). An invitation that
// the caller does not see decides nothing.
func (g *governing) once(ctx context.Context, run *running, item *exchange.Item) error {
	for _, row := range run.tasks {
		doc := run.doc(row)
		if !g.repeats(item.Doc, doc) {
			continue
		}
		visible, err := g.view.Visible(ctx, row)
		if err != nil {
			return err
		}
		if visible {
			return twice(row.Ref(), doc)
		}
	}
	for _, made := range g.draft.Items {
		if made != item && made.Before == nil && made.Type == "Task" && made.Class.Process == run.ref && made.Doc != nil && g.repeats(item.Doc, made.Doc) {
			return twice(made.Ref(), made.Doc)
		}
	}
	return nil
}

func twice(ref string, standing *fhir.Value) error {
	if membership[standing.Text("status")] {
		return violation("Task.owner", "The invited professional takes part in this process already, by %s.", ref)
	}
	return violation("Task.owner", "The professional is invited into this process already and has not answered: cancel %s to make another invitation.", ref)
}

// repeats says whether a new invitation asks for what another one stands for already.
func (g *governing) repeats(invitation, other *fhir.Value) bool {
	status := other.Text("status")
	if step(other) != terms.StepInvite || !openStatuses[status] || !g.samePerson(invitation.Text("owner", "reference"), other.Text("owner", "reference")) {
		return false
	}
	if membership[status] {
		wanted, _ := parameter(invitation.Get("input"), service)
		standing, _ := parameter(other.Get("input"), service)
		into := wanted.Text("reference")
		return into == "" || into == standing.Text("reference")
	}
	_, until, ok := fhir.ParseDate(other.Text("restriction", "period", "end"))
	return !ok || g.draft.Time.Before(until) // one that was not answered in time is over
}

// replyDate is the moment after which an invitation is not accepted any more: the end of its reply date.
func (g *governing) replyDate(doc *fhir.Value) (time.Time, error) {
	_, until, ok := fhir.ParseDate(doc.Text("restriction", "period", "end"))
	if !ok || !g.draft.Time.Before(until) || until.After(g.draft.Time.AddDate(0, replyMonths, 0)) {
		return until, violation("Task.restriction.period.end", "An invitation names the date by which it is to be answered, at most %d months away.", replyMonths)
	}
	return until, nil
}

// participation is the relationship that an invitation makes: Invited while it is unanswered, Participant while it is
// accepted.
func participation(invitation, process string, actor consent.Actor, task *fhir.Value, kind consent.Relation) consent.Relationship {
	rel := consent.Relationship{
		Kind: kind, Evidence: invitation, Controller: actor.Controller, Register: actor.Register,
		Unit: actor.Unit, Person: task.Text("owner", "reference"), Process: process,
	}
	if kind == consent.Participant {
		wanted, _ := parameter(task.Get("input"), service)
		rel.Service = wanted.Text("reference")
		rel.Location = task.Text("location", "reference")
	}
	return rel
}

// answered governs a status change of an invitation: accepted makes a participant from this moment, anything that
// ends it ends the membership and the relationship at once, in the same transaction.
func (g *governing) answered(ctx context.Context, item *exchange.Item, run *running, from, to string) error {
	named := output(item.Doc, responsible)
	switch {
	case membership[to] && !membership[from]:
		if named != nil {
			break
		}
		return g.joined(ctx, item, run)
	case !membership[to] && membership[from]:
		item.Relationships = ended(run.client())
		endParticipant(run.touch(run.team).Doc, item.ID, g.draft.Time)
		return g.left(item, run, item.Before.Doc.Text("owner", "reference"))
	case !openStatuses[to]:
		item.Relationships = ended(run.client())
	}
	if named != nil {
		return violation("Task.output", "Only the end of the responsible worker's membership names another responsible worker.")
	}
	return nil
}

// joined makes the owner of an accepted invitation a participant. The relationship rests on the basis that was found,
// and recorded, when the invitation was made.
func (g *governing) joined(ctx context.Context, item *exchange.Item, run *running) error {
	task := item.Before.Doc
	ref := task.Text("owner", "reference")
	actor, known := g.view.Person(ref)
	if !known {
		return violation("Task.owner", "The invited professional is not registered any more.")
	}
	invited, err := g.relationship(ctx, run, item.Ref())
	if err != nil {
		return err
	}
	_, until, ok := fhir.ParseDate(task.Text("restriction", "period", "end"))
	if !ok || !g.draft.Time.Before(until) {
		return violation("Task.restriction.period.end", "The invitation was to be answered by %s.", task.Text("restriction", "period", "end"))
	}
	if invited.Kind != consent.Invited || invited.Basis == "" {
		return violation("Task.owner", "The invitation rests on no recorded decision; make a new one.")
	}
	rel := participation(item.Ref(), run.ref, actor, task, consent.Participant)
	rel.Basis = invited.Basis
	rel.Period.From = g.draft.Time
	item.Relationships = map[string][]consent.Relationship{run.client(): {rel}}
	g.enrol(run, item.ID, ref, actor.Unit)
	if actor.Controller == run.plan.Class.Controller && actor.Register != run.plan.Class.Register && run.accepted() {
		run.crossed = run.crossed || !run.plan.Class.Joint
		if err := g.unite(ctx, run, actor); err != nil {
			return err
		}
	}
	item.Class.Joint = run.joint() && run.ours(item.Class)
	return nil
}

// enrol adds a participant who came by invitation.
func (g *governing) enrol(run *running, invitation, member, unit string) {
	team := run.touch(run.team)
	team.Doc.Set("status", fhir.NewString("active"))
	addParticipant(team.Doc, newParticipant(invitation, member, unit, participant, g.now()))
}

// relationship is the client's relationship that rests on an invitation; the zero one when there is none.
func (g *governing) relationship(ctx context.Context, run *running, invitation string) (consent.Relationship, error) {
	facts, err := g.view.Facts(ctx, run.client())
	if err != nil {
		return consent.Relationship{}, err
	}
	for _, rel := range facts.Relationships {
		if rel.Evidence == invitation {
			return rel, nil
		}
	}
	return consent.Relationship{}, nil
}

// unite joins the one-register process that the accepter's own register runs for the same client, as far as the
// accepter sees one, into the process they accepted: one joint plan per client. That process ends; who accepted an
// invitation into it takes part in the united one on the same invitation and basis; its documents stay in their
// register.
func (g *governing) unite(ctx context.Context, run *running, accepter consent.Actor) error {
	plans, err := g.view.Own(ctx, "CarePlan", run.client())
	if err != nil {
		return err
	}
	for _, plan := range plans {
		if plan.Ref() == run.ref || plan.Class.Process != plan.Ref() || plan.Class.Joint ||
			plan.Class.Controller != accepter.Controller || plan.Class.Register != accepter.Register {
			continue
		}
		other, err := g.load(ctx, plan.Ref())
		if err != nil {
			return err
		}
		if other == nil || other.open() != nil {
			continue
		}
		var moved []*exchange.Item
		for _, task := range other.tasks {
			if task.Class.Invitation == "" || !membership[other.doc(task).Text("status")] {
				continue
			}
			moved = append(moved, other.touch(task))
		}
		for _, item := range moved {
			if err := g.rebase(ctx, item, other, run); err != nil {
				return err
			}
		}
		g.end(other, "revoked")
		// The way on is written on the plan that ends, in its own register.
		other.touch(other.plan).Doc.Set("partOf", fhir.NewArray(reference(run.ref)))
	}
	return nil
}

// rebase moves an accepted invitation from a process to the one it is joined into.
func (g *governing) rebase(ctx context.Context, item *exchange.Item, from, to *running) error {
	rel, err := g.relationship(ctx, from, item.Ref())
	if err != nil {
		return err
	}
	for i, task := range from.tasks {
		if task.Ref() == item.Ref() {
			from.tasks = append(from.tasks[:i:i], from.tasks[i+1:]...)
			to.tasks = append(to.tasks, task)
			break
		}
	}
	item.Doc.Set("basedOn", fhir.NewArray(reference(to.ref)))
	item.Doc.Set("lastModified", fhir.NewString(g.now()))
	item.Class.Process, item.Class.Joint = to.ref, to.joint() && to.ours(item.Class)
	rel.Process = to.ref
	item.Relationships = map[string][]consent.Relationship{to.client(): {rel}}
	endParticipant(from.touch(from.team).Doc, item.ID, g.draft.Time)
	g.enrol(to, item.ID, rel.Person, rel.Unit)
	return nil
}
