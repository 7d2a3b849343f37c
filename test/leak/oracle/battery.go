package oracle

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Config is what the battery is given.
type Config struct {
	Base    string // FHIR base
	Asker   Access // to whom the client is denied
	Patient string // id of the denied client
	// Preparer, when given, may read and write the denied client's data: the battery then learns what there is to hide,
	// and writes hidden things itself. Without it only Known is probed.
	Preparer Access
	// Type is what hidden data is probed by: one of Types. "" is Observation.
	Type string
	// Known are references (Type/id) of hidden resources.
	Known []string
	// Own is the id of another Patient, whom the asker's own writes may be about; "" writes about nobody.
	Own string
	// Twin is the id of another person whom the server's population data hold as they hold the denied client.
	// Patient/$match and writes about a client must treat both alike. "" compares with nobody, as fits a server where the
	// person's being there is itself denied.
	Twin string
	// Identifier is the denied client's, as system|value; Preparer learns it by itself.
	Identifier string
	// Subject is the asker as a server names it that answers OpenID AuthZEN 1.0 at /access/v1/evaluation of the same host: a
	// JSON object such as {"type":"user","id":"nurse"}. "" asks it nothing.
	Subject string
	// Write lets probes write: what they write stays, and where a server lets them they change what is hidden.
	Write bool
	// Listen is the address (host:port) for notifications, which the server must reach; "" subscribes to nothing.
	Listen string
	// Patience is how long a notification or an export is waited for; 0 is five seconds.
	Patience time.Duration
	// Pairs is the sample size of the measurements of time: how often each question is put about a hidden and about an
	// absent thing. 0 measures nothing.
	Pairs int
	// Progress, when set, is told after each step.
	Progress func(Progress)
}

// Progress is how far a run has come.
type Progress struct {
	Done, Steps int
	Requests    int
	Elapsed     time.Duration
	Now         string // what is being probed
}

// Types are the types that hidden data can be probed by.
func Types() []string {
	var types []string
	for typ := range templates {
		types = append(types, typ)
	}
	slices.Sort(types)
	return types
}

// battery is one run.
type battery struct {
	Config
	asker, preparer *party
	anybody         *party // without credentials
	can             *capability
	mark            string // of this run
	system, codes   string // of what it writes
	other, param    string // a type of the asker's that refers to anything, and its parameter
	report          *Report
}

// step is a part of a run.
type step struct {
	name string
	run  func(ctx context.Context) error
}

// Run asks the server by every oracle. An error means that it could not be run; what was found until then is in the
// report nevertheless.
func Run(ctx context.Context, c Config) (*Report, error) {
	if c.Base == "" || c.Patient == "" && len(c.Known) == 0 {
		return nil, errors.New("oracle: a base and a denied client or resource are needed")
	}
	if c.Type == "" {
		c.Type = "Observation"
	}
	if templates[c.Type] == "" {
		return nil, fmt.Errorf("oracle: the type is one of %s", strings.Join(Types(), ", "))
	}
	if c.Own != "" && c.Own == c.Patient {
		return nil, errors.New("oracle: what the asker writes would be about the denied client: name another")
	}
	if c.Patience <= 0 {
		c.Patience = 5 * time.Second
	}
	begun := time.Now()
	b := &battery{Config: c, asker: newParty(c.Base, c.Asker), anybody: newParty(c.Base, Open{}), report: &Report{Base: c.Base}}
	b.mark = random("battery0000000000000000000000000")
	b.system, b.codes = "https://battery.example/identifier/"+b.mark[:8], "https://battery.example/code"
	if c.Preparer != nil {
		b.preparer = newParty(c.Base, c.Preparer)
	}
	err := b.run(ctx, begun)
	b.report.Requests = b.asker.sent
	if b.preparer != nil {
		b.report.Requests += b.preparer.sent
	}
	b.report.Seconds = time.Since(begun).Seconds()
	b.report.Probes = len(b.report.Findings)
	return b.report, err
}

