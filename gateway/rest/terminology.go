package rest

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"sotesilta/gateway/exchange"
	"sotesilta/gateway/search"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terminology"
)

// Terms are the code systems, value sets and concept maps that are held here; conformance.Terms is the real one.
type Terms interface {
	search.Terms
	// Concept is a code of a code system that is held with its texts; here is false of another system, known of a code
	// that a system held here does not have.
	Concept(system, code string) (c search.Concept, known, here bool)
	// Systems are the code systems that are held, as CodeSystem resources, in the order of their URLs.
	Systems() []*fhir.Value
	// Definition is the CodeSystem, ValueSet or ConceptMap with a canonical URL, or nil.
	Definition(typ, url string) *fhir.Value
	// ConceptMaps are all of them.
	ConceptMaps() []*fhir.Value
}

// Terminology is the terminology operations (FHIR R4 §§ 4.8.17, 4.9.18, 4.10.16): $lookup, $validate-code and $subsumes of
// code systems, $expand and $validate-code of value sets, $translate by concept maps. They answer of what is held, of what
// a resource says that the caller sends or may see here (by its url or at its id), and of others 404 not-supported. Definitions
// tell of nobody, so nothing is recorded but the reading of one that names a client.
func Terminology(desk Desk, terms Terms) []Operation {
	var out []Operation
	for _, o := range []struct {
		typ, name, says, takes string
		instance               bool // at an instance too
		answer                 func(asking) (*fhir.Value, error)
	}{
		{"CodeSystem", "lookup", "What a code means: code and system, or coding.", "code system version coding", false, lookup},
		{
			"CodeSystem", "validate-code", "Whether a code system has a code: url and code, or coding; a codeSystem in the body, or at its id.",
			"url codeSystem version code display coding codeableConcept", true, inSystem,
		},
		{
			"CodeSystem", "subsumes", "How two codes of a code system are related: codeA and codeB with system, or codingA and codingB; or at its id.",
			"codeA codeB system version codingA codingB", true, subsumes,
		},
		{
			"ValueSet", "expand", "The codes of a value set: by url, a valueSet in the body, or at its id; filter, offset, count, includeDesignations, includeDefinition, activeOnly.",
			expandTakes, true, expand,
		},
		{
			"ValueSet", "validate-code", "Whether a value set has a code: code and system, or coding, or codeableConcept; by url, a valueSet in the body, or at its id.",
			"url valueSet valueSetVersion code system systemVersion display coding codeableConcept", true, inSet,
		},
		{
			"ConceptMap", "translate", "What a code is in another system: code and system, coding or codeableConcept; by url, a conceptMap in the body, at its id, or by all of ours (source, target, targetsystem); reverse.",
			"url conceptMap conceptMapVersion code system version source coding codeableConcept target targetsystem reverse dependency", true, translate,
		},
	} {
		takes := map[string]string{}
		for name := range strings.FieldsSeq(o.takes) {
			takes[name] = termNames[name]
		}
		inURL := maps.Clone(takes)
		maps.DeleteFunc(inURL, func(_, member string) bool { return !primitive[member] })
		handle := func(ctx context.Context, c exchange.Caller, id string, in *fhir.Value) (*exchange.Resource, error) {
			if c.Allows == nil || !c.Allows(o.typ, exchange.Read) {
				return nil, exchange.Refuse(exchange.Forbidden, "forbidden", "", "The access token's scopes do not allow reading a "+o.typ+".")
			}
			given, err := termParameters(in, takes)
			if err != nil {
				return nil, err
			}
			doc, err := o.answer(asking{given: given, id: id, vocabulary: &vocabulary{ctx: ctx, caller: c, desk: desk, terms: terms}})
			if err != nil {
				return nil, faulty(err)
			}
			return &exchange.Resource{Type: fhir.ResourceType(doc), Body: doc.JSON()}, nil
		}
		for _, instance := range []bool{false, true} {
			if o.instance || !instance {
				out = append(out, Operation{
					Type: o.typ, Name: o.name, Instance: instance, Documentation: o.says, Asked: inURL,
					Definition: "http://hl7.org/fhir/OperationDefinition/" + o.typ + "-" + o.name, Handle: handle,
				})
			}
		}
	}
	return out
}

// expandTakes are the parameters of ValueSet/$expand.
const expandTakes = "url valueSet valueSetVersion filter offset count includeDesignations includeDefinition activeOnly excludeNested"

// asking is one operation: its parameters, each by its name, and the id of the instance it is asked of.
type asking struct {
	given
	id         string
	vocabulary *vocabulary
}

// given are the parameters of an operation; only dependency may be there several times.
type given map[string][]*fhir.Value

func (g given) value(name string) *fhir.Value {
	if len(g[name]) == 0 {
		return nil
	}
	return g[name][0]
}

