package mappings

import "fmt"

// fileMap relates codes as a ConceptMap does.
type fileMap struct {
	As      string     `yaml:"as"`      // code, coding, concept or reference: what stands in the resource
	System  string     `yaml:"system"`  // of the codes in the resource
	Table   string     `yaml:"table"`   // of the codes in the message, for people
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
	setting          bool
	refuse           bool
	to, from         map[string]string
	display          map[string]string // by the code in the resource
}

// compileMap refuses a map in which a way back is not clear: two rows with one code on a side must say which of them
// is for which direction (only: in, only: out).
func compileMap(name string, f *fileMap) (*codeMap, error) {
	m := &codeMap{
		name: name, as: f.As, system: f.System, setting: f.From == "setting", refuse: f.Unknown == "refuse",
		to: map[string]string{}, from: map[string]string{}, display: map[string]string{},
	}
	switch {
	case f.As != "code" && f.As != "coding" && f.As != "concept" && f.As != "reference":
		return nil, fmt.Errorf("map %s: as is code, coding, concept or reference", name)
	case (f.As == "coding" || f.As == "concept") && f.System == "":
		return nil, fmt.Errorf("map %s: system is missing", name)
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
