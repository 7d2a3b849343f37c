package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"time"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
)

// vouchedSQL are all versions of rows of ledger.VouchedTypes, with their class and what is current of the resource.
var vouchedSQL = `SELECT r.type, r.id, v.version, v.updated, v.deleted, v.body, c.json, c.type,
	CASE WHEN v.version < (SELECT max(n.version) FROM version n WHERE n.rid = r.rid) THEN 1
		WHEN r.vid = v.vid AND r.version = v.version AND r.class = v.class AND r.deleted = v.deleted AND r.updated = v.updated THEN 1 ELSE 0 END
	FROM resource r JOIN version v ON v.rid = r.rid JOIN class c ON c.class = v.class
	WHERE r.type IN ('` + strings.Join(ledger.VouchedTypes, "', '") + `') ORDER BY r.type, r.id, v.version`

// Vouched implements ledger.Vouching. A value of a kind that no store writes is told as damage, so that Verify names the row
// instead of failing.
func (s *source) Vouched(ctx context.Context) iter.Seq2[ledger.VouchedRow, error] {
	return func(yield func(ledger.VouchedRow, error) bool) {
		err := s.s.read(ctx, func(r Reader) error {
			return each(ctx, r, func(rows Rows) error {
				row, err := scanVouched(rows)
				if err == nil && !yield(row, nil) {
					return errEnough
				}
				return err
			}, vouchedSQL)
		})
		if err != nil {
			yield(ledger.VouchedRow{}, fmt.Errorf("sqlstore: vouched rows: %w", err))
		}
	}
}

func scanVouched(rows Rows) (ledger.VouchedRow, error) {
	var values [9]any
	dest := make([]any, len(values))
	for i := range values {
		dest[i] = &values[i]
	}
	if err := rows.Scan(dest...); err != nil {
		return ledger.VouchedRow{}, err
	}
	ok := true
	text := func(i int) string {
		switch v := values[i].(type) {
		case string:
			return v
		case []byte:
			return string(v)
		}
		ok = false
		return ""
	}
	number := func(i int) int64 {
		n, is := values[i].(int64)
		if !is {
			if small, narrow := values[i].(int32); narrow {
				return int64(small)
			}
			ok = false
		}
		return n
	}
	typ, id, updated, deleted := text(0), text(1), number(3), number(4)
	out := ledger.VouchedRow{What: fmt.Sprintf("%s/%s/_history/%d", typ, id, number(2)), Time: time.UnixMilli(updated).UTC()}
	var body []byte
	if values[5] != nil {
		body = []byte(text(5))
	}
	var class consent.Class
	if err := json.Unmarshal([]byte(text(6)), &class); err != nil {
		ok = false
	}
	out.Hash = ledger.ContentHash(&class, out.Time, body)
	switch {
	case !ok, deleted != 0 && deleted != 1, (deleted == 1) != (body == nil):
		out.Damage = "is not as it was written"
	case text(7) != typ || class.Type != typ:
		out.Damage = "has a label of another type"
	case number(8) != 1:
		out.Damage = "is its newest version, and not what is current"
	}
	return out, nil
}

var _ ledger.Vouching = (*source)(nil)
