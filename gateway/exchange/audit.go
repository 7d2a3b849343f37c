package exchange

import (
	"context"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/search"
	"sotesilta/gateway/store"
	"sotesilta/internal/terms"
)

// auditEvent is the type that is no row: its resources are views of ledger entries (design § 7).
const auditEvent = "AuditEvent"

// AuditParams are the search parameters that AuditEvents answer to: the columns of the ledger.
var AuditParams = []string{"_id", "_lastUpdated", "date", "patient", "agent", "altid", "entity", "outcome", "policy", "subtype", "ledger", "retention"}

// AuditModifiers are the modifiers that AuditParams take.
var AuditModifiers = map[string][]string{"agent": {"identifier"}}

// AuditSearch tells what AuditParams find, where that is less than FHIR's own words promise.
const AuditSearch = "Views of the ledger, for who supervises the controller; reading them is itself recorded. patient is the client whose data it is about. " +
	"agent is the person who used or received data (Practitioner, Patient or RelatedPerson), with :identifier the API client; altid is that client's own id of its user. " +
	"entity is what was asked for or moved; a Consent also as the directive that weighed, so it finds what a ban stopped (with outcome=4) and a permit opened; Type/id/_history/n finds who wrote and got that version. policy is a row of the legal bases that permitted, " +
	"by its code or as the CodeSystem with the code as fragment. Of entity and policy at most 20 values are taken. outcome goes by the decision: 0 permitted, also where it was then not done, 4 denied or left to a human. " +
	"An index leads to _id, ledger, patient, policy alone and to an entity about a client, over all years; other searches look a month back unless date says otherwise. " +
	"subtype disclose finds disclosures that happened, without _total. ledger is the record's number in the ledger, a whole number without a prefix; one that waits for its place has none yet. retention is the class that tells how long the record is kept, without _total. date and _lastUpdated are the time of the event."

// auditAgents are the types of those who act: only they are kept for searching.
var auditAgents = []string{"Practitioner", "Patient", "RelatedPerson"}

// auditClass is the label of ledger data for deciding who reads it.
func auditClass(controller string) consent.Class {
	return consent.Class{Type: auditEvent, Controller: controller, Register: consent.Directive}
}

// readAudit answers a ledger entry as AuditEvent to who supervises the controller (703/2023 § 10; 906/2019 § 17).
// Reading the ledger is itself recorded.
//
// version is the version asked for, 0 for the current one; a history's before. There is one version, 1.
func (d *Desk) readAudit(ctx context.Context, c Caller, id string, i Interaction, version int64) (*Resource, error) {
	l, err := d.look(ctx, c, i, auditEvent+"/"+id)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	if !l.audits() {
		return nil, l.conceal(ctx, l.rec, absent(auditEvent, id))
	}
	page, err := l.Entries(ctx, store.EntryQuery{Controllers: []string{c.Actor.Controller}, ID: []string{id}, Limit: 1})
	if err != nil {
		return nil, unrecorded(err)
	}
	if len(page.Entries) == 0 || version < 0 || i == History && version == 1 {
		l.rec.Reason = "absent: there is no such record, or it is another controller's"
		return nil, l.conceal(ctx, l.rec, absent(auditEvent, id))
	}
	rec, err := ledger.ParseRecord(page.Entries[0].Canonical)
	if err != nil {
		return nil, unrecorded(err)
	}
	l.rec.Success = true
	l.saw(auditEvent + "/" + id)
	if err := l.commit(ctx, l.rec); err != nil {
		return nil, err
	}
	event := viewed(told{Entry: page.Entries[0], rec: rec})
	return &event, nil
}

