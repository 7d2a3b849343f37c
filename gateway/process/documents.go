package process

import (
	"context"
	"strings"

	"sotesilta/gateway/exchange"
	"sotesilta/internal/fhir"
)

// broken are the statuses by which a CarePlan breaks its process off.
var broken = map[string]bool{"revoked": true, "entered-in-error": true}

// plan governs a CarePlan of the process: its status, client and team follow from the steps. The one exception is
// that who leads the process breaks it off at any time, because the client may change their mind at any time.
func (g *governing) plan(ctx context.Context, item *exchange.Item) error {
	if item.Before == nil || item.Before.Class.Process == "" {
		if item.Doc != nil && instantiates(item.Doc, g.canonical) {
			return violation("CarePlan.instantiatesCanonical", "A joint-client process is started with POST PlanDefinition/joint-client/$apply.")
		}
		return nil
	}
	run, err := g.owned(ctx, item, "CarePlan")
	if err != nil {
		return err
	}
	const why = "of a joint-client process follows from its steps and is not set by callers."
	if err := keep(item.Before.Doc, item.Doc, "CarePlan", why,
		"subject", "intent", "instantiatesCanonical", "careTeam", "period", "created"); err != nil {
		return err
	}
	from, to := item.Before.Doc.Text("status"), item.Doc.Text("status")
	switch {
	case from == to:
		return nil
	case !broken[to]:
		return violation("CarePlan.status", "CarePlan.status %s", why)
	case !g.isCaller(run.lead()):
		return violation("CarePlan.status", "%s: %s → %s: only the responsible worker, before there is one the recogniser, breaks a process off.", item.Ref(), from, to)
	}
	g.end(run, to)
	return nil
}

// team governs a CareTeam of the process: its participants come from invitations.
func (g *governing) team(ctx context.Context, item *exchange.Item) error {
	if item.Before == nil || item.Before.Class.Process == "" {
		return nil
	}
	if _, err := g.owned(ctx, item, "CareTeam"); err != nil {
		return err
	}
	return keep(item.Before.Doc, item.Doc, "CareTeam", "of a joint-client process follows from its steps and invitations.",
		"subject", "status", "participant")
}

// owned checks what holds for a plan and a team alike: they stay, they are about their client, and after the end they
// do not change any more.
func (g *governing) owned(ctx context.Context, item *exchange.Item, typ string) (*running, error) {
	if item.Doc == nil {
		return nil, violation("", "The %s of a joint-client process is not deleted; complete the step end, or set CarePlan.status to revoked.", typ)
	}
	run, err := g.load(ctx, item.Before.Class.Process)
	if err != nil {
		return nil, err
	}
	if run == nil {
		return nil, violation(typ, "The process of this %s is not known.", typ)
	}
	if err := run.open(); err != nil {
		return nil, err
	}
	return run, about(item, run)
}

// assessment makes a QuestionnaireResponse that is based on the plan a document of the process: the joint need
// assessment (703/2023 §§ 46–47). What it refers to stays in its own register. One that is based on a plan that its
// writer cannot see is kept as given and stays what it is.
func (g *governing) assessment(ctx context.Context, item *exchange.Item) error {
	if item.Before != nil && item.Before.Class.Process != "" {
		if item.Doc == nil {
			return violation("", "A document of a joint-client process is not deleted, because each register keeps its copy; set its status to entered-in-error.")
		}
		run, err := g.load(ctx, item.Before.Class.Process)
		if err != nil || run == nil {
			return err
		}
		if err := keep(item.Before.Doc, item.Doc, "QuestionnaireResponse", "of a document of a joint-client process does not change.",
			"subject", "basedOn"); err != nil {
			return err
		}
		return about(item, run)
	}
	if item.Doc == nil || item.Before != nil && processOf(item.Before.Doc) == processOf(item.Doc) {
		return nil
	}
	run, err := g.process(ctx, item.Doc)
	if err != nil || run == nil {
		return err
	}
	switch {
	case item.Before != nil:
		return violation("QuestionnaireResponse.basedOn", "An assessment that exists does not become a joint document; write a new one with what the joint work needs.")
	case !run.member(g.draft.Caller.Actor):
		return violation("QuestionnaireResponse.basedOn", "An assessment based on a joint plan is written by a member of its team.")
	case item.Doc.Text("subject", "reference") != run.subject():
		return violation("QuestionnaireResponse.subject", "An assessment based on a joint plan is about the plan's client.")
	}
	if err := about(item, run); err != nil {
		return err
	}
	item.Class.Process, item.Class.Joint = run.ref, run.joint() && run.ours(item.Class)
	return nil
}

// output is the value of a Task.output of our kind: the text of a valueCode, or a Reference (see outputs).
func output(doc *fhir.Value, kind string) *fhir.Value {
	value, _ := parameter(doc.Get("output"), kind)
	return value
}

// parameter is the value of the first input or output of our kind, and how many there are.
func parameter(list *fhir.Value, kind string) (value *fhir.Value, count int) {
	_, value, count = typed(list, kind)
	return value, count
}

// typed is parameter with the type of the value: code of valueCode, Reference of valueReference.
func typed(list *fhir.Value, kind string) (typ string, value *fhir.Value, count int) {
	for _, out := range list.Items() {
		for _, coding := range out.Get("type").Get("coding").Items() {
			if coding.Text("system") != outputSystem || coding.Text("code") != kind {
				continue
			}
			count++
			for _, member := range out.Members() {
				if found, ok := strings.CutPrefix(member.Name, "value"); ok && value == nil {
					typ, value = found, member.Value
				}
			}
			break
		}
	}
	return typ, value, count
}
