package sqlite_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/store"
	"sotesilta/gateway/store/sqlite"
	"sotesilta/gateway/store/storetest"
)

var engine = storetest.Engine{
	Fresh: func(t testing.TB) string { return filepath.Join(t.TempDir(), "store.db") },
	Open: func(ctx context.Context, place string) (store.Store, error) {
		return sqlite.Open(ctx, place, sqlite.Options{})
	},
	Exec: func(t testing.TB, place, statement string) int64 {
		db, err := sql.Open("sqlite", place)
		require.NoError(t, err)
		result, err := db.Exec(statement)
		require.NoError(t, err, statement)
		changed, err := result.RowsAffected()
		require.NoError(t, err)
		require.NoError(t, db.Close())
		return changed
	},
	Trigger: []string{"CREATE TRIGGER watch AFTER INSERT ON ledger_leaf BEGIN SELECT 1; END"},
	Longer:  func(column string) string { return "CAST(" + column + " || x'00' AS BLOB)" },
}

func TestMain(m *testing.M) { os.Exit(storetest.Main(m, engine)) }

func TestContract(t *testing.T) { storetest.Run(t, engine) }

// The fixture was made by release 0.1.0.
func TestAStoreOfTheFirstReleaseIsUpgraded(t *testing.T) {
	place := engine.Fresh(t)
	require.NoError(t, os.WriteFile(place, storetest.Unpack(t, filepath.Join("testdata", "v0.1.0.db.gz")), 0o600))
	storetest.Upgraded(t, engine, place)
}

func BenchmarkStore(b *testing.B) { storetest.Bench(b, engine) }
