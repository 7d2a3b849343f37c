package rest

import (
	"math"
	"net/http"
	"sync"
)

// spend takes n requests out of the API client's allowance, or refuses with 429 and when to come again.
func (v *visit) spend(n int) error {
	wait := v.server.Allowance.Spend(v.ctx, v.caller.Actor.App, n)
	if wait == 0 {
		return nil
	}
	return &refusal{
		status: http.StatusTooManyRequests, retry: max(1, int(math.Ceil(wait.Seconds()))),
		issues: issue("throttled", "", "This API client asks more often than its limit allows. Retry-After says when to come again."),
	}
}

// clients counts the requests being answered on this node by API client. API clients are registered, so there are few.
type clients struct {
	mu   sync.Mutex
	busy map[string]int
}

// enter counts a request of an API client in, unless it has as many as it may. leave counts it out.
func (c *clients) enter(app string, limit int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy[app] >= limit {
		return false
	}
	if c.busy == nil {
		c.busy = map[string]int{}
	}
	c.busy[app]++
	return true
}

func (c *clients) leave(app string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy[app]--
}

// errCrowded is the refusal of a request when the API client has as many under way as it may.
var errCrowded = &refusal{
	status: http.StatusTooManyRequests, retry: 1,
	issues: issue("throttled", "", "This API client has too many requests under way at once. Await some of their answers, then try again."),
}
