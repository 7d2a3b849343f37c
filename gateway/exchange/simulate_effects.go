package exchange

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/store"
)

// compare counts the rows of one class that an asker would see more or less of with the wish.
func (s *simulating) compare(req consent.Request, rows []store.Row, facts map[string]*consent.Facts) PresentEffect {
	class := rows[0].Class
	now, then := s.lets(req, class, facts, s.now), s.lets(req, class, facts, s.then)
	e := PresentEffect{
		Unit: req.Actor.Unit, Sector: req.Actor.Register, Purpose: req.Purpose, Register: class.Register, Controller: class.Controller,
		Type: class.Type, Task: class.ServiceTask, DataClass: class.DataClass,
	}
	for _, row := range rows {
		before, after := covering(&now, row), covering(&then, row)
		switch {
		case before.Outcome == after.Outcome:
		case before.Outcome == consent.Permitted:
			e.Stopped++
			e.Now = union(e.Now, basisIDs(before.Bases))
			if after.Outcome == consent.NeedsHuman {
				e.Human++
			}
		case after.Outcome == consent.Permitted:
			e.Opened++
			e.Then = union(e.Then, basisIDs(after.Bases))
		}
	}
	return e
}

// alike says whether two effects are of one unit and one kind of data.
func (e *PresentEffect) alike(o *PresentEffect) bool {
	return o.Unit == e.Unit && o.Sector == e.Sector && o.Purpose == e.Purpose && o.Register == e.Register && o.Controller == e.Controller &&
		o.Type == e.Type && o.Task == e.Task && o.DataClass == e.DataClass
}

// asInCare says whether the same is so in ordinary care.
func (e PresentEffect) asInCare(care PresentEffect) bool {
	e.Purpose = care.Purpose
	return e.alike(&care) && e.Stopped == care.Stopped && e.Opened == care.Opened && e.Human == care.Human
}

// added adds the rows of another class to what one asker would see otherwise.
func added(to []PresentEffect, e PresentEffect) []PresentEffect {
	if e.Stopped+e.Opened == 0 {
		return to
	}
	if i := slices.IndexFunc(to, func(o PresentEffect) bool { return e.alike(&o) }); i >= 0 {
		o := &to[i]
		o.Stopped, o.Opened, o.Human = o.Stopped+e.Stopped, o.Opened+e.Opened, o.Human+e.Human
		o.Now, o.Then = union(o.Now, e.Now), union(o.Then, e.Then)
		return to
	}
	return append(to, e)
}

// widest joins what the askers of one unit would see otherwise: they see the same rows, and the one who sees most counts.
func widest(to, list []PresentEffect) []PresentEffect {
	for _, e := range list {
		i := slices.IndexFunc(to, func(o PresentEffect) bool { return e.alike(&o) })
		if i < 0 {
			to = append(to, e)
			continue
		}
		o := &to[i]
		o.Stopped, o.Opened, o.Human = max(o.Stopped, e.Stopped), max(o.Opened, e.Opened), max(o.Human, e.Human)
		o.Now, o.Then = union(o.Now, e.Now), union(o.Then, e.Then)
	}
	return to
}

func basisIDs(bases []consent.Basis) []string {
	out := make([]string, 0, len(bases))
	for _, basis := range bases {
		out = append(out, basis.ID)
	}
	return out
}

// past decides the client's newest exchanges again, without and with the wish, with the facts of then. The client sees what
// became of exchanges in which data moved; what was denied is for the auditor.
func (s *simulating) past(ctx context.Context) error {
	query := store.EntryQuery{Client: []string{s.client}, Limit: simulatedPage}
	if s.caller.Actor.Kind == consent.Auditor {
		query.Controllers = []string{s.caller.Actor.Controller}
	} else {
		query.Outcome = []string{consent.Permitted.String()}
	}
	p := &past{ctx: ctx, store: s.desk.store, facts: map[factsAt]*consent.Facts{}}
	defer p.close()
	found, err := s.sift(ctx, query, simulatedRecords, func(t *told) (bool, error) { return false, s.again(p, t.rec) })
	if err != nil {
		return err
	}
	s.out.Partial = s.out.Partial || found.next != ""
	slices.SortFunc(s.out.Past.Units, func(a, b PastEffect) int {
		return cmp.Or(cmp.Compare(b.Stopped+b.Opened, a.Stopped+a.Opened), cmp.Compare(a.Unit, b.Unit))
	})
	return nil
}

// again decides one past exchange of a professional or a system without and with the wish.
func (s *simulating) again(p *past, rec *ledger.Record) error {
	working := rec.Actor.Kind == consent.Professional || rec.Actor.Kind == consent.System
	if !working || rec.Client != s.client || len(rec.Classes) == 0 || rec.Ruled || rec.Purpose == consent.StatutoryAct {
		return nil
	}
	without, with, err := s.repeatWith(p, rec)
	var missing *missingInput
	if errors.As(err, &missing) {
		return nil // what cannot be repeated is no ground to tell of
	}
	if err != nil {
		return unrecorded(err)
	}
	s.out.Past.Asked++
	e := PastEffect{Unit: rec.Actor.Unit, Sector: rec.Actor.Register}
	switch permitted := consent.Permitted.String(); {
	case without.Outcome == with.Outcome:
		return nil
	case without.Outcome == permitted:
		e.Stopped, e.Bases = 1, basisIDs(without.Bases)
	case with.Outcome == permitted:
		e.Opened, e.Bases = 1, basisIDs(with.Bases)
	default:
		return nil
	}
	s.out.Past.Stopped += e.Stopped
	s.out.Past.Opened += e.Opened
	same := slices.IndexFunc(s.out.Past.Units, func(o PastEffect) bool { return o.Unit == e.Unit && o.Sector == e.Sector })
	if same < 0 {
		s.out.Past.Units = append(s.out.Past.Units, e)
		return nil
	}
	o := &s.out.Past.Units[same]
	o.Stopped, o.Opened, o.Bases = o.Stopped+e.Stopped, o.Opened+e.Opened, union(o.Bases, e.Bases)
	return nil
}

