package process

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"sotesilta/internal/constraints"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

// Profiles are what the process writes and accepts as profiles, made of the tables that it governs by: the members of an
// invitation, the outputs that completing a step needs, the transitions, the inputs of human acts. They say what can be said
// of a resource by itself; who may write it when is Govern's.
func (p *Process) Profiles() []constraints.Shape {
	client := []string{"Patient"}
	canonical := invariant("plan-definition", "The plan follows the joint-client process.",
		"instantiatesCanonical.where($this = '"+p.canonical+"' or startsWith('"+p.canonical+"|')).exists()")
	return []constraints.Shape{
		{
			ID: "joint-client-plan", Type: "CarePlan", Title: "Yhteisasiakkaan suunnitelma",
			Description: "The joint plan of a client (703/2023 § 47). It is begun by PlanDefinition/joint-client/$apply, and its status follows from its steps.",
			Elements: []constraints.Element{
				canonical,
				{Path: "intent", Code: "plan"},
				{Path: "status", Rules: statuses("plan-status", append(slices.Sorted(maps.Keys(broken)), "draft", "active", "completed"))},
				{Path: "subject", Min: 1, Targets: client},
				{Path: "created", Min: 1},
				{Path: "period", Min: 1},
				{Path: "period.start", Min: 1},
				{Path: "careTeam", Min: 1, Targets: []string{"CareTeam"}},
			},
		},
		{
			ID: "joint-client-team", Type: "CareTeam", Title: "Yhteisasiakkaan tiimi",
			Description: "The team of a joint plan. Each participation that rests on an invitation has its id, and one participant at most is responsible.",
			Elements: []constraints.Element{
				{Path: "status", Min: 1, Rules: statuses("team-status", []string{"proposed", "active", "inactive", "entered-in-error"})},
				{Path: "subject", Min: 1, Targets: client},
				{Path: "participant", Min: 1},
				{Path: "participant.role", Min: 1, Rules: []constraints.Rule{{
					Key: "team-role", Human: "A role in the team is recogniser, responsible or participant.",
					Expression: "coding.where(system = '" + roleSystem + "' and code in " + constraints.Among(recogniser, responsible, participant) + ").exists()",
				}}},
				{Path: "participant.member", Min: 1},
				{Path: "participant.period", Min: 1},
				{Path: "participant.period.start", Min: 1},
				invariant("team-responsible", "One participant at most is the responsible worker.",
					"participant.where(role.coding.where(system = '"+roleSystem+"' and code = '"+responsible+"').exists() and period.end.empty()).count() <= 1"),
			},
		},
		p.stepShape(), p.invitationShape(), p.actShape(),
		{
			ID: "joint-client-assessment", Type: "QuestionnaireResponse", Title: "Yhteisasiakkaan palvelutarpeen arviointi",
			Description: "The joint need assessment, a document of the process (703/2023 § 46).",
			Elements: []constraints.Element{
				{Path: "subject", Min: 1, Targets: client},
				invariant("assessment-plan", "The assessment is based on the joint plan.", "basedOn.reference.where(startsWith('CarePlan/') or contains('/CarePlan/')).exists()"),
			},
		},
	}
}

// invariant is an invariant of the resource itself.
func invariant(key, human, expression string) constraints.Element {
	return constraints.Element{Rules: []constraints.Rule{{Key: key, Human: human, Expression: expression}}}
}

// statuses is the rule that a status is one of some.
func statuses(key string, of []string) []constraints.Rule {
	return []constraints.Rule{{Key: key, Human: "The status is one of " + strings.Join(of, ", ") + ".", Expression: "$this in " + constraints.Among(of...)}}
}

