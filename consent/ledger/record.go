// Package ledger keeps the record of every exchange (luovutus- ja käyttöloki, 703/2023 § 10) in a form that an
// auditor can prove: canonical bytes under a salted commitment, a gapless hash chain per writing node, an RFC 6962
// Merkle tree over the chain values and signed checkpoints. It is pure: it owns no SQL and does no I/O; the store
// implements Source.
package ledger

import (
	"context"
	"fmt"
	"iter"
	"time"

	"sotesilta/consent"
)

// Record is one line of the ledger: who did what to whose data, on which basis, and what came of it.
// A read by id makes one record, whether the row was found, hidden or absent; a search makes one for the query and, for
// each client whose data left, one of the use and one of each register that disclosed (703/2023 § 10); a write, push or
// operation makes one per client. What was withheld from a search is never listed.
type Record struct {
	ID          string            `json:"id"`       // random; AuditEvent id. The first of an exchange is its X-Request-Id
	Exchange    string            `json:"exchange"` // ID of the first record of the same exchange
	Time        time.Time         `json:"time"`     // UTC, milliseconds
	Interaction string            `json:"interaction"`
	Outcome     string            `json:"outcome"` // permit, deny or needs-human
	Success     bool              `json:"success"` // what was permitted was also done (found, written, sent)
	Actor       consent.Actor     `json:"actor"`
	Purpose     consent.Purpose   `json:"purpose"`
	Assertion   consent.Assertion `json:"assertion,omitzero"`
	TokenID     string            `json:"tokenId,omitempty"`    // jti of the access token
	Client      string            `json:"client,omitempty"`     // Patient id; empty when the record concerns nobody known
	Controller  string            `json:"controller,omitempty"` // whose data it is: Organization/…
	Register    consent.Register  `json:"register,omitempty"`   // of which register; the first where there are several
	Disclosure  bool              `json:"disclosure,omitempty"` // luovutus; otherwise käyttö
	Recipient   string            `json:"recipient,omitempty"`  // of a push: API client id
	Target      string            `json:"target,omitempty"`     // what was asked for: Type/id, Type, or Type/$operation
	Query       string            `json:"query,omitempty"`      // the search as asked, without values of identity codes
	Entities    []Entity          `json:"entities,omitempty"`   // what moved
	Bases       []consent.Basis   `json:"bases,omitempty"`
	Obligations []string          `json:"obligations,omitempty"` // what the exchange owes: inform, source, onward
	Directives  []string          `json:"directives,omitempty"`  // Consent versions that weighed
	Bans        []string          `json:"bans,omitempty"`        // of these those that stop, or leave rows out
	Evidence    []string          `json:"evidence,omitempty"`    // relationships that weighed
	Facts       int64             `json:"facts,omitempty"`       // version of the client's facts
	Policy      string            `json:"policy,omitempty"`      // hash of the policies in force
	Classes     []consent.Class   `json:"classes,omitempty"`     // labels decided on, so that a decision can be repeated
	Asked       []Question        `json:"asked,omitempty"`       // what was asked of Classes, where it was not to read
	Known       map[string]int64  `json:"known,omitempty"`       // facts versions of all clients, of data about several
	Row         string            `json:"row,omitempty"`         // version decided on that did not move: Type/id/_history/version
	Bound       []string          `json:"bound,omitempty"`       // clients that a search names; [""]: names, and finds, none
	Ruled       bool              `json:"ruled,omitempty"`       // a rule beside the law refused, whatever the law says of Classes
	Reason      string            `json:"reason,omitempty"`      // the true reason, for supervision only
}

// Question is what the law was asked about a class.
type Question struct {
	Class   int             `json:"class"` // place in Record.Classes
	Action  consent.Action  `json:"action"`
	Invitee consent.Invitee `json:"invitee,omitzero"`
}

// Entity is one thing that moved in an exchange.
type Entity struct {
	What string `json:"what"` // Type/id/_history/version
	Role string `json:"role"` // match, include, created, updated, deleted, sent
}

