package exchange

import (
	"sotesilta/consent"
	"sotesilta/internal/fhir"
)

// holdsEntries says whether rows of a type are entries of a client's records, which special protection (703/2023 § 26.2) is of:
// not the directory, not what somebody wants, and not who somebody is.
func holdsEntries(typ string) bool {
	return rules[typ].kind == ofPersons && typ != "Patient" && typ != "RelatedPerson"
}

// protectedNotice is the one thing that an answer says of specially protected data, the same for everybody of whom there
// are some and of whom there are none (design § 6).
var protectedNotice = []fhir.Issue{{
	Severity: "information", Code: "suppressed",
	Diagnostics: "Specially protected data, if any, are left out until their use is confirmed: ask again with a token that carries " +
		"extensions.sotesilta.confirm and a reason. Erityissuojattavat tiedot, jos niitä on, näytetään vasta, kun niiden käyttö vahvistetaan.",
}}

// Notice is what an answer to a search of entries of a type says besides its rows: to those whom the law asks to confirm
// the use of specially protected data, and have not, that such data, if any, are left out. It depends on the caller and
// the type alone, so it tells nothing of any client.
func (d *Desk) Notice(c Caller, typ string) []fhir.Issue {
	if !holdsEntries(typ) {
		return nil
	}
	c = d.complete(c)
	law, ok := c.law.(interface {
		Confirms(req consent.Request, typ string) bool
	})
	who := asker{c, d.clock()}
	if !ok || !law.Confirms(who.request(consent.Read), typ) {
		return nil
	}
	return protectedNotice
}
