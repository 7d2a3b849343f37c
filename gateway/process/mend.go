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

// mend governs the acts by which the controller's own professional mends a mistake. Each takes effect in its own
// transaction, so that it counts at the next answer.
func (g *governing) mend(ctx context.Context, item *exchange.Item, client string, a *assertion) error {
	if a.recipient != nil || a.kind != "" || a.wanted != "" {
		return violation("Task.input", "Who is told of a mended mistake follows from who received the data.")
	}
	said, err := g.said(a)
	if err != nil {
		return err
	}
	item.Act = &exchange.Act{Action: consent.Correct, Assertion: said, Expression: "Task.input"}
	item.Doc.Set("executionPeriod", fhir.NewObject(fhir.Member{Name: "end", Value: fhir.NewString(g.now())}))
	switch actCode(item.Doc) {
	case terms.ActRecall:
		return g.recall(ctx, item, client, a)
	case terms.ActRelabel:
		return g.relabel(ctx, item, client, a)
	default:
		return g.rectify(ctx, item, client, a)
	}
}

// recall takes a mistaken disclosure back: the recipient's copies are deleted, its way to them is over, and its unit is
// told to use nothing of it (2016/679 art. 17.1(d) and 19). From a recipient that is not registered here a person asks
// the data back; the Task is the record of it.
func (g *governing) recall(ctx context.Context, item *exchange.Item, client string, a *assertion) error {
	if a.ground != "GDPR-17" || len(a.documents) > 0 || len(a.labels) > 0 {
		return violation("Task.input", "A recall has the inputs ground (GDPR-17), act (the Task of the disclosure) and reason.")
	}
	unknown := violation("Task.input", "The input act names no completed disclosure of your own register that you may see.")
	typ, id, _ := strings.Cut(a.act, "/")
	if typ != "Task" {
		return unknown
	}
	act, err := g.view.Get(ctx, typ, id)
	if err != nil {
		return err
	}
	if act == nil || !g.own(act.Class) || !slices.Contains(act.Class.Clients, client) || !carriedOut(act.Doc) {
		return unknown
	}
	if visible, err := g.view.Visible(ctx, act); err != nil || !visible {
		return firstOf(err, unknown)
	}
	rows, err := g.view.Process(ctx, act.Class.Process)
	if err != nil {
		return err
	}
	item.Act.Documents = []*exchange.Current{act}
	g.draft.Keys = append(g.draft.Keys, act.Class.Process)
	told := map[string]bool{}
	for _, row := range rows {
		switch {
		case g.own(row.Class) || row.Type == "Provenance":
			continue // ours; or theirs to show what they received
		case row.Type == "Task":
			if actCode(row.Doc) == terms.ActReceive {
				over := g.draft.Add(row, row.Type, row.ID, row.Doc.Clone(), row.Class)
				over.Doc.Set("status", fhir.NewString("entered-in-error"))
				over.Relationships = ended(client)
				item.Act.Sent = append(item.Act.Sent, over)
			}
			continue
		}
		// What is taken back is in no register any more: its label opens the deleted copy's versions to nobody at work.
		nowhere := row.Class
		nowhere.Controller, nowhere.Unit = "", ""
		item.Act.Sent = append(item.Act.Sent, g.draft.Add(row, row.Type, row.ID, nil, nowhere))
		g.tell(item, client, row.Class, told, a.ground, "Luovutus oli virheellinen ja se on peruttu. Tietoja ei saa käyttää; ne on poistettu.", row.Ref())
	}
	return nil
}

// tell opens the Task that tells a recipient's unit of a mended mistake, once for each unit.
func (g *governing) tell(item *exchange.Item, client string, class consent.Class, told map[string]bool, ground, text, document string) {
	if told[class.Unit] {
		return
	}
	told[class.Unit] = true
	of := consent.Class{Controller: class.Controller, Register: class.Register, Unit: class.Unit, Process: class.Process}
	notice := g.actTask(terms.ActReceive, "requested", client, personOf(g.draft.Caller.Actor), class.Unit, of,
		given(terms.ActInput, terms.InputGround, "valueCode", fhir.NewString(ground)),
		given(terms.ActInput, terms.InputDocument, "valueReference", reference(document)))
	notice.Doc.Set("description", fhir.NewString(text))
	notice.Relationships = map[string][]consent.Relationship{client: {{
		Kind: consent.Received, Evidence: notice.Ref(), Controller: class.Controller, Register: class.Register, Unit: class.Unit,
		Process: class.Process, Period: consent.Period{From: g.draft.Time, To: g.draft.Time.AddDate(0, receivedMonths, 0)},
	}}}
	item.Act.Sent = append(item.Act.Sent, notice)
}

// carriedOut says whether a Task is a disclosure that was made.
func carriedOut(doc *fhir.Value) bool {
	code := actCode(doc)
	return (code == terms.ActDisclose || code == terms.ActDecide) && doc.Text("status") == "completed"
}

