package exchange

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/store"
	"sotesilta/internal/fhir"
)

// The interactions of a human's act, beside the change of the Task that carries it.
const (
	Ask      Interaction = "ask"      // the unit that holds data is asked for a decision
	Disclose Interaction = "disclose" // a person disclosed, or decided not to
	Correct  Interaction = "correct"  // a mistake was mended
)

var actInteractions = map[consent.Action]Interaction{consent.Ask: Ask, consent.Disclose: Disclose, consent.Correct: Correct}

// actRoles are what an act does with the documents it is about, as entities of its record.
var actRoles = map[consent.Action]string{consent.Disclose: "sent", consent.Correct: "match"}

// Act is a human's act that the change of a Task carries out: asking for data, disclosing them, mending a mistake. The
// Desk asks the law about every document, on what the person asserts in the Task, and records the act with all contents
// of 703/2023 § 10 beside the change of the Task. Without a basis the change is Unprocessable, and says what the ground
// asks for.
type Act struct {
	Action    consent.Action // Ask, Disclose or Correct
	Assertion consent.Assertion
	Recipient consent.Invitee // Ask: who is asked; Disclose: who receives
	Documents []*Current      // what the act is about: rows of the actor's own register
	// Copies are the consequences that hold the recipient's copies of Documents, in their order, or of its one document;
	// empty when the recipient has none here. What the law withholds (turvakielto) is taken out of them.
	Copies []*Item
	// Sent are the consequences in another register: they are recorded as received there. Relationships of theirs rest on
	// the basis found.
	Sent []*Item
	// Refused is why the person decided not to disclose, in their own words; then nothing is asked and nothing leaves.
	Refused string
	// Expression is where in the Task a refusal points to.
	Expression string
}

// recipient is how a record names who received.
func recipient(to consent.Invitee) string {
	for _, name := range []string{to.Person, to.Unit, to.Name, to.Controller} {
		if name != "" {
			return name
		}
	}
	return ""
}

// decideAct asks the law about a human's act, and begins its records: one for each client and controller whose data it
// is, and one for each client of what another register received.
func (w *writing) decideAct(ctx context.Context, item *Item) error {
	act := item.Act
	acted := map[string]*ledger.Record{}
	record := func(client, controller string) *ledger.Record {
		key := client + "|" + controller
		if rec := acted[key]; rec != nil {
			return rec
		}
		rec := about(w.record(actInteractions[act.Action], item.Ref()), client, w.facts)
		rec.Assertion, rec.Recipient, rec.Exchange = act.Assertion, recipient(act.Recipient), w.caller.RequestID
		acted[key] = &rec
		w.records = append(w.records, &rec)
		return &rec
	}
	if act.Refused != "" {
		for _, client := range orNobody(item.Class.Clients) {
			rec := record(client, item.Class.Controller)
			rec.Controller, rec.Register, rec.Ruled = item.Class.Controller, item.Class.Register, true
			rec.Classes, rec.Reason = []consent.Class{item.Class}, "a human decided: "+act.Refused
		}
		w.arrived(item, nil)
		return nil
	}
	var bases []consent.Basis
	for i, doc := range act.Documents {
		request := w.request(act.Action)
		request.Assertion, request.Invitee = act.Assertion, act.Recipient
		decision := w.ask(request, doc.Class, w.facts)
		narrow := decision.For(doc.Ref(), doc.Recorded)
		if narrow.Outcome != consent.Permitted {
			rec := w.record(actInteractions[act.Action], item.Ref())
			rec.Assertion, rec.Recipient = act.Assertion, recipient(act.Recipient)
			rec = deny(describe(rec, doc.Class, w.facts, narrow), narrow)
			w.denial = &rec
			why := narrow.Demand
			if why == "" {
				why = "The act has no legal basis."
			}
			return w.refuse(item, Refuse(Unprocessable, "business-rule", act.Expression, why))
		}
		for _, client := range orNobody(doc.Class.Clients) {
			rec := record(client, doc.Class.Controller)
			*rec = describe(*rec, doc.Class, w.facts, &decision)
			rec.Outcome, rec.Success = "permit", true
			if role := actRoles[act.Action]; role != "" {
				rec.Entities = append(rec.Entities, ledger.Entity{What: doc.Ref() + "/_history/" + strconv.FormatInt(doc.Version, 10), Role: role})
			}
		}
		if err := w.inform(ctx, item, doc.Class, &decision); err != nil {
			return err
		}
		for _, basis := range decision.Bases {
			if len(bases) == 0 || bases[0].ID != basis.ID {
				bases = append(bases, basis)
			}
		}
		for j, copied := range act.Copies {
			if i != j && len(act.Documents) > 1 { // of one document every copy is its
				continue
			}
			for _, member := range decision.Redact {
				fhir.Withhold(copied.Doc, member)
			}
		}
	}
	for _, sent := range act.Sent {
		for _, rels := range sent.Relationships {
			for i := range rels {
				if rels[i].Kind == consent.Received && rels[i].Basis == "" && len(bases) > 0 {
					rels[i].Basis = bases[0].ID
				}
			}
		}
	}
	w.arrived(item, bases)
	return nil
}

