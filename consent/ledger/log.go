package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
)

// Log seals what the sequencer places: it holds the right edge of the tree and signs its checkpoints. It is safe
// for concurrent use; any number of nodes may hold one over one store, since each catches up with what the others
// placed.
type Log struct {
	key  *Key
	kept *Kept // nil: none

	mu   sync.Mutex
	edge *compact.Range // of entries known to be committed; nil until the first Seal
	// What was sealed last. It was committed if the ledger's newest checkpoint is this one, because a checkpoint is
	// committed together with the places that it is of.
	sealed *compact.Range
	signed []byte
}

// NewLog is a log that signs with the key.
func NewLog(key *Key) *Log { return &Log{key: key} }

// ErrOlder says that a store holds less, or other, than a checkpoint that was kept outside.
var ErrOlder = errors.New("ledger: the store is older than the last published checkpoint, or not the one that it is of")

// Open reads the ledger before anything is signed, and refuses one that was cut back, whose places and newest checkpoint
// do not fit each other, or whose tree is not the one that was signed. kept, if given, holds the newest checkpoint
// outside the store: the tree must begin with that one (ErrOlder), and every later checkpoint goes there.
func (l *Log) Open(ctx context.Context, src Source, kept *Kept) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	census := Census{Last: -1}
	if counted, ok := src.(Counted); ok {
		var err error
		if census, err = counted.Census(ctx); err != nil {
			return fmt.Errorf("ledger: counting: %w", err)
		}
	}
	var outside Checkpoint
	if kept != nil {
		outside = kept.Newest()
	}
	// What other nodes place meanwhile comes after the census: the newest checkpoint can only be larger than it says.
	signed, err := Latest(ctx, src)
	if err != nil {
		return fmt.Errorf("ledger: the newest checkpoint: %w", err)
	}
	var newest Checkpoint
	if signed != nil {
		if newest, err = OpenCheckpoint(signed, l.key.Verifier()); err != nil {
			return fmt.Errorf("ledger: the newest checkpoint in the store: %w: gateway verify tells more", err)
		}
	}
	switch {
	case newest.Size < outside.Size:
		return fmt.Errorf("%w: %s is of %d entries, the store's newest checkpoint of %d; gateway verify tells more, and who put an older store back on purpose takes that file away", ErrOlder, kept.Path(), outside.Size, newest.Size)
	case census.First < 0 || census.Last >= newest.Size:
		return fmt.Errorf("ledger: places %d to %d are taken, but the newest checkpoint is of %d entries: gateway verify tells more", census.First, census.Last, newest.Size)
	}
	edge := ranges.NewEmptyRange(0)
	for _, c := range []struct {
		Checkpoint
		err error
	}{{outside, ErrOlder}, {newest, errors.New("ledger: the entries in the store are not those that its newest checkpoint signs")}} {
		if c.Size == 0 {
			continue
		}
		if err := extend(ctx, edge, src, c.Size); err != nil {
			return fmt.Errorf("%w: gateway verify tells more", err)
		}
		root, err := rootHash(edge)
		if err != nil {
			return err
		}
		if root != c.Root {
			return fmt.Errorf("%w (at %d entries); gateway verify tells more", c.err, c.Size)
		}
	}
	l.edge, l.kept = edge, kept
	return nil
}

// Committed tells the log that what it sealed last is durable in the store. It need not be told; what it is told of, it
// keeps outside, and does not look up again.
func (l *Log) Committed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sealed == nil {
		return
	}
	l.edge = l.sealed
	if l.kept != nil {
		l.kept.keep(l.signed, int64(l.edge.End()))
	}
	l.sealed, l.signed = nil, nil
}

