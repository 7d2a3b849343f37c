// Package faults breaks what the gateway stands on, in the middle of load, and looks at what is left: the process is
// killed (SIGKILL), the database crashes, Redis is gone. What was acknowledged must be there with its record, what was
// not must be there whole or not at all, and the ledger must verify.
package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/test/gatewaytest"
	"sotesilta/test/load"
)

func TestMain(m *testing.M) { os.Exit(gatewaytest.Main(m)) }

// client is whose data the load is about: the health station knows them.
const client = "aino"

// world is one store that survives its gateways, and all that gateways on it acknowledged.
type world struct {
	t       *testing.T
	binary  string
	store   string
	keys    string
	redis   string
	gateway *load.Gateway

	mu      sync.Mutex
	written map[string][]byte // by Type/id: the body as acknowledged
	records []string          // X-Request-Id of every acknowledged exchange
}

func newWorld(t *testing.T, store string) *world {
	binary, err := gatewaytest.Binary()
	require.NoError(t, err)
	return &world{t: t, binary: binary, store: store, keys: filepath.Join(t.TempDir(), "keys"), written: map[string][]byte{}}
}

// start starts a gateway on the world's store, on addresses of its own.
func (w *world) start() {
	g, err := load.Start(w.t.Context(), load.Config{Binary: w.binary, Store: w.store, Keys: w.keys, Redis: w.redis})
	require.NoError(w.t, err)
	w.gateway = g
	w.t.Cleanup(func() { _ = g.Kill() })
}

func (w *world) token(client, user string) string {
	token, err := w.gateway.Token(w.t.Context(), client, user)
	require.NoError(w.t, err)
	return token
}

// load creates Tasks and reads a CarePlan over several connections until stop is called or the time is over.
func (w *world) load(ctx context.Context, round int, connections int) *load.Result {
	token := w.token("jukola-ehr", "nurse")
	plan, err := w.gateway.Put(token, "CarePlan", load.CarePlan(client))
	require.NoError(w.t, err)
	read := w.gateway.Read(token, plan)
	creates := func(connection int) bool { return connection%2 == 0 }
	return load.Run(ctx, load.Plan{
		Addr: w.gateway.Addr, Connections: connections, Duration: time.Minute,
		Next: func(connection, n int) load.Request {
			if creates(connection) {
				return w.gateway.Create(token, "Task", load.Task(client, fmt.Sprintf("r%d-c%d-%d", round, connection, n)))
			}
			return read
		},
		Seen: func(connection, _ int, a *load.Answer) bool { return w.acknowledged(a, creates(connection)) },
	})
}

