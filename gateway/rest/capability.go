package rest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sotesilta/gateway/exchange"
	"sotesilta/gateway/search"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

// deviations are where this service differs from what FHIR and IPA let expect, because the law or its safety asks it.
const deviations = "Every interaction needs a SMART scope and a legal basis (Act 703/2023). " +
	"What is denied is answered exactly as what is absent: 404, empty searches, totals and links without it. " +
	"Personal identity codes are taken in bodies only: POST [type]/_search and POST Patient/$match; a URL or header with one is refused (400). " +
	"Unknown search parameters and modifiers are refused (400) unless Prefer: handling=lenient asks to have parameters left out. " +
	"There is no update-as-create: PUT to an id that the caller cannot see is 405, whether it exists or not, and so is a conditional update without a match; PATCH of one is 404, DELETE of one 204. " +
	"Conditions of creates, updates, patches, deletes and references (these in transactions only) match what the caller may see, and are refused when several match. " +
	"implicitRules are refused (422), and so is a modifierExtension in what gives rights or moves the process; elsewhere it is kept. " +
	"Patients have no search parameters on address and telecom, which may be withheld for personal safety. " +
	"Labels of registers in meta.security are set by the gateway; those that a client sends are dropped. " +
	"A search across types names them in _type. " +
	"$meta is of an instance: of a type or the system it would tell what rows of all clients within reach have in common, which nobody asked for, at the price of looking at every one of them. " +
	"self and next links are opaque and of use to their receiver only."

// searching is what a search may ask beyond the parameters that each type lists; the bounds are those of gateway/search.
func (s *server) searching() string {
	return fmt.Sprintf("Every type that is searched, AuditEvent apart, takes _sort (up to %d keys), _count (50 rows a page unless it says otherwise, 500 at most, and no more than %d MB of them), "+
		"_total=accurate (totals are not counted unless asked for), _summary, _elements (of matches), _include and _revinclude (%d together, :iterate and the wildcard Type:* too; an entry of mode outcome says so when a page would take more than it includes), "+
		"_list=id (what a List names), "+
		"_has and chained parameters (%d references deep), by GET [type]?… and by POST [type]/_search with the parameters in a form body, both within a compartment too (GET Patient/[id]/[type]?…); AuditEvent takes "+
		"its own parameters, each once, _sort by date, _count, _total and _summary=count. "+
		"A search across types (GET [base]?_type=Task,CarePlan&…, POST [base]/_search, and of a compartment GET Patient/[id]/*?_type=…) takes the same, with the parameters and sort keys that all its types have. "+
		"A search has at most %d parameters, %d values together and %d bytes a value; a resource at most %s, a batch or transaction %s and %d entries. "+
		"A batch takes operations, metadata and the history of the system as requests of their own do, a transaction those that only read. "+
		"Reads, histories and $everything take _summary and _elements as well; mandatory elements and modifiers are always there, and what is left out is told by the tag SUBSETTED. _text and _content narrow a search whose other parameters leave at most %d resources, or %d MB of them, to look for words in; they do not chain or sort. _filter, _query and _contained other than false are refused like every unknown parameter. "+
		"in, not-in, above and below of a token know the code systems and value sets held here and those that R4 binds as required; others are refused. ",
		search.MaxSortKeys, exchange.PageBytes>>20, search.MaxIncludes, search.MaxDepth, search.MaxParameters, search.MaxValues, search.MaxValueLength,
		size(s.Limits.Body), size(s.Limits.Bundle), s.Limits.Entries, exchange.MaxTexts, exchange.TextBytes>>20)
}

const description = "Sotesilta, the bridge between social and health care: a gateway that carries the joint client's process between systems and " +
	"decides and records every exchange on its legal basis."

