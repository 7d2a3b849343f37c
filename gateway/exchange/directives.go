package exchange

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"sotesilta/consent"
	"sotesilta/consent/directive"
	"sotesilta/gateway/store"
	"sotesilta/internal/fhir"
)

// provenance labels a Provenance like what it is about: that of a directive is a directive (law 6).
func (w *writing) provenance(ctx context.Context, item *Item) error {
	looked := map[string]bool{}
	for _, target := range item.Doc.All("target", "reference") {
		ref := fhir.ParseReference(target.Str())
		if !w.desk.here(ref) || looked[ref.Type+"/"+ref.ID] {
			continue
		}
		looked[ref.Type+"/"+ref.ID] = true
		about := w.draft.Find(ref.Type, ref.ID)
		if about == nil {
			row, err := w.snap.Get(ctx, ref.Type, ref.ID)
			if errors.Is(err, store.ErrNotFound) {
				w.unseen = true
				if err := w.decoy(ctx, w.snap, ref.Type, w.record(Read, "")); err != nil {
					return err
				}
				continue
			}
			if err != nil {
				return unrecorded(err)
			}
			decision, _, err := w.sight(ctx, row)
			if err != nil {
				return err
			}
			if row.Deleted || decision.Outcome != consent.Permitted {
				w.unseen = true
				continue // what the caller cannot see gives no label, as if it were not there
			}
			about = &Item{Class: row.Class}
		}
		item.Class.Clients = union(slices.Clone(about.Class.Clients), item.Class.Clients)
		if len(item.Class.Clients) > maxClients {
			item.Class.Clients = nil
			return w.refuse(item, Refuse(Unprocessable, "too-costly", item.Type, "A resource names at most "+strconv.Itoa(maxClients)+" clients."))
		}
		slices.Sort(item.Class.Clients)
		if about.Class.Register == consent.Directive {
			item.Class.Register = consent.Directive
		}
	}
	return nil
}

// directives checks that every Consent is readable as a directive and comes with its Provenance (contract: "A permit
// or ban is written as a transaction of Consent and Provenance").
func (w *writing) directives(ctx context.Context) error {
	for _, item := range w.draft.Items {
		if item.Doc == nil && item.Class.Register == consent.Directive {
			return w.refuse(item, Refuse(Unprocessable, "business-rule", item.Type,
				"A directive is not deleted: who took it back must be told. Withdraw it in a transaction of the Consent with status inactive and its Provenance."))
		}
		if item.Type != "Consent" || item.Doc == nil {
			continue
		}
		_, told, err := directive.Read(item.Doc, item.Class.Unit)
		if err != nil {
			return w.refuse(item, unreadable(err))
		}
		if before := item.Before; before != nil && !slices.Equal(before.Class.Clients, item.Class.Clients) {
			return w.refuse(item, Refuse(Unprocessable, "business-rule", "Consent.patient",
				"A directive stays its client's. Record another for another client."))
		}
		if err := w.versions(item, &told); err != nil {
			return err
		}
		shown := false
		for _, other := range w.draft.Items {
			if other.Type != "Provenance" || other.Doc == nil || !refersTo(other.Doc, item.Ref()) {
				continue
			}
			shown = true
			if issues := failing(directive.CheckProvenance(item.Doc, other.Doc)); len(issues) > 0 {
				return w.refuse(item, &Error{Kind: Unprocessable, Issues: issues})
			}
			if err := w.giver(item, other.Doc); err != nil {
				return err
			}
		}
		if !shown {
			return w.refuse(item, Refuse(Unprocessable, "business-rule", "Consent",
				"A Consent is written in a transaction with the Provenance that tells who gave it and who received it."))
		}
	}
	for _, item := range w.draft.Items {
		if item.Type != "Provenance" || item.Doc == nil || item.Class.Register != consent.Directive {
			continue
		}
		if item.Before != nil {
			return w.refuse(item, Refuse(Unprocessable, "business-rule", "Provenance",
				"The Provenance of a directive tells what happened and does not change. Another act has a Provenance of its own."))
		}
		theirs, err := w.received(ctx, item.Doc)
		if err != nil {
			return err
		}
		if !theirs {
			return w.refuse(item, Refuse(Unprocessable, "business-rule", "Provenance.agent",
				"The professional (2) and the unit (7) that received the directive are the caller and the caller's unit."))
		}
	}
	return nil
}

// received says whether the receiver that a directive's Provenance names can be the caller: nobody records a directive
// in another's name. A professional or unit that the gateway does not know is kept as given.
func (w *writing) received(ctx context.Context, provenance *fhir.Value) (bool, error) {
	actor := w.caller.Actor
	for _, agent := range provenance.Get("agent").Items() {
		who := agent.Text("who", "reference")
		switch directive.RoleOf(agent) {
		case directive.RoleProfessional:
			if _, registered := w.desk.person(who); registered && who != actor.Person && who != actor.Role {
				return false, nil
			}
			if actor.Kind != consent.Professional && actor.Kind != consent.System {
				return false, nil // who gives a directive in their own app gives it to no professional
			}
		case directive.RoleServiceUnit:
			if who == actor.Unit || who == actor.Controller {
				continue
			}
			ref := fhir.ParseReference(who)
			if !ref.Local() || ref.Type != "Organization" {
				continue
			}
			row, err := w.snap.Get(ctx, ref.Type, ref.ID)
			if errors.Is(err, store.ErrNotFound) || err == nil && row.Class.Register != consent.Directory {
				continue // the directory everybody may see; to tell of another row that it is there would be a disclosure
			}
			return false, unrecordedIf(err)
		}
	}
	return true, nil
}

// unrecordedIf is the refusal of a store's error, and nil without one.
func unrecordedIf(err error) error {
	if err == nil {
		return nil
	}
	return unrecorded(err)
}

// unreadable is the refusal of a Consent that is no directive.
func unreadable(err error) *Error {
	var issues *directive.Error
	if errors.As(err, &issues) {
		return &Error{Kind: Unprocessable, Issues: issues.Issues}
	}
	return Refuse(Unprocessable, "business-rule", "Consent", err.Error())
}

func refersTo(provenance *fhir.Value, ref string) bool {
	for _, target := range provenance.All("target", "reference") {
		if text, _, _ := strings.Cut(target.Str(), "/_history/"); text == ref {
			return true
		}
	}
	return false
}
