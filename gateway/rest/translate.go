package rest

import (
	"net/http"
	"strings"

	"sotesilta/internal/fhir"
	"sotesilta/internal/terminology"
)

// translate is ConceptMap/$translate (FHIR R4 ConceptMap, operation translate). By a map that is named, source and target may
// only repeat what it says of itself; where none is named, they choose among ours.
func translate(a asking) (*fhir.Value, error) {
	forms := 0
	for _, name := range []string{"code", "coding", "codeableConcept"} {
		forms += len(a.given[name])
	}
	asked, err := a.codings("system")
	switch {
	case err != nil:
		return nil, err
	case forms != 1 || len(asked) == 0:
		return nil, refuse(http.StatusBadRequest, "required", "Parameters.parameter", "$translate needs one of code (with system), coding and codeableConcept, with a code in it.")
	case a.text("code") != "" && asked[0].System == "":
		return nil, refuse(http.StatusBadRequest, "required", "Parameters.parameter", "A code that is to be translated is given with its system.")
	}
	wanted := terminology.Translation{Codings: asked, TargetSystem: a.text("targetsystem"), Reverse: a.value("reverse").True()}
	for _, d := range a.given["dependency"] {
		dependency, err := dependencyOf(d)
		if err != nil {
			return nil, err
		}
		wanted.Dependencies = append(wanted.Dependencies, dependency...)
	}
	maps, err := a.maps()
	if err != nil {
		return nil, err
	}
	others := func(canonical string) (*fhir.Value, error) { return a.vocabulary.find("ConceptMap", canonical, "") }
	var all terminology.Translated
	for _, m := range maps {
		some, err := terminology.Translate(m, wanted, others)
		if err != nil {
			return nil, err
		}
		all.Matches, all.Needs = append(all.Matches, some.Matches...), append(all.Needs, some.Needs...)
	}
	return translated(all), nil
}

// maps are the ConceptMaps to translate by: the one that is named, or those of ours that are between the value sets.
func (a asking) maps() ([]*fhir.Value, error) {
	source, target := a.text("source"), a.text("target")
	if a.id == "" && a.value("conceptMap") == nil && a.text("url") == "" {
		var out []*fhir.Value
		for _, m := range a.vocabulary.terms.ConceptMaps() {
			if between(m, source, target) {
				out = append(out, m)
			}
		}
		return out, nil
	}
	m, err := a.meant("ConceptMap", "conceptMap", "conceptMapVersion")
	switch {
	case err != nil:
		return nil, err
	case m == nil:
		return nil, notHere
	case a.text("conceptMapVersion") != "" && m.Text("version") != a.text("conceptMapVersion"):
		return nil, notHere
	case !between(m, source, target):
		return nil, refuse(http.StatusUnprocessableEntity, "not-supported", "Parameters.parameter", "The ConceptMap is between other value sets than source and target.")
	}
	return []*fhir.Value{m}, nil
}

// between says whether a map is between two value sets; "" is any.
func between(m *fhir.Value, source, target string) bool {
	is := func(side, wanted string) bool {
		said, _, _ := strings.Cut(m.Text(side+"Uri")+m.Text(side+"Canonical"), "|")
		wanted, _, _ = strings.Cut(wanted, "|")
		return wanted == "" || said == wanted
	}
	return is("source", source) && is("target", target)
}

// dependencyOf reads a parameter dependency: an element with a concept, one for each of its codings.
func dependencyOf(parts *fhir.Value) ([]terminology.Dependency, error) {
	element, concept := "", (*fhir.Value)(nil)
	for _, p := range parts.Items() {
		switch p.Text("name") {
		case "element":
			element = p.Text("valueUri")
		case "concept":
			concept = p.Get("valueCodeableConcept")
		}
	}
	if element == "" || concept == nil {
		return nil, refuse(http.StatusBadRequest, "required", "Parameters.parameter", "A dependency has the parts element (valueUri) and concept (valueCodeableConcept).")
	}
	var out []terminology.Dependency
	for _, c := range concept.Get("coding").Items() {
		out = append(out, terminology.Dependency{Property: element, Concept: fhir.Coding{System: c.Text("system"), Code: c.Text("code")}})
	}
	return out, nil
}

// translated is the answer of $translate.
func translated(all terminology.Translated) *fhir.Value {
	result := false
	list := fhir.NewArray()
	for _, m := range all.Matches {
		result = result || m.Positive()
		part := fhir.NewArray(object("name", "equivalence", "valueCode", m.Equivalence))
		if m.Concept.Code != "" {
			part.Append(object("name", "concept", "valueCoding", m.Concept.Value()))
		}
		for _, p := range m.Products {
			part.Append(object("name", "product", "part", fhir.NewArray(
				object("name", "element", "valueUri", p.Property), object("name", "concept", "valueCoding", p.Concept.Value()))))
		}
		if m.Source != "" {
			part.Append(object("name", "source", "valueUri", m.Source))
		}
		list.Append(object("name", "match", "part", part))
	}
	message := ""
	switch {
	case !result && len(all.Needs) > 0:
		message = "A translation depends on further elements, given as dependency: " + strings.Join(unique(all.Needs), ", ") + "."
	case len(all.Needs) > 0:
		message = "Further matches depend on elements that were not given as dependency: " + strings.Join(unique(all.Needs), ", ") + "."
	case !result && len(all.Matches) > 0:
		message = "The map says that there is no such code on the other side."
	case !result:
		message = "No map that was looked at has a translation of the code."
	}
	out := parametersOf("message", message)
	out.Get("parameter").Append(list.Items()...)
	return verdictOf(result, out)
}

// unique are texts, each once, at most ten, in their order.
func unique(texts []string) []string {
	seen := map[string]bool{}
	var out []string
	for _, text := range texts {
		if !seen[text] && len(out) < 10 {
			seen[text] = true
			out = append(out, text)
		}
	}
	return out
}
