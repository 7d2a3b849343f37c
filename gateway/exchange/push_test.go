package exchange_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/exchange"
)

// A push that is sent and one that is withheld make the ledger grow alike, however much a message is made of: its size is
// public, and must not tell what the receiver may have.
func TestAPushIsOneRecord(t *testing.T) {
	w := newWorld(t)
	row := w.put(nurse, observation("aino", "2026-02-01"))
	push := func(receiver string) (sent, records int) {
		w.store.mu.Lock()
		before := len(w.store.commits)
		w.store.mu.Unlock()
		rounds := 0
		out, err := w.GatherWith(w.ctx, as(receiver), func(found []*exchange.Resource) []string {
			if rounds++; rounds == 1 && found[0] != nil {
				return []string{"Patient/aino", "PractitionerRole/nurse"}
			}
			return nil
		}, "Observation/"+row.ID)
		require.NoError(t, err)
		for _, resource := range out {
			if resource != nil {
				sent++
			}
		}
		w.store.mu.Lock()
		defer w.store.mu.Unlock()
		for _, commit := range w.store.commits[before:] {
			records += len(commit)
		}
		return sent, records
	}
	sent, records := push("jukola-ehr")
	require.Equal(t, 3, sent)
	require.Equal(t, 1, records)
	sent, records = push("county-social")
	require.Zero(t, sent)
	require.Equal(t, 1, records)
}
