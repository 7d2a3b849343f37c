package exchange

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/search"
	"sotesilta/gateway/store"
	"sotesilta/internal/fhir"
)

// Bounds of a change.
const (
	maxOps     = 1000 // of one transaction
	maxClients = 50   // that one resource names: each needs a decision
)

// Transact makes all the changes or none, in the order given: resources, history, indexes, facts, records and events
// are one transaction (law 9). An *Error names the Op that failed in Entry.
//
// A change that others overtook is decided anew on what they left, and refused with Conflict only when that happens
// again and again. A refusal is recorded, once, as soon as rows were looked at: it may tell of them.
func (d *Desk) Transact(ctx context.Context, c Caller, ops []Op) (_ []Written, err error) {
	c = d.complete(c)
	if len(ops) == 0 || len(ops) > maxOps {
		return nil, Refuse(TooCostly, "too-costly", "", "A transaction makes 1 to "+strconv.Itoa(maxOps)+" changes.")
	}
	named := make(map[string]bool, len(ops))
	for i, op := range ops {
		if err := d.acceptable(c, op); err != nil {
			return nil, entry(err, i)
		}
		// Refused before any row is looked at: a thousand deletions of one hidden row would take longer than of an absent one.
		ref := op.Type + "/" + op.ID
		if op.ID != "" && named[ref] {
			return nil, entry(twice(ref), i)
		}
		named[ref] = true
	}
	asked, unseen := d.question(c, ops[0].Interaction), false
	defer func() {
		if err != nil || unseen {
			asked.wait(ctx)
		}
	}()
	for range attempts {
		w := &writing{asker: asker{c, d.clock()}, desk: d, ops: ops}
		written, err := w.run(ctx)
		unseen = w.unseen
		switch {
		case err == nil:
			return written, nil
		case !errors.Is(err, store.ErrStale):
			return nil, w.refused(ctx, err)
		}
	}
	return nil, Refuse(Conflict, "conflict", "", "Others keep changing the same resources. Read them again and retry.")
}

func twice(ref string) *Error {
	return Refuse(Invalid, "invalid", "", "Two entries change "+ref+"; a transaction may change a resource once.")
}

// acceptable checks what can be checked of an Op without looking at any row.
func (d *Desk) acceptable(c Caller, op Op) error {
	if err := allowed(c, op.Type, op.Interaction); err != nil {
		return err
	}
	if op.Type == auditEvent {
		return Refuse(NotAllowed, "not-supported", "", "AuditEvents are views of the ledger; nobody writes them.")
	}
	if (op.Where == nil) == (op.ID == "") && op.Interaction != Create {
		return Refuse(Invalid, "invalid", "", "A change names its resource by id or by a condition.")
	}
	if op.Where != nil && op.Where.Type != op.Type {
		return Refuse(Invalid, "invalid", "", "The condition of a change is about the type changed.")
	}
	if op.Interaction == Delete || op.Interaction == Patch && op.Patch != nil {
		return nil
	}
	if op.IfNoneExist != nil && op.IfNoneExist.Type != op.Type {
		return Refuse(Invalid, "invalid", "", "The condition of a create is about the type created.")
	}
	if got := fhir.ResourceType(op.Doc); got != op.Type {
		return Refuse(Invalid, "invalid", "resourceType", "The resource must be a "+op.Type+", as the address says.")
	}
	if err := d.unsound(op.Doc); err != nil {
		return err
	}
	return nil
}

// writing is one attempt at a change.
type writing struct {
	asker
	desk *Desk
	ops  []Op

	snap    store.Snapshot
	draft   *Draft
	outcome []Written            // per op; of items, filled in at the end
	items   []*Item              // per op; nil when the op changes nothing
	before  map[string]store.Row // current rows by Type/id
	facts   map[string]*consent.Facts
	expect  []store.Expect
	keys    map[string]bool           // keys looked at; true: the change moves it
	records []*ledger.Record          // in the order of their beginning
	basis   map[string]*ledger.Record // record per client, "" for none
	seen    map[*Item]*ledger.Record  // the record of the caller's sight of the row that an Op is about
	denial  *ledger.Record            // what the law said no to; the only record of the refusal
	// withheld are the members of an item's current version that the caller may not see.
	withheld map[*Item][]string
	// untouched are the items of which a part is withheld and whose patch changes nothing of what is shown.
	untouched map[*Item]bool
	referrals map[string]string // conditional references that were resolved, to Type/id
	// gone are the rows, by Type/id, that the Ops so far delete. Deletes come first (FHIR R4 § 3.1.0.11.2), so that
	// neither a conditional create nor a conditional reference finds them.
	gone map[string]bool
	// unseen: something was looked for that the caller does not see, if it is there at all, and the change is made without.
	unseen bool
	// patchedBytes are those of the resources that patches have made.
	patchedBytes int
	// delivered are the records, per client, of what a human's act puts into another register.
	delivered map[*Item]map[string]*ledger.Record
}

