package consent

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// flags are the circumstances that are either so or not; their names in the policies are in engine_cedar.go.
type flags uint32

const (
	ownRegister flags = 1 << iota
	ownCopy
	sameController
	authored
	ownUnit
	recordedHere
	clientless
	mine
	related
	inCare
	participant
	invited
	guest
	jointService
	banned
	localPermits
	minor
	guardianDenied
	socialDenied
	dependent
	taskStated
	reasoned
	confirmed
	sameService
	inviteeSameController
	inviteePublic
	received
	addressee
	onward
	act
	deceased
)

// rowSet is a set of rows that permits and assents speak of.
type rowSet uint16

// directedRows are the rows of rowSet, by bit.
var directedRows = [...]string{
	"ATL-53.2", "ATL-53.3", "ATL-54.1", "ATL-55.1", // permits
	"SHL-35.1", "SHL-40.1", "ATL-54.5", "SHL-39.3", "VPL-17", "KAYL-8", "ATL-6", "JULKL-26", // consents
}

func (s rowSet) has(row string) bool {
	i := slices.Index(directedRows[:], row)
	return i >= 0 && s&(1<<i) != 0
}

// direction is the row of permits by the register the data come from and the sector they go to. Every directive of a
// client passes here for every decision, so it is no map.
func direction(from, to Register) rowSet {
	switch {
	case from == Health && to == Social:
		return 1 << 0
	case from == Social && to == Health:
		return 1 << 1
	case from == Health && to == Health:
		return 1 << 2
	case from == Social && to == Social:
		return 1 << 3
	}
	return 0
}

// weighing is what the facts of one client come to for one request and class.
type weighing struct {
	flags      flags
	permits    rowSet // rows with a permit that covers the class and the recipient
	assents    rowSet
	recorded   []Period // of those permits
	facts      *Facts
	req        *Request
	class      *Class
	engine     *Engine
	invitation Basis // row that the person's invitation rested on
	banning    int   // index of the first ban that names the class, + 1
	unfit      int   // index of the first directive in force that speaks of the direction but does not cover, + 1
	gone       int   // index of the first directive of the direction that is not in force, + 1
}

func (w *weighing) has(f flags) bool { return w.flags&f == f }

func (w *weighing) set(f flags, is bool) {
	if is {
		w.flags |= f
	}
}

// weigh computes the circumstances. A nil facts, or facts at version 0, is nothing known: no relationship, no directive,
// and of the person the most careful reading.
func (e *Engine) weigh(w *weighing, req *Request, class *Class, client string, facts *Facts) {
	w.req, w.class, w.engine = req, class, e
	a := &req.Actor
	same := class.Controller != "" && class.Controller == a.Controller
	working := a.Register == Health || a.Register == Social
	w.set(sameController, same)
	w.set(ownRegister, same && working && class.Register == a.Register)
	w.set(ownCopy, same && working && class.Joint && class.In(a.Register))
	w.set(authored, class.Author != "" && class.Author == a.App)
	// What a system wrote without a user names no unit; where the system serves one unit only, it is that unit's.
	nameless := class.Unit == "" && w.has(authored)
	w.set(ownUnit, class.Unit != "" && class.Unit == a.Unit || nameless && len(a.Units) == 1 && a.Units[0] == a.Unit)
	// What no unit recorded, a client gave in the own view: the system's professionals have no part in it.
	w.set(recordedHere, class.Unit != "" && class.Unit == a.Unit)
	w.set(clientless, client == "")
	w.set(onward, class.received())
	w.set(act, class.act())
	w.set(mine, len(class.Clients) == 1 && slices.Contains(a.Clients, class.Clients[0]))
	w.set(localPermits, e.switches["O11"] == "on")
	w.set(taskStated, req.Assertion.Task != "")
	w.set(reasoned, req.Assertion.Reason != "" && e.acts.reason.Told(req.Assertion.Reason))
	w.set(confirmed, req.Assertion.Confirm)
	if class.Protection != "" {
		w.set(sameService, e.codes.sameService(class.Protection, a.Service))
	}
	if req.Action == Invite || acting(req.Action) {
		w.set(inviteeSameController, req.Invitee.Controller != "" && req.Invitee.Controller == a.Controller)
		w.set(inviteePublic, e.public[req.Invitee.Controller])
	}
	if client == "" {
		// Data about nobody has no relationship to show: it stays with the API client that wrote it.
		w.set(related, w.has(authored) && w.has(ownRegister))
		w.set(guardianDenied, true)
		return
	}
	if facts == nil {
		w.set(guardianDenied, true)
		return
	}
	w.facts = facts
	w.set(minor, underage(facts.Person.Born, req.Time))
	w.set(deceased, facts.Person.Deceased)
	w.set(dependent, w.has(minor) && facts.Person.Dependent)
	w.set(guardianDenied, facts.Person.GuardianDenied || facts.Person.Born.IsZero())
	for i := range facts.Relationships {
		w.set(e.relation(w, &facts.Relationships[i]), true)
	}
	for i := range facts.Directives {
		e.directive(w, i, &facts.Directives[i])
	}
}

