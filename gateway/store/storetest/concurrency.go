package storetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/search"
	"sotesilta/gateway/store"
)

func testConcurrency(t *testing.T, e Engine) {
	place := e.Fresh(t)
	stores := []store.Store{reopen(t, e, place), reopen(t, e, place)}

	t.Run("lets one of many win a version", func(t *testing.T) {
		for version := int64(1); version <= 5; version++ {
			var won, facts, keys, used atomic.Int32
			race(16, func(i int) {
				s := stores[i%2]
				r := row(class("Task", "aino"), "raced", version, search.Index{
					Tokens: []search.TokenEntry{{Param: "status", Code: fmt.Sprintf("by-%d", i)}},
				})
				count(t, &won, s.Commit(t.Context(), store.Change{Put: []store.Row{r}, Records: []ledger.Record{record()}}), store.ErrStale)
				count(t, &facts, s.Commit(t.Context(), store.Change{
					Facts: []*consent.Facts{{Client: "aino", Version: version, Person: consent.Person{Turvakielto: i%2 == 0}}}, Records: []ledger.Record{record()},
				}), store.ErrStale)
				count(t, &keys, s.Commit(t.Context(), store.Change{
					Expect: []store.Expect{{Key: "condition", Version: version - 1}}, Keys: []string{"condition"}, Records: []ledger.Record{record()},
				}), store.ErrStale)
				count(t, &used, s.Commit(t.Context(), store.Change{
					Once: []store.Once{{Key: fmt.Sprint("jti", version), Until: time.Now().Add(time.Hour)}},
				}), store.ErrUsed)
			})
			require.EqualValues(t, 1, won.Load(), "rows")
			require.EqualValues(t, 1, facts.Load(), "facts")
			require.EqualValues(t, 1, keys.Load(), "keys")
			require.EqualValues(t, 1, used.Load(), "once")
		}
		found := find(t, stores[0], &search.Query{Type: "Task", Count: 10, Where: []search.Clause{{Param: pStatus, Modifier: "missing", Values: []search.Value{{Missing: false}}}}}, everything())
		require.Len(t, found.Matches, 1)
		require.EqualValues(t, 5, found.Matches[0].Version)
	})
	t.Run("keeps what was expected until the commit", func(t *testing.T) {
		// Each of two changes expects what the other writes: at most one may hold (no write skew).
		for i := range 30 {
			a, b := fmt.Sprintf("a%d", i), fmt.Sprintf("b%d", i)
			var won atomic.Int32
			race(2, func(me int) {
				mine, others := a, b
				if me == 1 {
					mine, others = b, a
				}
				count(t, &won, stores[me].Commit(t.Context(), store.Change{
					Expect: []store.Expect{{Type: "Task", ID: others}, {Client: others}},
					Put:    []store.Row{row(class("Task", "aino"), mine, 1, search.Index{})},
					Facts:  []*consent.Facts{{Client: mine, Version: 1}}, Records: []ledger.Record{record()},
				}), store.ErrStale)
			})
			require.EqualValues(t, 1, won.Load())
		}
		for i := range 30 {
			a, b := fmt.Sprintf("there-a%d", i), fmt.Sprintf("there-b%d", i)
			commit(t, stores[0], store.Change{
				Put:   []store.Row{row(class("Task", "aino"), a, 1, search.Index{}), row(class("Task", "aino"), b, 1, search.Index{})},
				Facts: []*consent.Facts{{Client: a, Version: 1}, {Client: b, Version: 1}}, Keys: []string{a, b},
			})
			var won atomic.Int32
			race(2, func(me int) {
				mine, others := a, b
				if me == 1 {
					mine, others = b, a
				}
				c := store.Change{Records: []ledger.Record{record()}}
				switch i % 3 {
				case 0:
					c.Expect = []store.Expect{{Type: "Task", ID: others, Version: 1}}
					c.Put = []store.Row{row(class("Task", "aino"), mine, 2, search.Index{})}
				case 1:
					c.Expect = []store.Expect{{Client: others, Version: 1}}
					c.Facts = []*consent.Facts{{Client: mine, Version: 2}}
				case 2:
					c.Expect = []store.Expect{{Key: others, Version: 1}}
					c.Keys = []string{mine}
				}
				count(t, &won, stores[me].Commit(t.Context(), c), store.ErrStale)
			})
			require.EqualValues(t, 1, won.Load())
		}
	})
	t.Run("shares a commit without sharing its fate", func(t *testing.T) {
		s := stores[0]
		var good, stale atomic.Int32
		race(64, func(i int) {
			c := store.Change{Put: []store.Row{row(class("Task", "onni"), fmt.Sprintf("batch-%d", i), 1, search.Index{})}, Records: []ledger.Record{record()}}
			if i%4 == 0 {
				c.Expect = []store.Expect{{Type: "Task", ID: "raced", Version: 99}}
			}
			switch err := retry(t.Context(), s, c); {
			case err == nil:
				good.Add(1)
			case errors.Is(err, store.ErrStale):
				stale.Add(1)
			default:
				t.Error(err)
			}
		})
		require.EqualValues(t, 48, good.Load())
		require.EqualValues(t, 16, stale.Load())
	})
	t.Run("gives every listener every event, in order", func(t *testing.T) {
		start := events(t, stores[0], 0)
		after := int64(0)
		if len(start) > 0 {
			after = start[len(start)-1].Seq
		}
		done := make(chan struct{})
		var seen []store.Event
		var listening sync.WaitGroup
		listening.Add(1)
		go func() {
			defer listening.Done()
			for last := false; ; {
				got := events(t, stores[1], after)
				for _, ev := range got {
					after = ev.Seq
				}
				seen = append(seen, got...)
				if last {
					return
				}
				select {
				case <-done:
					last = true
				default:
				}
			}
		}()
		race(16, func(i int) {
			for v := int64(1); v <= 10; v++ {
				id := fmt.Sprintf("ev-%d", i)
				if err := retry(t.Context(), stores[(i+int(v))%2], store.Change{
					Put:     []store.Row{row(class("Task", "aino"), id, v, search.Index{})},
					Events:  []store.Event{{Type: "Task", ID: id, Version: v, Interaction: "update", Time: noon}},
					Records: []ledger.Record{record()},
				}); err != nil {
					t.Error(err)
				}
			}
		})
		close(done)
		listening.Wait()
		require.Len(t, seen, 160, "none is missed by one who listens while others commit")
		last := map[string]int64{}
		for i, ev := range seen {
			require.Equal(t, last[ev.ID]+1, ev.Version, "in the order of the row's versions")
			last[ev.ID] = ev.Version
			if i > 0 {
				require.Greater(t, ev.Seq, seen[i-1].Seq)
			}
		}
	})
	t.Run("counts each node's entries without gaps", func(t *testing.T) {
		entries := all(t, stores[0].Ledger().Pending(t.Context()))
		intact(t, entries)
		nodes := map[string]bool{}
		for _, entry := range entries {
			nodes[entry.Node] = true
		}
		require.Len(t, nodes, 2)
	})
}

