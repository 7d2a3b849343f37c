package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"time"

	"sotesilta/test/load"
)

// A million records in a minute.
const wantVerified = 1_000_000. / 60

// verified is how many records the ledger has that is checked.
const verified = 100_000

// verify runs the command "gateway verify" on a store that searches and reads left.
func (b *bench) verify(ctx context.Context) error {
	g, err := b.onFile(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = g.Kill() }()
	s := &scaled{bench: b, g: g, name: "SQLite"}
	if err := s.fill(ctx, 2000); err != nil {
		return err
	}
	size := int64(0)
	for size < verified { // a search of ten rows leaves two records, a read one
		if _, err := s.search(ctx, 32); err != nil {
			return err
		}
		token, err := g.Token(ctx, "jukola-ehr", "nurse")
		if err != nil {
			return err
		}
		l, err := measure(ctx, "read", g.Process, g, load.Plan{
			Addr: g.Addr, Connections: 32, Plain: b.plain, Duration: b.duration,
			Next: func(connection, n int) load.Request { return g.Read(token, "Patient/"+s.client(connection, n)) },
			Seen: func(_, _ int, a *load.Answer) bool { return a.Status == 200 },
		})
		if err != nil {
			return err
		}
		if size, err = g.Settled(ctx, l.Records); err != nil {
			return err
		}
	}
	if err := g.Stop(); err != nil {
		return err
	}
	var rates, costs []float64
	for range b.rounds {
		cmd := exec.CommandContext(ctx, b.binary, "verify")
		cmd.Env = load.Environment(g.Store, g.Keys)
		begun := time.Now()
		out, err := cmd.CombinedOutput()
		took := time.Since(begun)
		if err != nil {
			return fmt.Errorf("gateway verify: %w\n%s", err, last(out, 2000))
		}
		if !bytes.Contains(out, fmt.Appendf(nil, " %d records in the tree", size)) {
			return errors.New("gateway verify: another size than the ledger's: " + string(last(out, 2000)))
		}
		rates = append(rates, float64(size)/took.Seconds())
		costs = append(costs, float64((cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime()).Microseconds())/float64(size))
	}
	cost := median(costs)
	fmt.Fprintf(b.out, "gateway verify of %d records, SQLite: %.0f records/s, CPU %.1f µs a record (%d processors could do %.0f/s)\n",
		size, median(rates), cost, runtime.NumCPU(), float64(runtime.NumCPU())*1e6/cost)
	b.goal("records a second that gateway verify checks, SQLite", median(rates), wantVerified, false)
	return nil
}
