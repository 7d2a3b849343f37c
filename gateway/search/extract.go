package search

import (
	"fmt"
	"math"
	"strings"

	"sotesilta/internal/fhir"
)

// MaxEntries is how many entries the index of one resource may have, before equal ones are dropped. Each is a row of
// the store, so a document of a few megabytes with nothing but codes would cost seconds to write.
const MaxEntries = 10_000

// Extract gives the values of a resource for every parameter of its type except _id and _lastUpdated, which are the
// store's own columns. What is malformed is left out rather than refused: validation is done before. Contained
// resources are not looked into. bases are the service base URLs of this gateway, without a slash at the end: an
// absolute reference below one of them is a local one.
//
// Entries are distinct. Their order follows the document. At most MaxEntries are made; of a resource with more, the
// Index says Over.
func Extract(resource *fhir.Value, bases ...string) Index {
	t := tables()[fhir.ResourceType(resource)]
	if t == nil {
		return Index{}
	}
	x := extraction{resource: resource, bases: bases}
	x.walk(resource, &t.root)
	for _, h := range t.hand {
		h.read(&x, h.param)
	}
	x.index.Tokens = distinct(x.index.Tokens)
	x.index.References = distinct(x.index.References)
	x.index.Dates = distinct(x.index.Dates)
	x.index.Strings = distinct(x.index.Strings)
	x.index.URIs = distinct(x.index.URIs)
	x.index.Numbers = distinct(x.index.Numbers)
	x.index.add(distinct(x.tuples))
	return x.index
}

// distinct drops repeated entries; it is quadratic for the usual few, and linear for many.
func distinct[T comparable](entries []T) []T {
	if len(entries) < 2 {
		return entries
	}
	kept := entries[:1]
	if len(entries) <= 24 {
	next:
		for _, e := range entries[1:] {
			for _, k := range kept {
				if k == e {
					continue next
				}
			}
			kept = append(kept, e)
		}
		return kept
	}
	seen := make(map[T]struct{}, len(entries))
	kept = entries[:0]
	for _, e := range entries {
		if _, ok := seen[e]; !ok {
			seen[e] = struct{}{}
			kept = append(kept, e)
		}
	}
	return kept
}

// node is a place in the documents of one type: the programs of all parameters merged into one tree, so that a
// document is walked once.
type node struct {
	next   map[string][]edge
	leaves []leaf
}

// edge leads from an object to a member; with a condition only if the member has that text in the field.
type edge struct {
	field, value string
	to           *node
}

// leaf reads the values of one parameter.
type leaf struct {
	param  *Param
	read   reader
	system string // implied for a code
	only   string // only references to this type
}

// handLeaf reads a parameter whose expression is no path.
type handLeaf struct {
	param *Param
	read  func(x *extraction, p *Param)
}

type reader func(x *extraction, l *leaf, v *fhir.Value)

// compile merges the program of e into the tree of t.
func (t *table) compile(e entry) {
	for _, place := range e.program {
		if e.param.Type == Composite {
			t.compose(e, place)
			continue
		}
		if name, ok := strings.CutPrefix(place, "!"); ok {
			t.hand = append(t.hand, handLeaf{e.param, handReaders[name]})
			continue
		}
		at, typ := t.root.place(e.param, place)
		if typ == "Identifier" && e.param.Type == Token {
			if t.ofType[e.param] == nil {
				t.ofType[e.param] = &Param{Name: e.param.Name + ":" + ofType, Type: Token}
			}
			at.leaves = append(at.leaves, leaf{param: t.ofType[e.param], read: readTypedIdentifier})
		}
	}
}

// place adds the leaf that a place of a program says, and answers its node and data type.
func (n *node) place(p *Param, place string) (at *node, typ string) {
	place, only, _ := strings.Cut(place, "?")
	place, system, _ := strings.Cut(place, "@")
	path, typ, _ := strings.Cut(place, ":")
	read := readers[p.Type][typ]
	if read == nil {
		panic(fmt.Sprintf("search: params.tsv: no reader of %s for a %s parameter", typ, p.Type))
	}
	at = n
	for _, name := range strings.Split(path, ".") {
		at = at.child(name)
	}
	at.leaves = append(at.leaves, leaf{param: p, read: read, system: system, only: only})
	return at, typ
}

// child is the node below the member called by step, which may carry a condition in brackets.
func (n *node) child(step string) *node {
	name, condition, _ := strings.Cut(strings.TrimSuffix(step, "]"), "[")
	field, value, _ := strings.Cut(condition, "=")
	for _, e := range n.next[name] {
		if e.field == field && e.value == value {
			return e.to
		}
	}
	if n.next == nil {
		n.next = map[string][]edge{}
	}
	to := &node{}
	n.next[name] = append(n.next[name], edge{field, value, to})
	return to
}