// describe makes the CapabilityStatement out of what is registered.
func (s *server) describe() *fhir.Value {
	return object(
		"resourceType", "CapabilityStatement",
		"url", terms.Base+"CapabilityStatement/gateway",
		"version", s.Version,
		"name", "Sotesilta",
		"title", "Sotesilta integration gateway",
		"status", "active",
		"date", fhir.Instant(s.released()),
		"publisher", "Sotesilta",
		"description", description,
		"kind", "instance",
		"software", object("name", "Sotesilta", "version", s.Version, "releaseDate", instantOrNone(s.Released)),
		"implementation", object("description", "The gateway at "+s.Base, "url", s.Base),
		"fhirVersion", r4Version,
		"format", texts(formats()...),
		"patchFormat", texts(patchFormats()...),
		"rest", fhir.NewArray(object(
			"mode", "server",
			"documentation", deviations+" "+s.searching(),
			"security", s.security(),
			"resource", s.resources(),
			"interaction", fhir.NewArray(object("code", "transaction"), object("code", "batch"), object("code", string(exchange.HistorySystem)), object("code", string(exchange.SearchSystem))),
			"searchParam", s.acrossParams(),
			"compartment", s.compartments(),
		)),
	)
}

// released is when this software was, or now where nobody knows.
func (s *server) released() time.Time {
	if s.Released.IsZero() {
		return time.Now()
	}
	return s.Released
}

// security names the way to a token: SMART Backend Services (extension oauth-uris of SMART App Launch).
func (s *server) security() *fhir.Value {
	var uris *fhir.Value
	if s.TokenURL != "" {
		uris = fhir.NewArray(object(
			"url", "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris",
			"extension", fhir.NewArray(object("url", "token", "valueUri", s.TokenURL)),
		))
	}
	return object(
		"extension", uris,
		"service", fhir.NewArray(object("coding", fhir.NewArray(object(
			"system", "http://terminology.hl7.org/CodeSystem/restful-security-service",
			"code", "SMART-on-FHIR",
			"display", "SMART-on-FHIR",
		)))),
		"description", "SMART Backend Services: client_credentials with a private_key_jwt assertion (ES384 or RS384) that carries "+
			"the IHE IUA claims of the user; scopes are system/… of SMART v2.",
	)
}

// compartments are the canonical URLs of the official CompartmentDefinitions of the types that are served; the last part
// of each is the type with a small letter at first.
func (s *server) compartments() *fhir.Value {
	var urls []string
	for _, of := range search.Compartments() {
		if s.types[of] != nil {
			urls = append(urls, "http://hl7.org/fhir/CompartmentDefinition/"+strings.ToLower(of[:1])+of[1:])
		}
	}
	return orNone(texts(urls...))
}

func (s *server) resources() *fhir.Value {
	out := fhir.NewArray()
	for _, t := range s.Types {
		out.Append(s.resource(t))
	}
	return out
}

func (s *server) resource(t Type) *fhir.Value {
	known := s.types[t.Name]
	interactions := fhir.NewArray()
	for _, i := range ReadWrite { // in the order of the value set, whatever that of the configuration
		if known.allows[i] {
			interactions.Append(object("code", string(i)))
		}
	}
	r := object(
		"type", t.Name,
		"supportedProfile", orNone(texts(t.Profiles...)),
		"documentation", t.Documentation,
		"interaction", orNone(interactions),
		"versioning", "versioned",
		"readHistory", known.allows[exchange.VRead],
		"updateCreate", false,
		"conditionalCreate", known.allows[exchange.Create],
		"conditionalRead", conditionalRead(known),
		"conditionalUpdate", known.allows[exchange.Update],
		"conditionalDelete", conditionalDelete(known),
		"referencePolicy", texts("literal", "local"),
	)
	if known.allows[exchange.Search] {
		includes, revIncludes := s.includes(t)
		if len(includes) > 0 { // a wildcard that could follow nothing is refused
			includes = append(includes, "*", t.Name+":*")
		}
		r.Set("searchInclude", orNone(texts(includes...)))
		r.Set("searchRevInclude", orNone(texts(revIncludes...)))
		r.Set("searchParam", orNone(searchParams(t)))
	}
	operations := fhir.NewArray()
	for _, op := range s.Operations {
		twin := op.Instance && s.types[t.Name].operations[op.Name] != nil // one word for both addresses
		if op.Type == t.Name && !twin {
			operations.Append(object("name", op.Name, "definition", op.Definition, "documentation", op.Documentation))
		}
	}
	for _, op := range Own([]Type{t}) {
		operations.Append(object("name", op.Name, "definition", op.Definition, "documentation", op.Documentation))
	}
	r.Set("operation", orNone(operations))
	return r
}

