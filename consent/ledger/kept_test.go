package ledger

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// counted offers a census beside, of what lies in the ledger and what a test adds.
type counted struct {
	*memory
	census func(*Census)
}

func (m counted) Census(context.Context) (Census, error) {
	c := Census{Last: int64(len(m.placed)) - 1, Nodes: map[string]int64{}, Used: true}
	for _, part := range [][]Entry{m.placed, m.pending} {
		for _, e := range part {
			c.Nodes[e.Node] = max(c.Nodes[e.Node], e.Count)
		}
	}
	if m.census != nil {
		m.census(&c)
	}
	return c, nil
}

// TestTheCensusLeavesNothingUnseen: what lies in a store's tables and is read by nothing is found.
func TestTheCensusLeavesNothingUnseen(t *testing.T) {
	good, key := written(t, 57)
	require.Empty(t, verified(t, counted{memory: good}, key).Findings)
	require.Empty(t, verified(t, counted{new(memory), func(c *Census) { c.Used = false }}, key).Findings, "a new store")
	for name, c := range map[string]struct {
		census func(*Census)
		kind   Kind
	}{
		"a place below the first":            {func(c *Census) { c.First = -1 }, Inserted},
		"a place without an entry":           {func(c *Census) { c.Last = 1000 }, Deleted},
		"a node that wrote nothing":          {func(c *Census) { c.Nodes["c"] = 0 }, Inserted},
		"a node whose entries nothing gives": {func(c *Census) { c.Nodes["c"] = 3 }, Inserted},
		"an entry after all that is given":   {func(c *Census) { c.Nodes["a"] += 5 }, Inserted},
		"a row of nothing":                   {func(c *Census) { c.Strays = []string{"entry 7 is of no node"} }, Inserted},
	} {
		t.Run(name, func(t *testing.T) {
			r := verified(t, counted{good, c.census}, key)
			require.Len(t, r.Findings, 1)
			require.Equal(t, c.kind, r.Findings[0].Kind)
		})
	}
	t.Run("a used store without a record", func(t *testing.T) {
		r := verified(t, counted{memory: new(memory)}, key)
		require.Len(t, r.Findings, 1)
		require.Equal(t, Deleted, r.Findings[0].Kind)
	})
}

func TestEntriesThatWaitTooLongAreFound(t *testing.T) {
	key, err := NewKey(Origin)
	require.NoError(t, err)
	m := new(memory)
	for i := range 40 {
		r := sample(i)
		r.Time = at(0).Add(time.Duration(i) * time.Minute)
		m.write("a", r)
	}
	r := verified(t, m, key)
	require.Len(t, r.Findings, 1, "all places and checkpoints were taken away")
	require.Equal(t, Unplaced, r.Findings[0].Kind)
	require.EqualValues(t, 1, r.Findings[0].Count)
}

// TestTheTreeIsOverNodesAndCounts: nobody gives an entry another node or count by chaining anew.
func TestTheTreeIsOverNodesAndCounts(t *testing.T) {
	m, key := written(t, 57)
	for _, part := range [][]Entry{m.placed, m.pending} {
		for i := range part {
			if part[i].Node == "a" {
				part[i].Node = "c"
			}
		}
	}
	rechain(m)
	r := verified(t, m, key)
	require.Len(t, r.Findings, 1)
	require.Equal(t, Rewritten, r.Findings[0].Kind)
}

// opened is a log over a ledger that keeps its checkpoints in a folder.
func opened(t testing.TB, m Source, key *Key, dir string) (*Log, *Kept, error) {
	t.Helper()
	kept, err := OpenKept(dir, key.Verifier(), func(err error) { t.Error(err) })
	require.NoError(t, err)
	log := NewLog(key)
	return log, kept, log.Open(t.Context(), m, kept)
}

func keptSize(t testing.TB, dir string, key *Key) int64 {
	t.Helper()
	signed, err := ReadKept(dir)
	require.NoError(t, err)
	c, err := OpenCheckpoint(signed, key.Verifier())
	require.NoError(t, err)
	return c.Size
}

