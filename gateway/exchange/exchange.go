// Package exchange is the one door. Whatever wire a request came by (REST, MLLP, a hook, an operation, a push), the
// Desk decides it on a legal basis, commits the change together with its record, and only then releases data.
//
//	decide ─▶ commit with the record (durable) ─▶ release, as if the denied did not exist
//
// rest, inbound, notify and process hold a *Desk and nothing behind it: no package outside this one, store and main
// names the store (TestOneDoor reads the imports).
//
// Where what lies:
//
//	exchange, desk, types            what the wires see; the door itself; the rule of each resource type
//	asker, look, guard, release      who asks the law; the form of every look; rows of a search; what leaves, and how
//	record, owed, origin             what the ledger is told, and what follows from it for the recipient
//	even, decoy                      a refusal takes as long whether there was anything or not
//	read, search, history, match,    the looks
//	everything, export, push
//	write…, subjects, label, facts,  a change: its rows, labels and facts, the directives and human acts in it
//	directives, givers, act, view
//	outbox, sequencer, publish,      what the gateway does of itself
//	retain, rights, law
//	evaluate, explain…, simulate…,   what the law would say or said, without data moving
//	repeat, past
//	audit, sift, report,             the ledger, as supervision and clients see it
//	disclosures
package exchange

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sotesilta/consent"
	"sotesilta/gateway/search"
	"sotesilta/internal/fhir"
)

// Interaction is a FHIR restful interaction or one of ours; scopes speak of the first group.
type Interaction string

// The interactions. They are recorded by these names.
const (
	Read    Interaction = "read"
	VRead   Interaction = "vread"
	History Interaction = "history-instance"
	Search  Interaction = "search-type"
	// SearchSystem is a search across types; scopes speak of the Search of each.
	SearchSystem Interaction = "search-system"
	// HistoryType and HistorySystem are the histories of a type and of the system.
	HistoryType   Interaction = "history-type"
	HistorySystem Interaction = "history-system"
	Everything    Interaction = "everything" // Patient/…/$everything, CarePlan/…/$everything
	Export        Interaction = "export"     // Patient/$export, Group/…/$export
	Create        Interaction = "create"
	Update        Interaction = "update"
	Delete        Interaction = "delete"
	Patch         Interaction = "patch"
	Match         Interaction = "match"   // Patient/$match
	Apply         Interaction = "apply"   // PlanDefinition/…/$apply
	Receive       Interaction = "receive" // a message that came in
	Notify        Interaction = "notify"  // a message that went out
)

// Caller is who asks, as gateway/auth established it.
type Caller struct {
	Actor     consent.Actor
	Purpose   consent.Purpose
	Assertion consent.Assertion
	TokenID   string // jti of the access token
	// Allows says whether the token's scopes allow the interaction on the type (SMART v2: c, r, u, d, s).
	// nil allows nothing.
	Allows func(typ string, i Interaction) bool
	// RequestID becomes the id of the exchange's first ledger record; X-Request-Id. The Desk makes one if empty.
	RequestID string
	// Interaction, when set, is recorded instead of the plain one: apply, receive.
	Interaction Interaction

	law consent.Decider // that the exchange is decided by, from its beginning to its end
}

// Resource is one version of a resource as it may leave.
type Resource struct {
	Type, ID string
	Version  int64
	Updated  time.Time
	Deleted  bool
	Method   string // POST, PUT or DELETE: how the version came to be
	Body     []byte // compact JSON; nil for a deletion
	// Disclosed: it left as a disclosure (luovutus) of another register or controller, so the exchange has a Provenance (see
	// Desk.origin).
	Disclosed bool
}

// Page is one page of a search.
type Page struct {
	Matches  []Resource
	Includes []Resource
	Cut      bool   // more is to be included than a page takes
	Total    int64  // -1 unless asked for
	Next     string // search.Query.Cursor of the next page; "" on the last
	// Since is how far back a search looked that named no beginning and could not be answered from all; zero: everything
	// was looked at that was asked for.
	Since time.Time
}

