// Command gateway is Sotesilta: one process that exposes the joint-client process as FHIR R4, maps it to and from the
// regional systems, and decides and records every exchange by law.
//
//	gateway sandbox   a synthetic county, one joint client's journey, then a server to try things on
//	gateway serve     production
//	gateway token     an access token of the running sandbox
//	gateway verify    checks a ledger offline, as an auditor does
//	gateway ready     whether the gateway on this machine can serve
//	gateway replay    decides past exchanges again: as then, or under other policies
//	gateway retain    erases records over their retention time, tells what is kept how long, legal holds
//	gateway annex     the annex for the data-protection impact assessment, from policies and mappings
//	gateway scenarios plays the scenarios of the legal bases, for people who know the law
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// commands is the command line.
type commands struct {
	Sandbox   sandboxCommand   `cmd:"" help:"Start a synthetic county on an embedded store, play a joint client's journey, keep serving."`
	Serve     serveCommand     `cmd:"" help:"Serve in production; refuses to start on an unsafe or unknown setting."`
	Token     tokenCommand     `cmd:"" help:"Print an access token of the running sandbox."`
	Verify    verifyCommand    `cmd:"" help:"Check a ledger against a pinned key; exit code 0 only if all is well."`
	Ready     readyCommand     `cmd:"" help:"Ask the gateway on this machine whether it can serve; for orchestrators."`
	Replay    replayCommand    `cmd:"" help:"Decide past exchanges again from their records; exit code 0 only if each is answered as then under its own policies."`
	Retain    retainCommand    `cmd:"" help:"Erase records over their retention time, as a running gateway does every hour; count them by class, hold a client's back."`
	Annex     annexCommand     `cmd:"" help:"Print the annex for the data-protection impact assessment (Markdown, in Finnish) from the policies and mappings."`
	Scenarios scenariosCommand `cmd:"" help:"Play the scenarios of the legal bases against the policies; exit code 0 only if the law answers each as written."`
}

// Exit codes: 0 all well, 1 it failed, 2 the command line is off, 3 what was checked is not well.
const (
	exitFailed  = 1
	exitUsage   = 2
	exitNotWell = 3
)

// errNotWell says that what was checked is not as it must be; it was told already.
var errNotWell = errors.New("not well")

func main() {
	tuneCollection()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main without the process: args are the words after the program's name.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var cli commands
	parser, err := kong.New(&cli, kong.Name("gateway"), kong.UsageOnError(),
		kong.Description("Sotesilta: the bridge between social and health care (FHIR R4)."),
		kong.Writers(stdout, stderr), kong.Exit(func(code int) { panic(exit(code)) }),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(streams{stdout, stderr}))
	if err != nil {
		fmt.Fprintln(stderr, "gateway:", err)
		return exitUsage
	}
	return parse(parser, args, stderr)
}

// exit is how kong's own help leaves.
type exit int

// streams are where a command writes.
type streams struct{ out, err io.Writer }

func parse(parser *kong.Kong, args []string, stderr io.Writer) (code int) {
	defer func() {
		if left := recover(); left != nil {
			asked, ours := left.(exit)
			if !ours {
				panic(left)
			}
			code = int(asked)
		}
	}()
	command, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintln(stderr, "gateway:", err)
		return exitUsage
	}
	switch err := command.Run(); {
	case err == nil:
		return 0
	case errors.Is(err, errNotWell):
		return exitNotWell
	default:
		fmt.Fprintln(stderr, "gateway:", err)
		return exitFailed
	}
}
