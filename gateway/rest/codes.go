package rest

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"
	"time"

	"sotesilta/gateway/search"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terminology"
)

// maxExpansion bounds what $expand answers at once.
const maxExpansion = 1000

// lookup is CodeSystem/$lookup.
func lookup(a asking) (*fhir.Value, error) {
	asked, err := a.codings("system")
	if err != nil {
		return nil, err
	}
	if len(asked) != 1 || asked[0].System == "" {
		return nil, needsCode
	}
	system, err := a.vocabulary.CodeSystem(asked[0].System, asked[0].Version)
	if err != nil {
		return nil, err
	}
	if system == nil {
		return nil, notHere
	}
	c, known := system.Find(asked[0].Code)
	if !known {
		return nil, refuse(http.StatusNotFound, "not-found", "", "The code system has no such code.")
	}
	out := parametersOf("name", system.Name, "version", system.Version, "display", c.Display)
	for _, d := range c.Designations {
		part := fhir.NewArray()
		for _, m := range []struct{ name, member string }{{"language", "valueCode"}, {"use", "valueCoding"}, {"value", "valueString"}} {
			if v := d.Get(m.name); v != nil {
				part.Append(object("name", m.name, m.member, v))
			}
		}
		out.Get("parameter").Append(object("name", "designation", "part", part))
	}
	if c.Definition != "" {
		out.Get("parameter").Append(object("name", "property", "part", fhir.NewArray(
			object("name", "code", "valueCode", "definition"), object("name", "value", "valueString", c.Definition))))
	}
	return out, nil
}

// inSystem is CodeSystem/$validate-code.
func inSystem(a asking) (*fhir.Value, error) {
	asked, err := a.codings("url")
	if err != nil {
		return nil, err
	}
	var system *terminology.CodeSystem
	if a.id != "" || a.value("codeSystem") != nil {
		doc, err := a.meant("CodeSystem", "codeSystem", "version")
		if err != nil {
			return nil, err
		}
		system = terminology.ReadCodeSystem(doc)
		if code := a.text("code"); code != "" {
			asked = append(asked, terminology.Coded{Coding: fhir.Coding{System: system.URL, Code: code, Display: a.text("display")}})
		}
	}
	if len(asked) != 1 || system == nil && asked[0].System == "" {
		return nil, needsCode
	}
	if system == nil {
		if system, err = a.vocabulary.CodeSystem(asked[0].System, asked[0].Version); err != nil {
			return nil, err
		}
	}
	switch {
	case system == nil:
		return nil, notHere
	case asked[0].System != system.URL:
		return verdict(false, "The coding is of another code system.", "", ""), nil
	}
	c, known := system.Find(asked[0].Code)
	if !known && !system.Complete {
		return nil, refuse(http.StatusUnprocessableEntity, "not-supported", "", "The code is not in the part of the code system that is held here.")
	}
	return verdict(known, "There is no such code.", asked[0].Display, c.Display), nil
}

// subsumes is CodeSystem/$subsumes.
func subsumes(a asking) (*fhir.Value, error) {
	const both = "$subsumes needs codeA and codeB with their system, or codingA and codingB of one system."
	url := a.text("system")
	codes := [2]string{a.text("codeA"), a.text("codeB")}
	version := a.text("version")
	for i, name := range []string{"codingA", "codingB"} {
		coding := a.value(name)
		if coding == nil {
			continue
		}
		if codes[i] != "" || url != "" && coding.Text("system") != url {
			return nil, refuse(http.StatusBadRequest, "invalid", "Parameters.parameter", both)
		}
		url, codes[i] = coding.Text("system"), coding.Text("code")
		if version == "" {
			version = coding.Text("version")
		}
	}
	if codes[0] == "" || codes[1] == "" || url == "" && a.id == "" {
		return nil, refuse(http.StatusBadRequest, "required", "Parameters.parameter", both)
	}
	var system *terminology.CodeSystem
	if a.id != "" {
		doc, err := a.vocabulary.at("CodeSystem", a.id)
		if err != nil {
			return nil, err
		}
		if system = terminology.ReadCodeSystem(doc); url != "" && url != system.URL {
			return nil, refuse(http.StatusBadRequest, "invalid", "Parameters.parameter", both)
		}
	} else {
		var err error
		if system, err = a.vocabulary.CodeSystem(url, version); err != nil {
			return nil, err
		}
	}
	if system == nil {
		return nil, notHere
	}
	outcome, err := system.Subsumption(codes[0], codes[1])
	if err != nil {
		return nil, err
	}
	return object("resourceType", "Parameters", "parameter", fhir.NewArray(object("name", "outcome", "valueCode", outcome))), nil
}