func (w *writing) run(ctx context.Context) ([]Written, error) {
	snap, err := w.desk.open(ctx)
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	w.snap = snap
	w.draft = &Draft{Caller: w.caller, Time: w.at}
	w.before, w.facts = map[string]store.Row{}, map[string]*consent.Facts{}
	w.outcome, w.items = make([]Written, len(w.ops)), make([]*Item, len(w.ops))
	w.basis, w.seen, w.keys = map[string]*ledger.Record{}, map[*Item]*ledger.Record{}, map[string]bool{}
	w.withheld, w.untouched, w.gone = map[*Item][]string{}, map[*Item]bool{}, map[string]bool{}

	for _, step := range []func(context.Context) error{w.target, w.subjects, w.directives, w.govern, w.lawful, w.givers} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return w.commit(ctx)
}

// target finds what each Op is about: existing rows, matches of conditions, new ids; and resolves the references between
// the entries.
func (w *writing) target(ctx context.Context) error {
	links := links{}
	seen := map[string]bool{}
	for i, op := range w.ops {
		item := &Item{Type: op.Type, ID: op.ID}
		if op.Doc != nil {
			item.Doc = op.Doc.Clone() // the attempt may be repeated
		}
		var err error
		switch op.Interaction {
		case Create:
			err = w.condition(ctx, i, item)
		case Update:
			if err = w.meant(ctx, i, item, NotAllowed); err == nil {
				w.restore(item, item.Doc) // who sends back what it read does not take away what it was not shown
			}
		case Patch:
			if err = w.meant(ctx, i, item, Absent); err == nil {
				err = w.patched(i, item)
			}
		case Delete:
			err = w.meant(ctx, i, item, 0)
		default:
			err = Refuse(Invalid, "not-supported", "", "A change is a create, an update, a patch or a delete.")
		}
		if err != nil {
			return entry(err, i)
		}
		ref := op.Type + "/" + item.ID
		if !links.add(op, ref, w.outcome[i].Resource.Version) {
			return entry(Refuse(Invalid, "invalid", "Bundle.entry.fullUrl", "Two entries have the same fullUrl."), i)
		}
		if w.outcome[i].Existing || w.outcome[i].Deleted {
			continue
		}
		if seen[ref] {
			return entry(twice(ref), i)
		}
		seen[ref] = true
		if op.Interaction == Delete {
			w.gone[ref] = true
		}
		w.items[i] = item
		w.draft.Items = append(w.draft.Items, item)
	}
	for i, item := range w.items {
		if item == nil || item.Doc == nil {
			continue
		}
		if err := w.references(ctx, item.Doc, w.ops[i].FullURL, links); err != nil {
			return w.refuse(item, err)
		}
	}
	for _, item := range w.draft.Items {
		if item.Doc == nil {
			item.Class = item.Before.Class
			continue
		}
		item.Class = w.desk.label(w.caller, item.Type, item.ID, item.Doc, item.Before)
		if len(item.Class.Clients) > maxClients {
			item.Class.Clients = nil
			return w.refuse(item, Refuse(Unprocessable, "too-costly", item.Type, "A resource names at most "+strconv.Itoa(maxClients)+" clients."))
		}
	}
	// A Provenance takes its label from what it is about, which must have its own first.
	for _, item := range w.draft.Items {
		if item.Type == "Provenance" && item.Doc != nil {
			if err := w.provenance(ctx, item); err != nil {
				return err
			}
		}
	}
	return nil
}

