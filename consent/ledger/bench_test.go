package ledger

import (
	"context"
	"encoding/binary"
	"iter"
	"testing"

	"github.com/stretchr/testify/require"
)

// The goals of the issue "The law", § Speed and size, are printed beside what is measured.
const (
	wantAppends   = 10_000. // a second
	wantInclusion = 5.      // ms, at ten million leaves
	wantVerified  = 1_000_000. / 60
)

// BenchmarkAppend makes a record's entry and gives it its place: canonical bytes, salt, commitment, chain, and its share
// of a signed checkpoint over batches of 256.
func BenchmarkAppend(b *testing.B) {
	key, err := NewKey(Origin)
	require.NoError(b, err)
	m, log := &memory{index: true}, NewLog(key)
	records := make([]*Record, 1024)
	for i := range records {
		records[i] = sample(i)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		m.write("a", records[i%len(records)])
		if len(m.pending) == 256 {
			m.sequence(b, log, 256, false)
			m.pending = nil
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
	b.ReportMetric(wantAppends, "wanted-appends/s")
}

// grown is a ledger of so many leaves that are made when they are read.
type grown struct {
	memory
	size int64
}

func (l *grown) Leaves(_ context.Context, from, to int64) iter.Seq2[[32]byte, error] {
	return func(yield func([32]byte, error) bool) {
		var leaf [32]byte
		for i := from; i < min(to, l.size); i++ {
			binary.BigEndian.PutUint64(leaf[:], uint64(i))
			if !yield(leaf, nil) {
				return
			}
		}
	}
}

func (l *grown) Latest(context.Context) ([]byte, error) { return nil, nil }

// BenchmarkInclusionOfTenMillion proves places of a tree of ten million leaves. That the gateway reads the tree once when
// it starts to prove is not in the figure.
func BenchmarkInclusionOfTenMillion(b *testing.B) {
	const size = 10_000_000
	ctx := context.Background()
	tree := NewTree(&grown{size: size})
	root, err := tree.Root(ctx, size)
	require.NoError(b, err)
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; b.Loop(); i++ {
		seq := int64(i) * 7_919_317 % size
		proof, err := tree.Inclusion(ctx, seq, size)
		if err != nil {
			b.Fatal(err)
		}
		if i < 3 {
			var leaf [32]byte
			binary.BigEndian.PutUint64(leaf[:], uint64(seq))
			require.NoError(b, VerifyInclusion(Checkpoint{Size: size, Root: root}, seq, leaf, proof))
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()*1000/float64(b.N), "ms/proof")
	b.ReportMetric(wantInclusion, "wanted-ms/proof")
}
