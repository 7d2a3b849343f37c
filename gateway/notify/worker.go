package notify

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	spread "math/rand/v2"
	"strconv"
	"sync"
	"time"

	"sotesilta/gateway/exchange"
	"sotesilta/gateway/wake"
	"sotesilta/internal/fhir"
	"sotesilta/mappings"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// Worker delivers to receivers. Desk and Receivers are needed; zero durations are defaults. Each node may run a Worker
// for the same receivers: one of them at a time deals with the events of a receiver.
type Worker struct {
	Desk      Desk
	Receivers []Receiver
	Bell      *wake.Bell // wakes it when events come; nil: it looks for them
	Log       *slog.Logger
	Observe   func(Delivery) // if not nil, told of each attempt
	Now       func() time.Time

	Poll    time.Duration // between looks at the outbox; as the Bell says
	Answer  time.Duration // for the receiver to connect and to answer; 30 seconds
	Retry   time.Duration // before the second attempt, doubling up to RetryMax; 500 ms
	RetryTo time.Duration // longest pause between attempts; one minute
	GiveUp  time.Duration // age of an event that is not tried any more; 72 hours

	node string // unlike any other's
}

func or(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}

func (w *Worker) now() time.Time {
	if w.Now != nil {
		return w.Now()
	}
	return time.Now()
}

// Run delivers until ctx ends, and then returns nil after the attempt that is under way. It errs at once when a
// receiver is not complete.
func (w *Worker) Run(ctx context.Context) error {
	seen := map[string]bool{}
	for _, r := range w.Receivers {
		if r.ID == "" || seen[r.ID] || r.Caller == nil || r.Lens == nil || r.Address == "" && r.Dial == nil {
			return fmt.Errorf("notify: receiver %q needs an id of its own, a caller, a lens and an address", r.ID)
		}
		for _, typ := range r.Types {
			if !r.Lens.Renders(typ) {
				return fmt.Errorf("notify: receiver %s: lens %s does not render %s", r.ID, r.Lens, typ)
			}
		}
		seen[r.ID] = true
	}
	w.node = rand.Text()
	var running sync.WaitGroup
	for i := range w.Receivers {
		running.Go(func() { w.serve(ctx, &w.Receivers[i]) })
	}
	running.Wait()
	return nil
}

// batch is how many events one look at the outbox takes.
const batch = 250

// keepEvery is how often it is written down that events were passed which nobody here wants.
const keepEvery = time.Second

// serve deals with the events of one receiver whenever it is this node's turn.
func (w *Worker) serve(ctx context.Context, r *Receiver) {
	line := &line{receiver: r, answer: or(w.Answer, 30*time.Second)}
	defer line.close()
	woken := w.Bell.Listen(r.Types...)
	failures := 0
	for ctx.Err() == nil {
		t, err := w.take(ctx, "notify/"+r.ID)
		if t != nil {
			w.log().LogAttrs(ctx, slog.LevelInfo, "this node delivers", slog.String("receiver", r.ID))
			failures = 0
			err = w.work(t, line, woken)
			t.end()
			line.close()
		}
		switch {
		case ctx.Err() != nil:
		case err != nil:
			failures++
			w.log().LogAttrs(ctx, slog.LevelWarn, "outbox not read", slog.String("receiver", r.ID), slog.Int("failures", failures))
			w.sleep(ctx, w.pause(failures), nil)
		case t == nil: // another node's turn
			w.sleep(ctx, or(w.Poll, w.Bell.Pause()), nil)
		}
	}
}

// work goes through the events in order until the turn ends.
func (w *Worker) work(t *turn, l *line, woken <-chan struct{}) error {
	for t.ctx.Err() == nil {
		events, err := w.Desk.Events(t.ctx, t.at, batch)
		if err != nil {
			return err
		}
		for _, e := range events {
			if l.receiver.wants(e) {
				if !w.deliver(t.ctx, l, e) {
					return t.ctx.Err()
				}
				t.at = e.Seq
				if err := t.keep(w); err != nil {
					return err
				}
			}
			t.at = e.Seq
		}
		if len(events) == 0 || time.Since(t.when) > keepEvery {
			if err := t.keep(w); err != nil {
				return err
			}
		}
		if len(events) < batch {
			w.sleep(t.ctx, or(w.Poll, w.Bell.Pause()), woken)
		}
	}
	return t.ctx.Err()
}

