package sqlstore

import (
	"sync"

	"sotesilta/consent/ledger"
)

// recent holds the entries that this store committed last, so that giving them their places in the tree reads none of
// them back. It is only ever a shortcut: what it does not hold is read from the engine.
type recent struct {
	mu      sync.Mutex
	no      int64      // number of the node whose entries these are
	entries []EntryRow // by count, without gaps
}

// maxRecent is how many entries are held; twice as many lie there at times, so that they move seldom.
const maxRecent = 4096

// add takes in what a batch committed. A new chain of the store begins anew.
func (r *recent) add(entries []EntryRow) {
	if len(entries) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if no := entries[0].Key >> nodeBits; no != r.no {
		r.no, r.entries = no, nil
	}
	r.entries = append(r.entries, entries...)
	if over := len(r.entries) - maxRecent; over > maxRecent {
		r.drop(over)
	}
}

// drop forgets the first n, and lets their memory go.
func (r *recent) drop(n int) {
	kept := copy(r.entries, r.entries[n:])
	clear(r.entries[kept:])
	r.entries = r.entries[:kept]
}

// after gives at most limit entries of node no that come after the key placed, the last that has a place (or the
// node's first key less one), and forgets those up to it. ok is false when it holds none that follow at once.
func (r *recent) after(no, placed int64, limit int) (entries []ledger.Entry, keys []int64, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.no != no || len(r.entries) == 0 || r.entries[0].Key > placed+1 {
		return nil, nil, false
	}
	r.drop(min(int(placed+1-r.entries[0].Key), len(r.entries)))
	rows := r.entries[:min(limit, len(r.entries))]
	entries, keys = make([]ledger.Entry, len(rows)), make([]int64, len(rows))
	for i := range rows {
		entries[i], keys[i] = rows[i].Entry, rows[i].Key
	}
	return entries, keys, len(rows) > 0
}
