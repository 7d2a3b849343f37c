// Package gatewaytest runs the real gateway as a process of its own, for tests that speak to it as outsiders do: HTTP
// with tokens by private_key_jwt, MLLP over a socket, and nothing else.
//
// The binary is built once per test process (or taken from GATEWAYTEST_BINARY, for another build of it). Each answers
// the same table on both stores:
//
//	func TestMain(m *testing.M) { os.Exit(gatewaytest.Main(m)) }
//	func TestSomething(t *testing.T) { gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) { … }) }
//
// Whatever a test does, every answer, the logs and the metrics are looked through for identity codes (law 11): an
// error, a header, a link, an AuditEvent or a log line with one fails the test process.
package gatewaytest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sotesilta/consent"
	"sotesilta/gateway/auth"
)

// Gateway is one running process: a sandbox with its county and without the journey.
type Gateway struct {
	Root    string // public root, such as http://127.0.0.1:40001
	Admin   string // root of metrics and profiling
	MLLP    string // address of the HL7 v2 listener
	Store   string // SOTESILTA_STORE
	Keys    string // SOTESILTA_KEYS
	process *exec.Cmd
	env     []string
	ended   chan error
	Stdout  *Output
	Stderr  *Output

	mu     sync.Mutex
	tokens map[string]auth.Token
	leaks  []string
}

// Output is what a process wrote so far; safe for concurrent use.
type Output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

// String is all of it.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// ProjectRoot is the folder of go.mod.
func ProjectRoot() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

// Binary is the path of the built gateway.
func Binary() (string, error) { return build() }

var build = sync.OnceValues(func() (string, error) {
	if given := os.Getenv("GATEWAYTEST_BINARY"); given != "" {
		return given, nil
	}
	dir, err := os.MkdirTemp("", "gatewaytest-binary-")
	if err != nil {
		return "", err
	}
	atEnd(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil { // other users may run it
		return "", err
	}
	path := filepath.Join(dir, "gateway")
	cmd := exec.Command("go", "build", "-o", path, "./gateway")
	cmd.Dir = ProjectRoot()
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./gateway: %w\n%s", err, out)
	}
	return path, nil
})

var (
	endings   []func()
	endingsMu sync.Mutex
)

func atEnd(f func()) {
	endingsMu.Lock()
	endings = append(endings, f)
	endingsMu.Unlock()
}

// Main runs a package's tests and then ends what they shared. It answers the exit code, which is not 0 when a test
// failed or an identity code stood where none may.
func Main(m *testing.M) int {
	code := m.Run()
	for _, store := range shared.gateways() {
		if err := store.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "gatewaytest:", err)
			code = 1
		}
	}
	endingsMu.Lock()
	defer endingsMu.Unlock()
	for i := len(endings) - 1; i >= 0; i-- {
		endings[i]()
	}
	return code
}

// Environment is the gateway's environment for a store: ports that are free now, and its own folder of keys.
type Environment struct {
	Store, Keys       string
	Addr, Admin, MLLP string
}

// NewEnvironment makes one for a store.
func NewEnvironment(store, dir string) (Environment, error) {
	e := Environment{Store: store, Keys: filepath.Join(dir, "keys")}
	for _, addr := range []*string{&e.Addr, &e.Admin, &e.MLLP} {
		l, err := listen()
		if err != nil {
			return e, err
		}
		defer l.Close() // after all three are known, so that they differ
		*addr = l.Addr().String()
	}
	return e, nil
}

// listen takes a free port below those that the kernel gives to outgoing connections, of which tests make thousands: one
// of them would take the port before the gateway does.
func listen() (l net.Listener, err error) {
	for range 100 {
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 12000+rand.IntN(20000))); err == nil {
			return l, nil
		}
	}
	return nil, err
}

// Variables are the environment of a process: this machine's without any of ours, and this one's.
func (e Environment) Variables() []string {
	var env []string
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "SOTESILTA_") {
			env = append(env, pair)
		}
	}
	return append(env, "SOTESILTA_ADDR="+e.Addr, "SOTESILTA_ADMIN_ADDR="+e.Admin, "SOTESILTA_MLLP_ADDR="+e.MLLP,
		"SOTESILTA_STORE="+e.Store, "SOTESILTA_KEYS="+e.Keys)
}

// start starts a sandbox and waits until it is ready; on other ports when somebody else was faster.
func start(store, dir string) (g *Gateway, err error) {
	for range 3 {
		if g, err = startOnce(store, dir); err == nil || !strings.Contains(err.Error(), "address already in use") {
			break
		}
	}
	return g, err
}

