package inbound

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/google/uuid"

	"sotesilta/gateway/exchange"
	"sotesilta/internal/fhir"
	"sotesilta/mappings"
	"sotesilta/mappings/hl7v2"
)

// answer deals with one message and gives its acknowledgement.
func (s *Server) answer(ctx context.Context, src *Source, data []byte) []byte {
	header := hl7v2.HeaderOf(data)
	outcome := Outcome{Source: src.ID, Type: "other"}
	refusal := s.take(ctx, src, data, &outcome)
	ack := hl7v2.Ack{Code: hl7v2.Accept, ControlID: rand.Text(), Time: s.now()}
	if refusal != nil {
		ack.Code, ack.Errors = refusal.code, []*hl7v2.Error{&refusal.err}
		outcome.Reason = refusal.reason
	}
	outcome.Code = ack.Code
	s.log().LogAttrs(ctx, slog.LevelInfo, "message received",
		slog.String("source", outcome.Source), slog.String("type", outcome.Type), slog.String("code", outcome.Code),
		slog.String("reason", outcome.Reason), slog.Int("values", outcome.Report.Values), slog.Int("lost", outcome.Report.Lost))
	if s.Observe != nil {
		s.Observe(outcome)
	}
	return encodeAck(header, ack)
}

// encodeAck writes an acknowledgement. It is UTF-8, which carries every text.
func encodeAck(header hl7v2.Header, ack hl7v2.Ack) []byte {
	wire, _ := hl7v2.Acknowledge(header, ack).Encode() // errs for ISO-8859-1 only
	return wire
}

// refusal is why a message is not taken.
type refusal struct {
	code   string // AE or AR
	reason string // for the log
	err    hl7v2.Error
}

func fault(reason string, e hl7v2.Error) *refusal { return &refusal{hl7v2.Fault, reason, e} }

// take stores what the message says, keeps it in the work queue, or tells why not.
func (s *Server) take(ctx context.Context, src *Source, data []byte, outcome *Outcome) (out *refusal) {
	defer func() {
		if p := recover(); p != nil {
			// Only where, not what: a panic's own text may hold content.
			s.log().LogAttrs(ctx, slog.LevelError, "message handling panicked", slog.String("source", src.ID),
				slog.String("kind", fmt.Sprintf("%T", p)), slog.String("stack", string(debug.Stack())))
			out = &refusal{hl7v2.Reject, "failed", hl7v2.Error{Code: hl7v2.ApplicationFailed, Text: "the gateway failed"}}
		}
	}()
	msg, err := hl7v2.Parse(data, hl7v2.Limits{Bytes: s.frameLimit(), Charset: src.Charset})
	if err != nil {
		var e *hl7v2.Error
		if errors.As(err, &e) {
			return fault("malformed", *e)
		}
		return fault("malformed", hl7v2.Error{Code: hl7v2.SegmentSequence, Text: "the message cannot be read"})
	}
	header := msg.Header()
	lens, refused := choose(src, header)
	if refused != nil {
		return refused
	}
	outcome.Type = header.Type + "^" + header.Event
	result, err := mappings.Translate(lens, msg, src.Setting)
	if err != nil {
		var r *mappings.Refusal
		if errors.As(err, &r) {
			return fault("untranslatable", *r.HL7())
		}
		return fault("untranslatable", hl7v2.Error{Code: hl7v2.ApplicationFailed, Text: "the message cannot be translated"})
	}
	outcome.Report = result.Report
	caller := src.Caller()
	caller.Interaction = exchange.Receive
	client, reason, err := s.match(ctx, src, caller, msg, result)
	switch {
	case errors.Is(err, errReal):
		return fault("real-identity-code", hl7v2.Error{
			Code: hl7v2.TableValue, Path: hl7v2.Path{Segment: "PID", Place: hl7v2.Place{Field: 3}},
			Text: "only synthetic identity codes are taken here (individual numbers 900-999)",
		})
	case err != nil:
		return s.refused(ctx, src, err)
	case reason != "":
		outcome.Reason = reason
		if err := s.Quarantine.Keep(ctx, Kept{
			Source: src, Fingerprint: s.Sealer.Fingerprint(src.ID, data), ControlID: header.ControlID,
			Sealed: s.Sealer.Seal(src.ID, data), Reason: reason,
		}); err != nil {
			return s.refused(ctx, src, err)
		}
		return nil
	}
	return s.store(ctx, src, caller, client, result, outcome)
}

