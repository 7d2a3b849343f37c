package sandbox

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
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

// TestALoadIsCounted: what somebody tries is printed line by line; of a load the feed prints so many lines a second and
// how many more there were, and what is not printed is told by its numbers: each record is on a line or in a range.
func TestALoadIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		f, placed := NewFeed(), int64(0)
		come := func(n int) {
			entries := make([]ledger.Entry, n)
			for i := range entries {
				rec := ledger.Record{ID: fmt.Sprint(placed), Interaction: "read", Outcome: consent.Permitted.String()}
				entries[i] = ledger.Entry{Seq: placed, Canonical: rec.Canonical()}
				placed++
			}
			f.Observe(entries)
		}
		printed := func() (lines int, skipped string) {
			t.Helper()
			text := out.String()
			out.Reset()
			skipped = strings.Join(regexp.MustCompile(`and .* exchanges, .*:`).FindAllString(text, -1), " ")
			return strings.Count(text, "PERMIT"), skipped
		}
		tell := func(lines int, skipped, why string) {
			t.Helper()
			got, told := printed()
			require.Equal(t, lines, got, why)
			require.Equal(t, skipped, told, why)
		}
		come(2000)
		tell(0, "", "a quiet feed")
		f.Print(&out)
		for range 20 {
			come(20)
			time.Sleep(100 * time.Millisecond)
		}
		tell(400, "", "tries")
		come(3000)
		come(7)
		tell(linesAtOnce-300, "", "the begin of a load")
		time.Sleep(2 * time.Second)
		tell(0, "and 2307 more exchanges, #3100 to #5406:", "its rest")
		for range 30 {
			come(100)
			time.Sleep(100 * time.Millisecond)
		}
		lines, skipped := printed()
		require.LessOrEqual(t, lines, 5*linesASecond, "a load that lasts")
		require.NotEmpty(t, skipped)
		require.EqualValues(t, 5407+3000, f.Size())
		time.Sleep(time.Minute)
		printed()
		f.Keep(true)
		come(3000)
		tell(3000, "", "lines that are kept")
		require.Len(t, f.Lines(), 3000)
	})
}
