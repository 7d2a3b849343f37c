package exchange

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/store"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

// keepingType is the type under which the gateway keeps what a controller decided about retention: how long each class is
// kept, and which clients' records are held back from erasure. No interaction of any wire serves the type.
const keepingType = "Basic"

// termsID is the row of the terms; the rows of holds have random ids.
const termsID = "retention-terms"

// maxHolds bounds the legal holds at a time.
const maxHolds = 1000

// retention is the key that erasures, holds and terms move, so that two nodes do not erase the same at once, and none erases
// what was just held back.
var retention = keyOf("ledger", "retention")

// LegalHold keeps the records of one client from erasure while a dispute runs. A person decided on it.
type LegalHold struct {
	ID     string    `json:"id"`
	Client string    `json:"client"` // Patient id
	By     string    `json:"by"`     // who decided
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
}

// keeping is what was decided, of one moment.
type keeping struct {
	terms    ledger.Terms
	operator consent.Actor // who kept the terms: whose gateway it is
	holds    []LegalHold   // the oldest first
	version  int64         // of the key
}

// held says whether a hold keeps a record: it is the client's, of data about several of whom the client is one, or of a search
// that named the client, whatever it found.
func (k *keeping) held(rec *ledger.Record) bool {
	return slices.ContainsFunc(k.holds, func(h LegalHold) bool {
		_, known := rec.Known[h.Client]
		return known || h.Client == rec.Client || slices.Contains(rec.Bound, h.Client) ||
			slices.ContainsFunc(rec.Classes, func(c consent.Class) bool { return slices.Contains(c.Clients, h.Client) })
	})
}

// errNoTerms says that no gateway kept its terms in the store.
var errNoTerms = errors.New("no gateway of this release has run on the store: how long it keeps its records is not known")

// kept reads what was decided.
func (d *Desk) kept(ctx context.Context, snap store.Snapshot) (*keeping, error) {
	out := &keeping{}
	var err error
	if out.version, err = snap.Key(ctx, retention); err != nil {
		return nil, unrecorded(err)
	}
	for q := (store.VersionQuery{Types: []string{keepingType}, Current: true, Limit: maxHolds}); ; {
		found, err := snap.Versions(ctx, q, upkeep{})
		if err != nil {
			return nil, unrecorded(err)
		}
		for i := range found.Matches {
			if err := out.read(&found.Matches[i].Row); err != nil {
				return nil, unrecorded(err)
			}
		}
		if q.Cursor = found.Next; q.Cursor == "" {
			return out, nil
		}
	}
}

// read takes in a row. What cannot be read stops erasing: a hold could be in it.
func (k *keeping) read(row *store.Row) error {
	doc, err := fhir.Parse(row.Body, fhir.DefaultLimits)
	if err != nil {
		return err
	}
	told := map[string]string{}
	var terms []string
	for _, e := range doc.Get("extension").Items() {
		if value := e.Text("valueString"); e.Text("url") == keepingURL+"term" {
			terms = append(terms, value)
		} else {
			told[strings.TrimPrefix(e.Text("url"), keepingURL)] = value
		}
	}
	if row.ID == termsID {
		k.terms, err = ledger.ParseTerms(terms)
		k.operator = consent.Actor{Kind: consent.Operator, App: row.Class.Author, Controller: row.Class.Controller}
		return err
	}
	_, client, ok := strings.Cut(doc.Text("subject", "reference"), "/")
	if !ok {
		return errors.New("exchange: a legal hold of no client")
	}
	k.holds = append(k.holds, LegalHold{ID: row.ID, Client: client, By: told["by"], Reason: told["reason"], Since: row.Recorded})
	return nil
}

// keepingURL is where the names of what a row tells begin.
const keepingURL = terms.Base + "StructureDefinition/retention-"