// choose finds the lens for a message by type, event and version.
func choose(src *Source, h hl7v2.Header) (*mappings.Lens, *refusal) {
	reject := func(code string, field, component int, text string) (*mappings.Lens, *refusal) {
		path := hl7v2.Path{Segment: "MSH", Place: hl7v2.Place{Field: field, Component: component}}
		return nil, &refusal{hl7v2.Reject, "unsupported", hl7v2.Error{Code: code, Path: path, Text: text}}
	}
	modes := src.Modes
	if len(modes) == 0 {
		modes = []string{"P"}
	}
	if h.ControlID == "" {
		return nil, fault("malformed", hl7v2.Error{
			Code: hl7v2.FieldMissing, Path: hl7v2.Path{Segment: "MSH", Place: hl7v2.Place{Field: 10}},
			Text: "the message has no control id, or one that is too long",
		})
	}
	if !slices.Contains(modes, h.Mode) {
		return reject(hl7v2.UnsupportedMode, 11, 1, "the processing id is not taken here")
	}
	if !src.takes(h) {
		return nil, &refusal{hl7v2.Reject, "another-sender", hl7v2.Error{
			Code: hl7v2.UnknownKey, Path: hl7v2.Path{Segment: "MSH", Place: hl7v2.Place{Field: 3}},
			Text: "the sending application and facility (MSH-3, MSH-4) are not those registered for this connection",
		}}
	}
	known := false
	for _, l := range src.Lenses {
		if l.Type() != h.Type {
			continue
		}
		if l.Reads(h.Event) {
			if !l.ReadsVersion(h.Version) {
				return reject(hl7v2.UnsupportedForm, 12, 1, "the version is not taken here")
			}
			return l, nil
		}
		known = known || l.Translates()
	}
	if known {
		return reject(hl7v2.UnsupportedEvent, 9, 2, "the event is not taken here")
	}
	return reject(hl7v2.UnsupportedType, 9, 1, "the message type is not taken here")
}

// store records what the message tells about a client.
func (s *Server) store(ctx context.Context, src *Source, caller exchange.Caller, client string, result *mappings.Result, outcome *Outcome) *refusal {
	_, reason, err := record(ctx, s.Desk, caller, client, result, nil)
	switch {
	case errors.Is(err, errUnidentified):
		return fault("unidentified", hl7v2.Error{Code: hl7v2.FieldMissing, Text: "what the message tells has no identifier of a known system"})
	case errors.Is(err, errAnothers):
		return fault("identifier-of-another", hl7v2.Error{
			Code: hl7v2.DuplicateKey, Text: "the identifier belongs to what was sent about another person",
		})
	case err != nil:
		return s.refused(ctx, src, err)
	}
	if reason != "" {
		outcome.Reason = reason
	}
	return nil
}

var (
	errUnidentified = errors.New("inbound: what the message tells has no identifier of a known system")
	errAnothers     = errors.New("inbound: the identifier belongs to what was sent about another person")
)

