package fhir

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"
)

// officialPatterns are the regular expressions of the primitive types (FHIR R4 § 2.24.0.1).
var officialPatterns = map[string]string{
	"code":        `[^\s]+(\s[^\s]+)*`,
	"date":        `([0-9]([0-9]([0-9][1-9]|[1-9]0)|[1-9]00)|[1-9]000)(-(0[1-9]|1[0-2])(-(0[1-9]|[1-2][0-9]|3[0-1]))?)?`,
	"dateTime":    `([0-9]([0-9]([0-9][1-9]|[1-9]0)|[1-9]00)|[1-9]000)(-(0[1-9]|1[0-2])(-(0[1-9]|[1-2][0-9]|3[0-1])(T([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?(Z|(\+|-)((0[0-9]|1[0-3]):[0-5][0-9]|14:00)))?)?)?`,
	"id":          `[A-Za-z0-9\-\.]{1,64}`,
	"instant":     `([0-9]([0-9]([0-9][1-9]|[1-9]0)|[1-9]00)|[1-9]000)-(0[1-9]|1[0-2])-(0[1-9]|[1-2][0-9]|3[0-1])T([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?(Z|(\+|-)((0[0-9]|1[0-3]):[0-5][0-9]|14:00))`,
	"integer":     `-?([0]|([1-9][0-9]*))`,
	"oid":         `urn:oid:[0-2](\.(0|[1-9][0-9]*))+`,
	"positiveInt": `[1-9][0-9]*`,
	"string":      `[ \r\n\t\S]+`,
	"time":        `([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?`,
	"unsignedInt": `[0]|([1-9][0-9]*)`,
	"uri":         `\S*`,
	"uuid":        `urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`,
}

// stricter tells where a check refuses on purpose what its regular expression lets pass.
func stricter(typ, s string) bool {
	switch typ {
	case "date", "dateTime", "instant": // days the calendar does not have
		_, _, ok := ParseDate(s)
		return !ok && regexp.MustCompile(`-(30|31|29)`).MatchString(s)
	case "id":
		return strings.Trim(s, ".") == ""
	case "integer", "positiveInt", "unsignedInt": // beyond 32 bits
		return len(s) >= 10
	case "uri": // control characters, nothing
		return s == "" || strings.IndexFunc(s, func(r rune) bool { return r <= ' ' }) >= 0
	case "string", "code": // control characters
		return strings.IndexFunc(s, func(r rune) bool { return r < ' ' }) >= 0
	}
	return false
}

func TestPrimitivesFollowTheOfficialPatterns(t *testing.T) {
	for typ, pattern := range officialPatterns {
		t.Run(typ, func(t *testing.T) {
			def := &primitives[typeNumber(typ)]
			whole := regexp.MustCompile(`^(?:` + pattern + `)$`)
			rapid.Check(t, func(t *rapid.T) {
				s := rapid.StringMatching(pattern).Draw(t, "text")
				if rapid.Bool().Draw(t, "broken") && s != "" { // cut, double or replace something
					i := rapid.IntRange(0, len(s)-1).Draw(t, "at")
					s = s[:i] + rapid.SampledFrom([]string{"", "0", "9", "-", ".", ":", " ", "T", "Z", "x", "\n"}).Draw(t, "by") + s[i+1:]
				}
				want := whole.MatchString(s)
				if got := def.ok(s); got != want && !(want && stricter(typ, s)) {
					t.Fatalf("%q: the pattern says %v, we say %v", s, want, got)
				}
			})
		})
	}
}

func TestPrimitivesWithBoundsBeyondTheirPattern(t *testing.T) {
	for _, c := range []struct {
		typ, s string
		want   bool
	}{
		{"integer", "2147483647", true},
		{"integer", "2147483648", false},
		{"integer", "-2147483648", true},
		{"integer", "-2147483649", false},
		{"integer", "1e2", false},
		{"positiveInt", "0", false},
		{"unsignedInt", "0", true},
		{"unsignedInt", "-1", false},
		{"decimal", "0." + strings.Repeat("1", 60), true},
		{"decimal", strings.Repeat("1", 65), false},
		{"base64Binary", "AAAA", true},
		{"base64Binary", "AA==\n", true},
		{"base64Binary", "AA\r\nAA AAA=", true},
		{"base64Binary", "AAA", false},
		{"base64Binary", "A===", false},
		{"base64Binary", "=AAA", false},
		{"base64Binary", "AA==AAAA", false},
		{"base64Binary", "", false},
		{"base64Binary", "AA-_", false},
		{"string", strings.Repeat("x", 1<<20), true},
		{"string", strings.Repeat("x", 1<<20+1), false},
		{"string", " ", true},
		{"id", "..", false},
		{"id", "a.b", true},
		{"date", "2024-02-29", true},
		{"date", "2026-02-29", false},
		{"date", "0000", false},
	} {
		assert.Equal(t, c.want, primitives[typeNumber(c.typ)].ok(c.s), "%s %.40q", c.typ, c.s)
	}
}
