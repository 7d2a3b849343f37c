// Package constraints checks a resource against what the definitions of FHIR R4 say beyond structure: the invariants of every
// type (invariants.tsv, which gen lists from the official definitions).
//
//	fhir.Validate: structure, cardinality, types, codes, reference targets ─▶ Check: invariants ─▶ issues
//
// The rules are data. A place in the resource is looked at once; the invariants of its type are FHIRPath, compiled when a
// resource of a type first comes by, and evaluated with the place as focus. errata.tsv tells which official invariants
// are replaced or left to fhir.Validate, and why.
//
// An invariant is broken when it comes to false. What comes to nothing, such as the order of two dates of which one is
// known to the year only, breaks nothing.
package constraints

import (
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"sotesilta/internal/fhir"
	"sotesilta/internal/fhirpath"
)

//go:generate go run ./gen

//go:embed invariants.tsv
var invariants string

//go:embed errata.tsv
var errata string

// invariant is a rule in FHIRPath about the elements at a place.
type invariant struct {
	Place      string // path of the element or type, such as CarePlan.activity
	Key        string // such as cpl-3
	Severity   string // error or warning
	Expression string
	Human      string // what it demands

	once     sync.Once
	compiled *fhirpath.Expression
	err      error
}

func (i *invariant) expression() (*fhirpath.Expression, error) {
	i.once.Do(func() { i.compiled, i.err = fhirpath.Compile(i.Expression) })
	return i.compiled, i.err
}

// table is the invariants by where they apply.
type table struct {
	types    [][]*invariant          // by TypeNumber: of every element of the type
	elements map[string][]*invariant // by parent type and element, such as Organization.telecom
	parents  []bool                  // by TypeNumber: whether elements has any of the type's
	all      []*invariant
}

var tables = sync.OnceValue(func() *table { return newTable(invariants, errata) })

// newTable panics on lines that it does not understand: they are part of the program.
func newTable(lines, errata string) *table {
	instead := map[[2]string]string{}
	for line := range strings.Lines(errata) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		instead[[2]string{f[0], f[1]}] = f[2]
	}
	t := &table{
		types: make([][]*invariant, fhir.TypeNumbers()), parents: make([]bool, fhir.TypeNumbers()), elements: map[string][]*invariant{},
	}
	numbers := map[string]int{}
	for n := range t.types {
		if name := fhir.TypeName(n); name != "" {
			numbers[name] = n
		}
	}
	for line := range strings.Lines(lines) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 5 {
			panic("constraints: a line of the invariants has not five fields")
		}
		i := &invariant{Place: f[0], Key: f[1], Severity: f[2], Expression: f[3], Human: f[4]}
		if other, ok := instead[[2]string{i.Key, i.Place}]; ok {
			if other == "-" {
				continue
			}
			i.Expression = other
		}
		t.all = append(t.all, i)
		if n, ok := numbers[i.Place]; ok {
			t.types[n] = append(t.types[n], i)
			continue
		}
		if i.Place == "DomainResource" {
			for _, typ := range fhir.Types() {
				if typ != "Bundle" && typ != "Binary" && typ != "Parameters" {
					t.types[numbers[typ]] = append(t.types[numbers[typ]], i)
				}
			}
			continue
		}
		at := strings.LastIndexByte(i.Place, '.')
		n, ok := numbers[i.Place[:max(at, 0)]]
		if !ok {
			panic("constraints: an invariant stands at no place of R4: " + i.Place)
		}
		t.elements[i.Place] = append(t.elements[i.Place], i)
		t.parents[n] = true
	}
	return t
}

// Level is how much is wanted of a check.
type Level int

// Errors is what refuses a resource; Everything adds warnings and information.
const (
	Errors Level = iota
	Everything
)

// budget is the steps that all invariants of one document may take together: a second's work at most.
const budget = 5_000_000

// maxIssues bounds what is listed.
const maxIssues = 50

// Check lists what a resource, and those within it, break of the invariants of R4. It supposes a
// resource that passed fhir.Validate; of others it tells what it can. Issues name the place and the rule's key, never what
// stands there.
func Check(v *fhir.Value, level Level) []fhir.Issue {
	c := checker{t: tables(), level: level, budget: budget}
	root := fhir.Root(v)
	c.root = fhir.ResourceType(v)
	c.element(root, root, root)
	return c.issues
}

type checker struct {
	t       *table
	level   Level
	budget  int
	root    string
	path    []step
	nodes   []fhir.Node
	issues  []fhir.Issue
	stopped bool
}

type step struct {
	name  string
	index int
}

// element checks the invariants of one element and of all within it. resource is the innermost resource that holds it,
// container what contains that.
func (c *checker) element(n, resource, container fhir.Node) {
	if n.IsResource() {
		if len(c.path) == 0 || c.path[len(c.path)-1].name != "contained" {
			container = n
		}
		resource = n
	}
	number := n.TypeNumber()
	if number >= len(c.t.types) {
		return
	}
	for _, i := range c.t.types[number] {
		c.test(i, n, resource, container)
	}
	if c.stopped || n.IsPrimitive() && n.Ext == nil {
		return
	}
	mark := len(c.nodes)
	c.nodes = n.Children(c.nodes)
	for i, end := mark, len(c.nodes); i < end && !c.stopped; i++ {
		child := c.nodes[i]
		if child.IsPrimitive() && child.Ext == nil && !c.t.parents[number] {
			continue
		}
		c.path = append(c.path, step{child.Name(), child.Index()})
		if c.t.parents[number] {
			for _, rule := range c.t.elements[n.Type()+"."+child.Name()] {
				c.test(rule, child, resource, container)
			}
		}
		c.element(child, resource, container)
		c.path = c.path[:len(c.path)-1]
	}
	c.nodes = c.nodes[:mark]
}

// test evaluates one invariant.
func (c *checker) test(i *invariant, n, resource, container fhir.Node) {
	if c.stopped || i.Severity != "error" && c.level == Errors {
		return
	}
	e, err := i.expression()
	if err != nil {
		return // TestEveryInvariantCompiles lists these
	}
	holds, decided, err := e.Test(n, fhirpath.Context{Resource: resource, Root: container, Budget: &c.budget})
	switch {
	case errors.Is(err, fhirpath.ErrTooCostly):
		c.report("error", "too-costly", "the resource is too large for its rules to be checked")
		c.stopped = true
	case err != nil:
		if c.level == Everything {
			c.report("information", "incomplete", fmt.Sprintf("a rule could not be decided: %s (%s)", i.Human, i.Key))
		}
	case decided && !holds:
		c.report(i.Severity, "invariant", fmt.Sprintf("%s (%s)", i.Human, i.Key))
	}
}

func (c *checker) report(severity, code, text string) {
	c.issues = append(c.issues, fhir.Issue{Severity: severity, Code: code, Expression: c.expression(), Diagnostics: text})
	c.stopped = c.stopped || len(c.issues) >= maxIssues
}

// expression is the place as a simple FHIRPath.
func (c *checker) expression() string {
	b := append(make([]byte, 0, 64), c.root...)
	for _, s := range c.path {
		b = append(append(b, '.'), s.name...)
		if s.index >= 0 {
			b = append(strconv.AppendInt(append(b, '['), int64(s.index), 10), ']')
		}
	}
	return string(b)
}
