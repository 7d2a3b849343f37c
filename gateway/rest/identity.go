package rest

import (
	"net/http"
	"strings"

	"sotesilta/internal/finland"
)

// maxDecodings is how often a URL is percent-decoded in search of an identity code; one that still changes is refused,
// because nothing honest is encoded that often.
const maxDecodings = 4

// carriesIdentityCode says whether the request's URL, path or query, holds something of the form of a personal identity
// code, as written or percent-decoded as often as it was encoded. Law 11: identity codes live in bodies only, because
// URLs end up in the logs of every server on the way.
func carriesIdentityCode(r *http.Request) bool {
	uri := r.RequestURI
	if uri == "" { // a request made in the process
		uri = r.URL.RequestURI()
	}
	return textCarriesIdentityCode(uri)
}

// textCarriesIdentityCode is carriesIdentityCode of any percent-encoded text.
func textCarriesIdentityCode(s string) bool {
	for range maxDecodings {
		if finland.FindIdentityCode(s) {
			return true
		}
		decoded := percentDecode(s)
		if decoded == s {
			return false
		}
		s = decoded
	}
	return true
}

// percentDecode decodes every well-formed %XX and keeps the rest.
func percentDecode(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if hi, lo := hexDigit(s[i+1]), hexDigit(s[i+2]); hi >= 0 && lo >= 0 {
				b.WriteByte(byte(hi<<4 | lo))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
