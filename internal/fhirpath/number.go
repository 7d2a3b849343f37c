package fhirpath

import (
	"math/big"
	"strconv"
	"strings"
)

// number is a decimal number as it can be compared without arithmetic: 0.digits times ten to the power of exp. Numbers
// are compared by their value: 1.0 equals 1.00, and no exponent, however large, costs anything.
type number struct {
	negative bool
	digits   string // neither leading nor trailing zeros; "" is zero
	exp      int
}

// maxExponent bounds what is calculated with; numbers beyond it are only compared.
const maxExponent = 400

// parseNumber reads a number of JSON or FHIRPath.
func parseNumber(s string) (number, bool) {
	var n number
	if len(s) > 128 {
		return n, false
	}
	rest, negative := strings.CutPrefix(s, "-")
	rest = strings.TrimPrefix(rest, "+")
	mantissa, exponent := rest, ""
	if at := strings.IndexAny(rest, "eE"); at >= 0 {
		mantissa, exponent = rest[:at], rest[at+1:]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	if whole == "" || strings.Trim(whole, "0123456789") != "" || strings.Trim(fraction, "0123456789") != "" {
		return n, false
	}
	if exponent != "" {
		e, err := strconv.ParseInt(exponent, 10, 32)
		if err != nil {
			return n, false
		}
		n.exp = int(e)
	}
	n.negative = negative
	if trimmed := strings.TrimLeft(whole, "0"); trimmed != "" {
		n.exp += len(trimmed)
		n.digits = strings.TrimRight(trimmed+fraction, "0")
	} else {
		significant := strings.TrimLeft(fraction, "0")
		n.exp -= len(fraction) - len(significant)
		n.digits = strings.TrimRight(significant, "0")
	}
	if n.digits == "" {
		n = number{}
	}
	return n, true
}

// compare is -1, 0 or 1.
func (n number) compare(m number) int {
	switch {
	case n.digits == "" && m.digits == "":
		return 0
	case n.digits == "":
		return sign(!m.negative)
	case m.digits == "" || n.negative != m.negative:
		return -sign(!n.negative)
	}
	order := 0
	switch {
	case n.exp != m.exp:
		order = sign(n.exp < m.exp)
	default:
		order = strings.Compare(n.digits, m.digits) // both begin behind the point
	}
	if n.negative {
		return -order
	}
	return order
}

// sign is -1 where less and 1 where not.
func sign(less bool) int {
	if less {
		return -1
	}
	return 1
}

// integer is n as a whole number.
func (n number) integer() (int64, bool) {
	if n.digits == "" {
		return 0, true
	}
	if n.exp < len(n.digits) || n.exp > 18 {
		return 0, false
	}
	v, err := strconv.ParseInt(n.digits+strings.Repeat("0", n.exp-len(n.digits)), 10, 64)
	if n.negative {
		v = -v
	}
	return v, err == nil
}

// rat is n to calculate with; false of numbers too large or too small.
func (n number) rat() (*big.Rat, bool) {
	if n.exp > maxExponent || n.exp < -maxExponent {
		return nil, false
	}
	text := "0." + n.digits + "e" + strconv.Itoa(n.exp)
	if n.digits == "" {
		text = "0"
	}
	r, ok := new(big.Rat).SetString(text)
	if ok && n.negative {
		r.Neg(r)
	}
	return r, ok
}

// decimalOf is the shortest text of r, with at most 8 decimal places where it has no end (FHIRPath N1 § Decimal).
func decimalOf(r *big.Rat) string {
	if r.IsInt() {
		return r.Num().String()
	}
	places := 8
	if exact, ok := r.FloatPrec(); ok && exact > 0 && exact <= 64 {
		places = exact
	}
	text := strings.TrimRight(r.FloatString(places), "0")
	return strings.TrimSuffix(text, ".")
}
