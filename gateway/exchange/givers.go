package exchange

import (
	"context"
	"time"

	"sotesilta/consent"
	"sotesilta/consent/directive"
	"sotesilta/internal/fhir"
)

// skew is how far a sender's clock may be ahead of ours.
const skew = 5 * time.Minute

// given is who gave a directive, and whether informed before (703/2023 §§ 50, 51, 58 and 68).
type given struct {
	role     string // of directive.RoleCategory; "": to the professional alone
	by       consent.Giver
	informed time.Time
	loosens  bool // it takes a ban back, or narrows it
	denial   bool // it is a minor's denial towards the guardian
}

// versions checks what a Consent says of its own time, and that a new version is still the same directive.
func (w *writing) versions(item *Item, told *consent.Terms) error {
	if from, _, ok := fhir.ParseDate(item.Doc.Text("dateTime")); ok && from.After(w.at.Add(skew)) {
		return w.refuse(item, Refuse(Unprocessable, "business-rule", "Consent.dateTime", "A directive is not given in the future."))
	}
	var before consent.Terms
	if item.Before != nil {
		var err error
		if _, before, err = directive.Read(item.Before.Doc, item.Before.Class.Unit); err != nil {
			before = consent.Terms{} // kept under older rules: anything may follow it
		}
	}
	if before.Kind != "" && !directive.Same(before, *told) {
		return w.refuse(item, Refuse(Unprocessable, "business-rule", "Consent.category",
			"A directive stays what it is. Withdraw it, and record another."))
	}
	over := told.Active && !told.Valid.To.IsZero() && !told.Valid.To.After(w.at)
	if over && (!before.Active || !before.Valid.To.Equal(told.Valid.To)) {
		return w.refuse(item, Refuse(Unprocessable, "business-rule", "Consent.provision.period.end",
			"The directive is over already. Withdraw one that ends now: status inactive."))
	}
	item.given.loosens = directive.Loosens(before, *told)
	item.given.denial = told.Kind == consent.Denial
	return nil
}

// giver reads from the Provenance who gave a directive. Nobody gives one in an own app but the app's user.
func (w *writing) giver(item *Item, provenance *fhir.Value) error {
	g := &item.given
	g.role, g.informed = directive.Giver(provenance), directive.InformedAt(provenance)
	wants := ""
	switch w.caller.Actor.Kind {
	case consent.Client:
		wants = directive.RoleClient
	case consent.Guardian, consent.Representative:
		wants = directive.RoleRepresentative
	}
	if wants != "" && g.role != wants {
		return w.refuse(item, Refuse(Unprocessable, "business-rule", "Provenance.agent",
			"Who gives a directive in an own app is named: the client with the role 12, who acts for the client with the role 5."))
	}
	if g.loosens && g.role == "" {
		return w.refuse(item, Refuse(Unprocessable, "business-rule", "Provenance.agent",
			"A ban is taken back or narrowed by who gave it (703/2023 § 58.5): the Provenance names the client (12) or the representative (5) beside the professional."))
	}
	return nil
}

// givers settles, once the law has let the caller record them, whether those named may give the directives: for a minor
// who decides, or whose capacity nobody has assessed, nobody else does (§ 51).
func (w *writing) givers(context.Context) error {
	for _, item := range w.draft.Items {
		if item.Type != "Consent" || item.Doc == nil || item.Class.Register != consent.Directive {
			continue
		}
		item.given.by = consent.ByClient
		if item.given.denial && (item.given.role != directive.RoleClient || w.caller.Actor.Kind != consent.Professional || !w.minors(item.Class.Clients)) {
			return w.refuse(item, Refuse(Unprocessable, "business-rule", "Provenance.agent",
				"A denial towards the guardian is a minor's own (12), recorded by the professional (2) who found its reason weighty (703/2023 § 51.2)."))
		}
		if item.given.role != directive.RoleRepresentative {
			continue
		}
		item.given.by = consent.ByRepresentative
		for _, client := range item.Class.Clients {
			facts := w.facts[client]
			switch {
			case facts == nil || facts.Person.Born.IsZero() || facts.Person.MinorAt(w.at) && !facts.Person.Dependent:
				return w.refuse(item, Refuse(Unprocessable, "business-rule", "Provenance.agent",
					"Nobody gives a directive for a minor who decides, or whose capacity to decide nobody has assessed (703/2023 § 51): the minor gives it (12)."))
			case facts.Person.MinorAt(w.at):
				item.given.by = consent.ByGuardian
			}
		}
	}
	return nil
}

// minors says whether all the clients are known to be under 18.
func (w *writing) minors(clients []string) bool {
	for _, client := range clients {
		if facts := w.facts[client]; facts == nil || !facts.Person.MinorAt(w.at) {
			return false
		}
	}
	return len(clients) > 0
}
