package postgres

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sotesilta/gateway/store/sqlstore"
)

// tx is the writer's transaction: one round trip looks up and locks, one writes and commits.
type tx struct {
	e            *engine
	c            *pgx.Conn
	begun, ended bool
}

func (t *tx) begin(ctx context.Context) error {
	if t.begun {
		return nil
	}
	t.begun = true
	_, err := t.c.Exec(ctx, "BEGIN")
	return err
}

func (t *tx) Query(ctx context.Context, text string, args ...any) (sqlstore.Rows, error) {
	if err := t.begin(ctx); err != nil {
		return nil, err
	}
	rows, err := t.c.Query(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	return plainRows{rows}, nil
}

func (t *tx) Exec(ctx context.Context, text string, args ...any) error {
	if err := t.begin(ctx); err != nil {
		return err
	}
	_, err := t.c.Exec(ctx, text, args...)
	return err
}

// pipeline is statements sent together; each may have a reader of its rows.
type pipeline struct {
	batch   pgx.Batch
	readers []func(pgx.Rows) error
}

func (p *pipeline) add(read func(pgx.Rows) error, text string, args ...any) {
	p.batch.Queue(text, args...)
	p.readers = append(p.readers, read)
}

func (p *pipeline) run(ctx context.Context, c *pgx.Conn) (err error) {
	results := c.SendBatch(ctx, &p.batch)
	for _, read := range p.readers {
		if err != nil {
			break
		}
		var rows pgx.Rows
		if rows, err = results.Query(); err != nil {
			break
		}
		for rows.Next() && err == nil {
			if read != nil {
				err = read(rows)
			}
		}
		rows.Close()
		if err == nil {
			err = rows.Err()
		}
	}
	if closing := results.Close(); err == nil {
		err = closing
	}
	return err
}

// Look implements sqlstore.Tx.
func (t *tx) Look(ctx context.Context, l *sqlstore.Look) (*sqlstore.There, error) {
	there := &sqlstore.There{Rows: map[sqlstore.RowKey]sqlstore.Current{}, Clients: map[string]int64{}}
	if err := t.intern(ctx, l, there); err != nil {
		return nil, err
	}
	p := &pipeline{}
	p.add(nil, "BEGIN")
	t.begun = true
	if l.Node != "" { // in this transaction: a node that is named has written
		p.add(func(rows pgx.Rows) error { return rows.Scan(&there.Node) }, "INSERT INTO ledger_node (node) VALUES ($1) RETURNING no", l.Node)
	}
	buckets(p, l)
	// Locks are taken in one order everywhere: rows, clients, keys, each sorted. What is looked up is looked up
	// after it is locked.
	if len(l.LockRows) > 0 {
		types, ids := spread(l.LockRows)
		p.add(nil, `SELECT r.rid FROM unnest($1::text[], $2::text[]) AS k(type, id) CROSS JOIN resource r
			WHERE r.type = k.type AND r.id = k.id ORDER BY r.type, r.id FOR NO KEY UPDATE OF r`, types, ids)
	}
	if len(l.LockClients) > 0 {
		p.add(nil, `SELECT c.client FROM unnest($1::text[]) AS k(client) CROSS JOIN client c
			WHERE c.client = k.client ORDER BY c.client FOR NO KEY UPDATE OF c`, l.LockClients)
	}
	if len(l.LockKeys) > 0 {
		p.add(nil, `SELECT c.key FROM unnest($1::text[]) AS k(key) CROSS JOIN key_version c
			WHERE c.key = k.key ORDER BY c.key FOR NO KEY UPDATE OF c`, l.LockKeys)
	}
	if len(l.Rows) > 0 {
		types, ids := spread(l.Rows)
		p.add(func(rows pgx.Rows) error {
			var key sqlstore.RowKey
			var c sqlstore.Current
			var deleted int64
			err := rows.Scan(&key.Type, &key.ID, &c.Rid, &c.Version, &deleted)
			c.Deleted = deleted != 0
			there.Rows[key] = c
			return err
		}, `SELECT r.type, r.id, r.rid, r.version, r.deleted FROM unnest($1::text[], $2::text[]) AS k(type, id)
			CROSS JOIN resource r WHERE r.type = k.type AND r.id = k.id`, types, ids)
	}
	if len(l.Clients) > 0 {
		p.add(counters(there.Clients), `SELECT c.client, c.version FROM unnest($1::text[]) AS k(client) CROSS JOIN client c
			WHERE c.client = k.client`, l.Clients)
	}
	if len(l.Keys) > 0 {
		there.Keys = map[string]int64{}
		p.add(counters(there.Keys), `SELECT c.key, c.version FROM unnest($1::text[]) AS k(key) CROSS JOIN key_version c
			WHERE c.key = k.key`, l.Keys)
	}
	if len(l.Once) > 0 {
		there.Once = map[string]bool{}
		p.add(func(rows pgx.Rows) error {
			var key string
			err := rows.Scan(&key)
			there.Once[key] = true
			return err
		}, `SELECT o.key FROM unnest($1::text[]) AS k(key) CROSS JOIN once o WHERE o.key = k.key AND o.until > $2`, l.Once, l.Now)
	}
	if len(l.Put) > 0 {
		there.Index = map[int64][]sqlstore.IndexRow{}
		types, ids := spread(l.Put)
		for table := range sqlstore.Tables {
			if !slices.ContainsFunc(types, table.Holds) {
				continue
			}
			p.add(func(rows pgx.Rows) error {
				x := sqlstore.IndexRow{Table: table}
				err := rows.Scan(append([]any{&x.Rid, &x.Param, &x.Ord}, x.Values()...)...)
				there.Index[x.Rid] = append(there.Index[x.Rid], x)
				return err
			}, indexReads[table], types, ids)
		}
	}
	return there, p.run(ctx, t.c)
}

func counters(into map[string]int64) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		var name string
		var n int64
		err := rows.Scan(&name, &n)
		into[name] = n
		return err
	}
}

