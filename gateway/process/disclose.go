package process

import (
	"context"
	"strconv"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/exchange"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

// receivedMonths is how long what was disclosed to a unit that has no client relationship stays open to it: time enough
// to take the client into care or to leave the matter (703/2023 § 48: only as long as the purpose needs).
const receivedMonths = 12

// request governs a request for a human's decision: the unit that holds data is told of it by a Task of its own, in its
// own register, with what the asker asserts and nothing from a register.
func (g *governing) request(item *exchange.Item, client string, a *assertion) error {
	ref := item.Doc.Text("owner", "reference")
	asked, known := g.view.Person(ref)
	caller := g.draft.Caller.Actor
	switch {
	case !known || asked.Kind != consent.System || asked.Unit == "":
		return violation("Task.owner", "A request is addressed to a registered unit that holds the data: Organization/… of the directory.")
	case asked.Controller == caller.Controller && asked.Register == caller.Register:
		return violation("Task.owner", "Data of one's own register need no request.")
	case a.recipient != nil || len(a.documents) > 0 || a.act != "" || len(a.labels) > 0:
		return violation("Task.input", "A request tells ground, limb, facts, reason and what is wanted; the unit that holds the data names the documents.")
	}
	said, err := g.said(a)
	if err != nil {
		return err
	}
	inputs := append([]*fhir.Value{}, item.Doc.Get("input").Items()...)
	for i, input := range inputs {
		inputs[i] = input.Clone()
	}
	inputs = append(inputs, given(terms.ActInput, terms.InputRecipient, "valueReference", reference(caller.Unit)))
	holder := g.actTask(terms.ActDecide, "requested", client, item.Doc.Text("requester", "reference"), ref, consent.Class{
		Controller: asked.Controller, Register: asked.Register, Unit: asked.Unit, Process: item.Ref(),
	}, inputs...)
	holder.Doc.Set("partOf", fhir.NewArray(reference(item.Ref())))
	item.Act = &exchange.Act{
		Action: consent.Ask, Assertion: said, Expression: "Task.input",
		Recipient: consent.Invitee{Controller: asked.Controller, Register: asked.Register, Unit: asked.Unit},
		Documents: []*exchange.Current{{Type: item.Type, ID: item.ID, Version: 1, Class: item.Class, Recorded: g.draft.Time, Doc: item.Doc}},
		Sent:      []*exchange.Item{holder},
	}
	return nil
}

// counterpart is the other Task of a request: the asker's for the unit's, the unit's for the asker's. It is not for the
// caller to see.
func (g *governing) counterpart(ctx context.Context, item *exchange.Item, code string) (*exchange.Item, error) {
	rows, err := g.view.Process(ctx, item.Before.Class.Process)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		if row.Type == "Task" && row.Ref() != item.Ref() && actCode(row.Doc) == code {
			other := g.draft.Add(row, row.Type, row.ID, row.Doc.Clone(), row.Class)
			other.Doc.Set("lastModified", fhir.NewString(g.now()))
			return other, nil
		}
	}
	return nil, violation("Task", "The other side of this request is not known.")
}

// withdraw cancels the decision that a request asked for.
func (g *governing) withdraw(ctx context.Context, item *exchange.Item) error {
	other, err := g.counterpart(ctx, item, terms.ActDecide)
	if err != nil {
		return err
	}
	other.Doc.Set("status", fhir.NewString("cancelled"))
	item.Act = &exchange.Act{Action: consent.Ask, Sent: []*exchange.Item{other}}
	return nil
}

// decided draws the consequences of a decision on a request: the disclosure, or that there is none. The asker learns
// that it was not disclosed and not why: the reason would tell of bans.
func (g *governing) decided(ctx context.Context, item *exchange.Item, client, to string) error {
	other, err := g.counterpart(ctx, item, terms.ActRequest)
	if err != nil {
		return err
	}
	if err := keepRecipient(item.Before.Doc, item.Doc); err != nil {
		return err
	}
	a, err := g.asserted(item.Doc)
	if err != nil {
		return err
	}
	other.Doc.Set("status", fhir.NewString(to))
	if to == "completed" {
		return g.disclose(ctx, item, client, a, other)
	}
	why := item.Doc.Text("statusReason", "text")
	if !g.reason.Told(why) || len(why) > actTexts {
		return violation("Task.statusReason", "Who decides not to disclose says why, in statusReason.text: %s. The asker is not told.", g.reason)
	}
	said, err := g.said(a)
	if err != nil {
		return err
	}
	recipient, err := g.to(a)
	if err != nil {
		return err
	}
	other.Doc.Set("statusReason", fhir.NewObject(fhir.Member{Name: "text", Value: fhir.NewString("Tietoja ei luovuteta.")}))
	item.Act = &exchange.Act{Action: consent.Disclose, Assertion: said, Recipient: recipient, Refused: why, Sent: []*exchange.Item{other}}
	return nil
}

// keepRecipient refuses that what was asked by one unit is disclosed to another.
func keepRecipient(before, after *fhir.Value) error {
	of := func(doc *fhir.Value) string {
		for _, input := range doc.Get("input").Items() {
			for _, coding := range input.Get("type").Get("coding").Items() {
				if coding.Text("system") == terms.ActInput && coding.Text("code") == terms.InputRecipient {
					return input.Text("valueReference", "reference")
				}
			}
		}
		return ""
	}
	if of(before) != of(after) {
		return violation("Task.input", "What was asked for is disclosed to the unit that asked; another disclosure is a Task disclose.")
	}
	return nil
}

