package postgres_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"sotesilta/gateway/store"
	"sotesilta/gateway/store/storetest"
)

// Nodes that start at once on a store of the first release bring it up once, and all of them open it; so they do when a node
// was killed while it was at it: the server goes on with the dead node's statement, and only then undoes its step, or ends
// it where the commit had been asked for.
func TestNodesThatStartAtOnceUpgradeAStoreOnce(t *testing.T) {
	for end, last := range map[string][]string{
		"the dead node's step is undone": {"ROLLBACK"},
		"the dead node's step is done":   {"INSERT INTO goose_db_version (version_id, is_applied) VALUES (2, true)", "COMMIT"},
	} {
		t.Run(end, func(t *testing.T) { upgradeAtOnce(t, last) })
	}
}

func upgradeAtOnce(t *testing.T, last []string) {
	place := engine.Fresh(t)
	engine.Exec(t, place, string(storetest.Unpack(t, filepath.Join("testdata", "v0.1.0.sql.gz"))))
	killed, err := pgx.Connect(t.Context(), place)
	require.NoError(t, err)
	tell := func(statements ...string) {
		t.Helper()
		for _, statement := range statements {
			_, err = killed.Exec(t.Context(), statement)
			require.NoError(t, err)
		}
	}
	tell("BEGIN", "CREATE INDEX version_class ON version (class, updated, vid)")

	const nodes = 4
	type opened struct {
		store store.Store
		err   error
	}
	all := make(chan opened, nodes)
	for range nodes {
		go func() {
			s, err := engine.Open(t.Context(), place)
			all <- opened{s, err}
		}()
	}
	count := func(what string) (n int) {
		t.Helper()
		c, err := pgx.Connect(t.Context(), place)
		require.NoError(t, err)
		require.NoError(t, c.QueryRow(t.Context(), "SELECT count(*) FROM "+what).Scan(&n))
		require.NoError(t, c.Close(t.Context()))
		return n
	}
	require.Eventually(t, func() bool {
		return count("pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'") == nodes
	}, 20*time.Second, 10*time.Millisecond, "one waits for the dead node's step, the others for that one")
	require.Empty(t, all)
	tell(last...)
	require.NoError(t, killed.Close(t.Context()))
	for range nodes {
		node := <-all
		require.NoError(t, node.err)
		require.NoError(t, node.store.Close())
	}
	require.Equal(t, 1, count("pg_indexes WHERE indexname = 'version_class'"))
	require.Zero(t, count("(SELECT version_id FROM goose_db_version GROUP BY version_id HAVING count(*) > 1) twice"))
	require.Zero(t, count("pg_index WHERE NOT indisvalid"))
}
