package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// startRedis runs a real redis-server and answers its client and a way to kill it.
func startRedis(t *testing.T) (redis.UniversalClient, func()) {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("redis-server is not installed")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := listener.Addr().(*net.TCPAddr)
	require.NoError(t, listener.Close())
	cmd := exec.Command(path, "--port", fmt.Sprint(addr.Port), "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir())
	require.NoError(t, cmd.Start())
	kill := sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	t.Cleanup(kill)
	client := redis.NewClient(&redis.Options{Addr: addr.String(), MaxRetries: -1})
	t.Cleanup(func() { _ = client.Close() })
	require.Eventually(t, func() bool { return client.Ping(context.Background()).Err() == nil }, 10*time.Second, 10*time.Millisecond)
	return client, kill
}

func TestRedisSparesTheStoreALookUp(t *testing.T) {
	client, _ := startRedis(t)
	truth := &memory{keys: map[string]time.Time{}}
	spared := SpareUsed(truth, client, slog.New(slog.NewTextHandler(io.Discard, nil)))
	ctx, until := context.Background(), time.Now().Add(time.Minute)
	require.NoError(t, spared.Ping(ctx))
	require.NoError(t, spared.Use(ctx, "a", until))
	require.Equal(t, 1, truth.asked)
	for range 5 {
		require.ErrorIs(t, spared.Use(ctx, "a", until), ErrUsed)
	}
	require.Equal(t, 1, truth.asked, "replays were answered without the store")
	ttl, err := client.TTL(ctx, redisPrefix+"a").Result()
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
	client, kill := startRedis(t)
	var spared *SparedUsed
	w := newWorld(t, func(c *Config) {
		spared = SpareUsed(c.Used, client, c.Log)
		c.Used = spared
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
	kill()
	wg.Wait()
	require.Zero(t, others.Load(), "losing Redis is no error for anybody")
	require.EqualValues(t, rounds/2*workers, given.Load(), "every assertion opened one token")
	require.EqualValues(t, rounds/2*workers, replays.Load(), "and no more")
	require.Error(t, spared.Ping(context.Background()))
	require.NotContains(t, spared.Ping(context.Background()).Error(), "127.0.0.1")
	require.Contains(t, w.log.String(), "redis does not answer")
}
