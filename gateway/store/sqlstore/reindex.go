package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"

	"sotesilta/gateway/search"
)

// reindexed is how many rows share one transaction of a re-indexing.
const reindexed = 250

// Reindex implements store.Store. How far an edition has come is the position of a consumer of its name: a gateway that
// was stopped goes on from there.
func (s *Store) Reindex(ctx context.Context, edition string, extract func(body []byte) search.Index) (int, error) {
	name := "index " + edition
	if edition == "" {
		return 0, errors.New("sqlstore: reindex: no edition")
	}
	changed := 0
	for {
		var from int64
		var rows []stale
		err := s.read(ctx, func(r Reader) (err error) {
			if err := each(ctx, r, func(rows Rows) error { return rows.Scan(&from) },
				"SELECT position FROM consumer WHERE consumer = $1", name); err != nil || from == math.MaxInt64 {
				return err
			}
			rows, err = staleRows(ctx, r, from)
			return err
		})
		if err == nil && from == math.MaxInt64 {
			return changed, nil
		}
		if err == nil {
			next := Counter{Name: name, N: math.MaxInt64}
			if len(rows) > 0 {
				next.N = rows[len(rows)-1].rid
			}
			var n int
			n, err = s.reindex(ctx, rows, extract, next)
			changed += n
		}
		if err != nil {
			return changed, fmt.Errorf("sqlstore: reindex: %w", err)
		}
	}
}

// stale is a row whose index may be of another edition.
type stale struct {
	key          RowKey
	rid, version int64
	body         []byte
	index        []named
}

func staleRows(ctx context.Context, r Reader, after int64) (out []stale, err error) {
	err = each(ctx, r, func(rows Rows) error {
		var row stale
		err := rows.Scan(&row.rid, &row.key.Type, &row.key.ID, &row.version, &row.body)
		out = append(out, row)
		return err
	}, fmt.Sprintf(`SELECT p.rid, p.type, p.id, p.version, v.body
		FROM (SELECT r.rid, r.type, r.id, r.version, r.vid FROM resource r WHERE r.rid > $1 AND r.deleted + 0 = 0 ORDER BY r.rid LIMIT %d) p
		CROSS JOIN version v WHERE v.vid = p.vid ORDER BY p.rid`, reindexed), after)
	return out, err
}

// reindex makes the indexes of rows anew where they differ, and answers how many did. A row that was written meanwhile
// has its new index already.
func (s *Store) reindex(ctx context.Context, rows []stale, extract func([]byte) search.Index, next Counter) (changed int, err error) {
	l := &Look{Now: s.clock().UnixMilli()}
	var params set[ParamKey]
	kept := rows[:0]
	for _, row := range rows {
		index := extract(row.body)
		if index.Over {
			slog.Warn("store: a resource with too many values keeps the index it has", "resource", row.key.Type+"/"+row.key.ID)
			continue
		}
		row.index = indexRows(&index)
		kept = append(kept, row)
		l.Rows, l.Put, l.LockRows = append(l.Rows, row.key), append(l.Put, row.key), append(l.LockRows, row.key)
		for _, x := range row.index {
			key := ParamKey{row.key.Type, x.param}
			if s.names.param(key) == 0 {
				params.add(&l.Params, key)
			}
		}
	}
	rows = kept
	var there *There
	err = s.transact(ctx, func(tx Tx) (_ *Writes, err error) {
		if there, err = tx.Look(ctx, l); err != nil {
			return nil, err
		}
		changed = 0
		w := &Writes{Positions: []Counter{next}}
		for _, row := range rows {
			if now := there.Rows[row.key]; now.Version != row.version || now.Deleted {
				continue
			}
			after := make([]IndexRow, len(row.index))
			for i, x := range row.index {
				after[i] = x.row
				after[i].Rid = row.rid
				key := ParamKey{row.key.Type, x.param}
				if after[i].Param = s.names.param(key); after[i].Param == 0 {
					after[i].Param = there.Params[key]
				}
			}
			slices.SortFunc(after, place)
			before := len(w.Dropped) + len(w.Added)
			w.Dropped, w.Added = diff(there.Index[row.rid], after, w.Dropped, w.Added)
			if len(w.Dropped)+len(w.Added) > before {
				changed++
			}
		}
		return w, nil
	})
	if err == nil {
		s.names.learn(l, there)
	}
	return changed, err
}
