package search

import (
	"math"
	"strconv"
	"time"

	"sotesilta/internal/fhir"
)

// The open bounds of a DateEntry: a Period without start begins at MinTime, one without end lasts until MaxTime.
// No span reaches beyond them.
var (
	MinTime = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	MaxTime = time.Date(9999, 12, 31, 23, 59, 59, 999_000_000, time.UTC)
)

// dateSpan is the span that the precision of a date, dateTime or instant covers, in whole milliseconds: that is the
// resolution of meta.lastUpdated and of stores. It takes at least one millisecond.
func dateSpan(s string) (from, to time.Time, ok bool) {
	from, to, ok = fhir.ParseDate(s)
	if !ok {
		return from, to, false
	}
	short := to.Sub(from) < time.Millisecond
	from = from.Truncate(time.Millisecond)
	if short {
		to = from.Add(time.Millisecond)
	}
	return clampTime(from), clampTime(to), true
}

func clampTime(t time.Time) time.Time {
	if t.Before(MinTime) {
		return MinTime
	}
	if t.After(MaxTime) {
		return MaxTime
	}
	return t
}

// number reads a decimal; one beyond float64 is the largest there is.
func number(s string) (float64, bool) {
	f, err := strconv.ParseFloat(s, 64)
	if math.IsInf(f, 0) && err != nil {
		return math.Copysign(math.MaxFloat64, f), true
	}
	return f, err == nil && !math.IsNaN(f) && !math.IsInf(f, 0)
}

// decimalSpan reads a number of a search: its value, and half a unit of its last digit, which is how far it may be
// off (FHIR R4 § 3.1.1.4.6): 100 covers 99.5 to 100.5, 5.40 covers 5.395 to 5.405, and 1e2, with one digit, 50 to 150.
func decimalSpan(s string) (value, half float64, ok bool) {
	i, decimals, digits, point := 0, 0, 0, false
	if i < len(s) && (s[i] == '-' || s[i] == '+') {
		i++
	}
	for ; i < len(s); i++ {
		if c := s[i]; c >= '0' && c <= '9' {
			digits++
			if point {
				decimals++
			}
		} else if c == '.' && !point {
			point = true
		} else {
			break
		}
	}
	if digits == 0 {
		return 0, 0, false
	}
	exponent := 0
	if i < len(s) {
		if s[i] != 'e' && s[i] != 'E' {
			return 0, 0, false
		}
		var err error
		if exponent, err = strconv.Atoi(s[i+1:]); err != nil || exponent > 300 || exponent < -300 {
			return 0, 0, false
		}
	}
	value, ok = number(s)
	return value, 0.5 * math.Pow10(exponent-decimals), ok
}
