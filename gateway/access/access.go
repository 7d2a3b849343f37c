// Package access is the decision API in the shape of the OpenID AuthZEN Authorization API 1.0:
//
//	POST /access/v1/evaluation   {"subject":…, "action":…, "resource":…}  → {"decision": true}
//	POST /access/v1/evaluations  the same with "evaluations" and "options" → {"evaluations": [{"decision": …}, …]}
//
// The subject is the token's own actor: nobody asks what another may do. The purpose and what a person asserts come from
// the token, never from the request; properties and context are taken and given no weight. The resource is the type and
// id of a FHIR resource here; the action is read, update or delete.
//
// The answer tells whether a resource is there, so each evaluation is decided and recorded as a read by id would be, and
// denied looks like absent: the same decision, reason and headers. What the auditor may know stands in the ledger, under
// the record id that the answer gives.
//
// Two more questions are for the auditor and for the client in the client's own app, nobody else:
//
//	POST /access/v1/explain   how a recorded exchange was decided, or a hypothetical one would be
//	POST /access/v1/simulate  what a wish of the client would change, before it is given
//
// An explain request is an evaluation request. {"resource": {"type": "AuditEvent", "id": ID}} asks about a past exchange,
// by X-Request-Id or the id of any of its AuditEvents. Otherwise subject is a registered user ({"type": "user", "id": USER,
// "properties": {"client": API-CLIENT}}), an API client ({"type": "client"}) or a unit ({"type": "Organization"}: the one
// of its professionals who would be let furthest; the only subject a client may name), action and resource are as above, and
// context holds what the token would: purpose, task, service, ground, facts, reason, confirm, and time. The answer is an
// evaluation response whose context says:
//
//	id           the ledger record of this very question
//	reason_user  fi, en: what the client may read, naming their own directives and the law, and nobody
//	reason_admin en: what the log keeps; to the auditor
//	explanation  policy (version), kept, labels, record (the exchange, to the auditor), and parts: for each label decided on
//	             its class and outcome, and for each client of it outcome, bases, reason, directives and evidence that
//	             weighed, policies (every one, with file, line and verdict: permits, human, stopped, limits, fails with the
//	             clause, other-case, not-in-force), will (every directive and its effect) and missing (facts that conditions
//	             asked for). To the client: outcome, bases and the client's own directives. A page holds 50 labels of total;
//	             where there are more, next tells where the page that follows begins
//
// Of a past exchange context may say which labels: type, register, controller, serviceTask, dataClass, client, and after, the
// next of the page before. decision and reason_user are of the whole exchange, whatever is asked for.
//
// A simulate request is the Consent that the client considers, or a Bundle of it and its Provenance, as they would be written
// (package consent/directive); one with the id of an earlier one stands in its place, such as its withdrawal. The answer
// counts what units in reach would see more or less of (present), which past exchanges would have gone otherwise (past), and
// says both in sentences (lines). Nothing is stored but the record of the question.
//
// What is wrong with a request is told as {"error": WHAT, "at": PLACE}, the place as a JSON Pointer (RFC 6901) into the body,
// "" where the body as a whole is meant; "errors" lists them all where there are several.
package access

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"net/http"
	"regexp"
	"strconv"

	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"sotesilta/consent"
	"sotesilta/gateway/allowance"
	"sotesilta/gateway/exchange"
	"sotesilta/gateway/rest"
	"sotesilta/internal/fhir"
)

// Paths of the API.
const (
	EvaluationPath  = "/access/v1/evaluation"
	EvaluationsPath = "/access/v1/evaluations"
	ExplainPath     = "/access/v1/explain"
	SimulatePath    = "/access/v1/simulate"
)

// Bounds of a request.
const (
	maxBody        = 256 << 10
	maxEvaluations = 100
)

