package ledger

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The interaction and the role by which a record says that content was erased when its retention was over.
const (
	Erase      = "erase"
	RoleErased = "erased"
)

// ErasedEntity names, in a record whose interaction is Erase, the counts first to last of a node as erased.
func ErasedEntity(node string, first, last int64) Entity {
	return Entity{What: fmt.Sprintf("entry:%s/%d-%d", node, first, last), Role: RoleErased}
}

// erasure is what an ErasedEntity says.
type erasure struct {
	node string
	span span
	at   time.Time // of the record
}

func erasuresOf(r *Record) []erasure {
	if r.Interaction != Erase || r.Outcome != "permit" || !r.Success {
		return nil
	}
	var out []erasure
	for _, e := range r.Entities {
		rest, ok := strings.CutPrefix(e.What, "entry:")
		slash := strings.LastIndexByte(rest, '/')
		if !ok || e.Role != RoleErased || slash < 0 {
			continue
		}
		from, to, _ := strings.Cut(rest[slash+1:], "-")
		first, err1 := strconv.ParseInt(from, 10, 64)
		last, err2 := strconv.ParseInt(to, 10, 64)
		if err1 == nil && err2 == nil {
			out = append(out, erasure{rest[:slash], span{first, last}, r.Time})
		}
	}
	return out
}

// checked is what is to be known of an entry once its content was looked at.
type checked struct {
	node       string
	count, seq int64
	prev       [32]byte
	chain      [32]byte
	time       time.Time // the record's own; zero when it cannot be told
	empty      bool      // content and salt are gone
	erases     []erasure
	vouched    map[string]vouched
	problems   []string
}

// check looks at what an entry says of itself.
func check(e *Entry) checked {
	c := checked{node: e.Node, count: e.Count, seq: e.Seq, prev: e.Prev, chain: e.Chain}
	wrong := func(problem string) { c.problems = append(c.problems, problem) }
	if e.Damage != "" {
		wrong(e.Damage)
	}
	if chain(e.Prev, e.Node, e.Count, e.Commitment) != e.Chain {
		wrong("its chain value is not that of its node, count, commitment and the chain before")
	}
	if e.Salt == nil && e.Canonical == nil {
		c.empty = true
		if len(e.Columns) > 0 {
			wrong("its content is erased but columns of it are left")
		}
		return c
	}
	if len(e.Salt) != SaltSize {
		wrong(fmt.Sprintf("its salt is not of %d bytes", SaltSize))
	}
	if commit(e.Salt, e.Canonical) != e.Commitment {
		wrong("its content does not match its commitment")
	}
	r, err := ParseRecord(e.Canonical)
	if err != nil {
		wrong("its content is not a record")
		return c
	}
	for _, name := range differences(Columns(r), e.Columns) {
		wrong(fmt.Sprintf("column %s is not what the record says", name))
	}
	c.time = r.Time
	c.erases, c.vouched = erasuresOf(r), vouchedOf(r)
	return c
}

// differences names the columns whose values differ.
func differences(want, got []Column) []string {
	if slices.Equal(want, got) {
		return nil
	}
	values := func(columns []Column, name string) (out []string) {
		for _, c := range columns {
			if c.Name == name {
				out = append(out, c.Value)
			}
		}
		slices.Sort(out)
		return out
	}
	var names []string
	for _, c := range slices.Concat(want, got) {
		if !slices.Contains(names, c.Name) && !slices.Equal(values(want, c.Name), values(got, c.Name)) {
			names = append(names, c.Name)
		}
	}
	return names
}

// checkAll checks entries on every processor and gives them in their order.
func checkAll(ctx context.Context, entries iter.Seq2[Entry, error]) iter.Seq2[*checked, error] {
	const batch = 256
	type job struct {
		in   []Entry
		err  error // of reading, after in
		out  []checked
		done chan struct{}
	}
	return func(yield func(*checked, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		workers := runtime.GOMAXPROCS(0)
		work := make(chan *job, workers)
		order := make(chan *job, 2*workers)
		// Whatever ends this function, the reader is stopped and has let go of the source when it returns.
		defer func() {
			cancel()
			for range order {
			}
		}()
		for range workers {
			go func() {
				for j := range work {
					j.out = make([]checked, len(j.in))
					for i := range j.in {
						j.out[i] = check(&j.in[i])
					}
					j.in = nil
					close(j.done)
				}
			}()
		}
		go func() {
			defer close(order)
			defer close(work)
			j := &job{done: make(chan struct{})}
			send := func() bool {
				select {
				case order <- j:
				case <-ctx.Done():
					return false
				}
				work <- j // workers always take it
				j = &job{done: make(chan struct{})}
				return true
			}
			for e, err := range entries {
				if err == nil {
					err = ctx.Err()
				}
				if err != nil {
					j.err = err
					break
				}
				if j.in = append(j.in, e); len(j.in) == batch && !send() {
					return
				}
			}
			if len(j.in) > 0 || j.err != nil {
				send()
			}
		}()
		for j := range order {
			<-j.done
			for i := range j.out {
				if !yield(&j.out[i], nil) {
					return
				}
			}
			if j.err != nil {
				yield(nil, j.err)
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(nil, err)
		}
	}
}
