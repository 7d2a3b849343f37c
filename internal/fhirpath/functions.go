package fhirpath

import (
	"regexp"
	"strconv"

	"sotesilta/internal/fhir"
)

// function is one function of FHIRPath: how many arguments it takes and what makes a step of its call.
type function struct {
	least, most int
	build       func(c *compiler, n *node) (step, error)
}

// call makes the step of a call.
func (c *compiler) call(n *node) (step, error) {
	f, ok := functions()[n.text]
	if !ok {
		return nil, fail(n.at, "this function is not supported")
	}
	if len(n.args) < f.least || len(n.args) > f.most {
		return nil, fail(n.at, "the function has %d to %d arguments", f.least, f.most)
	}
	if len(n.args) > 0 && n.args[0].kind == nodeLiteral && (n.text == "matches" || n.text == "replaceMatches") {
		re, err := compilePattern(n.args[0].value.text)
		if err != nil {
			return nil, fail(n.args[0].at, "%v", err)
		}
		if c.patterns == nil {
			c.patterns = map[string]*regexp.Regexp{}
		}
		c.patterns[n.args[0].value.text] = re
	}
	return f.build(c, n)
}

// quick is a truth of a call that needs no collection of it, or nil.
func (c *compiler) quick(n *node, left eval) test {
	if len(n.args) > 0 {
		return nil
	}
	switch n.text {
	case "exists":
		return func(r *run) truth { return truthOf(len(left(r)) > 0) }
	case "empty":
		return func(r *run) truth { return truthOf(len(left(r)) == 0) }
	case "not":
		if n.left == nil {
			return nil
		}
		inner := c.test(n.left, left)
		return func(r *run) truth { return inner(r).not() }
	case "hasValue":
		return func(r *run) truth { return truthOf(hasValue(left(r))) }
	}
	return nil
}

func hasValue(in []Item) bool {
	return len(in) == 1 && (in[0].kind != kindNone || in[0].node.IsPrimitive() && in[0].node.Value != nil)
}

// plain is a function without arguments.
func plain(f step) function {
	return function{0, 0, func(*compiler, *node) (step, error) { return f, nil }}
}

// judging is a function without arguments whose answer is a boolean.
func judging(f func(r *run, in []Item) truth) function {
	return plain(func(r *run, in []Item) []Item { return r.answer(f(r, in)) })
}

// filtering is a function of a condition on each item, which may be left out where it is optional.
func filtering(optional bool, f func(r *run, in []Item, holds test) []Item) function {
	least := 1
	if optional {
		least = 0
	}
	return function{least, 1, func(c *compiler, n *node) (step, error) {
		if len(n.args) == 0 {
			return func(r *run, in []Item) []Item { return f(r, in, nil) }, nil
		}
		holds, err := c.condition(n.args[0])
		return func(r *run, in []Item) []Item { return f(r, in, holds) }, err
	}}
}

// mapping is a function of an expression evaluated for each item.
func mapping(f func(r *run, in []Item, e eval) []Item) function {
	return function{1, 1, func(c *compiler, n *node) (step, error) {
		e, err := c.compile(n.args[0])
		return func(r *run, in []Item) []Item { return f(r, in, e) }, err
	}}
}

// joining is a function of another collection.
func joining(f func(r *run, in, other []Item) []Item) function {
	return function{1, 1, func(c *compiler, n *node) (step, error) {
		e, err := c.compile(n.args[0])
		return func(r *run, in []Item) []Item { return f(r, in, e(r)) }, err
	}}
}

// counting is a function of a whole number.
func counting(f func(in []Item, n int) []Item) function {
	return function{1, 1, func(c *compiler, n *node) (step, error) {
		e, err := c.compile(n.args[0])
		return func(r *run, in []Item) []Item { return f(in, max(0, r.int(e, n.text))) }, err
	}}
}

// typing is a function of a type.
func typing(f func(r *run, in []Item, t *typeTest) []Item) function {
	return function{1, 1, func(_ *compiler, n *node) (step, error) {
		t, err := newTypeTest(n.args[0])
		return func(r *run, in []Item) []Item { return f(r, in, &t) }, err
	}}
}

// functions is a function, not a variable, because calls compile calls.
func functions() map[string]function { return functionTable }

var functionTable map[string]function