func (g given) text(name string) string { return g.value(name).Str() }

// termNames are the parameters with the member that holds the value.
var termNames = map[string]string{
	"code": "valueCode", "system": "valueUri", "version": "valueString", "systemVersion": "valueString", "url": "valueUri",
	"display": "valueString", "coding": "valueCoding", "codeableConcept": "valueCodeableConcept",
	"codeA": "valueCode", "codeB": "valueCode", "codingA": "valueCoding", "codingB": "valueCoding",
	"filter": "valueString", "offset": "valueInteger", "count": "valueInteger", "includeDesignations": "valueBoolean",
	"includeDefinition": "valueBoolean", "activeOnly": "valueBoolean", "excludeNested": "valueBoolean",
	"codeSystem": "resource", "valueSet": "resource", "valueSetVersion": "valueString",
	"conceptMap": "resource", "conceptMapVersion": "valueString", "source": "valueUri", "target": "valueUri",
	"targetsystem": "valueUri", "reverse": "valueBoolean", "dependency": "part",
}

// primitive are the members that GET takes.
var primitive = map[string]bool{"valueCode": true, "valueUri": true, "valueString": true, "valueInteger": true, "valueBoolean": true}

// Bounds of what is asked.
const (
	maxCodings      = 50
	maxDependencies = 20
)

// termParameters reads the parameters that an operation takes.
func termParameters(in *fhir.Value, takes map[string]string) (given, error) {
	if in == nil {
		return given{}, nil
	}
	if fhir.ResourceType(in) != "Parameters" {
		return nil, refuse(http.StatusBadRequest, "structure", "Parameters", "The operation takes Parameters.")
	}
	out := given{}
	for i, p := range in.Get("parameter").Items() {
		place := "Parameters.parameter[" + strconv.Itoa(i) + "]"
		name := p.Text("name")
		member, known := takes[name]
		switch {
		case !known:
			return nil, refuse(http.StatusBadRequest, "not-supported", place, "The parameter "+strconv.Quote(clip(name))+" is not one of those that the operation takes: "+
				strings.Join(slices.Sorted(maps.Keys(takes)), ", ")+".")
		case p.Get(member) == nil:
			return nil, refuse(http.StatusBadRequest, "value", place, "The parameter "+name+" has a "+member+".")
		case out[name] != nil && name != "dependency":
			return nil, refuse(http.StatusBadRequest, "duplicate", place, "The parameter "+name+" is given twice.")
		case len(out[name]) == maxDependencies:
			return nil, refuse(http.StatusBadRequest, "too-costly", place, "At most "+strconv.Itoa(maxDependencies)+" dependencies are looked at.")
		}
		out[name] = append(out[name], p.Get(member))
	}
	return out, nil
}

// codings are the codes asked about: the code with the system that a parameter names, the coding, and those of the concept.
func (g given) codings(system string) ([]terminology.Coded, error) {
	var out []terminology.Coded
	if code := g.text("code"); code != "" {
		if s := g.text(system); s != "" || system != "url" {
			version := g.text("systemVersion") + g.text("version")
			out = append(out, terminology.Coded{Coding: fhir.Coding{System: s, Code: code, Display: g.text("display")}, Version: version})
		}
	}
	list := append([]*fhir.Value{g.value("coding")}, g.value("codeableConcept").Get("coding").Items()...)
	for _, c := range list {
		if c.Text("code") != "" {
			out = append(out, terminology.Coded{
				Coding: fhir.Coding{System: c.Text("system"), Code: c.Text("code"), Display: c.Text("display")}, Version: c.Text("version"),
			})
		}
	}
	if len(out) > maxCodings {
		return nil, refuse(http.StatusBadRequest, "too-costly", "Parameters.parameter", "At most "+strconv.Itoa(maxCodings)+" codings are looked at.")
	}
	return out, nil
}

var (
	needsCode = refuse(http.StatusBadRequest, "required", "Parameters.parameter", "The operation needs a code with its system, or a coding.")
	notHere   = refuse(http.StatusNotFound, "not-supported", "", "The code system, value set or concept map is not held here, or not in that version.")
)

// faulty is an error of terminology as HTTP says it.
func faulty(err error) error {
	var fault *terminology.Fault
	if !errors.As(err, &fault) {
		return err
	}
	status := http.StatusUnprocessableEntity
	switch fault.Code {
	case "not-found":
		status = http.StatusNotFound
	case "too-costly":
		status = http.StatusBadRequest
	}
	return refuse(status, fault.Code, "", fault.Why)
}

// vocabulary finds terminology resources for one operation: ours, and what the caller may see of what is stored here.
type vocabulary struct {
	ctx     context.Context
	caller  exchange.Caller
	desk    Desk
	terms   Terms
	made    int // exchanges with the Desk
	systems map[string]*terminology.CodeSystem
}

