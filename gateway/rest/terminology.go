package rest

import (
	"context"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"sotesilta/gateway/exchange"
	"sotesilta/gateway/search"
	"sotesilta/internal/fhir"
)

// Terms are the code systems and value sets that the terminology operations answer of; conformance.Terms is the real one.
type Terms interface {
	search.Terms
	// Concept is a code of a code system that is held with its texts; held is false of another system, known of a code
	// that a held system does not have.
	Concept(system, code string) (c search.Concept, known, held bool)
	// Systems are the code systems that are held, as CodeSystem resources, in the order of their URLs.
	Systems() []*fhir.Value
}

// maxExpansion bounds what $expand answers at once.
const maxExpansion = 1000

// Terminology is the terminology operations (FHIR R4 §§ 4.8.17, 4.9.18) on what is held: $lookup and $validate-code of
// code systems, $expand and $validate-code of value sets. Of others they answer 404 not-supported. Definitions tell of
// nobody, so nothing is recorded.
func Terminology(held Terms) []Operation {
	t := terminology{held}
	var out []Operation
	for _, o := range []struct {
		typ, name, says string
		answer          func(map[string]*fhir.Value) (*fhir.Value, error)
	}{
		{"CodeSystem", "lookup", "What a code of a code system of ours means: code and system, or coding.", t.lookup},
		{"CodeSystem", "validate-code", "Whether a code system of ours has a code: url and code, or coding.", t.inSystem},
		{"ValueSet", "expand", "The codes of a value set of ours or of a required binding of R4: url, filter, offset and count.", t.expand},
		{"ValueSet", "validate-code", "Whether a value set has a code: url, code and system, or coding, or codeableConcept.", t.inSet},
	} {
		out = append(out, Operation{
			Type: o.typ, Name: o.name, Documentation: o.says, Asked: termsInURL,
			Definition: "http://hl7.org/fhir/OperationDefinition/" + o.typ + "-" + o.name,
			Handle: func(_ context.Context, c exchange.Caller, _ string, in *fhir.Value) (*exchange.Resource, error) {
				if c.Allows == nil || !c.Allows(o.typ, exchange.Read) {
					return nil, exchange.Refuse(exchange.Forbidden, "forbidden", "", "The access token's scopes do not allow reading a "+o.typ+".")
				}
				given, err := termParameters(in)
				if err != nil {
					return nil, err
				}
				doc, err := o.answer(given)
				if err != nil {
					return nil, err
				}
				return &exchange.Resource{Type: fhir.ResourceType(doc), Body: doc.JSON()}, nil
			},
		})
	}
	return out
}

type terminology struct{ held Terms }

// termNames are the parameters that are understood, with the member that holds the value.
var termNames = map[string]string{
	"code": "valueCode", "system": "valueUri", "url": "valueUri", "display": "valueString", "coding": "valueCoding",
	"codeableConcept": "valueCodeableConcept", "filter": "valueString", "offset": "valueInteger", "count": "valueInteger",
}

// termsInURL are those that are primitive, which GET takes.
var termsInURL = func() map[string]string {
	out := maps.Clone(termNames)
	maps.DeleteFunc(out, func(_, member string) bool { return member == "valueCoding" || member == "valueCodeableConcept" })
	return out
}()

// termParameters reads the parameters, each once.
func termParameters(in *fhir.Value) (map[string]*fhir.Value, error) {
	const place = "Parameters.parameter"
	if fhir.ResourceType(in) != "Parameters" {
		return nil, refuse(http.StatusBadRequest, "structure", "Parameters", "The operation takes Parameters.")
	}
	out := map[string]*fhir.Value{}
	for _, p := range in.Get("parameter").Items() {
		name := p.Text("name")
		member, known := termNames[name]
		switch {
		case !known:
			return nil, refuse(http.StatusBadRequest, "not-supported", place, "A parameter is not known here. [base]/metadata tells what the operation takes.")
		case p.Get(member) == nil:
			return nil, refuse(http.StatusBadRequest, "value", place, "The parameter "+name+" has a "+member+".")
		case out[name] != nil:
			return nil, refuse(http.StatusBadRequest, "duplicate", place, "The parameter "+name+" is given twice.")
		}
		out[name] = p.Get(member)
	}
	return out, nil
}

// codings are the codes asked about.
func codings(given map[string]*fhir.Value, system string) []fhir.Coding {
	var out []fhir.Coding
	if code := given["code"].Str(); code != "" {
		if s := given[system].Str(); s != "" || system != "url" {
			out = append(out, fhir.Coding{System: s, Code: code, Display: given["display"].Str()})
		}
	}
	list := append([]*fhir.Value{given["coding"]}, given["codeableConcept"].Get("coding").Items()...)
	for _, c := range list {
		if c.Text("code") != "" {
			out = append(out, fhir.Coding{System: c.Text("system"), Code: c.Text("code"), Display: c.Text("display")})
		}
	}
	return out
}

