package patch

import (
	"strconv"
	"strings"

	"sotesilta/internal/fhir"
)

// FHIRPath reads a FHIRPath Patch: Parameters whose parameters operation have the parts type, path, name, value,
// index, source and destination (fhirpatch.html). The error is an *Error.
func FHIRPath(parameters *fhir.Value) (*Patch, error) {
	if fhir.ResourceType(parameters) != "Parameters" {
		return nil, wrong("a FHIRPath Patch is a Parameters resource")
	}
	items := parameters.Get("parameter").Items()
	if len(items) > MaxOperations {
		return nil, wrong("a FHIRPath Patch has at most %d parameters operation", MaxOperations)
	}
	p := &Patch{}
	for i, item := range items {
		op, err := pathOperation(item)
		if err != nil {
			return nil, in(i, err)
		}
		p.operations = append(p.operations, op)
	}
	return p, nil
}

// pathOp is an operation on places named by FHIRPath.
type pathOp struct {
	do                         func(op *pathOp, resource *fhir.Value, b *budget) error
	typ                        string
	path                       path
	name                       string
	value                      *part
	index, source, destination int
}

// kinds are the operations of fhirpatch.html and the parts that each needs beside type and path.
var kinds = map[string]struct {
	do    func(*pathOp, *fhir.Value, *budget) error
	parts string
}{
	"add":     {(*pathOp).add, "name value"},
	"insert":  {(*pathOp).insert, "value index"},
	"delete":  {(*pathOp).delete, ""},
	"replace": {(*pathOp).replace, "value"},
	"move":    {(*pathOp).move, "source destination"},
}

func (op *pathOp) apply(root *fhir.Value, b *budget) error {
	resource := root.Items()[0]
	if fhir.ResourceType(resource) != op.typ {
		return wrong("path begins with another type than the resource's")
	}
	return op.do(op, resource, b)
}

// part is a part of an operation: its value under the member that carries it.
type part struct {
	member string // such as valueString; "part" for a value in parts
	value  *fhir.Value
}

func pathOperation(item *fhir.Value) (*pathOp, error) {
	if item.Text("name") != "operation" {
		return nil, wrong("every parameter of a FHIRPath Patch is an operation")
	}
	parts := map[string]*part{}
	for _, p := range item.Get("part").Items() {
		name := p.Text("name")
		if parts[name] != nil {
			return nil, wrong("a part is there twice")
		}
		parts[name] = partOf(p)
	}
	text := func(name string) string {
		if p := parts[name]; p != nil {
			return p.value.Str()
		}
		return ""
	}
	kind, known := kinds[text("type")]
	if !known {
		return nil, wrong("type is one of add, insert, delete, replace and move")
	}
	op := &pathOp{do: kind.do, name: text("name"), value: parts["value"]}
	var err error
	if op.typ, op.path, err = compile(text("path")); err != nil {
		return nil, err
	}
	for name := range strings.FieldsSeq(kind.parts) {
		p := parts[name]
		if p == nil || p.value == nil {
			return nil, wrong("the part %s is missing", name)
		}
		if to := map[string]*int{"index": &op.index, "source": &op.source, "destination": &op.destination}[name]; to != nil {
			if *to, err = strconv.Atoi(p.value.Str()); err != nil || *to < 0 {
				return nil, wrong("%s is a whole number from 0", name)
			}
		}
	}
	return op, nil
}

// partOf finds the value of a part.
func partOf(p *fhir.Value) *part {
	for _, m := range p.Members() {
		if m.Name == "part" || m.Name == "resource" || strings.HasPrefix(m.Name, "value") {
			return &part{m.Name, m.Value}
		}
	}
	return &part{}
}

// content is the value of the operation for an element of a name within an object, and the member that carries it there.
func (op *pathOp) content(over fhir.Definition, name string, b *budget) (*fhir.Value, fhir.Element, error) {
	elements := over.Members(name)
	if e, ok := over.Member(name); ok && e.Choice { // named by the member, such as valueString
		elements = []fhir.Element{e}
	}
	if len(elements) == 0 {
		return nil, fhir.Element{}, wrong("there is no element of that name")
	}
	e := elements[0]
	if e.Choice {
		found := false
		for _, e = range elements {
			if found = strings.TrimPrefix(e.Member, e.Name) == strings.TrimPrefix(op.value.member, "value"); found {
				break
			}
		}
		if !found {
			return nil, e, wrong("the element cannot have a value of that type")
		}
	}
	value, err := built(op.value, e.Type)
	if err == nil {
		value, err = b.add(value)
	}
	return value, e, err
}

// built is the value of a part: as it stands, or put together of parts, whose repetition is an array.
func built(p *part, def fhir.Definition) (*fhir.Value, error) {
	if p.member != "part" {
		return p.value, nil
	}
	out := fhir.NewObject()
	for _, item := range p.value.Items() {
		name, inner := item.Text("name"), partOf(item)
		if inner.value == nil {
			return nil, wrong("a part of the value has no value")
		}
		e, ok := def.Member(name)
		if !ok {
			for _, e = range def.Members(name) {
				if ok = strings.TrimPrefix(e.Member, e.Name) == strings.TrimPrefix(inner.member, "value"); ok {
					break
				}
			}
		}
		if !ok {
			return nil, wrong("a part of the value names no element")
		}
		value, err := built(inner, e.Type)
		if err != nil {
			return nil, err
		}
		switch there := out.Get(e.Member); {
		case e.Array && there == nil:
			out.Set(e.Member, fhir.NewArray(value))
		case e.Array:
			there.Append(value)
		case there != nil:
			return nil, wrong("a part of the value is there twice")
		default:
			out.Set(e.Member, value)
		}
	}
	return out, nil
}

