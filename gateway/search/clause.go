package search

import (
	"slices"
	"strconv"
	"strings"

	"sotesilta/internal/fhir"
)

// clause understands a filter of typ: a parameter with its modifier, a chain, or _has. hops are the references
// followed to come here.
func (p *parser) clause(typ, name, value string, hops int) (Clause, *fault) {
	if p.clauses++; p.clauses > MaxClauses {
		return Clause{}, costly("The search has more than " + strconv.Itoa(MaxClauses) + " conditions; name the target types of its chains.")
	}
	if rest, ok := strings.CutPrefix(name, "_has:"); ok {
		return p.has(typ, name, rest, value, hops)
	}
	if head, tail, ok := strings.Cut(name, "."); ok {
		return p.chain(typ, name, head, tail, value, hops)
	}
	if name == "_list" {
		return p.list(typ, name, value, hops)
	}
	code, modifier, _ := strings.Cut(name, ":")
	param := Lookup(typ, code)
	if param == nil {
		if text := refusals[code]; text != "" {
			return Clause{}, &fault{code: "not-supported", unknown: true, text: text}
		}
		return Clause{}, p.unknown(typ, code)
	}
	if param.Type == Texts && hops > 0 {
		return Clause{}, unsupported(p.label(name) + " is asked of what is searched, not in a chain or _has.")
	}
	return p.comparison(typ, param, modifier, name, value)
}

func (p *parser) unknown(typ, name string) *fault {
	return &fault{
		code: "not-supported", unknown: true,
		text: typ + " has no search parameter called " + p.label(name) + " here; GET metadata lists the supported ones.",
	}
}

// refusals are search parameters of R4 that are refused with a word of their own.
var refusals = map[string]string{
	"_filter":        "_filter is not supported; ask with search parameters, chains and _has.",
	"_query":         "_query is not supported: there are no named queries.",
	"_contained":     "_contained is not supported: contained resources are found with those that contain them.",
	"_containedType": "_containedType is not supported: contained resources are found with those that contain them.",
}

// list understands _list=id: what the List of that id names as its items, for who may see the List (FHIR R4
// § 3.1.1.4.15). The functional lists, as $current-allergies, are not kept.
func (p *parser) list(typ, name, value string, hops int) (Clause, *fault) {
	if strings.HasPrefix(value, "$") {
		return Clause{}, unsupported("_list takes the id of a List; the functional lists are not kept.")
	}
	if hops == MaxDepth {
		return Clause{}, tooDeep(name)
	}
	where, f := p.clause("List", "_id", value, hops+1)
	if f != nil {
		return Clause{}, f
	}
	return Clause{Has: &Has{Type: "List", Param: Lookup("List", "item"), Where: where}}, nil
}

// has understands _has:Type:reference:parameter (FHIR R4 § 3.1.1.4.5, reverse chaining).
func (p *parser) has(typ, name, rest, value string, hops int) (Clause, *fault) {
	parts := strings.SplitN(rest, ":", 3)
	if len(parts) != 3 || parts[2] == "" {
		return Clause{}, invalid(p.label(name) + " must be written _has:Type:reference:parameter.")
	}
	if hops == MaxDepth {
		return Clause{}, tooDeep(p.label(name))
	}
	param := Lookup(parts[0], parts[1])
	if param == nil {
		if !fhir.IsResource(parts[0]) {
			return Clause{}, unsupported(p.label(name) + " names no resource type.")
		}
		return Clause{}, p.unknown(parts[0], parts[1])
	}
	if param.Type != Reference || !slices.Contains(param.Targets, typ) {
		return Clause{}, invalid(parts[0] + "." + parts[1] + " never points to " + typ + ".")
	}
	where, f := p.clause(parts[0], parts[2], value, hops+1)
	if f != nil {
		return Clause{}, f
	}
	return Clause{Has: &Has{Type: parts[0], Param: param, Where: where}}, nil
}

func tooDeep(name string) *fault {
	return costly(name + " follows more than " + strconv.Itoa(MaxDepth) + " references.")
}

