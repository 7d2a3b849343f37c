// Package process is the joint-client process as rules over FHIR resources: $apply on the PlanDefinition starts it,
// completing a Task opens the next one, an accepted invitation makes a participant of the CareTeam, and the end of
// the process ends what it gave access to.
//
// The flow is read from the PlanDefinition that clients see (gateway/conformance) and who may move a Task how from
// transitions.yaml: rules are data (law 7). Process implements exchange.Rules, so that its rules hold for every
// change, whichever wire it came by; it decides nothing about law, but tells the Desk which invitations need a basis
// and which relationships rest on them. What was chosen where the design leaves a choice is said in README.md.
package process

import (
	"context"
	"fmt"
	"slices"
	"strings"

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
	outcome     = "outcome"
	responsible = "responsible"
	appointment = "appointment"
	service     = "service"
	sentence    = "sentence"
	recogniser  = "recogniser"
	participant = "participant"
)

// Process holds the flow and the transitions of one PlanDefinition. It is safe for concurrent use.
type Process struct {
	canonical   string
	flow        flow
	transitions transitions
	facts       map[string]bool // facts that a human's act may tell (consent/bases/acts.yaml)
	reason      consent.Wording // what counts as a reason (the same)
	labels      map[string]bool // system|code that a label may have (consent/bases/classes.yaml)
}

// New reads the definitions of the joint-client process; an error says which one is not understood.
func New() (*Process, error) {
	definition, err := conformance.Resource("PlanDefinition", "joint-client")
	if err != nil {
		return nil, fmt.Errorf("process: %w", err)
	}
	p := &Process{canonical: definition.Text("url")}
	if p.flow, err = readFlow(definition); err != nil {
		return nil, fmt.Errorf("process: %w", err)
	}
	if p.transitions, err = readTransitions(transitionsFile); err != nil {
		return nil, fmt.Errorf("process: %w", err)
	}
	acts, err := consent.ActLists()
	if err != nil {
		return nil, fmt.Errorf("process: %w", err)
	}
	p.facts, p.reason = map[string]bool{}, acts.Reason
	for _, fact := range acts.Facts {
		p.facts[fact.Code] = true
	}
	lists, err := consent.CodeLists()
	if err != nil {
		return nil, fmt.Errorf("process: %w", err)
	}
	p.labels = map[string]bool{}
	for system, list := range map[string][]consent.Code{
		terms.ServiceTask: lists.ServiceTasks, terms.DataClass: lists.DataClasses, terms.Protection: lists.Protections,
	} {
		for _, code := range list {
			p.labels[system+"|"+code.Code] = true
		}
	}
	return p, nil
}

// Govern holds every change to the process. It implements exchange.Rules.
func (p *Process) Govern(ctx context.Context, v exchange.View, d *exchange.Draft) error {
	g := &governing{Process: p, view: v, draft: d, processes: map[string]*running{}}
	if d.Caller.Interaction == exchange.Apply {
		return g.start(ctx)
	}
	asked := slices.DeleteFunc(slices.Clone(d.Items), func(i *exchange.Item) bool { return i.Consequence }) // those are ours already
	asked, err := g.acts(ctx, asked)
	if err != nil {
		return err
	}
	for _, pass := range [][]rule{
		{{"CarePlan", g.plan}, {"CareTeam", g.team}}, // before the steps change them
		{{"Task", g.task}, {"QuestionnaireResponse", g.assessment}},
	} {
		for _, item := range asked {
			for _, r := range pass {
				if r.typ != item.Type {
					continue
				}
				if err := r.govern(ctx, item); err != nil {
					return err
				}
			}
		}
	}
	return g.settle()
}

// rule governs the changes of one type of resource.
type rule struct {
	typ    string
	govern func(context.Context, *exchange.Item) error
}

// governing is one draft under the rules.
type governing struct {
	*Process
	view      exchange.View
	draft     *exchange.Draft
	processes map[string]*running // by CarePlan/id; nil: there is none
}