// extraction is one run of Extract.
type extraction struct {
	resource  *fhir.Value
	bases     []string
	index     Index
	tuples    []tuple           // of composites
	entries   int               // made so far
	contained map[string]string // id and type of the contained resources, once asked for
}

// more says whether there is room for one more entry, and takes it.
func (x *extraction) more() bool {
	if x.entries == MaxEntries {
		x.index.Over = true
		return false
	}
	x.entries++
	return true
}

func (x *extraction) walk(v *fhir.Value, n *node) {
	if x.index.Over {
		return
	}
	if v.Kind() == fhir.Array {
		for _, item := range v.Items() {
			if item.Kind() != fhir.Array { // FHIR has no arrays of arrays
				x.walk(item, n)
			}
		}
		return
	}
	for i := range n.leaves {
		l := &n.leaves[i]
		l.read(x, l, v)
	}
	if n.next == nil {
		return
	}
	members := v.Members()
	for i := range members {
		for _, e := range n.next[members[i].Name] {
			if e.field == "" {
				x.walk(members[i].Value, e.to)
			} else {
				x.walkWhere(members[i].Value, e)
			}
		}
	}
}

// walkWhere walks those of the values that meet the condition of e.
func (x *extraction) walkWhere(v *fhir.Value, e edge) {
	if v.Kind() == fhir.Array {
		for _, item := range v.Items() {
			if item.Kind() == fhir.Object {
				x.walkWhere(item, e)
			}
		}
		return
	}
	if v.Get(e.field).Str() == e.value {
		x.walk(v, e.to)
	}
}

// readers read a value of a FHIR data type for a type of parameter (FHIR R4 § 3.1.1.4.6–14). The generator knows the
// same pairs.
var readers = map[ParamType]map[string]reader{
	Token: {
		"code": readCode, "Coding": readCoding, "CodeableConcept": readConcept, "Identifier": readIdentifier,
		"boolean": readBoolean, "ContactPoint": readContact, "string": readCode, "id": readCode, "uri": readCode,
		"canonical": readCode,
	},
	Reference: {"Reference": readReference, "canonical": readCanonicalReference, "uri": readCanonicalReference},
	Date: {
		"date": readDate, "dateTime": readDate, "instant": readDate, "Period": readPeriod, "Timing": readTiming,
	},
	String: {
		"string": readString, "markdown": readString,
		"HumanName": readParts("text", "family", "given", "prefix", "suffix"),
		"string~":   readSound(), "HumanName~": readSound("text", "family", "given"),
		"Address": readParts("text", "line", "city", "district", "state", "postalCode", "country"),
	},
	URI: {"uri": readURI, "url": readURI, "canonical": readCanonical, "oid": readURI, "uuid": readURI},
	Quantity: {
		"Quantity": readQuantity, "Age": readQuantity, "Duration": readQuantity, "Count": readQuantity,
		"Distance": readQuantity, "Money": readMoney, "Range": readRange, "SampledData": readSampledData,
	},
	NumberType: {
		"integer": readNumber, "decimal": readNumber, "positiveInt": readNumber, "unsignedInt": readNumber,
		"Range": readRange,
	},
}

// handReaders are the parameters whose expression is no path, by the name in the table.
var handReaders = map[string]func(x *extraction, p *Param){
	"position": readPosition,
	// Patient.deceased.exists() and Patient.deceased != false: true or false of every Patient.
	"deceased": func(x *extraction, p *Param) {
		code := "false"
		if x.resource.Get("deceasedBoolean").True() || x.resource.Get("deceasedDateTime").Str() != "" {
			code = "true"
		}
		x.token(p, "", code, "")
	},
}

func text(v *fhir.Value) string {
	if v.Kind() != fhir.String {
		return ""
	}
	return v.Str()
}

func (x *extraction) token(p *Param, system, code, display string) {
	if system == "" && code == "" && display == "" || !x.more() {
		return
	}
	if x.index.Tokens == nil {
		x.index.Tokens = make([]TokenEntry, 0, 16)
	}
	x.index.Tokens = append(x.index.Tokens, TokenEntry{p.Name, cut(system), cut(code), display})
}

func readCode(x *extraction, l *leaf, v *fhir.Value) {
	if code := text(v); code != "" {
		x.token(l.param, l.system, code, "")
	}
}

func readBoolean(x *extraction, l *leaf, v *fhir.Value) {
	if v.Kind() == fhir.Bool {
		x.token(l.param, "", v.Str(), "")
	}
}

func readCoding(x *extraction, l *leaf, v *fhir.Value) {
	x.token(l.param, text(v.Get("system")), text(v.Get("code")), cut(Fold(text(v.Get("display")))))
}

