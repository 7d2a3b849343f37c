package inbound

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"

	"sotesilta/consent"
	"sotesilta/gateway/exchange"
	"sotesilta/internal/fhir"
	"sotesilta/internal/finland"
	"sotesilta/mappings"
	"sotesilta/mappings/hl7v2"
)

// Resolver lets a professional say who a message of the work queue is about: an explicit, recorded act, as nobody is
// linked by guess (law 10). What the message tells is then recorded about that client, by the professional, and its Task
// is completed and names what was recorded: one exchange, all of it or nothing.
type Resolver struct {
	Desk interface {
		Desk
		Read(ctx context.Context, c exchange.Caller, typ, id string) (*exchange.Resource, error)
	}
	Sealer *Sealer
	// Source is the source that an API client is; nil when it is none. Its messages wait for its own professionals.
	Source func(client string) *Source
	Now    func() time.Time // time.Now
}

// open are the statuses of a Task whose message still waits.
var open = []string{"requested", "received", "accepted", "in-progress", "on-hold"}

// Resolve gives the message that waits in Task/id to the client whom the professional identifies, as for $match, and
// answers the completed Task. Twice is once: the second finds the Task completed, or newer than it was read. An *Error tells
// why it cannot be: Absent when the caller may not see the Task, Unprocessable what is wrong otherwise.
func (r *Resolver) Resolve(ctx context.Context, c exchange.Caller, id string, who exchange.Identification) (*exchange.Resource, error) {
	found, err := r.Desk.Read(ctx, c, "Task", id)
	if err != nil {
		return nil, err
	}
	task, err := fhir.Parse(found.Body, fhir.DefaultLimits)
	if err != nil {
		return nil, err
	}
	sealed, err := waiting(task)
	if err != nil {
		return nil, err
	}
	if c.Actor.Kind != consent.Professional {
		return nil, unresolved("Task", "A professional says who a message is about; a system does not.")
	}
	src := r.Source(c.Actor.App)
	if src == nil {
		return nil, unresolved("Task", "The message is resolved by a professional who uses the system that sent it.")
	}
	result, code, err := r.message(src, sealed)
	switch {
	case err != nil:
		return nil, err
	case code != "" && !strings.EqualFold(code, who.IdentityCode):
		return nil, unresolved("Parameters.parameter.resource.identifier",
			"The message names another identity code. If that is wrong, it is put right where the message came from, and sent again.")
	}
	c.RequestID = "" // that of the request is the record of the Task's read
	client, err := r.Desk.Match(ctx, c, who)
	var refused *exchange.Error
	if errors.As(err, &refused) && refused.Kind == exchange.Absent || err == nil && client == nil {
		return nil, unresolved("Parameters.parameter.resource", "Identity code and name are no certain client's.")
	}
	if err != nil {
		return nil, err
	}
	c.Interaction = exchange.Receive
	ref := client.Type + "/" + client.ID
	written, _, err := record(ctx, r.Desk, c, ref, result, func(names []string) []exchange.Op {
		return []exchange.Op{{
			Interaction: exchange.Update, Type: "Task", ID: found.ID, Doc: r.completed(task, ref, names), IfMatch: found.Version,
		}}
	})
	switch {
	case errors.Is(err, errUnidentified), errors.Is(err, errAnothers):
		return nil, unresolved("Task", "The message cannot be recorded: "+said(err)+".")
	case err != nil:
		return nil, err
	}
	return &written[len(written)-1].Resource, nil
}

// waiting is the sealed message of a Task.
func waiting(task *fhir.Value) ([]byte, error) {
	coded := func(concept *fhir.Value, code string) bool {
		return slices.ContainsFunc(concept.Get("coding").Items(), func(c *fhir.Value) bool {
			return c.Text("system") == WorkQueue && c.Text("code") == code
		})
	}
	if !coded(task.Get("code"), Unmatched) {
		return nil, unresolved("Task.code", "The Task is not of a message that waits (unmatched-message).")
	}
	if status := task.Text("status"); !slices.Contains(open, status) {
		return nil, unresolved("Task.status", "The Task is over: "+status+".")
	}
	for _, input := range task.Get("input").Items() {
		if coded(input.Get("type"), SealedMessage) {
			if sealed, err := base64.StdEncoding.DecodeString(input.Text("valueBase64Binary")); err == nil {
				return sealed, nil
			}
		}
	}
	return nil, unresolved("Task.input", "The Task holds no message.")
}

// message opens a message and reads it anew. The code is the identity code that it tells, if that is one.
func (r *Resolver) message(src *Source, sealed []byte) (_ *mappings.Result, code string, _ error) {
	data, err := r.Sealer.Open(src.ID, sealed)
	if err != nil {
		return nil, "", unresolved("Task.input", "The message was not kept for this system, or it was changed.")
	}
	msg, err := hl7v2.Parse(data, hl7v2.Limits{Charset: src.Charset})
	if err != nil {
		return nil, "", unresolved("Task.input", "The message cannot be read.")
	}
	lens, refused := choose(src, msg.Header())
	if refused != nil {
		return nil, "", unresolved("Task.input", "The message is no longer taken: "+refused.err.Text+".")
	}
	result, err := mappings.Translate(lens, msg, src.Setting)
	if err != nil {
		return nil, "", unresolved("Task.input", "The message cannot be translated.")
	}
	told := codesIn(msg)
	if result.Several || len(told) > 1 {
		return nil, "", unresolved("Task.input", "The message tells of several people, and which of them each part is about would be a guess.")
	}
	for _, c := range told {
		if _, err := finland.ParseIdentityCode(c.Code()); err == nil { // one with a wrong check character is nobody's
			code = c.Code()
		}
	}
	return result, code, nil
}

// completed is a Task whose message was given to a client, and of which the resources of these names were made.
func (r *Resolver) completed(task *fhir.Value, client string, names []string) *fhir.Value {
	now := time.Now
	if r.Now != nil {
		now = r.Now
	}
	reference := func(ref string) *fhir.Value { return fhir.NewObject(member("reference", fhir.NewString(ref))) }
	outputs := fhir.NewArray(fhir.NewObject(member("type", coding(Client)), member("valueReference", reference(client))))
	for _, name := range names {
		outputs.Append(fhir.NewObject(member("type", coding(Recorded)), member("valueReference", reference(name))))
	}
	next := task.Clone()
	next.Set("status", fhir.NewString("completed"))
	next.Set("for", reference(client))
	next.Set("lastModified", fhir.NewString(fhir.Instant(now())))
	next.Set("output", outputs)
	return next
}

func unresolved(expression, text string) error {
	return exchange.Refuse(exchange.Unprocessable, "business-rule", expression, text)
}
