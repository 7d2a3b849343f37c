package fhirpath

import "strings"

// Bounds of an expression, whoever wrote it.
const (
	maxLength = 16 << 10 // bytes
	maxTokens = 4096
	maxNested = 64 // expressions within each other
)

// nodeKind is what a node of the syntax tree stands for.
type nodeKind uint8

const (
	nodeEmpty    nodeKind = iota // {}
	nodeLiteral                  // value
	nodeThis                     // $this
	nodeIndex                    // $index
	nodeTotal                    // $total
	nodeVariable                 // %text
	nodeMember                   // text, of left or (nil) of the focus
	nodeCall                     // text(args), of left or (nil) of the focus
	nodeIndexer                  // left[args[0]]
	nodeBinary                   // left text args[0]
	nodePolarity                 // text left
	nodeType                     // left text (is or as) type args[0].text
)

// node is one node of the syntax tree.
type node struct {
	kind  nodeKind
	text  string
	value Item
	left  *node
	args  []*node
	at    int
}

// binding is how strongly each binary operator binds (FHIRPath N1 § Operator Precedence).
var binding = map[string]int{
	"implies": 1,
	"or":      2, "xor": 2,
	"and": 3,
	"in":  4, "contains": 4,
	"=": 5, "~": 5, "!=": 5, "!~": 5,
	"<": 6, ">": 6, "<=": 6, ">=": 6,
	"|":  7,
	"is": 8, "as": 8,
	"+": 9, "-": 9, "&": 9,
	"*": 10, "/": 10, "div": 10, "mod": 10,
}

type parser struct {
	tokens []token
	i      int
	nested int
}

// parse reads an expression as a syntax tree.
func parse(s string) (*node, error) {
	if len(s) > maxLength {
		return nil, fail(maxLength, "the expression is longer than %d bytes", maxLength)
	}
	if !validText(s) {
		return nil, fail(0, "the expression is not valid UTF-8")
	}
	list, err := tokens(s)
	if err != nil {
		return nil, err
	}
	p := parser{tokens: list}
	n, err := p.expression(0)
	if err != nil {
		return nil, err
	}
	if t := p.peek(); t.kind != tokenEnd {
		return nil, fail(t.at, "the expression should end here")
	}
	return n, nil
}

func (p *parser) peek() token { return p.tokens[p.i] }

func (p *parser) next() token {
	t := p.tokens[p.i]
	if t.kind != tokenEnd {
		p.i++
	}
	return t
}

// symbol takes the symbol if it is the next token.
func (p *parser) symbol(text string) bool {
	if t := p.peek(); t.kind == tokenSymbol && t.text == text {
		p.i++
		return true
	}
	return false
}

func (p *parser) want(text string) error {
	if !p.symbol(text) {
		return fail(p.peek().at, "%s is missing here", text)
	}
	return nil
}

// expression reads operators that bind more strongly than least.
func (p *parser) expression(least int) (*node, error) {
	if p.nested++; p.nested > maxNested {
		return nil, fail(p.peek().at, "expressions are nested deeper than %d", maxNested)
	}
	defer func() { p.nested-- }()
	left, err := p.unary()
	if err != nil {
		return nil, err
	}
	for chain := 0; ; chain++ {
		t := p.peek()
		strength := binding[t.text]
		if t.kind != tokenSymbol && t.kind != tokenName || strength <= least {
			return left, nil
		}
		if chain >= maxNested*4 { // the tree of a chain is as deep as the chain is long
			return nil, fail(t.at, "too many operators in a row")
		}
		p.next()
		if t.text == "is" || t.text == "as" {
			typ, err := p.typeName()
			if err != nil {
				return nil, err
			}
			left = &node{kind: nodeType, text: t.text, left: left, args: []*node{typ}, at: t.at}
			continue
		}
		right, err := p.expression(strength)
		if err != nil {
			return nil, err
		}
		left = &node{kind: nodeBinary, text: t.text, left: left, args: []*node{right}, at: t.at}
	}
}

// typeName reads Type or Namespace.Type.
func (p *parser) typeName() (*node, error) {
	t := p.next()
	if t.kind != tokenName && t.kind != tokenQuoted {
		return nil, fail(t.at, "the name of a type is missing here")
	}
	name := t.text
	if (name == "FHIR" || name == "System") && p.symbol(".") {
		t = p.next()
		if t.kind != tokenName && t.kind != tokenQuoted {
			return nil, fail(t.at, "the name of a type is missing here")
		}
		name += "." + t.text
	}
	return &node{kind: nodeMember, text: name, at: t.at}, nil
}

