package finland

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestOIDsOfTheCodeServiceLoseTheirYear(t *testing.T) {
	for _, c := range []struct{ in, oid, version string }{
		{"urn:oid:1.2.246.537.6.202.2008", "1.2.246.537.6.202", "2008"},
		{"1.2.246.537.6.49.201501", "1.2.246.537.6.49", "201501"},
		{"urn:oid:1.2.246.537.6.884", "1.2.246.537.6.884", ""},
		{"1.2.246.537.6.1221", "1.2.246.537.6.1221", ""},
		{"1.2.246.537.6.2008", "1.2.246.537.6.2008", ""}, // a structure, not a year of one
		{"1.2.246.537.6.12.2002.126", "1.2.246.537.6.12.2002.126", ""},
		{"urn:oid:1.2.246.777.11.2025", "1.2.246.777.11.2025", ""}, // not of the code service
		{"http://loinc.org", "http://loinc.org", ""},
		{"1.2.246.537.6.049.2015", "1.2.246.537.6.049.2015", ""},
		{"", "", ""},
	} {
		oid, version := OID(c.in)
		assert.Equal(t, []string{c.oid, c.version}, []string{oid, version}, c.in)
	}
	assert.True(t, SameOID("urn:oid:1.2.246.537.6.49.201501", "1.2.246.537.6.49"))
	assert.False(t, SameOID("1.2.246.537.6.49", "1.2.246.537.6.50"))
	assert.False(t, ValidOID("1..2"))
	assert.False(t, ValidOID("3.2"))
}

func TestHolidaysAreNoWorkingDays(t *testing.T) {
	holidays := map[string]string{
		"2026-01-01": "New Year", "2026-01-06": "Epiphany", "2026-04-03": "Good Friday", "2026-04-06": "Easter Monday", "2026-05-01": "May Day",
		"2026-05-14": "Ascension Day", "2026-06-19": "Midsummer Eve", "2026-12-24": "Christmas Eve", "2026-12-25": "Christmas Day",
	}
	for d := day("2026-01-01"); d.Year() == 2026; d = d.AddDate(0, 0, 1) {
		weekend := d.Weekday() == time.Saturday || d.Weekday() == time.Sunday
		name := holidays[d.Format(time.DateOnly)]
		assert.Equal(t, !weekend && name == "", WorkingDay(d), "%s %s", d.Format(time.DateOnly), name)
	}
	for _, d := range []string{"2027-12-06", "2025-06-20", "2024-05-09", "2024-12-26", "2028-12-06"} {
		assert.False(t, WorkingDay(day(d)), d)
	}
}

func TestEaster(t *testing.T) {
	for _, d := range []string{"1999-04-04", "2000-04-23", "2008-03-23", "2011-04-24", "2024-03-31", "2025-04-20", "2026-04-05", "2038-04-25"} {
		assert.Equal(t, d, Easter(day(d).Year()).Format(time.DateOnly))
	}
}

func TestAddWorkingDays(t *testing.T) {
	for _, c := range []struct {
		from string
		n    int
		want string
	}{
		{"2026-11-20", 1, "2026-11-23"},
		{"2026-11-21", 1, "2026-11-23"},
		{"2026-11-21", 0, "2026-11-23"},
		{"2026-11-20", 0, "2026-11-20"},
		{"2026-11-20", 7, "2026-12-01"},
		{"2026-04-02", 1, "2026-04-07"},
		{"2026-12-23", 1, "2026-12-28"},
		{"2026-12-31", 3, "2027-01-07"},
	} {
		assert.Equal(t, c.want, AddWorkingDays(day(c.from), c.n).Format(time.DateOnly), "%s + %d", c.from, c.n)
	}
}

func day(s string) time.Time {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return t
}
