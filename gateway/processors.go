package main

import (
	"os"
	"runtime"
	"sync"
)

// spareProcessors are how many more of Go's processors a gateway has than the machine. The SQLite store's writer spends
// most of its time in system calls that wait for the disk, and the runtime takes a processor away from who waits in one
// only after a while: on a small machine half of all requests would stand still meanwhile.
const spareProcessors = 2

// tuneProcessors adds them. It is done once the store is open, which reads by as many connections as the machine itself
// can use. GOMAXPROCS overrides it.
var tuneProcessors = sync.OnceFunc(func() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + spareProcessors)
	}
})
