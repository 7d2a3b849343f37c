package consent

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// These are the rules by which several directives combine (README.md), as properties of all small worlds.

// combined draws a question whose clients have directives, and answers it.
func combined(t *rapid.T, e *Engine) (Request, Class, []*Facts, Decision) {
	req, class, facts := aRequest.Draw(t, "request"), aClass.Draw(t, "class"), someFacts.Draw(t, "facts")
	return req, class, facts, e.Decide(req, class, facts)
}

// with answers facts in which the directives of client i are others.
func with(facts []*Facts, i int, change func([]Terms) []Terms) []*Facts {
	if facts[i] == nil {
		return facts
	}
	out := slices.Clone(facts)
	next := *facts[i]
	next.Directives = change(slices.Clone(next.Directives))
	out[i] = &next
	return out
}

// equallyWide fails unless the decisions let the same leave.
func equallyWide(t *rapid.T, a, b Decision) {
	within(t, a, b)
	within(t, b, a)
}

// Rule 1: the order in which directives were given does not matter; there is no "latest wins".
func TestTheOrderOfDirectivesDoesNotMatter(t *testing.T) {
	e := propertyEngine(t)
	rapid.Check(t, func(t *rapid.T) {
		req, class, facts, before := combined(t, e)
		turned := with(with(facts, 0, func(d []Terms) []Terms { slices.Reverse(d); return d }), 1, func(d []Terms) []Terms { slices.Reverse(d); return d })
		equallyWide(t, e.Decide(req, class, turned), before)
	})
}

// Rule 2: what is said twice counts as once.
func TestADirectiveGivenTwiceCountsOnce(t *testing.T) {
	e := propertyEngine(t)
	rapid.Check(t, func(t *rapid.T) {
		req, class, facts, before := combined(t, e)
		equallyWide(t, e.Decide(req, class, with(facts, 0, func(d []Terms) []Terms { return append(d, d...) })), before)
	})
}

// Rule 3: a withdrawn directive is as one never given, whatever else is in force.
func TestAWithdrawnDirectiveIsAsNoneAtAll(t *testing.T) {
	e := propertyEngine(t)
	rapid.Check(t, func(t *rapid.T) {
		req, class, facts, before := combined(t, e)
		withdrawn := aDirective.Draw(t, "withdrawn")
		withdrawn.Active = false
		equallyWide(t, e.Decide(req, class, with(facts, 0, func(d []Terms) []Terms { return append(d, withdrawn) })), before)
	})
}

// Rule 4: permits and consents add up: one more never takes away what another gave.
func TestAPermitNeverNarrows(t *testing.T) {
	e := propertyEngine(t)
	rapid.Check(t, func(t *rapid.T) {
		req, class, facts, before := combined(t, e)
		more := aDirective.Filter(func(d Terms) bool { return d.Kind == Permit || d.Kind == Assent }).Draw(t, "one more")
		within(t, before, e.Decide(req, class, with(facts, 0, func(d []Terms) []Terms { return append(d, more) })))
	})
}

// Rule 5: a ban wins over permits, earlier and later ones alike: under a ban on the class, one more permit opens nothing.
func TestUnderABanAPermitOpensNothing(t *testing.T) {
	e := propertyEngine(t)
	tried := 0
	rapid.Check(t, func(t *rapid.T) {
		req, class, facts := aRequest.Draw(t, "request"), aClass.Draw(t, "class"), someFacts.Draw(t, "facts")
		if req.Action == Invite || facts[0] == nil || len(class.Clients) == 0 {
			return
		}
		banned := with(facts, 0, func(d []Terms) []Terms {
			return append(d, Terms{Kind: Ban, Evidence: "Consent/all", Version: 1, Active: true, AllHealth: true, Controller: class.Controller})
		})
		more := aDirective.Filter(func(d Terms) bool { return d.Kind == Permit }).Draw(t, "one more")
		more.Active = true
		after := e.Decide(req, class, with(banned, 0, func(d []Terms) []Terms { return append(d, more) }))
		if class.Controller == "" && class.Register != Health {
			return
		}
		for _, basis := range after.Bases {
			if slices.Contains([]string{"ATL-53.2", "ATL-53.3", "ATL-54.1", "ATL-55.1"}, basis.ID) {
				t.Fatalf("%s stands under a ban", basis.ID)
			}
		}
		within(t, after, e.Decide(req, class, banned))
		tried++
	})
	if tried == 0 {
		t.Fatal("nothing was tried")
	}
}

// A decision says of the directives that weighed which of them stopped it, so that nobody reads a ban as a basis.
func TestBansAreToldApartFromPermits(t *testing.T) {
	e := propertyEngine(t)
	req, class, facts := aQuestion(0, true)
	d := e.Decide(req, class, facts)
	require.Equal(t, Denied, d.Outcome)
	require.Equal(t, []string{"Consent/p/_history/1", "Consent/b/_history/1"}, d.Directives)
	require.Equal(t, []string{"Consent/b/_history/1"}, d.Bans)

	// A ban of one document leaves that out, and is no part of what the others rest on.
	ban := &facts[0].Directives[len(facts[0].Directives)-1]
	ban.AllHealth, ban.Documents = false, []string{"Observation/1"}
	d = e.Decide(req, class, facts)
	require.Equal(t, Permitted, d.Outcome)
	require.Equal(t, []string{"Consent/b/_history/1"}, d.Bans)
	require.Equal(t, []string{"Consent/b/_history/1"}, d.For("Observation/1", noon).Bans)
	require.Equal(t, Denied, d.For("Observation/1", noon).Outcome)
	require.Empty(t, d.For("Observation/2", noon).Bans)
	require.Equal(t, []string{"Consent/p/_history/1"}, d.For("Observation/2", noon).Directives)
}