// one is the one place of the path.
func (op *pathOp) one(resource *fhir.Value, b *budget) (place, error) {
	places, err := op.path.find(b.effort, resource)
	if err != nil {
		return place{}, err
	}
	return only(places)
}

func only(places []place) (place, error) {
	switch len(places) {
	case 0:
		return place{}, nothing()
	case 1:
		return places[0], nil
	}
	return place{}, wrong("its path finds several elements, and must find one")
}

func (op *pathOp) add(resource *fhir.Value, b *budget) error {
	to, err := op.one(resource, b)
	if err != nil {
		return err
	}
	if to.value.Kind() != fhir.Object {
		return wrong("its path finds an element without elements of its own")
	}
	value, e, err := op.content(to.def, op.name, b)
	if err != nil {
		return err
	}
	there := to.value.Get(e.Member)
	switch {
	case e.Array && there == nil:
		to.value.Set(e.Member, fhir.NewArray(value))
	case e.Array:
		there.Append(value)
		if extensions := to.value.Get("_" + e.Member); extensions.Kind() == fhir.Array {
			extensions.Append(new(fhir.Value))
		}
	case len(to.children(b.effort, e.Name)) > 0:
		return wrong("the element is there already: replace it")
	default:
		to.value.Set(e.Member, value)
	}
	return nil
}

// list is the array at the end of the path, as the places of its items and the member that holds it.
func (op *pathOp) list(resource *fhir.Value, b *budget) (holder place, e fhir.Element, items *fhir.Value, err error) {
	name, ok := element(""), false
	if len(op.path) > 0 {
		name, ok = op.path[len(op.path)-1].(element)
	}
	if !ok {
		return holder, e, nil, wrong("its path ends with the name of a list")
	}
	above, err := op.path[:len(op.path)-1].find(b.effort, resource)
	if err != nil {
		return holder, e, nil, err
	}
	if len(above) != 1 {
		return holder, e, nil, wrong("its path must find one list")
	}
	holder = above[0]
	if e, ok = holder.def.Member(string(name)); !ok || !e.Array {
		return holder, e, nil, wrong("its path ends with the name of a list")
	}
	return holder, e, holder.value.Get(e.Member), nil
}

func (op *pathOp) insert(resource *fhir.Value, b *budget) error {
	holder, e, items, err := op.list(resource, b)
	if err != nil {
		return err
	}
	if op.index > len(items.Items()) {
		return wrong("the index is beyond the end of the list")
	}
	value, _, err := op.content(holder.def, e.Name, b)
	if err != nil {
		return err
	}
	if items == nil {
		holder.value.Set(e.Member, fhir.NewArray(value))
		return nil
	}
	items.Insert(op.index, value)
	if extensions := holder.value.Get("_" + e.Member); extensions.Kind() == fhir.Array && op.index <= len(extensions.Items()) {
		extensions.Insert(op.index, new(fhir.Value))
	}
	return nil
}

// delete takes an element away with its extensions; what is not there is gone already.
func (op *pathOp) delete(resource *fhir.Value, b *budget) error {
	places, err := op.path.find(b.effort, resource)
	if err != nil || len(places) == 0 {
		return err
	}
	p, err := only(places)
	if err != nil {
		return err
	}
	if p.in == nil {
		return wrong("the resource itself cannot be deleted: DELETE it")
	}
	if p.at < 0 {
		p.in.Set(p.name, nil)
		p.in.Set("_"+p.name, nil)
		return nil
	}
	for _, name := range []string{p.name, "_" + p.name} {
		if list := p.in.Get(name); p.at < len(list.Items()) {
			list.Remove(p.at)
		}
	}
	return nil
}

// replace puts another value in the place of an element, with its extensions.
func (op *pathOp) replace(resource *fhir.Value, b *budget) error {
	p, err := op.one(resource, b)
	if err != nil {
		return err
	}
	if p.in == nil {
		return wrong("the resource itself cannot be replaced: PUT it")
	}
	member, _ := p.over.Member(p.name)
	value, e, err := op.content(p.over, member.Name, b)
	if err != nil {
		return err
	}
	if p.at < 0 {
		p.in.Set("_"+p.name, nil)
		p.in.Rename(p.name, e.Member, value)
		return nil
	}
	p.in.Get(p.name).Replace(p.at, value)
	if extensions := p.in.Get("_" + p.name); p.at < len(extensions.Items()) {
		extensions.Replace(p.at, new(fhir.Value))
	}
	return nil
}

func (op *pathOp) move(resource *fhir.Value, b *budget) error {
	holder, e, items, err := op.list(resource, b)
	if err != nil {
		return err
	}
	if n := len(items.Items()); op.source >= n || op.destination >= n {
		return wrong("source or destination is beyond the end of the list")
	}
	for _, name := range []string{e.Member, "_" + e.Member} {
		list := holder.value.Get(name)
		for list.Kind() == fhir.Array && len(list.Items()) < len(items.Items()) {
			list.Append(new(fhir.Value))
		}
		if list.Kind() == fhir.Array {
			moved := list.Items()[op.source]
			list.Remove(op.source)
			list.Insert(op.destination, moved)
		}
	}
	return nil
}
