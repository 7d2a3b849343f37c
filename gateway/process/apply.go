package process

import (
	"context"
	"fmt"
	"slices"
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
	me := personOf(c.Actor)
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
	first := p.stepTask(planURN, subject, p.flow.action(terms.StepIdentify), me, me)
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
		for i, param := range params.Get("parameter").Items() {
			if name := param.Text("name"); name != "subject" {
				return "", unsupported(fmt.Sprintf("Parameters.parameter[%d]", i), name)
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

// applyParameters are those of R4's operation that are not for this process: who asks and where follows from the access
// token, and the process is one of a client (FHIR R4 § 12.18.5.1).
var applyParameters = []string{
	"planDefinition", "encounter", "practitioner", "organization", "userType", "userLanguage", "userTaskContext", "setting", "settingContext",
}

// unsupported refuses a parameter of $apply that would change nothing: one that is ignored deceives who sends it.
func unsupported(place, name string) error {
	if slices.Contains(applyParameters, name) {
		return exchange.Refuse(exchange.Invalid, "not-supported", place,
			"The parameter "+name+" of $apply is not supported here: who asks, and for which unit, follows from the access token. Send subject alone.")
	}
	if len(name) > 64 {
		name = strings.ToValidUTF8(name[:64], "") + "…"
	}
	return exchange.Refuse(exchange.Invalid, "not-supported", place, fmt.Sprintf("$apply has no parameter %q: it is unknown. Send subject alone.", name))
}

// start governs what Apply makes: the client is one of the caller's unit, and has no running joint process that the
// caller may see. Of two that are started at once in one register, one is decided again after the other.
func (g *governing) start(ctx context.Context) error {
	parts := map[string]*exchange.Item{}
	for _, item := range g.draft.Items {
		parts[item.Type] = item
	}
	plan, team, task := parts["CarePlan"], parts["CareTeam"], parts["Task"]
	if len(g.draft.Items) != 3 || plan == nil || team == nil || task == nil {
		return exchange.Refuse(exchange.Invalid, "invalid", "", "$apply makes a CarePlan, its CareTeam and the first Task, and nothing else.")
	}
	actor := g.draft.Caller.Actor
	client := fhir.ParseReference(plan.Doc.Text("subject", "reference")).ID
	facts, err := g.view.Facts(ctx, client)
	if err != nil {
		return err
	}
	if !g.related(facts, actor) {
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
	g.draft.Keys = append(g.draft.Keys, strings.Join([]string{g.canonical, client, actor.Controller, string(actor.Register)}, " "))
	for _, item := range g.draft.Items {
		item.Class.Process = plan.Ref()
	}
	plan.Doc.Set("created", fhir.NewString(g.now()))
	plan.Doc.Set("period", fhir.NewObject(fhir.Member{Name: "start", Value: fhir.NewString(g.now())}))
	if actor.Unit != "" {
		team.Doc.Set("managingOrganization", fhir.NewArray(reference(actor.Unit)))
	}
	addParticipant(team.Doc, newParticipant("", personOf(actor), actor.Unit, recogniser, g.now()))
	task.Doc.Set("authoredOn", fhir.NewString(g.now()))
	task.Doc.Set("lastModified", fhir.NewString(g.now()))
	return nil
}
