package fhir

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Limits bound what Parse reads. A zero field means the field of DefaultLimits.
type Limits struct {
	Bytes  int // length of the document
	Depth  int // objects and arrays within each other; the root object is depth 1
	Values int // JSON values in the document, which bounds the memory that a document of many small values takes
}

// DefaultLimits are the bounds at the door: 5 MB (contract: a body over it is 413), 64 levels, 400,000 values.
var DefaultLimits = Limits{Bytes: 5 << 20, Depth: 64, Values: 400_000}

// ErrTooLarge is wrapped by the SyntaxError of a document longer than Limits.Bytes (HTTP 413).
var ErrTooLarge = errors.New("document too large")

// SyntaxError tells why a document is not the JSON or XML that FHIR wants, and where. It names the place and the rule,
// never what stands there, so it may be logged and sent back.
type SyntaxError struct {
	Expression   string // where, as far as it was read, such as CarePlan.activity[0]; "" at the root
	Line, Column int    // from 1, in characters; 0 where there is no such place
	Msg          string // the rule that is broken
	cause        error
	issues       []Issue // all that is wrong, where reading went on; this is the first of them
	read         *Value  // what was read of a document whose form alone is wrong, and
	faults       []Issue // what is wrong with its form
}

// Error is "place: rule (line, column)".
func (e *SyntaxError) Error() string {
	if e.Expression == "" {
		return e.said()
	}
	return e.Expression + ": " + e.said()
}

// said is the rule with its line and column.
func (e *SyntaxError) said() string {
	if e.Line == 0 {
		return e.Msg
	}
	return fmt.Sprintf("%s (line %d, column %d)", e.Msg, e.Line, e.Column)
}

// at puts the error at a byte of the document.
func (e *SyntaxError) at(src string, offset int64) *SyntaxError {
	before := src[:max(0, min(int(offset), len(src)))]
	e.Line = 1 + strings.Count(before, "\n")
	e.Column = 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
	return e
}

// Unwrap gives ErrTooLarge of a document that is too long.
func (e *SyntaxError) Unwrap() error { return e.cause }

// Issues say the same as issues of an OperationOutcome: of JSON one, beyond which nothing can be read; of XML all that
// could be told, 50 and what ended the reading at most.
func (e *SyntaxError) Issues() []Issue {
	if e.issues != nil {
		return e.issues
	}
	code := "structure"
	if e.cause != nil {
		code = "too-long"
	}
	return []Issue{{Severity: "fatal", Code: code, Expression: e.Expression, Diagnostics: e.said()}}
}

// Formal says whether the document is one and only its form is wrong, not FHIR's: nothing broke the reading off.
func (e *SyntaxError) Formal() bool { return e.read != nil }

// Read is what was read of a document that is Formal, without what is wrong with its form, and all of that: who takes the
// parts of a document each for itself tells by the places which of them are whole. Nil of others.
func (e *SyntaxError) Read() (*Value, []Issue) { return e.read, e.faults }

// Parse reads one JSON value. It keeps the order of members and the spelling of numbers, and refuses, with a
// *SyntaxError, what is not RFC 8259 JSON in valid UTF-8 (a byte order mark included), members that occur twice in an
// object, anything after the value, and what exceeds lim. A document longer than lim.Bytes is refused unread.
// Parse copies data, which may be reused afterwards.
func Parse(data []byte, lim Limits) (*Value, error) {
	lim = lim.orDefault()
	if len(data) > lim.Bytes {
		return nil, tooLong(lim)
	}
	p := parsers.Get().(*parser)
	p.start(data, lim)
	v, err := p.document()
	p.release(len(data))
	return v, err
}

// orDefault fills the zero fields.
func (lim Limits) orDefault() Limits {
	if lim.Bytes <= 0 {
		lim.Bytes = DefaultLimits.Bytes
	}
	if lim.Depth <= 0 {
		lim.Depth = DefaultLimits.Depth
	}
	if lim.Values <= 0 {
		lim.Values = DefaultLimits.Values
	}
	return lim
}

