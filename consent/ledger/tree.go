package ledger

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
)

// Tiles of the tree (C2SP tlog-tiles): 2^8 hashes wide.
const (
	tileHeight = 8
	// TileWidth is how many hashes a full tile holds, and how many entries a full bundle.
	TileWidth = 1 << tileHeight
	maxLevel  = 63
)

// ErrOutside says that a proof or tile reaches beyond the tree.
var ErrOutside = errors.New("ledger: outside the tree")

// Tree proves what is in the ledger and serves its tiles. It keeps one hash for each 256 entries and what lies above
// them (about 64 bytes for 256 entries), and reads the leaves below from the source when they are needed.
// It is safe for concurrent use.
type Tree struct {
	src Source

	mu sync.Mutex
	// above[i] holds the hashes of the complete subtrees of level tileHeight+i. The ledger only grows, so what is
	// here stays true.
	above [][][]byte
}

// NewTree is the tree over the sequenced entries of src.
func NewTree(src Source) *Tree { return &Tree{src: src} }

// Root is the root of the tree of the first size entries.
func (t *Tree) Root(ctx context.Context, size int64) ([32]byte, error) {
	if size < 0 {
		return [32]byte{}, ErrOutside
	}
	hashes, err := t.hashes(ctx, size, compact.RangeNodes(0, uint64(size), nil))
	if err != nil {
		return [32]byte{}, err
	}
	r, err := ranges.NewRange(0, uint64(size), hashes)
	if err != nil {
		return [32]byte{}, err
	}
	return rootHash(r)
}

// Inclusion is the proof that the entry at place seq is in the tree of the first size entries (RFC 6962 § 2.1.1).
func (t *Tree) Inclusion(ctx context.Context, seq, size int64) ([][]byte, error) {
	if seq < 0 || size <= seq {
		return nil, ErrOutside
	}
	nodes, err := proof.Inclusion(uint64(seq), uint64(size))
	if err != nil {
		return nil, err
	}
	return t.prove(ctx, size, nodes)
}

// Consistency is the proof that the tree of the first size entries begins with the tree of the first old (RFC 6962
// § 2.1.2).
func (t *Tree) Consistency(ctx context.Context, old, size int64) ([][]byte, error) {
	if old < 0 || size < old {
		return nil, ErrOutside
	}
	nodes, err := proof.Consistency(uint64(old), uint64(size))
	if err != nil {
		return nil, err
	}
	return t.prove(ctx, size, nodes)
}

func (t *Tree) prove(ctx context.Context, size int64, nodes proof.Nodes) ([][]byte, error) {
	hashes, err := t.hashes(ctx, size, nodes.IDs)
	if err != nil {
		return nil, err
	}
	return nodes.Rehash(hashes, rfc6962.DefaultHasher.HashChildren)
}

// VerifyInclusion says whether the proof shows that the leaf data (Entry.Chain) is at place seq of the tree of a
// checkpoint.
func VerifyInclusion(c Checkpoint, seq int64, leaf [32]byte, hashes [][]byte) error {
	if seq < 0 || c.Size <= seq {
		return ErrOutside
	}
	err := proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(seq), uint64(c.Size), leafHash(leaf), hashes, c.Root[:])
	if err != nil {
		return fmt.Errorf("ledger: what the proof holds is not what lies at place %d of the tree of %d entries that was signed", seq, c.Size)
	}
	return nil
}

// VerifyConsistency says whether the proof shows that the tree of newer begins with the tree of older.
func VerifyConsistency(older, newer Checkpoint, hashes [][]byte) error {
	if older.Size < 0 || newer.Size < older.Size {
		return ErrOutside
	}
	if older.Size == 0 { // every tree begins with the empty one (RFC 6962 § 2.1.2)
		if len(hashes) != 0 {
			return errors.New("ledger: a proof from the empty tree holds no hashes")
		}
		return nil
	}
	err := proof.VerifyConsistency(rfc6962.DefaultHasher, uint64(older.Size), uint64(newer.Size), hashes, older.Root[:], newer.Root[:])
	if err != nil {
		return fmt.Errorf("ledger: the tree of %d entries is not proved to begin with that of %d", newer.Size, older.Size)
	}
	return nil
}

