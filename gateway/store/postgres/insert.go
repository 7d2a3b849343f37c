package postgres

import (
	"fmt"
	"strconv"
	"strings"

	"sotesilta/gateway/store/sqlstore"
)

// column gathers a value of each row into an array: a batch is inserted by one statement per table.
func column[R, V any](rows []R, value func(*R) V) []V {
	out := make([]V, len(rows))
	for i := range rows {
		out[i] = value(&rows[i])
	}
	return out
}

func storeRows(p *pipeline, w *sqlstore.Writes) {
	if len(w.Inserted) > 0 {
		p.add(nil, `INSERT INTO resource (rid, version, vid, class, recorded, updated, deleted, type, id)
			SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::text[], $9::text[])`,
			resourceColumns(w.Inserted)...)
	}
	if len(w.Updated) > 0 {
		p.add(nil, `UPDATE resource r SET version = n.version, vid = n.vid, class = n.class, recorded = n.recorded, updated = n.updated, deleted = n.deleted
			FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[]) AS n(rid, version, vid, class, recorded, updated, deleted)
			WHERE r.rid = n.rid`, resourceColumns(w.Updated)[:7]...)
	}
	if len(w.Versions) > 0 {
		type row = sqlstore.VersionRow
		v := w.Versions
		p.add(nil, `INSERT INTO version (vid, rid, version, class, recorded, updated, deleted, method, body)
			SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::text[], $9::text[])`,
			column(v, func(r *row) int64 { return r.Vid }), column(v, func(r *row) int64 { return r.Rid }),
			column(v, func(r *row) int64 { return r.Version }), column(v, func(r *row) int64 { return r.Class }),
			column(v, func(r *row) int64 { return r.Recorded }), column(v, func(r *row) int64 { return r.Updated }),
			column(v, func(r *row) int64 { return r.Deleted }), column(v, func(r *row) string { return r.Method }),
			column(v, func(r *row) []byte { return r.Body }))
	}
}

func resourceColumns(rows []sqlstore.ResourceRow) []any {
	type row = sqlstore.ResourceRow
	return []any{
		column(rows, func(r *row) int64 { return r.Rid }), column(rows, func(r *row) int64 { return r.Version }),
		column(rows, func(r *row) int64 { return r.Vid }), column(rows, func(r *row) int64 { return r.Class }),
		column(rows, func(r *row) int64 { return r.Recorded }), column(rows, func(r *row) int64 { return r.Updated }),
		column(rows, func(r *row) int64 { return r.Deleted }), column(rows, func(r *row) string { return r.Type }),
		column(rows, func(r *row) string { return r.ID }),
	}
}

var indexReads, indexInserts, indexDeletes [sqlstore.Tables]string

// indexTypes are the types of the columns of the index tables, after rid, param and ord.
var indexTypes = [sqlstore.Tables][]string{
	{"text", "text", "text"},
	{"text", "text", "text", "text"},
	{"bigint", "bigint"},
	{"text", "text"},
	{"float8", "float8", "text", "text"},
	{"float8", "float8", "float8"},
}

func init() {
	for table := range sqlstore.Tables {
		name, columns := table.Name(), table.Columns()
		indexReads[table] = fmt.Sprintf(`SELECT x.rid, x.param, x.ord, x.%s FROM unnest($1::text[], $2::text[]) AS k(type, id) CROSS JOIN resource r CROSS JOIN %s x
			WHERE r.type = k.type AND r.id = k.id AND x.rid = r.rid ORDER BY x.rid, x.param, x.ord`, strings.Join(columns, ", x."), name)
		arrays := []string{"$1::bigint[]", "$2::bigint[]", "$3::bigint[]"}
		for i, typ := range indexTypes[table] {
			arrays = append(arrays, fmt.Sprintf("$%d::%s[]", i+4, typ))
		}
		indexInserts[table] = fmt.Sprintf("INSERT INTO %s (rid, param, ord, %s) SELECT * FROM unnest(%s)", name, strings.Join(columns, ", "), strings.Join(arrays, ", "))
		indexDeletes[table] = fmt.Sprintf(`DELETE FROM %s x USING unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS k(rid, param, ord)
			WHERE x.rid = k.rid AND x.param = k.param AND x.ord = k.ord`, name)
	}
}

