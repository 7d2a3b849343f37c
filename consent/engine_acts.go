package consent

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
)

// A human's act is an exchange that no machine starts: a person of the unit that holds data decides on them, names the
// ground with its limb and facts, says why, and to whom. The engine decides whether the law knows such an act; that the
// facts are so is the person's assertion, recorded with the decision and never inferred.

// acting says whether an action is a human's act, with an assertion of its own.
func acting(a Action) bool { return a == Ask || a == Disclose || a == Correct }

// FactLimb is the member of Assertion.Facts that holds the limb (alakohta) of a ground that has several.
const FactLimb = "limb"

// Obligations that a policy may lay on its exchanges (@obligations).
const (
	Inform  = "inform"  // the client is told (812/2000 § 12.2; 703/2023 § 64)
	Confirm = "confirm" // the use of specially protected data is confirmed (703/2023 § 26.2)
	Source  = "source"  // the recipient records where the data came from and on what provision (703/2023 § 39)
	Onward  = "onward"  // the recipient keeps them secret, for this purpose only (703/2023 § 48)
)

var (
	obligations     = []string{Inform, Confirm, Source, Onward}
	everyDisclosure = []string{Source, Onward}
)

// owes is what an exchange on the row owes.
func (p *policy) owes(disclosure bool) []string {
	if disclosure {
		return p.disclosing
	}
	return p.obligations
}

// passes says whether bans do not touch the row: where the law is silent and a human decides, the act is that decision.
func (p *policy) passes(req *Request) bool {
	return p.bans == banPasses || p.bans == banHuman && req.Action == Disclose
}

// gathered joins two lists; it shares the first that is not empty, because nobody appends to it in place.
func gathered(all, more []string) []string {
	if len(all) == 0 {
		return more
	}
	return merge(all, more)
}

// discloses says whether the policy permits a human's disclosure.
func (p *policy) discloses() bool {
	scope, ok := (*ast.Policy)(p.cedar.AST()).Action.(ast.ScopeTypeEq)
	return ok && p.cedar.Effect() == cedar.Permit && scope.Entity == actionUID(Disclose)
}

// acts says whether the policy permits a human's disclosure, or the mending of a mistake.
func (p *policy) acts() bool {
	scope, ok := (*ast.Policy)(p.cedar.AST()).Action.(ast.ScopeTypeEq)
	return ok && p.cedar.Effect() == cedar.Permit && (scope.Entity == actionUID(Disclose) || scope.Entity == actionUID(Correct))
}

// OwnView says whether the log report of the own view shows an exchange for a purpose that rested on these rows. 703/2023
// § 74.2 lets log data be shown there; § 11.2, 621/1999 § 11.2 and 1050/2018 § 34 keep back what would endanger somebody or
// the investigation of a crime, and that is a person's to weigh. So without an answer to O13 the view leaves out what rests on
// a row with @own_view, and of a human's acts whatever is not the act itself: the reading, the Tasks and the attempts would
// tell of it. The report on request (§ 11), which a person makes, has them all.
func (e *Engine) OwnView(purpose Purpose, bases []Basis) bool {
	if e.switches["O13"] != "withheld" {
		return true
	}
	of := func(rows map[string]bool) bool {
		return slices.ContainsFunc(bases, func(b Basis) bool { return rows[b.ID] })
	}
	return !of(e.law.kept) && (purpose != StatutoryAct || of(e.law.acts))
}

// acts are the words of acts.yaml.
type acts struct {
	facts, kinds map[string]Code
	limbs        map[string]map[string]Code // by ground
	fact, reason Wording
}

// Acts are the words in which humans assert what an act rests on, for CodeSystems and for people.
type Acts struct {
	Facts      []Code // CodeSystem disclosure-fact
	Recipients []Code // CodeSystem recipient-kind
	Limbs      []Code // CodeSystem disclosure-limb; Source is the ground
	Reason     Wording
}

// ActLists gives the words of consent/bases/acts.yaml.
func ActLists() (Acts, error) {
	files, err := readFiles(lawFiles, "bases")
	if err != nil {
		return Acts{}, err
	}
	a, err := readActs(files)
	if err != nil {
		return Acts{}, err
	}
	limbs := map[string]Code{}
	for _, ground := range slices.Sorted(maps.Keys(a.limbs)) {
		for limb, code := range a.limbs[ground] {
			if known, double := limbs[limb]; double {
				code.Source = known.Source + "; " + code.Source
				if known.Fi != code.Fi {
					code.Fi, code.En = known.Fi+" / "+code.Fi, known.En+" / "+code.En
				}
			}
			limbs[limb] = code
		}
	}
	return Acts{sorted(a.facts), sorted(a.kinds), sorted(limbs), a.reason}, nil
}

