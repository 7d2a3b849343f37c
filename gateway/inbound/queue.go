package inbound

import (
	"context"
	"encoding/base64"

	"sotesilta/gateway/exchange"
	"sotesilta/gateway/search"
	"sotesilta/internal/fhir"
	"sotesilta/internal/finland"
	"sotesilta/internal/terms"
)

// Kept is a message that waits for a person.
type Kept struct {
	Source      *Source
	Fingerprint string // equal when the same message is sent again
	ControlID   string // the sender's own name of the message (MSH-10), by which it is found there
	Sealed      []byte
	Reason      string // NoCode, BadCode, Several or NoCertainMatch
}

// Quarantine keeps messages that no client was found for, durably. Keeping the same message again keeps one.
type Quarantine interface {
	Keep(ctx context.Context, k Kept) error
}

// Terms of the work queue.
const (
	// WorkQueue codes the Tasks of the work queue and what they carry.
	WorkQueue = terms.Base + "CodeSystem/work-queue"
	// Unmatched is the Task.code of a message that waits, and SealedMessage the type of its input.
	Unmatched     = "unmatched-message"
	SealedMessage = "sealed-message"
	// Client and Recorded are the types of the outputs of one that was resolved.
	Client   = "client"
	Recorded = "recorded"
	// messageSystem is the identifier system of fingerprints, and controlSystem that of MSH-10.
	messageSystem = terms.Base + "NamingSystem/message-fingerprint"
	controlSystem = terms.Base + "NamingSystem/message-control-id"
)

// WorkQueueTasks keeps messages as Tasks, written through the one door by the system that sent them: a Task without
// subject is data of that system's own register and unit and of nobody else (contract: "Identity, writing, labels"),
// it survives restarts, and taking it into work is recorded like every other exchange. The message is in its input,
// sealed; it names no person.
type WorkQueueTasks struct{ Desk Desk }

// Keep writes the Task unless it is there already.
func (q WorkQueueTasks) Keep(ctx context.Context, k Kept) error {
	caller := k.Source.Caller()
	caller.Interaction = exchange.Receive
	identifiers := fhir.NewArray(identifier(messageSystem, k.Fingerprint))
	if k.ControlID != "" && !finland.FindIdentityCode(k.ControlID) { // a sender may have made it of anything
		identifiers.Append(identifier(controlSystem, k.ControlID))
	}
	doc := fhir.NewObject(
		member("resourceType", fhir.NewString("Task")),
		member("identifier", identifiers),
		member("status", fhir.NewString("requested")),
		member("statusReason", coding(k.Reason)),
		member("intent", fhir.NewString("order")),
		member("code", coding(Unmatched)),
		member("input", fhir.NewArray(fhir.NewObject(
			member("type", coding(SealedMessage)),
			member("valueBase64Binary", fhir.NewString(base64.StdEncoding.EncodeToString(k.Sealed)))))),
	)
	_, err := q.Desk.Transact(ctx, caller, []exchange.Op{{
		Interaction: exchange.Create, Type: "Task", Doc: doc,
		IfNoneExist: byIdentifier("Task", messageSystem, k.Fingerprint),
	}})
	return err
}

func identifier(system, value string) *fhir.Value {
	return fhir.NewObject(member("system", fhir.NewString(system)), member("value", fhir.NewString(value)))
}

func coding(code string) *fhir.Value {
	return fhir.NewObject(member("coding", fhir.NewArray(fhir.NewObject(
		member("system", fhir.NewString(WorkQueue)), member("code", fhir.NewString(code))))))
}

func member(name string, v *fhir.Value) fhir.Member { return fhir.Member{Name: name, Value: v} }

// byIdentifier is the condition that a resource with the identifier is there.
func byIdentifier(typ, system, value string) *search.Query {
	return &search.Query{
		Type: typ, Count: 2,
		Where: []search.Clause{{
			Param:  search.Lookup(typ, "identifier"),
			Values: []search.Value{{System: system, SystemSet: true, Code: value}},
		}},
	}
}
