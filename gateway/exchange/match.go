package exchange

import (
	"context"
	"slices"

	"sotesilta/consent"
	"sotesilta/gateway/search"
	"sotesilta/gateway/store"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

// identifying are the members of a Patient that $match answers: what identifies the person (703/2023 § 8), nothing
// that the asker would need a relationship for.
var identifying = map[string]bool{
	"resourceType": true, "id": true, "meta": true, "identifier": true, "name": true, "gender": true, "birthDate": true,
}

// candidates bounds how many of the population are looked at under one identity code.
const candidates = 10

// Match finds a client in the population data by identity code and name (Patient/$match). Only a certain match is
// answered: the code, the family name and a given name agree, and the birth date if one was given; otherwise Absent.
// Nobody is linked by guess (law 10). The look-up is recorded either way.
func (d *Desk) Match(ctx context.Context, c Caller, id Identification) (_ *Resource, err error) {
	c = d.complete(c)
	if err := allowed(c, "Patient", Match); err != nil {
		return nil, err
	}
	asked := d.question(c, Match)
	defer func() {
		if err != nil {
			asked.wait(ctx)
		}
	}()
	l, err := d.look(ctx, c, Match, "Patient/$match")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	unknown := Refuse(Absent, "not-found", "", "No certain match.")

	if id.IdentityCode == "" || id.Family == "" || id.Given == "" {
		l.rec.Reason = "no certain match"
		return nil, l.conceal(ctx, l.rec, unknown)
	}
	found, err := l.Identified(ctx, consent.Identity, "Patient", terms.HETU, id.IdentityCode, candidates)
	if err != nil {
		return nil, d.failed(err)
	}
	var match *store.Row
	var person *fhir.Value
	certainly := 0
	for i := range found {
		doc, err := fhir.Parse(found[i].Body, fhir.DefaultLimits)
		if err != nil {
			return nil, unrecorded(err)
		}
		if certain(doc, id) {
			match, person = &found[i], doc
			certainly++
		}
	}
	if certainly != 1 { // two are as uncertain as none
		if err := l.asker().decoy(ctx, l.Snapshot, "Patient", l.rec); err != nil {
			return nil, err
		}
		l.rec.Reason = "no certain match"
		return nil, l.conceal(ctx, l.rec, unknown)
	}
	facts, err := l.Facts(ctx, match.Class.Clients...)
	if err != nil {
		return nil, unrecorded(err)
	}
	decision := l.decide(consent.Identify, match.Class, facts)
	l.rec = describe(l.rec, match.Class, facts, &decision)
	if decision.Outcome != consent.Permitted {
		return nil, l.conceal(ctx, deny(l.rec, &decision), unknown)
	}
	l.rec.Success = true
	l.saw(versioned(*match))
	if err := l.commit(ctx, l.rec); err != nil {
		return nil, err
	}
	out, _ := released(*match, &consent.Decision{})
	out.Body = identity(person, *match).AppendJSON(nil)
	return out, nil
}

// identity leaves of a Patient what identifies the person. Its labels are the gateway's alone: others, such as
// non-disclosure for personal safety, are seen with a relationship.
func identity(person *fhir.Value, row store.Row) *fhir.Value {
	for _, member := range slices.Clone(person.Members()) {
		if !identifying[member.Name] {
			person.Set(member.Name, nil)
		}
	}
	person.Set("meta", nil)
	setMeta(person, row)
	return person
}

// certain says whether a Patient agrees with all that was given.
func certain(doc *fhir.Value, id Identification) bool {
	if id.BirthDate != "" && doc.Text("birthDate") != id.BirthDate {
		return false
	}
	for _, name := range doc.Get("name").Items() {
		if search.Fold(name.Text("family")) != search.Fold(id.Family) {
			continue
		}
		for _, given := range name.All("given") {
			if search.Fold(given.Str()) == search.Fold(id.Given) {
				return true
			}
		}
	}
	return false
}
