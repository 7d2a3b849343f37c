package fhir

import (
	"fmt"
	"math/bits"
)

// maxIssues bounds what Validate lists; a resource with more is wrong enough.
const maxIssues = 50

// MaxReferences is how many elements of type Reference a resource may have, those of what it contains included. Each
// is indexed, labelled and followed, so a document of a few megabytes with nothing but references would cost seconds
// and hundreds of megabytes. A resource in a Bundle or in Parameters counts for itself.
const MaxReferences = 2000

// Validate checks a resource against the official definition of its type: members known, cardinalities, arrays where
// arrays belong, one variant of each choice, formats of primitives, codes of required bindings, targets of literal
// references, nothing empty or null, null-padding of primitive arrays and their extensions (FHIR R4 § 2.6.2), no
// contained resource in a contained one (dom-2), none without purpose (dom-3), no reference to a contained resource that
// is not there (ref-1), an extension with either a value or extensions (ext-1). Resources within a Bundle or Parameters are checked alike.
// Profiles and the other invariants are not.
//
// An issue names the place and what is allowed there, never what was found. There are none where all is well, and at
// most 50. A resource with more than MaxReferences is looked at no further: its issue is too-costly. Validate only
// reads v.
func Validate(v *Value) []Issue {
	c := checker{tables: definitions()}
	c.resource(v, "", false)
	return c.issues
}

// ValidateAs is Validate with the resource type that the place asks for, such as the type in a URL.
func ValidateAs(v *Value, typ string) []Issue {
	c := checker{tables: definitions()}
	c.resource(v, typ, false)
	return c.issues
}

// checker is one run of Validate.
type checker struct {
	tables *tables
	path   pathStack
	issues []Issue
	// container is the outermost resource that is not a Bundle's or Parameters' own, for references to #id.
	container *Value
	contained map[string]string // id and type of the contained resources of container, once asked for
	// used are the ids of the contained resources that something refers to, or that refer to container.
	used   map[string]bool
	within string // id of the contained resource under way
	// references are those of container so far.
	references int
	stopped    bool // it has too many
}

func (c *checker) full() bool { return c.stopped || len(c.issues) >= maxIssues }

func (c *checker) report(code, format string, args ...any) {
	if c.full() {
		return
	}
	text := format
	if len(args) > 0 {
		text = fmt.Sprintf(format, args...)
	}
	c.issues = append(c.issues, Issue{Severity: "error", Code: code, Expression: c.path.String(), Diagnostics: text})
}

// reportAt is report at a child of the place.
func (c *checker) reportAt(child, code, format string, args ...any) {
	c.path.push(child)
	c.report(code, format, args...)
	c.path.pop()
}

// resource checks a whole resource; want is the type it must have, "" for any.
func (c *checker) resource(v *Value, want string, contained bool) {
	if v.Kind() != Object {
		c.report("structure", "must be a resource: a JSON object")
		return
	}
	typ := ResourceType(v)
	def := c.tables.resource(typ)
	if len(c.path.steps) == 0 {
		c.path.root = want
		if def != nil {
			c.path.root = def.name
		}
	}
	switch {
	case v.Get("resourceType") == nil:
		c.report("required", "resourceType is missing")
		return
	case def == nil:
		c.report("structure", "resourceType must be a resource type of FHIR R4")
		return
	case want != "" && typ != want:
		c.report("structure", "resourceType must be %s here", want)
		return
	}
	if contained {
		if v.Get("contained") != nil {
			c.report("invariant", "a contained resource must not contain resources (dom-2)")
		}
		c.within = ID(v)
		c.object(v, def)
		c.within = ""
		return
	}
	container, ids, used, references := c.container, c.contained, c.used, c.references
	c.container, c.contained, c.used, c.references = v, nil, nil, 0
	c.object(v, def)
	if v.Get("contained") != nil {
		c.containedIDs()
	}
	c.container, c.contained, c.used, c.references = container, ids, used, references
}

// uses notes that something refers to the contained resource of an id, "" for container itself.
func (c *checker) uses(id string) {
	if id == "" {
		id = c.within
	}
	if c.used == nil {
		c.used = map[string]bool{}
	}
	c.used[id] = true
}

