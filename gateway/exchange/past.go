package exchange

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sort"
	"time"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/store"
)

// past is the history of rows and facts as the ledger tells it: which version of a row was current when, and which facts
// of a client were known. Every change is recorded in its own transaction, so the ledger's order of changes is theirs.
type past struct {
	ctx   context.Context
	store store.Store

	snap   store.Snapshot
	opened time.Time

	facts  map[factsAt]*consent.Facts // versions never change
	byType map[string][]*span         // when rows of a class were there
	turns  map[string][]time.Time     // per client: turns[v] is when version v gave way to v+1
	times  []time.Time                // of all changes, rising
	// parties are who has, or had, a relationship with a client since when.
	parties map[party]time.Time
	faded   bool // records were erased: changes that they told of are not known
}

type factsAt struct {
	client  string
	version int64
}

type party struct{ who, client string }

// span is a class and when rows of it came and went.
type span struct {
	class consent.Class
	moves []move // by time
}

type move struct {
	at time.Time
	by int // rows more or fewer
}

// rowKey is a row in the history.
type rowKey struct{ typ, id string }

// written are the roles of entities that are new versions.
var written = []string{"created", "updated", "deleted"}

// lookWithin is how long a snapshot is used before another is opened: what replay reads never changes, so it needs no
// single moment, and a long one would keep a busy store from tidying up.
const lookWithin = time.Second

// look is a snapshot to read unchanging things from.
func (p *past) look() (store.Snapshot, error) {
	if p.snap != nil && time.Since(p.opened) < lookWithin {
		return p.snap, nil
	}
	p.close()
	snap, err := p.store.Snapshot(p.ctx)
	if err != nil {
		return nil, err
	}
	p.snap, p.opened = snap, time.Now()
	return snap, nil
}

func (p *past) close() {
	if p.snap != nil {
		p.snap.Close()
		p.snap = nil
	}
}

// learn reads the changes out of the ledger.
func (p *past) learn(list iter.Seq2[ledger.Entry, error]) error {
	p.byType, p.turns, p.parties = map[string][]*span{}, map[string][]time.Time{}, map[party]time.Time{}
	rows := map[rowKey]map[int64]time.Time{}
	changed := map[factsAt]time.Time{} // the last change that still knew a version: the one that made the next
	for entry, err := range list {
		if err != nil {
			return err
		}
		if entry.Canonical == nil {
			p.faded = true
			continue
		}
		rec, err := ledger.ParseRecord(entry.Canonical)
		if err != nil {
			return fmt.Errorf("replay: entry %d: %w (run gateway verify)", entry.Seq, err)
		}
		at := rec.Time
		wrote := false
		for _, entity := range rec.Entities {
			if !slices.Contains(written, entity.Role) {
				continue
			}
			typ, id, version, ok := versionedRow(entity.What)
			if !ok {
				continue
			}
			wrote = true
			key := rowKey{typ, id}
			if rows[key] == nil {
				rows[key] = map[int64]time.Time{}
			}
			rows[key][version] = at
		}
		if !wrote || !rec.Success {
			continue
		}
		p.times = append(p.times, at)
		if rec.Client != "" {
			key := factsAt{rec.Client, rec.Facts}
			if last, known := changed[key]; !known || at.After(last) {
				changed[key] = at
			}
		}
	}
	slices.SortFunc(p.times, time.Time.Compare)
	p.times = slices.Compact(p.times)
	if err := p.learnRows(rows); err != nil {
		return err
	}
	return p.learnFacts(changed)
}

func (p *past) learnRows(rows map[rowKey]map[int64]time.Time) error {
	spans := map[string]*span{}
	for key, versions := range rows {
		for version, at := range versions {
			snap, err := p.look()
			if err != nil {
				return err
			}
			row, err := snap.Version(p.ctx, key.typ, key.id, version)
			if errors.Is(err, store.ErrNotFound) {
				continue // then what the record says of it cannot be repeated, and is told there
			}
			if err != nil {
				return err
			}
			if row.Deleted {
				continue
			}
			name := row.Class.Key()
			of := spans[name]
			if of == nil {
				of = &span{class: row.Class}
				spans[name] = of
				p.byType[row.Type] = append(p.byType[row.Type], of)
			}
			of.moves = append(of.moves, move{at, 1})
			if until, over := versions[version+1]; over {
				of.moves = append(of.moves, move{until, -1})
			}
		}
	}
	for _, of := range spans {
		sort.SliceStable(of.moves, func(i, j int) bool { return of.moves[i].at.Before(of.moves[j].at) })
	}
	for _, list := range p.byType {
		slices.SortFunc(list, func(a, b *span) int {
			if a.class.Key() < b.class.Key() {
				return -1
			}
			return 1
		})
	}
	return nil
}

// learnFacts finds when each version of a client's facts came: with the last change that still knew the one before.
func (p *past) learnFacts(changed map[factsAt]time.Time) error {
	for key := range changed {
		if key.version > 0 {
			continue // every client's first version comes after 0
		}
		for version := int64(0); ; version++ {
			at, known := changed[factsAt{key.client, version}]
			if !known {
				break
			}
			facts, err := p.factsAt(key.client, version+1)
			var missing *missingInput
			if errors.As(err, &missing) {
				break
			}
			if err != nil {
				return err
			}
			p.turns[key.client] = append(p.turns[key.client], at)
			for _, rel := range facts.Relationships {
				for _, who := range []string{rel.Unit, rel.Person} {
					since, known := p.parties[party{who, key.client}]
					if who != "" && (!known || at.Before(since)) {
						p.parties[party{who, key.client}] = at
					}
				}
			}
		}
	}
	return nil
}

