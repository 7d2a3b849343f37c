package exchange

import (
	"reflect"
	"time"

	"sotesilta/consent"
	"sotesilta/consent/directive"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

// minorDisclosure is the Patient extension that holds whether a minor's data may be given to the guardian: a coding of
// the national code set "Alaikäisen potilastietojen luovuttaminen huoltajille" (703/2023 § 51).
const minorDisclosure = terms.Base + "StructureDefinition/minor-disclosure"

// derive gives what an item makes known of its clients: relationships (703/2023 §§ 9 and 57), directives, and what
// deciding needs of the person. known holds the facts before; the answer holds those that changed.
func derive(c Caller, item *Item, version int64, known map[string]*consent.Facts) (map[string]*consent.Facts, error) {
	changed := map[string]*consent.Facts{}
	update := func(client string, next *consent.Facts) {
		if !reflect.DeepEqual(known[client], next) {
			changed[client] = next
		}
	}
	of := func(client string) *consent.Facts {
		if facts := known[client]; facts != nil {
			return facts
		}
		return &consent.Facts{Client: client}
	}
	clients := item.Class.Clients
	if item.Before != nil {
		for _, client := range item.Before.Class.Clients {
			if item.Doc == nil || !contains(clients, client) {
				if facts := known[client]; facts != nil && rests(facts, item.Ref()) {
					update(client, facts.Relate(item.Ref()))
				}
			}
		}
	}
	switch {
	case item.Relationships != nil:
		for client, rels := range item.Relationships {
			update(client, of(client).Relate(item.Ref(), rels...))
		}
	case item.Type == "EpisodeOfCare" || item.Type == "Encounter":
		if item.Doc != nil {
			for _, client := range clients {
				update(client, of(client).Relate(item.Ref(), inCare(c, item)...))
			}
		}
	case item.Type == "Patient" && item.Doc != nil:
		facts := of(item.ID)
		if item.Class.Register == consent.Identity {
			next := *facts
			next.Person = person(item.Doc)
			update(item.ID, &next)
		} else {
			update(item.ID, facts.Relate(item.Ref(), consent.Relationship{
				Kind: consent.Registered, Evidence: item.Ref(), Controller: item.Class.Controller,
				Register: item.Class.Register, App: item.Class.Author, Unit: item.Class.Unit,
			}))
		}
	case item.Type == "Consent" && item.Doc != nil:
		client, directed, err := directive.Read(item.Doc, item.Class.Unit)
		if err != nil {
			return nil, err
		}
		directed.Evidence, directed.Version = item.Ref(), version
		update(client, of(client).Direct(directed))
	case item.Type == "Consent":
		for _, client := range item.Before.Class.Clients {
			facts := of(client)
			for _, directed := range facts.Directives {
				if directed.Evidence == item.Ref() {
					directed.Active, directed.Version = false, version
					facts = facts.Direct(directed)
				}
			}
			update(client, facts)
		}
	}
	return changed, nil
}

// rests says whether a relationship rests on this evidence.
func rests(facts *consent.Facts, evidence string) bool {
	for _, rel := range facts.Relationships {
		if rel.Evidence == evidence {
			return true
		}
	}
	return false
}

// running are the statuses in which an EpisodeOfCare or Encounter is a relationship.
var running = map[string]bool{
	"EpisodeOfCare/active": true, "EpisodeOfCare/onhold": true,
	"Encounter/arrived": true, "Encounter/triaged": true, "Encounter/in-progress": true, "Encounter/onleave": true,
}

// inCare is the relationship that a unit's own EpisodeOfCare or Encounter makes: the unit that is named must be one of
// the recording system's own, a unit that is not named is the actor's own, and a foreign unit gives nothing
// (contract: "Identity, writing, labels").
func inCare(c Caller, item *Item) []consent.Relationship {
	if !running[item.Type+"/"+item.Doc.Text("status")] {
		return nil
	}
	unit := item.Doc.Text("managingOrganization", "reference")
	if item.Type == "Encounter" {
		unit = item.Doc.Text("serviceProvider", "reference")
	}
	named := item.Doc.Get("managingOrganization") != nil || item.Doc.Get("serviceProvider") != nil
	switch {
	case !named:
		unit = c.Actor.Unit
	case !contains(c.Actor.Units, unit):
		return nil
	}
	if unit == "" {
		return nil
	}
	rel := consent.Relationship{
		Kind: consent.InCare, Evidence: item.Ref(), Controller: item.Class.Controller, Register: item.Class.Register,
		App: item.Class.Author, Unit: unit,
	}
	rel.Period.From, rel.Period.To = period(item.Doc.Get("period"))
	return []consent.Relationship{rel}
}

// period reads a FHIR Period; an end covers the whole of what its precision names. Open bounds are zero.
func period(v *fhir.Value) (from, to time.Time) {
	if start, _, ok := fhir.ParseDate(v.Text("start")); ok {
		from = start.UTC()
	}
	if _, end, ok := fhir.ParseDate(v.Text("end")); ok {
		to = end.UTC()
	}
	return from, to
}

// person is what deciding needs of a Patient from population data.
func person(doc *fhir.Value) consent.Person {
	var p consent.Person
	if born, _, ok := fhir.ParseDate(doc.Text("birthDate")); ok {
		p.Born = born.UTC()
	}
	for _, coding := range doc.Get("meta").Get("security").Items() {
		if coding.Text("system") == terms.SecurityLabel && coding.Text("code") == terms.Turvakielto {
			p.Turvakielto = true
		}
	}
	for _, ext := range doc.Get("extension").Items() {
		if ext.Text("url") == minorDisclosure {
			// 3: capable of deciding, denies; 4: capacity unknown, not given.
			code := ext.Text("valueCoding", "code")
			p.GuardianDenied = code == "3" || code == "4"
		}
	}
	return p
}

func contains(list []string, s string) bool {
	for _, item := range list {
		if item == s {
			return true
		}
	}
	return false
}
