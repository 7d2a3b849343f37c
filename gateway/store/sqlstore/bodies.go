package sqlstore

import (
	"strings"
	"sync"
)

// bodies remembers what the newest version of resources said, by the version's number. A version never changes, so
// what is remembered never becomes wrong: which version is current is always asked of the snapshot.
type bodies struct {
	mu       sync.RWMutex
	now, old map[RowKey]body
	size     int // bytes in now
}

type body struct {
	vid    int64
	method string
	text   []byte // shared: never written to
}

// maxBodies bounds the bytes of one generation; there are two.
const maxBodies = 16 << 20

func newBodies() *bodies { return &bodies{now: map[RowKey]body{}} }

// get is what is remembered of a resource; vid is 0 when nothing is.
func (b *bodies) get(key RowKey) body {
	b.mu.RLock()
	found, ok := b.now[key]
	if !ok {
		found, ok = b.old[key]
		b.mu.RUnlock()
		if ok {
			b.put(key, found)
		}
		return found
	}
	b.mu.RUnlock()
	return found
}

func (b *bodies) put(key RowKey, v body) {
	const overhead = 200
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.size += len(v.text) + overhead; b.size > maxBodies {
		b.old, b.now, b.size = b.now, map[RowKey]body{}, len(v.text)+overhead
	}
	key.Type, key.ID = strings.Clone(key.Type), strings.Clone(key.ID) // they may be pieces of a whole request
	b.now[key] = v
}
