package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"sotesilta/test/load"
)

// The goals of issue "FHIR face", Speed and size: on SQLite, PostgreSQL half of them, import three quarters.
const (
	wantFlat     = 1.5 // p50 of a search among all Tasks : among a hundredth of them
	wantRSS      = 300 // MB while importing
	wantAllocs   = 6.  // bytes allocated : bytes sent
	wantImport   = 2000.
	wantImportPG = 1500.
)

// wantScale are the goals by load and connections.
var wantScale = map[string]map[int]float64{
	"search":      {8: 2000, 32: 2500},
	"create":      {8: 1200, 32: 1500},
	"transaction": {8: 400, 32: 500},
}

const (
	tasksOfClient = 10 // nine of them requested: a status that most rows share must not slow a search
	bundleOf      = 100
)

// scale imports Tasks of many clients and measures searches, creates and transactions among them, on both stores. Its goals
// are rates beside the generator, not ratios: so the generator is always the lean one, which takes a tenth of the processors
// where Go's own client takes a quarter.
func (b *bench) scale(ctx context.Context) error {
	return b.engines(ctx, func(name, store string) error {
		half := 1.
		imports := wantImport
		if name != "SQLite" {
			half, imports = wantPostgres, wantImportPG
		}
		g, err := b.gateway(ctx, store)
		if err != nil {
			return err
		}
		s := &scaled{bench: b, g: g, name: name}
		defer func() { _ = g.Kill() }()
		small := max(b.tasks/100, tasksOfClient*10)
		if err := s.fill(ctx, small); err != nil {
			return err
		}
		before, err := b.profiled(ctx, "search-few-"+name, g, func() (line, error) { return s.search(ctx, 8) })
		if err != nil {
			return err
		}
		b.show(before)
		begun, from, used := time.Now(), s.made, g.Usage().CPU
		if err := s.fill(ctx, b.tasks); err != nil {
			return err
		}
		rate := float64(s.made-from) / time.Since(begun).Seconds()
		peak := float64(g.Usage().Peak >> 20)
		fmt.Fprintf(b.out, "import by transactions of %d, %s: %.0f resources/s, CPU %.0f µs a resource, peak %.0f MB\n", bundleOf, name, rate,
			float64((g.Usage().CPU-used).Microseconds())/float64(s.made-from), peak)
		b.goal("resources a second imported, "+name, rate, imports, false)
		b.goal("MB resident while importing, "+name, peak, wantRSS, true)
		// The import is over: what of the clients a gateway at work keeps in memory is read before anything is measured.
		if _, err := s.search(ctx, 32); err != nil {
			return err
		}
		// Searches come first: what the other loads write would make their pages longer.
		for _, l := range []struct {
			name string
			run  func(context.Context, int) (line, error)
		}{{"search", s.search}, {"create", s.create}, {"transaction", s.transaction}} {
			var turns []turn
			for _, connections := range []int{8, 32} {
				turns = append(turns, turn{l.name + "-" + name + "-" + strconv.Itoa(connections), g, func() (line, error) { return l.run(ctx, connections) }})
			}
			lines, err := b.compare(ctx, turns...)
			if err != nil {
				return err
			}
			for _, measured := range lines {
				b.goal(fmt.Sprintf("%s a second among %d Tasks at %d connections, %s", l.name, b.tasks, measured.Connections, name),
					measured.Rate, half*wantScale[l.name][measured.Connections], false)
			}
			if l.name == "search" {
				b.goal(fmt.Sprintf("p50 of a search among %d Tasks : among %d, %s", b.tasks, small, name), lines[0].P50/before.P50, wantFlat, true)
				if err := s.lawCost(ctx); err != nil {
					return err
				}
			}
		}
		return s.allocations(ctx)
	})
}

