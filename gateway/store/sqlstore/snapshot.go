package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"sotesilta/consent"
	"sotesilta/gateway/store"
)

// Snapshot implements store.Store. The moment is that of the first read, and never before Time.
func (s *Store) Snapshot(ctx context.Context) (store.Snapshot, error) {
	now := s.clock()
	r, err := s.engine.Read(ctx)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: snapshot: %w", err)
	}
	return &snapshot{s: s, r: r, time: now.UTC()}, nil
}

type snapshot struct {
	s       *Store
	r       Reader
	time    time.Time
	current map[string]int64 // versions of the facts of clients that were asked for; 0: nothing is known of one
	reading *reading         // nil until a search looks for words in texts
}

func (n *snapshot) Time() time.Time { return n.time }

func (n *snapshot) Close() error { return n.r.Close() }

// each runs a query and calls f for each of its rows, which it scans itself, until f has enough.
func each(ctx context.Context, r interface {
	Query(ctx context.Context, sql string, args ...any) (Rows, error)
}, f func(Rows) error, sql string, args ...any,
) error {
	rows, err := r.Query(ctx, sql, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		switch err := f(rows); {
		case errors.Is(err, errEnough):
			return nil
		case err != nil:
			return err
		}
	}
	return rows.Err()
}

// errEnough is answered for a row that is not read any more, nor those after it.
var errEnough = errors.New("sqlstore: enough was read")

// room is how much more goes into a page.
type room struct{ rows, bytes int }

// newRoom is the room of a page of at most so many rows.
func newRoom(rows int) *room { return &room{rows, store.PageBytes} }

// left says whether there is room for a row.
func (r *room) left() bool { return r.rows > 0 && r.bytes > 0 }

// take puts a row in.
func (r *room) take(row *store.Row) {
	r.rows--
	r.bytes -= len(row.Body)
}

// column reads a query of one column of numbers.
func (n *snapshot) column(ctx context.Context, sql string, args ...any) ([]int64, error) {
	var out []int64
	err := each(ctx, n.r, func(rows Rows) error {
		var no int64
		err := rows.Scan(&no)
		out = append(out, no)
		return err
	}, sql, args...)
	return out, err
}

// versionColumns are what scanRow reads, of a version v of a resource r.
const versionColumns = `r.type, r.id, ` + bodyColumns

const bodyColumns = `v.version, v.class, v.recorded, v.updated, v.deleted, v.method, v.body`

// currentColumns are versionColumns without what is known of the current rows of one type that are not deleted; r is p.
const currentColumns = `p.id, v.version, v.class, v.recorded, v.updated, v.method, v.body`

const (
	// getSQL leaves out what is remembered of version $3.
	getSQL = `SELECT r.vid, r.version, r.class, r.recorded, r.updated, r.deleted,
		CASE WHEN r.vid = $3 THEN '' ELSE (SELECT v.method FROM version v WHERE v.vid = r.vid) END,
		CASE WHEN r.vid = $3 THEN NULL ELSE (SELECT v.body FROM version v WHERE v.vid = r.vid) END
		FROM resource r WHERE r.type = $1 AND r.id = $2`
	vreadSQL = `SELECT ` + versionColumns + ` FROM resource r CROSS JOIN version v
		WHERE r.type = $1 AND r.id = $2 AND v.rid = r.rid AND v.version = $3`
	historySQL = `SELECT ` + versionColumns + ` FROM resource r CROSS JOIN version v
		WHERE r.type = $1 AND r.id = $2 AND v.rid = r.rid AND v.version < $3 ORDER BY v.version DESC LIMIT `
	classSQL = `SELECT json FROM class WHERE class = $1`
)

// scan reads rows of versionColumns, one after the other.
type scan struct {
	row                               store.Row
	class, recorded, updated, deleted int64
	dest                              []any
}

// newScan makes a scan of versionColumns and of extra columns, which go to where extra says.
func newScan(extra ...any) *scan {
	s := new(scan)
	s.dest = append([]any{&s.row.Type, &s.row.ID, &s.row.Version, &s.class, &s.recorded, &s.updated, &s.deleted, &s.row.Method, &s.row.Body}, extra...)
	return s
}

// newCurrentScan makes a scan of currentColumns of rows of a type, and of extra columns.
func newCurrentScan(typ string, extra ...any) *scan {
	s := &scan{row: store.Row{Type: typ}}
	s.dest = append([]any{&s.row.ID, &s.row.Version, &s.class, &s.recorded, &s.updated, &s.row.Method, &s.row.Body}, extra...)
	return s
}

// next reads a row; its class is a number yet.
func (s *scan) next(rows Rows) (row store.Row, class int64, err error) {
	if err := rows.Scan(s.dest...); err != nil {
		return store.Row{}, 0, err
	}
	s.row.Recorded, s.row.Updated, s.row.Deleted = moment(s.recorded), moment(s.updated), s.deleted != 0
	return s.row, s.class, nil
}

