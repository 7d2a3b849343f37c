// Package store is the contract of the gateway's store, kept by store/sqlite and store/postgres, which own all SQL.
// One suite of tests (package storetest) proves the contract on each.
//
// A transaction is data, a Change, not a closure: the store may commit the changes of many requests, and the records
// of many reads, in one durable write. Reads come from a Snapshot: the rows, the includes, the totals and the facts
// of one answer are of one moment.
//
// Only gateway/exchange and main import this package (a test reads the imports): there is no second door.
package store

import (
	"context"
	"errors"
	"iter"
	"time"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/search"
)

// What a store may answer beside its engine's own errors.
var (
	// ErrStale: an expectation does not hold any more; nothing was committed. Decide again on a new snapshot.
	ErrStale = errors.New("store: stale")
	// ErrUnrecorded: the change carries no record, or its record could not be made durable; nothing was committed.
	ErrUnrecorded = errors.New("store: unrecorded")
	// ErrUsed: a Once key was used before; nothing was committed.
	ErrUsed = errors.New("store: used before")
	// ErrNotFound: no such row, version or entry.
	ErrNotFound = errors.New("store: not found")
	// ErrTooCostly: the guard's reach holds more than MaxClasses classes.
	ErrTooCostly = errors.New("store: too costly")
	// ErrTexts: the other conditions of a search leave more than MaxTexts permitted rows, or TextBytes of them, to look for
	// words in.
	ErrTexts = errors.New("store: too many texts to read")
	// ErrBusy: the write queue is full; nothing was committed.
	ErrBusy = errors.New("store: busy")
	// ErrCursor: a cursor that is not one of Result.Next or EntryPage.Next of the same query.
	ErrCursor = errors.New("store: not a cursor of this query")
)

// MaxClasses bounds the classes one search may have decided.
const MaxClasses = 10000

// What searches for words in one snapshot read at most: so many permitted rows that their other conditions hold for, and so
// many bytes of them. A snapshot lives two seconds; 5,000 rows of 3 KB were measured to take 0.3 to 0.6 on two busy cores, on both stores.
const (
	MaxTexts  = 5000
	TextBytes = 16 << 20
)

// PageBytes bounds the bodies of a page: one that has as many ends there, however many rows were asked for, and has at
// least one row. What is included with a page may be as much again.
const PageBytes = 8 << 20

// EntryBytes bounds the contents of a page of ledger entries: one that has as many ends there, with a cursor, however many
// were asked for, and has at least one entry. Views of them may be many times larger.
const EntryBytes = 1 << 20

// Store keeps resources, their history and indexes, the facts of clients, events and the ledger.
// It is safe for concurrent use.
type Store interface {
	// Snapshot opens a read of one moment. It must be closed, and should be within two seconds (law 4).
	Snapshot(ctx context.Context) (Snapshot, error)
	// Commit makes a change durable, whole or not at all; nil means durable.
	// It answers ErrStale, ErrUsed, ErrUnrecorded or ErrBusy, or the engine's error. After an engine's error it may be
	// that the change was made though nobody could be told (the connection was lost): release nothing.
	// A Change of nothing but Once keys needs no record; every other needs at least one.
	Commit(ctx context.Context, c Change) error
	// Ledger reads the ledger for proving and verifying.
	Ledger() ledger.Source
	// Sequence gives pending entries their places in the tree, as holder of the one sequencer's lease.
	// In one transaction it takes up to limit pending entries (each node's in the order of its counts), passes them
	// with the size of the tree before them to seal, and stores the checkpoint that seal signs. It answers how many
	// it placed: 0 when there are none (then a seal is not asked) or another holder's lease runs.
	Sequence(ctx context.Context, holder string, limit int, seal Seal) (int, error)
	// TakeLease takes a lease for its holder, or renews it, from now on by the store's clock, which all nodes share; false:
	// another holder's runs. A Life of 0 gives it back.
	TakeLease(ctx context.Context, l Lease) (bool, error)
	// Advance moves the position of the consumer that a lease is named after, and renews the lease, in one transaction.
	// It answers ErrStale, and does neither, when another's lease runs or the position is not where the holder left it:
	// whoever slept through the end of a lease moves nothing that the next holder has moved.
	Advance(ctx context.Context, l Lease, from, to int64) error
	// Reindex makes the index of every current row anew with extract, once for each edition of the indexing, and answers
	// how many rows changed. It is asked before serving, and goes on where one that was stopped had come to. Other nodes
	// may serve meanwhile if they index by the same edition.
	Reindex(ctx context.Context, edition string, extract func(body []byte) search.Index) (int, error)
	// Ping says whether the store can serve now.
	Ping(ctx context.Context) error
	Close() error
}

