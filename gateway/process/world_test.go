package process

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/gateway/exchange"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

// world is a county in memory: rows by reference, the facts of clients, registered people. Changes take the way they
// take through the Desk: the rules govern, the real law decides, then all of the draft is applied or none.
type world struct {
	t       require.TestingT
	process *Process
	law     *consent.Engine
	rows    map[string]*exchange.Current
	order   []string // references, oldest first
	facts   map[string]*consent.Facts
	keys    map[string]int
	people  map[string]exchange.Caller // by user
	now     time.Time
	ids     int
	before  func() // when set, called once between the rules and the commit of the next change
	made    []string
	// everAccepted are the invitations that were accepted at some time.
	everAccepted map[string]bool
}

var errStale = errors.New("stale")

const (
	county = "Organization/county"
	client = "aino"
)

// loaded are the rules and the law, which hold no state and serve all tests.
var loaded = sync.OnceValues(func() (*Process, *consent.Engine) {
	p, err := New()
	if err != nil {
		panic(err)
	}
	law, err := consent.New(consent.Config{
		Public:        []string{county, "Organization/other-county"},
		JointServices: []consent.JointService{{Service: "HealthcareService/joint-reception", Location: "Location/jukola", Controller: county}},
	})
	if err != nil {
		panic(err)
	}
	return p, law
})

func newWorld(t require.TestingT) *world {
	p, law := loaded()
	w := &world{
		t: t, process: p, law: law, rows: map[string]*exchange.Current{}, facts: map[string]*consent.Facts{},
		people: map[string]exchange.Caller{}, everAccepted: map[string]bool{}, keys: map[string]int{}, now: time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC),
	}
	for _, who := range []struct {
		user, app, controller, unit, task, service string
		register                                   consent.Register
	}{
		{"nurse", "jukola-ehr", county, "Organization/jukola", "3.1", "4.1", consent.Health},
		{"doctor", "jukola-ehr", county, "Organization/jukola", "3.1", "4.1", consent.Health},
		{"digi-nurse", "omaks", county, "Organization/omaks-health", "3.1", "4.1", consent.Health},
		{"social-worker", "county-social", county, "Organization/county-social", "10.1.1", "", consent.Social},
		{"counsellor", "county-social", county, "Organization/county-social", "10.1.4", "", consent.Social},
		{"digi-counsellor", "omaks", county, "Organization/omaks-social", "10.1.2", "", consent.Social},
		{"neighbour", "other-county", "Organization/other-county", "Organization/other-social", "10.1.1", "", consent.Social},
		{"clinic-doctor", "private-clinic", "Organization/clinic", "Organization/clinic", "3.1", "4.1", consent.Health},
	} {
		w.people[who.user] = exchange.Caller{
			Purpose: consent.Care, Allows: func(string, exchange.Interaction) bool { return true },
			Actor: consent.Actor{
				Kind: consent.Professional, App: who.app, User: who.user, Person: "Practitioner/" + who.user, Role: "PractitionerRole/" + who.user,
				Controller: who.controller, Register: who.register, Unit: who.unit, Units: []string{who.unit}, Task: who.task, Service: who.service,
				Authority: who.register == consent.Social,
			},
		}
	}
	system := w.people["nurse"]
	system.Actor = consent.Actor{Kind: consent.System, App: "jukola-ehr", Controller: county, Register: consent.Health, Unit: "Organization/jukola", Units: []string{"Organization/jukola"}}
	w.people["jukola-ehr"] = system

	facts := &consent.Facts{Client: client, Version: 1, Person: consent.Person{Born: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)}}
	facts = facts.Relate("EpisodeOfCare/1", consent.Relationship{Kind: consent.InCare, Evidence: "EpisodeOfCare/1", Controller: county, Register: consent.Health, Unit: "Organization/jukola"})
	facts = facts.Relate("EpisodeOfCare/2", consent.Relationship{Kind: consent.InCare, Evidence: "EpisodeOfCare/2", Controller: county, Register: consent.Social, Unit: "Organization/county-social"})
	for i, row := range []string{"SHL-35.1", "SHL-40.1", "ATL-54.5"} {
		facts = facts.Direct(consent.Terms{Kind: consent.Assent, Evidence: fmt.Sprintf("Consent/%d", i), Version: 1, Active: true, Statute: row, RecordedBy: "Organization/jukola"})
	}
	w.facts[client] = facts
	w.keep("Appointment/1", consent.Class{Type: "Appointment", Clients: []string{client}, Controller: county, Register: consent.Health, Unit: "Organization/jukola"})
	w.keep("Appointment/social", consent.Class{Type: "Appointment", Clients: []string{client}, Controller: county, Register: consent.Social, Unit: "Organization/county-social"})
	w.keep("Appointment/onni", consent.Class{Type: "Appointment", Clients: []string{"onni"}, Controller: county, Register: consent.Health, Unit: "Organization/jukola"})
	w.keep("HealthcareService/joint-reception", consent.Class{Type: "HealthcareService", Controller: county, Register: consent.Directory})
	w.keep("HealthcareService/home-care", consent.Class{Type: "HealthcareService", Controller: county, Register: consent.Directory})
	return w
}