// searchAudit answers ledger entries as AuditEvents.
func (d *Desk) searchAudit(ctx context.Context, c Caller, q *search.Query) (*Page, error) {
	entries, by, err := entryQuery(q)
	if err != nil {
		return nil, err
	}
	l, err := d.look(ctx, c, Search, auditEvent)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	audits := l.audits()
	if audits {
		if entries.TargetOf, err = l.clientsOf(ctx, entries.Target); err != nil {
			return nil, err
		}
		by.weighing(&entries)
	}
	since, err := window(&entries, d.clock())
	if err != nil {
		return nil, d.failed(err)
	}
	l.rec.Query = q.Asked()
	page := &Page{Total: -1, Since: since}
	if q.Total || q.Summary {
		page.Total = 0
	}
	if !audits {
		if err := l.commit(ctx, l.rec); err != nil {
			return nil, err
		}
		return page, nil
	}
	entries.Controllers = []string{c.Actor.Controller}
	// A page that looked through much may hold few.
	found, err := l.sift(ctx, entries, noticeLook, func(t *told) (bool, error) {
		if !by.keeps(t.rec) {
			return false, nil
		}
		event := viewed(*t)
		page.Matches, t.size = append(page.Matches, event), len(event.Body)
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	page.Total, page.Next = found.total, found.next
	if page.Next != "" && !since.IsZero() {
		page.Next = strconv.FormatInt(since.UnixMilli(), 10) + "." + page.Next
	}
	for i := range page.Matches {
		l.saw(auditEvent + "/" + page.Matches[i].ID)
	}
	l.rec.Success = true
	if err := l.commit(ctx, l.rec); err != nil {
		return nil, err
	}
	return page, nil
}

// maxListed bounds the values of an entity or policy: each is looked for in the list that every record on the way has, so
// that hundreds of them kept a reader of the store until the request's deadline.
const maxListed = 20

func tooManyListed(name string) error {
	return Refuse(Invalid, "too-costly", "", "A search of AuditEvents has at most "+strconv.Itoa(maxListed)+" values of "+name+": ask for the rest in further searches.")
}

// maxPlace is the highest number that a search names exactly.
const maxPlace = 1 << 53

// How far back a search of the ledger looks that no index leads to its lines, so that it walks along their times.
const (
	auditLook     = 31 * 24 * time.Hour  // when it names no date
	maxAuditLook  = 366 * 24 * time.Hour // at most
	auditLookSaid = "AuditEvents are searched over at most 366 days at a time, unless by _id, ledger, patient, policy alone or an entity about a client: narrow date, and search the rest in further steps."
)

// window bounds a query that names neither records nor clients: everything else is found by walking along the records'
// times, which in a ledger of years would not end. A query without a beginning gets one, a month before its end, and the
// answer tells it; since is that beginning, zero where the query has its own or needs none. Lines in the order of time
// that are narrowed by nothing need none: the walk ends with the page.
func window(q *store.EntryQuery, now time.Time) (since time.Time, _ error) {
	if len(q.ID) > 0 || len(q.Place) > 0 || len(q.Client) > 0 || len(q.TargetOf) > 0 || restsOn(q) {
		return since, nil
	}
	narrowed := len(q.App)+len(q.User)+len(q.Person)+len(q.Outcome)+len(q.Basis)+len(q.Interaction)+len(q.Target) > 0
	if !narrowed && !q.Total {
		return since, nil
	}
	end := now
	if !q.To.IsZero() && q.To.Before(end) {
		end = q.To
	}
	if q.From.IsZero() {
		since = end.Add(-auditLook).Truncate(time.Second)
		// A further page looks as far back as the first.
		if first, after, paged := strings.Cut(q.After, "."); paged {
			ms, err := strconv.ParseInt(first, 10, 64)
			if err != nil {
				return since, store.ErrCursor
			}
			since, q.After = time.UnixMilli(ms).UTC(), after
		}
		q.From = since
	}
	if end.Sub(q.From) > maxAuditLook {
		return since, Refuse(Invalid, "too-costly", "", auditLookSaid)
	}
	return since, nil
}

// restsOn says whether a query asks what rested on rows of the law, and nothing that could keep the walk along their index
// from ending with the page: only what was permitted has a basis.
func restsOn(q *store.EntryQuery) bool {
	return len(q.Basis) > 0 && !q.Total && len(q.App)+len(q.User)+len(q.Person)+len(q.Interaction)+len(q.Target) == 0 &&
		(len(q.Outcome) == 0 || slices.Contains(q.Outcome, consent.Permitted.String()))
}

// Bounds of looking for the clients whose data targets are.
const (
	maxTargetVersions = 100 // of one target
	maxTargetClients  = 20  // of all
)

// clientsOf are the clients that the rows are and ever were about, if every version of each is the controller's and about
// somebody: then their records, with those that are of nobody's, are all that name the rows. None where an index does not
// lead: of what is not here or another controller's, which shall not be told apart, of what is about nobody, and of the
// Task of a human's act, which the records of other clients may name.
func (l *look) clientsOf(ctx context.Context, targets []string) ([]string, error) {
	var clients []string
	for _, target := range targets {
		typ, id, _ := strings.Cut(target, "/")
		if typ == "Patient" {
			clients = append(clients, id)
			continue
		}
		for before, seen := int64(0), 0; ; {
			rows, err := l.History(ctx, typ, id, before, maxTargetVersions)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return nil, unrecorded(err)
			}
			if seen += len(rows); seen == 0 || seen > maxTargetVersions {
				return nil, nil
			}
			if len(rows) == 0 {
				break
			}
			for i := range rows {
				class := &rows[i].Class
				if class.Controller != l.caller.Actor.Controller || len(class.Clients) == 0 || strings.HasPrefix(class.Process, "Task/") {
					return nil, nil
				}
				clients = append(clients, class.Clients...)
			}
			if before = rows[len(rows)-1].Version; before <= 1 {
				break
			}
		}
	}
	slices.Sort(clients)
	if clients = slices.Compact(clients); len(clients) > maxTargetClients {
		return nil, nil
	}
	return clients, nil
}

// viewed is an entry in the view of FHIR.
func viewed(one told) Resource {
	return Resource{
		Type: auditEvent, ID: one.rec.ID, Version: 1, Updated: one.rec.Time, Method: "POST", Body: one.rec.AuditEvent(one.Seq),
	}
}

// sieve narrows records by what no column tells: they are looked through for it.
type sieve struct {
	disclosed  bool     // disclosures that happened
	classes    []string // of retention; nil: any
	entities   []string // Type/id, or of one version Type/id/_history/n: what was asked for or moved, or weighed
	byEntities bool     // they are looked for in the records: a Consent, or a version, is among them
}

func (by *sieve) keeps(rec *ledger.Record) bool {
	return (!by.disclosed || rec.Disclosed()) && (by.classes == nil || slices.Contains(by.classes, rec.Retention())) && by.names(rec)
}

func (by *sieve) names(rec *ledger.Record) bool {
	if !by.byEntities {
		return true
	}
	named := func(ref string) bool {
		whole, _, _ := strings.Cut(ref, "/_history/")
		return slices.Contains(by.entities, ref) || slices.Contains(by.entities, whole)
	}
	return named(rec.Target) || slices.ContainsFunc(rec.Directives, named) ||
		slices.ContainsFunc(rec.Entities, func(e ledger.Entity) bool { return named(e.What) })
}

// weighing widens a search for directives to the records that they weighed in, which lie among their clients' (what did this
// ban stop?): no column tells those, so the records are looked through.
func (by *sieve) weighing(q *store.EntryQuery) {
	if len(q.TargetOf) > 0 && slices.ContainsFunc(q.Target, isConsent) {
		by.byEntities, q.TargetLed = true, true
	}
}

func isConsent(ref string) bool { return strings.HasPrefix(ref, "Consent/") }

// retentionClasses are the classes that a search names.
func retentionClasses(clause search.Clause, unsupported func(string) error) (classes []string, _ error) {
	for _, value := range clause.Values {
		known := slices.ContainsFunc(ledger.Retentions, func(r ledger.Retention) bool { return r.Class == value.Code })
		if !known || value.SystemSet && value.System != terms.RetentionClass {
			return nil, unsupported("a retention that is no code of " + terms.RetentionClass)
		}
		classes = append(classes, value.Code)
	}
	return classes, nil
}

// entryQuery turns a search for AuditEvents into a query of the ledger's columns; by narrows it further.
func entryQuery(q *search.Query) (out store.EntryQuery, by sieve, _ error) {
	out = store.EntryQuery{Limit: q.Count, After: q.Cursor, Total: q.Total || q.Summary}
	unsupported := func(what string) error {
		return Refuse(Invalid, "not-supported", "", "AuditEvent does not support "+what+"; it supports "+strings.Join(AuditParams, ", ")+".")
	}
	if len(q.Includes) > 0 {
		return out, by, unsupported("_include and _revinclude")
	}
	for _, key := range q.Sort {
		if key.Name != "date" && key.Name != "_lastUpdated" {
			return out, by, unsupported("_sort by " + key.Name)
		}
		out.Ascending = !key.Desc
	}
	var err error
	seen := map[string]bool{}
	for _, clause := range q.Where {
		if clause.Param == nil || clause.Chain != nil || clause.Has != nil || clause.Any != nil {
			return out, by, unsupported("chaining")
		}
		if clause.Modifier != "" && (clause.Modifier != "identifier" || clause.Param.Name != "agent") {
			return out, by, unsupported("the modifier :" + clause.Modifier)
		}
		// Several conditions on one column would have to hold together, and the ledger's columns hold one value of most.
		name := clause.Param.Name
		if clause.Modifier != "" {
			name += ":" + clause.Modifier
		}
		if seen[name] && name != "date" && name != "_lastUpdated" {
			return out, by, unsupported("the repetition of " + name)
		}
		seen[name] = true
		if clause.Param.Name == "retention" {
			if by.classes, err = retentionClasses(clause, unsupported); err != nil {
				return out, by, err
			}
			continue
		}
		if err := entryClause(&out, clause, unsupported); err != nil {
			return out, by, err
		}
		switch {
		case clause.Param.Name == "subtype" && len(out.Interaction) == 0:
			by.disclosed = true
		case clause.Param.Name == "entity":
			for i, value := range clause.Values {
				entity := out.Target[i]
				if value.RefVersion != "" {
					entity += "/_history/" + value.RefVersion
					by.byEntities = true
				}
				by.entities = append(by.entities, entity)
			}
		}
	}
	if out.Total && (by.disclosed || by.classes != nil || by.byEntities || slices.ContainsFunc(out.Target, isConsent)) {
		return out, by, unsupported("_total and _summary=count of the subtype disclose, of retention and of an entity that is a Consent or a version")
	}
	if by.disclosed && len(out.Outcome) == 0 {
		out.Outcome = []string{consent.Permitted.String()}
	}
	return out, by, nil
}

func entryClause(out *store.EntryQuery, clause search.Clause, unsupported func(string) error) error {
	if name := clause.Param.Name; name == "date" || name == "_lastUpdated" {
		if len(clause.Values) > 1 {
			return unsupported("several dates of which any may hold")
		}
		for _, value := range clause.Values {
			if !dateBounds(out, value) {
				return unsupported("the prefix " + value.Prefix + " on " + name)
			}
		}
		return nil
	}
	for _, value := range clause.Values {
		switch clause.Param.Name {
		case "_id":
			if value.SystemSet {
				return unsupported("a system on _id")
			}
			out.ID = append(out.ID, value.Code)
		case "patient":
			if value.RefID == "" || value.RefType != "" && value.RefType != "Patient" {
				return unsupported("a patient that is not Patient/id of this gateway")
			}
			out.Client = append(out.Client, value.RefID)
		case "altid": // the API client's own id of its user
			if value.SystemSet && value.System != "" {
				return unsupported("a system on altid")
			}
			out.User = append(out.User, value.Code)
		case "agent":
			if clause.Modifier == "identifier" { // an API client
				if value.SystemSet && value.System != ledger.APIClient {
					return unsupported("an agent:identifier of another system than " + ledger.APIClient)
				}
				out.App = append(out.App, value.Code)
				continue
			}
			if value.RefType == "" || value.RefID == "" {
				return unsupported("an agent that is not Type/id of this gateway")
			}
			if !slices.Contains(auditAgents, value.RefType) {
				// Units and controllers stand in the records, but nothing finds them: an empty answer would be untrue.
				return unsupported("an agent that is not one of " + strings.Join(auditAgents, ", "))
			}
			out.Person = append(out.Person, value.RefType+"/"+value.RefID)
		case "entity":
			if value.RefType == "" || value.RefID == "" {
				return unsupported("an entity that is not Type/id of this gateway")
			}
			if len(out.Target) == maxListed {
				return tooManyListed(clause.Param.Name)
			}
			out.Target = append(out.Target, value.RefType+"/"+value.RefID)
		case "outcome":
			// The AuditEvent's own codes: 0 permitted; 4 denied or left to a human; no record has another.
			switch value.Code {
			case "0":
				out.Outcome = append(out.Outcome, "permit")
			case "4":
				out.Outcome = append(out.Outcome, "deny", "needs-human")
			case "8", "12":
				out.Outcome = append(out.Outcome, "none")
			default:
				return unsupported("an outcome that is none of 0, 4, 8, 12")
			}
		case "ledger": // a place is a whole number; the span of its digits is FHIR's, for measures
			place := (value.Low + value.High) / 2
			if value.Prefix != "" && value.Prefix != "eq" || place < 0 || place > maxPlace || place != math.Trunc(place) {
				return unsupported("a ledger number that is not whole, or has a prefix")
			}
			out.Place = append(out.Place, int64(place))
		case "policy":
			if len(out.Basis) == maxListed {
				return tooManyListed(clause.Param.Name)
			}
			out.Basis = append(out.Basis, strings.TrimPrefix(value.Text, terms.LegalBasis+"#"))
		case "subtype":
			if value.SystemSet && value.System == "" {
				out.Interaction = append(out.Interaction, "none") // every subtype is of a system
				continue
			}
			interactions, disclosed := ledger.Subtyped(value.System, value.Code)
			switch {
			case disclosed && len(clause.Values) > 1:
				return unsupported("the subtype disclose beside others")
			case disclosed:
			case len(interactions) == 0:
				out.Interaction = append(out.Interaction, "none") // no AuditEvent shows it
			default:
				out.Interaction = append(out.Interaction, interactions...)
			}
		default:
			return unsupported(clause.Param.Name)
		}
	}
	return nil
}

// dateBounds narrows a query to a date value; it knows eq, ge, gt, le, lt and their kin by bounds.
func dateBounds(out *store.EntryQuery, value search.Value) bool {
	from, to := value.From, value.To
	switch value.Prefix {
	case "", "eq":
	case "ge":
		to = time.Time{}
	case "gt", "sa":
		from, to = value.To, time.Time{}
	case "le":
		from = time.Time{}
	case "lt", "eb":
		from, to = time.Time{}, value.From
	default:
		return false
	}
	if from.After(out.From) {
		out.From = from
	}
	if !to.IsZero() && (out.To.IsZero() || to.Before(out.To)) {
		out.To = to
	}
	return true
}
