package exchange_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/consent/ledger"
	"sotesilta/gateway/exchange"
)

// Data about two people are in the log of each, and neither log tells of the other's relationships or directives.
func TestEachClientsRecordHoldsThatClientsFactsOnly(t *testing.T) {
	w := newWorld(t)
	row := w.put(nurse, `{"resourceType":"Observation","status":"final","code":{"text":"together"},"issued":"2026-02-01T00:00:00Z",
		"subject":{"reference":"Patient/onni"},"focus":[{"reference":"Patient/eino"}]}`)
	own := func(rec ledger.Record, other string) {
		require.NotEmpty(t, rec.Evidence, rec.Client)
		for _, ref := range append(append([]string{}, rec.Evidence...), rec.Directives...) {
			require.NotContains(t, ref, other, "the record of %s", rec.Client)
			typ, id, _ := strings.Cut(ref, "/")
			id, _, _ = strings.Cut(id, "/")
			require.Equal(t, []string{rec.Client}, w.row(typ, id).Class.Clients, ref)
		}
	}
	other := map[string]string{"onni": "eino", "eino": "onni"}

	commits := w.records(func() {
		_, err := w.Read(w.ctx, as(nurse), row.Type, row.ID)
		require.NoError(t, err)
	})
	require.Len(t, commits, 1)
	require.Len(t, commits[0], 2)
	for _, rec := range commits[0] {
		own(rec, other[rec.Client])
		require.Equal(t, "ATL-4.3-H", rec.Bases[0].ID)
		require.Equal(t, row.ID, strings.Split(rec.Entities[0].What, "/")[1])
	}
	require.NotEqual(t, commits[0][0].Client, commits[0][1].Client)

	// Across registers onni's permit would do and eino's ban stops it: the denial is eino's, and onni's log holds nothing of it.
	commits = w.records(func() {
		_, err := w.Read(w.ctx, as(worker), row.Type, row.ID)
		require.Equal(t, exchange.Absent, kind(err))
	})
	require.Len(t, commits[0], 1)
	denial := commits[0][0]
	require.Equal(t, "eino", denial.Client)
	require.Contains(t, denial.Reason, "ATL-59")
	own(denial, "onni")
}
