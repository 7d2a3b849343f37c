package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sotesilta/consent"
	"sotesilta/consent/scenario"
)

// scenariosCommand plays the scenarios of the legal bases against the policies: those built in, or a county's draft.
type scenariosCommand struct {
	Policy   string   `type:"existingdir" help:"Folder of policy files that take the place of the built-in ones of the same name; its folder scenarios, if there is one, takes the place of the built-in scenarios."`
	Switch   []string `help:"Another answer to an open question, such as O1=passes, where the scenario gives none itself."`
	Basis    []string `help:"Only the scenarios of these rows, such as ATL-53.2."`
	Brief    bool     `help:"Only titles, without given, when and then."`
	Overview bool     `help:"Print the table of the rows instead (Markdown): citation, direction, data, what a ban does, scenarios."`
	JSON     bool     `help:"Print JSON."`
	Files    []string `arg:"" optional:"" name:"file" help:"Only these files of scenarios, such as permits.yaml."`
}

// playedScenario is one scenario, for JSON.
type playedScenario struct {
	Basis  string   `json:"basis"`
	Title  string   `json:"title"`
	Given  string   `json:"given"`
	When   string   `json:"when"`
	Then   string   `json:"then"`
	Pass   bool     `json:"pass"`
	Wrong  []string `json:"wrong,omitempty"`
	Reason string   `json:"reason"`
	File   string   `json:"file"`
	Line   int      `json:"line"`
}

// Run plays the scenarios and prints a table per row. It fails with errNotWell when the law answers one otherwise than
// written, or when a row lacks a scenario that it must have.
func (c *scenariosCommand) Run(out streams) error {
	suite, err := c.suite()
	if err != nil {
		return err
	}
	base := consent.Config{Switches: map[string]string{}}
	if c.Policy != "" && !c.onlyScenarios() {
		base.Bases = os.DirFS(c.Policy)
	}
	if err := c.answer(suite, &base); err != nil {
		return err
	}
	engine, err := consent.New(base)
	if err != nil {
		return err
	}
	for _, id := range c.Basis {
		if !slices.ContainsFunc(engine.Rows(), func(row consent.Row) bool { return row.ID == id }) {
			return fmt.Errorf("--basis %q is no row of the policies (--overview prints them)", id)
		}
	}
	results, err := suite.Run(func(cfg *consent.Config) { cfg.Bases = base.Bases })
	if err != nil {
		return err
	}
	if len(c.Basis) > 0 {
		results = slices.DeleteFunc(results, func(r scenario.Result) bool { return !slices.Contains(c.Basis, r.Scenario.Basis) })
	}
	var gaps []string
	if len(c.Files)+len(c.Basis) == 0 {
		gaps = scenario.Gaps(engine.Rows(), suite.Scenarios())
	}
	failed := 0
	for i := range results {
		if !results[i].OK() {
			failed++
		}
	}
	switch {
	case c.Overview:
		err = overview(out.out, engine, results)
	case c.JSON:
		err = scenariosJSON(out.out, engine.Version(), results, gaps)
	default:
		err = scenariosTable(out.out, engine, results, gaps, c.Brief)
	}
	if err != nil {
		return err
	}
	if failed+len(gaps) > 0 {
		return errNotWell
	}
	return nil
}

// suite reads the scenarios: those of the draft, or those built in.
func (c *scenariosCommand) suite() (*scenario.Suite, error) {
	folder, err := fs.Sub(consent.Bases(), "scenarios")
	if err != nil {
		return nil, err
	}
	if c.Policy != "" {
		own := filepath.Join(c.Policy, "scenarios")
		if info, err := os.Stat(own); err == nil && info.IsDir() {
			folder = os.DirFS(own)
		}
	}
	names := make([]string, len(c.Files))
	for i, name := range c.Files {
		names[i] = filepath.Base(name) // however the file was found: scenarios are of one folder
	}
	return scenario.Read(folder, names...)
}

// onlyScenarios says whether the draft is one of scenarios, with no policy beside them: then the built-in law is played.
func (c *scenariosCommand) onlyScenarios() bool {
	files, err := os.ReadDir(c.Policy)
	if err != nil || !slices.ContainsFunc(files, func(f fs.DirEntry) bool { return f.Name() == "scenarios" && f.IsDir() }) {
		return false
	}
	return !slices.ContainsFunc(files, func(f fs.DirEntry) bool {
		return slices.Contains([]string{".cedar", ".cedarschema", ".yaml"}, filepath.Ext(f.Name()))
	})
}

// answer puts other answers to open questions in the place of the cast's; what a scenario answers itself stays.
func (c *scenariosCommand) answer(suite *scenario.Suite, base *consent.Config) error {
	for _, answer := range c.Switch {
		name, value, ok := strings.Cut(answer, "=")
		if !ok {
			return fmt.Errorf("%q is not of the form O1=passes", answer)
		}
		suite.Answer(name, value)
		base.Switches[name] = value
	}
	return nil
}

