package rest

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"sotesilta/gateway/exchange"
	"sotesilta/internal/fhir"
)

// maxHistory is the largest _count of a page of history.
const maxHistory = 500

// getHistory answers the versions of one resource, of a type or of the system, newest first (FHIR R4 § 3.1.0.12); HEAD
// alike.
func (v *visit) getHistory(query params) (answer, error) {
	p, err := v.understandHistory(v.target.typ, v.target.id, query)
	if err != nil {
		return answer{}, err
	}
	return v.history(p)
}

// understandHistory reads which page of a history is asked for: of the system where typ is "", of a type where id is.
func (v *visit) understandHistory(typ, id string, query params) (place, error) {
	p := place{Type: typ, ID: id, Past: true, Count: v.server.Limits.Page}
	if sealed, ok := query.take(pageParam); ok {
		var err error
		if p, err = v.server.unseal(v.caller, sealed); err != nil {
			return p, err
		}
		if p.Type != typ || p.ID != id || !p.Past {
			return p, otherPage
		}
		asked, err := readParams(p.Params)
		if err != nil {
			return p, err
		}
		if p.subset, err = takeSubset(&asked); err != nil {
			return p, err
		}
		return p, v.none(query)
	}
	var err error
	if p.subset, err = v.takePart(&query); err != nil {
		return p, err
	}
	p.Params = p.subset.asked.encode()
	if text, ok := query.take("_count"); ok {
		count, err := strconv.Atoi(text)
		if err != nil || count < 1 {
			return p, refuse(http.StatusBadRequest, "value", "http._count", "_count is a whole number above 0.")
		}
		p.Count = min(count, maxHistory)
	}
	if text, ok := query.take("_since"); ok {
		from, _, ok := dateGiven(text)
		if !ok {
			return p, noMoment("_since")
		}
		p.Since = from.UnixMilli()
	}
	if text, ok := query.take("_at"); ok {
		from, to, ok := dateGiven(text)
		if !ok {
			return p, noMoment("_at")
		}
		p.From, p.To = from.UnixMilli(), max(to.UnixMilli(), from.UnixMilli()+1)
	}
	return p, v.none(query)
}

// dateGiven reads a date or instant of a parameter. A space stands for the + of a zone that was not percent-encoded, as in a search.
func dateGiven(text string) (from, to time.Time, ok bool) {
	return fhir.ParseDate(strings.Replace(text, " ", "+", 1))
}

func noMoment(param string) error {
	return refuse(http.StatusBadRequest, "value", "http."+param, param+" is an instant or a date, such as 2026-11-21T10:00:00Z.")
}

// moment is a time of a place, zero where there is none.
func moment(millis int64) time.Time {
	if millis == 0 {
		return time.Time{}
	}
	return time.UnixMilli(millis).UTC()
}

var otherPage = refuse(http.StatusBadRequest, "invalid", "http."+pageParam, "The page link belongs to another address.")

func (v *visit) history(p place) (answer, error) {
	caller := v.exchange()
	past := exchange.Past{
		Since: moment(p.Since), At: exchange.Span{From: moment(p.From), To: moment(p.To)}, Count: p.Count, Before: p.Before, Cursor: p.Cursor,
	}
	address, next := v.server.Base, p
	var rows []exchange.Resource
	var err error
	if p.ID != "" {
		address += "/" + p.Type + "/" + p.ID
		rows, next.Before, err = v.server.Desk.History(v.ctx, caller, p.Type, p.ID, past)
	} else {
		if p.Type != "" {
			address += "/" + p.Type
		}
		var page *exchange.Page
		if page, err = v.server.Desk.Histories(v.ctx, caller, p.Type, past); err == nil {
			rows, next.Cursor = page.Matches, page.Next
		}
	}
	if err != nil {
		return answer{}, err
	}
	address += "/_history?" + pageParam + "="
	links := []link{{"self", address + v.server.seal(caller, p)}}
	if next.Before > 0 || next.Cursor != "" {
		links = append(links, link{"next", address + v.server.seal(caller, next)})
	}
	b := newBundle(v.server.Base, "history", -1, sizeOf(rows), links...)
	for i := range rows {
		part, err := p.subset.of(&rows[i])
		if err != nil {
			return answer{}, err
		}
		b.version(part)
	}
	return answer{status: http.StatusOK, body: b.done(), origin: originOf(caller.RequestID, rows)}, nil
}
