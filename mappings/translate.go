package mappings

import (
	"fmt"
	"strings"
	"unicode"

	"sotesilta/internal/fhir"
	"sotesilta/mappings/hl7v2"
)

// turn is one use of a lens.
type turn struct {
	lens     *Lens
	setting  Setting
	msg      *hl7v2.Message
	leaves   map[hl7v2.Leaf]string // leaves read: "" mapped, otherwise why not carried
	indexes  map[*hl7v2.Segment]int
	elements map[*fhir.Value]string // the same for elements, when rendering
	known    map[string]*fhir.Value // resources by Type/id, when rendering
	why      string                 // of the last codec that refused
}

// scope is the part of a message that rules look at: the message, one of its segments, or one repetition of a field.
type scope struct {
	segment           *hl7v2.Segment
	field, repetition int
}

// Translate makes resources of a message. Values that find no place are in the Result's report. A message that the
// lens cannot take, because a needed value is missing or a code is refused, gives a *Refusal and no resources.
func Translate(l *Lens, msg *hl7v2.Message, s Setting) (*Result, error) {
	header := msg.Header()
	refuse := func(code, at, why string) (*Result, error) {
		return nil, &Refusal{Lens: l.String(), Code: code, At: at, Why: why}
	}
	switch {
	case !l.in:
		return refuse(hl7v2.UnsupportedType, "MSH-9", "the lens does not translate")
	case header.Type != l.message.Type:
		return refuse(hl7v2.UnsupportedType, "MSH-9.1", "the lens is for another message type")
	case !l.Reads(header.Event):
		return refuse(hl7v2.UnsupportedEvent, "MSH-9.2", "the lens does not read this event")
	case !l.ReadsVersion(header.Version):
		return refuse(hl7v2.UnsupportedForm, "MSH-12", "the lens does not read this version")
	}
	t := &turn{
		lens: l, setting: s, msg: msg,
		leaves: map[hl7v2.Leaf]string{}, indexes: map[*hl7v2.Segment]int{},
	}
	for i, segment := range msg.Segments() {
		t.indexes[segment] = i
	}
	for _, component := range []int{1, 2, 3} { // type, event, structure: carried by the choice of the lens
		t.leaves[hl7v2.Leaf{Segment: 0, Place: hl7v2.Place{Field: 9, Repetition: 1, Component: component, Subcomponent: 1}}] = ""
	}
	result := &Result{}
	for _, e := range l.message.Events {
		result.Replaces = result.Replaces || e.Event == header.Event && e.Replaces
	}
	for _, name := range l.clients {
		result.Several = result.Several || len(msg.All(name)) > 1
	}
	if len(l.client) > 0 {
		client := newResource("Patient")
		if err := t.get(l.client, scope{}, client); err != nil {
			return nil, err
		}
		if len(client.Members()) > 1 && !result.Several {
			result.Client = client
		}
	}
	for _, r := range l.resources {
		doc := newResource(r.typ)
		if err := t.get(r.rules, scope{}, doc); err != nil {
			return nil, err
		}
		result.Resources = append(result.Resources, Made{doc, r})
	}
	result.Report = t.accountMessage()
	return result, nil
}

func newResource(typ string) *fhir.Value {
	return fhir.NewObject(fhir.Member{Name: "resourceType", Value: fhir.NewString(typ)})
}

// get runs rules from the message to the object target.
func (t *turn) get(rules []*rule, s scope, target *fhir.Value) error {
	for _, r := range rules {
		if !r.in || !t.guardsAt(r, s) {
			continue
		}
		t.why = ""
		found, err := t.getRule(r, s, target)
		if err != nil {
			return err
		}
		if r.need && !found {
			refusal := &Refusal{Lens: t.lens.String(), Code: hl7v2.FieldMissing, At: r.at.String(), Why: "a needed value is missing"}
			if t.why != "" {
				refusal.Code, refusal.Why = hl7v2.DataType, t.why
			}
			return refusal
		}
	}
	return nil
}

func (t *turn) getRule(r *rule, s scope, target *fhir.Value) (bool, error) {
	switch {
	case r.value != "":
		return r.to.set(target, fhir.NewString(r.value)), nil
	case r.each:
		return t.getEach(r, s, target)
	case !r.list || r.to == nil:
		c := t.cell(r, s, 0)
		v, err := t.decode(r, c)
		if v == nil || err != nil {
			return false, err
		}
		if !r.to.set(target, v) {
			c.refuse("its element is filled by another rule")
			return false, nil
		}
		return true, nil
	}
	found := false
	segment := t.segment(r, s)
	for n := range segment.Repetitions(r.at.place.Field) {
		v, err := t.decode(r, t.cell(r, scope{segment, r.at.place.Field, n + 1}, n+1))
		if err != nil {
			return false, err
		}
		if v == nil {
			continue
		}
		item := v
		if len(r.inner) > 0 {
			item = fhir.NewObject()
			r.inner.set(item, v)
		}
		t.describe(r, item)
		r.outer.add(target, item)
		found = true
	}
	return found, nil
}

