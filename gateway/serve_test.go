package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/auth"
)

// production is a folder with what serve needs: registered clients with their public keys, and what is published.
type production struct {
	dir  string
	keys map[string]*auth.Key
}

func newProduction(t *testing.T) *production {
	t.Helper()
	for _, name := range variables {
		t.Setenv(name, "")
		require.NoError(t, os.Unsetenv(name))
	}
	p := &production{dir: t.TempDir(), keys: map[string]*auth.Key{}}
	clients := `clients:
  - {id: ehr, name: EHR, controller: Organization/county, register: health, units: [{id: Organization/station, name: Station}],
     scopes: ["system/*.cruds"], purposes: [care], jwksFile: ehr.jwks,
     users: [{id: nurse, name: Nina, person: Practitioner/nurse, role: PractitionerRole/nurse, unit: Organization/station, task: "3.1", service: "4.1"}]}
  - {id: auditor, name: Auditor, kind: auditor, controller: Organization/county, scopes: [system/AuditEvent.rs], purposes: [supervision], jwksFile: auditor.jwks}
`
	for _, id := range []string{"ehr", "auditor"} {
		p.write(t, id+".jwks", string(p.newKey(t, id)))
	}
	p.write(t, "clients.yaml", clients)
	p.write(t, "population.json", `{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Patient","id":"aino","name":[{"family":"Esimerkki"}]}}]}`)
	return p
}

// newKey makes a client's key and answers its public part as a JWK Set.
func (p *production) newKey(t *testing.T, id string) []byte {
	t.Helper()
	key, err := auth.NewClientKey()
	require.NoError(t, err)
	p.keys[id] = key
	text, err := key.MarshalJWK()
	require.NoError(t, err)
	var members map[string]any
	require.NoError(t, json.Unmarshal(text, &members))
	delete(members, "d") // the private part
	set, err := json.Marshal(map[string]any{"keys": []any{members}})
	require.NoError(t, err)
	return set
}

func (p *production) path(name string) string { return filepath.Join(p.dir, name) }

func (p *production) write(t *testing.T, name, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(p.path(name), []byte(text), 0o600))
}

// args are a command line that serves, with more flags.
func (p *production) args(more ...string) []string {
	return append([]string{
		"serve", "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0", "--store", "sqlite:" + p.path("gateway.db"), "--keys", p.path("keys"),
		"--clients", p.path("clients.yaml"), "--public-controllers", "Organization/county", "--publish", p.path("population.json"),
	}, more...)
}

// refused runs serve, which must end by itself, and answers what it says.
func (p *production) refused(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var out, errs bytes.Buffer
	require.Equal(t, exitFailed, run(ctx, args, &out, &errs), "it does not start: %s", errs.String())
	require.NoError(t, ctx.Err())
	return errs.String()
}

// logs is the log of a running gateway.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) { l.mu.Lock(); defer l.mu.Unlock(); return l.b.Write(p) }

func (l *logs) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }

// served runs serve until f is done with its root, and answers its log.
func (p *production) served(t *testing.T, args []string, f func(root string)) string {
	t.Helper()
	return p.running(t, args, func(root string, _ *logs) { f(root) })
}

