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
	mu       sync.RWMutex
	now, old map[factsKey]remembered // old is the generation before
}

// remembered is facts, or yet only their JSON.
type remembered struct {
	facts *consent.Facts
	text  string
}

type factsKey struct {
	client  string
	version int64
}

// maxFacts bounds one generation.
const maxFacts = 20_000

func newFactsCache() *factsCache { return &factsCache{now: map[factsKey]remembered{}} }

// get is what is remembered, or nil.
func (c *factsCache) get(key factsKey) *consent.Facts {
	c.mu.RLock()
	found, ok := c.now[key]
	aged := false
	if !ok {
		found, aged = c.old[key]
	}
	c.mu.RUnlock()
	switch {
	case found.facts == nil && found.text != "":
		found.facts, _ = c.read(key, found.text) // what cannot be read is read from the store, which tells why
	case aged:
		c.put(key, found)
	}
	return found.facts
}

// learn remembers facts that were committed: who wrote them, or others of this node, will soon ask for them.
func (c *factsCache) learn(rows []FactsRow) {
	for _, r := range rows {
		c.put(factsKey{r.Client, r.Version}, remembered{text: r.JSON})
	}
}

func (c *factsCache) put(key factsKey, k remembered) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.now) >= maxFacts {
		c.old, c.now = c.now, make(map[factsKey]remembered, maxFacts)
	}
	key.client = strings.Clone(key.client) // it may be a piece of a whole request, which would live as long
	c.now[key] = k
}

// read makes facts of their JSON and remembers them.
func (c *factsCache) read(key factsKey, text string) (*consent.Facts, error) {
	f := new(consent.Facts)
	if err := json.Unmarshal([]byte(text), f); err != nil {
		return nil, fmt.Errorf("sqlstore: facts of %s, version %d: %w", key.client, key.version, err)
	}
	c.put(key, remembered{facts: f})
	return f, nil
}
