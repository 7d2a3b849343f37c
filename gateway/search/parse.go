package search

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"sotesilta/internal/fhir"
	"sotesilta/internal/finland"
)

// Bounds of a search: what asks for more is refused, so that no query is costly by its form alone.
const (
	MaxQueryLength = 64 << 10 // bytes of a whole query string or form
	MaxParameters  = 48       // parameters of one search
	MaxValues      = 512      // values of one search, alternatives of all parameters taken together
	MaxValueLength = 512      // bytes of one value
	MaxDepth       = 3        // references followed by a chain or _has
	MaxClauses     = 64       // conditions, branches of chains counted one by one
	MaxBranches    = 8        // target types that a chain without a type may mean
	MaxIncludes    = 10       // _include and _revinclude together
	MaxSortKeys    = 4
)

// Pair is one parameter of a search as it was asked: decoded, and not understood yet. Parameters may repeat.
type Pair struct{ Name, Value string }

// Pairs takes a query string or an application/x-www-form-urlencoded body apart, in its order. The error is an *Error.
func Pairs(raw string) ([]Pair, error) {
	if len(raw) > MaxQueryLength {
		return nil, refused("too-long", "The search is longer than "+strconv.Itoa(MaxQueryLength)+" bytes.")
	}
	var out []Pair
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		if len(out) == 2*MaxParameters {
			return nil, refused("too-costly", "The search has too many parameters.")
		}
		name, value, _ := strings.Cut(part, "=")
		name, err := url.QueryUnescape(name)
		if err == nil {
			value, err = url.QueryUnescape(value)
		}
		if err != nil { // its text would repeat what was sent
			return nil, refused("invalid", "The search is not percent-encoded correctly.")
		}
		if name == "" {
			return nil, refused("invalid", "A parameter has a value but no name: it is written name=value.")
		}
		out = append(out, Pair{name, value})
	}
	return out, nil
}

// Options say how a search is read. The zero Options read strictly.
type Options struct {
	Base         string    // service base URL of this gateway, without a slash at the end: references below it are local
	Lenient      bool      // leave out unknown parameters (Prefer: handling=lenient) instead of refusing them
	Within       Within    // the compartment searched; zero: none
	Terms        Terms     // what codes mean; nil: nothing is held
	DefaultCount int       // rows a page when the search does not say; 0 means 50
	MaxCount     int       // most rows a page; more is brought down to it; 0 means 500
	Now          time.Time // what approximate dates are measured from; zero means now
	// Secret says whether a text holds a personal identity code. It decides HasSecrets and what Raw leaves out;
	// nil means finland.FindIdentityCode.
	Secret func(text string) bool
}

// Error is a search that was refused. Its issues name parameters, never values.
type Error struct{ Issues []fhir.Issue }

func (e *Error) Error() string {
	texts := make([]string, len(e.Issues))
	for i, issue := range e.Issues {
		texts[i] = issue.Diagnostics
	}
	return "search: " + strings.Join(texts, " ")
}

func refused(code, diagnostics string) *Error {
	return &Error{[]fhir.Issue{{Severity: "error", Code: code, Diagnostics: diagnostics}}}
}

// Parse understands a search of a resource type (FHIR R4 § 3.1.1). _format, _pretty and the cursor of a page are the
// caller's and must have been taken out of params.
//
// A parameter that is unknown or not supported is refused (not-supported) and not passed over: an ignored filter
// would answer with more than was asked for (§ 3.1.1.4.3 leaves the choice). With Options.Lenient unknown parameters
// are left out and listed in Query.Ignored; unknown modifiers and bad values are refused even then. The error is an
// *Error with an issue for each parameter at fault.
func Parse(typ string, params []Pair, opt Options) (*Query, error) {
	p := newParser(Query{Type: typ, Within: opt.Within}, opt)
	if err := p.enter(); err != nil {
		return nil, err
	}
	return p.parse(params)
}