// running is served with the log as it grows.
func (p *production) running(t *testing.T, args []string, f func(root string, log *logs)) string {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	log, ended := &logs{}, make(chan int, 1)
	go func() { ended <- run(ctx, args, log, log) }()
	serving := regexp.MustCompile(`"msg":"serving".*"fhir":"(http://[^"]+)/fhir"`)
	for {
		if found := serving.FindStringSubmatch(log.String()); found != nil {
			f(found[1], log)
			stop()
			require.Zero(t, <-ended)
			return log.String()
		}
		select {
		case code := <-ended:
			t.Fatalf("it ended with %d: %s", code, log)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func TestServeNamesAllThatIsMissing(t *testing.T) {
	p := newProduction(t)
	said := p.refused(t, "serve")
	for _, name := range []string{"SOTESILTA_STORE", "SOTESILTA_KEYS", "SOTESILTA_CLIENTS"} {
		require.Contains(t, said, name)
	}
	require.NotContains(t, p.refused(t, "serve", "--keys", p.path("keys"), "--clients", p.path("clients.yaml")), "SOTESILTA_KEYS")
}

// TestServeRefuses: what is unsafe or not understood is told by the name of its setting, and nothing is made.
func TestServeRefuses(t *testing.T) {
	p := newProduction(t)
	p.write(t, "typo.yaml", "rate: 5\nstorre: sqlite:x\n")
	p.write(t, "typo-clients.yaml", "clients:\n  - {id: ehr, scopez: [x]}\n")
	p.write(t, "list.yaml", "joint-services:\n  - {service: Service/1, location: Location/1, controller: Organization/county}\n")
	for name, c := range map[string]struct {
		more []string
		says string
	}{
		"no keys":                     {nil, "SOTESILTA_KEYS: the folder of keys " + p.path("keys") + " is not there (serve --init-keys makes it"},
		"tokens in the clear":         {[]string{"--base-url", "http://gw.example"}, "SOTESILTA_BASE_URL: http://gw.example is not https"},
		"an address in the clear":     {[]string{"--addr", "192.0.2.1:8080"}, "SOTESILTA_BASE_URL: http://192.0.2.1:8080 is not https"},
		"metrics for all":             {[]string{"--admin-addr", "0.0.0.0:9090"}, "SOTESILTA_ADMIN_ADDR"},
		"no limits":                   {[]string{"--rate", "0"}, "SOTESILTA_RATE"},
		"a controller that is none":   {[]string{"--public-controllers", "county"}, "SOTESILTA_PUBLIC_CONTROLLERS: "},
		"a switch that is none":       {[]string{"--switches", "O99=on"}, "SOTESILTA_SWITCHES: "},
		"a switch without an answer":  {[]string{"--switches", "O11"}, "SOTESILTA_SWITCHES: "},
		"a joint service of nowhere":  {[]string{"--joint-services", p.path("list.yaml")}, "SOTESILTA_JOINT_SERVICES: "},
		"a source that is nobody":     {[]string{"--mllp-source", "nobody"}, `SOTESILTA_MLLP_SOURCE: "nobody" is not a client of kind system`},
		"a source that is no system":  {[]string{"--mllp-source", "auditor"}, `SOTESILTA_MLLP_SOURCE: "auditor" is not a client of kind system`},
		"a peer that is nobody":       {[]string{"--mllp-peers", "nobody=10.1.2.3"}, `SOTESILTA_MLLP_PEERS: "nobody" is not a client of kind system`},
		"a peer of nobody":            {[]string{"--mllp-peers", "10.1.2.3"}, `SOTESILTA_MLLP_PEERS: "10.1.2.3" is not of the form CLIENT=ADDRESS`},
		"a peer without an address":   {[]string{"--mllp-peers", "ehr=ehr.example"}, `SOTESILTA_MLLP_PEERS: "ehr.example" is neither an IP address nor a network`},
		"a peer in the clear":         {[]string{"--mllp-peers", "ehr=192.0.2.7"}, `SOTESILTA_MLLP_PEERS: inbound: 192.0.2.7/32 is not within this machine or a private network`},
		"a sender from nowhere":       {[]string{"--mllp-senders", "ehr=EHR|STATION"}, "SOTESILTA_MLLP_SENDERS: ehr sends from nowhere"},
		"a sender without a name":     {[]string{"--mllp-senders", "ehr=|STATION"}, "SOTESILTA_MLLP_SENDERS: "},
		"a sender of four names":      {[]string{"--mllp-senders", "ehr=A^B^C^D"}, "SOTESILTA_MLLP_SENDERS: "},
		"a receiver that is nobody":   {[]string{"--mllp-receivers", "nobody=127.0.0.1:2576"}, `SOTESILTA_MLLP_RECEIVERS: "nobody" is not a client of kind system`},
		"a receiver in the clear":     {[]string{"--mllp-receivers", "ehr=192.0.2.7:2576"}, "SOTESILTA_MLLP_RECEIVERS: 192.0.2.7: neither this machine's nor of a private network"},
		"a receiver at two addresses": {[]string{"--mllp-receivers", "ehr=127.0.0.1:2576,ehr=127.0.0.1:2577"}, "SOTESILTA_MLLP_RECEIVERS: ehr has two addresses"},
		"a receiver without a port":   {[]string{"--mllp-receivers", "ehr=127.0.0.1"}, "SOTESILTA_MLLP_RECEIVERS: "},
		"a setting that is a typo":    {[]string{"--config", p.path("typo.yaml")}, "SOTESILTA_CONFIG: " + p.path("typo.yaml") + ": line 2: storre is unknown"},
		"a member that is a typo":     {[]string{"--clients", p.path("typo-clients.yaml")}, "SOTESILTA_CLIENTS: line 2: scopez is unknown"},
		"published data that is none": {[]string{"--publish", p.path("clients.yaml")}, "SOTESILTA_PUBLISH: "},
	} {
		t.Run(name, func(t *testing.T) {
			args := p.args()
			for i := 0; i+1 < len(c.more); i += 2 { // in the place of what is there
				for j, arg := range args {
					if arg == c.more[i] {
						args = append(args[:j:j], args[j+2:]...)
						break
					}
				}
			}
			if name != "no keys" {
				c.more = append(c.more, "--init-keys")
			}
			said := p.refused(t, append(args, c.more...)...)
			require.Contains(t, said, c.says)
			require.NotContains(t, said, "struct", "no words of Go")
			for _, made := range []string{"keys", "gateway.db"} {
				require.NoFileExists(t, p.path(made))
				require.NoDirExists(t, p.path(made))
			}
		})
	}
}

func TestServeMakesTheKeysOfANewGatewayAndServes(t *testing.T) {
	p := newProduction(t)
	log := p.served(t, p.args("--init-keys"), func(root string) {
		token, err := auth.Fetch(t.Context(), root+auth.TokenPath, p.assertion(t, root), "")
		require.NoError(t, err)
		req, err := http.NewRequestWithContext(t.Context(), "GET", root+"/fhir/Patient/aino", nil)
		require.NoError(t, err)
		req.Header.Set("Authorization", token.Authorization())
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		res.Body.Close()
		require.Equal(t, 404, res.StatusCode, "no relationship, no data")
	})
	require.Contains(t, log, `"msg":"keys made"`)
	require.Equal(t, 1, strings.Count(log, `"msg":"no MLLP listener"`))
	for _, name := range keyFiles {
		require.FileExists(t, p.path(filepath.Join("keys", name)))
	}
	var address string
	log = p.served(t, p.args(), func(root string) {
		address = strings.TrimPrefix(root, "http://")
		code, said := ready(t, address)
		require.Zero(t, code)
		require.Equal(t, "ready\n", said)
	})
	require.NotContains(t, log, "keys made")
	code, said := ready(t, address)
	require.Equal(t, exitFailed, code)
	require.Contains(t, said, "not ready: ")

	// The keys are lost, the ledger is not: no others are made for it.
	require.NoError(t, os.Rename(p.path("keys"), p.path("elsewhere")))
	require.Contains(t, p.refused(t, p.args("--init-keys")...), "put back those that signed it")
	require.NoDirExists(t, p.path("keys"))
}

// ready asks the gateway at an address as an orchestrator does.
func ready(t *testing.T, address string) (int, string) {
	t.Helper()
	var said bytes.Buffer
	code := run(t.Context(), []string{"ready", "--addr", address}, &said, &said)
	return code, said.String()
}

// assertion is the nurse's, for the token endpoint of root.
func (p *production) assertion(t *testing.T, root string) string {
	t.Helper()
	text, err := auth.Assertion(p.keys["ehr"], "ehr", root+auth.TokenPath, auth.Claims{User: "nurse"})
	require.NoError(t, err)
	return text
}
