package auth

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/shared"
	"sotesilta/gateway/shared/redistest"
)

func TestRedisSparesTheStoreALookUp(t *testing.T) {
	client := redistest.Start(t).Client
	truth := &memory{keys: map[string]time.Time{}}
	spared := SpareUsed(truth, shared.New(client, slog.New(slog.NewTextHandler(io.Discard, nil))))
	ctx, until := context.Background(), time.Now().Add(time.Minute)
	require.NoError(t, spared.Use(ctx, "a", until))
	require.Equal(t, 1, truth.asked)
	for range 5 {
		require.ErrorIs(t, spared.Use(ctx, "a", until), ErrUsed)
	}
	require.Equal(t, 1, truth.asked, "replays were answered without the store")
	ttl, err := client.TTL(ctx, shared.Name("a")).Result()
	require.NoError(t, err)
	require.InDelta(t, time.Minute, ttl, float64(5*time.Second), "forgotten with the assertion")

	// What Redis has lost, the store still knows.
	require.NoError(t, client.FlushAll(ctx).Err())
	require.ErrorIs(t, spared.Use(ctx, "a", until), ErrUsed)
	require.Equal(t, 2, truth.asked)

	// A store that cannot tell lets nobody in, and the key is not taken for used.
	truth.err = errors.New("disk full")
	require.ErrorContains(t, spared.Use(ctx, "b", until), "disk full")
	truth.err = nil
	require.NoError(t, spared.Use(ctx, "b", until))
}

func TestRedisKilledInMidLoadSlowsAndLetsNobodyIn(t *testing.T) {
	server := redistest.Start(t)
	var memory *shared.Memory
	w := newWorld(t, func(c *Config) {
		memory = shared.New(server.Client, c.Log)
		c.Used = SpareUsed(c.Used, memory)
	})
	const rounds, workers = 40, 8
	var given, replays, others atomic.Int64
	var wg sync.WaitGroup
	half := make(chan struct{})
	var started atomic.Int64
	for range workers {
		wg.Go(func() {
			for range rounds / 2 {
				if started.Add(1) == rounds*workers/4 {
					close(half)
				}
				text, err := assertionAt(w.clock.now(), w.keys["jukola-ehr"], "jukola-ehr", w.tokenURL, Claims{User: "nurse"})
				if err != nil {
					others.Add(1)
					continue
				}
				for range 2 { // each assertion twice
					_, err := Fetch(context.Background(), w.tokenURL, text, "")
					var refused *TokenError
					switch {
					case err == nil:
						given.Add(1)
					case errors.As(err, &refused) && refused.Status == http.StatusUnauthorized:
						replays.Add(1)
					default:
						others.Add(1)
					}
				}
			}
		})
	}
	<-half
	server.Kill()
	wg.Wait()
	require.Zero(t, others.Load(), "losing Redis is no error for anybody")
	require.EqualValues(t, rounds/2*workers, given.Load(), "every assertion opened one token")
	require.EqualValues(t, rounds/2*workers, replays.Load(), "and no more")
	require.Error(t, memory.Ping(context.Background()))
	require.NotContains(t, memory.Ping(context.Background()).Error(), "127.0.0.1")
	require.Contains(t, w.log.String(), "redis does not answer")
}
