package consent

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // laws come into force at midnight in Finland, also where the machine knows no time zones

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/schema"
	"github.com/cedar-policy/cedar-go/x/exp/schema/validate"
)

// reading is raised when the engine's own computing of circumstances changes what a policy means: the Go code that
// turns facts into circumstances is part of the law as applied, and so of Version.
const reading = "sotesilta-law-3"

// fileOrder is the order of the decision procedure: own register, joint documents and service, permits, statutory
// rights, then the rest. Bases of a decision come in this order, and within a file in the order of its policies.
var fileOrder = []string{
	"own-register.cedar", "joint.cedar", "permits.cedar", "statutory.cedar", "invitations.cedar", "consents.cedar", "human-acts.cedar",
	"persons.cedar", "reports.cedar", "limits.cedar",
}

// finnish is the clock by which laws come into force and people come of age.
var finnish = func() *time.Location {
	loc, err := time.LoadLocation("Europe/Helsinki")
	if err != nil {
		panic("consent: " + err.Error()) // the zone is compiled in
	}
	return loc
}()

// law is the policies of consent/bases, checked and compiled.
type law struct {
	slices map[sliceKey]*slice
	byID   map[string]*policy
	rows   []Row
	// grounds are the rows on which a human discloses, in the order of the files.
	grounds []string
	// acts are the rows of a human's act, kept those whose lines the own view leaves to a person (@own_view).
	acts, kept map[string]bool
	none       []noneRow
	days       []time.Time // when policies come into force or cease, earliest first
	all        []*policy   // in the order of the files
}

// epoch counts the days of law.days that have come: within one epoch the same policies are in force.
func (l *law) epoch(t time.Time) int {
	n := len(l.days)
	for n > 0 && t.Before(l.days[n-1]) {
		n--
	}
	return n
}

// sliceKey is what is known before any facts are: most policies fall away by it.
type sliceKey struct {
	kind    Kind
	action  Action
	purpose Purpose
}

// slice is the policies that can still apply.
type slice struct {
	permits, forbids policies
	answers          cedar.Set // to the open questions, such as O4=no
}

func (l *law) slice(kind Kind, action Action, purpose Purpose) *slice {
	if s := l.slices[sliceKey{kind, action, purpose}]; s != nil {
		return s
	}
	return &noLaw
}

var noLaw slice

func (l *law) row(id string) *policy { return l.byID[id] }

// banMode is what a ban does to a permit row.
type banMode uint8

const (
	banStops     banMode = iota // an applicable ban stops it: the default, also without annotation
	banPasses                   // bans do not touch it: use of one's own register, one's own data
	banDocuments                // only bans of single documents: the other sector's copy of a joint document
	banHuman                    // an open question: a human decides
)

// policy is one Cedar policy with what its annotations say.
type policy struct {
	id             cedar.PolicyID // unique: row id, file, line
	basis          Basis
	cedar          *cedar.Policy
	from, to       time.Time
	bans           banMode
	ban            bool    // it is the ban itself
	outcome        Outcome // permits: Permitted or NeedsHuman; forbids: Denied or NeedsHuman
	ofRelationship bool    // the basis is the row that the invitation rested on
	kept           bool    // the own view leaves its lines to a person
	fromPermit     bool    // it asks for a permit of the client
	obligations    []string
	disclosing     []string // obligations where the exchange is a disclosure
	clauses        []clause
	permitted      string // reason of a permit
}

// clause is one when or unless of a policy, compiled alone, so that a denial can say which failed.
type clause struct {
	test  *cedar.Policy // permits where the clause holds
	about string        // attribute that tells people what is missing; "" when none does
	words []string      // texts that it compares with, in its order
	text  string        // as written
}

func (p *policy) inForce(t time.Time) bool {
	return !t.Before(p.from) && (p.to.IsZero() || t.Before(p.to))
}

type policies []*policy

