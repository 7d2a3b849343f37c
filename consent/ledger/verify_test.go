package ledger

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestVerifyOfAnUntouchedLedger(t *testing.T) {
	for _, n := range []int{0, 1, 9, 10, 11, 57, 600} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			m, key := written(t, n)
			r := verified(t, m, key, m.checkpoints...)
			require.Empty(t, r.Findings)
			require.True(t, r.OK())
			require.EqualValues(t, n, r.Size)
			require.EqualValues(t, 2, r.Pending)
			require.Equal(t, 2, r.Nodes)
			require.EqualValues(t, (n+9)/10, r.Checkpoints)
			root, err := NewTree(m).Root(context.Background(), int64(n))
			require.NoError(t, err)
			require.Equal(t, root, r.Root)
		})
	}
}

// reseal makes entry i whole in itself after a change, as one who knows the forms would, but not the ones after it.
func reseal(e Entry) Entry {
	c := NewEntry(e.Node, e.Count, e.Prev, e.Salt, e.Canonical)
	c.Seq = e.Seq
	if r, err := ParseRecord(e.Canonical); err == nil {
		c.Columns = Columns(r)
	}
	return c
}

// rechain makes every entry follow the one before it, as one who may write the whole table would.
func rechain(m *memory) {
	heads := map[string]Entry{}
	for _, part := range [][]Entry{m.placed, m.pending} {
		for i, e := range part {
			e.Prev, e.Count = heads[e.Node].Chain, heads[e.Node].Count+1
			part[i] = reseal(e)
			heads[e.Node] = part[i]
		}
	}
}

// renumber gives the places anew.
func renumber(m *memory) {
	for i := range m.placed {
		m.placed[i].Seq = int64(i)
	}
}

// forged is a record nobody wrote.
func forged(e Entry, change func(*Record)) []byte {
	r, err := ParseRecord(e.Canonical)
	if err != nil {
		panic(err)
	}
	change(r)
	return r.Canonical()
}

func toDeny(r *Record) { r.Outcome = "deny" }

