package exchange

import (
	"context"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
)

// Evaluate is the question whether the caller might do something, without doing it; recorded by this name.
const Evaluate Interaction = "evaluate"

// Evaluate answers whether the caller may now read a resource or, for the interactions Update and Delete, may also
// change it. The answer tells whether the resource is there, so it is decided and recorded like a read by id; absent,
// deleted and denied are false alike. What the token's scopes do not allow is false without a look at any row.
//
// It promises nothing: each exchange is decided anew on the facts of its own moment.
func (d *Desk) Evaluate(ctx context.Context, c Caller, i Interaction, typ, id string) (yes bool, err error) {
	c = d.complete(c)
	c.Interaction = "" // an evaluation is nothing else, whatever wire it came by
	if i != Read && i != Update && i != Delete {
		return false, Refuse(Invalid, "not-supported", "", "An evaluation is about read, update or delete.")
	}
	if allowed(c, typ, Read) != nil || allowed(c, typ, i) != nil {
		return false, nil
	}
	asked := d.question(c, Evaluate)
	defer func() {
		if !yes {
			asked.wait(ctx)
		}
	}()
	if typ == auditEvent {
		if i != Read {
			return false, nil // nobody writes them
		}
		_, err := d.readAudit(ctx, c, id, Evaluate, 0)
		if IsRefusal(err, Absent) {
			return false, nil
		}
		return err == nil, err
	}
	l, err := d.look(ctx, c, Evaluate, typ+"/"+id)
	if err != nil {
		return false, err
	}
	defer l.Close()
	row, facts, found, err := l.current(ctx, typ, id)
	if err != nil {
		return false, err
	}
	if !found {
		l.rec.Reason = "absent: there is no such resource"
		return false, l.commit(ctx, l.rec)
	}
	class := l.decide(consent.Read, row.Class, facts)
	decisions := []*consent.Decision{covering(&class, row)}
	if decisions[0].Outcome == consent.Permitted && i != Read {
		action := consent.Change
		if row.Class.Register == consent.Directive {
			action = consent.Direct
		}
		change := l.decide(action, row.Class, facts)
		decisions = append(decisions, &change)
	}
	answer := !row.Deleted
	if row.Class.Register == consent.Identity && i != Read {
		answer = false // population data are read-only
	}
	var stopped *consent.Decision
	for _, decision := range decisions {
		if decision.Outcome != consent.Permitted {
			answer, stopped = false, decision
		}
	}
	if answer && !recorded(row.Class) {
		return true, nil
	}
	tell := func(rec ledger.Record) ledger.Record {
		if stopped != nil && rec.Client == "" && stopped.Stopper() != "" {
			rec = about(rec, stopped.Stopper(), facts)
		}
		for _, decision := range decisions {
			rec = describe(rec, row.Class, facts, decision)
			if decision.Outcome != consent.Permitted {
				rec = deny(rec, decision)
			}
		}
		rec.Row, rec.Success = versioned(row), answer
		return rec
	}
	if stopped != nil { // one record, as for a read that is denied
		return false, l.commit(ctx, tell(l.rec))
	}
	if err := l.commit(ctx, everyone(l.rec, row.Class.Clients, facts, tell)...); err != nil {
		return false, err
	}
	return answer, nil
}
