package storetest

import (
	"context"
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/gateway/search"
	"sotesilta/gateway/store"
)

// Case is a search that must not walk a table, however its values are skewed.
type Case struct {
	Name  string
	Query *search.Query
	Reach store.Reach
	Found int // rows of its first page
}

// exchanged is the one exchange that has two records.
const exchanged = "exchange-of-two"

var (
	pOwner   = &search.Param{Name: "owner", Type: search.Reference}
	pContent = &search.Param{Name: "_content", Type: search.Texts}
)

// Skewed fills a store with tasks of 500 clients of ten units: half of the rows have one status, all have one code, and
// every tenth belongs to one owner; with places along a meridian, a bit more than a kilometre from each other; and its ledger with more than half as many records, two of them of one exchange. It
// gives searches over them; each matches few rows, or can stop after few.
func Skewed(t testing.TB, s store.Store, rows int) []Case {
	t.Helper()
	const clients = 500
	places := 0
	for i := 0; i < rows; {
		c := store.Change{}
		for range 300 {
			c.Records = append(c.Records, record())
		}
		if i == 0 {
			c.Records[0].ID, c.Records[0].Exchange, c.Records[1].Exchange = exchanged, exchanged, exchanged
			c.Records[2].Bases = []consent.Basis{{ID: "ATL-4.3-H"}, {ID: "ATL-62"}}
			c.Records[3].Client, c.Records[4].Client, c.Records[4].Interaction = "", "onni", "update"
		}
		for range min(500, rows-i) {
			client := fmt.Sprint("c", i%clients)
			if i < clients {
				c.Facts = append(c.Facts, &consent.Facts{Client: client, Version: 1, Relationships: []consent.Relationship{
					{Kind: consent.InCare, Unit: fmt.Sprint("Organization/", i%10), Evidence: "EpisodeOfCare/1"},
				}})
				c.Put = append(c.Put, row(class("Patient", client), client, 1, search.Index{
					Strings: []search.StringEntry{{Param: "name", Folded: client, Exact: client}},
				}))
			}
			r := benchTask(fmt.Sprintf("%06d", i), client, int64(i))
			r.Updated = noon.AddDate(0, 0, i)
			if i%10 == 0 {
				r.Index.References = append(r.Index.References, search.ReferenceEntry{Param: "owner", Type: "Practitioner", ID: "busy"})
			}
			c.Put = append(c.Put, r)
			i++
		}
		for range 300 {
			c.Put = append(c.Put, row(class("Location"), fmt.Sprintf("%06d", places), 1, search.Index{
				Positions: []search.PositionEntry{{Param: "near", Point: along(places)}},
			}))
			places++
		}
		require.NoError(t, s.Commit(t.Context(), c))
	}
	completed := token("", "status", "", "completed")
	owner := func(id string) search.Clause {
		return search.Clause{Param: pOwner, Values: []search.Value{{RefType: "Practitioner", RefID: id}}}
	}
	newest := []search.SortKey{sortBy("_lastUpdated", true)}
	unit := store.Reach{Units: []string{"Organization/2"}}
	one := store.Reach{Units: []string{"Organization/2"}, Only: []string{"c12"}}
	named := func(name string) search.Clause {
		return search.Clause{Param: pName, Values: []search.Value{{Text: name}}}
	}
	return []Case{
		{"of one client", &search.Query{Type: "Task", Count: 10, Where: []search.Clause{refers("subject", "Patient", "c12"), completed}}, one, 10},
		{"of a unit by owner", &search.Query{Type: "Task", Count: 10, Where: []search.Clause{owner("2"), completed}}, unit, min(10, rows/1000)},
		{"of a unit, newest", &search.Query{Type: "Task", Count: 10, Sort: newest, Where: []search.Clause{completed}}, unit, 10},
		{"of a unit, newest, second page", nil, unit, 10},
		{"of a unit, by id", &search.Query{Type: "Task", Count: 10, Where: []search.Clause{completed}}, unit, 10},
		{"by identifier", &search.Query{Type: "Task", Count: 10, Where: []search.Clause{{Param: pIdentifier, Values: []search.Value{{System: "urn:x", SystemSet: true, Code: "000012"}}}}}, unit, 1},
		{"chained", &search.Query{Type: "Task", Count: 10, Where: []search.Clause{chain("subject", "Patient", named("c12")), completed}}, one, 10},
		{"reverse chained", &search.Query{Type: "Patient", Count: 10, Where: []search.Clause{{Has: &search.Has{Type: "Task", Param: pSubject, Where: search.Clause{Param: pIdentifier, Values: []search.Value{{Code: "000012"}}}}}}}, one, 1},
		{"including", &search.Query{Type: "Task", Count: 10, Where: []search.Clause{refers("subject", "Patient", "c12")}, Includes: []search.Include{{Type: "Task", Params: []*search.Param{pSubject}}}}, one, 10},
		{"included by", &search.Query{Type: "Patient", Count: 10, Where: []search.Clause{token("", "_id", "", "c12")}, Includes: []search.Include{{Reverse: true, Type: "Task", Params: []*search.Param{pSubject}}}}, one, 1},
		{"included by any", &search.Query{Type: "Patient", Count: 10, Where: []search.Clause{token("", "_id", "", "c12")}, Includes: []search.Include{{Reverse: true, Type: "Task", Params: []*search.Param{pSubject, pPartOf, pOwner}, Iterate: true}}}, one, 1},
		{"composed", &search.Query{Type: "Task", Count: 10, Where: []search.Clause{refers("subject", "Patient", "c12"), {Param: pPair, Values: []search.Value{
			{Parts: []search.Value{{Code: "completed"}, {Prefix: "ge", Low: 0, High: 0}}},
		}}}}, one, 0},
		{"saying something", &search.Query{Type: "Task", Count: 10, Where: []search.Clause{refers("subject", "Patient", "c12"), {Param: pContent, Modifier: "missing", Values: []search.Value{{}}}}}, one, 10},
		{"near", &search.Query{Type: "Location", Count: 100, Where: []search.Clause{{Param: pNear, Values: []search.Value{{Circle: &search.Circle{Centre: along(1500), Chord: 4.5e-4}}}}}}, unit, 5},
	}
}

