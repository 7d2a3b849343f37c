package scenario

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"sotesilta/consent"
	"sotesilta/internal/yamlerr"
)

// Bounds of what is read.
const (
	maxFile      = 4 << 20
	maxScenarios = 10_000 // of one file
)

// castFile names the people that scenarios speak of.
const castFile = "cast.yaml"

// Scenario is one given, when, then.
type Scenario struct {
	Basis string // row of the table of legal bases it is about
	Title string
	Given Given
	When  When
	Then  Then

	File string `yaml:"-"`
	Line int    `yaml:"-"`
}

// Given is what is so before anybody asks.
type Given struct {
	Switches map[string]string // answers to open questions, beside those of the cast
	Client   Known
	Second   *Known // another client whom the data name too
}

// Known is what is known of a client.
type Known struct {
	Unknown        bool   // nothing is
	Born           string // 1980-05-01 when not told
	Turvakielto    bool
	GuardianDenied bool `yaml:"guardian-denied"`
	Deceased       bool
	Dependent      bool // a minor assessed not to be capable of deciding
	Relationships  []struct {
		Care, Registered, Participant, Invited string // unit, unit, person, person
		Received                               string // unit
		Process, Service, Location, Task       string
		Basis                                  string
		From, To                               string
	}
	Directives []Directive
}

// Directive is a permit ("health to social"), a consent (its row) or a ban (what of).
type Directive struct {
	Permit       string
	Consent      string
	Denial       bool   // a minor's, towards the guardian
	Ban          string // all patient data; a register; service tasks; service events; documents
	To           []string
	Data         []string
	ServiceTasks []string `yaml:"service-tasks"`
	Controller   string
	Register     consent.Register
	Events       []string
	Documents    []string
	Recorded     Span
	Valid        Span
	Withdrawn    bool
	GivenBy      consent.Giver `yaml:"given-by"` // the client, when not told
	Named        []string      // recipients registered nowhere, by name; the scenarios' own is "somebody"
}

// Span is a time span of days; a missing bound is open.
type Span struct{ From, To string }

// When is what somebody wants to do.
type When struct {
	Who       string
	Does      consent.Action
	Purpose   consent.Purpose
	At        string // the time of the cast when not told
	Assertion struct {
		Task, Ground, Reason string
		Facts                map[string]string
		Confirm              bool
	}
	Invites   string // who is invited, asked or given the data
	Recipient string // kind of a recipient who is not registered (acts.yaml)
	Data      struct {
		Type, Controller, Process, Invitation, Unit, Author string
		Register                                            consent.Register
		Joint, Nobody                                       bool
		ServiceTask                                         string `yaml:"service-task"`
		DataClass                                           string `yaml:"data-class"`
		Protection                                          string
		ServiceEvent                                        string `yaml:"service-event"`
		Act                                                 string // the human's act that disclosed it
	}
}

// Then is what must follow.
type Then struct {
	Outcome    string // permit, deny, needs-human
	Bases      []string
	Disclosure *bool
	Recorded   []Span
	Exclude    []string
	Redacted   *bool
	Directives []string
	Evidence   []string
	Demand     string // words that a person who acts is told
	Reason     string // words that the ledger's reason holds
}

// cast is cast.yaml.
type cast struct {
	At            time.Time
	Switches      map[string]string
	Public        []string
	JointServices []struct{ Service, Location, Controller string } `yaml:"joint-services"`
	Units         map[string]struct {
		Controller string
		Register   consent.Register
	}
	People map[string]struct {
		Unit, Task, Service, Controller string
		Kind                            consent.Kind
		Authority                       bool
		Producer                        bool
		Clients                         []string
	}
}

// Suite is a folder of scenarios.
type Suite struct {
	cast      cast
	scenarios []Scenario
}

// Read reads a folder of scenarios, or only the files of it that are named ("permits.yaml"). Errors name file and line.
func Read(folder fs.FS, only ...string) (*Suite, error) {
	s := &Suite{}
	if err := readYAML(folder, castFile, &s.cast); err != nil {
		return nil, err
	}
	names, err := fs.Glob(folder, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("scenarios: %w", err)
	}
	for _, name := range only {
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("scenarios: there is no %s; there are %v", name, names)
		}
	}
	for _, name := range names {
		if name == castFile || len(only) > 0 && !slices.Contains(only, name) {
			continue
		}
		list, err := readFile(folder, name)
		if err != nil {
			return nil, err
		}
		s.scenarios = append(s.scenarios, list...)
	}
	return s, nil
}

// Answer takes another answer to an open question than the cast does, where a scenario gives none itself.
func (s *Suite) Answer(question, value string) {
	if s.cast.Switches == nil {
		s.cast.Switches = map[string]string{}
	}
	s.cast.Switches[question] = value
}

// Scenarios are the scenarios of the suite, in the order of the files.
func (s *Suite) Scenarios() []Scenario { return s.scenarios }

func readFile(folder fs.FS, name string) ([]Scenario, error) {
	var list []Scenario
	if err := readYAML(folder, name, &list); err != nil {
		return nil, err
	}
	if len(list) > maxScenarios {
		return nil, fmt.Errorf("%s: more than %d scenarios", name, maxScenarios)
	}
	var places []yaml.Node
	if err := readYAML(folder, name, &places); err != nil {
		return nil, err
	}
	titles := map[string]int{}
	for i := range list {
		list[i].File, list[i].Line = name, places[i].Line
		one := &list[i]
		switch {
		case one.Basis == "" || one.Title == "":
			return nil, one.wrong("a scenario has a basis and a title")
		case one.When.Who == "" || one.When.Does == "":
			return nil, one.wrong("a scenario says who does what")
		case !slices.Contains([]string{"permit", "deny", "needs-human"}, one.Then.Outcome):
			return nil, one.wrong("the outcome is permit, deny or needs-human, not %q", one.Then.Outcome)
		case titles[one.Basis+one.Title] > 0:
			return nil, one.wrong("%s %q is there before, in line %d", one.Basis, one.Title, titles[one.Basis+one.Title])
		}
		titles[one.Basis+one.Title] = one.Line
	}
	return list, nil
}

// wrong is an error of a scenario, at its place.
func (s *Scenario) wrong(format string, args ...any) error {
	return fmt.Errorf("%s:%d: %w", s.File, s.Line, fmt.Errorf(format, args...))
}

func readYAML(folder fs.FS, name string, into any) error {
	file, err := folder.Open(name)
	if err != nil {
		return fmt.Errorf("scenarios: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return fmt.Errorf("scenarios: %w", err)
	}
	if len(data) > maxFile {
		return fmt.Errorf("%s: larger than %d bytes", path.Base(name), maxFile)
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: %w", name, yamlerr.Plain(err))
	}
	return nil
}

// config is the law's configuration under answers to open questions: the cast's, then those given.
func (c *cast) config(answers ...map[string]string) consent.Config {
	cfg := consent.Config{Switches: map[string]string{}}
	maps.Copy(cfg.Switches, c.Switches)
	for _, more := range answers {
		maps.Copy(cfg.Switches, more)
	}
	for _, name := range c.Public {
		cfg.Public = append(cfg.Public, "Organization/"+name)
	}
	for _, s := range c.JointServices {
		cfg.JointServices = append(cfg.JointServices, consent.JointService{
			Service: "HealthcareService/" + s.Service, Location: "Location/" + s.Location, Controller: "Organization/" + s.Controller,
		})
	}
	return cfg
}