// condition gives a Create its new id, or finds the one visible match of its condition.
func (w *writing) condition(ctx context.Context, i int, item *Item) error {
	op := w.ops[i]
	item.ID = uuid.NewString()
	if op.IfNoneExist == nil {
		return nil
	}
	match, g, err := w.only(ctx, op.IfNoneExist, w.gone)
	switch {
	case errors.Is(err, errSeveral):
		return Refuse(Ambiguous, "multiple-matches", "", "The condition of the create matches several resources.")
	case err != nil:
		return err
	case match == nil:
		w.unseen = true
		key := conditionKey(op)
		if _, twice := w.keys[key]; twice && op.Meet == nil {
			return Refuse(Invalid, "duplicate", "", "Another entry creates under the same condition: each would be made, and the condition never hold again.")
		}
		return w.key(ctx, key, true)
	}
	resource, err := released(match.Row, match.Decision)
	if err != nil {
		return err
	}
	item.ID = match.ID
	if op.Meet != nil {
		if changed, err := w.met(ctx, i, item, match, g, resource); changed || err != nil {
			return err
		}
	}
	w.outcome[i] = Written{Resource: *resource, Existing: true}
	w.matched(*match, g)
	return nil
}

// conditionKey is equal for creates under the same condition, so that only one of two at once succeeds.
func conditionKey(op Op) string {
	clauses := make([]string, len(op.IfNoneExist.Where))
	for i, clause := range op.IfNoneExist.Where {
		text, err := json.Marshal(clause)
		if err != nil { // an infinite number or a far year
			text = fmt.Appendf(nil, "%v %+v", op.IfNoneExist.Raw, clause.Values)
		}
		clauses[i] = string(text)
	}
	slices.Sort(clauses)
	return keyOf("if-none-exist", op.Type, clauses...)
}

// keyOf is the name of a key of the store.
func keyOf(kind, of string, more ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(append([]string{kind, of}, more...), "\x00")))
	return hex.EncodeToString(sum[:])
}

// key expects a key of the store to stay as it is, and moves it if this change is one of those it stands for.
func (w *writing) key(ctx context.Context, key string, move bool) error {
	if _, known := w.keys[key]; !known {
		version, err := w.snap.Key(ctx, key)
		if err != nil {
			return unrecorded(err)
		}
		w.expect = append(w.expect, store.Expect{Key: key, Version: version})
	}
	w.keys[key] = w.keys[key] || move
	return nil
}

// existing finds the row of an Update or Delete. What is absent, deleted or not visible is refused alike with the
// kind given; kind 0 answers a Delete that changes nothing. The attempt is recorded either way.
func (w *writing) existing(ctx context.Context, i int, item *Item, kind ErrorKind) error {
	op := w.ops[i]
	rec := w.record(op.Interaction, item.Type+"/"+item.ID)
	if op.Where != nil {
		rec.Query = op.Where.Raw
	}
	refuse := func() error { return w.missing(i, item, kind, &rec) }
	row, err := w.snap.Get(ctx, item.Type, item.ID)
	if errors.Is(err, store.ErrNotFound) {
		rec.Reason = "absent: there is no such resource"
		if err := w.decoy(ctx, w.snap, item.Type, rec); err != nil {
			return err
		}
		return refuse()
	}
	if err != nil {
		return unrecorded(err)
	}
	decision, facts, err := w.sight(ctx, row)
	if err != nil {
		return err
	}
	rec = describe(rec, row.Class, facts, decision)
	rec.Row = versioned(row)
	if row.Deleted {
		rec = deny(rec, &consent.Decision{Reason: "absent: it was deleted"})
		return refuse()
	}
	if decision.Outcome != consent.Permitted {
		rec = deny(rec, decision)
		return refuse()
	}
	w.seen[item] = &rec
	if row.Class.Register == consent.Identity {
		w.denial = &rec
		rec.Reason = "refused: population data are read-only"
		return Refuse(NotAllowed, "not-supported", "", "Patients of the population data are read-only.")
	}
	if op.IfMatch != 0 && op.IfMatch != row.Version {
		w.denial = &rec
		rec.Reason = "refused: the version that If-Match names is not the current one"
		return Refuse(Stale, "conflict", "", item.Type+"/"+item.ID+" is at version "+strconv.FormatInt(row.Version, 10)+
			", not at the version that If-Match names. Read it again.")
	}
	before, err := current(row)
	if err != nil {
		return err
	}
	item.Before = before
	w.before[item.Ref()] = row
	if len(decision.Redact) > 0 {
		w.withheld[item] = decision.Redact
	}
	return nil
}

