package fhirpath

import (
	"cmp"
	"time"

	"sotesilta/internal/fhir"
)

// date is a date, dateTime or time with the precision it is known to. Seconds and their fractions are one precision.
type date struct {
	parts     [6]int // year, month, day, hour, minute, second
	nanos     int
	precision int // how many parts are known
	zoned     bool
	offset    time.Duration
}

// dateOf reads a date, dateTime or instant, in FHIRPath also one that ends after T, the hour or the minute.
func dateOf(s string) (date, bool) {
	var d date
	text := s
	if len(text) > 0 && text[len(text)-1] == 'T' {
		text = text[:len(text)-1]
	}
	take := func(digits int) (int, bool) {
		if len(text) < digits {
			return 0, false
		}
		n := 0
		for i := range digits {
			if !isDigit(text[i]) {
				return 0, false
			}
			n = n*10 + int(text[i]-'0')
		}
		text = text[digits:]
		return n, true
	}
	before := [6]byte{0, '-', '-', 'T', ':', ':'}
	for i := range d.parts {
		if i > 0 {
			if text == "" || text[0] != before[i] {
				break
			}
			text = text[1:]
		}
		n, ok := take([6]int{4, 2, 2, 2, 2, 2}[i])
		if !ok {
			return d, false
		}
		d.parts[i], d.precision = n, i+1
	}
	if d.precision == 6 && text != "" && text[0] == '.' {
		text = text[1:]
		scale := 100_000_000
		for text != "" && isDigit(text[0]) {
			d.nanos += int(text[0]-'0') * scale
			scale /= 10
			text = text[1:]
		}
	}
	if d.precision > 3 && text != "" {
		switch sign := text[0]; sign {
		case 'Z':
			d.zoned, text = true, text[1:]
		case '+', '-':
			text = text[1:]
			h, ok := take(2)
			if !ok || text == "" || text[0] != ':' {
				return d, false
			}
			text = text[1:]
			m, ok := take(2)
			if !ok || h > 14 || m > 59 {
				return d, false
			}
			d.zoned, d.offset = true, time.Duration(h)*time.Hour+time.Duration(m)*time.Minute
			if sign == '-' {
				d.offset = -d.offset
			}
		}
	}
	return d, text == "" && d.possible()
}

// possible says whether the calendar has the day and the day the time.
func (d date) possible() bool {
	p := d.parts
	if d.precision == 0 || p[0] < 1 || d.precision > 1 && (p[1] < 1 || p[1] > 12) {
		return false
	}
	if d.precision > 2 {
		whole := time.Date(p[0], time.Month(p[1]), p[2], 0, 0, 0, 0, time.UTC)
		if whole.Day() != p[2] || int(whole.Month()) != p[1] {
			return false
		}
	}
	return p[3] < 24 && p[4] < 60 && p[5] <= 60
}

// validTime says whether s is hh[:mm[:ss[.fff]]].
func validTime(s string) bool {
	_, ok := timeOf(s)
	return ok
}

// timeOf is a time of day as the same day's dateTime.
func timeOf(s string) (date, bool) { return dateOf("2000-01-01T" + s) }

// utc is d in UTC.
func (d date) utc() date {
	if !d.zoned || d.precision < 4 {
		return d
	}
	p := d.parts
	t := time.Date(p[0], time.Month(p[1]), p[2], p[3], p[4], p[5], d.nanos, time.UTC).Add(-d.offset)
	d.parts = [6]int{t.Year(), int(t.Month()), t.Day(), t.Hour(), t.Minute(), t.Second()}
	d.offset = 0
	return d
}

// compare is -1, 0 or 1; it is unknown where one is known less precisely and the rest is alike, or where one has a zone
// and the other a time without one.
func (d date) compare(e date) (order int, known bool) {
	if d.zoned && e.zoned {
		d, e = d.utc(), e.utc()
	} else if d.zoned != e.zoned && d.precision > 3 && e.precision > 3 {
		return 0, false
	}
	for i := range min(d.precision, e.precision) {
		if order := cmp.Compare(d.parts[i], e.parts[i]); order != 0 {
			return order, true
		}
	}
	if d.precision != e.precision {
		return 0, false
	}
	return cmp.Compare(d.nanos, e.nanos), true
}

// instant is t as a dateTime.
func instant(t time.Time) Item { return Item{kind: kindDateTime, text: fhir.Instant(t)} }
