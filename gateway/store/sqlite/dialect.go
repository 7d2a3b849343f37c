package sqlite

import (
	"context"
	"encoding/json"
)

// dialect spells lists as JSON, which SQLite reads as a table.
type dialect struct{}

func (dialect) Ints(arg string) string  { return "SELECT value AS v FROM json_each(" + arg + ")" }
func (dialect) Texts(arg string) string { return "SELECT value AS v FROM json_each(" + arg + ")" }

func (dialect) IntsArg(v []int64) any   { return list(v) }
func (dialect) TextsArg(v []string) any { return list(v) }

func (dialect) Spans(arg string) string {
	return "SELECT json_extract(value, '$[0]') AS c, json_extract(value, '$[1]') AS f, json_extract(value, '$[2]') AS t FROM json_each(" + arg + ")"
}
func (dialect) SpansArg(v [][3]int64) any { return list(v) }

// Look is a plain table: SQLite takes a CROSS JOIN in the order in which it is written.
func (dialect) Look(table, alias, on string) (from, where string) { return table + " " + alias, on }

// Brief is a context that never ends: the driver would start a goroutine to wait for the end of any other.
func (dialect) Brief(context.Context) context.Context { return context.Background() }

func (dialect) Contains(text, part string) string { return "instr(" + text + ", " + part + ") > 0" }

func (dialect) Now() string { return "CAST(unixepoch('subsec') * 1000 AS INTEGER)" }

func list(v any) string {
	b, _ := json.Marshal(v) // numbers and texts always marshal
	if string(b) == "null" {
		return "[]"
	}
	return string(b)
}
