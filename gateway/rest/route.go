package rest

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"sotesilta/gateway/exchange"
	"sotesilta/gateway/search"
	"sotesilta/internal/fhir"
)

// methods says which interaction an HTTP method is at one kind of address (FHIR R4 § 3.1.0.1, table of interactions).
type methods map[string]exchange.Interaction

// batch and transaction are told apart by Bundle.type; the Desk never hears of them.
const bundles exchange.Interaction = "batch"

// readMeta is $meta; to the Desk it is a read.
const readMeta exchange.Interaction = "meta"

// operation is any operation.
const operation exchange.Interaction = "operation"

// The kinds of address below the base.
var (
	atBase      = methods{http.MethodGet: exchange.SearchSystem, http.MethodHead: exchange.SearchSystem, http.MethodPost: bundles}
	acrossAll   = methods{http.MethodPost: exchange.SearchSystem}
	acrossIn    = methods{http.MethodGet: exchange.SearchSystem, http.MethodHead: exchange.SearchSystem}
	atType      = methods{http.MethodGet: exchange.Search, http.MethodHead: exchange.Search, http.MethodPost: exchange.Create, http.MethodPut: exchange.Update, http.MethodPatch: exchange.Patch, http.MethodDelete: exchange.Delete}
	atSearch    = methods{http.MethodPost: exchange.Search}
	atMembers   = methods{http.MethodGet: exchange.Search, http.MethodHead: exchange.Search}
	atInstance  = methods{http.MethodGet: exchange.Read, http.MethodHead: exchange.Read, http.MethodPut: exchange.Update, http.MethodPatch: exchange.Patch, http.MethodDelete: exchange.Delete}
	ofSystem    = methods{http.MethodGet: exchange.HistorySystem, http.MethodHead: exchange.HistorySystem}
	ofType      = methods{http.MethodGet: exchange.HistoryType, http.MethodHead: exchange.HistoryType}
	atHistory   = methods{http.MethodGet: exchange.History, http.MethodHead: exchange.History}
	atVersion   = methods{http.MethodGet: exchange.VRead, http.MethodHead: exchange.VRead}
	atOperation = methods{http.MethodPost: operation}
	atAsked     = methods{http.MethodGet: operation, http.MethodHead: operation, http.MethodPost: operation}
	atAll       = methods{http.MethodGet: exchange.Everything, http.MethodHead: exchange.Everything, http.MethodPost: exchange.Everything}
	atMeta      = methods{http.MethodGet: readMeta, http.MethodHead: readMeta, http.MethodPost: readMeta}
	atMetaAdd   = methods{http.MethodPost: metaAdd}
	atMetaDrop  = methods{http.MethodPost: metaDelete}
	atDocument  = methods{http.MethodGet: "", http.MethodHead: ""}
)

// interactions is what answers each interaction.
var interactions = map[exchange.Interaction]func(*visit, params) (answer, error){
	exchange.Read:    (*visit).getRead,
	exchange.VRead:   (*visit).getVRead,
	exchange.History: (*visit).getHistory,

	exchange.HistoryType:   (*visit).getHistory,
	exchange.HistorySystem: (*visit).getHistory,
	exchange.Everything:    (*visit).ask,

	exchange.SearchSystem: (*visit).getSearch,

	readMeta:        (*visit).ask,
	metaAdd:         (*visit).ask,
	metaDelete:      (*visit).ask,
	exchange.Search: (*visit).getSearch,
	exchange.Create: (*visit).postCreate,
	exchange.Update: (*visit).putUpdate,
	exchange.Patch:  (*visit).patchPatch,
	exchange.Delete: (*visit).deleteDelete,
	bundles:         (*visit).postBundle,
	operation:       (*visit).ask,

	bulkKickOff: (*visit).getExport,
	bulkStatus:  (*visit).getExportStatus,
	bulkCancel:  (*visit).deleteExport,
	bulkFile:    (*visit).getExportFile,
}

// target is what a path names.
type target struct {
	methods   methods
	typ       string
	known     *registered // of typ; nil at the base
	id        string
	version   string
	within    search.Within // the compartment that is searched
	operation *Operation
}

// allMethods are routed to us, so that we answer those that are not allowed with 405 and an outcome of our own.
var allMethods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
	http.MethodOptions, http.MethodTrace, http.MethodConnect,
}

// readOnly is Allow of an address that is only read.
const readOnly = "GET, HEAD, OPTIONS"

// order in which Allow names methods.
var order = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

