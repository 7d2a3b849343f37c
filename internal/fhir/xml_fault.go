package fhir

import (
	"slices"
	"strings"
)

// What is wrong with a document that is XML, but not FHIR's: reading goes on beyond it, so that all of it can be told.

// fault is one thing that is wrong, and where it stands.
type fault struct {
	code string
	err  *SyntaxError
}

// Rules that several places break.
const (
	notInNamespace = "elements must be in the namespace " + xmlNamespace
	notResource    = "the element must be a resource type of FHIR R4"
)

// maxFaults bounds how many faults reading goes on beyond. More than are told of a document, because those of the entries of
// a Bundle are told to each for itself.
const maxFaults = 200

// note tells a fault that reading goes on beyond, at a byte of the document. It errs when there are too many.
func (x *xmlReader) note(at int, code, format string, args ...any) error {
	err := x.fail(at, format, args...).(*SyntaxError)
	x.faults = append(x.faults, fault{code, err})
	if len(x.faults) == maxFaults {
		return err
	}
	return nil
}

// skip tells what is wrong with an element whose start tag was read, and passes over it.
func (x *xmlReader) skip(t xmlTag, rule string) error {
	if err := x.note(t.start, "structure", "%s", rule); err != nil {
		return err
	}
	if !t.empty {
		if err := x.passOver(t); err != nil {
			return err
		}
	}
	x.namespaces = x.namespaces[:t.bindings]
	return nil
}

// faulty is the error of a document with faults: all of them, and what it was that nothing could be read beyond, or what
// Validate says of what was read. What it says of places whose faults are told, or that have them within, may come of that
// these were left out.
func (x *xmlReader) faulty(v *Value, err error) error {
	out := *x.faults[0].err
	told := make([]string, len(x.faults))
	for i, f := range x.faults {
		told[i] = f.err.Expression
		out.faults = append(out.faults, Issue{Severity: "error", Code: f.code, Expression: f.err.Expression, Diagnostics: f.err.said()})
	}
	out.issues = slices.Clone(out.faults[:min(len(out.faults), maxIssues)])
	switch last, broken := err.(*SyntaxError); {
	case broken && last != x.faults[len(x.faults)-1].err:
		out.issues, out.faults = append(out.issues, last.Issues()...), nil
	case broken || x.outgrows(v):
		out.faults = nil
	default:
		out.read = v
		for _, is := range Validate(v) {
			within := is.Expression + "."
			if len(out.issues) < maxIssues && !slices.ContainsFunc(told, func(at string) bool { return strings.HasPrefix(at+".", within) }) {
				out.issues = append(out.issues, is)
			}
		}
	}
	return &out
}
