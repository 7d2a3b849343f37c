package scenario

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"sotesilta/consent"
)

// Result is a scenario with what the law said.
type Result struct {
	Scenario Scenario
	Given    string // in plain words
	When     string
	Then     string // what must follow
	Decision consent.Decision
	Wrong    []string // what followed otherwise; empty: as the scenario says
}

// OK says whether the law answered as the scenario says.
func (r *Result) OK() bool { return len(r.Wrong) == 0 }

// Run asks the law about every scenario. law, when not nil, prepares the Config of an Engine before it is made: a folder
// of other policies, other answers. A scenario that asks of who or what is not in the cast is an error.
func (s *Suite) Run(law func(*consent.Config)) ([]Result, error) {
	engines := map[string]*consent.Engine{}
	results := make([]Result, 0, len(s.scenarios))
	for i := range s.scenarios {
		one := &s.scenarios[i]
		e, err := s.engine(engines, one.Given.Switches, law)
		if err != nil {
			return nil, err
		}
		result, err := s.play(e, one)
		if err != nil {
			return nil, err
		}
		results = append(results, result)
	}
	return results, nil
}

// engine is the law under answers to open questions; engines are kept, because making one reads all policies.
func (s *Suite) engine(engines map[string]*consent.Engine, answers map[string]string, law func(*consent.Config)) (*consent.Engine, error) {
	key := fmt.Sprint(answers)
	if e := engines[key]; e != nil {
		return e, nil
	}
	cfg := s.cast.config(answers)
	if law != nil {
		law(&cfg)
	}
	e, err := consent.New(cfg)
	if err == nil {
		engines[key] = e
	}
	return e, err
}

func (s *Suite) play(e *consent.Engine, one *Scenario) (Result, error) {
	q, err := s.Question(one)
	if err != nil {
		return Result{}, err
	}
	r := Result{Scenario: *one, Given: given(&one.Given), When: s.when(one), Then: then(&one.Then)}
	r.Decision = e.Decide(q.Request, q.Class, q.Facts)
	r.Wrong = s.differences(one, &r.Decision)
	if again := e.Decide(q.Request, q.Class, q.Facts); !reflect.DeepEqual(r.Decision, again) {
		r.Wrong = append(r.Wrong, "the same question was answered otherwise the second time")
	}
	return r, nil
}

// differences compares what followed with what must.
func (s *Suite) differences(one *Scenario, d *consent.Decision) []string {
	var wrong []string
	differs := func(what string, want, got any) {
		wrong = append(wrong, fmt.Sprintf("%s: %v, not %v", what, got, want))
	}
	t := &one.Then
	if got := d.Outcome.String(); got != t.Outcome {
		wrong = append(wrong, fmt.Sprintf("outcome: %s, not %s (%s)", got, t.Outcome, d.Reason))
	}
	var bases []string
	for _, b := range d.Bases {
		bases = append(bases, b.ID)
	}
	if !slices.Equal(bases, t.Bases) {
		differs("bases", t.Bases, bases)
	}
	if !strings.Contains(d.Reason, t.Reason) || d.Reason == "" {
		differs("reason", t.Reason, d.Reason)
	}
	if !strings.Contains(d.Demand, t.Demand) {
		differs("demand", t.Demand, d.Demand)
	}
	switch {
	case t.Disclosure != nil && *t.Disclosure != d.Disclosure:
		differs("disclosure", *t.Disclosure, d.Disclosure)
	case t.Disclosure == nil && d.Outcome == consent.Permitted:
		wrong = append(wrong, "disclosure: a scenario that permits says whether it is one")
	}
	st := stage{cast: &s.cast, scenario: one}
	var recorded []consent.Period
	for _, p := range t.Recorded {
		recorded = append(recorded, st.period(p))
	}
	if st.err != nil {
		wrong = append(wrong, st.err.Error())
	}
	if !slices.EqualFunc(recorded, d.Recorded, func(a, b consent.Period) bool { return a.From.Equal(b.From) && a.To.Equal(b.To) }) {
		differs("recorded", recorded, d.Recorded)
	}
	if !slices.Equal(t.Exclude, d.Exclude) {
		differs("left out", t.Exclude, d.Exclude)
	}
	if redacted := slices.Contains(d.Redact, "address"); t.Redacted != nil && *t.Redacted != redacted {
		differs("whereabouts left out", *t.Redacted, redacted)
	}
	if t.Directives != nil && !sameSet(t.Directives, d.Directives) {
		differs("directives", t.Directives, d.Directives)
	}
	if t.Evidence != nil && !slices.Equal(t.Evidence, d.Evidence) {
		differs("evidence", t.Evidence, d.Evidence)
	}
	return wrong
}

func sameSet(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

// Gaps says which rows lack the scenarios that a row must have: a row that permits, one in which it does and one in which
// it does not; a row that leaves it to a human, one of that and one of denial; a limit, one in which it stops
// and one of something like it that passes.
func Gaps(rows []consent.Row, scenarios []Scenario) []string {
	seen := map[string]map[string]int{}
	for i := range scenarios {
		one := &scenarios[i]
		if seen[one.Basis] == nil {
			seen[one.Basis] = map[string]int{}
		}
		seen[one.Basis][one.Then.Outcome]++
	}
	var gaps []string
	known := map[string]bool{}
	for i := range rows {
		row := &rows[i]
		known[row.ID] = true
		n := seen[row.ID]
		lacks := func(what string) {
			gaps = append(gaps, fmt.Sprintf("%s (%s:%d) has no scenario %s", row.ID, row.File, row.Line, what))
		}
		switch {
		case row.GivesNone:
			if n["permit"] > 0 {
				gaps = append(gaps, row.ID+" gives no right of its own and has a scenario that permits")
			}
		case row.Limit:
			if n["deny"]+n["needs-human"] == 0 {
				lacks("in which it stops something")
			}
			if n["permit"] == 0 {
				lacks("in which it lets something pass")
			}
		case row.Human:
			if n["needs-human"] == 0 {
				lacks("in which a human decides")
			}
			if n["deny"] == 0 {
				lacks("in which it denies")
			}
		default:
			if n["permit"] == 0 {
				lacks("in which it permits")
			}
			if n["deny"]+n["needs-human"] == 0 {
				lacks("in which it denies")
			}
		}
	}
	for i := range scenarios {
		if id := scenarios[i].Basis; !known[id] {
			known[id] = true
			gaps = append(gaps, fmt.Sprintf("%s:%d: %s is no row of the table of legal bases", scenarios[i].File, scenarios[i].Line, id))
		}
	}
	return gaps
}