// Seal makes the checkpoint of the tree after entries were appended at size; it is a store.Seal. Entries just sealed
// count only once the ledger's newest checkpoint is theirs, or once they are read back, so a transaction that failed
// leaves nothing behind.
//
// It refuses to sign when the ledger is smaller than it was, and at its first call when the newest checkpoint is not
// of the tree that the entries make or not signed by its key: signing on would hide what happened.
func (l *Log) Seal(ctx context.Context, src Source, size int64, entries []Entry) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.edge == nil {
		edge, err := l.restore(ctx, src, size)
		if err != nil {
			return nil, err
		}
		l.edge = edge
	}
	if err := l.settle(ctx, src, size); err != nil {
		return nil, fmt.Errorf("ledger: not sealed: %w", err)
	}
	if had := int64(l.edge.End()); had > size {
		return nil, fmt.Errorf("ledger: not sealed: the ledger held %d entries and now holds %d", had, size)
	}
	next := copyRange(l.edge)
	if err := extend(ctx, next, src, size); err != nil {
		return nil, fmt.Errorf("ledger: not sealed: %w", err)
	}
	l.edge = copyRange(next)
	for i := range entries {
		if err := next.Append(leafHash(entries[i].Chain), nil); err != nil {
			return nil, fmt.Errorf("ledger: not sealed: %w", err)
		}
	}
	root, err := rootHash(next)
	if err != nil {
		return nil, fmt.Errorf("ledger: not sealed: %w", err)
	}
	signed, err := l.key.sign(int64(next.End()), root)
	if err != nil {
		return nil, err
	}
	l.sealed, l.signed = next, signed
	return signed, nil
}

// settle moves the edge over what was sealed last when it was committed, so that it need not be read back. Looking at
// the newest checkpoint is cheap only where it is kept at hand.
func (l *Log) settle(ctx context.Context, src Source, size int64) error {
	sealed, signed := l.sealed, l.signed
	l.sealed, l.signed = nil, nil
	indexed, ok := src.(Indexed)
	if sealed == nil || !ok || int64(sealed.End()) != size {
		return nil
	}
	latest, err := indexed.Latest(ctx)
	if err == nil && bytes.Equal(latest, signed) {
		l.edge = sealed
	}
	return err
}

// restore builds the edge from the committed entries and compares it with the newest checkpoint.
func (l *Log) restore(ctx context.Context, src Source, size int64) (*compact.Range, error) {
	edge := ranges.NewEmptyRange(0)
	if err := extend(ctx, edge, src, size); err != nil {
		return nil, fmt.Errorf("ledger: not sealed: %w", err)
	}
	signed, err := Latest(ctx, src)
	if err != nil {
		return nil, fmt.Errorf("ledger: not sealed: %w", err)
	}
	if signed == nil && size == 0 {
		return edge, nil
	}
	if signed == nil {
		return nil, errors.New("ledger: not sealed: entries have places but there is no checkpoint")
	}
	c, err := OpenCheckpoint(signed, l.key.Verifier())
	if err != nil {
		return nil, fmt.Errorf("ledger: not sealed: newest checkpoint: %w", err)
	}
	root, err := rootHash(edge)
	if err != nil {
		return nil, fmt.Errorf("ledger: not sealed: %w", err)
	}
	if c.Size != size || c.Root != root {
		return nil, fmt.Errorf("ledger: not sealed: the newest checkpoint is of %d entries that are not the %d of the ledger: verify it", c.Size, size)
	}
	return edge, nil
}

var ranges = &compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}

// leafHash is the RFC 6962 hash of a leaf. Its data is an entry's chain value, not its commitment alone: so the root is
// over the node, the count and the entry before as well, and nobody can give an entry another name by chaining anew.
func leafHash(chain [32]byte) []byte {
	var leaf [33]byte // RFC 6962 § 2.1: 0x00 ‖ data
	copy(leaf[1:], chain[:])
	sum := sha256.Sum256(leaf[:])
	return sum[:]
}

// extend appends the entries of src from the range's end up to size.
func extend(ctx context.Context, r *compact.Range, src Source, size int64) error {
	for c, err := range leafData(ctx, src, int64(r.End()), size) {
		if err != nil {
			return err
		}
		if err := r.Append(leafHash(c), nil); err != nil {
			return err
		}
	}
	return nil
}

func copyRange(r *compact.Range) *compact.Range {
	c, err := ranges.NewRange(r.Begin(), r.End(), slices.Clone(r.Hashes()))
	if err != nil {
		panic("ledger: a range that cannot be copied: " + err.Error()) // the hashes fit: they are the range's own
	}
	return c
}

func rootHash(r *compact.Range) ([32]byte, error) {
	if r.End() == 0 {
		return [32]byte(rfc6962.DefaultHasher.EmptyRoot()), nil
	}
	root, err := r.GetRootHash(nil)
	if err != nil {
		return [32]byte{}, err
	}
	return [32]byte(root), nil
}