// underage says whether somebody born on a day is under 18 at t; who has no known day of birth is not known to be.
func underage(born, t time.Time) bool {
	if born.IsZero() {
		return false
	}
	y, m, d := born.Date()
	return t.In(finnish).Before(time.Date(y+18, m, d, 0, 0, 0, 0, finnish))
}

// relation is what one relationship gives the actor; 0 when it is another's or does not run.
func (e *Engine) relation(w *weighing, r *Relationship) flags {
	a := &w.req.Actor
	if !r.Period.Contains(w.req.Time) {
		return 0
	}
	switch r.Kind {
	case Received:
		if a.Kind != Professional || r.Controller != a.Controller || r.Register != a.Register || r.Unit == "" || r.Unit != a.Unit {
			return 0
		}
		basis := e.law.row(r.Basis)
		if basis == nil {
			return 0
		}
		mine := w.class.Process != "" && w.class.Process == r.Process
		if mine || w.invitation.ID == "" {
			w.invitation = basis.basis
		}
		if mine {
			return received | addressee
		}
		return addressee
	case InCare, Registered:
		if r.Controller != a.Controller || r.Register != a.Register || r.Controller == "" {
			return 0
		}
		ofUnit := r.Unit != "" && (r.Unit == a.Unit || a.Kind == System && slices.Contains(a.Units, r.Unit))
		ofApp := r.Kind == Registered && r.Unit == "" && r.App != "" && r.App == a.App
		switch {
		case !ofUnit && !ofApp:
			return 0
		case r.Kind == InCare:
			return related | inCare
		}
		return related
	case Participant, Invited:
		if a.Kind != Professional || r.Person == "" || r.Person != a.Person && r.Person != a.Role {
			return 0
		}
		if r.Controller != "" && r.Controller != a.Controller || r.Register != "" && r.Register != a.Register {
			return 0
		}
		var gives flags
		if basis := e.law.row(r.Basis); basis != nil && basis.outcome == Permitted && e.carried(w, r.Basis) {
			if r.Kind == Invited {
				gives |= guest
			}
			if w.class.Invitation != "" && w.class.Invitation == r.Evidence {
				gives |= invited
			}
			// Among several invitations the decision names the row of the one that is read.
			if gives&invited != 0 || gives != 0 && w.invitation.ID == "" {
				w.invitation = basis.basis
			}
		}
		if r.Kind == Invited {
			return gives
		}
		gives |= related
		if w.class.Process != "" && w.class.Process == r.Process {
			gives |= participant
		}
		signed, listed := e.joint[place{r.Service, r.Location}]
		if listed && signed == w.class.Controller && signed == a.Controller && reachedAcross(w, r.Process) {
			gives |= jointService
		}
		return gives
	}
	return 0
}

