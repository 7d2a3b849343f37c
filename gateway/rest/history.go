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
	for {
		text, ok := query.take("_at")
		if !ok {
			return p, v.none(query)
		}
		if !p.narrow(text) {
			return p, refuse(http.StatusBadRequest, "value", "http._at",
				"_at is an instant or a date, such as 2026-11-21T10:00:00Z, alone or after one of eq, ge, gt, le, lt, sa, eb.")
		}
	}
}

// narrow leaves of a history the versions that were current at some moment of a time, as _at names it: a date as of a search,
// with its prefixes (FHIR R4 § 3.1.0.12). Such versions began before the time's end and ended after its beginning, so that
// _at=ge2026-11-01&_at=lt2026-12-01 are those of November.
func (p *place) narrow(at string) bool {
	prefix, date := "eq", at
	if len(at) > 2 && at[0] >= 'a' {
		prefix, date = at[:2], at[2:]
	}
	from, to, ok := dateGiven(date)
	if !ok {
		return false
	}
	const open = 0 // on this side; nothing is as old as the first millisecond of Unix time
	begins := max(from.UnixMilli(), 1)
	ends := max(to.UnixMilli(), begins+1)
	switch prefix {
	case "eq":
	case "ge":
		ends = open
	case "gt", "sa":
		begins, ends = ends, open
	case "lt", "eb":
		begins, ends = open, begins
	case "le":
		begins = open
	default:
		return false
	}
	p.From = max(p.From, begins)
	if ends != open && (p.To == 0 || ends < p.To) {
		p.To = ends
	}
	return true
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
