package consent

import (
	"slices"
	"strings"
	"time"

	"github.com/cedar-policy/cedar-go"
)

// Verdict is what became of one policy in a decision.
type Verdict string

// The verdicts.
const (
	Permits    Verdict = "permits"      // the row holds and stands
	LeftHuman  Verdict = "human"        // the row holds and leaves it to a human
	Stopped    Verdict = "stopped"      // the row holds and limits stop it: Considered.By
	Limits     Verdict = "limits"       // the limit holds
	Fails      Verdict = "fails"        // it speaks of the case, and a condition does not hold: Considered.Clause
	OtherCase  Verdict = "other-case"   // it speaks of another case
	NotInForce Verdict = "not-in-force" // it is not law at the time of the request
	Erred      Verdict = "error"        // it cannot be evaluated: everything is denied
)

// Considered is one policy as a decision weighed it.
type Considered struct {
	Basis   Basis     `json:"basis"`
	File    string    `json:"file"`
	Line    int       `json:"line"`
	From    time.Time `json:"from"`
	To      time.Time `json:"to,omitzero"`
	Limit   bool      `json:"limit,omitempty"`
	Verdict Verdict   `json:"verdict"`
	By      []string  `json:"by,omitempty"`     // Stopped, LeftHuman: the limits that made it so
	Clause  string    `json:"clause,omitempty"` // Fails: the first condition that does not hold, as written
	Why     string    `json:"why,omitempty"`    // Fails, Erred, NotInForce: in words

	about   string // attribute that the clause is about
	confirm bool   // a limit that a confirmation lifts
}

// Weighed is one directive of the client as a decision weighed it.
type Weighed struct {
	Directive string `json:"directive"` // Consent/1/_history/2
	Kind      Will   `json:"kind"`
	// Effect is permits, consents, bans, bans-documents, denies-guardian; not-in-force; or what it speaks of instead:
	// other-direction, other-recipient, other-data.
	Effect string `json:"effect"`
	Row    string `json:"row,omitempty"` // the row that it permits on or consents to
	Why    string `json:"why,omitempty"` // not-in-force: in words
	// Valid is when it is in force, Recorded what it covers by the time of its recording.
	Valid    Period `json:"valid,omitzero"`
	Recorded Period `json:"recorded,omitzero"`

	outOfTime bool // it would open this, but not at the time of the exchange
}

// Explained is a decision for one client of a class, with everything that was considered.
type Explained struct {
	Client     string       `json:"client,omitempty"`
	Facts      int64        `json:"facts"` // version; 0: nothing is known of the client
	Outcome    string       `json:"outcome"`
	Bases      []Basis      `json:"bases,omitempty"`
	Reason     string       `json:"reason,omitempty"`
	Directives []string     `json:"directives,omitempty"` // that weighed
	Evidence   []string     `json:"evidence,omitempty"`   // relationships that weighed
	Exclude    []string     `json:"exclude,omitempty"`
	Recorded   []Period     `json:"recorded,omitempty"`
	Redact     []string     `json:"redact,omitempty"`
	Policies   []Considered `json:"policies,omitempty"`
	Will       []Weighed    `json:"will,omitempty"`
	Missing    []string     `json:"missing,omitempty"` // facts that conditions asked for and that are not there

	at time.Time // of the exchange
}

// Explanation tells how a decision on a class came about.
type Explanation struct {
	Policy   string
	Decision Decision // exactly that of Decide
	Clients  []Explained
}

// Explain decides as Decide does and tells of every policy what became of it. It costs a hundred times as much.
func (e *Engine) Explain(req Request, class Class, facts []*Facts) Explanation {
	out := Explanation{Policy: e.version, Decision: e.Decide(req, class, facts)}
	if why := refused(&req, &class); why != "" {
		out.Clients = []Explained{{Outcome: Denied.String(), Reason: why, Missing: undecidable(&req, &class)}}
		return out
	}
	clients := class.Clients
	if len(clients) == 0 {
		clients = []string{""}
	}
	for i, client := range clients {
		var known *Facts
		if i < len(facts) && facts[i] != nil && facts[i].Client == client && client != "" {
			known = facts[i]
		}
		out.Clients = append(out.Clients, e.explainFor(&req, &class, client, known))
	}
	return out
}

