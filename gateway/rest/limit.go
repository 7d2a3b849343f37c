package rest

import (
	"io"
	"math"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"

	"sotesilta/gateway/exchange"
)

// spend takes the visit out of the API client's allowance, or refuses with 429 and when to come again.
func (v *visit) spend() error {
	return throttled(v.server.Allowance.Spend(v.ctx, v.caller.Actor.App, 1))
}

// spendFurther takes n more requests out of it, for a visit that is as much as many.
func (v *visit) spendFurther(n int) error {
	return throttled(v.server.Allowance.SpendFurther(v.ctx, v.caller.Actor.App, n))
}

func throttled(wait time.Duration) error {
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

// Enter counts a request at a mounted address among those of its API client that are being answered, as every request at
// the base is, and says whether there was room for it.
func Enter(c *gin.Context, caller exchange.Caller) bool {
	v := visitOf(c)
	v.caller = caller
	v.entered = v.server.clients.enter(caller.Actor.App, v.server.Limits.PerClient)
	return v.entered
}

// arriving is a body on its way. Who waits for its bytes takes no room among the requests being answered: however many
// send slowly, a token endpoint that anybody reaches among what they send to, others are answered.
type arriving struct {
	io.ReadCloser
	busy *atomic.Int64
}

func (a *arriving) Read(p []byte) (int, error) {
	a.busy.Add(-1)
	defer a.busy.Add(1)
	return a.ReadCloser.Read(p)
}

// errCrowded is the refusal of a request when the API client has as many under way as it may.
var errCrowded = &refusal{
	status: http.StatusTooManyRequests, retry: 1,
	issues: issue("throttled", "", "This API client has too many requests under way at once. Await some of their answers, then try again."),
}