// along is the n-th place along a meridian.
func along(n int) search.Point {
	sin, cos := math.Sincos(float64(n) * 2e-4)
	return search.Point{X: cos, Z: sin}
}

// Check runs each case twice, so that a prepared statement's later plans are seen too, and asks for records by their
// exchange, by a basis, and by a target and whose it is.
func Check(t *testing.T, s store.Store, cases []Case) {
	next := ""
	for _, c := range cases {
		for range 2 {
			n, err := s.Snapshot(context.Background())
			require.NoError(t, err)
			q := c.Query
			if q == nil { // the page that follows
				follow := *cases[2].Query
				follow.Cursor = next
				q = &follow
			}
			got, err := n.Search(t.Context(), q, &guard{reach: c.Reach})
			require.NoError(t, n.Close())
			require.NoError(t, err, c.Name)
			require.Len(t, got.Matches, c.Found, c.Name)
			next = got.Next
		}
	}
	for _, c := range []struct {
		q    store.EntryQuery
		want int
	}{
		{store.EntryQuery{Exchange: exchanged, Outcome: []string{"permit"}, Ascending: true}, 2},
		{store.EntryQuery{Exchange: "no-exchange", Outcome: []string{"permit"}, Ascending: true}, 0},
		{store.EntryQuery{Basis: []string{"ATL-62"}}, 1},
		{store.EntryQuery{Basis: []string{"ATL-62"}, Ascending: true, Total: true}, 1},
		{store.EntryQuery{Basis: []string{"ATL-4.3-H"}}, 100},
		{store.EntryQuery{Basis: []string{"ATL-99"}}, 0},
		{store.EntryQuery{Target: []string{"Observation/1"}, TargetOf: []string{"c7"}}, 2},
		{store.EntryQuery{Target: []string{"Observation/1"}, TargetOf: []string{"c7"}, Ascending: true, Total: true}, 2},
		{store.EntryQuery{Target: []string{"Observation/2"}, TargetOf: []string{"c7", "c8"}}, 0},
	} {
		n, err := s.Snapshot(context.Background())
		require.NoError(t, err)
		c.q.Limit = 100
		got, err := n.Entries(t.Context(), c.q)
		require.NoError(t, n.Close())
		require.NoError(t, err)
		require.Len(t, got.Entries, c.want, "%v", c.q)
	}
}
