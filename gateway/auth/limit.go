package auth

import (
	"container/list"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Limits bounds how often assertions are verified: an ES384 signature costs half a millisecond of a core, so a flood
// must be stopped before the verification. The zero value is the defaults.
type Limits struct {
	Off       bool       // no limits (the sandbox, unless told)
	PerClient rate.Limit // a second and client id; 20
	PerRemote rate.Limit // a second and remote address (an IPv6 one: its /64); 20
	Burst     int        // of each; 100
	Remotes   int        // addresses remembered at most; 10,000
}

func (l Limits) withDefaults() Limits {
	if l.PerClient == 0 {
		l.PerClient = 20
	}
	if l.PerRemote == 0 {
		l.PerRemote = 20
	}
	if l.Burst == 0 {
		l.Burst = 100
	}
	if l.Remotes == 0 {
		l.Remotes = 10000
	}
	return l
}

// limiters is a bounded set of limiters by key; the one not used for longest makes room. Forgetting gives a full burst
// anew, so the bound is generous.
type limiters struct {
	limit rate.Limit
	burst int
	most  int

	mu    sync.Mutex
	byKey map[string]*list.Element
	order list.List // of *limiter, the latest used first
}

type limiter struct {
	key string
	*rate.Limiter
}

func newLimiters(limit rate.Limit, burst, most int) *limiters {
	return &limiters{limit: limit, burst: burst, most: most, byKey: map[string]*list.Element{}}
}

// wait takes a token; 0 is granted, otherwise how long until there may be one.
func (l *limiters) wait(key string, now time.Time) time.Duration {
	l.mu.Lock()
	e, known := l.byKey[key]
	if known {
		l.order.MoveToFront(e)
	} else {
		if len(l.byKey) >= l.most {
			last := l.order.Back()
			delete(l.byKey, last.Value.(*limiter).key)
			l.order.Remove(last)
		}
		e = l.order.PushFront(&limiter{key, rate.NewLimiter(l.limit, l.burst)})
		l.byKey[key] = e
	}
	lim := e.Value.(*limiter)
	l.mu.Unlock()
	if lim.AllowN(now, 1) {
		return 0
	}
	return max(time.Second, time.Duration(float64(time.Second)/float64(l.limit)))
}

// remoteKey is the address as the limiter counts it: a holder of one IPv6 network has all its addresses.
func remoteKey(ip string) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return "unknown"
	}
	if addr = addr.Unmap(); addr.Is6() {
		if p, err := addr.Prefix(64); err == nil {
			return p.String()
		}
	}
	return addr.String()
}
