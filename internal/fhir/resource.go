package fhir

import (
	"slices"
	"sort"
	"time"
)

// ResourceType is the resourceType of a resource, or "".
func ResourceType(v *Value) string { return stringOf(v.Get("resourceType")) }

// ID is the id of a resource, or "".
func ID(v *Value) string { return stringOf(v.Get("id")) }

func stringOf(v *Value) string {
	if v.Kind() != String {
		return ""
	}
	return v.text
}

// Types are the resource types of FHIR R4, sorted: 148 less the abstract Resource and DomainResource.
func Types() []string { return slices.Clone(resourceTypes[:]) }

// IsResource says whether typ is one of Types.
func IsResource(typ string) bool {
	i := sort.SearchStrings(resourceTypes[:], typ)
	return i < len(resourceTypes) && resourceTypes[i] == typ
}

// Coding is a code of a system.
type Coding struct{ System, Code, Display string }

// Value is c as a FHIR Coding; empty fields are left out.
func (c Coding) Value() *Value {
	v := NewObject()
	for _, m := range []struct{ name, text string }{{"system", c.System}, {"code", c.Code}, {"display", c.Display}} {
		if m.text != "" {
			v.Set(m.name, NewString(m.text))
		}
	}
	return v
}

// Meta is what the gateway itself says of a version of a resource.
type Meta struct {
	ID          string
	VersionID   string
	LastUpdated time.Time
	// Systems are the code systems of meta.security that are the gateway's to set: codings of theirs in the resource
	// are dropped, whoever sent them.
	Systems []string
	// Security are the labels set in their place.
	Security []Coding
}

// SetMeta gives a resource its id, meta.versionId and meta.lastUpdated and replaces its labels of m.Systems; the rest
// of meta is kept as received. resourceType, id and meta come first, other members keep their order.
// It changes v but nothing below it, so a copy of the root is enough where v is shared.
func SetMeta(v *Value, m Meta) {
	members := make([]Member, 0, len(v.members)+3)
	if typ := v.Get("resourceType"); typ != nil {
		members = append(members, Member{"resourceType", typ})
	}
	members = append(members, Member{"id", NewString(m.ID)}, Member{"meta", m.value(v.Get("meta"))})
	for _, old := range v.members {
		switch old.Name {
		case "resourceType", "id", "_id", "meta": // extensions of the sender's id say nothing of ours
		default:
			members = append(members, old)
		}
	}
	v.members = members
}

// value builds meta out of what was received.
func (m Meta) value(received *Value) *Value {
	meta := &Value{kind: Object, members: make([]Member, 0, len(received.Members())+3)}
	for _, name := range []string{"id", "extension"} { // the order of the elements of Meta
		if kept := received.Get(name); kept != nil {
			meta.members = append(meta.members, Member{name, kept})
		}
	}
	meta.members = append(meta.members,
		Member{"versionId", NewString(m.VersionID)},
		Member{"lastUpdated", NewString(Instant(m.LastUpdated))})
	security := m.labels(received.Get("security"))
	placed := false
	for _, old := range received.Members() {
		switch old.Name {
		case "id", "extension", "versionId", "_versionId", "lastUpdated", "_lastUpdated", "security":
			continue
		case "tag":
			placed = true
			if security != nil {
				meta.members = append(meta.members, Member{"security", security})
			}
		}
		meta.members = append(meta.members, old)
	}
	if !placed && security != nil {
		meta.members = append(meta.members, Member{"security", security})
	}
	return meta
}

// labels is meta.security with the labels of m.Systems replaced; nil where none is left.
func (m Meta) labels(received *Value) *Value {
	var items []*Value
	for _, coding := range received.Items() {
		if !slices.Contains(m.Systems, coding.Get("system").Str()) {
			items = append(items, coding)
		}
	}
	for _, coding := range m.Security {
		items = append(items, coding.Value())
	}
	if len(items) == 0 {
		return nil
	}
	return &Value{kind: Array, items: items}
}
