// Package sqlite keeps the gateway's store in one SQLite file, inside the process: the embedded default.
//
// One connection writes, several read, one moves the write-ahead log into the file. A commit is durable when it is
// answered: the log is synced at every one (WAL, synchronous=FULL).
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pressly/goose/v3"

	"sotesilta/gateway/store/sqlstore"
)

// Options are choices with sound defaults: the zero Options will do.
type Options struct {
	// Readers bounds the connections that read at once; further snapshots wait. 0: eight for each processor.
	Readers int
}

// words are SQLite's own of the schema.
var words = sqlstore.Words{
	Key: "INTEGER PRIMARY KEY", Serial: "INTEGER PRIMARY KEY AUTOINCREMENT", Text: "TEXT", Bytes: "BLOB",
	Clustered: " WITHOUT ROWID",
}

// pragmas of every connection. Temporary trees stay in memory: a spill to disk costs a search ten times its time.
const pragmas = "?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=temp_store(MEMORY)" +
	"&_pragma=mmap_size(0)&_pragma=wal_autocheckpoint(0)&_pragma=cache_size(%d)&_pragma=trusted_schema(OFF)"

// Caches of pages, in KiB (SQLite takes a negative number so). The writer's is walked whole at nearly every commit (a
// balanced tree is enough to cause it), so one that held much of the file would cost more than what it spares. A reader
// forgets its pages at each commit, and that takes as long as its cache was ever large.
const (
	readerCache = -4_000
	writerCache = -8_000
	otherCache  = -2_000
)

// Open opens the store in the file at path, making it and bringing it to the newest schema where needed. Two
// processes may have one file open; their commits take turns.
func Open(ctx context.Context, path string, opts Options) (*sqlstore.Store, error) {
	e, err := newEngine(ctx, path, opts, ordinary)
	if err != nil {
		return nil, err
	}
	return sqlstore.New(e), nil
}

func newEngine(ctx context.Context, path string, opts Options, lim limits) (*engine, error) {
	if path == "" {
		return nil, errors.New("sqlite: no path")
	}
	if err := own(path); err != nil {
		return nil, err
	}
	file := "file:" + (&url.URL{Path: path}).EscapedPath()
	if err := migrate(ctx, file+fmt.Sprintf(pragmas, otherCache)); err != nil {
		return nil, err
	}
	if opts.Readers <= 0 {
		opts.Readers = 8 * runtime.GOMAXPROCS(0)
	}
	e := &engine{
		path: path, limits: lim, dsn: file + fmt.Sprintf(pragmas, readerCache), readers: newPool(opts.Readers, 2*runtime.GOMAXPROCS(0)),
	}
	var err error
	if e.writer, err = open(file + fmt.Sprintf(pragmas, writerCache)); err != nil {
		return nil, err
	}
	if e.checkpointer, err = open(file + fmt.Sprintf(pragmas, otherCache)); err != nil {
		return nil, errors.Join(err, e.writer.close())
	}
	e.stop, e.stopped = make(chan struct{}), make(chan struct{})
	go e.checkpoint()
	return e, nil
}

// own makes the file, if it is not there, readable to its owner only: it holds what nobody else may see. One that is there
// is not touched: to close it would end the locks of a store that this process has open on it.
func own(path string) error {
	f, err := os.OpenFile(filepath.Clean(path), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	return f.Close()
}

// readWait is how long a snapshot waits for a connection before it is answered store.ErrBusy.
const readWait = 5 * time.Second

// migrating keeps the stores of one process from migrating at once.
var migrating sync.Mutex

// migrate brings the schema up. Each migration is an immediate transaction, so of two processes the second finds the
// work of the first done, and tries again to see that it was.
func migrate(ctx context.Context, dsn string) (err error) {
	migrating.Lock()
	defer migrating.Unlock()
	db, err := sql.Open("sqlite", dsn+"&_txlock=immediate")
	if err != nil {
		return fmt.Errorf("sqlite: open: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	for attempt := range 5 {
		if err = sqlstore.Migrate(ctx, goose.DialectSQLite3, db, words); err == nil || ctx.Err() != nil {
			return err
		}
		time.Sleep(time.Duration(attempt*attempt) * 20 * time.Millisecond)
	}
	return err
}

type engine struct {
	dialect
	path, dsn    string
	writer       *conn
	checkpointer *conn
	readers      *pool
	limits       limits

	moving        sync.Mutex    // held by who moves the log into the file
	walLarge      atomic.Bool   // set by the checkpointer when only the writer can make the log begin anew
	patience      time.Duration // the writer's: how long it last waited for readers
	waited        time.Time     // and when
	stop, stopped chan struct{}
}

// Read implements sqlstore.Engine.
func (e *engine) Read(ctx context.Context) (sqlstore.Reader, error) {
	l, err := e.readers.take(ctx)
	if err != nil {
		return nil, err
	}
	if l.c == nil {
		if l.c, err = open(e.dsn + "&_pragma=query_only(1)"); err != nil {
			e.readers.give(l)
			return nil, err
		}
	}
	return &reader{e: e, loan: l}, nil
}

// reader is a read transaction, begun at the first query.
type reader struct {
	e *engine
	loan
	begun bool
}

func (r *reader) Query(ctx context.Context, text string, args ...any) (sqlstore.Rows, error) {
	if r.c == nil {
		return nil, errors.New("sqlite: a closed snapshot")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !r.begun {
		if err := r.c.exec(context.Background(), "BEGIN"); err != nil {
			return nil, err
		}
		r.begun = true
	}
	return r.c.query(ctx, text, args...)
}

func (r *reader) Close() error {
	if r.c == nil {
		return nil
	}
	lent := r.loan
	r.c = nil
	var err error
	if r.begun {
		if err = lent.c.exec(context.Background(), "ROLLBACK"); err != nil {
			err = errors.Join(err, lent.c.close())
			lent.c = nil
		}
	}
	r.e.readers.give(lent)
	return err
}

// Write implements sqlstore.Engine.
func (e *engine) Write(ctx context.Context, f func(sqlstore.Tx) error) error {
	if err := e.writer.exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		return again(err)
	}
	err := f(&tx{e.writer})
	if err == nil {
		if err = e.writer.exec(ctx, "COMMIT"); err == nil {
			return nil
		}
	}
	// An error may have ended the transaction already.
	if rollback := e.writer.exec(ctx, "ROLLBACK"); rollback != nil {
		e.writer.forget()
	}
	return again(err)
}

// again marks what may pass when it is tried anew.
func again(err error) error {
	if busy(err) {
		return fmt.Errorf("%w: %w", sqlstore.ErrAgain, err)
	}
	return err
}

// Ping implements sqlstore.Engine.
func (e *engine) Ping(ctx context.Context) error {
	r, err := e.Read(ctx)
	if err != nil {
		return err
	}
	rows, err := r.Query(ctx, "SELECT no FROM ledger_node LIMIT 1")
	if err == nil {
		rows.Next()
		err = rows.Err()
		rows.Close()
	}
	return errors.Join(err, r.Close())
}

// Close implements sqlstore.Engine.
func (e *engine) Close() error {
	close(e.stop)
	<-e.stopped
	return errors.Join(e.readers.close(), e.checkpointer.close(), e.writer.close())
}
