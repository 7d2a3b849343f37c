package mappings

import (
	"strconv"
	"strings"
	"unicode"

	"sotesilta/internal/fhir"
)

// codec turns the parts of a cell into an element and back. decode answers nil for nothing; both answer why they
// refuse, or "".
type codec interface {
	decode(t *turn, r *rule, c *cell) (*fhir.Value, string)
	encode(t *turn, r *rule, v *fhir.Value, c *cell) string
}

// codecs are all there are; a lens names them.
var codecs = map[string]codec{
	"":        textCodec{},     // string, code, markdown
	"text":    textCodec{},     //
	"integer": integerCodec{},  // NM ↔ integer
	"ordinal": ordinalCodec{},  // set ids: numbered when written, passed over when read
	"ts":      timeCodec{},     // TS, DTM ↔ dateTime, keeping the precision
	"instant": instantCodec{},  // TS, DTM to the second ↔ instant
	"date":    dateCodec{},     // DT, TS ↔ date
	"cx":      idCodec{cx},     // CX ↔ Identifier
	"ei":      idCodec{ei},     // EI ↔ Identifier
	"xpn":     nameCodec{},     // XPN ↔ HumanName
	"xcn":     personCodec{},   // XCN ↔ Reference to a professional
	"pl":      locationCodec{}, // PL ↔ Reference to a location
	"named":   namedCodec{},    // XPN ↔ Reference to a professional, by name only
	"cwe":     conceptCodec{},  // CE, CWE ↔ CodeableConcept
	"code":    codeCodec{},     // a code through a map
}

// plain says whether a text may stand in a FHIR string (FHIR R4 § 2.24.0.1): no control characters but tab and line
// ends, and not blank.
func plain(s string) bool {
	return strings.TrimSpace(s) != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) && r != '\t' && r != '\n' && r != '\r'
	})
}

// object is an object of the texts that are not empty, or nil.
func object(names []string, texts ...string) *fhir.Value {
	v := fhir.NewObject()
	for i, text := range texts {
		if plain(text) {
			v.Set(names[i], fhir.NewString(text))
		}
	}
	if len(v.Members()) == 0 {
		return nil
	}
	return v
}

func member(name string, v *fhir.Value) fhir.Member { return fhir.Member{Name: name, Value: v} }

type textCodec struct{}

func (textCodec) decode(_ *turn, _ *rule, c *cell) (*fhir.Value, string) {
	text := c.get(1, 1)
	if text == "" {
		return nil, ""
	}
	if !plain(text) {
		return nil, "it is blank or holds control characters"
	}
	return fhir.NewString(text), ""
}

func (textCodec) encode(t *turn, _ *rule, v *fhir.Value, c *cell) string {
	c.set(1, 1, t.see(v))
	return ""
}

type integerCodec struct{}