// readConcept reads the codings; the text of the concept gets an entry of its own unless a coding displays the same.
func readConcept(x *extraction, l *leaf, v *fhir.Value) {
	own := cut(Fold(text(v.Get("text"))))
	for _, coding := range v.Get("coding").Items() {
		display := cut(Fold(text(coding.Get("display"))))
		if display == own {
			own = ""
		}
		x.token(l.param, text(coding.Get("system")), text(coding.Get("code")), display)
	}
	x.token(l.param, "", "", own)
}

// readIdentifier reads system and value; the modifier text searches Identifier.type.text.
func readIdentifier(x *extraction, l *leaf, v *fhir.Value) {
	x.token(l.param, text(v.Get("system")), text(v.Get("value")), cut(Fold(text(v.Get("type").Get("text")))))
}

// readContact reads the value alone: a ContactPoint's system is no namespace of its value.
func readContact(x *extraction, l *leaf, v *fhir.Value) {
	x.token(l.param, "", text(v.Get("value")), "")
}

func (x *extraction) reference(e ReferenceEntry) {
	if !x.more() {
		return
	}
	if x.index.References == nil {
		x.index.References = make([]ReferenceEntry, 0, 12)
	}
	x.index.References = append(x.index.References, e)
}

func readReference(x *extraction, l *leaf, v *fhir.Value) {
	e := ReferenceEntry{Param: l.param.Name}
	typ := ""
	if ref := text(v.Get("reference")); ref != "" {
		typ, e.Type, e.ID, e.URL = x.target(ref)
	}
	if l.only != "" {
		if typ == "" {
			typ = strings.TrimPrefix(text(v.Get("type")), "http://hl7.org/fhir/StructureDefinition/")
		}
		if typ != l.only {
			return
		}
	}
	if identifier := v.Get("identifier"); identifier != nil {
		e.System, e.Code = cut(text(identifier.Get("system"))), cut(text(identifier.Get("value")))
	}
	if e.ID != "" || e.URL != "" || e.Code != "" {
		x.reference(e)
	}
}

// target tells what a literal reference points to: its resource type if that can be seen, and either a local type
// and id, or a URL. A version is dropped: who searches by a resource means all its versions.
func (x *extraction) target(ref string) (typ, localType, id, url string) {
	switch r := fhir.ParseReference(ref); r.Kind {
	case fhir.RelativeReference:
		return r.Type, r.Type, r.ID, ""
	case fhir.AbsoluteReference:
		localType, id, url = place(r, x.bases...)
		return r.Type, localType, id, cut(url)
	case fhir.ContainedReference:
		if x.contained == nil {
			items := x.resource.Get("contained").Items()
			x.contained = make(map[string]string, len(items))
			for _, c := range items {
				x.contained[fhir.ID(c)] = fhir.ResourceType(c)
			}
		}
		typ = x.contained[r.Fragment]
	}
	return typ, "", "", cut(ref)
}

// place is the local type and id of an absolute reference below one of the bases, and the URL of any other.
func place(r fhir.Reference, bases ...string) (typ, id, url string) {
	if r.Type == "" {
		return "", "", r.URL
	}
	for _, base := range bases {
		if base != "" && r.URL == base {
			return r.Type, r.ID, ""
		}
	}
	return "", "", r.URL + "/" + r.Type + "/" + r.ID
}

// readCanonicalReference reads a canonical or uri that stands in for a reference: with its version and without, so
// that both ways of asking find it (FHIR R4 § 3.1.1.4.12).
func readCanonicalReference(x *extraction, l *leaf, v *fhir.Value) {
	canonical := text(v)
	if canonical == "" {
		return
	}
	url, _, versioned := strings.Cut(canonical, "|")
	e := ReferenceEntry{Param: l.param.Name}
	_, e.Type, e.ID, e.URL = x.target(url)
	x.reference(e)
	if versioned {
		x.reference(ReferenceEntry{Param: l.param.Name, URL: cut(canonical)})
	}
}

func (x *extraction) date(e DateEntry) {
	if !x.more() {
		return
	}
	if x.index.Dates == nil {
		x.index.Dates = make([]DateEntry, 0, 8)
	}
	x.index.Dates = append(x.index.Dates, e)
}

func readDate(x *extraction, l *leaf, v *fhir.Value) {
	if from, to, ok := dateSpan(text(v)); ok {
		x.date(DateEntry{l.param.Name, from, to})
	}
}

func readPeriod(x *extraction, l *leaf, v *fhir.Value) {
	e := DateEntry{l.param.Name, MinTime, MaxTime}
	from, _, started := dateSpan(text(v.Get("start")))
	if started {
		e.From = from
	}
	_, to, ended := dateSpan(text(v.Get("end")))
	if ended {
		e.To = to
	}
	if (started || ended) && e.From.Before(e.To) {
		x.date(e)
	}
}