// disclose carries a disclosure out. A recipient registered here is given copies of the named documents, as they are now,
// in its own register, with their Provenance; and a Task that tells it so: that of its request, or one of its own. To
// another recipient the person hands them over, and the record says what.
func (g *governing) disclose(ctx context.Context, item *exchange.Item, client string, a *assertion, answer *exchange.Item) error {
	said, err := g.said(a)
	if err != nil {
		return err
	}
	to, err := g.to(a)
	if err != nil {
		return err
	}
	docs, err := g.documents(ctx, a, client)
	if err != nil {
		return err
	}
	caller := g.draft.Caller.Actor
	if a.act != "" || a.wanted != "" && answer == nil || len(a.labels) > 0 {
		return violation("Task.input", "A disclosure has the inputs ground, limb, reason, recipient, recipient-kind, document and facts.")
	}
	if to.Controller == caller.Controller && to.Register == caller.Register {
		return violation("Task.input", "The recipient works in the same register; using it is no disclosure.")
	}
	item.Act = &exchange.Act{Action: consent.Disclose, Assertion: said, Recipient: to, Documents: docs, Expression: "Task.input"}
	item.Doc.Set("executionPeriod", fhir.NewObject(fhir.Member{Name: "end", Value: fhir.NewString(g.now())}))
	if to.Controller == "" {
		return nil
	}
	class := consent.Class{Controller: to.Controller, Register: to.Register, Unit: to.Unit, Process: item.Class.Process}
	outputs := []*fhir.Value{given(terms.ActInput, terms.InputGround, "valueCode", fhir.NewString(a.ground))}
	var copies []string
	for _, doc := range docs {
		of := class
		of.Type, of.Clients = doc.Type, doc.Class.Clients
		of.ServiceTask, of.DataClass, of.Protection = doc.Class.ServiceTask, doc.Class.DataClass, doc.Class.Protection
		made := g.draft.Add(nil, doc.Type, newID(), exchange.Released(doc.Doc), of)
		made.Relationships = map[string][]consent.Relationship{} // a copy of an Encounter makes no relationship
		item.Act.Copies = append(item.Act.Copies, made)
		copies = append(copies, made.Ref())
		outputs = append(outputs, given(terms.ActInput, terms.InputDocument, "valueReference", reference(made.Ref())))
	}
	of := class
	of.Type, of.Clients = "Provenance", docs[0].Class.Clients
	item.Act.Sent = append(item.Act.Sent, item.Act.Copies...)
	item.Act.Sent = append(item.Act.Sent, g.draft.Add(nil, "Provenance", newID(), g.provenance(a.ground, docs, copies), of))
	if answer != nil {
		answer.Doc.Set("output", fhir.NewArray(outputs...))
		item.Act.Sent = append(item.Act.Sent, answer)
		return nil
	}
	owner := to.Unit
	if to.Person != "" {
		owner = to.Person
	}
	notice := g.actTask(terms.ActReceive, "requested", client, personOf(caller), owner, class, outputs...)
	notice.Relationships = map[string][]consent.Relationship{client: {{
		Kind: consent.Received, Evidence: notice.Ref(), Controller: to.Controller, Register: to.Register, Unit: to.Unit,
		Process: class.Process, Period: consent.Period{From: g.draft.Time, To: g.draft.Time.AddDate(0, receivedMonths, 0)},
	}}}
	item.Act.Sent = append(item.Act.Sent, notice)
	return nil
}

// provenance tells the recipient what 703/2023 § 39 asks it to be able to show: what came, from whom, when, who asked or
// gave it, on which provision; and the duty of § 48 to keep it secret and use it for that alone.
func (g *governing) provenance(ground string, docs []*exchange.Current, copies []string) *fhir.Value {
	caller := g.draft.Caller.Actor
	targets, sources := fhir.NewArray(), fhir.NewArray()
	for i, doc := range docs {
		targets.Append(reference(copies[i]))
		sources.Append(fhir.NewObject(
			fhir.Member{Name: "role", Value: fhir.NewString("source")},
			fhir.Member{Name: "what", Value: reference(doc.Ref() + "/_history/" + strconv.FormatInt(doc.Version, 10))},
		))
	}
	agent := func(role, who, behalf string) *fhir.Value {
		v := fhir.NewObject(
			fhir.Member{Name: "type", Value: fhir.NewObject(fhir.Member{Name: "coding", Value: fhir.NewArray(
				fhir.Coding{System: "http://terminology.hl7.org/CodeSystem/provenance-participant-type", Code: role}.Value())})},
			fhir.Member{Name: "who", Value: reference(who)},
		)
		if behalf != "" {
			v.Set("onBehalfOf", reference(behalf))
		}
		return v
	}
	return fhir.NewObject(
		fhir.Member{Name: "resourceType", Value: fhir.NewString("Provenance")},
		fhir.Member{Name: "target", Value: targets},
		fhir.Member{Name: "occurredDateTime", Value: fhir.NewString(g.now())},
		fhir.Member{Name: "recorded", Value: fhir.NewString(g.now())},
		fhir.Member{Name: "policy", Value: fhir.NewArray(
			fhir.NewString(terms.LegalBasisPolicy(ground)), fhir.NewString(terms.LegalBasisPolicy(ledger.OnwardDuty)))},
		fhir.Member{Name: "activity", Value: fhir.NewObject(fhir.Member{Name: "coding", Value: fhir.NewArray(
			fhir.Coding{System: "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle", Code: "disclose", Display: "Disclose Record Lifecycle Event"}.Value())})},
		fhir.Member{Name: "agent", Value: fhir.NewArray(agent("performer", personOf(caller), caller.Unit), agent("custodian", caller.Controller, ""))},
		fhir.Member{Name: "entity", Value: sources},
	)
}
