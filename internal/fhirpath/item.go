package fhirpath

import (
	"strings"
	"sync"

	"sotesilta/internal/fhir"
)

// kind is what an Item is to an operator: of an element, what it converts to.
type kind uint8

const (
	kindNone kind = iota // a complex element, or a primitive without a value
	kindBoolean
	kindString
	kindInteger
	kindDecimal
	kindDate
	kindDateTime
	kindTime
	kindQuantity
)

// Item is one item of a collection: an element of the document, or a value that the expression made.
type Item struct {
	node fhir.Node
	kind kind // of a made value; kindNone of an element
	text string
	unit string // of a quantity
}

// String is a made string, Bool a made boolean.
func String(s string) Item { return Item{kind: kindString, text: s} }

// Bool is a made boolean.
func Bool(b bool) Item {
	if b {
		return Item{kind: kindBoolean, text: "true"}
	}
	return Item{kind: kindBoolean, text: "false"}
}

func integer(text string) Item { return Item{kind: kindInteger, text: text} }

// Node is the element that the item is; false of a made value.
func (it Item) Node() (fhir.Node, bool) { return it.node, it.kind == kindNone }

// Text is the text of a primitive element or a made value (of a quantity its number), "" of a complex element.
func (it Item) Text() string {
	if it.kind != kindNone {
		return it.text
	}
	return it.node.Value.Str()
}

// Type is the name of the item's type: of an element that of its definition, of a made value one of System.
func (it Item) Type() string {
	if it.kind != kindNone {
		return [...]string{"", "Boolean", "String", "Integer", "Decimal", "Date", "DateTime", "Time", "Quantity"}[it.kind]
	}
	return it.node.Type()
}

// kinds are what the primitive types and Quantity convert to, by their TypeNumber.
var kinds = sync.OnceValue(func() []kind {
	out := make([]kind, fhir.TypeNumbers())
	for i := range out {
		switch name := fhir.TypeName(i); name {
		case "":
		case "boolean":
			out[i] = kindBoolean
		case "integer", "unsignedInt", "positiveInt":
			out[i] = kindInteger
		case "decimal":
			out[i] = kindDecimal
		case "date":
			out[i] = kindDate
		case "dateTime", "instant":
			out[i] = kindDateTime
		case "time":
			out[i] = kindTime
		default:
			switch {
			case isA(name, "Quantity"):
				out[i] = kindQuantity
			case name[0] >= 'a' && name[0] <= 'z':
				out[i] = kindString
			}
		}
	}
	return out
})

// scalar is the item as operators take it: its kind, text and unit.
func (it *Item) scalar() (kind, string, string) {
	if it.kind != kindNone {
		return it.kind, it.text, it.unit
	}
	v := it.node.Value
	if v == nil {
		return kindNone, "", ""
	}
	k := kindNone
	if number := it.node.TypeNumber(); number < len(kinds()) {
		k = kinds()[number]
	}
	if k == kindQuantity {
		if v.Get("value") == nil || v.Get("comparator") != nil {
			return kindNone, "", ""
		}
		unit := v.Get("code").Str()
		if unit == "" {
			unit = v.Get("unit").Str()
		}
		return k, v.Get("value").Str(), unit
	}
	if v.Kind() == fhir.Object || v.Kind() == fhir.Array {
		return kindNone, "", ""
	}
	return k, v.Str(), ""
}

// truth is what a boolean expression comes to.
type truth int8

const (
	unknown truth = iota
	yes
	no
)

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

func (t truth) not() truth {
	switch t {
	case yes:
		return no
	case no:
		return yes
	}
	return unknown
}

// equal compares two items (FHIRPath N1 § Equality); with the looser rules of ~ where equivalent.
func (r *run) equal(a, b *Item, equivalent bool) truth {
	r.spend(1)
	ka, ta, ua := a.scalar()
	kb, tb, ub := b.scalar()
	if ka == kindNone || kb == kindNone {
		if ka != kb {
			return no
		}
		va, vb := a.node.Value, b.node.Value
		return truthOf(va == vb || r.same(va, vb))
	}
	if ka == kindString && kb == kindString {
		if equivalent {
			return truthOf(strings.EqualFold(words(ta), words(tb)))
		}
		return truthOf(ta == tb)
	}
	order, known := compareScalars(ka, ta, ua, kb, tb, ub)
	switch {
	case known == incomparable && (ka == kindQuantity || kb == kindQuantity) && !equivalent:
		if comparableKinds(ka, kb) {
			return unknown // other units
		}
		return no
	case known == incomparable:
		return no
	case known == undecided:
		if equivalent {
			return no
		}
		return unknown
	}
	return truthOf(order == 0)
}

// words is s with its white space made single.
func words(s string) string { return strings.Join(strings.Fields(s), " ") }

// same compares two documents: numbers by value, objects without regard to the order of members.
func (r *run) same(a, b *fhir.Value) bool { return fhir.Same(a, b, func() { r.spend(1) }) }

// certainty says whether two items could be compared.
type certainty uint8

const (
	certain      certainty = iota
	undecided              // dates of other precision
	incomparable           // of kinds or units that have no order
)

func comparableKinds(a, b kind) bool {
	numeric := func(k kind) bool { return k == kindInteger || k == kindDecimal || k == kindQuantity }
	dates := func(k kind) bool { return k == kindDate || k == kindDateTime }
	return a == b || numeric(a) && numeric(b) || dates(a) && dates(b)
}

// compareScalars orders two scalars.
func compareScalars(ka kind, ta, ua string, kb kind, tb, ub string) (int, certainty) {
	if !comparableKinds(ka, kb) {
		// Texts that a rule compares with a date or time literal are read as one.
		if (ka == kindDate || ka == kindDateTime || ka == kindTime) && kb == kindString {
			kb = ka
		} else if (kb == kindDate || kb == kindDateTime || kb == kindTime) && ka == kindString {
			ka = kb
		} else {
			return 0, incomparable
		}
	}
	switch ka {
	case kindInteger, kindDecimal, kindQuantity:
		if ka == kindQuantity && kb == kindQuantity && !sameUnit(ua, ub) {
			return 0, incomparable
		}
		n, ok1 := parseNumber(ta)
		m, ok2 := parseNumber(tb)
		if !ok1 || !ok2 {
			return 0, incomparable
		}
		return n.compare(m), certain
	case kindDate, kindDateTime, kindTime:
		read := dateOf
		if ka == kindTime {
			read = timeOf
		}
		d, ok1 := read(ta)
		e, ok2 := read(tb)
		if !ok1 || !ok2 {
			return 0, incomparable
		}
		order, known := d.compare(e)
		if !known {
			return 0, undecided
		}
		return order, certain
	}
	return strings.Compare(ta, tb), certain
}

// sameUnit: where one of two quantities has no unit, it is that of the other (FHIR R4 § 2.24.0.11, Range).
func sameUnit(a, b string) bool {
	return a == b || a == "" || b == "" || ucumCalendar(a) == ucumCalendar(b)
}

// ucumCalendar is the name of a unit of time whose UCUM code means the same (FHIRPath N1 § Time-valued Quantities).
func ucumCalendar(unit string) string {
	switch unit {
	case "wk":
		return "week"
	case "d":
		return "day"
	case "h":
		return "hour"
	case "min":
		return "minute"
	case "s":
		return "second"
	case "ms":
		return "millisecond"
	}
	return unit
}