// Entry is a Record as it lies in the ledger.
type Entry struct {
	Node       string   // id of the gateway node that wrote it
	Count      int64    // the node's own count, 1, 2, … without gaps
	Prev       [32]byte // Chain of the node's entry before; zeros for the first
	Salt       []byte   // 16 random bytes; nil once erased
	Canonical  []byte   // Record.Canonical; nil once erased
	Commitment [32]byte // salted, over the canonical bytes: see commit
	Chain      [32]byte // SHA-256(prev ‖ node ‖ 0x00 ‖ big-endian count ‖ commitment); the data of its leaf
	Seq        int64    // place in the tree, from 0; -1 while pending
	Columns    []Column // what the store keeps beside the bytes for finding entries, as stored
	// Damage says what of the row is not as a store writes it, such as a hash of another length; empty when it is. It
	// holds nothing of the record.
	Damage string
}

// Time is the record's own time, from its column, without reading the content; zero when there is none.
func (e *Entry) Time() time.Time {
	for _, c := range e.Columns {
		if c.Name == ColumnTime {
			t, _ := time.Parse(timeForm, c.Value)
			return t
		}
	}
	return time.Time{}
}

// Column is one value that the store keeps beside an entry for searching; Verify compares each with the record.
type Column struct{ Name, Value string }

// Source is what reading, proving and verifying need of a store.
type Source interface {
	// Entries gives the sequenced entries from place from on, in order.
	Entries(ctx context.Context, from int64) iter.Seq2[Entry, error]
	// Pending gives the entries not yet sequenced, by node and count.
	Pending(ctx context.Context) iter.Seq2[Entry, error]
	// Checkpoints gives every signed checkpoint in the order of the sizes that they are kept under.
	Checkpoints(ctx context.Context) iter.Seq2[Signed, error]
}

// Signed is a signed checkpoint as it is kept.
type Signed struct {
	Size int64  // that it is kept under; Verify compares it with what the note says
	Note []byte // nil when what lies there are no bytes
}

// Counted is a Source that tells what lies in its tables, so that nothing is served that Verify never saw. A store
// whose tables can hold more than Entries, Pending and Checkpoints give is one.
type Counted interface {
	Source
	// Census counts at one moment.
	Census(ctx context.Context) (Census, error)
}

// Census is what lies in the tables of a ledger, whatever the other readings give of it.
type Census struct {
	First, Last int64            // lowest and highest place that is taken; 0 and -1 when none is
	Nodes       map[string]int64 // all that are named, with the highest count that they have an entry of; 0: none
	Strays      []string         // rows that belong to nothing, each in a sentence that tells nothing of a record; not all, if many
	Used        bool             // the store holds something that came with a record
}

// Indexed is what a Source may offer beside, to spare walks over the whole ledger. A store should: starting the
// sequencer, tiles and proofs read the data of leaves only.
type Indexed interface {
	Source
	// Leaves gives the leaf data (Entry.Chain) of the sequenced entries in [from, to), in order, fewer when there are
	// fewer.
	Leaves(ctx context.Context, from, to int64) iter.Seq2[[32]byte, error]
	// Latest is the newest signed checkpoint; nil when there is none.
	Latest(ctx context.Context) ([]byte, error)
}

// Latest is the newest signed checkpoint of a ledger; nil when there is none.
func Latest(ctx context.Context, src Source) ([]byte, error) {
	if indexed, ok := src.(Indexed); ok {
		return indexed.Latest(ctx)
	}
	var latest []byte
	for signed, err := range src.Checkpoints(ctx) {
		if err != nil {
			return nil, err
		}
		latest = signed.Note
	}
	return latest, nil
}

// leafData gives the leaf data of the places [from, to), and an error when one of them is not there.
func leafData(ctx context.Context, src Source, from, to int64) iter.Seq2[[32]byte, error] {
	return func(yield func([32]byte, error) bool) {
		next := from
		if indexed, ok := src.(Indexed); ok {
			for c, err := range indexed.Leaves(ctx, from, to) {
				if err != nil {
					yield([32]byte{}, err)
					return
				}
				if next >= to {
					break
				}
				if !yield(c, nil) {
					return
				}
				next++
			}
		} else if from < to {
			for e, err := range src.Entries(ctx, from) {
				if err == nil && e.Seq != next {
					err = fmt.Errorf("ledger: place %d is missing: %d comes instead", next, e.Seq)
				}
				if err != nil {
					yield([32]byte{}, err)
					return
				}
				if !yield(e.Chain, nil) {
					return
				}
				if next++; next == to {
					return
				}
			}
		}
		if next < to {
			yield([32]byte{}, fmt.Errorf("ledger: place %d is missing: the ledger ends", next))
		}
	}
}
