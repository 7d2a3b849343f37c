// Package sqlstore is what store/sqlite and store/postgres share: the schema, the planner from a search.Query to SQL,
// the settling of many changes in one transaction, and the reads of a snapshot. An Engine supplies what differs.
//
// # Tables
//
// A resource is a narrow row of what is current (type, id, version, class) that points to its newest version; the
// versions hold the bodies as text, byte for byte, and are only ever appended. Classes are interned, so a guard's
// answer is a short list of numbers that is joined into every query. The values of search.Index lie in one table per
// kind (ix_token, ix_reference, ix_date, ix_string, ix_number, ix_position), clustered by resource and found by value; a deleted
// resource has none. Facts are appended; client holds the newest version, and relation who has, or had, a
// relationship with whom. Tables of the ledger begin with ledger_, and nothing else does.
//
// # Writing
//
// One goroutine settles up to maxBatch waiting changes in one durable transaction (group commit): it looks up what they
// expect, decides in memory which of them hold, one after the other, and writes those together. A lone change waits
// for nobody.
package sqlstore

import (
	"context"
	"iter"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
)

// Engine is a database.
type Engine interface {
	Dialect
	// Read opens a reader whose queries all see one moment: that of the first query.
	Read(ctx context.Context) (Reader, error)
	// Write runs f in a transaction and makes it durable, or rolls it back when f errs. Calls come one at a time.
	// An error that wraps ErrAgain means that the same transaction may pass when it is run anew.
	Write(ctx context.Context, f func(Tx) error) error
	// Upkeep is called between batches, from the goroutine that writes.
	Upkeep()
	// Ping says whether the database answers.
	Ping(ctx context.Context) error
	Close() error
}

// Dialect is how an engine spells what the planner needs beyond common SQL. Placeholders are $1, $2, … on all engines.
type Dialect interface {
	// Ints and Texts spell a query of one column named v with the values of a list. Arguments that they need are added by
	// arg, which answers the placeholder. A list of another length may be spelled otherwise, but not many ways.
	Ints(arg func(any) string, list []int64) string
	Texts(arg func(any) string, list []string) string
	// Spans spells a query of the columns c, f and t.
	Spans(arg func(any) string, list [][3]int64) string
	// Now spells the time in milliseconds, as all who write to the database see it.
	Now() string
	// Look spells a table with an alias that is looked up on a condition, and what of the condition is left for WHERE.
	Look(table, alias, on string) (from, where string)
	// Brief is the context of a query that finds few rows by their keys. Watching over each costs an engine within this
	// process more than the query does.
	Brief(ctx context.Context) context.Context
	// Whole spells that a common table is made as it is written, before what is joined to it: "" where the order of the join
	// sees to that.
	Whole() string
	// Contains spells whether a text holds another.
	Contains(text, part string) string
	// Catalog spells a query of the columns kind, owner and name of what lies in the database under names that begin with ledger_,
	// whatever their case: each table and view (kind table, no name), their columns, hidden ones too (column), and the triggers
	// on them (trigger).
	Catalog() string
}

// Reader runs queries. It is not safe for concurrent use, and the rows of one query are closed before the next.
type Reader interface {
	Query(ctx context.Context, sql string, args ...any) (Rows, error)
	Close() error
}

// Rows is the result of a query. Scan takes *int64, *float64, *string, *[]byte and *any.
type Rows interface {
	Next() bool
	Scan(dest ...any) error
	Err() error
	Close()
}

// Tx is a transaction of the writer.
type Tx interface {
	Query(ctx context.Context, sql string, args ...any) (Rows, error)
	Exec(ctx context.Context, sql string, args ...any) error
	// Look answers what is there now, and keeps it so until the transaction ends.
	Look(ctx context.Context, l *Look) (*There, error)
	// Store writes and is the last call of a transaction.
	Store(ctx context.Context, w *Writes) error
}

// RowKey names a resource.
type RowKey struct{ Type, ID string }

// ParamKey names a search parameter.
type ParamKey struct{ Type, Name string }

