package mappings

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	filepath "path"
	"slices"
	"sort"
	"strings"
	"time"

	_ "time/tzdata" // lenses name their time zone, and a static binary has no zone files

	"go.yaml.in/yaml/v3"

	"sotesilta/internal/fhir"
)

// file is a lens as it is written. A file without a name is a fragment that others use.
type file struct {
	Lens        string              `yaml:"lens"`
	Version     string              `yaml:"version"`
	About       string              `yaml:"about"`
	Use         []string            `yaml:"use"`       // fragments beside it
	Direction   string              `yaml:"direction"` // in, out or both
	Zone        string              `yaml:"zone"`      // time zone of times without offset
	Message     fileMessage         `yaml:"message"`
	Authorities map[string]string   `yaml:"authorities"` // assigning authority's namespace to identifier system
	Systems     map[string]string   `yaml:"systems"`     // coding system's name to its URI
	Maps        map[string]*fileMap `yaml:"maps"`
	Client      []fileRule          `yaml:"client"` // PID ↔ Patient
	Resources   []fileResource      `yaml:"resources"`
	Gather      []string            `yaml:"gather"` // references of the first resource that Render wants as well
	Ignored     []fileIgnored       `yaml:"ignored"`
}

type fileMessage struct {
	Type      string      `yaml:"type"`
	Structure string      `yaml:"structure"`
	Version   string      `yaml:"version"`  // MSH-12 of what is rendered
	Versions  []string    `yaml:"versions"` // MSH-12 of what is translated; empty is any 2.x
	Events    []fileEvent `yaml:"events"`   // in: those read. out: the first whose guards hold is written
	Segments  []string    `yaml:"segments"` // order of what is rendered
}

type fileEvent struct {
	Event string `yaml:"event"`
	// Replaces: what the message tells takes the place of what was told before under the same identity; without it,
	// what is there already stays.
	Replaces bool        `yaml:"replaces"`
	When     []fileGuard `yaml:"when"`
}

type fileResource struct {
	Type     string     `yaml:"type"`
	Client   string     `yaml:"client"`   // Reference to the client
	Identity string     `yaml:"identity"` // Identifier that a repeated message repeats
	Rules    []fileRule `yaml:"rules"`
}

type fileRule struct {
	At     string            `yaml:"at"`
	Each   string            `yaml:"each"`
	To     string            `yaml:"to"`
	Codec  string            `yaml:"codec"`
	Map    string            `yaml:"map"`
	System string            `yaml:"system"` // system of an identifier or code that names none
	Value  string            `yaml:"value"`
	As     map[string]string `yaml:"as"`
	When   []fileGuard       `yaml:"when"`
	Need   bool              `yaml:"need"`
	Only   string            `yaml:"only"` // in or out
	Rules  []fileRule        `yaml:"rules"`
}

type fileGuard struct {
	At     string   `yaml:"at"`
	To     string   `yaml:"to"`
	In     []string `yaml:"in"`
	Not    []string `yaml:"not"`
	Starts string   `yaml:"starts"`
	Exists *bool    `yaml:"exists"`
}

type fileIgnored struct {
	At  string `yaml:"at"`
	To  string `yaml:"to"`
	Why string `yaml:"why"`
}

// Lens is a lens that was read and checked. It is safe for concurrent use.
type Lens struct {
	name, version string
	in, out       bool
	zone          *time.Location
	message       fileMessage
	events        []event
	authorities   table
	systems       table
	maps          map[string]*codeMap
	client        []*rule
	clients       []string // names of the segments that tell who the client is
	resources     []*resource
	gather        []path
	ignored       []ignored
}

type event struct {
	code string
	when []guard
}

type resource struct {
	typ      string
	client   path
	identity path
	rules    []*rule
}

// rule is one relation between a place in the message and one in the resources.
type rule struct {
	at           *at
	to           path // nil: none
	outer, inner path // of to, when it goes through a list
	list         bool
	each         bool
	codec        codec
	codecName    string
	codes        *codeMap
	system       string
	value        string
	as           []constant
	when         []guard
	need         bool
	in, out      bool
	rules        []*rule
}

type constant struct {
	to    path
	value string
}

type guard struct {
	at     *at
	to     path
	in     []string
	not    []string
	starts string
	exists *bool
}

// holds says whether a value satisfies the guard; "" is an absent one.
func (g guard) holds(v string) bool {
	return (g.in == nil || slices.Contains(g.in, v)) && (g.not == nil || !slices.Contains(g.not, v)) &&
		strings.HasPrefix(v, g.starts) && (g.exists == nil || *g.exists == (v != ""))
}