// getEach makes a list item of every segment, or of every repetition of a field, that r names.
func (t *turn) getEach(r *rule, s scope, target *fhir.Value) (bool, error) {
	var scopes []scope
	if r.at.place.Field == 0 {
		for _, segment := range t.msg.All(r.at.segment) {
			scopes = append(scopes, scope{segment: segment})
		}
	} else if segment := t.segment(r, s); segment != nil {
		for n := range segment.Repetitions(r.at.place.Field) {
			scopes = append(scopes, scope{segment, r.at.place.Field, n + 1})
		}
	}
	found := false
	for _, inner := range scopes {
		item := fhir.NewObject()
		if err := t.get(r.rules, inner, item); err != nil {
			return false, err
		}
		if len(item.Members()) == 0 {
			continue
		}
		t.describe(r, item)
		r.outer.add(target, item)
		found = true
	}
	return found, nil
}

// describe sets the constants of a list item.
func (t *turn) describe(r *rule, item *fhir.Value) {
	for _, c := range r.as {
		c.to.set(item, fhir.NewString(c.value))
	}
}

// decode reads a cell with the codec of r; nil is nothing there or not carried.
func (t *turn) decode(r *rule, c *cell) (*fhir.Value, error) {
	v, why := r.codec.decode(t, r, c)
	if c.unseen {
		return nil, &Refusal{Lens: t.lens.String(), Code: hl7v2.DataType, At: r.at.String(), Why: "an identifier or code holds a control or invisible character"}
	}
	if why != "" {
		t.why = fmt.Sprintf("codec %s: %s", r.codecName, why)
		c.refuse(t.why)
		if r.codes != nil && r.codes.refuse {
			return nil, &Refusal{Lens: t.lens.String(), Code: hl7v2.TableValue, At: r.at.String(), Why: why}
		}
		return nil, nil
	}
	return v, nil
}

// guardsAt says whether the guards on the message hold; those on resources are for rendering.
func (t *turn) guardsAt(r *rule, s scope) bool {
	for _, g := range r.when {
		if g.at == nil {
			continue
		}
		segment := t.msg.First(g.at.segment)
		p := g.at.place
		if s.segment.Name() == g.at.segment {
			segment = s.segment
			if p.Field == s.field {
				p.Repetition = s.repetition
			}
		}
		v := segment.Get(p)
		if g.at.place.Field == 0 {
			v = segment.Name()
		}
		if !g.holds(v) {
			return false
		}
	}
	return true
}

// segment is where r looks: the scope's own segment, or the message's first.
func (t *turn) segment(r *rule, s scope) *hl7v2.Segment {
	if s.segment.Name() == r.at.segment {
		return s.segment
	}
	return t.msg.First(r.at.segment)
}

// cell is the place of r in scope s; repetition 0 is the scope's, or the first.
func (t *turn) cell(r *rule, s scope, repetition int) *cell {
	c := &cell{turn: t, segment: t.segment(r, s), place: r.at.place}
	if repetition == 0 {
		repetition = 1
		if s.repetition > 0 && c.segment == s.segment && s.field == r.at.place.Field {
			repetition = s.repetition
		}
	}
	c.place.Repetition = repetition
	return c
}

// cell is a place that a codec reads from or writes to: a repetition of a field, a component or a subcomponent.
type cell struct {
	turn    *turn
	segment *hl7v2.Segment
	place   hl7v2.Place
	read    []hl7v2.Leaf
	unseen  bool // an identifier or code was read that holds a character which does not print
	wrote   bool
	err     error
}

// at is the place of part n, m within the cell.
func (c *cell) at(n, m int) (hl7v2.Place, bool) {
	p := c.place
	switch {
	case p.Component == 0:
		p.Component, p.Subcomponent = n, max(m, 1)
	case p.Subcomponent == 0:
		p.Subcomponent = n
		return p, m <= 1
	default:
		return p, n == 1 && m <= 1
	}
	return p, true
}

// get reads component n, subcomponent m of the cell (within a component: subcomponent n) and marks it as read.
// The explicit null of HL7 ("") reads as nothing.
func (c *cell) get(n, m int) string {
	p, ok := c.at(n, m)
	if !ok || c.segment == nil {
		return ""
	}
	v := c.segment.Get(p)
	if v == "" {
		return ""
	}
	leaf := hl7v2.Leaf{Segment: c.turn.indexes[c.segment], Place: hl7v2.Place{
		Field: p.Field, Repetition: max(p.Repetition, 1), Component: max(p.Component, 1), Subcomponent: max(p.Subcomponent, 1),
	}}
	c.read = append(c.read, leaf)
	c.turn.leaves[leaf] = ""
	if v == `""` {
		return ""
	}
	return v
}

// code is get of an identifier or a code. Those are compared, searched and shown, and an escape sequence can bring any
// character into them, line ends included: the message is refused if one does not print.
func (c *cell) code(n, m int) string {
	v := c.get(n, m)
	c.unseen = c.unseen || strings.ContainsFunc(v, func(r rune) bool { return !unicode.IsPrint(r) })
	return v
}

// refuse marks what was read as not carried.
func (c *cell) refuse(why string) {
	for _, leaf := range c.read {
		c.turn.leaves[leaf] = why
	}
}

// set writes part n, m of the cell; "" writes nothing.
func (c *cell) set(n, m int, v string) {
	if v == "" {
		return
	}
	p, ok := c.at(n, m)
	if !ok {
		return
	}
	if err := c.segment.Set(p, v); err != nil && c.err == nil {
		c.err = err
	}
	c.wrote = true
}
