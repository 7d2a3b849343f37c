package gatewaytest

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"sotesilta/gateway/store/pgtest"
)

// engine is a kind of store that the tests run on.
type engine struct {
	name string
	// open makes an empty store and answers its SOTESILTA_STORE. dir is a folder of the store's own. It skips or
	// fails the test when the engine cannot be had.
	open func(tb testing.TB, dir string) string
}

var engines = []engine{
	{"sqlite", func(_ testing.TB, dir string) string { return "sqlite:" + filepath.Join(dir, "gateway.db") }},
	{"postgres", func(tb testing.TB, _ string) string { return pgtest.Postgres(tb) }},
}

// lasting is a test whose cleanup waits for the end of the process: what tests share outlives the first of them.
type lasting struct{ testing.TB }

func (l lasting) Cleanup(f func()) { atEnd(f) }

// Error is for cleanups, which run when no test does any more.
func (l lasting) Error(args ...any) { fmt.Fprintln(os.Stderr, args...) }

// shared are the gateways that read-only tests share, one per engine.
var shared sharing

type sharing struct {
	mu   sync.Mutex
	open map[string]*Gateway
	errs map[string]error
}

func (s *sharing) gateways() []*Gateway {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*Gateway
	for _, g := range s.open {
		all = append(all, g)
	}
	return all
}

func (s *sharing) get(t *testing.T, e engine) *Gateway {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := s.open[e.name]; g != nil {
		return g
	}
	if err := s.errs[e.name]; err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "gatewaytest-"+e.name+"-")
	if err != nil {
		t.Fatal(err)
	}
	atEnd(func() { os.RemoveAll(dir) })
	g, err := start(e.open(lasting{t}, dir), dir)
	if err != nil {
		if s.errs == nil {
			s.errs = map[string]error{}
		}
		s.errs[e.name] = err
		t.Fatal(err)
	}
	if s.open == nil {
		s.open = map[string]*Gateway{}
	}
	s.open[e.name] = g
	return g
}

// Each runs a test on every store, with a gateway that the package's tests share: they read what the county holds, and
// write only what no other test looks at.
func Each(t *testing.T, test func(t *testing.T, g *Gateway)) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel() // with the other store
			test(t, shared.get(t, e))
		})
	}
}

// Own runs a test on every store, with a fresh gateway of its own.
func Own(t *testing.T, test func(t *testing.T, g *Gateway)) {
	EachStore(t, func(t *testing.T, store, dir string) {
		g, err := start(store, dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := g.Close(); err != nil {
				t.Error(err)
			}
		})
		test(t, g)
	})
}

// EachStore runs a test on a fresh store of every kind; dir is a folder for keys.
func EachStore(t *testing.T, test func(t *testing.T, store, dir string)) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			test(t, e.open(t, dir), dir)
		})
	}
}

// Another starts another node over the same database and keys, for the length of the test. SQLite has one node only.
func (g *Gateway) Another(t *testing.T) *Gateway {
	t.Helper()
	node, err := start(g.Store, filepath.Dir(g.Keys))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := node.Close(); err != nil {
			t.Error(err)
		}
	})
	return node
}