// govern lets the process have its say.
func (w *writing) govern(ctx context.Context) error {
	if w.desk.rules == nil {
		return nil
	}
	v := &view{writing: w}
	if err := w.desk.rules.Govern(ctx, v, w.draft); err != nil {
		var refusal *Error
		if errors.As(err, &refusal) {
			return err
		}
		return unrecorded(err)
	}
	for _, name := range w.draft.Keys {
		if err := w.key(ctx, keyOf("rules", name), true); err != nil {
			return err
		}
	}
	for _, item := range w.draft.Items {
		if item.Before == nil {
			continue
		}
		if _, known := w.before[item.Ref()]; known {
			continue
		}
		row, err := w.snap.Get(ctx, item.Type, item.ID)
		if err != nil {
			return unrecorded(err)
		}
		w.before[item.Ref()] = row
	}
	return nil
}

// commit makes rows, facts, records and events one change.
func (w *writing) commit(ctx context.Context) ([]Written, error) {
	change := store.Change{Expect: w.expect}
	for key, move := range w.keys {
		if move {
			change.Keys = append(change.Keys, key)
		}
	}
	facts := map[string]*consent.Facts{}
	for client, known := range w.facts {
		facts[client] = known
	}
	changedFacts := map[string]bool{}
	resources := map[*Item]*Resource{}
	for _, item := range w.draft.Items {
		row, err := w.row(item)
		if err != nil {
			return nil, w.refuse(item, err)
		}
		derived, err := derive(w.caller, item, row.Version, facts)
		if err != nil {
			return nil, w.refuse(item, unreadable(err))
		}
		if len(derived) == 0 && w.idle(item, row) {
			row = w.before[item.Ref()]
			change.Expect = append(change.Expect, store.Expect{Type: item.Type, ID: item.ID, Version: row.Version})
		} else {
			change.Put = append(change.Put, row)
			change.Expect = append(change.Expect, store.Expect{Type: item.Type, ID: item.ID, Version: row.Version - 1})
		}
		// The answer shows what a read would: a patch keeps what is withheld, and does not hand it out.
		if resources[item], err = released(row, &consent.Decision{Redact: w.withheld[item]}); err != nil {
			return nil, err
		}
		for client, next := range derived {
			facts[client], changedFacts[client] = next, true
		}
		if err := w.entity(item, row); err != nil {
			return nil, err
		}
	}
	// Every client whose facts the decisions rest on must still have them (law 4).
	for client, known := range w.facts {
		var version int64
		if known != nil {
			version = known.Version
		}
		change.Expect = append(change.Expect, store.Expect{Client: client, Version: version})
		if changedFacts[client] {
			next := *facts[client]
			next.Version = version + 1
			change.Facts = append(change.Facts, &next)
		}
	}
	change.Records = w.finished()
	if len(change.Records) == 0 { // every Op was a conditional create that found directory data
		return w.outcome, nil
	}
	for _, row := range change.Put {
		interaction := Update
		switch {
		case row.Deleted:
			interaction = Delete
		case row.Version == 1:
			interaction = Create
		}
		change.Events = append(change.Events, store.Event{
			Type: row.Type, ID: row.ID, Version: row.Version, Interaction: string(interaction), Time: w.at,
			Record: change.Records[0].ID,
		})
	}
	w.snap.Close()
	if err := w.desk.put(ctx, change); err != nil {
		if errors.Is(err, store.ErrStale) {
			return nil, err
		}
		return nil, w.desk.failed(err)
	}
	for i, item := range w.items {
		if item != nil {
			w.outcome[i] = Written{Resource: *resources[item], Created: item.Before == nil}
		}
	}
	return w.outcome, nil
}

