package consent

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// An explanation tells of the very decision that is made, policy by policy.
func TestExplanationsAgreeWithDecisions(t *testing.T) {
	e := propertyEngine(t)
	rapid.Check(t, func(t *rapid.T) {
		req, class, facts := aRequest.Draw(t, "request"), aClass.Draw(t, "class"), someFacts.Draw(t, "facts")
		told := e.Explain(req, class, facts)
		require.Equal(t, e.Decide(req, class, facts), told.Decision)
		require.Equal(t, e.Version(), told.Policy)
		worst := Permitted
		for _, c := range told.Clients {
			verdicts := map[Verdict]int{}
			for _, p := range c.Policies {
				verdicts[p.Verdict]++
				switch p.Verdict {
				case Stopped:
					require.NotEmpty(t, p.By, "%s", p.Basis.ID)
				case Fails:
					require.NotEmpty(t, p.Clause)
					require.NotEmpty(t, p.Why)
				}
			}
			outcome := Denied
			switch {
			case verdicts[Erred] > 0:
			case verdicts[Permits] > 0:
				outcome = Permitted
			case verdicts[LeftHuman] > 0:
				outcome = NeedsHuman
			}
			require.Equal(t, outcome.String(), c.Outcome, "%s: %+v", c.Reason, verdicts)
			require.Equal(t, c.Outcome == Permitted.String(), len(c.Bases) > 0)
			worst = min(worst, outcome)
		}
		if len(told.Clients) == 1 {
			require.Equal(t, told.Decision.Outcome, worst)
		}
		require.LessOrEqual(t, told.Decision.Outcome, worst)
	})
}

func considered(t *testing.T, x Explained, row string, verdict Verdict) Considered {
	t.Helper()
	for _, p := range x.Policies {
		if p.Basis.ID == row && p.Verdict == verdict {
			return p
		}
	}
	var got []string
	for _, p := range x.Policies {
		if p.Basis.ID == row {
			got = append(got, string(p.Verdict))
		}
	}
	t.Fatalf("%s is not %s but %q", row, verdict, got)
	return Considered{}
}

// What failed, which directive, and what is missing: told for each of the ways to be denied.
func TestWhatAnExplanationTells(t *testing.T) {
	e := propertyEngine(t)
	ask := func(change func(*Request, *Class, *Facts)) Explained {
		req, class, facts := aQuestion(0, false)
		if change != nil {
			change(&req, &class, facts[0])
		}
		told := e.Explain(req, class, facts)
		require.Len(t, told.Clients, 1)
		return told.Clients[0]
	}

	permit := ask(nil)
	considered(t, permit, "ATL-53.2", Permits)
	require.Equal(t, []Weighed{{Directive: "Consent/p/_history/1", Kind: Permit, Effect: "permits", Row: "ATL-53.2"}}, permit.Will)
	require.Equal(t, int64(7), permit.Facts)
	failed := considered(t, permit, "ATL-53.1", Fails)
	require.Equal(t, "joint.cedar", failed.File)
	require.Positive(t, failed.Line)

	banned := ask(func(_ *Request, _ *Class, f *Facts) {
		f.Directives = append(f.Directives, Terms{Kind: Ban, Evidence: "Consent/b", Version: 3, Active: true, AllHealth: true})
	})
	require.Equal(t, []string{"ATL-59"}, considered(t, banned, "ATL-53.2", Stopped).By)
	considered(t, banned, "ATL-59", Limits)
	require.Contains(t, banned.Will, Weighed{Directive: "Consent/b/_history/3", Kind: Ban, Effect: "bans"})

	for effect, change := range map[string]func(*Terms){
		"not-in-force":    func(d *Terms) { d.Active = false },
		"other-direction": func(d *Terms) { d.From, d.To = d.To, d.From },
		"other-recipient": func(d *Terms) { d.Recipients = []string{"Organization/elsewhere"} },
		"other-data":      func(d *Terms) { d.DataClasses = []string{"statement"} },
	} {
		x := ask(func(_ *Request, _ *Class, f *Facts) { change(&f.Directives[len(f.Directives)-1]) })
		require.Equal(t, effect, x.Will[0].Effect)
		require.Contains(t, considered(t, x, "ATL-53.2", Fails).Clause, "permits")
		require.Contains(t, x.Missing, "client.permit")
	}

	spring := Period{time.Date(2026, 3, 1, 0, 0, 0, 0, finnish), time.Date(2026, 6, 1, 0, 0, 0, 0, finnish)}
	late := ask(func(r *Request, _ *Class, f *Facts) {
		f.Directives[len(f.Directives)-1].Valid, r.Time = spring, time.Date(2026, 10, 1, 9, 0, 0, 0, time.UTC)
	})
	const when = "in force from 2026-03-01 to 2026-05-31; the exchange was at 2026-10-01T12:00:00+03:00"
	require.Equal(t, when, late.Will[0].Why)
	require.Equal(t, spring, late.Will[0].Valid)
	require.Equal(t, "permit Consent/p/_history/1 is not in force: "+when, considered(t, late, "ATL-53.2", Fails).Why)
	require.Contains(t, late.Plain()["fi"], "(Consent/p) on voimassa 1.3.2026–31.5.2026, ja käsittelyn aika oli 1.10.2026 klo 12.00")
	withdrawn := ask(func(_ *Request, _ *Class, f *Facts) { f.Directives[len(f.Directives)-1].Active = false })
	require.Equal(t, "withdrawn, or never made active", withdrawn.Will[0].Why)
	early := ask(func(r *Request, _ *Class, _ *Facts) { r.Time = time.Date(2022, 5, 1, 0, 0, 0, 0, finnish) })
	require.Equal(t, "in force from 2024-01-01; the exchange was at 2022-05-01", considered(t, early, "ATL-53.2", NotInForce).Why)

	unrelated := ask(func(_ *Request, _ *Class, f *Facts) { f.Relationships = nil })
	require.Equal(t, "no relationship of Organization/social", considered(t, unrelated, "ATL-53.2", Fails).Why)
	require.Contains(t, unrelated.Missing, "client.relationship")

	taskless := ask(func(r *Request, c *Class, _ *Facts) { r.Actor.Task, c.Register = "", Social })
	require.Contains(t, taskless.Missing, "actor.task")
	require.Contains(t, considered(t, taskless, "ATL-4.3-S", Fails).Why, "task missing")

	protected := ask(func(_ *Request, c *Class, _ *Facts) { c.Protection = "psychiatry" })
	require.Equal(t, []string{"ATL-26.2"}, considered(t, protected, "ATL-53.2", LeftHuman).By)
	require.Contains(t, protected.Missing, "assertion.confirm")

	groundless := ask(func(r *Request, _ *Class, f *Facts) { r.Purpose, f.Directives = NeedAssessment, nil })
	require.Subset(t, groundless.Missing, []string{"assertion.ground", "assertion.task"})
}

