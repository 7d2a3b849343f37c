package exchange

import (
	"reflect"
	"slices"
	"strings"
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
			if item.Doc == nil || !slices.Contains(clients, client) {
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
			// Of the clients it names, the one in care has the relationship; for the others there is none.
			inCareOf := subjectOf(item)
			for _, client := range clients {
				var rels []consent.Relationship
				if client == inCareOf {
					rels = inCare(c, item, known[client])
				}
				update(client, of(client).Relate(item.Ref(), rels...))
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
		directed.GivenBy, directed.Informed = item.given.by, item.given.informed
		update(client, of(client).Direct(directed))
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

// subjectOf is the client in care: Encounter.subject or EpisodeOfCare.patient, by id.
func subjectOf(item *Item) string {
	ref := fhir.ParseReference(item.Doc.Text("patient", "reference"))
	if item.Type == "Encounter" {
		ref = fhir.ParseReference(item.Doc.Text("subject", "reference"))
	}
	if ref.Type != "Patient" {
		return ""
	}
	return ref.ID
}

// inCare is the relationship that a unit's own EpisodeOfCare or Encounter makes: the unit that is named must be one of
// the recording system's own, a unit that is not named is the one that recorded it, and a foreign unit gives nothing
// (contract: "Identity, writing, labels"). Another system's later version leaves the unit as it was.
func inCare(c Caller, item *Item, known *consent.Facts) []consent.Relationship {
	if !running[item.Type+"/"+item.Doc.Text("status")] {
		return nil
	}
	named := item.Doc.Get("managingOrganization")
	if item.Type == "Encounter" {
		named = item.Doc.Get("serviceProvider")
	}
	unit := named.Text("reference")
	switch {
	case named == nil:
		unit = item.Class.Unit
		if unit == "" && len(c.Actor.Units) == 1 && item.Class.Author == c.Actor.App {
			unit = c.Actor.Units[0]
		}
	case unit == "" || !slices.Contains(c.Actor.Units, unit) && !kept(known, item.Ref(), unit):
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

// kept says whether a unit's relationship rests on this evidence already.
func kept(known *consent.Facts, evidence, unit string) bool {
	return known != nil && slices.ContainsFunc(known.Relationships, func(r consent.Relationship) bool {
		return r.Kind == consent.InCare && r.Evidence == evidence && r.Unit == unit
	})
}

// period reads a FHIR Period; an end covers the whole of what its precision names, and days are days in Finland. Open
// bounds are zero.
func period(v *fhir.Value) (from, to time.Time) {
	if start, _, ok := fhir.ParseDate(v.Text("start")); ok {
		from = inFinland(v.Text("start"), start)
	}
	if _, end, ok := fhir.ParseDate(v.Text("end")); ok {
		to = inFinland(v.Text("end"), end)
	}
	return from, to
}

// inFinland is a bound of a date: without a time of day it is midnight in Finland.
func inFinland(text string, bound time.Time) time.Time {
	if strings.Contains(text, "T") {
		return bound.UTC()
	}
	return consent.FinnishDay(bound.UTC()).UTC()
}

// person is what deciding needs of a Patient from population data.
func person(doc *fhir.Value) consent.Person {
	var p consent.Person
	if born, _, ok := fhir.ParseDate(doc.Text("birthDate")); ok {
		p.Born = born.UTC()
	}
	p.Deceased = doc.Get("deceasedBoolean").True() || doc.Text("deceasedDateTime") != ""
	for _, coding := range doc.Get("meta").Get("security").Items() {
		if coding.Text("system") == terms.SecurityLabel && coding.Text("code") == terms.Turvakielto {
			p.Turvakielto = true
		}
	}
	for _, ext := range doc.Get("extension").Items() {
		if ext.Text("url") == minorDisclosure {
			// 1: not capable, given; 2: capable, allows; 3: capable, denies; 4: capacity unknown, not given. What is
			// there and none of the first two is not given.
			code := ext.Text("valueCoding", "code")
			p.GuardianDenied = code != "1" && code != "2"
			p.Dependent = code == "1"
		}
	}
	return p
}
