package access

import (
	"iter"
	"time"

	"github.com/go-json-experiment/json"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/exchange"
	"sotesilta/internal/fhir"
)

// Staff finds the registered users and API clients whom explanations and simulations are about.
type Staff struct {
	// Actor is a user of an API client, or with user "" the client itself.
	Actor func(app, user string) (consent.Actor, bool)
	// Professionals are all registered professionals.
	Professionals iter.Seq[consent.Actor]
}

// circumstances is the context of an explain request: what a token would have carried.
type circumstances struct {
	Purpose consent.Purpose   `json:"purpose"`
	Task    string            `json:"task"`
	Service string            `json:"service"`
	Ground  string            `json:"ground"`
	Facts   map[string]string `json:"facts"`
	Reason  string            `json:"reason"`
	Confirm bool              `json:"confirm"`
	Time    time.Time         `json:"time"`
}

// narrowing is the context of a request to explain a record: which of its classes.
type narrowing struct {
	Type        string           `json:"type"`
	Register    consent.Register `json:"register"`
	Controller  string           `json:"controller"`
	ServiceTask string           `json:"serviceTask"`
	DataClass   string           `json:"dataClass"`
	Client      string           `json:"client"`
	After       string           `json:"after"`
}

// told is an explanation on the wire, beside the decision of AuthZEN § 6.2.
type told struct {
	ID          string            `json:"id"` // of the ledger record that says who asked
	ReasonUser  map[string]string `json:"reason_user"`
	ReasonAdmin map[string]string `json:"reason_admin,omitzero"`
	Explanation explanation       `json:"explanation"`
}

type explanation struct {
	Policy string                   `json:"policy"`          // version
	Kept   bool                     `json:"kept"`            // false: decided under another version, whose text is not kept
	Labels string                   `json:"labels,omitzero"` // now: a search, explained by the labels there are now
	Record *ledger.Record           `json:"record,omitzero"`
	Parts  []exchange.ExplainedPart `json:"parts"`
	Total  int                      `json:"total"`         // classes asked for, on all pages
	Next   string                   `json:"next,omitzero"` // context.after of the page that follows
}

type explainedDecision struct {
	Decision bool `json:"decision"`
	Context  told `json:"context"`
}

// explain answers POST /access/v1/explain.
func (a *api) explain(v *visit, body []byte) (any, error) {
	if err := a.spend(v.ctx, v.caller.Actor.App, explainCost); err != nil {
		return nil, err
	}
	var q question
	if err := read(body, &q); err != nil {
		return nil, err
	}
	const wanted = "AuditEvent and a record's id, or a resource that somebody might ask for."
	switch {
	case q.Resource == nil:
		return nil, bad("/resource", "resource is required: "+wanted)
	case q.Resource.Type == "":
		return nil, bad("/resource/type", "resource.type is required: "+wanted)
	case q.Resource.ID == "":
		return nil, bad("/resource/id", "resource.id is required: "+wanted)
	}
	caller := v.caller
	caller.RequestID = v.id
	out, err := a.explained(v, caller, &q)
	if err != nil {
		return nil, refusedAs(err, nil)
	}
	answer := explainedDecision{Decision: out.Permitted, Context: told{
		ID: v.id, ReasonUser: out.Plain,
		Explanation: explanation{Policy: out.Policy, Kept: out.Kept, Labels: out.Labels, Record: out.Record, Parts: out.Parts, Total: out.Total, Next: out.Next},
	}}
	if v.caller.Actor.Kind == consent.Auditor {
		answer.Context.ReasonAdmin = map[string]string{"en": reason(out)}
	}
	return answer, nil
}

// explainCost is how many evaluations an explanation or a simulation counts for.
const explainCost = 10

// reason is what the log keeps of an exchange.
func reason(out *exchange.Explanation) string {
	if out.Record != nil && out.Record.Reason != "" {
		return out.Record.Reason
	}
	for i := range out.Parts {
		if p := &out.Parts[i]; (p.Result.Outcome == consent.Permitted) == out.Permitted {
			return p.Result.Reason
		}
	}
	if last := len(out.Parts) - 1; last >= 0 {
		return out.Parts[last].Result.Reason
	}
	return "the law was not asked"
}

func (a *api) explained(v *visit, caller exchange.Caller, q *question) (*exchange.Explanation, error) {
	if q.Resource.Type == "AuditEvent" {
		if !fhir.ValidID(q.Resource.ID) {
			return nil, bad("/resource/id", "resource.id is the id of a record: X-Request-Id, or that of an AuditEvent.")
		}
		var of narrowing
		if len(q.Context) > 0 {
			if err := json.Unmarshal(q.Context, &of, json.RejectUnknownMembers(true)); err != nil {
				return nil, bad(placeIn("/context", err), "context narrows the classes of a record: type, register, controller, serviceTask, dataClass, client; after is where the page begins.")
			}
		}
		return a.Desk.ExplainRecord(v.ctx, caller, q.Resource.ID, exchange.Narrowing(of))
	}
	if err := resourced(q.Resource, ""); err != nil {
		return nil, err
	}
	var with circumstances
	if len(q.Context) > 0 {
		if err := json.Unmarshal(q.Context, &with, json.RejectUnknownMembers(true)); err != nil {
			return nil, bad(placeIn("/context", err), "context holds purpose, task, service, ground, facts, reason, confirm and time, as a token and its moment would.")
		}
	}
	h := exchange.Hypothesis{
		Type: q.Resource.Type, ID: q.Resource.ID, Purpose: with.Purpose, Time: with.Time,
		Assertion: consent.Assertion{Task: with.Task, Service: with.Service, Ground: with.Ground, Facts: with.Facts, Reason: with.Reason, Confirm: with.Confirm},
	}
	if err := named(*q, within{}); err != nil {
		return nil, err
	}
	var known bool
	if h.Interaction, known = actions[q.Action.Name]; !known {
		return nil, bad("/action/name", "action.name is read, update or delete.")
	}
	switch caller.Actor.Kind {
	case consent.Auditor, consent.Client:
		var err error
		if h.Actors, err = a.subjects(q.Subject, caller.Actor.Kind); err != nil {
			return nil, err
		}
	}
	return a.Desk.ExplainHypothesis(v.ctx, caller, h)
}

// subjects are the registered actors that a subject names: {"type":"user","id":…,"properties":{"client":…}} one user,
// {"type":"client","id":…} an API client without a user, {"type":"Organization","id":…} the professionals of a unit. The
// client asks about units only: who works there is not told (703/2023 § 74).
func (a *api) subjects(s *entity, asker consent.Kind) ([]consent.Actor, error) {
	if s.Type == "Organization" {
		var out []consent.Actor
		for actor := range a.Staff.Professionals {
			if actor.Unit == "Organization/"+s.ID {
				out = append(out, actor)
			}
		}
		return out, nil
	}
	if asker != consent.Auditor {
		return nil, bad("/subject/type", "subject is an Organization: the unit that would ask.")
	}
	app, user := s.ID, ""
	switch s.Type {
	case "client":
	case "user":
		var properties struct {
			Client string `json:"client"`
		}
		if len(s.Properties) > 0 && json.Unmarshal(s.Properties, &properties) != nil || properties.Client == "" {
			return nil, bad("/subject/properties/client", "subject.properties.client is the API client whose user the subject is.")
		}
		app, user = properties.Client, s.ID
	default:
		return nil, bad("/subject/type", "subject.type is user, client or Organization.")
	}
	actor, ok := a.Staff.Actor(app, user)
	if !ok {
		return nil, bad("/subject", "subject is not registered.")
	}
	return []consent.Actor{actor}, nil
}
