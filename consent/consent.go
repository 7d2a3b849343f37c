// Package consent is the law: given who asks, for what, for which data, and what is known of the client, it decides.
//
// Social care and health care are separate registers (703/2023 § 18), so each exchange needs a legal basis: use in
// one's own register (§ 4.3), a joint service (§ 53.1), the client's specified permit (§ 53.2–3), a statutory right
// (§ 53.5), or another row of the table of legal bases in consent/bases. The bases are Cedar policies with their
// citations; bans are forbids. No basis, no data: whatever fails, errs or is missing is a denial.
//
// The package knows nothing of HTTP, FHIR resources or stores. Facts come in, a Decision goes out, and the same
// inputs under the same policy Version always give the same Decision, so that a decision can be repeated.
package consent

import (
	"slices"
	"strings"
	"time"
)

// Register is the filing system (rekisteri) that data belong to, or one of the three labels besides the registers.
type Register string

// The registers of 703/2023 § 18, and the labels of data that belong to neither.
const (
	Health    Register = "health"    // potilasrekisteri
	Social    Register = "social"    // sosiaalihuollon asiakasrekisteri
	Identity  Register = "identity"  // a Patient from population data: its existence says nothing of clientship
	Directory Register = "directory" // organisations, professionals, services, definitions: nobody's care
	Directive Register = "directive" // the client's permits, bans and consents
)

// Kind tells what sort of caller an Actor is.
type Kind string

// The kinds of actor.
const (
	System       Kind = "system"       // an API client without a user
	Professional Kind = "professional" // a user at work
	Client       Kind = "client"       // a client looking at their own data (703/2023 § 74)
	Guardian     Kind = "guardian"     // somebody who has custody of a minor client (§ 50)
	// Representative acts for a grown-up client, by authorisation or as appointed guardian (§ 50; 442/1999 § 29.2).
	Representative Kind = "representative"
	Auditor        Kind = "auditor"  // who supervises the controller's registers (§ 10; 906/2019 § 17)
	Operator       Kind = "operator" // upkeep of the gateway (decree 457/2024 § 22)
)

// Actor is who asks: the registered API client and the user it speaks for. Everything in it was established by
// gateway/auth from the registration, never from the request's own word.
type Actor struct {
	Kind       Kind     `json:"kind"`
	App        string   `json:"app"`                  // id of the API client, such as jukola-ehr
	User       string   `json:"user,omitempty"`       // the API client's own id of the user, such as nurse
	Name       string   `json:"name,omitempty"`       // display name of the user
	Person     string   `json:"person,omitempty"`     // Practitioner/…, Patient/… or RelatedPerson/… of the user
	Role       string   `json:"role,omitempty"`       // PractitionerRole/… of the user
	Controller string   `json:"controller,omitempty"` // Organization/… that answers for the register
	Register   Register `json:"register,omitempty"`   // the register the actor works in: health or social
	Unit       string   `json:"unit,omitempty"`       // Organization/… the user works in
	Units      []string `json:"units,omitempty"`      // Organization/… of every unit of the API client
	Task       string   `json:"task,omitempty"`       // task of decree 457/2024 §§ 3 and 10, such as 3.1 or 10.1.1
	Service    string   `json:"service,omitempty"`    // service of decree 457/2024 § 4, such as 4.1
	Authority  bool     `json:"authority,omitempty"`  // a social authority (sosiaalihuollon viranomainen)
	Producer   bool     `json:"producer,omitempty"`   // the unit is a producer's that acts for the controller (§ 14)
	Clients    []string `json:"clients,omitempty"`    // Patient ids a Client sees as their own, or a Guardian or Representative acts for
}

// Purpose is the purpose_of_use of a token, a code of terms.Purpose.
type Purpose string

// The purposes (contract: "Who a token speaks for").
const (
	Care           Purpose = "care"            // the user's ordinary work; the default
	NeedAssessment Purpose = "need-assessment" // claims § 53.5 sentence 2 or § 55.2 sentence 2
	Incapacity     Purpose = "incapacity"      // claims § 53.5 sentence 1, § 53.6, § 54.2, § 55.2 sentence 1
	Emergency      Purpose = "emergency"       // claims § 54.2
	StatutoryAct   Purpose = "statutory-act"   // an act of a human under another provision, such as § 56
	Supervision    Purpose = "supervision"     // reading the ledger
	OwnData        Purpose = "own-data"        // the client's or guardian's own view
)