func init() {
	functionTable = map[string]function{
		// existence (FHIRPath N1 § 5.1)
		"empty":      judging(func(_ *run, in []Item) truth { return truthOf(len(in) == 0) }),
		"exists":     filtering(true, func(r *run, in []Item, holds test) []Item { return r.answer(truthOf(r.any(in, holds))) }),
		"all":        filtering(false, func(r *run, in []Item, holds test) []Item { return r.answer(truthOf(r.all(in, holds))) }),
		"allTrue":    judging(func(r *run, in []Item) truth { return r.every(in, "true") }),
		"anyTrue":    judging(func(r *run, in []Item) truth { return r.every(in, "false").not() }),
		"allFalse":   judging(func(r *run, in []Item) truth { return r.every(in, "false") }),
		"anyFalse":   judging(func(r *run, in []Item) truth { return r.every(in, "true").not() }),
		"subsetOf":   joining(func(r *run, in, other []Item) []Item { return r.answer(truthOf(r.subset(in, other))) }),
		"supersetOf": joining(func(r *run, in, other []Item) []Item { return r.answer(truthOf(r.subset(other, in))) }),
		"count":      plain(func(r *run, in []Item) []Item { return r.one(integer(strconv.Itoa(len(in)))) }),
		"distinct":   plain((*run).distinct),
		"isDistinct": judging(func(r *run, in []Item) truth { return truthOf(len(r.distinct(in)) == len(in)) }),
		"not":        judging(func(r *run, in []Item) truth { return r.truth(in).not() }),
		"hasValue":   judging(func(_ *run, in []Item) truth { return truthOf(hasValue(in)) }),
		"getValue":   plain(getValue),
		// filtering and projection (§ 5.2)
		"where":  filtering(false, (*run).where),
		"select": mapping((*run).selectEach),
		"repeat": mapping((*run).repeat),
		"ofType": typing((*run).ofType),
		"as":     typing((*run).ofType),
		"is":     typing(func(r *run, in []Item, t *typeTest) []Item { return r.answer(r.is(in, t)) }),
		// subsetting (§ 5.3)
		"single": plain(func(r *run, in []Item) []Item {
			if len(in) > 1 {
				r.stop("single() is of more than one item")
			}
			return in
		}),
		"first":     plain(func(_ *run, in []Item) []Item { return in[:min(1, len(in))] }),
		"last":      plain(func(_ *run, in []Item) []Item { return in[max(0, len(in)-1):] }),
		"tail":      plain(func(_ *run, in []Item) []Item { return in[min(1, len(in)):] }),
		"skip":      counting(func(in []Item, n int) []Item { return in[min(n, len(in)):] }),
		"take":      counting(func(in []Item, n int) []Item { return in[:min(n, len(in))] }),
		"intersect": joining(func(r *run, in, other []Item) []Item { return r.distinct(r.keep(in, other, true)) }),
		"exclude":   joining(func(r *run, in, other []Item) []Item { return r.keep(in, other, false) }),
		// combining (§ 5.4)
		"union":   joining(func(r *run, in, other []Item) []Item { return r.distinct(r.concat(in, other)) }),
		"combine": joining((*run).concat),
		// conditional, aggregate and utility (§§ 5.5.1, 5.9, 7)
		"iif":       {2, 3, iif},
		"aggregate": {1, 2, aggregate},
		"trace":     {1, 2, func(*compiler, *node) (step, error) { return func(_ *run, in []Item) []Item { return in }, nil }},
		"now":       plain(func(r *run, _ []Item) []Item { return r.one(instant(r.clock())) }),
		"today": plain(func(r *run, _ []Item) []Item {
			return r.one(Item{kind: kindDate, text: r.clock().UTC().Format("2006-01-02")})
		}),
		"timeOfDay": plain(func(r *run, _ []Item) []Item {
			return r.one(Item{kind: kindTime, text: r.clock().UTC().Format("15:04:05.000")})
		}),
		// tree navigation (§ 5.8)
		"children":    plain((*run).children),
		"descendants": plain((*run).descendants),
		// of FHIR (R4 § 2.9.2)
		"extension":  {1, 1, extension},
		"resolve":    plain((*run).resolve),
		"htmlChecks": judging(func(_ *run, in []Item) truth { return truthOf(len(in) == 1 && fhir.IsXHTML(in[0].Text())) }),
	}
	for name, f := range textFunctions() {
		functionTable[name] = f
	}
}

func (r *run) any(in []Item, holds test) bool {
	if holds == nil {
		return len(in) > 0
	}
	found := false
	r.each(in, func(int) bool {
		found = holds(r) == yes
		return !found
	})
	return found
}

func (r *run) all(in []Item, holds test) bool {
	all := true
	r.each(in, func(int) bool {
		all = holds(r) == yes
		return all
	})
	return all
}

// every says whether every item is the boolean.
func (r *run) every(in []Item, want string) truth {
	for i := range in {
		k, text, _ := in[i].scalar()
		if k != kindBoolean {
			r.stop("booleans are needed here")
		}
		if text != want {
			return no
		}
	}
	return yes
}

func (r *run) subset(in, other []Item) bool {
	for i := range in {
		if !r.has(other, &in[i]) {
			return false
		}
	}
	return true
}

