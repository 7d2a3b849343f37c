package postgres_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"sotesilta/gateway/store"
	"sotesilta/gateway/store/pgtest"
	"sotesilta/gateway/store/postgres"
	"sotesilta/gateway/store/storetest"
)

var engine = storetest.Engine{
	Fresh: pgtest.Postgres,
	Open: func(ctx context.Context, place string) (store.Store, error) {
		return postgres.Open(ctx, place, postgres.Options{})
	},
	Exec: func(t testing.TB, place, statement string) int64 {
		c, err := pgx.Connect(t.Context(), place)
		require.NoError(t, err)
		result, err := c.Exec(t.Context(), statement)
		require.NoError(t, err, statement)
		require.NoError(t, c.Close(t.Context()))
		return result.RowsAffected()
	},
	Trigger: []string{
		"CREATE FUNCTION watched() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
		"CREATE TRIGGER watch BEFORE INSERT ON ledger_leaf FOR EACH ROW EXECUTE FUNCTION watched()",
	},
	Longer: func(column string) string { return column + ` || '\x00'::bytea` },
}

func TestMain(m *testing.M) { os.Exit(storetest.Main(m, engine)) }

func TestContract(t *testing.T) { storetest.Run(t, engine) }

// The fixture is a dump of what release 0.1.0 made.
func TestAStoreOfTheFirstReleaseIsUpgraded(t *testing.T) {
	place := engine.Fresh(t)
	engine.Exec(t, place, string(storetest.Unpack(t, filepath.Join("testdata", "v0.1.0.sql.gz"))))
	storetest.Upgraded(t, engine, place)
}

func BenchmarkStore(b *testing.B) { storetest.Bench(b, engine) }
