package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/gateway/search"
	"sotesilta/gateway/store"
)

func testVersions(t *testing.T, e Engine) {
	s := open(t, e)
	at := func(ms int) time.Time { return noon.Add(time.Duration(ms) * time.Millisecond) }
	put := func(c consent.Class, id string, version int64, ms int) {
		r := row(c, id, version, search.Index{})
		r.Updated = at(ms)
		commit(t, s, store.Change{Put: []store.Row{r}})
	}
	social := class("Task", "aino")
	social.Register = consent.Social
	put(class("Task", "aino"), "a", 1, 10)
	put(class("Observation", "aino"), "o", 1, 20)
	put(class("Task", "onni"), "b", 1, 30)
	put(class("Task", "aino"), "a", 2, 40)
	put(social, "a", 3, 50) // labelled anew
	put(class("Task", "aino"), "c", 1, 60)
	gone := deletion(row(class("Task", "aino"), "c", 1, search.Index{}))
	gone.Updated = at(70)
	commit(t, s, store.Change{Put: []store.Row{gone}})
	closed := class("Goal", "toivo")
	closed.Register = consent.Social
	put(class("Goal", "toivo"), "d", 1, 74)
	put(closed, "d", 2, 76)
	put(class("Goal", "toivo"), "d", 3, 78)

	walked := func(q store.VersionQuery, g store.Guard) []string {
		t.Helper()
		out := []string{}
		n, err := s.Snapshot(t.Context())
		require.NoError(t, err)
		defer n.Close()
		for {
			got, err := n.Versions(t.Context(), q, g)
			require.NoError(t, err)
			for _, f := range got.Matches {
				require.Equal(t, f.Class.Type, f.Type)
				require.NotNil(t, f.Decision)
				if f.Deleted {
					require.Nil(t, f.Body)
				}
				out = append(out, fmt.Sprintf("%s%d", f.ID, f.Version))
			}
			if q.Cursor = got.Next; q.Cursor == "" {
				return out
			}
			require.Len(t, got.Matches, q.Limit, "pages are full")
		}
	}
	health := &guard{reach: store.Reach{All: true}, decide: deny(func(c consent.Class) bool { return c.Register == consent.Social })}
	recent := &guard{reach: store.Reach{All: true}, decide: func(consent.Class) consent.Decision {
		return consent.Decision{Outcome: consent.Permitted, Recorded: []consent.Period{{From: noon.AddDate(0, 0, 1)}}}
	}}
	without := &guard{reach: store.Reach{All: true}, decide: func(consent.Class) consent.Decision {
		return consent.Decision{Outcome: consent.Permitted, Exclude: []string{"Task/a"}}
	}}
	for _, c := range []struct {
		name string
		q    store.VersionQuery
		g    store.Guard
		want []string
	}{
		{"the system", store.VersionQuery{}, everything(), []string{"d3", "d2", "d1", "c2", "c1", "a3", "a2", "b1", "o1", "a1"}},
		{"a type", store.VersionQuery{Types: []string{"Task"}}, everything(), []string{"c2", "c1", "a3", "a2", "b1", "a1"}},
		{"since", store.VersionQuery{Since: at(40)}, everything(), []string{"d3", "d2", "d1", "c2", "c1", "a3", "a2"}},
		{"at a moment", store.VersionQuery{From: at(45), To: at(46)}, everything(), []string{"a2", "b1", "o1"}},
		{"at the end", store.VersionQuery{From: at(80), To: at(90)}, everything(), []string{"d3", "c2", "a3", "b1", "o1"}},
		{"before all", store.VersionQuery{From: at(1), To: at(5)}, everything(), []string{}},
		{"the hidden is not there", store.VersionQuery{Types: []string{"Goal"}}, health, []string{"d3", "d1"}},
		{"a mended label closes the versions before it", store.VersionQuery{Types: []string{"Task"}}, health, []string{"c2", "c1", "b1"}},
		{"the hidden ends nothing", store.VersionQuery{From: at(77), To: at(78)}, health, []string{"d1", "c2", "b1", "o1"}},
		{"of a client", store.VersionQuery{Clients: []string{"onni"}}, everything(), []string{"b1"}},
		{"of nobody", store.VersionQuery{Clients: []string{"eino"}}, everything(), []string{}},
		{"outside the dates of recording", store.VersionQuery{}, recent, []string{}},
		{"without a row", store.VersionQuery{}, without, []string{"d3", "d2", "d1", "c2", "c1", "b1", "o1"}},
		{"out of reach", store.VersionQuery{}, &guard{reach: store.Reach{Clients: []string{"onni"}}}, []string{"b1"}},
		{"now", store.VersionQuery{Current: true}, everything(), []string{"a3", "o1", "b1", "d3"}},
		{"now, of clients", store.VersionQuery{Current: true, Clients: []string{"aino", "eino"}}, everything(), []string{"a3", "o1"}},
		{"now, of a client", store.VersionQuery{Current: true, Clients: []string{"aino"}}, everything(), []string{"a3", "o1"}},
		{"now, of a client and type", store.VersionQuery{Current: true, Clients: []string{"aino"}, Types: []string{"Observation"}}, everything(), []string{"o1"}},
		{"now, since", store.VersionQuery{Current: true, Since: at(25)}, everything(), []string{"a3", "b1", "d3"}},
		{"now, without the hidden", store.VersionQuery{Current: true}, health, []string{"o1", "b1", "d3"}},
		{"now, outside the dates", store.VersionQuery{Current: true}, recent, []string{}},
	} {
		for _, size := range []int{1, 2, 3, 50} {
			c.q.Limit, c.q.Cursor = size, ""
			require.Equal(t, c.want, walked(c.q, c.g), "%s by %d", c.name, size)
		}
	}
	t.Run("refuses a cursor that it did not give", func(t *testing.T) {
		n := snapshot(t, s)
		first, err := n.Versions(t.Context(), store.VersionQuery{Limit: 1}, everything())
		require.NoError(t, err)
		for _, q := range []store.VersionQuery{
			{Limit: 1, Cursor: "x"}, {Limit: 1, Cursor: first.Next[1:]}, {Limit: 1, Cursor: first.Next, Types: []string{"Task"}}, {Limit: 1, Cursor: first.Next, Current: true},
		} {
			_, err := n.Versions(t.Context(), q, everything())
			require.ErrorIs(t, err, store.ErrCursor)
		}
	})
	t.Run("is stable under writes", func(t *testing.T) {
		q := store.VersionQuery{Limit: 2}
		var seen []string
		for i := range 10 {
			got := within(t, s, func(n store.Snapshot) (store.Result, error) { return n.Versions(t.Context(), q, everything()) })
			for _, f := range got.Matches {
				seen = append(seen, fmt.Sprintf("%s%d", f.ID, f.Version))
			}
			put(class("Task", "aino"), fmt.Sprintf("new-%d-", i), 1, 100+i)
			if q.Cursor = got.Next; q.Cursor == "" {
				break
			}
		}
		require.Equal(t, []string{"d3", "d2", "d1", "c2", "c1", "a3", "a2", "b1", "o1", "a1"}, seen)
	})
}
