package rest

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"sotesilta/gateway/exchange"
	"sotesilta/gateway/search"
	"sotesilta/internal/fhir"
)

// params are the parameters of a URL or a form, decoded, in their order.
type params []search.Pair

// readParams takes a query string or form apart.
func readParams(raw string) (params, error) {
	pairs, err := search.Pairs(raw)
	if err != nil {
		return nil, misunderstood(err)
	}
	return pairs, nil
}

// take removes a parameter and answers its value. Where it is given again with another value, that one stays, to be
// refused with what no interaction has: who meant both must not believe that both were heeded.
func (p *params) take(name string) (value string, ok bool) {
	kept := (*p)[:0]
	for _, pair := range *p {
		switch {
		case pair.Name == name && !ok:
			value, ok = pair.Value, true
		case pair.Name != name || pair.Value != value:
			kept = append(kept, pair)
		}
	}
	*p = kept
	return value, ok
}

// takeList removes every parameter of a name whose value is a list, and answers all the values as one.
func (p *params) takeList(name string) (list string, ok bool) {
	var lists []string
	*p = slices.DeleteFunc(*p, func(pair search.Pair) bool {
		if pair.Name == name {
			lists = append(lists, pair.Value)
		}
		return pair.Name == name
	})
	return strings.Join(lists, ","), lists != nil
}

// value is the value of the first parameter of a name, which stays.
func (p params) value(name string) (value string, ok bool) {
	for _, pair := range p {
		if pair.Name == name {
			return pair.Value, true
		}
	}
	return "", false
}

// encode is the parameters as a query string.
func (p params) encode() string {
	var b strings.Builder
	for i, pair := range p {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(url.QueryEscape(pair.Name))
		b.WriteByte('=')
		b.WriteString(url.QueryEscape(pair.Value))
	}
	return b.String()
}

// none refuses the parameters left in query, of an interaction that has none of its own.
func (v *visit) none(query params) error {
	if v.wants.lenient || len(query) == 0 {
		return nil
	}
	return refuse(http.StatusBadRequest, "not-supported", "",
		"This interaction has no parameter "+strconv.Quote(clip(query[0].Name))+", or takes it once. Send Prefer: handling=lenient to have such parameters left out.")
}

// clip shortens the name of something that the caller sent.
func clip(name string) string {
	if len(name) > 64 {
		return strings.ToValidUTF8(name[:64], "") + "…"
	}
	return name
}

// parse understands search parameters, or refuses them. An unknown parameter is refused unless lenient: an ignored
// filter would be a disclosure.
func (v *visit) parse(typ string, within search.Within, query params, lenient bool) (*search.Query, error) {
	q, err := search.Parse(typ, query, search.Options{Base: v.server.Base, Within: within, Lenient: lenient, Now: v.started, Terms: v.server.Terms})
	if err != nil {
		return nil, misunderstood(err)
	}
	return q, nil
}

// parseAcross understands a search across types, or refuses it.
func (v *visit) parseAcross(within search.Within, query params, lenient bool) (*search.Query, error) {
	types, err := v.typesOf(&query)
	if err != nil {
		return nil, err
	}
	if len(types) == 0 && within != (search.Within{}) {
		return nil, refuse(http.StatusBadRequest, "required", "http._type",
			"_type names the types of the compartment that are wanted, separated by commas.")
	}
	q, err := search.ParseAcross(types, query, search.Options{Base: v.server.Base, Within: within, Lenient: lenient, Now: v.started, Terms: v.server.Terms})
	if err != nil {
		return nil, misunderstood(err)
	}
	return q, nil
}

// typesOf takes _type from the parameters: the types, which are served and may be searched with others.
func (v *visit) typesOf(query *params) ([]string, error) {
	list, _ := query.takeList("_type")
	if list == "" {
		return nil, nil
	}
	types := strings.Split(list, ",")
	for _, typ := range types {
		if known := v.server.types[typ]; known == nil || !known.allows[exchange.Search] || v.server.apart(typ) {
			return nil, refuse(http.StatusBadRequest, "value", "http._type",
				"_type names resource types that are searched here with others (AuditEvent is not), separated by commas.")
		}
	}
	return types, nil
}

// apart says whether a type has search parameters of its own, so that it is searched alone.
func (s *server) apart(typ string) bool {
	return slices.ContainsFunc(s.Types, func(t Type) bool { return t.Name == typ && t.Params != nil })
}

// misunderstood is the refusal of a search: 400 with an issue for each parameter at fault.
func misunderstood(err error) error {
	var known *search.Error
	if errors.As(err, &known) && len(known.Issues) > 0 {
		return &refusal{status: http.StatusBadRequest, issues: known.Issues}
	}
	return &refusal{status: http.StatusBadRequest, cause: err, issues: []fhir.Issue{{
		Severity: "error", Code: "invalid", Diagnostics: "The search is not understood.",
	}}}
}