// Assertion is what a human asserts beyond ordinary care: never inferred, recorded word for word.
type Assertion struct {
	Task    string            `json:"task,omitempty"`    // the statutory task, such as need-assessment under SHL 36
	Service string            `json:"service,omitempty"` // the service in which it arises
	Ground  string            `json:"ground,omitempty"`  // row of the table of legal bases claimed, such as ATL-53.5b
	Facts   map[string]string `json:"facts,omitempty"`   // the facts the row asks for, such as assessor
	Reason  string            `json:"reason,omitempty"`  // why, in the person's words
	Confirm bool              `json:"confirm,omitempty"` // confirms the use of specially protected data (§ 26.2)
}

// Action is what the actor wants to do with the data of a class.
type Action string

// The actions a policy may speak of.
const (
	Read     Action = "read"     // see it: read, vread, history, search, include, operation
	Record   Action = "record"   // write a new row into one's own register
	Change   Action = "change"   // write a new version of a row, or delete it
	Identify Action = "identify" // learn a client's Patient id from identity code and name (§ 8)
	Invite   Action = "invite"   // send an invitation with no register data in it to a professional
	Direct   Action = "direct"   // record the client's permit, ban or consent (§ 58)
	Audit    Action = "audit"    // read the ledger
	Report   Action = "report"   // make the log report of one client (§§ 11 and 74)
	Notify   Action = "notify"   // push data to a receiver
	Ask      Action = "ask"      // ask the unit that holds data for a human's decision on them
	Disclose Action = "disclose" // give named data to a recipient by a human's act, on the ground and facts that the human asserts
	Correct  Action = "correct"  // take a mistaken disclosure back, mend a label, rectify data (2016/679 art. 16-19)
)

// Class is what rows have in common that are always decided alike: a client's data with one label. A search decides
// once per class, never per row. The zero Class is unlabelled and never leaves.
type Class struct {
	Type         string   `json:"type"`                   // FHIR resource type
	Clients      []string `json:"clients,omitempty"`      // Patient ids it is about, sorted; each needs a permit decision
	Controller   string   `json:"controller,omitempty"`   // Organization/…
	Register     Register `json:"register"`               // the register it began in
	Joint        bool     `json:"joint,omitempty"`        // a joint document: in both registers (§§ 46–47)
	Process      string   `json:"process,omitempty"`      // CarePlan/… whose document it is; Task/… of the human's act it belongs to
	Invitation   string   `json:"invitation,omitempty"`   // Task/… if it is an invitation of the process
	ServiceTask  string   `json:"serviceTask,omitempty"`  // palvelutehtävä
	DataClass    string   `json:"dataClass,omitempty"`    // data class of permits and caps
	Protection   string   `json:"protection,omitempty"`   // special protection (§ 26.2)
	ServiceEvent string   `json:"serviceEvent,omitempty"` // Encounter/… it was recorded in (palvelutapahtuma); several separated by commas
	Author       string   `json:"author,omitempty"`       // API client that wrote it
	Unit         string   `json:"unit,omitempty"`         // Organization/… of the unit that wrote it
}

// act says whether the class is that of a Task by which a human's act is done, asked for or told of.
func (c *Class) act() bool { return strings.HasPrefix(c.Process, "Task/") && c.Type == "Task" }

// received says whether the class is that of a copy that lies where a human's act disclosed it to.
func (c *Class) received() bool { return strings.HasPrefix(c.Process, "Task/") && c.Type != "Task" }

// Key is a text that is equal for equal classes only; stores intern classes by it.
func (c Class) Key() string {
	joint := ""
	if c.Joint {
		joint = "joint"
	}
	return strings.Join([]string{
		c.Type, strings.Join(c.Clients, ","), c.Controller, string(c.Register), joint, c.Process, c.Invitation,
		c.ServiceTask, c.DataClass, c.Protection, c.ServiceEvent, c.Author, c.Unit,
	}, "|")
}

