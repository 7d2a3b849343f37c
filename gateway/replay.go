package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"sotesilta/consent"
	"sotesilta/gateway/exchange"
	"sotesilta/gateway/sandbox"
)

// replayCommand decides past exchanges again from their records. Under the policies of then it checks that the answers
// are those of then; under a draft of others it shows what the draft would have permitted or denied otherwise.
type replayCommand struct {
	settings
	Policy string   `type:"existingdir" help:"Folder of policy files that take the place of the built-in ones of the same name (consent/bases)."`
	Switch []string `help:"Another answer to an open question, such as O1=passes; wins over SOTESILTA_SWITCHES."`
	lawSettings
	JSON bool `help:"Print the differences and the report as JSON."`
}

// lawSettings are what the law of a gateway rests on beside its policy files; its version is over all of it.
type lawSettings struct {
	Switches      []string `env:"SOTESILTA_SWITCHES" help:"Answers to open questions as the gateway has them."`
	JointServices string   `env:"SOTESILTA_JOINT_SERVICES" help:"File of the county's signed joint-service list."`
	Public        []string `name:"public-controllers" env:"SOTESILTA_PUBLIC_CONTROLLERS" help:"Organization/… of the public controllers."`
	Sandbox       bool     `help:"The law as the sandbox has it; replay without a store means it too."`
}

// Run prints every difference, then counts by basis. It fails with errNotWell when a record cannot be repeated, or is
// answered otherwise under its own policy version.
func (r *replayCommand) Run(ctx context.Context, out streams) error {
	if _, err := r.place(&r.settings); err != nil {
		return err
	}
	law, err := r.law(cmp.Or(r.Policy, r.Policies), r.Switch)
	if err != nil {
		return err
	}
	s, err := openStore(ctx, r.Store)
	if err != nil {
		return err
	}
	defer s.Close()
	replay := exchange.Replay{Store: s, Law: law}
	if terminal(os.Stderr) {
		replay.Progress = func(records int64) { fmt.Fprintf(out.err, "\r%d records repeated", records) }
	}
	told := r.teller(out.out)
	report, err := replay.Run(ctx, told.difference)
	if replay.Progress != nil {
		fmt.Fprint(out.err, "\r\033[K")
	}
	if err != nil {
		return err
	}
	if err := told.report(report); err != nil {
		return err
	}
	if !report.OK() {
		return errNotWell
	}
	return nil
}

// place finds the store: without one, that of the sandbox on this address, under the sandbox's law; folder is the sandbox's
// then, otherwise "".
func (r *lawSettings) place(s *settings) (folder string, err error) {
	if s.Store == "" {
		if folder, err = sandboxFolder(s.Addr); err != nil {
			return "", err
		}
		s.Store, r.Sandbox = "sqlite:"+folder+"/sandbox.db", true
	}
	if path, isFile := strings.CutPrefix(s.Store, "sqlite:"); isFile {
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("the store: %w", err)
		}
	}
	return folder, nil
}

// law is the law of these settings: with the files of a folder in the place of those built in ("": none), and answers to open
// questions that win over the settings'.
func (r *lawSettings) law(folder string, answers []string) (*consent.Engine, error) {
	cfg := consent.Config{Switches: map[string]string{}, Public: r.Public}
	var err error
	if r.Sandbox {
		cfg.Switches["O11"] = "on"
		cfg.JointServices, err = sandbox.JointServices()
	} else {
		cfg.JointServices, err = jointServices(r.JointServices)
	}
	if err != nil {
		return nil, fmt.Errorf("the joint-service list: %w", err)
	}
	for _, answer := range slices.Concat(r.Switches, answers) {
		name, value, ok := strings.Cut(answer, "=")
		if !ok {
			return nil, fmt.Errorf("%q is not of the form O1=passes", answer)
		}
		cfg.Switches[name] = value
	}
	if folder != "" {
		cfg.Bases = os.DirFS(folder)
	}
	return consent.New(cfg)
}

// teller tells of a replay as it goes.
type teller interface {
	difference(exchange.Difference) error
	report(*exchange.Repeated) error
}

