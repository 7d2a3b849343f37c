package scenario

import (
	"fmt"
	"strings"
	"time"

	"sotesilta/consent"
)

// Question is a scenario as the law is asked.
type Question struct {
	Request consent.Request
	Class   consent.Class
	Facts   []*consent.Facts
}

// Question turns a scenario into its request, class and facts. What the cast does not know is an error with file and line.
func (s *Suite) Question(one *Scenario) (Question, error) {
	st := stage{cast: &s.cast, scenario: one}
	q := Question{Request: st.request(&one.When), Class: st.class(&one.When)}
	if !one.When.Data.Nobody {
		q.Class.Clients = []string{"client"}
		q.Facts = append(q.Facts, st.facts("client", &one.Given.Client))
		if one.Given.Second != nil {
			q.Class.Clients = append(q.Class.Clients, "second")
			q.Facts = append(q.Facts, st.facts("second", one.Given.Second))
		}
	}
	return q, st.err
}

// stage turns words into what the law is asked; the first thing wrong is kept.
type stage struct {
	cast     *cast
	scenario *Scenario
	err      error
}

func (st *stage) fail(format string, args ...any) {
	if st.err == nil {
		st.err = st.scenario.wrong(format, args...)
	}
}

func (st *stage) request(w *When) consent.Request {
	req := consent.Request{
		Actor: st.actor(w.Who), Action: w.Does, Purpose: w.Purpose, Time: st.cast.At,
		Assertion: consent.Assertion{
			Task: w.Assertion.Task, Ground: w.Assertion.Ground, Reason: w.Assertion.Reason, Confirm: w.Assertion.Confirm,
			Facts: w.Assertion.Facts,
		},
	}
	if req.Purpose == "" {
		req.Purpose = consent.Care
	}
	if w.At != "" {
		req.Time = st.day(w.At)
	}
	if w.Invites != "" {
		guest := st.actor(w.Invites)
		req.Invitee = consent.Invitee{Person: guest.Person, Controller: guest.Controller, Register: guest.Register, Unit: guest.Unit}
	}
	if w.Recipient != "" {
		req.Invitee = consent.Invitee{Kind: w.Recipient, Name: "somebody"}
	}
	return req
}

func (st *stage) class(w *When) consent.Class {
	d := &w.Data
	class := consent.Class{
		Type: d.Type, Register: d.Register, Controller: ref("Organization", d.Controller), Joint: d.Joint, Process: ref("CarePlan", d.Process),
		Invitation: d.Invitation, ServiceTask: d.ServiceTask, DataClass: d.DataClass, Protection: d.Protection,
		ServiceEvent: d.ServiceEvent, Author: d.Author, Unit: ref("Organization", d.Unit),
	}
	if d.Act != "" {
		class.Process = ref("Task", d.Act)
	}
	if class.Unit == "" && d.Author == "" {
		switch d.Register {
		case consent.Health:
			class.Unit = "Organization/health-station"
		case consent.Social:
			class.Unit = "Organization/social-services"
		}
	}
	if class.Controller == "" {
		class.Controller = "Organization/county"
	}
	if class.Author == "" && class.Unit != "" {
		class.Author = strings.TrimPrefix(class.Unit, "Organization/") + " system"
	}
	return class
}

