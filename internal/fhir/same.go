package fhir

import (
	"strconv"
	"strings"
)

// Same says whether two values say the same: members in any order, items in theirs, numbers by value (RFC 6902 § 4.6).
// look is called for each value that is looked at, before its parts are, so that the caller may bound the work.
func Same(a, b *Value, look func()) bool {
	look()
	if a.Kind() != b.Kind() {
		return false
	}
	switch a.Kind() {
	case Object:
		if len(a.Members()) != len(b.Members()) {
			return false
		}
		for _, m := range a.Members() {
			if other := b.Get(m.Name); other == nil || !Same(m.Value, other, look) {
				return false
			}
		}
		return true
	case Array:
		if len(a.Items()) != len(b.Items()) {
			return false
		}
		for i, item := range a.Items() {
			if !Same(item, b.Items()[i], look) {
				return false
			}
		}
		return true
	case Number:
		return a.Str() == b.Str() || decimal(a.Str()) == decimal(b.Str())
	}
	return a.Str() == b.Str()
}

// decimal spells a JSON number in one way, so that 1.50, 1.5 and 15e-1 are alike; no number is ever made of it, so none
// is too large.
func decimal(number string) string {
	digits, sign := strings.CutPrefix(number, "-")
	exponent := 0
	if at := strings.IndexAny(digits, "eE"); at >= 0 {
		var err error
		if exponent, err = strconv.Atoi(strings.TrimPrefix(digits[at+1:], "+")); err != nil {
			return number // an exponent beyond all numbers: equal only as written
		}
		digits = digits[:at]
	}
	whole, fraction, _ := strings.Cut(digits, ".")
	exponent -= len(fraction)
	digits = strings.TrimLeft(whole+fraction, "0")
	trimmed := strings.TrimRight(digits, "0")
	exponent += len(digits) - len(trimmed)
	if trimmed == "" {
		return "0"
	}
	if sign {
		trimmed = "-" + trimmed
	}
	return trimmed + "e" + strconv.Itoa(exponent)
}
