// Package nodes runs several production gateways (serve) over one store, as deploy/ does, and takes away what they may
// lose: Redis, and each other.
package nodes

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/auth"
	"sotesilta/internal/fhir"
	"sotesilta/mappings/hl7v2"
	"sotesilta/test/gatewaytest"
)

func TestMain(m *testing.M) { os.Exit(gatewaytest.Main(m)) }

// county is a folder as deploy/README.md makes it: what serve needs, for an EHR of the county's health station.
type county struct {
	dir  string
	keys map[string]*auth.Key
}

const clients = `clients:
  - id: ehr
    name: Potilastietojärjestelmä
    controller: Organization/county
    register: health
    units: [{id: Organization/station, name: Terveysasema}]
    scopes: [system/*.cruds]
    purposes: [care]
    jwksFile: ehr.jwks
    users:
      - {id: nurse-1, name: Niina Sairaanhoitaja, person: Practitioner/nurse-1, role: PractitionerRole/nurse-1,
         unit: Organization/station, task: "3.1", service: "4.1"}
`

const directory = `{"resourceType": "Bundle", "type": "collection", "entry": [
  {"resource": {"resourceType": "Organization", "id": "county", "name": "Esimerkin hyvinvointialue"}},
  {"resource": {"resourceType": "Organization", "id": "station", "name": "Terveysasema", "partOf": {"reference": "Organization/county"}}},
  {"resource": {"resourceType": "Practitioner", "id": "nurse-1", "name": [{"text": "Niina Sairaanhoitaja"}]}},
  {"resource": {"resourceType": "PractitionerRole", "id": "nurse-1", "practitioner": {"reference": "Practitioner/nurse-1"},
    "organization": {"reference": "Organization/station"}}}]}`

const population = `{"resourceType": "Bundle", "type": "collection", "entry": [
  {"resource": {"resourceType": "Patient", "id": "p1", "identifier": [{"system": "urn:oid:1.2.246.21", "value": "170588-9102"}],
    "name": [{"family": "Esimerkki", "given": ["Aino"]}], "birthDate": "1988-05-17"}}]}`

func newCounty(t *testing.T) *county {
	t.Helper()
	c := &county{dir: t.TempDir(), keys: map[string]*auth.Key{}}
	key, err := auth.NewClientKey()
	require.NoError(t, err)
	c.keys["ehr"] = key
	text, err := key.MarshalJWK()
	require.NoError(t, err)
	var members map[string]any
	require.NoError(t, json.Unmarshal(text, &members))
	delete(members, "d") // the private part
	set, err := json.Marshal(map[string]any{"keys": []any{members}})
	require.NoError(t, err)
	for name, text := range map[string]string{
		"ehr.jwks": string(set), "clients.yaml": clients, "directory.json": directory, "population.json": population,
	} {
		require.NoError(t, os.WriteFile(c.path(name), []byte(text), 0o600))
	}
	return c
}

func (c *county) path(name string) string { return filepath.Join(c.dir, name) }

// settings are the county's, for a store.
func (c *county) settings(store string, more map[string]string) map[string]string {
	out := map[string]string{
		"SOTESILTA_STORE": store, "SOTESILTA_KEYS": c.path("keys"), "SOTESILTA_CLIENTS": c.path("clients.yaml"),
		"SOTESILTA_PUBLISH":            c.path("directory.json") + "," + c.path("population.json"),
		"SOTESILTA_PUBLIC_CONTROLLERS": "Organization/county", "SOTESILTA_MLLP_ADDR": "off",
		"SOTESILTA_RATE": "1000000",
	}
	for name, value := range more {
		out[name] = value
	}
	return out
}

// node is a gateway that runs.
type node struct {
	t    *testing.T
	root string // where it is asked
	says *gatewaytest.Output
	cmd  *exec.Cmd
	end  chan error
}

// start starts a gateway with settings, on addresses that are free, and does not wait for it.
func start(t *testing.T, settings map[string]string, args ...string) *node {
	t.Helper()
	return startAs(t, settings, func(*exec.Cmd) {}, args...)
}

