package mappings

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sotesilta/internal/fhir"
	"sotesilta/mappings/hl7v2"
)

// Envelope is what a rendered message says of itself.
type Envelope struct {
	ControlID string // MSH-10: equal for attempts to deliver the same event
	Time      time.Time
	Mode      string // MSH-11: P production (the default), T training, D debugging
	Sender, SenderFacility,
	Receiver, ReceiverFacility hl7v2.HD
}

// Render makes a message of resources. The first resource is the one the lens is about; the others (its client, the
// professionals and places it names) fill in what it refers to. Elements that find no place are in the report. It
// gives a *Refusal when the lens needs what is not there: a client that was not given, or several.
func Render(l *Lens, e Envelope, s Setting, resources ...*fhir.Value) (*hl7v2.Message, Report, error) {
	refuse := func(element, why string) (*hl7v2.Message, Report, error) {
		return nil, Report{}, &Refusal{Lens: l.String(), Code: hl7v2.FieldMissing, Element: element, Why: why}
	}
	if len(resources) == 0 || !l.Renders(fhir.ResourceType(resources[0])) {
		return refuse("resourceType", "the lens does not render this resource")
	}
	doc := resources[0]
	t := &turn{
		lens: l, setting: s, msg: hl7v2.New(),
		elements: map[*fhir.Value]string{}, known: map[string]*fhir.Value{},
	}
	for _, r := range resources {
		t.known[fhir.ResourceType(r)+"/"+fhir.ID(r)] = r
	}
	code := t.event(doc)
	if code == "" {
		return refuse(fhir.ResourceType(doc), "no event of the lens fits its state")
	}
	if err := t.header(e, code); err != nil {
		return nil, Report{}, err
	}
	if len(l.client) > 0 {
		client, why := t.client(doc)
		if client == nil {
			return refuse(fhir.ResourceType(doc)+"."+l.resources[0].client.String(), why)
		}
		if err := t.put(l.client, scope{}, client); err != nil {
			return nil, Report{}, err
		}
	}
	if err := t.put(l.resources[0].rules, scope{}, doc); err != nil {
		return nil, Report{}, err
	}
	t.msg.Arrange(append([]string{"MSH"}, l.message.Segments...)...)
	return t.msg, t.accountResources(resources), nil
}

// event is the first event whose guards hold.
func (t *turn) event(doc *fhir.Value) string {
	for _, e := range t.lens.events {
		if t.guardsTo(e.when, doc, true) {
			return e.code
		}
	}
	return ""
}

// client is the one client that doc refers to, or why there is none.
func (t *turn) client(doc *fhir.Value) (*fhir.Value, string) {
	var client *fhir.Value
	for _, v := range t.lens.resources[0].client.all(doc) {
		ref := v.Get("reference")
		if !strings.HasPrefix(ref.Str(), "Patient/") {
			continue
		}
		given := t.known[ref.Str()]
		switch {
		case given == nil:
			return nil, "the client was not given"
		case client != nil && client != given:
			return nil, "it concerns several clients"
		}
		client = given
		t.elements[ref] = ""
	}
	if client == nil {
		return nil, "it concerns no client"
	}
	return client, ""
}

func (t *turn) header(e Envelope, event string) error {
	msh := t.msg.First("MSH")
	mode := e.Mode
	if mode == "" {
		mode = "P"
	}
	values := []struct {
		field, component int
		text             string
	}{
		{7, 1, e.Time.In(t.lens.zone).Format("20060102150405-0700")},
		{9, 1, t.lens.message.Type},
		{9, 2, event},
		{9, 3, t.lens.message.Structure},
		{10, 1, e.ControlID},
		{11, 1, mode},
		{12, 1, t.lens.message.Version},
	}
	for i, hd := range []hl7v2.HD{e.Sender, e.SenderFacility, e.Receiver, e.ReceiverFacility} {
		for n, text := range hd {
			values = append(values, struct {
				field, component int
				text             string
			}{3 + i, n + 1, text})
		}
	}
	for _, v := range values {
		if v.text == "" {
			continue
		}
		if err := msh.Set(hl7v2.Place{Field: v.field, Component: v.component}, v.text); err != nil {
			return err
		}
	}
	return nil
}

// put runs rules from the object source to the message.
func (t *turn) put(rules []*rule, s scope, source *fhir.Value) error {
	for _, r := range rules {
		if !r.out || !r.list && !t.guardsTo(r.when, source, false) {
			continue
		}
		wrote, err := t.putRule(r, s, source)
		if err != nil {
			return err
		}
		if r.need && !wrote {
			return &Refusal{Lens: t.lens.String(), Code: hl7v2.FieldMissing, Element: r.to.String(), At: r.at.String(), Why: "a needed value is missing or not usable"}
		}
	}
	return nil
}