// Look is what a batch of changes needs to know.
//
// A change that writes more than records must find what it expects unchanged at its commit; a change of records alone
// is as good as committed when it was looked up. So of what is expected, the Lock part belongs to the former. An engine
// with several writers locks it, and lets Absent names (expected not to be there) exclude others' Created ones.
type Look struct {
	Rows        []RowKey // expected or put
	Put         []RowKey // put, and there already: their index values are wanted
	Clients     []string // expected or with new facts
	Keys        []string // expected or counted up
	LockRows    []RowKey
	LockClients []string
	LockKeys    []string
	Absent      []string // names by rowName, clientName and keyName
	Created     []string
	Once        []string
	Now         int64 // milliseconds; Once keys that ended before are as if unused
	Classes     []Interned
	Params      []ParamKey
	NewRows     int    // how many numbers of rows may be needed
	NewVersions int    // how many numbers of versions may be needed
	Node        string // the ledger node to be numbered; "" when it is already
}

func rowName(k RowKey) string         { return "r\x00" + k.Type + "\x00" + k.ID }
func clientName(client string) string { return "c\x00" + client }
func keyName(key string) string       { return "k\x00" + key }

// Interned is a class to be numbered.
type Interned struct {
	Key   string
	JSON  string
	Class consent.Class
}

// There is what a Look found.
type There struct {
	Rows    map[RowKey]Current
	Index   map[int64][]IndexRow // by row number, of the rows in Look.Put
	Clients map[string]int64
	Keys    map[string]int64
	Once    map[string]bool // used and not ended
	Classes map[string]int64
	Params  map[ParamKey]int64
	Node    int64
	// NextRow and NextVersion give fresh numbers of rows and versions.
	NextRow, NextVersion func() int64
}

// Current is what is current of a resource.
type Current struct {
	Rid     int64
	Version int64
	Deleted bool
}

// Writes is what the changes of a batch that hold come to.
type Writes struct {
	Inserted   []ResourceRow
	Updated    []ResourceRow
	Versions   []VersionRow
	Dropped    []IndexRow // of each: Table, Rid, Param and Ord
	Added      []IndexRow
	Facts      []FactsRow
	Clients    []Counter // newest version of facts; 1 means that the client is new
	Relations  []Relation
	Keys       []Counter // newest version of a key; 1 means that the key is new
	Once       []OnceRow
	Events     []EventRow
	Positions  []Counter
	Entries    []EntryRow
	Erased     [][2]int64 // keys of entries that lose their content, both ends inside
	Now        int64      // milliseconds; Once keys that ended before may be used again
	Leaves     []Leaf
	Checkpoint *ledger.Signed // nil: none
}

// ResourceRow is a row of the table resource.
type ResourceRow struct {
	Rid, Version, Vid, Class int64
	Type, ID                 string
	Recorded, Updated        int64 // milliseconds
	Deleted                  int64
}

// VersionRow is a row of the table version.
type VersionRow struct {
	Vid, Rid, Version, Class   int64
	Recorded, Updated, Deleted int64
	Method                     string
	Body                       []byte // nil for a deletion
}

// FactsRow is a row of the table facts.
type FactsRow struct {
	Client  string
	Version int64
	JSON    string
}

// Counter is a name with a number.
type Counter struct {
	Name string
	N    int64
	New  bool // no row has the name yet
}

// Relation tells that a party (a unit or a person) has, or had, a relationship with a client.
type Relation struct{ Party, Client string }

// OnceRow is a row of the table once.
type OnceRow struct {
	Key   string
	Until int64 // milliseconds
}

// EventRow is a row of the table event; the engine gives it its number.
type EventRow struct {
	Type, ID    string
	Version     int64
	Interaction string
	Time        int64 // milliseconds
	Record      string
}

// EntryRow is a row of the table ledger_entry: the node's number and the count make its key (entryKey).
type EntryRow struct {
	Key     int64
	Entry   ledger.Entry
	Columns [len(columns)]string // in the order of the list columns
}

// Leaf gives an entry its place in the tree.
type Leaf struct{ Seq, Entry int64 }

// source is a ledger.Source over an engine.
var _ ledger.Source = (*source)(nil)

// pairs is the shape of the iterators of a ledger.Source.
type pairs[T any] = iter.Seq2[T, error]
