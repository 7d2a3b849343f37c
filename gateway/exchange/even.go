package exchange

import (
	"context"
	"time"
)

// tick is the grid on which answers that say no leave; longer than nearly all of them take.
const tick = 5 * time.Millisecond

// even holds an answer that says no, or that found nothing, until a whole number of ticks has passed since its question
// came. What is hidden takes some 70 µs longer to refuse than what is absent (its class is looked up, its client's facts
// are read, the law is asked, a longer record is written), and a few thousand questions would tell the two apart (law
// 2). On the grid both leave at the same tick, but for the few that the difference carries over one. Answers with data
// are not held.
func (d *Desk) even(ctx context.Context, began time.Time) {
	timer := time.NewTimer(tick - time.Since(began)%tick)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
