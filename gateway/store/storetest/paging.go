package storetest

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/search"
	"sotesilta/gateway/store"
)

func testPaging(t *testing.T, e Engine) {
	s := open(t, e)
	put := func(id string, date, ms int, status string) {
		x := search.Index{}
		if date > 0 {
			x.Dates = []search.DateEntry{{Param: "date", From: day(date), To: day(date + 1)}}
		}
		if status != "" {
			x.Tokens = []search.TokenEntry{{Param: "status", Code: status}}
		}
		r := row(class("Task", "aino"), id, 1, x)
		r.Updated = noon.Add(time.Duration(ms) * time.Millisecond)
		commit(t, s, store.Change{Put: []store.Row{r}})
	}
	put("d", 3, 1, "x")
	put("a", 1, 2, "y")
	put("c", 0, 2, "x")
	put("b", 1, 3, "")
	put("e", 0, 4, "")
	for _, c := range []struct {
		sort []search.SortKey
		want string
	}{
		{nil, "abcde"},
		{[]search.SortKey{sortBy("_id", true)}, "edcba"},
		{[]search.SortKey{sortBy("_lastUpdated", false)}, "dacbe"},
		{[]search.SortKey{sortBy("_lastUpdated", true)}, "ebcad"},
		{[]search.SortKey{sortBy("date", false)}, "abdce"},
		{[]search.SortKey{sortBy("date", true)}, "dbaec"},
		{[]search.SortKey{sortBy("status", false), sortBy("date", true)}, "dcabe"},
		{[]search.SortKey{sortBy("date", false), sortBy("status", false), sortBy("_id", true)}, "abdce"},
		{[]search.SortKey{sortBy("status", true), sortBy("_lastUpdated", true)}, "acdeb"},
	} {
		for size := 1; size <= 6; size++ {
			q := &search.Query{Type: "Task", Sort: c.sort, Count: size}
			got, pages := walk(t, s, q)
			require.Equal(t, c.want, join(got), "%v by %d", c.sort, size)
			require.Equal(t, max(1, (len(c.want)+size-1)/size), pages, "pages are full")
		}
	}
	t.Run("refuses a cursor that it did not give", func(t *testing.T) {
		q := search.Query{Type: "Task", Sort: []search.SortKey{sortBy("date", false)}, Count: 2}
		next := find(t, s, &q, everything()).Next
		require.NotEmpty(t, next)
		n := snapshot(t, s)
		for name, bad := range map[string]search.Query{
			"cut":             {Type: "Task", Sort: q.Sort, Count: 2, Cursor: next[:len(next)/2]},
			"not base64":      {Type: "Task", Sort: q.Sort, Count: 2, Cursor: "\x00!"},
			"of another way":  {Type: "Task", Sort: []search.SortKey{sortBy("date", true)}, Count: 2, Cursor: next},
			"of another type": {Type: "Observation", Sort: q.Sort, Count: 2, Cursor: next},
			"foreign":         {Type: "Task", Sort: q.Sort, Count: 2, Cursor: "eyJzIjowLCJpIjoiYSJ9"},
			"huge":            {Type: "Task", Sort: q.Sort, Count: 2, Cursor: fmt.Sprintf("%010000d", 1)},
		} {
			_, err := n.Search(t.Context(), &bad, everything())
			require.ErrorIs(t, err, store.ErrCursor, name)
		}
	})
	t.Run("holds all that refer to one, be they few or just not few", func(t *testing.T) {
		s := open(t, e)
		for _, many := range []int{1, 62, 63, 64, 65, 130} {
			client := fmt.Sprint("client-of-", many)
			var rows []store.Row
			var want []string
			for i := range many {
				status := "requested"
				if i == many-1 {
					status = "completed"
				}
				x := search.Index{
					// Twice, as where a resource names one in two places: it is one row all the same.
					References: []search.ReferenceEntry{{Param: "subject", Type: "Patient", ID: client}, {Param: "subject", Type: "Patient", ID: client}},
					Tokens:     []search.TokenEntry{{Param: "status", Code: status}},
				}
				rows = append(rows, row(class("Task", "aino"), fmt.Sprintf("%s-%03d", client, i), 1, x))
				want = append(want, rows[i].ID)
			}
			commit(t, s, store.Change{Put: rows})
			about := refers("subject", "Patient", client)
			for _, size := range []int{1, 50, 64, 200} {
				got, pages := walk(t, s, &search.Query{Type: "Task", Where: []search.Clause{about}, Count: size})
				require.Equal(t, want, got, "%d by %d", many, size)
				require.Equal(t, (many+size-1)/size, pages, "%d by %d", many, size)
				got, _ = walk(t, s, &search.Query{Type: "Task", Where: []search.Clause{about, token("", "status", "", "completed")}, Count: size})
				require.Equal(t, want[many-1:], got, "the last of %d", many)
				got, _ = walk(t, s, &search.Query{Type: "Task", Where: []search.Clause{about, token("", "status", "", "failed")}, Count: size})
				require.Empty(t, got, "none of %d", many)
			}
			found := find(t, s, &search.Query{Type: "Task", Where: []search.Clause{about}, Count: 10, Total: true}, everything())
			require.EqualValues(t, many, found.Total)
		}
	})
	t.Run("is stable under writes", func(t *testing.T) {
		s := open(t, e)
		var rows []store.Row
		for i := range 200 {
			r := row(class("Task", "aino"), fmt.Sprintf("%03d", i), 1, search.Index{
				Dates: []search.DateEntry{{Param: "date", From: day(1 + i%7), To: day(2 + i%7)}},
			})
			rows = append(rows, r)
		}
		commit(t, s, store.Change{Put: rows})
		q := &search.Query{Type: "Task", Sort: []search.SortKey{sortBy("date", true)}, Count: 7}
		var seen []string
		for i := 0; ; i++ {
			got := find(t, s, q, everything())
			seen = append(seen, ids(got.Matches)...)
			// Rows come and go before and after the cursor; those that stay are seen once each.
			r := row(class("Task", "aino"), fmt.Sprintf("new-%03d", i), 1, search.Index{
				Dates: []search.DateEntry{{Param: "date", From: day(1 + i%9), To: day(2 + i%9)}},
			})
			commit(t, s, store.Change{Put: []store.Row{r}})
			if i%3 == 0 && i/3 < 20 {
				commit(t, s, store.Change{Put: []store.Row{deletion(rows[i/3])}})
			}
			if q.Cursor = got.Next; q.Cursor == "" {
				break
			}
		}
		slices.Sort(seen)
		require.Equal(t, slices.Compact(slices.Clone(seen)), seen, "nothing twice")
		for i := 20; i < 200; i++ {
			require.Contains(t, seen, fmt.Sprintf("%03d", i))
		}
	})
}

