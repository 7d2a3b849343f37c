package finland

import (
	"bytes"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// FindIdentityCode says whether the text holds what is, or is meant to be, a personal identity code. It is for
// refusing URLs and for logs, so it errs towards yes: standing alone, anything with the form and a date that exists
// counts even when its check character is wrong; amid other letters and digits the check character must be right,
// lest random ids are taken for codes. Small letters and typographic dashes count, and digits of other forms (of full
// width, raised), with marks or what nobody sees between them: searches for texts find a code by these too.
// Percent-encoding is the caller's to undo. A UUID is never a code.
func FindIdentityCode(s string) bool {
	_, start, _ := found(s)
	return start >= 0
}

// found is s with hyphens for dashes, or in plain digits and letters if a code shows only then, and the first code in it.
func found(s string) (text string, start, end int) {
	text = plain(s)
	if start, end = find(text, 0); start < 0 && strings.IndexFunc(s, disguises) >= 0 {
		text = plain(strings.Map(seen, s))
		start, end = find(text, 0)
	}
	return text, start, end
}

// disguises says whether a character may stand for a digit or letter of ASCII without being one, or be passed over.
func disguises(r rune) bool {
	return r >= 0x300 || r == 0xad || r == '²' || r == '³' || r == '¹' || r == 'ª' || r == 'º'
}

// seen is the digit or letter of ASCII that a character stands for, with or without marks; marks by themselves and what
// nobody sees are left out, all else stays.
func seen(r rune) rune {
	switch {
	case r < 0x80:
		return r
	case unicode.In(r, unicode.Mn, unicode.Cf):
		return -1
	}
	of := norm.NFKD.PropertiesString(string(r)).Decomposition()
	if len(of) == 0 || of[0] >= 0x80 || bytes.ContainsFunc(of[1:], func(r rune) bool { return !unicode.Is(unicode.Mn, r) }) {
		return r
	}
	return rune(of[0])
}

// MaskIdentityCodes replaces every identity code in the text that FindIdentityCode would find.
func MaskIdentityCodes(s string) string {
	text, start, end := found(s)
	if start < 0 {
		return s
	}
	var b strings.Builder
	at := 0
	for start >= 0 {
		b.WriteString(text[at:start])
		b.WriteString(hidden)
		at = end
		start, end = find(text, at)
	}
	b.WriteString(text[at:])
	return MaskIdentityCodes(b.String()) // others may show in other forms
}

// dashes are characters that people and word processors write for the hyphen.
var dashes = strings.NewReplacer("\u2010", "-", "\u2011", "-", "\u2012", "-", "\u2013", "-", "\u2014", "-", "\u2212", "-", "\uff0d", "-")

// plain is s with hyphens for dashes; ASCII text is returned as it is.
func plain(s string) string {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return dashes.Replace(s)
		}
	}
	return s
}

// find gives the first identity code in s at or after from, or -1.
func find(s string, from int) (start, end int) {
	run := 0 // digits just before i
	for i := from; i < len(s); i++ {
		c := s[i]
		if c >= '0' && c <= '9' {
			run++
			continue
		}
		if run >= 6 && centuries[upper(c)] != 0 && i+5 <= len(s) && isCode(s, i-6) {
			return i - 6, i + 5
		}
		run = 0
	}
	return -1, -1
}

// isCode decides about the 11 characters at start.
func isCode(s string, start int) bool {
	end := start + codeLength
	var buf [codeLength]byte
	for i := range buf {
		buf[i] = upper(s[start+i])
	}
	code := string(buf[:])
	if !shaped(code) {
		return false
	}
	if _, ok := birth(code); !ok {
		return false
	}
	alone := (start == 0 || !wordy(s[start-1])) && (end == len(s) || !wordy(s[end]))
	if alone {
		return true
	}
	return checked(code) && !inUUID(s, start, end)
}

// inUUID says whether s[start:end] lies in a UUID (8-4-4-4-12 hexadecimal digits).
func inUUID(s string, start, end int) bool {
	const length = 36
	for at := max(0, end-length); at <= start && at+length <= len(s); at++ {
		if isUUID(s[at : at+length]) {
			return true
		}
	}
	return false
}

func isUUID(s string) bool {
	for i := range len(s) {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if s[i] != '-' {
				return false
			}
			continue
		}
		if c := upper(s[i]); (c < '0' || c > '9') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}

func upper(c byte) byte {
	if c >= 'a' && c <= 'z' {
		return c - 'a' + 'A'
	}
	return c
}

func wordy(c byte) bool {
	c = upper(c)
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z'
}
