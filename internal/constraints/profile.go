package constraints

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sotesilta/internal/fhir"
	"sotesilta/internal/fhirpath"
)

// Profile is a StructureDefinition that constrains a resource type, ready for checking: what its differential says of
// cardinalities, codes, targets of references, and invariants (FHIR R4 § 5.1.0).
type Profile struct {
	URL, Version, Type string
	id                 string
	elements           []profiled
}

type profiled struct {
	path     []string // below the type
	name     string   // as in the differential, for the key of its cardinality
	min, max int      // max -1: any number
	pattern  *fhir.Value
	targets  []string // resource types
	rules    []*invariant
}

// understood are the members of an element that NewProfile acts on, or that say nothing a resource could break.
var understood = []string{"id", "path", "min", "max", "type", "constraint", "patternCode", "short", "definition", "comment", "mustSupport"}

// NewProfile reads a StructureDefinition. It errs on whatever it would have to pass over, such as slices: a profile that is
// checked in part says more than is known.
func NewProfile(doc *fhir.Value) (*Profile, error) {
	p := &Profile{URL: doc.Text("url"), Version: doc.Text("version"), Type: doc.Text("type"), id: fhir.ID(doc)}
	if doc.Text("derivation") != "constraint" || doc.Text("kind") != "resource" || doc.Text("baseDefinition") != core+p.Type || doc.Get("snapshot") != nil {
		return nil, fmt.Errorf("constraints: %s: a profile is the differential of a resource type", p.URL)
	}
	for _, e := range doc.Get("differential").Get("element").Items() {
		one := profiled{name: e.Text("path"), max: -1, pattern: e.Get("patternCode")}
		path, below := strings.CutPrefix(one.name, p.Type)
		if !below || path != "" && path[0] != '.' {
			return nil, fmt.Errorf("constraints: %s: %s is not below %s", p.URL, one.name, p.Type)
		}
		if path != "" {
			one.path = strings.Split(path[1:], ".")
		}
		for _, m := range e.Members() {
			if !slices.Contains(understood, m.Name) {
				return nil, fmt.Errorf("constraints: %s: %s: %s is not understood", p.URL, one.name, m.Name)
			}
		}
		var err error
		if text := e.Text("min"); text != "" {
			if one.min, err = strconv.Atoi(text); err != nil {
				return nil, fmt.Errorf("constraints: %s: %s: min: %w", p.URL, one.name, err)
			}
		}
		if text := e.Text("max"); text != "" && text != "*" {
			if one.max, err = strconv.Atoi(text); err != nil {
				return nil, fmt.Errorf("constraints: %s: %s: max: %w", p.URL, one.name, err)
			}
		}
		for _, typ := range e.Get("type").Items() {
			for _, target := range typ.Get("targetProfile").Items() {
				name, ok := strings.CutPrefix(target.Str(), core)
				if !ok || typ.Text("code") != "Reference" {
					return nil, fmt.Errorf("constraints: %s: %s: a type is a Reference to types of R4", p.URL, one.name)
				}
				one.targets = append(one.targets, name)
			}
		}
		for _, c := range e.Get("constraint").Items() {
			rule := &invariant{Place: one.name, Key: c.Text("key"), Severity: c.Text("severity"), Expression: c.Text("expression"), Human: c.Text("human")}
			if _, err := rule.expression(); err != nil {
				return nil, fmt.Errorf("constraints: %s: %s: %w", p.URL, rule.Key, err)
			}
			one.rules = append(one.rules, rule)
		}
		p.elements = append(p.elements, one)
	}
	return p, nil
}

// Check lists what a resource breaks of the profile, with the place and the rule's key: of an invariant its own, of a
// cardinality, code or reference the profile's id and the element. It supposes a resource that passed fhir.Validate.
func (p *Profile) Check(doc *fhir.Value) []fhir.Issue {
	if typ := fhir.ResourceType(doc); typ != p.Type {
		return []fhir.Issue{{
			Severity: "error", Code: "structure", Expression: typ, Diagnostics: fmt.Sprintf("The profile is one of %s (%s).", p.Type, p.id),
		}}
	}
	root := fhir.Root(doc)
	c := profiling{Profile: p, root: root, budget: budget}
	for i := range p.elements {
		c.at(&p.elements[i], root, p.Type, p.elements[i].path)
	}
	return c.issues
}

