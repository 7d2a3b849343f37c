package sqlstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sotesilta/gateway/store"
)

// A way leads to entries of the ledger along one index in the order of time. What is asked for by a basis, or by what was
// asked for or moved, lies along several: each is walked no further than a page, and the pages are merged. The indexes are
// of the ledger's own columns and kept by the database, so there is nothing beside the ledger that could tell otherwise.
type way func(*statement) string

// rowReads are the interactions whose records name no rows but those of their own client's: the record of a row that is
// read, moved or made is of the client whose data the row's class says it is.
const rowReads = "'read', 'vread', 'search-type', 'history-instance', 'history-type', 'history-system', 'everything', 'export', 'create', 'notify'"

// probed are the entries with one target that their client does not lead to, as the index ledger_entry_target has them:
// of nobody, as of what was absent, and of attempts, which name what somebody wanted. A list of several is not looked up by
// its whole, and may be longer than PostgreSQL takes into an index; a Type/id never is.
const probed = "target <> '' AND length(target) <= 300 AND target NOT LIKE '%\",\"%' AND (client = '' OR interaction NOT IN (" + rowReads + "))"

// severalOfNobody are the entries of nobody with several targets, as the index ledger_entry_several has them.
const severalOfNobody = "client = '' AND target LIKE '%\",\"%'"

// targetWays lead to the entries that name a target which is of the clients q.TargetOf, or was asked for in vain.
func targetWays(q store.EntryQuery) []way {
	var ways []way
	for _, client := range q.TargetOf {
		ways = append(ways, func(s *statement) string { return "e.client <> '' AND e.client = " + s.arg(clean(client)) })
	}
	for _, target := range q.Target {
		ways = append(ways, func(s *statement) string {
			return probed + " AND e.target = " + s.arg(listText([]string{clean(target)}))
		})
	}
	return append(ways, func(*statement) string { return severalOfNobody })
}

// maxBasisLists bounds the different lists of bases that entries have, of which there are as many as there are ways in
// which rows of the law hold together: hundreds.
const maxBasisLists = 4096

// basisWays lead to the entries whose list of bases has one of these. The index is asked for one list after the other.
func (n *snapshot) basisWays(ctx context.Context, bases []string) ([]way, error) {
	var ways []way
	last := ""
	for range maxBasisLists {
		list := ""
		err := each(ctx, n.r, func(rows Rows) error { return rows.Scan(&list) },
			"SELECT e.basis FROM ledger_entry e WHERE e.basis <> '' AND e.basis > $1 ORDER BY e.basis LIMIT 1", last)
		if err != nil || list == "" {
			return ways, err
		}
		if values, _ := listed(list); slices.ContainsFunc(bases, func(b string) bool { return slices.Contains(values, b) }) {
			ways = append(ways, func(s *statement) string { return "e.basis <> '' AND e.basis = " + s.arg(list) })
		}
		last = list
	}
	return nil, fmt.Errorf("more than %d different lists of bases", maxBasisLists)
}

// apart is the statement so far, to be gone on with beside it.
func (s *statement) apart() *statement {
	return &statement{plan: s.plan, arguments: arguments{slices.Clone(s.args)}}
}

// countAlong counts the entries that the conditions hold for, along every way each once. Ways that never meet are counted
// one by one: they may be more than the parts that a statement can have.
func (n *snapshot) countAlong(ctx context.Context, s *statement, where []string, ways []way, disjoint bool) (int64, error) {
	if len(ways) == 0 {
		ways = []way{func(*statement) string { return "1 = 1" }}
	}
	of := func(one *statement, w way) string {
		return "SELECT e.entry FROM ledger_entry e WHERE " + strings.Join(where, " AND ") + " AND " + w(one)
	}
	count := func(one *statement, entries string) (total int64, err error) {
		err = each(ctx, n.r, func(rows Rows) error { return rows.Scan(&total) }, "SELECT count(*) FROM ("+entries+") e", one.args...)
		return total, err
	}
	if !disjoint {
		one := s.apart()
		parts := make([]string, len(ways))
		for i, w := range ways {
			parts[i] = of(one, w)
		}
		return count(one, strings.Join(parts, " UNION "))
	}
	var sum int64
	for _, w := range ways {
		one := s.apart()
		total, err := count(one, of(one, w))
		if err != nil {
			return 0, err
		}
		sum += total
	}
	return sum, nil
}

// keysAlong are the first entries, in order, that the conditions hold for along any of the ways.
func (n *snapshot) keysAlong(ctx context.Context, s *statement, where []string, ways []way, order string, limit int, ascending bool) ([]int64, error) {
	type place struct {
		time  string
		entry int64
	}
	var found []place
	sorted := func(a, b place) int {
		c := cmp.Or(strings.Compare(a.time, b.time), cmp.Compare(a.entry, b.entry))
		if !ascending {
			c = -c
		}
		return c
	}
	for _, w := range ways {
		one := s.apart()
		sql := "SELECT e.time, e.entry FROM ledger_entry e WHERE " + strings.Join(where, " AND ") + " AND " + w(one) + order + " LIMIT " + strconv.Itoa(limit)
		err := each(ctx, n.r, func(rows Rows) error {
			var p place
			err := rows.Scan(&p.time, &p.entry)
			found = append(found, p)
			return err
		}, sql, one.args...)
		if err != nil {
			return nil, err
		}
		slices.SortFunc(found, sorted)
		found = slices.Compact(found)
		found = found[:min(len(found), limit)]
	}
	keys := make([]int64, len(found))
	for i, p := range found {
		keys[i] = p.entry
	}
	return keys, nil
}
