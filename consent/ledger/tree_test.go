package ledger

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"
)

// second is the tree of the same leaves in another implementation, golang.org/x/mod/sumdb/tlog.
type second []tlog.Hash

func (s *second) add(t require.TestingT, commitment [32]byte, n int64) {
	hashes, err := tlog.StoredHashes(n, commitment[:], s)
	require.NoError(t, err)
	*s = append(*s, hashes...)
}

func (s *second) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		out[i] = (*s)[x]
	}
	return out, nil
}

// leaves is a ledger of n places with nothing but commitments.
func leaves(n int) *memory {
	m := new(memory)
	for i := range n {
		e := NewEntry("a", int64(i+1), [32]byte{}, nil, []byte{byte(i), byte(i >> 8)})
		e.Seq = int64(i)
		m.placed = append(m.placed, e)
	}
	return m
}

// TestProofsAgreeWithASecondImplementation proves with Tree, verifies with x/mod's tlog, and the other way round.
func TestProofsAgreeWithASecondImplementation(t *testing.T) {
	const n = 1500
	m := leaves(n)
	var other second
	for i, e := range m.placed {
		other.add(t, e.Chain, int64(i))
	}
	ctx := context.Background()
	for name, src := range map[string]Source{"walking": m, "indexed": indexed{m}} {
		t.Run(name, func(t *testing.T) {
			tree := NewTree(src)
			rapid.Check(t, func(t *rapid.T) {
				size := rapid.Int64Range(1, n).Draw(t, "size")
				seq := rapid.Int64Range(0, size-1).Draw(t, "seq")
				old := rapid.Int64Range(1, size).Draw(t, "old")
				root, err := tree.Root(ctx, size)
				require.NoError(t, err)
				wantRoot, err := tlog.TreeHash(size, &other)
				require.NoError(t, err)
				require.Equal(t, [32]byte(wantRoot), root)
				oldRoot, err := tree.Root(ctx, old)
				require.NoError(t, err)

				inclusion, err := tree.Inclusion(ctx, seq, size)
				require.NoError(t, err)
				var theirs tlog.RecordProof
				for _, h := range inclusion {
					theirs = append(theirs, tlog.Hash(h))
				}
				require.NoError(t, tlog.CheckRecord(theirs, size, wantRoot, seq, tlog.RecordHash(m.placed[seq].Chain[:])))
				theirs, err = tlog.ProveRecord(size, seq, &other)
				require.NoError(t, err)
				c := Checkpoint{Size: size, Root: root}
				require.NoError(t, VerifyInclusion(c, seq, m.placed[seq].Chain, hashesOf(theirs)))

				consistency, err := tree.Consistency(ctx, old, size)
				require.NoError(t, err)
				var grown tlog.TreeProof
				for _, h := range consistency {
					grown = append(grown, tlog.Hash(h))
				}
				require.NoError(t, tlog.CheckTree(grown, size, wantRoot, old, tlog.Hash(oldRoot)))
				require.NoError(t, VerifyConsistency(Checkpoint{Size: old, Root: oldRoot}, c, consistency))

				// What does not hold is not proved.
				wrong := m.placed[seq].Chain
				wrong[0] ^= 1
				require.Error(t, VerifyInclusion(c, seq, wrong, inclusion))
				require.Error(t, VerifyInclusion(c, size, m.placed[seq].Chain, inclusion))
				wrong = oldRoot
				wrong[0] ^= 1
				require.Error(t, VerifyConsistency(Checkpoint{Size: old, Root: wrong}, c, consistency))
			})
		})
	}
}

func hashesOf(p []tlog.Hash) (out [][]byte) {
	for _, h := range p {
		out = append(out, slices.Clone(h[:]))
	}
	return out
}

