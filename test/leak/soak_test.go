//go:build soak

package leak

import (
	"os"
	"strconv"
	"testing"

	"sotesilta/test/gatewaytest"
)

// TestSoakTimes measures as long as a patient listener would, by every question that is timed: about data that are hidden of
// a known client, and about a client whom the asker does not know at all. It waits for hours rather than minutes
// (-timeout 3h); LEAK_PAIRS takes another sample than 10,000 pairs a question.
func TestSoakTimes(t *testing.T) {
	pairs := 10_000
	if given := os.Getenv("LEAK_PAIRS"); given != "" {
		var err error
		if pairs, err = strconv.Atoi(given); err != nil {
			t.Fatal(err)
		}
	}
	gatewaytest.Own(t, func(t *testing.T, g *gatewaytest.Gateway) {
		for _, patient := range []string{"aino", "veikko"} {
			t.Run(patient, func(t *testing.T) { times(t, g, patient, pairs) })
		}
	})
}

func TestSoakWithdrawalUnderLoad(t *testing.T) { withdrawals(t, 100) }
