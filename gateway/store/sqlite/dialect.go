package sqlite

import (
	"context"
	"encoding/json"
	"strings"
)

// dialect spells long lists as JSON, which SQLite reads as a table.
type dialect struct{}

// Ints implements sqlstore.Dialect.
func (dialect) Ints(arg func(any) string, list []int64) string { return values(arg, list) }

// Texts implements sqlstore.Dialect.
func (dialect) Texts(arg func(any) string, list []string) string { return values(arg, list) }

// Spans implements sqlstore.Dialect.
func (dialect) Spans(arg func(any) string, list [][3]int64) string {
	return "SELECT json_extract(value, '$[0]') AS c, json_extract(value, '$[1]') AS f, json_extract(value, '$[2]') AS t FROM json_each(" + arg(text(list)) + ")"
}

// Look is a plain table: SQLite takes a CROSS JOIN in the order in which it is written.
func (dialect) Look(table, alias, on string) (from, where string) { return table + " " + alias, on }

// Brief is a context that never ends: the driver would start a goroutine to wait for the end of any other.
func (dialect) Brief(context.Context) context.Context { return context.Background() }

// Whole is nothing: a plain subquery is walked row by row, and takes no table of its own.
func (dialect) Whole() string { return "" }

func (dialect) Contains(text, part string) string { return "instr(" + text + ", " + part + ") > 0" }

func (dialect) Now() string { return "CAST(unixepoch('subsec') * 1000 AS INTEGER)" }

// Catalog implements sqlstore.Dialect. Names are alike in any case here.
func (dialect) Catalog() string {
	return `SELECT 'table' AS kind, lower(m.name) AS owner, '' AS name FROM sqlite_master m
			WHERE m.type IN ('table', 'view') AND lower(m.name) GLOB 'ledger_*'
		UNION ALL SELECT 'column', lower(m.name), lower(c.name) FROM sqlite_master m JOIN pragma_table_xinfo(m.name) c
			WHERE m.type IN ('table', 'view') AND lower(m.name) GLOB 'ledger_*'
		UNION ALL SELECT 'trigger', lower(m.tbl_name), m.name FROM sqlite_master m WHERE m.type = 'trigger' AND lower(m.tbl_name) GLOB 'ledger_*'
		ORDER BY 2, 1, 3`
}

// few values are written one by one: reading JSON costs more than they do.
const few = 4

func values[T int64 | string](arg func(any) string, list []T) string {
	switch {
	case len(list) == 1:
		return "SELECT " + arg(list[0]) + " AS v"
	case len(list) > 0 && len(list) <= few:
		var b strings.Builder
		b.WriteString("SELECT column1 AS v FROM (VALUES ")
		for i, v := range list {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString("(" + arg(v) + ")")
		}
		b.WriteString(")")
		return b.String()
	}
	return "SELECT value AS v FROM json_each(" + arg(text(list)) + ")"
}

// text is a list as JSON.
func text(list any) string {
	b, _ := json.Marshal(list) // numbers and texts always marshal
	if string(b) == "null" {
		return "[]"
	}
	return string(b)
}