func startOnce(store, dir string) (*Gateway, error) {
	binary, err := Binary()
	if err != nil {
		return nil, err
	}
	e, err := NewEnvironment(store, dir)
	if err != nil {
		return nil, err
	}
	g := &Gateway{
		Root: "http://" + e.Addr, Admin: "http://" + e.Admin, MLLP: e.MLLP, Store: store, Keys: e.Keys,
		env: e.Variables(), ended: make(chan error, 1), Stdout: &Output{}, Stderr: &Output{}, tokens: map[string]auth.Token{},
	}
	g.process = exec.Command(binary, "sandbox", "--no-journey")
	g.process.Env, g.process.Stdout, g.process.Stderr = g.env, g.Stdout, g.Stderr
	if err := g.process.Start(); err != nil {
		return nil, err
	}
	go func() { g.ended <- g.process.Wait() }()
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		res, err := client.Get(g.Root + "/readyz")
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return g, nil
			}
		}
		select {
		case err := <-g.ended:
			return nil, fmt.Errorf("the gateway ended before it was ready: %v\n%s%s", err, g.Stdout, g.Stderr)
		default:
		}
		if time.Now().After(deadline) {
			g.process.Process.Kill()
			return nil, fmt.Errorf("the gateway is not ready after a minute\n%s%s", g.Stdout, g.Stderr)
		}
	}
}

// Run runs another command of the gateway in this one's environment, such as verify, and answers its exit code and
// what it wrote.
func (g *Gateway) Run(ctx context.Context, args ...string) (int, string) {
	return RunIn(ctx, g.env, args...)
}

// RunIn runs a command of the gateway in an environment.
func RunIn(ctx context.Context, env []string, args ...string) (int, string) {
	binary, err := Binary()
	if err != nil {
		return -1, err.Error()
	}
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = env
	out, err := cmd.CombinedOutput()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		return -1, err.Error()
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// Close ends the process in the orderly way and tells whether anything was where it may not be.
func (g *Gateway) Close() error {
	g.watchMetrics()
	if err := g.process.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("the gateway had ended by itself: %w\n%s", err, g.Stderr)
	}
	select {
	case err := <-g.ended:
		if err != nil {
			return fmt.Errorf("the gateway did not end well: %w\n%s", err, g.Stderr)
		}
	case <-time.After(20 * time.Second):
		g.process.Process.Kill()
		return errors.New("the gateway did not end within 20 s of SIGTERM")
	}
	// Whatever the tests did, its records are enough to decide it again, with the same answers (design, law 8).
	if code, out := g.Run(context.Background(), "replay", "--sandbox"); code != 0 {
		return fmt.Errorf("replay of the ledger ends with code %d:\n%s", code, out)
	}
	g.watch("standard error", g.Stderr.String())
	g.watch("standard output", g.Stdout.String())
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.leaks) > 0 {
		return fmt.Errorf("identity codes where none may be (law 11):\n%s", strings.Join(g.leaks, "\n"))
	}
	if strings.Contains(g.Stderr.String(), "panic") {
		return fmt.Errorf("the gateway panicked:\n%s", g.Stderr)
	}
	return nil
}

func (g *Gateway) watchMetrics() {
	res, err := client.Get(g.Admin + "/metrics")
	if err != nil {
		g.leak("metrics cannot be read: " + err.Error())
		return
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	g.watch("metrics", string(text))
}

// token is an access token of a user of a client ("" for the client itself).
func (g *Gateway) token(p *Party) (auth.Token, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	name := p.name()
	if token, ok := g.tokens[name]; ok && time.Until(token.Expires) > 20*time.Second {
		return token, nil
	}
	key, err := auth.ReadClientKey(g.Keys, p.Client)
	if err != nil {
		return auth.Token{}, err
	}
	assertion, err := auth.Assertion(key, p.Client, g.TokenURL(), auth.Claims{User: p.User, Purpose: p.Purpose, Ground: p.Ground})
	if err != nil {
		return auth.Token{}, err
	}
	token, err := auth.Fetch(context.Background(), g.TokenURL(), assertion, p.Scope)
	if err == nil {
		g.tokens[name] = token
	}
	return token, err
}

// TokenURL is the address of the token endpoint.
func (g *Gateway) TokenURL() string { return g.Root + auth.TokenPath }

// As is a user of an API client, at its ordinary work; user "" is the client itself.
func (g *Gateway) As(client, user string) *Party {
	return &Party{g: g, Client: client, User: user}
}

// The people of the county.
func (g *Gateway) Nurse() *Party          { return g.As("jukola-ehr", "nurse") }
func (g *Gateway) Doctor() *Party         { return g.As("jukola-ehr", "doctor") }
func (g *Gateway) SocialWorker() *Party   { return g.As("county-social", "social-worker") }
func (g *Gateway) Counsellor() *Party     { return g.As("county-social", "counsellor") }
func (g *Gateway) DigiNurse() *Party      { return g.As("omaks", "digi-nurse") }
func (g *Gateway) DigiCounsellor() *Party { return g.As("omaks", "digi-counsellor") }
func (g *Gateway) Physician() *Party      { return g.As("private-clinic", "physician") }
func (g *Gateway) Auditor() *Party        { return g.As("auditor", "") }
func (g *Gateway) Operator() *Party       { return g.As("operator", "") }

// NeedAssessment is the social worker who assesses the need of services (703/2023 § 53.5b).
func (g *Gateway) NeedAssessment() *Party {
	p := g.SocialWorker()
	p.Purpose = consent.NeedAssessment
	p.Ground = &consent.Assertion{Ground: "ATL-53.5b", Task: "palvelutarpeen arviointi", Reason: "SHL 36 §"}
	return p
}
