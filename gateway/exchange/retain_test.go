package exchange_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/exchange"
)

// Log data are kept twelve years from the event (703/2023, annex), then their content goes, on record.
func TestRecordsOverTheirRetentionTimeAreErased(t *testing.T) {
	w := newWorld(t)
	key, err := ledger.NewKey(ledger.Origin)
	require.NoError(t, err)
	log := ledger.NewLog(key)
	place := func() {
		for {
			n, err := w.store.Sequence(w.ctx, "one", 500, log.Seal)
			require.NoError(t, err)
			if n == 0 {
				return
			}
		}
	}
	place()
	operator := consent.Actor{Kind: consent.Operator, App: "operator", Controller: "Organization/county"}
	n, err := w.Retain(w.ctx, operator)
	require.NoError(t, err)
	require.Zero(t, n, "nothing is that old")

	later, err := newDesk(w.store, exchange.Config{Now: func() time.Time { return time.Now().AddDate(ledger.RetentionYears, 0, 1) }})
	require.NoError(t, err)
	before := 0
	for _, err := range w.store.Ledger().Entries(w.ctx, 0) {
		require.NoError(t, err)
		before++
	}
	made := w.records(func() { n, err = later.Retain(w.ctx, operator) })
	require.NoError(t, err)
	require.Equal(t, before, n)
	place()
	for _, records := range made {
		require.Len(t, records, 1)
		require.Equal(t, ledger.Erase, records[0].Interaction)
		require.NotEmpty(t, records[0].Entities)
		require.Equal(t, "operator", records[0].Actor.App)
		require.Equal(t, []consent.Basis{{
			ID: "ATL-24", Citation: "703/2023 § 24, annex", TitleFi: "Säilytysajan päättyminen", TitleEn: "The retention time is over",
		}}, records[0].Bases, "as consent/bases/none.yaml writes it")
	}
	report, err := ledger.Verify(w.ctx, w.store.Ledger(), key.Verifier(), ledger.Options{})
	require.NoError(t, err)
	require.Empty(t, report.Findings)
	require.EqualValues(t, before, report.Erased)

	// The records of erasures stay, however old they become.
	muchLater, err := newDesk(w.store, exchange.Config{Now: func() time.Time { return time.Now().AddDate(3*ledger.RetentionYears, 0, 0) }})
	require.NoError(t, err)
	n, err = muchLater.Retain(w.ctx, operator)
	require.NoError(t, err)
	require.Zero(t, n)
}
