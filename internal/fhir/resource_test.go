package fhir

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func parsed(t *testing.T, doc string) *Value {
	t.Helper()
	v, err := Parse([]byte(doc), Limits{})
	require.NoError(t, err)
	return v
}

func TestSetMetaKeepsWhatIsNotOurs(t *testing.T) {
	meta := Meta{
		ID: "x1", VersionID: "3", LastUpdated: time.Date(2026, 11, 21, 10, 30, 0, 5e6, time.FixedZone("EET", 7200)),
		Systems: []string{"urn:register", "urn:class"}, Security: []Coding{{System: "urn:register", Code: "social"}},
	}
	for _, c := range []struct{ name, in, out string }{
		{
			"nothing received", `{"status":"draft","resourceType":"Task"}`,
			`{"resourceType":"Task","id":"x1","meta":{"versionId":"3","lastUpdated":"2026-11-21T08:30:00.005Z","security":[{"system":"urn:register","code":"social"}]},"status":"draft"}`,
		},
		{
			"the sender's labels of our systems are dropped, others kept",
			`{"resourceType":"Task","meta":{"source":"urn:a","lastUpdated":"1999-01-01T00:00:00Z","_lastUpdated":{"id":"b"},"versionId":"9","id":"m","profile":["p"],` +
				`"security":[{"system":"urn:register","code":"health"},{"system":"urn:other","code":"R","display":"r"},{"system":"urn:class","code":"a"}],"tag":[{"code":"t"}]},"id":"old","_id":{"id":"c"},"status":"draft"}`,
			`{"resourceType":"Task","id":"x1","meta":{"id":"m","versionId":"3","lastUpdated":"2026-11-21T08:30:00.005Z","source":"urn:a","profile":["p"],` +
				`"security":[{"system":"urn:other","code":"R","display":"r"},{"system":"urn:register","code":"social"}],"tag":[{"code":"t"}]},"status":"draft"}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := parsed(t, c.in)
			received := v.Get("meta").Clone()
			shared := v.Get("meta")
			SetMeta(v, meta)
			assert.Equal(t, c.out, string(v.JSON()))
			assert.Equal(t, string(received.JSON()), string(shared.JSON()), "nothing below the root is changed")
			SetMeta(v, meta)
			assert.Equal(t, c.out, string(v.JSON()), "once more changes nothing")
		})
	}
	v := parsed(t, `{"resourceType":"Task","meta":{"security":[{"system":"urn:register","code":"health"}]}}`)
	meta.Security = nil
	SetMeta(v, meta)
	assert.Nil(t, v.First("meta", "security"), "no empty array is left")
}

func TestDatesCoverTheSpanOfTheirPrecision(t *testing.T) {
	for _, c := range []struct{ s, from, to string }{
		{"2026", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"},
		{"2026-12", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"},
		{"2024-02-29", "2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z"},
		{"2026-11-21T10:30", "2026-11-21T10:30:00Z", "2026-11-21T10:31:00Z"},
		{"2026-11-21T10:30+02:00", "2026-11-21T08:30:00Z", "2026-11-21T08:31:00Z"},
		{"2026-11-21T10:30:05Z", "2026-11-21T10:30:05Z", "2026-11-21T10:30:06Z"},
		{"2026-11-21T10:30:05.250-03:30", "2026-11-21T14:00:05.25Z", "2026-11-21T14:00:05.251Z"},
		{"2026-11-21T10:30:05.1234567899Z", "2026-11-21T10:30:05.123456789Z", "2026-11-21T10:30:05.12345679Z"},
		{"2026-12-31T23:59:60Z", "2027-01-01T00:00:00Z", "2027-01-01T00:00:01Z"},
	} {
		from, to, ok := ParseDate(c.s)
		require.True(t, ok, c.s)
		assert.Equal(t, []string{c.from, c.to}, []string{from.Format(time.RFC3339Nano), to.Format(time.RFC3339Nano)}, c.s)
	}
	for _, s := range []string{
		"", "26", "0000", "2026-", "2026-13", "2026-00", "2026-1", "2026-02-29", "2026-11-31", "2026-11-21T", "2026-11-21T10", "2026-11-21T24:00:00Z",
		"2026-11-21T10:60", "2026-11-21T10:30:61Z", "2026-11-21T10:30:05.Z", "2026-11-21T10:30:05+15:00", "2026-11-21T10:30:05+02", "2026-11-21T10:30:05ZZ",
		"2026-11-21 10:30:05", "20261121", "+2026", "2026-11-21T10:30:05z", "２０２６",
	} {
		_, _, ok := ParseDate(s)
		assert.False(t, ok, s)
	}
	assert.Equal(t, "2026-11-21T08:30:00.120Z", Instant(time.Date(2026, 11, 21, 10, 30, 0, 120_999_999, time.FixedZone("EET", 7200))))
}
