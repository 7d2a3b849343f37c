package sandbox

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
)

// TestALineSaysWhatWasNotDone: the law's word and the line's shape stay, and what did not happen is told.
func TestALineSaysWhatWasNotDone(t *testing.T) {
	rec := ledger.Record{
		ID: "1", Exchange: "1", Time: time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC), Interaction: "update", Target: "CarePlan/1",
		Actor: consent.Actor{App: "county-social", User: "social-worker"}, Register: consent.Health, Outcome: consent.Permitted.String(),
		Bases: []consent.Basis{{ID: "ATL-46", Citation: "703/2023 § 46"}}, Success: true,
	}
	shape := `^\d\d:\d\d:\d\d\.000  social-worker@county-social → health +update +CarePlan/1 +PERMIT  ATL-46 +703/2023 § 46`
	require.Regexp(t, shape+` +#7$`, Line{&rec, 7}.String())
	rec.Success = false
	require.Regexp(t, shape+` \(not done\) +#7$`, Line{&rec, 7}.String())
	rec.Outcome, rec.Bases, rec.Reason = consent.Denied.String(), nil, "no basis covers it"
	require.Regexp(t, `DENY    - +no basis covers it +#7$`, Line{&rec, 7}.String())
}
