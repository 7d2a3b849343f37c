// Package shared is the memory that the nodes of one gateway share through Redis and may lose at any moment. It only
// ever spares work or counts together what each node could count alone; the truth is in the store. Losing it slows at
// most, loses nothing, and lets nobody in.
package shared

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	timeout = 100 * time.Millisecond // of one command
	resting = time.Second            // how long a Redis that failed is left alone
	prefix  = "sotesilta:"
)

// Name is the name of a key in Redis, which others may use as well.
func Name(key string) string { return prefix + key }

// Memory is the shared memory, as one node sees it. A nil one is never there. It is safe for concurrent use.
type Memory struct {
	client redis.UniversalClient
	log    *slog.Logger
	until  atomic.Int64 // Unix nanoseconds until which Redis is left alone
}

// New makes a Memory of a client; log is told when it is lost.
func New(client redis.UniversalClient, log *slog.Logger) *Memory {
	if log == nil {
		log = slog.Default()
	}
	return &Memory{client: client, log: log}
}

// Do runs a command for a tenth of a second at most, and says whether it was done: false without a memory, while one
// that failed is left alone, so that a dead one does not slow every request down, and when it fails now.
func (m *Memory) Do(ctx context.Context, command func(context.Context, redis.UniversalClient) error) bool {
	if m == nil || time.Now().UnixNano() < m.until.Load() {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := command(ctx, m.client)
	if err == nil || errors.Is(err, redis.Nil) {
		return true
	}
	if errors.Is(err, context.Canceled) {
		return false // whoever asked has gone; it says nothing of Redis
	}
	now := time.Now()
	if m.until.Swap(now.Add(resting).UnixNano()) < now.Add(-resting).UnixNano() {
		m.log.Warn("redis does not answer; nodes count for themselves and look everything up in the store", "cause", cause(err))
	}
	return false
}

// cause is what an operator needs to know of why a command was not done: the code of a refusal by Redis, such as NOAUTH. The
// texts of go-redis and of Redis may name addresses and what was asked.
func cause(err error) string {
	var refused redis.Error
	if errors.As(err, &refused) {
		code, _, _ := strings.Cut(refused.Error(), " ")
		return "refused: " + strings.TrimPrefix(code, "-")
	}
	return "not reached in time"
}

// Ping says whether the memory answers, for /readyz, which names a lost one and stays 200.
func (m *Memory) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if m.client.Ping(ctx).Err() != nil {
		return errors.New("redis does not answer") // go-redis' own text names the address
	}
	return nil
}

// Tell tells all nodes something, as Do does a command.
func (m *Memory) Tell(ctx context.Context, channel, text string) bool {
	return m.Do(ctx, func(ctx context.Context, client redis.UniversalClient) error {
		return client.Publish(ctx, Name(channel), text).Err()
	})
}

// Listen calls heard with what nodes, this one too, tell on a channel, until the context ends; without a memory it
// returns at once. listening is called with true when everything told from then on will be heard, and with false when
// that is so no more. What was told meanwhile is lost. Calls come one at a time.
func (m *Memory) Listen(ctx context.Context, channel string, listening func(bool), heard func(text string)) {
	if m == nil {
		return
	}
	for ctx.Err() == nil {
		if m.listen(ctx, channel, listening, heard) {
			listening(false)
		}
		select {
		case <-ctx.Done():
		case <-time.After(resting):
		}
	}
}

// listen listens until the connection fails or is silent for longer than a live one would be, and answers whether it
// ever listened.
func (m *Memory) listen(ctx context.Context, channel string, listening func(bool), heard func(string)) (listened bool) {
	sub := m.client.Subscribe(ctx, Name(channel))
	defer sub.Close()
	defer context.AfterFunc(ctx, func() { _ = sub.Close() })()
	for asked := false; ; {
		message, err := sub.ReceiveTimeout(ctx, resting)
		var slow net.Error
		switch {
		case ctx.Err() != nil:
			return listened
		case errors.As(err, &slow) && slow.Timeout() && listened && !asked:
			if asked = true; sub.Ping(ctx) != nil {
				return true
			}
			continue
		case err != nil:
			return listened
		}
		asked = false
		switch message := message.(type) {
		case *redis.Subscription:
			listened = true
			listening(true)
		case *redis.Message:
			heard(message.Payload)
		}
	}
}

// Close lets the connections go.
func (m *Memory) Close() error {
	if m == nil {
		return nil
	}
	return m.client.Close()
}