// Desk is as much of the one door as this package needs.
type Desk interface {
	Evaluate(ctx context.Context, c exchange.Caller, i exchange.Interaction, typ, id string) (bool, error)
	ExplainRecord(ctx context.Context, c exchange.Caller, id string, of exchange.Narrowing) (*exchange.Explanation, error)
	ExplainHypothesis(ctx context.Context, c exchange.Caller, h exchange.Hypothesis) (*exchange.Explanation, error)
	Simulate(ctx context.Context, c exchange.Caller, wish exchange.Wish, professionals []consent.Actor) (*exchange.Simulation, error)
}

var _ Desk = (*exchange.Desk)(nil)

// Config is what Routes needs: Desk, Authenticate and Staff.
type Config struct {
	Desk         Desk
	Authenticate rest.Authenticate
	Staff        Staff
	Allowance    *allowance.Allowance // evaluations and requests together, per API client; nil: everything
	// Enter counts a request among its API client's under way, and says whether there is room (rest.Enter); nil: always.
	Enter func(c *gin.Context, caller exchange.Caller) bool
	Log   *slog.Logger
}

// entity is a subject, an action or a resource of AuthZEN 1.0 § 5. Type of an action is empty, Name of the others.
type entity struct {
	Type       string         `json:"type"`
	ID         string         `json:"id"`
	Name       string         `json:"name"`
	Properties jsontext.Value `json:"properties"`
}

// question is an evaluation request (AuthZEN 1.0 § 6.1).
type question struct {
	Subject  *entity        `json:"subject"`
	Action   *entity        `json:"action"`
	Resource *entity        `json:"resource"`
	Context  jsontext.Value `json:"context"`
}

// questions is an evaluations request (§ 7.1): the outer question gives what an inner one leaves out.
type questions struct {
	question
	Evaluations []question `json:"evaluations"`
	Options     struct {
		Semantic string `json:"evaluations_semantic"`
	} `json:"options"`
}

// decision is an evaluation response (§ 6.2).
type decision struct {
	Decision bool    `json:"decision"`
	Context  *detail `json:"context,omitzero"`
}

type detail struct {
	ID         string            `json:"id,omitzero"` // of the ledger record, to quote to the auditor
	ReasonUser map[string]string `json:"reason_user,omitzero"`
	Error      *fault            `json:"error,omitzero"`
}

type fault struct {
	Status  int    `json:"status"`
	Message string `json:"message"`
	At      string `json:"at,omitzero"` // JSON Pointer into the request
}

// refusedUser is the one reason that an asker sees.
var refusedUser = map[string]string{
	"en": "There is no such resource among those you may use in this way.",
	"fi": "Tällaista tietoa ei ole niiden joukossa, joita voit käsitellä näin.",
}

// actions are what may be asked about.
var actions = map[string]exchange.Interaction{"read": exchange.Read, "update": exchange.Update, "delete": exchange.Delete}

// semantics are the values of evaluations_semantic (§ 7.1.2.1): the decision that ends the list.
var semantics = map[string]func(bool) bool{
	"":                       func(bool) bool { return false },
	"execute_all":            func(bool) bool { return false },
	"deny_on_first_deny":     func(permitted bool) bool { return !permitted },
	"permit_on_first_permit": func(permitted bool) bool { return permitted },
}

var resourceType = regexp.MustCompile(`^[A-Z][A-Za-z]{0,63}$`)

// api answers.
type api struct {
	Config
}

// Routes mounts the API.
func Routes(r gin.IRouter, cfg Config) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	a := &api{Config: cfg}
	r.POST(EvaluationPath, func(c *gin.Context) { a.serve(c, a.one) })
	r.POST(EvaluationsPath, func(c *gin.Context) { a.serve(c, a.many) })
	r.POST(ExplainPath, func(c *gin.Context) { a.serve(c, a.explain) })
	r.POST(SimulatePath, func(c *gin.Context) { a.serve(c, a.simulate) })
}

// visit is one request.
type visit struct {
	ctx    context.Context
	caller exchange.Caller
	id     string // X-Request-Id
	made   int    // evaluations made
}

