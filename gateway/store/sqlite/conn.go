package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"unsafe"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"sotesilta/gateway/store/sqlstore"
)

// conn is a connection of its own, with its prepared statements. It goes round database/sql, whose pool and locking
// cost as much as a short query does. It is not safe for concurrent use.
type conn struct {
	c          driver.Conn
	statements map[string]driver.Stmt
	args       []driver.NamedValue // used anew by each call
}

// maxStatements bounds the prepared statements of a connection; searches have many forms.
const maxStatements = 256

func open(dsn string) (*conn, error) {
	c, err := (&sqlite.Driver{}).Open(dsn)
	if err != nil {
		return nil, fmt.Errorf("sqlite: open: %w", err)
	}
	return &conn{c: c, statements: map[string]driver.Stmt{}}, nil
}

func (c *conn) close() error {
	c.forget()
	return c.c.Close()
}

func (c *conn) forget() {
	for text, s := range c.statements {
		_ = s.Close()
		delete(c.statements, text)
	}
}

func (c *conn) prepare(text string) (driver.Stmt, error) {
	if s, ok := c.statements[text]; ok {
		return s, nil
	}
	if len(c.statements) >= maxStatements {
		c.forget()
	}
	s, err := c.c.Prepare(text)
	if err != nil {
		return nil, fmt.Errorf("%w: in %s", err, text)
	}
	c.statements[text] = s
	return s, nil
}

func (c *conn) values(args []any) []driver.NamedValue {
	c.args = c.args[:0]
	for i, a := range args {
		c.args = append(c.args, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	return c.args
}

// exec runs a statement to its end.
func (c *conn) exec(ctx context.Context, text string, args ...any) error {
	s, err := c.prepare(text)
	if err == nil {
		_, err = s.(driver.StmtExecContext).ExecContext(ctx, c.values(args))
	}
	return err
}

// query runs a statement that gives rows. They are closed before the next query.
func (c *conn) query(ctx context.Context, text string, args ...any) (sqlstore.Rows, error) {
	s, err := c.prepare(text)
	if err != nil {
		return nil, err
	}
	r, err := s.(driver.StmtQueryContext).QueryContext(ctx, c.values(args))
	if err != nil {
		return nil, err
	}
	return &rows{r: r, row: make([]driver.Value, len(r.Columns()))}, nil
}

type rows struct {
	r   driver.Rows
	row []driver.Value
	err error
}

func (r *rows) Next() bool {
	if r.err != nil {
		return false
	}
	if err := r.r.Next(r.row); err != nil {
		if !errors.Is(err, io.EOF) {
			r.err = err
		}
		return false
	}
	return true
}

func (r *rows) Err() error { return r.err }

func (r *rows) Close() { _ = r.r.Close() }

func (r *rows) Scan(dest ...any) error {
	if len(dest) != len(r.row) {
		return fmt.Errorf("sqlite: %d columns scanned into %d values", len(r.row), len(dest))
	}
	for i, d := range dest {
		ok := true
		switch d := d.(type) {
		case *int64:
			*d, ok = r.row[i].(int64)
		case *string:
			*d, ok = r.row[i].(string)
		case *float64:
			*d, ok = r.row[i].(float64)
		case *[]byte:
			switch v := r.row[i].(type) {
			case nil:
				*d = nil
			case []byte:
				*d = v
			case string:
				*d = ownBytes(v)
			default:
				ok = false
			}
		case *any:
			*d = r.row[i]
		default:
			ok = false
		}
		if !ok {
			return fmt.Errorf("sqlite: column %d: %T does not go into %T", i, r.row[i], d)
		}
	}
	return nil
}

// ownBytes are the bytes of a text that the driver made for this row alone: nobody else holds it, so they are taken as
// they are. Bodies are most of what a page of a search costs in memory.
func ownBytes(text string) []byte { return unsafe.Slice(unsafe.StringData(text), len(text)) }

// busy says whether another connection held what was needed.
func busy(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && (e.Code()&0xff == lib.SQLITE_BUSY || e.Code()&0xff == lib.SQLITE_LOCKED)
}
