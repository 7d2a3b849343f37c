package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// PublicProof is a proof that tells nothing of any record, so that anybody may fetch it: that a leaf is in the tree of
// the newest checkpoint, or that this tree begins with that of an older checkpoint (RFC 6962 §§ 2.1.1 and 2.1.2).
type PublicProof struct {
	Kind       string   `json:"proof"`          // inclusion or consistency
	Leaf       *int64   `json:"leaf,omitempty"` // inclusion: its place
	Data       []byte   `json:"data,omitempty"` // inclusion: the data of the leaf, Entry.Chain
	Old        int64    `json:"old,omitempty"`  // consistency: size of the older tree
	Hashes     [][]byte `json:"hashes"`
	Checkpoint string   `json:"checkpoint"` // the newest, signed
}

// The kinds of PublicProof.
const (
	KindInclusion   = "inclusion"
	KindConsistency = "consistency"
)

// PublicInclusion proves a leaf under a signed checkpoint of this ledger. ErrOutside.
func (t *Tree) PublicInclusion(ctx context.Context, seq int64, checkpoint []byte) (*PublicProof, error) {
	c, err := ReadCheckpoint(checkpoint)
	if err != nil {
		return nil, err
	}
	hashes, err := t.Inclusion(ctx, seq, c.Size)
	if err != nil {
		return nil, err
	}
	p := &PublicProof{Kind: KindInclusion, Leaf: &seq, Hashes: hashes, Checkpoint: string(checkpoint)}
	for data, err := range leafData(ctx, t.src, seq, seq+1) {
		if err != nil {
			return nil, err
		}
		p.Data = data[:]
	}
	return p, nil
}

// PublicConsistency proves that the tree of a signed checkpoint begins with that of old entries. ErrOutside.
func (t *Tree) PublicConsistency(ctx context.Context, old int64, checkpoint []byte) (*PublicProof, error) {
	c, err := ReadCheckpoint(checkpoint)
	if err != nil {
		return nil, err
	}
	if old < 1 {
		return nil, ErrOutside // every tree begins with the empty one
	}
	hashes, err := t.Consistency(ctx, old, c.Size)
	if err != nil {
		return nil, err
	}
	return &PublicProof{Kind: KindConsistency, Old: old, Hashes: hashes, Checkpoint: string(checkpoint)}, nil
}

// ParsePublicProof reads a PublicProof from JSON; it checks the form only.
func ParsePublicProof(text []byte) (*PublicProof, error) {
	var p PublicProof
	if len(text) > maxProof || json.Unmarshal(text, &p) != nil || len(p.Hashes) > 2*64 {
		return nil, errNotProof
	}
	if p.Kind == KindInclusion && (p.Leaf == nil || len(p.Data) != 32) || p.Kind == KindConsistency && p.Old < 1 ||
		p.Kind != KindInclusion && p.Kind != KindConsistency {
		return nil, errNotProof
	}
	return &p, nil
}

// Verify checks the proof against a pinned key. A proof of consistency is held against the checkpoint of its older size
// among seen, signed checkpoints kept from earlier; without one it says nothing, which is an error. It answers the newest
// checkpoint.
func (p *PublicProof) Verify(verifier string, seen [][]byte) (Checkpoint, error) {
	newest, err := OpenCheckpoint([]byte(p.Checkpoint), verifier)
	if err != nil {
		return Checkpoint{}, err
	}
	if p.Kind == KindInclusion {
		return newest, VerifyInclusion(newest, *p.Leaf, [32]byte(p.Data), p.Hashes)
	}
	for _, signed := range seen {
		older, err := OpenCheckpoint(signed, verifier)
		if err != nil {
			return newest, fmt.Errorf("a checkpoint seen before: %w", err)
		}
		if older.Size == p.Old {
			if err := VerifyConsistency(older, newest, p.Hashes); err != nil {
				return newest, fmt.Errorf("%s: %w", SplitView, err)
			}
			return newest, nil
		}
	}
	return newest, errors.New("ledger: the proof is of consistency with a checkpoint that was not given: name one of its size with --seen")
}