func TestTreeOfNothing(t *testing.T) {
	tree := NewTree(new(memory))
	root, err := tree.Root(context.Background(), 0)
	require.NoError(t, err)
	// SHA-256 of nothing (RFC 6962 § 2.1)
	require.Equal(t, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", base64.StdEncoding.EncodeToString(root[:]))
	require.NoError(t, VerifyConsistency(Checkpoint{}, Checkpoint{Size: 5}, nil))
}

func TestTreeEndsWhereTheLedgerEnds(t *testing.T) {
	tree := NewTree(leaves(300))
	ctx := context.Background()
	for _, f := range []func() error{
		func() error { _, err := tree.Root(ctx, 301); return err },
		func() error { _, err := tree.Root(ctx, 512); return err },
		func() error { _, err := tree.Root(ctx, -1); return err },
		func() error { _, err := tree.Inclusion(ctx, 300, 300); return err },
		func() error { _, err := tree.Inclusion(ctx, 5, 301); return err },
		func() error { _, err := tree.Inclusion(ctx, -1, 300); return err },
		func() error { _, err := tree.Consistency(ctx, 300, 299); return err },
		func() error { _, err := tree.Tile(ctx, 0, 1, 45); return err },
		func() error { _, err := tree.Tile(ctx, 0, 1, 0); return err },
		func() error { _, err := tree.Tile(ctx, 0, 0, 257); return err },
		func() error { _, err := tree.Tile(ctx, 0, -1, 1); return err },
		func() error { _, err := tree.Tile(ctx, 1, 0, 2); return err },
		func() error { _, err := tree.Tile(ctx, 7, 1<<40, 1); return err },
		func() error { _, err := tree.Tile(ctx, 8, 0, 1); return err },
		func() error { _, err := tree.Bundle(ctx, 1, 45); return err },
		func() error { _, err := tree.Bundle(ctx, 2, 1); return err },
	} {
		require.ErrorIs(t, f(), ErrOutside)
	}
}

// TestTilesAgreeWithASecondImplementation reads a whole tree through tiles with x/mod's tlog, as a C2SP client does.
func TestTilesAgreeWithASecondImplementation(t *testing.T) {
	const n = 70_000 // three levels
	m := leaves(n)
	ctx := context.Background()
	tree := NewTree(indexed{m})
	root, err := tree.Root(ctx, n)
	require.NoError(t, err)
	reader := tlog.TileHashReader(tlog.Tree{N: n, Hash: root}, &tiles{tree})
	for _, seq := range []int64{0, 255, 256, 65_535, 65_536, n - 1} {
		h, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, seq)})
		require.NoError(t, err)
		require.Equal(t, tlog.RecordHash(m.placed[seq].Chain[:]), h[0])
		p, err := tlog.ProveRecord(n, seq, reader)
		require.NoError(t, err)
		require.NoError(t, VerifyInclusion(Checkpoint{Size: n, Root: root}, seq, m.placed[seq].Chain, hashesOf(p)))
	}
	bundle, err := tree.Bundle(ctx, 1, 256)
	require.NoError(t, err)
	require.Len(t, bundle, 256*34)
	require.Equal(t, append([]byte{0, 32}, m.placed[256].Chain[:]...), bundle[:34])
}

type tiles struct{ tree *Tree }

func (t *tiles) Height() int { return tileHeight }
func (t *tiles) ReadTiles(want []tlog.Tile) ([][]byte, error) {
	out := make([][]byte, len(want))
	for i, w := range want {
		var err error
		if out[i], err = t.tree.Tile(context.Background(), w.L, w.N, w.W); err != nil {
			return nil, err
		}
	}
	return out, nil
}
func (t *tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func TestProofText(t *testing.T) {
	m, key := written(t, 57)
	ctx := context.Background()
	tree := NewTree(m)
	signed := m.checkpoints[5]
	c, err := OpenCheckpoint(signed, key.Verifier())
	require.NoError(t, err)
	require.EqualValues(t, 57, c.Size)
	hashes, err := tree.Inclusion(ctx, 20, c.Size)
	require.NoError(t, err)
	e := m.placed[20]
	text := (&Proof{Node: e.Node, Count: e.Count, Prev: e.Prev, Salt: e.Salt, Canonical: e.Canonical, Seq: 20, Hashes: hashes, Checkpoint: signed}).Text()
	require.True(t, strings.HasPrefix(string(text), "c2sp.org/tlog-proof@v1\nextra "))

	p, err := ParseProof(text)
	require.NoError(t, err)
	r, err := p.Verify(key.Verifier())
	require.NoError(t, err)
	require.Equal(t, "record-20", r.ID)

	other, err := NewKey(Origin)
	require.NoError(t, err)
	_, err = p.Verify(other.Verifier())
	require.ErrorIs(t, err, ErrWrongKey)
	p.Canonical = forged(e, toDeny)
	_, err = p.Verify(key.Verifier())
	require.Error(t, err)
	p.Canonical, p.Seq = e.Canonical, 21
	_, err = p.Verify(key.Verifier())
	require.Error(t, err)

	for _, bad := range []string{
		"", "c2sp.org/tlog-proof@v1\n\n", strings.Replace(string(text), "@v1", "@v2", 1),
		strings.Replace(string(text), "index 20", "index 020", 1), strings.Replace(string(text), "extra ", "extra !", 1),
	} {
		_, err := ParseProof([]byte(bad))
		require.Error(t, err)
	}
}

// fixedKey is a key that is the same in every process of a fuzzing run.
func fixedKey(t require.TestingT) *Key {
	seed := make([]byte, ed25519.SeedSize)
	public, err := note.NewEd25519VerifierKey(Origin, ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey))
	require.NoError(t, err)
	hash, _, _ := strings.Cut(strings.TrimPrefix(public, Origin+"+"), "+")
	key, err := parseKey("PRIVATE+KEY+" + Origin + "+" + hash + "+" + base64.StdEncoding.EncodeToString(append([]byte{1}, seed...)))
	require.NoError(t, err)
	return key
}

