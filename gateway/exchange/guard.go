package exchange

import (
	"context"

	"sotesilta/consent"
	"sotesilta/gateway/store"
)

// guard decides the classes of one search. The store asks it before anything is matched, counted, limited, chained
// or included (design § 8), so what it denies takes no part in the answer at all.
type guard struct {
	asker
	only []string // clients that the query binds; nil when it binds none

	classes   []consent.Class
	decisions []consent.Decision
	facts     map[string]*consent.Facts
}

// Reach bounds what is looked at to the clients that any basis could open: the unit's own, those of the person's
// accepted and requested invitations, the caller's own data, and what the caller's system wrote. A permit or a
// statutory right opens nothing without such a relationship (703/2023 §§ 9 and 57). The auditor's directives have
// no relationship; Permit still decides each class.
func (g *guard) Reach() store.Reach {
	actor := g.caller.Actor
	reach := store.Reach{Author: actor.App, Clients: actor.Clients, Only: g.only, All: actor.Kind == consent.Auditor}
	if actor.Unit != "" {
		reach.Units = append(reach.Units, actor.Unit)
	}
	for _, person := range []string{actor.Person, actor.Role} {
		if person != "" {
			reach.Persons = append(reach.Persons, person)
		}
	}
	return reach
}

// Permit decides each class, with the caller's scopes: a type the token may not see is denied as a class.
func (g *guard) Permit(_ context.Context, classes []consent.Class, facts map[string]*consent.Facts) ([]consent.Decision, error) {
	decisions := make([]consent.Decision, len(classes))
	readable := map[string]bool{}
	for i, class := range classes {
		allows, known := readable[class.Type]
		if !known {
			allows = g.caller.Allows != nil && (g.caller.Allows(class.Type, Search) || g.caller.Allows(class.Type, Read))
			readable[class.Type] = allows
		}
		if !allows {
			decisions[i] = consent.Decision{Reason: "the token's scopes do not allow reading " + class.Type}
			continue
		}
		decisions[i] = g.decide(consent.Read, class, facts)
	}
	g.classes, g.decisions, g.facts = classes, decisions, facts
	return decisions, nil
}

// persons says whether rows of a directory type that are about persons take part in the answer.
func (g *guard) persons(typ string) bool {
	for i := range g.classes {
		if g.classes[i].Type == typ && recorded(g.classes[i]) && g.decisions[i].Outcome == consent.Permitted {
			return true
		}
	}
	return false
}
