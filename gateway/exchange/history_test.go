package exchange_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/exchange"
	"sotesilta/gateway/store"
)

// Histories of a type and the system hold what the caller may see of each version, and nothing of what is hidden.
func TestHistoriesAreGuardedByVersion(t *testing.T) {
	w := newWorld(t)
	seen := w.put(nurse, observation("aino", "2026-01-01"))
	hidden := w.put(worker, observation("aino", "2026-01-02"))
	_, err := w.Transact(w.ctx, as(nurse), []exchange.Op{update(t, seen.ID, observation("aino", "2026-01-03"))})
	require.NoError(t, err)
	_, err = w.Transact(w.ctx, as(nurse), []exchange.Op{remove("Observation", seen.ID)})
	require.NoError(t, err)

	walk := func(who, typ string, p exchange.Past) (out []exchange.Resource) {
		for p.Count = 3; ; {
			page, err := w.Histories(w.ctx, as(who), typ, p)
			require.NoError(t, err)
			out = append(out, page.Matches...)
			if p.Cursor = page.Next; p.Cursor == "" {
				return out
			}
			require.Len(t, page.Matches, 3, "the hidden leaves no gap")
		}
	}
	for _, typ := range []string{"", "Observation"} {
		versions := walk(nurse, typ, exchange.Past{})
		require.Equal(t, []int64{3, 2, 1}, []int64{versions[0].Version, versions[1].Version, versions[2].Version})
		require.True(t, versions[0].Deleted)
		require.Nil(t, versions[0].Body)
		for _, v := range versions {
			require.NotEqual(t, hidden.ID, v.ID)
		}
		theirs := walk(worker, typ, exchange.Past{})
		require.Equal(t, hidden.ID, theirs[0].ID)
		for _, v := range theirs {
			require.NotEqual(t, seen.ID, v.ID)
		}
	}
	require.Len(t, walk(nurse, "Observation", exchange.Past{Since: seen.Updated.Add(time.Millisecond)}), 2)

	commits := w.records(func() {
		page, err := w.Histories(w.ctx, as(nurse), "Observation", exchange.Past{Count: 3})
		require.NoError(t, err)
		require.Len(t, page.Matches, 3)
	})
	records := flat(commits)
	require.Equal(t, "history-type", records[0].Interaction)
	require.Equal(t, "permit", records[0].Outcome)
	require.Equal(t, "aino", records[1].Client)
	require.Len(t, records[1].Entities, 3)
	require.NotContains(t, records[0].Bases, "ATL-59")

	commits = w.records(func() {
		page, err := w.Histories(w.ctx, as("jukola-ehr"), "QuestionnaireResponse", exchange.Past{Count: 3})
		require.NoError(t, err)
		require.Empty(t, page.Matches)
	})
	require.Len(t, flat(commits), 1, "a question that finds nothing is recorded too")

	w.store.failing(func(store.Change) error { return store.ErrUnrecorded })
	_, err = w.Histories(w.ctx, as(nurse), "Observation", exchange.Past{Count: 3})
	require.Equal(t, exchange.Unrecorded, kind(err), "no record, no data")
}

// The part of a resource's past that is wanted narrows what is answered, not what is known of the resource.
func TestHistoryOfAPartOfThePast(t *testing.T) {
	w := newWorld(t)
	row := w.put(nurse, observation("aino", "2026-01-01"))
	versions := []time.Time{row.Updated}
	for _, day := range []string{"2026-01-02", "2026-01-03"} {
		time.Sleep(3 * time.Millisecond)
		out, err := w.Transact(w.ctx, as(nurse), []exchange.Op{update(t, row.ID, observation("aino", day))})
		require.NoError(t, err)
		versions = append(versions, out[0].Updated)
	}
	for name, c := range map[string]struct {
		past exchange.Past
		want []int64
	}{
		"all":              {exchange.Past{}, []int64{3, 2, 1}},
		"since the second": {exchange.Past{Since: versions[1]}, []int64{3, 2}},
		"since later":      {exchange.Past{Since: versions[2].Add(time.Hour)}, nil},
		"at the second":    {exchange.Past{At: exchange.Span{From: versions[1], To: versions[1].Add(time.Millisecond)}}, []int64{2}},
		"before the first": {exchange.Past{At: exchange.Span{From: versions[0].Add(-time.Hour), To: versions[0]}}, nil},
		"now":              {exchange.Past{At: exchange.Span{From: versions[2].Add(time.Hour), To: versions[2].Add(2 * time.Hour)}}, []int64{3}},
		"at it, next page": {exchange.Past{At: exchange.Span{From: versions[1], To: versions[2].Add(time.Hour)}, Before: 3}, []int64{2}},
	} {
		c.past.Count = 10
		commits := w.records(func() {
			got, _, err := w.History(w.ctx, as(nurse), "Observation", row.ID, c.past)
			require.NoError(t, err, name)
			var numbers []int64
			for _, v := range got {
				numbers = append(numbers, v.Version)
			}
			require.Equal(t, c.want, numbers, name)
		})
		require.Len(t, flat(commits), 1, name)
		require.Equal(t, "permit", flat(commits)[0].Outcome, name)
	}
	_, _, err := w.History(w.ctx, as(worker), "Observation", row.ID, exchange.Past{Since: versions[2].Add(time.Hour)})
	require.Equal(t, exchange.Absent, kind(err))
}

// A page of a history is bounded in bytes as well: it ends early, and the next goes on with the version below. What is
// recorded is what left.
func TestAPageOfLongVersionsEndsEarly(t *testing.T) {
	w := newWorld(t)
	long := strings.Replace(observation("aino", "2026-01-01"), `"secret"`, `"`+strings.Repeat("pitkä", 170_000)+`"`, 1)
	row := w.put(nurse, long)
	for i := range 11 {
		_, err := w.Transact(w.ctx, as(nurse), []exchange.Op{update(t, row.ID, strings.Replace(long, "RR", fmt.Sprint("RR", i), 1))})
		require.NoError(t, err)
	}
	var versions []int64
	var pages []int
	for before := int64(0); ; {
		var rows []exchange.Resource
		var next int64
		commits := w.records(func() {
			var err error
			rows, next, err = w.History(w.ctx, as(nurse), "Observation", row.ID, exchange.Past{Before: before, Count: 100})
			require.NoError(t, err)
		})
		require.Len(t, flat(commits), 1)
		require.Len(t, flat(commits)[0].Entities, len(rows))
		for _, r := range rows {
			versions = append(versions, r.Version)
		}
		pages = append(pages, len(rows))
		if before = next; next == 0 {
			break
		}
	}
	require.Equal(t, []int64{12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1}, versions)
	require.Len(t, pages, 2)
	page, err := w.Histories(w.ctx, as(nurse), "Observation", exchange.Past{Count: 100})
	require.NoError(t, err)
	require.Less(t, len(page.Matches), 12)
	require.NotEmpty(t, page.Next)
}