// crossing are the rows on which an invitation crosses from one register to the other.
var crossing = [...]string{"SHL-35.1", "SHL-40.1", "ATL-53.2", "ATL-53.3"}

// reachedAcross says whether somebody takes part in a process on an invitation that crossed the registers on a basis of
// its own. A joint service is social and health care together (457/2024 § 2(5)): colleagues of one sector who invite
// each other into it are not one, whatever service their invitations name.
func reachedAcross(w *weighing, process string) bool {
	if process == "" {
		return false
	}
	for i := range w.facts.Relationships {
		r := &w.facts.Relationships[i]
		if r.Kind == Participant && r.Process == process && r.Period.Contains(w.req.Time) &&
			slices.Contains(crossing[:], r.Basis) {
			return true
		}
	}
	return false
}

// carried says whether the row that an invitation rested on still carries it: a row of consents or permits does as long
// as one is in force that reaches the actor.
func (e *Engine) carried(w *weighing, row string) bool {
	place := slices.Index(directedRows[:], row)
	if place < 0 {
		return true
	}
	for i := range w.facts.Directives {
		if e.carries(w, &w.facts.Directives[i], 1<<place) {
			return true
		}
	}
	return false
}

// carries says whether a directive in force carries an invitation to the actor on one of the rows.
func (e *Engine) carries(w *weighing, t *Terms, rows rowSet) bool {
	if rows == 0 || t.Kind != Permit && t.Kind != Assent || !w.inForce(t) || !e.reaches(t, w.req.Actor.Controller, w.req.Actor.Unit) {
		return false
	}
	switch t.Kind {
	case Permit:
		return rows&direction(Register(t.From), Register(t.To)) != 0
	case Assent:
		return rows.has(t.Statute)
	}
	return false
}

// inForce says whether a directive counts at the time of the request. What a guardian permitted or consented to counts
// only while the client is a minor who cannot decide: from then on the client's own word is asked for. What a guardian
// banned stays until the client takes it back, because that opens nothing; but a guardian may not ban giving a minor's
// patient data in an emergency (703/2023 § 58.1; 785/1992 § 8).
func (w *weighing) inForce(t *Terms) bool {
	switch {
	case !t.Active || !t.Valid.Contains(w.req.Time):
		return false
	case t.GivenBy != ByGuardian:
		return true
	case t.Kind == Permit || t.Kind == Assent:
		return w.has(dependent)
	}
	return !(t.Kind == Ban && w.req.Purpose == Emergency && w.has(minor) && w.class.Register == Health)
}

// directive weighs one directive: what it permits, assents to or bans at the time of the request.
func (e *Engine) directive(w *weighing, i int, t *Terms) {
	// What speaks of another case is told by its kind and direction, before its period is looked at.
	switch t.Kind {
	case Permit:
		from, to := w.class.Register, w.req.Actor.Register
		if w.req.Action == Invite {
			from, to = w.req.Actor.Register, w.req.Invitee.Register
		}
		if t.From != string(from) || t.To != string(to) {
			return
		}
		switch {
		case !w.inForce(t):
			note(&w.gone, i)
		case !e.covers(w, t, from, to):
			note(&w.unfit, i)
		default:
			w.permits |= direction(from, to)
			w.recorded = append(w.recorded, t.Recorded)
		}
	case Assent:
		j := slices.Index(directedRows[:], t.Statute)
		if j >= 4 && w.assents&(1<<j) == 0 && w.inForce(t) && e.agrees(w, t) {
			w.assents |= 1 << j
		}
	case Denial:
		w.set(socialDenied, w.has(minor) && w.inForce(t))
	case Ban:
		if w.bans(t) && w.inForce(t) {
			w.flags |= banned
			note(&w.banning, i)
		}
	default:
		// A directive of an unknown kind may be a ban that this version cannot read: nothing passes it.
		if w.inForce(t) {
			w.flags |= banned
			note(&w.banning, i)
		}
	}
}

func note(place *int, i int) {
	if *place == 0 {
		*place = i + 1
	}
}

