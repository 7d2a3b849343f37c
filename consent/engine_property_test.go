package consent

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Small worlds, in which everything that can meet does meet.
var (
	aController = rapid.SampledFrom([]string{"Organization/county", "Organization/clinic", ""})
	aRegister   = rapid.SampledFrom([]Register{Health, Social})
	aLabel      = rapid.SampledFrom([]Register{Health, Social, Identity, Directory, Directive, "", "unknown"})
	aUnit       = rapid.SampledFrom([]string{"Organization/u1", "Organization/u2", ""})
	aTask       = rapid.SampledFrom([]string{"3.1", "3.2", "3.3", "10.1.1", "10.1.2", "10.1.4", "10.2.1", "", "99"})
	aService    = rapid.SampledFrom([]string{"4.1", "4.6", "4.10", "working-age", ""})
	aPerson     = rapid.SampledFrom([]string{"Practitioner/p1", "Practitioner/p2"})
	aProcess    = rapid.SampledFrom([]string{"CarePlan/a", "CarePlan/b", ""})
	aKind       = rapid.SampledFrom([]Kind{Professional, Professional, Professional, System, Client, Guardian, Representative, Auditor, Operator, "", "robot"})
	anAction    = rapid.SampledFrom([]Action{Read, Read, Read, Record, Change, Identify, Invite, Direct, Audit, Notify, "", "destroy"})
	aPurpose    = rapid.SampledFrom([]Purpose{Care, Care, NeedAssessment, Incapacity, Emergency, StatutoryAct, Supervision, OwnData, "", "research"})
	aGround     = rapid.SampledFrom([]string{"", "ATL-53.5b", "ATL-56", "ATL-53.6", "anything"})
	aRow        = rapid.SampledFrom([]string{"SHL-35.1", "SHL-40.1", "ATL-54.5", "JÄRJL-10", ""})
	aType       = rapid.SampledFrom([]string{"Observation", "Patient", "Task", "CarePlan", "Consent", "AuditEvent", "Appointment"})
	aDataClass  = rapid.SampledFrom([]string{"", "patient-summary", "statement", "need-assessment", "therapy", "unknown"})
	aServTask   = rapid.SampledFrom([]string{"", "working-age", "shelter", "family-law", "unknown"})
	aProtection = rapid.SampledFrom([]string{"", "", "", "psychiatry", "unknown"})
	anEvent     = rapid.SampledFrom([]string{"", "Encounter/1", "Encounter/2"})
	noon        = time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
)

var aSpan = rapid.Custom(func(t *rapid.T) Period {
	bound := rapid.SampledFrom([]time.Time{{}, noon.AddDate(0, -6, 0), noon.AddDate(0, -1, 0), noon.AddDate(0, 1, 0)})
	return Period{bound.Draw(t, "from"), bound.Draw(t, "to")}
})

var aClass = rapid.Custom(func(t *rapid.T) Class {
	c := Class{
		Type: aType.Draw(t, "type"), Controller: aController.Draw(t, "controller"), Register: aLabel.Draw(t, "register"),
		Joint: rapid.Bool().Draw(t, "joint"), Process: aProcess.Draw(t, "process"), ServiceTask: aServTask.Draw(t, "service task"),
		DataClass: aDataClass.Draw(t, "data class"), Protection: aProtection.Draw(t, "protection"), ServiceEvent: anEvent.Draw(t, "event"),
		Author: rapid.SampledFrom([]string{"app", "other", ""}).Draw(t, "author"), Unit: aUnit.Draw(t, "unit"),
		Invitation: rapid.SampledFrom([]string{"", "", "Task/1"}).Draw(t, "invitation"),
	}
	c.Clients = rapid.SampledFrom([][]string{{"a"}, {"a"}, {"a", "b"}, nil}).Draw(t, "clients")
	return c
})