// satisfied evaluates the policies in force at t; any error is reported, because Cedar skips a policy that errs and a
// limit must not be skipped.
func (ps policies) satisfied(env *environment, t time.Time) ([]*policy, string) {
	if len(ps) == 0 {
		return nil, ""
	}
	var out []*policy
	run := run{policies: ps, at: t}
	_, diag := cedar.Authorize(&run, env, env.request)
	if len(diag.Errors) > 0 {
		first := diag.Errors[0]
		return nil, fmt.Sprintf("%s:%d: %s", first.Position.Filename, first.Position.Line, first.Message)
	}
	// Cedar names either the forbids or the permits that held; the lists here hold one effect each.
	if len(diag.Reasons) > 0 {
		out = make([]*policy, 0, len(diag.Reasons))
	}
	i := 0
	for _, reason := range diag.Reasons {
		for ps[i].id != reason.PolicyID {
			i++
		}
		out = append(out, ps[i])
	}
	return out, ""
}

// failures are the policies in force that speak of the case (their first clause holds) with the clause they fail on.
func (ps policies) failures(env *environment, t time.Time) []failure {
	var out []failure
	for _, p := range ps {
		if !p.inForce(t) {
			continue
		}
		for i := range p.clauses {
			if decision, _ := cedar.Authorize(single{p.clauses[i].test}, env, env.request); decision == cedar.Deny {
				if i > 0 {
					out = append(out, failure{p, &p.clauses[i]})
				}
				break
			}
		}
	}
	return out
}

// run iterates over the policies in force at a time.
type run struct {
	policies policies
	at       time.Time
}

func (r *run) All() iter.Seq2[cedar.PolicyID, *cedar.Policy] {
	return func(yield func(cedar.PolicyID, *cedar.Policy) bool) {
		for _, p := range r.policies {
			if p.inForce(r.at) && !yield(p.id, p.cedar) {
				return
			}
		}
	}
}

// version is the hash of everything that decisions depend on beside their inputs.
func version(files map[string][]byte, switches map[string]string, joint map[place]string, public map[string]bool) string {
	h := sha256.New()
	put := func(parts ...string) {
		for _, part := range parts {
			fmt.Fprintf(h, "%d:%s,", len(part), part)
		}
		fmt.Fprint(h, "\n")
	}
	put(reading)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		put("file", name, string(files[name]))
	}
	for _, name := range slices.Sorted(maps.Keys(switches)) {
		put("switch", name, switches[name])
	}
	for _, at := range places(joint) {
		put("joint", at.service, at.location, joint[at])
	}
	for _, controller := range slices.Sorted(maps.Keys(public)) {
		put("public", controller)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// places are the joint services in order.
func places(joint map[place]string) []place {
	return slices.SortedFunc(maps.Keys(joint), func(a, b place) int {
		return cmp.Or(cmp.Compare(a.service, b.service), cmp.Compare(a.location, b.location))
	})
}

// readLaw parses, checks and compiles the policies.
func readLaw(files map[string][]byte, switches map[string]string) (law, error) {
	l := law{slices: map[sliceKey]*slice{}, byID: map[string]*policy{}, acts: map[string]bool{}, kept: map[string]bool{}}
	validator, err := readSchema(files)
	if err != nil {
		return l, err
	}
	var all []*policy
	written := map[string]string{} // policies by their text: where
	for _, name := range policyFiles(files) {
		list, err := cedar.NewPolicyListFromBytes("consent/bases/"+name, files[name])
		if err != nil {
			return l, unparsed(name, err)
		}
		for _, parsed := range list {
			p, err := compile(parsed, validator, switches)
			if err != nil {
				return l, fmt.Errorf("%s: %w", blame(name, files[name], parsed.Position().Line, err), err)
			}
			text := string(parsed.MarshalCedar())
			if before, double := written[text]; double {
				return l, fmt.Errorf("%s:%d: the policy is there before, at %s", parsed.Position().Filename, parsed.Position().Line, before)
			}
			written[text] = fmt.Sprintf("%s:%d", parsed.Position().Filename, parsed.Position().Line)
			if same := l.byID[p.basis.ID]; same == nil {
				l.byID[p.basis.ID] = p
				l.rows = append(l.rows, p.row())
			} else if same.basis != p.basis || same.cedar.Effect() != parsed.Effect() {
				return l, fmt.Errorf("%s:%d: row %s is written with another citation, title or effect before, at %s:%d",
					parsed.Position().Filename, parsed.Position().Line, p.basis.ID, same.cedar.Position().Filename, same.cedar.Position().Line)
			}
			all = append(all, p)
			if p.discloses() && !slices.Contains(l.grounds, p.basis.ID) {
				l.grounds = append(l.grounds, p.basis.ID)
			}
			l.acts[p.basis.ID] = l.acts[p.basis.ID] || p.acts()
			l.kept[p.basis.ID] = l.kept[p.basis.ID] || p.kept
			l.days = append(l.days, p.from)
			if !p.to.IsZero() {
				l.days = append(l.days, p.to)
			}
		}
	}
	slices.SortFunc(l.days, time.Time.Compare)
	l.days = slices.CompactFunc(l.days, time.Time.Equal)
	l.all = all
	if err := l.cut(all, answersOf(switches)); err != nil {
		return l, err
	}
	l.none, err = readNone(files, l.byID)
	for _, none := range l.none {
		l.rows = append(l.rows, Row{Basis: none.Basis, GivesNone: true, Reason: none.Reason, Instead: none.Instead, File: "none.yaml"})
	}
	return l, err
}

// policyFiles are the policy files in the order of the decision procedure; files not named in it come last.
func policyFiles(files map[string][]byte) []string {
	var names []string
	for name := range files {
		if strings.HasSuffix(name, ".cedar") {
			names = append(names, name)
		}
	}
	place := func(name string) int {
		if i := slices.Index(fileOrder, name); i >= 0 {
			return i
		}
		return len(fileOrder)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(a, b)) })
	return names
}