// covers says whether a permit of the right direction covers the recipient and the data (457/2024 § 25).
func (e *Engine) covers(w *weighing, t *Terms, from, to Register) bool {
	controller, unit := w.req.Actor.Controller, w.req.Actor.Unit
	if w.req.Action == Invite {
		controller, unit = w.req.Invitee.Controller, w.req.Invitee.Unit
	}
	crossing := from != to
	if !e.reaches(t, controller, unit) {
		return false
	}
	if w.req.Action == Invite {
		return true // an invitation carries nothing from a register
	}
	switch {
	case from == Health:
		if crossing || len(t.DataClasses) > 0 {
			return e.codes.permitCovers(t.DataClasses, w.class)
		}
		return true
	case crossing || len(t.ServiceTasks) > 0:
		// The client names the service tasks; a permit that names none, and data that carry none, are not covered.
		return w.class.ServiceTask != "" && slices.Contains(t.ServiceTasks, w.class.ServiceTask)
	}
	return true
}

// reaches says whether a permit or consent is for a recipient: the ones it names, by controller or unit; where it names
// none, a permit across the sectors is for public ones (457/2024 § 25) and any other is for every one.
func (e *Engine) reaches(t *Terms, controller, unit string) bool {
	switch {
	case controller == "":
		return false
	case len(t.Recipients) > 0:
		return slices.Contains(t.Recipients, controller) || unit != "" && slices.Contains(t.Recipients, unit)
	}
	return t.Kind != Permit || t.From == t.To || e.public[controller]
}

// agrees says whether a consent is for who is invited or receives. One whom a human discloses to and who is registered
// nowhere is told by name, as the consent has it.
func (e *Engine) agrees(w *weighing, t *Terms) bool {
	to := &w.req.Invitee
	if w.req.Action == Disclose && to.Controller == "" {
		return to.Kind != "" && (len(t.Recipients) == 0 || to.Name != "" && slices.Contains(t.Recipients, to.Name))
	}
	return e.reaches(t, to.Controller, to.Unit)
}

// bans says whether a ban names the data of the class as a whole (703/2023 § 59). Its targets are alternatives: each one
// that fits bans. Social data that carry no service task may belong to a banned one, and are taken to; so are patient data
// that name no service event, which § 26.3 asks of them, as long as nobody has answered otherwise (O14).
func (w *weighing) bans(t *Terms) bool {
	class := w.class
	switch {
	case t.AllHealth && class.In(Health):
		return true
	case t.Controller != "" && t.Controller == class.Controller && (t.Register == "" || class.In(t.Register)):
		return true
	case len(t.ServiceTasks) > 0 && class.In(Social) && (class.ServiceTask == "" || slices.Contains(t.ServiceTasks, class.ServiceTask)):
		return true
	case anyEvent(class.ServiceEvent, t.ServiceEvents):
		return true
	case len(t.ServiceEvents) > 0 && w.engine.eventless && w.eventless():
		return true
	}
	return false
}

// eventless says whether the class is of patient data that name no service event, though such data are recorded in one. The
// documents of a process are not, and what is invited to or asked for carries nothing from a register.
func (w *weighing) eventless() bool {
	return w.class.ServiceEvent == "" && w.class.Process == "" && w.class.In(Health) && w.req.Action != Invite && w.req.Action != Ask
}

// exclude lists the rows that bans of single documents leave out of the class.
func (w *weighing) exclude() []string {
	if w.facts == nil {
		return nil
	}
	var out []string
	for i := range w.facts.Directives {
		t := &w.facts.Directives[i]
		if t.Kind != Ban || !w.inForce(t) {
			continue
		}
		for _, row := range t.Documents {
			if w.ofType(row) && !slices.Contains(out, row) {
				out = append(out, row)
			}
		}
	}
	return out
}

// ofType says whether a row, Type/id, is of the type of the class.
func (w *weighing) ofType(row string) bool {
	typ := w.class.Type
	return len(row) > len(typ) && row[len(typ)] == '/' && row[:len(typ)] == typ
}

