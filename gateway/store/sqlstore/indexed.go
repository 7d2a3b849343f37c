package sqlstore

import (
	"context"
	"fmt"
	"strconv"

	"sotesilta/consent/ledger"
)

// Leaves implements ledger.Indexed.
func (s *source) Leaves(ctx context.Context, from, to int64) pairs[[32]byte] {
	return func(yield func([32]byte, error) bool) {
		for from < to {
			var page [][32]byte
			err := s.s.read(ctx, func(r Reader) error {
				return each(ctx, r, func(rows Rows) error {
					var chain any
					err := rows.Scan(&chain)
					var c [32]byte
					b, _ := chain.([]byte)
					copy(c[:], b) // one of another length is a tampered one, and stays different from any true one
					page = append(page, c)
					return err
				}, "SELECT e.chain FROM ledger_leaf l CROSS JOIN ledger_entry e WHERE l.seq >= $1 AND l.seq < $2 AND e.entry = l.entry ORDER BY l.seq LIMIT "+strconv.Itoa(sourcePage),
					from, to)
			})
			if err != nil {
				yield([32]byte{}, fmt.Errorf("sqlstore: ledger: %w", err))
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
			from += int64(len(page))
		}
	}
}

// Latest implements ledger.Indexed.
func (s *source) Latest(ctx context.Context) (note []byte, err error) {
	err = s.s.read(ctx, func(r Reader) error {
		return each(ctx, r, func(rows Rows) error { return rows.Scan(&note) },
			"SELECT note FROM ledger_checkpoint ORDER BY size DESC LIMIT 1")
	})
	if err != nil {
		err = fmt.Errorf("sqlstore: checkpoints: %w", err)
	}
	return note, err
}

var _ ledger.Indexed = (*source)(nil)
