package rest

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/allowance"
	"sotesilta/gateway/exchange"
)

// A body without end is refused while it comes, and its sender still reads the answer.
func TestFortyMegabytesAre413OverTheWire(t *testing.T) {
	f := newFace(t)
	server := httptest.NewServer(f)
	defer server.Close()
	for _, known := range []bool{true, false} {
		body := io.Reader(strings.NewReader(strings.Repeat("x", 40<<20)))
		if !known {
			body = struct{ io.Reader }{body} // sent in chunks, its length unknown
		}
		r, err := http.NewRequest("POST", server.URL+"/fhir/Task", body)
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer nurse")
		r.Header.Set("Content-Type", fhirJSON)
		answer, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		text, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		require.Equal(t, 413, answer.StatusCode)
		require.Contains(t, string(text), "5 MB")
	}
	require.Empty(t, f.desk.calls)
	answer, err := http.Get(server.URL + "/healthz")
	require.NoError(t, err)
	answer.Body.Close()
	require.Equal(t, 200, answer.StatusCode, "the process keeps serving")
}

func TestLimits(t *testing.T) {
	t.Run("an API client that asks too often waits", func(t *testing.T) {
		f := newFace(t, func(c *Config) { c.Allowance = allowance.New(0.5, 2, nil) })
		require.Equal(t, 404, f.ask("GET", "/Patient/1", "").Code)
		require.Equal(t, 404, f.ask("GET", "/Patient/1", "").Code)
		w := f.ask("GET", "/Patient/1", "")
		outcome(t, w, 429, "throttled")
		require.Equal(t, "2", w.Header().Get("Retry-After"))
		require.Len(t, f.desk.calls, 2)
	})
	t.Run("a search across types costs as many as its types", func(t *testing.T) {
		f := newFace(t, func(c *Config) { c.Allowance = allowance.New(0.5, 4, nil) })
		require.Equal(t, 200, f.ask("GET", "?_type=Task,CareTeam,Observation", "").Code)
		outcome(t, f.ask("GET", "?_type=Task,CareTeam", ""), 429, "throttled")
		require.Len(t, f.desk.calls, 1)

		f = newFace(t, func(c *Config) { c.Allowance = allowance.New(0.5, 4, nil) })
		batch := bundleOf("batch", `{"request":{"method":"GET","url":"?_type=Task,CareTeam,Observation"}}`, `{"request":{"method":"GET","url":"?_type=Task,CareTeam"}}`)
		answers := parsed(t, f.ask("POST", "", batch)).All("entry", "response", "status")
		require.Equal(t, "200 OK", answers[0].Str())
		require.Equal(t, "429 Too Many Requests", answers[1].Str(), "in a batch as well")
	})
	t.Run("what is as much as many costs no more than may come at once", func(t *testing.T) {
		f := newFace(t, func(c *Config) { c.Allowance = allowance.New(0.5, 4, nil) })
		require.Equal(t, 200, f.ask("POST", "", bundleOf("batch", slices.Repeat([]string{`{"request":{"method":"GET","url":"Task/t1"}}`}, 9)...)).Code)
		w := f.ask("GET", "/Task/t1", "")
		outcome(t, w, 429, "throttled")

		f = newFace(t, func(c *Config) { c.Allowance = allowance.New(0.5, 2, nil) })
		require.Equal(t, 200, f.ask("GET", "?_type=Task,CareTeam,Observation", "").Code, "or it would be refused for ever")
		w = f.ask("GET", "?_type=Task,CareTeam,Observation", "")
		outcome(t, w, 429, "throttled")
		require.Equal(t, "2", w.Header().Get("Retry-After"), "until it may ask at all")
	})
	t.Run("without room a request is told to come again", func(t *testing.T) {
		entered, leave := make(chan struct{}), make(chan struct{})
		f := newFace(t, func(c *Config) { c.Limits.Concurrent = 1; c.Desk = slowDesk{entered: entered, leave: leave} })
		done := make(chan struct{})
		go func() { f.ask("GET", "/Patient/1", ""); close(done) }()
		<-entered
		w := f.ask("GET", "/Patient/2", "")
		outcome(t, w, 503, "throttled")
		require.Equal(t, "1", w.Header().Get("Retry-After"))
		require.Equal(t, 200, f.ask("GET", "https://gw.example/healthz", "").Code)
		close(leave)
		<-done
		require.Equal(t, 200, f.ask("GET", "/metadata", "").Code, "room is given back")
	})
}

func TestLargeBodiesTakeTurns(t *testing.T) {
	f := newFace(t, func(c *Config) { c.Limits.Bodies = 100 })
	w := f.ask("POST", "/Task", `{"resourceType":"Task","description":"`+strings.Repeat("x", 100)+`"}`)
	outcome(t, w, 503, "throttled")
	require.Equal(t, "1", w.Header().Get("Retry-After"))
	require.Equal(t, 201, f.ask("POST", "/Task", `{"resourceType":"Task"}`).Code, "what was taken is given back")
}

func TestServerWaitsForNobodyLong(t *testing.T) {
	s := Server(":0", http.NotFoundHandler())
	for _, bound := range []time.Duration{s.ReadHeaderTimeout, s.ReadTimeout, s.WriteTimeout, s.IdleTimeout} {
		require.Positive(t, bound)
		require.LessOrEqual(t, bound, 2*time.Minute)
	}
	require.LessOrEqual(t, s.MaxHeaderBytes, 128<<10)
}

type slowDesk struct {
	Desk
	entered, leave chan struct{}
}

func (d slowDesk) Read(context.Context, exchange.Caller, string, string) (*exchange.Resource, error) {
	close(d.entered)
	<-d.leave
	return nil, exchange.Refuse(exchange.Absent, "not-found", "", "absent")
}
