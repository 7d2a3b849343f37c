package sandbox

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/consent/ledger"
)

// Among the commands that are printed one opens a line of the journey as the auditor, by its number.
func TestALineIsOpenedByItsNumber(t *testing.T) {
	at := time.Date(2026, 11, 21, 23, 51, 46, 707e6, time.FixedZone("EET", 2*60*60))
	line := func(outcome string, seq int64, directives ...string) Line {
		return Line{Seq: seq, Record: &ledger.Record{Outcome: outcome, Directives: directives, Time: at.Add(time.Duration(seq) * time.Second)}}
	}
	printed := func(lines ...Line) string {
		var out bytes.Buffer
		CurlLines(&out, "http://localhost:8080", "", lines)
		return out.String()
	}
	all := printed(line("permit", 1, "Consent/1/_history/1"), line("deny", 2), line("deny", 3, "Consent/1/_history/1"))
	require.Contains(t, all, "# the auditor: line #3 of the journey")
	require.Contains(t, all, "/fhir/AuditEvent?ledger=3'")
	require.NotContains(t, printed(), "line #", "without a journey there is none to open")
}
