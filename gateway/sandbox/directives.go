package sandbox

import (
	"time"

	"sotesilta/consent/directive"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

// The directives of the journey, in the shapes of package directive. A client's own app and a professional's system
// write the same ones.

// Period is a range of recording dates, YYYY-MM-DD; an empty bound is open.
type Period struct{ From, To string }

func consentOf(client, system, code, row, provision string) string {
	return `{"resourceType":"Consent","status":"active","scope":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/consentscope","code":"patient-privacy"}]},` +
		`"category":[{"coding":[{"system":"` + system + `","code":"` + code + `"}]}],"patient":{"reference":"Patient/` + client + `"},` +
		`"dateTime":"` + fhir.Instant(time.Now()) + `","policyRule":{"coding":[{"system":"` + terms.LegalBasis + `","code":"` + row + `"}]},"provision":` + provision + `}`
}

// PermitToSocial is the client's permit to give patient data of service events recorded in the period to public social
// care (703/2023 § 53.2; 457/2024 § 25.1).
func PermitToSocial(client string, recorded Period) string {
	period := `"start":"` + recorded.From + `"`
	if recorded.To != "" {
		period += `,"end":"` + recorded.To + `"`
	}
	return consentOf(client, terms.PermitCategory, terms.PermitToSocial, "ATL-53.2",
		`{"type":"permit","provision":[{"type":"permit","period":{`+period+`},"class":[{"system":"`+terms.DataClass+`","code":"service-event"}]}]}`)
}

// Assent is the client's consent (suostumus) under another Act, such as SHL-35.1: contact to social care.
func Assent(client, row string) string {
	return consentOf(client, terms.Directive, "consent", row, `{"type":"permit"}`)
}

// BanServiceEvent is the client's ban on the data of one service event (703/2023 § 59).
func BanServiceEvent(client, encounter string) string {
	return consentOf(client, terms.Directive, "ban", "ATL-59",
		`{"type":"deny","data":[{"meaning":"instance","reference":{"reference":"`+encounter+`"}}]}`)
}

// Provenance tells who gave a directive, and, when a professional received it, who and in which unit.
func Provenance(target, client, by string) string {
	agent := func(role, who string) string {
		return `{"type":{"coding":[{"system":"` + directive.RoleCategory + `","code":"` + role + `"}]},"who":{"reference":"` + who + `"}}`
	}
	agents := agent(directive.RoleClient, "Patient/"+client)
	if by != client {
		agents += "," + agent(directive.RoleProfessional, "Practitioner/"+by) + "," + agent(directive.RoleServiceUnit, "Organization/jukola")
	}
	return `{"resourceType":"Provenance","target":[{"reference":"` + target + `"}],"recorded":"` + fhir.Instant(time.Now()) + `","agent":[` + agents + `]}`
}
