package terminology

import (
	"strconv"

	"sotesilta/internal/fhir"
)

// Bounds of a translation.
const (
	MaxMatches = 200 // matches that are listed
	maxMaps    = 8   // ConceptMaps that others lead to (unmapped, mode other-map)
)

// Translation is what is asked of a ConceptMap (FHIR R4 ConceptMap/$translate).
type Translation struct {
	Codings      []Coded // any of them may be translated
	TargetSystem string  // only codes of this system are wanted; "" is any
	Reverse      bool    // codes of the map's source that may be meant by a code of its target
	Dependencies []Dependency
}

// Coded is a code with the version of its system, "" where it is not told.
type Coded struct {
	fhir.Coding
	Version string
}

// Dependency is the value of another element that a mapping may depend on, and of one that it produces.
type Dependency struct {
	Property string // canonical URI or name of the element
	Concept  fhir.Coding
}

// Match is one translation.
type Match struct {
	Equivalence string      // how the match relates to the code asked about: a code of concept-map-equivalence
	Concept     fhir.Coding // without a code where the map says that there is none (unmatched, disjoint)
	Products    []Dependency
	Source      string // canonical URL of the map, with its version
}

// Positive says whether the match is a translation: unmatched and disjoint say that there is none.
func (m Match) Positive() bool {
	return m.Equivalence != "unmatched" && m.Equivalence != "disjoint"
}

// Translated is what came of a translation. Needs are the properties that further matches depend on, and that were not
// given with the value that they need.
type Translated struct {
	Matches []Match
	Needs   []string
}

// Maps finds a ConceptMap by its canonical URL; nil: it is not held.
type Maps func(canonical string) (*fhir.Value, error)

// Translate translates by a ConceptMap. Where a group leaves unmapped codes to another map, that is found by others, at most
// maxMaps in all. A code that no group knows has no match.
func Translate(conceptMap *fhir.Value, asked Translation, others Maps) (Translated, error) {
	t := translating{Translation: asked, others: others, seen: map[string]bool{}}
	for _, code := range asked.Codings {
		if err := t.by(conceptMap, code); err != nil {
			return Translated{}, err
		}
	}
	return t.out, nil
}

type translating struct {
	Translation
	others Maps
	led    int             // how often a map led on to another
	seen   map[string]bool // matches, so that each is told once
	out    Translated
}

func (t *translating) by(conceptMap *fhir.Value, asked Coded) error {
	source := conceptMap.Text("url")
	if version := conceptMap.Text("version"); source != "" && version != "" {
		source += "|" + version
	}
	for _, group := range conceptMap.Get("group").Items() {
		if t.Reverse {
			t.reverse(group, asked, source)
		} else if err := t.forward(group, asked, source); err != nil {
			return err
		}
	}
	return nil
}

// from says whether a group's side is of the system and version of a code; a side without a system is of any.
func from(group *fhir.Value, side string, asked Coded) bool {
	system, version := group.Text(side), group.Text(side+"Version")
	return (system == "" || system == asked.System) && (version == "" || asked.Version == "" || version == asked.Version)
}

// into says whether a group's other side is wanted.
func (t *translating) into(group *fhir.Value, side string) bool {
	return t.TargetSystem == "" || t.TargetSystem == group.Text(side)
}

func (t *translating) forward(group *fhir.Value, asked Coded, source string) error {
	if !from(group, "source", asked) || !t.into(group, "target") {
		return nil
	}
	known := false
	for _, element := range group.Get("element").Items() {
		if element.Text("code") != asked.Code {
			continue
		}
		known = true
		for _, target := range element.Get("target").Items() {
			if !t.satisfied(target) {
				continue
			}
			t.add(Match{
				Equivalence: target.Text("equivalence"), Source: source, Products: dependencies(target.Get("product")),
				Concept: fhir.Coding{System: group.Text("target"), Code: target.Text("code"), Display: target.Text("display")},
			})
		}
	}
	if known {
		return nil
	}
	switch unmapped := group.Get("unmapped"); unmapped.Text("mode") {
	case "provided": // the same code; nobody said that it means the same
		t.add(Match{Equivalence: "relatedto", Source: source, Concept: fhir.Coding{System: group.Text("target"), Code: asked.Code, Display: asked.Display}})
	case "fixed":
		t.add(Match{
			Equivalence: "relatedto", Source: source,
			Concept: fhir.Coding{System: group.Text("target"), Code: unmapped.Text("code"), Display: unmapped.Text("display")},
		})
	case "other-map":
		if t.led++; t.others == nil || t.led > maxMaps {
			return nil
		}
		other, err := t.others(unmapped.Text("url"))
		if err != nil || other == nil {
			return err
		}
		return t.by(other, asked)
	}
	return nil
}

// inverse is how a source relates to a target of which the map tells the contrary direction.
var inverse = map[string]string{"wider": "narrower", "narrower": "wider", "subsumes": "specializes", "specializes": "subsumes"}

func (t *translating) reverse(group *fhir.Value, asked Coded, source string) {
	if !from(group, "target", asked) || !t.into(group, "source") {
		return
	}
	for _, element := range group.Get("element").Items() {
		for _, target := range element.Get("target").Items() {
			equivalence := target.Text("equivalence")
			if target.Text("code") != asked.Code || equivalence == "unmatched" {
				continue
			}
			if contrary := inverse[equivalence]; contrary != "" {
				equivalence = contrary
			}
			t.add(Match{
				Equivalence: equivalence, Source: source,
				Concept: fhir.Coding{System: group.Text("source"), Code: element.Text("code"), Display: element.Text("display")},
			})
		}
	}
}

// satisfied says whether all that a target depends on was given; what was not is noted.
func (t *translating) satisfied(target *fhir.Value) bool {
	for _, need := range dependencies(target.Get("dependsOn")) {
		met := false
		for _, given := range t.Dependencies {
			met = met || given.Property == need.Property && given.Concept.Code == need.Concept.Code &&
				(need.Concept.System == "" || given.Concept.System == need.Concept.System)
		}
		if !met {
			if len(t.out.Needs) < MaxMatches {
				t.out.Needs = append(t.out.Needs, need.Property)
			}
			return false
		}
	}
	return true
}

// dependencies are the values of dependsOn or product.
func dependencies(list *fhir.Value) []Dependency {
	var out []Dependency
	for _, d := range list.Items() {
		out = append(out, Dependency{d.Text("property"), fhir.Coding{System: d.Text("system"), Code: d.Text("value"), Display: d.Text("display")}})
	}
	return out
}

func (t *translating) add(m Match) {
	key := m.Equivalence + "\n" + m.Concept.System + "\n" + m.Concept.Code + "\n" + m.Source + "\n" + strconv.Itoa(len(m.Products))
	for _, p := range m.Products {
		key += "\n" + p.Property + "\n" + p.Concept.Code
	}
	if t.seen[key] || len(t.out.Matches) == MaxMatches {
		return
	}
	t.seen[key] = true
	t.out.Matches = append(t.out.Matches, m)
}
