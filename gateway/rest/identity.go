package rest

import (
	"net/http"
	"strings"
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
		if hasIdentityCode(s) {
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

// hasIdentityCode finds ddmmyy, the sign of the century, an individual number and a check character, standing apart
// from other letters and digits (decree 128/2010 § 2, signs of the century as of 2023). The check character is not
// verified: a code with a slip of the pen names a person all the same.
func hasIdentityCode(s string) bool {
	digits := 0 // length of the run of digits before i
	for i := range len(s) {
		if isDigit(s[i]) {
			digits++
			continue
		}
		if digits == 6 && i+5 <= len(s) && isCodeAt(s, i) {
			return true
		}
		digits = 0
	}
	return false
}

// isCodeAt says whether the six digits before i and what follows are an identity code.
func isCodeAt(s string, i int) bool {
	start := i - 6
	if start > 0 && isAlnum(s[start-1]) {
		return false
	}
	day, month := int(s[start]-'0')*10+int(s[start+1]-'0'), int(s[start+2]-'0')*10+int(s[start+3]-'0')
	if day < 1 || day > 31 || month < 1 || month > 12 {
		return false
	}
	switch c := s[i] &^ 0x20; { // upper case; + and - lose nothing that matters here
	case s[i] == '+' || s[i] == '-' || s[i] == ' ':
	case c >= 'A' && c <= 'F' || c >= 'U' && c <= 'Y':
	default:
		return false
	}
	return isDigit(s[i+1]) && isDigit(s[i+2]) && isDigit(s[i+3]) && isAlnum(s[i+4]) && (i+5 == len(s) || !isAlnum(s[i+5]))
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isAlnum(c byte) bool { return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'z' }
