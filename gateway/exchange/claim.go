package exchange

import (
	"context"
)

// Claim is the interaction of asking for an access token, recorded where a person's claim was refused.
const Claim Interaction = "token"

// RefuseClaim records that a registered person claimed what the token endpoint refused, and why. It is about no client:
// none was named yet.
func (d *Desk) RefuseClaim(ctx context.Context, who Caller, why string) error {
	rec := d.record(d.complete(who), Claim, "")
	rec.Ruled, rec.Reason = true, why
	return d.commit(ctx, d.now(), rec)
}
