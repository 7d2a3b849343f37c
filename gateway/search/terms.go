package search

import (
	"slices"
	"strconv"
	"strings"
)

// Terms answers what code systems and value sets mean, of those that are held here.
type Terms interface {
	// Members are the codes of a value set by its canonical URL; false when it is not terms.
	Members(valueSet string) ([]Code, bool)
	// Below are the codes that a code of a system subsumes, itself included; Above those that subsume it. false when the
	// system is not held, or has no such code.
	Below(system, code string) ([]Code, bool)
	Above(system, code string) ([]Code, bool)
}

// Code is a code of a system.
type Code struct{ System, Code string }

// Concept is what a code system, by its name and version, says of a code.
type Concept struct{ Name, Version, Display, Definition string }

// resolving is a modifier that stands for values: FHIR R4 § 3.1.1.4.5.
type resolving struct {
	typ      ParamType
	modifier string
}

// resolvedModifiers are the modifiers whose values are resolved when the search is read, and what is left for the store.
var resolvedModifiers = map[resolving]string{
	{Token, "in"}: "", {Token, "not-in"}: "not", {Token, "above"}: "", {Token, "below"}: "", {URI, "above"}: "",
}

// meant are the values that a value with a modifier stands for; nil when it stands for itself.
func (p *parser) meant(v valueReader, name, alternative string) ([]Value, *fault) {
	if _, resolved := resolvedModifiers[resolving{v.param.Type, v.modifier}]; !resolved {
		return nil, nil
	}
	if v.param.Type == URI {
		return pathsAbove(p.label(name), unescape(alternative))
	}
	terms := p.opt.Terms
	var codes []Code
	ok := false
	switch v.modifier {
	case "in", "not-in":
		if terms != nil {
			codes, ok = terms.Members(unescape(alternative))
		}
	default:
		token, why := v.token(alternative)
		if why != "" || token.System == "" || token.Code == "" {
			return nil, invalid("The value of " + p.label(name) + " is invalid: it must be system|code.")
		}
		switch {
		case terms == nil:
		case v.modifier == "below":
			codes, ok = terms.Below(token.System, token.Code)
		default:
			codes, ok = terms.Above(token.System, token.Code)
		}
	}
	if !ok {
		return nil, unsupported("The value of " + p.label(name) + " names a code system or value set that is not held here.")
	}
	if p.values += len(codes); p.values > MaxValues {
		return nil, costly("The value of " + p.label(name) + " stands for too many codes; a search has at most " + strconv.Itoa(MaxValues) + " values.")
	}
	values := make([]Value, len(codes))
	for i, c := range codes {
		values[i] = Value{System: c.System, Code: c.Code, SystemSet: true}
	}
	if len(values) == 0 { // an empty value set: no code is in it
		values = append(values, Value{System: nothing, Code: nothing, SystemSet: true})
	}
	return values, nil
}

// nothing is a code and a system that no resource has: white space is in neither.
const nothing = " "

// pathsAbove are a URL and those above it, by the segments of its path.
func pathsAbove(label, url string) ([]Value, *fault) {
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok {
		return nil, invalid("The value of " + label + " is invalid: above and below are of URLs, which have a path.")
	}
	values := []Value{{Text: url}}
	for {
		cut := strings.LastIndexByte(rest, '/')
		if cut < 0 {
			break
		}
		for _, text := range []string{rest[:cut+1], rest[:cut]} {
			if above := scheme + "://" + text; !slices.ContainsFunc(values, func(v Value) bool { return v.Text == above }) {
				values = append(values, Value{Text: above})
			}
		}
		rest = rest[:cut]
	}
	if len(values) > MaxBranches*4 {
		return nil, costly("The value of " + label + " has too many segments.")
	}
	return values, nil
}
