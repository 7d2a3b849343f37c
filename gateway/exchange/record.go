package exchange

import (
	"slices"
	"strconv"
	"strings"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/store"
)

// directoryTypes are the types that are nobody's care unless a resource of them names a client: their reads go to the
// access log only (design § 7).
var directoryTypes = map[string]bool{
	"ActivityDefinition": true, "CodeSystem": true, "ConceptMap": true, "Endpoint": true, "HealthcareService": true,
	"Location": true, "Measure": true, "Organization": true, "PlanDefinition": true, "Practitioner": true,
	"PractitionerRole": true, "Questionnaire": true, "ValueSet": true,
}

// recorded says whether reading a class is recorded in the ledger: all data about persons is.
func recorded(class consent.Class) bool { return class.Register != consent.Directory }

// record begins the first record of an exchange. Until something permits it, it is a denial.
func (d *Desk) record(c Caller, i Interaction, target string) ledger.Record {
	if c.Interaction != "" {
		i = c.Interaction
	}
	return ledger.Record{
		ID: c.RequestID, Exchange: c.RequestID, Time: d.clock(), Interaction: string(i), Outcome: "deny",
		Actor: c.Actor, Purpose: c.Purpose, Assertion: c.Assertion, TokenID: c.TokenID, Target: target,
		Policy: d.law.Version(),
	}
}

// follow begins another record of the same exchange.
func follow(first ledger.Record) ledger.Record {
	next := first
	next.ID = ledger.NewID()
	next.Client, next.Controller, next.Register = "", "", ""
	next.Entities, next.Bases, next.Directives, next.Evidence, next.Classes = nil, nil, nil, nil, nil
	next.Facts, next.Disclosure, next.Reason = 0, false, ""
	return next
}

// describe tells a record whose data a class is and how it was decided. Several classes may be described one after
// another; what they rest on adds up.
func describe(rec ledger.Record, class consent.Class, facts map[string]*consent.Facts, decision *consent.Decision) ledger.Record {
	if rec.Client == "" && len(class.Clients) > 0 {
		rec.Client = class.Clients[0]
		if known := facts[rec.Client]; known != nil {
			rec.Facts = known.Version
		}
	}
	if rec.Controller == "" {
		rec.Controller, rec.Register = class.Controller, class.Register
	}
	rec.Classes = append(rec.Classes, class)
	if decision.Outcome != consent.Permitted {
		return rec
	}
	rec.Outcome = "permit"
	rec.Disclosure = rec.Disclosure || decision.Disclosure
	for _, basis := range decision.Bases {
		if !slices.ContainsFunc(rec.Bases, func(b consent.Basis) bool { return b.ID == basis.ID }) {
			rec.Bases = append(rec.Bases, basis)
		}
	}
	rec.Directives = union(rec.Directives, decision.Directives)
	rec.Evidence = union(rec.Evidence, decision.Evidence)
	return rec
}

// deny makes a record the record of a denial, with the true reason.
func deny(rec ledger.Record, decision *consent.Decision) ledger.Record {
	rec.Outcome = "deny"
	if decision.Outcome == consent.NeedsHuman {
		rec.Outcome = consent.NeedsHuman.String()
	}
	rec.Success = false
	rec.Reason = decision.Reason
	if decision.Outcome == consent.Permitted {
		rec.Reason = "the row lies outside what the basis covers (recording dates, or a ban of the document)"
	}
	rec.Bases, rec.Entities, rec.Disclosure = nil, nil, decision.Disclosure
	rec.Directives = union(nil, decision.Directives)
	return rec
}

func union(into, more []string) []string {
	for _, s := range more {
		if !slices.Contains(into, s) {
			into = append(into, s)
		}
	}
	return into
}

// versioned is Type/id/_history/version.
func versioned(row store.Row) string {
	return row.Type + "/" + row.ID + "/_history/" + strconv.FormatInt(row.Version, 10)
}

// extensionURL reads extension[url].
func extensionURL(member string) (string, bool) {
	inner, ok := strings.CutPrefix(member, "extension[")
	return strings.TrimSuffix(inner, "]"), ok
}