// route registers the generic routes. Everything that is not one of ours, or mounted, is a 404.
func (s *server) route() {
	gin.SetMode(gin.ReleaseMode)
	s.engine = gin.New()
	s.engine.RedirectTrailingSlash = false
	s.engine.HandleMethodNotAllowed = true // for mounted addresses; those of FHIR take every method and answer themselves
	for parts, pattern := range [...]string{"/", "/:type", "/:type/:id", "/:type/:id/:op", "/:type/:id/:op/:vid"} {
		for _, method := range allMethods {
			s.engine.Handle(method, s.path+pattern, s.at(s.finders()[parts]))
			if parts == 0 && s.path != "" {
				s.engine.Handle(method, s.path, s.at(s.findBase))
			}
		}
	}
	s.engine.GET(healthz, s.answerHealthz)
	s.engine.HEAD(healthz, s.answerHealthz)
	s.engine.GET(readyz, s.answerReadyz)
	s.engine.HEAD(readyz, s.answerReadyz)
	s.engine.NoRoute(func(c *gin.Context) {
		v := visitOf(c)
		v.unread = true
		v.fail(nowhere)
	})
	s.engine.NoMethod(func(c *gin.Context) {
		v := visitOf(c)
		v.unread = true
		v.fail(&refusal{
			status: http.StatusMethodNotAllowed, allow: s.allowFor(v, c.Writer.Header().Get("Allow")),
			issues: issue("not-supported", "", "This address does not take the request's method; Allow names those that it takes."),
		})
	})
	if s.Mount != nil {
		s.Mount(s.engine.Group("/", func(c *gin.Context) {
			v := visitOf(c)
			v.route = c.FullPath()
			c.Request.Body = http.MaxBytesReader(v, c.Request.Body, int64(s.Limits.Body))
			ctx, cancel := context.WithTimeout(c.Request.Context(), s.Limits.Timeout)
			defer cancel()
			c.Request = c.Request.WithContext(ctx)
			c.Next()
		}))
	}
}

// finder finds what the parts of a path below the base name.
type finder = func(*visit, gin.Params) (target, error)

// finders are those of a path of no part, of one, and so on.
func (s *server) finders() []finder {
	return []finder{s.findBase, s.findType, s.findInstance, s.findOperation, s.findVersion}
}

// allowFor is Allow for a method that HTTP does not know, or that a mounted address does not take; routed are those that
// are routed there. Below the base all are, also to addresses that refuse them, so what the address takes is asked of it.
func (s *server) allowFor(v *visit, routed string) string {
	if path := v.r.URL.Path; s.below(path) {
		var params gin.Params
		if rest := strings.TrimPrefix(path[len(s.path):], "/"); rest != "" {
			for part := range strings.SplitSeq(rest, "/") {
				params = append(params, gin.Param{Value: part})
			}
		}
		if s.document(params) != nil {
			return readOnly
		}
		if finders := s.finders(); len(params) < len(finders) {
			if found, err := finders[len(params)](v, params); err == nil {
				v.target = found
				return v.allow("")
			}
		}
	}
	return answeredOf(routed)
}

// visitOf is the visit that the front began.
func visitOf(c *gin.Context) *visit {
	v := c.Writer.(interface{ Unwrap() http.ResponseWriter }).Unwrap().(*visit)
	v.out = c.Writer
	return v
}

var nowhere = refuse(http.StatusNotFound, "not-found", "", "There is nothing at this address. [base]/metadata tells what is there.")

// at makes a gin handler of what finds the target of a path.
func (s *server) at(find finder) gin.HandlerFunc {
	return func(c *gin.Context) {
		v := visitOf(c)
		v.route = c.FullPath()
		ctx, cancel := context.WithTimeout(v.r.Context(), s.Limits.Timeout)
		defer cancel()
		v.ctx = ctx
		if s.public(v, c) {
			return
		}
		a, err := v.serve(find, c.Params)
		if err != nil {
			v.fail(err)
			return
		}
		v.write(a)
	}
}

// public answers the two documents that need no token.
func (s *server) public(v *visit, c *gin.Context) bool {
	get := s.document(c.Params)
	if get == nil {
		return false
	}
	v.target = target{methods: atDocument}
	switch v.r.Method {
	case http.MethodOptions:
		v.write(v.options(v.target))
	case http.MethodGet, http.MethodHead:
		get(v, c)
	default:
		_, _ = v.negotiate() // the form of the refusal
		v.unread = true
		v.fail(&refusal{status: http.StatusMethodNotAllowed, allow: v.allow(""), issues: issue("not-supported", "", "This document is read with GET.")})
	}
	return true
}

