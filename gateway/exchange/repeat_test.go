package exchange_test

import (
	"context"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/exchange"
	"sotesilta/gateway/sandbox"
	"sotesilta/gateway/store"
	"sotesilta/gateway/store/sqlite"
)

// repeated replays all that a test did: under the same law every record answers as it did (law 8). Every world ends
// with it.
func repeated(t *testing.T, s store.Store) {
	t.Helper()
	replay := exchange.Replay{Store: s, Law: law()}
	report, err := replay.Run(context.Background(), func(d exchange.Difference) error {
		t.Errorf("replay of #%d %s %s %s %s of %q: %v\nthen %+v\nnow  %+v", d.Seq, d.Record, d.Actor, d.Interaction, d.Target, d.Client, d.Differs, d.Then, d.Now)
		return nil
	})
	require.NoError(t, err)
	require.Empty(t, report.Unrepeatable)
}

// ownCounty copies the sandbox's county into a store of its own.
func ownCounty(t *testing.T) store.Store {
	t.Helper()
	from, err := county()
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(filepath.Join(dir, "s"), os.DirFS(from)))
	s, err := sqlite.Open(t.Context(), filepath.Join(dir, "s", "county.db"), sqlite.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// replayed are the differences that a law finds in a store's ledger.
func replayed(t *testing.T, s store.Store, law consent.Decider) ([]exchange.Difference, *exchange.Repeated) {
	t.Helper()
	var out []exchange.Difference
	replay := exchange.Replay{Store: s, Law: law}
	report, err := replay.Run(t.Context(), func(d exchange.Difference) error {
		out = append(out, d)
		return nil
	})
	require.NoError(t, err)
	return out, report
}

// mistaken is the law with a fault: it permits what it should deny, under the version of the right law.
type mistaken struct{ consent.Decider }

func (m mistaken) Decide(req consent.Request, class consent.Class, facts []*consent.Facts) consent.Decision {
	out := m.Decider.Decide(req, class, facts)
	if out.Outcome != consent.Permitted {
		basis := consent.Basis{ID: "ATL-4.3-H", Citation: "703/2023 § 4.3"}
		out = consent.Decision{Outcome: consent.Permitted, Bases: []consent.Basis{basis}, Covers: []consent.Cover{{Basis: basis}}}
	}
	return out
}

// hesitant is the law that leaves to a human what it should deny.
type hesitant struct{ consent.Decider }

func (h hesitant) Decide(req consent.Request, class consent.Class, facts []*consent.Facts) consent.Decision {
	out := h.Decider.Decide(req, class, facts)
	if out.Outcome == consent.Denied {
		out.Outcome = consent.NeedsHuman
	}
	return out
}

func TestReplayDoesNotSayOfWhatWasWithheldThatItWouldNotLeave(t *testing.T) {
	s := ownCounty(t)
	d, err := exchange.New(exchange.Config{Store: s, Law: mistaken{law()}, Person: registry().Person, Bases: []string{base}})
	require.NoError(t, err)
	page, err := d.Search(t.Context(), as(worker), query(t, "Observation", "patient=Patient/aino"))
	require.NoError(t, err)
	lawful, err := exchange.New(exchange.Config{Store: s, Law: law(), Person: registry().Person, Bases: []string{base}})
	require.NoError(t, err)
	_, err = lawful.Read(t.Context(), as(worker), "Observation", page.Matches[0].ID)
	require.Equal(t, exchange.Absent, kind(err))
	differences, _ := replayed(t, s, hesitant{law()})
	last := differences[len(differences)-1]
	require.Equal(t, "read", last.Interaction)
	require.Equal(t, "deny", last.Then.Outcome)
	require.Equal(t, "needs-human", last.Now.Outcome)
	require.Empty(t, last.Rows)
}

func TestReplayNamesAnAnswerThatThePoliciesDoNotGive(t *testing.T) {
	s := ownCounty(t)
	d, err := exchange.New(exchange.Config{Store: s, Law: mistaken{law()}, Person: registry().Person, Bases: []string{base}})
	require.NoError(t, err)
	c := as(worker)
	c.RequestID = "7d5be1be-130e-409a-a07d-66b5c6d73e91"
	page, err := d.Search(t.Context(), c, query(t, "Observation", "patient=Patient/aino"))
	require.NoError(t, err)
	require.NotEmpty(t, page.Matches, "the faulty law lets aino's patient data out")

	differences, report := replayed(t, s, law())
	require.False(t, report.OK())
	require.Len(t, differences, 2, "the query, and the data that left")
	require.EqualValues(t, 2, report.Wrong)
	require.Equal(t, c.RequestID, differences[0].Record)
	for _, d := range differences {
		require.True(t, d.SamePolicy)
		require.Contains(t, d.Differs, "outcome")
		require.Contains(t, d.Differs, "bases")
		require.Equal(t, "permit", d.Then.Outcome)
		require.Equal(t, []string{"ATL-4.3-H"}, d.Then.Bases)
		require.Equal(t, "deny", d.Now.Outcome)
		require.Empty(t, d.Now.Bases)
		require.Equal(t, "aino", d.Client)
	}
	require.Len(t, differences[1].Rows, len(page.Matches))
	require.Equal(t, &exchange.Shift{Closed: 2}, report.Shifts["ATL-4.3-H"])
}

func TestReplaySaysWhichInputARecordLacks(t *testing.T) {
	s := ownCounty(t)
	rec := ledger.Record{
		ID: ledger.NewID(), Time: time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC), Interaction: "read", Outcome: "deny", Actor: as(nurse).Actor,
		Purpose: consent.Care, Target: "Observation/joint", Client: "aino", Facts: 1, Policy: law().Version(),
		Classes: []consent.Class{{Type: "Observation", Clients: []string{"aino", "onni"}, Controller: "Organization/county", Register: consent.Health}},
	}
	rec.Exchange = rec.ID
	gone := rec
	gone.ID, gone.Classes = ledger.NewID(), []consent.Class{{Type: "Observation", Clients: []string{"aino"}, Controller: "Organization/county", Register: consent.Health}}
	gone.Row = "Observation/nowhere/_history/3"
	later := gone
	later.ID, later.Row, later.Facts = ledger.NewID(), "", 10_000
	require.NoError(t, s.Commit(t.Context(), store.Change{Records: []ledger.Record{rec, gone, later}}))

	differences, report := replayed(t, s, law())
	require.Empty(t, differences)
	require.False(t, report.OK(), "what cannot be repeated is not well")
	missing := map[string]string{}
	for _, u := range report.Unrepeatable {
		missing[u.Record] = u.Missing
	}
	require.Equal(t, map[string]string{
		rec.ID:   "the version of the facts of client onni",
		gone.ID:  "the label and the recording date of Observation/nowhere/_history/3",
		later.ID: "the facts of client aino at version 10000",
	}, missing)
}

