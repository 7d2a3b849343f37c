package main

import (
	"bytes"
	"database/sql"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"sotesilta/gateway/store/pgtest"
)

// Whatever is done to the register of users and rights, to the kept texts of the law or to the terms of retention behind the
// gateway's back, verifying names the row.
func TestTamperedRightsAreNamed(t *testing.T) {
	for name, engine := range map[string]struct {
		place func(p *production) string
		exec  func(t *testing.T, place, statement string) int64
	}{
		"sqlite": {
			func(p *production) string { return "sqlite:" + p.path("gateway.db") },
			func(t *testing.T, place, statement string) int64 {
				db, err := sql.Open("sqlite", strings.TrimPrefix(place, "sqlite:"))
				require.NoError(t, err)
				defer db.Close()
				result, err := db.Exec(statement)
				require.NoError(t, err, statement)
				n, err := result.RowsAffected()
				require.NoError(t, err)
				return n
			},
		},
		"postgres": {
			func(*production) string { return pgtest.Postgres(t) },
			func(t *testing.T, place, statement string) int64 {
				c, err := pgx.Connect(t.Context(), place)
				require.NoError(t, err)
				defer c.Close(t.Context())
				result, err := c.Exec(t.Context(), statement)
				require.NoError(t, err, statement)
				return result.RowsAffected()
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProduction(t)
			at := engine.place(p)
			args := p.args("--init-keys", "--store", at)
			p.running(t, args, func(string, *logs) {})
			file, err := os.ReadFile(p.path("clients.yaml"))
			require.NoError(t, err)
			p.write(t, "clients.yaml", strings.Replace(string(file), `task: "3.1"`, `task: "3.2"`, 1)) // a second version of the nurse
			p.running(t, args, func(string, *logs) {})
			verify := func(want int) string {
				t.Helper()
				var out, errs bytes.Buffer
				require.Equal(t, want, run(t.Context(), []string{"verify", "--store", at, "--keys", p.path("keys")}, &out, &errs), out.String()+errs.String())
				return out.String()
			}
			require.Contains(t, verify(0), "versions of rights, law and retention kept beside it, held against their records")
			const (
				rights = "(SELECT rid FROM resource WHERE type = 'Parameters')"
				first  = "(SELECT min(vid) FROM version WHERE rid IN " + rights + ")"
			)
			for _, c := range []struct{ name, do, undo, says string }{
				{
					"another name", "UPDATE version SET body = replace(body, 'Nina', 'Nora') WHERE rid IN " + rights + " AND body LIKE '%Nina%'",
					"UPDATE version SET body = replace(body, 'Nora', 'Nina') WHERE rid IN " + rights, "edited: Parameters/",
				},
				{
					"another time", "UPDATE version SET updated = updated - 86400000 WHERE vid = " + first,
					"UPDATE version SET updated = updated + 86400000 WHERE vid = " + first, "edited: Parameters/",
				},
				{
					"another controller's", "UPDATE class SET json = replace(json, 'Organization/county', 'Organization/clinic') WHERE type = 'Parameters'",
					"UPDATE class SET json = replace(json, 'Organization/clinic', 'Organization/county') WHERE type = 'Parameters'", "edited: Parameters/",
				},
				{
					"hidden by its label", "UPDATE class SET type = 'Basic' WHERE type = 'Parameters'",
					"UPDATE class SET type = 'Parameters' WHERE json LIKE '%\"Parameters\"%'", "has a label of another type",
				},
				{
					"ended", "UPDATE resource SET deleted = 1 WHERE type = 'Parameters'", "UPDATE resource SET deleted = 0 WHERE type = 'Parameters'",
					"is its newest version, and not what is current",
				},
				{
					"a right more",
					"INSERT INTO version (vid, rid, version, class, recorded, updated, deleted, method, body) SELECT 1000000, rid, version + 7, class, recorded, updated, deleted, method, body FROM version WHERE vid = (SELECT max(vid) FROM version WHERE rid IN " + rights + ")",
					"DELETE FROM version WHERE vid = 1000000", "inserted: Parameters/",
				},
				{
					"another law", "UPDATE version SET body = replace(body, '\"LegalBases\"', '\"LegalBasis\"') WHERE rid IN (SELECT rid FROM resource WHERE type = 'Library')",
					"UPDATE version SET body = replace(body, '\"LegalBasis\"', '\"LegalBases\"') WHERE rid IN (SELECT rid FROM resource WHERE type = 'Library')", "edited: Library/",
				},
				{
					"other terms of retention", "UPDATE version SET body = replace(body, 'retention', 'retenti0n') WHERE rid IN (SELECT rid FROM resource WHERE type = 'Basic')",
					"UPDATE version SET body = replace(body, 'retenti0n', 'retention') WHERE rid IN (SELECT rid FROM resource WHERE type = 'Basic')", "edited: Basic/retention-terms/_history/1",
				},
				{
					"no deletion and no content", "UPDATE version SET body = NULL WHERE vid = " + first, "", "is not as it was written",
				},
				{"a version taken away", "DELETE FROM version WHERE vid = " + first, "", "deleted: Parameters/"},
				{"a resource taken away", "DELETE FROM resource WHERE type = 'Parameters'", "", "deleted: Parameters/"},
			} {
				require.NotZero(t, engine.exec(t, at, c.do), c.name)
				require.Contains(t, verify(exitNotWell), c.says, c.name)
				if c.undo != "" {
					require.NotZero(t, engine.exec(t, at, c.undo), c.name)
					verify(0)
				}
			}
		})
	}
}
