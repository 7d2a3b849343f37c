package consent

import (
	"slices"
	"sync"
	"time"
)

// Confirms says whether the law may hold rows of a type back from this actor until the actor confirms their use
// (special protection, 703/2023 § 26.2): whether a limit that asks for confirmation would stop a row under any of the
// protections. It depends on who asks, for what and how, and never on what there is of anybody.
func (e *Engine) Confirms(req Request, typ string) bool {
	if typ == "" || req.Time.IsZero() || req.Actor.App == "" {
		return false
	}
	key := confirmKey{
		slice: e.law.slice(req.Actor.Kind, req.Action, req.Purpose), epoch: e.law.epoch(req.Time), typ: typ,
		register: req.Actor.Register, service: req.Actor.Service, task: req.Actor.Task, authority: req.Actor.Authority,
		confirm: req.Assertion.Confirm, reasoned: e.acts.reason.Told(req.Assertion.Reason),
	}
	if known, ok := e.confirms.Load(key); ok {
		return known.(bool)
	}
	asks := e.asksToConfirm(&req, typ)
	e.confirms.Store(key, asks)
	return asks
}

// confirmKey is what Confirms depends on: registrations and types, so there are few.
type confirmKey struct {
	slice             *slice
	epoch             int
	typ               string
	register          Register
	service, task     string
	authority         bool
	confirm, reasoned bool
}

// confirmations keeps the answers of Confirms.
type confirmations struct{ sync.Map }

func (e *Engine) asksToConfirm(req *Request, typ string) bool {
	for _, protection := range sorted(e.codes.protections) {
		for _, register := range []Register{Health, Social} {
			class := Class{Type: typ, Register: register, Protection: protection.Code, Controller: req.Actor.Controller}
			var w weighing
			e.weigh(&w, req, &class, "anybody", nil)
			if e.question(&w, req, &class).confirm(req.Time) {
				return true
			}
		}
	}
	return false
}

// confirm says whether a limit that holds asks for confirmation. An error is a limit: it stops.
func (q question) confirm(at time.Time) bool {
	env := q.environment()
	limits, err := q.slice.forbids.satisfied(&env, at)
	return err != "" || slices.ContainsFunc(limits, func(p *policy) bool { return slices.Contains(p.row().Obligations, "confirm") })
}
