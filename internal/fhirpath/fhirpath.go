// Package fhirpath evaluates FHIRPath (HL7 FHIRPath Normative Release 1, as FHIR R4 uses it: § 2.9) over documents of
// internal/fhir: the invariants of R4, the constraints of our profiles and the paths of a FHIRPath Patch.
//
//	Compile: text ─▶ tokens ─▶ syntax tree ─▶ closures        once per expression
//	Evaluate: closures over the document as it was read       no copy, no reflection, hardly an allocation
//
// An expression is hostile input like any other: its length, depth and number of tokens are bounded when it is compiled,
// and the steps of an evaluation when it runs. trace() tells nobody anything. Nothing is fetched: resolve() finds what is
// contained in the resource or an entry of its Bundle.
//
// What is left out says so when it is compiled: arithmetic with dates, conversion between units (two quantities of
// different units cannot be compared), memberOf and conformsTo with profiles, boundaries, type reflection.
package fhirpath

import (
	"fmt"
	"regexp"
	"sync"
	"time"

	"sotesilta/internal/fhir"
)

// Expression is a compiled expression; it may be used by many goroutines at once.
type Expression struct {
	text string
	eval eval
	test test
	kept int // parts that depend on the resource only
	// patterns are the regular expressions that stand in it as they are.
	patterns map[string]*regexp.Regexp
}

// Context is what an evaluation knows besides its focus.
type Context struct {
	Resource  fhir.Node            // %resource: the innermost resource that holds the focus; the focus itself if zero
	Root      fhir.Node            // %rootResource: what contains Resource, or Resource itself if zero
	Variables map[string]fhir.Node // further %names
	Now       time.Time            // of now() and today(); the clock if zero
	Steps     int                  // that the evaluation may take; DefaultSteps if 0
	// Budget, where it is not nil, is what several evaluations together may take; each lessens it by the steps it took.
	Budget *int
}

// DefaultSteps bound an evaluation to some tens of milliseconds at most: each element looked at is a step.
const DefaultSteps = 500_000

// Compile reads an expression. A *SyntaxError tells what is wrong with it or what of it is not supported.
func Compile(text string) (*Expression, error) {
	tree, err := parse(text)
	if err != nil {
		return nil, err
	}
	c := compiler{}
	e, err := c.compile(tree)
	if err != nil {
		return nil, err
	}
	return &Expression{text: text, eval: e, test: c.test(tree, e), kept: c.kept, patterns: c.patterns}, nil
}

// String is the expression as it was written.
func (e *Expression) String() string { return e.text }

// Evaluate gives the items that the expression selects or makes, with focus as $this.
func (e *Expression) Evaluate(focus fhir.Node, c Context) (out []Item, err error) {
	r := begin(e, focus, c)
	defer r.end(&err)
	return append([]Item(nil), e.eval(r)...), nil
}

// Test says whether the expression is true of the focus, as a rule: decided is false where it comes to nothing, as it does
// where dates of different precision are compared.
func (e *Expression) Test(focus fhir.Node, c Context) (holds, decided bool, err error) {
	r := begin(e, focus, c)
	defer r.end(&err)
	t := e.test(r)
	return t == yes, t != unknown, nil
}

var runs = sync.Pool{New: func() any { return new(run) }}

func begin(e *Expression, focus fhir.Node, c Context) *run {
	r := runs.Get().(*run)
	r.items = append(r.items[:0], Item{node: focus})
	r.this = r.items[:1:1]
	r.focus = r.this
	r.index, r.total, r.steps, r.limit = 0, nil, 0, c.Steps
	if r.limit <= 0 {
		r.limit = DefaultSteps
	}
	r.literal, r.budget = e.patterns, c.Budget
	if r.budget != nil {
		r.limit = min(r.limit, *r.budget)
	}
	r.resource, r.root, r.now, r.vars = c.Resource, c.Root, c.Now, c.Variables
	if r.resource.Value == nil {
		r.resource = focus
	}
	if r.root.Value == nil {
		r.root = r.resource
	}
	if len(r.kept) < e.kept {
		r.kept, r.known = make([][]Item, e.kept), make([]bool, e.kept)
	}
	clear(r.known)
	return r
}

// maxKept bounds the memory that a run keeps for the next evaluation.
const maxKept = 4096

func (r *run) end(err *error) {
	if p := recover(); p != nil {
		s, ok := p.(stop)
		if !ok {
			panic(p)
		}
		*err = s.err
	}
	if r.budget != nil {
		*r.budget = max(0, *r.budget-r.steps)
		r.budget = nil
	}
	if cap(r.items) > maxKept {
		return
	}
	if cap(r.items) > few*8 { // a small rest of a document may wait for the next evaluation, a large one not
		clear(r.items[:cap(r.items)])
		clear(r.nodes[:cap(r.nodes)])
	}
	clear(r.kept)
	r.this, r.focus, r.total, r.vars, r.patterns, r.literal = nil, nil, nil, nil, nil, nil
	r.resource, r.root = fhir.Node{}, fhir.Node{}
	runs.Put(r)
}

// GoString shows an item in tests.
func (it Item) GoString() string { return fmt.Sprintf("%s(%s)", it.Type(), it.Text()) }
