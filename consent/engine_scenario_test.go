package consent

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// The scenarios of bases/scenarios are written for people who know the law and not the code. This file turns them into
// requests and facts; the words they may use are the YAML names below.

type cast struct {
	At            time.Time
	Switches      map[string]string
	Public        []string
	JointServices []struct{ Service, Location, Controller string } `yaml:"joint-services"`
	Units         map[string]struct {
		Controller string
		Register   Register
	}
	People map[string]struct {
		Unit, Task, Service, Controller string
		Kind                            Kind
		Authority                       bool
		Clients                         []string
	}
}

type scenario struct {
	Basis string
	Title string
	Given given
	When  when
	Then  then
}

type given struct {
	Switches map[string]string
	Client   known
	Second   *known // another client whom the data name too
}

type known struct {
	Unknown        bool // nothing is known of the client
	Born           string
	Turvakielto    bool
	GuardianDenied bool `yaml:"guardian-denied"`
	Relationships  []struct {
		Care, Registered, Participant, Invited string // unit, unit, person, person
		Process, Service, Location, Task       string
		Basis                                  string
		From, To                               string
	}
	Directives []struct {
		Permit       string // health to social
		Consent      string // statute row
		Ban          string // all patient data; a register; service tasks; service events; documents
		To           []string
		Data         []string
		ServiceTasks []string `yaml:"service-tasks"`
		Controller   string
		Register     Register
		Events       []string
		Documents    []string
		Recorded     span
		Valid        span
		Withdrawn    bool
	}
}

type span struct{ From, To string }

type when struct {
	Who       string
	Does      Action
	Purpose   Purpose
	At        string
	Assertion struct {
		Task, Ground, Reason string
		Confirm              bool
	}
	Invites string
	Data    struct {
		Type, Controller, Process, Invitation, Unit, Author string
		Register                                            Register
		Joint, Nobody                                       bool
		ServiceTask                                         string `yaml:"service-task"`
		DataClass                                           string `yaml:"data-class"`
		Protection                                          string
		ServiceEvent                                        string `yaml:"service-event"`
	}
}

type then struct {
	Outcome    string
	Bases      []string
	Disclosure *bool
	Recorded   []span
	Exclude    []string
	Redacted   *bool
	Directives []string
	Evidence   []string
	Reason     string // words that the ledger's reason holds
}

func readYAML(t testing.TB, file string, into any) {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	require.NoError(t, d.Decode(into), file)
}

type theatre struct {
	cast    cast
	engines map[string]*Engine
}

func newTheatre(t testing.TB) *theatre {
	th := &theatre{engines: map[string]*Engine{}}
	readYAML(t, "bases/scenarios/cast.yaml", &th.cast)
	return th
}

func (th *theatre) engine(t testing.TB, switches map[string]string) *Engine {
	all := map[string]string{}
	for _, m := range []map[string]string{th.cast.Switches, switches} {
		for k, v := range m {
			all[k] = v
		}
	}
	key := fmt.Sprint(all)
	if e := th.engines[key]; e != nil {
		return e
	}
	cfg := Config{Switches: all}
	for _, name := range th.cast.Public {
		cfg.Public = append(cfg.Public, "Organization/"+name)
	}
	for _, s := range th.cast.JointServices {
		cfg.JointServices = append(cfg.JointServices, JointService{"HealthcareService/" + s.Service, "Location/" + s.Location, "Organization/" + s.Controller})
	}
	e, err := New(cfg)
	require.NoError(t, err)
	th.engines[key] = e
	return e
}

func (th *theatre) actor(t testing.TB, name string) Actor {
	p, ok := th.cast.People[name]
	require.True(t, ok, "cast.yaml knows no %q", name)
	a := Actor{Kind: p.Kind, App: "app", User: name, Task: p.Task, Service: p.Service, Authority: p.Authority, Clients: p.Clients}
	if a.Kind == "" {
		a.Kind = Professional
	}
	a.Controller = ref("Organization", p.Controller)
	if p.Unit != "" {
		u, ok := th.cast.Units[p.Unit]
		require.True(t, ok, "cast.yaml knows no unit %q", p.Unit)
		a.App, a.Controller, a.Register = p.Unit+" system", ref("Organization", u.Controller), u.Register
		a.Units = []string{ref("Organization", p.Unit)}
		if a.Kind == Professional {
			a.Unit, a.Person = a.Units[0], personRef(name)
		}
	}
	return a
}

func personRef(name string) string { return "Practitioner/" + strings.ReplaceAll(name, " ", "-") }

func ref(typ, name string) string {
	if name == "" {
		return ""
	}
	return typ + "/" + name
}

