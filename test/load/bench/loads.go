package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"sotesilta/test/load"
)

// The goals of the issue "Speed and size".
const (
	wantRead8    = 1. / 7
	wantRead32   = 1. / 5
	wantP99      = 10. // ms, of reads at 8 connections
	wantCreates  = 1200.
	wantPostgres = .5 // of the creates on SQLite
	wantSandbox  = 15.
	wantStart    = 1.
)

// start is the time until an empty store is served, with the county loaded.
func (b *bench) start(ctx context.Context) error {
	var times []float64
	for range b.rounds {
		store, err := b.file()
		if err != nil {
			return err
		}
		g, err := b.gateway(ctx, store)
		if err != nil {
			return err
		}
		if err := g.Stop(); err != nil {
			return err
		}
		times = append(times, g.Ready.Seconds())
	}
	fmt.Fprintf(b.out, "start on an empty store, county loaded: %.3f s\n", median(times))
	b.goal("seconds until /readyz answers 200 on an empty SQLite store", median(times), wantStart, true)
	return nil
}

// sandbox is the newcomer's command, on a warm build cache.
func (b *bench) sandbox(ctx context.Context) error {
	addr, err := load.FreeAddr()
	if err != nil {
		return err
	}
	admin, err := load.FreeAddr()
	if err != nil {
		return err
	}
	play := func() (time.Duration, error) {
		keys, err := os.MkdirTemp(b.dir, "keys-")
		if err != nil {
			return 0, err
		}
		cmd := exec.CommandContext(ctx, "go", "run", "./gateway", "sandbox", "--exit")
		cmd.Dir = load.Root()
		cmd.Env = load.Environment("", keys, "SOTESILTA_ADDR="+addr, "SOTESILTA_ADMIN_ADDR="+admin, "SOTESILTA_MLLP_ADDR=127.0.0.1:0")
		begun := time.Now()
		out, err := cmd.CombinedOutput()
		if err != nil {
			return 0, fmt.Errorf("go run ./gateway sandbox --exit: %w\n%s", err, last(out, 2000))
		}
		return time.Since(begun), nil
	}
	if _, err := play(); err != nil { // warms the build cache
		return err
	}
	took, err := play()
	if err != nil {
		return err
	}
	fmt.Fprintf(b.out, "go run ./gateway sandbox --exit, warm build cache: %.2f s\n", took.Seconds())
	b.goal("seconds of sandbox --exit on a warm build cache", took.Seconds(), wantSandbox, true)
	return nil
}

// client is whose data are read and written. The health station knows them.
const client = "aino"

// reads compares a recorded read with a bare handler that returns the same bytes.
func (b *bench) reads(ctx context.Context) error {
	p, err := b.planned(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = p.g.Kill() }()
	path := filepath.Join(b.dir, "body.json")
	if err := os.WriteFile(path, p.body, 0o600); err != nil {
		return err
	}
	addr, err := load.FreeAddr()
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	bare, err := load.StartProcess(addr, os.Environ(), self, bareWord, addr, path)
	if err != nil {
		return err
	}
	defer func() { _ = bare.Kill() }()
	if err := bare.Await(ctx, "/fhir/"+p.ref); err != nil {
		return err
	}
	fmt.Fprintf(b.out, "reads of %s, %d bytes\n", "CarePlan", len(p.body))
	for _, connections := range []int{8, 32} {
		lines, err := b.compare(ctx,
			turn{run: func() (line, error) {
				return measure(ctx, "bare gin handler", bare, nil, p.reading(bare, load.NewRequest("GET", bare.Addr, "/fhir/"+p.ref, nil), connections))
			}},
			p.read(ctx, "read-"+strconv.Itoa(connections), "recorded read, SQLite", p.g.Process, p.g, connections))
		if err != nil {
			return err
		}
		want := wantRead32
		if connections == 8 {
			want = wantRead8
			b.goal("p99 ms of a recorded read at 8 connections", lines[1].P99, wantP99, true)
		}
		b.goal(fmt.Sprintf("recorded read : bare gin at %d connections", connections), lines[1].Rate/lines[0].Rate, want, false)
	}
	return nil
}

// creates measures durable creates on both stores.
func (b *bench) creates(ctx context.Context) error {
	stores := map[string]string{}
	if slices.Contains(b.stores, "sqlite") {
		file, err := b.file()
		if err != nil {
			return err
		}
		stores["SQLite"] = file
	}
	if slices.Contains(b.stores, "postgres") {
		database, stop, err := load.StartPostgres(ctx, b.dir)
		switch {
		case errors.Is(err, load.ErrNoPostgres):
			fmt.Fprintln(b.out, "creates on PostgreSQL are left out:", err)
		case err != nil:
			return err
		default:
			defer stop()
			stores["PostgreSQL"] = database.URL
		}
	}
	var turns []turn
	for _, name := range []string{"SQLite", "PostgreSQL"} {
		if stores[name] == "" {
			continue
		}
		g, err := b.gateway(ctx, stores[name])
		if err != nil {
			return err
		}
		defer func() { _ = g.Kill() }()
		made := 0
		turns = append(turns, turn{"create-" + name, g, func() (line, error) {
			made++
			return b.create(ctx, "durable create, "+name, g, made)
		}})
	}
	lines, err := b.compare(ctx, turns...)
	if err != nil || stores["SQLite"] == "" {
		return err
	}
	b.goal("durable creates a second at 32 connections, SQLite", lines[0].Rate, wantCreates, false)
	if len(lines) == 2 {
		b.goal("durable creates, PostgreSQL : SQLite", lines[1].Rate/lines[0].Rate, wantPostgres, false)
	}
	return nil
}

// create is a round of creating Tasks.
func (b *bench) create(ctx context.Context, name string, g *load.Gateway, round int) (line, error) {
	const connections = 32
	token, err := g.Token(ctx, "jukola-ehr", "nurse")
	if err != nil {
		return line{}, err
	}
	return measure(ctx, name, g.Process, g, load.Plan{
		Addr: g.Addr, Connections: connections, Plain: b.plain, Warmup: b.duration / 5, Duration: b.duration,
		Next: func(connection, n int) load.Request {
			return g.Create(token, "Task", load.Task(client, fmt.Sprintf("%d-%d-%d", round, connection, n)))
		},
		Seen: func(_, _ int, a *load.Answer) bool { return a.Status == http.StatusCreated },
	})
}

// middle is the line of the median rate.
func middle(lines []line) line {
	sorted := slices.SortedFunc(slices.Values(lines), func(a, b line) int { return cmp.Compare(a.Rate, b.Rate) })
	return sorted[len(sorted)/2]
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

func last(text []byte, n int) []byte { return text[max(0, len(text)-n):] }
