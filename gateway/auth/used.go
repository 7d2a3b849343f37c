package auth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
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

// SparedUsed keeps the store from being asked about replays that Redis has seen. It only ever refuses: a key that Redis
// does not know, or any failure of Redis, leaves the answer to the truth. Losing Redis makes replays cost a look-up
// in the store, and lets nobody in.
type SparedUsed struct {
	truth  Used
	client redis.UniversalClient
	log    *slog.Logger
	rest   atomic.Int64 // Unix nanoseconds until which Redis is left alone after it failed
}

const (
	redisTimeout = 100 * time.Millisecond
	redisRest    = time.Second
	redisPrefix  = "sotesilta:"
)

// SpareUsed puts Redis before the truth.
func SpareUsed(truth Used, client redis.UniversalClient, log *slog.Logger) *SparedUsed {
	if log == nil {
		log = slog.Default()
	}
	return &SparedUsed{truth: truth, client: client, log: log}
}

// Use asks Redis, then the truth, and tells Redis what the truth said.
func (s *SparedUsed) Use(ctx context.Context, key string, until time.Time) error {
	name := redisPrefix + key
	if s.seen(ctx, name) {
		return ErrUsed
	}
	err := s.truth.Use(ctx, key, until)
	if err == nil || errors.Is(err, ErrUsed) {
		s.remember(ctx, name, until)
	}
	return err
}

func (s *SparedUsed) seen(ctx context.Context, name string) bool {
	if s.resting() {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	n, err := s.client.Exists(ctx, name).Result()
	s.noted(err)
	return err == nil && n > 0
}

func (s *SparedUsed) remember(ctx context.Context, name string, until time.Time) {
	life := time.Until(until)
	if life <= 0 || s.resting() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	s.noted(s.client.Set(ctx, name, "1", life).Err())
}

func (s *SparedUsed) resting() bool { return time.Now().UnixNano() < s.rest.Load() }

// noted leaves Redis alone for a second after a failure, so that a dead one does not slow every token down.
func (s *SparedUsed) noted(err error) {
	if err == nil || errors.Is(err, context.Canceled) {
		return
	}
	if s.rest.Swap(time.Now().Add(redisRest).UnixNano()) < time.Now().Add(-redisRest).UnixNano() {
		s.log.Warn("redis does not answer; used assertions are looked up in the store alone")
	}
}

// Ping says whether Redis answers, for /readyz, which names a lost one and stays 200.
func (s *SparedUsed) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	if s.client.Ping(ctx).Err() != nil {
		return errors.New("redis does not answer") // go-redis' own text names the address
	}
	return nil
}
