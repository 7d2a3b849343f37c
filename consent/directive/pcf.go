package directive

import (
	"strings"

	"sotesilta/consent"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

// IHE's Privacy Consent on FHIR (PCF) marks its Consents with this category.
const (
	loinc      = "http://loinc.org"
	pcfConsent = "59284-0"
)

// actReason is the code system of PCF's purposes of use; treatment is the one under which care exchanges data.
const (
	actReason = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
	treatment = "TREAT"
)

// general are the permits that a basic PCF permit can be, by the URI of the policy that the client was shown.
var general = map[string]string{
	terms.LegalBasisPolicy("ATL-54.1"): PermitWithinHealth,
	terms.LegalBasisPolicy("ATL-55.1"): PermitWithinSocial,
}

// isPCF says whether a Consent is IHE PCF's: its category, and none of ours.
func isPCF(c *fhir.Value) bool {
	marked := false
	for _, coding := range c.All("category", "coding") {
		switch coding.Text("system") {
		case terms.PermitCategory, terms.Directive:
			return false
		case loinc:
			marked = marked || coding.Text("code") == pcfConsent
		}
	}
	return marked
}

// pcf reads a basic Consent of IHE PCF as far as it says something that Finnish law knows (see the package comment).
func (r *reader) pcf(t *consent.Terms, c, provision *fhir.Value) {
	const at = "Consent.provision"
	for _, limit := range []string{"actor", "action", "securityLabel", "class", "code", "dataPeriod", "data", "provision"} {
		if provision.Get(limit) != nil {
			r.fail(at+"."+limit, "not-supported", "Of IHE PCF the basic Consent is read. A permit or ban that names recipients, data or time is given in the "+
				"shapes of category %s or %s, which the law knows (457/2024 § 25; 703/2023 § 59).", terms.PermitCategory, terms.Directive)
		}
	}
	r.only(provision, at, "type", "period", "purpose", "actor", "action", "securityLabel", "class", "code", "dataPeriod", "data", "provision")
	if !treats(provision) {
		r.fail(at+".purpose", "business-rule", "A permit or ban concerns all care of the client (703/2023 §§ 53-59): its purposes are not named, or %s is among them.", treatment)
	}
	switch provision.Text("type") {
	case "deny":
		r.row(c, "ATL-59")
		t.Kind = consent.Ban
		organizations := items(c.Get("organization"))
		if len(organizations) != 1 {
			r.fail("Consent.organization", "required", "A ban names the controller whose data it is about (703/2023 § 59): exactly one Organization/id.")
			return
		}
		ref := fhir.ParseReference(organizations[0].Text("reference"))
		if !ref.Local() || ref.Type != "Organization" {
			r.fail("Consent.organization[0]", "value", "The controller is an Organization/id of this gateway.")
			return
		}
		t.Controller = "Organization/" + ref.ID // both its registers: it denies all
	case "permit":
		t.Kind = consent.Permit
		category := ""
		for _, uri := range c.All("policy", "uri") {
			if known := general[uri.Str()]; known != "" && (category == "" || category == known) {
				category = known
			} else {
				category = "-"
			}
		}
		d, known := directions[category]
		if !known {
			r.fail("Consent.policy", "business-rule", "A permit names the policy that the client was shown: one uri, %s. A permit across social care and health care "+
				"is specified (703/2023 § 53.2-3) and given with a category of %s.", strings.Join([]string{
				terms.LegalBasisPolicy("ATL-54.1"), terms.LegalBasisPolicy("ATL-55.1"),
			}, " or "), terms.PermitCategory)
			return
		}
		t.From, t.To = string(d.from), string(d.to)
		r.row(c, d.row)
	default:
		r.fail(at+".type", "required", "A basic Consent of IHE PCF permits or denies.")
	}
}

// treats says whether a provision is about treatment: it names no purpose, or that one.
func treats(provision *fhir.Value) bool {
	purposes := items(provision.Get("purpose"))
	for _, purpose := range purposes {
		if purpose.Text("system") == actReason && purpose.Text("code") == treatment {
			return true
		}
	}
	return len(purposes) == 0
}
