package hl7v2

import (
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Character sets of HL7 table 0211 that are read and written.
const (
	UTF8   = "UNICODE UTF-8"
	Latin1 = "8859/1"
	ascii  = "ASCII"
)

// Encode writes the message in the character set of its MSH-18, each segment ended by CR. It errs when a character
// is not in that set.
func (m *Message) Encode() ([]byte, error) {
	var b strings.Builder
	for _, s := range m.segments {
		b.WriteString(s.name)
		fields := s.fields
		if s.name == "MSH" && len(fields) >= 2 {
			b.WriteString(fields[0] + fields[1])
			fields = fields[2:]
		}
		for _, f := range fields {
			b.WriteByte(m.delims.Field)
			b.WriteString(f)
		}
		b.WriteByte('\r')
	}
	return encode(b.String(), m.charset)
}

// charsetOf reads MSH-18 from the undecoded message; its first repetition is the set of the message.
func charsetOf(data []byte, d Delims, fallback string) (string, error) {
	line := string(data[:min(len(data), 4096)])
	if i := strings.IndexAny(line, "\r\n"); i >= 0 {
		line = line[:i]
	}
	name := strings.TrimSpace(piece(piece(piece(line, d.Field, 18), d.Repetition, 1), d.Component, 1))
	if name == "" {
		name = fallback
	}
	switch strings.ToUpper(name) {
	case UTF8, "UTF-8", "UNICODE":
		return UTF8, nil
	case Latin1, "ISO-8859-1", "ISO8859/1", "ISO_8859-1":
		return Latin1, nil
	case ascii, "ISO IR6":
		return ascii, nil
	}
	return "", &Error{
		Code: TableValue, Path: Path{Segment: "MSH", Place: Place{Field: 18}},
		Text: "the character set is neither UNICODE UTF-8 nor 8859/1",
	}
}

func decode(data []byte, charset string) (string, error) {
	if charset == Latin1 {
		var b strings.Builder
		b.Grow(len(data))
		for _, c := range data {
			b.WriteRune(rune(c))
		}
		return b.String(), nil
	}
	if !utf8.Valid(data) {
		return "", &Error{
			Code: DataType, Path: Path{Segment: "MSH", Place: Place{Field: 18}},
			Text: "the message is not in the character set that MSH-18 tells (UTF-8 where it is empty)",
		}
	}
	return string(data), nil
}

func encode(text, charset string) ([]byte, error) {
	if charset != Latin1 {
		return []byte(text), nil
	}
	out := make([]byte, 0, len(text))
	for _, r := range text {
		if r > 0xff {
			return nil, fmt.Errorf("hl7v2: a character is not in %s", Latin1)
		}
		out = append(out, byte(r))
	}
	return out, nil
}

// unescape resolves escape sequences (HL7 v2.5 § 2.7). \.br\ is a line feed. A sequence that is not known, such as
// highlighting, stays as it is spelled.
func (d *Delims) unescape(s string) string {
	if d.Escape == 0 || strings.IndexByte(s, d.Escape) < 0 {
		return s
	}
	var b strings.Builder
	for {
		i := strings.IndexByte(s, d.Escape)
		if i < 0 {
			b.WriteString(s)
			return b.String()
		}
		j := strings.IndexByte(s[i+1:], d.Escape)
		if j < 0 {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(s[:i])
		whole, sequence := s[i:i+j+2], s[i+1:i+1+j]
		if text, known := d.resolve(sequence); known {
			b.WriteString(text)
			s = s[i+j+2:]
			continue
		}
		// Not a sequence: the first sign stands for itself, and the second may begin one.
		b.WriteString(whole[:len(whole)-1])
		s = s[i+j+1:]
	}
}

// resolve is the text that one escape sequence stands for.
func (d *Delims) resolve(sequence string) (string, bool) {
	switch sequence {
	case "F":
		return string(rune(d.Field)), true
	case "S":
		return string(rune(d.Component)), true
	case "T":
		return string(rune(d.Subcomponent)), d.Subcomponent != 0
	case "R":
		return string(rune(d.Repetition)), d.Repetition != 0
	case "E":
		return string(rune(d.Escape)), true
	case "P":
		return string(rune(d.Truncation)), d.Truncation != 0
	case ".br":
		return "\n", true
	}
	if len(sequence) >= 3 && sequence[0] == 'X' {
		text, err := hex.DecodeString(sequence[1:])
		return string(text), err == nil && utf8.Valid(text)
	}
	return "", false
}

// escape is the opposite of unescape.
func (d *Delims) escape(s string) (string, error) {
	if !utf8.ValidString(s) {
		return "", fmt.Errorf("the value is not UTF-8")
	}
	plain := !strings.HasSuffix(s, " ") || d.Escape == 0
	for i := 0; i < len(s); i++ {
		if d.name(s[i]) != "" {
			plain = false
			break
		}
	}
	if plain {
		return s, nil
	}
	if d.Escape == 0 {
		return "", fmt.Errorf("the value holds an encoding character and the message defines no escape")
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		name := d.name(s[i])
		if name == "" && i == len(s)-1 && s[i] == ' ' {
			name = "X20" // readers drop spaces at a segment's end
		}
		if name != "" {
			b.WriteByte(d.Escape)
			b.WriteString(name)
			b.WriteByte(d.Escape)
		} else {
			b.WriteByte(s[i])
		}
	}
	return b.String(), nil
}

// name is the escape sequence of a byte, or "" when it stands for itself.
func (d *Delims) name(c byte) string {
	switch {
	case c == d.Field:
		return "F"
	case c == d.Component:
		return "S"
	case c == d.Repetition && c != 0:
		return "R"
	case c == d.Escape && c != 0:
		return "E"
	case c == d.Subcomponent && c != 0:
		return "T"
	case c == d.Truncation && c != 0:
		return "P"
	case c == '\n':
		return ".br"
	case c < ' ' || c == 0x7f:
		return fmt.Sprintf("X%02X", c)
	}
	return ""
}