// document is what answers a read of the document at a path below the base; nil where there is none.
func (s *server) document(p gin.Params) func(*visit, *gin.Context) {
	switch {
	case len(p) == 1 && p[0].Value == "metadata":
		return func(v *visit, _ *gin.Context) {
			if a, err := v.getMetadata(); err != nil {
				v.fail(err)
			} else {
				v.write(a)
			}
		}
	case len(p) == 2 && p[0].Value == ".well-known" && p[1].Value == "smart-configuration" && s.SMART != nil:
		return func(_ *visit, c *gin.Context) { s.SMART.ServeHTTP(c.Writer, c.Request) }
	}
	return nil
}

// serve finds out who asks, how and for what, and carries the interaction out.
func (v *visit) serve(find finder, params gin.Params) (answer, error) {
	query, wantsErr := v.negotiate()
	if v.r.Method == http.MethodOptions {
		found, err := find(v, params)
		if err != nil {
			return answer{}, err
		}
		return v.options(found), nil
	}
	if err := v.authenticate(); err != nil {
		v.unread = true
		return answer{}, err
	}
	if wantsErr != nil && !strings.HasSuffix(v.r.URL.Path, "/$"+exportFile) { // its form is its own
		v.unread = true
		return answer{}, wantsErr
	}
	found, err := find(v, params)
	if err != nil {
		v.unread = true
		return answer{}, err
	}
	v.target = found
	v.typ = found.typ
	i, ok := found.methods[v.r.Method]
	if !ok || !found.offers(i) {
		v.unread = true
		return answer{}, &refusal{status: http.StatusMethodNotAllowed, allow: v.allow(""), issues: issue("not-supported", "",
			wrongMethod(v.r.Method, found))}
	}
	v.interaction = i
	return interactions[i](v, query)
}

// authenticate finds out who asks, and takes the visit out of their allowance.
func (v *visit) authenticate() error {
	caller, err := v.server.Authenticate(v.ctx, v.r.Header.Get("Authorization"))
	if err != nil {
		return unauthenticated(err)
	}
	v.caller = caller
	if !v.server.clients.enter(caller.Actor.App, v.server.Limits.PerClient) {
		return errCrowded
	}
	v.entered = true
	v.ctx = exchange.Asking(v.ctx, caller.Actor.App)
	return v.spend()
}

func unauthenticated(err error) error {
	var desk *exchange.Error
	if errors.As(err, &desk) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return err
	}
	r := &refusal{status: http.StatusUnauthorized, challenge: "Bearer", cause: err, issues: issue("login", "",
		"A valid access token is needed: Authorization: Bearer …, from the token endpoint named in [base]/.well-known/smart-configuration.")}
	var challenger Challenger
	if errors.As(err, &challenger) {
		r.challenge = challenger.Challenge()
	}
	return r
}

// exchange is the caller of the visit's next exchange with the Desk. The first bears the visit's own id, which thereby
// is the id of its ledger record; the further ones of a batch bear ids derived from it (ExchangeID).
func (v *visit) exchange() exchange.Caller {
	c := v.caller
	c.RequestID = ExchangeID(v.id, v.exchanges)
	v.exchanges++
	return c
}

// offers says whether interaction i is one that the target has.
func (t target) offers(i exchange.Interaction) bool {
	return t.known == nil || operations[i] != nil || i == "" || strings.HasPrefix(string(i), export) || t.known.allows[i]
}

// answeredOf leaves in a list of methods those that are answered: allMethods has more, to refuse them in our own words.
func answeredOf(list string) string {
	return strings.Join(slices.DeleteFunc(strings.Split(list, ", "), func(method string) bool {
		return method != http.MethodOptions && !slices.Contains(order, method)
	}), ", ")
}

// allow is the methods of the visit's target for the header Allow, but for one. Every address takes OPTIONS.
func (v *visit) allow(but string) string {
	var allowed []string
	for _, method := range order {
		if i, ok := v.target.methods[method]; ok && method != but && v.target.offers(i) {
			allowed = append(allowed, method)
		}
	}
	return strings.Join(append(allowed, http.MethodOptions), ", ")
}

func (s *server) findBase(*visit, gin.Params) (target, error) { return target{methods: atBase}, nil }

func (s *server) findType(_ *visit, p gin.Params) (target, error) {
	switch typ := p[0].Value; {
	case typ == "_history":
		return target{methods: ofSystem}, nil
	case typ == "_search":
		return target{methods: acrossAll}, nil
	case strings.HasPrefix(typ, "$"):
		return target{}, noOperation
	default:
		return s.find(typ, atType)
	}
}

