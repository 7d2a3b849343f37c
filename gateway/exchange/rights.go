package exchange

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/search"
	"sotesilta/gateway/store"
	"sotesilta/internal/fhir"
)

// ReadRights is the reading of the register of users and rights; recorded by this name.
const ReadRights Interaction = "rights"

// rightsType is the type under which the register of users and rights (703/2023 § 9.3) is kept: a row for each API client
// and each of its users, of which a new version is made when the rights change, and which is deleted when they end. No
// interaction of any wire serves the type.
const rightsType = "Parameters"

// Bounds of a reading.
const (
	rightsCount = 500   // rights of a page, unless asked otherwise
	maxRights   = 1000  // of a page
	rightsLook  = 5_000 // versions looked at for one page
)

// Right is what one registered API client, or one user of it, may do. It holds no secret and no identity code.
type Right struct {
	Client     string           // API client
	ClientName string           // for people
	ClientKind string           // system, own-view, auditor, operator
	User       string           // the client's own id of the user; "" for the client itself
	Name       string           // of the user
	Kind       consent.Kind     // what the user acts as
	Person     string           // Practitioner/…, Patient/… or RelatedPerson/…
	Role       string           // PractitionerRole/…
	Unit       string           // Organization/…, of the user
	Units      []string         // of the client
	Register   consent.Register // that the user works in; of a client "" when it serves both
	Controller string           // Organization/… that answers for it
	Task       string           // decree 457/2024 §§ 3, 10, 20
	Service    string           // decree 457/2024 § 4
	Authority  bool             // a social authority
	Producer   bool             // of a producer's unit (703/2023 § 14)
	Purposes   []string         // what may be claimed
	Roles      []string         // further codes that subject_role may claim
	Scopes     string           // SMART scopes of the client, the most that a token may have
	Sees       []string         // own view: Patient ids seen as own
	Keys       []string         // of the client: thumbprints (RFC 7638), or the address of its keys
}

// id is the row's: of the client and user, so that their versions follow each other.
func (r *Right) id() string {
	sum := sha256.Sum256([]byte(r.Client + "\x00" + r.User))
	return hex.EncodeToString(sum[:])
}

// doc is the right as it is kept and told: a part for each member, those that are empty left out.
func (r *Right) doc() *fhir.Value {
	parts := fhir.NewArray()
	put := func(name, kind string, values ...string) {
		for _, value := range values {
			if value != "" {
				parts.Append(fhir.NewObject(
					fhir.Member{Name: "name", Value: fhir.NewString(name)}, fhir.Member{Name: kind, Value: fhir.NewString(value)},
				))
			}
		}
	}
	yes := func(name string, is bool) {
		if is {
			parts.Append(fhir.NewObject(
				fhir.Member{Name: "name", Value: fhir.NewString(name)}, fhir.Member{Name: "valueBoolean", Value: fhir.NewBool(true)},
			))
		}
	}
	put("client", "valueString", r.Client)
	put("clientName", "valueString", r.ClientName)
	put("clientKind", "valueCode", r.ClientKind)
	put("user", "valueString", r.User)
	put("name", "valueString", r.Name)
	put("kind", "valueCode", string(r.Kind))
	put("person", "valueUri", r.Person)
	put("role", "valueUri", r.Role)
	put("unit", "valueUri", r.Unit)
	put("units", "valueUri", r.Units...)
	put("register", "valueCode", string(r.Register))
	put("controller", "valueUri", r.Controller)
	put("task", "valueCode", r.Task)
	put("service", "valueCode", r.Service)
	yes("authority", r.Authority)
	yes("producer", r.Producer)
	put("purpose", "valueCode", r.Purposes...)
	put("subjectRole", "valueString", r.Roles...)
	put("scope", "valueString", strings.Fields(r.Scopes)...)
	put("sees", "valueId", r.Sees...)
	put("key", "valueString", r.Keys...)
	return fhir.NewObject(
		fhir.Member{Name: "resourceType", Value: fhir.NewString(rightsType)},
		fhir.Member{Name: "id", Value: fhir.NewString(r.id())},
		fhir.Member{Name: "parameter", Value: parts},
	)
}

// upkeep is the guard of the gateway's own work on the rows that it keeps.
type upkeep struct{}

func (upkeep) Reach() store.Reach { return store.Reach{All: true} }

func (upkeep) Permit(_ context.Context, classes []consent.Class, _ map[string]*consent.Facts) ([]consent.Decision, error) {
	return slices.Repeat([]consent.Decision{{Outcome: consent.Permitted}}, len(classes)), nil
}

// supervised is the guard of who reads the register of users and rights: one controller's.
type supervised string

func (supervised) Reach() store.Reach { return store.Reach{} }