// rows reads rows with their classes, as far as there is room; nil is room for all.
func (n *snapshot) rows(ctx context.Context, in *room, sql string, args ...any) ([]store.Row, error) {
	var out []store.Row
	var classes []int64
	scan := newScan()
	err := each(ctx, n.r, func(rows Rows) error {
		if in != nil && !in.left() {
			return errEnough
		}
		row, class, err := scan.next(rows)
		if in != nil {
			in.take(&row)
		}
		out, classes = append(out, row), append(classes, class)
		return err
	}, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: rows: %w", err)
	}
	for i, no := range classes {
		if out[i].Class, err = n.class(ctx, no); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// class is what a class says, by its number.
func (n *snapshot) class(ctx context.Context, no int64) (consent.Class, error) {
	if c, ok := n.s.names.say(no); ok {
		return c, nil
	}
	text := ""
	err := each(ctx, n.r, func(rows Rows) error { return rows.Scan(&text) }, classSQL, no)
	if err == nil && text == "" {
		err = errors.New("no such class")
	}
	if err != nil {
		return consent.Class{}, fmt.Errorf("sqlstore: class %d: %w", no, err)
	}
	return n.s.names.learnClass(no, text)
}

func (n *snapshot) one(ctx context.Context, sql string, args ...any) (store.Row, error) {
	for _, a := range args {
		if s, ok := a.(string); ok && clean(s) != s {
			return store.Row{}, store.ErrNotFound
		}
	}
	rows, err := n.rows(ctx, nil, sql, args...)
	if err != nil {
		return store.Row{}, err
	}
	if len(rows) == 0 {
		return store.Row{}, store.ErrNotFound
	}
	return rows[0], nil
}

func (n *snapshot) Get(ctx context.Context, typ, id string) (store.Row, error) {
	if clean(typ) != typ || clean(id) != id {
		return store.Row{}, store.ErrNotFound
	}
	if err := ctx.Err(); err != nil {
		return store.Row{}, err
	}
	key := RowKey{typ, id}
	known := n.s.bodies.get(key)
	row, found := store.Row{Type: typ, ID: id}, false
	var vid, class, recorded, updated, deleted int64
	err := each(n.s.engine.Brief(ctx), n.r, func(rows Rows) error {
		found = true
		return rows.Scan(&vid, &row.Version, &class, &recorded, &updated, &deleted, &row.Method, &row.Body)
	}, getSQL, typ, id, known.vid)
	if err != nil {
		return store.Row{}, fmt.Errorf("sqlstore: row: %w", err)
	}
	if !found {
		return store.Row{}, store.ErrNotFound
	}
	row.Recorded, row.Updated, row.Deleted = moment(recorded), moment(updated), deleted != 0
	if vid == known.vid {
		row.Method, row.Body = known.method, known.text
	} else {
		n.s.bodies.put(key, body{vid, row.Method, row.Body})
	}
	row.Class, err = n.class(ctx, class)
	return row, err
}

func (n *snapshot) Version(ctx context.Context, typ, id string, version int64) (store.Row, error) {
	return n.one(ctx, vreadSQL, typ, id, version)
}

func (n *snapshot) History(ctx context.Context, typ, id string, before int64, limit int) ([]store.Row, error) {
	if clean(id) != id || clean(typ) != typ {
		return nil, nil
	}
	if before <= 0 {
		before = 1 << 62
	}
	return n.rows(ctx, newRoom(limit), historySQL+strconv.Itoa(limit), typ, id, before)
}

func (n *snapshot) Process(ctx context.Context, process string) ([]store.Row, error) {
	if process == "" || clean(process) != process {
		return nil, nil
	}
	return n.rows(ctx, nil, over(n.s.engine, "class c").look("resource", "r", "r.class = c.class AND r.deleted = 0").look("version", "v", "v.vid = r.vid").
		and("c.process = $1 AND c.process <> ''").sql(versionColumns)+" ORDER BY r.recorded, r.rid", process)
}

// Facts implements store.Snapshot. The facts are shared and must not be changed.
func (n *snapshot) Facts(ctx context.Context, clients ...string) (map[string]*consent.Facts, error) {
	if len(clients) == 0 {
		return map[string]*consent.Facts{}, nil
	}
	if strange := n.unasked(clients); len(strange) > 0 {
		if len(strange) == 1 {
			ctx = n.s.engine.Brief(ctx)
		}
		var a arguments
		if _, err := n.numbered(ctx, strange, a.versions(n.s.engine, strange), a.args); err != nil {
			return nil, fmt.Errorf("sqlstore: facts: %w", err)
		}
	}
	versions := make(map[string]int64, len(clients))
	for _, client := range clients {
		if v := n.current[clean(client)]; v != 0 {
			versions[clean(client)] = v
		}
	}
	return n.factsOf(ctx, versions)
}

// unasked are those clients the versions of whose facts were not asked for yet: the answer is of the snapshot's one moment.
func (n *snapshot) unasked(clients []string) []string {
	var out []string
	for _, client := range clients {
		if _, known := n.current[clean(client)]; !known {
			out = append(out, clean(client))
		}
	}
	return out
}

// versions spells a query, as numbered reads it, of the versions of clients' facts.
func (a *arguments) versions(d Dialect, clients []string) string {
	return over(d, "("+d.Texts(a.arg, clients)+") o").look("client", "c", "c.client = o.v").sql("c.version AS no, c.client AS client")
}

// numbered reads a query of numbers with clients' names: the version of the facts of each of these clients is remembered, and
// the numbers that are of no client are answered.
func (n *snapshot) numbered(ctx context.Context, clients []string, sql string, args []any) ([]int64, error) {
	if n.current == nil {
		n.current = make(map[string]int64, len(clients))
	}
	for _, client := range clients {
		n.current[client] = 0
	}
	var out []int64
	err := each(ctx, n.r, func(rows Rows) error {
		var no int64
		var client string
		err := rows.Scan(&no, &client)
		if client == "" {
			out = append(out, no)
		} else {
			n.current[client] = no
		}
		return err
	}, sql, args...)
	if err != nil {
		n.current = nil
	}
	return out, err
}

// cleaned is a list as its texts lie in the store.
func cleaned(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = clean(s)
	}
	return out
}

// factsOf gives the facts of clients at versions.
func (n *snapshot) factsOf(ctx context.Context, versions map[string]int64) (map[string]*consent.Facts, error) {
	out := make(map[string]*consent.Facts, len(versions))
	var missing []string
	for client, version := range versions {
		if f := n.s.facts.get(factsKey{client, version}); f != nil {
			out[client] = f
		} else {
			missing = append(missing, client)
		}
	}
	if len(missing) == 0 {
		return out, nil
	}
	d := n.s.engine
	var a arguments
	err := each(ctx, n.r, func(rows Rows) error {
		var key factsKey
		var text string
		if err := rows.Scan(&key.client, &key.version, &text); err != nil {
			return err
		}
		f, err := n.s.facts.read(key, text)
		out[key.client] = f
		return err
	}, over(d, "("+d.Texts(a.arg, missing)+") o").look("client", "c", "c.client = o.v").
		look("facts", "f", "f.client = c.client AND f.version = c.version").sql("f.client, f.version, f.json"), a.args...)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: facts: %w", err)
	}
	for _, client := range missing {
		if f := out[client]; f == nil || f.Version != versions[client] {
			return nil, fmt.Errorf("sqlstore: facts of %s, version %d, are missing", client, versions[client])
		}
	}
	return out, nil
}

