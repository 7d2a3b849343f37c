package faults

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/auth"
	"sotesilta/gateway/shared/redistest"
	"sotesilta/test/load"
)

// ask sends an assertion to the token endpoint over a connection.
func ask(c *load.Conn, g *load.Gateway, assertion string) (*load.Answer, error) {
	form := url.Values{
		"grant_type":            {"client_credentials"},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		"client_assertion":      {assertion},
	}
	return c.Do(load.NewRequest("POST", g.Addr, auth.TokenPath, []byte(form.Encode()), "Content-Type", "application/x-www-form-urlencoded"))
}

// TestRedisKilledInMidLoadSlowsAndLetsNobodyIn: losing Redis slows, never leaks (design § 8).
func TestRedisKilledInMidLoadSlowsAndLetsNobodyIn(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	w := newWorld(t, "sqlite:"+t.TempDir()+"/redis.db")
	w.redis = server.URL
	w.start()
	g := w.gateway
	status, body, err := g.Get("/readyz")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "ready\n", string(body))

	const connections = 4
	var (
		wg       sync.WaitGroup
		killed   atomic.Bool
		stop     = make(chan struct{})
		granted  [2]atomic.Int64 // with Redis, without it
		replayed [2]atomic.Int64
	)
	for range connections {
		wg.Go(func() {
			c, err := load.Dial(g.Addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			var earlier []string // assertions that were used, some before Redis was lost
			for {
				select {
				case <-stop:
					return
				default:
				}
				assertion, err := g.Assertion("jukola-ehr", "nurse")
				if err != nil {
					t.Error(err)
					return
				}
				without := 0
				if killed.Load() {
					without = 1
				}
				a, err := ask(c, g, assertion)
				if err != nil || a.Status != http.StatusOK {
					t.Errorf("a good assertion got %v %+v", err, a)
					return
				}
				granted[without].Add(1)
				earlier = append(earlier, assertion)
				for _, old := range []string{earlier[0], assertion} {
					a, err := ask(c, g, old)
					if err != nil || a.Status != http.StatusUnauthorized || !strings.Contains(string(a.Body), "invalid_client") {
						t.Errorf("a replayed assertion got %v %+v", err, a)
						return
					}
					replayed[without].Add(1)
				}
			}
		})
	}
	// worked waits until the connections did some work, with Redis (0) or without it (1), whose loss a call or two notice.
	worked := func(when int) {
		t.Helper()
		require.Eventually(t, func() bool { return t.Failed() || replayed[when].Load() >= 40*connections }, 30*time.Second, 5*time.Millisecond)
	}
	worked(0)
	server.Kill()
	killed.Store(true)
	worked(1)
	for range 3 {
		status, body, err := g.Get("/readyz")
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, status)
		require.Contains(t, string(body), "without redis")
	}
	close(stop)
	wg.Wait()
	for when, name := range []string{"with", "without"} {
		t.Logf("%s Redis: %d tokens given, %d replays refused", name, granted[when].Load(), replayed[when].Load())
	}
	require.Equal(t, http.StatusOK, w.status("jukola-ehr", "nurse", "Patient/"+client))
}

func (w *world) status(clientID, user, path string) int {
	status, _ := w.get(w.token(clientID, user), path)
	return status
}
