package exchange_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/exchange"
	"sotesilta/gateway/report"
)

// What says no, or finds nothing, leaves on the grid, whichever way it was asked; what gives data is not held.
func TestRefusalsLeaveOnAGrid(t *testing.T) {
	const tick = 5 * time.Millisecond
	w := newWorld(t)
	row := w.put(nurse, observation("aino", "2026-02-01"))
	asks := map[string]func(who, id string){
		"read":    func(who, id string) { _, _ = w.Read(w.ctx, as(who), "Observation", id) },
		"vread":   func(who, id string) { _, _ = w.VRead(w.ctx, as(who), "Observation", id, 1) },
		"history": func(who, id string) { _, _, _ = w.History(w.ctx, as(who), "Observation", id, exchange.Past{Count: 10}) },
		"search":  func(who, id string) { _, _ = w.Search(w.ctx, as(who), query(t, "Observation", "_id="+id)) },
		"evaluate": func(who, id string) {
			_, _ = w.Evaluate(w.ctx, as(who), exchange.Read, "Observation", id)
		},
		"report": func(who, id string) {
			_, err := w.Report(w.ctx, as(who), exchange.ReportRequest{Form: report.OwnView, Client: id})
			require.Error(t, err)
		},
		"explain": func(_, id string) {
			_, err := w.ExplainHypothesis(w.ctx, as("aino@omaks"), exchange.Hypothesis{Interaction: exchange.Read, Type: "Observation", ID: id})
			require.Error(t, err)
		},
		"prove": func(who, id string) {
			_, err := w.Prove(w.ctx, as(who), id)
			require.Error(t, err)
		},
		"match": func(who, id string) {
			_, err := w.Match(w.ctx, as(who), exchange.Identification{IdentityCode: id, Family: "Nobody", Given: "Nobody"})
			require.Error(t, err)
		},
		"delete": func(who, id string) {
			_, _ = w.Transact(w.ctx, as(who), []exchange.Op{{Interaction: exchange.Delete, Type: "Observation", ID: id}})
		},
	}
	for name, ask := range asks {
		for what, id := range map[string]string{"hidden": row.ID, "absent": "0badc0de-0000-4000-8000-000000000000"} {
			began := time.Now()
			ask(worker, id)
			require.GreaterOrEqual(t, time.Since(began), tick, "%s of what is %s", name, what)
		}
	}
	fastest := time.Hour
	for range 20 {
		began := time.Now()
		asks["read"](nurse, row.ID)
		fastest = min(fastest, time.Since(began))
	}
	require.Less(t, fastest, tick, "a read that gives data waits for nothing")
}
