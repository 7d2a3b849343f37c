package exchange

import (
	"slices"

	"sotesilta/internal/constraints"
	"sotesilta/internal/fhir"
)

// unsound is why a resource may not be kept, or nil: Invalid where it is not what its type's definition says (FHIR R4
// § 2.6, 400), Unprocessable where it breaks an invariant of R4 or a profile of ours that it claims (422).
func (d *Desk) unsound(doc *fhir.Value) *Error {
	issues, kind := failing(fhir.Validate(doc)), Unprocessable
	for _, is := range issues {
		if is.Code != "invariant" {
			kind = Invalid
		}
	}
	if len(issues) == 0 {
		issues = constraints.Check(doc, constraints.Errors)
	}
	if len(issues) == 0 {
		issues = Understood(doc)
	}
	if len(issues) == 0 {
		issues, _ = d.profiles.Claimed(doc)
	}
	if len(issues) == 0 {
		return nil
	}
	return &Error{Kind: kind, Issues: issues, Entry: -1}
}

// failing are the issues that refuse a resource; warnings do not.
func failing(issues []fhir.Issue) []fhir.Issue {
	return slices.DeleteFunc(issues, func(i fhir.Issue) bool { return i.Severity == "warning" || i.Severity == "information" })
}

// Understood is what changes the meaning of a resource in a way that the gateway does not know, each with its place; a
// write with any is refused. None where all is understood.
//
// implicitRules must be understood by whoever processes a resource (FHIR R4, Resource.implicitRules), and no such rules are known here.
// A modifierExtension must be understood by whoever acts on the element (§ 2.5.0). The gateway acts on the types that
// give rights or move the process: an episode of care "refuted" by an extension must not open anything. All other
// resources it carries from who wrote to who reads, whole: readers see every modifier, in summaries too, and judge it
// themselves, so those are kept as they came (law 5).
func Understood(doc *fhir.Value) []fhir.Issue {
	var issues []fhir.Issue
	acted := rules[fhir.ResourceType(doc)].acted
	for place := range fhir.Modifiers(doc) {
		switch {
		case place.Name == "implicitRules":
			issues = append(issues, fhir.Issue{
				Severity: "error", Code: "not-supported", Expression: place.Expression,
				Diagnostics: "The resource was made by rules that must be understood to process it, and are not known here (Resource.implicitRules).",
			})
		case acted:
			issues = append(issues, fhir.Issue{
				Severity: "error", Code: "extension", Expression: place.Expression,
				Diagnostics: "The gateway acts on this type and knows no modifier extension: what one changes would be misread (FHIR R4 § 2.5.0).",
			})
		}
		if len(issues) == maxUnknown {
			break
		}
	}
	return issues
}

// maxUnknown bounds what Understood tells.
const maxUnknown = 20
