package fhirpath

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"sotesilta/internal/fhir"
)

// run is one evaluation. Collections are pieces of one growing slice, so that an evaluation of a rule allocates nothing
// once a run has been used.
type run struct {
	items    []Item
	nodes    []fhir.Node // scratch of the step under way
	this     []Item      // what $this is: one item, or the collection at the start
	index    int
	total    []Item
	focus    []Item // %context
	steps    int
	limit    int
	budget   *int
	resource fhir.Node
	root     fhir.Node
	now      time.Time
	vars     map[string]fhir.Node
	kept     [][]Item // results of the parts that depend on the resource only
	known    []bool
	literal  map[string]*regexp.Regexp // of the expression
	patterns map[string]*regexp.Regexp // made under way
}

// ErrTooCostly says that an evaluation took more steps than it may.
var ErrTooCostly = errors.New("fhirpath: the evaluation takes too many steps")

// stop carries an error out of an evaluation.
type stop struct{ err error }

func (r *run) stop(format string, args ...any) {
	panic(stop{fmt.Errorf("fhirpath: "+format, args...)})
}

// spend takes steps out of what the evaluation may take.
func (r *run) spend(steps int) {
	if r.steps += steps; r.steps > r.limit {
		panic(stop{ErrTooCostly})
	}
}

// since is the collection of all items added from mark on.
func (r *run) since(mark int) []Item { return r.items[mark:len(r.items):len(r.items)] }

// one is a collection of one item.
func (r *run) one(it Item) []Item {
	mark := len(r.items)
	r.items = append(r.items, it)
	return r.since(mark)
}

// elements appends the elements called name of each item.
func (r *run) elements(in []Item, name string) []Item {
	mark := len(r.items)
	for i := range in {
		if in[i].kind != kindNone {
			continue
		}
		r.nodes = in[i].node.Elements(r.nodes[:0], name)
		r.spend(1 + len(r.nodes))
		for j := range r.nodes {
			r.items = append(r.items, Item{node: r.nodes[j]})
		}
	}
	return r.since(mark)
}

// children appends the children of each item.
func (r *run) children(in []Item) []Item {
	mark := len(r.items)
	for i := range in {
		if in[i].kind != kindNone {
			continue
		}
		r.nodes = in[i].node.Children(r.nodes[:0])
		r.spend(1 + len(r.nodes))
		for j := range r.nodes {
			r.items = append(r.items, Item{node: r.nodes[j]})
		}
	}
	return r.since(mark)
}

// descendants appends all elements below each item, level by level.
func (r *run) descendants(in []Item) []Item {
	mark := len(r.items)
	for level := in; len(level) > 0; {
		level = r.children(level)
	}
	return r.since(mark)
}

// each calls f with $this and $index set to each item in turn.
func (r *run) each(in []Item, f func(i int) bool) {
	this, index := r.this, r.index
	for i := range in {
		r.spend(1)
		r.this, r.index = in[i:i+1:i+1], i
		if !f(i) {
			break
		}
	}
	r.this, r.index = this, index
}

// single is the text of a collection of one item; false of an empty one.
func (r *run) single(in []Item, what string) (string, bool) {
	switch len(in) {
	case 0:
		return "", false
	case 1:
		k, text, _ := in[0].scalar()
		return text, k != kindNone
	}
	r.stop("%s needs a single item", what)
	return "", false
}

// truth is a collection as a boolean (FHIRPath N1 § Singleton Evaluation of Collections).
func (r *run) truth(in []Item) truth {
	switch len(in) {
	case 0:
		return unknown
	case 1:
		switch k, text, _ := in[0].scalar(); {
		case k == kindBoolean:
			return truthOf(text == "true")
		default:
			return yes
		}
	}
	r.stop("a condition needs a single item")
	return unknown
}

func (r *run) answer(t truth) []Item {
	if t == unknown {
		return nil
	}
	return r.one(Bool(t == yes))
}

// few is how many items are compared one by one; more are told apart by a key first.
const few = 12

// key is equal for items that may be equal.
func (it *Item) key() string {
	k, text, _ := it.scalar()
	switch k {
	case kindNone:
		return fmt.Sprintf("\x00%d", it.node.TypeNumber())
	case kindInteger, kindDecimal, kindQuantity:
		if n, ok := parseNumber(text); ok {
			return fmt.Sprintf("\x01%t%s/%d", n.negative, n.digits, n.exp)
		}
	case kindDate, kindDateTime, kindTime:
		if len(text) >= 4 {
			return "\x02" // of any precision and zone
		}
	}
	return text
}

// distinct appends the items of in that equal none before them or in already.
func (r *run) distinct(in []Item) []Item {
	mark := len(r.items)
	if len(in) <= few {
		for i := range in {
			if !r.has(r.items[mark:], &in[i]) {
				r.items = append(r.items, in[i])
			}
		}
		return r.since(mark)
	}
	seen := make(map[string][]Item, len(in))
	for i := range in {
		key := in[i].key()
		if !r.has(seen[key], &in[i]) {
			seen[key] = append(seen[key], in[i])
			r.items = append(r.items, in[i])
		}
	}
	return r.since(mark)
}

// has says whether an item equals one of a collection.
func (r *run) has(in []Item, it *Item) bool {
	for i := range in {
		if r.equal(&in[i], it, false) == yes {
			return true
		}
	}
	return false
}

// pattern compiles a regular expression, which takes time in proportion to the text (RE2), whatever it says.
func (r *run) pattern(text string) *regexp.Regexp {
	if re := r.literal[text]; re != nil {
		return re
	}
	if re := r.patterns[text]; re != nil {
		return re
	}
	re, err := compilePattern(text)
	if err != nil {
		r.stop("%v", err)
	}
	if r.patterns == nil {
		r.patterns = map[string]*regexp.Regexp{}
	}
	r.spend(100 + len(text))
	r.patterns[text] = re
	return re
}

// maxPattern bounds the length of a regular expression.
const maxPattern = 1024

func compilePattern(text string) (*regexp.Regexp, error) {
	if len(text) > maxPattern {
		return nil, errors.New("a regular expression is too long")
	}
	re, err := regexp.Compile("(?s)" + text)
	if err != nil {
		return nil, errors.New("a regular expression is not one")
	}
	return re, nil
}
