package sqlite

import (
	"context"
	"log/slog"
	"os"
	"time"

	"sotesilta/gateway/store/sqlstore"
)

// The write-ahead log is moved into the file by a connection of its own, which does not stall the writer as SQLite's
// automatic checkpoints do (20–60 ms each). It begins anew from its start when nobody uses it any more; under steady
// load that never happens by itself, so beyond a size the writer makes it so, when nearly all has been moved.
const (
	checkpointEvery = 200 * time.Millisecond
	walSmall        = 4 << 20  // not worth moving yet
	walLarge        = 64 << 20 // to be begun anew by the writer
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
		size := e.walSize()
		if size < walSmall || size == moved {
			continue
		}
		if err := checkpoint(e.checkpointer, "PASSIVE"); err != nil {
			slog.Warn("sqlite: the write-ahead log was not moved into the file", "error", err)
			continue
		}
		moved = size
		if size >= walLarge {
			e.mu.Lock()
			e.walLarge = true
			e.mu.Unlock()
		}
	}
}

// Upkeep implements sqlstore.Engine.
func (e *engine) Upkeep() {
	e.mu.Lock()
	due := e.walLarge
	e.walLarge = false
	e.mu.Unlock()
	if !due {
		return
	}
	ctx := context.Background()
	// Readers of an older moment make it fail at once; the next round tries again.
	if err := e.writer.exec(ctx, "PRAGMA busy_timeout = 20"); err == nil {
		if err := checkpoint(e.writer, "TRUNCATE"); err != nil && !busy(err) {
			slog.Warn("sqlite: the write-ahead log did not begin anew", "error", err)
		}
	}
	if err := e.writer.exec(ctx, "PRAGMA busy_timeout = 10000"); err != nil {
		slog.Warn("sqlite: busy_timeout", "error", err)
	}
}

func checkpoint(c *conn, mode string) error {
	rows, err := c.query(context.Background(), "PRAGMA wal_checkpoint("+mode+")")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
	}
	return rows.Err()
}

func (e *engine) walSize() int64 {
	info, err := os.Stat(e.path + "-wal")
	if err != nil {
		return 0
	}
	return info.Size()
}

var _ sqlstore.Engine = (*engine)(nil)
