// Package redistest starts a real redis-server for a test, and kills it.
package redistest

import (
	"context"
	"net"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// Server is one redis-server of a test's own, which forgets everything when it ends.
type Server struct {
	URL    string // redis://127.0.0.1:…
	Client redis.UniversalClient

	program string
	port    int
	kill    func()
}

// Start starts a server that ends with the test. The test is skipped where Redis is not installed (make prepare does).
func Start(t testing.TB) *Server {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("redis-server is not installed (make prepare)")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := listener.Addr().(*net.TCPAddr)
	require.NoError(t, listener.Close())
	client := redis.NewClient(&redis.Options{Addr: addr.String(), MaxRetries: -1})
	t.Cleanup(func() { _ = client.Close() })
	s := &Server{URL: "redis://" + addr.String(), Client: client, program: program, port: addr.Port}
	s.Again(t)
	return s
}

// Kill ends the server as kill -9 does.
func (s *Server) Kill() { s.kill() }

// Again starts a server that was killed, at the same address and with nothing in it.
func (s *Server) Again(t testing.TB) {
	t.Helper()
	cmd := exec.Command(s.program, "--port", strconv.Itoa(s.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir())
	require.NoError(t, cmd.Start())
	s.kill = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	t.Cleanup(s.kill)
	require.Eventually(t, func() bool { return s.Client.Ping(context.Background()).Err() == nil }, 10*time.Second, 10*time.Millisecond)
}
