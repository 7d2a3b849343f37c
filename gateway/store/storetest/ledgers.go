package storetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/search"
	"sotesilta/gateway/store"
)

// all is what an iterator of a ledger gives.
func all[T any](t testing.TB, seq iter.Seq2[T, error]) []T {
	t.Helper()
	var out []T
	for v, err := range seq {
		require.NoError(t, err)
		out = append(out, v)
	}
	return out
}

// intact proves entries of whole chains: counts without gaps, hashes that hold, columns that repeat the record.
func intact(t testing.TB, entries []ledger.Entry) {
	t.Helper()
	prev := map[string]ledger.Entry{}
	for _, e := range entries {
		before := prev[e.Node]
		require.Equal(t, before.Count+1, e.Count, "node %s", e.Node)
		require.Equal(t, before.Chain, e.Prev)
		require.Len(t, e.Salt, ledger.SaltSize)
		// The commitment as consent/ledger/README.md spells it.
		open, sealed, _ := bytes.Cut(e.Canonical, []byte("\n"))
		sum := func(parts ...[]byte) []byte { h := sha256.Sum256(bytes.Join(parts, nil)); return h[:] }
		kept := sum(sum(e.Salt, []byte("sealed")), sealed)
		require.Equal(t, sum(sum(e.Salt, []byte("open")), kept, open), e.Commitment[:])
		link := append(append([]byte{}, e.Prev[:]...), e.Node...)
		link = binary.BigEndian.AppendUint64(append(link, 0), uint64(e.Count))
		require.Equal(t, sha256.Sum256(append(link, e.Commitment[:]...)), e.Chain)
		r, err := ledger.ParseRecord(e.Canonical)
		require.NoError(t, err)
		require.Equal(t, ledger.Columns(r), e.Columns)
		prev[e.Node] = e
	}
}

