package load

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
	"strconv"
	"strings"
	"sync"
	"time"
)

// Root is the project's folder.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

// Build builds the gateway into dir and answers the path of the binary. SOTESILTA's own environment is left alone;
// GOFLAGS applies as for any build.
func Build(ctx context.Context, dir string) (string, error) {
	path := filepath.Join(dir, "gateway")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, "./gateway")
	cmd.Dir = Root()
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./gateway: %w\n%s", err, out)
	}
	return path, nil
}

// Process is a server that runs beside us.
type Process struct {
	Addr  string // host:port
	cmd   *exec.Cmd
	out   *tail
	ended chan struct{}
	err   error // how it ended
}

// Gateway is a running gateway.
type Gateway struct {
	*Process
	Root  string // http://host:port
	Admin string // host:port
	Keys  string // folder
	Store string
	// Ready is the time from the start of the process until /readyz answered 200.
	Ready time.Duration
}

// Config is how a gateway is started.
type Config struct {
	Binary string
	Store  string // SOTESILTA_STORE
	Keys   string // folder of keys; made when missing
	Redis  string // SOTESILTA_REDIS_URL; empty: none
	Addr   string // host:port; empty: a free one
}

// readyTime is how long a start may take on a crowded machine.
const readyTime = 60 * time.Second

// Start starts the sandbox's county without its journey, as separate process, and waits until it is ready.
func Start(ctx context.Context, c Config) (*Gateway, error) {
	addrs, err := freeAddrs(2)
	if err != nil {
		return nil, err
	}
	if c.Addr != "" {
		addrs[0] = c.Addr
	}
	g := &Gateway{Root: "http://" + addrs[0], Admin: addrs[1], Keys: c.Keys, Store: c.Store}
	begun := time.Now()
	g.Process, err = StartProcess(addrs[0], Environment(c.Store, c.Keys, "SOTESILTA_ADDR="+addrs[0],
		"SOTESILTA_ADMIN_ADDR="+addrs[1], "SOTESILTA_MLLP_ADDR=off", "SOTESILTA_REDIS_URL="+c.Redis),
		c.Binary, "sandbox", "--no-journey")
	if err != nil {
		return nil, err
	}
	if err := g.Await(ctx, "/readyz"); err != nil {
		return nil, errors.Join(err, g.Kill())
	}
	g.Ready = time.Since(begun)
	return g, nil
}

// Environment is ours without any SOTESILTA_ variable but the store, the keys and more.
func Environment(store, keys string, more ...string) []string {
	var env []string
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "SOTESILTA_") {
			env = append(env, pair)
		}
	}
	return append(append(env, "SOTESILTA_STORE="+store, "SOTESILTA_KEYS="+keys), more...)
}

// StartProcess starts a server that will listen on addr.
func StartProcess(addr string, env []string, name string, args ...string) (*Process, error) {
	p := &Process{Addr: addr, cmd: exec.Command(name, args...), out: &tail{}, ended: make(chan struct{})}
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = env, io.Discard, p.out
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// Await waits until a path answers 200.
func (p *Process) Await(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	for {
		if status, _, err := p.Get(path); err == nil && status == http.StatusOK {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("the server ended (%v): %s", p.err, p.out)
		case <-ctx.Done():
			return fmt.Errorf("the server did not become ready: %s", p.out)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// Get reads a small document.
func (p *Process) Get(path string) (status int, body []byte, err error) {
	c, err := Dial(p.Addr)
	if err != nil {
		return 0, nil, err
	}
	defer c.Close()
	a, err := c.Do(NewRequest("GET", p.Addr, path, nil))
	if err != nil {
		return 0, nil, err
	}
	return a.Status, a.Body, nil
}

// PID is the process's number.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Kill ends the process at once, without a chance to tidy up, and waits for its end.
func (p *Process) Kill() error {
	err := p.cmd.Process.Kill()
	<-p.ended
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// Stop asks the process to end, and waits.
func (p *Process) Stop() error {
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.ended:
		return p.err
	case <-time.After(readyTime):
		return errors.Join(errors.New("the server did not stop"), p.Kill())
	}
}

// Usage is what a process has used so far.
type Usage struct {
	CPU  time.Duration // of all its threads, user and system
	RSS  int64         // bytes in memory now
	Peak int64         // bytes in memory at most
}

// Usage reads /proc; on systems without it everything is zero.
func (p *Process) Usage() Usage {
	var u Usage
	dir := "/proc/" + strconv.Itoa(p.PID())
	if stat, err := os.ReadFile(dir + "/stat"); err == nil {
		// The name, in brackets, may hold anything; fields 14 and 15 are ticks of a hundredth of a second.
		if _, rest, ok := bytes.Cut(stat, []byte(") ")); ok {
			fields := bytes.Fields(rest)
			for _, f := range fields[11:13] {
				ticks, _ := strconv.ParseInt(string(f), 10, 64)
				u.CPU += time.Duration(ticks) * 10 * time.Millisecond
			}
		}
	}
	if status, err := os.ReadFile(dir + "/status"); err == nil {
		for line := range strings.Lines(string(status)) {
			name, value, _ := strings.Cut(line, ":")
			kb, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			switch name {
			case "VmRSS":
				u.RSS = kb << 10
			case "VmHWM":
				u.Peak = kb << 10
			}
		}
	}
	return u
}

// LedgerSize is the size that the newest signed checkpoint tells (C2SP tlog-checkpoint: its second line).
func (g *Gateway) LedgerSize() (int64, error) {
	status, body, err := g.Get("/ledger/checkpoint")
	if err != nil {
		return 0, err
	}
	lines := strings.Split(string(body), "\n")
	if status != http.StatusOK || len(lines) < 3 {
		return 0, fmt.Errorf("/ledger/checkpoint answered %d", status)
	}
	return strconv.ParseInt(lines[1], 10, 64)
}

// Settled waits until the ledger has at least want records in its tree and grows no more, and answers its size.
func (g *Gateway) Settled(ctx context.Context, want int64) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	last, still := int64(-1), 0
	for {
		size, err := g.LedgerSize()
		if err != nil {
			return 0, err
		}
		if still++; size != last {
			last, still = size, 0
		}
		if size >= want && still >= 5 || still >= 200 {
			return size, nil
		}
		select {
		case <-ctx.Done():
			return size, ctx.Err()
		case <-time.After(25 * time.Millisecond):
		}
	}
}

// freeAddrs are loopback addresses that nobody listens on.
func freeAddrs(n int) ([]string, error) {
	var addrs []string
	for range n {
		var l net.Listener
		var err error
		for range 100 { // below the ports of outgoing connections
			if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 12000+rand.IntN(20000))); err == nil {
				break
			}
		}
		if err != nil {
			return nil, err
		}
		defer l.Close()
		addrs = append(addrs, l.Addr().String())
	}
	return addrs, nil
}

// FreeAddr is a loopback address that nobody listens on.
func FreeAddr() (string, error) {
	addrs, err := freeAddrs(1)
	if err != nil {
		return "", err
	}
	return addrs[0], nil
}

// tail keeps the end of what a process says.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if over := len(t.text) - 4096; over > 0 {
		t.text = t.text[over:]
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}