// newParser is a parser of a query.
func newParser(q Query, opt Options) *parser {
	if opt.DefaultCount == 0 {
		opt.DefaultCount = 50
	}
	if opt.MaxCount == 0 {
		opt.MaxCount = 500
	}
	if opt.Now.IsZero() {
		opt.Now = time.Now()
	}
	if opt.Secret == nil {
		opt.Secret = finland.FindIdentityCode
	}
	p := &parser{opt: opt, q: &q, count: -1}
	p.each = []*parser{p}
	return p
}

// enter begins the search of a type with the compartment that it keeps to.
func (p *parser) enter() error {
	typ := p.q.Type
	if tables()[typ] == nil {
		return refused("not-supported", "There is no such resource type.")
	}
	if within := p.opt.Within; within != (Within{}) {
		member := within.membership(typ)
		if member == nil {
			return refused("not-supported", typ+" is not in the compartment of "+within.Type+".")
		}
		p.q.Where = append(p.q.Where, *member)
	}
	return nil
}

// parse understands all parameters.
func (p *parser) parse(params []Pair) (*Query, error) {
	if len(params) > MaxParameters {
		return nil, refused("too-costly", "A search has at most "+strconv.Itoa(MaxParameters)+" parameters.")
	}
	for _, pair := range params {
		if f := p.parameter(pair); f != nil {
			if f.unknown && p.opt.Lenient {
				p.q.Ignored = append(p.q.Ignored, p.label(pair.Name))
				continue
			}
			p.issues = append(p.issues, fhir.Issue{Severity: "error", Code: f.code, Diagnostics: f.text})
		}
	}
	if len(p.issues) > 0 {
		return nil, &Error{p.issues}
	}
	p.finish()
	return p.q, nil
}

// fault is why a parameter was refused.
type fault struct {
	code, text string
	unknown    bool // an unknown parameter, which lenient handling leaves out
}

func invalid(text string) *fault     { return &fault{code: "invalid", text: text} }
func unsupported(text string) *fault { return &fault{code: "not-supported", text: text} }
func costly(text string) *fault      { return &fault{code: "too-costly", text: text} }

// parser is one run of Parse.
type parser struct {
	opt    Options
	q      *Query
	each   []*parser // of each type that is searched: itself, or those across types
	issues []fhir.Issue
	raw    []Pair          // the filters in their order, then the includes
	once   map[string]bool // result parameters seen
	sort   string
	count  int // as asked; -1 if not
	// spent so far of the bounds
	clauses, values, words int
}

// unnamed is how a parameter is named whose own name is not repeated.
const unnamed = "[name withheld]"

// label is how a parameter is named in an error: its own name, unless that may hold something it should not.
func (p *parser) label(name string) string {
	for _, c := range []byte(name) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("_-.:", c) >= 0:
		default:
			return unnamed
		}
	}
	if name == "" || len(name) > 128 || p.opt.Secret(name) {
		return unnamed
	}
	return name
}

// parameter understands one parameter.
func (p *parser) parameter(pair Pair) *fault {
	name := p.label(pair.Name)
	if !clean(pair.Name) || !clean(pair.Value) {
		return invalid("The search parameter " + name + " holds control characters or is not UTF-8.")
	}
	secret := p.opt.Secret(pair.Value)
	if secret {
		p.q.HasSecrets = true
	}
	if pair.Name == "_contained" && pair.Value == "false" {
		return nil // what is done without it (FHIR R4 § 3.1.1.5.5)
	}
	base, modifier, _ := strings.Cut(pair.Name, ":")
	if read := resultParameters[base]; read != nil {
		if modifier == "recurse" && (base == "_include" || base == "_revinclude") {
			return unsupported("The modifier of " + name + " is of FHIR STU3: write " + base + ":iterate.")
		}
		if modifier != "" && modifier != "iterate" {
			return unsupported("The modifier of " + name + " is not supported.")
		}
		if base != "_include" && base != "_revinclude" {
			if modifier != "" {
				return unsupported("The modifier of " + name + " is not supported.")
			}
			if p.once[base] {
				return invalid("The search parameter " + name + " may be given only once.")
			}
			if p.once == nil {
				p.once = map[string]bool{}
			}
			p.once[base] = true
		}
		return read(p, pair)
	}
	if f := p.filter(pair.Name, pair.Value); f != nil {
		return f
	}
	if secret {
		pair.Value = "***"
	}
	p.raw = append(p.raw, pair)
	return nil
}

