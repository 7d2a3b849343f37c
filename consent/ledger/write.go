package ledger

import (
	"strconv"
	"unicode/utf8"

	"sotesilta/consent"
)

// A record is written for every answer, so its bytes are written by hand: what encoding/json makes of canonicalRecord and
// sealedRecord, an eighth as dear (TestTheWriterAgreesWithTheEncoder). Members that few records have are left to the
// encoder.

// pen writes JSON objects, one within the other. Its text methods leave empty values out, as omitempty does.
type pen struct {
	b     []byte
	begun bool // has a member
}

// name writes the name of the next member.
func (o *pen) name(name string) {
	if o.begun {
		o.b = append(o.b, ',')
	}
	o.begun = true
	o.b = append(append(append(o.b, '"'), name...), '"', ':')
}

// open begins an object that is a value; what it answers is passed to shut.
func (o *pen) open() (outer bool) {
	o.b = append(o.b, '{')
	outer, o.begun = o.begun, false
	return outer
}

func (o *pen) shut(outer bool) {
	o.b = append(o.b, '}')
	o.begun = outer
}

func (o *pen) must(name, value string) {
	o.name(name)
	o.b = appendText(o.b, value)
}

func (o *pen) text(name, value string) {
	if value != "" {
		o.must(name, value)
	}
}

func (o *pen) flag(name string, value bool) {
	if value {
		o.name(name)
		o.b = append(o.b, "true"...)
	}
}

func (o *pen) number(name string, value int64) {
	if value != 0 {
		o.name(name)
		o.b = strconv.AppendInt(o.b, value, 10)
	}
}

func (o *pen) texts(name string, values []string) {
	list(o, name, values, func(o *pen, value *string) { o.b = appendText(o.b, *value) })
}

// other leaves a member to the encoder.
func (o *pen) other(name string, value any) {
	o.name(name)
	o.b = append(o.b, oneLine(value)...)
}

// list writes a list, unless it is empty.
func list[T any](o *pen, name string, values []T, each func(*pen, *T)) {
	if len(values) == 0 {
		return
	}
	o.name(name)
	o.b = append(o.b, '[')
	for i := range values {
		if i > 0 {
			o.b = append(o.b, ',')
		}
		each(o, &values[i])
	}
	o.b = append(o.b, ']')
}

// appendText appends a JSON string. What is not plain text goes to the encoder.
func appendText(b []byte, s string) []byte {
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c < ' ', c == '"', c == '\\':
			return append(b, oneLine(s)...)
		case c < utf8.RuneSelf:
			i++
		default:
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 || r == '\u2028' || r == '\u2029' {
				return append(b, oneLine(s)...)
			}
			i += size
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

// appendOpen appends the open part: moveOpen's members, in the order of Record.
func (r *Record) appendOpen(b []byte) []byte {
	o := &pen{b: b}
	top := o.open()
	o.number("v", Version)
	o.name("time")
	o.b = append(r.Time.UTC().AppendFormat(append(o.b, '"'), timeForm), '"')
	o.must("id", r.ID)
	o.must("exchange", r.Exchange)
	o.must("interaction", r.Interaction)
	o.must("outcome", r.Outcome)
	o.name("success")
	o.b = strconv.AppendBool(o.b, r.Success)
	o.name("actor")
	actor := o.open()
	o.must("kind", string(r.Actor.Kind))
	o.must("app", r.Actor.App)
	o.text("controller", r.Actor.Controller)
	o.text("register", string(r.Actor.Register))
	o.text("unit", r.Actor.Unit)
	o.shut(actor)
	o.must("purpose", string(r.Purpose))
	o.text("client", r.Client)
	o.text("controller", r.Controller)
	o.text("register", string(r.Register))
	o.flag("disclosure", r.Disclosure)
	o.text("target", r.Target)
	list(o, "entities", r.Entities, func(o *pen, e *Entity) {
		outer := o.open()
		o.must("what", e.What)
		o.must("role", e.Role)
		o.shut(outer)
	})
	list(o, "bases", r.Bases, func(o *pen, basis *consent.Basis) {
		outer := o.open()
		o.must("id", basis.ID)
		o.must("citation", basis.Citation)
		o.text("titleFi", basis.TitleFi)
		o.text("titleEn", basis.TitleEn)
		o.shut(outer)
	})
	o.texts("directives", r.Directives)
	o.texts("bans", r.Bans)
	o.text("policy", r.Policy)
	o.shut(top)
	return o.b
}

// appendSealed appends the sealed part: all other members.
func (r *Record) appendSealed(b []byte) []byte {
	o := &pen{b: b}
	top := o.open()
	if a := &r.Actor; sealedOf(a) {
		o.name("actor")
		actor := o.open()
		o.text("user", a.User)
		o.text("name", a.Name)
		o.text("person", a.Person)
		o.text("role", a.Role)
		o.texts("units", a.Units)
		o.text("task", a.Task)
		o.text("service", a.Service)
		o.flag("authority", a.Authority)
		o.flag("producer", a.Producer)
		o.texts("clients", a.Clients)
		o.shut(actor)
	}
	if a := &r.Assertion; a.Task != "" || a.Service != "" || a.Ground != "" || a.Facts != nil || a.Reason != "" || a.Confirm {
		o.other("assertion", a)
	}
	o.text("tokenId", r.TokenID)
	o.text("recipient", r.Recipient)
	o.text("query", r.Query)
	o.texts("obligations", r.Obligations)
	o.texts("evidence", r.Evidence)
	o.number("facts", r.Facts)
	list(o, "classes", r.Classes, writeClass)
	if len(r.Asked) > 0 {
		o.other("asked", r.Asked)
	}
	if len(r.Known) > 0 {
		o.other("known", r.Known)
	}
	o.text("row", r.Row)
	o.texts("bound", r.Bound)
	o.flag("ruled", r.Ruled)
	o.text("reason", r.Reason)
	o.shut(top)
	return o.b
}

// sealedOf says whether an actor has anything that is sealed, be it a list without members.
func sealedOf(a *consent.Actor) bool {
	return a.User != "" || a.Name != "" || a.Person != "" || a.Role != "" || a.Units != nil || a.Task != "" || a.Service != "" ||
		a.Authority || a.Producer || a.Clients != nil
}

func writeClass(o *pen, c *consent.Class) {
	outer := o.open()
	o.must("type", c.Type)
	o.texts("clients", c.Clients)
	o.text("controller", c.Controller)
	o.must("register", string(c.Register))
	o.flag("joint", c.Joint)
	o.text("process", c.Process)
	o.text("invitation", c.Invitation)
	o.text("serviceTask", c.ServiceTask)
	o.text("dataClass", c.DataClass)
	o.text("protection", c.Protection)
	o.text("serviceEvent", c.ServiceEvent)
	o.text("author", c.Author)
	o.text("unit", c.Unit)
	o.shut(outer)
}
