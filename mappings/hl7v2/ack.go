package hl7v2

import (
	"bytes"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Acknowledgement codes of HL7 table 0008, in MSA-1.
const (
	Accept = "AA" // taken over
	Fault  = "AE" // wrong in itself: sending it again does not help
	Reject = "AR" // not taken: wrong kind of message, or not able now
)

// Ack is an answer to a message.
type Ack struct {
	Code      string    // AA, AE or AR
	ControlID string    // MSH-10 of the answer itself
	Time      time.Time // MSH-7 of the answer
	Errors    []*Error  // one ERR each; none for AA
}

// Acknowledge builds the answer to a message in original mode (HL7 v2.5 § 2.9.2): sender and receiver change places,
// MSA-2 repeats the control id, ERR names places and never values. header is what Header could read of the message.
func Acknowledge(header Header, a Ack) *Message {
	m := New()
	msh := m.First("MSH")
	// The values come from a read header or from us, so no Set below can be out of bounds; Standard can carry any text.
	set := func(s *Segment, p Place, v string) { _ = s.Set(p, v) }
	for i, hd := range []HD{header.Receiver, header.ReceiverFacility, header.Sender, header.SenderFacility} {
		for n, part := range hd {
			set(msh, Place{Field: 3 + i, Component: n + 1}, part)
		}
	}
	version := header.Version
	if !strings.HasPrefix(version, "2.") || len(version) > 7 {
		version = "2.5"
	}
	mode := header.Mode
	if mode == "" {
		mode = "P"
	}
	set(msh, Place{Field: 7}, a.Time.UTC().Format("20060102150405")+"+0000")
	set(msh, Place{Field: 9}, "ACK")
	set(msh, Place{Field: 9, Component: 2}, header.Event)
	set(msh, Place{Field: 9, Component: 3}, "ACK")
	set(msh, Place{Field: 10}, a.ControlID)
	set(msh, Place{Field: 11}, mode)
	set(msh, Place{Field: 12}, version)
	msa := m.Append("MSA")
	set(msa, Place{Field: 1}, a.Code)
	set(msa, Place{Field: 2}, header.ControlID)
	old := version < "2.5"
	for _, e := range a.Errors {
		err := m.Append("ERR")
		place := []string{e.Path.Segment, number(max(e.Path.Occurrence, 1)), number(e.Path.Field)}
		if e.Path.Segment == "" {
			place = nil
		}
		if old { // before 2.5: ERR-1 is segment ^ sequence ^ field ^ code & text
			for i, part := range place {
				set(err, Place{Field: 1, Component: i + 1}, part)
			}
			set(err, Place{Field: 1, Component: 4, Subcomponent: 1}, e.Code)
			set(err, Place{Field: 1, Component: 4, Subcomponent: 2}, e.Text)
			continue
		}
		if e.Path.Field > 0 && place != nil {
			place = append(place, number(max(e.Path.Repetition, 1)), number(e.Path.Component), number(e.Path.Subcomponent))
		}
		for i, part := range place {
			set(err, Place{Field: 2, Component: i + 1}, part)
		}
		set(err, Place{Field: 3}, e.Code)
		set(err, Place{Field: 3, Component: 2}, conditions[e.Code])
		set(err, Place{Field: 3, Component: 3}, "HL70357")
		set(err, Place{Field: 4}, "E")
		set(err, Place{Field: 8}, e.Text)
	}
	return m
}

// conditions are the texts of HL7 table 0357.
var conditions = map[string]string{
	SegmentSequence: "Segment sequence error", FieldMissing: "Required field missing", DataType: "Data type error",
	TableValue: "Table value not found", UnsupportedType: "Unsupported message type",
	UnsupportedEvent: "Unsupported event code", UnsupportedMode: "Unsupported processing id",
	UnsupportedForm: "Unsupported version id", UnknownKey: "Unknown key identifier", DuplicateKey: "Duplicate key identifier",
	Locked: "Application record locked", ApplicationFailed: "Application internal error",
}

func number(n int) string {
	if n <= 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// HD names an application or a facility: namespace, universal id, type of id.
type HD [3]string

// Header is what MSH says of a message.
type Header struct {
	Sender, SenderFacility     HD     // MSH-3, MSH-4
	Receiver, ReceiverFacility HD     // MSH-5, MSH-6
	Type, Event, Structure     string // MSH-9
	ControlID                  string // MSH-10
	Mode                       string // MSH-11: P production, T training, D debugging
	Version                    string // MSH-12
}

// Header reads MSH.
func (m *Message) Header() Header { return headerOf(m.First("MSH")) }

// HeaderOf reads as much of MSH as can be read of a message that may be refused as a whole, so that the refusal can
// be addressed. Texts of more than 250 bytes are left out.
func HeaderOf(data []byte) Header {
	data = data[:min(len(data), 8192)]
	if i := bytes.Index(data, []byte("MSH")); i >= 0 && i <= 16 {
		data = data[i:]
	}
	if i := bytes.IndexAny(data, "\r\n"); i >= 0 {
		data = data[:i]
	}
	delims, err := readDelims(data)
	if err != nil {
		return Header{}
	}
	m := &Message{delims: delims, charset: UTF8}
	if err := m.parseSegment(strings.ToValidUTF8(string(data), "?"), 1, Limits{}.orDefault()); err != nil {
		return Header{}
	}
	return m.Header()
}

func headerOf(msh *Segment) Header {
	text := func(field, component int) string {
		v := msh.Get(Place{Field: field, Component: component})
		if len(v) > 250 || strings.ContainsFunc(v, unicode.IsControl) {
			return ""
		}
		return v
	}
	hd := func(field int) HD { return HD{text(field, 1), text(field, 2), text(field, 3)} }
	return Header{
		Sender: hd(3), SenderFacility: hd(4), Receiver: hd(5), ReceiverFacility: hd(6),
		Type: text(9, 1), Event: text(9, 2), Structure: text(9, 3),
		ControlID: text(10, 1), Mode: text(11, 1), Version: text(12, 1),
	}
}
