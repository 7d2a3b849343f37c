//go:build soak

package leak

import (
	"testing"

	"sotesilta/test/gatewaytest"
)

// TestSoakTimes measures as long as a patient listener would.
func TestSoakTimes(t *testing.T) {
	gatewaytest.Own(t, func(t *testing.T, g *gatewaytest.Gateway) { times(t, g, 10_000) })
}

func TestSoakWithdrawalUnderLoad(t *testing.T) { withdrawals(t, 100) }
