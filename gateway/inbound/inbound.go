// Package inbound takes what regional systems send over wires other than FHIR: HL7 v2 over MLLP. It hands bytes to
// mappings and the outcome to the one door, as the registered system that sent it:
//
//	frame ─▶ parse ─▶ translate ─▶ Desk.Match (who is it?) ─▶ Desk.Transact ─▶ AA
//	                                   └─ no certain match ─▶ sealed into the work queue ─▶ AA
//
// A message without a certain match is never linked to anybody (design: "Nobody is linked by guess"): it waits,
// sealed, for a person. A message that is wrong is answered with AE, one that cannot be taken now with AR; both name
// places and never values. Nothing of a message's content is logged. A message sent again makes nothing twice.
package inbound

import (
	"context"

	"sotesilta/gateway/exchange"
	"sotesilta/mappings"
)

// Desk is what this package needs of the one door; *exchange.Desk is it.
type Desk interface {
	Match(ctx context.Context, c exchange.Caller, id exchange.Identification) (*exchange.Resource, error)
	Transact(ctx context.Context, c exchange.Caller, ops []exchange.Op) ([]exchange.Written, error)
}

// Source is a registered system that sends messages.
type Source struct {
	ID      string          // API client id, such as jukola-ehr
	Caller  exchange.Caller // the system itself: no user; what it may write comes from its registration
	Lenses  []*mappings.Lens
	Setting mappings.Setting
	// Modes are the processing ids (MSH-11) that are taken; none is P only, so that no test message enters production.
	Modes []string
	// Charset is that of messages whose MSH-18 is empty; "" is UTF-8.
	Charset string
	// SyntheticOnly refuses identity codes that may be a real person's (individual numbers 002–899).
	SyntheticOnly bool
}

// Outcome tells what came of a message, for logs and metrics: nothing in it is of the message's content.
type Outcome struct {
	Source string
	Type   string // ADT^A04 where a lens reads it, otherwise "other"
	Code   string // AA, AE or AR
	Reason string // "" stored, repeated, or why not: a fixed word
	Report mappings.Report
}

// Reasons of an Outcome and of a kept message.
const (
	Repeated       = "repeated"          // the same visit was recorded before
	Replaced       = "replaced"          // what was recorded before was replaced, such as by the end of the visit
	NoCode         = "no-identity-code"  // the message names no identity code
	BadCode        = "bad-identity-code" // the identity code is not one, or its check character is wrong
	NoCertainMatch = "no-certain-match"  // identity code and name are no certain client's
)