func readSchema(files map[string][]byte) (*validate.Validator, error) {
	const name = "sotesilta.cedarschema"
	if files[name] == nil {
		return nil, fmt.Errorf("consent/bases/%s: there is no schema", name)
	}
	var s schema.Schema
	s.SetFilename("consent/bases/" + name)
	if err := s.UnmarshalCedar(files[name]); err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	resolved, err := s.Resolve()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", blame(name, files[name], 1, err), err)
	}
	return validate.New(resolved, validate.WithStrict()), nil
}

// Annotations that a policy may carry, and those it must.
var (
	mustAnnotate = []types.AnnotationKey{"id", "citation", "title_fi", "title_en", "from"}
	mayAnnotate  = []types.AnnotationKey{"to", "ban", "outcome", "limit", "basis", "obligations", "own_view", "direction", "direction_fi", "scope", "scope_fi"}
)

// compile checks one policy and its annotations.
func compile(parsed *cedar.Policy, validator *validate.Validator, switches map[string]string) (*policy, error) {
	notes := parsed.Annotations()
	for _, name := range mustAnnotate {
		if notes[name] == "" {
			return nil, fmt.Errorf("annotation @%s is missing", name)
		}
	}
	for name := range notes {
		if !slices.Contains(mustAnnotate, name) && !slices.Contains(mayAnnotate, name) {
			return nil, fmt.Errorf("annotation @%s is not known", name)
		}
	}
	node := (*ast.Policy)(parsed.AST())
	if err := validator.Policy(string(notes["id"]), node); err != nil {
		return nil, errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	if encoded, err := parsed.MarshalJSON(); err != nil || bytes.Contains(encoded, []byte(`{"has":`)) {
		return nil, errors.New("`has` is not used: every attribute is always there")
	}
	p := &policy{
		basis: Basis{
			ID: string(notes["id"]), Citation: string(notes["citation"]),
			TitleFi: string(notes["title_fi"]), TitleEn: string(notes["title_en"]),
		},
		cedar:          parsed,
		ban:            notes["limit"] == "ban",
		ofRelationship: notes["basis"] == "relationship",
		kept:           notes["own_view"] == "human",
	}
	p.id = cedar.PolicyID(fmt.Sprintf("%s %s:%d", p.basis.ID, path.Base(parsed.Position().Filename), parsed.Position().Line))
	p.permitted = "permitted on " + p.basis.ID + " (" + p.basis.Citation + ")"
	var err error
	if p.from, err = finnishDay(notes["from"]); err != nil {
		return nil, fmt.Errorf("@from: %w", err)
	}
	if notes["to"] != "" {
		if p.to, err = finnishDay(notes["to"]); err != nil {
			return nil, fmt.Errorf("@to: %w", err)
		}
		if !p.from.Before(p.to) {
			return nil, errors.New("@to is not after @from")
		}
	}
	permit := parsed.Effect() == cedar.Permit
	if p.outcome, err = outcomeOf(permit, notes["outcome"]); err != nil {
		return nil, err
	}
	if p.bans, err = banModeOf(permit, notes["ban"], switches); err != nil {
		return nil, err
	}
	p.obligations = strings.Fields(string(notes["obligations"]))
	for _, o := range p.obligations {
		if !slices.Contains(obligations, o) {
			return nil, fmt.Errorf("@obligations: %q is not known", o)
		}
	}
	p.disclosing = merge(p.obligations, everyDisclosure)
	if notes["own_view"] != "" && (!p.kept || !p.acts()) {
		return nil, errors.New(`@own_view("human") belongs to the permit of a human's act`)
	}
	if notes["limit"] != "" && (permit || !p.ban) || notes["basis"] != "" && (!permit || !p.ofRelationship) {
		return nil, errors.New(`@limit("ban") belongs to a forbid and @basis("relationship") to a permit`)
	}
	for i, condition := range node.Conditions {
		c, err := compileClause(node, condition)
		if err != nil {
			return nil, fmt.Errorf("clause %d: %w", i+1, err)
		}
		p.fromPermit = p.fromPermit || c.about == "permits"
		p.clauses = append(p.clauses, c)
	}
	return p, nil
}

func outcomeOf(permit bool, note types.String) (Outcome, error) {
	switch {
	case note == "needs-human":
		return NeedsHuman, nil
	case note != "":
		return Denied, fmt.Errorf("@outcome: %q is not known; the only one is needs-human", note)
	case permit:
		return Permitted, nil
	}
	return Denied, nil
}

func banModeOf(permit bool, note types.String, switches map[string]string) (banMode, error) {
	if !permit && note != "" {
		return banStops, errors.New("@ban belongs to a permit")
	}
	name, isSwitch := strings.CutPrefix(string(note), "switch:")
	switch {
	case note == "" || note == "yes":
		return banStops, nil
	case note == "no":
		return banPasses, nil
	case note == "documents":
		return banDocuments, nil
	case note == "human":
		return banHuman, nil
	case isSwitch:
		modes := map[string]banMode{"needs-human": banHuman, "stops": banStops, "passes": banPasses}
		mode, ok := modes[switches[name]]
		if !ok {
			return banStops, fmt.Errorf("@ban: switch %s does not answer what a ban does", name)
		}
		return mode, nil
	}
	return banStops, fmt.Errorf("@ban: %q is not known; use yes, no, documents, human or switch:O1", note)
}

// FinnishDay is the first moment in Finland of the day that t names in its own zone. Statutes and the client's directives
// speak of days in Finland.
func FinnishDay(t time.Time) time.Time {
	y, m, d := t.Date()
	return time.Date(y, m, d, 0, 0, 0, 0, finnish)
}

// finnishDay is the first moment of a day in Finland.
func finnishDay(day types.String) (time.Time, error) {
	t, err := time.ParseInLocation(time.DateOnly, string(day), finnish)
	if err != nil {
		return t, fmt.Errorf("%q is not a date such as 2024-01-01", day)
	}
	return t, nil
}

// compileClause makes a policy of one condition alone, with the scope of the whole.
func compileClause(whole *ast.Policy, condition ast.ConditionType) (clause, error) {
	alone := ast.Permit()
	alone.Principal, alone.Action, alone.Resource = whole.Principal, whole.Action, whole.Resource
	alone.Conditions = []ast.ConditionType{condition}
	c := clause{test: cedar.NewPolicyFromAST(publicAST(alone))}
	encoded, err := c.test.MarshalJSON()
	if err != nil {
		return c, err
	}
	for _, literal := range literals.FindAllSubmatch(encoded, -1) {
		c.words = append(c.words, string(literal[1]))
	}
	for _, about := range telling {
		if bytes.Contains(encoded, []byte(`"attr":"`+about+`"`)) {
			c.about = about
			break
		}
	}
	text := string(c.test.MarshalCedar())
	if i := strings.Index(text, "when"); i >= 0 {
		text = text[i:]
	} else if i := strings.Index(text, "unless"); i >= 0 {
		text = text[i:]
	}
	c.text = strings.TrimSuffix(strings.Join(strings.Fields(text), " "), ";")
	return c, nil
}

// answersOf is the answers to the open questions as the policies read them: O4=no.
func answersOf(switches map[string]string) cedar.Set {
	var values []cedar.Value
	for name, value := range switches {
		values = append(values, cedar.String(name+"="+value))
	}
	return cedar.NewSet(values...)
}

// cut sorts the policies into slices: for each kind of actor, action and purpose, a policy stays unless its scope or
// a clause is false on these alone. A clause that needs more errs on the bare circumstances, and its policy stays.
func (l *law) cut(all []*policy, answers cedar.Set) error {
	kinds := []Kind{System, Professional, Client, Guardian, Representative, Auditor, Operator}
	actions := []Action{Read, Record, Change, Identify, Invite, Direct, Audit, Report, Notify, Ask, Disclose, Correct}
	purposes := []Purpose{Care, NeedAssessment, Incapacity, Emergency, StatutoryAct, Supervision, OwnData}
	for _, kind := range kinds {
		for _, action := range actions {
			for _, purpose := range purposes {
				bare := environment{request: cedar.Request{
					Principal: principalUID(kind), Action: actionUID(action), Resource: dataUID,
					Context: cedar.NewRecord(cedar.RecordMap{"purpose": cedar.String(purpose)}),
				}}
				s := slice{answers: answers}
				for _, p := range all {
					if !p.possible(bare) {
						continue
					}
					if p.cedar.Effect() == cedar.Permit {
						s.permits = append(s.permits, p)
					} else {
						s.forbids = append(s.forbids, p)
					}
				}
				if len(s.permits) > 0 { // without a permit there is nothing to limit
					l.slices[sliceKey{kind, action, purpose}] = &s
				}
			}
		}
	}
	if len(l.slices) == 0 {
		return errors.New("consent/bases: no policy permits anything")
	}
	return nil
}

// possible says whether p may still hold, knowing no more than bare.
func (p *policy) possible(bare environment) bool {
	for i := range p.clauses {
		decision, diag := cedar.Authorize(single{p.clauses[i].test}, &bare, bare.request)
		if decision == cedar.Deny && len(diag.Errors) == 0 {
			return false
		}
	}
	return true
}

// single is a policy set of one.
type single struct{ policy *cedar.Policy }

func (s single) All() iter.Seq2[cedar.PolicyID, *cedar.Policy] {
	return func(yield func(cedar.PolicyID, *cedar.Policy) bool) { yield("clause", s.policy) }
}

func (p *policy) row() Row {
	at, notes := p.cedar.Position(), p.cedar.Annotations()
	row := Row{
		Basis: p.basis, From: p.from, To: p.to, Limit: p.cedar.Effect() == cedar.Forbid, Human: p.outcome == NeedsHuman, Act: p.discloses(),
		Obligations: strings.Fields(string(notes["obligations"])), File: path.Base(at.Filename), Line: at.Line,
		Direction: string(notes["direction"]), DirectionFi: string(notes["direction_fi"]), Scope: string(notes["scope"]), ScopeFi: string(notes["scope_fi"]),
	}
	if !row.Limit {
		row.Ban = cmp.Or(string(notes["ban"]), "yes")
	}
	return row
}
