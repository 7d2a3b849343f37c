package exchange

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/search"
	"sotesilta/gateway/store"
)

// Replay asks the law again what past exchanges asked it (design, law 8): who asked, for what, when, of which labels and
// rows, with the facts of the clients as they were. Under the policies of then the answers are those of then; under
// others they show what a change of the rules would have meant. The recorded outcome is compared with, never read to
// answer.
//
// A record of data, a denial or a change holds its questions itself. The record of a search's query does not list what
// was withheld: replay finds the labels that were within reach at that moment in the history of rows and facts.
type Replay struct {
	Store store.Store
	Law   consent.Decider
	// Progress, when not nil, is told now and then how many records were gone through.
	Progress func(records int64)
}

// Answer is what the law says of an exchange, as far as it is compared.
type Answer struct {
	Outcome    string   `json:"outcome"` // permit, deny or needs-human
	Bases      []string `json:"bases"`
	Disclosure bool     `json:"disclosure"`
	Directives []string `json:"directives"`
	Evidence   []string `json:"evidence"`
	Reason     string   `json:"reason,omitempty"`
}

// Difference is a record whose exchange the law now answers otherwise than its record tells.
type Difference struct {
	Record      string    `json:"record"`
	Seq         int64     `json:"seq"` // place in the ledger; -1 while pending
	Time        time.Time `json:"time"`
	Policy      string    `json:"policy"`     // version that the record was decided under
	SamePolicy  bool      `json:"samePolicy"` // as now: then the difference is an error
	Interaction string    `json:"interaction"`
	Actor       string    `json:"actor"` // user@app, or app
	Client      string    `json:"client,omitempty"`
	Target      string    `json:"target,omitempty"`
	Differs     []string  `json:"differs"`        // outcome, bases, disclosure, directives, evidence
	Rows        []string  `json:"rows,omitempty"` // that moved and would not
	Then        Answer    `json:"then"`
	Now         Answer    `json:"now"`
}

// Unrepeatable is a record that lacks an input it takes to ask again.
type Unrepeatable struct {
	Record  string `json:"record"`
	Seq     int64  `json:"seq"`
	Missing string `json:"missing"`
}

// Shift counts what a basis would have permitted otherwise.
type Shift struct {
	Opened int `json:"opened"` // exchanges denied then, permitted now on the basis
	Closed int `json:"closed"` // exchanges permitted then on the basis, denied now
	Gained int `json:"gained"` // exchanges permitted both times, now also on the basis
	Lost   int `json:"lost"`   // exchanges permitted both times, then also on the basis
}

// Repeated tells how a replay went.
type Repeated struct {
	Policy       string            `json:"policy"`       // version now
	Records      int64             `json:"records"`      // gone through
	Asked        int64             `json:"asked"`        // asked the law, and were asked again
	Same         int64             `json:"same"`         // of Asked: answered as then
	Differences  int64             `json:"differences"`  // of Asked: answered otherwise
	Wrong        int64             `json:"wrong"`        // of Asked: answered otherwise under the policy version of then
	Unasked      int64             `json:"unasked"`      // records of what the law was not asked: nothing there, refused by a rule, published
	Erased       int64             `json:"erased"`       // content erased after its retention time
	Faded        int64             `json:"faded"`        // searches that differ, perhaps because changes before them are told by erased records
	Policies     map[string]int64  `json:"policies"`     // records of Asked by the policy version of then
	Kept         []string          `json:"kept"`         // other versions whose text was kept: their records were asked again under it too
	Unrepeatable []Unrepeatable    `json:"unrepeatable"` // the first of them
	Missing      int64             `json:"missing"`      // how many Unrepeatable there are
	Shifts       map[string]*Shift `json:"shifts"`       // by basis id
}

// OK says whether every record could be repeated, and each under its own policy version answered as then.
func (r *Repeated) OK() bool { return r.Wrong == 0 && r.Missing == 0 }

