// Package inbound takes what regional systems send over wires other than FHIR: HL7 v2 over MLLP. It hands bytes to
// mappings and the outcome to the one door, as the registered system that sent it:
//
//	frame ─▶ parse ─▶ translate ─▶ Desk.Match (who is it?) ─▶ Desk.Transact ─▶ AA
//	                                   └─ no certain match ─▶ sealed into the work queue ─▶ AA
//
// A message without a certain match is never linked to anybody (design: "Nobody is linked by guess"): it waits,
// sealed, for a person, who may identify the client (Resolver). So does one that tells of several people. A message that is wrong is answered with AE, one that cannot be taken now with AR; both name
// places and never values. Nothing of a message's content is logged. A message sent again makes nothing twice.
package inbound

import (
	"context"
	"slices"

	"sotesilta/gateway/exchange"
	"sotesilta/mappings"
	"sotesilta/mappings/hl7v2"
)

// Desk is what this package needs of the one door; *exchange.Desk is it.
type Desk interface {
	Match(ctx context.Context, c exchange.Caller, id exchange.Identification) (*exchange.Resource, error)
	Transact(ctx context.Context, c exchange.Caller, ops []exchange.Op) ([]exchange.Written, error)
}

// Source is a registered system that sends messages.
type Source struct {
	ID string // API client id, such as jukola-ehr
	// Caller is the system itself, as it is registered now: no user; what it may write comes from its registration.
	Caller  func() exchange.Caller
	Lenses  []*mappings.Lens
	Setting mappings.Setting
	// Senders are the names under which the system sends (MSH-3, MSH-4); messages of others are refused, though they come
	// over its connection. None takes any name.
	Senders []Sender
	// Modes are the processing ids (MSH-11) that are taken; none is P only, so that no test message enters production.
	Modes []string
	// Charset is that of messages whose MSH-18 is empty; "" is UTF-8.
	Charset string
	// SyntheticOnly refuses identity codes that may be a real person's (individual numbers 002–899).
	SyntheticOnly bool
}

// Sender is how a system names itself in its messages. Of both names only the components that are not empty are held
// against the message, so that an Application alone takes any facility.
type Sender struct{ Application, Facility hl7v2.HD }

// takes says whether a message's header bears one of the source's registered names.
func (s *Source) takes(h hl7v2.Header) bool {
	return len(s.Senders) == 0 || slices.ContainsFunc(s.Senders, func(of Sender) bool {
		for i := range of.Application {
			if of.Application[i] != "" && of.Application[i] != h.Sender[i] || of.Facility[i] != "" && of.Facility[i] != h.SenderFacility[i] {
				return false
			}
		}
		return true
	})
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
	Several        = "several-clients"   // the message tells of more than one person: two PIDs, two identity codes
	NoCertainMatch = "no-certain-match"  // identity code and name are no certain client's
)
