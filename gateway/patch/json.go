package patch

import (
	"slices"
	"strconv"
	"strings"

	"sotesilta/internal/fhir"
)

// JSON reads a JSON Patch (RFC 6902), an array of operations; one of none changes nothing. The error is an *Error.
func JSON(doc *fhir.Value) (*Patch, error) {
	if doc.Kind() != fhir.Array {
		return nil, wrong("a JSON Patch is an array of operations")
	}
	if len(doc.Items()) > MaxOperations {
		return nil, wrong("it has more than %d operations", MaxOperations)
	}
	p := &Patch{}
	for i, item := range doc.Items() {
		op, err := jsonOperation(item)
		if err != nil {
			return nil, in(i, err)
		}
		p.operations = append(p.operations, op)
	}
	return p, nil
}

// pointerOp is an operation on places named by JSON Pointers (RFC 6901).
type pointerOp struct {
	do    func(op *pointerOp, root *fhir.Value, b *budget) error
	path  []string
	from  []string
	value *fhir.Value
}

func (op *pointerOp) apply(root *fhir.Value, b *budget) error { return op.do(op, root, b) }

// verbs are the operations of RFC 6902 § 4 and the members that each needs beside op and path.
var verbs = map[string]struct {
	do          func(*pointerOp, *fhir.Value, *budget) error
	value, from bool
}{
	"add":     {do: (*pointerOp).add, value: true},
	"remove":  {do: (*pointerOp).remove},
	"replace": {do: (*pointerOp).replace, value: true},
	"move":    {do: (*pointerOp).move, from: true},
	"copy":    {do: (*pointerOp).copy, from: true},
	"test":    {do: (*pointerOp).test, value: true},
}

func jsonOperation(item *fhir.Value) (*pointerOp, error) {
	if item.Kind() != fhir.Object {
		return nil, wrong("an operation is an object")
	}
	verb, known := verbs[item.Get("op").Str()]
	if !known || item.Get("op").Kind() != fhir.String {
		return nil, wrong("op is one of add, remove, replace, move, copy and test")
	}
	op := &pointerOp{do: verb.do}
	var err error
	if op.path, err = pointer(item.Get("path"), "path"); err != nil {
		return nil, err
	}
	if verb.from {
		if op.from, err = pointer(item.Get("from"), "from"); err != nil {
			return nil, err
		}
	}
	if verb.value {
		if op.value = item.Get("value"); op.value == nil {
			return nil, wrong("value is missing")
		}
	}
	return op, nil
}

// pointer reads a JSON Pointer, below the place of the resource itself.
func pointer(v *fhir.Value, name string) ([]string, error) {
	text := v.Str()
	switch {
	case v.Kind() != fhir.String || text != "" && text[0] != '/':
		return nil, wrong("%s is a JSON Pointer such as /status", name)
	case len(text) > MaxPath || strings.Count(text, "/") > MaxSteps:
		return nil, wrong("%s is longer than %d bytes or %d steps", name, MaxPath, MaxSteps)
	}
	tokens := strings.Split(text, "/")
	for i, token := range tokens {
		for at := strings.IndexByte(token, '~'); at >= 0; {
			if at+1 == len(token) || token[at+1] != '0' && token[at+1] != '1' {
				return nil, wrong("%s holds a ~ that is neither ~0 nor ~1", name)
			}
			next := strings.IndexByte(token[at+1:], '~')
			if next < 0 {
				break
			}
			at += 1 + next
		}
		tokens[i] = strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
	}
	tokens[0] = "0" // of the root array
	return tokens, nil
}

// child is what a token names within a value, or nil.
func child(v *fhir.Value, token string) *fhir.Value {
	if v.Kind() == fhir.Object {
		return v.Get(token)
	}
	if i, ok := index(token, len(v.Items())); ok && v.Kind() == fhir.Array {
		return v.Items()[i]
	}
	return nil
}

// index is an array index below length (RFC 6901 § 4: no leading zeros).
func index(token string, length int) (int, bool) {
	i, err := strconv.Atoi(token)
	return i, err == nil && i >= 0 && i < length && strconv.Itoa(i) == token
}

// nothing is the error of a place that is not there.
func nothing() error { return wrong("there is nothing at its path") }

// parent is the value that holds the place of a path, and the last token.
func parent(root *fhir.Value, path []string) (*fhir.Value, string, error) {
	at := root
	for _, token := range path[:len(path)-1] {
		if at = child(at, token); at == nil {
			return nil, "", nothing()
		}
	}
	return at, path[len(path)-1], nil
}

// find is the value at a path.
func find(root *fhir.Value, path []string) (*fhir.Value, error) {
	at, token, err := parent(root, path)
	if err != nil {
		return nil, err
	}
	if found := child(at, token); found != nil {
		return found, nil
	}
	return nil, nothing()
}

func (op *pointerOp) add(root *fhir.Value, b *budget) error {
	value, err := b.add(op.value)
	if err != nil {
		return err
	}
	return put(root, op.path, value)
}

// put adds a value at a path (RFC 6902 § 4.1).
func put(root *fhir.Value, path []string, value *fhir.Value) error {
	if len(path) == 1 {
		root.Replace(0, value)
		return nil
	}
	at, token, err := parent(root, path)
	if err != nil {
		return err
	}
	switch at.Kind() {
	case fhir.Object:
		at.Set(token, value)
		return nil
	case fhir.Array:
		if token == "-" {
			at.Append(value)
			return nil
		}
		if i, ok := index(token, len(at.Items())+1); ok {
			at.Insert(i, value)
			return nil
		}
	}
	return nothing()
}

func (op *pointerOp) remove(root *fhir.Value, _ *budget) error { return take(root, op.path) }

// take removes what is at a path.
func take(root *fhir.Value, path []string) error {
	if len(path) == 1 {
		return wrong("the resource itself cannot be removed: DELETE it")
	}
	at, token, err := parent(root, path)
	if err != nil {
		return err
	}
	if child(at, token) == nil {
		return nothing()
	}
	if at.Kind() == fhir.Object {
		at.Set(token, nil)
		return nil
	}
	i, _ := index(token, len(at.Items()))
	at.Remove(i)
	return nil
}

func (op *pointerOp) replace(root *fhir.Value, b *budget) error {
	value, err := b.add(op.value)
	if err != nil {
		return err
	}
	at, token, err := parent(root, op.path)
	if err != nil {
		return err
	}
	if child(at, token) == nil {
		return nothing()
	}
	if at.Kind() == fhir.Object {
		at.Set(token, value)
		return nil
	}
	i, _ := index(token, len(at.Items()))
	at.Replace(i, value)
	return nil
}

func (op *pointerOp) move(root *fhir.Value, _ *budget) error {
	value, err := find(root, op.from)
	if err != nil {
		return err
	}
	if len(op.path) > len(op.from) && slices.Equal(op.path[:len(op.from)], op.from) {
		return wrong("a value cannot be moved into itself")
	}
	if err := take(root, op.from); err != nil {
		return err
	}
	return put(root, op.path, value)
}

func (op *pointerOp) copy(root *fhir.Value, b *budget) error {
	value, err := find(root, op.from)
	if err != nil {
		return err
	}
	if value, err = b.add(value); err != nil {
		return err
	}
	return put(root, op.path, value)
}

func (op *pointerOp) test(root *fhir.Value, _ *budget) error {
	value, err := find(root, op.path)
	if err != nil {
		return err
	}
	if !fhir.Same(value, op.value, func() {}) {
		return wrong("the test does not hold")
	}
	return nil
}
