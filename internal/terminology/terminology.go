// Package terminology reads terminology resources: the concepts of a CodeSystem and how they subsume one another, the
// codes of a ValueSet, translations by a ConceptMap. It knows no store and no network: what other resources say is asked of
// functions that the caller gives. What it looks through is bounded by the size of the resources it is given, what it
// answers and follows by bounds of its own.
package terminology