func (r *run) where(in []Item, holds test) []Item {
	mark := len(r.items)
	r.each(in, func(i int) bool {
		if holds(r) == yes {
			r.items = append(r.items, in[i])
		}
		return true
	})
	return r.since(mark)
}

func (r *run) selectEach(in []Item, e eval) []Item {
	mark := len(r.items)
	r.each(in, func(int) bool {
		at := len(r.items)
		found := e(r)
		r.spend(len(found))
		r.items = append(r.items[:at], found...)
		return true
	})
	return r.since(mark)
}

// repeat adds what the expression finds in each item, and in what was found, until there is nothing new.
func (r *run) repeat(in []Item, e eval) []Item {
	var out []Item
	seen := map[string][]Item{}
	for level := in; len(level) > 0; {
		found := r.selectEach(level, e)
		first := len(out)
		for i := range found {
			key := found[i].key()
			if !r.has(seen[key], &found[i]) {
				seen[key] = append(seen[key], found[i])
				out = append(out, found[i])
			}
		}
		level = out[first:]
	}
	return out
}

// keep is what of in is in other, or is not.
func (r *run) keep(in, other []Item, wanted bool) []Item {
	mark := len(r.items)
	for i := range in {
		if r.has(other, &in[i]) == wanted {
			r.items = append(r.items, in[i])
		}
	}
	return r.since(mark)
}

// with evaluates with the collection as $this.
func (r *run) with(in []Item, e eval) []Item {
	this := r.this
	r.this = in
	out := e(r)
	r.this = this
	return out
}

func iif(c *compiler, n *node) (step, error) {
	condition, err := c.compile(n.args[0])
	if err != nil {
		return nil, err
	}
	then, err := c.compile(n.args[1])
	if err != nil {
		return nil, err
	}
	otherwise := eval(func(*run) []Item { return nil })
	if len(n.args) == 3 {
		if otherwise, err = c.compile(n.args[2]); err != nil {
			return nil, err
		}
	}
	return func(r *run, in []Item) []Item {
		if r.truth(r.with(in, condition)) == yes {
			return r.with(in, then)
		}
		return r.with(in, otherwise)
	}, nil
}

func aggregate(c *compiler, n *node) (step, error) {
	e, err := c.compile(n.args[0])
	if err != nil {
		return nil, err
	}
	initial := eval(func(*run) []Item { return nil })
	if len(n.args) == 2 {
		if initial, err = c.compile(n.args[1]); err != nil {
			return nil, err
		}
	}
	return func(r *run, in []Item) []Item {
		before := r.total
		r.total = initial(r)
		r.each(in, func(int) bool {
			r.total = append([]Item(nil), e(r)...)
			r.spend(len(r.total))
			return true
		})
		out := r.total
		r.total = before
		return out
	}, nil
}

func getValue(r *run, in []Item) []Item {
	if !hasValue(in) {
		return nil
	}
	k, text, unit := in[0].scalar()
	return r.one(Item{kind: k, text: text, unit: unit})
}

func extension(c *compiler, n *node) (step, error) {
	url, err := c.compile(n.args[0])
	if err != nil {
		return nil, err
	}
	return func(r *run, in []Item) []Item {
		want, ok := r.single(url(r), "extension()")
		if !ok {
			return nil
		}
		found := r.elements(in, "extension")
		mark := len(r.items)
		for i := range found {
			if found[i].node.Value.Get("url").Str() == want {
				r.items = append(r.items, found[i])
			}
		}
		return r.since(mark)
	}, nil
}

// resolve finds what references point to, where that is contained in the resource or an entry of its Bundle.
func (r *run) resolve(in []Item) []Item {
	mark := len(r.items)
	for i := range in {
		text := in[i].Text()
		if n, ok := in[i].Node(); ok && n.Type() == "Reference" {
			text = n.Value.Get("reference").Str()
		}
		if text == "" {
			continue
		}
		r.spend(1)
		if target := r.target(text); target != nil {
			r.items = append(r.items, Item{node: fhir.Root(target)})
		}
	}
	return r.since(mark)
}

func (r *run) target(reference string) *fhir.Value {
	if reference[0] == '#' {
		if len(reference) == 1 {
			return r.root.Value
		}
		for _, contained := range r.root.Value.Get("contained").Items() {
			r.spend(1)
			if fhir.ID(contained) == reference[1:] {
				return contained
			}
		}
		return nil
	}
	for _, entry := range r.root.Value.Get("entry").Items() {
		r.spend(1)
		resource := entry.Get("resource")
		if url := entry.Get("fullUrl").Str(); url == reference ||
			fhir.ID(resource) != "" && fhir.ResourceType(resource)+"/"+fhir.ID(resource) == reference {
			return resource
		}
	}
	return nil
}