// In says whether the class belongs to register r: a joint document belongs to both registers.
func (c Class) In(r Register) bool {
	return c.Register == r || c.Joint && (r == Health || r == Social)
}

// Period is a time span; a zero bound is open. From is inside, To is outside.
type Period struct {
	From time.Time `json:"from,omitzero"`
	To   time.Time `json:"to,omitzero"`
}

// Contains says whether t lies in p.
func (p Period) Contains(t time.Time) bool {
	return (p.From.IsZero() || !t.Before(p.From)) && (p.To.IsZero() || t.Before(p.To))
}

// Relation is the kind of a Relationship.
type Relation string

// The relations between actors and clients.
const (
	InCare      Relation = "care"        // a unit's EpisodeOfCare or Encounter
	Registered  Relation = "registered"  // a Patient that an API client registered itself
	Participant Relation = "participant" // an accepted invitation of the joint process
	Invited     Relation = "invited"     // a requested invitation: opens that Task and the client's identity only
	Received    Relation = "received"    // a human's disclosure to a unit: opens what was disclosed and the client's identity only
)

// Relationship is a verified link between actor and client (703/2023 §§ 9, 57), derived from a resource that a system
// recorded of its own unit, or from an accepted invitation. Nothing an actor writes gives rights to another.
type Relationship struct {
	Kind       Relation `json:"kind"`
	Evidence   string   `json:"evidence"`             // the resource it rests on, such as EpisodeOfCare/1
	Controller string   `json:"controller,omitempty"` // of the unit
	Register   Register `json:"register,omitempty"`   // the unit's register
	App        string   `json:"app,omitempty"`        // API client that recorded it
	Unit       string   `json:"unit,omitempty"`       // Organization/… (care, registered)
	Person     string   `json:"person,omitempty"`     // Practitioner/… or PractitionerRole/… (participant, invited)
	Process    string   `json:"process,omitempty"`    // CarePlan/… (participant, invited)
	Service    string   `json:"service,omitempty"`    // HealthcareService/… accepted into
	Location   string   `json:"location,omitempty"`   // Location/… where it is delivered
	Basis      string   `json:"basis,omitempty"`      // row the invitation rested on (participant, invited)
	Period     Period   `json:"period"`
}

// open says whether p has no bounds.
func (p Period) open() bool { return p.From.IsZero() && p.To.IsZero() }

// Will is the kind of a Directive (tahdonilmaisu).
type Will string

// The client's directives.
const (
	Permit Will = "permit" // luovutuslupa (§§ 53–55, 58)
	Ban    Will = "ban"    // luovutuskielto (§ 59)
	Assent Will = "assent" // suostumus under another Act, such as SHL 35.1
	Denial Will = "denial" // a minor denies giving social care data to the guardian, for a weighty reason (§ 51.2)
)

// Terms is one directive of a client, compiled from a Consent for deciding. Which fields count depends on Kind.
type Terms struct {
	Kind       Will   `json:"kind"`
	Evidence   string `json:"evidence"`          // Consent/…
	Version    int64  `json:"version"`           // of the Consent
	Active     bool   `json:"active"`            // false once withdrawn; kept, so that an old decision can be repeated
	Valid      Period `json:"valid"`             // when it is in force
	RecordedBy string `json:"recordedBy"`        // Organization/… of the unit that recorded it
	GivenBy    Giver  `json:"givenBy,omitempty"` // who gave it
	// Informed is when the client was informed beforehand (§§ 58.2 and 68); zero when it was not told.
	Informed time.Time `json:"informed,omitzero"`
	Statute  string    `json:"statute,omitempty"` // assent: row of the table of legal bases, such as SHL-35.1
	From     string    `json:"from,omitempty"`    // permit: source register, health or social
	To       string    `json:"to,omitempty"`      // permit: receiving sector, health or social
	// Permit: receivers. Empty is all public ones of the sector (decree 457/2024 § 25 choice a); otherwise
	// Organization/… of the named ones. Assent: whom it is for, such as the provider agreed with the patient (§ 54.5);
	// empty is everyone whom its provision speaks of, and others than Organization/… are names.
	Recipients   []string `json:"recipients,omitempty"`
	DataClasses  []string `json:"dataClasses,omitempty"`  // permit: what of patient data; empty is all service events
	ServiceTasks []string `json:"serviceTasks,omitempty"` // permit or ban: palvelutehtävät
	Recorded     Period   `json:"recorded"`               // permit: range of recording dates chosen by the client
	// Ban: the source data (§ 59). Controller with Register bans a controller's whole register;
	// AllHealth bans all patient data.
	AllHealth     bool     `json:"allHealth,omitempty"`
	Controller    string   `json:"controller,omitempty"`
	Register      Register `json:"register,omitempty"`
	ServiceEvents []string `json:"serviceEvents,omitempty"` // Encounter/…
	Documents     []string `json:"documents,omitempty"`     // Type/id
}

