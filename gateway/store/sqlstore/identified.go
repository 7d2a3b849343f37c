package sqlstore

import (
	"context"
	"fmt"

	"sotesilta/consent"
	"sotesilta/gateway/store"
)

// Identified implements store.Snapshot. It finds rows over the index by code: its cost does not depend on how many rows
// or classes there are.
func (n *snapshot) Identified(ctx context.Context, register consent.Register, typ, system, code string, limit int) ([]store.Row, error) {
	if code == "" || clean(typ) != typ || clean(system) != system || clean(code) != code {
		return nil, nil
	}
	type found struct {
		id    string
		class int64
	}
	var all []found
	err := each(ctx, n.r, func(rows Rows) error {
		var f found
		err := rows.Scan(&f.id, &f.class)
		all = append(all, f)
		return err
	}, over(n.s.engine, "param p").look("ix_token", "x", "x.param = p.param AND x.code = $2").look("resource", "r", "r.rid = x.rid").
		and("p.type = $1 AND p.name = 'identifier' AND x.system = $3 AND r.deleted + 0 = 0").sql("r.id, r.class")+" ORDER BY r.rid",
		typ, bounded(code), bounded(system))
	if err != nil {
		return nil, fmt.Errorf("sqlstore: identified: %w", err)
	}
	var out []store.Row
	for _, f := range all {
		class, err := n.class(ctx, f.class)
		if err != nil {
			return nil, err
		}
		if class.Register != register || len(out) == limit {
			continue
		}
		row, err := n.Get(ctx, typ, f.id)
		if err != nil {
			return nil, err
		}
		out = append(out, row)
	}
	return out, nil
}
