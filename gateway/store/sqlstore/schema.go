package sqlstore

import (
	"context"
	"database/sql"
	_ "embed"
	"fmt"
	"strings"
	"text/template"

	"github.com/pressly/goose/v3"
)

// Words are how an engine spells what differs in the one schema.
type Words struct {
	Key       string // type of a whole-number primary key that the store gives
	Serial    string // type of one that the engine gives, rising
	Text      string // type of a text compared byte by byte
	Bytes     string // type of bytes
	Clustered string // after a table whose rows lie in its primary key
	Bodies    string // after a table of long rows
	Sequences string // statements for what gives numbers to rows
}

//go:embed schema.sql
var schema string

// Migrate brings a database to the newest schema. The caller sees to it that only one does so at a time.
func Migrate(ctx context.Context, dialect goose.Dialect, db *sql.DB, words Words) error {
	t, err := template.New("schema").Parse(schema)
	if err != nil {
		return fmt.Errorf("sqlstore: schema: %w", err)
	}
	var text strings.Builder
	if err := t.Execute(&text, map[string]string{
		"key": words.Key, "serial": words.Serial, "text": words.Text, "bytes": words.Bytes, "clustered": words.Clustered,
		"bodies": words.Bodies, "sequences": words.Sequences,
	}); err != nil {
		return fmt.Errorf("sqlstore: schema: %w", err)
	}
	first := goose.NewGoMigration(1, &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
		for _, statement := range strings.Split(text.String(), ";\n") {
			if statement = strings.TrimSpace(statement); statement == "" {
				continue
			}
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return fmt.Errorf("%s: %w", strings.SplitN(statement, "\n", 2)[0], err)
			}
		}
		return nil
	}}, nil)
	// Histories of types and of the system look versions up by class; resources that were deleted or labelled anew are
	// in no index of the table resource.
	histories := goose.NewGoMigration(2, &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "CREATE INDEX version_class ON version (class, updated, vid)")
		return err
	}}, nil)
	// An auditor asks the ledger for one person's or user's exchanges and for what was not permitted (703/2023 § 10).
	supervision := goose.NewGoMigration(3, &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
		for _, statement := range []string{
			"CREATE INDEX ledger_entry_person ON ledger_entry (person, time, entry) WHERE person <> ''",
			"CREATE INDEX ledger_entry_user ON ledger_entry (user_id, time, entry) WHERE user_id <> ''",
			"CREATE INDEX ledger_entry_refused ON ledger_entry (outcome, time, entry) WHERE outcome <> 'permit'",
		} {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	}}, nil)
	// Places are found by their distance (search parameter near of Location).
	places := goose.NewGoMigration(4, &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
		for _, statement := range []string{
			`CREATE TABLE ix_position (
				rid bigint NOT NULL,
				param bigint NOT NULL,
				ord bigint NOT NULL,
				x double precision NOT NULL,
				y double precision NOT NULL,
				z double precision NOT NULL,
				PRIMARY KEY (rid, param, ord)
			)` + words.Clustered,
			"CREATE INDEX ix_position_x ON ix_position (param, x, y, z, rid)",
		} {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	}}, nil)
	// An auditor asks, over all the years, for what rested on a row of the law and for what was done to a row. Both are
	// indexes of the ledger's own columns: see ways.go, whose conditions they have.
	bases := goose.NewGoMigration(5, &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
		for _, statement := range []string{
			"CREATE INDEX ledger_entry_basis ON ledger_entry (basis, time, entry) WHERE basis <> ''",
			`CREATE INDEX ledger_entry_target ON ledger_entry (target, time, entry) WHERE target <> '' AND length(target) <= 300 AND target NOT LIKE '%","%' ` +
				"AND (client = '' OR interaction NOT IN ('read', 'vread', 'search-type', 'history-instance', 'history-type', 'history-system', 'everything', 'export', 'create', 'notify'))",
			`CREATE INDEX ledger_entry_several ON ledger_entry (time, entry) WHERE client = '' AND target LIKE '%","%'`,
		} {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	}}, nil)
	p, err := goose.NewProvider(dialect, db, nil, goose.WithGoMigrations(first, histories, supervision, places, bases), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("sqlstore: migrations: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("sqlstore: migrations: %w", err)
	}
	return nil
}
