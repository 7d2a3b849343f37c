package exchange

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"sotesilta/consent"
	"sotesilta/consent/directive"
	"sotesilta/gateway/search"
	"sotesilta/gateway/store"
	"sotesilta/internal/fhir"
)

// Wish is a directive that a client considers giving: a Consent as it would be written, and its Provenance, if made
// already. A Consent with the id of one of the client's own stands in its place: another version, or its withdrawal.
type Wish struct{ Consent, Provenance *fhir.Value }

// Bounds of a simulation.
const (
	simulatedRows    = 5000 // of the client that are looked at
	simulatedRecords = 500  // past exchanges that are decided again, the newest: all within a snapshot's life
	simulatedPage    = 500
)

// Simulation tells what a wish would change. Nothing of it is stored; no person who asks or asked is named.
type Simulation struct {
	Client   string          `json:"client"`
	Wish     consent.Terms   `json:"wish"`
	Replaces string          `json:"replaces,omitempty"` // Consent/id that the wish is another version of
	Present  []PresentEffect `json:"present"`
	Past     PastEffects     `json:"past"`
	// Lines say the same to people, most rows first.
	Lines []Line `json:"lines"`
	// Partial: there is more than was looked at.
	Partial bool `json:"partial,omitempty"`
}

// PresentEffect is what the professionals of a unit would see more or less of one kind of data.
type PresentEffect struct {
	Unit       string           `json:"unit"` // Organization/… of who asks
	Sector     consent.Register `json:"sector"`
	Purpose    consent.Purpose  `json:"purpose"`
	Register   consent.Register `json:"register"`   // of the data
	Controller string           `json:"controller"` // of the data
	Type       string           `json:"type"`
	Task       string           `json:"serviceTask,omitempty"`
	DataClass  string           `json:"dataClass,omitempty"`
	Stopped    int              `json:"stopped"`         // rows that they may see now and would not
	Opened     int              `json:"opened"`          // rows that they may not see now and would
	Human      int              `json:"human,omitempty"` // of Stopped: a person would decide
	Now        []string         `json:"now,omitempty"`   // rows of the table of legal bases that let them see now
	Then       []string         `json:"then,omitempty"`
}

// PastEffects are what would have been otherwise, had the wish been in force.
type PastEffects struct {
	Asked   int          `json:"asked"` // exchanges decided again
	Stopped int          `json:"stopped"`
	Opened  int          `json:"opened"`
	Units   []PastEffect `json:"units"`
}

// PastEffect is one unit's part of PastEffects.
type PastEffect struct {
	Unit    string           `json:"unit"`
	Sector  consent.Register `json:"sector"`
	Bases   []string         `json:"bases,omitempty"` // that the stopped rested on, or the opened would have
	Stopped int              `json:"stopped"`
	Opened  int              `json:"opened"`
}

// Line is a sentence in Finnish and English.
type Line struct {
	Fi string `json:"fi"`
	En string `json:"en"`
}