// conditionalRead is Resource.conditionalRead: If-None-Match and If-Modified-Since, where there is a read.
func conditionalRead(known *registered) string {
	if known.allows[exchange.Read] {
		return "full-support"
	}
	return "not-supported"
}

// conditionalDelete is Resource.conditionalDelete: several matches are never deleted at once.
func conditionalDelete(known *registered) string {
	if known.allows[exchange.Delete] {
		return "single"
	}
	return "not-supported"
}

// includes are the values of _include and _revinclude for a type, between registered types.
func (s *server) includes(of Type) (includes, revIncludes []string) {
	if of.Params != nil {
		return nil, nil
	}
	typ := of.Name
	for _, other := range s.Types {
		if other.Params != nil {
			continue
		}
		for _, param := range search.Params(other.Name) {
			if param.Type != "reference" {
				continue
			}
			if other.Name == typ && slices.ContainsFunc(param.Targets, func(t string) bool { return s.types[t] != nil }) {
				includes = append(includes, typ+":"+param.Name)
			}
			if slices.Contains(param.Targets, typ) {
				revIncludes = append(revIncludes, other.Name+":"+param.Name)
			}
		}
	}
	return includes, revIncludes
}

// acrossParams are the parameters of a search across whatever types: those of every resource, and _type.
func (s *server) acrossParams() *fhir.Value {
	out := fhir.NewArray(object("name", "_type", "type", "special", "documentation",
		"The types that are searched, separated by commas: at most "+strconv.Itoa(search.MaxTypes)+". Those that all of them have are search parameters as well, such as patient."))
	for _, param := range search.Common() {
		documentation := sentence(param.Documentation)
		if len(param.Modifiers) > 0 {
			documentation += "Modifiers: " + strings.Join(param.Modifiers, ", ") + "."
		}
		out.Append(object("name", param.Name, "definition", param.URL, "type", param.Type, "documentation", documentation))
	}
	return out
}

func searchParams(t Type) *fhir.Value {
	out := fhir.NewArray()
	for _, param := range search.Params(t.Name) {
		if t.Params != nil && !slices.Contains(t.Params, param.Name) {
			continue
		}
		documentation, modifiers := param.Documentation, param.Modifiers
		if t.Params != nil {
			modifiers = t.Modifiers[param.Name]
		}
		if len(modifiers) > 0 {
			documentation = sentence(documentation) + "Modifiers: " + strings.Join(modifiers, ", ") + "."
		}
		out.Append(object("name", param.Name, "definition", param.URL, "type", param.Type, "documentation", documentation))
	}
	return out
}

// sentence ends a text with a full stop and a space, so that another sentence may follow; an empty text stays empty.
func sentence(text string) string {
	text = strings.TrimSpace(text)
	if text == "" {
		return ""
	}
	if !strings.ContainsAny(text[len(text)-1:], ".!?") {
		text += "."
	}
	return text + " "
}

// object is an object of names and values in turn; values are string, bool or *fhir.Value, and empty ones are left out.
func object(namesAndValues ...any) *fhir.Value {
	o := fhir.NewObject()
	for i := 0; i < len(namesAndValues); i += 2 {
		name := namesAndValues[i].(string)
		switch value := namesAndValues[i+1].(type) {
		case string:
			if value != "" {
				o.Set(name, fhir.NewString(value))
			}
		case bool:
			o.Set(name, fhir.NewBool(value))
		case *fhir.Value:
			o.Set(name, value)
		}
	}
	return o
}

func texts(items ...string) *fhir.Value {
	out := fhir.NewArray()
	for _, item := range items {
		out.Append(fhir.NewString(item))
	}
	return out
}

// orNone is an array, or nil if it is empty: FHIR has no empty arrays.
func orNone(array *fhir.Value) *fhir.Value {
	if len(array.Items()) == 0 {
		return nil
	}
	return array
}

func instantOrNone(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return fhir.Instant(t)
}
