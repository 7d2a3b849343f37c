package ledger

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSealAfterFailedTransactions: what was sealed but never committed leaves no trace, whoever seals next.
func TestSealAfterFailedTransactions(t *testing.T) {
	for _, index := range []bool{false, true} {
		t.Run(fmt.Sprintf("index %v", index), func(t *testing.T) { sealAfterFailures(t, &memory{index: index}) })
	}
}

func sealAfterFailures(t *testing.T, m *memory) {
	key, err := NewKey(Origin)
	require.NoError(t, err)
	nodes := []*Log{NewLog(key), NewLog(key)}
	for i := range 200 {
		m.write("a", sample(i))
		m.write("b", sample(1000+i))
		if i%3 == 0 {
			m.sequence(t, nodes[0], 3, true)                        // lost
			m.pending[0], m.pending[1] = m.pending[1], m.pending[0] // others take another order
			m.sequence(t, nodes[i/3%2], 3, false)
			m.sequence(t, nodes[1], 4, true)
			m.sequence(t, nodes[0], 4, false)
		}
	}
	// The order within a node was kept only by chance above; only the tree is looked at here.
	r := verified(t, m, key)
	for _, f := range r.Findings {
		require.NotEqual(t, Rewritten, f.Kind, f)
	}
	require.EqualValues(t, len(m.checkpoints), r.Checkpoints)
}

// TestSealReadsNothingBackThatItSealed: one sequencer that goes on undisturbed never reads a leaf again.
func TestSealReadsNothingBackThatItSealed(t *testing.T) {
	key, err := NewKey(Origin)
	require.NoError(t, err)
	m, log := &memory{index: true}, NewLog(key)
	for i := range 100 {
		m.write("a", sample(i))
		m.sequence(t, log, 7, false)
	}
	require.Zero(t, m.read)
	m.write("a", sample(100))
	m.sequence(t, NewLog(key), 7, false) // another
	m.write("a", sample(101))
	m.sequence(t, log, 7, false)
	require.Equal(t, 100+2, m.read, "what others placed is read, and the batch that they came after")
	require.True(t, verified(t, m, key).OK())
}

func TestSealRefuses(t *testing.T) {
	ctx := context.Background()
	m, key := written(t, 57)
	other, err := NewKey(Origin)
	require.NoError(t, err)

	t.Run("a ledger that became smaller", func(t *testing.T) {
		log := NewLog(key)
		_, err := log.Seal(ctx, m, 57, m.pending)
		require.NoError(t, err)
		cut := m.clone()
		cut.placed, cut.checkpoints = cut.placed[:50], cut.checkpoints[:5]
		_, err = log.Seal(ctx, cut, 50, m.pending)
		require.ErrorContains(t, err, "held 57 entries and now holds 50")
	})
	t.Run("a ledger that is not what was signed", func(t *testing.T) {
		changed := m.clone()
		changed.placed[20].Chain[0] ^= 1
		_, err := NewLog(key).Seal(ctx, changed, 57, m.pending)
		require.ErrorContains(t, err, "newest checkpoint")
	})
	t.Run("a ledger that another key signed", func(t *testing.T) {
		_, err := NewLog(other).Seal(ctx, m, 57, m.pending)
		require.ErrorIs(t, err, ErrWrongKey)
	})
	t.Run("places without a checkpoint", func(t *testing.T) {
		bare := m.clone()
		bare.checkpoints = nil
		_, err := NewLog(key).Seal(ctx, bare, 57, m.pending)
		require.ErrorContains(t, err, "no checkpoint")
	})
	t.Run("a size that is not there", func(t *testing.T) {
		_, err := NewLog(key).Seal(ctx, m, 58, m.pending)
		require.ErrorContains(t, err, "place 57 is missing")
	})
}

func TestSealIsAlikeWithAndWithoutIndex(t *testing.T) {
	m, key := written(t, 57)
	plain, err := NewLog(key).Seal(context.Background(), m, 57, m.pending)
	require.NoError(t, err)
	fast, err := NewLog(key).Seal(context.Background(), indexed{m}, 57, m.pending)
	require.NoError(t, err)
	require.Equal(t, string(plain), string(fast))
}

func TestKeyFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	_, err := LoadKey(dir)
	require.ErrorIs(t, err, fs.ErrNotExist)

	key, err := NewKey("county.example/ledger")
	require.NoError(t, err)
	require.NoError(t, key.Save(dir))
	loaded, err := LoadKey(dir)
	require.NoError(t, err)
	require.Equal(t, key.private, loaded.private)
	require.NotContains(t, fmt.Sprintf("%v %+v %#v", loaded, *loaded, loaded), "PRIVATE", "a key never prints its secret")
	require.Equal(t, "county.example/ledger", loaded.Origin())
	pinned, err := LoadVerifierKey(dir)
	require.NoError(t, err)
	require.Equal(t, key.Verifier(), pinned)

	for name, mode := range map[string]fs.FileMode{"ledger.key": 0o600, "ledger.pub": 0o644} {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode().Perm(), name)
	}
	other, err := NewKey("county.example/ledger")
	require.NoError(t, err)
	require.ErrorIs(t, other.Save(dir), fs.ErrExist)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 2, "nothing is left beside")

	require.NoError(t, os.Chmod(filepath.Join(dir, "ledger.key"), 0o640))
	_, err = LoadKey(dir)
	require.ErrorContains(t, err, "0600")
	require.NoError(t, os.Chmod(filepath.Join(dir, "ledger.key"), 0o600))

	require.NoError(t, os.WriteFile(filepath.Join(dir, "ledger.pub"), []byte(other.Verifier()), 0o644))
	_, err = LoadKey(dir)
	require.ErrorContains(t, err, "not the public half")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "ledger.key"), []byte("PRIVATE+KEY+nonsense"), 0o600))
	_, err = LoadKey(dir)
	require.Error(t, err)
	require.NotContains(t, err.Error(), "nonsense", "a secret never shows in an error")
}

func BenchmarkSeal(b *testing.B) {
	m, key := written(b, 5000)
	log := NewLog(key)
	batch := m.placed[:256]
	b.ResetTimer()
	for b.Loop() {
		if _, err := log.Seal(context.Background(), indexed{m}, 5000, batch); err != nil {
			b.Fatal(err)
		}
	}
}