// factsAt is what was known of a client at a version; nil at 0.
func (p *past) factsAt(client string, version int64) (*consent.Facts, error) {
	if version == 0 {
		return nil, nil
	}
	key := factsAt{client, version}
	if known := p.facts[key]; known != nil {
		return known, nil
	}
	snap, err := p.look()
	if err != nil {
		return nil, err
	}
	facts, err := snap.FactsAt(p.ctx, client, version)
	if errors.Is(err, store.ErrNotFound) {
		return nil, &missingInput{fmt.Sprintf("the facts of client %s at version %d", client, version)}
	}
	if err != nil {
		return nil, err
	}
	if len(p.facts) >= maxKept {
		clear(p.facts)
	}
	p.facts[key] = facts
	return facts, nil
}

// maxKept bounds the facts kept at hand.
const maxKept = 20_000

// factsOf is what was known, when a record was made, of the clients of a class.
func (p *past) factsOf(rec *ledger.Record, class consent.Class) (map[string]*consent.Facts, error) {
	out := map[string]*consent.Facts{}
	for _, client := range class.Clients {
		version, told := rec.Known[client]
		if client == rec.Client {
			version, told = rec.Facts, true
		}
		if !told {
			return nil, &missingInput{"the version of the facts of client " + client}
		}
		facts, err := p.factsAt(client, version)
		if err != nil {
			return nil, err
		}
		if facts != nil {
			out[client] = facts
		}
	}
	return out, nil
}

// moved are the rows that a record was about, by the key of their class: what left, and what it decided on that stayed.
func (p *past) moved(rec *ledger.Record) (map[string][]store.Row, error) {
	out := map[string][]store.Row{}
	add := func(what string) error {
		typ, id, version, ok := versionedRow(what)
		if !ok {
			return nil
		}
		snap, err := p.look()
		if err != nil {
			return err
		}
		row, err := snap.Version(p.ctx, typ, id, version)
		if errors.Is(err, store.ErrNotFound) {
			return &missingInput{"the label and the recording date of " + what}
		}
		if err != nil {
			return err
		}
		row.Body = nil
		key := row.Class.Key()
		out[key] = append(out[key], row)
		if !slices.ContainsFunc(rec.Classes, func(c consent.Class) bool { return c.Key() == key }) {
			return &missingInput{"the label that " + what + " has"}
		}
		return nil
	}
	for _, entity := range rec.Entities {
		if slices.Contains(written, entity.Role) {
			continue
		}
		if err := add(entity.What); err != nil {
			return nil, err
		}
	}
	if rec.Row != "" {
		return out, add(rec.Row)
	}
	return out, nil
}

// slack is how much earlier than a search's time a change may have been recorded and yet not be seen by it: a record has
// the time at which its exchange began, and a change is durable, or given up, soon after that.
const slack = snapshotLife + time.Second

// maxMoments bounds the moments that a search is tried at.
const maxMoments = 256

// moments are those that a search of a time may have seen: its own first, then those nearest to it.
func (p *past) moments(at time.Time) []time.Time {
	out := []time.Time{at}
	after, _ := slices.BinarySearchFunc(p.times, at, time.Time.Compare)
	for before := after - 1; len(out) < maxMoments; {
		earlier := before >= 0 && at.Sub(p.times[before]) <= slack
		later := after < len(p.times) && p.times[after].Sub(at) <= snapshotLife
		switch {
		case earlier && (!later || at.Sub(p.times[before]) <= p.times[after].Sub(at)):
			out = append(out, p.times[before].Add(-time.Nanosecond), p.times[before])
			before--
		case later:
			out = append(out, p.times[after].Add(-time.Nanosecond), p.times[after])
			after++
		default:
			return out
		}
	}
	return out
}

// version is the version of a client's facts at a moment.
func (p *past) version(client string, moment time.Time) int64 {
	version := int64(0)
	for _, at := range p.turns[client] {
		if at.After(moment) {
			break
		}
		version++
	}
	return version
}

// within are the classes of a type that had rows at a moment and lay within reach: what a store lists for a guard.
func (p *past) within(r store.Reach, typ string, moment time.Time) []consent.Class {
	near := func(client string) bool {
		if r.All || slices.Contains(r.Clients, client) {
			return true
		}
		for _, list := range [][]string{r.Units, r.Persons} {
			for _, who := range list {
				if since, known := p.parties[party{who, client}]; known && !since.After(moment) {
					return true
				}
			}
		}
		return false
	}
	var out []consent.Class
	for _, of := range p.byType[typ] {
		clients := of.class.Clients
		reached := len(clients) == 0
		for _, client := range clients {
			if r.Only != nil && !slices.Contains(r.Only, client) {
				continue
			}
			reached = reached || near(client) || r.Author != "" && of.class.Author == r.Author
		}
		if reached && of.there(moment) {
			out = append(out, of.class)
		}
	}
	return out
}

// there says whether any row of the class was there at a moment.
func (s *span) there(moment time.Time) bool {
	rows := 0
	for _, m := range s.moves {
		if m.at.After(moment) {
			break
		}
		rows += m.by
	}
	return rows > 0
}
