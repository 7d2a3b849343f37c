package fhir

// Issue is one thing wrong with a resource or a request, in the words of OperationOutcome.issue (FHIR R4 § 2.40).
type Issue struct {
	Severity    string // fatal, error, warning or information
	Code        string // of the value set issue-type: structure, required, value, invalid, not-supported, …
	Expression  string // where, as a simple FHIRPath such as CarePlan.activity[0].detail.status; "" where there is none
	Diagnostics string // what is wrong and what to do, for people; never holds the value of an element
}
