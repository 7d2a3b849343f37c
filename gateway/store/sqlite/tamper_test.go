package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/store"
)

// Whatever is changed, taken away or added in any column of any table of the ledger, verifying tells.
func TestEveryColumnOfTheLedgerIsCovered(t *testing.T) {
	key, err := ledger.NewKey("sotesilta.example/test")
	require.NoError(t, err)
	pristine := filepath.Join(t.TempDir(), "store.db")
	ctx := context.Background()
	for range 2 { // two openings: two nodes
		s, err := Open(ctx, pristine, Options{})
		require.NoError(t, err)
		log := ledger.NewLog(key)
		for i := range 3 {
			id := ledger.NewID()
			require.NoError(t, s.Commit(ctx, store.Change{Keys: []string{id}, Records: []ledger.Record{{
				ID: id, Exchange: id, Time: time.Now().UTC().Truncate(time.Millisecond), Interaction: "read", Outcome: "permit", Success: true,
				Actor:  consent.Actor{Kind: consent.Professional, App: "jukola-ehr", User: "nurse", Person: "Practitioner/1", Role: "PractitionerRole/1", Controller: "Organization/1"},
				Client: "aino", Controller: "Organization/1", Target: "Task/1", Recipient: "omaks", Bases: []consent.Basis{{ID: "ATL-4.3-H"}},
			}}}))
			if i < 2 {
				_, err := s.Sequence(ctx, "one", 1, log.Seal)
				require.NoError(t, err)
			}
		}
		require.NoError(t, s.Close())
	}
	verify := func(t *testing.T, path string) *ledger.Report {
		s, err := Open(ctx, path, Options{})
		require.NoError(t, err)
		defer func() { require.NoError(t, s.Close()) }()
		report, err := ledger.Verify(ctx, s.Ledger(), key.Verifier(), ledger.Options{})
		require.NoError(t, err)
		return report
	}
	report := verify(t, pristine)
	require.True(t, report.OK(), "%+v", report.Findings)
	require.EqualValues(t, 4, report.Size)
	require.EqualValues(t, 2, report.Pending)

	tamper := func(name, statement string) {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "store.db")
			b, err := os.ReadFile(pristine)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(path, b, 0o600))
			db, err := sql.Open("sqlite", path)
			require.NoError(t, err)
			result, err := db.Exec(statement)
			require.NoError(t, err)
			changed, err := result.RowsAffected()
			require.NoError(t, err)
			require.NotZero(t, changed)
			require.NoError(t, db.Close())
			require.False(t, verify(t, path).OK())
		})
	}
	db, err := sql.Open("sqlite", pristine)
	require.NoError(t, err)
	rows, err := db.Query(`SELECT m.name, c.name, c.type FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name LIKE 'ledger\_%' ESCAPE '\'`)
	require.NoError(t, err)
	var columns [][3]string
	for rows.Next() {
		var c [3]string
		require.NoError(t, rows.Scan(&c[0], &c[1], &c[2]))
		columns = append(columns, c)
	}
	require.NoError(t, rows.Err())
	require.NoError(t, db.Close())
	require.Greater(t, len(columns), 20)
	tables := map[string]string{}
	for _, c := range columns {
		table, column, kind := c[0], c[1], c[2]
		changes := map[string]string{"other": column + " || 'x'", "empty": "''", "a number": "7"}
		switch {
		case strings.HasPrefix(kind, "INT") || kind == "bigint":
			changes = map[string]string{"greater": column + " + 1000", "negative": "-" + column + " - 7"}
		case kind == "BLOB":
			changes = map[string]string{"another": "randomblob(32)", "empty": "x''", "text": "'x'", "longer": "CAST(" + column + " || x'00' AS BLOB)"}
		}
		for which, value := range changes {
			for _, end := range []string{"min", "max"} {
				tamper(fmt.Sprintf("%s.%s %s %s", table, column, end, which),
					fmt.Sprintf("UPDATE OR REPLACE %[1]s SET %[2]s = %[3]s WHERE rowid = (SELECT %[4]s(rowid) FROM %[1]s)", table, column, value, end))
			}
		}
		tables[table] = column
	}
	for table := range tables {
		tamper(table+" empty", "DELETE FROM "+table)
		if table == "ledger_checkpoint" {
			continue // a later checkpoint signs all that an older one signed
		}
		tamper(table+" without its first row", fmt.Sprintf("DELETE FROM %[1]s WHERE rowid = (SELECT min(rowid) FROM %[1]s)", table))
	}
	tamper("a node more", "INSERT INTO ledger_node (node) VALUES ('x')")
	tamper("a place more", "INSERT INTO ledger_leaf (seq, entry) VALUES (1000, 1)")
	tamper("an entry twice", "INSERT INTO ledger_entry SELECT entry + 1000"+rest(columns)+" FROM ledger_entry LIMIT 1")
}

// rest are the columns of ledger_entry after its key.
func rest(columns [][3]string) (out string) {
	for _, c := range columns {
		if c[0] == "ledger_entry" && c[1] != "entry" {
			out += ", " + c[1]
		}
	}
	return out
}