// repeatWith is a record's exchange decided anew, with the facts of then and with the wish among them.
func (s *simulating) repeatWith(p *past, rec *ledger.Record) (without, with *ledger.Record, err error) {
	replay := &Replay{Law: s.law}
	if without, _, err = replay.repeatClasses(p, rec); err != nil {
		return nil, nil, err
	}
	replay.Law = wishing{s.law, s.client, s.wish}
	with, _, err = replay.repeatClasses(p, rec)
	return without, with, err
}

// wishing is the law as it would answer if a client's wish were in force.
type wishing struct {
	consent.Decider
	client string
	wish   consent.Terms
}

func (w wishing) Decide(req consent.Request, class consent.Class, facts []*consent.Facts) consent.Decision {
	changed := slices.Clone(facts)
	for i, of := range changed {
		if of != nil && of.Client == w.client {
			changed[i] = of.Direct(w.wish)
		}
	}
	return w.Decider.Decide(req, class, changed)
}

// Words for people.
var (
	sectorFi = map[consent.Register]string{consent.Health: "terveydenhuolto", consent.Social: "sosiaalihuolto"}
	sectorEn = map[consent.Register]string{consent.Health: "health care", consent.Social: "social care"}
	ofFi     = map[consent.Register]string{consent.Health: "potilasrekisterin", consent.Social: "sosiaalihuollon asiakasrekisterin"}
	ofEn     = map[consent.Register]string{consent.Health: "the patient register", consent.Social: "the social care register"}
)

// maxLines bounds what is said in sentences.
const maxLines = 50

// tell says the effects in sentences.
func (s *simulating) tell(ctx context.Context) error {
	say := func(fi, en string) { s.out.Lines = append(s.out.Lines, Line{fi, en}) }
	for _, e := range s.out.Present[:min(len(s.out.Present), maxLines)] {
		unit, err := s.name(ctx, e.Unit)
		if err != nil {
			return err
		}
		kind := e.Type
		for _, part := range []string{e.Task, e.DataClass} {
			if part != "" {
				kind += ", " + part
			}
		}
		why, reason := "", ""
		if e.Purpose == consent.NeedAssessment {
			why, reason = " palvelutarpeen arvioinnissa", " when assessing the need of services"
		}
		if e.Stopped > 0 {
			fi := fmt.Sprintf("%s (%s) ei enää näkisi%s %d %s tietoa (%s). Nyt peruste on %s.",
				unit, sectorFi[e.Sector], why, e.Stopped, ofFi[e.Register], kind, strings.Join(e.Now, ", "))
			en := fmt.Sprintf("%s (%s) would no longer see %d rows of %s (%s)%s. The basis now is %s.",
				unit, sectorEn[e.Sector], e.Stopped, ofEn[e.Register], kind, reason, strings.Join(e.Now, ", "))
			if e.Human > 0 {
				fi += " Ihminen ratkaisisi, saako tiedot silti luovuttaa."
				en += " A person would decide whether they may be disclosed all the same."
			}
			say(fi, en)
		}
		if e.Opened > 0 {
			say(fmt.Sprintf("%s (%s) näkisi%s %d %s tietoa (%s), joita se ei nyt näe. Peruste olisi %s.",
				unit, sectorFi[e.Sector], why, e.Opened, ofFi[e.Register], kind, strings.Join(e.Then, ", ")),
				fmt.Sprintf("%s (%s) would see %d rows of %s (%s)%s that it does not see now. The basis would be %s.",
					unit, sectorEn[e.Sector], e.Opened, ofEn[e.Register], kind, reason, strings.Join(e.Then, ", ")))
		}
	}
	if len(s.out.Present) == 0 {
		say("Nyt tallennettuihin tietoihin tällä ei olisi vaikutusta.", "This would change nothing for the data recorded now.")
	}
	past := &s.out.Past
	switch {
	case past.Asked == 0:
	case past.Stopped+past.Opened == 0:
		say(fmt.Sprintf("Tähänastisista %d käsittelystä yksikään ei olisi mennyt toisin.", past.Asked),
			fmt.Sprintf("Of %d exchanges so far none would have gone otherwise.", past.Asked))
	default:
		say(fmt.Sprintf("Tähänastisista %d käsittelystä %d olisi estynyt ja %d estynyttä olisi sallittu.", past.Asked, past.Stopped, past.Opened),
			fmt.Sprintf("Of %d exchanges so far %d would have been stopped, and %d that were stopped would have been let through.", past.Asked, past.Stopped, past.Opened))
	}
	return nil
}

// name is what the directory calls an organisation.
func (s *simulating) name(ctx context.Context, ref string) (string, error) {
	org, err := s.organisation(ctx, ref)
	if org == nil {
		return ref, err
	}
	return cmp.Or(org.Text("name"), ref), nil
}