// Op is one change asked for.
type Op struct {
	Interaction Interaction // Create, Update, Patch or Delete
	Type, ID    string      // ID is empty for Create, and where there is a condition
	Doc         *fhir.Value // Create, Update; the Desk takes it over
	// Where, instead of ID, makes an Update, Patch or Delete conditional: it is about the one visible match. No match
	// is refused as an absent row is, and so are several (Ambiguous).
	Where *search.Query
	// Patch makes the new version of the current one, which it may change; it may be asked again when the change went
	// stale. An error that is an *Error refuses the change.
	Patch   func(current *fhir.Value) (*fhir.Value, error)
	IfMatch int64 // version the caller believes current; 0: not asked
	// IfNoneExist makes a Create conditional: with one visible match nothing is created and the match is answered.
	IfNoneExist *search.Query
	// Meet is asked what becomes of the match that a conditional Create found: its next version, made of the match, which
	// Meet may change, or nil for none. It may be asked again when the change went stale; an *Error refuses the change.
	Meet    func(match *fhir.Value) (*fhir.Value, error)
	FullURL string // of the entry, a URN or a URL of another server; references to it become references to the new id
}

// Written is what came of an Op.
type Written struct {
	Resource
	Created bool // a new resource; otherwise a new version, the current one where nothing changed, a deletion, or (Existing) nothing
	// Existing: a conditional create that found its match.
	Existing bool
}

// ErrorKind is why the Desk refuses; a wire turns it into its own words (rest: a status).
type ErrorKind uint8

// The refusals. A denial is always Absent or, for writes, what an absent row would give.
const (
	Invalid       ErrorKind = iota + 1 // malformed: 400
	Unprocessable                      // breaks a profile, the process or a transition: 422
	Absent                             // absent or denied, never told apart: 404
	Gone                               // deleted, told only to who could have read it: 410
	NotAllowed                         // update of what the caller cannot see, or of a read-only type: 405
	Forbidden                          // the scope does not allow the interaction, or a visible row is not the caller's to change: 403
	Stale                              // If-Match does not hold: 412
	Ambiguous                          // a condition matches several: 412
	Conflict                           // changed by others meanwhile, too often to go on: 409
	TooCostly                          // 400 too-costly
	Unrecorded                         // the record, the decision or the store is missing: 503, no data
	Busy                               // too much at once: 503 with Retry-After
)

// Error is a refusal. Its text may be shown to the caller: it never says more than an absent row would.
type Error struct {
	Kind   ErrorKind
	Issues []fhir.Issue // at least one
	Entry  int          // which Op of a transaction, from 0; -1 when not of one
	Err    error        // the cause, for the log only
}

func (e *Error) Error() string {
	if len(e.Issues) == 0 {
		return fmt.Sprintf("exchange: refused (%d)", e.Kind)
	}
	return e.Issues[0].Diagnostics
}

func (e *Error) Unwrap() error { return e.Err }

// Refuse makes an Error of one issue. Code is of the value set issue-type; expression may be "".
func Refuse(kind ErrorKind, code, expression, diagnostics string) *Error {
	return &Error{Kind: kind, Entry: -1, Issues: []fhir.Issue{{
		Severity: "error", Code: code, Expression: expression, Diagnostics: diagnostics,
	}}}
}

// IsRefusal says whether err is a refusal of this kind.
func IsRefusal(err error, kind ErrorKind) bool {
	var refusal *Error
	return errors.As(err, &refusal) && refusal.Kind == kind
}

// Person finds the registered user behind a directory reference such as Practitioner/1 or PractitionerRole/1.
// Decisions and the process read only registered users, never what a client wrote into the directory.
type Person func(ref string) (consent.Actor, bool)

