package exchange

import (
	"context"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/store"
)

// What is hidden is refused after its client's facts were read and the law was asked; what is absent could be refused at
// once. A decoy is the same work for what is absent: the facts of a client who never was are asked for, the law is asked
// about data of that client's, and what it says is put into words. Nothing of it reaches a record: nobody was asked about.
// What the work alike leaves of a difference, the marks hide (even.go). A decoy follows refusals only: no answer with data
// costs more.

// decoyClient stands for a client where there is none. It is no FHIR id, so that no client is ever called so.
const decoyClient = "_"

// decoyFacts are what the law is given of the client who never was: about as much as is known of most.
var decoyFacts = func() map[string]*consent.Facts {
	facts := &consent.Facts{Client: decoyClient, Version: 1}
	for _, r := range []consent.Register{consent.Health, consent.Social} {
		facts.Relationships = append(facts.Relationships, consent.Relationship{
			Kind: consent.InCare, Evidence: "EpisodeOfCare/" + decoyClient, Controller: "Organization/" + decoyClient, Register: r,
			Unit: "Organization/" + decoyClient,
		})
	}
	return map[string]*consent.Facts{decoyClient: facts}
}()

// decoyClass is the label of the data of the client who never was: of the register that is not the asker's.
func (a *asker) decoyClass(typ string) consent.Class {
	class := consent.Class{
		Type: typ, Clients: []string{decoyClient}, Controller: a.caller.Actor.Controller, Register: consent.Health,
		Author: decoyClient, Unit: "Organization/" + decoyClient,
	}
	if a.caller.Actor.Register == consent.Health {
		class.Register = consent.Social
	}
	return class
}

// decoy does for what is absent, of a type, what is done for what is hidden. rec is the record as far as it is made; it
// stays so.
func (a *asker) decoy(ctx context.Context, snap store.Snapshot, typ string, rec ledger.Record) error {
	if _, err := snap.Facts(ctx, decoyClient); err != nil {
		return unrecorded(err)
	}
	class := a.decoyClass(typ)
	decision := a.decide(consent.Read, class, decoyFacts)
	rec = deny(describe(rec, class, decoyFacts, covering(&decision, store.Row{Type: typ, ID: decoyClient, Class: class})), &decision)
	rec.Canonical() // as long as that of what is hidden, where the record itself is shorter
	return nil
}
