package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/gateway/search"
	"sotesilta/gateway/store"
)

// testGathering asks for rows as they are by dates of care, by process and by name.
func testGathering(t *testing.T, e Engine) {
	s := open(t, e)
	dated := func(param string, from, to time.Time) search.Index {
		return search.Index{Dates: []search.DateEntry{{Param: param, From: from, To: to}}}
	}
	put := func(c consent.Class, id string, x search.Index) {
		commit(t, s, store.Change{Put: []store.Row{row(c, id, 1, x)}})
	}
	in := func(process string, c consent.Class) consent.Class {
		c.Process = process
		return c
	}
	put(class("Patient", "aino"), "aino", dated("birthdate", day(1), day(2)))
	put(in("CarePlan/p", class("CarePlan", "aino")), "p", dated("date", day(10), search.MaxTime))
	put(in("CarePlan/p", class("Task", "aino")), "t", dated("authored-on", day(5), day(6)))
	put(class("Observation", "aino"), "o", dated("date", day(5), day(6)))
	both := dated("onset-date", day(3), day(4))
	both.Dates = append(both.Dates, search.DateEntry{Param: "abatement-date", From: day(20), To: day(21)})
	put(class("Condition", "aino"), "c", both)
	put(class("Observation", "aino"), "undated", search.Index{})
	put(in("CarePlan/q", class("Task", "onni")), "u", dated("authored-on", day(5), day(6)))
	social := in("CarePlan/p", class("Goal", "aino"))
	social.Register = consent.Social
	put(social, "g", dated("start-date", day(5), day(6)))
	gone := row(in("CarePlan/p", class("Task", "aino")), "gone", 1, search.Index{})
	commit(t, s, store.Change{Put: []store.Row{gone}})
	commit(t, s, store.Change{Put: []store.Row{deletion(gone)}})

	health := &guard{reach: store.Reach{All: true}, decide: deny(func(c consent.Class) bool { return c.Register == consent.Social })}
	nobody := &guard{decide: health.decide} // reaches no client at all
	for _, c := range []struct {
		name string
		q    store.VersionQuery
		g    store.Guard
		want []string
	}{
		{"of a day", store.VersionQuery{CareFrom: day(5), CareTo: day(6)}, everything(), []string{"aino", "t", "o", "undated", "u", "g"}},
		{"of a day, without the hidden", store.VersionQuery{CareFrom: day(5), CareTo: day(6)}, health, []string{"aino", "t", "o", "undated", "u"}},
		{"from a day", store.VersionQuery{CareFrom: day(6)}, everything(), []string{"aino", "p", "c", "undated"}},
		{"until a day", store.VersionQuery{CareTo: day(4)}, everything(), []string{"aino", "c", "undated"}},
		{"between the dates of one", store.VersionQuery{CareFrom: day(8), CareTo: day(9)}, everything(), []string{"aino", "undated"}},
		{"of one type", store.VersionQuery{CareFrom: day(8), CareTo: day(9), Types: []string{"Observation"}}, everything(), []string{"undated"}},
		{"a type whose dates nothing has", store.VersionQuery{CareFrom: day(8), Types: []string{"Patient"}}, everything(), []string{"aino"}},
		{"of a client", store.VersionQuery{CareFrom: day(5), CareTo: day(6), Clients: []string{"onni"}}, everything(), []string{"u"}},

		{"a process", store.VersionQuery{Process: "CarePlan/p"}, everything(), []string{"p", "t", "g"}},
		{"a process, without the hidden", store.VersionQuery{Process: "CarePlan/p"}, health, []string{"p", "t"}},
		{"a process, whatever the reach", store.VersionQuery{Process: "CarePlan/p"}, nobody, []string{"p", "t"}},
		{"a process and rows", store.VersionQuery{Process: "CarePlan/p", Rows: []string{"Patient/aino", "Observation/o", "Observation/absent", "Task/t", "Task/gone"}}, health, []string{"aino", "p", "t", "o"}},
		{"rows", store.VersionQuery{Rows: []string{"Goal/g", "Task/u"}}, health, []string{"u"}},
		{"a process of types", store.VersionQuery{Process: "CarePlan/p", Rows: []string{"Task/u"}, Types: []string{"Task"}}, health, []string{"t", "u"}},
		{"a process of a day", store.VersionQuery{Process: "CarePlan/p", CareFrom: day(5), CareTo: day(6)}, health, []string{"t"}},
		{"no process", store.VersionQuery{Process: "CarePlan/none"}, everything(), []string{}},
	} {
		for _, size := range []int{1, 2, 50} {
			c.q.Limit, c.q.Current, c.q.Cursor = size, true, ""
			got := []string{}
			n, err := s.Snapshot(t.Context())
			require.NoError(t, err)
			for {
				page, err := n.Versions(t.Context(), c.q, c.g)
				require.NoError(t, err, c.name)
				got = append(got, ids(page.Matches)...)
				if c.q.Cursor = page.Next; c.q.Cursor == "" {
					break
				}
				require.Len(t, page.Matches, size, "pages are full")
			}
			require.NoError(t, n.Close())
			require.Equal(t, c.want, got, "%s by %d", c.name, size)
		}
	}
	_, err := snapshot(t, s).Versions(t.Context(), store.VersionQuery{Current: true, Limit: 1, Rows: []string{"nonsense"}}, everything())
	require.Error(t, err)
}