// Rules is what the joint-client process demands of a change. The Desk asks it for every change, whichever wire it
// came by, before deciding; gateway/process implements it.
type Rules interface {
	// Govern looks at a draft and may refuse it with an *Error (Unprocessable), add consequences to it, and set the
	// Class.Process, Class.Joint and Class.Invitation of its items as well as their Relationships and Invitee.
	// It may be asked again for the same change when it went stale, with a fresh draft.
	Govern(ctx context.Context, v View, d *Draft) error
}

// View shows Rules the rows as they are in the draft's snapshot, seen by the caller or not. No constraint may be
// decided by a row the caller cannot see: ask Visible.
type View interface {
	// Get is the current row, or nil when it is absent or deleted.
	Get(ctx context.Context, typ, id string) (*Current, error)
	// Process is the current rows of a process, oldest first; process is CarePlan/….
	Process(ctx context.Context, process string) ([]*Current, error)
	// Facts is what is known of a client; never nil.
	Facts(ctx context.Context, client string) (*consent.Facts, error)
	// Visible says whether the caller may read the row.
	Visible(ctx context.Context, row *Current) (bool, error)
	// Own lists the caller's visible rows of a type about a client, at most 100.
	Own(ctx context.Context, typ, client string) ([]*Current, error)
	// Person finds a registered user.
	Person(ref string) (consent.Actor, bool)
}

// Current is a row as it stands.
type Current struct {
	Type, ID string
	Version  int64
	Class    consent.Class
	Recorded time.Time // date of recording, which permits may be limited by
	Updated  time.Time
	Doc      *fhir.Value // shared: Clone before changing
}

// Ref is Type/ID.
func (c *Current) Ref() string { return c.Type + "/" + c.ID }

// Draft is a change on its way through Rules.
type Draft struct {
	Caller Caller
	Time   time.Time
	Items  []*Item
	// Keys name what Rules decided on beyond the rows of the draft, such as a whole process, or that a client has no
	// running one: of two drafts with the same key at once, one is decided anew.
	Keys []string
}

// Item is one row of a draft.
type Item struct {
	Type, ID string
	Before   *Current    // nil when created
	Doc      *fhir.Value // the new version, without meta; nil when deleted. Rules may change it
	Class    consent.Class
	// Consequence marks a row that Rules added: it is committed and recorded with the change and rests on the
	// decision of what the caller asked for.
	Consequence bool
	// Relationships that rest on this row from now on (evidence Type/ID), per client; Rules set it for CareTeams and
	// invitations. nil leaves the Desk's own derivation (EpisodeOfCare, Encounter, Patient).
	Relationships map[string][]consent.Relationship
	// Invitee, when set, makes the Desk decide consent.Invite for it; the row found is put into the relationships'
	// Basis. Without a basis the change is Unprocessable.
	Invitee *consent.Invitee
	// Act, when set, makes the Desk decide and record the human's act that the item carries out.
	Act *Act

	given given // a Consent: who gave it, as its Provenance tells
}

// Ref is Type/ID.
func (i *Item) Ref() string { return i.Type + "/" + i.ID }

// Add appends a consequence and returns it.
func (d *Draft) Add(before *Current, typ, id string, doc *fhir.Value, class consent.Class) *Item {
	item := &Item{Type: typ, ID: id, Before: before, Doc: doc, Class: class, Consequence: true}
	d.Items = append(d.Items, item)
	return item
}

// Find is the item of Type/ID, or nil.
func (d *Draft) Find(typ, id string) *Item {
	for _, item := range d.Items {
		if item.Type == typ && item.ID == id {
			return item
		}
	}
	return nil
}

// Event tells that a resource changed; see Desk.Events.
type Event struct {
	Seq         int64
	Type, ID    string
	Version     int64
	Interaction Interaction
	Time        time.Time
}

// Identification is what Patient/$match is given.
type Identification struct {
	IdentityCode string // henkilötunnus
	Family       string
	Given        string
	BirthDate    string // YYYY-MM-DD; may be empty
}
