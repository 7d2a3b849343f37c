package directive

import (
	"fmt"
	"time"

	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

// RoleCategory is Kanta's code system of the roles in a Provenance.
const RoleCategory = "http://gen.kanta.fi/figen-cs-provenancerolecategory"

// Roles of RoleCategory that a directive's Provenance speaks of.
const (
	RoleProfessional   = "2"  // received the directive
	RoleRepresentative = "5"  // legal representative, gave it
	RoleServiceUnit    = "7"  // the professional's unit
	RoleClient         = "12" // gave it
)

var roles = []string{RoleProfessional, RoleRepresentative, RoleServiceUnit, RoleClient}

// CheckProvenance says what is wrong with the Provenance of a directive; nothing is wrong when it answers none. The
// rules follow TIP-PROV-1 to 4 of Kanta's profile, and let the giver be named beside the receiver, because a directive
// must show both (703/2023 § 58):
//
//  1. it is about a Consent;
//  2. a professional (2) is named with the service unit (7), and a service unit with a professional;
//  3. one at most of the client (12) and the legal representative (5), one at most of each role, and one at least of
//     2, 5 and 12: with a professional alone the client gave the directive to that professional;
//  4. the client (12) is the Consent's patient, the representative is not, and each agent says who it is;
//  5. the client was informed (extension Informed, if it is there) before the directive was given.
func CheckProvenance(c, provenance *fhir.Value) []fhir.Issue {
	r := reader{}
	if fhir.ResourceType(provenance) != "Provenance" {
		r.fail("Provenance", "structure", "The giving of a directive is told by a Provenance.")
		return r.issues
	}
	targets := false
	for _, target := range provenance.All("target", "reference") {
		ref := fhir.ParseReference(target.Str())
		targets = targets || ref.Type == "Consent" || len(target.Str()) > 9 && target.Str()[:9] == "urn:uuid:"
	}
	if !targets {
		r.fail("Provenance.target", "business-rule", "The Provenance of a directive is about its Consent (TIP-PROV).")
	}
	patient := c.Text("patient", "reference")
	count := map[string]int{}
	for i, agent := range items(provenance.Get("agent")) {
		at := fmt.Sprintf("Provenance.agent[%d]", i)
		role := RoleOf(agent)
		if role == "" {
			continue
		}
		count[role]++
		who := agent.Text("who", "reference")
		switch {
		case who == "" && agent.Text("who", "identifier", "value") == "":
			r.fail(at+".who", "required", "Each agent of a directive's Provenance says who it is.")
		case role == RoleClient && who != patient:
			r.fail(at+".who", "business-rule", "The client (12) is the patient of the Consent.")
		case role == RoleRepresentative && who == patient:
			r.fail(at+".who", "business-rule", "The client does not represent themself: use the role 12.")
		}
	}
	for _, role := range roles {
		if count[role] > 1 {
			r.fail("Provenance.agent", "business-rule", "The role %s is named once (TIP-PROV).", role)
		}
	}
	if (count[RoleProfessional] > 0) != (count[RoleServiceUnit] > 0) {
		r.fail("Provenance.agent", "business-rule", "A professional (2) is named with the service unit (7), and the unit with the professional (TIP-PROV).")
	}
	if count[RoleClient] > 0 && count[RoleRepresentative] > 0 {
		r.fail("Provenance.agent", "business-rule", "Either the client (12) gave the directive or the legal representative (5) did (TIP-PROV).")
	}
	if count[RoleProfessional]+count[RoleClient]+count[RoleRepresentative] == 0 {
		r.fail("Provenance.agent", "required", "A directive shows who gave it, or the professional who received it: an agent with the role 12, 5 or 2 of %s.", RoleCategory)
	}
	r.times(c, provenance)
	return r.issues
}

// Informed is the extension of a directive's Provenance that tells, in a valueDateTime, when the client was informed of the
// rights and the national services (703/2023 § 68) before giving the directive.
const Informed = terms.Base + "StructureDefinition/informed"

// Giver is who gave a directive, as its Provenance tells: the role of RoleClient or RoleRepresentative, or "" where only
// the professional who received it is named.
func Giver(provenance *fhir.Value) string {
	for _, agent := range items(provenance.Get("agent")) {
		if role := RoleOf(agent); role == RoleClient || role == RoleRepresentative {
			return role
		}
	}
	return ""
}

// InformedAt is when the Provenance says that the client was informed; zero when it does not.
func InformedAt(provenance *fhir.Value) time.Time {
	for _, ext := range items(provenance.Get("extension")) {
		if ext.Text("url") == Informed {
			if at, _, ok := fhir.ParseDate(ext.Text("valueDateTime")); ok {
				return at.UTC()
			}
		}
	}
	return time.Time{}
}

// times checks that the client was informed before giving the directive: before Consent.dateTime, or where that is not
// told, before Provenance.recorded. Times of different precision agree as long as they can.
func (r *reader) times(c, provenance *fhir.Value) {
	_, given, told := fhir.ParseDate(c.Text("dateTime"))
	if !told {
		_, given, _ = fhir.ParseDate(provenance.Text("recorded"))
	}
	for i, ext := range items(provenance.Get("extension")) {
		if ext.Text("url") != Informed {
			continue
		}
		at := fmt.Sprintf("Provenance.extension[%d]", i)
		informed, _, ok := fhir.ParseDate(ext.Text("valueDateTime"))
		switch {
		case !ok:
			r.fail(at, "value", "When the client was informed is a valueDateTime.")
		case !given.IsZero() && !informed.Before(given):
			r.fail(at, "business-rule", "The client is informed before giving the directive (703/2023 §§ 58.2 and 68).")
		}
	}
}

// RoleOf is the role of an agent in RoleCategory, from agent.type or agent.role.
func RoleOf(agent *fhir.Value) string {
	for _, path := range []string{"type", "role"} {
		for _, coding := range agent.All(path, "coding") {
			if coding.Text("system") == RoleCategory {
				return coding.Text("code")
			}
		}
	}
	return ""
}