func day(t testing.TB, s string) time.Time {
	if s == "" {
		return time.Time{}
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.ParseInLocation(layout, s, finnish); err == nil {
			return at
		}
	}
	require.Fail(t, "not a date", s)
	return time.Time{}
}

func (s span) period(t testing.TB) Period { return Period{day(t, s.From), day(t, s.To)} }

func (th *theatre) facts(t testing.TB, client string, k *known) *Facts {
	if k.Unknown {
		return nil
	}
	f := &Facts{Client: client, Version: 1}
	f.Person = Person{Born: day(t, k.Born), Turvakielto: k.Turvakielto, GuardianDenied: k.GuardianDenied}
	if k.Born == "" {
		f.Person.Born = day(t, "1980-05-01")
	}
	for i, r := range k.Relationships {
		rel := Relationship{Basis: r.Basis, Period: span{r.From, r.To}.period(t)}
		unit := func(name string) {
			u, ok := th.cast.Units[name]
			require.True(t, ok, "cast.yaml knows no unit %q", name)
			rel.Unit, rel.Controller, rel.Register = ref("Organization", name), ref("Organization", u.Controller), u.Register
			rel.App = name + " system"
		}
		person := func(name string) {
			unit(th.cast.People[name].Unit)
			rel.Person = personRef(name)
			rel.Process, rel.Service, rel.Location = ref("CarePlan", r.Process), ref("HealthcareService", r.Service), ref("Location", r.Location)
		}
		switch {
		case r.Care != "":
			rel.Kind, rel.Evidence = InCare, fmt.Sprintf("EpisodeOfCare/%d", i+1)
			unit(r.Care)
		case r.Registered != "":
			rel.Kind, rel.Evidence = Registered, fmt.Sprintf("Patient/own-%d", i+1)
			unit(r.Registered)
		case r.Participant != "":
			rel.Kind, rel.Evidence = Participant, fmt.Sprintf("Task/%d", i+1)
			person(r.Participant)
		case r.Invited != "":
			rel.Kind, rel.Evidence = Invited, fmt.Sprintf("Task/%d", i+1)
			person(r.Invited)
		}
		if r.Task != "" {
			rel.Evidence = r.Task
		}
		require.NotEmpty(t, rel.Kind, "a relationship is care, registered, participant or invited")
		f.Relationships = append(f.Relationships, rel)
	}
	for i, d := range k.Directives {
		terms := Terms{
			Evidence: fmt.Sprintf("Consent/%d", i+1), Version: 1, Active: !d.Withdrawn, Valid: d.Valid.period(t),
			RecordedBy: "Organization/health-station",
		}
		if d.Withdrawn {
			terms.Version = 2
		}
		for _, name := range d.To {
			terms.Recipients = append(terms.Recipients, ref("Organization", name))
		}
		switch {
		case d.Permit != "":
			from, to, ok := strings.Cut(d.Permit, " to ")
			require.True(t, ok, "a permit is written as health to social")
			terms.Kind, terms.From, terms.To = Permit, from, to
			terms.DataClasses, terms.ServiceTasks, terms.Recorded = d.Data, d.ServiceTasks, d.Recorded.period(t)
		case d.Consent != "":
			terms.Kind, terms.Statute = Assent, d.Consent
		case d.Ban != "":
			terms.Kind = Ban
			switch d.Ban {
			case "all patient data":
				terms.AllHealth = true
			case "a register":
				terms.Controller, terms.Register = ref("Organization", d.Controller), d.Register
			case "service tasks":
				terms.ServiceTasks = d.ServiceTasks
			case "service events":
				terms.ServiceEvents = d.Events
			case "documents":
				terms.Documents = d.Documents
			default:
				require.Fail(t, "unknown ban", d.Ban)
			}
		default:
			require.Fail(t, "a directive is a permit, a consent or a ban")
		}
		f.Directives = append(f.Directives, terms)
	}
	return f
}

