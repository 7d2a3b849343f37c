package exchange

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/store"
)

// Explain is asking how a decision came about, and Simulate what a wish would change; recorded by these names.
const (
	Explain  Interaction = "explain"
	Simulate Interaction = "simulate"
)

// Hypothesis is an exchange that nobody made: what registered actors would be answered now, or at another time.
type Hypothesis struct {
	Actors      []consent.Actor // one, or the professionals of a unit: then the one who would be let furthest
	Interaction Interaction     // Read, Update or Delete
	Type, ID    string
	Purpose     consent.Purpose // "": care
	Assertion   consent.Assertion
	Time        time.Time // zero: now
}

// Explanation tells how a past exchange was decided, or a hypothetical one would be.
type Explanation struct {
	Permitted bool
	Plain     map[string]string // fi, en: for the client
	Record    *ledger.Record    // the past exchange; to the auditor only
	// Policy is the version that is explained. Kept is false where the exchange was decided under another one whose text is
	// not kept: then the explanation is that of Policy, and may differ.
	Policy string
	Kept   bool
	// Labels says where a search, whose record lists no withheld labels, is explained by those that are there now.
	Labels string
	// Parts are a page of the classes asked for; Total is how many those are, and Next, where there are more, where the next
	// page begins. Permitted and Plain are of the whole exchange, whichever page it is.
	Parts []ExplainedPart
	Total int
	Next  string
}

// ExplainedPart is one class of an exchange.
type ExplainedPart struct {
	Action consent.Action   `json:"action"`
	Class  consent.Class    `json:"class"`
	Result consent.Decision `json:"-"`
	// Outcome is that of the class as a whole; of each client of it, Clients tell.
	Outcome string              `json:"outcome"`
	Clients []consent.Explained `json:"clients"`
	Rows    []ExplainedRow      `json:"rows,omitempty"`
}

// ExplainedRow is a row of a class that was decided otherwise than the class: outside the range of a permit, or banned
// alone.
type ExplainedRow struct {
	What    string `json:"what"` // Type/id/_history/version
	Outcome string `json:"outcome"`
	Reason  string `json:"reason,omitempty"`
}

// explainer is the law as far as it explains.
type explainer interface {
	consent.Decider
	Explain(req consent.Request, class consent.Class, facts []*consent.Facts) consent.Explanation
}

// asking refuses everybody but the auditor and the client in the client's own app (contract: decision API).
func asking(c Caller) error {
	if c.Actor.Kind == consent.Auditor || c.Actor.Kind == consent.Client {
		return nil
	}
	return Refuse(Forbidden, "forbidden", "", "Explanations and simulations are for the auditor and for the client's own app.")
}

// own keeps of an explanation what its client may see: the decision in plain words, and what it rests on.
func (x *Explanation) own(client string) {
	x.Record, x.Labels = nil, ""
	for i := range x.Parts {
		p := &x.Parts[i]
		p.Rows = nil
		p.Clients = slices.DeleteFunc(p.Clients, func(e consent.Explained) bool { return e.Client != client })
		for j := range p.Clients {
			e := &p.Clients[j]
			p.Clients[j] = consent.Explained{Client: e.Client, Facts: e.Facts, Outcome: e.Outcome, Bases: e.Bases, Directives: e.Directives}
		}
		p.Class = consent.Class{
			Type: p.Class.Type, Clients: []string{client}, Register: p.Class.Register, Controller: p.Class.Controller,
			ServiceTask: p.Class.ServiceTask, DataClass: p.Class.DataClass,
		}
	}
}

// part explains one class.
func part(law explainer, req consent.Request, class consent.Class, facts map[string]*consent.Facts) ExplainedPart {
	told := law.Explain(req, class, ofClass(class, facts))
	return ExplainedPart{Action: req.Action, Class: class, Result: told.Decision, Outcome: told.Decision.Outcome.String(), Clients: told.Clients}
}

// narrow tells of rows that the decision on their class does not cover.
func (p *ExplainedPart) narrow(rows []store.Row) {
	for _, row := range rows {
		if one := covering(&p.Result, row); one.Outcome != p.Result.Outcome {
			p.Rows = append(p.Rows, ExplainedRow{versioned(row), one.Outcome.String(), one.Reason})
		}
	}
}

