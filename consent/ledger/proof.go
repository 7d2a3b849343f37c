package ledger

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// maxProof bounds the text of a proof that is read.
const maxProof = maxCheckpoint + 16<<10

// Proof shows offline that a record is in the ledger: its entry's salt and canonical bytes, its place, the hashes
// from its leaf to the root, and a signed checkpoint. Its text form is a C2SP tlog-proof whose extra data is the
// salt followed by the canonical bytes.
type Proof struct {
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
	extra := append(bytes.Clone(p.Salt), p.Canonical...)
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
	if err != nil || !isExtra || len(extra) < SaltSize {
		return nil, errNotProof
	}
	index, isIndex := strings.CutPrefix(lines[1], "index ")
	seq, err := strconv.ParseInt(index, 10, 64)
	if err != nil || !isIndex || seq < 0 || index != strconv.FormatInt(seq, 10) {
		return nil, errNotProof
	}
	p := &Proof{Salt: extra[:SaltSize], Canonical: extra[SaltSize:], Seq: seq, Checkpoint: []byte(checkpoint)}
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
	if err := VerifyInclusion(c, p.Seq, commit(p.Salt, p.Canonical), p.Hashes); err != nil {
		return nil, err
	}
	return ParseRecord(p.Canonical)
}
