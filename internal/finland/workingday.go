package finland

import "time"

// WorkingDay says whether the date of t, in the location of t, is a working day: Monday to Friday and none of the
// public holidays, Midsummer Eve and Christmas Eve: the days on which a period may not end by 150/1930 § 5, Saturdays
// among them. Right from 1992 on, when Epiphany and Ascension Day returned to their own days.
func WorkingDay(t time.Time) bool {
	if d := t.Weekday(); d == time.Saturday || d == time.Sunday {
		return false
	}
	year, month, day := t.Date()
	switch t := (monthDay{month, day}); t {
	case monthDay{time.January, 1}, monthDay{time.January, 6}, monthDay{time.May, 1}, monthDay{time.December, 6},
		monthDay{time.December, 24}, monthDay{time.December, 25}, monthDay{time.December, 26}:
		return false
	}
	if month == time.June && day >= 19 && day <= 25 && t.Weekday() == time.Friday { // Midsummer Eve
		return false
	}
	easter := Easter(year)
	switch int(time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Sub(easter).Hours() / 24) {
	case -2, 1, 39: // Good Friday, Easter Monday, Ascension Day
		return false
	}
	return true
}

type monthDay struct {
	month time.Month
	day   int
}

// AddWorkingDays is the same time of day n working days after t; t's own day is not counted, as a period counted from
// a day begins on the next (150/1930 § 2). With n = 0 it is t, or the next working day where t is none. n must not be
// negative.
func AddWorkingDays(t time.Time, n int) time.Time {
	for !WorkingDay(t) {
		if n > 0 {
			break
		}
		t = t.AddDate(0, 0, 1)
	}
	for n > 0 {
		t = t.AddDate(0, 0, 1)
		if WorkingDay(t) {
			n--
		}
	}
	return t
}

// Easter is Easter Sunday of a Gregorian year, at midnight UTC (the anonymous Gregorian computus).
func Easter(year int) time.Time {
	a, b, c := year%19, year/100, year%100
	d, e := b/4, b%4
	g := (8*b + 13) / 25
	h := (19*a + b - d - g + 15) % 30
	i, k := c/4, c%4
	l := (32 + 2*e + 2*i - h - k) % 7
	m := (a + 11*h + 19*l) / 433
	month := (h + l - 7*m + 90) / 25
	day := (h + l - 7*m + 33*month + 19) % 32
	return time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
}
