package ledger

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// maxProof bounds the text of a proof that is read.
const maxProof = maxCheckpoint + 16<<10

// Proof shows offline that a record is in the ledger: what its entry's chain value is made of, its place, the hashes
// from its leaf to the root, and a signed checkpoint. Its text form is a C2SP tlog-proof whose extra data is the
// previous chain value, the count in eight bytes, the node with its length in two bytes before, the salt and the
// canonical bytes.
//
// A proof of the open part alone (Proof.OpenPart) has the open part for the canonical bytes, and for the salt that of the
// open part with the hash of the sealed one; the highest bit of the node's length says so.
type Proof struct {
	Node       string
	Count      int64
	Prev       [32]byte
	Salt       []byte
	Canonical  []byte
	Seq        int64
	Hashes     [][]byte
	Checkpoint []byte   // the signed note
	opening    *opening // of the open part alone; then there is no Salt
}

// ErrUnplaced says that an entry has no place under a checkpoint yet, or no content any more.
var ErrUnplaced = errors.New("ledger: nothing to prove: the entry has no place under this checkpoint, or its content was erased")

// Prove makes the proof of an entry under a signed checkpoint of this ledger. ErrUnplaced.
func (t *Tree) Prove(ctx context.Context, e *Entry, checkpoint []byte) (*Proof, error) {
	c, err := ReadCheckpoint(checkpoint)
	if err != nil {
		return nil, err
	}
	if e.Seq < 0 || e.Seq >= c.Size || e.Canonical == nil {
		return nil, ErrUnplaced
	}
	hashes, err := t.Inclusion(ctx, e.Seq, c.Size)
	if err != nil {
		return nil, err
	}
	return &Proof{
		Node: e.Node, Count: e.Count, Prev: e.Prev, Salt: e.Salt, Canonical: e.Canonical, Seq: e.Seq, Hashes: hashes, Checkpoint: checkpoint,
	}, nil
}

// OpenPart is the proof of what the record's client may be shown, without the rest. Records of the first form have no
// such part: nil.
func (p *Proof) OpenPart() *Proof {
	open, sealed, both := partsOf(p.Canonical)
	if !both || p.opening != nil {
		return nil
	}
	next := *p
	o := openingOf(p.Salt, sealed)
	next.opening, next.Salt, next.Canonical = &o, nil, open
	return &next
}

// Whole says whether the proof holds the whole record, or its open part alone.
func (p *Proof) Whole() bool { return p.opening == nil }

// openOnly is the bit of the node's length that says that a proof is of the open part alone.
const openOnly = 1 << 15

const proofHeader = "c2sp.org/tlog-proof@v1\n"

// Text is the proof as a C2SP tlog-proof.
func (p *Proof) Text() []byte {
	var b bytes.Buffer
	b.WriteString(proofHeader)
	extra := bytes.Clone(p.Prev[:])
	extra = binary.BigEndian.AppendUint64(extra, uint64(p.Count))
	named := uint16(len(p.Node))
	if p.opening != nil {
		named |= openOnly
	}
	extra = binary.BigEndian.AppendUint16(extra, named)
	extra = append(extra, p.Node...)
	if p.opening != nil {
		extra = append(append(extra, p.opening.salt[:]...), p.opening.sealed[:]...)
	}
	extra = append(extra, p.Salt...)
	extra = append(extra, p.Canonical...)
	fmt.Fprintf(&b, "extra %s\nindex %d\n", base64.StdEncoding.EncodeToString(extra), p.Seq)
	for _, h := range p.Hashes {
		b.WriteString(base64.StdEncoding.EncodeToString(h))
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	b.Write(p.Checkpoint)
	return b.Bytes()
}

var errNotProof = errors.New("ledger: not a proof")

// ParseProof reads the text of a proof. It checks its form only; Verify checks what it says.
func ParseProof(text []byte) (*Proof, error) {
	if len(text) > maxProof+2*MaxRecord {
		return nil, errNotProof
	}
	head, checkpoint, ok := strings.Cut(string(text), "\n\n")
	if !ok || !strings.HasPrefix(head+"\n", proofHeader) {
		return nil, errNotProof
	}
	lines := strings.Split(head, "\n")[1:]
	if len(lines) < 2 || len(lines) > 2+64 {
		return nil, errNotProof
	}
	encoded, isExtra := strings.CutPrefix(lines[0], "extra ")
	extra, err := base64.StdEncoding.Strict().DecodeString(encoded)
	const fixed = 32 + 8 + 2
	if err != nil || !isExtra || len(extra) < fixed {
		return nil, errNotProof
	}
	p := &Proof{Prev: [32]byte(extra), Count: int64(binary.BigEndian.Uint64(extra[32:]))}
	named := int(binary.BigEndian.Uint16(extra[40:]))
	alone := named&openOnly != 0
	named &^= openOnly
	salt := SaltSize
	if alone {
		salt = len(opening{}.salt) + len(opening{}.sealed)
	}
	if extra = extra[fixed:]; len(extra) < named+salt {
		return nil, errNotProof
	}
	p.Node, p.Salt, p.Canonical = string(extra[:named]), extra[named:named+salt], extra[named+salt:]
	if alone {
		p.opening = &opening{[32]byte(p.Salt[:32]), [32]byte(p.Salt[32:])}
		p.Salt = nil
	}
	index, isIndex := strings.CutPrefix(lines[1], "index ")
	seq, err := strconv.ParseInt(index, 10, 64)
	if err != nil || !isIndex || seq < 0 || index != strconv.FormatInt(seq, 10) {
		return nil, errNotProof
	}
	p.Seq, p.Checkpoint = seq, []byte(checkpoint)
	for _, line := range lines[2:] {
		h, err := base64.StdEncoding.Strict().DecodeString(line)
		if err != nil || len(h) != 32 {
			return nil, errNotProof
		}
		p.Hashes = append(p.Hashes, h)
	}
	return p, nil
}

// Verify checks the proof against a pinned verifier key (the text of ledger.pub) and gives the record that it proves
// to be in the ledger; of a proof of the open part alone, the record's open members.
func (p *Proof) Verify(verifier string) (*Record, error) {
	c, err := OpenCheckpoint(p.Checkpoint, verifier)
	if err != nil {
		return nil, err
	}
	var commitment [32]byte
	if p.opening != nil {
		commitment = p.opening.commitment(p.Canonical)
	} else {
		commitment = commit(p.Salt, p.Canonical)
	}
	if err := VerifyInclusion(c, p.Seq, chain(p.Prev, p.Node, p.Count, commitment), p.Hashes); err != nil {
		return nil, err
	}
	if p.opening == nil {
		return ParseRecord(p.Canonical)
	}
	r, form, err := parseOpen(p.Canonical)
	if err == nil && form < 2 {
		err = errors.New("ledger: not a record: its form has no open part")
	}
	return r, err
}
