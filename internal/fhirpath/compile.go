package fhirpath

import (
	"regexp"
	"strconv"

	"sotesilta/internal/fhir"
)

// eval gives the collection that an expression comes to; test the same as a truth, where that is cheaper; step what a
// member or function makes of the collection before it.
type (
	eval func(r *run) []Item
	test func(r *run) truth
	step func(r *run, in []Item) []Item
)

// compiler turns a syntax tree into closures.
type compiler struct {
	tests map[*node]test // of the nodes that know a cheaper way to a truth
	kept  int
	// patterns are the regular expressions that stand in the expression as they are.
	patterns map[string]*regexp.Regexp
}

// compile makes an evaluation of a tree.
func (c *compiler) compile(n *node) (eval, error) {
	if c.constant(n) { // %resource.descendants() and the like: found once, not once per item
		return c.keep(n)
	}
	return c.plain(n)
}

func (c *compiler) plain(n *node) (eval, error) {
	switch n.kind {
	case nodeEmpty:
		return func(*run) []Item { return nil }, nil
	case nodeLiteral:
		value := []Item{n.value}
		return func(*run) []Item { return value }, nil
	case nodeThis:
		return func(r *run) []Item { return r.this }, nil
	case nodeIndex:
		return func(r *run) []Item { return r.one(integer(strconv.Itoa(r.index))) }, nil
	case nodeTotal:
		return func(r *run) []Item { return r.total }, nil
	case nodeVariable:
		return variable(n)
	case nodeMember, nodeCall, nodeIndexer:
		return c.path(n)
	case nodeType:
		return c.typed(n)
	case nodePolarity:
		return c.polarity(n)
	}
	return c.binary(n)
}

// constant says whether a part depends on nothing but the resource, and is worth keeping: a path of more than one step.
func (c *compiler) constant(n *node) bool {
	if n.kind != nodeMember && n.kind != nodeCall {
		return false
	}
	steps := 0
	for at := n; ; at = at.left {
		switch {
		case at == nil:
			return false
		case at.kind == nodeVariable:
			return steps > 0 && (at.text == "resource" || at.text == "rootResource")
		case at.kind == nodeMember, at.kind == nodeCall && (at.text == "descendants" || at.text == "first" || at.text == "as" || at.text == "ofType"):
			steps++
		default:
			return false
		}
	}
}

// keep evaluates a constant part the first time only.
func (c *compiler) keep(n *node) (eval, error) {
	inner, err := c.plain(n)
	if err != nil {
		return nil, err
	}
	slot := c.kept
	c.kept++
	return func(r *run) []Item {
		if !r.known[slot] {
			mark := len(r.items)
			r.kept[slot] = append([]Item(nil), inner(r)...)
			r.items = r.items[:mark]
			r.known[slot] = true
		}
		return r.kept[slot]
	}, nil
}

// constants are the variables that stand for a text (FHIR R4 § 2.9.3).
var constants = map[string]string{
	"ucum": "http://unitsofmeasure.org", "sct": "http://snomed.info/sct", "loinc": "http://loinc.org",
}

func variable(n *node) (eval, error) {
	if text, ok := constants[n.text]; ok {
		value := []Item{String(text)}
		return func(*run) []Item { return value }, nil
	}
	switch n.text {
	case "resource":
		return func(r *run) []Item { return r.one(Item{node: r.resource}) }, nil
	case "rootResource":
		return func(r *run) []Item { return r.one(Item{node: r.root}) }, nil
	case "context":
		return func(r *run) []Item { return r.focus }, nil
	}
	name := n.text
	return func(r *run) []Item {
		v, ok := r.vars[name]
		if !ok {
			r.stop("a variable is not defined")
		}
		return r.one(Item{node: v})
	}, nil
}