// TestNoStoreOlderThanTheKeptCheckpointIsOpened: an older copy, a copy cut back and chained anew, another ledger.
func TestNoStoreOlderThanTheKeptCheckpointIsOpened(t *testing.T) {
	m, key := written(t, 57)
	dir := t.TempDir()
	log, kept, err := opened(t, m, key, dir)
	require.NoError(t, err, "nothing was kept yet")
	older := m.clone()
	m.sequence(t, log, 10, false)
	require.Zero(t, kept.Newest().Size, "what was sealed may yet be lost")
	log.Committed()
	require.NoError(t, kept.Close())
	require.EqualValues(t, 59, keptSize(t, dir, key))
	info, err := os.Stat(filepath.Join(dir, KeptFile))
	require.NoError(t, err)
	require.EqualValues(t, 0o600, info.Mode().Perm())

	_, _, err = opened(t, m, key, dir)
	require.NoError(t, err)
	_, _, err = opened(t, older, key, dir)
	require.ErrorIs(t, err, ErrOlder)
	require.ErrorContains(t, err, "59 entries, the store's newest checkpoint of 57")

	_, _, err = opened(t, new(memory), key, dir)
	require.ErrorIs(t, err, ErrOlder, "an empty store")

	forged := remake(t, m, key, func(i int, r *Record) {
		if i == 20 {
			toDeny(r)
		}
	})
	_, _, err = opened(t, forged, key, dir)
	require.ErrorIs(t, err, ErrOlder, "as many entries, but others")

	// What others sealed on top is no older.
	m.write("a", sample(100))
	m.sequence(t, NewLog(key), 10, false)
	_, _, err = opened(t, m, key, dir)
	require.NoError(t, err)
}

func TestOpenRefusesPlacesThatNoCheckpointSigns(t *testing.T) {
	m, key := written(t, 57)
	for name, change := range map[string]func(*memory, *Census){
		"a place far on":          func(_ *memory, c *Census) { c.Last = 1 << 40 },
		"a place below the first": func(_ *memory, c *Census) { c.First = -1 },
		"the newest gone":         func(m *memory, _ *Census) { m.checkpoints = m.checkpoints[:5] },
		"an entry gone":           func(m *memory, _ *Census) { m.placed = m.placed[:56] },
		"an entry changed":        func(m *memory, _ *Census) { m.placed[20].Chain[0] ^= 1 },
	} {
		t.Run(name, func(t *testing.T) {
			c := m.clone()
			err := NewLog(key).Open(t.Context(), counted{c, func(census *Census) { change(c, census) }}, nil)
			require.ErrorContains(t, err, "gateway verify tells more")
		})
	}
	other, err := NewKey(Origin)
	require.NoError(t, err)
	require.ErrorIs(t, NewLog(other).Open(t.Context(), m, nil), ErrWrongKey)
}

// TestNodesThatShareTheFolderKeepTheLargest: whoever writes last.
func TestNodesThatShareTheFolderKeepTheLargest(t *testing.T) {
	key, err := NewKey(Origin)
	require.NoError(t, err)
	dir := t.TempDir()
	var nodes []*Kept
	for range 4 {
		kept, err := OpenKept(dir, key.Verifier(), func(err error) { t.Error(err) })
		require.NoError(t, err)
		nodes = append(nodes, kept)
	}
	var all sync.WaitGroup
	for i, kept := range nodes {
		all.Go(func() {
			for size := int64(1 + i); size <= 400; size += 7 {
				signed, err := key.sign(size, [32]byte{byte(size)})
				require.NoError(t, err)
				kept.keep(signed, size)
				require.NoError(t, kept.write())
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 400, keptSize(t, dir, key)) // 1 + 7·57 = 400
	for _, kept := range nodes {
		require.NoError(t, kept.Close())
	}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing is left beside")
}

func TestTheKeptFileIsWrittenSoonAndChecked(t *testing.T) {
	key, err := NewKey(Origin)
	require.NoError(t, err)
	dir := t.TempDir()
	kept, err := OpenKept(dir, key.Verifier(), func(err error) { t.Error(err) })
	require.NoError(t, err)
	signed, err := key.sign(7, [32]byte{7})
	require.NoError(t, err)
	kept.keep(signed, 7)
	require.Eventually(t, func() bool { b, _ := ReadKept(dir); return b != nil }, 5*time.Second, 10*time.Millisecond)
	require.NoError(t, kept.Close())

	other, err := NewKey(Origin)
	require.NoError(t, err)
	_, err = OpenKept(dir, other.Verifier(), nil)
	require.ErrorIs(t, err, ErrWrongKey)
	require.NoError(t, os.WriteFile(filepath.Join(dir, KeptFile), []byte("nonsense"), 0o600))
	_, err = OpenKept(dir, key.Verifier(), nil)
	require.ErrorIs(t, err, ErrNotCheckpoint)
}
