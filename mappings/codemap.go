package mappings

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// tableName is how HL7 v2 names a table: HL7 and its four digits.
var tableName = regexp.MustCompile(`^HL7[0-9]{4}$`)

// fileMap relates codes as a ConceptMap does.
type fileMap struct {
	As      string     `yaml:"as"`      // code, coding, concept or reference: what stands in the resource
	System  string     `yaml:"system"`  // of the codes in the resource; a reference has none
	Table   string     `yaml:"table"`   // of the codes in the message, such as HL70001
	From    string     `yaml:"from"`    // setting: the deployment's own codes
	Unknown string     `yaml:"unknown"` // lose (default) or refuse: a code that is not in the map
	Codes   []fileCode `yaml:"codes"`
}

type fileCode struct {
	At      string `yaml:"at"`
	To      string `yaml:"to"`
	Display string `yaml:"display"`
	Only    string `yaml:"only"` // in or out: the other way takes another row
}

// codeMap is a code map ready for use.
type codeMap struct {
	name, as, system string
	table            string
	setting          bool
	refuse           bool
	rows             []fileCode
	to, from         map[string]string
	display          map[string]string // by the code in the resource
}

// compileMap refuses a map in which a way back is not clear: two rows with one code on a side must say which of them
// is for which direction (only: in, only: out).
func compileMap(name string, f *fileMap) (*codeMap, error) {
	m := &codeMap{
		name: name, as: f.As, system: f.System, table: f.Table, setting: f.From == "setting", refuse: f.Unknown == "refuse", rows: f.Codes,
		to: map[string]string{}, from: map[string]string{}, display: map[string]string{},
	}
	switch {
	case f.As != "code" && f.As != "coding" && f.As != "concept" && f.As != "reference":
		return nil, fmt.Errorf("map %s: as is code, coding, concept or reference", name)
	case f.As != "reference" && f.System == "":
		return nil, fmt.Errorf("map %s: system is missing", name)
	case f.From == "" && !tableName.MatchString(f.Table):
		return nil, fmt.Errorf("map %s: table is that of the codes in the message, such as HL70001", name)
	case f.From != "" && f.From != "setting" || f.Unknown != "" && f.Unknown != "lose" && f.Unknown != "refuse":
		return nil, fmt.Errorf("map %s: from is setting; unknown is lose or refuse", name)
	case m.setting != (len(f.Codes) == 0):
		return nil, fmt.Errorf("map %s: either codes or from: setting", name)
	}
	for _, c := range f.Codes {
		if c.At == "" || c.To == "" || c.Only != "" && c.Only != "in" && c.Only != "out" {
			return nil, fmt.Errorf("map %s: a code has at, to and perhaps only: in or out", name)
		}
		if c.Only != "out" {
			if _, there := m.to[c.At]; there {
				return nil, fmt.Errorf("map %s: %s leads to two codes; mark one only: out", name, c.At)
			}
			m.to[c.At] = c.To
		}
		if c.Only != "in" {
			if _, there := m.from[c.To]; there {
				return nil, fmt.Errorf("map %s: %s comes from two codes; mark one only: in", name, c.To)
			}
			m.from[c.To] = c.At
		}
		if c.Display != "" {
			m.display[c.To] = c.Display
		}
	}
	return m, nil
}

// forward is the resource's code for a message's code.
func (m *codeMap) forward(s Setting, code string) (string, bool) {
	if m.setting {
		to, ok := s.Tables[m.name][code]
		return to, ok
	}
	to, ok := m.to[code]
	return to, ok
}

// back is the message's code for a resource's code.
func (m *codeMap) back(s Setting, code string) (string, bool) {
	if m.setting {
		found, n := "", 0
		for at, to := range s.Tables[m.name] {
			if to == code {
				found, n = at, n+1
			}
		}
		return found, n == 1
	}
	at, ok := m.from[code]
	return at, ok
}

// CodeMap is a code map of a lens as others may read it: what a lens translates by is what it tells.
type CodeMap struct {
	Lens, Version string // the lens that reads it
	Name          string // in the lens, such as patient-class
	Table         string // number of the HL7 v2 table of the message's codes: four digits
	System        string // of the codes in the resource
	In, Out       bool   // the ways that the lens takes: message to resource, resource to message
	Rows          []CodeRow
}

// CodeRow relates a code in the message with one in the resource.
type CodeRow struct {
	At, To, Display string // Display of To, where the map tells it
	In, Out         bool   // the ways that the row is for; one only where another row leads back
}

// CodeMaps are the lens's code maps, in the order of their names, but for those whose codes are the deployment's own.
func (l *Lens) CodeMaps() []CodeMap {
	var out []CodeMap
	for _, m := range l.maps {
		if m.setting {
			continue
		}
		told := CodeMap{
			Lens: l.name, Version: l.version, Name: m.name, Table: strings.TrimPrefix(m.table, "HL7"), System: m.system, In: l.in, Out: l.out,
		}
		for _, r := range m.rows {
			told.Rows = append(told.Rows, CodeRow{At: r.At, To: r.To, Display: m.display[r.To], In: r.Only != "out", Out: r.Only != "in"})
		}
		out = append(out, told)
	}
	slices.SortFunc(out, func(a, b CodeMap) int { return strings.Compare(a.Name, b.Name) })
	return out
}
