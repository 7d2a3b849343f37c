package mappings

import (
	"fmt"
	"slices"
	"sort"
	"time"

	"sotesilta/internal/fhir"
)

// compile checks a lens file and makes it ready.
func compile(f *file) (*Lens, error) {
	l := &Lens{
		name: f.Lens, version: f.Version, message: f.Message, maps: map[string]*codeMap{},
		in: f.Direction != "out", out: f.Direction != "in",
	}
	switch {
	case f.Version == "":
		return nil, fmt.Errorf("%s: version is missing", f.Lens)
	case f.Direction != "in" && f.Direction != "out" && f.Direction != "both":
		return nil, fmt.Errorf("%s: direction is in, out or both", f.Lens)
	case f.Message.Type == "" || len(f.Message.Events) == 0:
		return nil, fmt.Errorf("%s: message.type and message.events are missing", f.Lens)
	case len(f.Resources) == 0:
		return nil, fmt.Errorf("%s: resources are missing", f.Lens)
	case l.out && (f.Message.Version == "" || len(f.Message.Segments) == 0):
		return nil, fmt.Errorf("%s: a lens that renders says message.version and message.segments", f.Lens)
	}
	var err error
	if l.zone, err = time.LoadLocation(f.Zone); err != nil || f.Zone == "" {
		return nil, fmt.Errorf("%s: zone is not the name of a time zone", f.Lens)
	}
	if l.authorities, err = twoWay("authorities", f.Authorities); err != nil {
		return nil, err
	}
	if l.systems, err = twoWay("systems", f.Systems); err != nil {
		return nil, err
	}
	for name, m := range f.Maps {
		if l.maps[name], err = compileMap(name, m); err != nil {
			return nil, err
		}
	}
	for _, e := range f.Message.Events {
		when, err := compileGuards(e.When)
		if err != nil {
			return nil, fmt.Errorf("event %s: %w", e.Event, err)
		}
		l.events = append(l.events, event{e.Event, when})
	}
	if l.client, err = l.compileRules(f.Client); err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	for _, r := range l.client {
		if r.at != nil && !slices.Contains(l.clients, r.at.segment) {
			l.clients = append(l.clients, r.at.segment)
		}
	}
	for _, r := range f.Resources {
		made := &resource{typ: r.Type}
		if !fhir.IsResource(r.Type) {
			return nil, fmt.Errorf("resources: %q is not a resource type", r.Type)
		}
		for _, p := range []struct {
			text string
			to   *path
		}{{r.Client, &made.client}, {r.Identity, &made.identity}} {
			if p.text == "" {
				continue
			}
			if *p.to, err = parsePath(p.text); err != nil {
				return nil, err
			}
		}
		if made.rules, err = l.compileRules(r.Rules); err != nil {
			return nil, fmt.Errorf("%s: %w", r.Type, err)
		}
		l.resources = append(l.resources, made)
	}
	for _, g := range f.Gather {
		p, err := parsePath(g)
		if err != nil {
			return nil, err
		}
		l.gather = append(l.gather, p)
	}
	for _, i := range f.Ignored {
		if i.Why == "" || (i.At == "") == (i.To == "") {
			return nil, fmt.Errorf("ignored: each names one place and why it is not carried")
		}
		compiled := ignored{element: i.To}
		if i.At != "" {
			if compiled.at, err = parseAt(i.At); err != nil {
				return nil, err
			}
		}
		l.ignored = append(l.ignored, compiled)
	}
	return l, nil
}

func (l *Lens) compileRules(rules []fileRule) ([]*rule, error) {
	var out []*rule
	for i, f := range rules {
		r, err := l.compileRule(f)
		if err != nil {
			return nil, fmt.Errorf("rule %d (at %q to %q): %w", i+1, f.At+f.Each, f.To, err)
		}
		out = append(out, r)
	}
	return out, nil
}

func (l *Lens) compileRule(f fileRule) (*rule, error) {
	r := &rule{
		codecName: f.Codec, system: f.System, value: f.Value, need: f.Need, each: f.Each != "",
		in: f.Only != "out", out: f.Only != "in",
	}
	if f.Only != "" && f.Only != "in" && f.Only != "out" {
		return nil, fmt.Errorf("only is in or out")
	}
	if place := f.At + f.Each; place != "" {
		a, err := parseAt(place)
		if err != nil {
			return nil, err
		}
		r.at = &a
	}
	if f.To != "" {
		p, err := parsePath(f.To)
		if err != nil {
			return nil, err
		}
		r.to = p
		r.outer, r.inner, r.list = p.split()
	}
	var err error
	if r.when, err = compileGuards(f.When); err != nil {
		return nil, err
	}
	names := make([]string, 0, len(f.As))
	for name := range f.As {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		p, err := parsePath(name)
		if err != nil {
			return nil, err
		}
		r.as = append(r.as, constant{p, f.As[name]})
	}
	if f.Map != "" {
		if r.codes = l.maps[f.Map]; r.codes == nil {
			return nil, fmt.Errorf("map %q is not defined", f.Map)
		}
	}
	switch {
	case r.each:
		if f.At != "" || !r.list || len(r.inner) > 0 || len(f.Rules) == 0 || f.Codec != "" || f.Value != "" {
			return nil, fmt.Errorf("each takes a list (to: element[]) and rules, nothing else")
		}
		if r.rules, err = l.compileRules(f.Rules); err != nil {
			return nil, err
		}
	case f.Value != "":
		if (r.at == nil) == (r.to == nil) || f.Codec != "" {
			return nil, fmt.Errorf("a value goes to one place, at or to, without codec")
		}
		r.in, r.out = r.in && r.to != nil, r.out && r.at != nil
	default:
		if r.at == nil || r.at.place.Field == 0 {
			return nil, fmt.Errorf("the rule names no field")
		}
		if r.codec = codecs[f.Codec]; r.codec == nil {
			return nil, fmt.Errorf("codec %q is not known", f.Codec)
		}
		if (r.to == nil) != (f.Codec == "ordinal") {
			return nil, fmt.Errorf("the rule names no element")
		}
		if (f.Codec == "code") != (r.codes != nil) {
			return nil, fmt.Errorf("the codec code and no other takes a map")
		}
	}
	if len(r.as) > 0 && !r.list {
		return nil, fmt.Errorf("as describes items of a list")
	}
	return r, nil
}

func compileGuards(guards []fileGuard) ([]guard, error) {
	var out []guard
	for _, f := range guards {
		g := guard{in: f.In, not: f.Not, starts: f.Starts, exists: f.Exists}
		if (f.At == "") == (f.To == "") || f.In == nil && f.Not == nil && f.Starts == "" && f.Exists == nil {
			return nil, fmt.Errorf("a guard names one place and one of in, not, starts, exists")
		}
		if f.At != "" {
			a, err := parseAt(f.At)
			if err != nil {
				return nil, err
			}
			g.at = &a
		} else {
			p, err := parsePath(f.To)
			if err != nil {
				return nil, err
			}
			g.to = p
		}
		out = append(out, g)
	}
	return out, nil
}

func twoWay(what string, names map[string]string) (table, error) {
	t := table{names, map[string]string{}}
	for name, uri := range names {
		if t.from[uri] != "" {
			return table{}, fmt.Errorf("%s: two names for %s", what, uri)
		}
		t.from[uri] = name
	}
	return t, nil
}
