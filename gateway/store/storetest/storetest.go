// Package storetest proves the contract of package store on an engine: one suite for all.
//
// An engine's tests call Main from TestMain, so that the suite can start a writing process of its own and kill it, and
// Run from a test.
package storetest

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/search"
	"sotesilta/gateway/store"
)

// Engine is how the suite gets at an engine.
type Engine struct {
	// Fresh is the place (a path, a URL) of an empty store, gone when the test is over.
	Fresh func(t testing.TB) string
	// Open opens the store at a place; a place may be opened again, also while it is open.
	Open func(ctx context.Context, place string) (store.Store, error)
	// Exec runs a statement at a place behind the store's back, and answers how many rows it changed.
	Exec func(t testing.TB, place, statement string) int64
	// Trigger are statements that put a trigger called watch on the table ledger_leaf.
	Trigger []string
	// Longer spells a column of bytes with one more.
	Longer func(column string) string
}

// Run proves the contract.
func Run(t *testing.T, e Engine) {
	for _, part := range []struct {
		name string
		run  func(*testing.T, Engine)
	}{
		{"Commit", testCommit},
		{"Read", testRead},
		{"Search", testSearch},
		{"Near", testNear},
		{"Texts", testTexts},
		{"Guard", testGuard},
		{"Paging", testPaging},
		{"Bytes", testBytes},
		{"Versions", testVersions},
		{"Gathering", testGathering},
		{"Model", testModel},
		{"Ledger", testLedger},
		{"Sequence", testSequence},
		{"Lease", testLease},
		{"Tamper", testTamper},
		{"Strange", testStrange},
		{"Concurrency", testConcurrency},
		{"Reopen", testReopen},
		{"Kill", testKill},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, e) })
	}
}

// Main runs the tests, or, in the process that testKill starts, writes until it is killed.
func Main(m *testing.M, e Engine) int {
	if place := os.Getenv(childPlace); place != "" {
		writeUntilKilled(e, place)
		return 0
	}
	return m.Run()
}

// open opens a fresh store for a test.
func open(t testing.TB, e Engine) store.Store {
	t.Helper()
	return reopen(t, e, e.Fresh(t))
}

func reopen(t testing.TB, e Engine, place string) store.Store {
	t.Helper()
	s, err := e.Open(t.Context(), place)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// opened is a snapshot that the test closes itself.
func opened(t testing.TB, s store.Store) store.Snapshot {
	t.Helper()
	n, err := s.Snapshot(t.Context())
	require.NoError(t, err)
	return n
}

// snapshot is one that closes with the test.
func snapshot(t testing.TB, s store.Store) store.Snapshot {
	t.Helper()
	n := opened(t, s)
	t.Cleanup(func() { require.NoError(t, n.Close()) })
	return n
}

// tried is what f gives, or how it fails, in a snapshot of its own.
func tried[T any](t testing.TB, s store.Store, f func(store.Snapshot) (T, error)) (T, error) {
	t.Helper()
	n := opened(t, s)
	out, err := f(n)
	require.NoError(t, n.Close())
	return out, err
}

// within is what f gives in a snapshot of its own.
func within[T any](t testing.TB, s store.Store, f func(store.Snapshot) (T, error)) T {
	t.Helper()
	out, err := tried(t, s, f)
	require.NoError(t, err)
	return out
}

// commit commits a change that must hold, with a record of its own if it has none.
func commit(t testing.TB, s store.Store, c store.Change) {
	t.Helper()
	if len(c.Records) == 0 {
		c.Records = []ledger.Record{record()}
	}
	require.NoError(t, s.Commit(t.Context(), c))
}

// noon is when everything in the suite happens unless it says otherwise.
var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// record is a record of a read by the nurse.
func record() ledger.Record {
	id := ledger.NewID()
	return ledger.Record{
		ID: id, Exchange: id, Time: noon, Interaction: "read", Outcome: "permit", Success: true, Purpose: consent.Care,
		Actor: consent.Actor{
			Kind: consent.Professional, App: "jukola-ehr", User: "nurse", Person: "Practitioner/nurse",
			Role: "PractitionerRole/nurse", Controller: "Organization/county", Register: consent.Health,
			Unit: "Organization/station", Units: []string{"Organization/station"},
		},
		Client: "aino", Controller: "Organization/county", Register: consent.Health, Target: "Observation/1",
		Bases:    []consent.Basis{{ID: "ATL-4.3-H", Citation: "703/2023 § 4.3"}},
		Entities: []ledger.Entity{{What: "Observation/1/_history/1", Role: "match"}},
	}
}

// class is the health station's data of a type about clients.
func class(typ string, clients ...string) consent.Class {
	return consent.Class{
		Type: typ, Clients: clients, Controller: "Organization/county", Register: consent.Health, Author: "jukola-ehr",
		Unit: "Organization/station",
	}
}

// row is a version of a resource of the class.
func row(c consent.Class, id string, version int64, index search.Index) store.Row {
	method := "POST"
	if version > 1 {
		method = "PUT"
	}
	return store.Row{
		Type: c.Type, ID: id, Version: version, Class: c, Recorded: noon, Updated: noon.Add(time.Duration(version) * time.Millisecond),
		Method: method, Body: fmt.Appendf(nil, `{"resourceType":%q,"id":%q,"meta":{"versionId":"%d"},"value":1.10}`, c.Type, id, version),
		Index: index,
	}
}

// deletion is the version that deletes.
func deletion(r store.Row) store.Row {
	r.Version++
	r.Deleted, r.Body, r.Method, r.Index = true, nil, "DELETE", search.Index{}
	return r
}

// guard is a store.Guard made of its answers.
type guard struct {
	reach store.Reach
	// decide answers for a class; nil permits all.
	decide func(consent.Class) consent.Decision
	asked  []consent.Class // in the last search
	facts  map[string]*consent.Facts
	times  int
}

func (g *guard) Reach() store.Reach { return g.reach }

func (g *guard) Permit(_ context.Context, classes []consent.Class, facts map[string]*consent.Facts) ([]consent.Decision, error) {
	g.asked, g.facts = classes, facts
	g.times++
	out := make([]consent.Decision, len(classes))
	for i, c := range classes {
		if g.decide == nil {
			out[i].Outcome = consent.Permitted
		} else {
			out[i] = g.decide(c)
		}
	}
	return out, nil
}

// everything reaches and permits everything.
func everything() *guard { return &guard{reach: store.Reach{All: true}} }

// find searches in a snapshot of its own.
func find(t testing.TB, s store.Store, q *search.Query, g store.Guard) store.Result {
	t.Helper()
	return within(t, s, func(n store.Snapshot) (store.Result, error) { return n.Search(t.Context(), q, g) })
}

// ids are the ids of found rows, in order.
func ids(found []store.Found) []string {
	out := make([]string, len(found))
	for i, f := range found {
		out[i] = f.ID
	}
	return out
}