// ExplainRecord tells how a recorded exchange was decided: to the auditor of its controller, by the id of any of its
// records, all of it; to the client in plain words, if data moved that are about the client alone. Otherwise it is Absent.
// Narrowing says which of its classes. Asking is itself recorded.
func (d *Desk) ExplainRecord(ctx context.Context, c Caller, id string, of Narrowing) (_ *Explanation, err error) {
	if err := asking(c); err != nil {
		return nil, err
	}
	c = d.complete(c)
	if c.Actor.Kind == consent.Auditor {
		if err := allowed(c, auditEvent, Read); err != nil {
			return nil, err
		}
	}
	asked := d.question(c, Explain)
	defer func() {
		if err != nil {
			asked.wait(ctx)
		}
	}()
	l, err := d.lookBeside(ctx, c, Explain, auditEvent+"/"+id)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	rec, err := d.auditable(ctx, c, l, id)
	if err != nil {
		return nil, err
	}
	var may bool
	if c.Actor.Kind == consent.Auditor {
		may = l.audits()
	} else if may, err = l.ownRecord(ctx, rec); err != nil {
		return nil, err
	}
	if rec == nil || !may {
		if l.rec.Reason == "" {
			l.rec.Reason = "absent: there is no such record, or it is another's"
		}
		return nil, l.conceal(ctx, l.rec, absent(auditEvent, id))
	}
	out, err := d.explained(ctx, c, l, rec, of)
	if err != nil {
		return nil, err
	}
	if c.Actor.Kind == consent.Client {
		out.own(rec.Client)
	}
	l.rec.Success = true
	l.saw(auditEvent + "/" + id)
	if err := l.commit(ctx, l.rec); err != nil {
		return nil, err
	}
	return out, nil
}

// auditable is the record of an id, as far as the caller could have to do with it; nil when there is none such.
func (d *Desk) auditable(ctx context.Context, c Caller, snap store.Snapshot, id string) (*ledger.Record, error) {
	query := store.EntryQuery{ID: []string{id}, Limit: 1}
	if c.Actor.Kind == consent.Auditor {
		query.Controllers = []string{c.Actor.Controller}
	} else {
		query.Client = c.Actor.Clients
		if len(query.Client) == 0 {
			return nil, nil
		}
	}
	page, err := snap.Entries(ctx, query)
	if err != nil {
		return nil, unrecorded(err)
	}
	if len(page.Entries) == 0 {
		return nil, nil
	}
	rec, err := ledger.ParseRecord(page.Entries[0].Canonical)
	if err != nil {
		return nil, unrecorded(err)
	}
	return rec, nil
}

// ownRecord decides whether the client may have a record explained: data moved in it, all of it about the client alone, in
// nobody's statutory act of which the client may not be told, and the client may read such data.
func (l *look) ownRecord(ctx context.Context, rec *ledger.Record) (bool, error) {
	if rec == nil || !rec.Success || rec.Outcome != consent.Permitted.String() || len(rec.Classes) == 0 || rec.Purpose == consent.StatutoryAct || !inOwnView(l.caller.law, rec) {
		return false, nil
	}
	facts, err := l.Facts(ctx, rec.Client)
	if err != nil {
		return false, unrecorded(err)
	}
	for _, class := range rec.Classes {
		decision := l.decide(consent.Read, class, facts)
		l.rec = describe(l.rec, class, facts, &decision)
		if decision.Outcome == consent.Permitted && !slices.Contains(class.Clients, rec.Client) {
			decision = consent.Decision{Reason: "the record is about somebody else too"}
		}
		if decision.Outcome != consent.Permitted {
			l.rec = deny(l.rec, &decision)
			return false, nil
		}
	}
	return true, nil
}