var (
	needsCode = refuse(http.StatusBadRequest, "required", "Parameters.parameter", "The operation needs a code with its system, or a coding.")
	notHeld   = refuse(http.StatusNotFound, "not-supported", "", "The code system or value set is not held here.")
)

func (t terminology) lookup(given map[string]*fhir.Value) (*fhir.Value, error) {
	asked := codings(given, "system")
	if len(asked) != 1 || asked[0].System == "" {
		return nil, needsCode
	}
	c, known, held := t.held.Concept(asked[0].System, asked[0].Code)
	switch {
	case !held:
		return nil, notHeld
	case !known:
		return nil, refuse(http.StatusNotFound, "not-found", "", "The code system has no such code.")
	}
	out := parametersOf("name", c.Name, "version", c.Version, "display", c.Display)
	if c.Definition != "" {
		out.Get("parameter").Append(object("name", "property", "part", fhir.NewArray(
			object("name", "code", "valueCode", "definition"), object("name", "value", "valueString", c.Definition))))
	}
	return out, nil
}

func (t terminology) inSystem(given map[string]*fhir.Value) (*fhir.Value, error) {
	asked := codings(given, "url")
	if len(asked) != 1 || asked[0].System == "" {
		return nil, needsCode
	}
	c, known, held := t.held.Concept(asked[0].System, asked[0].Code)
	if !held {
		return nil, notHeld
	}
	return verdict(known, asked[0].Display, c.Display), nil
}

func (t terminology) inSet(given map[string]*fhir.Value) (*fhir.Value, error) {
	asked := codings(given, "system")
	if len(asked) == 0 || given["url"].Str() == "" {
		return nil, refuse(http.StatusBadRequest, "required", "Parameters.parameter", "The operation needs the url of a value set and a code, coding or codeableConcept.")
	}
	members, held := t.held.Members(given["url"].Str())
	if !held {
		return nil, notHeld
	}
	for _, a := range asked {
		for _, m := range members {
			if m.Code == a.Code && m.System == a.System {
				c, _, _ := t.held.Concept(m.System, m.Code)
				return verdict(true, a.Display, c.Display), nil
			}
		}
	}
	return verdict(false, "", ""), nil
}

// verdict is the answer of $validate-code; a display that is not the code's own makes it false.
func verdict(known bool, said, display string) *fhir.Value {
	message := ""
	switch {
	case !known:
		message = "There is no such code."
	case said != "" && display != "" && !strings.EqualFold(said, display):
		known, message = false, "The code has another display."
	}
	out := parametersOf("message", message, "display", display)
	result := fhir.NewArray(object("name", "result", "valueBoolean", known))
	result.Append(out.Get("parameter").Items()...)
	out.Set("parameter", result)
	return out
}

func (t terminology) expand(given map[string]*fhir.Value) (*fhir.Value, error) {
	url := given["url"].Str()
	if url == "" {
		return nil, refuse(http.StatusBadRequest, "required", "Parameters.parameter", "$expand needs the url of a value set.")
	}
	members, held := t.held.Members(url)
	if !held {
		return nil, notHeld
	}
	offset, count := wholeOr(given["offset"], 0), min(wholeOr(given["count"], maxExpansion), maxExpansion)
	if offset < 0 || count < 0 {
		return nil, refuse(http.StatusBadRequest, "value", "Parameters.parameter", "offset and count are whole numbers from 0.")
	}
	filter, total := search.Fold(given["filter"].Str()), 0
	contains := fhir.NewArray()
	for _, m := range members {
		c, _, _ := t.held.Concept(m.System, m.Code)
		if filter != "" && !strings.Contains(search.Fold(m.Code), filter) && !strings.Contains(search.Fold(c.Display), filter) {
			continue
		}
		if total++; total > offset && len(contains.Items()) < count {
			contains.Append(object("system", m.System, "code", m.Code, "display", c.Display))
		}
	}
	return object("resourceType", "ValueSet", "url", url, "status", "active", "expansion", object(
		"identifier", url, "timestamp", fhir.Instant(time.Now()),
		"total", fhir.NewNumber(strconv.Itoa(total)), "offset", fhir.NewNumber(strconv.Itoa(offset)),
		"contains", orNone(contains),
	)), nil
}

// wholeOr is a whole number, or what is meant where there is none.
func wholeOr(v *fhir.Value, otherwise int) int {
	if v == nil {
		return otherwise
	}
	n, err := strconv.Atoi(v.Str())
	if err != nil {
		return -1
	}
	return n
}

// parametersOf is Parameters of texts: names and values in turn, empty ones left out.
func parametersOf(namesAndTexts ...string) *fhir.Value {
	list := fhir.NewArray()
	for i := 0; i < len(namesAndTexts); i += 2 {
		if namesAndTexts[i+1] != "" {
			list.Append(object("name", namesAndTexts[i], "valueString", namesAndTexts[i+1]))
		}
	}
	return object("resourceType", "Parameters", "parameter", list)
}