func (e *Engine) explainFor(req *Request, class *Class, client string, facts *Facts) Explained {
	decision := e.decideFor(req, class, client, facts)
	out := Explained{
		Client: client, Outcome: decision.Outcome.String(), Bases: decision.Bases, Reason: decision.Reason,
		Directives: decision.Directives, Evidence: decision.Evidence, Exclude: decision.Exclude, Recorded: decision.Recorded, Redact: decision.Redact,
		at: req.Time,
	}
	if facts != nil {
		out.Facts = facts.Version
	}
	var w weighing
	e.weigh(&w, req, class, client, facts)
	q := e.question(&w, req, class)
	env := q.environment()
	var limits []*policy
	for _, p := range e.law.all {
		c := e.consider(p, &env, &w, req)
		if c.Verdict == Limits {
			limits = append(limits, p)
		}
		out.Policies = append(out.Policies, c)
	}
	for i, p := range e.law.all {
		if out.Policies[i].Verdict == Permits {
			out.Policies[i].Verdict, out.Policies[i].By = e.stands(&w, p, limits)
		}
	}
	out.Will = w.will()
	out.Missing = e.missing(out.Policies, &w, req)
	return out
}

// consider evaluates one policy clause by clause. A row that holds is Permits until its limits are known.
func (e *Engine) consider(p *policy, env *environment, w *weighing, req *Request) Considered {
	row := p.row()
	c := Considered{
		Basis: p.basis, File: row.File, Line: row.Line, From: p.from, To: p.to, Limit: row.Limit,
		confirm: slices.Contains(row.Obligations, "confirm"),
	}
	if !p.inForce(req.Time) {
		c.Verdict, c.Why = NotInForce, "in force "+Period{p.from, p.to}.told()+"; the exchange was at "+told(req.Time)
		return c
	}
	if slice := e.law.slice(req.Actor.Kind, req.Action, req.Purpose); !slices.Contains(slice.permits, p) && !slices.Contains(slice.forbids, p) {
		c.Verdict = OtherCase // by who asks, for what and to what end alone
		return c
	}
	for i := range p.clauses {
		clause := &p.clauses[i]
		decision, diag := cedar.Authorize(single{clause.test}, env, env.request)
		switch {
		case len(diag.Errors) > 0:
			c.Verdict, c.Why = Erred, diag.Errors[0].Message
			return c
		case decision == cedar.Deny && i == 0:
			c.Verdict = OtherCase
			return c
		case decision == cedar.Deny:
			var b strings.Builder
			e.tell(&b, clause, w, req)
			c.Verdict, c.Clause, c.Why, c.about = Fails, clause.text, b.String(), clause.about
			return c
		}
	}
	if len(p.clauses) == 0 {
		decision, _ := cedar.Authorize(single{p.cedar}, env, env.request)
		if (decision == cedar.Allow) == row.Limit {
			c.Verdict = OtherCase
			return c
		}
	}
	c.Verdict = Permits
	if row.Limit {
		c.Verdict = Limits
	}
	return c
}

// stands says what the limits that hold leave of a row that holds.
func (e *Engine) stands(w *weighing, row *policy, limits []*policy) (Verdict, []string) {
	outcome := e.judge(w, []*policy{row}, limits).outcome
	var by []string
	for _, limit := range limits {
		if e.judge(w, []*policy{row}, []*policy{limit}).outcome < row.outcome && !slices.Contains(by, limit.basis.ID) {
			by = append(by, limit.basis.ID)
		}
	}
	switch outcome {
	case Permitted:
		return Permits, nil
	case NeedsHuman:
		return LeftHuman, by
	}
	return Stopped, by
}

// will tells of every directive of the client what became of it.
func (w *weighing) will() []Weighed {
	if w.facts == nil {
		return nil
	}
	out := make([]Weighed, 0, len(w.facts.Directives))
	for i := range w.facts.Directives {
		t := &w.facts.Directives[i]
		one := Weighed{Directive: directiveVersion(t), Kind: t.Kind, Effect: "not-in-force", Valid: t.Valid, Recorded: t.Recorded}
		if w.inForce(t) {
			one.Effect, one.Row = w.effect(t)
		} else {
			one.Why = w.notInForce(t)
			effect, _ := w.effect(t)
			one.outOfTime = t.Active && !t.Valid.Contains(w.req.Time) && (effect == "permits" || effect == "consents")
		}
		out = append(out, one)
	}
	return out
}

