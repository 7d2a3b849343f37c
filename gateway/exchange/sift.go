package exchange

import (
	"context"

	"sotesilta/consent/ledger"
	"sotesilta/gateway/store"
)

// sifted are the records of the ledger that were kept of those that a query finds.
type sifted struct {
	kept  []told
	next  string // where the rest begin; "" at the end
	total int64  // of all that the query finds; -1 unless asked for
}

// told is an entry of the ledger with the record that it tells.
type told struct {
	ledger.Entry
	rec  *ledger.Record
	size int // bytes that it takes on the page: those of its content, unless keep says otherwise
}

// sift goes along the records that a query finds, in its order, and keeps those that keep says, at most q.Limit of them and
// no more bytes than a page has. It ends after it looked at most records or somewhat more, whatever it found until then:
// keep may also take note of all, and keep none.
func (l *look) sift(ctx context.Context, q store.EntryQuery, most int, keep func(*told) (bool, error)) (sifted, error) {
	out := sifted{total: -1}
	wanted, looked, size := q.Limit, 0, 0
	for {
		q.Limit = max(wanted-len(out.kept), looked) // where few are kept, the pages grow
		page, err := l.Entries(ctx, q)
		if err != nil {
			return out, l.desk.failed(err)
		}
		if q.Total {
			out.total, q.Total = page.Total, false
		}
		for i, entry := range page.Entries {
			rec, err := ledger.ParseRecord(entry.Canonical)
			if err != nil {
				return out, unrecorded(err)
			}
			one := told{Entry: entry, rec: rec, size: len(entry.Canonical)}
			wants, err := keep(&one)
			if err != nil {
				return out, err
			}
			if !wants {
				continue
			}
			out.kept = append(out.kept, one)
			size += one.size
			if full := len(out.kept) == wanted || size >= store.PageBytes; full && i < len(page.Entries)-1 {
				q.Limit = i + 1 // the rest begin within the page: asked for as far as this, it says where
				page, err = l.Entries(ctx, q)
				out.next = page.Next
				return out, l.desk.failed(err)
			}
		}
		looked += len(page.Entries)
		q.After, out.next = page.Next, page.Next
		if page.Next == "" || len(out.kept) == wanted || size >= store.PageBytes || looked >= most {
			return out, nil
		}
	}
}
