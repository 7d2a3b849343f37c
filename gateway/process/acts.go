package process

import (
	"context"
	"slices"
	"strings"

	"sotesilta/consent"
	"sotesilta/gateway/exchange"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

// A human's act is a Task: its code says which act, its inputs what the person asserts, and its completion is the act
// (design § 6; 703/2023 § 57 leaves § 56 and the like to people). What the act gives to another register lies there as
// copies that belong to the act: Class.Process is Task/… of the act, as it is CarePlan/… for the joint documents.

// Bounds of a human's act.
const (
	actTexts     = 4000 // bytes of a reason, a fact, a wish
	actDocuments = 100
	actName      = 200 // bytes of an unregistered recipient's name
)

// actCode is the human's act that a Task is, or "".
func actCode(doc *fhir.Value) string {
	for _, coding := range doc.Get("code").Get("coding").Items() {
		if coding.Text("system") == terms.HumanAct {
			return coding.Text("code")
		}
	}
	return ""
}

// ofAct says whether a row belongs to a human's act.
func ofAct(class consent.Class) bool { return strings.HasPrefix(class.Process, "Task/") }

// acts governs the human's acts of a draft and answers the items that are none.
func (g *governing) acts(ctx context.Context, asked []*exchange.Item) ([]*exchange.Item, error) {
	var others []*exchange.Item
	for _, item := range asked {
		switch {
		case item.Before != nil && ofAct(item.Before.Class) && item.Type != "Task":
			return nil, violation(item.Type, "%s was received by a human's disclosure and stays as it came; record what you make of it beside it.", item.Ref())
		case item.Before != nil && ofAct(item.Before.Class):
			if item.Doc == nil {
				return nil, violation("", "A Task of a human's act is not deleted: who disclosed what must be told.")
			}
			if err := g.moveAct(ctx, item); err != nil {
				return nil, err
			}
		case item.Type == "Task" && item.Doc != nil && actCode(item.Doc) != "":
			if item.Before != nil {
				return nil, violation("Task.code", "A Task that is there already does not become a human's act.")
			}
			if err := g.beginAct(ctx, item); err != nil {
				return nil, err
			}
		default:
			others = append(others, item)
		}
	}
	return others, nil
}

// beginAct governs a Task by which a person begins an act.
func (g *governing) beginAct(ctx context.Context, item *exchange.Item) error {
	doc := item.Doc
	client, err := g.clientOf(item)
	if err != nil {
		return err
	}
	a, err := g.asserted(doc)
	if err != nil {
		return err
	}
	switch {
	case g.draft.Caller.Actor.Kind != consent.Professional:
		return violation("Task.requester", "A human's act is a professional's; a system without a user has none.")
	case doc.Text("intent") != "order":
		return violation("Task.intent", "The intent of a human's act is order.")
	case !names(g.draft.Caller.Actor, doc.Text("requester", "reference")):
		return violation("Task.requester", "The requester of a human's act is the caller, by PractitionerRole or Practitioner.")
	case steps(doc) > 0:
		return violation("Task.code", "A Task is a step of the joint-client process or a human's act, not both.")
	}
	item.Class.Process = item.Ref()
	g.stamp(item, true)
	status := doc.Text("status")
	switch code := actCode(doc); code {
	case terms.ActRequest:
		if status != "requested" {
			return violation("Task.status", "A request begins as requested.")
		}
		return g.request(item, client, a)
	case terms.ActDisclose:
		if doc.Get("owner") == nil {
			doc.Set("owner", reference(doc.Text("requester", "reference")))
		}
		switch {
		case !g.isCaller(doc.Text("owner", "reference")):
			return violation("Task.owner", "Who discloses on their own initiative is the caller, or a professional of the caller's unit.")
		case status == "completed":
			return g.disclose(ctx, item, client, a, nil)
		case status == "ready" || status == "in-progress":
			return nil
		}
		return violation("Task.status", "A disclosure begins as ready or in-progress, or is carried out at once as completed.")
	case terms.ActRecall, terms.ActRelabel, terms.ActRectify:
		if status != "completed" {
			return violation("Task.status", "A mistake is mended at once: the Task %s is completed.", code)
		}
		return g.mend(ctx, item, client, a)
	case terms.ActDecide, terms.ActReceive, terms.ActInform:
		return violation("Task.code", "A Task %s is opened by the gateway.", code)
	default:
		return violation("Task.code", "%q is no act of CodeSystem human-act.", code)
	}
}

// Members of a Task of an act that never change: who, about whom, of what.
var actMembers = []string{"intent", "code", "for", "requester", "owner", "partOf", "basedOn", "authoredOn"}

// moveAct governs a new version of a Task of an act.
func (g *governing) moveAct(ctx context.Context, item *exchange.Item) error {
	before, doc := item.Before.Doc, item.Doc
	if err := keep(before, doc, "Task", "of a human's act does not change.", actMembers...); err != nil {
		return err
	}
	client, err := g.clientOf(item)
	if err != nil {
		return err
	}
	code, from, to := actCode(before), before.Text("status"), doc.Text("status")
	table, inputs := table(nil), false
	switch code {
	case terms.ActRequest:
		table = g.transitions.Request
	case terms.ActDecide:
		table, inputs = g.transitions.Decide, true
	case terms.ActDisclose:
		table, inputs = g.transitions.Disclose, true
	case terms.ActReceive, terms.ActInform:
		table = g.transitions.Notice
	}
	var parties []string
	if g.isCaller(before.Text("owner", "reference")) {
		parties = append(parties, owner)
	}
	if names(g.draft.Caller.Actor, before.Text("requester", "reference")) {
		parties = append(parties, requester)
	}
	if err := table.check("A Task "+code, item.Ref(), from, to, parties); err != nil {
		return err
	}
	if !inputs {
		if err := keep(before, doc, "Task", "of a Task "+code+" does not change.", "input"); err != nil {
			return err
		}
	}
	g.stamp(item, false)
	switch {
	case code == terms.ActRequest && to == "cancelled":
		return g.withdraw(ctx, item)
	case code == terms.ActDecide && from != to && (to == "completed" || to == "rejected"):
		return g.decided(ctx, item, client, to)
	case code == terms.ActDisclose && from != to && to == "completed":
		a, err := g.asserted(doc)
		if err != nil {
			return err
		}
		return g.disclose(ctx, item, client, a, nil)
	}
	return nil
}

// clientOf is the one client that an act is about.
func (g *governing) clientOf(item *exchange.Item) (string, error) {
	ref := fhir.ParseReference(item.Doc.Text("for", "reference"))
	if len(item.Class.Clients) != 1 || ref.Type != "Patient" || ref.ID != item.Class.Clients[0] {
		return "", violation("Task.for", "A human's act is about one client, named in Task.for and nowhere otherwise.")
	}
	return ref.ID, nil
}

// stamp writes when the Task was made and last changed.
func (g *governing) stamp(item *exchange.Item, begins bool) {
	if begins {
		item.Doc.Set("authoredOn", fhir.NewString(g.now()))
	}
	item.Doc.Set("lastModified", fhir.NewString(g.now()))
}

// assertion is what the inputs of an act say.
type assertion struct {
	ground, limb, reason, kind, wanted string
	facts                              map[string]string
	recipient                          *fhir.Value // Reference
	documents                          []string    // Type/id
	act                                string      // Task/id
	labels                             []fhir.Coding
}

// actInputs is the type of the value of each input of an act, and whether it may be there several times.
var actInputs = map[string]struct {
	typ     string // value[x]
	several bool
}{
	terms.InputGround: {typ: "Code"}, terms.InputLimb: {typ: "Code"}, terms.InputRecipientKind: {typ: "Code"},
	terms.InputReason: {typ: "String"}, terms.InputWanted: {typ: "String"},
	terms.InputRecipient: {typ: "Reference"}, terms.InputAct: {typ: "Reference"},
	terms.InputDocument: {"Reference", true}, terms.InputLabel: {"Coding", true},
}

// asserted reads the inputs: each is of a known kind, of the type that its readers rely on, and there once where one is
// meant.
func (g *governing) asserted(doc *fhir.Value) (*assertion, error) {
	a := &assertion{facts: map[string]string{}}
	texts := map[string]*string{
		terms.InputGround: &a.ground, terms.InputLimb: &a.limb, terms.InputReason: &a.reason,
		terms.InputRecipientKind: &a.kind, terms.InputWanted: &a.wanted,
	}
	seen := map[string]bool{}
	for _, input := range doc.Get("input").Items() {
		system, code := "", ""
		for _, coding := range input.Get("type").Get("coding").Items() {
			if s := coding.Text("system"); s == terms.ActInput || s == terms.DisclosureFact {
				system, code = s, coding.Text("code")
			}
		}
		typ, value := valueOf(input)
		wrong := func(want string) error {
			return violation("Task.input", "The input %s of a human's act is a %s.", code, want)
		}
		several := system == terms.ActInput && actInputs[code].several
		if seen[system+code] && !several {
			return nil, violation("Task.input", "The input %s is there twice.", code)
		}
		seen[system+code] = true
		switch {
		case system == terms.DisclosureFact && !g.facts[code]:
			return nil, violation("Task.input", "%q is no fact of CodeSystem disclosure-fact.", code)
		case system == terms.DisclosureFact:
			if typ != "String" || len(value.Str()) > actTexts {
				return nil, wrong("valueString, told in the person's own words")
			}
			a.facts[code] = value.Str()
		case system == terms.ActInput && texts[code] != nil:
			want := actInputs[code].typ
			if typ != want || len(value.Str()) > actTexts {
				return nil, wrong("value" + want)
			}
			*texts[code] = value.Str()
		case system == terms.ActInput && code == terms.InputRecipient:
			if typ != actInputs[code].typ {
				return nil, wrong("valueReference")
			}
			a.recipient = value
		case system == terms.ActInput && code == terms.InputDocument, system == terms.ActInput && code == terms.InputAct:
			ref := fhir.ParseReference(value.Text("reference"))
			if typ != actInputs[code].typ || !ref.Local() || ref.ID == "" {
				return nil, wrong("valueReference, Type/id")
			}
			if code == terms.InputAct {
				a.act = ref.Type + "/" + ref.ID
				continue
			}
			if a.documents = append(a.documents, ref.Type+"/"+ref.ID); len(a.documents) > actDocuments {
				return nil, violation("Task.input", "A human's act names at most %d documents.", actDocuments)
			}
		case system == terms.ActInput && code == terms.InputLabel:
			if typ != actInputs[code].typ {
				return nil, wrong("valueCoding")
			}
			a.labels = append(a.labels, fhir.Coding{System: value.Text("system"), Code: value.Text("code")})
		default:
			return nil, violation("Task.input", "The inputs of a human's act are those of CodeSystem human-act-input and disclosure-fact.")
		}
	}
	slices.Sort(a.documents)
	a.documents = slices.Compact(a.documents)
	return a, nil
}

// valueOf is the type and value of an input's value[x].
func valueOf(input *fhir.Value) (string, *fhir.Value) {
	for _, member := range input.Members() {
		if typ, ok := strings.CutPrefix(member.Name, "value"); ok {
			return typ, member.Value
		}
	}
	return "", nil
}

// said is the assertion as the law is asked on it and the ledger keeps it.
func (g *governing) said(a *assertion) (consent.Assertion, error) {
	token := g.draft.Caller.Assertion
	if token.Ground != "" && a.ground != "" && token.Ground != a.ground {
		return token, violation("Task.input", "The Task rests on %s and the token asserts %s: a person acts on one ground.", a.ground, token.Ground)
	}
	out := consent.Assertion{
		Task: token.Task, Service: token.Service, Ground: a.ground, Reason: a.reason, Confirm: token.Confirm, Facts: map[string]string{},
	}
	for name, text := range a.facts {
		out.Facts[name] = text
	}
	if a.limb != "" {
		out.Facts[consent.FactLimb] = a.limb
	}
	return out, nil
}

// to is who receives: a registered unit or professional, or somebody named whose kind the person tells.
func (g *governing) to(a *assertion) (consent.Invitee, error) {
	ref := a.recipient.Text("reference")
	if ref == "" {
		name := a.recipient.Text("display")
		switch {
		case a.recipient == nil || strings.TrimSpace(name) == "" || len(name) > actName:
			return consent.Invitee{}, violation("Task.input", "A disclosure names its recipient: a unit or professional of the directory, or another by display.")
		case a.kind == "":
			return consent.Invitee{}, violation("Task.input", "Of a recipient that is not registered the kind is told (CodeSystem recipient-kind).")
		}
		return consent.Invitee{Kind: a.kind, Name: name}, nil
	}
	actor, known := g.view.Person(ref)
	if !known || actor.Unit == "" {
		return consent.Invitee{}, violation("Task.input", "The recipient %s is not registered; name a unit or professional of the directory, or another recipient by display.", ref)
	}
	if a.kind != "" {
		return consent.Invitee{}, violation("Task.input", "The kind of a registered recipient follows from the registration and is not told.")
	}
	to := consent.Invitee{Controller: actor.Controller, Register: actor.Register, Unit: actor.Unit}
	if actor.Kind == consent.Professional {
		to.Person = ref
	}
	return to, nil
}

// documents are the rows that an act names, which the person may see; one that is not seen is as an absent one. They
// may be written in the same transaction.
func (g *governing) documents(ctx context.Context, a *assertion, client string) ([]*exchange.Current, error) {
	var out []*exchange.Current
	for _, ref := range a.documents {
		unknown := violation("Task.input", "%s is no document about the client that you may see in your own register.", ref)
		typ, id, _ := strings.Cut(ref, "/")
		row := g.made(typ, id)
		if row == nil {
			var err error
			if row, err = g.view.Get(ctx, typ, id); err != nil {
				return nil, err
			}
			if row == nil {
				return nil, unknown
			}
			visible, err := g.view.Visible(ctx, row)
			if err != nil {
				return nil, err
			}
			if !visible {
				return nil, unknown
			}
		}
		if !slices.Contains(row.Class.Clients, client) || typ == "Task" || typ == "CareTeam" || !g.own(row.Class) {
			return nil, unknown
		}
		out = append(out, row)
	}
	if len(out) == 0 {
		return nil, violation("Task.input", "The act names its documents, at least one.")
	}
	return out, nil
}

// own says whether a class is of the caller's own register, where its copy of a joint document is too.
func (g *governing) own(class consent.Class) bool {
	actor := g.draft.Caller.Actor
	return class.Controller == actor.Controller && class.In(actor.Register)
}

// made is a row as this very draft leaves it; nil when the draft does not change it.
func (g *governing) made(typ, id string) *exchange.Current {
	item := g.draft.Find(typ, id)
	if item == nil || item.Doc == nil {
		return nil
	}
	row := &exchange.Current{Type: typ, ID: id, Version: 1, Class: item.Class, Recorded: g.draft.Time, Updated: g.draft.Time, Doc: item.Doc}
	if item.Before != nil {
		row.Version, row.Recorded = item.Before.Version+1, item.Before.Recorded
	}
	return row
}

// actTask makes a Task of an act, in another register, or in the caller's own.
func (g *governing) actTask(code, status, client, requester, owner string, class consent.Class, inputs ...*fhir.Value) *exchange.Item {
	doc := fhir.NewObject(
		fhir.Member{Name: "resourceType", Value: fhir.NewString("Task")},
		fhir.Member{Name: "status", Value: fhir.NewString(status)},
		fhir.Member{Name: "intent", Value: fhir.NewString("order")},
		fhir.Member{Name: "code", Value: fhir.NewObject(fhir.Member{Name: "coding", Value: fhir.NewArray(fhir.Coding{System: terms.HumanAct, Code: code}.Value())})},
		fhir.Member{Name: "for", Value: reference("Patient/" + client)},
		fhir.Member{Name: "authoredOn", Value: fhir.NewString(g.now())},
		fhir.Member{Name: "lastModified", Value: fhir.NewString(g.now())},
		fhir.Member{Name: "requester", Value: reference(requester)},
		fhir.Member{Name: "owner", Value: reference(owner)},
	)
	if len(inputs) > 0 {
		doc.Set("input", fhir.NewArray(inputs...))
	}
	class.Type, class.Clients = "Task", []string{client}
	return g.draft.Add(nil, "Task", newID(), doc, class)
}

// given is an input or output of an act.
func given(system, code, member string, value *fhir.Value) *fhir.Value {
	return fhir.NewObject(
		fhir.Member{Name: "type", Value: fhir.NewObject(fhir.Member{Name: "coding", Value: fhir.NewArray(fhir.Coding{System: system, Code: code}.Value())})},
		fhir.Member{Name: member, Value: value},
	)
}
