// Package hl7v2 reads and writes HL7 v2 messages in their ER7 form ("pipes and hats"; HL7 v2.5 chapter 2) and the
// MLLP frames they travel in.
//
// A Message keeps each field as it was spelled, so what is not touched is written back as it came. It reads what
// systems really send: a byte order mark, CR, LF or CRLF between segments, trailing spaces, any encoding characters,
// repeated and out-of-order segments, UTF-8 and ISO-8859-1. It does not guess: what breaks the form is refused with
// an Error that names the place and never repeats a value. Sizes and counts are bounded by Limits.
package hl7v2

import (
	"fmt"
	"slices"
	"strings"
)

// Delims are the encoding characters of a message (MSH-1 and MSH-2). A zero byte is one the message does not define.
type Delims struct {
	Field, Component, Repetition, Escape, Subcomponent, Truncation byte
}

// Standard are the encoding characters that HL7 recommends, and that New uses.
var Standard = Delims{Field: '|', Component: '^', Repetition: '~', Escape: '\\', Subcomponent: '&'}

// Limits bound a message that comes from outside. A zero number means its default.
type Limits struct {
	Bytes         int // whole message; 1 MiB
	Segments      int // 2,000
	Fields        int // of one segment; 300
	Repetitions   int // of one field; 500
	Components    int // of one repetition; 100
	Subcomponents int // of one component; 100
	// Charset is read where MSH-18 is empty: "UNICODE UTF-8" (the default) or "8859/1".
	Charset string
}

func (l Limits) orDefault() Limits {
	for _, d := range []struct {
		n *int
		v int
	}{
		{&l.Bytes, 1 << 20},
		{&l.Segments, 2000},
		{&l.Fields, 300},
		{&l.Repetitions, 500},
		{&l.Components, 100},
		{&l.Subcomponents, 100},
	} {
		if *d.n <= 0 {
			*d.n = d.v
		}
	}
	if l.Charset == "" {
		l.Charset = UTF8
	}
	return l
}

// Message is one message: its segments in the order they came. It is not safe for concurrent use while changed.
type Message struct {
	delims   Delims
	charset  string
	segments []*Segment
}

// New is an empty message with the standard encoding characters in UTF-8: an MSH segment with MSH-1, MSH-2 and MSH-18.
func New() *Message {
	m := &Message{delims: Standard, charset: UTF8}
	msh := m.Append("MSH")
	msh.fields = []string{"|", `^~\&`}
	_ = msh.Set(Place{Field: 18}, UTF8) // no delimiter in it, within every bound
	return m
}

// Delims are the encoding characters in use.
func (m *Message) Delims() Delims { return m.delims }

// Segments are all segments in order; the slice belongs to m.
func (m *Message) Segments() []*Segment { return m.segments }

// All gives the segments called name, in order.
func (m *Message) All(name string) []*Segment {
	var out []*Segment
	for _, s := range m.segments {
		if s.name == name {
			out = append(out, s)
		}
	}
	return out
}

// First is the first segment called name, or nil.
func (m *Message) First(name string) *Segment {
	for _, s := range m.segments {
		if s.name == name {
			return s
		}
	}
	return nil
}

// Append adds an empty segment at the end and returns it.
func (m *Message) Append(name string) *Segment {
	s := &Segment{name: name, delims: &m.delims}
	m.segments = append(m.segments, s)
	return s
}

// Arrange puts the segments into the order of the names given; those of one name keep theirs, and names not given
// come last.
func (m *Message) Arrange(names ...string) {
	rank := func(s *Segment) int {
		if i := slices.Index(names, s.name); i >= 0 {
			return i
		}
		return len(names)
	}
	slices.SortStableFunc(m.segments, func(a, b *Segment) int { return rank(a) - rank(b) })
}

// Get is the value at a path such as PID-3[1].1, unescaped; "" where nothing is or the path is not one.
func (m *Message) Get(path string) string {
	p, err := ParsePath(path)
	if err != nil {
		return ""
	}
	seen := 0
	for _, s := range m.segments {
		if s.name != p.Segment {
			continue
		}
		if seen++; seen == max(p.Occurrence, 1) {
			return s.Get(p.Place)
		}
	}
	return ""
}

// Segment is one line of a message. Methods that read accept a nil receiver and answer as if it were empty.
type Segment struct {
	name   string
	fields []string // as spelled; field n is fields[n-1]; of MSH, 1 is the separator and 2 the encoding characters
	delims *Delims
}

// Name is the segment's three-letter name.
func (s *Segment) Name() string {
	if s == nil {
		return ""
	}
	return s.name
}

// Fields is how many fields the segment has, empty ones at the end included.
func (s *Segment) Fields() int {
	if s == nil {
		return 0
	}
	return len(s.fields)
}

// raw is a field as spelled.
func (s *Segment) raw(field int) string {
	if s == nil || field < 1 || field > len(s.fields) {
		return ""
	}
	return s.fields[field-1]
}

// atomic says whether a field is not divided: the encoding characters themselves.
func (s *Segment) atomic(field int) bool { return s.name == "MSH" && field <= 2 }

// Repetitions is how many repetitions a field has; 0 for an empty field.
func (s *Segment) Repetitions(field int) int {
	raw := s.raw(field)
	if raw == "" {
		return 0
	}
	if s.atomic(field) {
		return 1
	}
	return pieces(raw, s.delims.Repetition)
}

