package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/transparency-dev/merkle/compact"
	"golang.org/x/mod/sumdb/note"
)

// Options of Verify.
type Options struct {
	// Seen are signed checkpoints that somebody kept outside: an auditor from an earlier visit, a witness. Only they
	// can show that the holder of the key rewrote the whole ledger, or anybody who may write to the store cut it back.
	Seen [][]byte
	// Progress, when set, is called now and then with the number of entries checked, from one goroutine.
	Progress func(checked int64)
}

// Verify checks a whole ledger against a pinned verifier key (the text of ledger.pub): every entry's content and
// columns against its commitment, every node's chain and count, the places, and the tree against every checkpoint;
// then what has no place yet, by the chains. The ledger may be written meanwhile. The error is of the source, the
// context or the key; what is wrong with the ledger is in the Report.
func Verify(ctx context.Context, src Source, verifier string, o Options) (*Report, error) {
	v, err := note.NewVerifier(verifier)
	if err != nil {
		return nil, fmt.Errorf("ledger: not a verifier key: %w", err)
	}
	a := &audit{
		src: src, key: v, progress: o.Progress, report: &Report{Origin: v.Name()}, tree: ranges.NewEmptyRange(0),
		nodes: map[string]*lane{}, erased: map[string][]erasure{}, vouched: map[string]vouched{}, unsigned: -1,
	}
	a.remember(o.Seen)
	// The census first, pending entries next and checkpoints as late as possible: what is written between only makes each later
	// reading larger.
	if counted, ok := src.(Counted); ok {
		census, err := counted.Census(ctx)
		if err != nil {
			return nil, fmt.Errorf("ledger: counting: %w", err)
		}
		a.census = &census
	}
	if err := a.readVouched(ctx); err != nil {
		return nil, err
	}
	if err := a.readPending(ctx); err != nil {
		return nil, err
	}
	a.checkpoints = &checkpoints{src: src}
	defer a.checkpoints.close()
	if err := a.advance(ctx); err != nil {
		return nil, err
	}
	for {
		before := a.next
		if err := a.readEntries(ctx); err != nil {
			return nil, err
		}
		// A checkpoint beyond the end may be of entries placed since: look again until nothing comes.
		if a.coming == nil || a.coming.Size <= a.next || a.next == before {
			break
		}
	}
	if err := a.finish(ctx); err != nil {
		return nil, err
	}
	return a.report, nil
}

// audit is one run of Verify; entries come to it in order.
type audit struct {
	src      Source
	key      note.Verifier
	progress func(int64)
	report   *Report

	tree   *compact.Range
	next   int64 // place expected
	gap    bool  // a place is missing: the tree cannot be known any more
	signed int64 // size up to which the tree is what was signed
	differ bool  // the tree differs from a checkpoint

	checkpoints *checkpoints
	coming      *Checkpoint // the next to compare; nil when there are no more
	last        *Checkpoint // the one before
	unsigned    int64       // first place that no checkpoint covers; -1: none
	seen        []Checkpoint

	census  *Census // nil when the source takes none
	newest  time.Time
	nodes   map[string]*lane
	pending map[position]*checked
	erased  map[string][]erasure // by node: what records of erasure name
	missing []checked            // entries without content
	rows    map[string]VouchedRow
	vouched map[string]vouched // what records say of such rows
}

type position struct {
	node  string
	count int64
}

// span is a range of counts, both ends inside.
type span struct{ first, last int64 }

// lane is the chain of one node.
type lane struct {
	last  int64
	chain [32]byte
	gaps  []span // counts not met so far, rising
}

func (a *audit) find(f Finding) {
	if len(a.report.Findings) == maxFindings {
		a.report.More++
		return
	}
	a.report.Findings = append(a.report.Findings, f)
}

// findAt is a finding about an entry.
func (a *audit) findAt(k Kind, c *checked, detail string) {
	a.find(Finding{Kind: k, Seq: c.seq, Node: c.node, Count: c.count, Checkpoint: -1, Detail: detail})
}

// findIn is a finding about a checkpoint.
func (a *audit) findIn(k Kind, checkpoint int64, detail string) {
	a.find(Finding{Kind: k, Seq: -1, Checkpoint: checkpoint, Detail: detail})
}

