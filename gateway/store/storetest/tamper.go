package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/consent/ledger"
	"sotesilta/gateway/store"
	"sotesilta/gateway/store/sqlstore"
)

// testTamper changes the ledger's tables behind the store's back: no row is there that Verify does not see, what the
// store serves as records is what Verify saw, and forged places stop the sequencer aloud.
func testTamper(t *testing.T, e Engine) {
	if e.Exec == nil {
		t.Skip("the engine has no back door")
	}
	rest := "prev, commitment, chain, salt, canonical, " + strings.Join(sqlstore.ColumnNames(), ", ")
	entry := func(key int64) string {
		return fmt.Sprintf("INSERT INTO ledger_entry (entry, %[1]s) SELECT %[2]d, %[1]s FROM ledger_entry WHERE id = 'r0'", rest, key)
	}
	const node = int64(1) << 40
	for _, c := range []struct {
		name, script string
		served       bool // entries that are served to the auditor are more than before
	}{
		{"nothing", "", false},
		{"an entry without a count", entry(node), false},
		{"an entry below all", entry(-5), false},
		{"an entry of no node", entry(77*node + 1), false},
		{"an entry of a node too far", entry(5_000_000*node+1) + "; INSERT INTO ledger_node (no, node) VALUES (5000000, 'x')", false},
		{"an entry of a node below all", entry(-node+1) + "; INSERT INTO ledger_node (no, node) VALUES (-1, 'x')", false},
		{"an entry far on", entry(node + 1<<39), true},
		{"a node that wrote nothing", "INSERT INTO ledger_node (no, node) VALUES (99, 'x')", false},
		{"a node and its entries moved", "UPDATE ledger_node SET no = no + 1000; UPDATE ledger_leaf SET entry = entry + 1099511627776000; UPDATE ledger_entry SET entry = entry + 1099511627776000", false},
		{"a place below the first", "INSERT INTO ledger_leaf (seq, entry) VALUES (-1, 5)", false},
		{"a place far on", "INSERT INTO ledger_leaf (seq, entry) VALUES (1099511627776, 5)", false},
		{"a place for entries to come", fmt.Sprintf("INSERT INTO ledger_leaf (seq, entry) VALUES (1099511627776, %d)", node+1<<38), false},
		{"a checkpoint of another size", "UPDATE ledger_checkpoint SET size = size + 1", false},
		{"a checkpoint below all", "INSERT INTO ledger_checkpoint (size, note) SELECT -7, note FROM ledger_checkpoint", false},
		{"no checkpoint", "DELETE FROM ledger_checkpoint", false},
		{"a previous value longer", "UPDATE ledger_entry SET prev = " + e.Longer("prev") + " WHERE id = 'r1'", false},
		{"a commitment longer", "UPDATE ledger_entry SET commitment = " + e.Longer("commitment") + " WHERE id = 'r1'", false},
		{"a chain value longer", "UPDATE ledger_entry SET chain = " + e.Longer("chain") + " WHERE id = 'r1'", false},
		{"a list with a space", "UPDATE ledger_entry SET basis = basis || ' ' WHERE id = 'r1'", false},
		{"a basis that is no list", "UPDATE ledger_entry SET basis = 'ATL-4.3-H' WHERE id = 'r1'", false},
		{"everything", "DELETE FROM ledger_checkpoint; DELETE FROM ledger_leaf; DELETE FROM ledger_entry; DELETE FROM ledger_node", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			place := e.Fresh(t)
			s := reopen(t, e, place)
			key, err := ledger.NewKey(ledger.Origin)
			require.NoError(t, err)
			log := ledger.NewLog(key)
			for i := range 3 {
				r := record()
				r.ID = fmt.Sprint("r", i)
				r.Exchange = r.ID
				commit(t, s, store.Change{Keys: []string{r.ID}, Records: []ledger.Record{r}})
			}
			placed, err := s.Sequence(t.Context(), "one", 2, log.Seal)
			require.NoError(t, err)
			require.Equal(t, 2, placed)
			for _, statement := range strings.Split(c.script, "; ") {
				if statement != "" {
					require.NotZero(t, e.Exec(t, place, statement), statement)
				}
			}
			report, err := ledger.Verify(t.Context(), s.Ledger(), key.Verifier(), ledger.Options{})
			require.NoError(t, err)
			require.Equal(t, c.script == "", report.OK(), "%v", report.Findings)
			if strings.Contains(c.script, "SET basis") {
				for _, f := range report.Findings {
					require.Contains(t, f.Detail, "basis", "what was not touched is not blamed")
				}
			}
			n := snapshot(t, s)
			page, err := n.Entries(t.Context(), store.EntryQuery{Limit: 10, Total: true})
			require.NoError(t, err)
			require.EqualValues(t, len(page.Entries), page.Total)
			if c.served {
				require.Len(t, page.Entries, 4, "it is served: as verify sees it")
			} else {
				require.LessOrEqual(t, len(page.Entries), 3)
			}
			if strings.Contains(c.script, "INTO ledger_leaf (seq, entry) VALUES (1") || c.name == "no checkpoint" {
				_, err = s.Sequence(t.Context(), "one", 2, log.Seal)
				require.ErrorContains(t, err, "somebody changed the ledger")
			}
		})
	}
}

// testStrange adds tables, columns and triggers under names of the ledger: verifying names each.
func testStrange(t *testing.T, e Engine) {
	if e.Exec == nil {
		t.Skip("the engine has no back door")
	}
	place := e.Fresh(t)
	s := reopen(t, e, place)
	key, err := ledger.NewKey(ledger.Origin)
	require.NoError(t, err)
	commit(t, s, store.Change{Keys: []string{"k"}, Records: []ledger.Record{record()}})
	_, err = s.Sequence(t.Context(), "one", 2, ledger.NewLog(key).Seal)
	require.NoError(t, err)
	var told []string
	for _, c := range []struct {
		statements []string
		named      []string
	}{
		{nil, nil},
		{[]string{"CREATE TABLE ledgers (x bigint)"}, nil}, // another name
		{[]string{"CREATE TABLE ledger_secret (entry bigint)"}, []string{`"ledger_secret"`}},
		{[]string{"ALTER TABLE ledger_entry ADD COLUMN reviewed bigint"}, []string{`"ledger_entry"`, `"reviewed"`}},
		{[]string{"ALTER TABLE ledger_leaf ADD COLUMN seen bigint"}, []string{`"ledger_leaf"`, `"seen"`}},
		{[]string{"CREATE VIEW ledger_view AS SELECT seq FROM ledger_leaf"}, []string{`"ledger_view"`}},
		{e.Trigger, []string{`"ledger_leaf"`, "trigger", `"watch"`}},
	} {
		for _, statement := range c.statements {
			e.Exec(t, place, statement)
		}
		report, err := ledger.Verify(t.Context(), s.Ledger(), key.Verifier(), ledger.Options{})
		require.NoError(t, err)
		var found []string
		for _, f := range report.Findings {
			require.Equal(t, ledger.Inserted, f.Kind)
			found = append(found, f.Detail)
		}
		require.Len(t, found, len(told)+min(1, len(c.named)), "%v: %v", c.statements, found)
		added := slices.DeleteFunc(slices.Clone(found), func(detail string) bool { return slices.Contains(told, detail) })
		for _, name := range c.named {
			require.Contains(t, added[0], name)
		}
		told = found
	}
	commit(t, s, store.Change{Records: []ledger.Record{record()}}) // what was added does not stop the gateway
}