// Simulate tells what a wish would change, before the client gives it: of what professionals may see now, and of what
// moved in the past. It is for the client in the client's own app and for the auditor of the controller. The wish counts as
// if it were in force, whatever period it names. Asking is recorded; nothing else is stored.
func (d *Desk) Simulate(ctx context.Context, c Caller, wish Wish, professionals []consent.Actor) (_ *Simulation, err error) {
	if err := asking(c); err != nil {
		return nil, err
	}
	c = d.complete(c)
	scope := "Consent"
	if c.Actor.Kind == consent.Auditor {
		scope = auditEvent
	}
	if err := allowed(c, scope, Read); err != nil {
		return nil, err
	}
	client, terms, err := wish.read()
	if err != nil {
		return nil, err
	}
	asked := d.question(c, Simulate)
	defer func() {
		if err != nil {
			asked.wait(ctx)
		}
	}()
	l, err := d.lookBeside(ctx, c, Simulate, "Consent")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	known, err := l.Facts(ctx, client)
	if err != nil {
		return nil, unrecorded(err)
	}
	facts := known[client]
	if !l.maySimulate(client, known) || facts == nil {
		return nil, l.conceal(ctx, l.rec, absent("Patient", client))
	}
	s := &simulating{
		look: l, law: c.law, client: client, now: facts,
		out: &Simulation{Client: client, Present: []PresentEffect{}, Lines: []Line{}, Past: PastEffects{Units: []PastEffect{}}},
	}
	s.place(terms)
	for _, step := range []func(context.Context) error{
		func(ctx context.Context) error { return s.present(ctx, professionals) }, s.past, s.tell,
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	l.rec.Success = true
	if err := l.commit(ctx, l.rec); err != nil {
		return nil, err
	}
	return s.out, nil
}

// maySimulate decides whether the caller may ask what a wish of a client would change.
func (l *look) maySimulate(client string, facts map[string]*consent.Facts) bool {
	if l.caller.Actor.Kind == consent.Auditor {
		return l.audits()
	}
	class := consent.Class{Type: "Consent", Register: consent.Directive, Clients: []string{client}}
	decision := l.decide(consent.Read, class, facts)
	l.rec = describe(l.rec, class, facts, &decision)
	if decision.Outcome != consent.Permitted {
		l.rec = deny(l.rec, &decision)
	}
	return decision.Outcome == consent.Permitted
}

// read checks a wish as it would be checked when it is given.
func (w Wish) read() (string, consent.Terms, error) {
	if w.Consent == nil {
		return "", consent.Terms{}, Refuse(Invalid, "required", "Consent", "A wish is a Consent.")
	}
	for _, doc := range []*fhir.Value{w.Consent, w.Provenance} {
		if doc == nil {
			continue
		}
		if issues := failing(fhir.Validate(doc)); len(issues) > 0 {
			return "", consent.Terms{}, &Error{Kind: Invalid, Entry: -1, Issues: issues}
		}
	}
	client, terms, err := directive.Read(w.Consent, "")
	if err != nil {
		refusal := unreadable(err)
		refusal.Entry = -1
		return "", terms, refusal
	}
	if w.Provenance != nil {
		if issues := failing(directive.CheckProvenance(w.Consent, w.Provenance)); len(issues) > 0 {
			return "", terms, &Error{Kind: Unprocessable, Entry: -1, Issues: issues}
		}
	}
	return client, terms, nil
}

// simulating is one simulation under way.
type simulating struct {
	*look
	law       consent.Decider
	client    string
	wish      consent.Terms
	now, then *consent.Facts
	out       *Simulation
}

// place puts the wish among the client's directives.
func (s *simulating) place(wish consent.Terms) {
	own := slices.IndexFunc(s.now.Directives, func(t consent.Terms) bool { return wish.Evidence != "" && t.Evidence == wish.Evidence })
	if own >= 0 {
		s.out.Replaces, wish.Version = wish.Evidence, s.now.Directives[own].Version+1
	} else {
		wish.Evidence, wish.Version = "Consent/draft", 1
	}
	s.out.Wish = wish
	wish.Valid = consent.Period{}
	s.wish = wish
	s.then = s.now.Direct(wish)
}

// lets says which of the bases let a row leave, under facts; outcome is that of the row.
func (s *simulating) lets(req consent.Request, class consent.Class, facts map[string]*consent.Facts, mine *consent.Facts) consent.Decision {
	known := make([]*consent.Facts, len(class.Clients))
	for i, client := range class.Clients {
		if known[i] = facts[client]; client == s.client {
			known[i] = mine
		}
	}
	return s.law.Decide(req, class, known)
}

// counting is a guard that gives rows to be counted: those that the client may read, or that are of the auditor's
// controller.
type counting struct {
	*simulating
	facts map[string]*consent.Facts
}

func (g *counting) Reach() store.Reach { return store.Reach{All: true, Only: []string{g.client}} }

func (g *counting) Permit(_ context.Context, classes []consent.Class, facts map[string]*consent.Facts) ([]consent.Decision, error) {
	out := make([]consent.Decision, len(classes))
	g.facts = facts
	for i, class := range classes {
		switch {
		case !slices.Contains(class.Clients, g.client):
		case g.caller.Actor.Kind == consent.Auditor:
			if class.Controller == g.caller.Actor.Controller {
				out[i].Outcome = consent.Permitted
			}
		default:
			out[i] = g.decide(consent.Read, class, facts)
		}
	}
	return out, nil
}

// present decides for every unit with a relationship what it may see, without and with the wish.
func (s *simulating) present(ctx context.Context, professionals []consent.Actor) error {
	askers := s.askers(professionals)
	effects := make([][]PresentEffect, len(askers))
	left := simulatedRows
	for _, t := range servedTypes {
		if t.kind != ofPersons || t.name == "Patient" {
			continue
		}
		guard := &counting{simulating: s}
		query := &search.Query{Type: t.name, Count: simulatedPage}
		rows := map[string][]store.Row{}
		for {
			found, err := s.Search(ctx, query, guard)
			if err != nil {
				return s.desk.failed(err)
			}
			for _, row := range found.Matches {
				row.Body = nil
				rows[row.Class.Key()] = append(rows[row.Class.Key()], row.Row)
			}
			left -= len(found.Matches)
			if query.Cursor = found.Next; found.Next == "" || left <= 0 {
				s.out.Partial = s.out.Partial || found.Next != ""
				break
			}
		}
		for _, list := range rows {
			for i, asker := range askers {
				effects[i] = added(effects[i], s.compare(asker, list, guard.facts))
			}
		}
	}
	for i, list := range effects {
		if askers[i].Purpose == consent.NeedAssessment { // asked after the same actor's care: told where it differs
			list = slices.DeleteFunc(list, func(e PresentEffect) bool { return slices.ContainsFunc(effects[i-1], e.asInCare) })
		}
		s.out.Present = widest(s.out.Present, list)
	}
	slices.SortFunc(s.out.Present, func(a, b PresentEffect) int {
		if d := b.Stopped + b.Opened - a.Stopped - a.Opened; d != 0 {
			return d
		}
		return strings.Compare(a.Unit+a.Type+a.Task+a.DataClass+string(a.Purpose), b.Unit+b.Type+b.Task+b.DataClass+string(b.Purpose))
	})
	return nil
}

// askers are the questions that the units in reach ask: ordinary care, and of social authorities need assessment too.
// Colleagues whom the law does not tell apart ask once.
func (s *simulating) askers(professionals []consent.Actor) []consent.Request {
	var out []consent.Request
	seen := map[string]bool{}
	for _, actor := range professionals {
		personal := false
		reached := slices.ContainsFunc(s.now.Relationships, func(r consent.Relationship) bool {
			ofPerson := r.Person != "" && (r.Person == actor.Person || r.Person == actor.Role)
			personal = personal || ofPerson
			return ofPerson || r.Unit != "" && r.Unit == actor.Unit
		})
		if !reached {
			continue
		}
		key := []string{actor.App, actor.Controller, string(actor.Register), actor.Unit, actor.Task, actor.Service, strconv.FormatBool(actor.Authority)}
		if personal {
			key = append(key, actor.Person, actor.Role)
		}
		if name := strings.Join(key, "|"); seen[name] {
			continue
		} else {
			seen[name] = true
		}
		out = append(out, consent.Request{Actor: actor, Action: consent.Read, Purpose: consent.Care, Time: s.rec.Time})
		if actor.Authority {
			out = append(out, consent.Request{
				Actor: actor, Action: consent.Read, Purpose: consent.NeedAssessment, Time: s.rec.Time,
				Assertion: consent.Assertion{Task: "palvelutarpeen arviointi"},
			})
		}
	}
	return out
}
