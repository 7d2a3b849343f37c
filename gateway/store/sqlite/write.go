package sqlite

import (
	"context"
	"strings"

	"sotesilta/gateway/store/sqlstore"
)

// tx is the writer's transaction. It holds SQLite's one write lock, so what it looks up stays so.
type tx struct{ c *conn }

func (t *tx) Query(ctx context.Context, text string, args ...any) (sqlstore.Rows, error) {
	return t.c.query(ctx, text, args...)
}

func (t *tx) Exec(ctx context.Context, text string, args ...any) error {
	return t.c.exec(ctx, text, args...)
}

// scan runs a query for at most one row and says whether there was one.
func (t *tx) scan(ctx context.Context, dest []any, text string, args ...any) (bool, error) {
	rows, err := t.c.query(ctx, text, args...)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	if !rows.Next() {
		return false, rows.Err()
	}
	return true, rows.Scan(dest...)
}

// Look implements sqlstore.Tx.
func (t *tx) Look(ctx context.Context, l *sqlstore.Look) (*sqlstore.There, error) {
	there := &sqlstore.There{
		Rows: make(map[sqlstore.RowKey]sqlstore.Current, len(l.Rows)), Clients: make(map[string]int64, len(l.Clients)),
	}
	for _, key := range l.Rows {
		var c sqlstore.Current
		var deleted int64
		ok, err := t.scan(ctx, []any{&c.Rid, &c.Version, &deleted},
			"SELECT rid, version, deleted FROM resource WHERE type = ? AND id = ?", key.Type, key.ID)
		if err != nil {
			return nil, err
		}
		if ok {
			c.Deleted = deleted != 0
			there.Rows[key] = c
		}
	}
	for _, client := range l.Clients {
		var v int64
		if ok, err := t.scan(ctx, []any{&v}, "SELECT version FROM client WHERE client = ?", client); err != nil {
			return nil, err
		} else if ok {
			there.Clients[client] = v
		}
	}
	if len(l.Keys) > 0 {
		there.Keys = map[string]int64{}
	}
	for _, key := range l.Keys {
		var v int64
		if ok, err := t.scan(ctx, []any{&v}, "SELECT version FROM key_version WHERE key = ?", key); err != nil {
			return nil, err
		} else if ok {
			there.Keys[key] = v
		}
	}
	if len(l.Once) > 0 {
		there.Once = map[string]bool{}
	}
	for _, key := range l.Once {
		var until int64
		if ok, err := t.scan(ctx, []any{&until}, "SELECT until FROM once WHERE key = ? AND until > ?", key, l.Now); err != nil {
			return nil, err
		} else if ok {
			there.Once[key] = true
		}
	}
	if err := t.index(ctx, l, there); err != nil {
		return nil, err
	}
	return there, t.intern(ctx, l, there)
}

// index reads the index rows of the rows that are put.
func (t *tx) index(ctx context.Context, l *sqlstore.Look, there *sqlstore.There) error {
	for _, key := range l.Put {
		current, ok := there.Rows[key]
		if !ok {
			continue
		}
		if there.Index == nil {
			there.Index = map[int64][]sqlstore.IndexRow{}
		}
		list := make([]sqlstore.IndexRow, 0, 24)
		for table := range sqlstore.Tables {
			if !table.Holds(key.Type) {
				continue
			}
			rows, err := t.c.query(ctx, indexReads[table], current.Rid)
			if err != nil {
				return err
			}
			for rows.Next() {
				x := sqlstore.IndexRow{Table: table, Rid: current.Rid}
				if err = rows.Scan(append([]any{&x.Param, &x.Ord}, x.Values()...)...); err != nil {
					break
				}
				list = append(list, x)
			}
			if err == nil {
				err = rows.Err()
			}
			rows.Close()
			if err != nil {
				return err
			}
		}
		there.Index[current.Rid] = list
	}
	return nil
}

