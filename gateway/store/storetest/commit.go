package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/search"
	"sotesilta/gateway/store"
)

func testCommit(t *testing.T, e Engine) {
	t.Run("is whole or not at all", func(t *testing.T) {
		s := open(t, e)
		commit(t, s, store.Change{Put: []store.Row{row(class("Task", "aino"), "old", 1, search.Index{})}})
		r := record()
		err := s.Commit(t.Context(), store.Change{
			Put: []store.Row{
				row(class("Task", "aino"), "new", 1, search.Index{Tokens: []search.TokenEntry{{Param: "status", Code: "draft"}}}),
				row(class("Task", "aino"), "old", 3, search.Index{}), // version 2 is next
			},
			Facts:   []*consent.Facts{{Client: "aino", Version: 1}},
			Keys:    []string{"k"},
			Once:    []store.Once{{Key: "jti", Until: time.Now().Add(time.Hour)}},
			Events:  []store.Event{{Type: "Task", ID: "new", Version: 1, Interaction: "create", Time: noon, Record: r.ID}},
			Records: []ledger.Record{r},
		})
		require.ErrorIs(t, err, store.ErrStale)
		n := snapshot(t, s)
		_, err = n.Get(t.Context(), "Task", "new")
		require.ErrorIs(t, err, store.ErrNotFound)
		_, err = n.Entry(t.Context(), r.ID)
		require.ErrorIs(t, err, store.ErrNotFound)
		_, err = n.FactsAt(t.Context(), "aino", 1)
		require.ErrorIs(t, err, store.ErrNotFound)
		require.Empty(t, events(t, s, 0))
		key, err := n.Key(t.Context(), "k")
		require.NoError(t, err)
		require.Zero(t, key)
		require.Empty(t, find(t, s, &search.Query{Type: "Task", Count: 10, Where: []search.Clause{token("Task", "status", "", "draft")}}, everything()).Matches)
		require.NoError(t, s.Commit(t.Context(), store.Change{Once: []store.Once{{Key: "jti", Until: time.Now().Add(time.Hour)}}}))
	})
	t.Run("needs a record", func(t *testing.T) {
		s := open(t, e)
		for name, c := range map[string]store.Change{
			"nothing":  {},
			"expect":   {Expect: []store.Expect{{Key: "k"}}},
			"put":      {Put: []store.Row{row(class("Task"), "1", 1, search.Index{})}},
			"facts":    {Facts: []*consent.Facts{{Client: "aino", Version: 1}}},
			"keys":     {Keys: []string{"k"}},
			"events":   {Events: []store.Event{{Type: "Task", ID: "1"}}},
			"put+once": {Put: []store.Row{row(class("Task"), "1", 1, search.Index{})}, Once: []store.Once{{Key: "x", Until: noon}}},
		} {
			require.ErrorIs(t, s.Commit(t.Context(), c), store.ErrUnrecorded, name)
		}
		require.NoError(t, s.Commit(t.Context(), store.Change{Once: []store.Once{{Key: "k", Until: time.Now().Add(time.Minute)}}}))
		n := snapshot(t, s)
		_, err := n.Get(t.Context(), "Task", "1")
		require.ErrorIs(t, err, store.ErrNotFound)
	})
	t.Run("is stale when an expectation does not hold", func(t *testing.T) {
		s := open(t, e)
		commit(t, s, store.Change{
			Put: []store.Row{row(class("Task", "aino"), "1", 1, search.Index{})}, Keys: []string{"k", "k"},
			Facts: []*consent.Facts{{Client: "aino", Version: 1}},
		})
		for _, c := range []struct {
			expect store.Expect
			holds  bool
		}{
			{store.Expect{Type: "Task", ID: "1", Version: 1}, true},
			{store.Expect{Type: "Task", ID: "1", Version: 0}, false},
			{store.Expect{Type: "Task", ID: "1", Version: 2}, false},
			{store.Expect{Type: "Task", ID: "2", Version: 0}, true},
			{store.Expect{Type: "Task", ID: "2", Version: 1}, false},
			{store.Expect{Client: "aino", Version: 1}, true},
			{store.Expect{Client: "aino", Version: 0}, false},
			{store.Expect{Client: "onni", Version: 0}, true},
			{store.Expect{Client: "onni", Version: 1}, false},
			{store.Expect{Key: "k", Version: 1}, true},
			{store.Expect{Key: "k", Version: 2}, false},
			{store.Expect{Key: "other", Version: 0}, true},
		} {
			r := record()
			err := s.Commit(t.Context(), store.Change{Expect: []store.Expect{c.expect}, Records: []ledger.Record{r}})
			_, missing := tried(t, s, func(n store.Snapshot) (ledger.Entry, error) { return n.Entry(t.Context(), r.ID) })
			if c.holds {
				require.NoError(t, err, "%+v", c.expect)
				require.NoError(t, missing)
			} else {
				require.ErrorIs(t, err, store.ErrStale, "%+v", c.expect)
				require.ErrorIs(t, missing, store.ErrNotFound)
			}
		}
		require.ErrorIs(t, s.Commit(t.Context(), store.Change{Facts: []*consent.Facts{{Client: "aino", Version: 1}}, Records: []ledger.Record{record()}}), store.ErrStale)
		require.Error(t, s.Commit(t.Context(), store.Change{Expect: []store.Expect{{Type: "Task", ID: "1", Client: "aino"}}, Records: []ledger.Record{record()}}))
	})
	t.Run("counts the version of a deletion", func(t *testing.T) {
		s := open(t, e)
		first := row(class("Task", "aino"), "1", 1, search.Index{})
		commit(t, s, store.Change{Put: []store.Row{first}})
		commit(t, s, store.Change{Put: []store.Row{deletion(first)}})
		commit(t, s, store.Change{Expect: []store.Expect{{Type: "Task", ID: "1", Version: 2}}})
		commit(t, s, store.Change{Put: []store.Row{row(class("Task", "aino"), "1", 3, search.Index{})}})
	})
	t.Run("uses a key once until it ends", func(t *testing.T) {
		s := open(t, e)
		use := func(key string, until time.Time) error {
			return s.Commit(t.Context(), store.Change{Once: []store.Once{{Key: key, Until: until}}})
		}
		later := time.Now().Add(time.Hour)
		require.NoError(t, use("a", later))
		require.ErrorIs(t, use("a", later), store.ErrUsed)
		require.NoError(t, use("b", later))
		require.NoError(t, use("ended", time.Now().Add(-time.Second)))
		require.NoError(t, use("ended", later), "it may be forgotten once it has ended")
		require.ErrorIs(t, use("ended", later), store.ErrUsed)
		r := record()
		require.ErrorIs(t, s.Commit(t.Context(), store.Change{
			Once: []store.Once{{Key: "c", Until: later}, {Key: "a", Until: later}}, Records: []ledger.Record{r},
		}), store.ErrUsed)
		_, err := tried(t, s, func(n store.Snapshot) (ledger.Entry, error) { return n.Entry(t.Context(), r.ID) })
		require.ErrorIs(t, err, store.ErrNotFound)
		require.NoError(t, use("c", later), "the other key of the change that failed")
	})
	t.Run("refuses what is no version of a row", func(t *testing.T) {
		s := open(t, e)
		good := row(class("Task"), "1", 1, search.Index{})
		for name, change := range map[string]func(*store.Row){
			"no type": func(r *store.Row) { r.Type = "" }, "no id": func(r *store.Row) { r.ID = "" },
			"version 0": func(r *store.Row) { r.Version = 0 }, "no body": func(r *store.Row) { r.Body = nil },
			"deleted with a body":  func(r *store.Row) { r.Deleted = true },
			"another type's class": func(r *store.Row) { r.Class.Type = "CarePlan" },
		} {
			bad := good
			change(&bad)
			require.Error(t, s.Commit(t.Context(), store.Change{Put: []store.Row{bad}, Records: []ledger.Record{record()}}), name)
		}
		require.Error(t, s.Commit(t.Context(), store.Change{Put: []store.Row{good, good}, Records: []ledger.Record{record()}}), "a row twice")
	})
	t.Run("of one who has gone is not made", func(t *testing.T) {
		s := open(t, e)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, s.Commit(ctx, store.Change{Records: []ledger.Record{record()}}), context.Canceled)
	})
	t.Run("gives events in the order of commits", func(t *testing.T) {
		s := open(t, e)
		for i := range 5 {
			id := fmt.Sprint(i)
			commit(t, s, store.Change{
				Put: []store.Row{row(class("Task", "aino"), id, 1, search.Index{})},
				Events: []store.Event{
					{Type: "Task", ID: id, Version: 1, Interaction: "create", Time: noon, Record: "r" + id},
					{Type: "Task", ID: id, Version: 1, Interaction: "update", Time: noon, Record: "r" + id},
				},
			})
		}
		all := events(t, s, 0)
		require.Len(t, all, 10)
		for i, ev := range all {
			require.Equal(t, fmt.Sprint(i/2), ev.ID)
			require.Equal(t, []string{"create", "update"}[i%2], ev.Interaction)
			require.Equal(t, noon, ev.Time)
			require.Equal(t, "r"+ev.ID, ev.Record)
			if i > 0 {
				require.Greater(t, ev.Seq, all[i-1].Seq)
			}
		}
		require.Equal(t, all[6:], events(t, s, all[5].Seq))
	})
}

// events are all events after seq.
func events(t testing.TB, s store.Store, after int64) []store.Event {
	t.Helper()
	return within(t, s, func(n store.Snapshot) ([]store.Event, error) {
		var out []store.Event
		for e, err := range n.Events(t.Context(), after) {
			if err != nil {
				return nil, err
			}
			out = append(out, e)
		}
		return out, nil
	})
}

// retry commits until the change is not refused for load.
func retry(ctx context.Context, s store.Store, c store.Change) error {
	for {
		err := s.Commit(ctx, c)
		if !errors.Is(err, store.ErrBusy) {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}
