package ledger

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	strict "github.com/go-json-experiment/json"
	"github.com/google/uuid"
)

// Version is the form of the canonical bytes that Canonical writes. Bytes once written are never written anew: a
// change of the form gets the next number, and ParseRecord reads every form that was ever written. Form 1 had one part.
const Version = 2

// MaxRecord bounds the canonical bytes of one record that ParseRecord reads.
const MaxRecord = 4 << 20

// timeForm is how times look in the canonical bytes and in columns: UTC, always three decimals, so that they sort
// as text.
const timeForm = "2006-01-02T15:04:05.000Z"

// canonicalRecord is the open part, as it is read. It puts the form before the record's own members; Time shadows the
// record's to fix its spelling.
type canonicalRecord struct {
	V    int    `json:"v"`
	Time string `json:"time"`
	*recordBody
}

// recordBody is Record without its methods.
type recordBody Record

// Canonical is the record as bytes: two lines of compact JSON, the open part and the sealed one (moveOpen says which
// member is in which), with the members in a fixed order, "v" first, empty ones left out, map keys sorted and the time in
// UTC milliseconds. Equal records give equal bytes. The commitment is over these bytes, so they are stored as they are
// and never made anew.
func (r *Record) Canonical() []byte {
	return r.appendSealed(append(r.appendOpen(make([]byte, 0, usualRecord)), '\n'))
}

// usualRecord is what the canonical bytes of most records fit into.
const usualRecord = 2048

func oneLine(part any) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	// Every member of a record is text, number, boolean or a list or map of text: encoding cannot fail.
	if err := enc.Encode(part); err != nil {
		panic("ledger: a record that cannot be written: " + err.Error())
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}

// ParseRecord reads what Canonical wrote, in any form that was ever written. Unknown or repeated members, another
// form and anything after the record are errors: bytes that say more than the record shows are not a record.
func ParseRecord(canonical []byte) (*Record, error) {
	if len(canonical) > MaxRecord {
		return nil, fmt.Errorf("ledger: a record of %d bytes is over the bound of %d", len(canonical), MaxRecord)
	}
	open, sealed, both := partsOf(canonical)
	r, form, err := parseOpen(open)
	switch {
	case err != nil:
		return nil, err
	case both != (form > 1):
		return nil, fmt.Errorf("ledger: not a record: form %d has another number of parts", form)
	case !both:
		return r, nil
	}
	return r, r.readSealed(sealed)
}

// parseOpen reads the open part, or a record of the first form.
func parseOpen(open []byte) (*Record, int, error) {
	r := new(Record)
	c := canonicalRecord{recordBody: (*recordBody)(r)}
	if err := strict.Unmarshal(open, &c, strict.RejectUnknownMembers(true)); err != nil {
		return nil, 0, fmt.Errorf("ledger: not a record: %w", err)
	}
	if c.V < 1 || c.V > Version {
		return nil, 0, fmt.Errorf("ledger: not a record: form %d is not known", c.V)
	}
	t, err := time.Parse(timeForm, c.Time)
	if err != nil {
		return nil, 0, errors.New("ledger: not a record: its time is not UTC milliseconds")
	}
	r.Time = t
	if c.V > 1 && !r.holds(true) {
		return nil, 0, errors.New("ledger: not a record: its open part holds what belongs to the sealed one")
	}
	return r, c.V, nil
}

// Names of the columns that Columns gives.
const (
	ColumnID              = "id"               // Record.ID
	ColumnExchange        = "exchange"         // Record.Exchange
	ColumnTime            = "time"             // Record.Time as 2006-01-02T15:04:05.000Z
	ColumnInteraction     = "interaction"      // Record.Interaction
	ColumnOutcome         = "outcome"          // Record.Outcome
	ColumnClient          = "client"           // Record.Client
	ColumnController      = "controller"       // Record.Controller
	ColumnActorController = "actor-controller" // Actor.Controller
	ColumnApp             = "app"              // Actor.App
	ColumnRecipient       = "recipient"        // Record.Recipient
	ColumnUser            = "user"             // Actor.User
	ColumnPerson          = "person"           // Actor.Person
	ColumnRole            = "role"             // Actor.Role
	ColumnBasis           = "basis"            // ID of each of Record.Bases; may come more than once
	ColumnTarget          = "target"           // Type/id of Record.Target and of each entity; may come more than once
)