// clean says whether s is UTF-8 without control characters.
func clean(s string) bool {
	for _, r := range s {
		if r < ' ' || r == 0x7f {
			return false
		}
	}
	return utf8.ValidString(s)
}

// resultParameters say what the answer looks like rather than what matches (FHIR R4 § 3.1.1.5).
var resultParameters = map[string]func(*parser, Pair) *fault{
	"_count": (*parser).readCount, "_total": (*parser).readTotal, "_sort": (*parser).readSort,
	"_summary": (*parser).readSummary, "_include": (*parser).readInclude, "_revinclude": (*parser).readInclude,
}

func (p *parser) readCount(pair Pair) *fault {
	n, err := strconv.ParseUint(pair.Value, 10, 31)
	if err != nil {
		return invalid("_count must be a whole number from 0.")
	}
	p.count = min(int(n), p.opt.MaxCount)
	return nil
}

// readTotal counts exactly for an estimate too: an estimate may be exact (FHIR R4 § 3.1.1.5.2).
func (p *parser) readTotal(pair Pair) *fault {
	switch pair.Value {
	case "none":
	case "estimate", "accurate":
		p.q.Total = true
	default:
		return invalid("_total must be none, estimate or accurate.")
	}
	return nil
}

func (p *parser) readSummary(pair Pair) *fault {
	switch pair.Value {
	case "false":
	case "count":
		p.q.Summary = true
	case "true", "text", "data":
		return unsupported("_summary is supported with the values count and false only.")
	default:
		return invalid("_summary must be true, text, data, count or false.")
	}
	return nil
}

func (p *parser) readSort(pair Pair) *fault {
	keys := make([][]SortKey, len(p.each))
	for name := range strings.SplitSeq(pair.Value, ",") {
		name, desc := strings.CutPrefix(name, "-")
		by := p.sortBy(name, desc)
		switch {
		case name == "":
			return invalid("_sort names no parameter.")
		case by == nil:
			return unsupported(p.named() + " cannot be sorted by " + p.label(name) + "; GET metadata lists its parameters, and those that are references, composites, texts or of type special do not sort.")
		case len(keys[0]) == MaxSortKeys:
			return costly("_sort takes at most " + strconv.Itoa(MaxSortKeys) + " parameters.")
		case slices.ContainsFunc(keys[0], func(k SortKey) bool { return k.Name == name }):
			return invalid("_sort names " + name + " twice.")
		}
		for i := range keys {
			keys[i] = append(keys[i], by[i])
		}
	}
	for i, of := range p.each {
		of.q.Sort = keys[i]
	}
	p.sort = pair.Value
	return nil
}

// wildcard is every reference parameter of a type, in _include and _revinclude.
const wildcard = "*"