type profiling struct {
	*Profile
	root   fhir.Node
	budget int
	issues []fhir.Issue
}

// at goes down a path to where an element is checked.
func (c *profiling) at(e *profiled, n fhir.Node, place string, path []string) {
	if len(c.issues) >= maxIssues {
		return
	}
	if len(path) == 0 { // the resource itself
		c.one(e, n, place)
		return
	}
	found := n.Elements(nil, path[0])
	if len(path) == 1 {
		c.count(e, len(found), place+"."+path[0])
	}
	for i := range found {
		here := place + "." + path[0]
		if found[i].Index() >= 0 {
			here += "[" + strconv.Itoa(found[i].Index()) + "]"
		}
		c.at(e, found[i], here, path[1:])
	}
}

func (c *profiling) count(e *profiled, n int, place string) {
	switch {
	case n < e.min:
		c.report("required", place, fmt.Sprintf("is needed, at least %d", e.min), c.id+"#"+e.name)
	case e.max == 0 && n > 0:
		c.report("structure", place, "is not part of it", c.id+"#"+e.name)
	case e.max > 0 && n > e.max:
		c.report("structure", place, fmt.Sprintf("is there more than %d times", e.max), c.id+"#"+e.name)
	}
}

// one checks one element.
func (c *profiling) one(e *profiled, n fhir.Node, place string) {
	if e.pattern != nil && n.Value.Str() != e.pattern.Str() {
		c.report("value", place, "must be "+e.pattern.Str(), c.id+"#"+e.name)
	}
	if len(e.targets) > 0 {
		if ref := fhir.ParseReference(n.Value.Text("reference")); ref.Type != "" && !slices.Contains(e.targets, ref.Type) {
			c.report("value", place, "must refer to one of "+strings.Join(e.targets, ", "), c.id+"#"+e.name)
		}
	}
	for _, rule := range e.rules {
		expression, err := rule.expression()
		if err != nil {
			continue // NewProfile refuses these
		}
		holds, decided, err := expression.Test(n, fhirpath.Context{Resource: c.root, Root: c.root, Budget: &c.budget})
		switch {
		case errors.Is(err, fhirpath.ErrTooCostly):
			c.report("too-costly", place, "is too large for the rule to be checked", rule.Key)
		case err != nil: // such as a single value that is there twice
			c.report("invariant", place, "does not fit the rule: "+rule.Human, rule.Key)
		case decided && !holds:
			c.report("invariant", place, rule.Human, rule.Key)
		}
	}
}

func (c *profiling) report(code, place, text, key string) {
	c.issues = append(c.issues, fhir.Issue{Severity: "error", Code: code, Expression: place, Diagnostics: text + " (" + key + ")"})
}

// Profiles are profiles by their canonical URLs.
type Profiles map[string]*Profile

// Find is the profile with a canonical URL, in its version if that names one; nil: it is not known.
func (all Profiles) Find(canonical string) *Profile {
	url, version, _ := strings.Cut(canonical, "|")
	if p := all[url]; p != nil && (version == "" || version == p.Version) {
		return p
	}
	return nil
}

// Claimed is what a resource breaks of the profiles that it claims in meta.profile, and the claims that are not known, each
// once. The definitions of R4 itself are known of every resource.
func (all Profiles) Claimed(doc *fhir.Value) (issues []fhir.Issue, unknown []string) {
	claims := doc.Get("meta").Get("profile").Items()
	if len(claims) == 0 {
		return nil, nil
	}
	seen := map[string]bool{core + fhir.ResourceType(doc): true}
	for _, claim := range claims {
		canonical := claim.Str()
		if seen[canonical] {
			continue
		}
		seen[canonical] = true
		p := all.Find(canonical)
		if p == nil {
			unknown = append(unknown, canonical)
			continue
		}
		if !seen[p.URL] || canonical == p.URL {
			seen[p.URL] = true
			issues = append(issues, p.Check(doc)...)
		}
	}
	return issues, unknown
}