// TestTampering changes a good ledger of 57 places in one way each and says what must be found, and where.
func TestTampering(t *testing.T) {
	good, key := written(t, 57)
	other, err := NewKey(Origin)
	require.NoError(t, err)
	flip := func(b []byte) []byte { c := slices.Clone(b); c[len(c)/2] ^= 1; return c }

	cases := []struct {
		name   string
		tamper func(m *memory)
		kind   Kind
		seq    int64 // of the first finding of the kind
	}{
		{"content", func(m *memory) { m.placed[20].Canonical = forged(m.placed[20], toDeny) }, Edited, 20},
		{"one bit of content", func(m *memory) { m.placed[20].Canonical = flip(m.placed[20].Canonical) }, Edited, 20},
		{"salt", func(m *memory) { m.placed[20].Salt = NewSalt() }, Edited, 20},
		{"salt and content moved", func(m *memory) {
			e := &m.placed[20]
			both := slices.Concat(e.Salt, e.Canonical)
			e.Salt, e.Canonical = both[:SaltSize+1], both[SaltSize+1:]
		}, Edited, 20},
		{"commitment", func(m *memory) { m.placed[20].Commitment[3] ^= 1 }, Edited, 20},
		{"chain", func(m *memory) { m.placed[20].Chain[3] ^= 1 }, Edited, 20},
		{"previous", func(m *memory) { m.placed[20].Prev[3] ^= 1 }, Edited, 20},
		{"node", func(m *memory) { m.placed[20].Node = "c" }, Edited, 20},
		{"count", func(m *memory) { m.placed[20].Count += 100 }, Edited, 20},
		{"a row that no store writes", func(m *memory) { m.placed[20].Damage = "its salt is not bytes" }, Edited, 20},
		{"a column changed", func(m *memory) {
			m.placed[20].Columns = slices.Clone(m.placed[20].Columns)
			m.placed[20].Columns[5].Value = "nobody"
		}, Edited, 20},
		{"a column taken away", func(m *memory) { m.placed[20].Columns = m.placed[20].Columns[1:] }, Edited, 20},
		{"a column added", func(m *memory) {
			m.placed[20].Columns = append(slices.Clone(m.placed[20].Columns), Column{ColumnBasis, "ATL-53.1"})
		}, Edited, 20},
		{"content, resealed", func(m *memory) {
			m.placed[20].Canonical = forged(m.placed[20], toDeny)
			m.placed[20] = reseal(m.placed[20])
		}, Edited, 21}, // its node's next entry does not follow it
		{"content, the whole chain made anew", func(m *memory) {
			m.placed[20].Canonical = forged(m.placed[20], toDeny)
			rechain(m)
		}, Rewritten, 20},
		{"content that is no record, made anew", func(m *memory) {
			m.placed[20].Canonical = []byte(`{"v":1}`)
			m.placed[20] = reseal(m.placed[20])
		}, Edited, 20},

		{"deleted", func(m *memory) { m.placed = slices.Delete(m.placed, 20, 21) }, Deleted, 20},
		{"deleted and renumbered", func(m *memory) { m.placed = slices.Delete(m.placed, 20, 21); renumber(m) }, Deleted, -1},
		{"deleted, renumbered and chained anew", func(m *memory) {
			m.placed = slices.Delete(m.placed, 20, 21)
			renumber(m)
			rechain(m)
		}, Rewritten, 20},
		{"deleted, renumbered and chained anew: the end", func(m *memory) {
			m.placed = slices.Delete(m.placed, 20, 21)
			renumber(m)
			rechain(m)
		}, Truncated, 56},
		{"a pending one deleted", func(m *memory) {
			m.write("a", sample(60))
			m.pending = slices.Delete(m.pending, 0, 1)
		}, Deleted, -1},

		{"inserted copy", func(m *memory) { m.placed = slices.Insert(m.placed, 20, m.placed[20]) }, Inserted, 20},
		{"inserted copy, renumbered", func(m *memory) { m.placed = slices.Insert(m.placed, 20, m.placed[18]); renumber(m) }, Inserted, 20},
		{"inserted of a node of its own", func(m *memory) {
			e := NewEntry("c", 1, [32]byte{}, NewSalt(), sample(99).Canonical())
			e.Columns = Columns(sample(99))
			m.placed = slices.Insert(m.placed, 20, e)
			renumber(m)
		}, Rewritten, 20},
		{"appended", func(m *memory) {
			e := NewEntry("c", 1, [32]byte{}, NewSalt(), sample(99).Canonical())
			e.Columns, e.Seq = Columns(sample(99)), 57
			m.placed = append(m.placed, e)
		}, Unsigned, 57},
		{"pending copied", func(m *memory) { m.pending = append(m.pending, m.pending[0]) }, Inserted, -1},
		{"pending of another content", func(m *memory) {
			e := m.placed[56]
			e.Canonical, e.Seq = forged(e, toDeny), -1
			m.pending = append(m.pending, reseal(e))
		}, Inserted, -1},
		{"pending edited", func(m *memory) { m.pending[1].Canonical = forged(m.pending[1], toDeny) }, Edited, -1},
		{"pending with a place", func(m *memory) { m.pending[1].Seq = 58 }, Edited, -1},

		{"reordered within a node", func(m *memory) { m.placed[21], m.placed[23] = m.placed[23], m.placed[21]; renumber(m) }, Reordered, 23},
		{"reordered between nodes", func(m *memory) { m.placed[22], m.placed[23] = m.placed[23], m.placed[22]; renumber(m) }, Rewritten, 20},

		{"tail truncated", func(m *memory) { m.placed = m.placed[:50]; m.pending = nil }, Truncated, 50},
		{"all truncated", func(m *memory) { m.placed, m.pending = nil, nil }, Truncated, 0},
		{"tail truncated with its checkpoint", func(m *memory) {
			m.placed, m.checkpoints = m.placed[:50], m.checkpoints[:5]
		}, Deleted, -1}, // the pending entries follow what is gone
		{"last checkpoint deleted", func(m *memory) { m.checkpoints = m.checkpoints[:5] }, Unsigned, 50},
		{"all checkpoints deleted", func(m *memory) { m.checkpoints = nil }, Unsigned, 0},

		{"signed by another key", func(m *memory) {
			c, err := OpenCheckpoint(m.checkpoints[3], key.Verifier())
			require.NoError(t, err)
			m.checkpoints[3], err = other.sign(c.Size, c.Root)
			require.NoError(t, err)
		}, WrongKey, -1},
		{"made anew and signed by another key", func(m *memory) {
			*m = *remake(t, m, other, func(i int, r *Record) {
				if i == 20 {
					toDeny(r)
				}
			})
		}, WrongKey, -1},
		{"checkpoint changed", func(m *memory) { m.checkpoints[3] = flip(m.checkpoints[3]) }, WrongKey, -1},
		{"checkpoint cut", func(m *memory) { m.checkpoints[3] = m.checkpoints[3][:20] }, Malformed, -1},
		{"old checkpoint replayed", func(m *memory) { m.checkpoints = append(m.checkpoints, m.checkpoints[2]) }, Rollback, -1},
		{"checkpoints exchanged", func(m *memory) {
			m.checkpoints[2], m.checkpoints[3] = m.checkpoints[3], m.checkpoints[2]
		}, Rollback, -1},
		{"two trees of one size", func(m *memory) {
			signed, err := key.sign(40, [32]byte{1})
			require.NoError(t, err)
			m.checkpoints = slices.Insert(m.checkpoints, 4, signed)
		}, SplitView, -1},
		{"content gone", func(m *memory) {
			e := &m.placed[20]
			e.Salt, e.Canonical, e.Columns = nil, nil, nil
		}, Missing, 20},
		{"content gone, columns left", func(m *memory) {
			e := &m.placed[20]
			e.Salt, e.Canonical = nil, nil
		}, Edited, 20},
		{"only the salt gone", func(m *memory) { m.placed[20].Salt = nil }, Edited, 20},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m := good.clone()
			c.tamper(m)
			r := verified(t, m, key)
			require.False(t, r.OK())
			i := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.Kind == c.kind })
			require.GreaterOrEqual(t, i, 0, "%v", r.Findings)
			require.Equal(t, c.seq, r.Findings[i].Seq, "%v", r.Findings)
			for _, f := range r.Findings {
				require.NotContains(t, f.String(), "client-", "a finding must not hold what a record says")
			}
		})
	}
	require.True(t, verified(t, good, key).OK(), "the cases work on copies")
}