func storeIndex(p *pipeline, w *sqlstore.Writes) {
	for table, rows := range byTable(w.Dropped) {
		if len(rows) > 0 {
			p.add(nil, indexDeletes[table], places(rows)...)
		}
	}
	type row = sqlstore.IndexRow
	for table, rows := range byTable(w.Added) {
		if len(rows) == 0 {
			continue
		}
		args := places(rows)
		a, b := column(rows, func(r *row) string { return r.A }), column(rows, func(r *row) string { return r.B })
		switch sqlstore.Table(table) {
		case sqlstore.TokenTable:
			args = append(args, a, b, column(rows, func(r *row) string { return r.C }))
		case sqlstore.ReferenceTable:
			args = append(args, a, b, column(rows, func(r *row) string { return r.C }), column(rows, func(r *row) string { return r.D }))
		case sqlstore.DateTable:
			args = append(args, column(rows, func(r *row) int64 { return r.F }), column(rows, func(r *row) int64 { return r.T }))
		case sqlstore.StringTable:
			args = append(args, a, b)
		case sqlstore.NumberTable:
			args = append(args, column(rows, func(r *row) float64 { return r.L }), column(rows, func(r *row) float64 { return r.H }), a, b)
		case sqlstore.PositionTable:
			args = append(args, column(rows, func(r *row) float64 { return r.L }), column(rows, func(r *row) float64 { return r.H }), column(rows, func(r *row) float64 { return r.Z }))
		}
		p.add(nil, indexInserts[table], args...)
	}
}

// byTable sorts index rows into their tables.
func byTable(rows []sqlstore.IndexRow) (out [sqlstore.Tables][]sqlstore.IndexRow) {
	for i := range rows {
		out[rows[i].Table] = append(out[rows[i].Table], rows[i])
	}
	return out
}

func places(rows []sqlstore.IndexRow) []any {
	type row = sqlstore.IndexRow
	return []any{
		column(rows, func(r *row) int64 { return r.Rid }), column(rows, func(r *row) int64 { return r.Param }),
		column(rows, func(r *row) int64 { return r.Ord }),
	}
}

func storeFacts(p *pipeline, w *sqlstore.Writes) {
	if len(w.Facts) > 0 {
		type row = sqlstore.FactsRow
		p.add(nil, "INSERT INTO facts (client, version, json) SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[])",
			column(w.Facts, func(r *row) string { return r.Client }), column(w.Facts, func(r *row) int64 { return r.Version }),
			column(w.Facts, func(r *row) string { return r.JSON }))
	}
	storeCounters(p, w.Clients, "client", "client")
	storeCounters(p, w.Keys, "key_version", "key")
	if len(w.Relations) > 0 {
		type row = sqlstore.Relation
		p.add(nil, "INSERT INTO relation (party, client) SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT DO NOTHING",
			column(w.Relations, func(r *row) string { return r.Party }), column(w.Relations, func(r *row) string { return r.Client }))
	}
}

// storeCounters inserts new counters, which fails when another node did so meanwhile, and moves those that are locked.
func storeCounters(p *pipeline, list []sqlstore.Counter, table, name string) {
	var fresh, moved []sqlstore.Counter
	for _, c := range list {
		if c.New {
			fresh = append(fresh, c)
		} else {
			moved = append(moved, c)
		}
	}
	type row = sqlstore.Counter
	if len(fresh) > 0 {
		p.add(nil, fmt.Sprintf("INSERT INTO %s (%s, version) SELECT * FROM unnest($1::text[], $2::bigint[])", table, name),
			column(fresh, func(r *row) string { return r.Name }), column(fresh, func(r *row) int64 { return r.N }))
	}
	if len(moved) > 0 {
		p.add(nil, fmt.Sprintf("UPDATE %[1]s c SET version = n.version FROM unnest($1::text[], $2::bigint[]) AS n(name, version) WHERE c.%[2]s = n.name", table, name),
			column(moved, func(r *row) string { return r.Name }), column(moved, func(r *row) int64 { return r.N }))
	}
}

