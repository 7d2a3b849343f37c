// Package patch changes FHIR resources in part: JSON Patch (RFC 6902) and FHIRPath Patch (FHIR R4 § 3.1.0.6 and
// fhirpatch.html), read strictly and bounded, applied to the tree of a resource's JSON. What a patch does not touch
// keeps its order, its spelling of decimals and its primitive extensions.
//
//	document ─▶ JSON or FHIRPath (reading: form, bounds) ─▶ Patch.Apply (on the current version)
//
// A patch decides nothing: who may patch what, whether the result is valid and whether the process allows it is asked
// behind the one door, of the new version as a whole.
package patch

import (
	"fmt"
	"slices"

	"sotesilta/internal/fhir"
)

// Bounds of a patch, so that it costs no more than a resource: what asks for more is refused.
const (
	MaxOperations = 200     // of one patch
	MaxPath       = 1024    // bytes of a path
	MaxSteps      = 64      // of a path
	MaxAdded      = 100_000 // values that a patch adds to a resource, what it copies counted each time
	MaxBytes      = 8 << 20 // of the texts and names in them: a text that is copied takes no room until it is written
	MaxLooks      = 1 << 20 // elements that paths look at, in all the patches of one request: some tenths of a second
)

// Effort is what the paths of one request's patches may still look at, together. It is for one goroutine at a time.
type Effort struct{ looks int }

// NewEffort is what a request begins with.
func NewEffort() *Effort { return &Effort{MaxLooks} }

// look takes n elements out of the effort, and says whether there was enough.
func (e *Effort) look(n int) bool {
	e.looks -= n
	return e.looks >= 0
}

// Patch is a patch that was understood. It is safe for concurrent use.
type Patch struct{ operations []operation }

// operation changes the root, spending of the budget of added values.
type operation interface {
	apply(root *fhir.Value, b *budget) error
}

// Error is a patch that was refused. Its text names operations and rules, never what stands in the patch or the
// resource.
type Error struct {
	Operation int // from 0; -1: the patch as a whole
	Msg       string
}

func (e *Error) Error() string {
	if e.Operation < 0 {
		return "The patch is not understood: " + e.Msg
	}
	return fmt.Sprintf("Operation %d of the patch: %s", e.Operation+1, e.Msg)
}

func wrong(format string, args ...any) error {
	return &Error{Operation: -1, Msg: fmt.Sprintf(format, args...)}
}

// in names the operation of an error.
func in(i int, err error) error {
	if e, ok := err.(*Error); ok && e.Operation < 0 {
		return &Error{Operation: i, Msg: e.Msg}
	}
	return err
}

// Apply changes a resource by all the operations in turn, or answers an *Error that names the one that cannot be done
// and leaves the resource half changed. It takes the resource over, and spends of the effort. What the patch left empty is
// taken away, because FHIR has no empty arrays and objects (R4 § 2.6.2).
func (p *Patch) Apply(resource *fhir.Value, effort *Effort) (*fhir.Value, error) {
	root := fhir.NewArray(resource) // so that the resource itself has a place
	b := &budget{values: MaxAdded, bytes: MaxBytes, effort: effort}
	for i, op := range p.operations {
		if err := op.apply(root, b); err != nil {
			return nil, in(i, err)
		}
	}
	out := root.Items()[0]
	if out.Kind() != fhir.Object {
		return nil, wrong("what is left is no resource")
	}
	prune(out)
	return out, nil
}

// budget is how many values, and bytes of texts and names, a patch may still add, and what its paths may look at.
type budget struct {
	values, bytes int
	effort        *Effort
}

// add clones a value into the resource.
func (b *budget) add(v *fhir.Value) (*fhir.Value, error) {
	if b.spend(v); b.values < 0 || b.bytes < 0 {
		return nil, wrong("a patch adds at most %d values and %d bytes", MaxAdded, MaxBytes)
	}
	return v.Clone(), nil
}

// spend takes v out of the budget, until nothing is left of it.
func (b *budget) spend(v *fhir.Value) {
	b.values--
	switch v.Kind() {
	case fhir.Object:
		for _, m := range v.Members() {
			if b.values < 0 || b.bytes < 0 {
				return
			}
			b.bytes -= len(m.Name)
			b.spend(m.Value)
		}
	case fhir.Array:
		for _, item := range v.Items() {
			if b.values < 0 || b.bytes < 0 {
				return
			}
			b.spend(item)
		}
	default:
		b.bytes -= len(v.Str())
	}
}

// prune takes empty arrays and objects out of v, and says whether it is empty itself.
func prune(v *fhir.Value) (empty bool) {
	switch v.Kind() {
	case fhir.Object:
		var emptied []string
		for _, m := range v.Members() {
			if prune(m.Value) || m.Name[:min(1, len(m.Name))] == "_" && onlyNulls(m.Value) {
				emptied = append(emptied, m.Name)
			}
		}
		for _, name := range emptied {
			v.Set(name, nil)
		}
		return len(v.Members()) == 0
	case fhir.Array:
		for i := len(v.Items()) - 1; i >= 0; i-- {
			if prune(v.Items()[i]) {
				v.Remove(i)
			}
		}
		return len(v.Items()) == 0
	}
	return false
}

// onlyNulls says whether an array holds nothing but null, which the extensions of a primitive's items then are not.
func onlyNulls(v *fhir.Value) bool {
	return v.Kind() == fhir.Array && !slices.ContainsFunc(v.Items(), func(item *fhir.Value) bool { return item.Kind() != fhir.Null })
}