// explained tells how a record's exchange was decided, under the policies of then if their text is kept, with the facts
// of then.
func (d *Desk) explained(ctx context.Context, c Caller, snap store.Snapshot, rec *ledger.Record, of Narrowing) (*Explanation, error) {
	out := &Explanation{Record: rec, Kept: true}
	law, ok := c.law.(explainer)
	if !ok {
		return nil, unrecorded(errors.New("exchange: the law explains nothing"))
	}
	if rec.Policy != law.Version() {
		then, err := readLaw(ctx, snap, rec.Policy)
		if err == nil {
			law = then
		}
		out.Kept = err == nil
	}
	out.Policy = law.Version()
	p := &past{ctx: ctx, store: d.store, facts: map[factsAt]*consent.Facts{}}
	defer p.close()
	var missing *missingInput
	moved, err := p.moved(rec)
	if err != nil && !errors.As(err, &missing) {
		return nil, unrecorded(err)
	}
	var cases []explainable
	for i, class := range rec.Classes {
		question := ledger.Question{Class: i, Action: consent.Read}
		for _, other := range rec.Asked {
			if other.Class == i {
				question = other
			}
		}
		facts, err := p.factsOf(rec, class)
		if err != nil && !errors.As(err, &missing) {
			return nil, unrecorded(err)
		}
		one := explainable{questioned(rec, question), class, facts, nil}
		if question.Action == consent.Read || question.Action == consent.Notify {
			one.rows = moved[class.Key()]
		}
		cases = append(cases, one)
	}
	if asksNow(rec) {
		out.Labels = "now"
		if cases, err = d.queried(ctx, snap, p, rec); err != nil {
			return nil, err
		}
	}
	if err := out.tell(law, cases, of); err != nil {
		return nil, err
	}
	if len(cases) == 0 {
		out.Permitted = rec.Outcome == consent.Permitted.String()
		out.Plain = map[string]string{
			"fi": "Tapahtumassa ei kysytty kenenkään yksittäisen henkilön tietojen käsittelystä.",
			"en": "In this exchange nothing was asked about the data of any one person.",
		}
	}
	return out, nil
}

// asksNow says whether a record is of the search of one client: it does not list what was withheld.
func asksNow(rec *ledger.Record) bool {
	return len(rec.Classes) == 0 && queryOf(rec) != nil && len(rec.Bound) == 1 && rec.Bound[0] != ""
}

// queried is what the search of one client asked, by the labels that are there now, in the order of their keys; without any,
// by what the caller's own register would have held.
func (d *Desk) queried(ctx context.Context, snap store.Snapshot, p *past, rec *ledger.Record) ([]explainable, error) {
	list := &listing{only: rec.Bound}
	query := queryOf(rec)
	query.Count = 1
	if _, err := snap.Search(ctx, query, list); err != nil {
		return nil, d.failed(err)
	}
	classes := slices.DeleteFunc(list.classes, func(class consent.Class) bool {
		return !query.Searches(class.Type) || !slices.Contains(class.Clients, rec.Bound[0])
	})
	if len(classes) == 0 {
		classes = []consent.Class{{Type: query.Of()[0].Type, Clients: rec.Bound, Controller: rec.Actor.Controller, Register: rec.Actor.Register}}
	}
	slices.SortFunc(classes, func(a, b consent.Class) int { return strings.Compare(a.Key(), b.Key()) })
	out := make([]explainable, 0, len(classes))
	for _, class := range classes {
		facts := map[string]*consent.Facts{}
		for _, client := range class.Clients {
			known, err := snap.Facts(ctx, client)
			if err != nil {
				return nil, unrecorded(err)
			}
			facts[client] = known[client]
			if client == rec.Client {
				var missing *missingInput
				if facts[client], err = p.factsAt(client, rec.Facts); err != nil && !errors.As(err, &missing) {
					return nil, unrecorded(err)
				}
			}
		}
		out = append(out, explainable{questioned(rec, ledger.Question{Action: consent.Read}), class, facts, nil})
	}
	return out, nil
}

// listing is a guard that lists classes and lets nothing out.
type listing struct {
	only    []string
	classes []consent.Class
}

func (l *listing) Reach() store.Reach { return store.Reach{All: true, Only: l.only} }

func (l *listing) Permit(_ context.Context, classes []consent.Class, _ map[string]*consent.Facts) ([]consent.Decision, error) {
	l.classes = append(l.classes, classes...)
	return make([]consent.Decision, len(classes)), nil
}