// record creates what a message made, each under its identity, all or nothing, together with the changes that more
// makes of them when it is given their names: references that the exchange resolves. What is there already stays, or is
// replaced if the message is one that replaces. It answers what was written, and Repeated, Replaced or "".
func record(ctx context.Context, desk Desk, caller exchange.Caller, client string, result *mappings.Result, more func(names []string) []exchange.Op) (written []exchange.Written, reason string, err error) {
	ops := make([]exchange.Op, 0, len(result.Resources)+1)
	names := make([]string, 0, len(result.Resources))
	for _, m := range result.Resources {
		m.Link(client)
		op := exchange.Op{Interaction: exchange.Create, Type: fhir.ResourceType(m.Doc), Doc: m.Doc.Clone()}
		system, value, ok := m.Identity()
		if !ok { // without it the same message twice would be two visits
			return nil, "", errUnidentified
		}
		op.IfNoneExist, op.FullURL = byIdentifier(op.Type, system, value), "urn:uuid:"+uuid.NewString()
		// The identifier may be taken: by what was sent before of the same visit, or by what is about somebody else.
		op.Meet = func(there *fhir.Value) (*fhir.Value, error) {
			if !m.SameClient(there) {
				return nil, anothers()
			}
			if !result.Replaces || says(there, m.Doc) {
				return nil, nil
			}
			for _, member := range m.Doc.Members() { // what the message does not speak of stays
				there.Set(member.Name, member.Value.Clone())
			}
			return there, nil
		}
		ops, names = append(ops, op), append(names, op.FullURL)
	}
	if more != nil {
		ops = append(ops, more(names)...)
	}
	if written, err = desk.Transact(ctx, caller, ops); err != nil {
		return nil, "", err
	}
	for _, w := range written[:len(names)] {
		switch {
		case w.Existing && reason == "":
			reason = Repeated
		case !w.Existing && !w.Created:
			reason = Replaced
		}
	}
	return written, reason, nil
}

// said is what is wrong by one of them, in a sentence.
func said(err error) string {
	for _, known := range []error{errUnidentified, errAnothers} {
		if errors.Is(err, known) {
			return strings.TrimPrefix(known.Error(), "inbound: ")
		}
	}
	return err.Error()
}

// anothers refuses what is about another person than the message.
func anothers() error {
	refusal := exchange.Refuse(exchange.Unprocessable, "business-rule", "", "The identifier belongs to what was sent about another person.")
	refusal.Err = errAnothers // what the wires tell apart
	return refusal
}

// says whether a resource that is there holds every member of doc as it is.
func says(there, doc *fhir.Value) bool {
	for _, m := range doc.Members() {
		if !bytes.Equal(there.Get(m.Name).JSON(), m.Value.JSON()) {
			return false
		}
	}
	return true
}

// refused words a refusal of the Desk: the message's own fault is AE; what may pass later is AR.
func (s *Server) refused(ctx context.Context, src *Source, err error) *refusal {
	var e *exchange.Error
	if errors.As(err, &e) {
		switch e.Kind {
		case exchange.Invalid, exchange.Unprocessable:
			text := "what the message tells is not accepted"
			if len(e.Issues) > 0 && e.Issues[0].Expression != "" {
				text += ": " + e.Issues[0].Expression
			}
			return fault("unprocessable", hl7v2.Error{Code: hl7v2.ApplicationFailed, Text: text})
		case exchange.Forbidden, exchange.NotAllowed, exchange.Absent, exchange.Gone:
			return fault("forbidden", hl7v2.Error{Code: hl7v2.ApplicationFailed, Text: "the sender may not record this"})
		case exchange.Ambiguous:
			return fault("ambiguous", hl7v2.Error{Code: hl7v2.DuplicateKey, Text: "the identifier is used several times"})
		}
	}
	kind := "other"
	if e != nil {
		kind = fmt.Sprintf("exchange %d", e.Kind)
	}
	s.log().LogAttrs(ctx, slog.LevelError, "message not stored", slog.String("source", src.ID), slog.String("kind", kind))
	return &refusal{hl7v2.Reject, "unavailable", hl7v2.Error{
		Code: hl7v2.ApplicationFailed, Text: "the gateway cannot record now; send the message again",
	}}
}