// row is the new version of an item as it will be kept.
func (w *writing) row(item *Item) (store.Row, error) {
	row := store.Row{Type: item.Type, ID: item.ID, Version: 1, Class: item.Class, Updated: w.at, Method: "POST"}
	otherwise := w.at
	if before, ok := w.before[item.Ref()]; ok {
		row.Version, row.Method, otherwise = before.Version+1, "PUT", before.Recorded
	}
	if item.Doc == nil {
		row.Deleted, row.Method, row.Recorded = true, "DELETE", otherwise
		return row, nil
	}
	if item.Consequence {
		if refusal := w.desk.unsound(item.Doc); refusal != nil {
			return row, &Error{Kind: Unrecorded, Entry: -1, Issues: refusal.Issues, Err: errors.New("exchange: the process made an invalid " + item.Type)}
		}
	}
	setMeta(item.Doc, row)
	row.Recorded = recordedAt(item.Type, item.Doc, otherwise)
	row.Body = item.Doc.AppendJSON(nil)
	if row.Index = search.Extract(item.Doc, w.desk.bases...); row.Index.Over {
		return row, overIndexed(item.Type)
	}
	return row, nil
}

// idle says whether a patch makes what is kept already, to the letter but for its version and time, under the same label:
// then the version stays, no event tells of it, and the record of the exchange names the version that is there. An update is
// never idle: it creates a new current version (FHIR R4 § 3.1.0.4), and of two that were sent under one If-Match the second
// must fail whatever they say. Nor is a human's act or an invitation. Where a part of the row is withheld from the caller, it
// is what is shown that must stay: whether a guess of the rest makes a version would tell what it is, and if no patch of such
// a row were idle, one that changes nothing would tell that there is something to hide.
func (w *writing) idle(item *Item, row store.Row) bool {
	i := slices.Index(w.items, item)
	if i < 0 || w.ops[i].Interaction != Patch {
		return false
	}
	before, known := w.before[item.Ref()]
	if !known || item.Doc == nil || item.Act != nil || item.Invitee != nil || len(w.withheld[item]) > 0 && !w.untouched[item] ||
		len(row.Body)-digits(row.Version) != len(before.Body)-digits(before.Version) || row.Class.Key() != before.Class.Key() {
		return false
	}
	same := fhir.NewObject(item.Doc.Members()...)
	setMeta(same, before)
	return bytes.Equal(same.AppendJSON(nil), before.Body)
}

// digits is how long a version is as text.
func digits(version int64) int { return len(strconv.FormatInt(version, 10)) }

// overIndexed refuses a resource that would be too many rows of the index.
func overIndexed(typ string) *Error {
	return Refuse(TooCostly, "too-costly", typ, "A resource has at most "+strconv.Itoa(search.MaxEntries)+" values that searches look at.")
}

// know loads the facts of clients into the attempt.
func (w *writing) know(ctx context.Context, clients []string) error {
	var missing []string
	for _, client := range clients {
		if _, known := w.facts[client]; !known {
			missing = append(missing, client)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	facts, err := w.snap.Facts(ctx, missing...)
	if err != nil {
		return unrecorded(err)
	}
	for _, client := range missing {
		w.facts[client] = facts[client]
	}
	return nil
}

// sight decides whether the caller may see a row. A change that is made rests on what is known of the clients of what the
// caller sees, not on that of others: it is committed as if what is hidden were not there.
func (w *writing) sight(ctx context.Context, row store.Row) (*consent.Decision, map[string]*consent.Facts, error) {
	facts, err := w.snap.Facts(ctx, row.Class.Clients...)
	if err != nil {
		return nil, nil, unrecorded(err)
	}
	class := w.decide(consent.Read, row.Class, facts)
	decision := covering(&class, row)
	if decision.Outcome == consent.Permitted {
		for _, client := range row.Class.Clients {
			w.facts[client] = facts[client]
		}
	}
	return decision, facts, nil
}

// refuse names the Op that an item came from.
func (w *writing) refuse(item *Item, err error) error {
	for i, mine := range w.items {
		if mine == item {
			return entry(err, i)
		}
	}
	return err
}

// entry names the Op in a refusal.
func entry(err error, i int) error {
	var refusal *Error
	if errors.As(err, &refusal) {
		named := *refusal
		named.Entry = i
		return &named
	}
	return err
}