// serve does what both requests share. Every failure is told in plain JSON: {"error": …}.
func (a *api) serve(c *gin.Context, answer func(*visit, []byte) (any, error)) {
	caller, err := a.Authenticate(c.Request.Context(), c.GetHeader("Authorization"))
	if err != nil {
		var who rest.Challenger
		if errors.As(err, &who) {
			c.Header("WWW-Authenticate", who.Challenge())
			err = refuse(http.StatusUnauthorized, "", who.Error())
		}
		a.fail(c, err)
		return
	}
	if a.Enter != nil && !a.Enter(c, caller) {
		a.fail(c, &busy{1, "This API client has too many requests under way at once."})
		return
	}
	v := &visit{ctx: exchange.Asking(c.Request.Context(), caller.Actor.App), caller: caller, id: c.Writer.Header().Get("X-Request-Id")}
	if kind := c.ContentType(); kind != "application/json" && (kind != "application/fhir+json" || c.FullPath() != SimulatePath) {
		a.fail(c, refuse(http.StatusUnsupportedMediaType, "", "The request is application/json."))
		return
	}
	body, err := io.ReadAll(io.LimitReader(c.Request.Body, maxBody+1))
	switch {
	case err != nil:
		a.fail(c, bad("", "The request could not be read."))
		return
	case len(body) > maxBody:
		a.fail(c, refuse(http.StatusRequestEntityTooLarge, "", "The request is larger than "+strconv.Itoa(maxBody)+" bytes."))
		return
	}
	out, err := answer(v, body)
	if err != nil {
		a.fail(c, err)
		return
	}
	write(c, http.StatusOK, out)
}

func write(c *gin.Context, status int, out any) {
	var body bytes.Buffer
	if err := json.MarshalWrite(&body, out); err != nil {
		c.Status(http.StatusInternalServerError)
		return
	}
	c.Data(status, "application/json", body.Bytes())
}

// spend takes n evaluations out of the API client's allowance.
func (a *api) spend(ctx context.Context, app string, n int) error {
	if wait := a.Allowance.Spend(ctx, app, n); wait > 0 {
		return &busy{max(1, int(math.Ceil(wait.Seconds()))), "This API client asks more often than its limit allows."}
	}
	return nil
}

// read takes a request apart; a member that comes twice or in no JSON is refused.
func read(body []byte, into any) error {
	if err := json.Unmarshal(body, into); err != nil {
		return bad(placeIn("", err), "The request is not a JSON object of the AuthZEN 1.0 shape.")
	}
	return nil
}

// one answers POST /access/v1/evaluation.
func (a *api) one(v *visit, body []byte) (any, error) {
	var q question
	if err := read(body, &q); err != nil {
		return nil, err
	}
	return a.alone(v, q, within{})
}

func (a *api) alone(v *visit, q question, at within) (any, error) {
	if err := a.spend(v.ctx, v.caller.Actor.App, 1); err != nil {
		return nil, err
	}
	return a.evaluate(v, q, at)
}

// many answers POST /access/v1/evaluations. Without evaluations it is a single one (§ 7.1).
func (a *api) many(v *visit, body []byte) (any, error) {
	var q questions
	if err := read(body, &q); err != nil {
		return nil, err
	}
	if len(q.Evaluations) == 0 {
		return a.alone(v, q.question, within{})
	}
	if len(q.Evaluations) > maxEvaluations {
		return nil, bad("/evaluations", "A request asks for at most %d evaluations.", maxEvaluations)
	}
	over, known := semantics[q.Options.Semantic]
	if !known {
		return nil, bad("/options/evaluations_semantic", "evaluations_semantic is execute_all, deny_on_first_deny or permit_on_first_permit.")
	}
	if err := a.spend(v.ctx, v.caller.Actor.App, len(q.Evaluations)); err != nil {
		return nil, err
	}
	out := struct {
		Evaluations []decision `json:"evaluations"`
	}{}
	for i, inner := range q.Evaluations {
		at := "/evaluations/" + strconv.Itoa(i)
		place := within{at, at, at}
		if inner.Subject == nil && q.Subject != nil {
			inner.Subject, place.subject = q.Subject, ""
		}
		if inner.Action == nil && q.Action != nil {
			inner.Action, place.action = q.Action, ""
		}
		if inner.Resource == nil && q.Resource != nil {
			inner.Resource, place.resource = q.Resource, ""
		}
		one, err := a.evaluate(v, inner, place)
		var mistaken *refusal
		if errors.As(err, &mistaken) {
			first := mistaken.errors[0]
			one, err = decision{Context: &detail{Error: &fault{mistaken.status, first.Message, first.At}}}, nil
		}
		if err != nil {
			return nil, err
		}
		out.Evaluations = append(out.Evaluations, one)
		if over(one.Decision) {
			break
		}
	}
	return out, nil
}

