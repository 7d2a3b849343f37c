package rest

import (
	"net/http"
	"strings"
	"time"

	"sotesilta/gateway/exchange"
	"sotesilta/gateway/search"
	"sotesilta/internal/fhir"
)

// getSearch answers a page of a search, GET and POST _search alike (FHIR R4 § 3.1.1.1). The parameters of the URL and
// of the form are merged. Parameters that came in a body never go into a link in the clear.
func (v *visit) getSearch(query params) (answer, error) {
	hidden := false
	if v.r.Method == http.MethodPost {
		form, err := v.form()
		if err != nil {
			return answer{}, err
		}
		if err := v.wants.result(&form, nil); err != nil {
			return answer{}, err
		}
		hidden = len(form) > 0
		query = append(query, form...)
	}
	q, p, err := v.understand(v.target.typ, v.target.within, query, hidden)
	if err != nil {
		return answer{}, err
	}
	return v.search(q, p)
}

// understand reads a search of typ ("": across those that _type names), in a compartment if there is one, or the one that a page link goes on with. hidden:
// the parameters came in a body.
func (v *visit) understand(typ string, within search.Within, query params, hidden bool) (*search.Query, place, error) {
	p := place{Type: typ, Within: within, Hidden: hidden, Lenient: v.wants.lenient}
	if sealed, ok := query.take(pageParam); ok {
		if err := v.none(query); err != nil {
			return nil, p, err
		}
		var err error
		if p, err = v.server.unseal(v.caller, sealed); err != nil {
			return nil, p, err
		}
		if p.Type != typ || p.Within != within || p.ID != "" || p.Past {
			return nil, p, otherPage
		}
		if query, err = readParams(p.Params); err != nil {
			return nil, p, err
		}
	} else {
		p.Params = query.encode()
	}
	var err error
	if p.subset, err = takeSubset(&query); err != nil {
		return nil, p, err
	}
	var q *search.Query
	if typ == "" {
		q, err = v.parseAcross(within, query, p.Lenient)
	} else {
		q, err = v.parse(typ, within, query, p.Lenient)
	}
	if err != nil {
		return nil, p, err
	}
	if p.subset.Mode == fhir.Narrative && len(q.Includes) > 0 { // FHIR R4 § 3.1.1.5.8
		return nil, p, refuse(http.StatusBadRequest, "not-supported", "http._summary", "_summary=text is not combined with _include and _revinclude.")
	}
	q.Cursor = p.Cursor
	if err := v.spendFurther(len(q.Across) - 1); err != nil { // as if each type had been searched alone: so much is looked at
		return nil, p, err
	}
	return q, p, nil
}

// search carries out a search that was understood.
func (v *visit) search(q *search.Query, p place) (answer, error) {
	caller := v.exchange()
	page, err := v.server.Desk.Search(v.ctx, caller, q)
	if err != nil {
		return answer{}, err
	}
	if !page.Since.IsZero() && p.Cursor == "" { // the self link says what was searched by (FHIR R4 § 3.1.1.1.2)
		q.Raw = strings.TrimPrefix(q.Raw+"&date=ge"+page.Since.UTC().Format(time.RFC3339), "&")
	}
	links := []link{{"self", v.self(caller, q, p)}}
	if page.Next != "" {
		next := p
		next.Cursor = page.Next
		links = append(links, link{"next", v.pageURL(caller, next)})
	}
	b := newBundle(v.server.Base, "searchset", page.Total, sizeOf(page.Matches)+sizeOf(page.Includes), links...)
	if !q.Summary {
		for i := range page.Matches {
			part, err := p.subset.of(&page.Matches[i])
			if err != nil {
				return answer{}, err
			}
			b.found(part, "match")
		}
		included := p.subset
		if included.Mode == fhir.OfElements { // _elements speaks of what is searched
			included = wanted{}
		}
		for i := range page.Includes {
			part, err := included.of(&page.Includes[i])
			if err != nil {
				return answer{}, err
			}
			b.found(part, "include")
		}
		if issues := v.notices(caller, q, page); len(issues) > 0 {
			b.notice(issues...)
		}
	}
	return answer{status: http.StatusOK, body: b.done(), origin: originOf(caller.RequestID, page.Matches, page.Includes)}, nil
}

// self is the link to this very page: the parameters as they were understood, unless they are sealed because they came
// in a body or held an identity code, or the page is not the first.
func (v *visit) self(c exchange.Caller, q *search.Query, p place) string {
	raw := q.Raw
	if asked := p.subset.asked.encode(); asked != "" {
		raw = strings.TrimPrefix(raw+"&"+asked, "&")
	}
	if p.Hidden || q.HasSecrets || p.Cursor != "" || textCarriesIdentityCode(raw) {
		return v.pageURL(c, p)
	}
	if raw == "" {
		return v.server.searched(p)
	}
	return v.server.searched(p) + "?" + raw
}

// searched is the address of a search without its parameters.
func (s *server) searched(p place) string {
	switch {
	case p.Within == (search.Within{}) && p.Type == "":
		return s.Base
	case p.Within == (search.Within{}):
		return s.Base + "/" + p.Type
	case p.Type == "":
		return s.Base + "/" + p.Within.String() + "/" + everyType
	}
	return s.Base + "/" + p.Within.String() + "/" + p.Type
}

func (v *visit) pageURL(c exchange.Caller, p place) string {
	return v.server.searched(p) + "?" + pageParam + "=" + v.server.seal(c, p)
}

// notices is what an answer carries besides its rows: parameters that were left out on demand, includes that were cut
// at their bound, how far back was looked, and the Notice.
func (v *visit) notices(c exchange.Caller, q *search.Query, page *exchange.Page) []fhir.Issue {
	var issues []fhir.Issue
	if v.server.Notice != nil {
		for _, typ := range q.Types() { // what is included, or looked into, may be left out as well
			if issues = v.server.Notice(c, typ); len(issues) > 0 {
				break
			}
		}
	}
	if page.Cut {
		issues = append(issues[:len(issues):len(issues)], fhir.Issue{
			Severity: "warning", Code: "incomplete", Diagnostics: "More resources are to be included than a page takes; ask for fewer matches a page with _count, or search for them.",
		})
	}
	if !page.Since.IsZero() {
		issues = append(issues[:len(issues):len(issues)], fhir.Issue{
			Severity: "information", Code: "informational", Diagnostics: "No beginning was asked for: what happened before " +
				page.Since.UTC().Format(time.RFC3339) + " was not looked at. Name another with date=ge….",
		})
	}
	for _, name := range q.Ignored {
		issues = append(issues[:len(issues):len(issues)], fhir.Issue{
			Severity: "warning", Code: "not-supported", Diagnostics: "The parameter " + name + " is not supported and was left out.",
		})
	}
	return issues
}
