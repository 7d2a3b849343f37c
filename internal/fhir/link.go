package fhir

import (
	"regexp"
	"strings"
)

// uuidURN begins the URIs that name an entry of a Bundle, and nothing outside it, until the entry has an address.
const uuidURN = "urn:uuid:"

// RewriteLinks rewrites the links by urn:uuid of a resource beside its references, as a transaction does (FHIR R4
// § 3.1.0.11.2): values of type uri, url, oid and uuid, and <a href> and <img src> of narratives. to answers what becomes of
// a URN, or false to leave it. Canonicals are left, and so is the url by which a definition names itself. It changes the
// document, so it must not be shared.
//
// Links by http are left: such a URL in a uri often is a name that others know too (the system of a code, the url of a
// value set), and is no less true when what bears it gets another address here.
func RewriteLinks(v *Value, to func(urn string) (string, bool)) {
	linkWalk{definitions(), to}.object(v, nil)
}

type linkWalk struct {
	tables *tables
	to     func(urn string) (string, bool)
}

func (w linkWalk) object(v *Value, def *typeDef) {
	resource := ResourceType(v) != ""
	if resource {
		def = w.tables.resource(ResourceType(v))
	}
	if def == nil {
		return
	}
	at := 0
	for i := range v.members {
		m := &v.members[i]
		if md := def.member(m.Name, &at); md != nil && (!resource || m.Name != "url") {
			w.value(m.Value, md)
			continue
		}
		if under, ok := strings.CutPrefix(m.Name, "_"); ok && def.member(under, &at) != nil {
			w.extensions(m.Value)
		}
	}
}

// value looks at what a member holds, or each item of its array.
func (w linkWalk) value(v *Value, md *memberDef) {
	switch v.Kind() {
	case Array:
		for _, item := range v.items {
			w.value(item, md)
		}
	case Object:
		w.object(v, w.tables.complex(md))
	case String:
		if int(md.typ) >= len(primitives) || !strings.Contains(v.text, uuidURN) {
			return
		}
		switch primitives[md.typ].name {
		case "uri", "url", "oid", "uuid":
			if link, ok := w.to(v.text); ok {
				v.text = link
			}
		case "xhtml":
			v.text = w.narrative(v.text)
		}
	}
}

// extensions looks at those of primitives.
func (w linkWalk) extensions(v *Value) {
	switch v.Kind() {
	case Array:
		for _, item := range v.items {
			w.extensions(item)
		}
	case Object:
		w.object(v, w.tables.element())
	}
}

var (
	xhtmlTag  = regexp.MustCompile(`<[A-Za-z][^<>]*>`)
	xhtmlLink = regexp.MustCompile(`\s(?:href|src)\s*=\s*(?:"urn:uuid:[^"]*"|'urn:uuid:[^']*')`)
)

// narrative rewrites the links of a div.
func (w linkWalk) narrative(div string) string {
	return xhtmlTag.ReplaceAllStringFunc(div, func(tag string) string {
		return xhtmlLink.ReplaceAllStringFunc(tag, func(attribute string) string {
			at := strings.Index(attribute, uuidURN)
			link, ok := w.to(attribute[at : len(attribute)-1])
			if !ok {
				return attribute
			}
			return attribute[:at] + link + attribute[len(attribute)-1:]
		})
	})
}
