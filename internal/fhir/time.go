package fhir

import "time"

// Instant is t as a FHIR instant in UTC with milliseconds: 2026-11-21T08:30:00.000Z.
func Instant(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// ParseDate reads a date, dateTime or instant and gives the span that its precision covers, from inside and to outside,
// in UTC: 2026 is the whole year, 10:30:05 one second (FHIR R4 § 3.1.1.4.7). Besides the formats of the data types it
// reads the search form without seconds.
//
// A value without a zone is taken to be UTC: FHIR says that dates have no zone and that zones should not matter in
// comparing them, so what is stored and what is searched for are read alike, on every node.
func ParseDate(s string) (from, to time.Time, ok bool) {
	d := dateScanner{s: s}
	year := d.number(4)
	if d.done() {
		return span(date(year, 1, 1), date(year+1, 1, 1), d.ok() && year > 0)
	}
	d.byte('-')
	month := d.number(2)
	if d.done() {
		return span(date(year, month, 1), date(year, month+1, 1), d.ok() && year > 0 && month >= 1 && month <= 12)
	}
	d.byte('-')
	day := d.number(2)
	if !d.ok() || year < 1 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return time.Time{}, time.Time{}, false
	}
	if d.done() {
		return span(date(year, month, day), date(year, month, day+1), true)
	}
	d.byte('T')
	hour := d.number(2)
	d.byte(':')
	minute := d.number(2)
	second, nanos, width := 0, 0, time.Minute
	if d.next(':') {
		second, width = d.number(2), time.Second
		if d.next('.') {
			nanos, width = d.fraction()
		}
	}
	offset := d.zone()
	if !d.ok() || !d.done() || hour > 23 || minute > 59 || second > 60 { // 60 is a leap second
		return time.Time{}, time.Time{}, false
	}
	from = time.Date(year, time.Month(month), day, hour, minute, second, nanos, time.UTC).Add(-offset)
	return from, from.Add(width), true
}

func span(from, to time.Time, ok bool) (time.Time, time.Time, bool) {
	if !ok {
		return time.Time{}, time.Time{}, false
	}
	return from, to, true
}

func date(year, month, day int) time.Time {
	return time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
}

func daysIn(year, month int) int { return date(year, month+1, 0).Day() }

// dateScanner reads a date from left to right; after the first thing out of place everything fails.
type dateScanner struct {
	s   string
	i   int
	bad bool
}

func (d *dateScanner) ok() bool   { return !d.bad }
func (d *dateScanner) done() bool { return d.i == len(d.s) }

func (d *dateScanner) number(digits int) int {
	n := 0
	for range digits {
		if d.i >= len(d.s) || d.s[d.i] < '0' || d.s[d.i] > '9' {
			d.bad = true
			return 0
		}
		n = n*10 + int(d.s[d.i]-'0')
		d.i++
	}
	return n
}

func (d *dateScanner) next(c byte) bool {
	if d.i < len(d.s) && d.s[d.i] == c {
		d.i++
		return true
	}
	return false
}

func (d *dateScanner) byte(c byte) {
	if !d.next(c) {
		d.bad = true
	}
}

// fraction reads the digits after the point: nanoseconds, and the width of the last digit. Digits beyond nanoseconds
// are read and dropped.
func (d *dateScanner) fraction() (nanos int, width time.Duration) {
	start := d.i
	width = time.Second
	for d.i < len(d.s) && d.s[d.i] >= '0' && d.s[d.i] <= '9' {
		if width > 1 {
			width /= 10
			nanos += int(d.s[d.i]-'0') * int(width)
		}
		d.i++
	}
	if d.i == start {
		d.bad = true
	}
	return nanos, width
}

// zone reads Z, an offset of at most 14 hours, or nothing.
func (d *dateScanner) zone() time.Duration {
	if d.done() || d.next('Z') {
		return 0
	}
	sign := time.Duration(1)
	if !d.next('+') {
		d.byte('-')
		sign = -1
	}
	hours := d.number(2)
	d.byte(':')
	minutes := d.number(2)
	if hours > 14 || minutes > 59 || hours == 14 && minutes > 0 {
		d.bad = true
	}
	return sign * (time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute)
}