func tooLong(lim Limits) error {
	return &SyntaxError{Msg: fmt.Sprintf("the document is longer than %d bytes", lim.Bytes), cause: ErrTooLarge}
}

// parser reads tokens and builds Values out of slabs: one allocation serves many values, members or items, and texts
// without escapes are pieces of one copy of the document.
type parser struct {
	buf     bytes.Buffer
	dec     *jsontext.Decoder
	src     string // the whole document
	pos     int    // end of the token read last
	lim     Limits
	depth   int
	count   int
	root    string // resourceType of the root, once read
	values  slab[Value]
	members slab[Member]
	items   slab[*Value]
	// Members and items of the objects and arrays still open, innermost last.
	openMembers []Member
	openItems   []*Value
}

var parsers = sync.Pool{New: func() any { return &parser{dec: jsontext.NewDecoder(new(bytes.Buffer))} }}

func (p *parser) start(data []byte, lim Limits) {
	p.buf = *bytes.NewBuffer(data)
	p.dec.Reset(&p.buf)
	p.src, p.pos, p.lim, p.depth, p.count, p.root = string(data), 0, lim, 0, 0, ""
	// A compact FHIR document has about one value in 20 bytes, and three of four are members.
	p.values.next = len(data)/20 + 8
	p.members.next = len(data)/24 + 8
	p.items.next = len(data)/100 + 4
}

// release lets go of the document, and of the parser's own memory too when a large document made it grow.
func (p *parser) release(size int) {
	p.src, p.root = "", ""
	p.values.free, p.members.free, p.items.free = nil, nil, nil
	if size > 1<<18 {
		return
	}
	clear(p.openMembers[:cap(p.openMembers)])
	clear(p.openItems[:cap(p.openItems)])
	p.openMembers, p.openItems = p.openMembers[:0], p.openItems[:0]
	p.buf = bytes.Buffer{}
	p.dec.Reset(&p.buf)
	parsers.Put(p)
}

func (p *parser) document() (*Value, error) {
	v, err := p.value()
	if err != nil {
		return nil, err
	}
	if _, err := p.dec.ReadToken(); err != io.EOF {
		return nil, (&SyntaxError{Msg: "something follows the end of the document"}).at(p.src, p.dec.InputOffset())
	}
	return v, nil
}

// token reads the next token and its raw text.
func (p *parser) token() (jsontext.Token, string, error) {
	tok, err := p.dec.ReadToken()
	if err != nil {
		return tok, "", p.syntax(err)
	}
	start, end := p.pos, int(p.dec.InputOffset())
	for start < end {
		switch p.src[start] {
		case ' ', '\t', '\r', '\n', ',', ':':
			start++
			continue
		}
		break
	}
	p.pos = end
	return tok, p.src[start:end], nil
}

// text decodes a string token; without escapes it is a piece of the document.
func text(tok jsontext.Token, raw string) string {
	if strings.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1]
	}
	return tok.String()
}

func (p *parser) value() (*Value, error) {
	tok, raw, err := p.token()
	if err != nil {
		return nil, err
	}
	if p.count++; p.count > p.lim.Values {
		return nil, p.refuse(fmt.Sprintf("the document has more than %d values", p.lim.Values))
	}
	v := p.values.one()
	switch tok.Kind() {
	case '{':
		return v, p.object(v)
	case '[':
		return v, p.array(v)
	case '"':
		v.kind, v.text = String, text(tok, raw)
	case '0':
		v.kind, v.text = Number, raw
	case 't':
		v.kind, v.text = Bool, "true"
	case 'f':
		v.kind, v.text = Bool, "false"
	}
	return v, nil
}

func (p *parser) object(v *Value) error {
	v.kind = Object
	if err := p.enter(); err != nil {
		return err
	}
	first := len(p.openMembers)
	for p.dec.PeekKind() != '}' {
		tok, raw, err := p.token()
		if err != nil {
			return err
		}
		name := text(tok, raw)
		member, err := p.value()
		if err != nil {
			return err
		}
		if p.depth == 1 && name == "resourceType" && member.kind == String {
			p.root = member.text
		}
		p.openMembers = append(p.openMembers, Member{name, member})
	}
	v.members = p.members.copy(p.openMembers[first:])
	p.openMembers = p.openMembers[:first]
	return p.leave()
}