// Giver is who gave a directive.
type Giver string

// The givers of directives.
const (
	ByClient         Giver = "client"         // the client, also to a professional
	ByGuardian       Giver = "guardian"       // for a minor who cannot decide (§§ 50 and 51)
	ByRepresentative Giver = "representative" // for a grown-up client (§ 50)
)

// Person is what deciding needs of the client's person.
type Person struct {
	Born        time.Time `json:"born,omitzero"`
	Turvakielto bool      `json:"turvakielto,omitempty"` // non-disclosure for personal safety
	// GuardianDenied: a minor capable of deciding denies giving patient data to the guardian (§ 51).
	GuardianDenied bool `json:"guardianDenied,omitempty"`
	// Dependent: a professional has assessed that the client, a minor, is not capable of deciding (§ 51).
	Dependent bool `json:"dependent,omitempty"`
	Deceased  bool `json:"deceased,omitempty"`
}

// MinorAt says whether the person is under 18 at a time; who has no known day of birth is not known to be.
func (p Person) MinorAt(t time.Time) bool { return underage(p.Born, t) }

// Facts is all that deciding needs to know of one client, at one Version. A change of a directive or a relationship
// makes a new Version, so a decision that names the Version can be repeated and a stale one can be told.
type Facts struct {
	Client        string         `json:"client"`
	Version       int64          `json:"version"` // 0: nothing is known of the client
	Person        Person         `json:"person"`
	Relationships []Relationship `json:"relationships,omitempty"`
	Directives    []Terms        `json:"directives,omitempty"`
}

// Relate returns facts in which what rests on evidence is replaced by the relationships given (none: ended).
// The receiver is not changed.
func (f *Facts) Relate(evidence string, rels ...Relationship) *Facts {
	next := *f
	next.Relationships = slices.DeleteFunc(slices.Clone(f.Relationships), func(r Relationship) bool { return r.Evidence == evidence })
	next.Relationships = append(next.Relationships, rels...)
	return &next
}

// Direct returns facts in which the directive with the same evidence is replaced by t.
// The receiver is not changed.
func (f *Facts) Direct(t Terms) *Facts {
	next := *f
	next.Directives = slices.DeleteFunc(slices.Clone(f.Directives), func(d Terms) bool { return d.Evidence == t.Evidence })
	next.Directives = append(next.Directives, t)
	return &next
}

// Request is one question to the law.
type Request struct {
	Actor     Actor
	Action    Action
	Purpose   Purpose
	Assertion Assertion
	Time      time.Time
	// Invitee, for Invite, is who is invited; the engine finds the row it rests on from the sectors, the controllers
	// and the client's directives. For Ask it is who is asked, for Disclose who receives.
	Invitee Invitee
}

// Invitee is who an invitation goes to, as the directory knows them; also who is asked for data or receives them.
type Invitee struct {
	Person     string   `json:"person,omitempty"` // Practitioner/… or PractitionerRole/…
	Controller string   `json:"controller,omitempty"`
	Register   Register `json:"register,omitempty"`
	Unit       string   `json:"unit,omitempty"`
	// Kind is what sort of recipient somebody outside the registers is, a code of acts.yaml such as police; of a
	// registered one it follows from the register and the controller. Name is how the recipient is written.
	Kind string `json:"kind,omitempty"`
	Name string `json:"name,omitempty"`
}

// Outcome is the answer of the law. The zero Outcome denies.
type Outcome uint8

// The outcomes. NeedsHuman is answered to the asker exactly as Denied.
const (
	Denied Outcome = iota
	NeedsHuman
	Permitted
)

