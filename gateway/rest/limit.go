package rest

import (
	"math"
	"net/http"
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
