package terminology

import (
	"fmt"
	"slices"
	"strings"

	"sotesilta/internal/fhir"
)

// Entry is a code with what its system says of it.
type Entry struct {
	fhir.Coding
	Definition   string
	Designations []*fhir.Value // as they stand in CodeSystem.concept.designation
	Inactive     bool          // by the properties inactive and status (FHIR R4 § 4.8.11)
}

// CodeSystem is the concepts of a CodeSystem resource, in their order.
type CodeSystem struct {
	URL, Version, Name string
	// Complete: all codes of the system are there. Of another one nothing follows from a code's absence.
	Complete bool
	// subsumes: concepts within a concept are of its kind (hierarchyMeaning is-a, or not told).
	subsumes bool
	concepts []concept
	byCode   map[string]int
}

type concept struct {
	Entry
	parent int // index; -1: a root
	doc    *fhir.Value
}

// ReadCodeSystem reads a CodeSystem resource. Of a code that stands there twice the first counts.
func ReadCodeSystem(doc *fhir.Value) *CodeSystem {
	meaning := doc.Text("hierarchyMeaning")
	s := &CodeSystem{
		URL: doc.Text("url"), Version: doc.Text("version"), Name: doc.Text("name"), Complete: doc.Text("content") == "complete",
		subsumes: meaning == "" || meaning == "is-a", byCode: map[string]int{},
	}
	s.add(doc.Get("concept"), -1)
	return s
}

func (s *CodeSystem) add(list *fhir.Value, parent int) {
	for _, c := range list.Items() {
		at := len(s.concepts)
		entry := Entry{
			Coding:     fhir.Coding{System: s.URL, Code: c.Text("code"), Display: c.Text("display")},
			Definition: c.Text("definition"), Designations: c.Get("designation").Items(),
		}
		for _, p := range c.Get("property").Items() {
			switch p.Text("code") {
			case "inactive":
				entry.Inactive = entry.Inactive || p.Get("valueBoolean").True()
			case "status":
				entry.Inactive = entry.Inactive || p.Text("valueCode") == "retired"
			}
		}
		s.concepts = append(s.concepts, concept{entry, parent, c})
		if _, twice := s.byCode[entry.Code]; !twice {
			s.byCode[entry.Code] = at
		}
		s.add(c.Get("concept"), at)
	}
}

// Find is a code of the system.
func (s *CodeSystem) Find(code string) (Entry, bool) {
	at, found := s.byCode[code]
	if !found {
		return Entry{}, false
	}
	return s.concepts[at].Entry, true
}

// Subsumption is how code a relates to code b, as a code of concept-subsumption-outcome (FHIR R4 CodeSystem/$subsumes). It
// errs with a *Fault where the system does not have both, or nests its concepts by something else than their kinds.
func (s *CodeSystem) Subsumption(a, b string) (string, error) {
	for _, code := range []string{a, b} {
		if _, found := s.byCode[code]; !found {
			return "", &Fault{"not-found", "The code system has not both codes."}
		}
	}
	switch {
	case a == b:
		return "equivalent", nil
	case !s.subsumes:
		return "", &Fault{"not-supported", "The code system nests its concepts by something else than their kinds (hierarchyMeaning)."}
	case s.within(s.byCode[b], a):
		return "subsumes", nil
	case s.within(s.byCode[a], b):
		return "subsumed-by", nil
	}
	return "not-subsumed", nil
}

// within says whether the concept at an index lies somewhere within another.
func (s *CodeSystem) within(at int, code string) bool {
	for at = s.concepts[at].parent; at >= 0; at = s.concepts[at].parent {
		if s.concepts[at].Code == code {
			return true
		}
	}
	return false
}

// Fault is why terminology cannot tell what is asked. Code is of the value set issue-type.
type Fault struct{ Code, Why string }

func (f *Fault) Error() string { return f.Why }

// filtered are the concepts that meet every filter of ValueSet.compose.include.
func (s *CodeSystem) filtered(filters []*fhir.Value) ([]Entry, error) {
	if len(filters) > maxSteps {
		return nil, &Fault{"too-costly", fmt.Sprintf("A value set has at most %d filters on a system.", maxSteps)}
	}
	tests := make([]func(int) bool, len(filters))
	for i, f := range filters {
		var err error
		if tests[i], err = s.filter(f.Text("property"), f.Text("op"), f.Text("value")); err != nil {
			return nil, err
		}
	}
	var out []Entry
	for at := range s.concepts {
		if !slices.ContainsFunc(tests, func(test func(int) bool) bool { return !test(at) }) {
			out = append(out, s.concepts[at].Entry)
		}
	}
	return out, nil
}

// filter is a filter of a value set as a test of the concept at an index (FHIR R4, filter-operator): of the concepts
// themselves by code and place, of properties by equality.
func (s *CodeSystem) filter(property, op, value string) (func(at int) bool, error) {
	listed := map[string]bool{}
	for one := range strings.SplitSeq(value, ",") {
		listed[strings.TrimSpace(one)] = true
	}
	among := func(text string) bool { return listed[text] }
	if property == "concept" || property == "code" {
		if (op == "is-a" || op == "descendent-of" || op == "is-not-a") && !s.subsumes {
			return nil, &Fault{"not-supported", "The code system nests its concepts by something else than their kinds (hierarchyMeaning)."}
		}
		switch op {
		case "=":
			return func(at int) bool { return s.concepts[at].Code == value }, nil
		case "is-a":
			return func(at int) bool { return s.concepts[at].Code == value || s.within(at, value) }, nil
		case "is-not-a":
			return func(at int) bool { return s.concepts[at].Code != value && !s.within(at, value) }, nil
		case "descendent-of":
			return func(at int) bool { return s.within(at, value) }, nil
		case "in":
			return func(at int) bool { return among(s.concepts[at].Code) }, nil
		case "not-in":
			return func(at int) bool { return !among(s.concepts[at].Code) }, nil
		}
		return nil, &Fault{"not-supported", fmt.Sprintf("The filter operation %q is not supported on the code of a concept.", short(op))}
	}
	any := func(at int, holds func(string) bool) bool {
		for _, p := range s.concepts[at].doc.Get("property").Items() {
			if p.Text("code") != property {
				continue
			}
			for _, m := range p.Members() {
				text := m.Value.Str()
				if m.Name == "valueCoding" {
					text = m.Value.Text("code")
				}
				if strings.HasPrefix(m.Name, "value") && holds(text) {
					return true
				}
			}
		}
		return false
	}
	switch op {
	case "=":
		return func(at int) bool { return any(at, func(text string) bool { return text == value }) }, nil
	case "in":
		return func(at int) bool { return any(at, among) }, nil
	case "not-in":
		return func(at int) bool { return !any(at, among) }, nil
	case "exists":
		return func(at int) bool { return any(at, func(string) bool { return true }) == (value == "true") }, nil
	}
	return nil, &Fault{"not-supported", fmt.Sprintf("The filter operation %q is not supported on the property %q.", short(op), short(property))}
}

// short shortens what a client sent, for a message.
func short(text string) string {
	if len(text) > 64 {
		return strings.ToValidUTF8(text[:64], "") + "…"
	}
	return text
}