func (o Outcome) String() string {
	switch o {
	case Permitted:
		return "permit"
	case NeedsHuman:
		return "needs-human"
	default:
		return "deny"
	}
}

// Basis is a row of the table of legal bases that a decision rests on.
type Basis struct {
	ID       string `json:"id"`       // ATL-53.2
	Citation string `json:"citation"` // 703/2023 § 53.2
	TitleFi  string `json:"titleFi,omitempty"`
	TitleEn  string `json:"titleEn,omitempty"`
}

// Decision is the answer to one Request for one Class.
type Decision struct {
	Outcome    Outcome
	Bases      []Basis  // that permit it, in the order of the decision procedure; empty unless Permitted
	Disclosure bool     // it crosses a register or a controller: a disclosure (luovutus), otherwise a use (käyttö)
	Recorded   []Period // only rows recorded in one of these; empty is any
	Exclude    []string // rows ("Type/id") that a ban of single documents leaves out
	Redact     []string // members to leave out, such as address (turvakielto)
	Directives []string // Consent versions that weighed, such as Consent/1/_history/2
	Bans       []string // of Directives those that stop, or leave rows out: bans, a minor's denial, what cannot be read
	Evidence   []string // relationships that weighed
	Reason     string   // why, for the ledger only; never for the asker
	// Obligations are what the exchange owes on the bases it rests on: inform (812/2000 § 12.2), confirm (703/2023
	// § 26.2), source (§ 39: the recipient records where the data came from) and onward (§ 48: it keeps them secret and
	// uses them for that purpose only).
	Obligations []string
	// Demand is what a ground asks of the human who acts on it and was not given; empty for all other denials. It tells
	// of the law only, so that it may be told to the human.
	Demand string
	// Action and Invitee are what was asked, kept so that the decision can be repeated. "": the law was not asked.
	Action  Action
	Invitee Invitee
	// Covers say what of the class each basis lets out; Recorded and Exclude are their union. In the order of Bases.
	Covers []Cover
	// Parts are the decisions for each client of data about several, in their order; the decision is what they let pass
	// together. Empty for data about one client or nobody.
	Parts []Part
}

// Part is the decision for one client of data about several.
type Part struct {
	Client string
	Decision
}

// Of is what of a decision concerns one client, so that the record of each client tells nothing of the others
// (703/2023 § 10 asks for each client's own log): the outcome is that of the whole, all else the client's own. A
// decision on data about one client is answered as it is.
func (d *Decision) Of(client string) *Decision {
	if len(d.Parts) == 0 {
		return d
	}
	one := Decision{
		Outcome: d.Outcome, Disclosure: d.Disclosure, Action: d.Action, Invitee: d.Invitee,
		Reason: "stopped for another person whom the data name",
	}
	if d.Outcome == Permitted || d.stopper() < 0 {
		one.Reason = d.Reason
	}
	for i := range d.Parts {
		p := &d.Parts[i]
		if p.Client != client {
			continue
		}
		one.Directives, one.Bans, one.Evidence, one.Covers, one.Disclosure = p.Directives, p.Bans, p.Evidence, p.Covers, p.Disclosure
		if one.Outcome == Permitted {
			one.Bases = p.Bases
		}
		if p.Outcome == d.Outcome || p.Outcome != Permitted {
			one.Reason = p.Reason
		}
	}
	for i := range one.Covers {
		one.Obligations = gathered(one.Obligations, one.Covers[i].obligations)
	}
	return &one
}

// Stopper is the client whose part stops data about several; "" when they pass, or no one client stops them.
func (d *Decision) Stopper() string {
	if i := d.stopper(); i >= 0 {
		return d.Parts[i].Client
	}
	return ""
}

func (d *Decision) stopper() int {
	if d.Outcome == Permitted {
		return -1
	}
	return slices.IndexFunc(d.Parts, func(p Part) bool { return p.Outcome == d.Outcome })
}

// Cover is what of a class one basis lets out, for one client of the class.
type Cover struct {
	Basis      Basis
	Client     string   // "" for data about nobody
	Recorded   Period   // only rows recorded in it; the zero Period is any
	Exclude    []string // rows ("Type/id") that bans of single documents leave out
	Directives []string // the permit or consent that this basis rests on

	obligations []string
}