// keep puts a row beside the process into the world; its content does not matter.
func (w *world) keep(ref string, class consent.Class) {
	typ, id, _ := strings.Cut(ref, "/")
	w.rows[ref] = &exchange.Current{Type: typ, ID: id, Version: 1, Class: class, Doc: parse(`{"resourceType":"` + typ + `"}`)}
}

func (w *world) View(c exchange.Caller) *view { return &view{w, c} }

// view is what the rules see of the world.
type view struct {
	*world
	caller exchange.Caller
}

func (v *view) Get(_ context.Context, typ, id string) (*exchange.Current, error) {
	return v.rows[typ+"/"+id], nil
}

func (v *view) Process(_ context.Context, process string) ([]*exchange.Current, error) {
	var out []*exchange.Current
	for _, ref := range v.order {
		if v.rows[ref].Class.Process == process {
			out = append(out, v.rows[ref])
		}
	}
	return out, nil
}

func (v *view) Facts(_ context.Context, client string) (*consent.Facts, error) {
	if facts := v.facts[client]; facts != nil {
		return facts, nil
	}
	return &consent.Facts{Client: client}, nil
}

func (v *view) Visible(_ context.Context, row *exchange.Current) (bool, error) {
	return v.permits(v.caller, consent.Read, row.Class), nil
}

func (v *view) Own(_ context.Context, typ, client string) ([]*exchange.Current, error) {
	var out []*exchange.Current
	for _, ref := range v.order {
		row := v.rows[ref]
		if row.Type == typ && slices.Contains(row.Class.Clients, client) && v.permits(v.caller, consent.Read, row.Class) {
			out = append(out, row)
		}
	}
	return out, nil
}

func (v *view) Person(ref string) (consent.Actor, bool) {
	for _, c := range v.people {
		if names(c.Actor, ref) {
			return c.Actor, true
		}
	}
	return consent.Actor{}, false
}

func (w *world) decide(c exchange.Caller, action consent.Action, class consent.Class, invitee consent.Invitee) consent.Decision {
	var facts []*consent.Facts
	for _, client := range class.Clients {
		facts = append(facts, w.facts[client])
	}
	return w.law.Decide(consent.Request{Actor: c.Actor, Action: action, Purpose: consent.Care, Time: w.now, Invitee: invitee}, class, facts)
}

func (w *world) permits(c exchange.Caller, action consent.Action, class consent.Class) bool {
	return w.decide(c, action, class, consent.Invitee{}).Outcome == consent.Permitted
}

// sees says whether a user may read a row now.
func (w *world) sees(user, ref string) bool {
	return w.permits(w.people[user], consent.Read, w.rows[ref].Class)
}