var aRequest = rapid.Custom(func(t *rapid.T) Request {
	return Request{
		Actor: Actor{
			Kind: aKind.Draw(t, "kind"), App: "app", Person: aPerson.Draw(t, "person"), Controller: aController.Draw(t, "controller"),
			Register: aRegister.Draw(t, "register"), Unit: aUnit.Draw(t, "unit"), Units: []string{"Organization/u1"},
			Task: aTask.Draw(t, "task"), Service: aService.Draw(t, "service"), Authority: rapid.Bool().Draw(t, "authority"),
			Clients: rapid.SampledFrom([][]string{nil, {"a"}, {"a", "b"}}).Draw(t, "own clients"),
		},
		Action: anAction.Draw(t, "action"), Purpose: aPurpose.Draw(t, "purpose"), Time: noon,
		Assertion: Assertion{Ground: aGround.Draw(t, "ground"), Task: rapid.SampledFrom([]string{"", "need assessment"}).Draw(t, "stated"), Confirm: rapid.Bool().Draw(t, "confirm")},
		Invitee:   Invitee{Person: "Practitioner/p9", Controller: aController.Draw(t, "invitee's controller"), Register: aRegister.Draw(t, "invitee's register"), Unit: "Organization/u9"},
	}
})

var aRelationship = rapid.Custom(func(t *rapid.T) Relationship {
	return Relationship{
		Kind:       rapid.SampledFrom([]Relation{InCare, Registered, Participant, Invited, "friend"}).Draw(t, "relation"),
		Evidence:   rapid.SampledFrom([]string{"Task/1", "EpisodeOfCare/1"}).Draw(t, "evidence"),
		Controller: aController.Draw(t, "controller"), Register: aRegister.Draw(t, "register"), App: "app", Unit: aUnit.Draw(t, "unit"),
		Person: aPerson.Draw(t, "person"), Process: aProcess.Draw(t, "process"), Service: rapid.SampledFrom([]string{"", "HealthcareService/joint"}).Draw(t, "service"),
		Location: rapid.SampledFrom([]string{"", "Location/here"}).Draw(t, "location"), Basis: aRow.Draw(t, "basis"), Period: aSpan.Draw(t, "period"),
	}
})

var aBan = rapid.Custom(func(t *rapid.T) Terms {
	return Terms{
		Kind: rapid.SampledFrom([]Will{Ban, Ban, "something new"}).Draw(t, "kind"), Evidence: "Consent/ban", Version: 1, Active: true,
		AllHealth: rapid.Bool().Draw(t, "all health"), Controller: aController.Draw(t, "controller"), Register: aRegister.Draw(t, "register"),
		ServiceTasks:  rapid.SampledFrom([][]string{nil, {"working-age"}}).Draw(t, "service tasks"),
		ServiceEvents: rapid.SampledFrom([][]string{nil, {"Encounter/1"}}).Draw(t, "events"),
		Documents:     rapid.SampledFrom([][]string{nil, {"Observation/1"}}).Draw(t, "documents"),
	}
})

var aDirective = rapid.Custom(func(t *rapid.T) Terms {
	if rapid.IntRange(0, 3).Draw(t, "which") == 0 {
		return aBan.Draw(t, "ban")
	}
	return Terms{
		Kind: rapid.SampledFrom([]Will{Permit, Permit, Assent}).Draw(t, "kind"), Evidence: "Consent/1", Version: 1,
		GivenBy: rapid.SampledFrom([]Giver{"", ByClient, ByGuardian, ByRepresentative}).Draw(t, "given by"),
		Active:  rapid.Bool().Draw(t, "active"), Valid: aSpan.Draw(t, "valid"), Statute: aRow.Draw(t, "statute"),
		From: string(aRegister.Draw(t, "from")), To: string(aRegister.Draw(t, "to")),
		Recipients:   rapid.SampledFrom([][]string{nil, {"Organization/county"}, {"Organization/clinic"}}).Draw(t, "recipients"),
		DataClasses:  rapid.SampledFrom([][]string{nil, {"patient-summary"}, {"statement"}}).Draw(t, "data"),
		ServiceTasks: rapid.SampledFrom([][]string{nil, {"working-age"}}).Draw(t, "service tasks"), Recorded: aSpan.Draw(t, "recorded"),
	}
})