// Columns is exactly what a store keeps beside the canonical bytes for finding a record. Each name comes at most
// once, except basis and target, whose values come sorted and once each; empty values are left out. The order is
// fixed, so two lists can be compared as they are. A store may keep them as it likes, as long as it gives the same
// list back in Entry.Columns: Verify compares it with the record.
func Columns(r *Record) []Column {
	out := make([]Column, 0, 16)
	for _, c := range [...]Column{
		{ColumnID, r.ID},
		{ColumnExchange, r.Exchange},
		{ColumnTime, r.Time.UTC().Format(timeForm)},
		{ColumnInteraction, r.Interaction},
		{ColumnOutcome, r.Outcome},
		{ColumnClient, r.Client},
		{ColumnController, r.Controller},
		{ColumnActorController, r.Actor.Controller},
		{ColumnApp, r.Actor.App},
		{ColumnRecipient, r.Recipient},
		{ColumnUser, r.Actor.User},
		{ColumnPerson, r.Actor.Person},
		{ColumnRole, r.Actor.Role},
	} {
		if c.Value != "" {
			out = append(out, c)
		}
	}
	first := len(out)
	for _, b := range r.Bases {
		out = append(out, Column{ColumnBasis, b.ID})
	}
	out = sortUnique(out, first)
	first = len(out)
	if target := unversioned(r.Target); target != "" {
		out = append(out, Column{ColumnTarget, target})
	}
	for _, e := range r.Entities {
		if target := unversioned(e.What); target != "" && e.Role != RoleErased {
			out = append(out, Column{ColumnTarget, target})
		}
	}
	return sortUnique(out, first)
}

// sortUnique sorts the columns from place from on and leaves out repeated ones.
func sortUnique(columns []Column, from int) []Column {
	tail := columns[from:]
	slices.SortFunc(tail, func(a, b Column) int { return strings.Compare(a.Value, b.Value) })
	return columns[:from+len(slices.Compact(tail))]
}

// unversioned is Type/id of a reference, or "" when it names no single resource.
func unversioned(ref string) string {
	typ, rest, ok := strings.Cut(ref, "/")
	id, _, _ := strings.Cut(rest, "/")
	if !ok || typ == "" || id == "" || id[0] == '$' {
		return ""
	}
	return typ + "/" + id
}

// NewEntry is the entry that node writes as its count-th, after the one whose Chain is prev (zeros for the first).
// It has no place yet (Seq is -1); the store adds Columns.
func NewEntry(node string, count int64, prev [32]byte, salt, canonical []byte) Entry {
	e := Entry{Node: node, Count: count, Prev: prev, Salt: salt, Canonical: canonical, Seq: -1}
	e.Commitment = commit(salt, canonical)
	e.Chain = chain(prev, node, count, e.Commitment)
	return e
}

// chain is SHA-256(prev ‖ node ‖ 0x00 ‖ big-endian count ‖ commitment).
func chain(prev [32]byte, node string, count int64, commitment [32]byte) [32]byte {
	buf := make([]byte, 0, 128)
	buf = append(buf, prev[:]...)
	buf = append(buf, node...)
	buf = append(buf, 0)
	buf = binary.BigEndian.AppendUint64(buf, uint64(count))
	buf = append(buf, commitment[:]...)
	return sha256.Sum256(buf)
}

// SaltSize is the length of a salt in bytes.
const SaltSize = 16

// NewSalt is a random salt for one entry.
func NewSalt() []byte {
	salt := make([]byte, SaltSize)
	rand.Read(salt) // never fails (crypto/rand)
	return salt
}

// NewID is a random id for a record: a UUID in text, which is a valid FHIR id (FHIR R4 § 2.24.0.1). It is of version 7
// (RFC 9562 § 5.7), 74 random bits behind the milliseconds: a store's index of ids grows at its end.
func NewID() string { return uuid.Must(uuid.NewV7()).String() }
