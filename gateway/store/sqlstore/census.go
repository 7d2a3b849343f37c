package sqlstore

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"sotesilta/consent/ledger"
)

// maxStrays bounds the strays that a census lists.
const maxStrays = 1000

// Census implements ledger.Counted. It looks at the ends of ranges of keys only, so it is cheap however long the ledger:
// places without an entry, and counts that are missing, show when the ledger is walked.
func (s *source) Census(ctx context.Context) (ledger.Census, error) {
	c := ledger.Census{Nodes: map[string]int64{}}
	err := s.s.read(ctx, func(r Reader) error {
		err := each(ctx, r, func(rows Rows) error { return rows.Scan(&c.First, &c.Last) },
			"SELECT coalesce((SELECT min(seq) FROM ledger_leaf), 0), coalesce((SELECT max(seq) FROM ledger_leaf), -1)")
		if err != nil {
			return err
		}
		names := map[int64]string{}
		err = each(ctx, r, func(rows Rows) error {
			var no int64
			var id any
			err := rows.Scan(&no, &id)
			text, ok := id.(string)
			if !ok || no < 1 || no > maxNode {
				stray(&c, "node %d has a number or a name that no node has", no)
			} else {
				names[no] = nodeName(no, text)
				c.Nodes[names[no]] = 0
			}
			return err
		}, "SELECT no, node FROM ledger_node ORDER BY no")
		if err != nil {
			return err
		}
		if err := countNodes(ctx, r, names, &c); err != nil {
			return err
		}
		if err := s.strange(ctx, r, &c); err != nil {
			return err
		}
		// Whatever is put, told or counted came with a record, and so did every checkpoint.
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

// countNodes goes from the entries of one number of a node to those of the next, whether a node has the number or not.
func countNodes(ctx context.Context, r Reader, names map[int64]string, c *ledger.Census) error {
	for from := int64(math.MinInt64); len(c.Strays) < maxStrays; {
		first, found := int64(0), false
		err := each(ctx, r, func(rows Rows) error { found = true; return rows.Scan(&first) },
			"SELECT entry FROM ledger_entry WHERE entry >= $1 ORDER BY entry LIMIT 1", from)
		if err != nil || !found {
			return err
		}
		no := first >> nodeBits
		end := no<<nodeBits | (1<<nodeBits - 1)
		name, named := names[no]
		switch {
		case !named:
			stray(c, "entry %d is of no node that is named", first)
		case first == no<<nodeBits:
			stray(c, "entry %d has no count", first)
			fallthrough
		default:
			err = each(ctx, r, func(rows Rows) error {
				var last int64
				err := rows.Scan(&last)
				c.Nodes[name] = last - no<<nodeBits
				return err
			}, "SELECT entry FROM ledger_entry WHERE entry <= $1 ORDER BY entry DESC LIMIT 1", end)
		}
		if err != nil || end == math.MaxInt64 {
			return err
		}
		from = end + 1
	}
	return nil
}

// ledgerTables are the tables of the ledger with their columns: all that begins with ledger_ in a store.
var ledgerTables = map[string][]string{
	"ledger_node":       {"no", "node"},
	"ledger_entry":      append([]string{"entry", "prev", "commitment", "chain", "salt", "canonical"}, ColumnNames()...),
	"ledger_leaf":       {"seq", "entry"},
	"ledger_checkpoint": {"size", "note"},
}

// strange names what somebody added to the ledger's tables: it is neither read nor proved, and passes for the ledger's to who
// looks at the database.
func (s *source) strange(ctx context.Context, r Reader, c *ledger.Census) error {
	return each(ctx, r, func(rows Rows) error {
		var kind, owner, name, tells string
		if err := rows.Scan(&kind, &owner, &name); err != nil {
			return err
		}
		columns, ours := ledgerTables[owner]
		switch {
		case kind == "table" && !ours:
			tells = fmt.Sprintf("the table %q is none of the ledger's", clip(owner))
		case kind == "column" && ours && !slices.Contains(columns, name):
			tells = fmt.Sprintf("the table %q has a column that is none of the ledger's: %q", owner, clip(name))
		case kind == "trigger":
			tells = fmt.Sprintf("the table %q has a trigger, and no store makes one: %q", clip(owner), clip(name))
		}
		if tells != "" && len(c.Strays) < maxStrays {
			c.Strays = append(c.Strays, tells)
		}
		return nil
	}, s.s.engine.Catalog())
}

// clip bounds a name that somebody else gave.
func clip(name string) string {
	const most = 100
	if len(name) <= most {
		return name
	}
	return strings.ToValidUTF8(name[:most], "") + "…"
}

func stray(c *ledger.Census, tells string, no int64) {
	if len(c.Strays) < maxStrays {
		c.Strays = append(c.Strays, fmt.Sprintf(tells, no))
	}
}

var _ ledger.Counted = (*source)(nil)