var _ terminology.Vocabulary = (*vocabulary)(nil)

// next is the caller of the next exchange with the Desk: each has an id of its own.
func (v *vocabulary) next() exchange.Caller {
	c := v.caller
	c.RequestID = ExchangeID(v.caller.RequestID, v.made)
	v.made++
	return c
}

// at is the resource of a type with an id.
func (v *vocabulary) at(typ, id string) (*fhir.Value, error) {
	kept, err := v.desk.Read(v.ctx, v.next(), typ, id)
	if err != nil {
		return nil, err
	}
	return fhir.Parse(kept.Body, fhir.Limits{})
}

// find is the resource of a type with a canonical URL, in a version unless that is "": ours before all others, so that nobody
// else says what our codes mean. nil: there is none that the caller may see. Several are refused.
func (v *vocabulary) find(typ, url, version string) (*fhir.Value, error) {
	if bare, of, ok := strings.Cut(url, "|"); ok {
		if url = bare; version == "" {
			version = of
		}
	}
	if url == "" {
		return nil, nil
	}
	if own := v.terms.Definition(typ, url); own != nil {
		if version != "" && own.Text("version") != version {
			return nil, nil
		}
		return own, nil
	}
	if v.desk == nil || v.caller.Allows == nil || !v.caller.Allows(typ, exchange.Search) {
		return nil, nil
	}
	where := params{{Name: "url", Value: escaped(url)}, {Name: "_count", Value: "2"}}
	if version != "" {
		where = append(where, search.Pair{Name: "version", Value: escaped(version)})
	}
	q, err := search.Parse(typ, where, search.Options{})
	if err != nil {
		return nil, misunderstood(err)
	}
	page, err := v.desk.Search(v.ctx, v.next(), q)
	switch {
	case err != nil || len(page.Matches) == 0:
		return nil, err
	case len(page.Matches) > 1:
		return nil, refuse(http.StatusPreconditionFailed, "multiple-matches", "", "Several resources of the type "+typ+" have that url: name the version, or ask at the id of one.")
	}
	return fhir.Parse(page.Matches[0].Body, fhir.Limits{})
}

// escaped is a text as a value of a search parameter means it (FHIR R4 § 3.1.1.4.0.4).
func escaped(text string) string {
	return strings.NewReplacer(`\`, `\\`, `,`, `\,`, `$`, `\$`, `|`, `\|`).Replace(text)
}

// meant is the resource that an operation is about: at its id, in the body, or by its url. nil: it is not held.
func (a asking) meant(typ, inBody, version string) (*fhir.Value, error) {
	named := 0
	for _, there := range []bool{a.id != "", a.value(inBody) != nil, a.text("url") != ""} {
		if there {
			named++
		}
	}
	switch {
	case named > 1:
		return nil, refuse(http.StatusBadRequest, "invalid", "Parameters.parameter", "The operation is of one "+typ+": at its id, by url, or in the body.")
	case a.id != "":
		return a.vocabulary.at(typ, a.id)
	case a.value(inBody) != nil:
		if fhir.ResourceType(a.value(inBody)) != typ {
			return nil, refuse(http.StatusBadRequest, "value", "Parameters.parameter", "The parameter "+inBody+" holds a "+typ+".")
		}
		return a.value(inBody), nil
	}
	return a.vocabulary.find(typ, a.text("url"), a.text(version))
}

// CodeSystem implements terminology.Vocabulary. It reads each system once.
func (v *vocabulary) CodeSystem(url, version string) (*terminology.CodeSystem, error) {
	key := url + "|" + version
	if known, looked := v.systems[key]; looked {
		return known, nil
	}
	doc, err := v.find("CodeSystem", url, version)
	if err != nil {
		return nil, err
	}
	var system *terminology.CodeSystem
	if doc != nil {
		system = terminology.ReadCodeSystem(doc)
	}
	if v.systems == nil {
		v.systems = map[string]*terminology.CodeSystem{}
	}
	v.systems[key] = system
	return system, nil
}

// ValueSet implements terminology.Vocabulary.
func (v *vocabulary) ValueSet(canonical string) (*fhir.Value, []terminology.Entry, error) {
	doc, err := v.find("ValueSet", canonical, "")
	if doc != nil || err != nil {
		return doc, nil, err
	}
	if _, version, ok := strings.Cut(canonical, "|"); ok && version != r4Version {
		return nil, nil, nil // what R4 binds is R4's
	}
	members, known := v.terms.Members(canonical)
	if !known {
		return nil, nil, nil
	}
	codes := make([]terminology.Entry, len(members))
	for i, m := range members {
		c, _, _ := v.terms.Concept(m.System, m.Code)
		codes[i] = terminology.Entry{Coding: fhir.Coding{System: m.System, Code: m.Code, Display: c.Display}, Definition: c.Definition}
	}
	return nil, codes, nil
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