// statuses are those that a table leads from or to, each once, in order.
func (t table) statuses() []string {
	var out []string
	for _, row := range t {
		out = append(append(out, row.From), row.To...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// stepCode is the rule that a Task has one code of the steps, among some.
func stepCode(key string, codes []string) constraints.Element {
	codings := "code.coding.where(system = '" + terms.Step + "')"
	return invariant(key, "Task.code is one step of the process: "+strings.Join(codes, ", ")+".",
		codings+".count() = 1 and "+codings+".all(code in "+constraints.Among(codes...)+")")
}

// typedAs are the inputs or outputs of a kind.
func typedAs(list, system, kind string) string {
	return list + ".where(type.coding.where(system = '" + system + "' and code = '" + kind + "').exists())"
}

func (p *Process) stepShape() constraints.Shape {
	var codes []string
	for _, a := range p.flow {
		if !a.byCallers {
			codes = append(codes, a.id)
		}
	}
	elements := []constraints.Element{
		stepCode("step-code", codes),
		{Path: "intent", Code: "order"},
		{Path: "status", Rules: statuses("step-status", append(p.transitions.Step.statuses(), "cancelled"))},
		{Path: "basedOn", Min: 1, Max: "1", Targets: []string{"CarePlan"}},
		{Path: "for", Min: 1, Targets: []string{"Patient"}},
		{Path: "requester", Min: 1},
		{Path: "owner", Min: 1},
		{Path: "authoredOn", Min: 1},
		{Path: "lastModified", Min: 1},
	}
	for _, code := range slices.Sorted(maps.Keys(demands)) {
		need := demands[code]
		value := "false"
		if need.values != nil {
			value = "(value is code and value in " + constraints.Among(need.values...) + ")"
		}
		switch {
		case need.either:
			value += " or value is Reference"
		case need.typ != "":
			value = "value is Reference and value.reference.startsWith('" + need.typ + "/')"
		}
		outputs := typedAs("output", outputSystem, need.kind)
		elements = append(elements, invariant("step-"+code, fmt.Sprintf("Completing %s needs one output of type %s: %s.", code, need.kind, need),
			fmt.Sprintf("(status = 'completed' and code.coding.where(system = '%s' and code = '%s').exists()) implies (%s.count() = 1 and %s.all(%s))",
				terms.Step, code, outputs, outputs, value)))
	}
	return constraints.Shape{
		ID: "joint-client-step", Type: "Task", Title: "Yhteisasiakkaan prosessin vaihe",
		Description: "A step of the joint-client process. The gateway opens it; its parties move it by the table of transitions.", Elements: elements,
	}
}

func (p *Process) invitationShape() constraints.Shape {
	const reference, text = "valueReference of a HealthcareService", "valueString"
	elements := []constraints.Element{
		stepCode("invitation-code", []string{terms.StepInvite}),
		{Path: "intent", Code: "order"},
		{Path: "status", Rules: statuses("invitation-status", p.transitions.Invite.statuses())},
		{Path: "basedOn", Min: 1, Max: "1", Targets: []string{"CarePlan"}},
		{Path: "for", Min: 1, Targets: []string{"Patient"}},
		{Path: "requester", Min: 1},
		{Path: "owner", Min: 1, Targets: []string{"Practitioner", "PractitionerRole"}},
		{Path: "restriction", Min: 1},
		{Path: "restriction.period", Min: 1},
		{Path: "restriction.period.end", Min: 1},
		{Path: "input", Max: "2"},
		{Path: "output", Max: "1"},
		invariant("invitation-process", "A step of the joint-client process instantiates it.", "instantiatesCanonical.all($this = '"+p.canonical+"')"),
		invariant("invitation-service", "An invitation has at most one service: "+reference+".",
			typedAs("input", outputSystem, service)+".count() <= 1 and "+typedAs("input", outputSystem, service)+".all(value is Reference and value.reference.startsWith('HealthcareService/'))"),
		invariant("invitation-sentence", "An invitation has at most one sentence: "+text+", at most "+strconv.Itoa(sentenceLimit)+" bytes.",
			typedAs("input", outputSystem, sentence)+".count() <= 1 and "+typedAs("input", outputSystem, sentence)+".all(value is string and value.length() <= "+strconv.Itoa(sentenceLimit)+")"),
		invariant("invitation-inputs", "An invitation has no other inputs than service and sentence.",
			"input.all(type.coding.where(system = '"+outputSystem+"' and code in "+constraints.Among(service, sentence)+").exists())"),
		invariant("invitation-output", "The one output of an invitation is responsible: who takes over.",
			"output.all(type.coding.where(system = '"+outputSystem+"' and code = '"+responsible+"').exists())"),
	}
	task := fhir.DefinitionOf("Task")
	for _, name := range task.Names() {
		if !answerMembers[name] {
			elements = append(elements, constraints.Element{Path: name, Max: "0"})
		}
	}
	for _, name := range task.Members("restriction")[0].Type.Names() {
		if name != "period" {
			elements = append(elements, constraints.Element{Path: "restriction." + name, Max: "0"})
		}
	}
	return constraints.Shape{
		ID: "joint-client-invitation", Type: "Task", Title: "Kutsu yhteisasiakkaan tiimiin",
		Description: "An invitation of a professional into the team: client, inviter, service wanted, reply date and one sentence that the client approved, and nothing from a register.",
		Elements:    elements,
	}
}

func (p *Process) actShape() constraints.Shape {
	t := p.transitions
	all := slices.Concat(t.Request, t.Decide, t.Disclose, t.Notice)
	codings := "code.coding.where(system = '" + terms.HumanAct + "')"
	elements := []constraints.Element{
		invariant("act-code", "Task.code is one human act.", codings+".count() = 1"),
		{Path: "intent", Code: "order"},
		{Path: "status", Rules: statuses("act-status", all.statuses())},
		{Path: "for", Min: 1, Targets: []string{"Patient"}},
		{Path: "requester", Min: 1},
		invariant("act-fact", "A fact is told in the person's own words, as valueString, once.",
			"input.where(type.coding.where(system = '"+terms.DisclosureFact+"').exists()).all(value is string)"),
	}
	for _, code := range slices.Sorted(maps.Keys(actInputs)) {
		in := actInputs[code]
		typ := in.typ
		if typ == "Code" || typ == "String" {
			typ = strings.ToLower(typ)
		}
		inputs := typedAs("input", terms.ActInput, code)
		expression := inputs + ".all(value is " + typ + ")"
		human := "The input " + code + " is a value" + in.typ
		if !in.several {
			expression += " and " + inputs + ".count() <= 1"
			human += ", once"
		}
		elements = append(elements, invariant("act-"+code, human+".", expression))
	}
	return constraints.Shape{
		ID: "human-act", Type: "Task", Title: "Ihmisen teko",
		Description: "A Task by which a person asks for, decides on, carries out, takes back or mends an exchange (CodeSystem human-act).", Elements: elements,
	}
}
