package fhirpath

import (
	"math/big"
	"strings"
)

// binary compiles an operator between two operands.
func (c *compiler) binary(n *node) (eval, error) {
	switch n.text {
	case "and", "or", "xor", "implies":
		return c.logic(n)
	}
	left, err := c.compile(n.left)
	if err != nil {
		return nil, err
	}
	right, err := c.compile(n.args[0])
	if err != nil {
		return nil, err
	}
	var t test
	switch n.text {
	case "=", "!=", "~", "!~":
		equivalent, not := strings.HasSuffix(n.text, "~"), n.text[0] == '!'
		t = func(r *run) truth {
			answer := r.equalAll(left(r), right(r), equivalent)
			if not {
				return answer.not()
			}
			return answer
		}
	case "<", ">", "<=", ">=":
		less, orEqual := n.text[0] == '<', len(n.text) == 2
		t = func(r *run) truth { return r.ordered(left(r), right(r), less, orEqual) }
	case "in":
		t = func(r *run) truth { return r.member(left(r), right(r)) }
	case "contains":
		t = func(r *run) truth { return r.member(right(r), left(r)) }
	case "|":
		return func(r *run) []Item { return r.distinct(r.concat(left(r), right(r))) }, nil
	case "&":
		return func(r *run) []Item {
			a, _ := r.single(left(r), "&")
			b, _ := r.single(right(r), "&")
			r.spend((len(a) + len(b)) / 64)
			return r.one(String(a + b))
		}, nil
	default:
		return arithmetic(n, left, right)
	}
	c.tested(n, t)
	return func(r *run) []Item { return r.answer(t(r)) }, nil
}

// logic is three-valued (FHIRPath N1 § Boolean logic).
func (c *compiler) logic(n *node) (eval, error) {
	left, err := c.condition(n.left)
	if err != nil {
		return nil, err
	}
	right, err := c.condition(n.args[0])
	if err != nil {
		return nil, err
	}
	var t test
	switch n.text {
	case "and":
		t = func(r *run) truth {
			a := left(r)
			if a == no {
				return no
			}
			if b := right(r); b == no || a == yes {
				return b
			}
			return unknown
		}
	case "or":
		t = func(r *run) truth {
			a := left(r)
			if a == yes {
				return yes
			}
			if b := right(r); b == yes || a == no {
				return b
			}
			return unknown
		}
	case "implies":
		t = func(r *run) truth {
			a := left(r)
			if a == no {
				return yes
			}
			if b := right(r); b == yes || a == yes {
				return b
			}
			return unknown
		}
	default: // xor
		t = func(r *run) truth {
			a, b := left(r), right(r)
			if a == unknown || b == unknown {
				return unknown
			}
			return truthOf(a != b)
		}
	}
	c.tested(n, t)
	return func(r *run) []Item { return r.answer(t(r)) }, nil
}

// concat is one collection after the other.
func (r *run) concat(a, b []Item) []Item {
	mark := len(r.items)
	r.spend(len(a) + len(b))
	r.items = append(append(r.items, a...), b...)
	return r.since(mark)
}

// equalAll compares collections: = in order, ~ in any.
func (r *run) equalAll(a, b []Item, equivalent bool) truth {
	if equivalent {
		if len(a) != len(b) {
			return no
		}
		used := make([]bool, len(b))
	next:
		for i := range a {
			for j := range b {
				if !used[j] && r.equal(&a[i], &b[j], true) == yes {
					used[j] = true
					continue next
				}
			}
			return no
		}
		return yes
	}
	if len(a) == 0 || len(b) == 0 {
		return unknown
	}
	if len(a) != len(b) {
		return no
	}
	answer := yes
	for i := range a {
		switch r.equal(&a[i], &b[i], false) {
		case no:
			return no
		case unknown:
			answer = unknown
		}
	}
	return answer
}

func (r *run) ordered(a, b []Item, less, orEqual bool) truth {
	if len(a) == 0 || len(b) == 0 {
		return unknown
	}
	if len(a) > 1 || len(b) > 1 {
		r.stop("a comparison needs single items")
	}
	ka, ta, ua := a[0].scalar()
	kb, tb, ub := b[0].scalar()
	if ka == kindNone || kb == kindNone {
		return unknown // a value is missing
	}
	order, known := compareScalars(ka, ta, ua, kb, tb, ub)
	switch known {
	case undecided:
		return unknown
	case incomparable:
		if comparableKinds(ka, kb) {
			return unknown
		}
		r.stop("a comparison needs items of one type")
	}
	switch {
	case order == 0:
		return truthOf(orEqual)
	default:
		return truthOf(order < 0 == less)
	}
}

// member says whether the single item of a is in b.
func (r *run) member(a, b []Item) truth {
	switch {
	case len(a) == 0:
		return unknown
	case len(a) > 1:
		r.stop("in and contains look for a single item")
	}
	return truthOf(r.has(b, &a[0]))
}

// arithmetic compiles + - * / div mod.
func arithmetic(n *node, left, right eval) (eval, error) {
	op := n.text
	return func(r *run) []Item {
		a, b := left(r), right(r)
		if len(a) == 0 || len(b) == 0 {
			return nil
		}
		ta, okA := r.single(a, op)
		tb, okB := r.single(b, op)
		if !okA || !okB {
			return nil
		}
		ka, _, ua := a[0].scalar()
		kb, _, ub := b[0].scalar()
		if op == "+" && ka == kindString && kb == kindString {
			r.spend((len(ta) + len(tb)) / 64)
			return r.one(String(ta + tb))
		}
		number := func(k kind) bool { return k == kindInteger || k == kindDecimal || k == kindQuantity }
		if !number(ka) || !number(kb) {
			r.stop("%s needs numbers", op)
		}
		if (ka == kindQuantity) != (kb == kindQuantity) && (op == "+" || op == "-") || ka == kindQuantity && kb == kindQuantity && (!sameUnit(ua, ub) || op == "*" || op == "/") {
			r.stop("quantities of different units are not calculated with here")
		}
		result := calculate(op, ta, tb)
		if result == "" {
			return nil
		}
		k := kindDecimal
		switch {
		case ka == kindQuantity || kb == kindQuantity:
			k = kindQuantity
		case ka == kindInteger && kb == kindInteger && op != "/":
			k = kindInteger
		}
		unit := ua
		if unit == "" {
			unit = ub
		}
		if k != kindQuantity {
			unit = ""
		}
		return r.one(Item{kind: k, text: result, unit: unit})
	}, nil
}

// calculate is "" where there is no result: division by zero, or numbers too large to calculate with.
func calculate(op, a, b string) string {
	n, ok1 := parseNumber(a)
	m, ok2 := parseNumber(b)
	if !ok1 || !ok2 {
		return ""
	}
	x, ok1 := n.rat()
	y, ok2 := m.rat()
	if !ok1 || !ok2 || y.Sign() == 0 && (op == "/" || op == "div" || op == "mod") {
		return ""
	}
	out := new(big.Rat)
	switch op {
	case "+":
		out.Add(x, y)
	case "-":
		out.Sub(x, y)
	case "*":
		out.Mul(x, y)
	case "/":
		out.Quo(x, y)
	default:
		out.Quo(x, y)
		whole := new(big.Int).Quo(out.Num(), out.Denom())
		if op == "div" {
			out.SetInt(whole)
			break
		}
		out.Sub(x, new(big.Rat).Mul(y, new(big.Rat).SetInt(whole)))
	}
	text := decimalOf(out)
	if len(text) > 128 {
		return ""
	}
	return text
}
