package sqlstore

import (
	"context"
	"fmt"
	"strconv"

	"sotesilta/consent/ledger"
)

// maxStrays bounds the strays of each kind that a census lists.
const maxStrays = 100

// strays are the rows of the ledger's tables that belong to nothing, each kind by a query of one number and a sentence.
var strays = []struct{ sql, tells string }{
	{"SELECT l.seq FROM ledger_leaf l LEFT JOIN ledger_entry e ON e.entry = l.entry WHERE e.entry IS NULL ORDER BY l.seq",
		"place %d is given to an entry that is not there"},
	{"SELECT e.entry FROM ledger_entry e LEFT JOIN ledger_node n ON n.no = " + nodeOf + " WHERE n.no IS NULL ORDER BY e.entry",
		"entry %d is of a node that is not named"},
	{"SELECT e.entry FROM ledger_entry e WHERE e.entry = (" + nodeOf + " << 40) ORDER BY e.entry",
		"entry %d has no count"},
	{"SELECT c.size FROM ledger_checkpoint c WHERE c.size < 0 ORDER BY c.size",
		"a checkpoint is kept under the size %d"},
}

// Census implements ledger.Counted.
func (s *source) Census(ctx context.Context) (ledger.Census, error) {
	c := ledger.Census{Nodes: map[string]int64{}}
	err := s.s.read(ctx, func(r Reader) error {
		err := each(ctx, r, func(rows Rows) error { return rows.Scan(&c.First, &c.Last) },
			"SELECT coalesce(min(seq), 0), coalesce(max(seq), -1) FROM ledger_leaf")
		if err != nil {
			return err
		}
		err = each(ctx, r, func(rows Rows) error {
			var no, last int64
			var node any
			err := rows.Scan(&no, &node, &last)
			name, ok := node.(string)
			if !ok {
				c.Strays = append(c.Strays, fmt.Sprintf("node %d is named by what is no text", no))
			} else {
				c.Nodes[name] = last
			}
			return err
		}, `SELECT n.no, n.node, coalesce((SELECT max(e.entry) FROM ledger_entry e WHERE e.entry > (n.no << 40) AND e.entry < ((n.no + 1) << 40)), n.no << 40) - (n.no << 40)
			FROM ledger_node n ORDER BY n.no`)
		if err != nil {
			return err
		}
		for _, kind := range strays {
			err = each(ctx, r, func(rows Rows) error {
				var no int64
				err := rows.Scan(&no)
				c.Strays = append(c.Strays, fmt.Sprintf(kind.tells, no))
				return err
			}, kind.sql+" LIMIT "+strconv.Itoa(maxStrays))
			if err != nil {
				return err
			}
		}
		// Whatever is put, told or counted came with a record.
		return each(ctx, r, func(rows Rows) error {
			var some int64
			err := rows.Scan(&some)
			c.Used = some != 0
			return err
		}, `SELECT CASE WHEN EXISTS (SELECT 1 FROM version) OR EXISTS (SELECT 1 FROM facts) OR EXISTS (SELECT 1 FROM event)
			OR EXISTS (SELECT 1 FROM key_version) OR EXISTS (SELECT 1 FROM ledger_checkpoint) THEN 1 ELSE 0 END`)
	})
	if err != nil {
		return ledger.Census{}, fmt.Errorf("sqlstore: census: %w", err)
	}
	return c, nil
}

var _ ledger.Counted = (*source)(nil)