func (b *battery) run(ctx context.Context, begun time.Time) error {
	var err error
	if b.can, err = capabilities(ctx, b.asker); err != nil {
		return err
	}
	b.report.Software = b.can.software
	w, err := b.prepare(ctx)
	if err != nil {
		return err
	}
	steps := b.steps(w)
	for i, s := range steps {
		if b.Progress != nil {
			b.Progress(Progress{i, len(steps), b.asker.sent, time.Since(begun), s.name})
		}
		if err := s.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	if b.Progress != nil {
		b.Progress(Progress{len(steps), len(steps), b.asker.sent, time.Since(begun), ""})
	}
	return nil
}

// steps are the run, in order: what might change what is hidden comes last.
func (b *battery) steps(w *world) []step {
	var out []step
	twins := func(probes []probe, tw *twin, writes bool) {
		for _, p := range probes {
			if p.write == writes {
				out = append(out, step{string(p.oracle), func(ctx context.Context) error { return b.compare(ctx, p, tw) }})
			}
		}
	}
	out = append(out, step{"before and after", func(ctx context.Context) error { return b.beside(ctx, w) }})
	if w.referrer != nil {
		twins(ofReferrer, w.referrer, false)
	} else {
		b.untried(ofReferrer, "no resource of the asker's that refers to what is hidden (it needs to write: --write)")
	}
	if w.referred != nil {
		twins(ofReferred, w.referred, false)
	} else {
		b.untried(ofReferred, "nothing hidden that refers to the asker's own (it needs a preparer, and --write)")
	}
	if w.patient != nil {
		twins(ofPatient, w.patient, false)
	}
	if w.hiddenPatient != nil {
		twins(ofHiddenPatient, w.hiddenPatient, false)
	}
	for _, tw := range w.resources {
		twins(ofResource, tw, false)
	}
	out = append(out,
		step{"match", func(ctx context.Context) error { return b.match(ctx, w) }},
		step{"export", func(ctx context.Context) error { return b.export(ctx, w) }},
		step{"notification", func(ctx context.Context) error { return b.notification(ctx, w) }},
		step{"public log", func(ctx context.Context) error { return b.growth(ctx, w) }})
	reads, writes := b.measurements(w)
	out = append(out, reads...)
	if !b.Write {
		b.untried(slices.DeleteFunc(slices.Clone(ofResource), func(p probe) bool { return !p.write }), "it writes: --write")
		return out
	}
	if w.patient != nil {
		twins(ofPatient, w.patient, true)
	}
	if w.hiddenPatient != nil {
		twins(ofHiddenPatient, w.hiddenPatient, true)
	}
	for _, tw := range w.resources {
		twins(ofResource, tw, true)
		// After all that, what is hidden is still hidden alike.
		twins(ofResource[:1], tw, false)
	}
	return append(out, writes...)
}

func (b *battery) find(o Oracle, probe string, v Verdict, evidence string) {
	b.report.Findings = append(b.report.Findings, Finding{o, probe, v, evidence})
}

func (b *battery) untried(probes []probe, why string) {
	for _, p := range probes {
		b.find(p.oracle, p.String(), Untried, why)
	}
}

// ask puts a probe about one side of a twin, and answers what can be told of the answer.
func (b *battery) ask(ctx context.Context, p probe, side map[string]string) (*answer, aspects, error) {
	values, mark := map[string]string{}, random(b.mark)
	for name, value := range side {
		values[name] = value
	}
	values["subject"] = b.Subject
	for name, template := range map[string]string{"fresh": values["template"], "conditional": values["conditional"], "referring": values["referring"]} {
		values[name] = strings.NewReplacer("{mark}", mark, "{value}", mark).Replace(template)
	}
	a, err := b.asker.do(ctx, p.with(values))
	if err != nil {
		return nil, nil, err
	}
	return a, a.aspects(append(replacements(side), mark, "MARK")), nil
}

// replacements are what was asked for and what stands for it, longest first.
func replacements(side map[string]string) []string {
	var pairs [][2]string
	for _, name := range []string{"id", "own", "patient", "twin", "value", "mark", "referrer", "pvalue", "code", "family", "given", "born"} {
		if v := side[name]; len(v) > 3 || len(v) > 0 && (name == "id" || name == "own") {
			if name == "twin" {
				name = "patient" // stands in its place
			}
			pairs = append(pairs, [2]string{v, strings.ToUpper(name)})
		}
	}
	slices.SortStableFunc(pairs, func(x, y [2]string) int { return len(y[0]) - len(x[0]) })
	var out []string
	for _, pair := range pairs {
		if len(pair[0]) > 3 {
			out = append(out, pair[0], pair[1])
			continue
		}
		for _, edge := range []string{"/", `"`, "="} { // a short id is itself only at an edge
			out = append(out, edge+pair[0], edge+pair[1])
		}
	}
	return out
}

// lacking is a place of a probe that one side has nothing for, or "".
func lacking(p probe, side map[string]string) string {
	for _, text := range append([]string{p.path, p.body}, p.header...) {
		for _, place := range places.FindAllStringSubmatch(text, -1) {
			name := place[1]
			if name == "fresh" {
				name = "template"
			}
			if side[name] == "" && name != "subject" {
				return place[1]
			}
		}
	}
	return ""
}

// compare puts a probe about a hidden thing and about two absent ones.
func (b *battery) compare(ctx context.Context, p probe, tw *twin) error {
	if missing := lacking(p, tw.hidden); missing != "" {
		b.find(p.oracle, p.String(), Untried, "{"+missing+"} of what is hidden is not known")
		return nil
	}
	absent, first, err := b.ask(ctx, p, tw.absent)
	if err != nil {
		return err
	}
	hidden, found, err := b.ask(ctx, p, tw.hidden)
	if err != nil {
		return err
	}
	_, control, err := b.ask(ctx, p, tw.control)
	if err != nil {
		return err
	}
	shown := p.with(tw.hidden).String()
	diff := differing(found, first, control)
	switch {
	case len(diff) > 0:
		b.tell(p, shown, diff, found, first)
	case hidden.status >= 500 && hidden.status != http.StatusNotImplemented:
		b.find(p.oracle, shown, Untried, fmt.Sprintf("the server answers %d", hidden.status))
	case absent.status >= 400 && !b.can.serves(tw.hidden["type"], p.feature),
		p.feature == "" && (absent.status == http.StatusBadRequest || absent.status == http.StatusNotImplemented):
		b.find(p.oracle, shown, Unsupported, fmt.Sprintf("%d alike", absent.status))
	default:
		alike := fmt.Sprintf("%d alike", absent.status)
		b.find(p.oracle, shown, Clean, alike)
		if p.broad && p.oracle == Body && absent.status >= 400 {
			b.find(Status, shown, Clean, alike)
			b.find(Text, shown, Clean, alike)
			b.find(Header, shown, Clean, alike)
		}
	}
	return nil
}

// tell finds out by which oracle a difference tells.
func (b *battery) tell(p probe, shown string, diff []string, hidden, absent aspects) {
	evidence := func(name string) string {
		say := func(a aspects) string {
			if v, ok := a[name]; ok {
				return fmt.Sprintf("%.160q", v)
			}
			return "none"
		}
		return fmt.Sprintf("%s is %s for what is hidden, %s for what is absent", name, say(hidden), say(absent))
	}
	has := func(name string) bool { return slices.Contains(diff, name) }
	if p.broad {
		switch {
		case has("status") && hidden["status"] >= "300":
			b.find(Status, shown, Leak, evidence("status"))
			return
		case has("status"):
		case has("entries"), has("rows"), has("body"):
		case has("total"):
			b.find(Total, shown, Leak, evidence("total"))
			return
		case has("outcome"):
			b.find(Text, shown, Leak, evidence("outcome"))
			return
		}
	}
	for _, name := range []string{"status", "entries", "rows", "body", "total", "outcome"} {
		if has(name) {
			o := p.oracle
			if p.broad && (name == "entries" || name == "rows") && slices.Contains([]Oracle{Total, Link}, o) {
				o = Search
			}
			b.find(o, shown, Leak, evidence(name))
			return
		}
	}
	name := diff[0]
	o := p.oracle
	switch {
	case !strings.HasPrefix(name, "header") && name != "length":
		if p.broad && strings.HasPrefix(name, "link") {
			o = Link
		}
	case name == "header Etag" || name == "header Last-Modified":
		o = ETag
	default:
		o = Header
	}
	b.find(o, shown, Leak, evidence(name))
}
