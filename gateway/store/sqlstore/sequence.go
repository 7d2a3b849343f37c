package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"sotesilta/consent/ledger"
	"sotesilta/gateway/store"
)

// leaseFor is how long a sequencer has its lease without renewing it.
const leaseFor = 3 * time.Second

// sequencer names the lease.
const sequencer = "sequencer"

// sourcePage is how many entries one read of a source takes: it walks a ledger in many short snapshots, so that it
// holds nobody up. What it walks is only ever appended to.
const sourcePage = 1000

// Ledger implements store.Store.
func (s *Store) Ledger() ledger.Source { return &source{s} }

type source struct{ s *Store }

// read calls f with a reader of one moment.
func (s *Store) read(ctx context.Context, f func(Reader) error) error {
	r, err := s.engine.Read(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	return f(r)
}

// walk pages through entries: page gives those after place at, and the place of its last.
func (s *Store) walk(ctx context.Context, at int64, page func(Reader, int64) ([]ledger.Entry, int64, error)) pairs[ledger.Entry] {
	return func(yield func(ledger.Entry, error) bool) {
		for {
			var entries []ledger.Entry
			err := s.read(ctx, func(r Reader) (err error) {
				entries, at, err = page(r, at)
				return err
			})
			if err != nil {
				yield(ledger.Entry{}, fmt.Errorf("sqlstore: ledger: %w", err))
				return
			}
			for _, e := range entries {
				if !yield(e, nil) {
					return
				}
			}
			if len(entries) < sourcePage {
				return
			}
		}
	}
}

// Entries implements ledger.Source.
func (s *source) Entries(ctx context.Context, from int64) pairs[ledger.Entry] {
	return s.s.walk(ctx, from-1, func(r Reader, after int64) (out []ledger.Entry, last int64, err error) {
		last = after
		scan := newEntryScan()
		out = make([]ledger.Entry, 0, sourcePage)
		err = each(ctx, r, func(rows Rows) error {
			e, _, err := scan.next(rows)
			out, last = append(out, e), e.Seq
			return err
		}, "SELECT "+entryColumnsSQL+" FROM ledger_leaf l CROSS JOIN ledger_entry e CROSS JOIN ledger_node n WHERE l.seq > $1 AND e.entry = l.entry AND n.no = "+nodeOf+" ORDER BY l.seq LIMIT "+strconv.Itoa(sourcePage),
			after)
		return out, last, err
	})
}

// pendingNodesSQL gives the nodes (1 to maxNode), from a number on, that have entries without a place, and the key of the last entry of
// each that has one. A node's entries are placed in the order of their counts.
const pendingNodesSQL = `SELECT p.no, p.last FROM (SELECT n.no AS no, coalesce((SELECT max(y.entry) FROM ledger_leaf y
		WHERE y.entry > (n.no << 40) AND y.entry < ((n.no + 1) << 40)), n.no << 40) AS last FROM ledger_node n WHERE n.no >= $1 AND n.no BETWEEN 1 AND 4194303) p
	WHERE EXISTS (SELECT 1 FROM ledger_entry e WHERE e.entry > p.last AND e.entry < ((p.no + 1) << 40) LIMIT 1 OFFSET 0) ORDER BY p.no`

// pendingSQL gives entries of one node; a LIMIT is appended.
var pendingSQL = "SELECT " + entryColumnsSQL + " FROM ledger_entry e" + entryFrom + " WHERE n.no = $1 AND e.entry > $2 AND e.entry < $3 ORDER BY e.entry"

// Pending implements ledger.Source.
func (s *source) Pending(ctx context.Context) pairs[ledger.Entry] {
	return s.s.walk(ctx, 0, func(r Reader, after int64) ([]ledger.Entry, int64, error) {
		entries, keys, err := pending(ctx, r, after, sourcePage, nil)
		if len(keys) > 0 {
			after = keys[len(keys)-1]
		}
		return entries, after, err
	})
}

// pending reads up to limit entries without a place, after a key, by node and count. For a sequencer, which gives what
// it holds of the entries that its own node committed last, the limit is shared out: no more of a node is taken than
// leaves the nodes that follow as much, so that a busy node does not keep the others waiting.
func pending(ctx context.Context, r Reader, after int64, limit int, lately *recent) (entries []ledger.Entry, keys []int64, err error) {
	var nodes [][2]int64
	err = each(ctx, r, func(rows Rows) error {
		var node [2]int64
		err := rows.Scan(&node[0], &node[1])
		nodes = append(nodes, node)
		return err
	}, pendingNodesSQL, after>>nodeBits)
	if err != nil {
		return nil, nil, err
	}
	scan := newEntryScan()
	for i, node := range nodes {
		share := limit - len(entries)
		if lately != nil {
			share = (share + len(nodes) - i - 1) / (len(nodes) - i)
		}
		if share == 0 {
			break
		}
		if lately != nil {
			if own, at, ok := lately.after(node[0], max(after, node[1]), share); ok {
				entries, keys = append(entries, own...), append(keys, at...)
				continue
			}
		}
		err = each(ctx, r, func(rows Rows) error {
			e, key, err := scan.next(rows)
			entries, keys = append(entries, e), append(keys, key)
			return err
		}, fmt.Sprintf("%s LIMIT %d", pendingSQL, share), node[0], max(after, node[1]), (node[0]+1)<<nodeBits)
		if err != nil {
			return nil, nil, err
		}
	}
	return entries, keys, nil
}

// Checkpoints implements ledger.Source.
func (s *source) Checkpoints(ctx context.Context) pairs[ledger.Signed] {
	return func(yield func(ledger.Signed, error) bool) {
		at := int64(math.MinInt64)
		for {
			var page []ledger.Signed
			err := s.s.read(ctx, func(r Reader) error {
				return each(ctx, r, func(rows Rows) error {
					var c ledger.Signed
					var note any
					err := rows.Scan(&c.Size, &note)
					c.Note, _ = note.([]byte)
					page, at = append(page, c), c.Size
					return err
				}, "SELECT size, note FROM ledger_checkpoint WHERE size > $1 ORDER BY size LIMIT "+strconv.Itoa(sourcePage), at)
			})
			if err != nil {
				yield(ledger.Signed{}, fmt.Errorf("sqlstore: checkpoints: %w", err))
				return
			}
			for _, c := range page {
				if !yield(c, nil) {
					return
				}
			}
			if len(page) < sourcePage {
				return
			}
		}
	}
}

// Sequence implements store.Store. What is slow, reading and sealing, is done beside the writer: the lease keeps other
// sequencers away, and the transaction that gives the places checks that it was kept.
func (s *Store) Sequence(ctx context.Context, holder string, limit int, seal store.Seal) (int, error) {
	if holder == "" || limit <= 0 {
		return 0, errors.New("sqlstore: sequence: no holder or no limit")
	}
	var (
		entries []ledger.Entry
		keys    []int64
		size    int64
		left    time.Duration // of the holder's lease
		other   bool
	)
	lease := store.Lease{Name: sequencer, Holder: holder, Life: leaseFor}
	err := s.read(ctx, func(r Reader) (err error) {
		if left, other, err = s.lease(ctx, r, lease); err != nil || other {
			return err
		}
		// First of all: places that were forged can make entries look placed that are not.
		if size, err = treeSize(ctx, r); err == nil {
			entries, keys, err = pending(ctx, r, 0, limit, &s.recent)
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("sqlstore: sequence: %w", err)
	}
	if other || len(entries) == 0 {
		return 0, nil
	}
	if left < leaseFor/2 {
		// Taken before anything is signed, so that two sequencers do not sign two trees of one size.
		err := s.transact(ctx, func(tx Tx) (*Writes, error) { return &Writes{}, s.takeLease(ctx, tx, lease) })
		if errors.Is(err, errLost) {
			return 0, nil
		}
		if err != nil {
			return 0, fmt.Errorf("sqlstore: sequence: %w", err)
		}
	}
	note, err := seal(ctx, s.Ledger(), size, entries)
	if err != nil {
		return 0, fmt.Errorf("sqlstore: sequence: seal: %w", err)
	}
	if len(note) == 0 {
		return 0, errors.New("sqlstore: sequence: seal gave no checkpoint")
	}
	err = s.transact(ctx, func(tx Tx) (*Writes, error) {
		if err := s.takeLease(ctx, tx, lease); err != nil {
			return nil, err
		}
		now, err := treeSize(ctx, tx)
		if err == nil && now != size {
			err = errLost
		}
		if err != nil {
			return nil, err
		}
		w := &Writes{Checkpoint: &ledger.Signed{Size: size + int64(len(keys)), Note: note}, Leaves: make([]Leaf, len(keys))}
		for i, key := range keys {
			w.Leaves[i] = Leaf{size + int64(i), key}
		}
		return w, nil
	})
	switch {
	case errors.Is(err, errLost):
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("sqlstore: sequence: %w", err)
	}
	return len(keys), nil
}

type querier interface {
	Query(ctx context.Context, sql string, args ...any) (Rows, error)
}

// treeSize is how many entries have a place. Places have no gaps, and come together with the checkpoint over them.
func treeSize(ctx context.Context, r querier) (size int64, err error) {
	var last int64
	err = each(ctx, r, func(rows Rows) error { return rows.Scan(&last, &size) },
		"SELECT coalesce((SELECT max(seq) FROM ledger_leaf), -1), coalesce((SELECT max(size) FROM ledger_checkpoint), 0)")
	if err == nil && last != size-1 {
		err = fmt.Errorf("the last place taken is %d, but the newest checkpoint is kept as of %d entries: somebody changed the ledger, gateway verify tells more", last, size)
	}
	return size, err
}

// transact runs a transaction of the store's own in the writer's goroutine, again while others disturb it.
func (s *Store) transact(ctx context.Context, f func(Tx) (*Writes, error)) error {
	return s.byWriter(ctx, func() (err error) {
		for range maxAttempts {
			err = s.engine.Write(ctx, func(tx Tx) error {
				w, err := f(tx)
				if err != nil {
					return err
				}
				return tx.Store(ctx, w)
			})
			if !errors.Is(err, ErrAgain) {
				return err
			}
		}
		return err
	})
}