// within is where the members of one evaluation stand in the request: "" beside evaluations, or /evaluations/2.
type within struct{ subject, action, resource string }

// evaluate answers one question.
func (a *api) evaluate(v *visit, q question, at within) (decision, error) {
	if err := named(q, at); err != nil {
		return decision{}, err
	}
	if !own(q.Subject, v.caller.Actor) {
		return decision{}, refuse(http.StatusForbidden, at.subject+"/subject",
			"The subject is not who the access token speaks for: ask with that person's own token.")
	}
	interaction, known := actions[q.Action.Name]
	if !known {
		return decision{}, bad(at.action+"/action/name", "action.name is read, update or delete.")
	}
	if err := resourced(q.Resource, at.resource); err != nil {
		return decision{}, err
	}
	caller := v.caller
	caller.RequestID = rest.ExchangeID(v.id, v.made)
	v.made++
	permitted, err := a.Desk.Evaluate(v.ctx, caller, interaction, q.Resource.Type, q.Resource.ID)
	if err != nil {
		return decision{}, err
	}
	out := decision{Decision: permitted, Context: &detail{ID: caller.RequestID}}
	if !permitted {
		out.Context.ReasonUser = refusedUser
	}
	return out, nil
}

// named says which member a question lacks.
func named(q question, at within) error {
	for _, need := range []struct {
		at, says string
		has      bool
	}{
		{at.subject + "/subject", "subject is required.", q.Subject != nil},
		{at.subject + "/subject/type", "subject.type is required.", q.Subject != nil && q.Subject.Type != ""},
		{at.subject + "/subject/id", "subject.id is required.", q.Subject != nil && q.Subject.ID != ""},
		{at.action + "/action", "action is required.", q.Action != nil},
		{at.action + "/action/name", "action.name is required.", q.Action != nil && q.Action.Name != ""},
		{at.resource + "/resource", "resource is required.", q.Resource != nil},
		{at.resource + "/resource/type", "resource.type is required.", q.Resource != nil && q.Resource.Type != ""},
		{at.resource + "/resource/id", "resource.id is required.", q.Resource != nil && q.Resource.ID != ""},
	} {
		if !need.has {
			return bad(need.at, "%s", need.says)
		}
	}
	return nil
}

// resourced says whether a resource is named as FHIR names one.
func resourced(r *entity, at string) error {
	switch {
	case !resourceType.MatchString(r.Type):
		return bad(at+"/resource/type", "resource.type is the type of a FHIR resource.")
	case !fhir.ValidID(r.ID):
		return bad(at+"/resource/id", "resource.id is the id of a FHIR resource.")
	}
	return nil
}

// own says whether a subject names the token's actor: {"type":"user"} by the API client's own user id, {"type":"client"}
// by the id of the API client where no user acts, or the person or role by FHIR type and id.
func own(s *entity, actor consent.Actor) bool {
	switch s.Type {
	case "user":
		return actor.User != "" && s.ID == actor.User
	case "client":
		return actor.User == "" && s.ID == actor.App
	}
	ref := s.Type + "/" + s.ID
	return ref == actor.Person || ref == actor.Role
}
