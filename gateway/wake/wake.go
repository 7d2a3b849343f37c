// Package wake wakes those who wait for events as soon as some are committed, on whichever node, so that they need not
// look often. A wake-up may be lost at any moment and costs time only: what is true is in the store, and whoever waits
// looks there from time to time all the same.
package wake

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"sotesilta/gateway/shared"
)

const (
	channel = "events"
	// together is for how long a node gathers what it tells the others, after it told them something.
	together = 20 * time.Millisecond
	// How long to wait between looks at the store: between one and two times as long, so that nodes do not look all at once.
	woken   = time.Second            // while wake-ups come
	unwoken = 100 * time.Millisecond // while they do not
)

// Bell is rung when resources change, and wakes those who wait for their types. A nil one wakes nobody. It is safe for
// concurrent use.
type Bell struct {
	memory *shared.Memory
	alone  bool

	mu    sync.Mutex
	ears  []ear
	told  []string // types to be told to other nodes
	tell  chan struct{}
	heard bool // the others
}

type ear struct {
	types []string
	wake  chan struct{}
}

// New makes the bell of a node that is alone with its store, or of one of those that share a memory (nil: none).
func New(memory *shared.Memory, alone bool) *Bell {
	return &Bell{memory: memory, alone: alone, tell: make(chan struct{}, 1)}
}

// Ring wakes those who wait for a type, here at once and on the other nodes while Run runs. It never blocks.
func (b *Bell) Ring(typ string) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wake(typ)
	if b.memory != nil && !slices.Contains(b.told, typ) {
		b.told = append(b.told, typ)
		touch(b.tell)
	}
}

// Listen is a channel that has something to receive after one of the types was rung, and when wake-ups begin or cease
// to come.
func (b *Bell) Listen(types ...string) <-chan struct{} {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	e := ear{types, make(chan struct{}, 1)}
	b.ears = append(b.ears, e)
	return e.wake
}

// Pause is how long who listens may wait before looking for itself: a second or two while wake-ups come from wherever
// they may, a tenth or two otherwise.
func (b *Bell) Pause() time.Duration {
	pause := unwoken
	if b != nil {
		b.mu.Lock()
		if b.alone || b.heard {
			pause = woken
		}
		b.mu.Unlock()
	}
	return pause + rand.N(pause)
}

// Run tells the other nodes, and hears them, until the context ends.
func (b *Bell) Run(ctx context.Context) {
	if b == nil || b.memory == nil {
		return
	}
	var telling sync.WaitGroup
	defer telling.Wait()
	telling.Go(func() { b.tellOthers(ctx) })
	b.memory.Listen(ctx, channel, func(heard bool) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.heard = heard
		for _, e := range b.ears {
			touch(e.wake)
		}
	}, func(text string) {
		b.mu.Lock()
		defer b.mu.Unlock()
		for typ := range strings.FieldsSeq(text) {
			b.wake(typ)
		}
	})
}

func (b *Bell) tellOthers(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.tell:
		}
		b.mu.Lock()
		text := strings.Join(b.told, " ")
		b.told = nil
		b.mu.Unlock()
		b.memory.Tell(ctx, channel, text)
		select {
		case <-ctx.Done():
			return
		case <-time.After(together):
		}
	}
}

// wake wakes who waits for a type. The lock is held.
func (b *Bell) wake(typ string) {
	for _, e := range b.ears {
		if slices.Contains(e.types, typ) {
			touch(e.wake)
		}
	}
}

func touch(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
