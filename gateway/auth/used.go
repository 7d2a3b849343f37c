package auth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"sotesilta/gateway/shared"
)

// ErrUsed says that a key was used before.
var ErrUsed = errors.New("auth: used before")

// Used remembers assertions, so that each opens one token only (RFC 7523 § 3 rule 7). Use answers nil when the key was
// never used and its use is now durable, for all nodes; ErrUsed when it was used before; any other error when it
// cannot tell, and then no token is given. main puts the store behind it.
type Used interface {
	Use(ctx context.Context, key string, until time.Time) error
}

// UsedFunc is a function as Used.
type UsedFunc func(ctx context.Context, key string, until time.Time) error

// Use calls the function.
func (f UsedFunc) Use(ctx context.Context, key string, until time.Time) error {
	return f(ctx, key, until)
}

// useKey names an assertion: bounded, and nothing can be read from it.
func useKey(clientID, jti string) string {
	sum := sha256.Sum256([]byte(clientID + "\x00" + jti))
	return "assertion:" + hex.EncodeToString(sum[:])
}

// SparedUsed keeps the store from being asked about replays that the nodes' shared memory has seen. It only ever
// refuses: a key that the memory does not know, or any failure of it, leaves the answer to the truth. Losing it makes
// replays cost a look-up in the store, and lets nobody in.
type SparedUsed struct {
	truth  Used
	memory *shared.Memory
}

// SpareUsed puts the shared memory before the truth.
func SpareUsed(truth Used, memory *shared.Memory) *SparedUsed {
	return &SparedUsed{truth: truth, memory: memory}
}

// Use asks the memory, then the truth, and tells the memory what the truth said.
func (s *SparedUsed) Use(ctx context.Context, key string, until time.Time) error {
	name := shared.Name(key)
	var seen int64
	if s.memory.Do(ctx, func(ctx context.Context, client redis.UniversalClient) (err error) {
		seen, err = client.Exists(ctx, name).Result()
		return err
	}) && seen > 0 {
		return ErrUsed
	}
	err := s.truth.Use(ctx, key, until)
	if life := time.Until(until); life > 0 && (err == nil || errors.Is(err, ErrUsed)) {
		s.memory.Do(ctx, func(ctx context.Context, client redis.UniversalClient) error {
			return client.Set(ctx, name, "1", life).Err()
		})
	}
	return err
}
