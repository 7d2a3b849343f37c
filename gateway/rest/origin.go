package rest

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Scripts of web pages may call the FHIR base from the origins that the operator names (Fetch standard, CORS). Without
// any, browsers keep all pages but the gateway's own from reading its answers. It gives no rights: a page needs a token
// like everybody, and credentials of the browser (cookies) are never taken.

// What pages of other origins may send and see.
var (
	corsMethods = []string{"GET, HEAD, POST, PUT, PATCH, DELETE"}
	corsHeaders = []string{"Accept, Authorization, Content-Type, If-Match, If-Modified-Since, If-None-Exist, If-None-Match, Prefer, X-Request-Id"}
	corsExposed = []string{"Accept-Patch, Allow, Content-Location, ETag, Last-Modified, Link, Location, Retry-After, WWW-Authenticate, X-Correlation-Id, X-Request-Id"}
	corsMaxAge  = []string{"600"}
	varyOrigin  = []string{"Origin"}
)

// CheckOrigin says what is wrong with an origin that pages may call from: it is scheme://host or scheme://host:port,
// exactly as browsers send it, and never *.
func CheckOrigin(origin string) error {
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Scheme+"://"+u.Host != origin || strings.ToLower(origin) != origin {
		return fmt.Errorf("%q is not an origin such as https://app.example", origin)
	}
	return nil
}

// below says whether a path is that of the base or below it.
func (s *server) below(path string) bool {
	rest, ok := strings.CutPrefix(path, s.path)
	return ok && (rest == "" || rest[0] == '/')
}

// origin gives the headers of CORS to a request of a page of one of the origins, and answers its preflight, which
// carries no token; it says whether that was all.
func (v *visit) origin() (done bool) {
	s := v.server
	if len(s.Origins) == 0 || !s.below(v.r.URL.Path) {
		return false
	}
	h := v.ResponseWriter.Header()
	h["Vary"] = varyOrigin
	sent := v.r.Header["Origin"]
	if len(sent) != 1 || !slices.Contains(s.Origins, sent[0]) {
		return false
	}
	h["Access-Control-Allow-Origin"] = sent
	if v.r.Method != http.MethodOptions || v.r.Header.Get("Access-Control-Request-Method") == "" {
		h["Access-Control-Expose-Headers"] = corsExposed
		return false
	}
	h["Access-Control-Allow-Methods"] = corsMethods
	h["Access-Control-Allow-Headers"] = corsHeaders
	h["Access-Control-Max-Age"] = corsMaxAge
	v.interaction = "preflight"
	v.write(answer{status: http.StatusNoContent})
	return true
}

// options answers OPTIONS: the methods that an address takes, and the patches. It needs no token, as it tells of the address's form and
// of the types that are served, which [base]/metadata does as well, and of no row.
func (v *visit) options(found target) answer {
	v.target, v.typ, v.interaction = found, found.typ, "options"
	h := v.out.Header()
	h["Allow"] = []string{v.allow("")}
	if i, ok := found.methods[http.MethodPatch]; ok && found.offers(i) { // RFC 5789 § 3.1
		h["Accept-Patch"] = []string{strings.Join(patchFormats(), ", ")}
	}
	return answer{status: http.StatusNoContent}
}