// Get is the value at a place, unescaped; "" where nothing is. A Place without component reads component 1, without
// subcomponent subcomponent 1.
func (s *Segment) Get(p Place) string {
	raw := s.raw(p.Field)
	if raw == "" || s.atomic(p.Field) {
		return raw
	}
	raw = piece(raw, s.delims.Repetition, max(p.Repetition, 1))
	raw = piece(raw, s.delims.Component, max(p.Component, 1))
	raw = piece(raw, s.delims.Subcomponent, max(p.Subcomponent, 1))
	return s.delims.unescape(raw)
}

// Set writes a value to a place, escaped, and makes what is missing before it. Empty ends are not kept. It refuses
// places beyond the default Limits, MSH-1 and MSH-2, and values that the message's encoding characters cannot carry.
func (s *Segment) Set(p Place, value string) error {
	p.Repetition, p.Component, p.Subcomponent = max(p.Repetition, 1), max(p.Component, 1), max(p.Subcomponent, 1)
	bound := Limits{}.orDefault()
	if p.Field < 1 || p.Field > bound.Fields || p.Repetition > bound.Repetitions ||
		p.Component > bound.Components || p.Subcomponent > bound.Subcomponents || s.atomic(p.Field) {
		return fmt.Errorf("hl7v2: %s is no place to write to", Path{Segment: s.name, Place: p})
	}
	text, err := s.delims.escape(value)
	if err != nil {
		return fmt.Errorf("hl7v2: %s: %w", Path{Segment: s.name, Place: p}, err)
	}
	for len(s.fields) < p.Field {
		s.fields = append(s.fields, "")
	}
	d := s.delims
	s.fields[p.Field-1] = replace(s.fields[p.Field-1], d.Repetition, p.Repetition, func(rep string) string {
		return replace(rep, d.Component, p.Component, func(comp string) string {
			return replace(comp, d.Subcomponent, p.Subcomponent, func(string) string { return text })
		})
	})
	for n := len(s.fields); n > 0 && s.fields[n-1] == ""; n-- {
		s.fields = s.fields[:n-1]
	}
	return nil
}

// Leaf is one value of a message and where it stands.
type Leaf struct {
	Segment int // index in Segments
	Place   Place
}

// Leaves calls yield for every value of the message that is not empty, except MSH-1 and MSH-2, in order, until yield
// answers false.
func (m *Message) Leaves(yield func(Leaf) bool) {
	for i, s := range m.segments {
		for f := range s.fields {
			field := f + 1
			if s.atomic(field) || s.fields[f] == "" {
				continue
			}
			for r, rep := range split(s.fields[f], m.delims.Repetition) {
				for c, comp := range split(rep, m.delims.Component) {
					for n, sub := range split(comp, m.delims.Subcomponent) {
						if sub == "" {
							continue
						}
						if !yield(Leaf{i, Place{field, r + 1, c + 1, n + 1}}) {
							return
						}
					}
				}
			}
		}
	}
}

// PathOf is the full path of a leaf, without its value: PID-3[2].4.1, and NTE[2]-3 where segments repeat.
func (m *Message) PathOf(l Leaf) string {
	s := m.segments[l.Segment]
	p := Path{Segment: s.name, Place: l.Place}
	for _, before := range m.segments[:l.Segment+1] {
		if before.name == s.name {
			p.Occurrence++
		}
	}
	if p.Subcomponent == 1 && pieces(s.component(l.Place), m.delims.Subcomponent) == 1 {
		p.Subcomponent = 0
		if p.Component == 1 && pieces(s.repetition(l.Place), m.delims.Component) == 1 {
			p.Component = 0
		}
	}
	return p.String()
}

func (s *Segment) repetition(p Place) string {
	return piece(s.raw(p.Field), s.delims.Repetition, max(p.Repetition, 1))
}

func (s *Segment) component(p Place) string {
	return piece(s.repetition(p), s.delims.Component, max(p.Component, 1))
}

// pieces counts the parts of s between separators; a zero separator divides nothing.
func pieces(s string, sep byte) int {
	if sep == 0 {
		return 1
	}
	return strings.Count(s, string(rune(sep))) + 1
}

// piece is the n-th part of s, from 1, or "".
func piece(s string, sep byte, n int) string {
	for sep != 0 {
		i := strings.IndexByte(s, sep)
		if n == 1 {
			if i >= 0 {
				return s[:i]
			}
			return s
		}
		if i < 0 {
			return ""
		}
		s, n = s[i+1:], n-1
	}
	if n == 1 {
		return s
	}
	return ""
}

func split(s string, sep byte) []string {
	if sep == 0 {
		return []string{s}
	}
	return strings.Split(s, string(rune(sep)))
}

// replace gives s with its n-th part changed and no empty parts at its end.
func replace(s string, sep byte, n int, change func(string) string) string {
	parts := split(s, sep)
	for len(parts) < n {
		parts = append(parts, "")
	}
	parts[n-1] = change(parts[n-1])
	for len(parts) > 1 && parts[len(parts)-1] == "" {
		parts = parts[:len(parts)-1]
	}
	return strings.Join(parts, string(rune(sep)))
}