// remember opens the checkpoints kept outside, smallest first.
func (a *audit) remember(seen [][]byte) {
	for i, signed := range seen {
		c, err := openCheckpoint(signed, a.key)
		switch {
		case errors.Is(err, ErrWrongKey):
			a.findIn(WrongKey, -1, fmt.Sprintf("checkpoint %d of those seen before is not signed by the pinned key", i))
		case err != nil:
			a.findIn(Malformed, -1, fmt.Sprintf("checkpoint %d of those seen before is not a checkpoint", i))
		default:
			a.seen = append(a.seen, c)
		}
	}
	slices.SortStableFunc(a.seen, func(x, y Checkpoint) int { return cmp.Compare(x.Size, y.Size) })
	for i := 1; i < len(a.seen); i++ {
		if a.seen[i].Size == a.seen[i-1].Size && a.seen[i].Root != a.seen[i-1].Root {
			a.findIn(SplitView, -1, fmt.Sprintf("two checkpoints seen before sign different trees of %d entries", a.seen[i].Size))
		}
	}
}

func (a *audit) readPending(ctx context.Context) error {
	a.pending = map[position]*checked{}
	for e, err := range a.src.Pending(ctx) {
		if err != nil {
			return fmt.Errorf("ledger: reading pending entries: %w", err)
		}
		c := check(&e)
		if c.seq >= 0 {
			c.problems = append(c.problems, "it is pending but has a place")
			c.seq = -1
		}
		at := position{c.node, c.count}
		if a.pending[at] != nil {
			a.findAt(Inserted, &c, "two pending entries have this count of the node")
			continue
		}
		a.pending[at] = &c
	}
	return nil
}

// readEntries takes in the sequenced entries from the place expected on.
func (a *audit) readEntries(ctx context.Context) error {
	if err := a.compare(ctx); err != nil { // checkpoints of the empty tree
		return err
	}
	for c, err := range checkAll(ctx, a.src.Entries(ctx, a.next)) {
		if err != nil {
			return fmt.Errorf("ledger: reading entries: %w", err)
		}
		if err := a.take(ctx, c); err != nil {
			return err
		}
		if a.progress != nil && a.report.Size%10_000 == 0 {
			a.progress(a.report.Size)
		}
	}
	return nil
}

// take is one entry in its turn.
func (a *audit) take(ctx context.Context, c *checked) error {
	a.judge(c)
	if c.seq < a.next {
		a.findAt(Inserted, c, "another entry has this place")
		a.link(c)
		return nil
	}
	if c.seq > a.next {
		a.find(Finding{
			Kind: Deleted, Seq: a.next, Checkpoint: -1,
			Detail: fmt.Sprintf("places %d to %d are missing; the tree is not checked beyond", a.next, c.seq-1),
		})
		a.gap = true
	}
	at := position{c.node, c.count}
	if p := a.pending[at]; p != nil && p.chain == c.chain && p.prev == c.prev { // placed since it was read as pending
		delete(a.pending, at)
	}
	a.link(c)
	a.next = c.seq + 1
	a.report.Size++
	if !a.gap {
		if err := a.tree.Append(leafHash(c.chain), nil); err != nil {
			return err
		}
	}
	if a.coming == nil && a.unsigned < 0 {
		// The entry was committed with its checkpoint, so that one is there by now.
		if err := a.reopen(ctx); err != nil {
			return err
		}
		if a.coming == nil {
			a.unsigned = c.seq
		}
	}
	return a.compare(ctx)
}

// judge reports what check found.
func (a *audit) judge(c *checked) {
	for _, p := range c.problems {
		a.findAt(Edited, c, p)
	}
	if c.empty {
		a.report.Erased++
		// The record's own time is gone; it is not much older than those before it.
		a.missing = append(a.missing, checked{seq: c.seq, node: c.node, count: c.count, time: a.newest})
	}
	if c.time.After(a.newest) {
		a.newest = c.time
	}
	for _, e := range c.erases {
		a.erased[e.node] = append(a.erased[e.node], e)
	}
	maps.Copy(a.vouched, c.vouched)
}

// link sets the entry into the chain of its node.
func (a *audit) link(c *checked) {
	l := a.nodes[c.node]
	if l == nil {
		l = new(lane)
		a.nodes[c.node] = l
	}
	switch {
	case c.count == l.last+1:
		if c.prev != l.chain {
			a.findAt(Edited, c, "it does not follow the entry before it of its node: one of the two is not what was written")
		}
		l.last, l.chain = c.count, c.chain
	case c.count > l.last:
		l.gaps = append(l.gaps, span{l.last + 1, c.count - 1})
		l.last, l.chain = c.count, c.chain
	case l.fill(c.count):
		a.findAt(Reordered, c, "it lies after an entry that its node wrote later")
	default:
		a.findAt(Inserted, c, "another entry has this count of the node")
	}
}

