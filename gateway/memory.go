package main

import (
	"os"
	"runtime"
	"runtime/debug"
	runtimemetrics "runtime/metrics"
)

// The heap may grow to five times what lives in it before it is collected, but by no more than gcHeadroom: little lives
// long in a gateway (some tens of megabytes of caches), and each request leaves much behind, so the usual double would
// spend a tenth of the processor on collecting. Under a load of large Bundles more lives, and five times of it would be
// hundreds of megabytes. It may always double.
const (
	gcPercent  = 400
	leastGC    = 100
	gcHeadroom = 120 << 20
)

// mark is what each collection finds dead.
type mark struct{ _ *mark }

// tuneCollection sets how far the heap may grow, anew after each collection. GOGC overrides it.
func tuneCollection() {
	if os.Getenv("GOGC") != "" {
		return
	}
	debug.SetGCPercent(gcPercent)
	live := []runtimemetrics.Sample{{Name: "/gc/heap/live:bytes"}}
	percent := gcPercent
	var again func(*mark)
	again = func(m *mark) { // runs once after each collection, in the runtime's own goroutine
		runtimemetrics.Read(live)
		if live[0].Value.Kind() == runtimemetrics.KindUint64 {
			if next := growth(live[0].Value.Uint64()); next != percent {
				percent = next
				debug.SetGCPercent(percent)
			}
		}
		runtime.SetFinalizer(m, again)
	}
	runtime.SetFinalizer(&mark{}, again)
}

// growth is the percentage that a heap of which so many bytes live may grow by; in steps, so that it is seldom set.
func growth(live uint64) int {
	if live == 0 {
		return gcPercent
	}
	percent := int(min(gcHeadroom*100/live, gcPercent))
	return max(percent/25*25, leastGC)
}
