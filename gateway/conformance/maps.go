package conformance

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"

	"sotesilta/consent"
	"sotesilta/consent/directive"
	"sotesilta/consent/ledger"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
	"sotesilta/mappings"
	"sotesilta/mappings/jukola"
)

// hl7v2 begins the canonical URL of the code system of an HL7 v2 table.
const hl7v2 = "http://terminology.hl7.org/CodeSystem/v2-"

// row is a code with what it becomes. equivalence is of concept-map-equivalence: how the target is to the source.
type row struct {
	code, to, display, equivalence string
}

// conceptMaps are the code translations that the gateway works by: those of its lenses and of the law's own words. They are
// made of the very tables that translate, so that they cannot tell anything else.
var conceptMaps = sync.OnceValues(func() ([]*fhir.Value, error) {
	lenses, err := jukola.Lenses()
	if err != nil {
		return nil, err
	}
	var out []*fhir.Value
	for _, lens := range lenses {
		for _, m := range lens.CodeMaps() {
			out = append(out, lensMaps(m)...)
		}
	}
	var purposes []row
	for purpose, reason := range ledger.Reasons() {
		purposes = append(purposes, row{string(purpose), reason, "", "equivalent"})
	}
	var directions []row
	for direction, basis := range directive.PermitBases() {
		directions = append(directions, row{direction, basis, "", "equivalent"})
	}
	return append(out,
		conceptMap("purpose-of-use", "1", "Käyttötarkoitus HL7:n koodeina",
			"Purposes of access tokens as HL7 v3 purposes of use, as AuditEvents tell them; a purpose of Finnish law alone has none.",
			terms.Purpose, ledger.PurposeOfUse, purposes),
		conceptMap("permit-direction", "1", "Luovutusluvan suunta ja sen oikeusperuste",
			"The provision by which a permit of each direction opens data ("+string(consent.Permit)+" in Consent.category).",
			terms.PermitCategory, terms.LegalBasis, directions),
	), nil
})

// lensMaps are a lens's code map as ConceptMaps, one for each way that the lens takes. A row that has no way back of its own
// goes to a wider code.
func lensMaps(m mappings.CodeMap) []*fhir.Value {
	table := hl7v2 + m.Table
	id := m.Lens + "-" + m.Name
	about := "By the lens " + m.Lens + ": "
	var in, out []row
	for _, r := range m.Rows {
		equivalence := "equivalent"
		if !r.In || !r.Out {
			equivalence = "wider"
		}
		if r.In {
			in = append(in, row{r.At, r.To, r.Display, equivalence})
		}
		if r.Out {
			out = append(out, row{r.To, r.At, "", equivalence})
		}
	}
	var told []*fhir.Value
	if m.In {
		told = append(told, conceptMap(id, m.Version, "HL7 v2 "+m.Table+" → FHIR: "+m.Name, about+"codes of HL7 v2 table "+m.Table+" in messages that come in.", table, m.System, in))
	}
	if m.Out {
		if m.In {
			id += "-out"
		}
		told = append(told, conceptMap(id, m.Version, "FHIR → HL7 v2 "+m.Table+": "+m.Name, about+"codes in HL7 v2 table "+m.Table+" of messages that go out.", m.System, table, out))
	}
	return told
}

// conceptMap is a ConceptMap of one group. Codes of ours get the texts of their systems.
func conceptMap(id, version, title, about, source, target string, rows []row) *fhir.Value {
	text := func(name, value string) fhir.Member { return fhir.Member{Name: name, Value: fhir.NewString(value)} }
	concept := func(system, code, display string) []fhir.Member {
		known, _, _ := Terms{}.Concept(system, code)
		members := []fhir.Member{text("code", code)}
		if display = cmp.Or(display, known.Display); display != "" {
			members = append(members, text("display", display))
		}
		return members
	}
	byCode := map[string][]row{}
	for _, r := range rows {
		byCode[r.code] = append(byCode[r.code], r)
	}
	elements := fhir.NewArray()
	for _, code := range slices.Sorted(maps.Keys(byCode)) {
		targets := fhir.NewArray()
		for _, r := range byCode[code] {
			targets.Append(fhir.NewObject(append(concept(target, r.to, r.display), text("equivalence", r.equivalence))...))
		}
		elements.Append(fhir.NewObject(append(concept(source, code, ""), fhir.Member{Name: "target", Value: targets})...))
	}
	return fhir.NewObject(
		text("resourceType", "ConceptMap"), text("id", id), text("url", terms.Base+"ConceptMap/"+id), text("version", version),
		text("name", camel(id)), text("title", title), text("status", "active"),
		fhir.Member{Name: "experimental", Value: fhir.NewBool(false)},
		text("date", released), text("publisher", "Hyvinvointialue"), text("description", about),
		text("sourceUri", allCodes(source)), text("targetUri", allCodes(target)),
		fhir.Member{Name: "group", Value: fhir.NewArray(fhir.NewObject(
			text("source", source), text("target", target), fhir.Member{Name: "element", Value: elements},
		))},
	)
}

// released is the date of what is made of tables.
const released = "2026-11-22"

// allCodes is the value set of all codes of a code system, as HL7 and we name it.
func allCodes(system string) string {
	if strings.Contains(system, "/CodeSystem/") {
		return strings.Replace(system, "/CodeSystem/", "/ValueSet/", 1)
	}
	return strings.Replace(system, "http://hl7.org/fhir/", "http://hl7.org/fhir/ValueSet/", 1)
}

// camel is an id as a name for programs.
func camel(id string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(id, "-") {
		if part != "" {
			b.WriteString(strings.ToUpper(part[:1]) + part[1:])
		}
	}
	return b.String()
}
