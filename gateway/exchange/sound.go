package exchange

import (
	"slices"

	"sotesilta/internal/constraints"
	"sotesilta/internal/fhir"
)

// unsound is why a resource may not be kept, or nil: Invalid where it is not what its type's definition says (FHIR R4
// § 2.6, 400), Unprocessable where it breaks an invariant of R4 (422).
func unsound(doc *fhir.Value) *Error {
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
		return nil
	}
	return &Error{Kind: kind, Issues: issues, Entry: -1}
}

// failing are the issues that refuse a resource; warnings do not.
func failing(issues []fhir.Issue) []fhir.Issue {
	return slices.DeleteFunc(issues, func(i fhir.Issue) bool { return i.Severity == "warning" || i.Severity == "information" })
}
