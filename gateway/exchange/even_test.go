package exchange_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/gateway/exchange"
	"sotesilta/gateway/report"
	"sotesilta/gateway/search"
	"sotesilta/gateway/store"
	"sotesilta/internal/fhir"
)

// nowhere is an id that nothing has.
const nowhere = "0badc0de-0000-4000-8000-000000000000"

// What says no, or finds nothing, leaves at a mark, whichever way it was asked, hidden or absent; what gives data, or says
// nothing of any row, does not wait. While an answer waits, no snapshot is open.
func TestRefusalsLeaveAtMarks(t *testing.T) {
	waited, open := 0, 0
	w := newWorldWith(t, exchange.Config{Wait: func(_ context.Context, d time.Duration) {
		require.Positive(t, d)
		require.Zero(t, open, "a snapshot is open while an answer waits")
		waited++
	}})
	w.store.snapshot = func(s store.Snapshot) store.Snapshot {
		open++
		return &watchedSnapshot{Snapshot: s, open: &open}
	}
	row := w.put(nurse, observation("aino", "2026-02-01"))
	record := w.put(physician, `{"resourceType":"Patient","active":true,"name":[{"family":"Klinikan"}]}`)
	do := func(who string, op exchange.Op) { _, _ = w.Transact(w.ctx, as(who), []exchange.Op{op}) }
	wish := func(client string) exchange.Wish {
		return exchange.Wish{Consent: doc(t, fmt.Sprintf(countyBan, client))}
	}
	for name, ask := range map[string]func(who, id string){
		"read":    func(who, id string) { _, _ = w.Read(w.ctx, as(who), "Observation", id) },
		"vread":   func(who, id string) { _, _ = w.VRead(w.ctx, as(who), "Observation", id, 1) },
		"history": func(who, id string) { _, _, _ = w.History(w.ctx, as(who), "Observation", id, exchange.Past{Count: 10}) },
		"search":  func(who, id string) { _, _ = w.Search(w.ctx, as(who), query(t, "Observation", "_id="+id)) },
		"search across types": func(who, id string) {
			q := search.AcrossOf("Condition", "Observation")
			for _, of := range q.Of() {
				of.Where = query(t, of.Type, "_id="+id).Where
			}
			q.Count = 10
			_, _ = w.Search(w.ctx, as(who), q)
		},
		"read of a record": func(who, id string) { _, _ = w.Read(w.ctx, as(who), "AuditEvent", id) },
		"everything": func(who, id string) {
			_, _ = w.Everything(w.ctx, as(who), "Patient", map[string]string{row.ID: record.ID, nowhere: nowhere}[id], exchange.Gathering{Count: 10})
		},
		"graph": func(who, id string) {
			_, _ = w.Everything(w.ctx, as(who), "CarePlan", id, exchange.Gathering{Count: 10})
		},
		"export":   func(who, id string) { _ = w.BeginBulk(w.ctx, as(who), exchange.Bulk{Group: id}) },
		"evaluate": func(who, id string) { _, _ = w.Evaluate(w.ctx, as(who), exchange.Read, "Observation", id) },
		"report": func(who, id string) {
			_, err := w.Report(w.ctx, as(who), exchange.ReportRequest{Form: report.OwnView, Client: id})
			require.Error(t, err)
		},
		"explain": func(_, id string) {
			_, err := w.ExplainHypothesis(w.ctx, as("lumi@omaks"), exchange.Hypothesis{Interaction: exchange.Read, Type: "Observation", ID: id, Actors: []consent.Actor{as(nurse).Actor}})
			require.Error(t, err)
		},
		"explain a record": func(_, id string) {
			_, err := w.ExplainRecord(w.ctx, as("lumi@omaks"), id, exchange.Narrowing{})
			require.Error(t, err)
		},
		"simulate": func(_, id string) {
			_, err := w.Simulate(w.ctx, as("lumi@omaks"), wish(map[string]string{row.ID: "aino", nowhere: nowhere}[id]), nil)
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
		"update": func(who, id string) { do(who, update(t, id, observation("onni", "2026-02-01"))) },
		"patch": func(who, id string) {
			do(who, exchange.Op{Interaction: exchange.Patch, Type: "Observation", ID: id, Patch: func(doc *fhir.Value) (*fhir.Value, error) { return doc, nil }})
		},
		"delete": func(who, id string) { do(who, remove("Observation", id)) },
		"conditional delete": func(who, id string) {
			do(who, exchange.Op{Interaction: exchange.Delete, Type: "Observation", Where: query(t, "Observation", "_id="+id)})
		},
		"conditional update": func(who, id string) {
			op := update(t, "", observation("onni", "2026-02-01"))
			op.Where = query(t, "Observation", "_id="+id)
			do(who, op)
		},
		"conditional create": func(who, id string) {
			op := create(t, `{"resourceType":"Basic","code":{"text":"x"}}`)
			op.IfNoneExist = query(t, "Basic", "_id="+id)
			do(who, op)
		},
		"conditional reference": func(who, id string) {
			do(who, create(t, `{"resourceType":"Provenance","target":[{"reference":"Observation?_id=`+id+`"}],"recorded":"2026-01-01T00:00:00Z","agent":[{"who":{"display":"x"}}]}`))
		},
		"write about a Patient": func(who, id string) {
			do(who, create(t, observation(map[string]string{row.ID: record.ID, nowhere: nowhere}[id], "2026-02-01")))
		},
		"write about a row": func(who, id string) {
			do(who, create(t, `{"resourceType":"Provenance","target":[{"reference":"Observation/`+id+`"}],"recorded":"2026-01-01T00:00:00Z","agent":[{"who":{"display":"x"}}]}`))
		},
	} {
		for what, id := range map[string]string{"hidden": row.ID, "absent": nowhere} {
			waited = 0
			ask(worker, id)
			require.Equal(t, 1, waited, "%s of what is %s", name, what)
			require.Zero(t, open, name)
		}
	}
	waited = 0
	without := as(worker, func(c *exchange.Caller) { c.Allows = func(string, exchange.Interaction) bool { return false } })
	for name, ask := range map[string]func(){
		"read of data":            func() { _, _ = w.Read(w.ctx, as(nurse), "Observation", row.ID) },
		"history of data":         func() { _, _, _ = w.History(w.ctx, as(nurse), "Observation", row.ID, exchange.Past{}) },
		"search that finds":       func() { _, _ = w.Search(w.ctx, as(nurse), query(t, "Observation", "_id="+row.ID)) },
		"evaluation that permits": func() { _, _ = w.Evaluate(w.ctx, as(nurse), exchange.Read, "Observation", row.ID) },
		"write":                   func() { w.put(nurse, observation("aino", "2026-02-02")) },
		"read beyond the scope":   func() { _, _ = w.Read(w.ctx, without, "Observation", row.ID) },
		"search beyond the scope": func() { _, _ = w.Search(w.ctx, without, query(t, "Observation", "_id="+row.ID)) },
		"write beyond the scope":  func() { _, _ = w.Transact(w.ctx, without, []exchange.Op{remove("Observation", row.ID)}) },
		"malformed write": func() {
			do(worker, exchange.Op{Interaction: exchange.Update, Type: "Observation", ID: row.ID, Doc: doc(t, `{"resourceType":"Patient"}`)})
		},
		"malformed evaluation": func() { _, _ = w.Evaluate(w.ctx, as(worker), exchange.Create, "Observation", row.ID) },
		"malformed report":     func() { _, _ = w.Report(w.ctx, as(aino), exchange.ReportRequest{Client: "aino"}) },
		"malformed wish":       func() { _, _ = w.Simulate(w.ctx, as(aino), exchange.Wish{}, nil) },
	} {
		ask()
		require.Zero(t, waited, name)
	}
}

// watchedSnapshot counts a snapshot as open until it is closed.
type watchedSnapshot struct {
	store.Snapshot
	open   *int
	closed bool
}

func (s *watchedSnapshot) Close() error {
	if !s.closed {
		s.closed = true
		*s.open--
	}
	return s.Snapshot.Close()
}

// A flood of refusals takes nothing while it waits: with hundreds waiting, on a store with four readers and as many turns for
// those who read beside their snapshot, others read, search, write, explain and are refused as before.
func TestAnswersThatWaitTakeNothing(t *testing.T) {
	var waited atomic.Int64
	release := make(chan struct{})
	w := newWorldWith(t, exchange.Config{Wait: func(context.Context, time.Duration) {
		waited.Add(1)
		<-release
	}})
	row := w.put(nurse, observation("aino", "2026-02-01"))
	seen := w.records(func() { _, _ = w.Read(w.ctx, as(nurse), "Observation", row.ID) })[0][0].ID
	var flood sync.WaitGroup
	ask := func(n int, f func()) {
		for range n {
			flood.Go(f)
		}
	}
	ask(100, func() { _, _ = w.Read(w.ctx, as(worker), "Observation", row.ID) })
	ask(100, func() { _, _ = w.Search(w.ctx, as(worker), query(t, "Observation", "_id="+row.ID)) })
	ask(100, func() { _, _ = w.Evaluate(w.ctx, as(worker), exchange.Read, "Observation", nowhere) })
	ask(20, func() { _, _ = w.Transact(w.ctx, as(worker), []exchange.Op{remove("Observation", row.ID)}) })
	ask(20, func() { _, _ = w.ExplainRecord(w.ctx, as("lumi@omaks"), seen, exchange.Narrowing{}) })
	ask(20, func() {
		_, _ = w.Simulate(w.ctx, as("lumi@omaks"), exchange.Wish{Consent: doc(t, fmt.Sprintf(countyBan, "aino"))}, nil)
	})
	require.Eventually(t, func() bool { return waited.Load() == 360 }, time.Minute, 5*time.Millisecond)
	ctx, stop := context.WithTimeout(w.ctx, 30*time.Second)
	defer stop()
	_, err := w.Read(ctx, as(nurse), "Observation", row.ID)
	require.NoError(t, err)
	page, err := w.Search(ctx, as(nurse), query(t, "Observation", "_id="+row.ID))
	require.NoError(t, err)
	require.Len(t, page.Matches, 1)
	_, err = w.Transact(ctx, as(nurse), []exchange.Op{create(t, observation("aino", "2026-02-02"))})
	require.NoError(t, err)
	_, err = w.ExplainRecord(ctx, as("auditor"), seen, exchange.Narrowing{})
	require.NoError(t, err)
	require.Equal(t, int64(360), waited.Load())
	close(release)
	flood.Wait()
}

// Each of the entries of a request waits for no more than its share of the time that the request has left.
func TestAThousandRefusalsShareTheTime(t *testing.T) {
	var longest time.Duration
	w := newWorldWith(t, exchange.Config{Wait: func(_ context.Context, d time.Duration) { longest = max(longest, d) }})
	ctx, stop := context.WithTimeout(w.ctx, 2*time.Second)
	defer stop()
	_, err := w.Read(exchange.Among(ctx, 1000), as(worker), "Observation", nowhere)
	require.Equal(t, exchange.Absent, kind(err))
	require.LessOrEqual(t, longest, time.Millisecond)
	_, err = w.Read(exchange.Among(ctx, 1), as(worker), "Observation", nowhere)
	require.Equal(t, exchange.Absent, kind(err))
	require.Greater(t, longest, time.Millisecond, "a question alone waits for its mark")
}

// One hidden row deleted many times in one transaction would take that much longer than an absent one: a transaction that
// names a resource twice is refused before any row is looked at.
func TestATransactionNamesAResourceOnce(t *testing.T) {
	w := newWorld(t)
	row := w.put(nurse, observation("aino", "2026-02-01"))
	for _, who := range []string{worker, nurse} {
		for _, id := range []string{row.ID, nowhere} {
			commits := w.records(func() {
				_, err := w.Transact(w.ctx, as(who), []exchange.Op{remove("Observation", id), remove("Observation", id)})
				require.Equal(t, exchange.Invalid, kind(err))
			})
			require.Empty(t, commits)
		}
	}
}

// A decoy stays out of the ledger: the record of what is absent names no client, no class and no facts.
func TestADecoyIsNotRecorded(t *testing.T) {
	w := newWorld(t)
	for name, ask := range map[string]func(){
		"read":     func() { _, _ = w.Read(w.ctx, as(worker), "Observation", nowhere) },
		"vread":    func() { _, _ = w.VRead(w.ctx, as(worker), "Observation", nowhere, 1) },
		"history":  func() { _, _, _ = w.History(w.ctx, as(worker), "Observation", nowhere, exchange.Past{}) },
		"evaluate": func() { _, _ = w.Evaluate(w.ctx, as(worker), exchange.Read, "Observation", nowhere) },
		"match": func() {
			_, _ = w.Match(w.ctx, as(worker), exchange.Identification{IdentityCode: "x", Family: "x", Given: "x"})
		},
		"update": func() {
			_, _ = w.Transact(w.ctx, as(worker), []exchange.Op{update(t, nowhere, observation("onni", "2026-02-01"))})
		},
		"delete": func() { _, _ = w.Transact(w.ctx, as(worker), []exchange.Op{remove("Observation", nowhere)}) },
	} {
		recs := flat(w.records(ask))
		require.Len(t, recs, 1, name)
		rec := recs[0]
		require.Equal(t, "deny", rec.Outcome, name)
		require.Empty(t, rec.Client+rec.Controller+string(rec.Register)+rec.Row, name)
		require.Empty(t, rec.Classes, name)
		require.Empty(t, rec.Evidence, name)
		require.Empty(t, rec.Directives, name)
		require.Zero(t, rec.Facts, name)
		require.NotContains(t, string(rec.Canonical()), `"_"`, name)
	}
}