// violation refuses a change that breaks the process. It says which rule.
func violation(expression, format string, args ...any) error {
	return exchange.Refuse(exchange.Unprocessable, "business-rule", expression, fmt.Sprintf(format, args...))
}

// now is the time of the change as FHIR writes it.
func (g *governing) now() string { return fhir.Instant(g.draft.Time) }

// isCaller says whether a reference is the calling professional, or the caller's unit.
func (g *governing) isCaller(ref string) bool { return is(g.draft.Caller.Actor, ref) }

// is says whether a reference names a professional or the professional's unit. A system without a user, a client and
// a guardian are nobody's party.
func is(a consent.Actor, ref string) bool {
	return names(a, ref) || a.Kind == consent.Professional && ref != "" && ref == a.Unit
}

// names says whether a reference is a professional as a person, or in their role.
func names(a consent.Actor, ref string) bool {
	return a.Kind == consent.Professional && ref != "" && (ref == a.Person || ref == a.Role)
}

// personOf is how the process names a professional: by role, otherwise by person, otherwise by unit.
func personOf(a consent.Actor) string {
	for _, ref := range []string{a.Role, a.Person, a.Unit} {
		if ref != "" {
			return ref
		}
	}
	return ""
}

// related says whether an actor's unit, or the actor as a participant, has a running relationship with the client.
func (g *governing) related(facts *consent.Facts, a consent.Actor) bool {
	return slices.ContainsFunc(facts.Relationships, func(rel consent.Relationship) bool {
		if !rel.Period.Contains(g.draft.Time) || rel.Controller != a.Controller || rel.Register != a.Register {
			return false
		}
		switch rel.Kind {
		case consent.InCare, consent.Registered:
			return rel.Unit != "" && rel.Unit == a.Unit || rel.Unit == "" && rel.App != "" && rel.App == a.App
		case consent.Participant:
			return names(a, rel.Person)
		}
		return false
	})
}

// process is the running process that a resource is based on, if the caller may see its plan; otherwise nil, whether
// it exists or not. One that has ended is refused.
func (g *governing) process(ctx context.Context, doc *fhir.Value) (*running, error) {
	ref := processOf(doc)
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
	return run, run.open()
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

// instantiates says whether a CarePlan follows a definition.
func instantiates(doc *fhir.Value, canonical string) bool {
	for _, url := range doc.Get("instantiatesCanonical").Items() {
		if text, _, _ := strings.Cut(url.Str(), "|"); text == canonical {
			return true
		}
	}
	return false
}

// keep refuses a change of members that are not the caller's to change.
func keep(before, after *fhir.Value, typ, why string, names ...string) error {
	for _, name := range names {
		if !same(before.Get(name), after.Get(name)) {
			return violation(typ+"."+name, "%s.%s %s", typ, name, why)
		}
	}
	return nil
}

// same says whether two values are equal; the order of members does not count, as JSON says.
func same(a, b *fhir.Value) bool {
	if a.Kind() != b.Kind() || a.Str() != b.Str() || len(a.Members()) != len(b.Members()) || len(a.Items()) != len(b.Items()) {
		return false
	}
	for _, m := range a.Members() {
		if !same(m.Value, b.Get(m.Name)) {
			return false
		}
	}
	for i, item := range a.Items() {
		if !same(item, b.Items()[i]) {
			return false
		}
	}
	return true
}

// about refuses a document of a process that names other clients: each of them would decide who may read it.
func about(item *exchange.Item, run *running) error {
	if len(item.Class.Clients) == 1 && item.Class.Clients[0] == run.client() {
		return nil
	}
	return violation(item.Type, "A document of a joint-client process names its client and no other client.")
}

func reference(to string) *fhir.Value {
	return fhir.NewObject(fhir.Member{Name: "reference", Value: fhir.NewString(to)})
}
