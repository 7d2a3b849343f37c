package rest

import (
	"net/http"
	"strings"
	"time"

	"sotesilta/gateway/exchange"
	"sotesilta/internal/fhir"
)

// cached is the version that a caller says it has.
type cached struct {
	tags  []string // values of If-None-Match
	since string   // If-Modified-Since, an HTTP date or (in a Bundle) an instant
}

// still says whether the caller has this version already, by If-None-Match or, without that, If-Modified-Since
// (conditional read, FHIR R4 § 3.1.0.2.1; RFC 9110 §§ 13.1.2 and 13.1.3): the answer is then 304 without a body. It is
// asked of a version that was released, so neither tells anything of one that was not; the read is recorded like any
// other, for it tells that nothing changed.
func (c cached) still(r *exchange.Resource) bool {
	if len(c.tags) > 0 {
		return names(c.tags, etag(r.Version))
	}
	if c.since == "" {
		return false
	}
	since, err := http.ParseTime(c.since)
	if err != nil {
		since, err = time.Parse(time.RFC3339Nano, c.since)
	}
	return err == nil && !r.Updated.Truncate(time.Second).After(since) // HTTP dates are whole seconds
}

// names says whether one of the values of If-None-Match names a tag; the comparison is the weak one (RFC 9110 § 8.8.3.2).
func names(headers []string, tag string) bool {
	for _, header := range headers {
		for one := range strings.SplitSeq(header, ",") {
			if one = strings.TrimSpace(one); one == "*" || strings.TrimPrefix(one, "W/") == strings.TrimPrefix(tag, "W/") {
				return true
			}
		}
	}
	return false
}

// cached is what the request's headers say that the caller has.
func (v *visit) cached() cached {
	c := cached{tags: v.r.Header["If-None-Match"]}
	if since := v.r.Header["If-Modified-Since"]; len(since) == 1 {
		c.since = since[0]
	}
	return c
}

// textsOf is the text of a value as a list, empty without one.
func textsOf(v *fhir.Value) []string {
	if v.Str() == "" {
		return nil
	}
	return []string{v.Str()}
}
