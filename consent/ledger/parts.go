package ledger

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"time"

	strict "github.com/go-json-experiment/json"

	"sotesilta/consent"
)

// The canonical bytes of a record have two parts, each a line of JSON: the open part, which the client may be shown, and
// the sealed part, which names persons beside the client, other clients, and what is for supervision only (703/2023
// § 74.2: the client sees use and disclosure "lukuun ottamatta luovutuksensaajan henkilötietoja"). The commitment is over
// the open part and a salted hash of the sealed one, so that the client can prove what they were shown to be what was
// recorded, without learning what was held back.

// moveOpen copies the members of the open part. Whatever is not named here is sealed.
func moveOpen(to, from *Record) {
	to.ID, to.Exchange, to.Time, to.Interaction, to.Outcome, to.Success = from.ID, from.Exchange, from.Time, from.Interaction, from.Outcome, from.Success
	to.Actor.Kind, to.Actor.App, to.Actor.Controller = from.Actor.Kind, from.Actor.App, from.Actor.Controller
	to.Actor.Register, to.Actor.Unit = from.Actor.Register, from.Actor.Unit
	to.Purpose, to.Client, to.Controller, to.Register, to.Disclosure = from.Purpose, from.Client, from.Controller, from.Register, from.Disclosure
	to.Target, to.Entities, to.Bases, to.Directives, to.Bans, to.Policy = from.Target, from.Entities, from.Bases, from.Directives, from.Bans, from.Policy
}

// Open is what of a record its client may be shown.
func (r *Record) Open() *Record {
	var open Record
	moveOpen(&open, r)
	return &open
}

// sealed is the rest of it.
func (r *Record) sealed() *Record {
	rest := *r
	moveOpen(&rest, &Record{})
	return &rest
}

// partsOf cuts canonical bytes into their parts. The first form had one; no part holds a line break.
func partsOf(canonical []byte) (open, sealed []byte, both bool) {
	return bytes.Cut(canonical, []byte("\n"))
}

// opening is what it takes, beside the open part, to know a commitment, and says nothing of the sealed part: the open
// part's own salt and the salted hash of the sealed part.
type opening struct{ salt, sealed [sha256.Size]byte }

// openingOf is the opening of canonical bytes of two parts.
func openingOf(salt, sealed []byte) opening {
	inner := salted("sealed", salt)
	return opening{salted("open", salt), hash(inner[:], sealed)}
}

// commitment is SHA-256(open salt ‖ hash of the sealed part ‖ open part).
func (o *opening) commitment(open []byte) [sha256.Size]byte {
	return hash(o.salt[:], o.sealed[:], open)
}

// salted makes the salt of a part out of an entry's: from one nobody can tell the other, nor the entry's.
func salted(part string, salt []byte) [sha256.Size]byte { return hash(salt, []byte(part)) }

func hash(parts ...[]byte) (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, p := range parts {
		h.Write(p)
	}
	h.Sum(sum[:0])
	return sum
}

// commit is the commitment to canonical bytes: without the salt nobody can tell which record it is of. Of the first form
// it is SHA-256(salt ‖ canonical).
func commit(salt, canonical []byte) [sha256.Size]byte {
	open, sealed, both := partsOf(canonical)
	if !both {
		return hash(salt, canonical)
	}
	o := openingOf(salt, sealed)
	return o.commitment(open)
}

// holds says whether a record has no member of the other part.
func (r *Record) holds(open bool) bool {
	other := r.Open()
	if open {
		other = r.sealed()
	}
	return reflect.DeepEqual(*other, Record{})
}

// sealedRecord leaves out of the sealed part the members that a record always writes: they are the open part's.
type sealedRecord struct {
	ID          string          `json:"id,omitempty"`
	Exchange    string          `json:"exchange,omitempty"`
	Time        time.Time       `json:"time,omitzero"`
	Interaction string          `json:"interaction,omitempty"`
	Outcome     string          `json:"outcome,omitempty"`
	Success     bool            `json:"success,omitempty"`
	Actor       sealedActor     `json:"actor,omitzero"`
	Purpose     consent.Purpose `json:"purpose,omitempty"`
	*recordBody
}

type sealedActor struct {
	Kind consent.Kind `json:"kind,omitempty"`
	App  string       `json:"app,omitempty"`
	*actorBody
}

// actorBody is consent.Actor without its methods.
type actorBody consent.Actor

// readSealed reads it into a record of the open part.
func (r *Record) readSealed(sealed []byte) error {
	var rest Record
	in := sealedRecord{Actor: sealedActor{actorBody: (*actorBody)(&rest.Actor)}, recordBody: (*recordBody)(&rest)}
	if err := strict.Unmarshal(sealed, &in, strict.RejectUnknownMembers(true)); err != nil {
		return fmt.Errorf("ledger: not a record: %w", err)
	}
	in.recordBody, in.Actor.actorBody = nil, nil
	if !reflect.DeepEqual(in, sealedRecord{}) || !rest.holds(false) {
		return errors.New("ledger: not a record: its sealed part holds what belongs to the open one")
	}
	moveOpen(&rest, r)
	*r = rest
	return nil
}
