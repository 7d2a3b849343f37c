package consent

import (
	"fmt"
	"maps"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Code is a code of our own code lists in consent/bases/classes.yaml.
type Code struct {
	Code     string   `yaml:"-"`
	Fi       string   `yaml:"fi"`       // Finnish display
	En       string   `yaml:"en"`       // English display
	Source   string   `yaml:"source"`   // provision it comes from
	Register Register `yaml:"register"` // data classes: the register whose data it sorts
	Permit   []string `yaml:"permit"`   // data classes of patient data: choices of a permit that cover it
	Services []string `yaml:"services"` // protections: services of 457/2024 § 4 in which no confirmation is asked
}

// Codes are the code lists that labels, permits and caps speak of, sorted by code.
type Codes struct {
	ServiceTasks []Code // CodeSystem service-task
	DataClasses  []Code // CodeSystem data-class
	Protections  []Code // CodeSystem protection
}

// CodeLists gives the code lists of consent/bases, for CodeSystems and for people.
func CodeLists() (Codes, error) {
	files, err := readFiles(lawFiles, "bases")
	if err != nil {
		return Codes{}, err
	}
	c, err := readCodes(files, map[string]string{})
	if err != nil {
		return Codes{}, err
	}
	return Codes{sorted(c.tasks), sorted(c.classes), sorted(c.protections)}, nil
}

func sorted(m map[string]Code) []Code {
	var out []Code
	for _, c := range m {
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Code) int {
		if a.Code < b.Code {
			return -1
		}
		return 1
	})
	return out
}

// codes is classes.yaml for deciding.
type codes struct {
	tasks, classes, protections map[string]Code
	redact                      []string
	planInSummary               bool // switch O10
}

func readCodes(files map[string][]byte, switches map[string]string) (codes, error) {
	var written struct {
		ServiceTask map[string]Code `yaml:"service-task"`
		DataClass   map[string]Code `yaml:"data-class"`
		Protection  map[string]Code `yaml:"protection"`
		Redact      []string        `yaml:"redact"`
	}
	var c codes
	if err := strictYAML(files, "classes.yaml", &written); err != nil {
		return c, err
	}
	for list, m := range map[string]map[string]Code{
		"service-task": written.ServiceTask, "data-class": written.DataClass, "protection": written.Protection,
	} {
		for name, code := range m {
			if code.Fi == "" || code.En == "" || code.Source == "" {
				return c, fmt.Errorf("%s: %s %s lacks fi, en or source", keyed("classes.yaml", files, name, ""), list, name)
			}
			code.Code = name
			m[name] = code
		}
	}
	return codes{
		tasks: written.ServiceTask, classes: written.DataClass, protections: written.Protection,
		redact: written.Redact, planInSummary: switches["O10"] == "on",
	}, nil
}

// permitCovers says whether a permit on patient data that names these choices (457/2024 § 25.1; none is all entries of
// service events) covers the class. Data without a class, or with one not listed, are entries of service events.
func (c *codes) permitCovers(choices []string, class *Class) bool {
	covering := []string{"service-event"}
	if code, known := c.classes[class.DataClass]; known && code.Register == Health {
		covering = code.Permit
	}
	if len(choices) == 0 {
		return slices.Contains(covering, "service-event")
	}
	if c.planInSummary && (class.Type == "CarePlan" || class.Type == "Appointment") && slices.Contains(choices, "patient-summary") {
		return true
	}
	for _, choice := range choices {
		if slices.Contains(covering, choice) {
			return true
		}
	}
	return false
}

// sameService says whether a professional of the service needs no confirmation for data under the protection.
func (c *codes) sameService(protection, service string) bool {
	return service != "" && slices.Contains(c.protections[protection].Services, service)
}

// answersFile holds a county's answers to open questions, beside its policies.
const answersFile = "answers.yaml"

// readAnswers takes the file of answers, if there is one, out of the files and joins it with the answers of a Config.
func readAnswers(files map[string][]byte, given map[string]string) (map[string]string, error) {
	text, there := files[answersFile]
	if !there {
		return given, nil
	}
	delete(files, answersFile) // what it says is among the switches
	var written map[string]yaml.Node
	if err := yaml.Unmarshal(text, &written); err != nil {
		return nil, fmt.Errorf("consent/bases/%s: %w", answersFile, err)
	}
	out := maps.Clone(given)
	if out == nil {
		out = map[string]string{}
	}
	for _, name := range slices.Sorted(maps.Keys(written)) {
		node := written[name]
		var value string
		if err := node.Decode(&value); err != nil {
			return nil, fmt.Errorf("consent/bases/%s:%d: %s is not answered by a word", answersFile, node.Line, name)
		}
		if other, both := out[name]; both && other != value {
			return nil, fmt.Errorf("consent/bases/%s:%d: %s is answered %q here and %q in the settings", answersFile, node.Line, name, value, other)
		}
		out[name] = value
		if _, err := readSwitches(files, map[string]string{name: value}); err != nil {
			return nil, fmt.Errorf("consent/bases/%s:%d: %w", answersFile, node.Line, err)
		}
	}
	return out, nil
}

// readSwitches joins the answers of a Config with the safe defaults of switches.yaml.
func readSwitches(files map[string][]byte, answers map[string]string) (map[string]string, error) {
	var written map[string]struct {
		Question string   `yaml:"question"`
		Values   []string `yaml:"values"`
	}
	if err := strictYAML(files, "switches.yaml", &written); err != nil {
		return nil, err
	}
	out := map[string]string{}
	for name, s := range written {
		if s.Question == "" || len(s.Values) == 0 {
			return nil, fmt.Errorf("%s: %s lacks question or values", keyed("switches.yaml", files, name, ""), name)
		}
		out[name] = s.Values[0]
	}
	for name, value := range answers {
		s, known := written[name]
		if !known {
			return nil, fmt.Errorf("consent: there is no open question %q in switches.yaml", name)
		}
		if !slices.Contains(s.Values, value) {
			return nil, fmt.Errorf("consent: %s: %q is none of %q: no policy acts on it", name, value, s.Values)
		}
		out[name] = value
	}
	return out, nil
}