// fill takes a count out of the gaps; false when it is in none.
func (l *lane) fill(count int64) bool {
	for i, g := range l.gaps {
		if count < g.first || count > g.last {
			continue
		}
		var rest []span
		if g.first < count {
			rest = append(rest, span{g.first, count - 1})
		}
		if count < g.last {
			rest = append(rest, span{count + 1, g.last})
		}
		l.gaps = slices.Replace(l.gaps, i, i+1, rest...)
		return true
	}
	return false
}

// compare holds the tree against every checkpoint of its present size.
func (a *audit) compare(ctx context.Context) error {
	for a.coming != nil && a.coming.Size <= a.next {
		if a.coming.Size == a.next && !a.gap {
			root, err := rootHash(a.tree)
			if err != nil {
				return err
			}
			if root == a.coming.Root {
				a.signed = a.next
			} else if !a.differ {
				a.differ = true
				a.find(Finding{
					Kind: Rewritten, Seq: a.signed, Checkpoint: a.checkpoints.read - 1,
					Detail: fmt.Sprintf("the entries at places %d to %d are not those that were signed, in number, order or content", a.signed, a.next-1),
				})
			}
		}
		if err := a.advance(ctx); err != nil {
			return err
		}
	}
	for len(a.seen) > 0 && a.seen[0].Size <= a.next {
		if a.seen[0].Size == a.next && !a.gap {
			root, err := rootHash(a.tree)
			if err != nil {
				return err
			}
			if root != a.seen[0].Root {
				a.findIn(SplitView, -1, fmt.Sprintf("a checkpoint seen before signs another tree of %d entries", a.next))
			}
		}
		a.seen = a.seen[1:]
	}
	return nil
}

// advance reads the next checkpoint that is signed and larger than the one before.
func (a *audit) advance(ctx context.Context) error {
	a.coming = nil
	for {
		signed, ok, err := a.checkpoints.next(ctx)
		if err != nil {
			return fmt.Errorf("ledger: reading checkpoints: %w", err)
		}
		if !ok {
			return nil
		}
		which := a.checkpoints.read - 1
		c, err := openCheckpoint(signed.Note, a.key)
		if err == nil && c.Size != signed.Size {
			a.findIn(Edited, which, fmt.Sprintf("it is of %d entries and kept as of %d", c.Size, signed.Size))
		}
		switch {
		case errors.Is(err, ErrWrongKey):
			a.findIn(WrongKey, which, "it is not signed by the pinned key")
		case err != nil:
			a.findIn(Malformed, which, "it is not a checkpoint")
		case a.last != nil && c.Size == a.last.Size && c.Root != a.last.Root:
			a.findIn(SplitView, which, fmt.Sprintf("it signs another tree of %d entries than the one before", c.Size))
		case a.last != nil && c.Size <= a.last.Size:
			a.findIn(Rollback, which, fmt.Sprintf("it is of %d entries, but the one before is of %d", c.Size, a.last.Size))
		default:
			a.last, a.coming = &c, &c
			return nil
		}
	}
}

// reopen looks for checkpoints that were written since the reading of them ended.
func (a *audit) reopen(ctx context.Context) error {
	a.checkpoints.close()
	return a.advance(ctx)
}

// finish is what can only be said at the end.
func (a *audit) finish(ctx context.Context) error {
	if a.coming != nil {
		a.find(Finding{
			Kind: Truncated, Seq: a.next, Checkpoint: a.checkpoints.read - 1,
			Detail: fmt.Sprintf("the ledger ends with place %d, but %d entries were signed", a.next-1, a.coming.Size),
		})
		for a.coming != nil { // the rest are still to be signed by the key and to grow
			if err := a.advance(ctx); err != nil {
				return err
			}
		}
	}
	if a.unsigned >= 0 {
		a.find(Finding{
			Kind: Unsigned, Seq: a.unsigned, Checkpoint: -1,
			Detail: fmt.Sprintf("the entries at places %d to %d are covered by no checkpoint", a.unsigned, a.next-1),
		})
	}
	for _, c := range a.seen {
		a.findIn(Rollback, -1, fmt.Sprintf("the ledger was seen with %d entries and has %d", c.Size, a.next))
	}
	rest := slices.Collect(maps.Values(a.pending))
	slices.SortFunc(rest, func(x, y *checked) int {
		return cmp.Or(cmp.Compare(x.node, y.node), cmp.Compare(x.count, y.count))
	})
	for _, c := range rest {
		a.judge(c)
		a.link(c)
	}
	a.report.Pending = int64(len(rest))
	a.findUnplaced(rest)
	a.findUnseen()
	for _, node := range slices.Sorted(maps.Keys(a.nodes)) {
		for _, g := range a.nodes[node].gaps {
			a.find(Finding{
				Kind: Deleted, Seq: -1, Node: node, Count: g.first, Checkpoint: -1,
				Detail: fmt.Sprintf("the node's entries %d to %d are missing", g.first, g.last),
			})
		}
	}
	a.findMissing()
	if err := a.findVouched(ctx); err != nil {
		return err
	}
	a.report.Nodes = len(a.nodes)
	a.report.Checkpoints = a.checkpoints.read
	if !a.gap {
		root, err := rootHash(a.tree)
		if err != nil {
			return err
		}
		a.report.Root = root
	}
	return nil
}