func testLedger(t *testing.T, e Engine) {
	t.Run("erases content with the record that names it, and the ledger stays whole", func(t *testing.T) {
		s := open(t, e)
		key, err := ledger.NewKey(ledger.Origin)
		require.NoError(t, err)
		var ids []string
		for range 5 {
			r := record()
			r.Time = noon.AddDate(-ledger.RetentionYears, 0, -1)
			ids = append(ids, r.ID)
			commit(t, s, store.Change{Records: []ledger.Record{r}})
		}
		log := ledger.NewLog(key)
		_, err = s.Sequence(t.Context(), "one", 100, log.Seal)
		require.NoError(t, err)
		second := within(t, s, func(n store.Snapshot) (ledger.Entry, error) { return n.Entry(t.Context(), ids[1]) })

		erasing := ledger.Record{
			ID: ledger.NewID(), Time: noon, Interaction: ledger.Erase, Outcome: "permit", Success: true,
			Entities: []ledger.Entity{ledger.ErasedEntity(second.Node, 2, 4)},
		}
		erase := []store.Span{{Node: second.Node, First: 2, Last: 4}}
		require.ErrorIs(t, s.Commit(t.Context(), store.Change{Erase: erase}), store.ErrUnrecorded)
		require.Error(t, s.Commit(t.Context(), store.Change{Erase: []store.Span{{Node: "x", First: 2, Last: 4}}, Records: []ledger.Record{erasing}}))
		commit(t, s, store.Change{Erase: erase, Records: []ledger.Record{erasing}})
		_, err = s.Sequence(t.Context(), "one", 100, log.Seal)
		require.NoError(t, err)

		for i, e := range all(t, s.Ledger().Entries(t.Context(), 0)) {
			require.Equal(t, i < 1 || i > 3, e.Canonical != nil, "entry %d", i)
			require.Equal(t, e.Canonical != nil, e.Salt != nil && len(e.Columns) > 0)
			require.Empty(t, e.Damage)
		}
		report, err := ledger.Verify(t.Context(), s.Ledger(), key.Verifier(), ledger.Options{})
		require.NoError(t, err)
		require.Empty(t, report.Findings)
		require.EqualValues(t, 3, report.Erased)
		n := snapshot(t, s)
		_, err = n.Entry(t.Context(), ids[1])
		require.ErrorIs(t, err, store.ErrNotFound)
		page, err := n.Entries(t.Context(), store.EntryQuery{Limit: 10})
		require.NoError(t, err)
		require.Len(t, page.Entries, 3)
	})
	t.Run("keeps each record as it is, in the chain of its node", func(t *testing.T) {
		s := open(t, e)
		long := record()
		for i := range 50 {
			long.Entities = append(long.Entities, ledger.Entity{What: fmt.Sprintf("Observation/%d/_history/1", i), Role: "match"})
		}
		long.Bases = append(long.Bases, consent.Basis{ID: "ATL-53.2"}, consent.Basis{ID: `odd "one"`})
		long.Assertion = consent.Assertion{Reason: "Ääkköset \u2028 <&>\n", Facts: map[string]string{"b": "2", "a": "1"}}
		bare := ledger.Record{ID: ledger.NewID(), Time: noon, Interaction: "search-type", Outcome: "deny"}
		// A page of the auditor's names a thousand rows of nobody, and may rest on every row of the law.
		crowd := ledger.Record{ID: ledger.NewID(), Time: noon, Interaction: "search-type", Outcome: "permit", Success: true}
		for i := range 1000 {
			crowd.Entities = append(crowd.Entities, ledger.Entity{What: fmt.Sprintf("AuditEvent/%s-%d", crowd.ID, i), Role: "match"})
		}
		for i := range 100 {
			crowd.Bases = append(crowd.Bases, consent.Basis{ID: fmt.Sprintf("ATL-%d.1-H", 100+i)})
		}
		records := []ledger.Record{record(), long, bare, crowd}
		commit(t, s, store.Change{Records: records[:2]})
		commit(t, s, store.Change{Records: records[2:]})
		pending := all(t, s.Ledger().Pending(t.Context()))
		require.Len(t, pending, len(records))
		intact(t, pending)
		for i, r := range records {
			require.Equal(t, r.Canonical(), pending[i].Canonical)
			require.EqualValues(t, -1, pending[i].Seq)
			require.Empty(t, pending[i].Damage)
			got := within(t, s, func(n store.Snapshot) (ledger.Entry, error) { return n.Entry(t.Context(), r.ID) })
			require.Equal(t, pending[i], got)
		}
		require.NotEqual(t, pending[0].Salt, pending[1].Salt)
		_, err := tried(t, s, func(n store.Snapshot) (ledger.Entry, error) { return n.Entry(t.Context(), "none") })
		require.ErrorIs(t, err, store.ErrNotFound)
	})
	t.Run("counts what lies there", func(t *testing.T) {
		place := e.Fresh(t)
		stores := []store.Store{reopen(t, e, place), reopen(t, e, place)}
		census := func() ledger.Census {
			c, err := stores[0].Ledger().(ledger.Counted).Census(t.Context())
			require.NoError(t, err)
			return c
		}
		require.Equal(t, ledger.Census{Last: -1, Nodes: map[string]int64{}}, census())
		require.ErrorIs(t, stores[0].Commit(t.Context(), store.Change{Expect: []store.Expect{{Key: "k", Version: 1}}, Records: []ledger.Record{record()}}), store.ErrStale)
		require.Empty(t, census().Nodes, "a node is named when it has written")
		commit(t, stores[0], store.Change{Records: []ledger.Record{record(), record()}})
		commit(t, stores[1], store.Change{Keys: []string{"k"}})
		_, err := stores[0].Sequence(t.Context(), "one", 2, func(context.Context, ledger.Source, int64, []ledger.Entry) ([]byte, error) {
			return []byte("note"), nil
		})
		require.NoError(t, err)
		c := census()
		require.Equal(t, [2]int64{0, 1}, [2]int64{c.First, c.Last})
		require.Empty(t, c.Strays)
		require.True(t, c.Used)
		var counts []int64
		for _, last := range c.Nodes {
			counts = append(counts, last)
		}
		require.ElementsMatch(t, []int64{1, 2}, counts)
	})
	t.Run("offers leaves and the newest checkpoint", func(t *testing.T) {
		s := open(t, e)
		commit(t, s, store.Change{Records: []ledger.Record{record(), record(), record()}})
		src := s.Ledger().(ledger.Indexed)
		note, err := src.Latest(t.Context())
		require.NoError(t, err)
		require.Nil(t, note)
		for i := range 3 {
			_, err := s.Sequence(t.Context(), "one", 1, func(context.Context, ledger.Source, int64, []ledger.Entry) ([]byte, error) {
				return fmt.Append(nil, i), nil
			})
			require.NoError(t, err)
		}
		note, err = src.Latest(t.Context())
		require.NoError(t, err)
		require.Equal(t, "2", string(note))
		entries := all(t, src.Entries(t.Context(), 0))
		leaves := all(t, src.Leaves(t.Context(), 1, 9))
		require.Equal(t, [][32]byte{entries[1].Chain, entries[2].Chain}, leaves)
		require.Equal(t, leaves[:1], all(t, src.Leaves(t.Context(), 1, 2)))
	})
	t.Run("ends a page of long entries early", func(t *testing.T) {
		s := open(t, e)
		want := []string{"0", "1", "2", "3", "4", "5", "6"}
		for _, id := range want {
			r := record()
			r.ID, r.Exchange, r.Query = id, id, strings.Repeat("q", store.EntryBytes/3)
			commit(t, s, store.Change{Records: []ledger.Record{r}})
		}
		var got []string
		for q := (store.EntryQuery{Limit: 1000, Ascending: true, Total: true}); ; {
			page := within(t, s, func(n store.Snapshot) (store.EntryPage, error) { return n.Entries(t.Context(), q) })
			require.EqualValues(t, len(want), page.Total)
			require.LessOrEqual(t, len(page.Entries), 3)
			got = append(got, recordIDs(t, page)...)
			if q.After = page.Next; page.Next == "" {
				break
			}
			require.Len(t, page.Entries, 3)
		}
		require.Equal(t, want, got)
	})
	t.Run("finds entries", func(t *testing.T) {
		s := open(t, e)
		at := func(minute int, change func(*ledger.Record)) ledger.Record {
			r := record()
			r.ID = fmt.Sprintf("r%d", minute)
			r.Exchange, r.Time = r.ID, noon.Add(time.Duration(minute)*time.Minute)
			if change != nil {
				change(&r)
			}
			return r
		}
		commit(t, s, store.Change{Records: []ledger.Record{
			at(0, nil),
			at(1, func(r *ledger.Record) { r.Client, r.Outcome, r.Bases = "onni", "deny", nil }),
			at(2, func(r *ledger.Record) {
				r.Actor.App, r.Actor.User, r.Actor.Person = "county-social", "social-worker", "Practitioner/kaisa"
				r.Actor.Controller, r.Exchange = "Organization/other", "r0"
			}),
			at(3, func(r *ledger.Record) {
				r.Controller, r.Actor.Controller, r.Interaction, r.Target = "Organization/other", "Organization/other", "update", "Task/7"
				r.Bases = []consent.Basis{{ID: "ATL-53.2"}, {ID: "ATL-53.1"}}
				r.Entities = []ledger.Entity{{What: "Task/7/_history/2", Role: "updated"}, {What: "CarePlan/1/_history/1", Role: "updated"}}
			}),
			at(4, func(r *ledger.Record) { r.Client = ""; r.Outcome = "needs-human" }),
		}})
		// Of nobody: what was asked for in vain, what an auditor read; and what somebody tried to write as another's.
		commit(t, s, store.Change{Records: []ledger.Record{
			at(5, func(r *ledger.Record) { r.Client, r.Target, r.Entities, r.Bases = "", "Task/7", nil, nil }),
			at(6, func(r *ledger.Record) {
				r.Client, r.Target, r.Bases = "", "", nil
				r.Entities = []ledger.Entity{{What: "Task/7/_history/1", Role: "match"}, {What: "Task/8/_history/1", Role: "match"}}
			}),
			at(7, func(r *ledger.Record) {
				r.Client, r.Interaction, r.Target, r.Entities, r.Bases = "onni", "update", "Task/7", nil, nil
			}),
		}})
		for _, c := range []struct {
			name string
			q    store.EntryQuery
			want string
		}{
			{"all", store.EntryQuery{}, "r7r6r5r4r3r2r1r0"},
			{"all, ascending", store.EntryQuery{Ascending: true}, "r0r1r2r3r4r5r6r7"},
			{"controller of data or actor", store.EntryQuery{Controllers: []string{"Organization/other"}}, "r3r2"},
			{"no controller", store.EntryQuery{Controllers: []string{"Organization/none"}}, ""},
			{"id", store.EntryQuery{ID: []string{"r1", "r3"}}, "r3r1"},
			{"exchange", store.EntryQuery{Exchange: "r0"}, "r2r0"},
			{"client", store.EntryQuery{Client: []string{"onni", "eino"}}, "r7r1"},
			{"app", store.EntryQuery{App: []string{"county-social"}}, "r2"},
			{"user", store.EntryQuery{User: []string{"nurse"}}, "r7r6r5r4r3r1r0"},
			{"person", store.EntryQuery{Person: []string{"Practitioner/kaisa"}}, "r2"},
			{"outcome", store.EntryQuery{Outcome: []string{"deny", "needs-human"}}, "r4r1"},
			{"basis", store.EntryQuery{Basis: []string{"ATL-53.1"}}, "r3"},
			{"one of several bases", store.EntryQuery{Basis: []string{"ATL-53.1", "ATL-53.5b"}}, "r3"},
			{"basis and time, ascending", store.EntryQuery{Basis: []string{"ATL-4.3-H", "ATL-53.2"}, From: noon.Add(time.Minute), Ascending: true}, "r2r3r4"},
			{"basis and target", store.EntryQuery{Basis: []string{"ATL-53.1"}, Target: []string{"CarePlan/2"}}, ""},
			{"no such basis", store.EntryQuery{Basis: []string{"ATL-99"}}, ""},
			{"part of a basis", store.EntryQuery{Basis: []string{"ATL-53"}}, ""},
			{"interaction", store.EntryQuery{Interaction: []string{"update"}}, "r7r3"},
			{"target by its clients", store.EntryQuery{Target: []string{"Task/7"}, TargetOf: []string{"aino"}}, "r7r6r5r3"},
			{"target by its clients, ascending", store.EntryQuery{Target: []string{"Task/7"}, TargetOf: []string{"aino"}, Ascending: true}, "r3r5r6r7"},
			{"target by its clients, on a basis", store.EntryQuery{Target: []string{"Task/7"}, TargetOf: []string{"aino"}, Basis: []string{"ATL-53.1"}}, "r3"},
			{"target", store.EntryQuery{Target: []string{"CarePlan/1"}}, "r3"},
			{"target asked for", store.EntryQuery{Target: []string{"Task/7"}}, "r7r6r5r3"},
			{"time", store.EntryQuery{From: noon.Add(time.Minute), To: noon.Add(3 * time.Minute)}, "r2r1"},
			{"several", store.EntryQuery{User: []string{"nurse"}, Client: []string{"aino"}, Outcome: []string{"permit"}}, "r3r0"},
			{"hostile", store.EntryQuery{User: []string{"' OR 1=1 --", "\x00"}}, ""},
		} {
			c.q.Limit, c.q.Total = 2, true
			got := ""
			for {
				page := within(t, s, func(n store.Snapshot) (store.EntryPage, error) { return n.Entries(t.Context(), c.q) })
				require.EqualValues(t, len(c.want)/2, page.Total, c.name)
				for _, entry := range page.Entries {
					r, err := ledger.ParseRecord(entry.Canonical)
					require.NoError(t, err)
					got += r.ID
				}
				if c.q.After = page.Next; page.Next == "" {
					break
				}
				require.Len(t, page.Entries, 2)
			}
			require.Equal(t, c.want, got, c.name)
		}
		for range 3 {
			_, err := s.Sequence(t.Context(), "one", 1, func(context.Context, ledger.Source, int64, []ledger.Entry) ([]byte, error) {
				return []byte("note"), nil
			})
			require.NoError(t, err)
		}
		for _, c := range []struct {
			q    store.EntryQuery
			want []string
		}{
			{store.EntryQuery{Place: []int64{1}}, []string{"r1"}},
			{store.EntryQuery{Place: []int64{2, 0, 9, -1}}, []string{"r2", "r0"}},
			{store.EntryQuery{Place: []int64{3}}, nil}, // waits
			{store.EntryQuery{Place: []int64{1}, Controllers: []string{"Organization/none"}}, nil},
		} {
			c.q.Limit = 10
			page := within(t, s, func(n store.Snapshot) (store.EntryPage, error) { return n.Entries(t.Context(), c.q) })
			require.Equal(t, c.want, recordIDs(t, page))
		}
		n := snapshot(t, s)
		page, err := n.Entries(t.Context(), store.EntryQuery{Limit: 1})
		require.NoError(t, err)
		require.EqualValues(t, -1, page.Total)
		_, err = n.Entries(t.Context(), store.EntryQuery{Limit: 1, After: page.Next, Ascending: true})
		require.ErrorIs(t, err, store.ErrCursor)
		_, err = n.Entries(t.Context(), store.EntryQuery{Limit: 1, After: "x"})
		require.ErrorIs(t, err, store.ErrCursor)
	})
}