// keepingDoc is a row's resource: names and values in turn.
func keepingDoc(row store.Row, client string, told ...string) *fhir.Value {
	text := func(name, value string) fhir.Member { return fhir.Member{Name: name, Value: fhir.NewString(value)} }
	list := fhir.NewArray()
	for i := 0; i < len(told); i += 2 {
		list.Append(fhir.NewObject(text("url", keepingURL+told[i]), text("valueString", told[i+1])))
	}
	doc := fhir.NewObject(text("resourceType", keepingType), text("id", row.ID))
	if len(told) > 0 {
		doc.Set("extension", list)
	}
	doc.Set("code", fhir.NewObject(text("text", "retention")))
	if client != "" {
		doc.Set("subject", fhir.NewObject(text("reference", "Patient/"+client)))
	}
	return doc
}

// KeepTerms makes durable how long the controller keeps the classes of records from now on, for every node and for the
// command that erases; it answers whether that is a change. Publish tells who may call it.
func (d *Desk) KeepTerms(ctx context.Context, operator consent.Actor, terms ledger.Terms) (bool, error) {
	if operator.Kind != consent.Operator {
		return false, Refuse(Forbidden, "forbidden", "", "Only the operator sets how long records are kept.")
	}
	for again := 0; ; again++ {
		changed, err := d.keepTerms(ctx, operator, terms)
		if errors.Is(err, store.ErrStale) && again < attempts {
			continue
		}
		return changed, d.failed(err)
	}
}

func (d *Desk) keepTerms(ctx context.Context, operator consent.Actor, terms ledger.Terms) (bool, error) {
	snap, err := d.open(ctx)
	if err != nil {
		return false, err
	}
	defer snap.Close()
	version, err := snap.Key(ctx, retention)
	if err != nil {
		return false, unrecorded(err)
	}
	at := d.clock()
	row := store.Row{
		Type: keepingType, ID: termsID, Version: 1, Recorded: at, Updated: at, Method: "PUT",
		Class: consent.Class{Type: keepingType, Register: consent.Directive, Controller: operator.Controller, Author: operator.App},
	}
	var told []string
	for _, term := range terms.List() {
		told = append(told, "term", term)
	}
	doc := keepingDoc(row, "", told...)
	before, err := snap.Get(ctx, row.Type, row.ID)
	switch {
	case err == nil:
		row.Version, row.Recorded = before.Version+1, before.Recorded
		if before.Class.Controller == row.Class.Controller && before.Class.Author == row.Class.Author && same(doc.Clone(), row, before) {
			return false, nil
		}
	case !errors.Is(err, store.ErrNotFound):
		return false, unrecorded(err)
	}
	rec := d.keepingRecord(operator, ledger.KeepTerms)
	if rec.Reason = strings.Join(terms.List(), ", "); rec.Reason == "" {
		rec.Reason = "every class as long as the law says"
	}
	return true, d.keep(ctx, snap, version, row, doc, rec, "updated")
}

// contentOf vouches in a record for a row that supervision reads.
func contentOf(row *store.Row) ledger.Entity {
	return ledger.ContentEntity(row.Type, row.ID, row.Version, ledger.ContentHash(&row.Class, row.Updated, row.Body))
}

// keepingRecord is the record of an act about retention.
func (d *Desk) keepingRecord(operator consent.Actor, interaction string) ledger.Record {
	rec := d.record(d.complete(Caller{Actor: operator}), Interaction(interaction), "")
	rec.Outcome, rec.Success = consent.Permitted.String(), true
	rec.Bases = []consent.Basis{basisOf(d.current(), "ATL-24")}
	return rec
}

// keep commits a row of what was decided, with its record.
func (d *Desk) keep(ctx context.Context, snap store.Snapshot, version int64, row store.Row, doc *fhir.Value, rec ledger.Record, role string) error {
	if !row.Deleted {
		setMeta(doc, row)
		row.Body = doc.AppendJSON(nil)
	}
	rec.Entities = []ledger.Entity{{What: versioned(row), Role: role}, contentOf(&row)}
	snap.Close()
	return d.store.Commit(ctx, store.Change{
		Expect: []store.Expect{{Key: retention, Version: version}, {Type: row.Type, ID: row.ID, Version: row.Version - 1}},
		Keys:   []string{retention}, Put: []store.Row{row}, Records: []ledger.Record{rec},
	})
}

