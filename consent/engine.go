package consent

import (
	"embed"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

//go:embed bases/*.cedar bases/*.cedarschema bases/*.yaml bases/scenarios/*.yaml
var lawFiles embed.FS

// Bases is the folder consent/bases as it is built in: policies, schema, lists, and the scenarios in scenarios.
func Bases() fs.FS {
	folder, err := fs.Sub(lawFiles, "bases")
	if err != nil {
		panic("consent: " + err.Error()) // the folder is compiled in
	}
	return folder
}

// Config is what the law leaves to the controller: the answers to open questions, and the county's own lists.
type Config struct {
	// Switches answers open questions by name, such as O11: "on". Questions not named keep the safe default of
	// bases/switches.yaml; a name or value that is not there is refused.
	Switches map[string]string
	// JointServices is the county's signed list of joint services (703/2023 § 53.1). Empty: there is none.
	JointServices []JointService
	// Public names the public controllers (counties, Helsinki, HUS), Organization/…: a permit that names no recipient
	// covers the public ones of the sector (457/2024 § 25). The controllers of joint services are always public.
	Public []string
	// Bases, when not nil, holds policy files (*.cedar, *.cedarschema, *.yaml at its root) that take the place of the
	// built-in ones of the same name, or come beside them: a county's draft of other rules. A file answers.yaml in it
	// answers open questions as Switches do ("O11: on" on a line); one that both answer is answered alike.
	Bases fs.FS
}

// JointService is one service on the signed list: social and health care delivered together at a place.
type JointService struct {
	Service    string `json:"service"`    // HealthcareService/…
	Location   string `json:"location"`   // Location/…
	Controller string `json:"controller"` // Organization/… of the county that signed
}

// Engine decides by the Cedar policies of consent/bases. It holds no state of requests and is safe for concurrent use.
type Engine struct {
	files    map[string][]byte // what the law was read from
	law      law
	switches map[string]string
	codes    codes
	// eventless: a ban of a service event stops patient data that name none (O14)
	eventless bool
	acts      acts
	joint     map[place]string // signed place → controller
	public    map[string]bool
	version   string
	rulings   rulings
	confirms  confirmations
}

// place is a joint service at its location.
type place struct{ service, location string }

// New loads and checks the legal bases and answers an Engine. It fails, naming file and line, on a policy that the
// schema does not allow, an annotation that is missing or unknown, and on a Config that names what is not there.
func New(cfg Config) (*Engine, error) {
	files, err := readFiles(lawFiles, "bases")
	if err != nil {
		return nil, err
	}
	if cfg.Bases != nil {
		others, err := readFiles(cfg.Bases, ".")
		if err != nil {
			return nil, err
		}
		taken := 0
		for name, text := range others {
			if ext := path.Ext(name); ext == ".cedar" || ext == ".cedarschema" || ext == ".yaml" {
				files[name] = text
				taken++
			}
		}
		if taken == 0 {
			return nil, errors.New("consent: no policy files (*.cedar, *.cedarschema, *.yaml) in the folder of policies")
		}
	}
	if cfg.Switches, err = readAnswers(files, cfg.Switches); err != nil {
		return nil, err
	}
	return newEngine(files, cfg)
}

func newEngine(files map[string][]byte, cfg Config) (*Engine, error) {
	e := &Engine{files: files, joint: map[place]string{}, public: map[string]bool{}}
	e.rulings.seed = maphash.MakeSeed()
	var err error
	if e.switches, err = readSwitches(files, cfg.Switches); err != nil {
		return nil, err
	}
	e.eventless = e.switches["O14"] == "stops"
	if e.codes, err = readCodes(files, e.switches); err != nil {
		return nil, err
	}
	if e.acts, err = readActs(files); err != nil {
		return nil, err
	}
	if e.law, err = readLaw(files, e.switches); err != nil {
		return nil, err
	}
	if err := e.acts.check(&e.law); err != nil {
		return nil, err
	}
	for i, s := range cfg.JointServices {
		if !strings.HasPrefix(s.Service, "HealthcareService/") || !strings.HasPrefix(s.Location, "Location/") ||
			!strings.HasPrefix(s.Controller, "Organization/") {
			return nil, fmt.Errorf("consent: joint service %d needs HealthcareService/…, Location/… and Organization/…", i)
		}
		e.joint[place{s.Service, s.Location}] = s.Controller
		e.public[s.Controller] = true
	}
	for _, p := range cfg.Public {
		if !strings.HasPrefix(p, "Organization/") {
			return nil, fmt.Errorf("consent: public controller %q is not Organization/…", p)
		}
		e.public[p] = true
	}
	e.version = version(files, e.switches, e.joint, e.public)
	return e, nil
}

// Version is the SHA-256 (hexadecimal) of the policy files, the schema, the switches and the county's lists.
func (e *Engine) Version() string { return e.version }

// Decide answers for one class: see Decider.
func (e *Engine) Decide(req Request, class Class, facts []*Facts) Decision {
	out := e.decide(req, class, facts)
	out.Action, out.Invitee = req.Action, req.Invitee
	return out
}

func (e *Engine) decide(req Request, class Class, facts []*Facts) Decision {
	if why := refused(&req, &class); why != "" {
		return Decision{Disclosure: discloses(&req, &class), Reason: why}
	}
	if len(class.Clients) == 0 {
		return e.decideFor(&req, &class, "", nil)
	}
	of := func(i int) *Facts {
		if i < len(facts) && facts[i] != nil && facts[i].Client == class.Clients[i] {
			return facts[i]
		}
		return nil
	}
	if len(class.Clients) == 1 {
		return e.decideFor(&req, &class, class.Clients[0], of(0))
	}
	parts := make([]Part, len(class.Clients))
	for i, client := range class.Clients {
		parts[i] = Part{client, e.decideFor(&req, &class, client, of(i))}
	}
	return together(parts)
}

// together joins the decisions for all clients of one class.
func together(parts []Part) Decision {
	whole := parts[0].Decision
	for i := range parts[1:] {
		whole = both(whole, parts[i+1].Decision)
	}
	whole.Parts = parts
	return whole
}

// labels are the registers and labels that data may carry.
var labels = []Register{Health, Social, Identity, Directory, Directive}

// refused says what makes a request undecidable: a missing fact is never taken as fulfilled.
func refused(req *Request, class *Class) string {
	switch {
	case class.Register == "":
		return "the data carry no register: unlabelled data never leave"
	case !slices.Contains(labels, class.Register):
		return "the data carry a register that the law does not know"
	case class.Type == "":
		return "the data carry no type: unlabelled data never leave"
	case req.Time.IsZero():
		return "the request carries no time"
	case req.Actor.App == "":
		return "the caller is not a registered API client (703/2023 § 8.1)"
	}
	return ""
}

// discloses says whether the exchange crosses a register or a controller (703/2023 § 3(10)); the client's own view, the
// auditor's and what is not register data are no disclosures.
func discloses(req *Request, class *Class) bool {
	switch req.Actor.Kind {
	case Client, Guardian, Representative, Auditor, Operator:
		return false
	}
	if req.Action == Invite || req.Action == Ask || req.Action == Disclose {
		return req.Invitee.Controller != req.Actor.Controller || req.Invitee.Register != req.Actor.Register
	}
	if class.Register != Health && class.Register != Social {
		return false
	}
	return class.Controller != req.Actor.Controller || !class.In(req.Actor.Register)
}

// decideFor decides for one client of the class; client is "" for data about nobody.
func (e *Engine) decideFor(req *Request, class *Class, client string, facts *Facts) Decision {
	var w weighing
	e.weigh(&w, req, class, client, facts)
	ruling := e.rulings.get(e.question(&w, req, class), req.Time)

	out := Decision{Disclosure: discloses(req, class)}
	switch {
	case ruling.err != "":
		out.Reason = "policy error: " + ruling.err
		return out
	case len(ruling.permits) == 0:
		w.gather(&out, nil, false)
		out.Reason = e.unmet(ruling, &w, req)
		out.Demand = e.demand(ruling.failed, &w, req)
		return out
	}
	verdict := e.judge(&w, ruling.permits, ruling.forbids)
	out.Outcome = verdict.outcome
	w.gather(&out, verdict.weighed, verdict.bans)
	if out.Outcome != Permitted {
		out.Reason = e.stopped(ruling.permits, ruling.forbids, &w, req, out.Outcome)
		out.Demand = e.limited(ruling.forbids, req)
		return out
	}
	out.Bases = verdict.bases
	out.Reason = e.law.row(out.Bases[0].ID).permitted
	if verdict.ranges {
		out.Recorded = union(w.recorded)
	}
	if verdict.exclude {
		out.Exclude = w.exclude()
	}
	out.Covers = e.covering(&w, client, verdict.weighed)
	if e.redacts(&w, req, class) {
		out.Redact = e.codes.redact
	}
	if class.Register == Identity && w.has(guest) && out.Bases[0].ID != "ATL-4.3-H" && out.Bases[0].ID != "ATL-4.3-S" {
		out.Disclosure = true
	}
	for _, row := range verdict.weighed {
		out.Obligations = gathered(out.Obligations, row.owes(out.Disclosure))
	}
	return out
}

// verdict is what permits and limits give together.
type verdict struct {
	outcome Outcome
	bases   []Basis   // in the order of the decision procedure
	weighed []*policy // permits whose directives weighed
	ranges  bool      // only rows recorded in the permits' ranges
	exclude bool      // banned documents are left out
	bans    bool      // bans weighed
}

// judge lets each satisfied row meet the limits that apply to it: a row stands only if no limit stops it. Any row that
// stands permits; failing that, a row that only a human may decide makes the answer needs-human.
func (e *Engine) judge(w *weighing, permits, forbids []*policy) verdict {
	var v verdict
	ranged, unranged, excluding, free, whole := false, false, false, false, false
	for _, row := range permits {
		outcome := row.outcome
		for _, limit := range forbids {
			if limit.ban {
				switch row.bans {
				case banPasses, banDocuments:
					continue
				case banHuman:
					if w.req.Action != Disclose { // there the human has decided
						outcome = min(outcome, NeedsHuman)
					}
				default:
					outcome = Denied
				}
				v.bans = true
				continue
			}
			outcome = min(outcome, limit.outcome)
		}
		v.outcome = max(v.outcome, outcome)
		if outcome == Permitted {
			basis := row.basis
			if row.ofRelationship {
				basis = w.invitation
			}
			if !containsBasis(v.bases, basis.ID) {
				v.bases = append(v.bases, basis)
			}
			v.weighed = append(v.weighed, row)
			if row.fromPermit && len(w.recorded) > 0 {
				ranged = true
			} else {
				unranged = true
			}
			if row.passes(w.req) {
				free = true
			} else {
				excluding = true
			}
			whole = whole || row.passes(w.req) && !(row.fromPermit && len(w.recorded) > 0)
		}
	}
	if v.outcome != Permitted {
		v.weighed = permits
	}
	// The union of what the rows let out, or where one range and one list of documents cannot say it, less.
	mixed := excluding && free
	v.ranges = ranged && (!unranged || mixed && !whole)
	v.exclude = excluding && (!free || mixed && !whole)
	v.bans = v.bans || v.exclude
	return v
}

// covering says what each of the rows that stand lets out: a row that rests on permits, one cover for each of them.
func (e *Engine) covering(w *weighing, client string, rows []*policy) []Cover {
	out := make([]Cover, 0, len(rows))
	var exclude []string
	if slices.ContainsFunc(rows, func(p *policy) bool { return !p.passes(w.req) }) {
		exclude = w.exclude()
	}
	disclosed := discloses(w.req, w.class)
	for _, row := range rows {
		cover := Cover{Basis: row.basis, Client: client, obligations: row.owes(disclosed)}
		if row.ofRelationship {
			cover.Basis = w.invitation
		}
		if !row.passes(w.req) {
			cover.Exclude = exclude
		}
		place := slices.Index(directedRows[:], cover.Basis.ID)
		if place < 0 || w.facts == nil {
			out = append(out, cover)
			continue
		}
		found := false
		for i := range w.facts.Directives {
			t := &w.facts.Directives[i]
			rests := row.ofRelationship && e.carries(w, t, 1<<place) || !row.ofRelationship && w.rests(t, 1<<place)
			if !rests {
				continue
			}
			one := cover
			one.Directives = []string{directiveVersion(t)}
			if row.fromPermit {
				one.Recorded = t.Recorded
			}
			out = append(out, one)
			found = true
		}
		if !found {
			out = append(out, cover)
		}
	}
	return out
}

func containsBasis(bases []Basis, id string) bool {
	for _, b := range bases {
		if b.ID == id {
			return true
		}
	}
	return false
}

// both joins the decisions for two clients of one class: it stands only if both do, and no wider than either.
func both(a, b Decision) Decision {
	out := Decision{
		Outcome: min(a.Outcome, b.Outcome), Disclosure: a.Disclosure || b.Disclosure,
		Directives: append(a.Directives[:len(a.Directives):len(a.Directives)], b.Directives...),
		Bans:       append(a.Bans[:len(a.Bans):len(a.Bans)], b.Bans...),
		Evidence:   append(a.Evidence[:len(a.Evidence):len(a.Evidence)], b.Evidence...),
	}
	switch {
	case a.Outcome < Permitted:
		out.Reason, out.Demand = a.Reason, a.Demand
		if b.Outcome < a.Outcome {
			out.Reason, out.Demand = b.Reason, b.Demand
		}
		return out
	case b.Outcome < Permitted:
		out.Reason, out.Demand = b.Reason, b.Demand
		return out
	}
	out.Bases = a.Bases[:len(a.Bases):len(a.Bases)]
	for _, basis := range b.Bases {
		if !containsBasis(out.Bases, basis.ID) {
			out.Bases = append(out.Bases, basis)
		}
	}
	out.Reason = a.Reason
	out.Exclude = merge(a.Exclude, b.Exclude)
	out.Redact = merge(a.Redact, b.Redact)
	out.Obligations = merge(a.Obligations, b.Obligations)
	out.Covers = append(a.Covers[:len(a.Covers):len(a.Covers)], b.Covers...)
	switch {
	case len(a.Recorded) == 0:
		out.Recorded = b.Recorded
	case len(b.Recorded) == 0:
		out.Recorded = a.Recorded
	default:
		if out.Recorded = intersect(a.Recorded, b.Recorded); len(out.Recorded) == 0 {
			return Decision{
				Disclosure: out.Disclosure, Directives: out.Directives, Evidence: out.Evidence,
				Reason: "the recording ranges of the clients' permits have no day in common",
			}
		}
	}
	return out
}

func merge(a, b []string) []string {
	out := a[:len(a):len(a)]
	for _, s := range b {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// Basis finds a row of the table of legal bases by id; false when no file of consent/bases speaks of it.
func (e *Engine) Basis(id string) (Basis, bool) {
	if row := e.law.row(id); row != nil {
		return row.basis, true
	}
	for _, none := range e.law.none {
		if none.ID == id {
			return none.Basis, true
		}
	}
	return Basis{}, false
}

// Row is a row of the table of legal bases as the policies have it, for people and for CodeSystem legal-basis.
type Row struct {
	Basis
	From, To    time.Time // in force: from inside, to outside; zero is open
	Limit       bool      // it forbids: a ban, a cap, a protection
	Human       bool      // it never permits by itself, or stops until a human decides
	Act         bool      // it permits a human's act only: no machine starts it
	Ban         string    // what a ban does to it, as @ban says: yes, no, documents, human, switch:O1; "" for a limit
	GivesNone   bool      // it gives no right of its own
	Reason      string    // GivesNone: why
	Instead     []string  // GivesNone: rows that do
	Direction   string    // from whom to whom, for people: health → social
	DirectionFi string    // the same in Finnish
	Scope       string    // which data, for people
	ScopeFi     string    // the same in Finnish
	Obligations []string  // confirm, inform
	File        string    // where it is written, such as permits.cedar
	Line        int
}

// Rows lists every row once, in the order of the files.
func (e *Engine) Rows() []Row { return e.law.rows }

// Switches answers the open questions as this engine takes them, by name.
func (e *Engine) Switches() map[string]string {
	out := make(map[string]string, len(e.switches))
	for name, value := range e.switches {
		out[name] = value
	}
	return out
}