func (n *snapshot) FactsAt(ctx context.Context, client string, version int64) (*consent.Facts, error) {
	key := factsKey{client, version}
	if clean(client) != client {
		return nil, store.ErrNotFound
	}
	text := ""
	err := each(ctx, n.r, func(rows Rows) error { return rows.Scan(&text) },
		`SELECT json FROM facts WHERE client = $1 AND version = $2`, client, version)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: facts: %w", err)
	}
	if text == "" {
		return nil, store.ErrNotFound
	}
	return n.s.facts.read(key, text)
}

func (n *snapshot) number(ctx context.Context, sql, name string) (v int64, err error) {
	if clean(name) != name {
		return 0, nil
	}
	err = each(ctx, n.r, func(rows Rows) error { return rows.Scan(&v) }, sql, name)
	if err != nil {
		err = fmt.Errorf("sqlstore: %w", err)
	}
	return v, err
}

func (n *snapshot) Key(ctx context.Context, key string) (int64, error) {
	return n.number(ctx, `SELECT version FROM key_version WHERE key = $1`, key)
}

func (n *snapshot) Position(ctx context.Context, consumer string) (int64, error) {
	return n.number(ctx, `SELECT position FROM consumer WHERE consumer = $1`, consumer)
}

// eventPage is how many events one query reads.
const eventPage = 256

func (n *snapshot) Events(ctx context.Context, after int64) iter.Seq2[store.Event, error] {
	return func(yield func(store.Event, error) bool) {
		page := make([]store.Event, 0, eventPage)
		for {
			page = page[:0]
			err := each(ctx, n.r, func(rows Rows) error {
				var e store.Event
				var t int64
				err := rows.Scan(&e.Seq, &e.Type, &e.ID, &e.Version, &e.Interaction, &t, &e.Record)
				e.Time = moment(t)
				page = append(page, e)
				return err
			}, `SELECT seq, type, id, version, interaction, time, record FROM event WHERE seq > $1 ORDER BY seq LIMIT `+strconv.Itoa(eventPage),
				after)
			if err != nil {
				yield(store.Event{}, fmt.Errorf("sqlstore: events: %w", err))
				return
			}
			for _, e := range page {
				after = e.Seq
				if !yield(e, nil) {
					return
				}
			}
			if len(page) < eventPage {
				return
			}
		}
	}
}

// join writes parts with a separator between them, in brackets.
func join(parts []string, sep string) string {
	if len(parts) == 1 {
		return parts[0]
	}
	return "(" + strings.Join(parts, sep) + ")"
}
