package consent

import (
	"hash/maphash"
	"sync"
	"time"

	"github.com/cedar-policy/cedar-go"
	publicast "github.com/cedar-policy/cedar-go/ast"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
)

// flagNames are the names of the flags in the policies (sotesilta.cedarschema), by bit.
var flagNames = [...]cedar.String{
	"ownRegister", "ownCopy", "sameController", "authored", "ownUnit", "recordedHere", "clientless", "mine",
	"related", "inCare", "participant", "invited", "guest", "jointService", "banned", "localPermits", "minor",
	"guardianDenied", "socialDenied", "dependent", "taskStated", "reasoned", "confirmed", "sameService", "inviteeSameController", "inviteePublic",
	"received", "addressee", "onward", "act", "deceased",
}

// environment is one request in Cedar's terms. It is its own entity store: a request knows two entities.
type environment struct {
	request   cedar.Request
	principal cedar.Entity
	resource  cedar.Entity
}

// Get answers the principal or the resource.
func (e *environment) Get(uid cedar.EntityUID) (cedar.Entity, bool) {
	switch {
	case uid == dataUID:
		return e.resource, true
	case uid == e.request.Principal:
		return e.principal, true
	}
	return cedar.Entity{}, false
}

var dataUID = cedar.NewEntityUID("Data", "class")

// principalTypes are the entity types of the kinds of actor.
var principalTypes = map[Kind]cedar.EntityType{
	System: "System", Professional: "Professional", Client: "Client", Guardian: "Guardian", Representative: "Representative", Auditor: "Auditor", Operator: "Operator",
}

func principalUID(kind Kind) cedar.EntityUID {
	return cedar.NewEntityUID(principalTypes[kind], "actor")
}

func actionUID(action Action) cedar.EntityUID {
	return cedar.NewEntityUID("Action", cedar.String(action))
}

// question is everything that the policies of a slice can see of a request, and nothing else: equal questions have equal
// rulings. Building its records and evaluating the policies costs tens of microseconds, so rulings are kept.
type question struct {
	slice  *slice
	epoch  int // which policies are in force: see law.epoch
	action Action
	who    principalKey
	what   resourceKey
	how    contextKey
}

type (
	principalKey struct {
		kind          Kind
		register      Register
		task, service string
		authority     bool
		producer      bool
	}
	resourceKey struct {
		typ                                string
		register                           Register
		joint                              bool
		serviceTask, dataClass, protection string
	}
	contextKey struct {
		flags            flags
		permits, assents rowSet
		purpose          Purpose
		ground           string
		invitee          Register
		act              actKey
	}
)

// question puts a weighed request into the words of the policies.
func (e *Engine) question(w *weighing, req *Request, class *Class) question {
	q := question{
		slice: e.law.slice(req.Actor.Kind, req.Action, req.Purpose), epoch: e.law.epoch(req.Time), action: req.Action,
		who:  principalKey{kind: req.Actor.Kind},
		what: resourceKey{class.Type, class.Register, class.Joint, class.ServiceTask, class.DataClass, class.Protection},
		how:  contextKey{flags: w.flags, permits: w.permits, assents: w.assents, purpose: req.Purpose},
	}
	switch q.who.kind {
	case Professional:
		q.who.register, q.who.task, q.who.service = req.Actor.Register, req.Actor.Task, req.Actor.Service
		q.who.authority, q.who.producer = req.Actor.Authority, req.Actor.Producer
	case System:
		q.who.register = req.Actor.Register
	}
	if ground := req.Assertion.Ground; ground != "" {
		q.how.ground = "other" // what a human may write is not bounded; a row of the table is
		if e.law.row(ground) != nil {
			q.how.ground = ground
		}
	}
	if acting(req.Action) {
		q.how.act = e.acts.key(e, req)
	}
	switch {
	case req.Action != Invite && !acting(req.Action):
	case req.Invitee.Register == Health || req.Invitee.Register == Social:
		q.how.invitee = req.Invitee.Register
	case req.Invitee.Controller == "":
		q.how.invitee = registerOf(q.how.act.kind)
	}
	return q
}