// scenariosTable prints the scenarios under the rows that they are about, in the order of the rows.
func scenariosTable(out io.Writer, engine *consent.Engine, results []scenario.Result, gaps []string, brief bool) error {
	byRow := map[string][]*scenario.Result{}
	for i := range results {
		r := &results[i]
		byRow[r.Scenario.Basis] = append(byRow[r.Scenario.Basis], r)
	}
	failed := 0
	for _, row := range engine.Rows() {
		list := byRow[row.ID]
		if len(list) == 0 {
			continue
		}
		fmt.Fprintf(out, "%s · %s · %s\n%s · %s\n", row.ID, row.Citation, row.TitleFi, row.TitleEn, kindOf(&row))
		for _, r := range list {
			verdict := "PASS"
			if !r.OK() {
				verdict = "FAIL"
				failed++
			}
			fmt.Fprintf(out, "  %s  %s\n", verdict, r.Scenario.Title)
			if !brief || !r.OK() {
				fmt.Fprintf(out, "        given  %s\n        when   %s\n        then   %s\n", r.Given, r.When, r.Then)
			}
			for _, wrong := range r.Wrong {
				fmt.Fprintf(out, "        WRONG  %s\n", wrong)
			}
			if !r.OK() {
				fmt.Fprintf(out, "        in     %s:%d\n", r.Scenario.File, r.Scenario.Line)
			}
		}
		fmt.Fprintln(out)
	}
	for _, gap := range gaps {
		fmt.Fprintf(out, "MISSING  %s\n", gap)
	}
	_, err := fmt.Fprintf(out, "%d scenarios of %d rows: %d as written, %d otherwise; %d missing (policy version %.12s…)\n",
		len(results), len(byRow), len(results)-failed, failed, len(gaps), engine.Version())
	return err
}

func scenariosJSON(out io.Writer, version string, results []scenario.Result, gaps []string) error {
	list := make([]playedScenario, len(results))
	for i := range results {
		r := &results[i]
		list[i] = playedScenario{
			Basis: r.Scenario.Basis, Title: r.Scenario.Title, Given: r.Given, When: r.When, Then: r.Then, Pass: r.OK(),
			Wrong: r.Wrong, Reason: r.Decision.Reason, File: r.Scenario.File, Line: r.Scenario.Line,
		}
	}
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", " ")
	return encoder.Encode(struct {
		Policy    string           `json:"policy"`
		Scenarios []playedScenario `json:"scenarios"`
		Missing   []string         `json:"missing,omitempty"`
	}{version, list, gaps})
}

// kindOf says what sort of row it is.
func kindOf(row *consent.Row) string {
	switch {
	case row.GivesNone:
		return "gives no right of its own"
	case row.Limit && row.Human:
		return "limit: a human decides"
	case row.Limit:
		return "limit"
	case row.Act:
		return "a human's act"
	case row.Human:
		return "a human decides"
	}
	return "permits"
}

// overview prints the rows as a Markdown table: what a lawyer reads first. The policies and the scenarios say the rest.
func overview(out io.Writer, engine *consent.Engine, results []scenario.Result) error {
	type count struct{ permits, others int }
	counts := map[string]*count{}
	for i := range results {
		id := results[i].Scenario.Basis
		if counts[id] == nil {
			counts[id] = &count{}
		}
		if results[i].Scenario.Then.Outcome == "permit" {
			counts[id].permits++
		} else {
			counts[id].others++
		}
	}
	cell := strings.NewReplacer("|", "\\|", "\n", " ")
	fmt.Fprintf(out, "Policy version %s. Scenarios: permitting + denying or leaving to a human.\n\n", engine.Version())
	fmt.Fprintln(out, "| row | provision | peruste · basis | from → to | data | what it does | a ban | obligations | in force | scenarios | written in |")
	fmt.Fprintln(out, "|---|---|---|---|---|---|---|---|---|---|---|")
	for _, row := range engine.Rows() {
		n := counts[row.ID]
		if n == nil {
			n = &count{}
		}
		does, ban, place := kindOf(&row), banWords(row.Ban), row.File
		if row.Line > 0 {
			place = fmt.Sprintf("%s:%d", row.File, row.Line)
		}
		if row.GivesNone {
			does, ban = "gives none: "+row.Reason+" See "+strings.Join(row.Instead, ", ")+".", ""
		}
		fmt.Fprintf(out, "| %s | %s | %s · %s | %s | %s | %s | %s | %s | %s | %d + %d | %s |\n", row.ID, cell.Replace(row.Citation),
			cell.Replace(row.TitleFi), cell.Replace(row.TitleEn), cell.Replace(row.Direction), cell.Replace(row.Scope), cell.Replace(does), ban,
			strings.Join(row.Obligations, ", "), force(&row), n.permits, n.others, place)
	}
	fmt.Fprint(out, "\nOpen questions, as answered here:\n\n| question | answer |\n|---|---|\n")
	switches := engine.Switches()
	names := slices.SortedFunc(maps.Keys(switches), func(a, b string) int { return cmp.Or(len(a)-len(b), strings.Compare(a, b)) })
	for _, name := range names {
		fmt.Fprintf(out, "| %s | %s |\n", name, switches[name])
	}
	_, err := fmt.Fprintln(out)
	return err
}

// force is when a row is in force, as Finnish days; the day it ends is the first on which it does not hold.
func force(row *consent.Row) string {
	day := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.Format(time.DateOnly)
	}
	if row.From.IsZero() && row.To.IsZero() {
		return ""
	}
	return day(row.From) + "–" + day(row.To)
}

// banWords says what a ban does to a row, from its annotation.
func banWords(ban string) string {
	words := map[string]string{
		"": "", "yes": "stops it", "no": "does not touch it", "documents": "leaves out single documents", "human": "leaves it to a human",
	}
	if text, known := words[ban]; known {
		return text
	}
	return "follows " + strings.TrimPrefix(ban, "switch:")
}
