package postgres

import (
	"context"
	"encoding/json"
)

// dialect spells lists as arrays.
type dialect struct{}

func (dialect) Ints(arg string) string  { return "SELECT unnest(" + arg + "::bigint[]) AS v" }
func (dialect) Texts(arg string) string { return "SELECT unnest(" + arg + `::text[]) COLLATE "C" AS v` }

func (dialect) IntsArg(v []int64) any {
	if v == nil {
		return []int64{}
	}
	return v
}

func (dialect) TextsArg(v []string) any {
	if v == nil {
		return []string{}
	}
	return v
}

func (dialect) Spans(arg string) string {
	return "SELECT (e->>0)::bigint AS c, (e->>1)::bigint AS f, (e->>2)::bigint AS t FROM json_array_elements(" + arg + "::text::json) e"
}

func (dialect) SpansArg(v [][3]int64) any {
	b, _ := json.Marshal(v) // numbers always marshal
	return string(b)
}

// Look is a subquery for each row before it. OFFSET is the fence that keeps the planner from turning it round, or from
// walking another index that some other condition seems to suit: without statistics, or with old ones, it would.
func (dialect) Look(table, alias, on string) (from, where string) {
	return "LATERAL (SELECT * FROM " + table + " " + alias + " WHERE " + on + " OFFSET 0) " + alias, ""
}

func (dialect) Brief(ctx context.Context) context.Context { return ctx }

func (dialect) Contains(text, part string) string { return "strpos(" + text + ", " + part + ") > 0" }

func (dialect) Now() string { return "(extract(epoch FROM clock_timestamp()) * 1000)::bigint" }
