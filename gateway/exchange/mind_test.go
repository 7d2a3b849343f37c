package exchange_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/exchange"
	"sotesilta/gateway/sandbox"
)

// withdraw makes a directive inactive, as the unit that recorded it.
func withdrawal(t testing.TB, who, client, id, consentText string) []exchange.Op {
	ops := directive(t, who, client, strings.Replace(consentText, `"status":"active"`, `"status":"inactive"`, 1))
	ops[0].Interaction, ops[0].ID = exchange.Update, id
	return ops
}

// A change of mind counts at once: after a withdrawal is committed, no answer of a reader that loops meanwhile holds the
// data (law 4).
func TestAChangeOfMindCountsAtOnce(t *testing.T) {
	w := newWorld(t)
	row := w.put(nurse, observation("aino", "2026-02-01"))
	permit := sandbox.PermitToSocial("aino", sandbox.Period{From: "2026-01-01"})
	id := w.give(nurse, "aino", permit)

	rounds := 100
	if testing.Short() {
		rounds = 10
	}
	var closed atomic.Int64 // odd: withdrawn, and committed so
	var sights, wrong atomic.Int64
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for reader := range 2 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				before := closed.Load()
				seen := false
				if reader == 0 {
					_, err := w.Read(w.ctx, as(worker), "Observation", row.ID)
					seen = err == nil
				} else {
					page, err := w.Search(w.ctx, as(worker), query(t, "Observation", "patient=aino"))
					seen = err == nil && len(page.Matches) > 0
				}
				if seen {
					sights.Add(1)
					// Withdrawn before the question was put and still withdrawn after the answer: the answer is too late.
					if before%2 == 1 && closed.Load() == before {
						wrong.Add(1)
					}
				}
			}
		})
	}
	for range rounds {
		_, err := w.Transact(w.ctx, as(nurse), withdrawal(t, nurse, "aino", id, permit))
		require.NoError(t, err)
		closed.Add(1)
		_, err = w.Read(w.ctx, as(worker), "Observation", row.ID)
		require.Equal(t, exchange.Absent, kind(err))
		require.Empty(t, w.found(worker, "Observation", "patient=aino"))
		out, err := w.Gather(w.ctx, as("county-social"), "Observation/"+row.ID)
		require.NoError(t, err)
		require.Nil(t, out[0])
		closed.Add(1)
		again := directive(t, nurse, "aino", permit)
		again[0].Interaction, again[0].ID = exchange.Update, id
		_, err = w.Transact(w.ctx, as(nurse), again)
		require.NoError(t, err)
		_, err = w.Read(w.ctx, as(worker), "Observation", row.ID)
		require.NoError(t, err)
	}
	close(stop)
	readers.Wait()
	require.Zero(t, wrong.Load(), "answers on old facts")
	require.NotZero(t, sights.Load(), "the readers saw the data while they were open")
}

// A relationship that ends closes what it opened, at once, later pages and versions too.
func TestTheEndOfARelationshipClosesAtOnce(t *testing.T) {
	w := newWorld(t)
	care := w.put(worker, episode("veikko", "", "active"))
	row := w.put(worker, `{"resourceType":"QuestionnaireResponse","status":"completed","subject":{"reference":"Patient/veikko"}}`)
	w.put(worker, `{"resourceType":"QuestionnaireResponse","status":"completed","subject":{"reference":"Patient/veikko"}}`)
	first, err := w.Search(w.ctx, as(worker), query(t, "QuestionnaireResponse", "patient=veikko&_count=1"))
	require.NoError(t, err)
	require.NotEmpty(t, first.Next)

	_, err = w.Transact(w.ctx, as(worker), []exchange.Op{update(t, care.ID, episode("veikko", "", "finished"))})
	require.NoError(t, err)
	next := query(t, "QuestionnaireResponse", "patient=veikko&_count=1")
	next.Cursor = first.Next
	page, err := w.Search(w.ctx, as(worker), next)
	require.NoError(t, err)
	require.Empty(t, page.Matches)
	require.Empty(t, page.Next)
	_, err = w.VRead(w.ctx, as(worker), "QuestionnaireResponse", row.ID, 1)
	require.Equal(t, exchange.Absent, kind(err))
	_, _, err = w.History(w.ctx, as(worker), "QuestionnaireResponse", row.ID, exchange.Past{Count: 10})
	require.Equal(t, exchange.Absent, kind(err))
	require.Empty(t, w.found(worker, "Patient", "_id=veikko"))
}
