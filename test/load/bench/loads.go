package main

import (
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
	g, err := b.onFile(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = g.Kill() }()
	token, err := g.Token(ctx, "jukola-ehr", "nurse")
	if err != nil {
		return err
	}
	ref, err := g.Put(token, "CarePlan", load.CarePlan(client))
	if err != nil {
		return err
	}
	c, err := load.Dial(g.Addr)
	if err != nil {
		return err
	}
	defer c.Close()
	a, err := c.Do(g.Read(token, ref))
	if err != nil || a.Status != http.StatusOK {
		return errors.Join(err, fmt.Errorf("GET %s: %d: %s", ref, a.Status, a.Body))
	}
	size := len(a.Body)
	path := filepath.Join(b.dir, "body.json")
	if err := os.WriteFile(path, a.Body, 0o600); err != nil {
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
	if err := bare.Await(ctx, "/fhir/"+ref); err != nil {
		return err
	}
	fmt.Fprintf(b.out, "reads of %s, %d bytes\n", "CarePlan", size)
	for _, connections := range []int{8, 32} {
		var bares, recorded []line
		for range b.rounds { // turn and turn about: what else the machine does meets both alike
			l, err := measure(ctx, "bare gin handler", bare, nil, b.reading(bare.Addr, load.NewRequest("GET", bare.Addr, "/fhir/"+ref, nil), connections, size))
			if err != nil {
				return err
			}
			bares = append(bares, l)
			// A token lives five minutes.
			if token, err = g.Token(ctx, "jukola-ehr", "nurse"); err != nil {
				return err
			}
			l, err = b.profiled(ctx, "read-"+strconv.Itoa(connections), g, func() (line, error) {
				return measure(ctx, "recorded read, SQLite", g.Process, g, b.reading(g.Addr, g.Read(token, ref), connections, size))
			})
			if err != nil {
				return err
			}
			recorded = append(recorded, l)
		}
		bareLine, line := middle(bares), middle(recorded)
		b.show(bareLine)
		b.show(line)
		want := wantRead32
		if connections == 8 {
			want = wantRead8
			b.goal("p99 ms of a recorded read at 8 connections", line.P99, wantP99, true)
		}
		b.goal(fmt.Sprintf("recorded read : bare gin at %d connections", connections), line.Rate/bareLine.Rate, want, false)
	}
	return nil
}

func (b *bench) reading(addr string, request load.Request, connections, size int) load.Plan {
	return load.Plan{
		Addr: addr, Connections: connections, Plain: b.plain, Warmup: b.duration / 5, Duration: b.duration,
		Next: func(int, int) load.Request { return request },
		Seen: func(_, _ int, a *load.Answer) bool { return a.Status == http.StatusOK && len(a.Body) == size },
	}
}

// creates measures durable creates on both stores, turn and turn about.
func (b *bench) creates(ctx context.Context) error {
	var engines []*creating
	if slices.Contains(b.stores, "sqlite") {
		file, err := b.file()
		if err != nil {
			return err
		}
		engines = append(engines, &creating{name: "durable create, SQLite", store: file})
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
			engines = append(engines, &creating{name: "durable create, PostgreSQL", store: database.URL})
		}
	}
	for _, e := range engines {
		g, err := b.gateway(ctx, e.store)
		if err != nil {
			return err
		}
		e.gateway = g
		defer func() { _ = e.gateway.Kill() }()
	}
	for range b.rounds {
		for _, e := range engines {
			l, err := b.profiled(ctx, "create-"+e.gateway.Store[:6], e.gateway, func() (line, error) { return b.create(ctx, e) })
			if err != nil {
				return err
			}
			e.lines = append(e.lines, l)
		}
	}
	for _, e := range engines {
		b.show(middle(e.lines))
	}
	if len(engines) == 0 || engines[0].store[:6] != "sqlite" {
		return nil
	}
	rate := middle(engines[0].lines).Rate
	b.goal("durable creates a second at 32 connections, SQLite", rate, wantCreates, false)
	if len(engines) == 2 {
		b.goal("durable creates, PostgreSQL : SQLite", middle(engines[1].lines).Rate/rate, wantPostgres, false)
	}
	return nil
}

// creating is one store that Tasks are created in.
type creating struct {
	name, store string
	gateway     *load.Gateway
	lines       []line
	made        int
}

func (b *bench) create(ctx context.Context, e *creating) (line, error) {
	const connections = 32
	token, err := e.gateway.Token(ctx, "jukola-ehr", "nurse")
	if err != nil {
		return line{}, err
	}
	e.made++
	l, err := measure(ctx, e.name, e.gateway.Process, e.gateway, load.Plan{
		Addr: e.gateway.Addr, Connections: connections, Plain: b.plain, Warmup: b.duration / 5, Duration: b.duration,
		Next: func(connection, n int) load.Request {
			return e.gateway.Create(token, "Task", load.Task(client, fmt.Sprintf("%d-%d-%d", e.made, connection, n)))
		},
		Seen: func(_, _ int, a *load.Answer) bool { return a.Status == http.StatusCreated },
	})
	return l, err
}

// middle is the line of the median rate.
func middle(lines []line) line {
	sorted := slices.Clone(lines)
	slices.SortFunc(sorted, func(a, b line) int {
		switch {
		case a.Rate < b.Rate:
			return -1
		case a.Rate > b.Rate:
			return 1
		default:
			return 0
		}
	})
	return sorted[len(sorted)/2]
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

func last(text []byte, n int) []byte { return text[max(0, len(text)-n):] }