// gather names in the decision what weighed: the actor's relationships, the permits and consents of the rows, and bans.
func (w *weighing) gather(out *Decision, rows []*policy, withBans bool) {
	if w.facts == nil {
		return
	}
	for i := range w.facts.Relationships {
		r := &w.facts.Relationships[i]
		if w.engine.relation(w, r) != 0 && !slices.Contains(out.Evidence, r.Evidence) {
			out.Evidence = append(out.Evidence, r.Evidence)
		}
	}
	var wanted, carrying rowSet // rows that rest on directives; rows that the invitation rests on
	for _, row := range rows {
		if i := slices.Index(directedRows[:], row.basis.ID); i >= 0 {
			wanted |= 1 << i
		} else if i := slices.Index(directedRows[:], w.invitation.ID); i >= 0 && row.ofRelationship {
			carrying |= 1 << i
		}
	}
	for i := range w.facts.Directives {
		t := &w.facts.Directives[i]
		weighs := false
		switch {
		case t.Kind == Permit || t.Kind == Assent:
			weighs = w.rests(t, wanted) || w.engine.carries(w, t, carrying)
		case t.Kind == Denial:
			weighs = w.req.Actor.Kind == Guardian && w.class.In(Social) && w.inForce(t)
		case withBans:
			weighs = (t.Kind != Ban || w.bans(t) || slices.ContainsFunc(t.Documents, w.ofType)) && w.inForce(t)
		}
		if weighs {
			version := directiveVersion(t)
			out.Directives = append(out.Directives, version)
			if t.Kind != Permit && t.Kind != Assent {
				out.Bans = append(out.Bans, version)
			}
		}
	}
}

// rests says whether one of the rows wanted rests on a directive: a permit that covers the class, or a consent.
func (w *weighing) rests(t *Terms, wanted rowSet) bool {
	if wanted == 0 {
		return false
	}
	switch t.Kind {
	case Permit:
		from, to := w.class.Register, w.req.Actor.Register
		if w.req.Action == Invite {
			from, to = w.req.Actor.Register, w.req.Invitee.Register
		}
		return t.From == string(from) && t.To == string(to) &&
			wanted&direction(from, to) != 0 && w.inForce(t) && w.engine.covers(w, t, from, to)
	case Assent:
		return wanted.has(t.Statute) && w.inForce(t) && w.engine.agrees(w, t)
	}
	return false
}

// directiveVersion is Consent/1/_history/2.
func directiveVersion(t *Terms) string {
	return t.Evidence + "/_history/" + strconv.FormatInt(t.Version, 10)
}

// redacts says whether non-disclosure for personal safety (turvakielto) leaves the client's whereabouts out. Only a unit
// of a public controller that has the client in care sees them, and the client; never in invitations, messages or
// notifications. What a system wrote into its own register itself is not kept from it. Of whom nothing is known, the
// whereabouts stay. Who is close to the client often lives with the client, so a RelatedPerson is treated alike.
func (e *Engine) redacts(w *weighing, req *Request, class *Class) bool {
	if class.Type != "Patient" && class.Type != "RelatedPerson" {
		return false
	}
	if w.facts != nil && w.facts.Version > 0 && !w.facts.Person.Turvakielto {
		return false
	}
	if req.Action == Disclose || req.Action == Correct {
		return true // what a person gives away goes where nobody can say who sees it
	}
	switch req.Actor.Kind {
	case Client:
		return false
	case Professional:
		return !w.has(ownRegister|authored) && (!w.has(inCare) || !e.public[req.Actor.Controller])
	case System:
		return req.Action != Read || !w.has(authored)
	}
	return true
}

// anyEvent says whether any of the service events of a class, separated by commas, is among those banned.
func anyEvent(events string, banned []string) bool {
	for event := range strings.SplitSeq(events, ",") {
		if event != "" && slices.Contains(banned, event) {
			return true
		}
	}
	return false
}