// chain understands reference.parameter and reference:Type.parameter (FHIR R4 § 3.1.1.4.5, chained parameters).
// Without a type it means every target type that knows the parameter.
func (p *parser) chain(typ, name, head, tail, value string, hops int) (Clause, *fault) {
	code, target, typed := strings.Cut(head, ":")
	param := Lookup(typ, code)
	if param == nil {
		return Clause{}, p.unknown(typ, code)
	}
	switch {
	case param.Type != Reference:
		return Clause{}, invalid(typ + "." + code + " is not a reference, so nothing can be chained to it.")
	case hops == MaxDepth:
		return Clause{}, tooDeep(p.label(name))
	case typed && !slices.Contains(param.Targets, target):
		return Clause{}, invalid(typ + "." + code + " never points to the type named in " + p.label(name) + ".")
	}
	types := []string{target}
	if !typed {
		types = knowing(param.Targets, tail)
		switch {
		case len(types) == 0:
			return Clause{}, &fault{
				code: "not-supported", unknown: true,
				text: "No type that " + typ + "." + code + " points to has the search parameter chained in " + p.label(name) + "; GET metadata lists the supported ones.",
			}
		case len(types) > MaxBranches:
			return Clause{}, costly(p.label(name) + " may point to too many types; name one, as in " + code + ":Patient.")
		}
	}
	chain := &Chain{Branches: make(map[string]Clause, len(types))}
	var first *fault
	for _, t := range types {
		where, f := p.clause(t, tail, value, hops+1)
		if f != nil {
			if f.code == "too-costly" {
				return Clause{}, f
			}
			if first == nil || first.unknown {
				first = f
			}
			continue
		}
		chain.Types = append(chain.Types, t)
		chain.Branches[t] = where
	}
	if len(chain.Types) == 0 {
		return Clause{}, first
	}
	return Clause{Param: param, Chain: chain}, nil
}

// knowing are the types that know the first parameter of a chain's tail.
func knowing(types []string, tail string) []string {
	first, _, _ := strings.Cut(tail, ".")
	first, _, _ = strings.Cut(first, ":")
	var out []string
	for _, t := range types {
		if first == "_has" || Lookup(t, first) != nil {
			out = append(out, t)
		}
	}
	return out
}

// comparison understands the values of a parameter: alternatives between commas (FHIR R4 § 3.1.1.4.16).
func (p *parser) comparison(typ string, param *Param, modifier, name, value string) (Clause, *fault) {
	c := Clause{Param: param, Modifier: modifier}
	v := valueReader{param: param, opt: &p.opt, modifier: modifier, versions: typ == "AuditEvent" && param.Name == "entity"}
	switch {
	case modifier == "" && !strings.HasSuffix(name, ":"):
	case param.Type == Reference && slices.Contains(param.Targets, modifier):
		v.modifier, v.target = "", modifier
		c.Modifier = ""
	case modifier == ofType && tables()[typ].ofType[param] != nil:
		c.Param, c.Modifier = tables()[typ].ofType[param], ""
	case own(param.Name) || !slices.Contains(modifiers[param.Type], modifier):
		return Clause{}, unsupported("The modifier in " + p.label(name) + " is not supported; GET metadata lists the supported ones.")
	}
	if meant, resolved := resolvedModifiers[resolving{param.Type, modifier}]; resolved {
		c.Modifier = meant
	}
	alternatives, ok := split(value, ',')
	if !ok {
		return Clause{}, invalid("The value of " + p.label(name) + ` is invalid: a backslash escapes only a comma, $, | or \.`)
	}
	if p.values += len(alternatives); p.values > MaxValues {
		return Clause{}, costly("A search has at most " + strconv.Itoa(MaxValues) + " values.")
	}
	c.Values = make([]Value, 0, len(alternatives))
	for _, alternative := range alternatives {
		if alternative == "" {
			return Clause{}, invalid("The search parameter " + p.label(name) + " has an empty value.")
		}
		if len(alternative) > MaxValueLength {
			return Clause{}, &fault{code: "too-long", text: "A value of " + p.label(name) + " is longer than " + strconv.Itoa(MaxValueLength) + " bytes."}
		}
		if meant, f := p.meant(v, name, alternative); f != nil {
			return Clause{}, f
		} else if meant != nil {
			c.Values = append(c.Values, meant...)
			continue
		}
		parsed, why := v.read(alternative)
		if why != "" {
			return Clause{}, invalid("The value of " + p.label(name) + " is invalid: " + why + ".")
		}
		if parsed.Words != nil {
			if p.words += parsed.Words.count(); p.words > MaxWords {
				return Clause{}, costly("A search asks for at most " + strconv.Itoa(MaxWords) + " words of texts.")
			}
		}
		c.Values = append(c.Values, parsed)
	}
	if c.Modifier == "missing" && len(c.Values) != 1 {
		return Clause{}, invalid("The value of " + p.label(name) + " is invalid: it must be true or false.")
	}
	return c, nil
}

// split cuts s at each unescaped separator and leaves the escapes as they are; ok is false for an escape that
// FHIR does not know (FHIR R4 § 3.1.1.4.16).
func split(s string, separator byte) (parts []string, ok bool) {
	start := 0
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\':
			if i++; i == len(s) || strings.IndexByte(`,$|\`, s[i]) < 0 {
				return nil, false
			}
		case s[i] == separator:
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	return append(parts, s[start:]), true
}

// unescape takes the escapes out of a text that split has seen.
func unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