func (s *server) findInstance(_ *visit, p gin.Params) (target, error) {
	typ, id := p[0].Value, p[1].Value
	switch {
	case id == "_search":
		return s.find(typ, atSearch)
	case strings.HasPrefix(id, "$"):
		return s.findOperationNamed(typ, "", id)
	case id == "_history":
		return s.find(typ, ofType)
	}
	return s.findID(typ, id, atInstance)
}

func (s *server) findOperation(_ *visit, p gin.Params) (target, error) {
	typ, id, op := p[0].Value, p[1].Value, p[2].Value
	switch {
	case op == "_history":
		return s.findID(typ, id, atHistory)
	case strings.HasPrefix(op, "$"):
		return s.findOperationNamed(typ, id, op)
	}
	return s.findMembers(typ, id, op, atMembers)
}

// findMembers is the target of a search of the resources of a type in a compartment (FHIR R4 § 3.1.1.2.5).
func (s *server) findMembers(of, id, typ string, m methods) (target, error) {
	switch {
	case s.types[of] == nil:
		return target{}, nowhere
	case typ == everyType && !slices.Contains(search.Compartments(), of):
		return target{}, nowhere
	case typ == everyType && !fhir.ValidID(id):
		return target{}, &refusal{status: http.StatusNotFound, issues: notKnown}
	case typ == everyType:
		across := acrossIn
		if _, byPost := m[http.MethodPost]; byPost {
			across = acrossAll
		}
		return target{methods: across, within: search.Within{Type: of, ID: id}}, nil
	case !fhir.IsResource(typ):
		return target{}, nowhere
	case len(search.Compartment(of, typ)) == 0:
		return target{}, noCompartment(of, id, typ)
	case !fhir.ValidID(id):
		return target{}, &refusal{status: http.StatusNotFound, issues: notKnown}
	}
	t, err := s.find(typ, m)
	t.within = search.Within{Type: of, ID: id}
	return t, err
}

func (s *server) findVersion(_ *visit, p gin.Params) (target, error) {
	if p[3].Value == "_search" {
		return s.findMembers(p[0].Value, p[1].Value, p[2].Value, atSearch)
	}
	if p[2].Value != "_history" {
		return target{}, nowhere
	}
	t, err := s.findID(p[0].Value, p[1].Value, atVersion)
	t.version = p[3].Value
	return t, err
}

// find is the target of a registered type.
func (s *server) find(typ string, m methods) (target, error) {
	known := s.types[typ]
	if known == nil {
		return target{}, unknownType(typ)
	}
	return target{methods: m, typ: typ, known: known}, nil
}

func unknownType(typ string) error {
	if fhir.IsResource(typ) {
		return refuse(http.StatusNotFound, "not-supported", "", "The resource type "+typ+" is not served here. [base]/metadata names those that are.")
	}
	return refuse(http.StatusNotFound, "not-supported", "", "That is not a resource type of FHIR R4. [base]/metadata names those that are served.")
}

// findID is the target of an instance. What cannot be an id names nothing, and no record is made of it.
func (s *server) findID(typ, id string, m methods) (target, error) {
	t, err := s.find(typ, m)
	if err == nil && !fhir.ValidID(id) {
		return target{}, &refusal{status: http.StatusNotFound, issues: notKnown}
	}
	t.id = id
	return t, err
}

func (s *server) findOperationNamed(typ, id, name string) (target, error) {
	t, err := s.find(typ, atOperation)
	if err != nil {
		return t, err
	}
	key := strings.TrimPrefix(name, "$")
	if found, ok := s.findExport(typ, id, key); ok {
		return found, nil
	}
	if _, has := everythings[typ]; has && id != "" && key == "everything" && t.known.allows[exchange.Read] {
		return s.findID(typ, id, atAll)
	}
	if id != "" && key == meta && t.known.allows[exchange.Read] {
		return s.findID(typ, id, atMeta)
	}
	if changing := map[string]methods{string(metaAdd): atMetaAdd, string(metaDelete): atMetaDrop}[key]; changing != nil && id != "" && t.known.allows[exchange.Patch] {
		return s.findID(typ, id, changing)
	}
	if id != "" {
		if t, err = s.findID(typ, id, atOperation); err != nil {
			return t, err
		}
		key = "/" + key
	}
	if t.operation = t.known.operations[key]; t.operation == nil {
		return target{}, noOperation
	}
	if t.operation.Asked != nil {
		t.methods = atAsked
	}
	return t, nil
}