// lets says whether a row leaves under the cover.
func (c *Cover) lets(row string, recorded time.Time) bool {
	return c.Recorded.Contains(recorded) && !slices.Contains(c.Exclude, row)
}

// For narrows a decision on a class to one of its rows, "Type/id", recorded at a time: it rests only on the bases that
// cover the row, and on their directives. It is a denial that says which basis missed when none covers the row; then
// the row may not leave. A decision that is no permit, or whose bases cover every row, is answered as it is.
func (d *Decision) For(row string, recorded time.Time) *Decision {
	if d.Outcome != Permitted {
		return d
	}
	if len(d.Parts) > 0 {
		parts := make([]Part, len(d.Parts))
		for i := range d.Parts {
			parts[i] = Part{d.Parts[i].Client, *d.Parts[i].For(row, recorded)}
		}
		whole := together(parts)
		whole.Action, whole.Invitee = d.Action, d.Invitee
		return &whole
	}
	if len(d.Covers) == 0 { // made by no Engine: the union is all there is to go by
		inside := len(d.Recorded) == 0 || slices.ContainsFunc(d.Recorded, func(p Period) bool { return p.Contains(recorded) })
		if inside && !slices.Contains(d.Exclude, row) {
			return d
		}
		return d.outside("outside what the basis covers")
	}
	if !slices.ContainsFunc(d.Covers, func(c Cover) bool { return !c.Recorded.open() || len(c.Exclude) > 0 }) {
		return d
	}
	narrow := *d
	narrow.Bases, narrow.Directives, narrow.Covers, narrow.Recorded, narrow.Exclude = nil, nil, nil, nil, nil
	narrow.Obligations, narrow.Bans = nil, nil
	covered := map[string]bool{}
	for i := range d.Covers {
		c := &d.Covers[i]
		covered[c.Client] = covered[c.Client] || c.lets(row, recorded)
		if !c.lets(row, recorded) {
			continue
		}
		narrow.Covers = append(narrow.Covers, *c)
		if !containsBasis(narrow.Bases, c.Basis.ID) {
			narrow.Bases = append(narrow.Bases, c.Basis)
		}
		narrow.Directives = merge(narrow.Directives, c.Directives)
		narrow.Obligations = merge(narrow.Obligations, c.obligations)
	}
	for _, ok := range covered {
		if !ok {
			out := d.outside(d.missed(row, recorded))
			if slices.ContainsFunc(d.Covers, func(c Cover) bool { return slices.Contains(c.Exclude, row) }) {
				out.Bans = d.Bans
			}
			return out
		}
	}
	return &narrow
}

// outside is the denial of a row that a permission on its class does not cover.
func (d *Decision) outside(why string) *Decision {
	return &Decision{
		Disclosure: d.Disclosure, Directives: d.Directives, Evidence: d.Evidence, Action: d.Action, Invitee: d.Invitee, Reason: why,
	}
}

// missed says, for the ledger, why no basis covers a row.
func (d *Decision) missed(row string, recorded time.Time) string {
	var b strings.Builder
	for i := range d.Covers {
		c := &d.Covers[i]
		if c.lets(row, recorded) {
			continue
		}
		if b.Len() > 0 {
			b.WriteString("; ")
		}
		b.WriteString(c.Basis.ID)
		if c.Recorded.Contains(recorded) {
			b.WriteString(": a ban of this document (ATL-59)")
			continue
		}
		b.WriteString(": recorded ")
		b.WriteString(told(recorded))
		b.WriteString(", and ")
		b.WriteString(nonempty(strings.Join(c.Directives, ", "), "the permit"))
		b.WriteString(" covers what was recorded ")
		b.WriteString(c.Recorded.told())
	}
	return b.String()
}

// Decider decides. *Engine is the real one; the gateway depends on this much of it.
type Decider interface {
	// Decide answers for one class. facts holds the Facts of every client in class.Clients, in that order; a nil
	// entry or a missing one is nothing known. A class of several clients is permitted only if it is for each.
	Decide(req Request, class Class, facts []*Facts) Decision
	// Version is the hash of the policies and switches in force, recorded with every decision.
	Version() string
}