// remake writes a whole ledger anew with changed records, as the holder of a key and of the store could.
func remake(t testing.TB, m *memory, key *Key, change func(i int, r *Record)) *memory {
	out, log := new(memory), NewLog(key)
	for i, e := range m.placed {
		r, err := ParseRecord(e.Canonical)
		require.NoError(t, err)
		change(i, r)
		out.write(e.Node, r)
		if len(out.pending) == 10 {
			out.sequence(t, log, 10, false)
		}
	}
	if len(out.pending) > 0 {
		out.sequence(t, log, 10, false)
	}
	return out
}

// TestInsiderIsCaughtByWhatOthersSaw: the holder of key and store can make a ledger that is whole in itself; only a
// checkpoint kept outside shows it.
func TestInsiderIsCaughtByWhatOthersSaw(t *testing.T) {
	m, key := written(t, 57)
	seen := m.checkpoints[4]

	forged := remake(t, m, key, func(i int, r *Record) {
		if i == 20 {
			toDeny(r)
		}
	})
	require.True(t, verified(t, forged, key).OK())
	r := verified(t, forged, key, seen)
	require.Len(t, r.Findings, 1)
	require.Equal(t, SplitView, r.Findings[0].Kind)

	cut := m.clone()
	cut.placed, cut.checkpoints, cut.pending = cut.placed[:40], cut.checkpoints[:4], nil
	require.True(t, verified(t, cut, key).OK())
	r = verified(t, cut, key, seen)
	require.Len(t, r.Findings, 1)
	require.Equal(t, Rollback, r.Findings[0].Kind)

	other, err := NewKey(Origin)
	require.NoError(t, err)
	foreign, err := other.sign(10, [32]byte{})
	require.NoError(t, err)
	r = verified(t, m, key, foreign)
	require.Len(t, r.Findings, 1)
	require.Equal(t, WrongKey, r.Findings[0].Kind)
}

func TestErasureOnRecordIsNoFinding(t *testing.T) {
	key, err := NewKey(Origin)
	require.NoError(t, err)
	m, log := new(memory), NewLog(key)
	for i := range 20 {
		m.write("a", sample(i))
	}
	record := sample(20)
	record.Interaction, record.Target = Erase, ""
	record.Time = record.Time.AddDate(RetentionYears, 0, 1)
	record.Entities = []Entity{ErasedEntity("a", 3, 7)}
	m.write("a", record)
	m.sequence(t, log, 100, false)
	erase := func(i int) { e := &m.placed[i]; e.Salt, e.Canonical, e.Columns = nil, nil, nil }
	for i := 2; i <= 6; i++ {
		erase(i)
	}
	r := verified(t, m, key)
	require.Empty(t, r.Findings)
	require.EqualValues(t, 5, r.Erased)

	erase(7)
	r = verified(t, m, key)
	require.Len(t, r.Findings, 1)
	require.Equal(t, Missing, r.Findings[0].Kind)
	require.EqualValues(t, 7, r.Findings[0].Seq)
}

// Tampering disguised as an erasure: a forged record of one, placed like any other, does not cover what is too new.
func TestAnErasureBeforeItsTimeIsAFinding(t *testing.T) {
	key, err := NewKey(Origin)
	require.NoError(t, err)
	m, log := new(memory), NewLog(key)
	for i := range 20 {
		m.write("a", sample(i))
	}
	forged := sample(20)
	forged.Interaction, forged.Target = Erase, ""
	forged.Time = forged.Time.AddDate(RetentionYears, 0, -2)
	forged.Entities = []Entity{ErasedEntity("a", 8, 8)}
	m.write("a", forged)
	m.sequence(t, log, 100, false)
	e := &m.placed[7]
	e.Salt, e.Canonical, e.Columns = nil, nil, nil
	r := verified(t, m, key)
	require.Len(t, r.Findings, 1)
	require.Equal(t, Missing, r.Findings[0].Kind)
	require.EqualValues(t, 7, r.Findings[0].Seq)
	require.Contains(t, r.Findings[0].Detail, "before its retention time")
}