func (p *parser) unary() (*node, error) {
	if t := p.peek(); t.kind == tokenSymbol && (t.text == "-" || t.text == "+") {
		p.next()
		if p.nested++; p.nested > maxNested {
			return nil, fail(t.at, "expressions are nested deeper than %d", maxNested)
		}
		defer func() { p.nested-- }()
		operand, err := p.unary()
		if err != nil {
			return nil, err
		}
		return &node{kind: nodePolarity, text: t.text, left: operand, at: t.at}, nil
	}
	left, err := p.term()
	for steps := 0; err == nil; steps++ {
		t := p.peek()
		switch {
		case steps > maxNested*4:
			return nil, fail(t.at, "too many steps in a row")
		case p.symbol("."):
			left, err = p.invocation(left)
		case p.symbol("["):
			var index *node
			if index, err = p.expression(0); err == nil {
				left = &node{kind: nodeIndexer, left: left, args: []*node{index}, at: t.at}
				err = p.want("]")
			}
		default:
			return left, nil
		}
	}
	return nil, err
}

// invocation reads a member or a call of left, which is nil at the head of a path.
func (p *parser) invocation(left *node) (*node, error) {
	t := p.next()
	switch {
	case t.kind == tokenSymbol && strings.HasPrefix(t.text, "$") && left == nil:
		return &node{kind: map[string]nodeKind{"$this": nodeThis, "$index": nodeIndex, "$total": nodeTotal}[t.text], at: t.at}, nil
	case t.kind != tokenName && t.kind != tokenQuoted:
		return nil, fail(t.at, "the name of an element or function is missing here")
	}
	if t.kind == tokenQuoted || !p.symbol("(") {
		return &node{kind: nodeMember, text: t.text, left: left, at: t.at}, nil
	}
	call := &node{kind: nodeCall, text: t.text, left: left, at: t.at}
	if p.symbol(")") {
		return call, nil
	}
	for {
		arg, err := p.expression(0)
		if err != nil {
			return nil, err
		}
		call.args = append(call.args, arg)
		if p.symbol(")") {
			return call, nil
		}
		if err := p.want(","); err != nil {
			return nil, err
		}
	}
}

func (p *parser) term() (*node, error) {
	t := p.peek()
	switch {
	case p.symbol("("):
		n, err := p.expression(0)
		if err != nil {
			return nil, err
		}
		return n, p.want(")")
	case p.symbol("{"):
		return &node{kind: nodeEmpty, at: t.at}, p.want("}")
	}
	var value Item
	switch t.kind {
	case tokenString:
		value = String(t.text)
	case tokenDate:
		value = Item{kind: kindDate, text: strings.TrimSuffix(t.text, "T")}
		if len(t.text) > len("2026-11-21") {
			value.kind = kindDateTime
		}
		if strings.HasSuffix(t.text, "T") {
			value.kind = kindDateTime
		}
	case tokenTime:
		value = Item{kind: kindTime, text: t.text}
	case tokenVariable:
		p.next()
		return &node{kind: nodeVariable, text: t.text, at: t.at}, nil
	case tokenName:
		if t.text != "true" && t.text != "false" {
			return p.invocation(nil)
		}
		value = Bool(t.text == "true")
	case tokenNumber:
		p.next()
		return p.number(t)
	default:
		return p.invocation(nil)
	}
	p.next()
	return &node{kind: nodeLiteral, value: value, at: t.at}, nil
}

// calendar are the units of time that need no quotes, in the singular.
var calendar = map[string]bool{
	"year": true, "month": true, "week": true, "day": true, "hour": true, "minute": true, "second": true, "millisecond": true,
}

// number reads a number, or a quantity where a unit follows it.
func (p *parser) number(t token) (*node, error) {
	value := Item{kind: kindInteger, text: t.text}
	if strings.Contains(t.text, ".") {
		value.kind = kindDecimal
	}
	if _, ok := parseNumber(t.text); !ok {
		return nil, fail(t.at, "this number is too long")
	}
	switch unit := p.peek(); {
	case unit.kind == tokenString:
		p.next()
		value.kind, value.unit = kindQuantity, unit.text
	case unit.kind == tokenName && calendar[strings.TrimSuffix(unit.text, "s")]:
		p.next()
		value.kind, value.unit = kindQuantity, strings.TrimSuffix(unit.text, "s")
	}
	return &node{kind: nodeLiteral, value: value, at: t.at}, nil
}