func spread(keys []sqlstore.RowKey) (types, ids []string) {
	types, ids = make([]string, len(keys)), make([]string, len(keys))
	for i, k := range keys {
		types[i], ids[i] = k.Type, k.ID
	}
	return types, ids
}

// bucketCount is how many locks the names of what is not there are spread over.
const bucketCount = 64

// buckets locks against creation what a change expects not to be there and does not create itself: nothing is there yet
// that could be locked. Who creates takes the locks shared, so that creating nodes do not wait for each other.
func buckets(p *pipeline, l *sqlstore.Look) {
	var exclusive, taken [bucketCount]bool
	for _, name := range l.Created {
		taken[bucket(name)] = true
	}
	for _, name := range l.Absent {
		if !slices.Contains(l.Created, name) {
			exclusive[bucket(name)], taken[bucket(name)] = true, true
		}
	}
	var locks []int64
	var alone []bool
	for i := range taken {
		if taken[i] {
			locks, alone = append(locks, lockBuckets+int64(i)), append(alone, exclusive[i])
		}
	}
	if len(locks) > 0 {
		p.add(nil, `SELECT CASE WHEN k.alone THEN pg_advisory_xact_lock(k.lock) ELSE pg_advisory_xact_lock_shared(k.lock) END::text
			FROM unnest($1::bigint[], $2::boolean[]) AS k(lock, alone)`, locks, alone)
	}
}

func bucket(name string) int {
	h := fnv.New32a()
	h.Write([]byte(name))
	return int(h.Sum32() % bucketCount)
}

// intern numbers what has no number yet, in a transaction before: others need not wait for this one to use them, and
// what is left over when this one fails harms nobody. It need not be synced: this one's commit syncs what came before.
func (t *tx) intern(ctx context.Context, l *sqlstore.Look, there *sqlstore.There) error {
	there.Classes, there.Params = map[string]int64{}, map[sqlstore.ParamKey]int64{}
	p := &pipeline{}
	if len(l.Classes)+len(l.Params) > 0 {
		p.add(nil, "BEGIN")
		p.add(nil, "SET LOCAL synchronous_commit = off")
		internClasses(p, l, there)
		internParams(p, l, there)
		p.add(nil, "COMMIT")
	}
	take := func(b *blocks, n int, sequence string) func() int64 {
		if missing := int64(n) - b.left(); missing > 0 {
			p.add(func(rows pgx.Rows) error {
				var no int64
				err := rows.Scan(&no)
				*b = append(*b, [2]int64{no * blockSize, (no + 1) * blockSize})
				return err
			}, "SELECT nextval($1::text::regclass) FROM generate_series(1, $2::bigint)", sequence, (missing+blockSize-1)/blockSize)
		}
		return b.take
	}
	there.NextRow = take(&t.e.rows, l.NewRows, "resource_block")
	there.NextVersion = take(&t.e.versions, l.NewVersions, "version_block")
	if len(p.readers) == 0 {
		return nil
	}
	err := p.run(ctx, t.c)
	if err != nil && t.c.PgConn().TxStatus() != 'I' {
		if _, rollback := t.c.Exec(ctx, "ROLLBACK"); rollback != nil {
			_ = t.c.Close(ctx)
		}
	}
	return err
}