// ExplainHypothesis tells what a registered actor would be answered, and why: to the auditor about data of the
// controller, to the client about data that the client may read. Otherwise it is Absent. Asking is itself recorded.
func (d *Desk) ExplainHypothesis(ctx context.Context, c Caller, h Hypothesis) (_ *Explanation, err error) {
	if err := asking(c); err != nil {
		return nil, err
	}
	if h.Interaction != Read && h.Interaction != Update && h.Interaction != Delete {
		return nil, Refuse(Invalid, "not-supported", "", "An explanation is about read, update or delete.")
	}
	if h.Type == auditEvent {
		return nil, Refuse(Invalid, "not-supported", "", "A record is explained as the exchange that it tells of.")
	}
	c = d.complete(c)
	scope := h.Type
	if c.Actor.Kind == consent.Auditor {
		scope = auditEvent
	}
	if err := allowed(c, scope, Read); err != nil {
		return nil, err
	}
	law, ok := c.law.(explainer)
	if !ok {
		return nil, unrecorded(errors.New("exchange: the law explains nothing"))
	}
	asked := d.question(c, Explain)
	defer func() {
		if err != nil {
			asked.wait(ctx)
		}
	}()
	l, err := d.look(ctx, c, Explain, h.Type+"/"+h.ID)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	row, facts, found, err := l.current(ctx, h.Type, h.ID)
	if err != nil {
		return nil, err
	}
	if !l.mayAsk(row, found && !row.Deleted, facts) || len(h.Actors) == 0 {
		return nil, l.conceal(ctx, l.rec, absent(h.Type, h.ID))
	}
	l.Close()
	out := &Explanation{Policy: law.Version(), Kept: true}
	furthest := h.furthest(law, row, facts, l.rec.Time)
	out.Parts = h.explain(law, furthest, row, facts, l.rec.Time)
	out.Total = len(out.Parts)
	l.rec.Reason = "as if " + who(furthest) + " asked to " + string(h.Interaction)
	out.conclude(out.Parts, func(i int) *ExplainedPart { return &out.Parts[i] })
	if c.Actor.Kind == consent.Client {
		out.own(l.rec.Client)
	}
	l.rec.Success = true
	if err := l.commit(ctx, l.rec); err != nil {
		return nil, err
	}
	return out, nil
}

// request is what one actor asks: to read, or to change.
func (h *Hypothesis) request(actor consent.Actor, action consent.Action, now time.Time) consent.Request {
	request := consent.Request{Actor: actor, Action: action, Purpose: h.Purpose, Assertion: h.Assertion, Time: h.Time}
	if request.Purpose == "" {
		request.Purpose = consent.Care
	}
	if request.Time.IsZero() {
		request.Time = now
	}
	return request
}

// changing is what a row is asked for to be changed.
func changing(row store.Row) consent.Action {
	if row.Class.Register == consent.Directive {
		return consent.Direct
	}
	return consent.Change
}

// furthest is the one among the actors whom the law would let go furthest, the first of several. Every one is decided.
func (h *Hypothesis) furthest(law explainer, row store.Row, facts map[string]*consent.Facts, now time.Time) consent.Actor {
	best, whose := -1, h.Actors[0]
	for _, actor := range h.Actors {
		ask := func(action consent.Action) int {
			return int(law.Decide(h.request(actor, action, now), row.Class, ofClass(row.Class, facts)).Outcome)
		}
		reach := ask(consent.Read)
		if h.Interaction != Read && reach == int(consent.Permitted) {
			reach += 1 + ask(changing(row))
		}
		if reach > best {
			best, whose = reach, actor
		}
	}
	return whose
}

// explain asks the law on behalf of one actor.
func (h *Hypothesis) explain(law explainer, actor consent.Actor, row store.Row, facts map[string]*consent.Facts, now time.Time) []ExplainedPart {
	one := part(law, h.request(actor, consent.Read, now), row.Class, facts)
	one.narrow([]store.Row{row})
	parts := []ExplainedPart{one}
	if h.Interaction != Read && one.Result.Outcome == consent.Permitted {
		parts = append(parts, part(law, h.request(actor, changing(row), now), row.Class, facts))
	}
	return parts
}

// mayAsk decides whether a hypothesis about a row may be explained to the caller.
func (l *look) mayAsk(row store.Row, there bool, facts map[string]*consent.Facts) bool {
	actor := l.caller.Actor
	if actor.Kind == consent.Auditor {
		switch {
		case !l.audits():
			return false
		case !there || row.Class.Register != consent.Identity && row.Class.Controller != actor.Controller:
			l.rec.Reason = "absent: there is no such resource, or it is another controller's"
			return false
		}
		return true
	}
	if !there {
		l.rec.Reason = "absent: there is no such resource"
		return false
	}
	class := l.decide(consent.Read, row.Class, facts)
	decision := covering(&class, row)
	l.rec = describe(l.rec, row.Class, facts, decision)
	l.rec.Row = versioned(row)
	if decision.Outcome == consent.Permitted && len(row.Class.Clients) != 1 {
		decision = &consent.Decision{Reason: "the data are about nobody, or about others too"}
	}
	if decision.Outcome != consent.Permitted {
		l.rec = deny(l.rec, decision)
		return false
	}
	return true
}
