package exchange

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/store"
	"sotesilta/internal/finland"
)

// recorded says whether reading a class is recorded in the ledger: all data about persons is.
func recorded(class consent.Class) bool { return class.Register != consent.Directory }

// record begins the first record of an exchange. Until something permits it, it is a denial.
func (d *Desk) record(c Caller, i Interaction, target string) ledger.Record {
	if c.Interaction != "" {
		i = c.Interaction
	}
	if finland.FindIdentityCode(target) { // identity codes live in bodies only (law 11)
		target, _, _ = strings.Cut(target, "/")
	}
	return ledger.Record{
		ID: c.RequestID, Exchange: c.RequestID, Time: d.clock(), Interaction: string(i), Outcome: "deny",
		Actor: c.Actor, Purpose: c.Purpose, Assertion: c.Assertion, TokenID: c.TokenID, Target: target,
		Policy: c.law.Version(),
	}
}

// follow begins another record of the same exchange.
func follow(first ledger.Record) ledger.Record {
	next := first
	next.ID = ledger.NewID()
	next.Client, next.Controller, next.Register = "", "", ""
	next.Entities, next.Bases, next.Directives, next.Bans, next.Evidence, next.Classes = nil, nil, nil, nil, nil, nil
	next.Asked, next.Known, next.Row, next.Bound, next.Ruled = nil, nil, "", nil, false
	next.Facts, next.Disclosure, next.Reason, next.Obligations = 0, false, "", nil
	next.Outcome, next.Success = "deny", false
	return next
}

// about begins the part of an exchange that concerns one client: rec itself or what follows it.
func about(rec ledger.Record, client string, facts map[string]*consent.Facts) ledger.Record {
	rec.Client = client
	if known := facts[client]; known != nil {
		rec.Facts = known.Version
	}
	return rec
}

// everyone makes the record of data about several clients for each of them, since the log of each must show it: tell
// completes what was begun with what concerns that client alone.
func everyone(begun ledger.Record, clients []string, facts map[string]*consent.Facts, tell func(ledger.Record) ledger.Record) []ledger.Record {
	out := make([]ledger.Record, 0, max(len(clients), 1))
	for i, client := range orNobody(clients) {
		rec := about(begun, client, facts)
		if i > 0 {
			rec.ID = ledger.NewID()
		}
		out = append(out, tell(rec))
	}
	return out
}

// describe tells a record whose data a class is and how it was decided. Several classes may be described one after
// another; what they rest on adds up. Of data about several clients it tells what concerns the record's own; a denial
// that is nobody's yet is of the client for whom it was denied.
func describe(rec ledger.Record, class consent.Class, facts map[string]*consent.Facts, decision *consent.Decision) ledger.Record {
	if rec.Client == "" && len(class.Clients) > 0 {
		client := class.Clients[0]
		if stopper := decision.Stopper(); stopper != "" {
			client = stopper
		}
		rec = about(rec, client, facts)
	}
	if rec.Controller == "" && class.Register != "" && (class.Controller != "" || rec.Register == "") {
		rec.Controller, rec.Register = class.Controller, class.Register
	}
	rec.Classes = append(rec.Classes, class)
	rec = asked(rec, class, facts, decision)
	if decision.Outcome != consent.Permitted {
		return rec
	}
	decision = decision.Of(rec.Client)
	rec.Outcome = "permit"
	rec.Disclosure = rec.Disclosure || decision.Disclosure
	for _, basis := range decision.Bases {
		if !slices.ContainsFunc(rec.Bases, func(b consent.Basis) bool { return b.ID == basis.ID }) {
			rec.Bases = append(rec.Bases, basis)
		}
	}
	rec.Obligations = union(rec.Obligations, decision.Obligations)
	rec.Directives = union(rec.Directives, decision.Directives)
	rec.Bans = union(rec.Bans, decision.Bans)
	rec.Evidence = union(rec.Evidence, decision.Evidence)
	return rec
}

// asked keeps what else it takes to ask the law again about the last class of a record (law 8).
func asked(rec ledger.Record, class consent.Class, facts map[string]*consent.Facts, decision *consent.Decision) ledger.Record {
	if decision.Action != "" && decision.Action != consent.Read {
		rec.Asked = append(rec.Asked, ledger.Question{Class: len(rec.Classes) - 1, Action: decision.Action, Invitee: decision.Invitee})
	}
	// Of several clients, and of another's data than the record's own, as where a row was another's before.
	if len(class.Clients) > 1 || len(class.Clients) == 1 && class.Clients[0] != rec.Client {
		known := maps.Clone(rec.Known) // the records of the other clients share it
		if known == nil {
			known = map[string]int64{}
		}
		for _, client := range class.Clients {
			if of := facts[client]; of != nil {
				known[client] = of.Version
			} else {
				known[client] = 0
			}
		}
		rec.Known = known
	}
	return rec
}