func firstOf(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// relabel mends a wrong label of a document of one's own register: service task, data class or protection. A label that
// the document should not have is named by its system alone. Copies that were disclosed have the same labels from then on,
// which bound their use, and their units are told (art. 19); a disclosure that lost its basis is taken back by a recall.
func (g *governing) relabel(ctx context.Context, item *exchange.Item, client string, a *assertion) error {
	if a.ground != "GDPR-16" || len(a.documents) != 1 || len(a.labels) == 0 || a.act != "" {
		return violation("Task.input", "A relabel has the inputs ground (GDPR-16), document, label (one or more) and reason.")
	}
	if typ, id, _ := strings.Cut(a.documents[0], "/"); g.draft.Find(typ, id) != nil {
		return violation("Task.input", "A document is relabelled as it stands, not in the transaction that changes it.")
	}
	docs, err := g.documents(ctx, a, client)
	if err != nil {
		return err
	}
	doc := docs[0]
	if ofAct(doc.Class) {
		return violation("Task.input", "%s was received; its label is that of the register it came from.", doc.Ref())
	}
	class := doc.Class
	for _, label := range a.labels {
		into, known := map[string]*string{
			terms.ServiceTask: &class.ServiceTask, terms.DataClass: &class.DataClass, terms.Protection: &class.Protection,
		}[label.System]
		if !known || label.Code != "" && !g.labels[label.System+"|"+label.Code] {
			return violation("Task.input", "%s|%s is no label: one of CodeSystem service-task, data-class or protection is.", label.System, label.Code)
		}
		*into = label.Code
	}
	if class.Key() == doc.Class.Key() {
		return violation("Task.input", "%s has these labels already.", doc.Ref())
	}
	item.Act.Documents = docs
	g.draft.Add(doc, doc.Type, doc.ID, doc.Doc.Clone(), class)
	told := map[string]bool{}
	return g.disclosed(ctx, client, doc.Ref(), func(copy *exchange.Current) {
		of := copy.Class
		of.ServiceTask, of.DataClass, of.Protection = class.ServiceTask, class.DataClass, class.Protection
		made := g.draft.Add(copy, copy.Type, copy.ID, copy.Doc.Clone(), of)
		made.Relationships = map[string][]consent.Relationship{}
		item.Act.Sent = append(item.Act.Sent, made)
		g.tell(item, client, copy.Class, told, a.ground, "Luovutetun tiedon luokitus oli virheellinen ja se on korjattu. "+
			"Jos luovutuksen peruste ei koske korjattua tietoa, sitä ei saa käyttää.", copy.Ref())
	})
}

// rectify rectifies a document of one's own register (2016/679 art. 16): the Task is written in one transaction with the
// corrected document. Units that it was disclosed to have their copies rectified and are told (art. 19).
func (g *governing) rectify(ctx context.Context, item *exchange.Item, client string, a *assertion) error {
	if a.ground != "GDPR-16" || len(a.documents) != 1 || len(a.labels) > 0 || a.act != "" {
		return violation("Task.input", "A rectify has the inputs ground (GDPR-16), document and reason.")
	}
	typ, id, _ := strings.Cut(a.documents[0], "/")
	if mended := g.draft.Find(typ, id); mended == nil || mended.Before == nil || mended.Doc == nil {
		return violation("Task.input", "A rectify is written in one transaction with the corrected %s.", a.documents[0])
	}
	docs, err := g.documents(ctx, a, client)
	if err != nil {
		return err
	}
	item.Act.Documents = docs
	told := map[string]bool{}
	return g.disclosed(ctx, client, docs[0].Ref(), func(copy *exchange.Current) {
		made := g.draft.Add(copy, copy.Type, copy.ID, exchange.Released(docs[0].Doc), copy.Class)
		made.Relationships = map[string][]consent.Relationship{}
		item.Act.Copies = append(item.Act.Copies, made)
		item.Act.Sent = append(item.Act.Sent, made)
		g.tell(item, client, copy.Class, told, a.ground, "Luovutettu tieto on oikaistu.", copy.Ref())
	})
}

// disclosed gives each copy of a document that the caller's register disclosed, and binds the draft to the acts that did.
func (g *governing) disclosed(ctx context.Context, client, document string, each func(copy *exchange.Current)) error {
	acts, err := g.view.Own(ctx, "Task", client)
	if err != nil {
		return err
	}
	for _, act := range acts {
		if !ofAct(act.Class) || !carriedOut(act.Doc) || !namesDocument(act.Doc, document) {
			continue
		}
		rows, err := g.view.Process(ctx, act.Class.Process)
		if err != nil {
			return err
		}
		g.draft.Keys = append(g.draft.Keys, act.Class.Process)
		for _, copy := range copiesOf(rows, document) {
			each(copy)
		}
	}
	return nil
}

func namesDocument(task *fhir.Value, ref string) bool {
	for _, input := range task.Get("input").Items() {
		if input.Text("valueReference", "reference") == ref {
			return true
		}
	}
	return false
}

// copiesOf are the copies of a document among the rows of an act, as its Provenance pairs them.
func copiesOf(rows []*exchange.Current, ref string) []*exchange.Current {
	var out []*exchange.Current
	for _, row := range rows {
		if row.Type != "Provenance" {
			continue
		}
		targets, sources := row.Doc.Get("target").Items(), row.Doc.Get("entity").Items()
		for i, source := range sources {
			what, _, _ := strings.Cut(source.Text("what", "reference"), "/_history/")
			if what != ref || i >= len(targets) {
				continue
			}
			for _, copy := range rows {
				if copy.Ref() == targets[i].Text("reference") {
					out = append(out, copy)
				}
			}
		}
	}
	return out
}