// patience is how much older than the newest record one without a place may be. The gateway stops when one has waited
// for ten seconds; the clocks of nodes may differ by minutes.
const patience = 10 * time.Minute

// findUnplaced reports that entries wait for a place for too long: somebody took the places, and the checkpoints over
// them, away, or nothing sequences.
func (a *audit) findUnplaced(rest []*checked) {
	late, first := 0, (*checked)(nil)
	for _, c := range rest {
		if c.time.IsZero() || a.newest.Sub(c.time) <= patience {
			continue
		}
		if late++; first == nil {
			first = c
		}
	}
	if first != nil {
		a.findAt(Unplaced, first, fmt.Sprintf("%d entries have no place though others were written more than %s later", late, patience))
	}
}

// findUnseen reports what lies in the store's tables and was not read above.
func (a *audit) findUnseen() {
	if a.census == nil {
		return
	}
	if a.census.First < 0 {
		a.find(Finding{Kind: Inserted, Seq: -1, Checkpoint: -1, Detail: fmt.Sprintf("place %d is taken, and the first place is 0", a.census.First)})
	}
	if a.census.Last >= a.next {
		a.find(Finding{
			Kind: Deleted, Seq: a.next, Checkpoint: -1,
			Detail: fmt.Sprintf("place %d is taken, but no entry lies there and the ledger ends with place %d", a.census.Last, a.next-1),
		})
	}
	for _, node := range slices.Sorted(maps.Keys(a.census.Nodes)) {
		last, lane := a.census.Nodes[node], a.nodes[node]
		switch {
		case last == 0 && lane == nil:
			a.find(Finding{Kind: Inserted, Seq: -1, Node: node, Checkpoint: -1, Detail: "the node is named, but wrote nothing"})
		case lane == nil || lane.last < last:
			a.find(Finding{
				Kind: Inserted, Seq: -1, Node: node, Count: last, Checkpoint: -1,
				Detail: "an entry of this count is stored that is neither placed nor waits for a place",
			})
		}
	}
	for _, stray := range a.census.Strays {
		a.find(Finding{Kind: Inserted, Seq: -1, Checkpoint: -1, Detail: stray})
	}
	if a.census.Used && a.report.Size+a.report.Pending == 0 {
		a.find(Finding{Kind: Deleted, Seq: -1, Checkpoint: -1, Detail: "the store holds data, and nothing comes without a record, but there is no record"})
	}
}

// findMissing reports content that is gone without a record of its erasure.
func (a *audit) findMissing() {
	for node := range a.erased {
		slices.SortFunc(a.erased[node], func(x, y erasure) int { return cmp.Compare(x.span.first, y.span.first) })
	}
	for i := range a.missing {
		c := &a.missing[i]
		spans := a.erased[c.node]
		// Spans may overlap, so any of those that begin at or before the count may hold it.
		n, _ := slices.BinarySearchFunc(spans, c.count+1, func(e erasure, count int64) int { return cmp.Compare(e.span.first, count) })
		named, due := false, false
		for _, e := range spans[:n] {
			if c.count <= e.span.last {
				named, due = true, due || !early(e.at, c.time)
			}
		}
		switch {
		case !named:
			a.findAt(Missing, c, "its content is gone and no record of an erasure names it")
		case !due:
			a.findAt(Missing, c, "its content was erased before its retention time was over: the records before it are newer")
		}
	}
}

// checkpoints reads the checkpoints of a source one by one; after close it goes on where it was.
type checkpoints struct {
	src  Source
	read int64
	pull func() (Signed, error, bool)
	stop func()
}

func (c *checkpoints) next(ctx context.Context) (Signed, bool, error) {
	if c.pull == nil {
		c.pull, c.stop = iter.Pull2(c.src.Checkpoints(ctx))
		for range c.read {
			if _, err, ok := c.pull(); err != nil || !ok {
				return Signed{}, false, err
			}
		}
	}
	signed, err, ok := c.pull()
	if err != nil || !ok {
		return Signed{}, false, err
	}
	c.read++
	return signed, true, nil
}

func (c *checkpoints) close() {
	if c.stop != nil {
		c.stop()
	}
	c.pull, c.stop = nil, nil
}