func (w *world) acknowledged(a *load.Answer, created bool) bool {
	want := http.StatusOK
	if created {
		want = http.StatusCreated
	}
	if a.Status != want || a.RequestID == "" {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.records = append(w.records, a.RequestID)
	if created {
		ref, err := load.Created(a)
		if err != nil {
			return false
		}
		w.written[ref] = bytes.Clone(a.Body)
	}
	return true
}

// get reads as one of the county's parties.
func (w *world) get(token, path string) (int, []byte) {
	c, err := load.Dial(w.gateway.Addr)
	require.NoError(w.t, err)
	defer c.Close()
	a, err := c.Do(w.gateway.Read(token, path))
	require.NoError(w.t, err)
	return a.Status, a.Body
}

// total is how many matches a search has.
func (w *world) total(token, query string) int {
	status, body := w.get(token, query)
	require.Equal(w.t, http.StatusOK, status, "%s: %s", query, body)
	var bundle struct {
		Total *int `json:"total"`
	}
	require.NoError(w.t, json.Unmarshal(body, &bundle))
	require.NotNil(w.t, bundle.Total, "%s", body)
	return *bundle.Total
}

// verified runs the auditor's command on the store as it lies.
func (w *world) verified() {
	cmd := exec.CommandContext(w.t.Context(), w.binary, "verify")
	cmd.Env = load.Environment(w.store, w.keys)
	out, err := cmd.CombinedOutput()
	require.NoError(w.t, err, "gateway verify: %s", out)
}

// whole checks that all that was ever acknowledged is there, as it was acknowledged, with its record.
func (w *world) whole() {
	nurse, auditor := w.token("jukola-ehr", "nurse"), w.token("auditor", "")
	c, err := load.Dial(w.gateway.Addr)
	require.NoError(w.t, err)
	defer c.Close()
	for ref, body := range w.written {
		a, err := c.Do(w.gateway.Read(nurse, ref))
		require.NoError(w.t, err)
		require.Equal(w.t, http.StatusOK, a.Status, "%s was acknowledged and is lost", ref)
		require.Equal(w.t, string(body), string(a.Body), "%s is not what was acknowledged", ref)
	}
	const page = 50
	for rest := w.records; len(rest) > 0; {
		ids := rest[:min(page, len(rest))]
		rest = rest[len(ids):]
		a, err := c.Do(w.gateway.Read(auditor, fmt.Sprintf("AuditEvent?_count=%d&_id=%s", page, strings.Join(ids, ","))))
		require.NoError(w.t, err)
		require.Equal(w.t, http.StatusOK, a.Status, "%s", a.Body)
		var bundle struct {
			Entry []struct {
				Resource struct {
					ID string `json:"id"`
				} `json:"resource"`
			} `json:"entry"`
		}
		require.NoError(w.t, json.Unmarshal(a.Body, &bundle))
		there := map[string]bool{}
		for _, entry := range bundle.Entry {
			there[entry.Resource.ID] = true
		}
		for _, id := range ids {
			require.True(w.t, there[id], "the exchange %s was acknowledged and its record is lost", id)
		}
	}
}

// pairs checks that every Task has the record of its making and every such record its Task.
func (w *world) pairs() {
	made := w.total(w.token("jukola-ehr", "nurse"), "Task?identifier=urn:oid:1.2.246.10.99999.1%7C&_summary=count")
	recorded, denied := w.createsOfTasks()
	require.Equal(w.t, made, recorded, "Tasks without records, or records without Tasks")
	require.Zero(w.t, denied)
	require.GreaterOrEqual(w.t, made, len(w.written))
}

// createsOfTasks counts the load's Tasks that the ledger says were made, page by page.
func (w *world) createsOfTasks() (recorded, denied int) {
	auditor := w.token("auditor", "")
	path := "AuditEvent?subtype=create&_count=500&patient=" + client
	for path != "" {
		status, body := w.get(auditor, path)
		require.Equal(w.t, http.StatusOK, status, "%s", body)
		var bundle struct {
			Link []struct {
				Relation string `json:"relation"`
				URL      string `json:"url"`
			} `json:"link"`
			Entry []struct {
				Resource struct {
					Outcome string `json:"outcome"`
					Agent   []struct {
						Name string `json:"name"`
					} `json:"agent"`
					Entity []struct {
						What struct {
							Reference string `json:"reference"`
						} `json:"what"`
					} `json:"entity"`
				} `json:"resource"`
			} `json:"entry"`
		}
		require.NoError(w.t, json.Unmarshal(body, &bundle))
		for _, entry := range bundle.Entry {
			for _, entity := range entry.Resource.Entity {
				if strings.HasPrefix(entity.What.Reference, "Task/") {
					if entry.Resource.Outcome == "0" {
						recorded++
					} else {
						denied++
					}
					break
				}
			}
		}
		path = ""
		for _, link := range bundle.Link {
			if link.Relation == "next" {
				_, path, _ = strings.Cut(link.URL, "/fhir/")
			}
		}
	}
	return recorded, denied
}

// crash kills the gateway in the middle of load after a random time, and answers when the load has ended.
func (w *world) crash(round int, atMost time.Duration) {
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	done := make(chan *load.Result)
	go func() { done <- w.load(ctx, round, 8) }()
	time.Sleep(200*time.Millisecond + rand.N(atMost))
	require.NoError(w.t, w.gateway.Kill())
	cancel()
	result := <-done
	w.t.Logf("round %d: %d exchanges acknowledged before the end", round, result.Answers)
}

// killed kills the gateway rounds times, each time on what the last one left.
func killed(t *testing.T, store string, rounds int, atMost time.Duration) {
	w := newWorld(t, store)
	w.start()
	for round := range rounds {
		w.crash(round, atMost)
		w.verified() // as the crash left it
		w.start()
		w.whole()
	}
	w.pairs()
	require.NotEmpty(t, w.written)
	require.NoError(t, w.gateway.Stop())
	w.verified()
}

func TestKilledInMidLoadNothingAcknowledgedIsLost(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel() // most of a round waits for the dead sequencer's lease
		killed(t, "sqlite:"+filepath.Join(t.TempDir(), "faults.db"), 2, time.Second)
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		killed(t, startPostgres(t).URL, 2, time.Second)
	})
}

func startPostgres(t *testing.T) *load.Postgres {
	server, stop, err := load.StartPostgres(t.Context(), t.TempDir())
	if errors.Is(err, load.ErrNoPostgres) {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Cleanup(stop)
	return server
}
