package exchange

import (
	"context"
	"errors"

	"sotesilta/gateway/search"
)

// Desk is the door.
type Desk struct{}

var errNotBuilt = errors.New("exchange: being built")

// Read answers the current version of a resource. Absent, Gone, Forbidden, Unrecorded.
func (d *Desk) Read(ctx context.Context, c Caller, typ, id string) (*Resource, error) {
	return nil, errNotBuilt
}

// VRead answers one version of a resource.
func (d *Desk) VRead(ctx context.Context, c Caller, typ, id string, version int64) (*Resource, error) {
	return nil, errNotBuilt
}

// History answers the versions of a resource that the caller may see, newest first, below version before (0: from
// the newest), at most limit, and the before of the next page (0: no more).
func (d *Desk) History(ctx context.Context, c Caller, typ, id string, before int64, limit int) ([]Resource, int64, error) {
	return nil, 0, errNotBuilt
}

// Search answers one page.
func (d *Desk) Search(ctx context.Context, c Caller, q *search.Query) (*Page, error) {
	return nil, errNotBuilt
}

// Transact makes all the changes or none. An *Error names the Op that failed in Entry.
func (d *Desk) Transact(ctx context.Context, c Caller, ops []Op) ([]Written, error) {
	return nil, errNotBuilt
}

// Match finds a client in the population data by identity code and name (Patient/$match). Absent when there is no
// certain match.
func (d *Desk) Match(ctx context.Context, c Caller, id Identification) (*Resource, error) {
	return nil, errNotBuilt
}

// Gather answers current resources for a push to the caller (consent.Notify), in the order of refs ("Type/id"), after
// the push is recorded; a denied or absent one is nil. Called once per attempt: each decides again.
func (d *Desk) Gather(ctx context.Context, c Caller, refs ...string) ([]*Resource, error) {
	return nil, errNotBuilt
}

// Events gives a consumer the next events after its position, at most limit.
func (d *Desk) Events(ctx context.Context, consumer string, limit int) ([]Event, error) {
	return nil, errNotBuilt
}

// Advance moves a consumer's position to seq.
func (d *Desk) Advance(ctx context.Context, consumer string, seq int64) error {
	return errNotBuilt
}
