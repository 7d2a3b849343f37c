package consent

import (
	"strconv"
	"strings"
	"unicode"
)

// Wording is what of a person's own words counts as told (acts.yaml, texts). Policies of before it existed ask for
// anything that is not blank, as the zero Wording does.
type Wording struct {
	Signs     int `yaml:"signs"`     // letters and digits, at least
	Different int `yaml:"different"` // of them, whatever their case
}

// Told says whether a text tells anything.
func (w Wording) Told(text string) bool {
	if w == (Wording{}) {
		return strings.TrimSpace(text) != ""
	}
	signs, seen := 0, make([]rune, 0, 16)
	for _, r := range text {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			continue
		}
		signs++
		r = unicode.ToLower(r)
		if len(seen) < w.Different && !strings.ContainsRune(string(seen), r) {
			seen = append(seen, r)
		}
		if signs >= w.Signs && len(seen) >= w.Different {
			return true
		}
	}
	return false
}

// String is the rule for people: "at least 4 letters or digits, 3 of them different".
func (w Wording) String() string {
	if w == (Wording{}) {
		return "not blank"
	}
	return "at least " + strconv.Itoa(w.Signs) + " letters or digits, " + strconv.Itoa(w.Different) + " of them different"
}

// Reasoned says whether a text counts as a reason told in a person's own words, and in words what would.
func (e *Engine) Reasoned(text string) (told bool, rule string) {
	return e.acts.reason.Told(text), e.acts.reason.String()
}

// Reasoned is that of the Engine in force now.
func (l *InForce) Reasoned(text string) (told bool, rule string) {
	return l.engine.Load().Reasoned(text)
}