// bindings are the clients that a search names, as its record keeps them. What is an identity code is no client's id, and
// stays out (law 11): it binds the search to nobody, as an unknown id does.
func bindings(only []string) []string {
	out := make([]string, 0, max(len(only), 1))
	for _, client := range orNobody(only) {
		if finland.FindIdentityCode(client) {
			client = "***"
		}
		out = append(out, client)
	}
	return out
}

// deny makes a record the record of a denial, with the true reason.
func deny(rec ledger.Record, decision *consent.Decision) ledger.Record {
	rec.Outcome = "deny"
	if decision.Outcome == consent.NeedsHuman {
		rec.Outcome = consent.NeedsHuman.String()
	}
	rec.Success = false
	decision = decision.Of(rec.Client)
	rec.Ruled = decision.Action == "" && len(rec.Classes) > 0
	rec.Reason = decision.Reason
	rec.Obligations = nil
	rec.Bases, rec.Entities, rec.Evidence, rec.Disclosure = nil, nil, union(nil, decision.Evidence), decision.Disclosure
	rec.Directives, rec.Bans = union(nil, decision.Directives), union(nil, decision.Bans)
	return rec
}

// disclosed gathers the records of data that leave: one per client, and where the data are several controllers', one
// for each of these, because each keeps the log of its own registers (703/2023 § 10). Use and disclosure are recorded apart,
// and disclosures of each register by itself (§ 10.2 and 10.3), so that each tells its own source and basis.
type disclosed struct {
	first   ledger.Record // the record that the first one is made of, or follows
	follow  bool          // the first record is made already: all of these follow it
	parts   map[string]*ledger.Record
	order   []string
	classes map[string]bool
	// The decision that the row before left on, and the records that it is in. What leaves on the very same decision is of
	// the same class, so that of its rows only the first has more to tell than its own name.
	on *consent.Decision
	in []*ledger.Record
}

// add tells of a row that leaves on a decision narrowed to it.
func (l *disclosed) add(row store.Row, decision *consent.Decision, facts map[string]*consent.Facts, role string) {
	if !recorded(row.Class) {
		return
	}
	entity := ledger.Entity{What: versioned(row), Role: role}
	if l.on == decision {
		for _, rec := range l.in {
			rec.Entities = append(rec.Entities, entity)
		}
		return
	}
	l.on, l.in = decision, l.in[:0]
	if l.parts == nil {
		l.parts, l.classes = map[string]*ledger.Record{}, map[string]bool{}
	}
	controller := row.Class.Controller
	if controller == "" { // population data are of no register
		controller = l.first.Actor.Controller
	}
	for _, client := range orNobody(row.Class.Clients) {
		key := client + "|" + controller
		if decision.Disclosure {
			key += "|" + string(row.Class.Register)
		}
		rec := l.parts[key]
		if rec == nil {
			next := l.first
			if l.follow || len(l.order) > 0 {
				next = follow(l.first)
			}
			next = about(next, client, facts)
			rec = &next
			l.parts[key], l.order = rec, append(l.order, key)
		}
		told := describe(*rec, row.Class, facts, decision)
		if class := key + "|" + row.Class.Key(); l.classes[class] {
			told.Classes, told.Asked = rec.Classes, rec.Asked
		} else {
			l.classes[class] = true
		}
		*rec = told
		rec.Success = true
		rec.Entities = append(rec.Entities, entity)
		l.in = append(l.in, rec)
	}
}

// records are what was gathered, in the order in which it left.
func (l *disclosed) records() []ledger.Record {
	out := make([]ledger.Record, 0, len(l.order))
	for _, key := range l.order {
		out = append(out, *l.parts[key])
	}
	return out
}

func union(into, more []string) []string {
	for _, s := range more {
		if !slices.Contains(into, s) {
			into = append(into, s)
		}
	}
	return into
}

// versioned is Type/id/_history/version.
func versioned(row store.Row) string {
	return row.Type + "/" + row.ID + "/_history/" + strconv.FormatInt(row.Version, 10)
}
