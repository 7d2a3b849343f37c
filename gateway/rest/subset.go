package rest

import (
	"net/http"
	"strings"

	"sotesilta/gateway/exchange"
	"sotesilta/internal/fhir"
)

// maxElements bounds the names in _elements.
const maxElements = 64

// subsets are the values of _summary that leave parts of resources out; count and false are the search's own.
var subsets = map[string]fhir.SubsetMode{"true": fhir.Summary, "text": fhir.Narrative, "data": fhir.Data}

// wanted is the part of each resource that is asked for, with the parameters that asked for it.
type wanted struct {
	fhir.Subset
	asked params
}

// takeSubset takes _elements, and the values of _summary that leave parts of resources out, from the parameters of a read
// or search. Both at once ask for contrary things and are refused.
func takeSubset(query *params) (wanted, error) {
	var w wanted
	kept := (*query)[:0]
	for _, pair := range *query {
		mode := fhir.Whole
		switch {
		case pair.Name == "_summary":
			mode = subsets[pair.Value]
		case pair.Name == "_elements":
			mode = fhir.OfElements
			w.Elements = strings.Split(pair.Value, ",")
		}
		if mode == fhir.Whole {
			kept = append(kept, pair)
			continue
		}
		if w.Mode != fhir.Whole {
			return w, refuse(http.StatusBadRequest, "invalid", "", "_summary and _elements are given once, and not together.")
		}
		w.Mode = mode
		w.asked = append(w.asked, pair)
	}
	*query = kept
	if len(w.Elements) > maxElements {
		return w, refuse(http.StatusBadRequest, "too-costly", "http._elements", "_elements names too many elements.")
	}
	for i, name := range w.Elements {
		name = strings.TrimSuffix(name, "[x]") // as the definitions write choices
		w.Elements[i] = name
		if typ, element, of := strings.Cut(name, "."); of {
			if name = element; !fhir.IsResource(typ) { // name.family would leave name out
				name = ""
			}
		}
		if name == "" || strings.ContainsFunc(name, func(r rune) bool { return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') }) {
			return w, refuse(http.StatusBadRequest, "value", "http._elements",
				"_elements names whole elements of the resource, such as status or Task.status, none within them, separated by commas without spaces.")
		}
	}
	return w, nil
}

// takePart takes _elements and _summary from the parameters of what is no search: a read, a history or $everything. What
// _summary is not there is refused with what it is, unless it may be left out.
func (v *visit) takePart(query *params) (wanted, error) {
	if text, ok := query.value("_summary"); ok && text == "false" {
		query.take("_summary")
	}
	w, err := takeSubset(query)
	if err != nil || v.wants.lenient {
		return w, err
	}
	switch text, left := query.value("_summary"); {
	case left && text == "count": // FHIR R4 § 3.1.1.5.8
		err = refuse(http.StatusBadRequest, "not-supported", "http._summary",
			"_summary=count is of searches: a read, a history and $everything tell no total. _summary is true, text, data or false here.")
	case left:
		err = refuse(http.StatusBadRequest, "value", "http._summary", "_summary is true, text, data or false here, and given once.")
	}
	return w, err
}

// of is a resource without what is not wanted. All of what was released is recorded: that less of it is sent is the
// caller's choice.
func (w wanted) of(r *exchange.Resource) (*exchange.Resource, error) {
	if w.Mode == fhir.Whole || r.Body == nil {
		return r, nil
	}
	doc, err := fhir.Parse(r.Body, limitsOf(max(len(r.Body), fhir.DefaultLimits.Bytes)))
	if err != nil {
		return nil, err
	}
	part := *r
	part.Body = w.Of(doc).JSON()
	return &part, nil
}