// race runs f n times at once.
func race(n int, f func(i int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Add(1)
		go func() {
			defer wg.Done()
			<-start
			f(i)
		}()
	}
	close(start)
	wg.Wait()
}

// count counts a commit that held; any failure but the one allowed is an error.
func count(t testing.TB, won *atomic.Int32, err, allowed error) {
	switch {
	case err == nil:
		won.Add(1)
	case !errors.Is(err, allowed):
		t.Error(err)
	}
}

func testReopen(t *testing.T, e Engine) {
	place := e.Fresh(t)
	s, err := e.Open(t.Context(), place)
	require.NoError(t, err)
	x := search.Index{Tokens: []search.TokenEntry{{Param: "status", Code: "draft"}}}
	r := record()
	commit(t, s, store.Change{
		Put: []store.Row{row(class("Task", "aino"), "1", 1, x)}, Facts: []*consent.Facts{{Client: "aino", Version: 1}},
		Keys: []string{"k"}, Events: []store.Event{{Type: "Task", ID: "1", Version: 1, Interaction: "create", Time: noon}},
		Once:    []store.Once{{Key: "jti", Until: time.Now().Add(time.Hour)}},
		Records: []ledger.Record{r},
	})
	_, err = s.Sequence(t.Context(), "one", 10, func(context.Context, ledger.Source, int64, []ledger.Entry) ([]byte, error) {
		return []byte("note"), nil
	})
	require.NoError(t, err)
	require.NoError(t, s.Ping(t.Context()))
	require.NoError(t, s.Close())
	require.NoError(t, s.Close(), "again")
	require.Error(t, s.Commit(t.Context(), store.Change{Records: []ledger.Record{record()}}))

	s = reopen(t, e, place)
	n := snapshot(t, s)
	got, err := n.Get(t.Context(), "Task", "1")
	require.NoError(t, err)
	want := row(class("Task", "aino"), "1", 1, search.Index{})
	require.Equal(t, want, got)
	found, err := n.Search(t.Context(), &search.Query{Type: "Task", Count: 1, Where: []search.Clause{token("", "status", "", "draft")}}, everything())
	require.NoError(t, err)
	require.Len(t, found.Matches, 1)
	facts, err := n.Facts(t.Context(), "aino")
	require.NoError(t, err)
	require.EqualValues(t, 1, facts["aino"].Version)
	require.Len(t, events(t, s, 0), 1)
	require.ErrorIs(t, s.Commit(t.Context(), store.Change{Once: []store.Once{{Key: "jti", Until: time.Now().Add(time.Hour)}}}), store.ErrUsed)
	require.Len(t, all(t, s.Ledger().Checkpoints(t.Context())), 1)
	// A new opening writes a chain of its own.
	commit(t, s, store.Change{Put: []store.Row{row(class("Task", "aino"), "1", 2, x)}})
	entries := append(all(t, s.Ledger().Entries(t.Context(), 0)), all(t, s.Ledger().Pending(t.Context()))...)
	require.Len(t, entries, 2)
	intact(t, entries)
	require.NotEqual(t, entries[0].Node, entries[1].Node)
}