var entryInsert = func() string {
	columns := append([]string{"entry", "prev", "commitment", "chain", "salt", "canonical"}, sqlstore.ColumnNames()...)
	arrays := []string{"$1::bigint[]"}
	for i := 1; i < len(columns); i++ {
		typ := "text"
		if i < 6 {
			typ = "bytea"
		}
		arrays = append(arrays, fmt.Sprintf("$%d::%s[]", i+1, typ))
	}
	return "INSERT INTO ledger_entry (" + strings.Join(columns, ", ") + ") SELECT * FROM unnest(" + strings.Join(arrays, ", ") + ")"
}()

// erase takes the content from a range of entries.
var erase = sqlstore.EraseSQL(func(n int) string { return "$" + strconv.Itoa(n) })

func storeLedger(p *pipeline, w *sqlstore.Writes) {
	if len(w.Entries) > 0 {
		type row = sqlstore.EntryRow
		e := w.Entries
		args := []any{
			column(e, func(r *row) int64 { return r.Key }),
			column(e, func(r *row) []byte { return r.Entry.Prev[:] }), column(e, func(r *row) []byte { return r.Entry.Commitment[:] }),
			column(e, func(r *row) []byte { return r.Entry.Chain[:] }), column(e, func(r *row) []byte { return r.Entry.Salt }),
			column(e, func(r *row) []byte { return r.Entry.Canonical }),
		}
		for i := range e[0].Columns {
			args = append(args, column(e, func(r *row) string { return r.Columns[i] }))
		}
		p.add(nil, entryInsert, args...)
	}
	for _, keys := range w.Erased {
		p.add(nil, erase, keys[0], keys[1])
	}
	if len(w.Leaves) > 0 {
		type row = sqlstore.Leaf
		p.add(nil, "INSERT INTO ledger_leaf (seq, entry) SELECT * FROM unnest($1::bigint[], $2::bigint[])",
			column(w.Leaves, func(r *row) int64 { return r.Seq }), column(w.Leaves, func(r *row) int64 { return r.Entry }))
	}
	if w.Checkpoint != nil {
		p.add(nil, "INSERT INTO ledger_checkpoint (size, note) VALUES ($1, $2)", w.Checkpoint.Size, w.Checkpoint.Note)
	}
}

// storeEvents numbers events under a lock that is kept until the commit, so that numbers rise in commit order and who
// listens misses none. It comes last, so that the lock is held for little more than the commit.
func storeEvents(p *pipeline, w *sqlstore.Writes) {
	if len(w.Events) == 0 {
		return
	}
	type row = sqlstore.EventRow
	e := w.Events
	p.add(nil, "SELECT pg_advisory_xact_lock($1)::text", lockEvents)
	p.add(nil, `INSERT INTO event (type, id, version, interaction, time, record)
		SELECT n.type, n.id, n.version, n.interaction, n.time, n.record
		FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::bigint[], $6::text[]) WITH ORDINALITY AS n(type, id, version, interaction, time, record, place)
		ORDER BY n.place`,
		column(e, func(r *row) string { return r.Type }), column(e, func(r *row) string { return r.ID }),
		column(e, func(r *row) int64 { return r.Version }), column(e, func(r *row) string { return r.Interaction }),
		column(e, func(r *row) int64 { return r.Time }), column(e, func(r *row) string { return r.Record }))
}
