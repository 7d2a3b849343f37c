package rest

import (
	"net/http"
	"slices"
	"strings"
	"sync"

	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

// getMetadata answers the CapabilityStatement, or the TerminologyCapabilities (capabilities, FHIR R4 § 3.1.0.10), whole or in
// part. It tells of the software, nothing of anybody, and needs no token.
func (v *visit) getMetadata() (answer, error) {
	query, err := v.negotiate()
	if err != nil {
		return answer{}, err
	}
	v.interaction = "capabilities"
	form := v.wants.form
	if form == nil {
		form = codecs[0]
	}
	f, err := v.statement(query, form, v.wants.pretty)
	return answer{fixed: f}, err
}

// statement is what parameters ask of metadata, in a form.
func (v *visit) statement(query params, form *codec, pretty bool) (*fixed, error) {
	mode, ok := query.take("mode")
	if !ok {
		mode = "full"
	}
	doc := v.server.statements.of[mode]
	if doc == nil {
		return nil, refuse(http.StatusBadRequest, "value", "http.mode", "mode is full, normative or terminology.")
	}
	part, err := v.subsetOf(query)
	if err != nil {
		return nil, err
	}
	return v.server.statements.get(statementForm{mode, form, pretty, part.Mode}, doc, part)
}

// statements are what /metadata answers, by mode.
type statements struct {
	of   map[string]*fhir.Value // full, normative, terminology
	mu   sync.Mutex
	made map[statementForm]*fixed // what is asked for again and again, compressed
}

// statementForm is one form of a statement.
type statementForm struct {
	mode   string
	form   *codec
	pretty bool
	part   fhir.SubsetMode
}

// get is a form of a statement. Those without free choices are kept: they are few, whatever is asked.
func (s *statements) get(as statementForm, doc *fhir.Value, part wanted) (*fixed, error) {
	keep := !as.pretty && as.part != fhir.OfElements
	if keep {
		s.mu.Lock()
		defer s.mu.Unlock()
		if f := s.made[as]; f != nil {
			return f, nil
		}
	}
	text, err := as.form.write(part.Of(doc).JSON(), as.pretty)
	if err != nil {
		return nil, err
	}
	f := newFixed(as.form.contentType[0], text, keep)
	f.negotiated = true
	if keep {
		if s.made == nil {
			s.made = map[statementForm]*fixed{}
		}
		s.made[as] = f
	}
	return f, nil
}

// trialUse are the elements of a CapabilityStatement that its definition in R4 marks as trial use and that ours has; the
// rest is normative.
var trialUse = map[string][]string{
	"rest": {"security"},
	"resource": {
		"versioning", "readHistory", "updateCreate", "conditionalCreate", "conditionalRead", "conditionalUpdate", "conditionalDelete",
		"referencePolicy", "searchInclude", "searchRevInclude",
	},
}

// normative is the normative part of a CapabilityStatement (mode=normative).
func normative(statement *fhir.Value) *fhir.Value {
	var without func(v *fhir.Value, name string) *fhir.Value
	without = func(v *fhir.Value, name string) *fhir.Value {
		switch v.Kind() {
		case fhir.Array:
			out := fhir.NewArray()
			for _, item := range v.Items() {
				out.Append(without(item, name))
			}
			return out
		case fhir.Object:
			out := fhir.NewObject()
			for _, m := range v.Members() {
				if !slices.Contains(trialUse[name], m.Name) {
					out.Set(m.Name, without(m.Value, m.Name))
				}
			}
			return out
		}
		return v
	}
	return without(statement, "")
}

// describeTerms makes the TerminologyCapabilities of the terms that are held.
func (s *server) describeTerms() *fhir.Value {
	systems := fhir.NewArray()
	for _, system := range s.Terms.Systems() {
		systems.Append(object(
			"uri", system.Text("url"),
			"version", fhir.NewArray(object("code", system.Text("version"), "isDefault", true)),
			"subsumption", true,
		))
	}
	parameters := fhir.NewArray()
	for _, name := range expanding {
		parameters.Append(object("name", name))
	}
	return object(
		"resourceType", "TerminologyCapabilities",
		"url", terms.Base+"TerminologyCapabilities/gateway",
		"version", s.Version,
		"name", "SotesiltaTerms",
		"title", "Terms of the Sotesilta integration gateway",
		"status", "active",
		"date", fhir.Instant(s.released()),
		"publisher", "Sotesilta",
		"description", "The code systems that are held whole. ValueSet/$expand and $validate-code know the value sets of all their codes, "+
			"those that R4 binds elements to as required, and those that clients publish, as far as the systems they are made of are held; "+
			"CodeSystem/$lookup, $validate-code and $subsumes know these systems and those that clients publish; ConceptMap/$translate the gateway's own maps and clients'.",
		"kind", "instance",
		"software", object("name", "Sotesilta", "version", s.Version),
		"implementation", object("description", "The gateway at "+s.Base, "url", s.Base),
		"lockedDate", false,
		"codeSystem", orNone(systems),
		"expansion", object("hierarchical", false, "paging", true, "incomplete", false, "parameter", parameters, "textFilter",
			"Codes and displays that contain the text, whatever its case and diacritics."),
		"codeSearch", "explicit",
		"validateCode", object("translations", false),
		"translation", object("needsMap", false),
	)
}

// expanding are the parameters of ValueSet/$expand.
var expanding = strings.Fields(expandTakes)
