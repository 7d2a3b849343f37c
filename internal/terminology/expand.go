package terminology

import (
	"fmt"
	"slices"

	"sotesilta/internal/fhir"
)

// Bounds of an expansion.
const (
	MaxCodes = 10_000 // codes of a value set
	maxSteps = 32     // includes, value sets and code systems that are followed
	maxDepth = 4      // value sets within one another
)

// Vocabulary finds what a value set speaks of; nil: it is not held. Codes are the codes of a value set that is held without its
// resource, such as the required bindings of R4.
type Vocabulary interface {
	CodeSystem(url, version string) (*CodeSystem, error)
	ValueSet(canonical string) (doc *fhir.Value, codes []Entry, err error)
}

// Expand lists the codes of a ValueSet resource, each once, in the order of its definition (FHIR R4 § 4.9.8). Where it has no
// compose, its own expansion counts. A *Fault says why a part cannot be told: then nothing is, because a list that is not
// whole would say of a code that it is not in the set.
func Expand(valueSet *fhir.Value, vocabulary Vocabulary) ([]Entry, error) {
	e := &expanding{vocabulary: vocabulary}
	return e.set(valueSet, 0)
}

type expanding struct {
	vocabulary Vocabulary
	steps      int
}

// step bounds the work.
func (e *expanding) step() error {
	if e.steps++; e.steps > maxSteps {
		return &Fault{"too-costly", fmt.Sprintf("The value set is made of more than %d parts.", maxSteps)}
	}
	return nil
}

type code struct{ system, code string }

func keyOf(e Entry) code { return code{e.System, e.Code} }

func (e *expanding) set(doc *fhir.Value, depth int) ([]Entry, error) {
	if depth > maxDepth {
		return nil, &Fault{"too-costly", fmt.Sprintf("Value sets are followed %d deep.", maxDepth)}
	}
	compose := doc.Get("compose")
	if compose == nil {
		if doc.Get("expansion") == nil {
			return nil, &Fault{"not-supported", "The value set has neither compose nor expansion."}
		}
		return contained(nil, doc.Get("expansion").Get("contains"))
	}
	if compose.Get("lockedDate") != nil {
		return nil, &Fault{"not-supported", "A value set as of another date (lockedDate) is not told here."}
	}
	var out []Entry
	seen := map[code]bool{}
	for _, include := range compose.Get("include").Items() {
		part, err := e.part(include, depth)
		if err != nil {
			return nil, err
		}
		for _, entry := range part {
			if !seen[keyOf(entry)] {
				seen[keyOf(entry)] = true
				out = append(out, entry)
			}
		}
		if len(out) > MaxCodes {
			return nil, tooMany
		}
	}
	for _, exclude := range compose.Get("exclude").Items() {
		part, err := e.part(exclude, depth)
		if err != nil {
			return nil, err
		}
		out = slices.DeleteFunc(out, within(part, false))
	}
	if inactive := compose.Get("inactive"); inactive != nil && !inactive.True() {
		out = slices.DeleteFunc(out, func(e Entry) bool { return e.Inactive })
	}
	return out, nil
}

var tooMany = &Fault{"too-costly", fmt.Sprintf("The value set has more than %d codes.", MaxCodes)}

// within tests whether an entry is among others, or with not, whether it is not.
func within(part []Entry, not bool) func(Entry) bool {
	among := make(map[code]bool, len(part))
	for _, entry := range part {
		among[keyOf(entry)] = true
	}
	return func(e Entry) bool { return among[keyOf(e)] != not }
}

// part is an include or exclude: what its system and all of its value sets have in common.
func (e *expanding) part(p *fhir.Value, depth int) ([]Entry, error) {
	if err := e.step(); err != nil {
		return nil, err
	}
	var out []Entry
	whole := false
	if system := p.Text("system"); system != "" {
		var err error
		if out, err = e.ofSystem(p, system); err != nil {
			return nil, err
		}
		whole = true
	}
	for _, canonical := range p.Get("valueSet").Items() {
		if err := e.step(); err != nil {
			return nil, err
		}
		doc, codes, err := e.vocabulary.ValueSet(canonical.Str())
		if err == nil && doc != nil {
			codes, err = e.set(doc, depth+1)
		}
		switch {
		case err != nil:
			return nil, err
		case codes == nil && doc == nil:
			return nil, &Fault{"not-supported", fmt.Sprintf("The value set is made of %q, which is not held here.", short(canonical.Str()))}
		case whole:
			out = slices.DeleteFunc(out, within(codes, true))
		default:
			out, whole = codes, true
		}
	}
	return out, nil
}

// ofSystem are the codes of a system that an include names: those listed, those that its filters let through, or all.
func (e *expanding) ofSystem(p *fhir.Value, system string) ([]Entry, error) {
	found, err := e.vocabulary.CodeSystem(system, p.Text("version"))
	if err != nil {
		return nil, err
	}
	if listed := p.Get("concept").Items(); len(listed) > 0 {
		if len(listed) > MaxCodes {
			return nil, tooMany
		}
		out := make([]Entry, len(listed))
		for i, c := range listed {
			entry := Entry{Coding: fhir.Coding{System: system, Code: c.Text("code")}}
			if found != nil {
				if known, ok := found.Find(entry.Code); ok {
					entry = known
				}
			}
			if display := c.Text("display"); display != "" {
				entry.Display = display
			}
			entry.System = system
			if more := c.Get("designation").Items(); len(more) > 0 {
				entry.Designations = slices.Concat(entry.Designations, more)
			}
			out[i] = entry
		}
		return out, nil
	}
	if found == nil || !found.Complete {
		return nil, &Fault{"not-supported", fmt.Sprintf("The value set has codes of %q, which is not held here as a whole.", short(system))}
	}
	out, err := found.filtered(p.Get("filter").Items())
	if len(out) > MaxCodes {
		return nil, tooMany
	}
	return out, err
}

// contained are the codes of ValueSet.expansion.contains, those within others too; abstract ones are there to group.
func contained(out []Entry, list *fhir.Value) ([]Entry, error) {
	for _, c := range list.Items() {
		if code := c.Text("code"); code != "" && !c.Get("abstract").True() {
			out = append(out, Entry{
				Coding:       fhir.Coding{System: c.Text("system"), Code: code, Display: c.Text("display")},
				Designations: c.Get("designation").Items(), Inactive: c.Get("inactive").True(),
			})
		}
		if len(out) > MaxCodes {
			return nil, tooMany
		}
		var err error
		if out, err = contained(out, c.Get("contains")); err != nil {
			return nil, err
		}
	}
	return out, nil
}
