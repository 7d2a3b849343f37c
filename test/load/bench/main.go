// Command bench prints what a release is held to (issue "Speed and size"): recorded reads against a bare gin handler,
// against the same read without decision or record, durable creates on both stores, searches and writes among 100,000
// Tasks of 10,000 clients, the checking of a ledger, start-up, the sandbox's journey. Everything is measured in one run with the same
// load generator, so that the ratios hold on any machine; the figures themselves are this machine's of this hour.
//
//	go run ./test/load/bench [--json] [--seconds 5] [--rounds 3] [--only start,reads,law,creates,scale,verify,sandbox] [--lean] [--profile DIR]
//
// After each run of the gateway its ledger must have grown by exactly the records that the answers owe: otherwise the
// run is void and the command fails.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"sotesilta/test/load"
)

func main() {
	if len(os.Args) == 4 && os.Args[1] == bareWord {
		if err := serveBare(os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	if len(os.Args) == 7 && os.Args[1] == lawWord {
		if err := serveLawless(os.Args[2], os.Args[3], os.Args[4], os.Args[5], os.Args[6]); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// parts of the benchmark, in their order.
var parts = []string{"start", "reads", "law", "creates", "scale", "verify", "sandbox"}

// bench is one run of the command.
type bench struct {
	dir      string // its own, for stores and keys
	binary   string
	duration time.Duration
	rounds   int
	stores   []string
	tasks    int    // of the part scale
	plain    bool   // loads come from Go's own client
	profile  string // folder for CPU profiles; empty: none
	out      io.Writer
	report   report
}

// report is what --json prints. Times are in milliseconds unless the name says otherwise.
type report struct {
	When      time.Time `json:"when"`
	Processor int       `json:"processors"`
	Go        string    `json:"go"`
	Lines     []line    `json:"lines"`
	Goals     []goal    `json:"goals"`
}

// line is one measured load.
type line struct {
	Load        string  `json:"load"`
	Connections int     `json:"connections"`
	Rate        float64 `json:"perSecond"`
	P50         float64 `json:"p50ms"`
	P99         float64 `json:"p99ms"`
	CPU         float64 `json:"serverCPUmicrosPerAnswer"`
	RSS         int64   `json:"serverPeakBytes"`
	Answers     int     `json:"answers"`
	Records     int64   `json:"records"` // that the ledger grew by; -1 where there is no ledger
}

// goal is a figure that the project set itself.
type goal struct {
	What string  `json:"what"`
	Is   float64 `json:"is"`
	Want string  `json:"want"`
	Met  bool    `json:"met"`
}

func run(ctx context.Context) error {
	asJSON := flag.Bool("json", false, "print the report as JSON")
	seconds := flag.Float64("seconds", 5, "length of each load")
	rounds := flag.Int("rounds", 3, "rounds of each load; the median counts")
	only := flag.String("only", strings.Join(parts, ","), "parts to run")
	profile := flag.String("profile", "", "folder to put the gateway's CPU profiles into")
	lean := flag.Bool("lean", false, "use our own lean client instead of Go's in the other parts than scale as well: harder on the ratios, as it weighs less in both terms")
	stores := flag.String("stores", "sqlite,postgres", "stores to create in")
	tasks := flag.Int("tasks", 100_000, "Tasks that the part scale is measured among, ten of each client")
	binary := flag.String("binary", "", "gateway to measure; built when empty")
	flag.Parse()
	if flag.NArg() > 0 || *seconds <= 0 || *rounds <= 0 || *tasks < 1000 {
		return errors.New("see --help")
	}
	dir, err := os.MkdirTemp("", "sotesilta-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{
		dir: dir, binary: *binary, duration: time.Duration(*seconds * float64(time.Second)), rounds: *rounds,
		stores: strings.Split(*stores, ","), tasks: *tasks, plain: !*lean, profile: *profile, out: os.Stdout,
		report: report{When: time.Now().UTC(), Processor: runtime.NumCPU(), Go: runtime.Version()},
	}
	if *asJSON {
		b.out = os.Stderr
	}
	if b.binary == "" {
		if b.binary, err = load.Build(ctx, dir); err != nil {
			return err
		}
	}
	if b.profile != "" {
		if err := os.MkdirAll(b.profile, 0o755); err != nil {
			return err
		}
	}
	do := map[string]func(context.Context) error{
		"start": b.start, "reads": b.reads, "law": b.law, "creates": b.creates, "scale": b.scale, "verify": b.verify, "sandbox": b.sandbox,
	}
	for _, part := range strings.Split(*only, ",") {
		if !slices.Contains(parts, part) {
			return fmt.Errorf("no part %q: %s", part, strings.Join(parts, ", "))
		}
		if err := do[part](ctx); err != nil {
			return fmt.Errorf("%s: %w", part, err)
		}
	}
	if *asJSON {
		encoder := json.NewEncoder(os.Stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(b.report)
	}
	fmt.Fprintf(b.out, "\n%-72s %10s  %s\n", "goal", "is", "wanted")
	for _, g := range b.report.Goals {
		mark := "met"
		if !g.Met {
			mark = "MISSED"
		}
		fmt.Fprintf(b.out, "%-72s %10.3f  %s: %s\n", g.What, g.Is, g.Want, mark)
	}
	return nil
}

// goal notes a figure that must be at least (or, with most, at most) want.
func (b *bench) goal(what string, is, want float64, most bool) {
	g := goal{What: what, Is: is, Want: fmt.Sprintf("at least %.4g", want), Met: is >= want}
	if most {
		g.Want, g.Met = fmt.Sprintf("at most %.4g", want), is <= want
	}
	b.report.Goals = append(b.report.Goals, g)
}

const lineForm = "%-34s %5d connections %9.0f/s  p50 %7.2f ms  p99 %7.2f ms  CPU %6.0f µs  peak %4d MB  %d answers"

func (b *bench) show(l line) {
	fmt.Fprintf(b.out, lineForm, l.Load, l.Connections, l.Rate, l.P50, l.P99, l.CPU, l.RSS>>20, l.Answers)
	if l.Records >= 0 {
		fmt.Fprintf(b.out, ", %d records", l.Records)
	}
	fmt.Fprintln(b.out)
	b.report.Lines = append(b.report.Lines, l)
}

// measure runs a load against a server, and holds the ledger of a gateway against the answers.
func measure(ctx context.Context, name string, p *load.Process, g *load.Gateway, plan load.Plan) (line, error) {
	return measureOwing(ctx, 1, name, p, g, plan)
}

// measureOwing is measure of a load of which each answer owes so many records.
func measureOwing(ctx context.Context, owed int, name string, p *load.Process, g *load.Gateway, plan load.Plan) (line, error) {
	var before int64
	var err error
	if g != nil {
		if before, err = g.Settled(ctx, 0); err != nil {
			return line{}, err
		}
	}
	used := p.Usage()
	result := load.Run(ctx, plan)
	after := p.Usage()
	if err := ctx.Err(); err != nil {
		return line{}, err
	}
	l := line{
		Load: name, Connections: plan.Connections, Rate: result.Rate(), P50: milliseconds(result.Quantile(.5)), P99: milliseconds(result.Quantile(.99)),
		CPU: float64((after.CPU - used.CPU).Microseconds()) / float64(max(result.Answers, 1)), RSS: after.Peak, Answers: result.Answers, Records: -1,
	}
	if result.Failures > 0 {
		return l, fmt.Errorf("%s: %d of %d requests failed", name, result.Failures, result.Failures+result.Answers)
	}
	if g != nil {
		size, err := g.Settled(ctx, before+int64(owed*result.Answers))
		if err != nil {
			return l, err
		}
		if l.Records = size - before; l.Records != int64(owed*result.Answers) {
			return l, fmt.Errorf("%s: void: %d answers owe %d records each, and the ledger grew by %d", name, result.Answers, owed, l.Records)
		}
	}
	return l, nil
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// gateway starts a gateway on a store of its own.
func (b *bench) gateway(ctx context.Context, store string) (*load.Gateway, error) {
	keys, err := os.MkdirTemp(b.dir, "keys-")
	if err != nil {
		return nil, err
	}
	return load.Start(ctx, load.Config{Binary: b.binary, Store: store, Keys: keys})
}

// onFile starts a gateway on a new SQLite store.
func (b *bench) onFile(ctx context.Context) (*load.Gateway, error) {
	store, err := b.file()
	if err != nil {
		return nil, err
	}
	return b.gateway(ctx, store)
}

// file is a new SQLite store.
func (b *bench) file() (string, error) {
	dir, err := os.MkdirTemp(b.dir, "store-")
	return "sqlite:" + filepath.Join(dir, "bench.db"), err
}