func (of supervised) Permit(_ context.Context, classes []consent.Class, _ map[string]*consent.Facts) ([]consent.Decision, error) {
	out := make([]consent.Decision, len(classes))
	for i := range classes {
		if classes[i].Controller == string(of) {
			out[i].Outcome = consent.Permitted
		}
	}
	return out, nil
}

// KeepRights makes durable who has which rights from now on, before they come into force, and answers how many changed: new
// versions of what is new or other than it was, and the end of what is there no more. Each batch of 500 is one
// transaction with its record; after an error the rights must not come into force. Publish tells who may call it.
func (d *Desk) KeepRights(ctx context.Context, operator consent.Actor, rights []Right) (int, error) {
	if operator.Kind != consent.Operator {
		return 0, Refuse(Forbidden, "forbidden", "", "Only the operator registers users and rights.")
	}
	for again := 0; ; again++ {
		n, err := d.keepRights(ctx, operator, rights)
		if errors.Is(err, store.ErrStale) && again < attempts { // another node keeps the same
			continue
		}
		if err != nil {
			return n, d.failed(err)
		}
		return n, nil
	}
}

func (d *Desk) keepRights(ctx context.Context, operator consent.Actor, rights []Right) (int, error) {
	rows, err := d.rightsRows(ctx, operator, rights)
	if err != nil {
		return 0, err
	}
	kept := 0
	for batch := range slices.Chunk(rows, publishBatch) {
		rec := d.record(d.complete(Caller{Actor: operator}), "publish", "")
		rec.Outcome, rec.Success = consent.Permitted.String(), true
		rec.Bases = []consent.Basis{basisOf(d.current(), "ATL-9-ICT")}
		var change store.Change
		for _, row := range batch {
			role := "updated"
			if row.Deleted {
				role = "deleted"
			}
			rec.Entities = append(rec.Entities, ledger.Entity{What: versioned(row), Role: role}, contentOf(&row))
			change.Put = append(change.Put, row)
			change.Expect = append(change.Expect, store.Expect{Type: row.Type, ID: row.ID, Version: row.Version - 1})
		}
		change.Records = []ledger.Record{rec}
		if err := d.store.Commit(ctx, change); err != nil {
			return kept, err
		}
		kept += len(batch)
	}
	return kept, nil
}

// rightsRows are the rows that keeping rights makes: what ended first, then what is new or changed.
func (d *Desk) rightsRows(ctx context.Context, operator consent.Actor, rights []Right) ([]store.Row, error) {
	snap, err := d.open(ctx)
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	before := map[string]store.Row{}
	for q := (store.VersionQuery{Types: []string{rightsType}, Current: true, Limit: maxRights}); ; {
		found, err := snap.Versions(ctx, q, upkeep{})
		if err != nil {
			return nil, unrecorded(err)
		}
		for _, row := range found.Matches {
			before[row.ID] = row.Row
		}
		if q.Cursor = found.Next; q.Cursor == "" {
			break
		}
	}
	at := d.clock()
	var changed []store.Row
	for i := range rights {
		doc := rights[i].doc()
		row := store.Row{
			Type: rightsType, ID: rights[i].id(), Version: 1, Recorded: at, Updated: at, Method: "PUT",
			Class: consent.Class{Type: rightsType, Register: consent.Directive, Controller: rights[i].Controller, Author: operator.App},
		}
		was, known := before[row.ID]
		if !known {
			// Rights that ended and begin anew go on from the deletion.
			if was, err = snap.Get(ctx, row.Type, row.ID); err != nil && !errors.Is(err, store.ErrNotFound) {
				return nil, unrecorded(err)
			}
			known = err == nil
		}
		delete(before, row.ID)
		if known {
			row.Version, row.Recorded = was.Version+1, was.Recorded
			if was.Class.Controller == row.Class.Controller && same(doc.Clone(), row, was) {
				continue
			}
		}
		setMeta(doc, row)
		row.Body, row.Index = doc.AppendJSON(nil), search.Extract(doc, d.bases...)
		changed = append(changed, row)
	}
	var ended []store.Row
	for _, row := range before {
		ended = append(ended, store.Row{
			Type: row.Type, ID: row.ID, Version: row.Version + 1, Recorded: row.Recorded, Updated: at, Method: "DELETE", Deleted: true, Class: row.Class,
		})
	}
	slices.SortFunc(ended, func(a, b store.Row) int { return strings.Compare(a.ID, b.ID) })
	return append(ended, changed...), nil
}

// RightsRequest is what the register of users and rights is asked for; empty members do not narrow.
type RightsRequest struct {
	From, To     time.Time // rights that were in force at some moment of this span, From inside and To outside; zero: now
	Client, User string    // API client, and its own id of a user
	Person       string    // Practitioner/…, PractitionerRole/…, Patient/… or RelatedPerson/…
	Count        int       // rights of a page; 0: 500
	Cursor       string    // where the page begins: the parameter next of the page before
}

