package ledger

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// memory is a ledger in memory, as a store would keep it.
type memory struct {
	placed      []Entry
	pending     []Entry
	checkpoints [][]byte
	heads       map[string]Entry
	index       bool // sequence offers the short ways of a store
	read        int  // leaves that were read by them
}

var _ Source = (*memory)(nil)

func (m *memory) Entries(_ context.Context, from int64) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for _, e := range m.placed {
			if e.Seq >= from && !yield(e, nil) {
				return
			}
		}
	}
}

func (m *memory) Pending(context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for _, e := range m.pending {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func (m *memory) Checkpoints(context.Context) iter.Seq2[Signed, error] {
	return func(yield func(Signed, error) bool) {
		for _, c := range m.checkpoints {
			if !yield(Signed{sizeOf(c), c}, nil) {
				return
			}
		}
	}
}

// sizeOf is what a note says of its size, as a store keeps it beside.
func sizeOf(note []byte) int64 {
	text, _, _ := strings.Cut(string(note), "\n\n")
	c, _ := parseCheckpoint(text + "\n")
	return c.Size
}

// clone is a copy that may be tampered with.
func (m *memory) clone() *memory {
	c := &memory{placed: slices.Clone(m.placed), pending: slices.Clone(m.pending), checkpoints: slices.Clone(m.checkpoints), heads: map[string]Entry{}}
	for k, v := range m.heads {
		c.heads[k] = v
	}
	return c
}

// write adds a record as pending.
func (m *memory) write(node string, r *Record) {
	if m.heads == nil {
		m.heads = map[string]Entry{}
	}
	head := m.heads[node]
	e := NewEntry(node, head.Count+1, head.Chain, NewSalt(), r.Canonical())
	e.Columns = Columns(r)
	m.pending = append(m.pending, e)
	m.heads[node] = e
}

// sequence places up to limit pending entries; fail loses the transaction after the seal.
func (m *memory) sequence(t require.TestingT, log *Log, limit int, fail bool) {
	n := min(limit, len(m.pending))
	size := int64(len(m.placed))
	var src Source = m
	if m.index {
		src = indexed{m}
	}
	signed, err := log.Seal(context.Background(), src, size, m.pending[:n])
	require.NoError(t, err)
	if fail {
		return
	}
	for i := range n {
		e := m.pending[i]
		e.Seq = size + int64(i)
		m.placed = append(m.placed, e)
	}
	m.pending = slices.Clone(m.pending[n:])
	m.checkpoints = append(m.checkpoints, signed)
}

// sample is the i-th of records that all differ.
func sample(i int) *Record {
	r := readPermit()
	r.ID = fmt.Sprintf("record-%d", i)
	r.Exchange = r.ID
	r.Time = at(0).Add(time.Duration(i) * time.Millisecond)
	r.Client = fmt.Sprintf("client-%d", i%7)
	return r
}

// written is a ledger of two nodes with n places in batches of ten, two pending entries, and its key.
func written(t testing.TB, n int) (*memory, *Key) {
	key, err := NewKey(Origin)
	require.NoError(t, err)
	m, log := new(memory), NewLog(key)
	for i := range n {
		m.write([]string{"a", "b"}[i%3%2], sample(i))
		if len(m.pending) == 10 {
			m.sequence(t, log, 10, false)
		}
	}
	for len(m.pending) > 0 {
		m.sequence(t, log, 10, false)
	}
	m.write("a", sample(n))
	m.write("b", sample(n+1))
	return m, key
}

func verified(t testing.TB, m Source, key *Key, seen ...[]byte) *Report {
	t.Helper()
	report, err := Verify(context.Background(), m, key.Verifier(), Options{Seen: seen})
	require.NoError(t, err)
	return report
}

// indexed offers the short ways of a store beside.
type indexed struct{ *memory }

func (m indexed) Leaves(_ context.Context, from, to int64) iter.Seq2[[32]byte, error] {
	return func(yield func([32]byte, error) bool) {
		for i := from; i < min(to, int64(len(m.placed))); i++ {
			m.read++
			if !yield(m.placed[i].Chain, nil) {
				return
			}
		}
	}
}

func (m indexed) Latest(context.Context) ([]byte, error) {
	if len(m.checkpoints) == 0 {
		return nil, nil
	}
	return m.checkpoints[len(m.checkpoints)-1], nil
}