// members are the value set that is asked about, with its codes; doc is nil of one that is held without its resource.
func (a asking) members() (doc *fhir.Value, entries []terminology.Entry, err error) {
	if a.id == "" && a.value("valueSet") == nil && a.text("url") == "" {
		return nil, nil, refuse(http.StatusBadRequest, "required", "Parameters.parameter", "The operation needs a value set: its url, a valueSet, or the address of one.")
	}
	if doc, err = a.meant("ValueSet", "valueSet", "valueSetVersion"); err != nil {
		return nil, nil, err
	}
	if doc != nil {
		entries, err = terminology.Expand(doc, a.vocabulary)
		return doc, entries, err
	}
	canonical := a.text("url")
	if version := a.text("valueSetVersion"); version != "" {
		bare, _, _ := strings.Cut(canonical, "|")
		canonical = bare + "|" + version
	}
	_, entries, err = a.vocabulary.ValueSet(canonical)
	if err == nil && entries == nil {
		err = notHere
	}
	return nil, entries, err
}

// inSet is ValueSet/$validate-code.
func inSet(a asking) (*fhir.Value, error) {
	asked, err := a.codings("system")
	if err != nil {
		return nil, err
	}
	if len(asked) == 0 || a.text("code") != "" && a.text("system") == "" { // false would be taken for a word about the code
		return nil, refuse(http.StatusBadRequest, "required", "Parameters.parameter", "The operation needs a code with its system, a coding or a codeableConcept.")
	}
	_, entries, err := a.members()
	if err != nil {
		return nil, err
	}
	for _, of := range asked {
		for _, m := range entries {
			if m.Code == of.Code && m.System == of.System {
				return verdict(true, "", of.Display, m.Display), nil
			}
		}
	}
	return verdict(false, "There is no such code in the value set.", "", ""), nil
}

// verdict is the answer of $validate-code; a display that is not the code's own makes it false.
func verdict(known bool, why, said, display string) *fhir.Value {
	message := ""
	switch {
	case !known:
		message = why
	case said != "" && display != "" && !strings.EqualFold(said, display):
		known, message = false, "The code has another display."
	}
	return verdictOf(known, parametersOf("message", message, "display", display))
}

// verdictOf puts a result before other parameters.
func verdictOf(result bool, more *fhir.Value) *fhir.Value {
	list := fhir.NewArray(object("name", "result", "valueBoolean", result))
	list.Append(more.Get("parameter").Items()...)
	more.Set("parameter", list)
	return more
}

// expand is ValueSet/$expand: a page of the codes, flat.
func expand(a asking) (*fhir.Value, error) {
	offset, count := wholeOr(a.value("offset"), 0), min(wholeOr(a.value("count"), maxExpansion), maxExpansion)
	if offset < 0 || count < 0 {
		return nil, refuse(http.StatusBadRequest, "value", "Parameters.parameter", "offset and count are whole numbers from 0.")
	}
	doc, entries, err := a.members()
	if err != nil {
		return nil, err
	}
	filter, total := search.Fold(a.text("filter")), 0
	contains := fhir.NewArray()
	for _, m := range entries {
		if a.value("activeOnly").True() && m.Inactive ||
			filter != "" && !strings.Contains(search.Fold(m.Code), filter) && !strings.Contains(search.Fold(m.Display), filter) {
			continue
		}
		if total++; total <= offset || len(contains.Items()) == count {
			continue
		}
		item := object("system", m.System, "code", m.Code, "display", m.Display)
		if m.Inactive {
			item.Set("inactive", fhir.NewBool(true))
		}
		if a.value("includeDefinition").True() && m.Definition != "" {
			item.Set("extension", fhir.NewArray(object("url", definitionOf, "valueString", m.Definition)))
		}
		if a.value("includeDesignations").True() && len(m.Designations) > 0 {
			item.Set("designation", fhir.NewArray(m.Designations...))
		}
		contains.Append(item)
	}
	url, version, _ := strings.Cut(a.text("url"), "|")
	version = cmp.Or(a.text("valueSetVersion"), version)
	out := object("resourceType", "ValueSet", "url", url, "version", version, "status", "active")
	for _, name := range []string{"url", "version", "name", "title", "status"} {
		if text := doc.Text(name); text != "" {
			out.Set(name, fhir.NewString(text))
		}
	}
	identifier := out.Text("url")
	if identifier == "" {
		identifier = "urn:uuid:" + a.vocabulary.caller.RequestID
	}
	parameters := fhir.NewArray()
	for _, name := range []string{"filter", "offset", "count", "activeOnly", "includeDesignations", "includeDefinition"} {
		if v := a.value(name); v != nil {
			parameters.Append(object("name", name, termNames[name], v))
		}
	}
	out.Set("expansion", object(
		"identifier", identifier, "timestamp", fhir.Instant(time.Now()),
		"total", fhir.NewNumber(strconv.Itoa(total)), "offset", fhir.NewNumber(strconv.Itoa(offset)),
		"parameter", orNone(parameters), "contains", orNone(contains),
	))
	return out, nil
}

// definitionOf is the extension that tells a concept's definition in an expansion (FHIR R4, valueset-concept-definition).
const definitionOf = "http://hl7.org/fhir/StructureDefinition/valueset-concept-definition"