func internClasses(p *pipeline, l *sqlstore.Look, there *sqlstore.There) {
	if len(l.Classes) == 0 {
		return
	}
	list := slices.Clone(l.Classes)
	slices.SortFunc(list, func(a, b sqlstore.Interned) int { return strings.Compare(a.Key, b.Key) })
	var keys, types, authors, processes, texts, memberKeys, members []string
	var counts []int64
	for _, c := range list {
		keys, types, authors = append(keys, c.Key), append(types, c.Class.Type), append(authors, c.Class.Author)
		processes, texts, counts = append(processes, c.Class.Process), append(texts, c.JSON), append(counts, int64(len(c.Class.Clients)))
		for _, client := range c.Class.Clients {
			memberKeys, members = append(memberKeys, c.Key), append(members, client)
		}
	}
	p.add(nil, `INSERT INTO class (key, type, author, process, clients, json)
		SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[]) ON CONFLICT (key) DO NOTHING`,
		keys, types, authors, processes, counts, texts)
	p.add(nil, `INSERT INTO class_client (client, type, class)
		SELECT k.client, c.type, c.class FROM unnest($1::text[], $2::text[]) AS k(key, client) CROSS JOIN class c WHERE c.key = k.key
		ORDER BY 1, 2, 3 ON CONFLICT DO NOTHING`, memberKeys, members)
	p.add(counters(there.Classes), `SELECT c.key, c.class FROM unnest($1::text[]) AS k(key) CROSS JOIN class c WHERE c.key = k.key`, keys)
}

func internParams(p *pipeline, l *sqlstore.Look, there *sqlstore.There) {
	if len(l.Params) == 0 {
		return
	}
	list := slices.Clone(l.Params)
	slices.SortFunc(list, func(a, b sqlstore.ParamKey) int { return strings.Compare(a.Type+" "+a.Name, b.Type+" "+b.Name) })
	types, names := make([]string, len(list)), make([]string, len(list))
	for i, k := range list {
		types[i], names[i] = k.Type, k.Name
	}
	p.add(nil, "INSERT INTO param (type, name) SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT (type, name) DO NOTHING", types, names)
	p.add(func(rows pgx.Rows) error {
		var key sqlstore.ParamKey
		var no int64
		err := rows.Scan(&key.Type, &key.Name, &no)
		there.Params[key] = no
		return err
	}, `SELECT p.type, p.name, p.param FROM unnest($1::text[], $2::text[]) AS k(type, name) CROSS JOIN param p
		WHERE p.type = k.type AND p.name = k.name`, types, names)
}

// errUsed tells that another node used a Once key meanwhile.
var errUsed = fmt.Errorf("%w: a key was used", sqlstore.ErrAgain)

// Store implements sqlstore.Tx.
func (t *tx) Store(ctx context.Context, w *sqlstore.Writes) error {
	p := &pipeline{}
	if !t.begun {
		p.add(nil, "BEGIN")
		t.begun = true
	}
	storeRows(p, w)
	storeIndex(p, w)
	storeFacts(p, w)
	used := len(w.Once)
	if used > 0 {
		var keys []string
		var until []int64
		for _, o := range w.Once {
			keys, until = append(keys, o.Key), append(until, o.Until)
		}
		p.add(func(pgx.Rows) error { used--; return nil },
			`INSERT INTO once (key, until) SELECT * FROM unnest($1::text[], $2::bigint[])
			ON CONFLICT (key) DO UPDATE SET until = excluded.until WHERE once.until <= $3 RETURNING key`, keys, until, w.Now)
	}
	for _, c := range w.Positions {
		p.add(nil, "INSERT INTO consumer (consumer, position) VALUES ($1, $2) ON CONFLICT (consumer) DO UPDATE SET position = excluded.position", c.Name, c.N)
	}
	storeLedger(p, w)
	storeEvents(p, w)
	if used > 0 {
		// Whether all keys were free is known only now: the commit is a step of its own.
		if err := p.run(ctx, t.c); err != nil {
			return t.failed(ctx, err)
		}
		if used > 0 {
			return errUsed
		}
		p = &pipeline{}
	}
	p.add(nil, "COMMIT")
	if err := p.run(ctx, t.c); err != nil {
		return t.failed(ctx, err)
	}
	t.ended = true
	return nil
}

// failed tells apart what the server refused, which is rolled back, from an answer that never came.
func (t *tx) failed(ctx context.Context, err error) error {
	var refused *pgconn.PgError
	if errors.As(err, &refused) && !t.c.IsClosed() {
		return err
	}
	t.ended = true
	_ = t.c.Close(ctx)
	return fmt.Errorf("%w: %w", sqlstore.ErrDoubt, err)
}