// Seal makes the checkpoint of the tree after entries were appended at size. It may be asked again for the same
// entries when the transaction failed, and reads earlier entries through src when it does not hold the tree's state.
type Seal func(ctx context.Context, src ledger.Source, size int64, entries []ledger.Entry) (checkpoint []byte, err error)

// Row is one version of a resource.
type Row struct {
	Type, ID string
	Version  int64 // 1, 2, …
	Class    consent.Class
	Recorded time.Time    // date of recording, which permits may be limited by
	Updated  time.Time    // UTC, milliseconds: meta.lastUpdated
	Deleted  bool         // this version is a deletion; Body is nil
	Method   string       // POST, PUT or DELETE, for history
	Body     []byte       // compact JSON with id and meta set; kept as text, byte for byte
	Index    search.Index // put with the row; not read back
}

// Expect is what must still be so when a change commits, or it is stale. Exactly one of three forms.
type Expect struct {
	Type, ID string // a row ...
	Client   string // ... or a client's facts ...
	Key      string // ... or a key, such as the hash of a conditional create's condition
	Version  int64  // the version there now; 0: none
}

// Once is a key that may be used a single time until it expires, such as a client assertion's jti.
type Once struct {
	Key   string
	Until time.Time // when it may be forgotten
}

// Event tells those who listen that a row changed; written with the change, delivered after it.
type Event struct {
	Seq         int64 // given by the store, rising in commit order per store
	Type, ID    string
	Version     int64
	Interaction string // create, update or delete
	Time        time.Time
	Record      string // id of the ledger record of the change
}

// Lease is what one holder at a time has, for a time. A holder that ended without giving it back has it until then.
type Lease struct {
	Name   string        // such as that of a consumer of events
	Holder string        // unlike any other's
	Life   time.Duration // whole milliseconds
}

// Span is a range of a node's counts of ledger entries, both ends inside.
type Span struct {
	Node        string // Entry.Node
	First, Last int64
}

// Change is one transaction.
type Change struct {
	Expect  []Expect
	Once    []Once
	Put     []Row            // new versions; the row's Version is the one expected plus 1
	Facts   []*consent.Facts // new facts; Version is the one expected plus 1. Appended, older versions stay
	Keys    []string         // keys whose version goes up by one
	Records []ledger.Record
	Events  []Event
	Erase   []Span // ledger entries that lose content, salt and columns; a record of the same change names them
}

// Guard is asked by a store before anything is matched, counted, limited, chained or included.
type Guard interface {
	// Reach bounds the classes that are looked at.
	Reach() Reach
	// Permit decides each class; facts holds those of every client of the classes that has any, by Patient id.
	// The decisions come in the order of the classes.
	Permit(ctx context.Context, classes []consent.Class, facts map[string]*consent.Facts) ([]consent.Decision, error)
}

// Reach names the clients whose classes a search may touch, as a union. Classes without clients (directory data,
// definitions, data about nobody) are always within reach, and Permit decides them as well.
type Reach struct {
	All     bool     // every client: for upkeep within the gateway only
	Units   []string // clients with a relationship, running or ended, of one of these units (Organization/…)
	Persons []string // clients with a relationship of one of these persons (Practitioner/…, PractitionerRole/…)
	Clients []string // these clients
	Author  string   // classes written by this API client
	// Only, when not nil, narrows all the above to these clients: the query binds them.
	Only []string
}

// Grant is a class that Permit permitted, with what is left out of it.
type Grant struct {
	Class    consent.Class
	Decision consent.Decision
}

// Found is a row in a Result with the decision it leaves on.
type Found struct {
	Row
	Decision *consent.Decision // shared by rows of one class
}

// Result is one page.
type Result struct {
	Matches  []Found
	Includes []Found
	Cut      bool   // there are more permitted rows to include than a page takes
	Total    int64  // of permitted matches; -1 unless asked for
	Next     string // cursor of the next page; "" on the last. Stable under writes: it carries the last row's sort key
}

