package mappings

import (
	"strings"

	"sotesilta/internal/fhir"
	"sotesilta/mappings/hl7v2"
)

// maxListed bounds the losses a Report lists; all are counted.
const maxListed = 500

// Report accounts for every value of the source: Values = Mapped + Ignored + Lost.
type Report struct {
	Lens    string // name@version
	Values  int
	Mapped  int
	Ignored int // the lens says why they are not carried
	Lost    int
	Losses  []Loss // the first 500, in the order of the source
}

// Loss is one value that found no place.
type Loss struct {
	Path string // PID-13[1].1 or Appointment.comment; never a value
	Why  string
}

func (r *Report) lose(path, why string) {
	r.Lost++
	if len(r.Losses) < maxListed {
		r.Losses = append(r.Losses, Loss{path, why})
	}
}

const noRule = "no rule of the lens reads it"

// accountMessage reports on a message that was translated.
func (t *turn) accountMessage() Report {
	r := Report{Lens: t.lens.String()}
	t.msg.Leaves(func(leaf hl7v2.Leaf) bool {
		r.Values++
		why, read := t.leaves[leaf]
		switch {
		case read && why == "":
			r.Mapped++
		case t.lens.ignoresLeaf(t.msg.Segments()[leaf.Segment].Name(), leaf.Place):
			r.Ignored++
		case read:
			r.lose(t.msg.PathOf(leaf), why)
		default:
			r.lose(t.msg.PathOf(leaf), noRule)
		}
		return true
	})
	return r
}

// accountResources reports on resources that were rendered.
func (t *turn) accountResources(resources []*fhir.Value) Report {
	r := Report{Lens: t.lens.String()}
	for _, doc := range resources {
		typ := fhir.ResourceType(doc)
		for _, m := range doc.Members() {
			if m.Name != "resourceType" && m.Name != "id" {
				t.accountElement(&r, typ+"."+m.Name, typ+"."+m.Name, m.Value)
			}
		}
	}
	return r
}

// accountElement walks v; plain is the path without indexes.
func (t *turn) accountElement(r *Report, path, plain string, v *fhir.Value) {
	switch v.Kind() {
	case fhir.Object:
		for _, m := range v.Members() {
			t.accountElement(r, path+"."+m.Name, plain+"."+m.Name, m.Value)
		}
	case fhir.Array:
		for i, item := range v.Items() {
			t.accountElement(r, indexed(path, i), plain, item)
		}
	default:
		r.Values++
		why, read := t.elements[v]
		switch {
		case read && why == "":
			r.Mapped++
		case t.lens.ignoresElement(plain):
			r.Ignored++
		case read:
			r.lose(path, why)
		default:
			r.lose(path, noRule)
		}
	}
}

func (l *Lens) ignoresLeaf(segment string, p hl7v2.Place) bool {
	for _, i := range l.ignored {
		if i.element == "" && i.at.segment == segment && i.at.covers(p) {
			return true
		}
	}
	return false
}

// ignoresElement compares with Type.element or *.element, and what lies below.
func (l *Lens) ignoresElement(plain string) bool {
	_, element, _ := strings.Cut(plain, ".")
	for _, i := range l.ignored {
		name := plain
		want, any := strings.CutPrefix(i.element, "*.")
		if any {
			name = element
		}
		if want != "" && (name == want || strings.HasPrefix(name, want+".")) {
			return true
		}
	}
	return false
}
