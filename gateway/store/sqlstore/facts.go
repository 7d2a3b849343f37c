package sqlstore

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"sotesilta/consent"
)

// factsCache remembers facts by client and version. A version never changes, so what is remembered never becomes
// wrong: which version is current is always asked of the snapshot.
type factsCache struct {
	mu  sync.RWMutex
	now map[factsKey]*consent.Facts
	old map[factsKey]*consent.Facts // the generation before
}

type factsKey struct {
	client  string
	version int64
}

// maxFacts bounds one generation.
const maxFacts = 20_000

func newFactsCache() *factsCache { return &factsCache{now: map[factsKey]*consent.Facts{}} }

func (c *factsCache) get(key factsKey) *consent.Facts {
	c.mu.RLock()
	f, old := c.now[key], c.old[key]
	c.mu.RUnlock()
	if f == nil && old != nil {
		c.put(key, old)
		f = old
	}
	return f
}

func (c *factsCache) put(key factsKey, f *consent.Facts) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.now) >= maxFacts {
		c.old, c.now = c.now, make(map[factsKey]*consent.Facts, maxFacts)
	}
	key.client = strings.Clone(key.client) // it may be a piece of a whole request, which would live as long
	c.now[key] = f
}

// read makes facts of their JSON and remembers them.
func (c *factsCache) read(key factsKey, text string) (*consent.Facts, error) {
	f := new(consent.Facts)
	if err := json.Unmarshal([]byte(text), f); err != nil {
		return nil, fmt.Errorf("sqlstore: facts of %s, version %d: %w", key.client, key.version, err)
	}
	c.put(key, f)
	return f, nil
}
