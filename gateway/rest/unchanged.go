package rest

import (
	"net/http"
	"strings"
	"time"

	"sotesilta/gateway/exchange"
)

// unchanged says whether the caller holds this version already, by If-None-Match or, without that, If-Modified-Since
// (conditional read, FHIR R4 § 3.1.0.2.1; RFC 9110 §§ 13.1.2 and 13.1.3): the answer is then 304 without a body. It is
// asked of a version that was released, so neither header tells anything of one that was not; the read is recorded
// like any other, for it tells that nothing changed.
func (v *visit) unchanged(r *exchange.Resource) bool {
	if tags := v.r.Header["If-None-Match"]; len(tags) > 0 {
		current := strings.TrimPrefix(etag(r.Version), "W/") // the comparison is the weak one
		for _, header := range tags {
			for tag := range strings.SplitSeq(header, ",") {
				if tag = strings.TrimSpace(tag); tag == "*" || strings.TrimPrefix(tag, "W/") == current {
					return true
				}
			}
		}
		return false
	}
	header := v.r.Header["If-Modified-Since"]
	if len(header) != 1 {
		return false
	}
	since, err := http.ParseTime(header[0])
	return err == nil && !r.Updated.Truncate(time.Second).After(since) // HTTP dates are whole seconds
}