// Transact applies changes as the Desk does. It implements Desk.
func (w *world) Transact(_ context.Context, c exchange.Caller, ops []exchange.Op) ([]exchange.Written, error) {
	d := &exchange.Draft{Caller: c, Time: w.now}
	urns := map[string]string{}
	for _, op := range ops {
		require.Empty(w.t, fhir.Validate(withID(op.Doc)), "what is sent is valid")
		item := &exchange.Item{Type: op.Type, ID: op.ID}
		if op.Doc != nil {
			item.Doc = op.Doc.Clone()
		}
		if op.Interaction == exchange.Create {
			w.ids++
			item.ID = fmt.Sprintf("r%d", w.ids)
			if op.FullURL != "" {
				urns[op.FullURL] = item.Ref()
			}
		} else {
			item.Before = w.rows[item.Ref()]
			if item.Before == nil || !w.permits(c, consent.Read, item.Before.Class) {
				return nil, exchange.Refuse(exchange.NotAllowed, "not-supported", "", "cannot be updated")
			}
		}
		d.Items = append(d.Items, item)
	}
	for _, item := range d.Items {
		if item.Doc == nil {
			item.Class = item.Before.Class
			continue
		}
		for ref := range fhir.References(item.Doc) {
			if to, ok := urns[ref.Text()]; ok {
				ref.Set(to)
			}
		}
		item.Class = consent.Class{Type: item.Type, Controller: c.Actor.Controller, Register: c.Actor.Register, Author: c.Actor.App, Unit: c.Actor.Unit}
		if item.Before != nil {
			item.Class = item.Before.Class
		}
		item.Class.Clients = nil
		for ref := range fhir.References(item.Doc) {
			if to := ref.Parse(); to.Local() && to.Type == "Patient" {
				item.Class.Clients = append(item.Class.Clients, to.ID)
			}
		}
		slices.Sort(item.Class.Clients)
		item.Class.Clients = slices.Compact(item.Class.Clients)
	}
	if err := w.process.Govern(context.Background(), w.View(c), d); err != nil {
		return nil, err
	}
	seen := maps.Clone(w.keys)
	if hook := w.before; hook != nil {
		w.before = nil
		hook()
	}
	if err := w.commit(c, d, seen); err != nil {
		return nil, err
	}
	w.now = w.now.Add(time.Minute)
	w.made = nil
	written := make([]exchange.Written, len(ops))
	for i, item := range d.Items {
		if i < len(ops) {
			written[i] = exchange.Written{Resource: exchange.Resource{Type: item.Type, ID: item.ID}, Created: item.Before == nil}
		} else if item.Before == nil {
			w.made = append(w.made, item.Ref())
		}
	}
	return written, nil
}

func withID(doc *fhir.Value) *fhir.Value {
	if doc == nil {
		return fhir.NewObject(fhir.Member{Name: "resourceType", Value: fhir.NewString("Basic")}, fhir.Member{Name: "code", Value: fhir.NewObject(fhir.Member{Name: "text", Value: fhir.NewString("-")})})
	}
	return doc
}

// commit decides by the law and applies the whole draft.
func (w *world) commit(c exchange.Caller, d *exchange.Draft, seen map[string]int) error {
	for _, key := range d.Keys {
		if w.keys[key] != seen[key] {
			return errStale
		}
	}
	facts := w.facts[client]
	for _, item := range d.Items {
		if item.Before != nil && w.rows[item.Ref()].Version != item.Before.Version {
			return errStale
		}
		if item.Doc != nil {
			if issues := fhir.Validate(item.Doc); len(issues) > 0 {
				require.Failf(w.t, "the rules made an invalid resource", "%s: %v", item.Ref(), issues)
			}
		}
		if !item.Consequence {
			action, classes := consent.Record, []consent.Class{item.Class}
			if item.Before != nil {
				action, classes = consent.Change, []consent.Class{item.Before.Class, item.Class}
			}
			for _, class := range classes {
				if !w.permits(c, action, class) {
					return exchange.Refuse(exchange.Forbidden, "forbidden", "", item.Ref()+" is not this caller's to change.")
				}
			}
		}
		if item.Invitee != nil {
			decision := w.decide(c, consent.Invite, item.Class, *item.Invitee)
			if decision.Outcome != consent.Permitted {
				return exchange.Refuse(exchange.Unprocessable, "business-rule", "Task.owner", "The invitation has no legal basis: "+decision.Reason)
			}
			for i := range item.Relationships[client] {
				item.Relationships[client][i].Basis = decision.Bases[0].ID
			}
		}
		if item.Relationships != nil {
			facts = facts.Relate(item.Ref(), item.Relationships[client]...)
			facts.Version++
		}
	}
	w.facts[client] = facts
	for _, key := range d.Keys {
		w.keys[key]++
	}
	for _, item := range d.Items {
		ref := item.Ref()
		if item.Doc == nil {
			delete(w.rows, ref)
			w.order = slices.DeleteFunc(w.order, func(r string) bool { return r == ref })
			continue
		}
		version := int64(1)
		if item.Before != nil {
			version = item.Before.Version + 1
		} else {
			w.order = append(w.order, ref)
		}
		conforms(w.t, w.process, item)
		if item.Type == "Task" && membership[item.Doc.Text("status")] {
			w.everAccepted[ref] = true
		}
		w.rows[ref] = &exchange.Current{Type: item.Type, ID: item.ID, Version: version, Class: item.Class, Updated: w.now, Doc: item.Doc.Clone()}
	}
	return nil
}