// growing lets a ledger grow while it is read: between its pages and its lists.
type growing struct {
	*memory
	grow func()
}

func (g growing) Entries(ctx context.Context, from int64) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for i := from; ; i++ {
			if i%7 == 3 {
				g.grow()
			}
			if i >= int64(len(g.placed)) || !yield(g.placed[i], nil) {
				return
			}
		}
	}
}

func TestVerifyWhileTheLedgerGrows(t *testing.T) {
	key, err := NewKey(Origin)
	require.NoError(t, err)
	m, log := new(memory), NewLog(key)
	for i := range 40 {
		m.write("a", sample(i))
	}
	m.sequence(t, log, 30, false)
	n := 40
	g := growing{m, func() {
		if n < 90 {
			m.write("b", sample(n))
			n++
			m.sequence(t, log, 4, false)
		}
	}}
	r := verified(t, g, key)
	require.Empty(t, r.Findings)
	require.Greater(t, r.Size, int64(30))
}

func TestVerifyStopsWithTheContextAndTheSource(t *testing.T) {
	m, key := written(t, 600)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := Verify(ctx, m, key.Verifier(), Options{})
	require.ErrorIs(t, err, context.Canceled)
	_, err = Verify(context.Background(), m, "nonsense", Options{})
	require.Error(t, err)
}

// TestNoChangeGoesUnseen changes, drops, copies or exchanges anything at random: it is always found.
func TestNoChangeGoesUnseen(t *testing.T) {
	good, key := written(t, 45)
	rapid.Check(t, func(t *rapid.T) {
		m := good.clone()
		i := rapid.IntRange(0, len(m.placed)-1).Draw(t, "entry")
		e := &m.placed[i]
		bit := func(b []byte) []byte {
			c := slices.Clone(b)
			k := rapid.IntRange(0, len(c)*8-1).Draw(t, "bit")
			c[k/8] ^= 1 << (k % 8)
			return c
		}
		switch what := rapid.SampledFrom([]string{
			"canonical", "salt", "prev", "chain", "commitment", "node", "count", "seq", "column", "drop", "copy", "swap", "cut",
			"remake",
		}).Draw(t, "what"); what {
		case "canonical":
			e.Canonical = bit(e.Canonical)
		case "salt":
			e.Salt = bit(e.Salt)
		case "prev":
			e.Prev = [32]byte(bit(e.Prev[:]))
		case "chain":
			e.Chain = [32]byte(bit(e.Chain[:]))
		case "commitment":
			e.Commitment = [32]byte(bit(e.Commitment[:]))
		case "node":
			e.Node = string(bit([]byte(e.Node)))
		case "count":
			e.Count += rapid.Int64Range(1, 1<<40).Draw(t, "by")
		case "seq":
			e.Seq += rapid.Int64Range(1, 1<<40).Draw(t, "by")
		case "column":
			e.Columns = slices.Clone(e.Columns)
			k := rapid.IntRange(0, len(e.Columns)-1).Draw(t, "column")
			e.Columns[k].Value = string(bit([]byte(e.Columns[k].Value)))
		case "drop":
			m.placed = slices.Delete(m.placed, i, i+1)
			if rapid.Bool().Draw(t, "renumber") {
				renumber(m)
			}
		case "copy":
			m.placed = slices.Insert(m.placed, rapid.IntRange(0, len(m.placed)).Draw(t, "at"), *e)
			renumber(m)
		case "swap":
			k := (i + rapid.IntRange(1, len(m.placed)-1).Draw(t, "with")) % len(m.placed)
			m.placed[i], m.placed[k] = m.placed[k], m.placed[i]
			renumber(m)
		case "cut":
			m.placed = m.placed[:i]
		case "remake":
			e.Canonical = forged(*e, toDeny)
			rechain(m)
		}
		if verified(&testing.T{}, m, key).OK() {
			t.Fatalf("not seen")
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	m, key := written(b, 100_000)
	for b.Loop() {
		if r := verified(b, m, key); !r.OK() {
			b.Fatal(r.Findings)
		}
	}
	b.ReportMetric(float64(b.N)*100_000/b.Elapsed().Seconds(), "entries/s")
	b.ReportMetric(wantVerified, "wanted-entries/s")
}
