package process

import (
	"context"
	"strings"

	"sotesilta/consent"
	"sotesilta/gateway/exchange"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

// Apply starts the process for a client: POST PlanDefinition/joint-client/$apply with Parameters that hold one
// subject (FHIR R4 § 12.18.5.1; valueString as R4 says, valueReference tolerated). It makes a draft CarePlan, its
// CareTeam and the first Task in the register of the caller, and answers the stored CarePlan.
func (p *Process) Apply(ctx context.Context, desk Desk, c exchange.Caller, params *fhir.Value) (*exchange.Resource, error) {
	subject, err := subjectOf(params)
	if err != nil {
		return nil, err
	}
	me := personOf(c)
	if c.Actor.Kind != consent.Professional || me == "" {
		return nil, exchange.Refuse(exchange.Forbidden, "forbidden", "", "A joint-client process is started by a professional.")
	}
	for _, typ := range []string{"CarePlan", "CareTeam", "Task"} {
		if c.Allows == nil || !c.Allows(typ, exchange.Create) {
			return nil, exchange.Refuse(exchange.Forbidden, "forbidden", "", "The access token's scopes do not allow creating a "+typ+".")
		}
	}
	c.Interaction = exchange.Apply
	planURN, teamURN, taskURN := "urn:uuid:"+newID(), "urn:uuid:"+newID(), "urn:uuid:"+newID()
	plan := fhir.NewObject(
		fhir.Member{Name: "resourceType", Value: fhir.NewString("CarePlan")},
		fhir.Member{Name: "instantiatesCanonical", Value: fhir.NewArray(fhir.NewString(p.canonical))},
		fhir.Member{Name: "status", Value: fhir.NewString("draft")},
		fhir.Member{Name: "intent", Value: fhir.NewString("plan")},
		fhir.Member{Name: "title", Value: fhir.NewString("Yhteisasiakkaan suunnitelma")},
		fhir.Member{Name: "subject", Value: reference(subject)},
		fhir.Member{Name: "author", Value: reference(me)},
		fhir.Member{Name: "careTeam", Value: fhir.NewArray(reference(teamURN))},
	)
	team := fhir.NewObject(
		fhir.Member{Name: "resourceType", Value: fhir.NewString("CareTeam")},
		fhir.Member{Name: "status", Value: fhir.NewString("proposed")},
		fhir.Member{Name: "name", Value: fhir.NewString("Yhteisasiakkaan tiimi")},
		fhir.Member{Name: "subject", Value: reference(subject)},
	)
	first := p.stepTask(planURN, subject, terms.StepIdentify, me, me)
	ops := []exchange.Op{
		{Interaction: exchange.Create, Type: "CarePlan", Doc: plan, FullURL: planURN},
		{Interaction: exchange.Create, Type: "CareTeam", Doc: team, FullURL: teamURN},
		{Interaction: exchange.Create, Type: "Task", Doc: first, FullURL: taskURN},
	}
	written, err := desk.Transact(ctx, c, ops)
	if err != nil {
		return nil, err
	}
	return &written[0].Resource, nil
}

// Desk is what Apply needs of the exchange.
type Desk interface {
	Transact(ctx context.Context, c exchange.Caller, ops []exchange.Op) ([]exchange.Written, error)
}

// subjectOf reads the one subject of $apply.
func subjectOf(params *fhir.Value) (string, error) {
	var subjects []string
	if fhir.ResourceType(params) == "Parameters" {
		for _, param := range params.Get("parameter").Items() {
			if param.Text("name") != "subject" {
				continue
			}
			text := param.Text("valueString")
			if text == "" {
				text = param.Text("valueReference", "reference")
			}
			subjects = append(subjects, text)
		}
	}
	if len(subjects) != 1 {
		return "", exchange.Refuse(exchange.Invalid, "required", "Parameters.parameter", "$apply takes Parameters with exactly one subject, such as Patient/1 as valueString.")
	}
	subject := subjects[0]
	if !strings.Contains(subject, "/") {
		subject = "Patient/" + subject
	}
	if ref := fhir.ParseReference(subject); !ref.Local() || ref.Type != "Patient" {
		return "", exchange.Refuse(exchange.Invalid, "value", "Parameters.parameter", "The subject of $apply is a Patient of this gateway, such as Patient/1.")
	}
	return subject, nil
}

// start governs what Apply makes: the client is one of the caller's unit, and has no running joint process that the
// caller may see.
func (g *governing) start(ctx context.Context) error {
	var plan, team, task *exchange.Item
	for _, item := range g.draft.Items {
		switch item.Type {
		case "CarePlan":
			plan = item
		case "CareTeam":
			team = item
		case "Task":
			task = item
		}
	}
	client := fhir.ParseReference(plan.Doc.Text("subject", "reference")).ID
	facts, err := g.view.Facts(ctx, client)
	if err != nil {
		return err
	}
	if !g.related(facts) {
		return violation("Parameters.parameter", "The process is started for a client of one's own unit: record the EpisodeOfCare or Encounter first.")
	}
	plans, err := g.view.Own(ctx, "CarePlan", client)
	if err != nil {
		return err
	}
	for _, other := range plans {
		status := other.Doc.Text("status")
		if other.Class.Process == other.Ref() && (status == "draft" || status == "active") {
			return violation("Parameters.parameter", "The client has a running joint-client process already: %s.", other.Ref())
		}
	}
	for _, item := range g.draft.Items {
		item.Class.Process = plan.Ref()
	}
	plan.Doc.Set("created", fhir.NewString(g.now()))
	plan.Doc.Set("period", fhir.NewObject(fhir.Member{Name: "start", Value: fhir.NewString(g.now())}))
	if unit := g.draft.Caller.Actor.Unit; unit != "" {
		team.Doc.Set("managingOrganization", fhir.NewArray(reference(unit)))
	}
	addParticipant(team.Doc, newParticipant(personOf(g.draft.Caller), g.draft.Caller.Actor.Unit, recogniser, g.now()))
	task.Doc.Set("authoredOn", fhir.NewString(g.now()))
	task.Doc.Set("lastModified", fhir.NewString(g.now()))
	return nil
}

// related says whether the caller's unit, or the caller as a participant, has a running relationship with the client.
func (g *governing) related(facts *consent.Facts) bool {
	actor := g.draft.Caller.Actor
	for _, rel := range facts.Relationships {
		if !rel.Period.Contains(g.draft.Time) {
			continue
		}
		switch rel.Kind {
		case consent.InCare, consent.Registered:
			if rel.Unit == actor.Unit && rel.Unit != "" {
				return true
			}
		case consent.Participant:
			if g.isCaller(rel.Person) {
				return true
			}
		}
	}
	return false
}
