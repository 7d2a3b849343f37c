// Command battery is the leak battery: it asks any FHIR R4 server about a client that is denied to the asker, by every
// oracle that FHIR servers have been seen to leak by, and prints by which of them the server tells hidden from absent.
//
//	go run ./test/leak/battery --base URL --patient ID [--token T | --client ID --key FILE [--user U]] [--prepare-…] [--write]
//
// The asker is whom the client is denied to. The preparer, when given, may read and write the client's data, so that the
// battery knows what there is to hide; without one, name hidden resources with --known. --write lets it probe writes and
// write hidden things itself: what it writes stays, so point it at a server whose data nobody needs.
//
// It ends with 0 when nothing tells, 1 when something does, 2 when it could not be run.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"sotesilta/consent"
	"sotesilta/gateway/auth"
	"sotesilta/test/leak/oracle"
)

// credentials are of one party: a token, or a key for SMART Backend Services.
type credentials struct {
	Token    string `help:"Access token."`
	Client   string `help:"Client id, for SMART Backend Services."`
	Key      string `help:"File with the client's private key, a JWK." type:"existingfile"`
	User     string `help:"User that the client speaks for (IHE IUA national_provider_identifier)."`
	Purpose  string `help:"purpose_of_use."`
	Scope    string `help:"Scopes to ask for; by default none, which some servers read as all."`
	TokenURL string `name:"token-url" help:"Token endpoint; by default as the server's SMART configuration says."`
}

type flags struct {
	Base    string      `required:"" help:"FHIR base URL."`
	Patient string      `help:"Patient id of the denied client."`
	Known   []string    `help:"A hidden resource, Type/id; may be repeated."`
	Type    string      `default:"Observation" enum:"${types}" help:"Type that hidden data is probed by (${enum})."`
	Asker   credentials `embed:""`
	Prepare credentials `embed:"" prefix:"prepare-"`

	Own        string        `help:"Patient id, not the denied client's, that the asker's own writes may be about."`
	Identifier string        `help:"The denied client's identifier, system|value."`
	Twin       string        `help:"Patient id of another person in the server's population data: $$match and writes about a client must treat both alike."`
	Subject    string        `help:"The asker as an OpenID AuthZEN 1.0 server at the same host names it, as JSON: {\"type\":\"user\",\"id\":\"nurse\"}."`
	Write      bool          `help:"Probe writes, and write hidden things with the preparer."`
	Listen     string        `help:"host:port for notifications; the server must reach it."`
	Patience   time.Duration `default:"5s" help:"How long to wait for notifications and exports."`
	Pairs      int           `default:"2000" help:"Sample size of each measurement of time; 0: none."`
	JSON       bool          `help:"Print the report as JSON."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	code, err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "battery:", err)
	}
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, out, aside io.Writer) (int, error) {
	var f flags
	done := false
	parser, err := kong.New(&f, kong.Name("battery"), kong.Writers(out, aside), kong.Exit(func(int) { done = true }),
		kong.Description("Asks a FHIR server about a client that is denied to the asker, by every known oracle."), kong.Vars{"types": strings.Join(oracle.Types(), ",")})
	if err != nil {
		return 2, err
	}
	if _, err := parser.Parse(args); done || err != nil {
		return map[bool]int{true: 2, false: 0}[err != nil && !done], err
	}
	asker, err := f.Asker.access(ctx, f.Base)
	if err != nil {
		return 2, err
	}
	c := oracle.Config{
		Base: f.Base, Asker: asker, Patient: f.Patient, Known: f.Known, Type: f.Type, Own: f.Own, Identifier: f.Identifier,
		Twin: f.Twin, Subject: f.Subject, Write: f.Write, Listen: f.Listen, Patience: f.Patience, Pairs: f.Pairs,
	}
	if f.Prepare != (credentials{}) {
		if c.Preparer, err = f.Prepare.access(ctx, f.Base); err != nil {
			return 2, fmt.Errorf("preparer: %w", err)
		}
	}
	if terminal(aside) {
		c.Progress = func(p oracle.Progress) { progress(aside, p) }
	}
	report, err := oracle.Run(ctx, c)
	if err != nil {
		return 2, err
	}
	if f.JSON {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(report); err != nil {
			return 2, err
		}
	} else {
		table(out, report)
	}
	if len(report.Leaks()) > 0 {
		return 1, nil
	}
	return 0, nil
}

func (c credentials) access(ctx context.Context, base string) (oracle.Access, error) {
	switch {
	case c.Token != "" && c.Client != "":
		return nil, errors.New("a token or a client, not both")
	case c.Token != "":
		return oracle.Bearer(c.Token), nil
	case c.Client == "":
		return oracle.Open{}, nil
	}
	data, err := os.ReadFile(c.Key)
	if err != nil {
		return nil, fmt.Errorf("--key: %w", err)
	}
	key, err := auth.ParseKey(data)
	if err != nil {
		return nil, fmt.Errorf("--key: %w", err)
	}
	if c.TokenURL == "" {
		if c.TokenURL, err = oracle.TokenURL(ctx, base); err != nil {
			return nil, err
		}
	}
	return &oracle.Backend{
		TokenURL: c.TokenURL, Client: c.Client, Key: key, Scope: c.Scope, Claims: auth.Claims{User: c.User, Purpose: consent.Purpose(c.Purpose)},
	}, nil
}

// table prints a line per oracle, and all that leaks below.
func table(out io.Writer, r *oracle.Report) {
	fmt.Fprintf(out, "%s %s\n%d probes, %d requests, %.1f s; level of the measurements of time %g\n\n", r.Base, r.Software, r.Probes, r.Requests, r.Seconds, oracle.FalseAlarm)
	fmt.Fprintf(out, "%-19s %-14s %6s  %s\n", "oracle", "verdict", "probes", "evidence")
	for _, row := range r.Table() {
		fmt.Fprintf(out, "%-19s %-14s %6d  %.200s\n", row.Oracle, row.Verdict, row.Probes, row.Evidence)
	}
	leaks := r.Leaks()
	fmt.Fprintf(out, "\n%d leaks\n", len(leaks))
	for _, f := range leaks {
		fmt.Fprintf(out, "%s: %s\n    %s\n", f.Oracle, f.Probe, f.Evidence)
	}
}

func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// progress rewrites one line on a terminal.
func progress(w io.Writer, p oracle.Progress) {
	if p.Done == p.Steps {
		fmt.Fprint(w, "\r\x1b[K")
		return
	}
	left := ""
	if p.Done > 0 {
		left = fmt.Sprintf(", about %s left", (p.Elapsed / time.Duration(p.Done) * time.Duration(p.Steps-p.Done)).Round(time.Second))
	}
	fmt.Fprintf(w, "\r\x1b[K%d of %d steps, %.0f requests a second%s: %.60s", p.Done, p.Steps, float64(p.Requests)/max(p.Elapsed.Seconds(), .001), left, p.Now)
}