// HoldBack holds the records of a client back from erasure: by is the person who decided on it, reason why. Whatever is erased
// afterwards, on any node, is not theirs.
func (d *Desk) HoldBack(ctx context.Context, client, by, reason string) (LegalHold, error) {
	hold := LegalHold{ID: ledger.NewID(), Client: client, By: by, Reason: reason, Since: d.clock()}
	if err := decidedBy(by, reason); err != nil {
		return hold, err
	}
	err := d.deciding(ctx, func(snap store.Snapshot, k *keeping) error {
		_, err := snap.Get(ctx, "Patient", client) // one that is deleted still has records
		switch {
		case errors.Is(err, store.ErrNotFound):
			return Refuse(Invalid, "not-found", "", "There is no client Patient/"+client+".")
		case err != nil:
			return unrecorded(err)
		case len(k.holds) >= maxHolds:
			return Refuse(Invalid, "too-costly", "", "More legal holds than a gateway keeps at a time.")
		}
		row := store.Row{
			Type: keepingType, ID: hold.ID, Version: 1, Recorded: hold.Since, Updated: hold.Since, Method: "POST",
			Class: consent.Class{Type: keepingType, Register: consent.Directive, Clients: []string{client}, Controller: k.operator.Controller, Author: k.operator.App},
		}
		rec := d.decidedRecord(k, ledger.Hold, hold, by, reason)
		return d.keep(ctx, snap, k.version, row, keepingDoc(row, client, "by", by, "reason", reason), rec, "created")
	})
	return hold, err
}

// ReleaseHold ends a legal hold: by is the person who decided on it, reason why. What is over its time is erased from then on.
func (d *Desk) ReleaseHold(ctx context.Context, id, by, reason string) (LegalHold, error) {
	var hold LegalHold
	if err := decidedBy(by, reason); err != nil {
		return hold, err
	}
	err := d.deciding(ctx, func(snap store.Snapshot, k *keeping) error {
		i := slices.IndexFunc(k.holds, func(h LegalHold) bool { return h.ID == id })
		if i < 0 {
			return Refuse(Invalid, "not-found", "", "There is no legal hold "+id+" that runs.")
		}
		hold = k.holds[i]
		row, err := snap.Get(ctx, keepingType, id)
		if err != nil {
			return unrecorded(err)
		}
		row.Version, row.Updated, row.Method, row.Deleted, row.Body = row.Version+1, d.clock(), "DELETE", true, nil
		return d.keep(ctx, snap, k.version, row, nil, d.decidedRecord(k, ledger.Release, hold, by, reason), "deleted")
	})
	return hold, err
}

// decidedRecord is the record of a person's decision about a hold.
func (d *Desk) decidedRecord(k *keeping, interaction string, hold LegalHold, by, reason string) ledger.Record {
	operator := k.operator
	operator.Name = by
	rec := d.keepingRecord(operator, interaction)
	rec.Client, rec.Controller = hold.Client, operator.Controller
	rec.Assertion.Reason = reason
	return rec
}

// decidedBy checks that a decision tells who made it and why.
func decidedBy(by, reason string) error {
	switch {
	case strings.TrimSpace(by) == "" || strings.TrimSpace(reason) == "":
		return Refuse(Invalid, "required", "", "A legal hold is a person's decision: it says who decided, and why.")
	case len(by) > maxReason || len(reason) > maxReason:
		return Refuse(Invalid, "too-long", "", "A name or a reason is too long.")
	}
	return nil
}

// deciding runs an act on what was decided, again when somebody else decided meanwhile.
func (d *Desk) deciding(ctx context.Context, act func(store.Snapshot, *keeping) error) error {
	for again := 0; ; again++ {
		err := func() error {
			snap, err := d.open(ctx)
			if err != nil {
				return err
			}
			defer snap.Close()
			k, err := d.kept(ctx, snap)
			if err != nil {
				return err
			}
			if k.operator.App == "" {
				return errNoTerms
			}
			return act(snap, k)
		}()
		if errors.Is(err, errNoTerms) {
			return err
		}
		if !errors.Is(err, store.ErrStale) || again == attempts {
			return d.failed(err)
		}
	}
}