// effect is what a directive in force does.
func (w *weighing) effect(t *Terms) (effect, row string) {
	switch t.Kind {
	case Permit:
		from, to := w.class.Register, w.req.Actor.Register
		controller, unit := w.req.Actor.Controller, w.req.Actor.Unit
		if w.req.Action == Invite {
			from, to = w.req.Actor.Register, w.req.Invitee.Register
			controller, unit = w.req.Invitee.Controller, w.req.Invitee.Unit
		}
		switch {
		case t.From != string(from) || t.To != string(to):
			return "other-direction", ""
		case !w.engine.reaches(t, controller, unit):
			return "other-recipient", ""
		case !w.engine.covers(w, t, from, to):
			return "other-data", ""
		}
		for i, name := range directedRows {
			if direction(from, to)&(1<<i) != 0 {
				row = name
			}
		}
		return "permits", row
	case Assent:
		if !w.engine.reaches(t, w.req.Invitee.Controller, w.req.Invitee.Unit) && !w.engine.reaches(t, w.req.Actor.Controller, w.req.Actor.Unit) {
			return "other-recipient", ""
		}
		return "consents", t.Statute
	case Ban:
		switch {
		case w.bans(t):
			return "bans", ""
		case slices.ContainsFunc(t.Documents, w.ofType):
			return "bans-documents", ""
		}
		return "other-data", ""
	case Denial:
		return "denies-guardian", ""
	}
	return "bans", "" // of an unknown kind: nothing passes it
}

// undecidable are the facts without which nothing can be decided.
func undecidable(req *Request, class *Class) []string {
	var out []string
	for _, fact := range []struct {
		name string
		gone bool
	}{
		{"data.register", class.Register == "" || !slices.Contains(labels, class.Register)},
		{"data.type", class.Type == ""},
		{"time", req.Time.IsZero()},
		{"actor", req.Actor.App == ""},
	} {
		if fact.gone {
			out = append(out, fact.name)
		}
	}
	return out
}

// missing are the facts that failed conditions asked for and that are not there, by the name of where they would come
// from: actor (the registration), assertion (the token), data (labels), client (population data, directives, relationships).
func (e *Engine) missing(policies []Considered, w *weighing, req *Request) []string {
	var out []string
	add := func(fact string) {
		if !slices.Contains(out, fact) {
			out = append(out, fact)
		}
	}
	if w.facts == nil && len(w.class.Clients) > 0 {
		add("client.facts")
	}
	for i := range policies {
		p := &policies[i]
		if p.Verdict == Limits && p.confirm {
			if !req.Assertion.Confirm {
				add("assertion.confirm")
			}
			if !e.acts.reason.Told(req.Assertion.Reason) {
				add("assertion.reason")
			}
		}
		if p.Verdict != Fails {
			continue
		}
		switch p.about {
		case "related", "participant", "jointService", "guest", "invited":
			add("client.relationship")
		case "permits":
			add("client.permit")
		case "assents":
			add("client.consent")
		}
		for _, attribute := range []struct {
			word, fact string
			gone       bool
		}{
			{"principal.task", "actor.task", req.Actor.Task == ""},
			{"principal.service", "actor.service", req.Actor.Service == ""},
			{"context.ground", "assertion.ground", req.Assertion.Ground == ""},
			{"context.taskStated", "assertion.task", req.Assertion.Task == ""},
			{"context.reasoned", "assertion.reason", !e.acts.reason.Told(req.Assertion.Reason)},
			{"context.minor", "client.born", w.facts == nil || w.facts.Person.Born.IsZero()},
			{"resource.serviceTask", "data.serviceTask", w.class.ServiceTask == ""},
			{"resource.dataClass", "data.dataClass", w.class.DataClass == ""},
		} {
			if attribute.gone && strings.Contains(p.Clause, attribute.word) {
				add(attribute.fact)
			}
		}
	}
	return out
}