func FuzzParseProof(f *testing.F) {
	key, m := fixedKey(f), new(memory)
	for i := range 12 {
		e := NewEntry("a", int64(i+1), [32]byte{}, make([]byte, SaltSize), (&Record{ID: fmt.Sprintf("record-%d", i), Time: at(i)}).Canonical())
		e.Seq = int64(i)
		m.placed = append(m.placed, e)
	}
	tree := NewTree(m)
	root, err := tree.Root(context.Background(), 12)
	require.NoError(f, err)
	signed, err := key.sign(12, root)
	require.NoError(f, err)
	hashes, err := tree.Inclusion(context.Background(), 3, 12)
	require.NoError(f, err)
	e := m.placed[3]
	text := (&Proof{Node: e.Node, Count: e.Count, Prev: e.Prev, Salt: e.Salt, Canonical: e.Canonical, Seq: 3, Hashes: hashes, Checkpoint: signed}).Text()
	p, err := ParseProof(text)
	require.NoError(f, err)
	_, err = p.Verify(key.Verifier())
	require.NoError(f, err)
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := ParseProof(text)
		if err != nil {
			return
		}
		require.Equal(t, string(text), string(p.Text()), "one proof, one text")
		if r, err := p.Verify(key.Verifier()); err == nil {
			require.Equal(t, "record-3", r.ID)
		}
	})
}

func FuzzParseRecord(f *testing.F) {
	f.Add(readPermit().Canonical())
	f.Add([]byte(`{"v":1,"time":"2026-01-01T00:00:00.000Z"}`))
	f.Fuzz(func(t *testing.T, canonical []byte) {
		r, err := ParseRecord(canonical)
		if err != nil {
			return
		}
		again, err := ParseRecord(r.Canonical())
		require.NoError(t, err)
		require.Equal(t, string(r.Canonical()), string(again.Canonical()))
	})
}

func TestOpenCheckpoint(t *testing.T) {
	key, err := NewKey(Origin)
	require.NoError(t, err)
	signed, err := key.sign(3, [32]byte{7})
	require.NoError(t, err)
	c, err := OpenCheckpoint(signed, key.Verifier())
	require.NoError(t, err)
	require.Equal(t, Checkpoint{Origin: Origin, Size: 3, Root: [32]byte{7}}, c)
	require.True(t, strings.HasPrefix(string(signed), "sotesilta.example/ledger\n3\nBwAAAA"))

	// A witness may sign beside.
	witness, err := NewKey("witness.example")
	require.NoError(t, err)
	n, err := note.Open(signed, note.VerifierList(must(note.NewVerifier(key.Verifier()))))
	require.NoError(t, err)
	both, err := note.Sign(n, witness.signer)
	require.NoError(t, err)
	_, err = OpenCheckpoint(both, key.Verifier())
	require.NoError(t, err)

	// A key that signs another ledger's tree in its own name does not speak for this one.
	foreign, err := note.Sign(&note.Note{Text: "other.example/ledger\n3\n" + base64.StdEncoding.EncodeToString(make([]byte, 32)) + "\n"}, key.signer)
	require.NoError(t, err)
	_, err = OpenCheckpoint(foreign, key.Verifier())
	require.ErrorIs(t, err, ErrWrongKey)

	for _, text := range []string{
		Origin + "\n3\n", Origin + "\n03\n" + base64.StdEncoding.EncodeToString(make([]byte, 32)) + "\n",
		Origin + "\n-3\n" + base64.StdEncoding.EncodeToString(make([]byte, 32)) + "\n", Origin + "\n3\nAAAA\n",
	} {
		bad, err := note.Sign(&note.Note{Text: text}, key.signer)
		require.NoError(t, err)
		_, err = OpenCheckpoint(bad, key.Verifier())
		require.ErrorIs(t, err, ErrNotCheckpoint, text)
	}
	_, err = OpenCheckpoint(make([]byte, maxCheckpoint+1), key.Verifier())
	require.ErrorIs(t, err, ErrNotCheckpoint)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// broken is a ledger whose store fails while leaves are read, as when a request is out of time.
type broken struct {
	indexed
	after int64
}

var errTime = errors.New("out of time")

func (b *broken) Leaves(ctx context.Context, from, to int64) iter.Seq2[[32]byte, error] {
	return func(yield func([32]byte, error) bool) {
		for i := from; i < min(to, b.after); i++ {
			if !yield([32]byte{}, nil) {
				return
			}
		}
		yield([32]byte{}, errTime)
	}
}

// TestProofWhileTheStoreFails: a failing store is an error that names it, wherever in a tile it fails, and no panic.
func TestProofWhileTheStoreFails(t *testing.T) {
	for _, after := range []int64{0, 1, 255, 256, 299} {
		_, err := NewTree(&broken{indexed{leaves(300)}, after}).Inclusion(t.Context(), 7, 300)
		if !errors.Is(err, errTime) {
			t.Errorf("after %d leaves: %v", after, err)
		}
	}
}
