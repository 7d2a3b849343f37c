package exchange

import (
	"context"
	"maps"
	"slices"

	"sotesilta/consent"
)

// lawful asks the law about every item the caller asked for, and about every invitation. What Rules added rests on
// the decision of what was asked for.
func (w *writing) lawful(ctx context.Context) error {
	for _, item := range w.draft.Items {
		if err := w.know(ctx, item.Class.Clients); err != nil {
			return err
		}
		if item.Before != nil {
			if err := w.know(ctx, item.Before.Class.Clients); err != nil {
				return err
			}
		}
		if err := w.know(ctx, slices.Collect(maps.Keys(item.Relationships))); err != nil {
			return err
		}
		if !item.Consequence {
			if err := w.decideItem(item); err != nil {
				return err
			}
		}
		if item.Act != nil {
			for _, doc := range item.Act.Documents {
				if err := w.know(ctx, doc.Class.Clients); err != nil {
					return err
				}
			}
			if err := w.decideAct(ctx, item); err != nil {
				return err
			}
		}
		if item.Invitee != nil {
			if err := w.decideInvitation(item); err != nil {
				return err
			}
		}
	}
	return nil
}

// decideItem decides on an item under the label that it had and the one that it gets; the records tell what both rest on.
func (w *writing) decideItem(item *Item) error {
	action := consent.Record
	classes := []consent.Class{item.Class}
	if item.Before != nil {
		action = consent.Change
		// A new label may not be a way around the old one, nor the old one around the new.
		classes = []consent.Class{item.Before.Class, item.Class}
	}
	if item.Class.Register == consent.Directive {
		action = consent.Direct
	}
	for _, class := range classes {
		decision := w.decide(action, class, w.facts)
		if decision.Outcome == consent.Permitted && class.Register != "" {
			for _, client := range orNobody(class.Clients) {
				rec := w.recordOf(client)
				*rec = describe(*rec, class, w.facts, &decision)
			}
			continue
		}
		return w.denied(item, class, action, &decision)
	}
	return nil
}

// denied refuses a write that the law denies, in words that would fit any client.
func (w *writing) denied(item *Item, class consent.Class, action consent.Action, decision *consent.Decision) error {
	interaction, target := Create, item.Type
	if item.Before != nil {
		target = item.Ref()
	}
	if i := slices.Index(w.items, item); i >= 0 {
		interaction = w.ops[i].Interaction
	}
	rec := deny(describe(w.record(interaction, target), class, w.facts, decision), decision)
	w.denial = &rec
	switch {
	case action == consent.Change || item.Before != nil:
		return w.refuse(item, Refuse(Forbidden, "forbidden", "", item.Ref()+" is not this caller's to change."))
	case action == consent.Direct:
		return w.refuse(item, Refuse(Unprocessable, "business-rule", "Consent",
			"A directive is recorded by a unit that has a relationship with the client, or by the client."))
	default:
		return w.refuse(item, Refuse(Forbidden, "forbidden", "", "This caller's task does not cover recording a "+item.Type+"."))
	}
}

// decideInvitation finds the basis of an invitation; the relationships it makes rest on it.
func (w *writing) decideInvitation(item *Item) error {
	class := item.Class
	invite := w.request(consent.Invite)
	invite.Invitee = *item.Invitee
	decision := w.ask(invite, class, w.facts)
	if decision.Outcome != consent.Permitted {
		rec := deny(describe(w.record(Create, item.Type), class, w.facts, &decision), &decision)
		rec.Recipient = item.Invitee.Person
		w.denial = &rec
		return w.refuse(item, Refuse(Unprocessable, "business-rule", "Task.owner",
			"The invitation has no legal basis: record the client's consent to the contact, or a permit, first."))
	}
	for _, client := range orNobody(class.Clients) {
		rec := w.recordOf(client)
		*rec = describe(*rec, class, w.facts, &decision)
		rec.Recipient = item.Invitee.Person
		for i := range item.Relationships[client] {
			item.Relationships[client][i].Basis = decision.Bases[0].ID
		}
	}
	return nil
}
