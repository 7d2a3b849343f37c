package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheHeapGrowsByABoundedAmountAndMayAlwaysDouble(t *testing.T) {
	for live, want := range map[uint64]int{
		0: 400, 1 << 20: 400, 20 << 20: 400, 48 << 20: 250, 96 << 20: 125, 160 << 20: 100, 1 << 30: 100,
	} {
		require.Equal(t, want, growth(live), "%d MB", live>>20)
	}
}