// lawCost prints the search with law and ledger and without either, of the same store, turn and turn about.
func (s *scaled) lawCost(ctx context.Context) error {
	const connections = 32
	without, err := s.lawless(ctx, s.g, "nothing")
	if err != nil {
		return err
	}
	defer func() { _ = without.Kill() }()
	// The gateway has answered for minutes: the other first reads what both keep in memory.
	if _, err := s.searching(ctx, "warming", without, nil, connections); err != nil {
		return err
	}
	lines, err := s.compare(ctx,
		turn{run: func() (line, error) {
			return s.searching(ctx, "search, law and ledger off", without, nil, connections)
		}},
		turn{run: func() (line, error) {
			return s.searching(ctx, "search, law and ledger on", s.g.Process, s.g, connections)
		}})
	if err != nil {
		return err
	}
	free, with := lines[0], lines[1]
	fmt.Fprintf(s.out, "law and ledger on : off, searches a second %.2f, CPU of a search %.2f, %s\n", with.Rate/free.Rate, with.CPU/free.CPU, s.name)
	return nil
}

// engines runs f on a new store of each kind that is wanted and there.
func (b *bench) engines(ctx context.Context, f func(name, store string) error) error {
	if slices.Contains(b.stores, "sqlite") {
		file, err := b.file()
		if err == nil {
			err = f("SQLite", file)
		}
		if err != nil {
			return err
		}
	}
	if !slices.Contains(b.stores, "postgres") {
		return nil
	}
	database, stop, err := load.StartPostgres(ctx, b.dir)
	if errors.Is(err, load.ErrNoPostgres) {
		fmt.Fprintln(b.out, "PostgreSQL is left out:", err)
		return nil
	}
	if err != nil {
		return err
	}
	defer stop()
	return f("PostgreSQL", database.URL)
}

// scaled is a gateway with many Tasks.
type scaled struct {
	*bench
	g       *load.Gateway
	name    string
	clients []string // Patients that the health station registered, by id
	made    int      // resources imported
	round   int
}

// fill imports until there are so many Tasks, their clients first.
func (s *scaled) fill(ctx context.Context, tasks int) error {
	var bundles [][]byte
	from := len(s.clients)
	for n := from; n < tasks/tasksOfClient; n += bundleOf {
		var entries []any
		for i := n; i < min(n+bundleOf, tasks/tasksOfClient); i++ {
			entries = append(entries, posted(json.RawMessage(fmt.Sprintf(
				`{"resourceType":"Patient","active":true,"name":[{"family":"Koe%d","given":["Asiakas"]}],"birthDate":"1970-01-01"}`, i))))
		}
		bundles = append(bundles, transaction(entries))
	}
	made, err := s.post(ctx, bundles)
	if err != nil {
		return err
	}
	s.clients = append(s.clients, made...)
	bundles = nil
	for n := from; n < len(s.clients); n += bundleOf / tasksOfClient {
		var entries []any
		for i := n; i < min(n+bundleOf/tasksOfClient, len(s.clients)); i++ {
			for j := range tasksOfClient {
				task := load.Task(s.clients[i], fmt.Sprintf("i-%d-%d", i, j))
				if j == 0 {
					task = bytes.Replace(task, []byte(`"status":"requested"`), []byte(`"status":"completed"`), 1)
				}
				entries = append(entries, posted(json.RawMessage(task)))
			}
		}
		bundles = append(bundles, transaction(entries))
	}
	_, err = s.post(ctx, bundles)
	return err
}