// object checks the members of an object of the type.
func (c *checker) object(v *Value, def *typeDef) {
	if v.kind != Object {
		c.report("structure", "must be a JSON object (%s)", def.name)
		return
	}
	if len(v.members) == 0 {
		c.report("structure", "an object must not be empty")
		return
	}
	extended := false // some member is the extension of a primitive
	for i := range v.members {
		if name := v.members[i].Name; name != "" && name[0] == '_' {
			extended = true
		}
	}
	var seen uint64
	at := 0
	for i := range v.members {
		if c.full() {
			return
		}
		m := &v.members[i]
		name, value, ext := m.Name, m.Value, (*Value)(nil)
		if extended {
			if name != "" && name[0] == '_' {
				if name = name[1:]; v.Get(name) != nil {
					if md := def.member(name, &at); md != nil && md.extensible() {
						continue // looked at together with the value
					}
					name = m.Name
				}
				value, ext = nil, m.Value
			} else {
				ext = v.Get("_" + name)
			}
		}
		md := def.member(name, &at)
		if md == nil || value == nil && !md.extensible() {
			if name == "resourceType" && value != nil && IsResource(def.name) {
				continue
			}
			c.reportAt(m.Name, "structure", "%s has no such element", def.name)
			continue
		}
		element := &def.elements[md.element]
		c.path.push(element.name)
		if bit := uint64(1) << md.element; seen&bit == 0 {
			seen |= bit
		} else {
			c.report("structure", "only one may be given of %s", def.names(int(md.element)))
		}
		if !md.extensible() {
			ext = nil // _name is reported where it stands
		}
		c.element(value, ext, md, element.array)
		c.path.pop()
	}
	for missing := def.required &^ seen; missing != 0; missing &= missing - 1 {
		i := bits.TrailingZeros64(missing)
		if def.elements[i].choice {
			c.reportAt(def.elements[i].name, "required", "is required, as one of %s", def.names(i))
		} else {
			c.reportAt(def.elements[i].name, "required", "is required")
		}
	}
	if def.name == "Extension" && v.Get("extension") != nil == c.hasValue(v, def) {
		c.report("invariant", "an extension must have either a value or extensions (ext-1)")
	}
}

// hasValue says whether an Extension has a value.
func (c *checker) hasValue(v *Value, def *typeDef) bool {
	at := 0
	for i := range v.members {
		name := v.members[i].Name
		if name != "" && name[0] == '_' {
			name = name[1:]
		}
		if md := def.member(name, &at); md != nil && def.elements[md.element].choice {
			return true
		}
	}
	return false
}

// extensible says whether the member is a primitive that may have extensions in _name.
func (m *memberDef) extensible() bool { return m.typ < typeResource && !m.bare }

// element checks the value of one member: value, ext or both are there.
func (c *checker) element(value, ext *Value, md *memberDef, array bool) {
	if !array {
		if value.Kind() == Array || ext.Kind() == Array {
			c.report("structure", "must not be an array")
			return
		}
		c.one(value, ext, md)
		return
	}
	if value != nil && value.kind != Array || ext != nil && ext.kind != Array {
		c.report("structure", "must be an array")
		return
	}
	n, m := len(value.Items()), len(ext.Items())
	switch {
	case value != nil && n == 0, ext != nil && m == 0:
		c.report("structure", "an array must not be empty")
		return
	case value != nil && ext != nil && n != m:
		c.report("structure", "the arrays of the values and of their extensions must be of one length")
		return
	}
	for i := range max(n, m) {
		if c.full() {
			return
		}
		var item, itemExt *Value
		if value != nil {
			item = value.items[i]
		}
		if ext != nil {
			itemExt = ext.items[i]
			// null stands for "not there" in the two arrays of a primitive, but not in both at one place
			if item.Kind() == Null {
				item = nil
			}
			if itemExt.Kind() == Null && item != nil {
				itemExt = nil
			}
		}
		c.path.index(i)
		c.one(item, itemExt, md)
	}
	c.path.index(-1)
}