var someFacts = rapid.Custom(func(t *rapid.T) []*Facts {
	var out []*Facts
	for _, client := range []string{"a", "b"} {
		if rapid.IntRange(0, 9).Draw(t, "unknown") == 0 {
			out = append(out, nil)
			continue
		}
		out = append(out, &Facts{
			Client: client, Version: 1,
			Person: Person{
				Born:        rapid.SampledFrom([]time.Time{{}, noon.AddDate(-10, 0, 0), noon.AddDate(-40, 0, 0)}).Draw(t, "born"),
				Turvakielto: rapid.Bool().Draw(t, "turvakielto"), GuardianDenied: rapid.Bool().Draw(t, "denied"),
				Dependent: rapid.Bool().Draw(t, "dependent"),
			},
			Relationships: rapid.SliceOfN(aRelationship, 0, 3).Draw(t, "relationships"),
			Directives:    rapid.SliceOfN(aDirective, 0, 4).Draw(t, "directives"),
		})
	}
	return out
})

func propertyEngine(t testing.TB) *Engine {
	e, err := New(Config{
		Switches: map[string]string{"O11": "on"}, JointServices: []JointService{{"HealthcareService/joint", "Location/here", "Organization/county"}},
	})
	require.NoError(t, err)
	return e
}

// within fails unless what a lets leave, b lets leave too.
func within(t *rapid.T, a, b Decision) {
	if a.Outcome > b.Outcome {
		t.Fatalf("%s became %s: %s | %s", b.Outcome, a.Outcome, b.Reason, a.Reason)
	}
	if a.Outcome != Permitted {
		return
	}
	inRange := func(d Decision, day time.Time) bool {
		return len(d.Recorded) == 0 || slices.ContainsFunc(d.Recorded, func(p Period) bool { return p.Contains(day) })
	}
	for months := -12; months <= 12; months++ {
		if day := noon.AddDate(0, months, -3); inRange(a, day) && !inRange(b, day) {
			t.Fatalf("rows of %s leave now: %v after %v", day, a.Recorded, b.Recorded)
		}
	}
	for _, row := range b.Exclude {
		if !slices.Contains(a.Exclude, row) {
			t.Fatalf("%s leaves now", row)
		}
	}
	for _, member := range b.Redact {
		if !slices.Contains(a.Redact, member) {
			t.Fatalf("%s leaves now", member)
		}
	}
}

func TestABanNeverWidens(t *testing.T) {
	e := propertyEngine(t)
	rapid.Check(t, func(t *rapid.T) {
		req, class, facts := aRequest.Draw(t, "request"), aClass.Draw(t, "class"), someFacts.Draw(t, "facts")
		before := e.Decide(req, class, facts)
		banned := slices.Clone(facts)
		i := rapid.IntRange(0, 1).Draw(t, "whose")
		if banned[i] == nil {
			return
		}
		next := *banned[i]
		next.Directives = append(slices.Clone(next.Directives), aBan.Draw(t, "the ban"))
		banned[i] = &next
		within(t, e.Decide(req, class, banned), before)
	})
}

func TestLosingARelationshipOrAPermitNeverWidens(t *testing.T) {
	e := propertyEngine(t)
	rapid.Check(t, func(t *rapid.T) {
		req, class, facts := aRequest.Draw(t, "request"), aClass.Draw(t, "class"), someFacts.Draw(t, "facts")
		before := e.Decide(req, class, facts)
		fewer := slices.Clone(facts)
		i := rapid.IntRange(0, 1).Draw(t, "whose")
		if fewer[i] == nil {
			return
		}
		next := *fewer[i]
		next.Relationships, next.Directives = slices.Clone(next.Relationships), slices.Clone(next.Directives)
		permits := slices.IndexFunc(next.Directives, func(d Terms) bool { return d.Kind == Permit || d.Kind == Assent })
		switch {
		case len(next.Relationships) > 0 && rapid.Bool().Draw(t, "a relationship"):
			at := rapid.IntRange(0, len(next.Relationships)-1).Draw(t, "which relationship")
			next.Relationships = slices.Delete(next.Relationships, at, at+1)
		case permits >= 0:
			next.Directives[permits].Active = false
		default:
			return
		}
		fewer[i] = &next
		within(t, e.Decide(req, class, fewer), before)
	})
}