// startAs is start of a command that is changed before.
func startAs(t *testing.T, settings map[string]string, change func(*exec.Cmd), args ...string) *node {
	t.Helper()
	binary, err := gatewaytest.Binary()
	require.NoError(t, err)
	free, err := gatewaytest.NewEnvironment("", "")
	require.NoError(t, err)
	n := &node{t: t, root: "http://" + free.Addr, says: &gatewaytest.Output{}, cmd: exec.Command(binary, args...), end: make(chan error, 1)}
	for _, pair := range free.Variables() {
		if !strings.HasPrefix(pair, "SOTESILTA_") {
			n.cmd.Env = append(n.cmd.Env, pair)
		}
	}
	n.cmd.Env = append(n.cmd.Env, "SOTESILTA_ADDR="+free.Addr, "SOTESILTA_ADMIN_ADDR="+free.Admin)
	for name, value := range settings {
		n.cmd.Env = append(n.cmd.Env, name+"="+value)
	}
	n.cmd.Stderr, n.cmd.Stdout = n.says, n.says
	change(n.cmd)
	require.NoError(t, n.cmd.Start())
	go func() { n.end <- n.cmd.Wait() }()
	t.Cleanup(n.kill)
	return n
}

// serving waits until the gateway is ready.
func (n *node) serving() *node {
	n.t.Helper()
	require.Eventually(n.t, func() bool {
		select {
		case err := <-n.end:
			n.end <- err
			require.NoError(n.t, err, n.says.String())
		default:
		}
		res, err := http.Get(n.root + "/readyz")
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	}, time.Minute, 20*time.Millisecond, "%s", n.says)
	return n
}

// kill ends the gateway as kill -9 does.
func (n *node) kill() {
	_ = n.cmd.Process.Kill()
	n.end <- <-n.end
}

// stop ends the gateway in the orderly way.
func (n *node) stop() {
	n.t.Helper()
	require.NoError(n.t, n.cmd.Process.Signal(syscall.SIGTERM))
	err := <-n.end
	n.end <- err
	require.NoError(n.t, err, n.says.String())
}

// worker is the nurse at one of the nodes.
type worker struct {
	t     *testing.T
	node  *node
	token string
}

// nurse logs in at a node. base is the gateway's public root.
func (c *county) nurse(t *testing.T, n *node, base string) *worker {
	t.Helper()
	assertion, err := auth.Assertion(c.keys["ehr"], "ehr", base+auth.TokenPath, auth.Claims{User: "nurse-1"})
	require.NoError(t, err)
	token, err := auth.Fetch(t.Context(), n.root+auth.TokenPath, assertion, "")
	require.NoError(t, err, n.says.String())
	return &worker{t, n, token.Authorization()}
}

// try sends a request; 0 when there was no answer.
func (w *worker) try(ctx context.Context, method, path, body string) (int, *fhir.Value) {
	req, err := http.NewRequestWithContext(ctx, method, w.node.root+"/fhir/"+path, strings.NewReader(body))
	require.NoError(w.t, err)
	req.Header.Set("Authorization", w.token)
	req.Header.Set("Content-Type", "application/fhir+json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, nil
	}
	doc, err := fhir.Parse(text, fhir.DefaultLimits)
	require.NoError(w.t, err, "%s %s: %d %s", method, path, res.StatusCode, text)
	return res.StatusCode, doc
}

func (w *worker) create(doc string) *fhir.Value {
	w.t.Helper()
	v, err := fhir.Parse([]byte(doc), fhir.DefaultLimits)
	require.NoError(w.t, err)
	status, got := w.try(w.t.Context(), "POST", fhir.ResourceType(v), doc)
	require.Equal(w.t, http.StatusCreated, status, "%s", got.JSON())
	return got
}

// relate records that the client is the health station's.
func (w *worker) relate() {
	w.create(`{"resourceType":"EpisodeOfCare","status":"active","patient":{"reference":"Patient/p1"},
		"managingOrganization":{"reference":"Organization/station"},"period":{"start":"2026-01-01"}}`)
}

const appointment = `{"resourceType":"Appointment","status":"booked","start":"2027-03-10T10:00:00+02:00","end":"2027-03-10T10:30:00+02:00",
	"participant":[{"actor":{"reference":"Patient/p1"},"status":"accepted"},{"actor":{"reference":"PractitionerRole/nurse-1"},"status":"accepted"}]}`

// arrival is a message that came.
type arrival struct {
	control string // MSH-10
	at      time.Time
}

// listener is the health station's own system, which takes messages.
type listener struct {
	addr string
	mu   sync.Mutex
	came []arrival
}

// listen takes messages until the test ends.
func listen(t *testing.T) *listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	l := &listener{addr: ln.Addr().String()}
	go hl7v2.Converse(ln, l.take)
	return l
}

func (l *listener) take(message *hl7v2.Message) (*hl7v2.Message, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.came = append(l.came, arrival{message.Get("MSH-10"), time.Now()})
	return hl7v2.Acknowledge(message.Header(), hl7v2.Ack{Code: "AA", ControlID: fmt.Sprint("A", len(l.came)), Time: time.Now()}), true
}

// arrived are the messages that came so far.
func (l *listener) arrived() []arrival {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]arrival(nil), l.came...)
}