// intern numbers classes, parameters and the node, and makes the numbers of new rows and versions.
func (t *tx) intern(ctx context.Context, l *sqlstore.Look, there *sqlstore.There) error {
	there.Classes, there.Params = make(map[string]int64, len(l.Classes)), make(map[sqlstore.ParamKey]int64, len(l.Params))
	for _, c := range l.Classes {
		no := int64(0)
		ok, err := t.scan(ctx, []any{&no}, "SELECT class FROM class WHERE key = ?", c.Key)
		if err == nil && !ok {
			if _, err = t.scan(ctx, []any{&no}, "INSERT INTO class (key, type, author, process, clients, json) VALUES (?, ?, ?, ?, ?, ?) RETURNING class",
				c.Key, c.Class.Type, c.Class.Author, c.Class.Process, int64(len(c.Class.Clients)), c.JSON); err != nil {
				return err
			}
			for _, client := range c.Class.Clients {
				if err == nil {
					err = t.c.exec(ctx, "INSERT OR IGNORE INTO class_client (client, type, class) VALUES (?, ?, ?)", client, c.Class.Type, no)
				}
			}
		}
		if err != nil {
			return err
		}
		there.Classes[c.Key] = no
	}
	for _, p := range l.Params {
		no := int64(0)
		ok, err := t.scan(ctx, []any{&no}, "SELECT param FROM param WHERE type = ? AND name = ?", p.Type, p.Name)
		if err == nil && !ok {
			_, err = t.scan(ctx, []any{&no}, "INSERT INTO param (type, name) VALUES (?, ?) RETURNING param", p.Type, p.Name)
		}
		if err != nil {
			return err
		}
		there.Params[p] = no
	}
	if l.Node != "" {
		if _, err := t.scan(ctx, []any{&there.Node}, "INSERT INTO ledger_node (node) VALUES (?) RETURNING no", l.Node); err != nil {
			return err
		}
	}
	var err error
	if l.NewRows > 0 {
		if there.NextRow, err = t.numbers(ctx, "SELECT coalesce(max(rid), 0) FROM resource"); err != nil {
			return err
		}
	}
	if l.NewVersions > 0 {
		there.NextVersion, err = t.numbers(ctx, "SELECT coalesce(max(vid), 0) FROM version")
	}
	return err
}

// numbers counts on from the greatest number there is.
func (t *tx) numbers(ctx context.Context, text string) (func() int64, error) {
	var last int64
	_, err := t.scan(ctx, []any{&last}, text)
	return func() int64 { last++; return last }, err
}

var (
	indexReads   [sqlstore.Tables]string
	indexInserts [sqlstore.Tables]string
	indexDeletes [sqlstore.Tables]string
	entryInsert  string
	erase        = sqlstore.EraseSQL(func(int) string { return "?" })
)

func init() {
	for table := range sqlstore.Tables {
		name, values := table.Name(), table.Columns()
		indexReads[table] = "SELECT param, ord, " + strings.Join(values, ", ") + " FROM " + name + " WHERE rid = ? ORDER BY param, ord"
		indexInserts[table] = "INSERT INTO " + name + " (rid, param, ord, " + strings.Join(values, ", ") + ") VALUES (?, ?, ?" + strings.Repeat(", ?", len(values)) + ")"
		indexDeletes[table] = "DELETE FROM " + name + " WHERE rid = ? AND param = ? AND ord = ?"
	}
	columns := append([]string{"entry", "prev", "commitment", "chain", "salt", "canonical"}, sqlstore.ColumnNames()...)
	entryInsert = "INSERT INTO ledger_entry (" + strings.Join(columns, ", ") + ") VALUES (?" + strings.Repeat(", ?", len(columns)-1) + ")"
}