// childPlace names, in the environment of a child process, the place to write at until it is killed.
const childPlace = "STORETEST_PLACE"

// writeUntilKilled commits from many goroutines, and prints the ids of a row and its record when they are durable.
func writeUntilKilled(e Engine, place string) {
	s, err := e.Open(context.Background(), place)
	if err != nil {
		fmt.Println("error", err)
		return
	}
	var out sync.Mutex
	race(16, func(g int) {
		for i := 0; ; i++ {
			id, r := fmt.Sprintf("%d-%d", g, i), record()
			err := retry(context.Background(), s, store.Change{
				Put:     []store.Row{row(class("Task", "aino"), id, 1, search.Index{Tokens: []search.TokenEntry{{Param: "status", Code: "draft"}}})},
				Events:  []store.Event{{Type: "Task", ID: id, Version: 1, Interaction: "create", Time: noon, Record: r.ID}},
				Records: []ledger.Record{r},
			})
			out.Lock()
			if err != nil {
				fmt.Println("error", err)
			} else {
				fmt.Println("ok", id, r.ID)
			}
			out.Unlock()
		}
	})
}

func testKill(t *testing.T, e Engine) {
	place := e.Fresh(t)
	for range 3 {
		child := exec.Command(os.Args[0], "-test.run=^$")
		child.Env = append(os.Environ(), childPlace+"="+place)
		child.Stderr = os.Stderr
		pipe, err := child.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, child.Start())
		var acknowledged [][2]string
		lines := bufio.NewScanner(pipe)
		for lines.Scan() {
			f := strings.Fields(lines.Text())
			if len(f) != 3 || f[0] != "ok" {
				t.Error(lines.Text())
				break
			}
			acknowledged = append(acknowledged, [2]string{f[1], f[2]})
			if len(acknowledged) == 400 {
				require.NoError(t, child.Process.Kill()) // SIGKILL, in mid-load
			}
		}
		_ = child.Wait()
		require.GreaterOrEqual(t, len(acknowledged), 400)

		s, err := e.Open(t.Context(), place)
		require.NoError(t, err)
		n := opened(t, s)
		for _, a := range acknowledged {
			_, err := n.Get(t.Context(), "Task", a[0])
			require.NoError(t, err, "row of an acknowledged commit")
			_, err = n.Entry(t.Context(), a[1])
			require.NoError(t, err, "record of an acknowledged commit")
		}
		rows, err := n.Search(t.Context(), &search.Query{Type: "Task", Summary: true, Total: true, Where: []search.Clause{token("", "status", "", "draft")}}, everything())
		require.NoError(t, err)
		require.NoError(t, n.Close())
		// Whole or not at all: as many rows as records and events.
		entries := all(t, s.Ledger().Pending(t.Context()))
		intact(t, entries)
		require.EqualValues(t, len(entries), rows.Total)
		require.Len(t, events(t, s, 0), len(entries))
		require.NoError(t, s.Close())
		place = e.Fresh(t) // the next child begins at an empty place, as the ids begin anew
	}
}