func (r *replayCommand) teller(out io.Writer) teller {
	if r.JSON {
		return &jsonTeller{out: out, opening: "{\"differences\":[\n"}
	}
	return textTeller{out}
}

// textTeller tells people.
type textTeller struct{ out io.Writer }

func (t textTeller) difference(d exchange.Difference) error {
	sign := "would differ"
	if d.SamePolicy {
		sign = "WRONG"
	}
	_, err := fmt.Fprintf(t.out, "#%d %s  %s  %s %s %s%s\n  %s in %s\n  then  %s\n  now   %s\n", d.Seq, d.Record,
		d.Time.Format("2006-01-02 15:04:05"), d.Actor, d.Interaction, d.Target, of(d.Client), sign,
		strings.Join(d.Differs, ", "), answer(d.Then), answer(d.Now))
	if err == nil && len(d.Rows) > 0 {
		_, err = fmt.Fprintf(t.out, "  would not leave: %s\n", strings.Join(d.Rows, ", "))
	}
	return err
}

func of(client string) string {
	if client == "" {
		return ""
	}
	return " of " + client
}

func answer(a exchange.Answer) string {
	parts := []string{a.Outcome}
	for _, list := range [][]string{a.Bases, a.Directives, a.Evidence} {
		if len(list) > 0 {
			parts = append(parts, strings.Join(list, ", "))
		}
	}
	if a.Reason != "" {
		parts = append(parts, a.Reason)
	}
	return strings.Join(parts, " · ")
}

func (t textTeller) report(r *exchange.Repeated) error {
	fmt.Fprintf(t.out, "policy version %s\n%d records: %d asked the law and were asked again, %d did not ask, %d erased\n",
		r.Policy, r.Records, r.Asked, r.Unasked, r.Erased)
	for _, policy := range slices.Sorted(maps.Keys(r.Policies)) {
		note := "another version: differences are what the change means; its own text was not kept"
		if slices.Contains(r.Kept, policy) {
			note = "another version: differences are what the change means; under its own, kept text a difference is an error"
		}
		if policy == r.Policy {
			note = "this version: a difference is an error"
		}
		fmt.Fprintf(t.out, "  %d decided under %.12s… (%s)\n", r.Policies[policy], policy, note)
	}
	fmt.Fprintf(t.out, "%d answered as then, %d otherwise\n", r.Same, r.Differences)
	if r.Faded > 0 {
		fmt.Fprintf(t.out, "%d searches not compared: records of changes before them were erased\n", r.Faded)
	}
	for _, basis := range slices.Sorted(maps.Keys(r.Shifts)) {
		s := r.Shifts[basis]
		fmt.Fprintf(t.out, "  %-10s would have opened %d, closed %d, been added to %d, dropped from %d\n", basis, s.Opened, s.Closed, s.Gained, s.Lost)
	}
	for _, u := range r.Unrepeatable {
		fmt.Fprintf(t.out, "#%d %s cannot be repeated: the record lacks %s\n", u.Seq, u.Record, u.Missing)
	}
	if more := r.Missing - int64(len(r.Unrepeatable)); more > 0 {
		fmt.Fprintf(t.out, "and %d more\n", more)
	}
	verdict := "every record was repeated, and answered as then under its own policy version"
	if !r.OK() {
		verdict = fmt.Sprintf("NOT WELL: %d answered otherwise under their own policy version, %d cannot be repeated", r.Wrong, r.Missing)
	}
	_, err := fmt.Fprintln(t.out, verdict)
	return err
}

// jsonTeller writes one JSON object, a difference at a time.
type jsonTeller struct {
	out     io.Writer
	opening string
}

func (t *jsonTeller) difference(d exchange.Difference) error {
	text, err := json.Marshal(d)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(t.out, "%s%s", t.opening, text)
	t.opening = ",\n"
	return err
}

func (t *jsonTeller) report(r *exchange.Repeated) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if t.opening != ",\n" { // there was no difference
		_, err = io.WriteString(t.out, t.opening)
	}
	_, last := fmt.Fprintf(t.out, "],\n\"ok\":%t,\n\"report\":%s}\n", r.OK(), text)
	return errors.Join(err, last)
}
