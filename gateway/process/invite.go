package process

import (
	"context"

	"github.com/google/uuid"

	"sotesilta/consent"
	"sotesilta/gateway/exchange"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

func newID() string { return uuid.NewString() }

// invitationMembers are all that an invitation carries: client, inviter, unit, service wanted, reply date and one
// sentence that the client approved, and nothing from a register (design § 6).
var invitationMembers = map[string]bool{
	"resourceType": true, "id": true, "meta": true, "identifier": true, "instantiatesCanonical": true, "basedOn": true,
	"status": true, "intent": true, "priority": true, "code": true, "for": true, "requester": true, "owner": true,
	"authoredOn": true, "lastModified": true, "restriction": true, "input": true, "location": true,
}

// sentenceLimit bounds the one sentence of an invitation, in bytes.
const sentenceLimit = 500

// invite governs a new invitation.
func (g *governing) invite(item *exchange.Item, run *running) error {
	doc := item.Doc
	for _, member := range doc.Members() {
		if !invitationMembers[member.Name] {
			return violation("Task."+member.Name, "An invitation carries nothing from a register: client, inviter, unit, service wanted, reply date and one sentence only.")
		}
	}
	for _, input := range doc.Get("input").Items() {
		if !knownInput(input) {
			return violation("Task.input", "The inputs of an invitation are service (valueReference of a HealthcareService) and sentence (valueString, at most %d bytes).", sentenceLimit)
		}
	}
	if status := doc.Text("status"); status != "requested" {
		return violation("Task.status", "An invitation begins as requested.")
	}
	if doc.Text("for", "reference") != run.subject() {
		return violation("Task.for", "An invitation is about the client of its CarePlan.")
	}
	if !g.isCaller(doc.Text("requester", "reference")) {
		return violation("Task.requester", "The inviter is the caller.")
	}
	if doc.Text("restriction", "period", "end") == "" {
		return violation("Task.restriction.period.end", "An invitation names the date by which it is to be answered.")
	}
	if !run.accepted() {
		return violation("Task.basedOn", "Nobody is invited before the client accepted the joint work (step discuss).")
	}
	ref := doc.Text("owner", "reference")
	actor, known := g.view.Person(ref)
	if !known || actor.Kind != consent.Professional {
		return violation("Task.owner", "The invited professional is not registered; name a Practitioner or PractitionerRole of the directory.")
	}
	item.Class.Process, item.Class.Invitation, item.Class.Joint = run.ref, item.Ref(), false
	item.Invitee = &consent.Invitee{Person: ref, Controller: actor.Controller, Register: actor.Register, Unit: actor.Unit}
	item.Relationships = map[string][]consent.Relationship{
		run.client(): {participation(item.Ref(), run.ref, actor, doc, consent.Invited)},
	}
	doc.Set("lastModified", fhir.NewString(g.now()))
	return nil
}

func knownInput(input *fhir.Value) bool {
	one := fhir.NewArray(input)
	if sentence := parameter(one, "sentence"); sentence != nil {
		return sentence.Kind() == fhir.String && len(sentence.Str()) <= sentenceLimit
	}
	ref := fhir.ParseReference(parameter(one, service).Text("reference"))
	return ref.Local() && ref.Type == "HealthcareService"
}

// answered governs a status change of an invitation: accepted makes a participant from this moment, anything that
// ends it ends the membership and the relationship at once, in the same transaction.
func (g *governing) answered(ctx context.Context, item *exchange.Item, run *running, from, to string) error {
	client := run.client()
	ref := item.Before.Doc.Text("owner", "reference")
	actor, known := g.view.Person(ref)
	switch {
	case membership[to] && !membership[from]:
		if !known {
			return violation("Task.owner", "The invited professional is not registered any more.")
		}
		if end := item.Before.Doc.Text("restriction", "period", "end"); end != "" {
			if _, until, ok := fhir.ParseDate(end); ok && !g.draft.Time.Before(until) {
				return violation("Task.restriction.period.end", "The invitation was to be answered by %s.", end)
			}
		}
		rel := participation(item.Ref(), run.ref, actor, item.Before.Doc, consent.Participant)
		rel.Basis = g.basisOf(ctx, client, item.Ref())
		rel.Period.From = g.draft.Time
		item.Relationships = map[string][]consent.Relationship{client: {rel}}
		team := run.touch(run.team)
		team.Doc.Set("status", fhir.NewString("active"))
		addParticipant(team.Doc, newParticipant(ref, actor.Unit, participant, g.now()))
		if actor.Controller == run.plan.Class.Controller && actor.Register != run.plan.Class.Register && run.accepted() {
			run.crossed = true
			if err := g.join(ctx, run); err != nil {
				return err
			}
		}
	case !membership[to] && membership[from]:
		item.Relationships = ended(client)
		team := run.touch(run.team)
		endParticipant(team.Doc, ref, g.now())
	case !openStatuses[to]:
		item.Relationships = ended(client)
	}
	return nil
}

// basisOf is the row that the invitation rested on, recorded with the relationship it made.
func (g *governing) basisOf(ctx context.Context, client, invitation string) string {
	facts, err := g.view.Facts(ctx, client)
	if err != nil {
		return ""
	}
	for _, rel := range facts.Relationships {
		if rel.Evidence == invitation {
			return rel.Basis
		}
	}
	return ""
}

// join ends the accepter's own draft of the same client: two one-register drafts become one process at the first
// accepted invitation across.
func (g *governing) join(ctx context.Context, run *running) error {
	plans, err := g.view.Own(ctx, "CarePlan", run.client())
	if err != nil {
		return err
	}
	for _, plan := range plans {
		if plan.Ref() == run.ref || plan.Class.Process != plan.Ref() || plan.Class.Register == run.plan.Class.Register || plan.Doc.Text("status") != "draft" {
			continue
		}
		draft, err := g.load(ctx, plan.Ref())
		if err != nil {
			return err
		}
		if draft != nil {
			g.end(draft, "revoked")
		}
	}
	return nil
}

// settle opens deliver once the situation is mapped and somebody accepted, and shares the documents of a process
// that reached across.
func (g *governing) settle(context.Context) error {
	for _, run := range g.processes {
		if run == nil {
			continue
		}
		status := run.doc(run.plan).Text("status")
		if status != "draft" && status != "active" {
			continue
		}
		if run.done(terms.StepAssess) && !run.opened(terms.StepDeliver) && g.anyParticipant(run) {
			plan := run.touch(run.plan)
			plan.Doc.Set("status", fhir.NewString("active"))
			g.openStep(run, terms.StepDeliver)
		}
		if run.crossed {
			run.share()
		}
	}
	return nil
}

func (g *governing) anyParticipant(run *running) bool {
	for _, task := range run.tasks {
		doc := run.doc(task)
		if step(doc) == terms.StepInvite && membership[doc.Text("status")] {
			return true
		}
	}
	return false
}