// path makes an evaluation of a member, call or indexer of what stands before it.
func (c *compiler) path(n *node) (eval, error) {
	left := eval(func(r *run) []Item { return r.this })
	if n.left != nil {
		var err error
		if left, err = c.compile(n.left); err != nil {
			return nil, err
		}
	}
	switch n.kind {
	case nodeMember:
		name := n.text
		if n.left == nil && name != "" && name[0] >= 'A' && name[0] <= 'Z' { // a path may begin with the type of its focus
			is, err := newTypeTest(&node{kind: nodeMember, text: name, at: n.at})
			if err != nil {
				return nil, err
			}
			return func(r *run) []Item {
				if len(r.this) == 1 && is.has(&r.this[0]) {
					return r.this
				}
				return nil
			}, nil
		}
		if !elementNames()[name] {
			return nil, fail(n.at, "no type of FHIR R4 has this element")
		}
		return func(r *run) []Item { return r.elements(left(r), name) }, nil
	case nodeIndexer:
		at, err := c.compile(n.args[0])
		if err != nil {
			return nil, err
		}
		return func(r *run) []Item {
			in := left(r)
			i := r.int(at, "an index")
			if i < 0 || i >= len(in) {
				return nil
			}
			return in[i : i+1 : i+1]
		}, nil
	}
	f, err := c.call(n)
	if err != nil {
		return nil, err
	}
	if quick := c.quick(n, left); quick != nil {
		c.tested(n, quick)
	}
	return func(r *run) []Item { return f(r, left(r)) }, nil
}

// int is an argument that must be a whole number; -1 where there is none.
func (r *run) int(e eval, what string) int {
	text, ok := r.single(e(r), what)
	if !ok {
		return -1
	}
	n, valid := parseNumber(text)
	i, whole := n.integer()
	if !valid || !whole || i > 1<<31 || i < -(1<<31) {
		r.stop("%s must be a whole number", what)
	}
	return int(i)
}

func (c *compiler) tested(n *node, t test) {
	if c.tests == nil {
		c.tests = map[*node]test{}
	}
	c.tests[n] = t
}

// test is the truth of a tree that compiles to e.
func (c *compiler) test(n *node, e eval) test {
	if t := c.tests[n]; t != nil {
		return t
	}
	return func(r *run) truth { return r.truth(e(r)) }
}

// condition compiles a tree that is asked for its truth, leaving nothing behind.
func (c *compiler) condition(n *node) (test, error) {
	e, err := c.compile(n)
	if err != nil {
		return nil, err
	}
	inner := c.test(n, e)
	return func(r *run) truth {
		mark := len(r.items)
		t := inner(r)
		r.items = r.items[:mark]
		return t
	}, nil
}

// typed compiles is and as.
func (c *compiler) typed(n *node) (eval, error) {
	left, err := c.compile(n.left)
	if err != nil {
		return nil, err
	}
	is, err := newTypeTest(n.args[0])
	if err != nil {
		return nil, err
	}
	if n.text == "as" {
		return func(r *run) []Item { return r.ofType(left(r), &is) }, nil
	}
	return func(r *run) []Item { return r.answer(r.is(left(r), &is)) }, nil
}

func (r *run) is(in []Item, t *typeTest) truth {
	switch len(in) {
	case 0:
		return unknown
	case 1:
		return truthOf(t.has(&in[0]))
	}
	r.stop("is needs a single item")
	return unknown
}

func (r *run) ofType(in []Item, t *typeTest) []Item {
	mark := len(r.items)
	for i := range in {
		r.spend(1)
		if t.has(&in[i]) {
			r.items = append(r.items, in[i])
		}
	}
	return r.since(mark)
}

func (c *compiler) polarity(n *node) (eval, error) {
	operand, err := c.compile(n.left)
	if err != nil || n.text == "+" {
		return operand, err
	}
	return func(r *run) []Item {
		in := operand(r)
		if len(in) == 0 {
			return nil
		}
		text, _ := r.single(in, "-")
		k, _, unit := in[0].scalar()
		if k != kindInteger && k != kindDecimal && k != kindQuantity {
			r.stop("- needs a number")
		}
		if text != "" && text[0] == '-' {
			text = text[1:]
		} else {
			text = "-" + text
		}
		return r.one(Item{kind: k, text: text, unit: unit})
	}, nil
}

// names of all elements, so that a misspelt rule fails when it is compiled and not when it lets something pass.
var elementNames = fhir.ElementNames