func TestReplayOfAChangedLawNamesTheSearchesAndReadsThatItWouldOpen(t *testing.T) {
	s := ownCounty(t)
	d, err := newDesk(s, exchange.Config{})
	require.NoError(t, err)
	ask := func(who, typ, params string) {
		t.Helper()
		_, err := d.Search(t.Context(), as(who), query(t, typ, params))
		require.NoError(t, err)
	}
	ask(worker, "Observation", "patient=Patient/onni") // by onni's permit, which only counts while O11 is on
	ask(worker, "Observation", "patient=Patient/aino") // denied
	ask(worker, "Observation", "status=final")         // onni's
	ask(nurse, "Observation", "patient=Patient/onni")  // her own register's

	services, err := sandbox.JointServices()
	require.NoError(t, err)
	other, err := consent.New(consent.Config{JointServices: services, Public: []string{"Organization/county"}})
	require.NoError(t, err)
	differences, report := replayed(t, s, other)
	require.True(t, report.OK(), "another policy version is no error")
	var told []string
	for _, d := range differences {
		require.False(t, d.SamePolicy)
		require.Equal(t, "permit", d.Then.Outcome)
		require.Equal(t, "deny", d.Now.Outcome)
		told = append(told, d.Client+" "+strings.Join(d.Then.Bases, "+")+" rows="+strconv.Itoa(len(d.Rows)))
	}
	rows := len(differences[1].Rows)
	require.Positive(t, rows)
	moved := " rows=" + strconv.Itoa(rows)
	require.Equal(t, []string{"onni ATL-53.2 rows=0", "onni ATL-53.2" + moved, " ATL-53.2 rows=0", "onni ATL-53.2" + moved}, told)
	require.Equal(t, map[string]*exchange.Shift{"ATL-53.2": {Closed: 4}}, report.Shifts)
}

// What others change while a search is under way does not make its record unrepeatable.
func TestSearchesAmidChangesAreRepeated(t *testing.T) {
	w := newWorld(t)
	var changing sync.WaitGroup
	changing.Add(1)
	go func() {
		defer changing.Done()
		for range 15 {
			id := w.put("county-social", episode("veikko", "Organization/county-social", "active")).ID
			_, err := w.Transact(w.ctx, as("county-social"), []exchange.Op{remove("EpisodeOfCare", id)})
			assert.NoError(t, err)
		}
	}()
	for range 40 {
		for _, params := range []string{"patient=Patient/veikko", "status=active"} {
			_, err := w.Search(w.ctx, as(worker), query(t, "EpisodeOfCare", params))
			require.NoError(t, err)
		}
	}
	changing.Wait()
}

// erased is a store whose first ledger entries have lost their content to their retention time.
type erased struct {
	store.Store
	first int
}

func (s erased) Ledger() ledger.Source { return erasedLedger{s.Store.Ledger(), s.first} }

type erasedLedger struct {
	ledger.Source
	first int
}

func (l erasedLedger) Pending(ctx context.Context) iter.Seq2[ledger.Entry, error] {
	return func(yield func(ledger.Entry, error) bool) {
		n := 0
		for entry, err := range l.Source.Pending(ctx) {
			if n++; n <= l.first {
				entry.Canonical, entry.Salt = nil, nil
			}
			if !yield(entry, err) {
				return
			}
		}
	}
}

func TestReplayBlamesNobodyForWhatErasedRecordsTold(t *testing.T) {
	s := ownCounty(t)
	d, err := newDesk(s, exchange.Config{})
	require.NoError(t, err)
	loaded := 0
	for range s.Ledger().Pending(t.Context()) {
		loaded++
	}
	require.Positive(t, loaded)
	_, err = d.Search(t.Context(), as(worker), query(t, "Observation", "patient=Patient/onni"))
	require.NoError(t, err)

	differences, report := replayed(t, erased{s, loaded}, law())
	require.Empty(t, differences)
	require.True(t, report.OK())
	require.EqualValues(t, loaded, report.Erased)
	require.EqualValues(t, 1, report.Faded, "the query, whose answer rests on rows that only erased records tell of")
	require.EqualValues(t, 1, report.Same, "what left is repeated from its own record")
}
