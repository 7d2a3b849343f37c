package postgres

import (
	"context"
	"encoding/json"
)

// dialect spells lists as arrays.
type dialect struct{}

// Ints implements sqlstore.Dialect.
func (dialect) Ints(arg func(any) string, list []int64) string {
	if len(list) == 1 {
		return "SELECT " + arg(list[0]) + "::bigint AS v"
	}
	return "SELECT unnest(" + arg(append([]int64{}, list...)) + "::bigint[]) AS v" // never NULL
}

// Texts implements sqlstore.Dialect.
func (dialect) Texts(arg func(any) string, list []string) string {
	if len(list) == 1 {
		return "SELECT " + arg(list[0]) + `::text COLLATE "C" AS v`
	}
	return "SELECT unnest(" + arg(append([]string{}, list...)) + `::text[]) COLLATE "C" AS v`
}

// Spans implements sqlstore.Dialect.
func (dialect) Spans(arg func(any) string, list [][3]int64) string {
	b, _ := json.Marshal(list) // numbers always marshal
	return "SELECT (e->>0)::bigint AS c, (e->>1)::bigint AS f, (e->>2)::bigint AS t FROM json_array_elements(" + arg(string(b)) + "::text::json) e"
}

// Look is a subquery for each row before it. OFFSET is the fence that keeps the planner from turning it round, or from
// walking another index that some other condition seems to suit: without statistics, or with old ones, it would.
func (dialect) Look(table, alias, on string) (from, where string) {
	return "LATERAL (SELECT * FROM " + table + " " + alias + " WHERE " + on + " OFFSET 0) " + alias, ""
}

func (dialect) Brief(ctx context.Context) context.Context { return ctx }

func (dialect) Whole() string { return "MATERIALIZED" }

func (dialect) Contains(text, part string) string { return "strpos(" + text + ", " + part + ") > 0" }

// Catalog implements sqlstore.Dialect: of the schema that the tables of the store are found in. A name written in capitals is
// another name here.
func (dialect) Catalog() string {
	const tables = `FROM pg_catalog.pg_class t WHERE t.relnamespace = (SELECT l.relnamespace FROM pg_catalog.pg_class l WHERE l.oid = 'ledger_entry'::regclass)
		AND t.relkind IN ('r', 'p', 'v', 'm', 'f') AND lower(t.relname) LIKE 'ledger\_%'`
	return `SELECT 'table' AS kind, t.relname::text AS owner, '' AS name ` + tables + `
		UNION ALL SELECT 'column', t.relname::text, a.attname::text FROM (SELECT t.oid, t.relname ` + tables + `) t JOIN pg_catalog.pg_attribute a
			ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
		UNION ALL SELECT 'trigger', t.relname::text, g.tgname::text FROM (SELECT t.oid, t.relname ` + tables + `) t JOIN pg_catalog.pg_trigger g
			ON g.tgrelid = t.oid AND NOT g.tgisinternal
		ORDER BY 2, 1, 3`
}

func (dialect) Now() string { return "(extract(epoch FROM clock_timestamp()) * 1000)::bigint" }
