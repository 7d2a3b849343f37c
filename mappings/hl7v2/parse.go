package hl7v2

import (
	"bytes"
	"fmt"
	"strings"
)

// Error codes of HL7 table 0357, carried in ERR-3.
const (
	SegmentSequence   = "100" // segment sequence error
	FieldMissing      = "101" // required field missing
	DataType          = "102" // data type error
	TableValue        = "103" // table value not found
	UnsupportedType   = "200" // unsupported message type
	UnsupportedEvent  = "201" // unsupported event code
	UnsupportedMode   = "202" // unsupported processing id
	UnsupportedForm   = "203" // unsupported version id
	UnknownKey        = "204" // unknown key identifier
	DuplicateKey      = "205" // duplicate key identifier
	Locked            = "206" // application record locked
	ApplicationFailed = "207" // application internal error
)

// Error is why a message is refused. Neither its Text nor its place holds a value of the message.
type Error struct {
	Code string // of HL7 table 0357
	Path Path   // where; a zero Segment is the message as a whole
	Text string // what is wrong, for people
}

func (e *Error) Error() string {
	if e.Path.Segment == "" {
		return "hl7v2: " + e.Text
	}
	return fmt.Sprintf("hl7v2: %s: %s", e.Path, e.Text)
}

// Parse reads one message. A byte order mark and blank lines around it are passed over; segments end with CR, LF or
// CRLF; spaces at their ends are not kept. Every refusal is an *Error.
func Parse(data []byte, limits Limits) (*Message, error) {
	l := limits.orDefault()
	if len(data) > l.Bytes {
		return nil, &Error{Code: SegmentSequence, Text: fmt.Sprintf("longer than %d bytes", l.Bytes)}
	}
	data = bytes.TrimLeft(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")), "\r\n\t ")
	delims, err := readDelims(data)
	if err != nil {
		return nil, err
	}
	charset, err := charsetOf(data, delims, l.Charset)
	if err != nil {
		return nil, err
	}
	text, err := decode(data, charset)
	if err != nil {
		return nil, err
	}
	m := &Message{delims: delims, charset: charset}
	for number := 1; text != ""; {
		var line string
		if i := strings.IndexAny(text, "\r\n"); i >= 0 {
			line, text = text[:i], text[i+1:]
		} else {
			line, text = text, ""
		}
		if line = strings.TrimRight(line, " \t"); line == "" {
			continue
		}
		if number > l.Segments {
			return nil, &Error{Code: SegmentSequence, Text: fmt.Sprintf("more than %d segments", l.Segments)}
		}
		if err := m.parseSegment(line, number, l); err != nil {
			return nil, err
		}
		number++
	}
	return m, nil
}

// readDelims reads MSH-1 and MSH-2.
func readDelims(data []byte) (Delims, error) {
	fail := func(field int, text string) (Delims, error) {
		return Delims{}, &Error{Code: SegmentSequence, Path: Path{Segment: "MSH", Place: Place{Field: field}}, Text: text}
	}
	if !bytes.HasPrefix(data, []byte("MSH")) {
		return fail(0, "a message begins with MSH")
	}
	if len(data) < 5 {
		return fail(1, "the message ends before its encoding characters")
	}
	d := Delims{Field: data[3]}
	marks := data[4:]
	if i := bytes.IndexAny(marks, string(rune(d.Field))+"\r\n"); i >= 0 {
		marks = marks[:i]
	}
	if len(marks) < 1 || len(marks) > 5 {
		return fail(2, "one to five encoding characters are expected")
	}
	for i, to := range []*byte{&d.Component, &d.Repetition, &d.Escape, &d.Subcomponent, &d.Truncation} {
		if i < len(marks) {
			*to = marks[i]
		}
	}
	seen := map[byte]bool{}
	for i, c := range append([]byte{d.Field}, marks...) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if c <= ' ' || c > '~' || letter || seen[c] {
			return fail(min(i+1, 2), "encoding characters are different printable ASCII signs, neither letters nor digits")
		}
		seen[c] = true
	}
	return d, nil
}

// parseSegment reads one line into m.
func (m *Message) parseSegment(line string, number int, l Limits) error {
	name := line
	if len(name) > 3 {
		name = name[:3]
	}
	// A line that is no segment is often the rest of a broken text: its place is told by number, not by content.
	if !isName(name) || len(line) > 3 && line[3] != m.delims.Field {
		return &Error{Code: SegmentSequence, Text: fmt.Sprintf("line %d does not begin with a segment name", number)}
	}
	if (name == "MSH") != (number == 1) {
		return &Error{Code: SegmentSequence, Path: Path{Segment: name}, Text: "MSH is the first segment and only that"}
	}
	path := Path{Segment: name}
	for _, s := range m.segments {
		if s.name == name {
			path.Occurrence++
		}
	}
	path.Occurrence++
	s := &Segment{name: name, delims: &m.delims}
	if len(line) > 3 {
		rest := line[4:]
		if strings.Count(rest, string(rune(m.delims.Field)))+2 > l.Fields {
			return &Error{Code: SegmentSequence, Path: path, Text: fmt.Sprintf("more than %d fields", l.Fields)}
		}
		s.fields = strings.Split(rest, string(rune(m.delims.Field)))
		if name == "MSH" {
			s.fields = append([]string{string(rune(m.delims.Field))}, s.fields...)
		}
	}
	for i, field := range s.fields {
		if s.atomic(i + 1) {
			continue
		}
		path.Field = i + 1
		if err := m.check(field, path, l); err != nil {
			return err
		}
	}
	m.segments = append(m.segments, s)
	return nil
}

// check bounds the parts of one field.
func (m *Message) check(field string, path Path, l Limits) error {
	reps, comps, subs := 1, 1, 1
	for i := 0; i < len(field); i++ {
		switch c := field[i]; {
		case c == m.delims.Repetition && c != 0:
			reps, comps, subs = reps+1, 1, 1
		case c == m.delims.Component:
			comps, subs = comps+1, 1
		case c == m.delims.Subcomponent && c != 0:
			subs++
		case c < ' ' && c != '\t' || c == 0x7f:
			return &Error{Code: DataType, Path: path, Text: "a control character stands in the field"}
		}
		if reps > l.Repetitions || comps > l.Components || subs > l.Subcomponents {
			return &Error{Code: DataType, Path: path, Text: "too many repetitions, components or subcomponents"}
		}
	}
	return nil
}