func (integerCodec) decode(_ *turn, _ *rule, c *cell) (*fhir.Value, string) {
	text := c.get(1, 1)
	if text == "" {
		return nil, ""
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > 1<<31-1 {
		return nil, "it is not a whole number"
	}
	return fhir.NewNumber(strconv.Itoa(n)), ""
}

func (integerCodec) encode(t *turn, _ *rule, v *fhir.Value, c *cell) string {
	c.set(1, 1, t.see(v))
	return ""
}

type ordinalCodec struct{}

func (ordinalCodec) decode(_ *turn, _ *rule, c *cell) (*fhir.Value, string) {
	c.get(1, 1)
	return nil, ""
}

func (ordinalCodec) encode(t *turn, _ *rule, _ *fhir.Value, c *cell) string {
	c.set(1, 1, t.ordinal(c.segment))
	return ""
}

// shape says where the assigning authority and the type of an identifier stand.
type shape struct{ authority, typ int }

var (
	cx = shape{authority: 4, typ: 5}
	ei = shape{authority: -1}
)

// identifierTypes is HL7 table 0203.
const identifierTypes = "http://terminology.hl7.org/CodeSystem/v2-0203"

type idCodec struct{ shape }

// authority reads an HD: its namespace, and the system that it or its ISO OID names. A namespace that the lens does
// not know names no system: it is kept as the assigner, and nothing is guessed.
func (i idCodec) get(c *cell, part int) string {
	if i.authority > 0 {
		return c.code(i.authority, part)
	}
	return c.code(1+part, 1)
}

func (i idCodec) decode(t *turn, r *rule, c *cell) (*fhir.Value, string) {
	value := c.code(1, 1)
	namespace, uid, kind := i.get(c, 1), i.get(c, 2), i.get(c, 3)
	typ := ""
	if i.typ > 0 {
		typ = c.code(i.typ, 1)
	}
	if value == "" {
		return nil, ""
	}
	if !plain(value) {
		return nil, "it is blank or holds control characters"
	}
	system := t.lens.authorities.to[namespace]
	switch {
	case uid != "" && kind == "ISO" && isOID(uid):
		if system != "" && system != "urn:oid:"+uid {
			return nil, "namespace and OID of its authority name different systems"
		}
		if system != "" {
			namespace = ""
		}
		system = "urn:oid:" + uid
	case uid != "":
		return nil, "the kind of its authority's id is not known"
	case system != "":
		namespace = ""
	case namespace == "":
		system = r.system
	}
	v := object([]string{"system", "value"}, system, value)
	if typ != "" {
		v.Set("type", fhir.NewObject(member("coding", fhir.NewArray(object([]string{"system", "code"}, identifierTypes, typ)))))
	}
	if plain(namespace) {
		v.Set("assigner", object([]string{"display"}, namespace))
	}
	return v, ""
}

func (i idCodec) encode(t *turn, r *rule, v *fhir.Value, c *cell) string {
	value := v.Text("value")
	if value == "" {
		return "it has no value"
	}
	system := t.see(v, "system")
	namespace := t.lens.authorities.from[system]
	oid, isURN := strings.CutPrefix(system, "urn:oid:")
	switch {
	case system == r.system || namespace != "" || system == "":
	case isURN:
	default:
		return "its system is not one that the receiver knows"
	}
	t.see(v, "value")
	if namespace == "" {
		namespace = t.see(v, "assigner", "display")
	}
	put := func(part int, text string) {
		if i.authority > 0 {
			c.set(i.authority, part, text)
		} else {
			c.set(1+part, 1, text)
		}
	}
	c.set(1, 1, value)
	put(1, namespace)
	if isURN && system != r.system {
		put(2, oid)
		put(3, "ISO")
	}
	if i.typ > 0 {
		for _, coding := range v.All("type", "coding") {
			if coding.Text("system") == identifierTypes {
				t.see(coding, "system")
				c.set(i.typ, 1, t.see(coding, "code"))
				break
			}
		}
	}
	return ""
}

func isOID(s string) bool {
	for _, arc := range strings.Split(s, ".") {
		if arc == "" || strings.Trim(arc, "0123456789") != "" || len(arc) > 1 && arc[0] == '0' {
			return false
		}
	}
	return strings.Contains(s, ".") && s[0] <= '2'
}

// nameUses relates HL7 table 0200 to HumanName.use.
var nameUses = map[string]string{"L": "official", "D": "usual", "M": "maiden", "N": "nickname", "T": "temp"}

type nameCodec struct{}

func (nameCodec) decode(_ *turn, _ *rule, c *cell) (*fhir.Value, string) {
	family, given, more := c.get(1, 1), c.get(2, 1), c.get(3, 1)
	suffix, prefix, use := c.get(4, 1), c.get(5, 1), c.get(7, 1)
	v := fhir.NewObject()
	if use != "" {
		code := nameUses[use]
		if code == "" {
			return nil, "its type is not one of HL7 table 0200 that HumanName knows"
		}
		v.Set("use", fhir.NewString(code))
	}
	found := false
	for _, part := range []struct {
		name  string
		list  bool
		texts []string
	}{
		{"family", false, []string{family}},
		{"given", true, append([]string{given}, strings.Fields(more)...)},
		{"prefix", true, []string{prefix}},
		{"suffix", true, []string{suffix}},
	} {
		list := fhir.NewArray()
		for _, text := range part.texts {
			if !plain(text) {
				continue
			}
			found = true
			if !part.list {
				v.Set(part.name, fhir.NewString(text))
				continue
			}
			list.Append(fhir.NewString(text))
		}
		if len(list.Items()) > 0 {
			v.Set(part.name, list)
		}
	}
	if !found {
		return nil, ""
	}
	return v, ""
}

func (nameCodec) encode(t *turn, _ *rule, v *fhir.Value, c *cell) string {
	if v.Text("family") == "" && v.First("given") == nil {
		return "it has neither family nor given name"
	}
	c.set(1, 1, t.see(v, "family"))
	var given []string
	for _, g := range v.All("given") {
		given = append(given, t.see(g))
	}
	if len(given) > 0 {
		c.set(2, 1, given[0])
		c.set(3, 1, strings.Join(given[1:], " "))
	}
	c.set(4, 1, t.see(v, "suffix"))
	c.set(5, 1, t.see(v, "prefix"))
	for code, use := range nameUses {
		if use == v.Text("use") {
			t.see(v, "use")
			c.set(7, 1, code)
		}
	}
	return ""
}

// personCodec relates XCN to a Reference by identifier and display: it never points at a person.
type personCodec struct{}

func (personCodec) decode(t *turn, r *rule, c *cell) (*fhir.Value, string) {
	id, family, given := c.code(1, 1), c.get(2, 1), c.get(3, 1)
	namespace, uid, kind := c.code(9, 1), c.code(9, 2), c.code(9, 3)
	system := t.lens.authorities.to[namespace]
	if uid != "" && kind == "ISO" && isOID(uid) {
		system = "urn:oid:" + uid
	} else if namespace == "" && uid == "" {
		system = r.system
	}
	v := fhir.NewObject()
	if plain(id) {
		v.Set("identifier", object([]string{"system", "value"}, system, id))
	}
	if name := strings.TrimSpace(given + " " + family); plain(name) {
		v.Set("display", fhir.NewString(name))
	}
	if len(v.Members()) == 0 {
		return nil, ""
	}
	return v, ""
}

func (personCodec) encode(t *turn, r *rule, v *fhir.Value, c *cell) string {
	person := t.target(v)
	if fhir.ResourceType(person) == "PractitionerRole" {
		person = t.target(person.Get("practitioner"))
	}
	id := v.Get("identifier")
	for _, known := range person.All("identifier") {
		if id == nil && (known.Text("system") == r.system || t.lens.authorities.from[known.Text("system")] != "") {
			id = known
		}
	}
	if id != nil {
		system := t.see(id, "system")
		c.set(1, 1, t.see(id, "value"))
		if oid, isURN := strings.CutPrefix(system, "urn:oid:"); system != r.system {
			c.set(9, 1, t.lens.authorities.from[system])
			if isURN {
				c.set(9, 2, oid)
				c.set(9, 3, "ISO")
			}
		}
	}
	if name := person.First("name"); name != nil {
		c.set(2, 1, t.see(name, "family"))
		c.set(3, 1, t.see(name, "given"))
		t.see(v, "display")
	} else if display := t.see(v, "display"); display != "" {
		given, family := parted(display)
		c.set(2, 1, family)
		c.set(3, 1, given)
	}
	if !c.wrote {
		return "nothing is known of the person"
	}
	t.see(v, "reference")
	return ""
}

// namedCodec relates XPN to a Reference by its display, or the name of the professional given with it.
type namedCodec struct{}

func (namedCodec) decode(_ *turn, _ *rule, c *cell) (*fhir.Value, string) {
	family, given := c.get(1, 1), c.get(2, 1)
	return object([]string{"display"}, strings.TrimSpace(given+" "+family)), ""
}

func (namedCodec) encode(t *turn, r *rule, v *fhir.Value, c *cell) string {
	person := t.target(v)
	if fhir.ResourceType(person) == "PractitionerRole" {
		person = t.target(person.Get("practitioner"))
	}
	if name := person.First("name"); fhir.ResourceType(person) == "Practitioner" && name != nil {
		c.set(1, 1, t.see(name, "family"))
		c.set(2, 1, t.see(name, "given"))
	} else if display := t.see(v, "display"); display != "" {
		given, family := parted(display)
		c.set(1, 1, family)
		c.set(2, 1, given)
	}
	if !c.wrote {
		return "nothing is known of the person"
	}
	t.see(v, "reference")
	return ""
}

// parted divides a name as people write it before its last word.
func parted(display string) (given, family string) {
	if i := strings.LastIndex(display, " "); i > 0 {
		return display[:i], display[i+1:]
	}
	return "", display
}

// target is the given resource that a Reference points at, or nil.
func (t *turn) target(v *fhir.Value) *fhir.Value { return t.known[v.Text("reference")] }

// locationCodec relates PL to a Reference by identifier (PL.1) and display (PL.9).
type locationCodec struct{}

func (locationCodec) decode(_ *turn, r *rule, c *cell) (*fhir.Value, string) {
	v := fhir.NewObject()
	if id := c.code(1, 1); plain(id) {
		v.Set("identifier", object([]string{"system", "value"}, r.system, id))
	}
	if name := c.get(9, 1); plain(name) {
		v.Set("display", fhir.NewString(name))
	}
	if len(v.Members()) == 0 {
		return nil, ""
	}
	return v, ""
}

func (locationCodec) encode(t *turn, r *rule, v *fhir.Value, c *cell) string {
	place := t.target(v)
	id := v.Get("identifier")
	for _, known := range place.All("identifier") {
		if id == nil && known.Text("system") == r.system {
			id = known
		}
	}
	if id != nil {
		c.set(1, 1, t.see(id, "value"))
		t.see(id, "system")
	}
	name := t.see(v, "display")
	if name == "" {
		name = t.see(place, "name")
	}
	c.set(9, 1, name)
	if !c.wrote {
		return "nothing is known of the place"
	}
	t.see(v, "reference")
	return ""
}

type conceptCodec struct{}

func (conceptCodec) decode(t *turn, r *rule, c *cell) (*fhir.Value, string) {
	codings := fhir.NewArray()
	text := c.get(9, 1)
	for _, first := range []int{1, 4} {
		code, display, name := c.code(first, 1), c.get(first+1, 1), c.code(first+2, 1)
		version := c.code(7+first/4, 1)
		if code == "" {
			if text == "" {
				text = display
			}
			continue
		}
		if !plain(code) || strings.ContainsFunc(code, unicode.IsControl) || strings.TrimSpace(code) != code {
			return nil, "its code is not a FHIR code"
		}
		system := t.lens.systems.to[name]
		switch {
		case system == "" && name == "":
			system = r.system
		case system == "":
			return nil, "its coding system is not one that the lens knows"
		}
		codings.Append(object([]string{"system", "version", "code", "display"}, system, version, code, display))
	}
	v := fhir.NewObject()
	if len(codings.Items()) > 0 {
		v.Set("coding", codings)
	}
	if plain(text) {
		v.Set("text", fhir.NewString(text))
	}
	if len(v.Members()) == 0 {
		return nil, ""
	}
	return v, ""
}

func (conceptCodec) encode(t *turn, r *rule, v *fhir.Value, c *cell) string {
	n := 0
	for _, coding := range v.All("coding") {
		name := t.lens.systems.from[coding.Text("system")]
		if name == "" && coding.Text("system") != r.system || n == 2 || coding.Text("code") == "" {
			continue
		}
		first := 1 + 3*n
		t.see(coding, "system")
		c.set(first, 1, t.see(coding, "code"))
		c.set(first+1, 1, t.see(coding, "display"))
		c.set(first+2, 1, name)
		c.set(7+n, 1, t.see(coding, "version"))
		n++
	}
	if text := t.see(v, "text"); text != "" {
		if n == 0 {
			c.set(2, 1, text)
		} else {
			c.set(9, 1, text)
		}
	}
	if !c.wrote {
		return "it has no text and no code of a system that the receiver knows"
	}
	return ""
}

// narrowed is why a code counts as lost that came through as another's equal: there is no way back to it.
const narrowed = "it went through as a wider code of the map "

type codeCodec struct{}

func (codeCodec) decode(t *turn, r *rule, c *cell) (*fhir.Value, string) {
	code := c.code(1, 1)
	if code == "" {
		return nil, ""
	}
	m := r.codes
	to, ok := m.forward(t.setting, code)
	if !ok {
		return nil, "the code is not in the map " + m.name
	}
	if at, ok := m.back(t.setting, to); !ok || at != code {
		c.refuse(narrowed + m.name)
	}
	switch m.as {
	case "code":
		return fhir.NewString(to), ""
	case "reference":
		return object([]string{"reference"}, to), ""
	}
	coding := object([]string{"system", "code", "display"}, m.system, to, m.display[to])
	if m.as == "coding" {
		return coding, ""
	}
	return fhir.NewObject(member("coding", fhir.NewArray(coding))), ""
}

func (codeCodec) encode(t *turn, r *rule, v *fhir.Value, c *cell) string {
	m := r.codes
	names := map[string][]string{"code": nil, "reference": {"reference"}, "coding": {"code"}, "concept": {"code"}}[m.as]
	codings := []*fhir.Value{v}
	if m.as == "concept" {
		codings = v.All("coding")
	}
	for _, coding := range codings {
		if (m.as == "coding" || m.as == "concept") && coding.Text("system") != m.system {
			continue
		}
		code, ok := m.back(t.setting, coding.Text(names...))
		if !ok {
			continue
		}
		t.see(coding, names...)
		if to, ok := m.forward(t.setting, code); !ok || to != coding.Text(names...) {
			t.elements[coding.First(names...)] = narrowed + m.name
		}
		if coding.Get("system") != nil {
			t.see(coding, "system")
		}
		if d := coding.Text("display"); d != "" && d == m.display[coding.Text("code")] {
			t.see(coding, "display")
		}
		c.set(1, 1, code)
		return ""
	}
	return "the code is not in the map " + m.name
}
