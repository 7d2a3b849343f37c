package oracle

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// run runs the battery and answers the oracles that leak.
func run(t *testing.T, c Config) ([]Oracle, *Report) {
	t.Helper()
	report, err := Run(context.Background(), c)
	require.NoError(t, err)
	var leaks []Oracle
	for _, f := range report.Leaks() {
		t.Logf("%s: %s: %s", f.Oracle, f.Probe, f.Evidence)
		if !slices.Contains(leaks, f.Oracle) {
			leaks = append(leaks, f.Oracle)
		}
	}
	return leaks, report
}

// Each oracle that a server leaks by is found, and no other.
func TestEachOracleIsFound(t *testing.T) {
	for _, o := range Oracles {
		t.Run(string(o), func(t *testing.T) {
			d := newDouble(t, o)
			c := d.config()
			if d.noise = o == Time; d.noise {
				c.Pairs = 400
			}
			leaks, _ := run(t, c)
			require.Equal(t, []Oracle{o}, leaks)
		})
	}
}

// A server that tells nothing is clean, and every oracle was tried.
func TestNothingIsFoundWhereNothingTells(t *testing.T) {
	d := newDouble(t, "")
	d.noise = true
	c := d.config()
	c.Pairs = 300
	leaks, report := run(t, c)
	require.Empty(t, leaks)
	for _, row := range report.Table() {
		require.Equal(t, Clean, row.Verdict, "%s: %s", row.Oracle, row.Evidence)
	}
}

// Without a preparer and without writing, what is named is probed by reading alone; nothing changes.
func TestReadingOnly(t *testing.T) {
	for _, o := range []Oracle{"", Body, Status, Text, Header, ETag, Version, History, Search, Total, Count, Elements, Link, Compartment, Everything} {
		t.Run(string(o), func(t *testing.T) {
			d := newDouble(t, o)
			hidden := d.add("Observation", "", "preparer", `{"subject":{"reference":"Patient/`+denied+`"}}`)
			rows := len(d.rows)
			leaks, _ := run(t, Config{Base: d.http.URL, Asker: Bearer("asker"), Patient: denied, Known: []string{"Observation/" + hidden.id}})
			if o == "" {
				require.Empty(t, leaks)
			} else {
				require.Equal(t, []Oracle{o}, leaks)
			}
			require.Len(t, d.rows, rows)
		})
	}
}

func TestWhatCannotBeRunIsSaid(t *testing.T) {
	for name, c := range map[string]Config{
		"nothing given":    {},
		"nobody denied":    {Base: "http://127.0.0.1:1/fhir"},
		"no server":        {Base: "http://127.0.0.1:1/fhir", Patient: "x"},
		"an unknown type":  {Base: "http://127.0.0.1:1/fhir", Patient: "x", Type: "Basic"},
		"not a reference":  {Base: newDouble(t, "").http.URL, Asker: Bearer("asker"), Patient: denied, Known: []string{"x"}},
		"no right to hide": {Base: "http://127.0.0.1:1/fhir", Asker: Bearer("asker"), Patient: denied, Preparer: Bearer("nobody"), Write: true},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Run(context.Background(), c)
			require.Error(t, err)
		})
	}
}

// times are answers of a server under noise: most about a millisecond, some far longer, in spells.
func times(n int, slower time.Duration) (hidden, absent []time.Duration) {
	spell := time.Duration(0)
	for range n {
		if rand.N(50) == 0 {
			spell = rand.N(3 * time.Millisecond)
		}
		one := func() time.Duration {
			return time.Millisecond + spell + time.Duration(rand.ExpFloat64()*float64(200*time.Microsecond))
		}
		hidden, absent = append(hidden, one()+slower), append(absent, one())
	}
	return hidden, absent
}

// The measurement raises a false alarm as seldom as it says, and finds a difference of a twentieth of the noise.
func TestTheErrorRateOfTheMeasurement(t *testing.T) {
	const runs = 2000
	alarms := 0
	for range runs {
		hidden, absent := times(200, 0)
		if compareTimes(hidden, absent).p < 0.01 {
			alarms++
		}
	}
	// 20 are expected; more than 45 or fewer than 3 come once in a million.
	require.Less(t, alarms, 45)
	require.Greater(t, alarms, 3)
	found := 0
	for range 50 {
		hidden, absent := times(2000, 30*time.Microsecond)
		if c := compareTimes(hidden, absent); c.p < FalseAlarm/questions && c.z > 0 && c.auc > .5 {
			found++
		}
	}
	require.Greater(t, found, 45)
}