// post sends transactions over some connections, and answers the ids of the Patients made.
func (s *scaled) post(ctx context.Context, bundles [][]byte) ([]string, error) {
	const connections = 4
	var next atomic.Int64
	type made struct {
		ids []string
	}
	results := make([]made, len(bundles))
	done := make(chan error, connections)
	for range connections {
		go func() {
			done <- func() error {
				c, err := load.Dial(s.g.Addr)
				if err != nil {
					return err
				}
				defer c.Close()
				token := ""
				for sent := 0; ctx.Err() == nil; sent++ {
					n := int(next.Add(1)) - 1
					if n >= len(bundles) {
						return nil
					}
					if sent%200 == 0 { // a token lives five minutes
						if token, err = s.g.Token(ctx, "jukola-ehr", "nurse"); err != nil {
							return err
						}
					}
					a, err := c.Do(s.g.Create(token, "", bundles[n]))
					if err != nil {
						return err
					}
					if a.Status != http.StatusOK {
						return fmt.Errorf("a transaction: %d: %.500s", a.Status, a.Body)
					}
					var answer struct {
						Entry []struct{ Response struct{ Location string } }
					}
					if err := json.Unmarshal(a.Body, &answer); err != nil {
						return err
					}
					for _, e := range answer.Entry {
						if _, after, ok := strings.Cut(e.Response.Location, "Patient/"); ok {
							id, _, _ := strings.Cut(after, "/")
							results[n].ids = append(results[n].ids, id)
						}
					}
				}
				return ctx.Err()
			}()
		}()
	}
	var errs []error
	for range connections {
		errs = append(errs, <-done)
	}
	var ids []string
	for _, r := range results {
		ids = append(ids, r.ids...)
	}
	s.made += len(bundles) * bundleOf
	return ids, errors.Join(errs...)
}

func posted(resource json.RawMessage) any {
	var typ struct{ ResourceType string }
	_ = json.Unmarshal(resource, &typ)
	return map[string]any{"resource": resource, "request": map[string]any{"method": "POST", "url": typ.ResourceType}}
}

func transaction(entries []any) []byte {
	body, err := json.Marshal(map[string]any{"resourceType": "Bundle", "type": "transaction", "entry": entries})
	if err != nil {
		panic(err) // maps of texts
	}
	return body
}

// run measures a load of which each answer owes so many records.
func (s *scaled) run(ctx context.Context, what string, connections, owed int, next func(token string, connection, n int) load.Request, status int) (line, error) {
	return s.runOn(ctx, fmt.Sprintf("%s among %d Tasks", what, len(s.clients)*tasksOfClient), s.g.Process, s.g, connections, owed, next, status)
}

// runOn is run on a server, which g is when it keeps a ledger.
func (s *scaled) runOn(ctx context.Context, what string, p *load.Process, g *load.Gateway, connections, owed int, next func(token string, connection, n int) load.Request, status int) (line, error) {
	token, err := s.g.Token(ctx, "jukola-ehr", "nurse")
	if err != nil {
		return line{}, err
	}
	s.round++
	return measureOwing(ctx, owed, what+", "+s.name, p, g, load.Plan{
		Addr: p.Addr, Connections: connections, Warmup: s.duration / 5, Duration: s.duration,
		Next: func(connection, n int) load.Request { return next(token, connection, n) },
		Seen: func(_, _ int, a *load.Answer) bool { return a.Status == status },
	})
}

// client is one of the clients, another each time.
func (s *scaled) client(connection, n int) string {
	return s.clients[(connection*7919+n*104729)%len(s.clients)]
}

func (s *scaled) search(ctx context.Context, connections int) (line, error) {
	return s.searching(ctx, fmt.Sprintf("search among %d Tasks", len(s.clients)*tasksOfClient), s.g.Process, s.g, connections)
}

// searching is search on a server, which g is when it keeps a ledger.
func (s *scaled) searching(ctx context.Context, what string, p *load.Process, g *load.Gateway, connections int) (line, error) {
	return s.runOn(ctx, what, p, g, connections, 2, func(token string, connection, n int) load.Request {
		return get(p, token, "Task?patient="+s.client(connection, n)+"&status=requested")
	}, http.StatusOK)
}

func (s *scaled) create(ctx context.Context, connections int) (line, error) {
	round := s.round
	return s.run(ctx, "create", connections, 1, func(token string, connection, n int) load.Request {
		return s.g.Create(token, "Task", load.Task(s.client(connection, n), fmt.Sprintf("c-%d-%d-%d", round, connection, n)))
	}, http.StatusCreated)
}

