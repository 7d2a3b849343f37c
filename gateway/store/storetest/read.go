package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/gateway/search"
	"sotesilta/gateway/store"
)

func testRead(t *testing.T, e Engine) {
	t.Run("keeps every byte of every version", func(t *testing.T) {
		s := open(t, e)
		one := row(class("Observation", "aino"), "1", 1, search.Index{})
		one.Body = []byte(`{"resourceType":"Observation","id":"1","b":1.10,"a":1e3,"_status":{},"ä":"\u0000 😀 \"x\"","a2":[ ]}`)
		one.Recorded = noon.Add(-time.Hour)
		two := row(class("Observation", "onni"), "1", 2, search.Index{})
		gone := deletion(two)
		commit(t, s, store.Change{Put: []store.Row{one}})
		commit(t, s, store.Change{Put: []store.Row{two}})
		commit(t, s, store.Change{Put: []store.Row{gone}})
		n := snapshot(t, s)
		for i, want := range []store.Row{one, two, gone} {
			got, err := n.Version(t.Context(), "Observation", "1", int64(i+1))
			require.NoError(t, err)
			want.Index = search.Index{}
			require.Equal(t, want, got)
		}
		got, err := n.Get(t.Context(), "Observation", "1")
		require.NoError(t, err)
		require.True(t, got.Deleted)
		require.Nil(t, got.Body)
		for _, missing := range [][2]string{{"Observation", "2"}, {"Task", "1"}, {"Observation", "1\x00"}, {"", ""}} {
			_, err = n.Get(t.Context(), missing[0], missing[1])
			require.ErrorIs(t, err, store.ErrNotFound)
		}
		_, err = n.Version(t.Context(), "Observation", "1", 4)
		require.ErrorIs(t, err, store.ErrNotFound)
	})
	t.Run("gives history from the newest", func(t *testing.T) {
		s := open(t, e)
		for v := range int64(5) {
			commit(t, s, store.Change{Put: []store.Row{row(class("Task", "aino"), "1", v+1, search.Index{})}})
		}
		n := snapshot(t, s)
		for _, c := range []struct {
			before int64
			limit  int
			want   []int64
		}{
			{0, 10, []int64{5, 4, 3, 2, 1}}, {0, 2, []int64{5, 4}}, {4, 2, []int64{3, 2}}, {2, 5, []int64{1}}, {1, 5, nil},
		} {
			rows, err := n.History(t.Context(), "Task", "1", c.before, c.limit)
			require.NoError(t, err)
			var got []int64
			for _, r := range rows {
				got = append(got, r.Version)
			}
			require.Equal(t, c.want, got)
		}
		rows, err := n.History(t.Context(), "Task", "none", 0, 10)
		require.NoError(t, err)
		require.Empty(t, rows)
	})
	t.Run("is of one moment", func(t *testing.T) {
		s := open(t, e)
		before := time.Now()
		first := row(class("Task", "aino"), "1", 1, search.Index{})
		commit(t, s, store.Change{Put: []store.Row{first}, Facts: []*consent.Facts{{Client: "aino", Version: 1}}})
		n := snapshot(t, s)
		require.WithinRange(t, n.Time(), before, time.Now())
		_, err := n.Get(t.Context(), "Task", "1")
		require.NoError(t, err)
		commit(t, s, store.Change{
			Put:   []store.Row{row(class("Task", "aino"), "1", 2, search.Index{}), row(class("Task", "onni"), "2", 1, search.Index{})},
			Facts: []*consent.Facts{{Client: "aino", Version: 2}}, Keys: []string{"k"},
		})
		got, err := n.Get(t.Context(), "Task", "1")
		require.NoError(t, err)
		require.EqualValues(t, 1, got.Version)
		facts, err := n.Facts(t.Context(), "aino")
		require.NoError(t, err)
		require.EqualValues(t, 1, facts["aino"].Version)
		key, err := n.Key(t.Context(), "k")
		require.NoError(t, err)
		require.Zero(t, key)
		found, err := n.Search(t.Context(), &search.Query{Type: "Task", Count: 10}, everything())
		require.NoError(t, err)
		require.Equal(t, []string{"1"}, ids(found.Matches))
		require.Equal(t, []string{"1", "2"}, ids(find(t, s, &search.Query{Type: "Task", Count: 10}, everything()).Matches))
	})
	t.Run("knows the facts of clients at every version", func(t *testing.T) {
		s := open(t, e)
		one := &consent.Facts{
			Client: "aino", Version: 1, Person: consent.Person{Born: time.Date(1980, 2, 29, 0, 0, 0, 0, time.UTC), Turvakielto: true},
			Relationships: []consent.Relationship{{
				Kind: consent.InCare, Evidence: "EpisodeOfCare/1", Controller: "Organization/county", Register: consent.Health,
				Unit: "Organization/station", Period: consent.Period{From: noon},
			}},
			Directives: []consent.Terms{{Kind: consent.Permit, Evidence: "Consent/1", Version: 1, Active: true, Recipients: []string{"Organization/x"}}},
		}
		two := one.Direct(consent.Terms{Kind: consent.Ban, Evidence: "Consent/2", AllHealth: true})
		two.Version = 2
		commit(t, s, store.Change{Facts: []*consent.Facts{one, {Client: "onni", Version: 1}}})
		commit(t, s, store.Change{Facts: []*consent.Facts{two}})
		n := snapshot(t, s)
		facts, err := n.Facts(t.Context(), "aino", "nobody", "onni")
		require.NoError(t, err)
		require.Equal(t, map[string]*consent.Facts{"aino": two, "onni": {Client: "onni", Version: 1}}, facts)
		old, err := n.FactsAt(t.Context(), "aino", 1)
		require.NoError(t, err)
		require.Equal(t, one, old)
		_, err = n.FactsAt(t.Context(), "aino", 3)
		require.ErrorIs(t, err, store.ErrNotFound)
		none, err := n.Facts(t.Context())
		require.NoError(t, err)
		require.Empty(t, none)
	})
	t.Run("gives the rows of a process, oldest first", func(t *testing.T) {
		s := open(t, e)
		of := func(typ, process string) consent.Class {
			c := class(typ, "aino")
			c.Process = process
			return c
		}
		put := func(c consent.Class, id string, at time.Duration) store.Row {
			r := row(c, id, 1, search.Index{})
			r.Recorded = noon.Add(at)
			commit(t, s, store.Change{Put: []store.Row{r}})
			return r
		}
		put(of("Task", "CarePlan/1"), "b", time.Second)
		put(of("CarePlan", "CarePlan/1"), "1", 0)
		put(of("Task", "CarePlan/2"), "c", 0)
		put(class("Task", "aino"), "d", 0)
		gone := put(of("Task", "CarePlan/1"), "e", 0)
		commit(t, s, store.Change{Put: []store.Row{deletion(gone)}})
		put(of("Task", "CarePlan/1"), "a", 2*time.Second)
		rows := within(t, s, func(n store.Snapshot) ([]store.Row, error) { return n.Process(t.Context(), "CarePlan/1") })
		var got []string
		for _, r := range rows {
			got = append(got, r.ID)
			require.Equal(t, "CarePlan/1", r.Class.Process)
			require.NotEmpty(t, r.Body)
		}
		require.Equal(t, []string{"1", "b", "a"}, got)
		rows = within(t, s, func(n store.Snapshot) ([]store.Row, error) { return n.Process(t.Context(), "") })
		require.Empty(t, rows)
	})
	t.Run("finds the identified of a register", func(t *testing.T) {
		s := open(t, e)
		of := func(register consent.Register, id string, codes ...string) store.Row {
			c := class("Patient", id)
			c.Register = register
			x := search.Index{Tokens: []search.TokenEntry{{Param: "name", System: "urn:a", Code: "1"}}}
			for _, code := range codes {
				x.Tokens = append(x.Tokens, search.TokenEntry{Param: "identifier", System: "urn:a", Code: code})
			}
			r := row(c, id, 1, x)
			commit(t, s, store.Change{Put: []store.Row{r}})
			r.Index = search.Index{}
			return r
		}
		aino, _, again := of(consent.Identity, "aino", "1", "2"), of(consent.Health, "own", "1"), of(consent.Identity, "again", "1")
		gone := of(consent.Identity, "gone", "1")
		commit(t, s, store.Change{Put: []store.Row{deletion(gone)}})
		n := snapshot(t, s)
		for _, c := range []struct {
			system, code string
			limit        int
			want         []store.Row
		}{
			{"urn:a", "1", 10, []store.Row{aino, again}},
			{"urn:a", "1", 1, []store.Row{aino}},
			{"urn:a", "2", 10, []store.Row{aino}},
			{"urn:b", "1", 10, nil},
			{"", "1", 10, nil},
			{"urn:a", "3", 10, nil},
			{"urn:a", "", 10, nil},
			{"urn:a", "1\x00", 10, nil},
		} {
			got, err := n.Identified(t.Context(), consent.Identity, "Patient", c.system, c.code, c.limit)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		}
	})
	t.Run("counts keys", func(t *testing.T) {
		s := open(t, e)
		for range 3 {
			commit(t, s, store.Change{Keys: []string{"k"}})
		}
		commit(t, s, store.Change{Keys: []string{"other"}})
		require.EqualValues(t, 3, within(t, s, func(n store.Snapshot) (int64, error) { return n.Key(t.Context(), "k") }))
		require.EqualValues(t, 1, within(t, s, func(n store.Snapshot) (int64, error) { return n.Key(t.Context(), "other") }))
		require.EqualValues(t, 0, within(t, s, func(n store.Snapshot) (int64, error) { return n.Key(t.Context(), "unused") }))
	})
}
