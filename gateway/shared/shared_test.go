package shared_test

import (
	"bytes"
	"context"
	"log/slog"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"sotesilta/gateway/shared"
	"sotesilta/gateway/shared/redistest"
)

// TestTheLogTellsWhyRedisIsLost: one that asks for a password, or has another, is not mistaken for one that is gone; the log
// names neither the address nor what was asked.
func TestTheLogTellsWhyRedisIsLost(t *testing.T) {
	server := redistest.Start(t)
	options, err := redis.ParseURL(server.URL)
	require.NoError(t, err)
	lost := func(password string) string {
		t.Helper()
		own := *options
		own.Password = password
		var log bytes.Buffer
		memory := shared.New(redis.NewClient(&own), slog.New(slog.NewTextHandler(&log, nil)))
		t.Cleanup(func() { _ = memory.Close() })
		require.False(t, memory.Tell(t.Context(), "a channel", "a text"))
		require.NotContains(t, log.String(), options.Addr)
		require.NotContains(t, log.String(), "a text")
		return log.String()
	}
	require.NoError(t, server.Client.ConfigSet(context.Background(), "requirepass", "a secret").Err())
	require.Contains(t, lost(""), `cause="refused: NOAUTH"`)
	wrong := lost("another secret")
	require.Contains(t, wrong, `cause="refused: WRONGPASS"`)
	require.NotContains(t, wrong, "secret")
	server.Kill()
	require.Contains(t, lost("a secret"), `cause="not reached in time"`)
}