// transaction makes a CarePlan, a CareTeam and three Tasks that refer to them.
func (s *scaled) transaction(ctx context.Context, connections int) (line, error) {
	round := s.round
	return s.run(ctx, "transaction", connections, 1, func(token string, connection, n int) load.Request {
		who := s.client(connection, n)
		entry := func(number int, typ string, resource []byte) any {
			return map[string]any{
				"fullUrl": fmt.Sprintf("urn:uuid:00000000-0000-4000-8000-00000000000%d", number), "resource": json.RawMessage(resource),
				"request": map[string]any{"method": "POST", "url": typ},
			}
		}
		plan := bytes.Replace(load.CarePlan(who), []byte(`"status":"active"`), []byte(`"status":"draft","careTeam":[{"reference":"urn:uuid:00000000-0000-4000-8000-000000000002"}]`), 1)
		entries := []any{
			entry(1, "CarePlan", plan),
			entry(2, "CareTeam", []byte(`{"resourceType":"CareTeam","status":"active","subject":{"reference":"Patient/`+who+`"}}`)),
		}
		for i := range 3 {
			task := load.Task(who, fmt.Sprintf("t-%d-%d-%d-%d", round, connection, n, i))
			task = bytes.Replace(task, []byte(`"intent":"order"`), []byte(`"intent":"order","basedOn":[{"reference":"urn:uuid:00000000-0000-4000-8000-000000000001"}]`), 1)
			entries = append(entries, entry(3+i, "Task", task))
		}
		return s.g.Create(token, "", transaction(entries))
	}, http.StatusOK)
}

// allocations compares what a search of a page of fifty with includes allocates with what it sends.
func (s *scaled) allocations(ctx context.Context) error {
	token, err := s.g.Token(ctx, "jukola-ehr", "nurse")
	if err != nil {
		return err
	}
	c, err := load.Dial(s.g.Addr)
	if err != nil {
		return err
	}
	defer c.Close()
	sent := 0
	ask := func(n int) error {
		var patients []string
		for i := range 6 {
			patients = append(patients, s.client(n, i))
		}
		a, err := c.Do(s.g.Read(token, "Task?patient="+strings.Join(patients, ",")+"&_count=50&_include=Task:patient"))
		if err == nil && a.Status != http.StatusOK {
			err = fmt.Errorf("a search with includes: %d: %.300s", a.Status, a.Body)
		}
		if err == nil {
			sent += len(a.Body)
		}
		return err
	}
	const times = 200
	for n := range times {
		if err := ask(n); err != nil {
			return err
		}
	}
	sent = 0
	before, err := s.allocated()
	if err != nil {
		return err
	}
	for n := range times {
		if err := ask(n); err != nil {
			return err
		}
	}
	after, err := s.allocated()
	if err != nil {
		return err
	}
	if s.profile != "" {
		if err := fetch(ctx, "http://"+s.g.Admin+"/debug/pprof/allocs", filepath.Join(s.profile, "allocs-"+s.name+".pprof")); err != nil {
			return err
		}
	}
	fmt.Fprintf(s.out, "a page of 50 with _include, %s: %.0f bytes sent, %.0f allocated\n", s.name, float64(sent)/times, (after-before)/times)
	s.goal("bytes allocated : bytes sent by a page of 50 with _include, "+s.name, (after-before)/float64(sent), wantAllocs, true)
	return nil
}

// allocated is what the gateway has allocated since it began.
func (s *scaled) allocated() (float64, error) {
	res, err := http.Get("http://" + s.g.Admin + "/metrics")
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(res.Body); err != nil {
		return 0, err
	}
	for line := range strings.Lines(body.String()) {
		if value, ok := strings.CutPrefix(line, "go_memstats_alloc_bytes_total "); ok {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, errors.New("/metrics tells nothing of what was allocated")
}
