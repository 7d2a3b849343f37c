package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// valueSet is what of a ValueSet its expansion needs.
type valueSet struct {
	Compose struct{ Include, Exclude []include }
}

type include struct {
	System   string
	Concept  []struct{ Code string }
	Filter   []filter
	ValueSet []string
}

type filter struct{ Property, Op, Value string }

// codeSystem is a CodeSystem; Content tells whether it lists all its codes.
type codeSystem struct {
	Content string
	Concept []concept
}

type concept struct {
	Code     string
	Concept  []concept
	Property []struct {
		Code         string
		ValueCode    string
		ValueString  string
		ValueBoolean *bool
	}
}

// codes are the codes of one system in a value set.
type codes struct {
	list map[string]bool
	open bool // not enumerable offline: any code of the system
}

// errUndefined says that a value set is not in the package: the one case is a LOINC answer list.
var errUndefined = errors.New("not defined in the package")

type expansion map[string]*codes

func (x expansion) system(name string) *codes {
	if x[name] == nil {
		x[name] = &codes{list: map[string]bool{}}
	}
	return x[name]
}

// expand lists the codes of a value set (FHIR R4 § 4.9.8). within holds the value sets being expanded.
func (d *definitions) expand(url string, within []string) (expansion, error) {
	url, _, _ = strings.Cut(url, "|")
	if slices.Contains(within, url) {
		return nil, fmt.Errorf("value set %s includes itself", url)
	}
	vs := d.valueSets[url]
	if vs == nil {
		return nil, fmt.Errorf("value set %s: %w", url, errUndefined)
	}
	out := expansion{}
	for _, inc := range vs.Compose.Include {
		part, err := d.include(inc, append(within, url))
		if err != nil {
			return nil, err
		}
		for system, c := range part {
			all := out.system(system)
			all.open = all.open || c.open
			for code := range c.list {
				all.list[code] = true
			}
		}
	}
	for _, exc := range vs.Compose.Exclude {
		part, err := d.include(exc, append(within, url))
		if err != nil {
			return nil, err
		}
		for system, c := range part {
			for code := range c.list {
				delete(out.system(system).list, code)
			}
		}
	}
	return out, nil
}

// include lists the codes that one include takes: what its system gives and all its value sets have too.
func (d *definitions) include(inc include, within []string) (expansion, error) {
	var out expansion
	if inc.System != "" {
		out = expansion{inc.System: d.codes(inc)}
	}
	for _, url := range inc.ValueSet {
		part, err := d.expand(url, within)
		if err != nil {
			return nil, err
		}
		if out == nil {
			out = part
			continue
		}
		for system, c := range out {
			other := part[system]
			switch {
			case other == nil:
				delete(out, system)
			case c.open:
				out[system] = other
			case !other.open:
				for code := range c.list {
					if !other.list[code] {
						delete(c.list, code)
					}
				}
			}
		}
	}
	return out, nil
}

// codes lists the codes of a system that an include takes.
func (d *definitions) codes(inc include) *codes {
	out := &codes{list: map[string]bool{}}
	for _, c := range inc.Concept {
		out.list[c.Code] = true
	}
	if len(inc.Concept) > 0 {
		return out
	}
	cs := d.codeSystems[inc.System]
	if cs == nil || cs.Content != "complete" {
		out.open = true
		return out
	}
	parents := map[string][]string{}
	var all []concept
	var walk func(list []concept, parent string)
	walk = func(list []concept, parent string) {
		for _, c := range list {
			all = append(all, c)
			if parent != "" {
				parents[c.Code] = append(parents[c.Code], parent)
			}
			for _, p := range c.Property {
				if p.Code == "subsumedBy" || p.Code == "parent" {
					parents[c.Code] = append(parents[c.Code], p.ValueCode)
				}
			}
			walk(c.Concept, c.Code)
		}
	}
	walk(cs.Concept, "")
	for _, c := range all {
		takes := true
		for _, f := range inc.Filter {
			ok, known := f.takes(c, parents)
			if !known {
				out.open = true
				return out
			}
			takes = takes && ok
		}
		if takes {
			out.list[c.Code] = true
		}
	}
	return out
}

// takes tells whether a concept passes the filter; known is false of an operator that is not foreseen.
func (f filter) takes(c concept, parents map[string][]string) (ok, known bool) {
	switch f.Op {
	case "is-a":
		return c.Code == f.Value || below(c.Code, f.Value, parents, 0), true
	case "descendent-of":
		return below(c.Code, f.Value, parents, 0), true
	case "is-not-a":
		return c.Code != f.Value && !below(c.Code, f.Value, parents, 0), true
	case "=":
		for _, p := range c.Property {
			if p.Code == f.Property {
				if p.ValueBoolean != nil {
					return fmt.Sprint(*p.ValueBoolean) == f.Value, true
				}
				return p.ValueCode == f.Value || p.ValueString == f.Value, true
			}
		}
		return false, true
	case "regex":
		re, err := regexp.Compile("^(?:" + f.Value + ")$")
		if err != nil || f.Property != "code" {
			return false, false
		}
		return re.MatchString(c.Code), true
	}
	return false, false
}

func below(code, ancestor string, parents map[string][]string, depth int) bool {
	if depth > 32 { // the longest chain in the official code systems is far shorter
		return false
	}
	for _, p := range parents[code] {
		if p == ancestor || below(p, ancestor, parents, depth+1) {
			return true
		}
	}
	return false
}