func TestDecisionsAreCompleteAndFailClosed(t *testing.T) {
	e := propertyEngine(t)
	permitted := 0
	check := func(t *rapid.T) {
		req, class, facts := aRequest.Draw(t, "request"), aClass.Draw(t, "class"), someFacts.Draw(t, "facts")
		d := e.Decide(req, class, facts)
		if d.Reason == "" {
			t.Fatal("a decision says why")
		}
		if d.Outcome == Permitted {
			permitted++
			if len(d.Bases) == 0 {
				t.Fatal("a permit rests on a basis")
			}
			for _, b := range d.Bases {
				if b.ID == "" || b.ID == "INVITED" || b.Citation == "" {
					t.Fatalf("basis %+v", b)
				}
			}
		} else if len(d.Bases)+len(d.Recorded)+len(d.Exclude)+len(d.Redact) > 0 {
			t.Fatalf("a denial opens nothing: %+v", d)
		}
		known := []Register{Health, Social, Identity, Directory, Directive}
		if d.Outcome == Permitted && (!slices.Contains(known, class.Register) || req.Actor.Kind == "" || req.Actor.Kind == "robot" ||
			req.Action == "" || req.Action == "destroy" || req.Purpose == "" || req.Purpose == "research") {
			t.Fatalf("permitted what the law does not know: %+v %+v", req, class)
		}
		if len(class.Clients) == 2 && d.Outcome == Permitted {
			one := class
			for i := range class.Clients {
				one.Clients = class.Clients[i : i+1]
				within(t, d, e.Decide(req, one, facts[i:i+1]))
			}
		}
	}
	// Few of the small worlds hold a permit: go on until some did, or the bound is reached.
	for range 50 {
		rapid.Check(t, check)
		if permitted > 10 || t.Failed() {
			break
		}
	}
	require.NotZero(t, permitted, "the small worlds hold permits too")
}

func TestAnEmptyQuestionIsDenied(t *testing.T) {
	e := propertyEngine(t)
	require.Equal(t, Denied, e.Decide(Request{}, Class{}, nil).Outcome)
	require.Equal(t, Denied, e.Decide(Request{Time: noon, Actor: Actor{App: "app", Kind: Professional}, Action: Read, Purpose: Care}, Class{}, nil).Outcome)
	var zero Decision
	require.Equal(t, Denied, zero.Outcome)
}

// Facts of another client than the class names are no facts of it.
func TestFactsOfAnotherClientGiveNothing(t *testing.T) {
	e := propertyEngine(t)
	req := Request{
		Actor:  Actor{Kind: Professional, App: "app", Controller: "Organization/county", Register: Health, Unit: "Organization/u1", Task: "3.1", Service: "4.1"},
		Action: Read, Purpose: Care, Time: noon,
	}
	class := Class{Type: "Observation", Register: Health, Controller: "Organization/county", Clients: []string{"a"}}
	facts := &Facts{Client: "a", Version: 1, Relationships: []Relationship{{
		Kind: InCare, Evidence: "EpisodeOfCare/1", Controller: "Organization/county", Register: Health, Unit: "Organization/u1",
	}}}
	require.Equal(t, Permitted, e.Decide(req, class, []*Facts{facts}).Outcome)
	facts.Client = "b"
	require.Equal(t, Denied, e.Decide(req, class, []*Facts{facts}).Outcome)
	require.Equal(t, Denied, e.Decide(req, class, nil).Outcome)
}
