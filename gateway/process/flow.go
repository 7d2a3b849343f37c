package process

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"

	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

// flow tells which steps there are and which follow which, read from PlanDefinition.action.
type flow []*action

// action is one step.
type action struct {
	id, title string
	months    int    // it is due so many months after it opened (timingDuration); 0: no due date
	byCallers bool   // the flow does not open it, callers do (requiredBehavior could)
	waits     bool   // it opens only when somebody takes part (condition of kind start)
	after     []edge // relatedAction, after-end
}

// edge is one way to a step. Where it depends on an output of the step before it, that output is (or is not) a code.
type edge struct {
	from        string
	kind, value string // "" always
	not         bool
}

// What a PlanDefinition of ours may say beyond plain FHIR. Anything else is refused when the process is read, so that
// nothing in the definition is there for show.
const (
	// afterOutput is the extension of relatedAction that makes it depend on an output of the action before.
	afterOutput = terms.Base + "StructureDefinition/after-output"
	// takesPart is the one start condition: somebody accepted an invitation and still takes part.
	takesPart = "%team.participant.where(role.coding.code='participant' and period.end.empty()).exists()"
)

// outputCondition is the one form of FHIRPath that a condition on an output may take.
var outputCondition = regexp.MustCompile(`^%task\.output\.where\(type\.coding\.code='([a-z-]+)'\)\.value (=|!=) '([a-z-]+)'$`)

func readFlow(definition *fhir.Value) (flow, error) {
	var f flow
	for _, a := range definition.Get("action").Items() {
		f = append(f, &action{id: a.Text("id"), title: a.Text("title"), byCallers: a.Text("requiredBehavior") == "could"})
	}
	for i, a := range definition.Get("action").Items() {
		if err := f.read(f[i], a); err != nil {
			return nil, fmt.Errorf("action %s: %w", f[i].id, err)
		}
	}
	return f, nil
}

func (f flow) read(into *action, a *fhir.Value) error {
	if into.id == "" || into.title == "" || a.Text("code", "coding", "system") != terms.Step || a.Text("code", "coding", "code") != into.id {
		return errors.New("an action has an id, a title, and the id as its code of joint-client-step")
	}
	if due := a.Get("timingDuration"); due != nil {
		months, err := strconv.Atoi(due.Text("value"))
		if err != nil || months < 1 || due.Text("code") != "mo" || due.Text("system") != "http://unitsofmeasure.org" {
			return errors.New("timingDuration must be whole months (UCUM mo)")
		}
		into.months = months
	}
	for _, condition := range a.Get("condition").Items() {
		if condition.Text("kind") != "start" || condition.Text("expression", "expression") != takesPart {
			return errors.New("a condition that is not understood")
		}
		into.waits = true
	}
	for _, related := range a.Get("relatedAction").Items() {
		e := edge{from: related.Text("actionId")}
		if f.action(e.from) == nil || related.Text("relationship") != "after-end" {
			return errors.New("relatedAction must be after-end of an action of this definition")
		}
		for _, ext := range related.Get("extension").Items() {
			match := outputCondition.FindStringSubmatch(ext.Text("valueExpression", "expression"))
			if ext.Text("url") != afterOutput || match == nil {
				return errors.New("a condition on an output that is not understood")
			}
			e.kind, e.not, e.value = match[1], match[2] == "!=", match[3]
		}
		into.after = append(into.after, e)
	}
	return nil
}

// action is the step with an id, or nil.
func (f flow) action(id string) *action {
	for _, a := range f {
		if a.id == id {
			return a
		}
	}
	return nil
}

// after is the steps that a completed step opens, given its outputs.
func (f flow) after(code string, task *fhir.Value) []*action {
	var next []*action
	for _, a := range f {
		if !a.byCallers && slices.ContainsFunc(a.after, func(e edge) bool { return e.from == code && e.holds(task) }) {
			next = append(next, a)
		}
	}
	return next
}

func (e edge) holds(task *fhir.Value) bool {
	return e.kind == "" || (output(task, e.kind).Str() == e.value) != e.not
}
