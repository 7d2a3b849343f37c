package exchange

import (
	"time"

	"sotesilta/consent"
)

// asker is who asks the law and when: a caller, under the law that the exchange began under, at one moment.
type asker struct {
	caller Caller
	at     time.Time
}

// request is the asker's question.
func (a *asker) request(action consent.Action) consent.Request {
	return consent.Request{
		Actor: a.caller.Actor, Action: action, Purpose: a.caller.Purpose, Assertion: a.caller.Assertion, Time: a.at,
	}
}

// decide asks the law about one class.
func (a *asker) decide(action consent.Action, class consent.Class, facts map[string]*consent.Facts) consent.Decision {
	return a.ask(a.request(action), class, facts)
}

// ask asks the law a question about one class. What was decided about retention is the gateway's own: a legal hold names a
// client, but nobody is asked about, so that no basis opens it, not their own either.
func (a *asker) ask(req consent.Request, class consent.Class, facts map[string]*consent.Facts) consent.Decision {
	if class.Type == keepingType {
		return consent.Decision{Outcome: consent.Denied, Reason: "kept for the gateway itself: no interaction serves it"}
	}
	return a.caller.law.Decide(req, class, ofClass(class, facts))
}

// ofClass is what is known of each client of a class, in their order: nil of whom nothing is.
func ofClass(class consent.Class, facts map[string]*consent.Facts) []*consent.Facts {
	known := make([]*consent.Facts, len(class.Clients))
	for i, client := range class.Clients {
		known[i] = facts[client]
	}
	return known
}