// environment puts a question into Cedar's terms.
func (q *question) environment() environment {
	principal := principalUID(q.who.kind)
	return environment{
		request:   cedar.Request{Principal: principal, Action: actionUID(q.action), Resource: dataUID, Context: contextRecord(q.how, q.slice.answers)},
		principal: cedar.Entity{UID: principal, Attributes: principalRecord(q.who)},
		resource:  cedar.Entity{UID: dataUID, Attributes: resourceRecord(q.what)},
	}
}

func principalRecord(k principalKey) cedar.Record {
	switch k.kind {
	case Professional:
		return cedar.NewRecord(cedar.RecordMap{
			"register": cedar.String(k.register), "task": cedar.String(k.task), "service": cedar.String(k.service),
			"authority": cedar.Boolean(k.authority), "producer": cedar.Boolean(k.producer),
		})
	case System:
		return cedar.NewRecord(cedar.RecordMap{"register": cedar.String(k.register)})
	}
	return cedar.Record{}
}

func resourceRecord(k resourceKey) cedar.Record {
	return cedar.NewRecord(cedar.RecordMap{
		"type": cedar.String(k.typ), "register": cedar.String(k.register), "joint": cedar.Boolean(k.joint),
		"serviceTask": cedar.String(k.serviceTask), "dataClass": cedar.String(k.dataClass), "protection": cedar.String(k.protection),
	})
}

func contextRecord(k contextKey, answers cedar.Set) cedar.Record {
	m := cedar.RecordMap{
		"purpose": cedar.String(k.purpose), "ground": cedar.String(k.ground), "inviteeRegister": cedar.String(k.invitee),
		"permits": k.permits.set(), "assents": k.assents.set(),
		"limb": cedar.String(k.act.limb), "facts": k.act.set(), "recipientKind": cedar.String(k.act.kind),
		"answers": answers,
	}
	for i, name := range flagNames {
		m[name] = cedar.Boolean(k.flags&(1<<i) != 0)
	}
	return cedar.NewRecord(m)
}

func (s rowSet) set() cedar.Set {
	var values []cedar.Value
	for i, row := range directedRows {
		if s&(1<<i) != 0 {
			values = append(values, cedar.String(row))
		}
	}
	return cedar.NewSet(values...)
}

// ruling is what the policies say to a question.
type ruling struct {
	permits []*policy // rows that hold, in the order of the decision procedure
	forbids []*policy // limits that hold; looked for only where a row does
	failed  []failure // where no row holds: rows that speak of the case, and the clause each failed on
	err     string    // an error in a policy: the answer is no
}

type failure struct {
	policy *policy
	clause *clause
}

// rule evaluates the policies.
func (q *question) rule(at time.Time) *ruling {
	r := &ruling{}
	env := q.environment()
	r.permits, r.err = q.slice.permits.satisfied(&env, at)
	switch {
	case r.err != "":
	case len(r.permits) > 0:
		r.forbids, r.err = q.slice.forbids.satisfied(&env, at)
	default:
		r.failed = q.slice.permits.failures(&env, at)
	}
	return r
}

// Rulings are kept in shards, each emptied when it is full: labels come from outside, so their number has no bound.
const (
	rulingShards    = 16
	rulingsPerShard = 512
)

type rulings struct {
	seed   maphash.Seed
	shards [rulingShards]struct {
		sync.RWMutex
		m map[question]*ruling
	}
}

func (r *rulings) get(q question, at time.Time) *ruling {
	shard := &r.shards[maphash.Comparable(r.seed, q)%rulingShards]
	shard.RLock()
	known := shard.m[q]
	shard.RUnlock()
	if known != nil {
		return known
	}
	made := q.rule(at)
	shard.Lock()
	if shard.m == nil || len(shard.m) >= rulingsPerShard {
		shard.m = make(map[question]*ruling)
	}
	shard.m[q] = made
	shard.Unlock()
	return made
}

// publicAST turns the tree that the schema validator reads into the one that cedar.NewPolicyFromAST takes.
func publicAST(p *ast.Policy) *publicast.Policy { return (*publicast.Policy)(p) }

// telling are the attributes that tell people what is missing, the most telling first.
var telling = []string{
	"answers", "facts", "limb", "recipientKind",
	"permits", "assents", "localPermits", "jointService", "participant", "related", "guest", "invited", "recordedHere",
	"authored", "ground", "reasoned", "authority", "minor", "deceased", "dependent", "mine", "guardianDenied", "banned", "task", "sameController", "ownRegister",
	"purpose",
}
