package auth

import (
	"errors"
	"fmt"
	"regexp"
	"sort"
	"strings"

	"sotesilta/gateway/exchange"
)

// rights is a set of the SMART v2 interactions create, read, update, delete, search.
type rights uint8

const (
	rightC rights = 1 << iota
	rightR
	rightU
	rightD
	rightS
)

var rightLetters = [...]struct {
	right  rights
	letter byte
}{{rightC, 'c'}, {rightR, 'r'}, {rightU, 'u'}, {rightD, 'd'}, {rightS, 's'}}

func (r rights) String() string {
	var b strings.Builder
	for _, l := range rightLetters {
		if r&l.right != 0 {
			b.WriteByte(l.letter)
		}
	}
	return b.String()
}

// scopes is a set of SMART v2 system scopes: rights by resource type, "*" for all types.
type scopes map[string]rights

const (
	maxScopes    = 200
	maxScopeText = 8 << 10
)

// scopeForm is SMART App Launch 2.2 § 3.0.2 "FHIR resource scopes": the interactions come in the order c, r, u, d, s.
var (
	scopeForm = regexp.MustCompile(`^system/(\*|[A-Z][A-Za-z]{1,63})\.(c?r?u?d?s?)$`)
	v1Form    = regexp.MustCompile(`^system/(\*|[A-Z][A-Za-z]{1,63})\.(read|write|\*)$`)
)

// parseScopes reads scopes separated by spaces. v1 scopes (.read, .write) are refused with the v2 form to use: we do
// not announce permission-v1. Scopes with search parameters (?category=…) are refused as well: granting them without
// the narrowing would give more than was asked.
func parseScopes(text string) (scopes, error) {
	if len(text) > maxScopeText {
		return nil, errors.New("scope is too long")
	}
	words := strings.Fields(text)
	if len(words) > maxScopes {
		return nil, fmt.Errorf("scope has more than %d scopes", maxScopes)
	}
	set := scopes{}
	for _, word := range words {
		m := scopeForm.FindStringSubmatch(word)
		switch {
		case m != nil && m[2] != "":
			for _, l := range rightLetters {
				if strings.IndexByte(m[2], l.letter) >= 0 {
					set[m[1]] |= l.right
				}
			}
		case v1Form.MatchString(word):
			return nil, errors.New("SMART v1 scopes are not supported: write .rs for .read, .cud for .write, .cruds for .*")
		case strings.HasPrefix(word, "system/") && strings.Contains(word, "?"):
			return nil, errors.New("scopes with search parameters are not supported")
		case strings.HasPrefix(word, "system/"):
			return nil, errors.New("a scope is system/Type.cruds, with some of the letters c, r, u, d, s in this order")
		default:
			return nil, errors.New("only system/ scopes are supported (SMART Backend Services)")
		}
	}
	return set, nil
}

// of is the rights on a type.
func (s scopes) of(typ string) rights { return s["*"] | s[typ] }

// and is what both allow.
func (s scopes) and(t scopes) scopes {
	out := scopes{}
	for _, set := range []scopes{s, t} {
		for typ := range set {
			if r := s.of(typ) & t.of(typ); r != 0 {
				out[typ] = r
			}
		}
	}
	for typ, r := range out {
		if typ == "*" {
			continue
		}
		if r &^= out["*"]; r == 0 {
			delete(out, typ)
		} else {
			out[typ] = r
		}
	}
	return out
}

// String is the scopes in a fixed order.
func (s scopes) String() string {
	words := make([]string, 0, len(s))
	for typ, r := range s {
		words = append(words, "system/"+typ+"."+r.String())
	}
	sort.Strings(words)
	return strings.Join(words, " ")
}

// interactionRights is the rights an interaction needs, any one of them. What is not here is never allowed.
var interactionRights = map[exchange.Interaction]rights{
	exchange.Read:          rightR,
	exchange.VRead:         rightR,
	exchange.History:       rightR,
	exchange.Search:        rightS,
	exchange.HistoryType:   rightR,
	exchange.HistorySystem: rightR,
	exchange.Everything:    rightR,
	exchange.Export:        rightR,
	exchange.Create:        rightC,
	exchange.Update:        rightU,
	exchange.Patch:         rightU,
	exchange.Delete:        rightD,
	exchange.Match:         rightS | rightR,
	exchange.Apply:         rightC,
	exchange.Receive:       rightC,
	exchange.Notify:        rightR,

	exchange.DisclosureReport: rightR,
}

// operationTypes is the type whose rights an operation needs, whatever type it is called on: $apply makes a CarePlan,
// $match answers a Patient.
var operationTypes = map[exchange.Interaction]string{
	exchange.Apply: "CarePlan",
	exchange.Match: "Patient",
}

// allows says whether the scopes allow the interaction on the type at all.
func (s scopes) allows(typ string, i exchange.Interaction) bool {
	if t, ok := operationTypes[i]; ok {
		typ = t
	}
	return s.of(typ)&interactionRights[i] != 0
}