func (p *parser) array(v *Value) error {
	v.kind = Array
	if err := p.enter(); err != nil {
		return err
	}
	first := len(p.openItems)
	for p.dec.PeekKind() != ']' {
		item, err := p.value()
		if err != nil {
			return err
		}
		p.openItems = append(p.openItems, item)
	}
	v.items = p.items.copy(p.openItems[first:])
	p.openItems = p.openItems[:first]
	return p.leave()
}

func (p *parser) enter() error {
	if p.depth++; p.depth > p.lim.Depth {
		return p.refuse(fmt.Sprintf("objects and arrays are nested deeper than %d", p.lim.Depth))
	}
	return nil
}

// leave reads the closing token.
func (p *parser) leave() error {
	p.depth--
	_, _, err := p.token()
	return err
}

// refuse is a SyntaxError at the token read last.
func (p *parser) refuse(msg string) error {
	return (&SyntaxError{Expression: p.expression(p.dec.StackPointer()), Msg: msg}).at(p.src, int64(p.pos))
}

// syntax turns the decoder's error into ours, without the characters that the decoder quotes.
func (p *parser) syntax(err error) error {
	e := &SyntaxError{Expression: p.expression(p.dec.StackPointer())}
	at := p.dec.InputOffset()
	var syn *jsontext.SyntacticError
	if errors.As(err, &syn) {
		at, e.Expression = syn.ByteOffset, p.expression(syn.JSONPointer)
	}
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		e.Msg = "the member occurs twice in its object"
	case errors.Is(err, jsontext.ErrNonStringName):
		e.Msg = "the name of a member must be a string"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		e.Msg = "the document ends before its JSON does"
	case syn != nil && strings.Contains(syn.Error(), "UTF-8"):
		e.Msg = "the document is not valid UTF-8"
	case syn != nil && strings.Contains(syn.Error(), "escape"):
		e.Msg = "a string holds an escape that is not JSON or not a Unicode character"
	case syn != nil && strings.Contains(syn.Error(), "in string"):
		e.Msg = "a string holds a control character that is not escaped"
	default:
		e.Msg = "the document is not JSON here"
	}
	return e.at(p.src, at)
}

// expression turns a JSON Pointer into a simple FHIRPath from the root resource.
func (p *parser) expression(ptr jsontext.Pointer) string {
	var b strings.Builder
	b.WriteString(printable(p.root))
	for tok := range ptr.Tokens() {
		if _, err := strconv.ParseUint(tok, 10, 32); err == nil {
			b.WriteString("[" + tok + "]")
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(printable(tok))
	}
	return b.String()
}

// printable is name where it has the form of an element's name, and ? otherwise: names are shown in error texts, and
// a sender may put anything there, an identity code too.
func printable(name string) string {
	if len(name) > 64 {
		return "?"
	}
	digits := 0
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_' && i == 0:
		case c >= '0' && c <= '9' && i > 0 && digits < 3:
			digits++
		default:
			return "?"
		}
	}
	return name
}

// slab hands out pieces of larger allocations.
type slab[T any] struct {
	free []T
	next int // length of the next allocation
}

// maxSlab bounds what a document that keeps one small piece of a slab holds on to.
const maxSlab = 1024

func (s *slab[T]) grow(n int) {
	s.free = make([]T, max(n, min(s.next, maxSlab)))
	if s.next <= maxSlab { // the first guess was nearly enough
		s.next = s.next/4 + 8
	}
}

func (s *slab[T]) one() *T {
	if len(s.free) == 0 {
		s.grow(1)
	}
	v := &s.free[0]
	s.free = s.free[1:]
	return v
}

// copy is a copy of in whose capacity is its length, so that appending to it leaves its neighbours alone.
// It is never nil: an empty object stays one.
func (s *slab[T]) copy(in []T) []T {
	n := len(in)
	if n > len(s.free) {
		s.grow(n)
	}
	out := s.free[:n:n]
	s.free = s.free[n:]
	copy(out, in)
	return out
}