// Tile is the tile of a level (0 is the leaves' hashes, 1 every 256th above them, …) at index, of which the first
// width hashes (1 to 256) are wanted, one after another (C2SP tlog-tiles). The caller names the width by the size
// of the newest checkpoint; ErrOutside when the ledger does not hold so many.
func (t *Tree) Tile(ctx context.Context, level int, index int64, width int) ([]byte, error) {
	if level < 0 || level*tileHeight > maxLevel || index < 0 || width < 1 || width > TileWidth {
		return nil, ErrOutside
	}
	height := uint(level * tileHeight)
	first := index * TileWidth
	last := first + int64(width)
	if first < 0 || first/TileWidth != index || last > (1<<62)>>height {
		return nil, ErrOutside
	}
	ids := make([]compact.NodeID, width)
	for i := range ids {
		ids[i] = compact.NewNodeID(height, uint64(first)+uint64(i))
	}
	hashes, err := t.hashes(ctx, last<<height, ids)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, width*32)
	for _, h := range hashes {
		out = append(out, h...)
	}
	return out, nil
}

// Bundle is the entries of the tile at index of level 0, each as its length in two bytes and its chain value, the data
// under its leaf (C2SP tlog-tiles, log entries). It is made of salted commitments: it tells nothing of the records.
func (t *Tree) Bundle(ctx context.Context, index int64, width int) ([]byte, error) {
	if index < 0 || index > 1<<48 || width < 1 || width > TileWidth {
		return nil, ErrOutside
	}
	out := make([]byte, 0, width*34)
	for c, err := range leafData(ctx, t.src, index*TileWidth, index*TileWidth+int64(width)) {
		if err != nil {
			return nil, errors.Join(ErrOutside, err)
		}
		out = binary.BigEndian.AppendUint16(out, uint16(len(c)))
		out = append(out, c[:]...)
	}
	return out, nil
}

// hashes finds the hashes of complete subtrees of the tree of size entries.
func (t *Tree) hashes(ctx context.Context, size int64, ids []compact.NodeID) ([][]byte, error) {
	out := make([][]byte, len(ids))
	tiles := map[uint64][][]byte{} // level-0 tiles read for this answer, by index
	for i, id := range ids {
		if _, end := id.Coverage(); end > uint64(size) {
			return nil, ErrOutside
		}
		if id.Level >= tileHeight {
			h, err := t.node(ctx, id)
			if err != nil {
				return nil, err
			}
			out[i] = h
			continue
		}
		tile := id.Index >> (tileHeight - id.Level)
		if tiles[tile] == nil {
			from := int64(tile) * TileWidth
			read, err := t.tile(ctx, from, min(from+TileWidth, size))
			if err != nil {
				return nil, err
			}
			tiles[tile] = read
		}
		begin, end := id.Coverage()
		out[i] = subtree(tiles[tile][begin-tile*TileWidth : end-tile*TileWidth])
	}
	return out, nil
}

// tile reads the leaf hashes of the places [from, to).
func (t *Tree) tile(ctx context.Context, from, to int64) ([][]byte, error) {
	out := make([][]byte, 0, to-from)
	for c, err := range leafData(ctx, t.src, from, to) {
		if err != nil {
			return nil, errors.Join(ErrOutside, err)
		}
		out = append(out, leafHash(c))
	}
	return out, nil
}

// node is the hash of a subtree of at least a tile, after growing the tree to hold it.
func (t *Tree) node(ctx context.Context, id compact.NodeID) ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, end := id.Coverage()
	if err := t.grow(ctx, int64(end/TileWidth)); err != nil {
		return nil, err
	}
	return t.above[id.Level-tileHeight][id.Index], nil
}

// grow reads the tiles that were not read yet, up to the number given.
func (t *Tree) grow(ctx context.Context, tiles int64) error {
	if len(t.above) == 0 {
		t.above = make([][][]byte, 1, 16)
	}
	read := int64(len(t.above[0]))
	if tiles <= read {
		return nil
	}
	tile := make([][]byte, 0, TileWidth)
	for c, err := range leafData(ctx, t.src, read*TileWidth, tiles*TileWidth) {
		if err != nil {
			return errors.Join(ErrOutside, err)
		}
		if tile = append(tile, leafHash(c)); len(tile) == TileWidth {
			t.push(subtree(tile))
			tile = tile[:0]
		}
	}
	return nil
}

// push appends the hash of a full tile and of the subtrees that it completes.
func (t *Tree) push(hash []byte) {
	for i := 0; ; i++ {
		if i == len(t.above) {
			t.above = append(t.above, nil)
		}
		t.above[i] = append(t.above[i], hash)
		n := len(t.above[i])
		if n%2 == 1 {
			return
		}
		hash = rfc6962.DefaultHasher.HashChildren(t.above[i][n-2], t.above[i][n-1])
	}
}

// subtree is the root of a complete subtree of a power of two of hashes.
func subtree(hashes [][]byte) []byte {
	if len(hashes) == 1 {
		return hashes[0]
	}
	half := len(hashes) / 2
	return rfc6962.DefaultHasher.HashChildren(subtree(hashes[:half]), subtree(hashes[half:]))
}
