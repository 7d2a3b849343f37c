package fhir

import (
	_ "embed"
	"slices"
	"strings"
	"sync"
)

// summaryTable is what gen compiled; gen/summary.go tells the form.
//
//go:embed summary.tsv
var summaryTable string

// summaries are the elements of the summary, and the modifiers, by path.
var summaries = sync.OnceValue(func() map[string]summary {
	out := make(map[string]summary, 320)
	for line := range strings.Lines(summaryTable) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		out[fields[0]] = summary{strings.Fields(fields[1]), strings.Fields(fields[2])}
	}
	return out
})

type summary struct{ elements, modifiers []string }

// Subset is a part of a resource that a reader wants (FHIR R4 §§ 3.1.1.5.8, 3.1.1.5.9). The zero Subset is all of it.
// Whatever is wanted, mandatory elements and modifiers are kept, and what is left is marked as SUBSETTED.
type Subset struct {
	Mode     SubsetMode
	Elements []string // OfElements: names of elements, or Type.name; of a choice value, or valueQuantity for one of its types
}

// SubsetMode is what a Subset is made of.
type SubsetMode uint8

// The subsets of R4.
const (
	Whole      SubsetMode = iota
	Summary               // _summary=true: the elements that the definitions mark
	Narrative             // _summary=text: text, id, meta and what is mandatory
	Data                  // _summary=data: all but text
	OfElements            // _elements
)

// Of is the part of a resource, which it leaves as it is.
func (s Subset) Of(doc *Value) *Value {
	if s.Mode == Whole || doc.Kind() != Object {
		return doc
	}
	typ := ResourceType(doc)
	out := s.part(doc, typ, DefinitionOf(typ))
	subsetted(out)
	return out
}

// part is the part of an object at a path.
func (s Subset) part(doc *Value, path string, def Definition) *Value {
	of, marked := summaries()[path]
	root := !strings.Contains(path, ".")
	out := &Value{kind: Object}
	for _, m := range doc.members {
		written := strings.TrimPrefix(m.Name, "_")
		e, known := def.Member(written)
		if m.Name == "resourceType" || !known {
			out.members = append(out.members, m)
			continue
		}
		keep := e.Required || slices.Contains(of.modifiers, e.Name) || root && (e.Name == "id" || e.Name == "meta")
		switch s.Mode {
		case Summary:
			keep = keep || !marked || slices.Contains(of.elements, e.Name)
		case Narrative:
			keep = keep || e.Name == "text"
		case Data:
			keep = e.Name != "text"
		case OfElements:
			for _, name := range [...]string{e.Name, written} { // of a choice, value and valueQuantity
				keep = keep || slices.Contains(s.Elements, name) || slices.Contains(s.Elements, path+"."+name)
			}
		}
		if !keep {
			continue
		}
		if below := path + "." + e.Name; s.Mode == Summary && e.Type.Known() && len(summaries()[below].elements) > 0 {
			m.Value = s.below(m.Value, below, e.Type)
		}
		out.members = append(out.members, m)
	}
	return out
}

// below is the part of a backbone element, each of an array alike.
func (s Subset) below(v *Value, path string, def Definition) *Value {
	switch v.Kind() {
	case Object:
		return s.part(v, path, def)
	case Array:
		out := &Value{kind: Array}
		for _, item := range v.items {
			out.items = append(out.items, s.below(item, path, def))
		}
		return out
	}
	return v
}

// subsetted marks a resource as incomplete, so that nobody takes it for all there is or writes it back. It changes doc,
// and nothing that doc shares with others.
func subsetted(doc *Value) {
	meta := doc.Get("meta").Clone()
	if meta == nil {
		meta = &Value{kind: Object}
	}
	if meta.Get("tag") == nil {
		meta.Set("tag", NewArray())
	}
	meta.Get("tag").Append(NewObject(
		Member{"system", NewString("http://terminology.hl7.org/CodeSystem/v3-ObservationValue")},
		Member{"code", NewString("SUBSETTED")},
		Member{"display", NewString("Resource encoded in summary mode")},
	))
	doc.Set("meta", meta)
}
