package sqlstore

import (
	"encoding/base64"
	"encoding/json"
	"hash/fnv"
	"math"

	"sotesilta/gateway/store"
)

// maxCursor bounds the text of a cursor.
const maxCursor = 8192

// cursor is where a page ended: the sort keys of its last row (nil: the row has no such value) and its id. It goes with
// one way of sorting only.
type cursor struct {
	Sort uint64 `json:"s"` // of what is sorted by
	Keys []any  `json:"k,omitempty"`
	ID   string `json:"i"`
	Type string `json:"t,omitempty"` // across types
	even bool   // a row with the same keys and id comes after it: it is of a later type
}

func (c cursor) String() string {
	b, err := json.Marshal(c)
	if err != nil { // a number that JSON cannot hold
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// readCursor reads what String wrote; anything else is store.ErrCursor.
func readCursor(text string, sort uint64, keys []keyKind) (cursor, error) {
	var c cursor
	if len(text) > maxCursor {
		return c, store.ErrCursor
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || json.Unmarshal(b, &c) != nil || c.Sort != sort || len(c.Keys) != len(keys) || clean(c.ID) != c.ID {
		return c, store.ErrCursor
	}
	for i, kind := range keys {
		ok := c.Keys[i] == nil
		switch v := c.Keys[i].(type) {
		case string:
			ok = kind == textKey && clean(v) == v
		case float64:
			if kind == intKey && v == math.Trunc(v) && math.Abs(v) < 1<<53 {
				c.Keys[i], ok = int64(v), true
			}
			ok = ok || kind == realKey
		}
		if !ok {
			return c, store.ErrCursor
		}
	}
	return c, nil
}

// keyKind is the kind of a sort key's values.
type keyKind uint8

const (
	textKey keyKind = iota
	intKey
	realKey
)

// fingerprint is a number of a text, to tell one way of sorting from another.
func fingerprint(text string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(text))
	return h.Sum64() >> 11 // a whole number of JSON
}
