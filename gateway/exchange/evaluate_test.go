package exchange_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/exchange"
	"sotesilta/gateway/store"
)

const note = `{"resourceType":"Condition","code":{"text":"secret"},"subject":{"reference":"Patient/onni"}}`

func TestEvaluationsAreDecidedAndRecordedLikeReads(t *testing.T) {
	w := newWorld(t)
	mine := w.put("jukola-ehr", observation("onni", "2026-01-10")).ID
	hidden := w.put("jukola-ehr", observation("aino", "2026-01-10")).ID
	own := w.put(nurse, note).ID
	gone := w.put(nurse, note).ID
	_, err := w.Transact(w.ctx, as(nurse), []exchange.Op{remove("Condition", gone)})
	require.NoError(t, err)

	for _, c := range []struct {
		who, what   string
		i           exchange.Interaction
		typ, id     string
		answer      bool
		outcome     string
		basis       string
		client, row string
	}{
		{nurse, "reads her own register", exchange.Read, "Observation", mine, true, "permit", "ATL-4.3-H", "onni", "/_history/1"},
		{worker, "reads by onni's permit", exchange.Read, "Observation", mine, true, "permit", "ATL-53.2", "onni", "/_history/1"},
		{worker, "does not read aino's", exchange.Read, "Observation", hidden, false, "deny", "", "aino", "/_history/1"},
		{worker, "does not read what is not there", exchange.Read, "Observation", "nowhere", false, "deny", "", "", ""},
		{nurse, "changes what is hers", exchange.Update, "Condition", own, true, "permit", "ATL-4.3-H", "onni", "/_history/1"},
		{worker, "changes nothing of the other register", exchange.Update, "Observation", mine, false, "deny", "", "onni", "/_history/1"},
		{nurse, "reads nothing that was deleted", exchange.Read, "Condition", gone, false, "permit", "ATL-4.3-H", "onni", "/_history/2"},
		{nurse, "changes no population data", exchange.Update, "Patient", "onni", false, "", "", "onni", ""},
	} {
		t.Run(c.who+" "+c.what, func(t *testing.T) {
			var answer bool
			recs := flat(w.records(func() {
				var err error
				answer, err = w.Evaluate(w.ctx, as(c.who), c.i, c.typ, c.id)
				require.NoError(t, err)
			}))
			require.Equal(t, c.answer, answer)
			require.Len(t, recs, 1)
			rec := recs[0]
			require.Equal(t, "evaluate", rec.Interaction)
			require.Equal(t, c.typ+"/"+c.id, rec.Target)
			require.Equal(t, c.client, rec.Client)
			require.Equal(t, c.answer, rec.Success)
			require.Empty(t, rec.Entities, "nothing moved")
			if c.outcome != "" {
				require.Equal(t, c.outcome, rec.Outcome)
			}
			if c.basis != "" {
				require.Equal(t, c.basis, rec.Bases[0].ID)
			}
			if c.row != "" {
				require.Equal(t, c.typ+"/"+c.id+c.row, rec.Row)
			}
		})
	}
}

func TestAnEvaluationOutsideTheScopesLooksAtNothing(t *testing.T) {
	w := newWorld(t)
	recs := w.records(func() {
		answer, err := w.Evaluate(w.ctx, as(nurse, func(c *exchange.Caller) {
			c.Allows = func(_ string, i exchange.Interaction) bool { return i == exchange.Search }
		}), exchange.Read, "Patient", "onni")
		require.NoError(t, err)
		require.False(t, answer)
	})
	require.Empty(t, recs)
}

func TestEvaluationsThatCannotBeRecordedAreNotAnswered(t *testing.T) {
	w := newWorld(t)
	w.store.failing(func(store.Change) error { return errors.New("disk full") })
	for _, id := range []string{"onni", "nowhere"} {
		answer, err := w.Evaluate(w.ctx, as(nurse), exchange.Read, "Patient", id)
		require.True(t, exchange.IsRefusal(err, exchange.Unrecorded), "%v", err)
		require.False(t, answer)
	}
}

func TestTheAuditorAsksWhetherARecordIsThere(t *testing.T) {
	w := newWorld(t)
	rec := flat(w.records(func() { w.found(nurse, "Observation", "patient=Patient/onni") }))[0]
	for _, c := range []struct {
		who, id string
		answer  bool
	}{{"auditor", rec.ID, true}, {"auditor", "nowhere", false}, {nurse, rec.ID, false}} {
		answer, err := w.Evaluate(w.ctx, as(c.who), exchange.Read, "AuditEvent", c.id)
		require.NoError(t, err)
		require.Equal(t, c.answer, answer, c)
	}
}