// deliver tries until the event has come to an end; false when ctx ended before.
func (w *Worker) deliver(ctx context.Context, l *line, e exchange.Event) bool {
	for attempt := 1; ctx.Err() == nil; attempt++ {
		d := w.attempt(ctx, l, e)
		if d.Status == Waiting && w.now().Sub(e.Time) > or(w.GiveUp, 72*time.Hour) {
			d.Status = GivenUp
		}
		level := slog.LevelInfo
		switch d.Status {
		case Waiting, Unfit:
			level = slog.LevelWarn
		case Refused, GivenUp:
			level = slog.LevelError
		}
		w.log().LogAttrs(ctx, level, "message delivery", slog.String("receiver", d.Receiver), slog.Int64("event", e.Seq),
			slog.String("type", e.Type), slog.String("status", string(d.Status)), slog.String("why", d.Why),
			slog.Int("attempt", attempt), slog.Int("lost", d.Report.Lost))
		if w.Observe != nil {
			w.Observe(d)
		}
		if d.Status != Waiting {
			return true
		}
		w.sleep(ctx, w.pause(attempt), nil)
	}
	return false
}

// attempt tries once. It connects before it asks for data, so that nothing is recorded as sent to a receiver that is
// not there.
func (w *Worker) attempt(ctx context.Context, l *line, e exchange.Event) (d Delivery) {
	r := l.receiver
	d = Delivery{Receiver: r.ID, Event: e, Status: Waiting}
	if err := l.connect(ctx); err != nil {
		d.Why = "no connection"
		return d
	}
	resources, status, err := w.gather(ctx, r, e)
	if err != nil {
		d.Why = "the gateway cannot decide or record now"
		return d
	}
	if status != "" {
		d.Status = status
		return d
	}
	envelope := r.Envelope
	envelope.ControlID, envelope.Time = control(e), w.now()
	msg, report, err := mappings.Render(r.Lens, envelope, r.Setting, resources...)
	d.Report = report
	var wire []byte
	if err == nil {
		wire, err = msg.Encode()
	}
	if err != nil {
		d.Status = Unfit
		var refusal *mappings.Refusal
		if errors.As(err, &refusal) {
			d.Why = refusal.Error()
		}
		return d
	}
	if ctx.Err() != nil { // the turn may be another node's by now
		d.Why = "the turn ended"
		return d
	}
	d.Status, d.Why = l.send(ctx, envelope.ControlID, wire)
	return d
}

// gather gets what the message is made of, as the receiver may have it now. A status is final.
func (w *Worker) gather(ctx context.Context, r *Receiver, e exchange.Event) ([]*fhir.Value, Status, error) {
	status := Withheld
	var resources []*fhir.Value
	var broken error
	asked := map[string]bool{}
	round := 0
	_, err := w.Desk.GatherWith(ctx, r.Caller(), func(found []*exchange.Resource) (next []string) {
		round++
		for _, resource := range found {
			if resource == nil || resource.Body == nil {
				continue
			}
			if round == 1 && resource.Version > e.Version && e.Version > 1 {
				status = Superseded
				return nil
			}
			v, err := fhir.Parse(resource.Body, fhir.DefaultLimits)
			if err != nil {
				broken = err
				return nil
			}
			resources = append(resources, v)
			if round == 1 {
				status, next = "", r.Lens.References(v)
			} else if ref := v.Text("practitioner", "reference"); round == 2 && fhir.ParseReference(ref).Local() && !asked[ref] && len(next) < 20 {
				next = append(next, ref) // a PractitionerRole found names its Practitioner
			}
		}
		for _, ref := range next {
			asked[ref] = true
		}
		return next
	}, e.Type+"/"+e.ID)
	if err == nil {
		err = broken
	}
	if err != nil || status != "" {
		return nil, status, err
	}
	// Which kind of message it is follows from the event (a booking stays one when it was changed before it went out);
	// what the message says follows from the resource as it is now.
	if meta := resources[0].Get("meta"); meta != nil {
		meta.Set("versionId", fhir.NewString(itoa(e.Version)))
	}
	return resources, "", nil
}

// pause before attempt n+1: doubling, and spread by a fifth so that receivers are not hit all at once.
func (w *Worker) pause(n int) time.Duration {
	d := or(w.Retry, 500*time.Millisecond)
	longest := or(w.RetryTo, time.Minute)
	for range min(n-1, 20) {
		d = min(2*d, longest)
	}
	return d + spread.N(d/5+1)
}

// sleep waits for a while, or until it is woken.
func (w *Worker) sleep(ctx context.Context, d time.Duration, woken <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-woken:
	case <-ctx.Done():
	}
}

func (w *Worker) log() *slog.Logger {
	if w.Log != nil {
		return w.Log
	}
	return slog.Default()
}