type ignored struct {
	at      at
	element string
}

// table is a two-way list of names and URIs.
type table struct{ to, from map[string]string }

// String is name@version.
func (l *Lens) String() string { return l.name + "@" + l.version }

// Type is the message type it reads or writes, such as ADT.
func (l *Lens) Type() string { return l.message.Type }

// Translates says whether the lens is for messages that come in.
func (l *Lens) Translates() bool { return l.in }

// Reads says whether the lens translates the event of its message type, such as A04.
func (l *Lens) Reads(event string) bool {
	return l.in && slices.ContainsFunc(l.message.Events, func(e fileEvent) bool { return e.Event == event })
}

// ReadsVersion says whether the lens translates messages of a version (MSH-12).
func (l *Lens) ReadsVersion(version string) bool {
	if len(l.message.Versions) > 0 {
		return slices.Contains(l.message.Versions, version)
	}
	return version == "2" || strings.HasPrefix(version, "2.")
}

// Renders says whether the lens renders a resource type.
func (l *Lens) Renders(typ string) bool {
	return l.out && len(l.resources) > 0 && l.resources[0].typ == typ
}

// References are the local references of a resource ("Type/id") that Render wants beside it, at most 20.
func (l *Lens) References(doc *fhir.Value) []string {
	var out []string
	for _, p := range l.gather {
		for _, v := range p.all(doc) {
			ref := v.Str()
			if fhir.ParseReference(ref).Local() && !slices.Contains(out, ref) && len(out) < 20 {
				out = append(out, ref)
			}
		}
	}
	return out
}

// Load reads every lens of a folder and checks it: names, paths, codecs, and code maps that are not two-way without
// saying so. Errors name the file and the rule.
func Load(folder fs.FS) ([]*Lens, error) {
	names, err := fs.Glob(folder, "*.yaml")
	if err != nil {
		return nil, err
	}
	sort.Strings(names)
	var lenses []*Lens
	for _, name := range names {
		f, err := readFile(folder, name)
		if err != nil {
			return nil, err
		}
		if f.Lens == "" {
			continue
		}
		for _, use := range f.Use {
			fragment, err := readFile(folder, filepath.Join(filepath.Dir(name), use))
			if err != nil {
				return nil, err
			}
			if err := f.merge(fragment); err != nil {
				return nil, fmt.Errorf("mappings: %s: %w", name, err)
			}
		}
		l, err := compile(f)
		if err != nil {
			return nil, fmt.Errorf("mappings: %s: %w", name, err)
		}
		lenses = append(lenses, l)
	}
	if len(lenses) == 0 {
		return nil, errors.New("mappings: no lens in the folder")
	}
	return lenses, nil
}

// Find is the lens called name among lenses, or nil.
func Find(lenses []*Lens, name string) *Lens {
	for _, l := range lenses {
		if l.name == name {
			return l
		}
	}
	return nil
}

func readFile(folder fs.FS, name string) (*file, error) {
	data, err := fs.ReadFile(folder, name)
	if err != nil {
		return nil, fmt.Errorf("mappings: %w", err)
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	f := &file{}
	if err := dec.Decode(f); err != nil {
		return nil, fmt.Errorf("mappings: %s: %w", name, err)
	}
	if err := dec.Decode(&file{}); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("mappings: %s: one document a file", name)
	}
	return f, nil
}

// merge adds what a fragment holds.
func (f *file) merge(fragment *file) error {
	for _, m := range []struct{ to, from *map[string]string }{
		{&f.Authorities, &fragment.Authorities}, {&f.Systems, &fragment.Systems},
	} {
		for k, v := range *m.from {
			if *m.to == nil {
				*m.to = map[string]string{}
			}
			if old, there := (*m.to)[k]; there && old != v {
				return fmt.Errorf("%s is said twice", k)
			}
			(*m.to)[k] = v
		}
	}
	for k, v := range fragment.Maps {
		if f.Maps == nil {
			f.Maps = map[string]*fileMap{}
		}
		if f.Maps[k] != nil {
			return fmt.Errorf("map %s is said twice", k)
		}
		f.Maps[k] = v
	}
	f.Client = append(slices.Clone(fragment.Client), f.Client...)
	f.Ignored = append(f.Ignored, fragment.Ignored...)
	if f.Zone == "" {
		f.Zone = fragment.Zone
	}
	return nil
}