func readActs(files map[string][]byte) (acts, error) {
	var written struct {
		Facts      map[string]Code            `yaml:"facts"`
		Recipients map[string]Code            `yaml:"recipients"`
		Limbs      map[string]map[string]Code `yaml:"limbs"`
		Texts      struct {
			Fact   Wording `yaml:"fact"`
			Reason Wording `yaml:"reason"`
		} `yaml:"texts"`
	}
	if err := strictYAML(files, "acts.yaml", &written); err != nil {
		return acts{}, err
	}
	lists := map[string]map[string]Code{"facts": written.Facts, "recipients": written.Recipients}
	for ground, limbs := range written.Limbs {
		lists["limbs of "+ground] = limbs
	}
	for list, m := range lists {
		for name, code := range m {
			if code.Fi == "" || code.En == "" || code.Source == "" {
				return acts{}, fmt.Errorf("%s: %s: %s lacks fi, en or source", keyed("acts.yaml", files, name, ""), list, name)
			}
			code.Code = name
			m[name] = code
		}
	}
	for name, w := range map[string]Wording{"fact": written.Texts.Fact, "reason": written.Texts.Reason} {
		if w.Signs < 0 || w.Different < 0 || w.Different > w.Signs {
			return acts{}, fmt.Errorf("%s: texts: %s asks for more different signs than signs, or for less than none", keyed("acts.yaml", files, name, ""), name)
		}
	}
	return acts{
		facts: written.Facts, kinds: written.Recipients, limbs: written.Limbs, fact: written.Texts.Fact, reason: written.Texts.Reason,
	}, nil
}

// check refuses policies that ask for a word that acts.yaml does not have: nobody could assert it.
func (a *acts) check(l *law) error {
	for _, s := range l.slices {
		for _, p := range append(slices.Clone(s.permits), s.forbids...) {
			for i := 1; i < len(p.clauses); i++ { // the first says which case it is, in words of several lists
				if list := a.list(&p.clauses[i], p.basis.ID); list != nil {
					for _, word := range p.clauses[i].words {
						if _, known := list[word]; !known && word != "" {
							return fmt.Errorf("consent/bases: %s: %s %q is not in acts.yaml", p.id, p.clauses[i].about, word)
						}
					}
				}
			}
		}
	}
	return nil
}

// list is the words that a clause chooses from; nil when it is not about such words.
func (a *acts) list(c *clause, ground string) map[string]Code {
	switch c.about {
	case "facts":
		return a.facts
	case "recipientKind":
		return a.kinds
	case "limb":
		if a.limbs[ground] == nil {
			return map[string]Code{}
		}
		return a.limbs[ground]
	}
	return nil
}

// actKey is what the policies see of an act: words of acts.yaml only, so that rulings on acts are bounded too.
type actKey struct {
	limb, kind string
	facts      string // names of the facts told, sorted, separated by spaces
}

func (k actKey) set() cedar.Set {
	var values []cedar.Value
	for name := range strings.FieldsSeq(k.facts) {
		values = append(values, cedar.String(name))
	}
	return cedar.NewSet(values...)
}

func (a *acts) key(e *Engine, req *Request) actKey {
	var k actKey
	if limb := req.Assertion.Facts[FactLimb]; limb != "" {
		k.limb = "other"
		if _, known := a.limbs[req.Assertion.Ground][limb]; known {
			k.limb = limb
		}
	}
	var told []string
	for name, text := range req.Assertion.Facts {
		if _, known := a.facts[name]; known && a.fact.Told(text) {
			told = append(told, name)
		}
	}
	slices.Sort(told)
	k.facts = strings.Join(told, " ")
	k.kind = e.kindOf(&req.Invitee)
	return k
}

// kindOf is what sort of recipient somebody is: of a registered one by the registration, never by anybody's word.
func (e *Engine) kindOf(to *Invitee) string {
	if to.Controller == "" {
		if _, known := e.acts.kinds[to.Kind]; known {
			return to.Kind
		}
		return ""
	}
	of := "private-"
	if e.public[to.Controller] {
		of = "public-"
	}
	switch to.Register {
	case Health, Social:
		return of + string(to.Register)
	}
	return ""
}

