package consent

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
)

// InForce is the law in force where it may be exchanged for another while the gateway runs: the policies were edited, an
// open question was answered, the county signed a joint service. It is safe for concurrent use. An exchange asks one
// Engine from its beginning to its end: see Current.
type InForce struct{ engine atomic.Pointer[Engine] }

// NewInForce puts an Engine in force.
func NewInForce(e *Engine) *InForce {
	l := &InForce{}
	l.engine.Store(e)
	return l
}

// Engine is the one in force now.
func (l *InForce) Engine() *Engine { return l.engine.Load() }

// Current is Engine as a Decider, to decide a whole exchange by.
func (l *InForce) Current() Decider { return l.engine.Load() }

// Replace puts another Engine in force, for every exchange that begins from now on.
func (l *InForce) Replace(e *Engine) { l.engine.Store(e) }

// Decide answers by the Engine in force now: see Decider.
func (l *InForce) Decide(req Request, class Class, facts []*Facts) Decision {
	return l.engine.Load().Decide(req, class, facts)
}

// Version is that of the Engine in force now.
func (l *InForce) Version() string { return l.engine.Load().Version() }

// Text is everything that an Engine was made of: what Version is the hash of. As long as records name a version, its
// text is kept, so that what was decided under it can be decided again.
type Text struct {
	Files         map[string][]byte // of consent/bases, by name
	Switches      map[string]string // answers to the open questions, all of them
	JointServices []JointService    // sorted
	Public        []string          // sorted
}

// Text is what the Engine was made of.
func (e *Engine) Text() Text {
	t := Text{Files: maps.Clone(e.files), Switches: e.Switches(), Public: slices.Sorted(maps.Keys(e.public))}
	for _, at := range places(e.joint) {
		t.JointServices = append(t.JointServices, JointService{Service: at.service, Location: at.location, Controller: e.joint[at]})
	}
	return t
}

// settingsFile is the name under which Marshal keeps what is no file of consent/bases.
const settingsFile = "settings.json"

type settings struct {
	Switches      map[string]string `json:"switches"`
	JointServices []JointService    `json:"jointServices"`
	Public        []string          `json:"public"`
}

// Marshal is a text as files, the same bytes for the same text: those of consent/bases, and settings.json with the rest.
func (t Text) Marshal() (map[string][]byte, error) {
	out := maps.Clone(t.Files)
	if out == nil || out[settingsFile] != nil {
		return nil, fmt.Errorf("consent: a text without policy files, or with one named %s", settingsFile)
	}
	var err error
	out[settingsFile], err = json.MarshalIndent(settings{t.Switches, t.JointServices, t.Public}, "", "  ")
	return out, err
}

// Restore makes the Engine of a version again from what Marshal gave. It fails when the files are not those of the
// version, and also when this software reads facts otherwise than the one that decided under it.
func Restore(version string, marshalled map[string][]byte) (*Engine, error) {
	var s settings
	if err := json.Unmarshal(marshalled[settingsFile], &s); err != nil {
		return nil, fmt.Errorf("consent: %s: %w", settingsFile, err)
	}
	files := maps.Clone(marshalled)
	delete(files, settingsFile)
	// The answers are written once: what a file of answers says is in the settings too.
	e, err := newEngine(files, Config{Switches: s.Switches, JointServices: s.JointServices, Public: s.Public})
	if err != nil {
		return nil, err
	}
	if e.version != version {
		return nil, errors.New("consent: the text is not that of policy version " + version)
	}
	return e, nil
}
