package rest

import (
	"math"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// rates holds how much each API client has asked for lately, on this node. API clients are registered, so there are few.
type rates struct {
	limit rate.Limit
	burst int
	mu    sync.Mutex
	apps  map[string]*rate.Limiter
}

// spend takes n requests out of the API client's allowance, or refuses with 429 and when to come again. One visit
// never costs more than the burst, so that a large batch waits for its turn instead of for ever.
func (r *rates) spend(app string, n int) error {
	if r.limit <= 0 || n <= 0 {
		return nil
	}
	r.mu.Lock()
	limiter := r.apps[app]
	if limiter == nil {
		if r.apps == nil {
			r.apps = map[string]*rate.Limiter{}
		}
		limiter = rate.NewLimiter(r.limit, r.burst)
		r.apps[app] = limiter
	}
	r.mu.Unlock()

	now := time.Now()
	reserved := limiter.ReserveN(now, min(n, r.burst))
	wait := reserved.DelayFrom(now)
	if wait == 0 {
		return nil
	}
	reserved.CancelAt(now)
	return &refusal{
		status: http.StatusTooManyRequests, retry: max(1, int(math.Ceil(wait.Seconds()))),
		issues: issue("throttled", "", "This API client asks more often than its limit allows. Retry-After says when to come again."),
	}
}
