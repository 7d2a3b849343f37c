// Package allowance is how much somebody may ask for: so many requests a second, whichever node they come to.
package allowance

import (
	"container/list"
	"context"
	_ "embed"
	"math"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/time/rate"

	"sotesilta/gateway/shared"
)

// Allowance gives each who asks, such as an API client, a token bucket. With a shared memory the buckets are the
// gateway's, not the node's: a node takes what it needs for a moment out of the shared one, so that few requests wait for
// Redis. While the memory is lost, each node grants the whole allowance by itself: nobody is refused who would not have
// been, and the store still bounds what nodes can do together. A nil Allowance grants everything.
type Allowance struct {
	kind   string
	limit  rate.Limit
	burst  int
	most   int
	memory *shared.Memory // nil: this node alone

	mu    sync.Mutex
	byKey map[string]*list.Element
	order list.List // of *bucket, the latest used first
}

// remembered is how many who ask are remembered unless said otherwise. Those not seen for longest are forgotten, and have
// a full burst anew: so the number is generous.
const remembered = 10000

// New makes the Allowance of API clients: limit requests a second, of which burst may come at once (0: as many as a
// second's). A limit of 0 is none. memory may be nil.
func New(limit rate.Limit, burst int, memory *shared.Memory) *Allowance {
	return Of("allowance", remembered, limit, burst, memory)
}

// Of makes an Allowance of another kind, whose buckets are shared under its name, for at most so many who ask.
func Of(kind string, most int, limit rate.Limit, burst int, memory *shared.Memory) *Allowance {
	if limit <= 0 {
		return nil
	}
	if burst <= 0 {
		burst = max(1, int(math.Ceil(float64(limit))))
	}
	return &Allowance{kind: kind, limit: limit, burst: burst, most: most, memory: memory, byKey: map[string]*list.Element{}}
}

// bucket is one asker's.
type bucket struct {
	key   string
	alone *rate.Limiter // counts what this node granted, for when it must count by itself

	mu    sync.Mutex
	taken int       // out of the shared bucket, and not granted yet
	at    time.Time // when it was taken
}

// bucket is the bucket of a key.
func (a *Allowance) bucket(key string) *bucket {
	a.mu.Lock()
	defer a.mu.Unlock()
	if e, known := a.byKey[key]; known {
		a.order.MoveToFront(e)
		return e.Value.(*bucket)
	}
	if len(a.byKey) >= a.most {
		last := a.order.Back()
		delete(a.byKey, last.Value.(*bucket).key)
		a.order.Remove(last)
	}
	b := &bucket{key: key, alone: rate.NewLimiter(a.limit, a.burst)}
	a.byKey[key] = a.order.PushFront(b)
	return b
}

const (
	// ahead is how much of a second's allowance a node takes at once, and kept how long it counts: what is left then was
	// filled up in the shared bucket as well.
	ahead = 20
	kept  = time.Second
)

// Spend takes n requests out of the allowance of a key, such as an API client's id; 0 is granted, otherwise it is refused,
// and how long until it may come again. No request costs more than the burst, so that a large batch waits for its turn
// instead of for ever.
func (a *Allowance) Spend(ctx context.Context, key string, n int) time.Duration {
	if a == nil || n <= 0 {
		return 0
	}
	b := a.bucket(key)
	n = min(n, a.burst)
	if wait, done := a.together(ctx, b, n); done {
		return wait
	}
	now := time.Now()
	reserved := b.alone.ReserveN(now, n)
	wait := reserved.DelayFrom(now)
	if wait > 0 {
		reserved.CancelAt(now)
	}
	return wait
}

// SpendFurther takes n requests beyond the first, which Spend granted: what turns out to be as much as many, such as a batch.
// Both together cost no more than the burst, so that the first is not what the rest for ever lacks; a refusal says how long
// until both are granted.
func (a *Allowance) SpendFurther(ctx context.Context, key string, n int) time.Duration {
	if a == nil {
		return 0
	}
	wait := a.Spend(ctx, key, min(n, a.burst-1))
	if wait > 0 {
		wait += time.Duration(float64(time.Second) / float64(a.limit))
	}
	return wait
}

//go:embed take.lua
var takeLua string

// take asks for at most ARGV[4] tokens and at least ARGV[3], and answers how many it gave, or none and the
// milliseconds until there are enough.
var take = redis.NewScript(takeLua)

// together spends out of the shared bucket; done is false when it cannot be told.
func (a *Allowance) together(ctx context.Context, b *bucket, n int) (wait time.Duration, done bool) {
	if a.memory == nil {
		return 0, false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if now.Sub(b.at) > kept {
		b.taken = 0
	}
	if b.taken >= n {
		b.taken -= n
		return 0, true
	}
	need := n - b.taken
	want := max(need, min(a.burst, int(float64(a.limit)/ahead)))
	var answer []int64
	done = a.memory.Do(ctx, func(ctx context.Context, client redis.UniversalClient) (err error) {
		answer, err = take.Run(ctx, client, []string{shared.Name(a.kind + ":" + b.key)}, float64(a.limit), a.burst, need, want).Int64Slice()
		return err
	})
	if !done || len(answer) != 2 {
		return 0, false
	}
	if given := int(answer[0]); given >= need {
		b.taken, b.at = b.taken+given-n, now
		return 0, true
	}
	return max(time.Millisecond, time.Duration(answer[1])*time.Millisecond), true
}