func (st *stage) actor(name string) consent.Actor {
	p, ok := st.cast.People[name]
	if !ok {
		st.fail("cast.yaml knows no %q", name)
	}
	a := consent.Actor{Kind: p.Kind, App: "app", User: name, Task: p.Task, Service: p.Service, Authority: p.Authority, Producer: p.Producer, Clients: p.Clients}
	if a.Kind == "" {
		a.Kind = consent.Professional
	}
	a.Controller = ref("Organization", p.Controller)
	if p.Unit != "" {
		u, ok := st.cast.Units[p.Unit]
		if !ok {
			st.fail("cast.yaml knows no unit %q", p.Unit)
		}
		a.App, a.Controller, a.Register = p.Unit+" system", ref("Organization", u.Controller), u.Register
		a.Units = []string{ref("Organization", p.Unit)}
		if a.Kind == consent.Professional {
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

// day is a time, or the first moment of a day in Finland.
func (st *stage) day(s string) time.Time {
	if s == "" {
		return time.Time{}
	}
	if at, err := time.Parse(time.RFC3339, s); err == nil {
		return at
	}
	at, err := time.Parse(time.DateOnly, s)
	if err != nil {
		st.fail("%q is no date such as 2026-11-21", s)
	}
	return consent.FinnishDay(at)
}

func (st *stage) period(s Span) consent.Period {
	return consent.Period{From: st.day(s.From), To: st.day(s.To)}
}

func (st *stage) facts(client string, k *Known) *consent.Facts {
	if k.Unknown {
		return nil
	}
	f := &consent.Facts{Client: client, Version: 1}
	f.Person = consent.Person{Born: st.day(k.Born), Turvakielto: k.Turvakielto, GuardianDenied: k.GuardianDenied, Dependent: k.Dependent, Deceased: k.Deceased}
	if k.Born == "" {
		f.Person.Born = st.day("1980-05-01")
	}
	for i := range k.Relationships {
		f.Relationships = append(f.Relationships, st.relationship(k, i))
	}
	for i := range k.Directives {
		f.Directives = append(f.Directives, st.directive(&k.Directives[i], i))
	}
	return f
}

func (st *stage) relationship(k *Known, i int) consent.Relationship {
	r := &k.Relationships[i]
	rel := consent.Relationship{Basis: r.Basis, Period: st.period(Span{r.From, r.To})}
	unit := func(name string) {
		u, ok := st.cast.Units[name]
		if !ok {
			st.fail("cast.yaml knows no unit %q", name)
		}
		rel.Unit, rel.Controller, rel.Register = ref("Organization", name), ref("Organization", u.Controller), u.Register
		rel.App = name + " system"
	}
	person := func(name string) {
		unit(st.cast.People[name].Unit)
		rel.Person = personRef(name)
		rel.Process, rel.Service, rel.Location = ref("CarePlan", r.Process), ref("HealthcareService", r.Service), ref("Location", r.Location)
	}
	switch {
	case r.Care != "":
		rel.Kind, rel.Evidence = consent.InCare, fmt.Sprintf("EpisodeOfCare/%d", i+1)
		unit(r.Care)
	case r.Registered != "":
		rel.Kind, rel.Evidence = consent.Registered, fmt.Sprintf("Patient/own-%d", i+1)
		unit(r.Registered)
	case r.Participant != "":
		rel.Kind, rel.Evidence = consent.Participant, fmt.Sprintf("Task/%d", i+1)
		person(r.Participant)
	case r.Invited != "":
		rel.Kind, rel.Evidence = consent.Invited, fmt.Sprintf("Task/%d", i+1)
		person(r.Invited)
	case r.Received != "":
		rel.Kind, rel.Evidence, rel.Process = consent.Received, fmt.Sprintf("Task/%d", i+1), ref("Task", r.Process)
		unit(r.Received)
	default:
		st.fail("a relationship is care, registered, participant, invited or received")
	}
	if r.Task != "" {
		rel.Evidence = r.Task
	}
	return rel
}

func (st *stage) directive(d *Directive, i int) consent.Terms {
	terms := consent.Terms{
		Evidence: fmt.Sprintf("Consent/%d", i+1), Version: 1, Active: !d.Withdrawn, Valid: st.period(d.Valid),
		RecordedBy: "Organization/health-station", GivenBy: d.GivenBy,
	}
	if d.Withdrawn {
		terms.Version = 2
	}
	for _, name := range d.To {
		terms.Recipients = append(terms.Recipients, ref("Organization", name))
	}
	terms.Recipients = append(terms.Recipients, d.Named...)
	switch {
	case d.Permit != "":
		from, to, ok := strings.Cut(d.Permit, " to ")
		if !ok {
			st.fail("a permit is written as health to social")
		}
		terms.Kind, terms.From, terms.To = consent.Permit, from, to
		terms.DataClasses, terms.ServiceTasks, terms.Recorded = d.Data, d.ServiceTasks, st.period(d.Recorded)
	case d.Consent != "":
		terms.Kind, terms.Statute = consent.Assent, d.Consent
	case d.Denial:
		terms.Kind = consent.Denial
	case d.Ban != "":
		terms.Kind = consent.Ban
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
			st.fail("a ban is of all patient data, a register, service tasks, service events or documents, not of %q", d.Ban)
		}
	default:
		st.fail("a directive is a permit, a consent or a ban")
	}
	return terms
}
