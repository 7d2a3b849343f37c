package rest

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"sotesilta/gateway/exchange"
)

// answer is what came of an interaction, before it is written to a connection or into the entry of a Bundle.
type answer struct {
	status   int
	resource *exchange.Resource // its body, ETag and Last-Modified
	body     []byte             // instead of a resource: an outcome, a Bundle…
	fixed    *fixed             // instead of both: what tells of nobody and is made once
	location string             // Type/id/_history/version of what was created
	sent     bool               // written already, as a stream
	written  bool               // by a create or update: Prefer return decides what is sent back
	origin   string             // of disclosed data: the id of the exchange, whose Provenance tells where they came from
}

// hasProvenance is the relation of an answer to the Provenance of what it discloses (W3C PROV-AQ § 3.1).
const hasProvenance = "http://www.w3.org/ns/prov#has_provenance"

// originOf is the origin of an answer with these rows by an exchange: "" where nothing was disclosed.
func originOf(exchangeID string, rows ...[]exchange.Resource) string {
	for _, part := range rows {
		for i := range part {
			if part[i].Disclosed {
				return exchangeID
			}
		}
	}
	return ""
}

// write sends an answer. The body of HEAD is left out, its headers are those of GET (RFC 9110 § 9.3.2).
func (v *visit) write(a answer) {
	if a.sent {
		return
	}
	if a.fixed != nil {
		a.fixed.write(v.out, v.r)
		return
	}
	h := v.out.Header()
	body := a.body
	if a.resource != nil {
		body = a.resource.Body
		if a.resource.Version > 0 {
			h["Etag"] = []string{etag(a.resource.Version)}
			h["Last-Modified"] = []string{httpDate(a.resource.Updated)}
		}
	}
	if a.location != "" {
		h["Location"] = []string{v.server.Base + "/" + a.location}
	}
	if a.origin != "" {
		h["Link"] = []string{"<" + v.server.Base + "/Provenance/" + a.origin + `>; rel="` + hasProvenance + `"`}
	}
	if a.written {
		switch v.wants.returns {
		case returnMinimal:
			body = nil
		case returnOutcome:
			body = wentWell(a)
		}
	}
	if body == nil || a.status == http.StatusNotModified {
		if a.status != http.StatusNoContent && a.status != http.StatusNotModified {
			h["Content-Length"] = []string{"0"}
		}
		v.out.WriteHeader(a.status)
		return
	}
	form := v.wants.form
	if form == nil {
		form = codecs[0]
	}
	body, err := form.write(body, v.wants.pretty)
	if err != nil { // nothing of the answer is sent yet, and its headers are those of the failure
		h.Del("Etag")
		h.Del("Last-Modified")
		h.Del("Location")
		h.Del("Link")
		v.wants.form, v.wants.pretty = codecs[0], false
		v.fail(fmt.Errorf("rest: an answer cannot be written as %s: %w", form.mediaType, err))
		return
	}
	h["Content-Type"] = form.contentType
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	v.out.WriteHeader(a.status)
	if v.r.Method != http.MethodHead {
		_, _ = v.out.Write(body) // the connection's failure is the caller's
	}
}

// wentWell is the outcome of a write for Prefer: return=OperationOutcome.
func wentWell(a answer) []byte {
	is := issue("informational", "", http.StatusText(a.status))
	is[0].Severity = "information"
	return appendOutcome(nil, is...)
}

// etag is the weak ETag of a version (FHIR R4 § 3.1.0.1.3).
func etag(version int64) string { return `W/"` + strconv.FormatInt(version, 10) + `"` }

func httpDate(t time.Time) string { return t.UTC().Format(http.TimeFormat) }

// versioned is where a version of a resource lies, relative to the base.
func versioned(r *exchange.Resource) string {
	return r.Type + "/" + r.ID + "/_history/" + strconv.FormatInt(r.Version, 10)
}

// size is a number of bytes for people.
func size(bytes int) string {
	if bytes >= 1<<20 && bytes%(1<<20) == 0 {
		return strconv.Itoa(bytes>>20) + " MB"
	}
	return strconv.Itoa(bytes) + " bytes"
}
