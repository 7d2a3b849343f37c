// Package directive reads the client's directives (tahdonilmaisut) from FHIR Consents into the terms that package
// consent weighs. Reading is strict: a directive of which only a part could be acted on is refused, because what was
// left out might have been the client's limit.
//
// # Accepted shapes
//
//	directive                 category (one coding)                              terms
//	permit, health → social   permit-direction 1                                 703/2023 § 53.2; 457/2024 § 25.1
//	permit, social → health   permit-direction 2                                 703/2023 § 53.3; 457/2024 § 25.2
//	permit, health → health   permit-direction 3                                 703/2023 § 54.1, general
//	permit, social → social   permit-direction 4                                 703/2023 § 55.1, general
//	ban                       directive ban                                      703/2023 § 59
//	denial to the guardian    directive denial                                   703/2023 § 51.2, social care data
//	consent (suostumus)       directive consent, and the statute's row in        such as SHL-35.1, SHL-40.1, ATL-54.5
//	                          legal-basis, as category or policyRule
//
// The code systems are ours (https://sotesilta.example/fhir/CodeSystem/…): Kanta's value sets were not available, so
// permit-direction is a slot for Kanta's categories, and the shape of permits is Kanta's SoTeConsent. Codings of other
// systems in category are kept and not read. status active is in force; every other status is not (withdrawn: inactive).
// Consent.provision.period says when the directive is in force; without it, until further notice. Dates are days in
// Finland.
//
// # Permits
//
// Consent.provision without provision.provision gives the permit in full; for 2 that is refused, because the service
// tasks must be named. Consent.provision.type, where given, is permit. At most one provision.provision targets it:
//
//	type    permit
//	period  the dates of recording that the client chose (457/2024 § 25.3)
//	actor   recipients, Organization/…, any role; none: every public provider of the sector
//	class   1: data-class patient-summary, service-event, statement; none: service-event
//	        2: data-class social-data with one extension function-code (valueCoding of service-task) per service task
//
// A general permit (3, 4) takes no provision.provision: it covers everything, and bans narrow it.
//
//	{"resourceType": "Consent", "status": "active",
//	 "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]},
//	 "category": [{"coding": [{"system": "https://sotesilta.example/fhir/CodeSystem/permit-direction", "code": "2"}]}],
//	 "patient": {"reference": "Patient/helmi"}, "dateTime": "2026-11-02T09:00:00+02:00",
//	 "policyRule": {"coding": [{"system": "https://sotesilta.example/fhir/CodeSystem/legal-basis", "code": "ATL-53.3"}]},
//	 "provision": {"type": "permit", "provision": [{"type": "permit",
//	  "period": {"start": "2026-01-01", "end": "2026-12-31"},
//	  "actor": [{"role": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP"}]},
//	             "reference": {"reference": "Organization/private-clinic"}}],
//	  "class": [{"system": "https://sotesilta.example/fhir/CodeSystem/data-class", "code": "social-data",
//	   "extension": [{"url": "https://sotesilta.example/fhir/StructureDefinition/function-code",
//	    "valueCoding": {"system": "https://sotesilta.example/fhir/CodeSystem/service-task", "code": "older-people"}}]}]}]}}
//
// The shortest permit on patient data names nothing, and covers all entries of service events to public social care:
//
//	"category": [{"coding": [{"system": "…/permit-direction", "code": "1"}]}], "provision": {"type": "permit"}
//
// # Bans
//
// Consent.provision has type deny and exactly one kind of target (703/2023 § 59), always the source of the data:
//
//	all patient data          class [{"system": "…/register", "code": "health"}]
//	a controller's register   the same, health or social, with actor: the one Organization/… whose register it is
//	service tasks             class codings of service-task
//	service events            data: meaning instance, reference Encounter/…
//	single documents          data: meaning instance, any other reference
//
// One example:
//
//	{"resourceType": "Consent", "status": "active", "scope": …,
//	 "category": [{"coding": [{"system": "https://sotesilta.example/fhir/CodeSystem/directive", "code": "ban"}]}],
//	 "patient": {"reference": "Patient/eino"},
//	 "policyRule": {"coding": [{"system": "https://sotesilta.example/fhir/CodeSystem/legal-basis", "code": "ATL-59"}]},
//	 "provision": {"type": "deny",
//	  "actor": [{"role": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "CST"}]},
//	             "reference": {"reference": "Organization/county"}}],
//	  "class": [{"system": "https://sotesilta.example/fhir/CodeSystem/register", "code": "health"}]}}
//
// # Denials
//
// In health care a minor's denial towards the guardian is a code of the Patient in population data. In social care it is a
// directive that a professional records once the professional has found the reason weighty and the denial not clearly
// against the minor's interest (§§ 40 and 51.2): the Provenance names the minor (12), the professional (2) and the unit (7).
//
//	"category": [{"coding": [{"system": "https://sotesilta.example/fhir/CodeSystem/directive", "code": "denial"}]}],
//	"extension": [{"url": "https://sotesilta.example/fhir/StructureDefinition/weighty-reason", "valueString": "…"}],
//	"provision": {"type": "deny"}
//
// # Consents under other Acts
//
//	"category": [{"coding": [{"system": "https://sotesilta.example/fhir/CodeSystem/directive", "code": "consent"}]}],
//	"policyRule": {"coding": [{"system": "https://sotesilta.example/fhir/CodeSystem/legal-basis", "code": "SHL-35.1"}]},
//	"provision": {"type": "permit"}
//
// provision may be left out, or hold a period, and as actor the organisations that the consent is for. That of § 54.5
// names the provider that was agreed with the patient:
//
//	"policyRule": {"coding": [{"system": "https://sotesilta.example/fhir/CodeSystem/legal-basis", "code": "ATL-54.5"}]},
//	"provision": {"type": "permit", "actor": [{"role": {…IRCP}, "reference": {"reference": "Organization/private-clinic"}}]}
//
// Recipients of SHL-39.3, VPL-17, KAYL-8, ATL-6 and JULKL-26 may be registered nowhere (an association, a school): such a
// one is named by actor.reference.display alone, as the disclosure will name it. ATL-6 names its recipients always.
//
// # IHE PCF
//
// A basic Consent of IHE's Privacy Consent on FHIR (category LOINC 59284-0, and none of the categories above) is read as
// far as it says what Finnish law knows:
//
//	provision deny     a ban on both registers of the one controller in Consent.organization (703/2023 § 59)
//	provision permit   the general permit whose policy the client was shown, by Consent.policy.uri:
//	                   …/CodeSystem/legal-basis#ATL-54.1 (within health care) or #ATL-55.1 (within social care)
//
// provision.period counts; provision.purpose is left out or has TREAT among its codings. Everything else is refused: a
// permit across the sectors must be specified (§ 53.2–3), and PCF's narrower provisions (recipients, data, authors, time
// frames, sensitivity, exceptions) have no equal in 457/2024 § 25 or 703/2023 § 59; what has, is written in the shapes above.
//
// # Provenance
//
// A directive is written in one transaction with the Provenance that says who gave it and who received it. Agents carry
// Kanta's role category (http://gen.kanta.fi/figen-cs-provenancerolecategory) in agent.type or agent.role: 12 the
// client, 5 the legal representative, 2 the professional who received it, 7 the professional's service unit. See
// CheckProvenance.
//
//	{"resourceType": "Provenance", "target": [{"reference": "urn:uuid:…"}], "recorded": "2026-11-02T09:01:00+02:00",
//	 "agent": [
//	  {"type": {"coding": [{"system": "http://gen.kanta.fi/figen-cs-provenancerolecategory", "code": "12"}]},
//	   "who": {"reference": "Patient/helmi"}},
//	  {"type": {"coding": [{"system": "http://gen.kanta.fi/figen-cs-provenancerolecategory", "code": "2"}]},
//	   "who": {"reference": "Practitioner/nurse"}},
//	  {"type": {"coding": [{"system": "http://gen.kanta.fi/figen-cs-provenancerolecategory", "code": "7"}]},
//	   "who": {"reference": "Organization/jukola"}}]}
//
// Who may give, and how a directive changes, is checked where it is recorded (gateway/exchange):
//
//   - The client gives (12). For a minor who cannot decide, the guardian gives (5); a minor who decides, or whose capacity
//     nobody has assessed, gives alone (§ 51). For a grown-up client a representative may give (5; § 50). Who gives in an
//     own app is who the app's user is.
//   - A Provenance may name the professional and the unit (2 and 7) alone, as Kanta's shape has it: the client gave the
//     directive to that professional. A ban is taken back or narrowed by the same rules as it is given (§ 58.5), and its
//     loosening opens data at once; so that no slip of a professional does, such a Provenance names the giver (12 or 5)
//     beside the receiver. Nothing in Kanta's shape asks for that; it is the careful reading, for a lawyer to confirm.
//   - The client is informed beforehand (§§ 58.2 and 68). A Provenance tells it in the extension
//     https://sotesilta.example/fhir/StructureDefinition/informed (valueDateTime); one later than the giving is refused.
//     That it is missing does not prevent recording (Kanta's guidance: lack of information does not prevent storing).
//   - A new version stays the same directive: a permit of the same direction, a ban, a consent to the same provision.
//   - A directive that is over when it is given, or given in the future, is refused. One that begins later is kept and
//     counts from then on. A withdrawn one may be given again.
package directive