// arrived begins the records of what came into another register, so that its controller's log shows it (703/2023
// §§ 10 and 39).
func (w *writing) arrived(item *Item, bases []consent.Basis) {
	if w.delivered == nil {
		w.delivered = map[*Item]map[string]*ledger.Record{}
	}
	of := map[string]*ledger.Record{}
	for _, sent := range item.Act.Sent {
		w.delivered[sent] = map[string]*ledger.Record{}
		for _, client := range orNobody(sent.Class.Clients) {
			key := client + "|" + sent.Class.Controller + "|" + string(sent.Class.Register)
			rec := of[key]
			if rec == nil {
				if own := w.basis[client]; own != nil && len(bases) == 0 {
					bases = own.Bases // nothing was disclosed: it follows from the change of one's own Task
				}
				made := about(w.record(Receive, item.Ref()), client, w.facts)
				made.Assertion, made.Recipient, made.Exchange = item.Act.Assertion, recipient(item.Act.Recipient), w.caller.RequestID
				made.Controller, made.Register, made.Bases = sent.Class.Controller, sent.Class.Register, bases
				made.Outcome, made.Success = "permit", true
				rec = &made
				of[key] = rec
				w.records = append(w.records, rec)
			}
			w.delivered[sent][client] = rec
		}
	}
}

// inform makes the Task by which a registered recipient's unit tells the client what it was given, where the basis owes it.
func (w *writing) inform(ctx context.Context, item *Item, class consent.Class, decision *consent.Decision) error {
	to := item.Act.Recipient
	if item.Act.Action != consent.Disclose || to.Unit == "" || !slices.Contains(decision.Obligations, consent.Inform) {
		return nil
	}
	for _, client := range item.Class.Clients {
		o := &debt{
			client: client, controller: to.Controller, unit: to.Unit, register: to.Register,
			sourceController: class.Controller, sourceOf: string(class.Register), bases: decision.Bases, at: w.at,
		}
		if w.draft.Find("Task", o.id()) != nil {
			continue
		}
		_, err := w.snap.Get(ctx, "Task", o.id())
		if err == nil {
			continue
		}
		if !errors.Is(err, store.ErrNotFound) {
			return unrecorded(err)
		}
		item.Act.Sent = append(item.Act.Sent, w.draft.Add(nil, "Task", o.id(), o.task(), o.class()))
	}
	return nil
}

// Released is a document as a copy of it may be kept elsewhere: without the id and the meta of the row it is of.
func Released(doc *fhir.Value) *fhir.Value {
	out := doc.Clone()
	out.Set("id", nil)
	out.Set("meta", nil)
	return out
}