// What people do in the tests.

func parse(text string) *fhir.Value {
	v, err := fhir.Parse([]byte(text), fhir.DefaultLimits)
	if err != nil {
		panic(text + ": " + err.Error())
	}
	return v
}

// apply starts the process and answers the CarePlan's reference.
func (w *world) apply(user string) (string, error) {
	written, err := w.process.Apply(context.Background(), w, w.people[user],
		parse(`{"resourceType":"Parameters","parameter":[{"name":"subject","valueString":"Patient/`+client+`"}]}`))
	if err != nil {
		return "", err
	}
	return "CarePlan/" + written.ID, nil
}

// post creates a resource and answers its reference.
func (w *world) post(user, text string) (string, error) {
	doc := parse(text)
	written, err := w.Transact(context.Background(), w.people[user], []exchange.Op{{Interaction: exchange.Create, Type: fhir.ResourceType(doc), Doc: doc}})
	if err != nil {
		return "", err
	}
	return written[0].Type + "/" + written[0].ID, nil
}

// put writes a new version of a row as the user changes it.
func (w *world) put(user, ref string, change func(doc *fhir.Value)) error {
	_, err := w.Transact(context.Background(), w.people[user], []exchange.Op{w.op(ref, change)})
	return err
}

func (w *world) op(ref string, change func(doc *fhir.Value)) exchange.Op {
	typ, id, _ := strings.Cut(ref, "/")
	op := exchange.Op{Interaction: exchange.Update, Type: typ, ID: id}
	if row := w.rows[ref]; row != nil {
		op.Doc = row.Doc.Clone()
		change(op.Doc)
	} else {
		op.Doc = parse(`{"resourceType":"Basic","code":{"text":"-"}}`)
	}
	return op
}

func (w *world) delete(user, ref string) error {
	typ, id, _ := strings.Cut(ref, "/")
	_, err := w.Transact(context.Background(), w.people[user], []exchange.Op{{Interaction: exchange.Delete, Type: typ, ID: id}})
	return err
}

// to sets a status and outputs, each the JSON of a Task.output.
func to(status string, outputs ...string) func(*fhir.Value) {
	return func(doc *fhir.Value) {
		doc.Set("status", fhir.NewString(status))
		if len(outputs) > 0 {
			doc.Set("output", parse("["+strings.Join(outputs, ",")+"]"))
		}
	}
}

// set sets a member to JSON text; "" takes it away.
func set(name, text string) func(*fhir.Value) {
	return func(doc *fhir.Value) {
		if text == "" {
			doc.Set(name, nil)
			return
		}
		doc.Set(name, parse(text))
	}
}

func kind(code, value string) string {
	return `{"type":{"coding":[{"system":"` + outputSystem + `","code":"` + code + `"}]},` + value + `}`
}

func code(kindOf, value string) string { return kind(kindOf, `"valueCode":"`+value+`"`) }

func refTo(kindOf, value string) string {
	return kind(kindOf, `"valueReference":{"reference":"`+value+`"}`)
}

