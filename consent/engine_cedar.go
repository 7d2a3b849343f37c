package consent

import (
	"maps"
	"sync/atomic"

	"github.com/cedar-policy/cedar-go"
	publicast "github.com/cedar-policy/cedar-go/ast"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
)

// flagNames are the names of the flags in the policies (sotesilta.cedarschema), by bit.
var flagNames = [...]cedar.String{
	"ownRegister", "ownCopy", "sameController", "authored", "ownUnit", "recordedHere", "clientless", "mine",
	"related", "inCare", "participant", "invited", "guest", "jointService", "banned", "localPermits", "minor",
	"guardianDenied", "taskStated", "confirmed", "sameService", "inviteeSameController", "inviteePublic",
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
	System: "System", Professional: "Professional", Client: "Client", Guardian: "Guardian", Auditor: "Auditor", Operator: "Operator",
}

func principalUID(kind Kind) cedar.EntityUID {
	return cedar.NewEntityUID(principalTypes[kind], "actor")
}

func actionUID(action Action) cedar.EntityUID {
	return cedar.NewEntityUID("Action", cedar.String(action))
}

// Equal keys make equal records, so the records of recent requests are kept: building and hashing one costs more than
// the decision that reads it.
type (
	principalKey struct {
		kind          Kind
		register      Register
		task, service string
		authority     bool
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
	}
)

type records struct {
	principals cache[principalKey]
	resources  cache[resourceKey]
	contexts   cache[contextKey]
}

// environment puts a weighed request into Cedar's terms.
func (e *Engine) environment(w *weighing, req *Request, class *Class) environment {
	who := principalKey{kind: req.Actor.Kind}
	switch who.kind {
	case Professional:
		who.register, who.task, who.service = req.Actor.Register, req.Actor.Task, req.Actor.Service
		who.authority = req.Actor.Authority
	case System:
		who.register = req.Actor.Register
	}
	what := resourceKey{class.Type, class.Register, class.Joint, class.ServiceTask, class.DataClass, class.Protection}
	how := contextKey{flags: w.flags, permits: w.permits, assents: w.assents, purpose: req.Purpose}
	if ground := req.Assertion.Ground; ground != "" {
		how.ground = "other" // what a human may write is not bounded; a row of the table is
		if e.law.row(ground) != nil {
			how.ground = ground
		}
	}
	if req.Action == Invite && (req.Invitee.Register == Health || req.Invitee.Register == Social) {
		how.invitee = req.Invitee.Register
	}
	principal := principalUID(who.kind)
	return environment{
		request: cedar.Request{
			Principal: principal, Action: actionUID(req.Action), Resource: dataUID,
			Context: e.records.contexts.get(how, contextRecord),
		},
		principal: cedar.Entity{UID: principal, Attributes: e.records.principals.get(who, principalRecord)},
		resource:  cedar.Entity{UID: dataUID, Attributes: e.records.resources.get(what, resourceRecord)},
	}
}

func principalRecord(k principalKey) cedar.Record {
	switch k.kind {
	case Professional:
		return cedar.NewRecord(cedar.RecordMap{
			"register": cedar.String(k.register), "task": cedar.String(k.task), "service": cedar.String(k.service),
			"authority": cedar.Boolean(k.authority),
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

func contextRecord(k contextKey) cedar.Record {
	m := cedar.RecordMap{
		"purpose": cedar.String(k.purpose), "ground": cedar.String(k.ground), "inviteeRegister": cedar.String(k.invitee),
		"permits": k.permits.set(), "assents": k.assents.set(),
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

// cacheSize bounds a cache: labels come from outside.
const cacheSize = 1024

// cache keeps records by key: read without a lock, copied on the rare write, emptied when full.
type cache[K comparable] struct {
	m atomic.Pointer[map[K]cedar.Record]
}

func (c *cache[K]) get(k K, build func(K) cedar.Record) cedar.Record {
	old := c.m.Load()
	if old != nil {
		if record, ok := (*old)[k]; ok {
			return record
		}
	}
	record := build(k)
	next := map[K]cedar.Record{}
	if old != nil && len(*old) < cacheSize {
		next = maps.Clone(*old)
	}
	next[k] = record
	c.m.CompareAndSwap(old, &next) // a lost race costs one more building
	return record
}

// publicAST turns the tree that the schema validator reads into the one that cedar.NewPolicyFromAST takes.
func publicAST(p *ast.Policy) *publicast.Policy { return (*publicast.Policy)(p) }

// telling are the attributes that tell people what is missing, the most telling first.
var telling = []string{
	"permits", "assents", "localPermits", "jointService", "participant", "related", "guest", "invited", "recordedHere",
	"authored", "ground", "authority", "minor", "mine", "guardianDenied", "banned", "task", "sameController", "ownRegister",
	"purpose",
}