// maxUnrepeatable bounds what Repeated lists.
const maxUnrepeatable = 100

// progressEvery is how many records lie between calls of Progress.
const progressEvery = 500

// Run goes through the whole ledger, in its order, and tells each of every difference. An error of each ends it.
func (r *Replay) Run(ctx context.Context, each func(Difference) error) (*Repeated, error) {
	p := &past{ctx: ctx, store: r.Store, facts: map[factsAt]*consent.Facts{}}
	defer p.close()
	if err := p.learn(entries(ctx, r.Store.Ledger())); err != nil {
		return nil, err
	}
	out := &Repeated{Policy: r.Law.Version(), Policies: map[string]int64{}, Shifts: map[string]*Shift{}}
	laws := map[string]*Replay{} // by version, as far as their texts were kept
	for entry, err := range entries(ctx, r.Store.Ledger()) {
		if err != nil {
			return nil, err
		}
		if out.Records++; r.Progress != nil && out.Records%progressEvery == 0 {
			r.Progress(out.Records)
		}
		if entry.Canonical == nil {
			out.Erased++
			continue
		}
		rec, err := ledger.ParseRecord(entry.Canonical)
		if err != nil {
			return nil, fmt.Errorf("replay: entry %d: %w (run gateway verify)", entry.Seq, err)
		}
		now, rows, err := r.repeat(p, rec)
		var missing *missingInput
		switch {
		case errors.As(err, &missing):
			if out.Missing++; len(out.Unrepeatable) < maxUnrepeatable {
				out.Unrepeatable = append(out.Unrepeatable, Unrepeatable{rec.ID, entry.Seq, missing.what})
			}
			continue
		case err != nil:
			return nil, err
		case now == nil:
			out.Unasked++
			continue
		}
		out.Asked++
		out.Policies[rec.Policy]++
		then, again := answerOf(rec), answerOf(now)
		if then.Outcome != consent.Permitted.String() {
			rows = nil // what was withheld did not leave
		}
		tell := func(again Answer, rows []string, same bool) error {
			return each(Difference{
				Record: rec.ID, Seq: entry.Seq, Time: rec.Time, Policy: rec.Policy, SamePolicy: same, Interaction: rec.Interaction,
				Actor: who(rec.Actor), Client: rec.Client, Target: rec.Target, Differs: then.differs(again, same), Rows: rows, Then: then, Now: again,
			})
		}
		same := rec.Policy == out.Policy
		faded := p.faded && len(rec.Classes) == 0
		if !same && !faded {
			// Under another law a difference is what the change means; under its own, an error.
			own, err := r.under(p, laws, rec.Policy, out)
			if err != nil {
				return nil, err
			}
			if own != nil {
				decided, rows, err := own.repeat(p, rec)
				if err != nil {
					return nil, err
				}
				if by := answerOf(decided); len(then.differs(by, true)) > 0 {
					out.Wrong++
					if err := tell(by, rows, true); err != nil {
						return nil, err
					}
				}
			}
		}
		if len(then.differs(again, same)) == 0 {
			out.Same++
			continue
		}
		if faded {
			out.Faded++
			continue
		}
		out.Differences++
		if same {
			out.Wrong++
		}
		out.shift(then, again)
		if err := tell(again, rows, same); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// under is the replay under another policy version, nil when its text was not kept or this software reads facts
// otherwise than the one that decided under it.
func (r *Replay) under(p *past, laws map[string]*Replay, version string, out *Repeated) (*Replay, error) {
	if own, known := laws[version]; known {
		return own, nil
	}
	laws[version] = nil
	snap, err := p.look()
	if err != nil {
		return nil, err
	}
	if law, err := readLaw(p.ctx, snap, version); err == nil {
		laws[version] = &Replay{Store: r.Store, Law: law}
		out.Kept = append(out.Kept, version)
	} else if p.ctx.Err() != nil {
		return nil, p.ctx.Err()
	}
	return laws[version], nil
}

// entries are all of a ledger: those with a place, then those that wait for one.
func entries(ctx context.Context, src ledger.Source) iter.Seq2[ledger.Entry, error] {
	return func(yield func(ledger.Entry, error) bool) {
		for _, part := range []iter.Seq2[ledger.Entry, error]{src.Entries(ctx, 0), src.Pending(ctx)} {
			for entry, err := range part {
				if !yield(entry, err) || err != nil {
					return
				}
			}
		}
	}
}

func who(a consent.Actor) string {
	if a.User == "" {
		return a.App
	}
	return a.User + "@" + a.App
}

func answerOf(rec *ledger.Record) Answer {
	out := Answer{
		Outcome: rec.Outcome, Disclosure: rec.Disclosure, Directives: sorted(rec.Directives), Evidence: sorted(rec.Evidence),
		Bases: []string{}, Reason: rec.Reason,
	}
	for _, basis := range rec.Bases {
		out.Bases = append(out.Bases, basis.ID)
	}
	slices.Sort(out.Bases)
	return out
}

func sorted(list []string) []string {
	out := append([]string{}, list...)
	slices.Sort(out)
	return out
}

// differs names in what two answers differ. Under one policy version all of an answer must be as it was; under another
// the outcome and its bases are what counts.
func (a Answer) differs(b Answer, same bool) []string {
	var out []string
	for _, part := range []struct {
		name  string
		alike bool
		minor bool
	}{
		{"outcome", a.Outcome == b.Outcome, false},
		{"bases", slices.Equal(a.Bases, b.Bases), false},
		{"disclosure", a.Disclosure == b.Disclosure, true},
		{"directives", slices.Equal(a.Directives, b.Directives), true},
		{"evidence", slices.Equal(a.Evidence, b.Evidence), true},
	} {
		if !part.alike && (same || !part.minor) {
			out = append(out, part.name)
		}
	}
	return out
}

// shift counts a difference under each basis that it concerns.
func (r *Repeated) shift(then, now Answer) {
	of := func(basis string) *Shift {
		if r.Shifts[basis] == nil {
			r.Shifts[basis] = &Shift{}
		}
		return r.Shifts[basis]
	}
	permitted := consent.Permitted.String()
	for _, basis := range now.Bases {
		switch {
		case then.Outcome != permitted:
			of(basis).Opened++
		case !slices.Contains(then.Bases, basis):
			of(basis).Gained++
		}
	}
	for _, basis := range then.Bases {
		switch {
		case now.Outcome != permitted:
			of(basis).Closed++
		case !slices.Contains(now.Bases, basis):
			of(basis).Lost++
		}
	}
}

// missingInput says which input a record lacks to be repeated.
type missingInput struct{ what string }

func (e *missingInput) Error() string { return "replay: the record lacks " + e.what }

// repeat answers anew what a record's exchange asked the law, as the record it would have made: outcome, bases and what
// weighed. It is nil when the law was not asked. rows are those that moved and now would not. Only the record's inputs
// are read.
func (r *Replay) repeat(p *past, rec *ledger.Record) (now *ledger.Record, rows []string, err error) {
	switch {
	case rec.Ruled:
		return nil, nil, nil
	case len(rec.Classes) > 0:
		return r.repeatClasses(p, rec)
	case rec.ID == rec.Exchange && queryOf(rec) != nil:
		now, err = r.repeatQuery(p, rec, queryOf(rec))
		return now, nil, err
	}
	return nil, nil, nil
}

// repeatClasses asks again about the labels that a record names, narrowed to its rows where it was about rows.
func (r *Replay) repeatClasses(p *past, rec *ledger.Record) (*ledger.Record, []string, error) {
	moved, err := p.moved(rec)
	if err != nil {
		return nil, nil, err
	}
	asked := map[int]ledger.Question{}
	for _, q := range rec.Asked {
		asked[q.Class] = q
	}
	now := ledger.Record{Client: rec.Client, Outcome: consent.Denied.String()}
	var stopped *consent.Decision
	var rows []string
	for i, class := range rec.Classes {
		question := ledger.Question{Class: i, Action: consent.Read}
		if other, told := asked[i]; told {
			question = other
		}
		facts, err := p.factsOf(rec, class)
		if err != nil {
			return nil, nil, err
		}
		whole := r.Law.Decide(questioned(rec, question), class, ofClass(class, facts))
		decisions := []*consent.Decision{&whole}
		if question.Action == consent.Read || question.Action == consent.Notify {
			if list := moved[class.Key()]; len(list) > 0 {
				decisions = decisions[:0]
				for _, row := range list {
					decision := covering(&whole, row)
					if decision.Outcome != consent.Permitted {
						rows = append(rows, versioned(row))
					}
					decisions = append(decisions, decision)
				}
			}
		}
		for _, decision := range decisions {
			now = describe(now, class, facts, decision)
			if decision.Outcome != consent.Permitted && (stopped == nil || decision.Outcome < stopped.Outcome) {
				stopped = decision
			}
		}
	}
	if stopped != nil {
		now = deny(now, stopped)
	}
	return &now, rows, nil
}

// questioned is one question that a record tells was put to the law.
func questioned(rec *ledger.Record, q ledger.Question) consent.Request {
	return consent.Request{
		Actor: rec.Actor, Action: q.Action, Purpose: rec.Purpose, Assertion: rec.Assertion, Time: rec.Time, Invitee: q.Invitee,
	}
}

// repeatQuery asks again about every label that was within reach of a search. A search saw one moment of the store, at
// or shortly after its record's time, while others may have been changing it: of the moments that it may have seen, one
// that answers as recorded will do. The answer given is otherwise that of the record's time.
func (r *Replay) repeatQuery(p *past, rec *ledger.Record, query *search.Query) (*ledger.Record, error) {
	again := asker{Caller{Actor: rec.Actor, Purpose: rec.Purpose, Assertion: rec.Assertion, law: r.Law}, rec.Time}
	then := answerOf(rec)
	var first *ledger.Record
	for _, moment := range p.moments(rec.Time) {
		g := &guard{asker: again}
		if len(rec.Bound) > 0 {
			g.only = slices.DeleteFunc(slices.Clone(rec.Bound), func(client string) bool { return client == "" })
			if g.only == nil {
				g.only = []string{}
			}
		}
		facts := map[string]*consent.Facts{}
		var classes []consent.Class
		for _, of := range query.Of() {
			classes = append(classes, p.within(g.Reach(), of.Type, moment)...)
		}
		for _, class := range classes {
			for _, client := range class.Clients {
				version := p.version(client, moment)
				if client == rec.Client {
					version = rec.Facts
				}
				of, err := p.factsAt(client, version)
				if err != nil {
					return nil, err
				}
				if of != nil {
					facts[client] = of
				}
			}
			g.classes = append(g.classes, class)
			g.decisions = append(g.decisions, g.decide(consent.Read, class, facts))
		}
		known := map[string]*consent.Facts{}
		if rec.Client != "" {
			of, err := p.factsAt(rec.Client, rec.Facts)
			if err != nil {
				return nil, err
			}
			if of != nil {
				known[rec.Client] = of
			}
		}
		now := g.asked(ledger.Record{Outcome: consent.Denied.String()}, query, known)
		if first == nil {
			first = &now
		}
		if len(then.differs(answerOf(&now), true)) == 0 {
			return &now, nil
		}
	}
	return first, nil
}

// versionedRow reads Type/id/_history/version.
func versionedRow(what string) (typ, id string, version int64, ok bool) {
	parts := strings.Split(what, "/")
	if len(parts) != 4 || parts[2] != "_history" {
		return "", "", 0, false
	}
	version, err := strconv.ParseInt(parts[3], 10, 64)
	return parts[0], parts[1], version, err == nil && version > 0
}