// registerOf is the sector that a kind of recipient works in: health, social, or "" for all others.
func registerOf(kind string) Register {
	for _, r := range []Register{Health, Social} {
		if strings.HasSuffix(kind, "-"+string(r)) {
			return r
		}
	}
	return ""
}

// literals are the texts in a clause, as Cedar's JSON has them.
var literals = regexp.MustCompile(`"Value":"([^"\\]*)"`)

// demand says what a ground asks of a human who acts on it and was not given.
func (e *Engine) demand(failed []failure, w *weighing, req *Request) string {
	if !acting(req.Action) {
		return ""
	}
	ground := req.Assertion.Ground
	if ground == "" {
		return "The act names no ground."
	}
	var limbs []string
	of := ""
	for _, f := range failed {
		if f.policy.basis.ID != ground {
			continue
		}
		of = ground + " (" + f.policy.basis.Citation + ") "
		switch f.clause.about {
		case "limb": // another limb may be the one that is meant
			limbs = append(limbs, f.clause.words...)
		case "facts":
			return of + "needs " + f.clause.asks("the facts ") + "." + e.acts.untold(f.clause.words, req)
		case "recipientKind":
			return of + "gives a right to disclose to none but: " + strings.Join(f.clause.words, ", ") + "."
		case "reasoned":
			return of + "needs a reason, told in the person's own words: " + e.acts.reason.String() + "."
		case "minor":
			return of + "does not speak of this client: " + said[f.clause.text] + "."
		case "task":
			return of + "is for who works in one of the tasks " + strings.Join(f.clause.tasks(), ", ") + " (457/2024 §§ 3 and 10), and reaches these data in it."
		default:
			return ""
		}
	}
	if of != "" {
		return of + "needs its limb: one of " + strings.Join(limbs, ", ") + "."
	}
	switch row := e.law.row(ground); {
	case len(e.law.slice(req.Actor.Kind, req.Action, req.Purpose).permits) == 0:
		return "Only a professional acts on a ground of law, with the purpose_of_use statutory-act."
	case row == nil || !slices.Contains(e.law.grounds, ground) && req.Action == Disclose:
		return ground + " is no ground on which a person discloses. Such grounds are " + strings.Join(e.law.grounds, ", ") + "."
	default:
		return ground + " (" + row.basis.Citation + ") does not speak of these data of the register " + string(w.class.Register) + "."
	}
}

// caps says whether the limit is one of what a task of decree 457/2024 reaches.
func (p *policy) caps() bool {
	return slices.ContainsFunc(p.clauses, func(c clause) bool { return strings.Contains(c.text, "principal.task") })
}

// untold says which of the facts asked for were told with nothing in them.
func (a *acts) untold(names []string, req *Request) string {
	var empty []string
	for _, name := range names {
		if text := req.Assertion.Facts[name]; text != "" && !a.fact.Told(text) {
			empty = append(empty, name)
		}
	}
	if len(empty) == 0 {
		return ""
	}
	return " What was told of " + strings.Join(empty, ", ") + " does not count: a fact is " + a.fact.String() + "."
}

// asks says which words a clause wants: all of them, or one.
func (c *clause) asks(what string) string {
	if strings.Contains(c.text, "containsAll") || len(c.words) == 1 {
		return what + strings.Join(c.words, ", ")
	}
	return "one of " + what + strings.Join(c.words, ", ")
}

// limited says which limit stops a human's act, where the limit speaks of the data and not of the client's will.
func (e *Engine) limited(forbids []*policy, req *Request) string {
	if !acting(req.Action) {
		return ""
	}
	for _, f := range forbids {
		switch {
		case f.ban:
			return ""
		case f.caps():
			return f.basis.ID + " (" + f.basis.Citation + "): the task " + nonempty(req.Actor.Task, "that is not known") + " does not reach these data."
		case slices.Contains(f.obligations, Confirm):
			return f.basis.ID + " (" + f.basis.Citation + "): specially protected data need a confirmation: assert confirm, and tell the reason."
		}
	}
	if len(forbids) > 0 {
		return forbids[0].basis.ID + " (" + forbids[0].basis.Citation + "): these data are never disclosed to this recipient."
	}
	return ""
}
