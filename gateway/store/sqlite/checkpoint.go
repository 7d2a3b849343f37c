package sqlite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"sotesilta/gateway/store/sqlstore"
)

// The write-ahead log is moved into the file by a connection of its own, which does not stall the writer as SQLite's
// automatic checkpoints do (20–60 ms each). It begins anew from its start when nobody uses it any more; under steady
// load that never happens by itself, so beyond a size the writer makes it so, when nearly all has been moved.
// A page that changes over and over is moved once a pass, so the passes are not many.
const checkpointEvery = 600 * time.Millisecond

// limits of the log's size in bytes.
type limits struct {
	small int64 // not worth moving yet
	large int64 // to be begun anew by the writer
}

// frame is the size of a page in the log with its header.
const frame = 4096 + 24

var ordinary = limits{small: 4 << 20, large: 64 << 20}

// The writer waits this long for readers of an older moment to end, the longer the more often it waited in vain, and
// as long in between. A snapshot lives two seconds at most.
const (
	patienceLeast = 20 * time.Millisecond
	patienceMost  = 320 * time.Millisecond
)

func (e *engine) checkpoint() {
	defer close(e.stopped)
	tick := time.NewTicker(checkpointEvery)
	defer tick.Stop()
	moved := int64(0)
	for {
		select {
		case <-e.stop:
			return
		case <-tick.C:
		}
		size, err := walSize(e.checkpointer)
		if err == nil && (size < e.limits.small || size == moved) {
			continue
		}
		e.moving.Lock()
		_, err = checkpoint(e.checkpointer, "PASSIVE")
		e.moving.Unlock()
		if err != nil {
			slog.Warn("sqlite: the write-ahead log was not moved into the file", "error", err)
			continue
		}
		moved = size
		if size >= e.limits.large {
			e.walLarge.Store(true)
		}
	}
}

// Upkeep implements sqlstore.Engine.
func (e *engine) Upkeep() {
	if !e.walLarge.Load() || time.Since(e.waited) < e.patience {
		return
	}
	if !e.moving.TryLock() {
		return // SQLite would answer busy; right after the pass that runs there is least to wait for
	}
	defer e.moving.Unlock()
	e.patience = min(max(2*e.patience, patienceLeast), patienceMost)
	done, err := e.beginAnew()
	e.waited = time.Now()
	switch {
	case err != nil && !busy(err):
		slog.Warn("sqlite: the write-ahead log did not begin anew", "error", err)
	case done:
		e.walLarge.Store(false)
		e.patience = 0
	}
}

// beginAnew lets the next write begin at the log's start, and says whether it does. The file keeps its length.
func (e *engine) beginAnew() (done bool, err error) {
	ctx := context.Background()
	if err := e.writer.exec(ctx, fmt.Sprintf("PRAGMA busy_timeout = %d", e.patience.Milliseconds())); err != nil {
		return false, err
	}
	done, err = checkpoint(e.writer, "RESTART")
	return done, errors.Join(err, e.writer.exec(ctx, "PRAGMA busy_timeout = 10000"))
}

// checkpoint moves the log into the file, and says whether nobody hindered it.
func checkpoint(c *conn, mode string) (done bool, err error) {
	hindered, _, err := walCheckpoint(c, mode)
	return hindered == 0, err
}

// walCheckpoint is SQLite's own pragma: whether it was hindered (0: no), and how many frames of the log are in use.
func walCheckpoint(c *conn, mode string) (hindered, frames int64, err error) {
	rows, err := c.query(context.Background(), "PRAGMA wal_checkpoint("+mode+")")
	if err != nil {
		return 1, 0, err
	}
	defer rows.Close()
	hindered = 1
	for rows.Next() {
		var moved int64
		if err := rows.Scan(&hindered, &frames, &moved); err != nil {
			return 1, 0, err
		}
	}
	return hindered, frames, rows.Err()
}

// walSize is how much of the log's file is in use, in bytes. The file itself never shrinks: what is written over costs
// half of what is appended, as the file system has nothing to note of it. SQLite is asked (NOOP moves nothing and takes no
// lock), never the file system: whoever closes the store's file, or one beside it, ends every lock that this process has on
// it (POSIX, fcntl), and another process such as gateway verify would take the index of the log for a dead one's.
func walSize(c *conn) (int64, error) {
	_, frames, err := walCheckpoint(c, "NOOP")
	return max(frames, 0) * frame, err
}

var _ sqlstore.Engine = (*engine)(nil)