func (t *turn) putRule(r *rule, s scope, source *fhir.Value) (bool, error) {
	switch {
	case r.value != "":
		segment := t.writable(r.at.segment, s)
		place := r.at.place
		if segment == s.segment && place.Field == s.field {
			place.Repetition = s.repetition
		}
		return true, segment.Set(place, r.value)
	case r.to == nil: // ordinal
		return t.encode(r, s, 0, nil)
	case !r.list:
		v := r.to.first(source)
		if v == nil {
			return false, nil
		}
		return t.encode(r, s, 0, v)
	}
	wrote := false
	n := 0
	for _, item := range r.outer.all(source) {
		if !t.guardsTo(r.when, item, false) || !t.matches(r, item) {
			continue
		}
		if r.each {
			inner := scope{segment: t.msg.Append(r.at.segment)}
			if r.at.place.Field > 0 {
				inner = scope{t.writable(r.at.segment, s), r.at.place.Field, n + 1}
			}
			if err := t.put(r.rules, inner, item); err != nil {
				return false, err
			}
			n, wrote = n+1, true
			continue
		}
		v := item
		if len(r.inner) > 0 {
			v = r.inner.first(item)
		}
		if v == nil {
			continue
		}
		ok, err := t.encode(r, s, n+1, v)
		if err != nil {
			return false, err
		}
		if ok {
			n, wrote = n+1, true
		}
	}
	return wrote, nil
}

// encode writes one element with the codec of r.
func (t *turn) encode(r *rule, s scope, repetition int, v *fhir.Value) (bool, error) {
	c := &cell{turn: t, place: r.at.place, segment: t.writable(r.at.segment, s)}
	if c.segment == s.segment && r.at.place.Field == s.field && s.repetition > 0 {
		repetition = s.repetition
	}
	c.place.Repetition = max(repetition, 1)
	if why := r.codec.encode(t, r, v, c); why != "" {
		t.markBelow(v, fmt.Sprintf("codec %s: %s", r.codecName, why))
		if r.codes != nil && r.codes.refuse {
			return false, &Refusal{Lens: t.lens.String(), Code: hl7v2.TableValue, Element: r.to.String(), Why: why}
		}
		return false, nil
	}
	return c.wrote, c.err
}

// writable is the segment that a rule writes to: the scope's own, or the message's first of that name, made if need be.
func (t *turn) writable(name string, s scope) *hl7v2.Segment {
	if s.segment.Name() == name {
		return s.segment
	}
	if segment := t.msg.First(name); segment != nil {
		return segment
	}
	return t.msg.Append(name)
}

// guardsTo says whether the guards on resources hold; those on the message are for translating. carried marks what
// they look at as carried by the choice.
func (t *turn) guardsTo(guards []guard, v *fhir.Value, carried bool) bool {
	for _, g := range guards {
		if g.to == nil {
			continue
		}
		found := g.to.first(v)
		text := found.Str()
		if text == "" && found.Kind() != fhir.Null {
			text = "object"
		}
		if !g.holds(text) {
			return false
		}
		if carried && found != nil {
			t.elements[found] = ""
		}
	}
	return true
}

// matches says whether a list item has the constants that r describes, and marks them as carried.
func (t *turn) matches(r *rule, item *fhir.Value) bool {
	var found []*fhir.Value
	for _, c := range r.as {
		i := slices.IndexFunc(c.to.all(item), func(v *fhir.Value) bool { return v.Str() == c.value })
		if i < 0 {
			return false
		}
		found = append(found, c.to.all(item)[i])
	}
	for _, v := range found {
		t.elements[v] = ""
	}
	return true
}

// see reads the text at names below v and marks it as carried.
func (t *turn) see(v *fhir.Value, names ...string) string {
	found := v.First(names...)
	if found != nil {
		t.elements[found] = ""
	}
	return found.Str()
}

// markBelow marks every value below v that was not carried otherwise.
func (t *turn) markBelow(v *fhir.Value, why string) {
	switch v.Kind() {
	case fhir.Object:
		for _, m := range v.Members() {
			t.markBelow(m.Value, why)
		}
	case fhir.Array:
		for _, item := range v.Items() {
			t.markBelow(item, why)
		}
	default:
		t.elements[v] = why
	}
}

// ordinal numbers the segments of a name.
func (t *turn) ordinal(segment *hl7v2.Segment) string {
	return strconv.Itoa(slices.Index(t.msg.All(segment.Name()), segment) + 1)
}
