// Package notify delivers what changed to the systems that asked for it: HL7 v2 messages over MLLP, from the outbox of
// events that every change leaves.
//
//	event ─▶ connected? ─▶ Desk.GatherWith (decides for the receiver, records) ─▶ render ─▶ send ─▶ AA ─▶ Desk.Advance
//
// Every attempt decides anew on what is so then, so a message that waited never rests on old facts (design: law 4),
// and carries the resource as it is then. Denied, absent and deleted are alike: nothing is sent. Events of one
// receiver go out in their order; a receiver that cannot be reached holds up nobody else. Of many nodes one at a time has
// the turn at a receiver's events, by a lease in the store; how far it came moves only under it. Delivery is at least
// once: a message sent again after a crash has the same control id (MSH-10). A wake.Bell tells of new events at once;
// without it, or when it is not heard, they are found by looking. Nothing of a message's content is logged.
package notify

import (
	"context"
	"net"
	"slices"

	"sotesilta/gateway/exchange"
	"sotesilta/mappings"
	"sotesilta/mappings/hl7v2"
)

// Desk is what this package needs of the one door; *exchange.Desk is it.
type Desk interface {
	GatherWith(ctx context.Context, c exchange.Caller, more func([]*exchange.Resource) []string, refs ...string) ([]*exchange.Resource, error)
	TakeLease(ctx context.Context, l exchange.Lease) (bool, error)
	Position(ctx context.Context, consumer string) (int64, error)
	Events(ctx context.Context, after int64, limit int) ([]exchange.Event, error)
	Advance(ctx context.Context, l exchange.Lease, from, to int64) error
}

// Receiver is a registered system that wants messages.
type Receiver struct {
	ID      string                 // names its place in the outbox: unique, and the same after a restart
	Caller  func() exchange.Caller // the system as it is registered now, for which each delivery is decided
	Address string                 // host:port of its MLLP listener
	Lens    *mappings.Lens         // renders the messages
	Types   []string               // resource types whose changes it wants; the lens must render them
	Setting mappings.Setting
	// Envelope holds the names (MSH-3 to MSH-6) and the mode (MSH-11) of the messages.
	Envelope mappings.Envelope
	// Dial connects to it; nil is plain TCP to Address. TLS is configured here.
	Dial func(ctx context.Context, address string) (net.Conn, error)
}

func (r *Receiver) wants(e exchange.Event) bool {
	return (e.Interaction == exchange.Create || e.Interaction == exchange.Update) &&
		slices.Contains(r.Types, e.Type) && r.Lens.Renders(e.Type)
}

// Status is what came of an event for a receiver.
type Status string

// The statuses. Only Waiting is not final.
const (
	Sent       Status = "sent"       // the receiver answered AA
	Withheld   Status = "withheld"   // denied, absent or deleted
	Superseded Status = "superseded" // a later event carries the newer version
	Unfit      Status = "unfit"      // the lens cannot make a message of it
	Refused    Status = "refused"    // the receiver answered AE: it will not take it, however often
	GivenUp    Status = "given-up"   // not delivered within Worker.GiveUp
	Waiting    Status = "waiting"    // this attempt failed; another follows
)

// Delivery tells what came of an event for a receiver, for logs and metrics: nothing in it is of the content.
type Delivery struct {
	Receiver string
	Event    exchange.Event
	Status   Status
	Why      string // for Unfit, Refused and Waiting: place or kind, never a value
	Report   mappings.Report
}

// control is the MSH-10 of an event: equal in every attempt.
func control(e exchange.Event) string { return "SS" + itoa(e.Seq) }

// places lists where the ERR segments of an answer point to, at most five.
func places(ack *hl7v2.Message) string {
	out := ""
	for i, e := range ack.All("ERR") {
		if i == 5 {
			break
		}
		segment, field, code := e.Get(hl7v2.Place{Field: 2}), e.Get(hl7v2.Place{Field: 2, Component: 3}), e.Get(hl7v2.Place{Field: 3})
		if _, err := hl7v2.ParsePath(segment + "-" + field); err != nil {
			segment, field = "message", ""
		}
		if len(code) != 3 || code < "000" || code > "999" {
			code = "no code"
		}
		out += " " + segment + "-" + field + " (" + code + ")"
	}
	return out
}
