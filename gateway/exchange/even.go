package exchange

import (
	"context"
	"sync"
	"time"
)

// Answers that say no, or that found nothing, leave at marks, counted from when their question came: 5 ms, 10 ms, 20 ms
// and so on. What is hidden takes some microseconds longer to refuse than what is absent (decoy.go makes their work alike,
// as far as it can), and enough questions would tell the two apart (law 2). At a mark both leave alike, but for the few
// whose own times lie on both sides of one. So that there are few on any machine under any load, the first mark is one
// that nearly all of late came before (pace); test/leak/README.md says how few. Answers with data do not wait, nor do
// those that no row was looked at for.
//
// While an answer waits it holds no snapshot, no connection of the store and no turn: nothing but itself. Whoever waits
// counts among the requests of the API client that are under way, which are bounded.

const (
	// tick is the first mark where answers are quick.
	tick = 5 * time.Millisecond
	// slowest is the step of the latest first mark, 640 ms; after the first come as many as it takes.
	slowest = 7
)

// A pace looks at so many answers, or as many as came in so much time, before it chooses anew; of so many, one may have
// come after the first mark.
const (
	paceLooks = 200
	paceLife  = time.Minute
	paceShare = 20
)

// pace keeps the first mark of one API client's questions of one kind: what an asker makes slow is slow for itself alone.
type pace struct {
	mu    sync.Mutex
	first int // step of the first mark: tick << first
	since time.Time
	looks int
	after [slowest + 1]int // answers that came after the mark of a step
}

// leave says when an answer leaves that was ready so long after its question came: at the first mark, or the next one
// after it was ready.
func (p *pace) leave(now time.Time, took time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.looks == paceLooks || now.Sub(p.since) > paceLife {
		if p.first > 0 && p.after[p.first-1]*paceShare <= p.looks {
			p.first--
		}
		p.since, p.looks, p.after = now, 0, [slowest + 1]int{}
	}
	p.looks++
	at := tick << p.first
	for at < took {
		at *= 2
	}
	for step := range p.after {
		if took > tick<<step {
			p.after[step]++
		}
	}
	for p.first < slowest && p.after[p.first] > paceLooks/paceShare {
		p.first++
	}
	return at
}

// pacing is whose questions a pace is of.
type pacing struct {
	app string // API client
	i   Interaction
}

// question is one whose answer may have to wait.
type question struct {
	desk  *Desk
	of    pacing
	began time.Time
}

// question begins a question of a caller, where its answer may come to tell of rows.
func (d *Desk) question(c Caller, i Interaction) question {
	return question{d, pacing{c.Actor.App, i}, time.Now()}
}

// wait keeps the answer, one that says no or that found nothing, until its mark.
func (q question) wait(ctx context.Context) {
	p, known := q.desk.paces.Load(q.of)
	if !known {
		p, _ = q.desk.paces.LoadOrStore(q.of, &pace{})
	}
	now := time.Now()
	took := now.Sub(q.began)
	left := p.(*pace).leave(now, took) - took
	if n, of := ctx.Value(among{}).(int); of {
		if end, bounded := ctx.Deadline(); bounded {
			left = min(left, sooner(took, end.Sub(now)/time.Duration(2*n)))
		}
	}
	q.desk.wait(ctx, left)
}

// sooner is how long an answer waits, at most so long, that was ready so long after its question came: until the next of
// marks that lie as far apart as that allows. If it waited for most itself, the times of a thousand answers would add up in
// that of their batch, whatever each is told by.
func sooner(took, most time.Duration) time.Duration {
	apart := tick << slowest
	for apart > most {
		if apart /= 2; apart == 0 {
			return 0
		}
	}
	return apart - took%apart
}

// among is the key of how many questions of a context's request are still to be answered.
type among struct{}

// Among tells that the question under a context is the first of so many that one request has left, such as the entries of
// a batch: together they wait for half of the time that the request has, so that a thousand that find nothing are all
// answered, under load too.
func Among(ctx context.Context, questions int) context.Context {
	return context.WithValue(ctx, among{}, max(1, questions))
}

// wait waits for so long, or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