// Snapshot is a read of one moment. It is not safe for concurrent use.
type Snapshot interface {
	// Time is when the snapshot opened. Its moment is that of the first read, never before Time.
	Time() time.Time
	// Get is the current version of a row, deletions too; ErrNotFound.
	Get(ctx context.Context, typ, id string) (Row, error)
	// Version is one version of a row; ErrNotFound.
	Version(ctx context.Context, typ, id string, version int64) (Row, error)
	// History is the versions of a row below version before (0: from the newest), newest first, at most limit, and fewer
	// where their bodies are PageBytes; none at the end.
	History(ctx context.Context, typ, id string, before int64, limit int) ([]Row, error)
	// Process is the current rows whose class names the process (CarePlan/…), oldest first.
	Process(ctx context.Context, process string) ([]Row, error)
	// Facts is what is known of clients, by Patient id; clients nothing is known of are missing. They are shared
	// between snapshots and must not be changed.
	Facts(ctx context.Context, clients ...string) (map[string]*consent.Facts, error)
	// FactsAt is the facts of a client at one version; ErrNotFound.
	FactsAt(ctx context.Context, client string, version int64) (*consent.Facts, error)
	// Key is the version of a key; 0 when it was never used.
	Key(ctx context.Context, key string) (int64, error)
	// Search finds a page of rows. The guard is asked once, in this snapshot, and its permitted classes are joined into
	// everything: matches, total, sort, chains, _has and includes. ErrTooCostly, ErrTexts.
	Search(ctx context.Context, q *search.Query, g Guard) (Result, error)
	// Versions finds versions of resources of many types, under the guard as Search does: what it denies is not there, and
	// no version of a resource whose class now it denies: a label that was mended closes the versions before it. The
	// Total is -1, and there are no Includes. ErrTooCostly.
	Versions(ctx context.Context, q VersionQuery, g Guard) (Result, error)
	// Identified is the current rows of a type and register that have an identifier, at most limit, oldest first. It is
	// asked of no guard: what it finds is decided before it leaves. Its cost does not grow with the number of rows.
	Identified(ctx context.Context, register consent.Register, typ, system, code string, limit int) ([]Row, error)
	// Entry is a ledger entry by record id; ErrNotFound.
	Entry(ctx context.Context, id string) (ledger.Entry, error)
	// Entries finds ledger entries: at most Limit, and fewer where their contents are EntryBytes.
	Entries(ctx context.Context, q EntryQuery) (EntryPage, error)
	// Events gives events after seq, in order.
	Events(ctx context.Context, after int64) iter.Seq2[Event, error]
	// Position is how far a consumer has come; 0 at first.
	Position(ctx context.Context, consumer string) (int64, error)
	Close() error
}

// VersionQuery asks for versions of resources, whatever their type. Empty fields do not narrow.
type VersionQuery struct {
	Types   []string // of these types
	Clients []string // whose class names one of these clients
	// Personal: whose class names any client. What is about nobody is left out; so it is with Clients.
	Personal bool
	Current  bool // rows as they are now, deletions left out, the oldest row first; otherwise all versions, the newest first
	Since    time.Time
	// From and To: versions that were the newest (among those that the guard permits) at some moment of this span, From
	// inside and To outside. Not with Current.
	From, To time.Time
	// CareFrom and CareTo: rows of which any date of care (search.CareDates) lies in this span, in part at least, CareFrom
	// inside and CareTo outside; a zero bound is none. What tells no date of care is kept. With Current only.
	CareFrom, CareTo time.Time
	// Process and Rows: only what belongs to the process (CarePlan/…) or is named (Type/id). The guard decides on these rows'
	// classes, whatever its reach. With Current only.
	Process string
	Rows    []string
	Cursor  string // where the page begins: Result.Next of the page before
	Limit   int
}

// EntryQuery finds ledger entries whose content is not erased. Empty fields do not narrow.
type EntryQuery struct {
	Controllers []string // data of, or exchanged by actors of, one of these controllers
	ID          []string
	Place       []int64 // in the tree
	Exchange    string
	Client      []string
	App         []string
	User        []string
	Person      []string // Practitioner/… and the like
	Outcome     []string // permit, deny, needs-human
	Basis       []string // row ids
	Interaction []string
	Target      []string // Type/id
	// TargetOf are the clients whose data the Target are and ever were, where that is known: with them Target is found by
	// index. It does not narrow: records of others that name a Target in vain are found too.
	TargetOf []string
	// TargetLed lets Target lead, with TargetOf, and not narrow: whoever asks looks through what is found for records that
	// name a Target elsewhere.
	TargetLed bool
	From, To  time.Time
	Ascending bool
	After     string // cursor
	Limit     int
	Total     bool
}

// EntryPage is one page of ledger entries.
type EntryPage struct {
	Entries []ledger.Entry
	Total   int64 // -1 unless asked for
	Next    string
}
