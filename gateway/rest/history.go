package rest

import (
	"net/http"
	"strconv"
)

// maxHistory is the largest _count of a page of history.
const maxHistory = 500

// getHistory answers the versions of one resource, newest first (FHIR R4 § 3.1.0.12); HEAD alike.
func (v *visit) getHistory(query params) (answer, error) {
	p, err := v.understandHistory(v.target.typ, v.target.id, query)
	if err != nil {
		return answer{}, err
	}
	return v.history(p)
}

// understandHistory reads which page of a history is asked for.
func (v *visit) understandHistory(typ, id string, query params) (place, error) {
	p := place{Type: typ, ID: id, Count: v.server.Limits.Page}
	if sealed, ok := query.take(pageParam); ok {
		var err error
		if p, err = v.server.unseal(v.caller, sealed); err != nil {
			return p, err
		}
		if p.Type != typ || p.ID != id {
			return p, otherPage
		}
	} else if text, ok := query.take("_count"); ok {
		count, err := strconv.Atoi(text)
		if err != nil || count < 1 {
			return p, refuse(http.StatusBadRequest, "value", "http._count", "_count is a whole number above 0.")
		}
		p.Count = min(count, maxHistory)
	}
	return p, v.none(query)
}

var otherPage = refuse(http.StatusBadRequest, "invalid", "http."+pageParam, "The page link belongs to another address.")

func (v *visit) history(p place) (answer, error) {
	caller := v.exchange()
	rows, before, err := v.server.Desk.History(v.ctx, caller, p.Type, p.ID, p.Before, p.Count)
	if err != nil {
		return answer{}, err
	}
	address := v.server.Base + "/" + p.Type + "/" + p.ID + "/_history?" + pageParam + "="
	links := []link{{"self", address + v.server.seal(caller, p)}}
	if before > 0 {
		p.Before = before
		links = append(links, link{"next", address + v.server.seal(caller, p)})
	}
	b := newBundle(v.server.Base, "history", -1, sizeOf(rows), links...)
	for i := range rows {
		b.version(&rows[i])
	}
	return answer{status: http.StatusOK, body: b.done()}, nil
}