// Store implements sqlstore.Tx.
func (t *tx) Store(ctx context.Context, w *sqlstore.Writes) error {
	do := &doing{c: t.c, ctx: ctx}
	for _, r := range w.Inserted {
		do.exec("INSERT INTO resource (rid, type, id, version, vid, class, recorded, updated, deleted) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
			r.Rid, r.Type, r.ID, r.Version, r.Vid, r.Class, r.Recorded, r.Updated, r.Deleted)
	}
	for _, r := range w.Updated {
		do.exec("UPDATE resource SET version = ?, vid = ?, class = ?, recorded = ?, updated = ?, deleted = ? WHERE rid = ?",
			r.Version, r.Vid, r.Class, r.Recorded, r.Updated, r.Deleted, r.Rid)
	}
	for _, v := range w.Versions {
		var body any
		if v.Body != nil {
			body = string(v.Body)
		}
		do.exec("INSERT INTO version (vid, rid, version, class, recorded, updated, deleted, method, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
			v.Vid, v.Rid, v.Version, v.Class, v.Recorded, v.Updated, v.Deleted, v.Method, body)
	}
	for i := range w.Dropped {
		x := &w.Dropped[i]
		do.exec(indexDeletes[x.Table], x.Rid, x.Param, x.Ord)
	}
	for i := range w.Added {
		x := &w.Added[i]
		do.args = append(do.args[:0], x.Rid, x.Param, x.Ord)
		switch x.Table {
		case sqlstore.TokenTable:
			do.args = append(do.args, x.A, x.B, x.C)
		case sqlstore.ReferenceTable:
			do.args = append(do.args, x.A, x.B, x.C, x.D)
		case sqlstore.DateTable:
			do.args = append(do.args, x.F, x.T)
		case sqlstore.StringTable:
			do.args = append(do.args, x.A, x.B)
		case sqlstore.NumberTable:
			do.args = append(do.args, x.L, x.H, x.A, x.B)
		case sqlstore.PositionTable:
			do.args = append(do.args, x.L, x.H, x.Z)
		}
		do.exec(indexInserts[x.Table], do.args...)
	}
	for _, f := range w.Facts {
		do.exec("INSERT INTO facts (client, version, json) VALUES (?, ?, ?)", f.Client, f.Version, f.JSON)
	}
	for _, c := range w.Clients {
		do.exec("INSERT INTO client (client, version) VALUES (?, ?) ON CONFLICT (client) DO UPDATE SET version = excluded.version", c.Name, c.N)
	}
	for _, r := range w.Relations {
		do.exec("INSERT OR IGNORE INTO relation (party, client) VALUES (?, ?)", r.Party, r.Client)
	}
	for _, k := range w.Keys {
		do.exec("INSERT INTO key_version (key, version) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET version = excluded.version", k.Name, k.N)
	}
	for _, o := range w.Once {
		do.exec("INSERT INTO once (key, until) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET until = excluded.until", o.Key, o.Until)
	}
	for _, e := range w.Events {
		do.exec("INSERT INTO event (type, id, version, interaction, time, record) VALUES (?, ?, ?, ?, ?, ?)",
			e.Type, e.ID, e.Version, e.Interaction, e.Time, e.Record)
	}
	for _, p := range w.Positions {
		do.exec("INSERT INTO consumer (consumer, position) VALUES (?, ?) ON CONFLICT (consumer) DO UPDATE SET position = excluded.position", p.Name, p.N)
	}
	for i := range w.Entries {
		e := &w.Entries[i]
		do.args = append(do.args[:0], e.Key, e.Entry.Prev[:], e.Entry.Commitment[:], e.Entry.Chain[:], e.Entry.Salt, e.Entry.Canonical)
		for j := range e.Columns {
			do.args = append(do.args, e.Columns[j])
		}
		do.exec(entryInsert, do.args...)
	}
	for _, keys := range w.Erased {
		do.exec(erase, keys[0], keys[1])
	}
	for _, l := range w.Leaves {
		do.exec("INSERT INTO ledger_leaf (seq, entry) VALUES (?, ?)", l.Seq, l.Entry)
	}
	if w.Checkpoint != nil {
		do.exec("INSERT INTO ledger_checkpoint (size, note) VALUES (?, ?)", w.Checkpoint.Size, w.Checkpoint.Note)
	}
	return do.err
}

// doing runs statements until one errs.
type doing struct {
	c    *conn
	ctx  context.Context
	args []any
	err  error
}

func (d *doing) exec(text string, args ...any) {
	if d.err == nil {
		d.err = d.c.exec(d.ctx, text, args...)
	}
}