// Rights answers who had which rights (703/2023 § 9.3) to who supervises the controller that answers for them, as
// Parameters: a parameter right for each, with since, the moment from which it was so, and next where there are more. To
// all others there are none. The reading is recorded with what it told.
func (d *Desk) Rights(ctx context.Context, c Caller, q RightsRequest) (*fhir.Value, error) {
	c = d.complete(c)
	c.Interaction = ""
	if err := allowed(c, auditEvent, Search); err != nil {
		return nil, err
	}
	if q.Count == 0 {
		q.Count = rightsCount
	}
	if q.Count < 1 || q.Count > maxRights {
		return nil, Refuse(Invalid, "value", "Parameters.parameter", "count is 1 to "+strconv.Itoa(maxRights)+".")
	}
	if q.From.After(d.clock().Add(time.Minute)) { // clocks differ
		return nil, Refuse(Invalid, "value", "Parameters.parameter", "date is in the future: who will have which rights is not in the register.")
	}
	l, err := d.look(ctx, c, ReadRights, auditEvent+"/$"+string(ReadRights))
	if err != nil {
		return nil, err
	}
	defer l.Close()
	l.rec.Query = q.text()
	out := fhir.NewObject(fhir.Member{Name: "resourceType", Value: fhir.NewString("Parameters")})
	if !l.audits() {
		if err := l.commit(ctx, l.rec); err != nil {
			return nil, err
		}
		return out, nil
	}
	list := fhir.NewArray()
	next, err := d.rightsAt(ctx, l, c.Actor.Controller, q, func(row store.Row, doc *fhir.Value) {
		parts := doc.Get("parameter")
		parts.Append(fhir.NewObject(
			fhir.Member{Name: "name", Value: fhir.NewString("since")}, fhir.Member{Name: "valueInstant", Value: fhir.NewString(row.Updated.UTC().Format("2006-01-02T15:04:05.000Z"))},
		))
		list.Append(fhir.NewObject(fhir.Member{Name: "name", Value: fhir.NewString("right")}, fhir.Member{Name: "part", Value: parts}))
		// Named as no reference: it is no row that the law was asked about.
		l.saw("right:" + row.ID + ":" + strconv.FormatInt(row.Version, 10))
	})
	if err != nil {
		return nil, err
	}
	if next != "" {
		list.Append(fhir.NewObject(fhir.Member{Name: "name", Value: fhir.NewString("next")}, fhir.Member{Name: "valueString", Value: fhir.NewString(next)}))
	}
	if len(list.Items()) > 0 {
		out.Set("parameter", list)
	}
	l.rec.Success = true
	if err := l.commit(ctx, l.rec); err != nil {
		return nil, err
	}
	return out, nil
}

// rightsAt yields the rights of a page and answers where the next begins.
func (d *Desk) rightsAt(ctx context.Context, snap store.Snapshot, controller string, q RightsRequest, yield func(store.Row, *fhir.Value)) (string, error) {
	query := store.VersionQuery{Types: []string{rightsType}, From: q.From, To: q.To, Cursor: q.Cursor}
	query.Current = q.From.IsZero() && q.To.IsZero()
	for looked, told := 0, 0; ; {
		query.Limit = q.Count - told
		found, err := snap.Versions(ctx, query, supervised(controller))
		if err != nil {
			return "", d.failed(err)
		}
		for _, match := range found.Matches {
			if match.Deleted {
				continue
			}
			doc, err := fhir.Parse(match.Body, fhir.DefaultLimits)
			if err != nil {
				return "", unrecorded(err)
			}
			if q.matches(doc) {
				yield(match.Row, doc)
				told++
			}
		}
		looked += len(found.Matches)
		if query.Cursor = found.Next; query.Cursor == "" || told == q.Count || looked >= rightsLook {
			return query.Cursor, nil
		}
	}
}

// matches says whether a right is one that is asked for.
func (q *RightsRequest) matches(doc *fhir.Value) bool {
	has := func(want string, names ...string) bool {
		return want == "" || slices.ContainsFunc(doc.Get("parameter").Items(), func(p *fhir.Value) bool {
			return slices.Contains(names, p.Text("name")) && (p.Text("valueString") == want || p.Text("valueUri") == want)
		})
	}
	return has(q.Client, "client") && has(q.User, "user") && has(q.Person, "person", "role")
}

// text is the request for the record.
func (q *RightsRequest) text() string {
	asked := url.Values{}
	for name, value := range map[string]string{
		"from": stamp(q.From), "to": stamp(q.To), "client": q.Client, "user": q.User, "person": q.Person,
	} {
		if value != "" {
			asked.Set(name, value)
		}
	}
	return asked.Encode()
}