func recordIDs(t *testing.T, page store.EntryPage) (out []string) {
	for _, entry := range page.Entries {
		r, err := ledger.ParseRecord(entry.Canonical)
		require.NoError(t, err)
		out = append(out, r.ID)
	}
	return out
}

func testSequence(t *testing.T, e Engine) {
	place := e.Fresh(t)
	s := reopen(t, e, place)
	other := reopen(t, e, place)
	for range 5 {
		commit(t, s, store.Change{Records: []ledger.Record{record()}})
		commit(t, other, store.Change{Records: []ledger.Record{record(), record()}})
	}
	var sizes []int64
	var sealed []ledger.Entry
	seal := func(_ context.Context, _ ledger.Source, size int64, entries []ledger.Entry) ([]byte, error) {
		sizes, sealed = append(sizes, size), append(sealed, entries...)
		return fmt.Appendf(nil, "tree of %d", size+int64(len(entries))), nil
	}
	broken := errors.New("no key")
	_, err := s.Sequence(t.Context(), "one", 4, func(context.Context, ledger.Source, int64, []ledger.Entry) ([]byte, error) { return nil, broken })
	require.ErrorIs(t, err, broken)
	require.Len(t, all(t, s.Ledger().Pending(t.Context())), 15, "nothing is placed without a checkpoint")

	placed := 0
	for _, want := range []int{4, 4, 4, 3, 0} {
		n, err := s.Sequence(t.Context(), "one", 4, seal)
		require.NoError(t, err)
		require.Equal(t, want, n)
		placed += n
		require.Len(t, all(t, s.Ledger().Pending(t.Context())), 15-placed)
		require.Len(t, all(t, s.Ledger().Entries(t.Context(), 0)), placed)
	}
	require.Equal(t, []int64{0, 4, 8, 12}, sizes)
	entries := all(t, s.Ledger().Entries(t.Context(), 0))
	intact(t, entries)
	for i, entry := range entries {
		require.EqualValues(t, i, entry.Seq)
		entry.Seq = -1
		require.Equal(t, sealed[i], entry, "placed as sealed")
	}
	require.Equal(t, entries[7:], all(t, s.Ledger().Entries(t.Context(), 7)))
	var notes []string
	for _, note := range all(t, s.Ledger().Checkpoints(t.Context())) {
		notes = append(notes, fmt.Sprint(note.Size, " ", string(note.Note)))
	}
	require.Equal(t, []string{"4 tree of 4", "8 tree of 8", "12 tree of 12", "15 tree of 15"}, notes)

	// Another holder waits for the lease to end.
	commit(t, s, store.Change{Records: []ledger.Record{record()}})
	n, err := other.Sequence(t.Context(), "two", 10, func(context.Context, ledger.Source, int64, []ledger.Entry) ([]byte, error) {
		t.Error("the lease is another's")
		return nil, broken
	})
	require.NoError(t, err)
	require.Zero(t, n)
	n, err = other.Sequence(t.Context(), "one", 10, seal)
	require.NoError(t, err)
	require.Equal(t, 1, n)

	// A commit while the seal is made goes on, and does not get into this round.
	commit(t, s, store.Change{Records: []ledger.Record{record()}})
	n, err = s.Sequence(t.Context(), "one", 10, func(ctx context.Context, src ledger.Source, size int64, entries []ledger.Entry) ([]byte, error) {
		commit(t, s, store.Change{Put: []store.Row{row(class("Task", "aino"), "1", 1, search.Index{})}})
		require.Len(t, all(t, src.Entries(ctx, 0)), int(size))
		return []byte("tree of 17"), nil
	})
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Len(t, all(t, s.Ledger().Pending(t.Context())), 1)
}
