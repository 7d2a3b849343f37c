package ledger

import (
	"bytes"
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
type Proof struct {
	Node       string
	Count      int64
	Prev       [32]byte
	Salt       []byte
	Canonical  []byte
	Seq        int64
	Hashes     [][]byte
	Checkpoint []byte // the signed note
}

const proofHeader = "c2sp.org/tlog-proof@v1\n"

// Text is the proof as a C2SP tlog-proof.
func (p *Proof) Text() []byte {
	var b bytes.Buffer
	b.WriteString(proofHeader)
	extra := bytes.Clone(p.Prev[:])
	extra = binary.BigEndian.AppendUint64(extra, uint64(p.Count))
	extra = binary.BigEndian.AppendUint16(extra, uint16(len(p.Node)))
	extra = append(extra, p.Node...)
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
	if extra = extra[fixed:]; len(extra) < named+SaltSize {
		return nil, errNotProof
	}
	p.Node, p.Salt, p.Canonical = string(extra[:named]), extra[named:named+SaltSize], extra[named+SaltSize:]
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
// to be in the ledger.
func (p *Proof) Verify(verifier string) (*Record, error) {
	c, err := OpenCheckpoint(p.Checkpoint, verifier)
	if err != nil {
		return nil, err
	}
	if err := VerifyInclusion(c, p.Seq, chain(p.Prev, p.Node, p.Count, commit(p.Salt, p.Canonical)), p.Hashes); err != nil {
		return nil, err
	}
	return ParseRecord(p.Canonical)
}
