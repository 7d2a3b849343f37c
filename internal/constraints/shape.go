package constraints

import (
	"strconv"
	"strings"

	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

// Shape is a profile of ours as the package that knows the rules writes it down, from the tables that it checks by.
type Shape struct {
	ID, Type           string // StructureDefinition.id; the resource type
	Title, Description string // for people: Finnish, English
	Elements           []Element
}

// Element is what a Shape says of one element.
type Element struct {
	Path    string   // below the type, such as restriction.period; "" is the resource itself
	Min     int      // 0: as R4 has it
	Max     string   // "": as R4 has it
	Code    string   // the one value of an element of type code; "" any
	Targets []string // resource types that a Reference may name; none: as R4 has it
	Rules   []Rule
}

// Rule is an invariant of an element, in FHIRPath.
type Rule struct{ Key, Human, Expression string }

// released is the version and date of the shapes.
const released = "2026-11-22"

// URL is the canonical URL of the profile.
func (s Shape) URL() string { return terms.Base + "StructureDefinition/" + s.ID }

// Definition is the shape as a StructureDefinition with its differential (FHIR R4 § 5.3).
func (s Shape) Definition() *fhir.Value {
	elements := fhir.NewArray()
	for _, e := range append([]Element{{}}, s.Elements...) {
		path := strings.TrimSuffix(s.Type+"."+e.Path, ".")
		if e.Path == "" && len(elements.Items()) > 0 { // the rules of the resource itself
			addRules(elements.Items()[0], e.Rules)
			continue
		}
		one := fhir.NewObject(text("id", path), text("path", path))
		if e.Min > 0 {
			one.Set("min", fhir.NewNumber(strconv.Itoa(e.Min)))
		}
		if e.Max != "" {
			one.Set("max", fhir.NewString(e.Max))
		}
		if len(e.Targets) > 0 {
			profiles := fhir.NewArray()
			for _, typ := range e.Targets {
				profiles.Append(fhir.NewString(core + typ))
			}
			one.Set("type", fhir.NewArray(fhir.NewObject(text("code", "Reference"), fhir.Member{Name: "targetProfile", Value: profiles})))
		}
		if e.Code != "" {
			one.Set("patternCode", fhir.NewString(e.Code))
		}
		addRules(one, e.Rules)
		elements.Append(one)
	}
	return fhir.NewObject(
		text("resourceType", "StructureDefinition"), text("id", s.ID), text("url", s.URL()), text("version", "1"),
		text("name", name(s.ID)), text("title", s.Title), text("status", "active"),
		fhir.Member{Name: "experimental", Value: fhir.NewBool(false)},
		text("date", released), text("publisher", "Hyvinvointialue"), text("description", s.Description),
		text("fhirVersion", "4.0.1"), text("kind", "resource"), fhir.Member{Name: "abstract", Value: fhir.NewBool(false)},
		text("type", s.Type), text("baseDefinition", core+s.Type), text("derivation", "constraint"),
		fhir.Member{Name: "differential", Value: fhir.NewObject(fhir.Member{Name: "element", Value: elements})},
	)
}

// core begins the canonical URL of the definition of each type of R4.
const core = "http://hl7.org/fhir/StructureDefinition/"

func addRules(element *fhir.Value, rules []Rule) {
	for _, r := range rules {
		if element.Get("constraint") == nil {
			element.Set("constraint", fhir.NewArray())
		}
		element.Get("constraint").Append(fhir.NewObject(
			text("key", r.Key), text("severity", "error"), text("human", r.Human), text("expression", r.Expression)))
	}
}

func text(name, value string) fhir.Member {
	return fhir.Member{Name: name, Value: fhir.NewString(value)}
}

// name is an id as a name for programs.
func name(id string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(id, "-") {
		b.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return b.String()
}

// Among is a FHIRPath collection of texts.
func Among(texts ...string) string {
	quoted := make([]string, len(texts))
	for i, t := range texts {
		quoted[i] = "'" + t + "'"
	}
	return "(" + strings.Join(quoted, " | ") + ")"
}
