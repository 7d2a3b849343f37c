package search

//go:generate go run ./gen

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"

	"sotesilta/internal/fhir"
)

// definitionBase is where the URLs of the official search parameters begin.
const definitionBase = "http://hl7.org/fhir/SearchParameter/"

// Definition describes a parameter to people and to the CapabilityStatement (rest.resource.searchParam,
// FHIR R4 § 5.1): what may be searched by, how, and where that is defined.
type Definition struct {
	Name          string
	Type          string   // code of search-param-type: token, reference, date, string, uri, quantity, number, composite or special
	URL           string   // canonical URL of the SearchParameter: the official one, or ours
	Documentation string   // what the parameter means for this resource type
	Targets       []string // of a reference: the resource types it may point to
	Modifiers     []string // supported, without the colon; a reference also takes the name of a target type
}

// modifiers are the supported modifiers per type of parameter (FHIR R4 § 3.1.1.4.5).
var modifiers = map[ParamType][]string{
	Token:      {"missing", "not", "text", "in", "not-in", "above", "below"},
	Reference:  {"missing", "identifier"},
	Date:       {"missing"},
	String:     {"missing", "exact", "contains"},
	URI:        {"missing", "above", "below"},
	Quantity:   {"missing"},
	NumberType: {"missing"},
	Composite:  {"missing"},
	Special:    {"missing"},
	Texts:      {"missing", "exact", "contains"},
}

// ofType is the modifier of a parameter that looks into identifiers.
const ofType = "of-type"

var typeNames = [...]string{
	Token: "token", Reference: "reference", Date: "date", String: "string", URI: "uri", Quantity: "quantity",
	NumberType: "number", Composite: "composite", Special: "special", Texts: "texts",
}

// String is the code of t in search-param-type.
func (t ParamType) String() string {
	if t == Texts {
		t = String
	}
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return ""
}

// Params lists the parameters of a resource type, those of every resource included, sorted by name. It is empty for
// an unknown type.
//
// Patient, Person and RelatedPerson have no parameters over address and telecom: these may be withheld from people
// who see the rest (turvakielto, non-disclosure for personal safety), and a search would tell by guessing what is
// never shown.
func Params(typ string) []Definition {
	t := tables()[typ]
	if t == nil {
		return nil
	}
	out := make([]Definition, len(t.entries))
	for i, e := range t.entries {
		out[i] = Definition{
			Name: e.param.Name, Type: e.param.Type.String(), URL: e.url(),
			Documentation: e.documentation, Targets: e.param.Targets, Modifiers: modifiers[e.param.Type],
		}
		switch {
		case e.param.Type == Special:
			out[i].Documentation = nearHelp
		case e.param.Type == Texts:
			out[i].Documentation += "." + textsHelp
		case own(e.param.Name):
			out[i].Modifiers = nil
		case t.ofType[e.param] != nil:
			out[i].Modifiers = append(slices.Clip(out[i].Modifiers), ofType)
		}
	}
	return out
}

// Common lists the parameters of every resource type, sorted by name.
func Common() []Definition {
	common := map[string]bool{}
	for _, e := range readTable(paramsTSV)["Resource"] {
		common[e.param.Name] = true
	}
	return slices.DeleteFunc(Params("Basic"), func(d Definition) bool { return !common[d.Name] })
}

// Lookup is the parameter of a resource type by name, or nil. Equal parameters are the same pointer.
func Lookup(typ, name string) *Param {
	t := tables()[typ]
	if t == nil {
		return nil
	}
	return t.byName[name]
}

// extractionEdition is raised when Extract makes other entries of the same table.
const extractionEdition = 2

// Edition names what Extract makes of a resource: another table or extraction has another. A store whose rows were
// indexed by another edition must index them anew.
var Edition = sync.OnceValue(func() string {
	h := sha256.New()
	fmt.Fprintln(h, extractionEdition)
	section := ""
	for line := range strings.Lines(paramsTSV) {
		if f := strings.Split(line, "\t"); line[0] == '=' {
			section = line
		} else if len(f) == 6 && f[1] != typeNames[Texts] { // the URL of the definition and the documentation change nothing
			fmt.Fprint(h, section)
			fmt.Fprintln(h, f[0], f[1], f[3], f[4])
			section = ""
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
})

// own says whether a parameter is a column of the store rather than a part of the Index.
func own(name string) bool { return name == "_id" || name == "_lastUpdated" }

// table is what is known of one resource type.
type table struct {
	byName  map[string]*Param
	entries []entry
	ofType  map[*Param]*Param // what the modifier of-type of a parameter looks into
	root    node
	hand    []handLeaf
}

type entry struct {
	param                     *Param
	definition, documentation string
	program                   []string
	parts                     []string // of a composite: the names of the parameters of its parts
}

// url is the canonical URL of the definition; that of ours is written whole.
func (e *entry) url() string {
	if strings.Contains(e.definition, "://") {
		return e.definition
	}
	return definitionBase + e.definition
}

//go:embed params.tsv
var paramsTSV string

//go:embed ours.tsv
var oursTSV string

// unnarrated are the types that are no DomainResource (FHIR R4 § 2.28): they have no narrative.
var unnarrated = []string{"Binary", "Bundle", "Parameters"}

// tables are the tables of all resource types by name, made at the first use.
var tables = sync.OnceValue(func() map[string]*table {
	sections, ours := readTable(paramsTSV), readTable(oursTSV)
	common, narrated := sections["Resource"], slices.Concat(sections["Resource"], sections["DomainResource"])
	all := make(map[string]*table, len(fhir.Types()))
	for _, typ := range fhir.Types() {
		t := &table{byName: map[string]*Param{}, ofType: map[*Param]*Param{}}
		if t.entries = narrated; slices.Contains(unnarrated, typ) {
			t.entries = common
		}
		t.entries = slices.Concat(t.entries, sections[typ], ours[typ])
		slices.SortFunc(t.entries, func(a, b entry) int { return strings.Compare(a.param.Name, b.param.Name) })
		for _, e := range t.entries {
			t.byName[e.param.Name] = e.param
		}
		for _, e := range t.entries {
			t.compile(e)
		}
		all[typ] = t
	}
	return all
})

// readTable reads params.tsv. The table is generated and embedded, so a fault in it is a fault of the build: it panics.
func readTable(text string) map[string][]entry {
	everything := fhir.Types()
	sections := map[string][]entry{}
	section := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		if line[0] == '=' {
			section = line[1:]
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) != 6 {
			panic(fmt.Sprintf("search: a table of parameters: %d fields in %q", len(f), line))
		}
		p := &Param{Name: f[0], Type: ParamType(slices.Index(typeNames[:], f[1]))}
		e := entry{param: p, definition: f[2], documentation: f[5], program: strings.Fields(f[4])}
		switch {
		case f[3] == "":
		case p.Type == Composite:
			e.parts = strings.Fields(f[3])
		case f[3] == "*":
			p.Targets = everything
		default:
			p.Targets = strings.Fields(f[3])
		}
		sections[section] = append(sections[section], e)
	}
	return sections
}
