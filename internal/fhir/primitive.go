package fhir

import "strings"

// primitiveDef is a primitive data type: how it looks in JSON and what its text must be (FHIR R4 § 2.24.0.1; the
// checks say the same as the regular expressions there, except where a comment tells).
type primitiveDef struct {
	name string
	kind Kind
	ok   func(string) bool
	rule string // completes "must be …"
}

// primitives are the primitive types, by the number that memberDef.typ holds. elementId is Element.id.
var primitives = [...]primitiveDef{
	{"base64Binary", String, isBase64, "base64"},
	{"boolean", Bool, isAny, "true or false"},
	{"canonical", String, isURI, "a canonical URL without white space"},
	{"code", String, isCode, "a code: no white space at its ends, single spaces within"},
	{"date", String, isDate, "a date: YYYY, YYYY-MM or YYYY-MM-DD"},
	{"dateTime", String, isDateTime, "a dateTime: YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss with a zone"},
	{"decimal", Number, isDecimal, "a number of at most 64 characters"},
	{"elementId", String, isURI, "an id without white space"},
	{"id", String, ValidID, "an id: 1 to 64 of A-Z, a-z, 0-9, - and ."},
	{"instant", String, isInstant, "an instant: YYYY-MM-DDThh:mm:ss with a zone"},
	{"integer", Number, isInteger, "a whole number of 32 bits"},
	{"markdown", String, isText, "text without control characters, not empty, of at most 1 MB"},
	{"oid", String, isOID, "an OID: urn:oid: and numbers"},
	{"positiveInt", Number, isPositiveInt, "a whole number from 1 to 2147483647"},
	{"string", String, isText, "text without control characters, not empty, of at most 1 MB"},
	{"time", String, isTime, "a time: hh:mm:ss"},
	{"unsignedInt", Number, isUnsignedInt, "a whole number from 0 to 2147483647"},
	{"uri", String, isURI, "a URI without white space"},
	{"url", String, isURI, "a URL without white space"},
	{"uuid", String, isUUID, "a UUID: urn:uuid: and 36 lower-case characters"},
	{"xhtml", String, IsXHTML, "a well-formed XHTML div with content, and with formatting elements and attributes only (txt-1, txt-2)"},
}

// links says whether values of the type may be #id of a contained resource.
func (p *primitiveDef) links() bool {
	return p.name == "uri" || p.name == "url" || p.name == "canonical"
}

func isAny(string) bool { return true }

// isText: no characters below U+0020 but tab, line feed and carriage return, and at most 1 MB (FHIR R4 string).
func isText(s string) bool {
	if len(s) == 0 || len(s) > 1<<20 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' && c != '\n' && c != '\r' {
			return false
		}
	}
	return true
}

func isURI(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' {
			return false
		}
	}
	return len(s) > 0
}

func isCode(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c > ' ':
		case c == ' ', c == '\t', c == '\n', c == '\r': // only between two others
			if i == 0 || i == len(s)-1 || s[i-1] <= ' ' {
				return false
			}
		default:
			return false
		}
	}
	return len(s) > 0
}

func isBase64(s string) bool {
	n := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '+', c == '/':
			n++
		case c == '=':
			n++
		case c == ' ', c == '\t', c == '\n', c == '\r':
		default:
			return false
		}
	}
	padding := len(s) - len(strings.TrimRight(s, "= \t\r\n"))
	return n > 0 && n%4 == 0 && strings.Count(s[:len(s)-padding], "=") == 0 && strings.Count(s, "=") <= 2
}

// isDecimal: JSON has checked the form. Longer numbers than FHIR asks anybody to keep (18 digits) pass, but not any length.
func isDecimal(s string) bool { return len(s) <= 64 }

func isInteger(s string) bool {
	digits := strings.TrimPrefix(s, "-")
	limit := uint64(1<<31 - 1)
	if digits != s {
		limit = 1 << 31
	}
	return whole(digits, limit)
}

func isUnsignedInt(s string) bool { return whole(s, 1<<31-1) }
func isPositiveInt(s string) bool { return whole(s, 1<<31-1) && s != "0" }

// whole says whether s is a number from 0 to limit written in digits only, without leading zeros.
func whole(s string, limit uint64) bool {
	if len(s) == 0 || len(s) > 10 || len(s) > 1 && s[0] == '0' {
		return false
	}
	n := uint64(0)
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
		n = n*10 + uint64(s[i]-'0')
	}
	return n <= limit
}

func isOID(s string) bool {
	s, ok := strings.CutPrefix(s, "urn:oid:")
	if !ok || len(s) < 3 || s[0] < '0' || s[0] > '2' || s[1] != '.' {
		return false
	}
	for arc := range strings.SplitSeq(s[2:], ".") {
		if arc == "" || len(arc) > 1 && arc[0] == '0' || strings.Trim(arc, "0123456789") != "" {
			return false
		}
	}
	return true
}

func isUUID(s string) bool {
	s, ok := strings.CutPrefix(s, "urn:uuid:")
	if !ok || len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return false
			}
		} else if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// isDate, isDateTime and isInstant refuse days that the calendar does not have, which the regular expressions let pass.
func isDate(s string) bool {
	_, _, ok := ParseDate(s)
	return ok && len(s) <= len("2026-11-21")
}

func isDateTime(s string) bool { return isDate(s) || isInstant(s) }

func isInstant(s string) bool {
	if len(s) < len("2026-11-21T08:30:00Z") || s[16] != ':' {
		return false
	}
	if c := s[len(s)-1]; c != 'Z' && s[len(s)-6] != '+' && s[len(s)-6] != '-' {
		return false
	}
	_, _, ok := ParseDate(s)
	return ok
}

func isTime(s string) bool {
	d := dateScanner{s: s}
	hour := d.number(2)
	d.byte(':')
	minute := d.number(2)
	d.byte(':')
	second := d.number(2)
	if d.next('.') {
		d.fraction()
	}
	return d.ok() && d.done() && hour < 24 && minute < 60 && second <= 60
}
