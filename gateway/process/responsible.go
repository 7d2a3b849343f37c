package process

import (
	"context"

	"sotesilta/consent"
	"sotesilta/gateway/exchange"
	"sotesilta/internal/fhir"
)

// takeOver gives the process to the responsible worker or team that was found; there is no double team, and the flow
// goes on to assess without booking another contact. The worker is a registered professional of the register that the
// process began in, with a relationship of their own: naming somebody gives no rights.
func (g *governing) takeOver(ctx context.Context, item *exchange.Item, run *running) error {
	found := output(item.Doc, responsible) // of valueCode or valueReference: outputs saw to it
	if found.Str() == "none" {
		return nil
	}
	ref := fhir.ParseReference(found.Text("reference"))
	worker := ref.Type + "/" + ref.ID
	switch {
	case ref.Local() && ref.Type == "CareTeam":
		var err error
		if worker, err = g.responsibleOf(ctx, ref.ID); err != nil {
			return err
		}
	case !ref.Local() || ref.Type != "Practitioner" && ref.Type != "PractitionerRole":
		return violation("Task.output", "The output responsible is valueCode none, or valueReference of a CareTeam, Practitioner or PractitionerRole.")
	}
	actor, known := g.view.Person(worker)
	if !known || actor.Kind != consent.Professional {
		return violation("Task.output", "The responsible worker found is not a registered professional.")
	}
	if actor.Controller != run.plan.Class.Controller || actor.Register != run.plan.Class.Register {
		return violation("Task.output", "A responsible worker of another register takes part by accepting an invitation.")
	}
	facts, err := g.view.Facts(ctx, run.client())
	if err != nil {
		return err
	}
	if !g.related(facts, actor) {
		return violation("Task.output", "The responsible worker found has no running relationship with the client in this register.")
	}
	run.setResponsible(worker)
	return nil
}

// responsibleOf is the responsible worker of a team that the caller may see; an unseen team is as an absent one.
func (g *governing) responsibleOf(ctx context.Context, id string) (string, error) {
	unknown := violation("Task.output", "The CareTeam found is not known or not active.")
	team, err := g.view.Get(ctx, "CareTeam", id)
	if err != nil {
		return "", err
	}
	if team == nil {
		return "", unknown
	}
	visible, err := g.view.Visible(ctx, team)
	if err != nil {
		return "", err
	}
	if !visible || team.Doc.Text("status") != "active" {
		return "", unknown
	}
	worker := activeWith(team.Doc, responsible, g.draft.Time)
	if worker == "" {
		return "", violation("Task.output", "The CareTeam found has no responsible worker.")
	}
	return worker, nil
}

// handOver makes another member of the team the responsible worker, on the word of who has the say. Who leaves is no
// successor of their own.
func (g *governing) handOver(run *running, named *fhir.Value, leaver string) error {
	to := named.Text("reference")
	if to == "" || to == leaver || !run.inTeam(to) {
		return violation("Task.output", "The output responsible names a member of the team who stays in it, as valueReference.")
	}
	actor, known := g.view.Person(to)
	if !known || actor.Kind != consent.Professional || actor.Controller != run.plan.Class.Controller {
		return violation("Task.output", "The responsible worker is a registered professional of the controller whose process it is.")
	}
	if actor.Register != run.plan.Class.Register && !run.joint() {
		return violation("Task.output", "Before the documents are joint, the responsible worker is of the register that the process began in.")
	}
	run.setResponsible(to)
	return nil
}

// left sees to it that a process is not without its responsible worker when a membership has ended: the one who ended
// it names another member (output responsible); otherwise the recogniser, who is in the team to the end, takes over.
func (g *governing) left(item *exchange.Item, run *running, member string) error {
	named := output(item.Doc, responsible)
	if !g.samePerson(run.responsible(), member) || run.stays(func(ref string) bool { return g.samePerson(ref, member) }) {
		if named != nil {
			return violation("Task.output", "Only the end of the responsible worker's membership names another responsible worker.")
		}
		return nil
	}
	if named != nil {
		return g.handOver(run, named, member)
	}
	run.setResponsible(activeWith(run.doc(run.team), recogniser, g.draft.Time))
	return nil
}

// samePerson says whether two references name one professional, as a person or in a role.
func (g *governing) samePerson(a, b string) bool {
	if a == b {
		return true
	}
	actor, known := g.view.Person(a)
	return known && names(actor, b)
}