// openTask is the one open Task of a step, or "".
func (w *world) openTask(plan, step_ string) string {
	found := ""
	for _, ref := range w.order {
		row := w.rows[ref]
		if row.Type == "Task" && row.Class.Process == plan && step(row.Doc) == step_ && openStatuses[row.Doc.Text("status")] {
			require.Empty(w.t, found, "one open Task of %s", step_)
			found = ref
		}
	}
	return found
}

// complete completes the open Task of a step.
func (w *world) complete(user, plan, step string, outputs ...string) error {
	ref := w.openTask(plan, step)
	if ref == "" {
		return fmt.Errorf("no open Task of %s", step)
	}
	return w.put(user, ref, to("completed", outputs...))
}

// invitation is the JSON of one; members are added to it.
func (w *world) invitation(plan, from, owner string, members ...string) string {
	extra := ""
	if len(members) > 0 {
		extra = "," + strings.Join(members, ",")
	}
	return `{"resourceType":"Task","basedOn":[{"reference":"` + plan + `"}],"status":"requested","intent":"order",
		"code":{"coding":[{"system":"` + terms.Step + `","code":"invite"}]},"for":{"reference":"Patient/` + client + `"},
		"requester":{"reference":"PractitionerRole/` + from + `"},"owner":{"reference":"PractitionerRole/` + owner + `"},
		"restriction":{"period":{"end":"` + w.now.AddDate(0, 0, 14).Format("2006-01-02") + `"}}` + extra + `}`
}

func (w *world) invite(from, plan, owner string, members ...string) (string, error) {
	return w.post(from, w.invitation(plan, from, owner, members...))
}

// accept invites and accepts.
func (w *world) accept(from, plan, owner string, members ...string) (string, error) {
	task, err := w.invite(from, plan, owner, members...)
	if err != nil {
		return "", err
	}
	return task, w.put(owner, task, to("accepted"))
}

// booking is the output of book-assessment that a user gives: an appointment of the user's own register.
func (w *world) booking(user string) string {
	if w.people[user].Actor.Register == consent.Social {
		return refTo(appointment, "Appointment/social")
	}
	return refTo(appointment, "Appointment/1")
}

// until brings a new process of a user up to the step, without opening it by hand.
func (w *world) until(user, stop string) string {
	plan, err := w.apply(user)
	require.NoError(w.t, err)
	for _, s := range []struct{ step, output string }{
		{terms.StepIdentify, ""},
		{terms.StepDiscuss, code(answer, "accepted")},
		{terms.StepCheckResponsible, code(responsible, "none")},
		{terms.StepBookAssessment, w.booking(user)},
		{terms.StepAssess, ""},
	} {
		if s.step == stop {
			return plan
		}
		var outputs []string
		if s.output != "" {
			outputs = []string{s.output}
		}
		require.NoError(w.t, w.complete(user, plan, s.step, outputs...))
	}
	return plan
}

func (w *world) status(ref string) string { return w.rows[ref].Doc.Text("status") }

func (w *world) team(plan string) *exchange.Current {
	return w.rows[w.rows[plan].Doc.Text("careTeam", "reference")]
}

// members are "role who" of the participants whose period runs.
func (w *world) members(plan string) []string {
	out := []string{}
	for _, p := range w.team(plan).Doc.Get("participant").Items() {
		if runs(p, w.now) {
			out = append(out, p.Text("role", "coding", "code")+" "+strings.TrimPrefix(p.Text("member", "reference"), "PractitionerRole/"))
		}
	}
	return out
}

// relationship is what rests on an invitation.
func (w *world) relationship(evidence string) []consent.Relationship {
	var out []consent.Relationship
	for _, rel := range w.facts[client].Relationships {
		if rel.Evidence == evidence {
			out = append(out, rel)
		}
	}
	return out
}

// refused asserts a refusal of the process that says why.
func refused(t *testing.T, err error, says string) {
	t.Helper()
	var refusal *exchange.Error
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, exchange.Unprocessable, refusal.Kind, refusal.Error())
	require.Contains(t, refusal.Error(), says)
}
