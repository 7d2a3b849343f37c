package process

import (
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"sotesilta/gateway/exchange"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

// flow tells which steps follow which, read from PlanDefinition.action.relatedAction (after-end).
type flow []edge

type edge struct {
	from, to    string
	kind, value string // the output of from that it depends on; "" always
}

// afterOutput is the extension of relatedAction that makes it depend on an output of the action that went before.
const afterOutput = terms.Base + "StructureDefinition/after-output"

// outputCondition is the one form of FHIRPath that a condition of the flow may take.
var outputCondition = regexp.MustCompile(`^%task\.output\.where\(type\.coding\.code='([a-z-]+)'\)\.value = '([a-z-]+)'$`)

func readFlow(definition *fhir.Value) (flow, error) {
	var f flow
	known := map[string]bool{}
	for _, action := range definition.Get("action").Items() {
		known[action.Text("id")] = true
	}
	for _, action := range definition.Get("action").Items() {
		for _, related := range action.Get("relatedAction").Items() {
			e := edge{from: related.Text("actionId"), to: action.Text("id")}
			if !known[e.from] || related.Text("relationship") != "after-end" {
				return nil, fmt.Errorf("action %s: relatedAction must be after-end of an action of this definition", e.to)
			}
			for _, ext := range related.Get("extension").Items() {
				match := outputCondition.FindStringSubmatch(ext.Text("valueExpression", "expression"))
				if ext.Text("url") != afterOutput || match == nil {
					return nil, fmt.Errorf("action %s: a condition that is not understood", e.to)
				}
				e.kind, e.value = match[1], match[2]
			}
			f = append(f, e)
		}
	}
	return f, nil
}

// after is the steps that a completed step opens, given its outputs.
func (f flow) after(code string, task *fhir.Value) []string {
	var next []string
	for _, e := range f {
		if e.from == code && (e.kind == "" || output(task, e.kind).Str() == e.value) {
			next = append(next, e.to)
		}
	}
	return next
}

//go:embed transitions.yaml
var transitionsFile []byte

// transitions is transitions.yaml.
type transitions struct {
	Profile string `yaml:"profile"`
	Version string `yaml:"version"`
	Invite  table  `yaml:"invite"`
	Step    table  `yaml:"step"`
}

type table []transition

type transition struct {
	From string   `yaml:"from"`
	To   []string `yaml:"to"`
	By   []string `yaml:"by"`
}

// The parties of a Task, as the table names them.
const (
	owner     = "owner"
	requester = "requester"
)

func readTransitions(text []byte) (transitions, error) {
	var t transitions
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	decoder.KnownFields(true)
	if err := decoder.Decode(&t); err != nil {
		return t, err
	}
	for _, rows := range []table{t.Invite, t.Step} {
		for _, row := range rows {
			for _, party := range row.By {
				if party != owner && party != requester && party != responsible {
					return t, fmt.Errorf("transitions: %q is no party of a Task", party)
				}
			}
		}
	}
	return t, nil
}

// check refuses a transition that the table does not give to one of the caller's parties. A change that leaves the
// status as it is needs a party too: nobody else edits the body of a Task.
func (t table) check(ref, from, to string, parties []string) error {
	if from == to {
		if len(parties) == 0 {
			return violation("Task", "%s: only its owner, its requester or the responsible worker change it (table joint-client)", ref)
		}
		return nil
	}
	possible := false
	for _, row := range t {
		if row.From != from || !slices.Contains(row.To, to) {
			continue
		}
		possible = true
		for _, party := range row.By {
			if slices.Contains(parties, party) {
				return nil
			}
		}
	}
	if possible {
		as := "who is no party of the Task"
		if len(parties) > 0 {
			as = "the " + strings.Join(parties, " and ")
		}
		return violation("Task.status", "%s: %s → %s: not allowed for %s (table joint-client, FHIR R4 Task § 12.8.6)", ref, from, to, as)
	}
	return violation("Task.status", "%s: %s → %s: not a transition of the table joint-client (FHIR R4 Task § 12.8.6)", ref, from, to)
}

// parties is what the caller is to a Task.
func (g *governing) parties(run *running, task *fhir.Value) []string {
	var out []string
	if g.isCaller(task.Text("owner", "reference")) {
		out = append(out, owner)
	}
	if g.isCaller(task.Text("requester", "reference")) {
		out = append(out, requester)
	}
	if g.isCaller(run.responsible()) {
		out = append(out, responsible)
	}
	return out
}

// isCaller says whether a reference is the calling person, or the caller's unit.
func (g *governing) isCaller(ref string) bool { return ref != "" && is(g.draft.Caller, ref) }

func is(c exchange.Caller, ref string) bool {
	return ref == c.Actor.Person && ref != "" || ref == c.Actor.Role && ref != "" || ref == c.Actor.Unit && c.Actor.User != ""
}