// testBytes: a page ends where its bodies are as many bytes as a page may have, and the next goes on with what follows.
func testBytes(t *testing.T, e Engine) {
	s := open(t, e)
	const each, all = store.PageBytes / 4, 11
	var want []string
	for i := range all {
		r := row(class("Task", "aino"), fmt.Sprintf("%02d", i), 1, search.Index{References: []search.ReferenceEntry{{Param: "subject", Type: "Task", ID: "00"}}})
		r.Body = append(append([]byte(`{"resourceType":"Task","description":"`), bytes.Repeat([]byte("a"), each-8*(i%2))...), `"}`...)
		want = append(want, r.ID)
		commit(t, s, store.Change{Put: []store.Row{r}})
	}
	for version := int64(2); version <= 6; version++ {
		r := row(class("Task", "aino"), "00", version, search.Index{})
		r.Body = append(append([]byte(`{"resourceType":"Task","description":"`), bytes.Repeat([]byte("b"), each)...), `"}`...)
		commit(t, s, store.Change{Put: []store.Row{r}})
	}
	n := snapshot(t, s)
	pages := func(next func(cursor string) store.Result) (got []string, sizes []int) {
		for cursor := ""; ; {
			r := next(cursor)
			got, sizes = append(got, ids(r.Matches)...), append(sizes, len(r.Matches))
			if cursor = r.Next; cursor == "" {
				return got, sizes
			}
		}
	}
	for name, keys := range map[string][]search.SortKey{"by id": nil, "by time": {sortBy("_lastUpdated", false)}, "by a value": {sortBy("date", false)}} {
		got, sizes := pages(func(cursor string) store.Result {
			r, err := n.Search(t.Context(), &search.Query{Type: "Task", Sort: keys, Count: 100, Cursor: cursor, Total: true}, everything())
			require.NoError(t, err)
			require.EqualValues(t, all, r.Total)
			return r
		})
		slices.Sort(got)
		require.Equal(t, want, got, name)
		require.Equal(t, []int{4, 4, 3}, sizes, "%s: no page after the last row", name)
	}
	got, sizes := pages(func(cursor string) store.Result {
		r, err := n.Versions(t.Context(), store.VersionQuery{Cursor: cursor, Limit: 100}, everything())
		require.NoError(t, err)
		return r
	})
	require.Len(t, got, all+5)
	require.Equal(t, []int{4, 4, 4, 4}, sizes)

	var versions []int64
	for before := int64(0); ; {
		rows, err := n.History(t.Context(), "Task", "00", before, 100)
		require.NoError(t, err)
		if len(rows) == 0 {
			break
		}
		require.LessOrEqual(t, len(rows), 4)
		for _, r := range rows {
			versions = append(versions, r.Version)
		}
		before = versions[len(versions)-1]
	}
	require.Equal(t, []int64{6, 5, 4, 3, 2, 1}, versions)

	q := &search.Query{Type: "Task", Count: 1, Includes: []search.Include{{Type: "Task", Params: []*search.Param{pSubject}, Reverse: true}}}
	r, err := n.Search(t.Context(), q, everything())
	require.NoError(t, err)
	require.True(t, r.Cut)
	require.Len(t, r.Includes, 4)
}

// walk follows a search to its end.
func walk(t testing.TB, s store.Store, q *search.Query) (got []string, pages int) {
	t.Helper()
	n, err := s.Snapshot(t.Context())
	require.NoError(t, err)
	defer n.Close()
	for {
		r, err := n.Search(t.Context(), q, everything())
		require.NoError(t, err)
		got, pages = append(got, ids(r.Matches)...), pages+1
		if q.Cursor = r.Next; q.Cursor == "" {
			return got, pages
		}
		require.Len(t, r.Matches, q.Count)
	}
}

func join(list []string) string {
	out := ""
	for _, s := range list {
		out += s
	}
	return out
}