// A request that lacks a fact is denied, whatever else holds, and the reason that the log keeps names the fact.
func TestAMissingFactDeniesByName(t *testing.T) {
	e := propertyEngine(t)
	for name, c := range map[string]struct {
		change  func(*Request, *Class, []*Facts) []*Facts
		reason  string
		missing string
	}{
		"no register":             {func(_ *Request, c *Class, f []*Facts) []*Facts { c.Register = ""; return f }, "no register", "data.register"},
		"a register that is none": {func(_ *Request, c *Class, f []*Facts) []*Facts { c.Register = "garden"; return f }, "register that the law does not know", "data.register"},
		"no type":                 {func(_ *Request, c *Class, f []*Facts) []*Facts { c.Type = ""; return f }, "no type", "data.type"},
		"no time":                 {func(r *Request, _ *Class, f []*Facts) []*Facts { r.Time = r.Time.AddDate(-9999, 0, 0); return f }, "", ""},
		"no clock": {func(r *Request, _ *Class, f []*Facts) []*Facts {
			*r = Request{Actor: r.Actor, Action: r.Action, Purpose: r.Purpose}
			return f
		}, "no time", "time"},
		"nobody asks":     {func(r *Request, _ *Class, f []*Facts) []*Facts { r.Actor.App = ""; return f }, "not a registered API client", "actor"},
		"no facts":        {func(*Request, *Class, []*Facts) []*Facts { return nil }, "nothing is known of the client", "client.facts"},
		"another's facts": {func(_ *Request, _ *Class, f []*Facts) []*Facts { f[0].Client = "b"; return f }, "nothing is known of the client", "client.facts"},
		"no task":         {func(r *Request, c *Class, f []*Facts) []*Facts { r.Actor.Task, c.Register = "", Social; return f }, "task missing", "actor.task"},
		"no controller":   {func(_ *Request, c *Class, f []*Facts) []*Facts { c.Controller, c.Register = "", Social; return f }, "", ""},
		"no purpose":      {func(r *Request, _ *Class, f []*Facts) []*Facts { r.Purpose = ""; return f }, "no row speaks of read by professional for the purpose ", ""},
		"no action":       {func(r *Request, _ *Class, f []*Facts) []*Facts { r.Action = ""; return f }, "no row speaks of ", ""},
		"no unit": {func(r *Request, _ *Class, f []*Facts) []*Facts {
			r.Actor.Unit, r.Actor.Units, r.Actor.Person = "", nil, ""
			return f
		}, "no relationship", "client.relationship"},
		"an emergency without a ground": {func(r *Request, c *Class, f []*Facts) []*Facts {
			r.Purpose, r.Actor.Register, r.Actor.Task, c.Controller = Emergency, Health, "3.1", "Organization/clinic"
			f[0].Directives = nil
			return f
		}, "neither the ground nor a statutory task is asserted", "assertion.ground"},
	} {
		t.Run(name, func(t *testing.T) {
			req, class, facts := aQuestion(0, false)
			facts = c.change(&req, &class, facts)
			told := e.Explain(req, class, facts)
			require.Equal(t, Denied, told.Decision.Outcome, told.Decision.Reason)
			require.True(t, strings.Contains(told.Decision.Reason, c.reason), told.Decision.Reason)
			if c.missing != "" {
				require.True(t, slices.Contains(told.Clients[0].Missing, c.missing), "%q", told.Clients[0].Missing)
			}
		})
	}
}