// readInclude reads _include and _revinclude: Type:parameter or Type:parameter:TargetType. The parameter may be the
// wildcard; _include=* means those of the type searched.
func (p *parser) readInclude(pair Pair) *fault {
	name, modifier, _ := strings.Cut(pair.Name, ":")
	in := Include{Reverse: name == "_revinclude", Iterate: modifier == "iterate"}
	if len(p.q.Includes) == MaxIncludes {
		return costly("A search takes at most " + strconv.Itoa(MaxIncludes) + " _include and _revinclude.")
	}
	if pair.Value == wildcard && !in.Reverse {
		for _, of := range p.each {
			if f := p.readInclude(Pair{pair.Name, of.q.Type + ":" + wildcard}); f != nil {
				return f
			}
		}
		return nil
	}
	parts := strings.Split(pair.Value, ":")
	if len(parts) < 2 || len(parts) > 3 {
		return unsupported(name + " must be written Type:parameter or Type:parameter:TargetType.")
	}
	in.Type = parts[0]
	if len(parts) == 3 {
		in.Target = parts[2]
	}
	switch param := Lookup(parts[0], parts[1]); {
	case parts[1] == wildcard:
		in.Params = p.pointing(in)
		if tables()[in.Type] == nil || len(in.Params) == 0 {
			return unsupported(name + " names no resource type that refers to others in that way.")
		}
	case param == nil || param.Type != Reference:
		return unsupported(name + " names no reference parameter of a resource type; GET metadata lists them.")
	default:
		in.Params = []*Param{param}
		if in.Target != "" && !slices.Contains(param.Targets, in.Target) {
			return invalid(name + " names a target type that the parameter never points to.")
		}
	}
	switch {
	case in.Iterate:
	case !in.Reverse && !p.searched(in.Type):
		return invalid(name + " must begin with the type that is searched, " + p.named() + ".")
	case in.Reverse && (!slices.ContainsFunc(in.Params[0].Targets, p.searched) || in.Target != "" && !p.searched(in.Target)):
		return invalid(name + " names a parameter that never points to " + p.named() + ".")
	}
	if slices.ContainsFunc(p.q.Includes, in.equal) {
		return nil
	}
	p.q.Includes = append(p.q.Includes, in)
	p.raw = append(p.raw, pair)
	return nil
}

// pointing are the reference parameters of an include with the wildcard that may lead where it wants.
func (p *parser) pointing(in Include) []*Param {
	leads := func(param *Param) bool { return in.Target == "" || slices.Contains(param.Targets, in.Target) }
	if in.Target == "" && in.Reverse && !in.Iterate {
		leads = func(param *Param) bool { return slices.ContainsFunc(param.Targets, p.searched) }
	}
	t := tables()[in.Type]
	if t == nil {
		return nil
	}
	var out []*Param
	for _, e := range t.entries {
		if e.param.Type == Reference && leads(e.param) {
			out = append(out, e.param)
		}
	}
	return out
}

// finish settles what depends on several parameters, and writes Raw.
func (p *parser) finish() {
	q := p.q
	if p.count == 0 {
		q.Summary = true // FHIR R4 § 3.1.1.5.3: _count=0 is _summary=count
	}
	// Includes and order mean nothing where only the total is wanted.
	switch {
	case q.Summary:
		q.Total, q.Count, q.Includes = true, 0, nil
		for _, of := range q.Of() {
			of.Sort = nil
		}
		p.raw = slices.DeleteFunc(p.raw, func(pair Pair) bool {
			return strings.HasPrefix(pair.Name, "_include") || strings.HasPrefix(pair.Name, "_revinclude")
		})
		p.raw = append(p.raw, Pair{"_summary", "count"})
	default:
		q.Count = p.opt.DefaultCount
		if p.sort != "" {
			p.raw = append(p.raw, Pair{"_sort", p.sort})
		}
		if p.count > 0 {
			q.Count = p.count
			p.raw = append(p.raw, Pair{"_count", strconv.Itoa(p.count)})
		}
		q.Count = min(q.Count, p.opt.MaxCount)
		if q.Total {
			p.raw = append(p.raw, Pair{"_total", "accurate"})
		}
	}
	q.Raw = encode(p.raw)
}

// encode writes pairs as a query string in their order. Characters that need no escape in a query (RFC 3986 § 3.4)
// and that FHIR uses much stay readable.
func encode(pairs []Pair) string {
	var b strings.Builder
	for i, pair := range pairs {
		if i > 0 {
			b.WriteByte('&')
		}
		escape(&b, pair.Name)
		b.WriteByte('=')
		escape(&b, pair.Value)
	}
	return b.String()
}

func escape(b *strings.Builder, s string) {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-._~:/,*@$!", c) >= 0:
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
}