// play turns a scenario into its request, class and facts.
func (th *theatre) play(t testing.TB, s *scenario) (*Engine, Request, Class, []*Facts) {
	w := &s.When
	req := Request{
		Actor: th.actor(t, w.Who), Action: w.Does, Purpose: w.Purpose, Time: th.cast.At,
		Assertion: Assertion{Task: w.Assertion.Task, Ground: w.Assertion.Ground, Reason: w.Assertion.Reason, Confirm: w.Assertion.Confirm},
	}
	if req.Purpose == "" {
		req.Purpose = Care
	}
	if w.At != "" {
		req.Time = day(t, w.At)
	}
	if w.Invites != "" {
		guest := th.actor(t, w.Invites)
		req.Invitee = Invitee{Person: guest.Person, Controller: guest.Controller, Register: guest.Register, Unit: guest.Unit}
	}
	d := &w.Data
	class := Class{
		Type: d.Type, Register: d.Register, Controller: ref("Organization", d.Controller), Joint: d.Joint, Process: ref("CarePlan", d.Process),
		Invitation: d.Invitation, ServiceTask: d.ServiceTask, DataClass: d.DataClass, Protection: d.Protection,
		ServiceEvent: d.ServiceEvent, Author: d.Author, Unit: ref("Organization", d.Unit),
	}
	if class.Unit == "" && d.Author == "" {
		switch d.Register {
		case Health:
			class.Unit = "Organization/health-station"
		case Social:
			class.Unit = "Organization/social-services"
		}
	}
	if class.Controller == "" {
		class.Controller = "Organization/county"
	}
	if class.Author == "" && class.Unit != "" {
		class.Author = strings.TrimPrefix(class.Unit, "Organization/") + " system"
	}
	var facts []*Facts
	if !d.Nobody {
		class.Clients = []string{"client"}
		facts = append(facts, th.facts(t, "client", &s.Given.Client))
		if s.Given.Second != nil {
			class.Clients = append(class.Clients, "second")
			facts = append(facts, th.facts(t, "second", s.Given.Second))
		}
	}
	return th.engine(t, s.Given.Switches), req, class, facts
}

func readScenarios(t testing.TB) map[string][]scenario {
	files, err := filepath.Glob("bases/scenarios/*.yaml")
	require.NoError(t, err)
	out := map[string][]scenario{}
	for _, file := range files {
		if filepath.Base(file) == "cast.yaml" {
			continue
		}
		var list []scenario
		readYAML(t, file, &list)
		out[filepath.Base(file)] = list
	}
	return out
}

func TestScenarios(t *testing.T) {
	th := newTheatre(t)
	all := readScenarios(t)
	permitted, refused := map[string]int{}, map[string]int{}
	for file, list := range all {
		for _, s := range list {
			t.Run(strings.TrimSuffix(file, ".yaml")+"/"+s.Title, func(t *testing.T) {
				require.NotEmpty(t, s.Title)
				require.NotEmpty(t, s.Basis)
				e, req, class, facts := th.play(t, &s)
				d := e.Decide(req, class, facts)
				require.Equal(t, s.Then.Outcome, d.Outcome.String(), "reason: %s", d.Reason)
				var bases []string
				for _, b := range d.Bases {
					bases = append(bases, b.ID)
					require.NotEmpty(t, b.Citation)
				}
				require.Equal(t, s.Then.Bases, bases, "bases")
				require.NotEmpty(t, d.Reason)
				require.Contains(t, d.Reason, s.Then.Reason)
				if d.Outcome == Permitted || s.Then.Disclosure != nil {
					require.NotNil(t, s.Then.Disclosure, "say whether it is a disclosure")
					require.Equal(t, *s.Then.Disclosure, d.Disclosure, "disclosure")
				}
				var recorded []Period
				for _, p := range s.Then.Recorded {
					recorded = append(recorded, p.period(t))
				}
				require.Equal(t, recorded, d.Recorded, "recorded")
				require.Equal(t, s.Then.Exclude, d.Exclude, "exclude")
				if s.Then.Redacted != nil {
					require.Equal(t, *s.Then.Redacted, slices.Contains(d.Redact, "address"), "redacted")
				}
				if s.Then.Directives != nil {
					require.ElementsMatch(t, s.Then.Directives, d.Directives, "directives")
				}
				if s.Then.Evidence != nil {
					require.Equal(t, s.Then.Evidence, d.Evidence, "evidence")
				}
				require.Equal(t, d, e.Decide(req, class, facts), "the same inputs give the same decision")
			})
			if s.Then.Outcome == "permit" {
				permitted[s.Basis]++
			} else {
				refused[s.Basis]++
			}
		}
	}
	e, err := New(Config{})
	require.NoError(t, err)
	for _, row := range e.Rows() {
		switch human := e.law.row(row.ID) != nil && e.law.row(row.ID).outcome == NeedsHuman; {
		case row.GivesNone:
			continue
		case row.Limit:
			require.NotZero(t, refused[row.ID], "limit %s has a scenario in which it stops", row.ID)
		case human:
			require.GreaterOrEqual(t, refused[row.ID], 2, "row %s has a scenario of needs-human and one of denial", row.ID)
		default:
			require.NotZero(t, permitted[row.ID], "row %s has a scenario that permits", row.ID)
			require.NotZero(t, refused[row.ID], "row %s has a scenario that denies", row.ID)
		}
	}
}