// readTiming reads the outer limits only (FHIR R4 § 3.1.1.4.7): of the events, and of the bounds of the repetition.
func readTiming(x *extraction, l *leaf, v *fhir.Value) {
	e := DateEntry{l.param.Name, MaxTime, MinTime}
	for _, event := range v.Get("event").Items() {
		if from, to, ok := dateSpan(text(event)); ok {
			if from.Before(e.From) {
				e.From = from
			}
			if to.After(e.To) {
				e.To = to
			}
		}
	}
	if e.From.Before(e.To) {
		x.date(e)
	}
	readPeriod(x, l, v.Get("repeat").Get("boundsPeriod"))
}

func (x *extraction) text(p *Param, s string) {
	if folded := Fold(s); folded != "" && x.more() {
		if x.index.Strings == nil {
			x.index.Strings = make([]StringEntry, 0, 8)
		}
		x.index.Strings = append(x.index.Strings, StringEntry{p.Name, cut(folded), cut(s)})
	}
}

func readString(x *extraction, l *leaf, v *fhir.Value) { x.text(l.param, text(v)) }

// readParts reads the texts of several members of a data type, each of which may be matched (FHIR R4 § 3.1.1.4.8).
func readParts(members ...string) reader {
	return func(x *extraction, l *leaf, v *fhir.Value) {
		for _, name := range members {
			part := v.Get(name)
			if part.Kind() != fhir.Array {
				x.text(l.param, text(part))
				continue
			}
			for _, item := range part.Items() {
				x.text(l.param, text(item))
			}
		}
	}
}

func readURI(x *extraction, l *leaf, v *fhir.Value) {
	if uri := text(v); uri != "" && x.more() {
		x.index.URIs = append(x.index.URIs, StringEntry{Param: l.param.Name, Exact: cut(uri)})
	}
}

// readCanonical reads a canonical with its version and without.
func readCanonical(x *extraction, l *leaf, v *fhir.Value) {
	readURI(x, l, v)
	if url, _, versioned := strings.Cut(text(v), "|"); versioned && url != "" && x.more() {
		x.index.URIs = append(x.index.URIs, StringEntry{Param: l.param.Name, Exact: cut(url)})
	}
}

func (x *extraction) number(p *Param, system, code string, low, high float64) {
	if low <= high && x.more() {
		x.index.Numbers = append(x.index.Numbers, NumberEntry{p.Name, cut(system), cut(code), low, high})
	}
}

func readNumber(x *extraction, l *leaf, v *fhir.Value) {
	if f, ok := number(v.Str()); ok && v.Kind() == fhir.Number {
		x.number(l.param, "", "", f, f)
	}
}

// quantity adds a span in the unit of a Quantity: by its code, and by its unit where that reads differently, because
// a search without a system means either (FHIR R4 § 3.1.1.4.14).
func (x *extraction) quantity(p *Param, unit *fhir.Value, low, high float64) {
	system, code, written := text(unit.Get("system")), text(unit.Get("code")), text(unit.Get("unit"))
	x.number(p, system, code, low, high)
	if written != "" && written != code {
		x.number(p, "", written, low, high)
	}
}

// readQuantity reads a Quantity; with a comparator it is the open span beyond the value.
func readQuantity(x *extraction, l *leaf, v *fhir.Value) {
	value := v.Get("value")
	f, ok := number(value.Str())
	if !ok || value.Kind() != fhir.Number {
		return
	}
	low, high := f, f
	switch text(v.Get("comparator")) {
	case "<", "<=":
		low = -math.MaxFloat64
	case ">", ">=":
		high = math.MaxFloat64
	}
	x.quantity(l.param, v, low, high)
}

func readMoney(x *extraction, l *leaf, v *fhir.Value) {
	if f, ok := number(v.Get("value").Str()); ok {
		x.number(l.param, "urn:iso:std:iso:4217", text(v.Get("currency")), f, f)
	}
}

// bounds is the span between two numbers, open where one is missing; ok if there is any.
func bounds(low, high *fhir.Value) (from, to float64, ok bool) {
	from, to = -math.MaxFloat64, math.MaxFloat64
	if f, is := number(low.Str()); is {
		from, ok = f, true
	}
	if f, is := number(high.Str()); is {
		to, ok = f, true
	}
	return from, to, ok
}

func readRange(x *extraction, l *leaf, v *fhir.Value) {
	unit := v.Get("low")
	if unit == nil {
		unit = v.Get("high")
	}
	if low, high, ok := bounds(v.Get("low").Get("value"), v.Get("high").Get("value")); ok {
		x.quantity(l.param, unit, low, high)
	}
}

// readSampledData reads the bounds of the samples, as the parameter's definition says.
func readSampledData(x *extraction, l *leaf, v *fhir.Value) {
	if low, high, ok := bounds(v.Get("lowerLimit"), v.Get("upperLimit")); ok {
		x.quantity(l.param, v.Get("origin"), low, high)
	}
}