// one checks a single value and, of a primitive, its extension.
func (c *checker) one(value, ext *Value, md *memberDef) {
	if value != nil && value.kind == Null || ext != nil && ext.kind == Null {
		c.report("structure", "null is not allowed here")
		return
	}
	if ext != nil {
		c.object(ext, c.tables.element())
	}
	if value == nil {
		return
	}
	switch {
	case md.typ == typeResource:
		c.resource(value, "", md.name == "contained")
	case md.typ >= firstComplex:
		def := c.tables.complex(md)
		c.object(value, def)
		switch {
		case def.name == "Reference":
			c.reference(value, md)
		case md.set != 0:
			c.concept(value, &c.tables.sets[md.set])
		}
	default:
		p := &primitives[md.typ]
		switch {
		case value.kind != p.kind:
			c.report("structure", "must be %s, as a JSON %s", p.rule, p.kind)
		case !p.ok(value.text):
			c.report("value", "must be %s", p.rule)
		case value.text != "" && value.text[0] == '#' && p.links():
			c.uses(value.text[1:])
		case md.set != 0 && !c.tables.sets[md.set].has(value.text):
			c.report("code-invalid", "must be a code of %s", c.tables.sets[md.set].allowed())
		}
	}
}

// concept checks a Coding or CodeableConcept of a required binding: one coding must be of the value set.
func (c *checker) concept(v *Value, set *valueSet) {
	codings := v.Get("coding").Items()
	if codings == nil {
		codings = []*Value{v}
	}
	for _, coding := range codings {
		if set.hasCoding(coding.Get("system").Str(), coding.Get("code").Str()) {
			return
		}
	}
	c.report("code-invalid", "must have a coding of %s", set.allowed())
}

// reference checks Reference.reference: that it can be read, and that its target is of a type allowed here.
func (c *checker) reference(v *Value, md *memberDef) {
	if c.references++; c.references > MaxReferences {
		c.report("too-costly", "a resource has at most %d references here", MaxReferences)
		c.stopped = true
		return
	}
	literal := v.Get("reference")
	if literal.Kind() != String {
		return
	}
	r := ParseReference(literal.text)
	typ := r.Type
	switch r.Kind {
	case BadReference:
		c.reportAt("reference", "value", "must be Type/id with a resource type of FHIR R4 and a valid id, an absolute URL, a URN or #id")
		return
	case ContainedReference:
		c.uses(r.Fragment)
		if r.Fragment == "" {
			typ = ResourceType(c.container)
			break
		}
		found := false
		if typ, found = c.containedType(r.Fragment); !found {
			c.reportAt("reference", "invariant", "must name a contained resource of this resource (ref-1)")
			return
		}
	}
	if md.targets == 0 || typ == "" {
		return
	}
	if set := &c.tables.targets[md.targets]; !set.has(typ) {
		c.reportAt("reference", "value", "must refer to one of %s", set.names)
	}
}

// containedIDs checks that each contained resource has an id of its own, so that #id means one of them only, and that
// none stands there without purpose.
func (c *checker) containedIDs() {
	ids := map[string]bool{}
	for i, item := range c.container.Get("contained").Items() {
		id := ID(item)
		if id == "" || ids[id] {
			c.path.push("contained")
			c.path.index(i)
			c.report("structure", "a contained resource must have an id of its own")
			c.path.pop()
		} else if !c.used[id] && len(c.issues) == 0 { // what refers to it may stand where something is wrong
			c.path.push("contained")
			c.path.index(i)
			c.report("invariant", "a contained resource must be referred to, or refer to what contains it (dom-3)")
			c.path.pop()
		}
		ids[id] = true
	}
}

// containedType finds a contained resource by id.
func (c *checker) containedType(id string) (string, bool) {
	if c.contained == nil {
		items := c.container.Get("contained").Items()
		c.contained = make(map[string]string, len(items))
		for _, item := range items {
			c.contained[ID(item)] = ResourceType(item)
		}
	}
	typ, ok := c.contained[id]
	return typ, ok
}
