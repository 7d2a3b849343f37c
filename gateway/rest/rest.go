// Package rest is the FHIR R4 RESTful face of the gateway (FHIR R4 § 3.1, http.html) over gin. It turns HTTP into calls
// of the one door, *exchange.Desk, and what the Desk releases back into HTTP. It knows no SQL and no law: who may see
// what is decided behind the Desk, and rest never tells a denial from an absence because the Desk never tells it.
//
//	request ─▶ front: request id, no identity code in the URL, room for one more, panics
//	        ─▶ gin: a generic route; dispatch on the type in our own tables
//	        ─▶ who asks (Authenticate), how often (limits)
//	        ─▶ one interaction: read, vread, history, search, create, update, delete, batch, transaction, operation
//	        ─▶ answer: bodies appended as text, never parsed again; errors are OperationOutcomes
//
// There is one file per interaction. Routes are generic (/:type/:id/:op) because gin does not backtrack out of a static
// segment: a route of one type's own would hide the others.
package rest

import (
	"context"
	"crypto/cipher"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"

	"sotesilta/gateway/allowance"
	"sotesilta/gateway/exchange"
	"sotesilta/gateway/search"
	"sotesilta/internal/fhir"
)

// Desk is as much of the one door as this package needs; *exchange.Desk is the real one.
type Desk interface {
	Read(ctx context.Context, c exchange.Caller, typ, id string) (*exchange.Resource, error)
	VRead(ctx context.Context, c exchange.Caller, typ, id string, version int64) (*exchange.Resource, error)
	History(ctx context.Context, c exchange.Caller, typ, id string, p exchange.Past) ([]exchange.Resource, int64, error)
	Histories(ctx context.Context, c exchange.Caller, typ string, p exchange.Past) (*exchange.Page, error)
	Search(ctx context.Context, c exchange.Caller, q *search.Query) (*exchange.Page, error)
	Everything(ctx context.Context, c exchange.Caller, typ, id string, of exchange.Gathering) (*exchange.Page, error)
	BeginBulk(ctx context.Context, c exchange.Caller, b exchange.Bulk) error
	CancelBulk(ctx context.Context, c exchange.Caller, b exchange.Bulk) error
	Cancelled(ctx context.Context, b exchange.Bulk) (bool, error)
	Bulk(ctx context.Context, c exchange.Caller, b exchange.Bulk, typ, cursor string) (*exchange.Page, error)
	Transact(ctx context.Context, c exchange.Caller, ops []exchange.Op) ([]exchange.Written, error)
	Match(ctx context.Context, c exchange.Caller, id exchange.Identification) (*exchange.Resource, error)
}

var _ Desk = (*exchange.Desk)(nil)

// Authenticate tells who the value of an Authorization header speaks for. An error is a 401 with what its
// Challenger says, except for an *exchange.Error (the store that knows used and revoked tokens is missing), which keeps its
// own status.
type Authenticate func(ctx context.Context, authorization string) (exchange.Caller, error)

// Challenger is an error of Authenticate that says what WWW-Authenticate shall say (RFC 6750 § 3); *auth.Unauthorized
// is one. The error's text is for the log, the challenge for the caller.
type Challenger interface {
	error
	Challenge() string
}

// Type is one resource type at the base address and what may be done with it there.
type Type struct {
	Name          string
	Interactions  []exchange.Interaction // of ReadWrite
	Documentation string                 // for the CapabilityStatement; may be empty
	// Params, when not nil, are the only search parameters that the CapabilityStatement names, of a type that is not
	// searched like the others (AuditEvent: exchange.AuditParams); it takes no part in _include and _revinclude.
	Params []string
	// Profiles are the canonical URLs of the profiles that a resource is held to when it claims them.
	Profiles []string
	// Modifiers are those that Params take, by parameter; without Params they follow from the parameters' types.
	Modifiers map[string][]string
}

// The usual sets of interactions of a Type.
var (
	ReadWrite = []exchange.Interaction{
		exchange.Read, exchange.VRead, exchange.History, exchange.HistoryType, exchange.Search,
		exchange.Create, exchange.Update, exchange.Patch, exchange.Delete,
	}
	ReadOnly = []exchange.Interaction{exchange.Read, exchange.Search}
)

// Operation is a FHIR operation (FHIR R4 § 3.2) at [base]/Type/$Name, or at [base]/Type/id/$Name of an instance.
// It is invoked by POST.
type Operation struct {
	Type, Name    string // such as Patient and match; the name is without the $
	Instance      bool
	Definition    string // canonical URL of its OperationDefinition
	Documentation string // for the CapabilityStatement; may be empty
	// Asked, when not nil: it changes nothing and may be asked with GET too; the primitive parameters that its URL takes,
	// each with the member of Parameters.parameter that holds its value (FHIR R4 § 3.2.0). None of them may name a person.
	Asked map[string]string
	// Reads: it changes nothing either, though it is invoked by POST alone, for what is sent with it is what it answers about.
	Reads bool
	// Beside are the primitive parameters that the URL takes beside a body that is not Parameters but the resource itself (as
	// POST [base]/Patient/$validate?profile=…), each with its member as those of Asked.
	Beside map[string]string
	// Unread: the body is given to Handle whatever is wrong with it, as long as it is a resource of some type.
	Unread bool
	// Handle carries it out; id is "" unless Instance, in is the body (nil where there was none). The answer is one
	// resource; one without a Version gets no ETag. It takes all it tells from the Desk, as every interaction does.
	Handle func(ctx context.Context, c exchange.Caller, id string, in *fhir.Value) (*exchange.Resource, error)
}

// Limits bound what one request and one API client may ask for. Zero fields mean DefaultLimits.
type Limits struct {
	Body       int           // bytes of a resource; over it 413
	Bundle     int           // bytes of a batch or transaction; over it 413
	Entries    int           // entries of a batch or transaction
	Page       int           // versions on a page of history, unless _count says less
	Concurrent int           // requests being answered at once; over it 503
	PerClient  int           // requests of one API client being answered at once, on this node; over it 429
	Bodies     int           // bytes of the bodies of all requests being answered; over it 503
	Answer     int           // bytes of the answers to the entries of a Bundle; over it entries are 413
	Timeout    time.Duration // of one request
}

// DefaultLimits are used where Config.Limits is zero.
var DefaultLimits = Limits{
	Body: 5 << 20, Bundle: 5 << 20, Entries: 1000, Page: 50, Concurrent: 512, PerClient: 128, Bodies: 256 << 20, Answer: 64 << 20, Timeout: 20 * time.Second,
}

// Route is an address that is mounted, in gin's form, with a method that it takes.
type Route struct{ Method, Path string }

// Seen is what a metrics hook is told of an answer: nothing that tells of a person.
type Seen struct {
	Route       string // the pattern, such as /fhir/:type/:id
	Type        string // a registered type, or ""
	Interaction string
	Status      int
	App         string // API client; "" when not known
	Duration    time.Duration
}

// Config is what New needs. Desk, Authenticate, Base, Types and PageKey are required.
type Config struct {
	Desk         Desk
	Authenticate Authenticate
	// Base is the absolute service base, such as http://localhost:8080/fhir: links, Location and fullUrl begin with it,
	// and the routes lie at its path.
	Base       string
	Types      []Type
	Operations []Operation
	// PageKey seals page links: 16, 24 or 32 bytes, alike on every node.
	PageKey []byte
	Limits  Limits
	// Allowance is how much each API client may ask for; over it 429. Nil: everything.
	Allowance *allowance.Allowance
	// TokenURL is the token endpoint, named by the CapabilityStatement; SMART answers
	// [base]/.well-known/smart-configuration. Both may be left out.
	TokenURL string
	SMART    http.Handler
	// Origins are those whose web pages may call the base (CORS), as browsers send them: scheme://host[:port]. None: no
	// page of another origin may.
	Origins []string
	// Mount registers further addresses (token endpoint, ledger, decision API…) behind the same front: request ids,
	// identity codes refused in URLs, bodies of at most Limits.Body, panics, room, logs. They authenticate for themselves.
	Mount func(gin.IRouter)
	// Documents makes further documents, such as /openapi.json, of the CapabilityStatement and of the addresses that are
	// not below the base. An error of one that it cannot tell of keeps the face from being made.
	Documents func(statement *fhir.Value, beside []Route) ([]Document, error)
	// Ready says whether exchanges can be served now; lost names what is missing but can be done without.
	Ready func(ctx context.Context) (lost []string, err error)
	// Notice is what every answer to a search that touches this type carries besides its rows, as an entry of mode
	// outcome, whether or not anything was found or withheld. It takes no part in totals.
	Notice func(c exchange.Caller, typ string) []fhir.Issue
	// Terms is what code systems and value sets mean to the modifiers in, not-in, above and below, and what the
	// TerminologyCapabilities name; nil: none is held, and there are none.
	Terms Terms
	// Observe is told of every answer, for metrics.
	Observe func(Seen)
	Log     *slog.Logger // nil: silent
	// Version and Released describe this software in the CapabilityStatement.
	Version  string
	Released time.Time
}

// server is the face, made once and then only read, apart from its counters.
type server struct {
	Config
	engine     *gin.Engine
	path       string // of Base, without a slash at the end
	types      map[string]*registered
	statements statements
	sealer     cipher.AEAD
	busy       atomic.Int64 // requests being answered
	clients    clients      // the same by API client
	streams    clients      // files of exports being given, by API client
	taken      atomic.Int64 // bytes of their bodies
}

// registered is a Type as routes look it up.
type registered struct {
	allows     map[exchange.Interaction]bool
	operations map[string]*Operation // by name, "/"+name for those of an instance
}

// New makes the handler of everything on the public port. It refuses a configuration that names something twice, an
// unknown type or interaction, or no key.
func New(cfg Config) (http.Handler, error) {
	if cfg.Desk == nil || cfg.Authenticate == nil {
		return nil, errors.New("rest: a face needs a desk and an authenticator")
	}
	base, err := url.Parse(cfg.Base)
	if err != nil || base.Host == "" || base.RawQuery != "" || base.Fragment != "" || (base.Scheme != "http" && base.Scheme != "https") {
		return nil, fmt.Errorf("rest: the service base must be an absolute http(s) URL, not %q", cfg.Base)
	}
	cfg.Base = strings.TrimRight(cfg.Base, "/")
	cfg.Limits = cfg.Limits.withDefaults()
	for _, origin := range cfg.Origins {
		if err := CheckOrigin(origin); err != nil {
			return nil, fmt.Errorf("rest: %w", err)
		}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &server{Config: cfg, path: strings.TrimRight(base.Path, "/"), types: map[string]*registered{}}
	if s.sealer, err = newSealer(cfg.PageKey); err != nil {
		return nil, err
	}
	for _, t := range cfg.Types {
		if err := s.register(t); err != nil {
			return nil, err
		}
	}
	for i := range cfg.Operations {
		if err := s.registerOperation(&s.Operations[i]); err != nil {
			return nil, err
		}
	}
	statement := s.describe()
	s.statements.of = map[string]*fhir.Value{"full": statement, "normative": normative(statement)}
	if s.Terms != nil {
		s.statements.of["terminology"] = s.describeTerms()
	}
	s.route()
	if err := s.routeDocuments(statement); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *server) register(t Type) error {
	if !fhir.IsResource(t.Name) || s.types[t.Name] != nil {
		return fmt.Errorf("rest: %q is not a resource type of FHIR R4, or is registered twice", t.Name)
	}
	known := &registered{allows: map[exchange.Interaction]bool{}, operations: map[string]*Operation{}}
	for _, i := range t.Interactions {
		if !slices.Contains(ReadWrite, i) {
			return fmt.Errorf("rest: %s: %q is not an interaction of a type", t.Name, i)
		}
		known.allows[i] = true
	}
	s.types[t.Name] = known
	return nil
}

func (s *server) registerOperation(op *Operation) error {
	known := s.types[op.Type]
	if known == nil || op.Handle == nil || op.Name == "" || op.Definition == "" {
		return fmt.Errorf("rest: operation %s/$%s needs a registered type, a name, a definition and a handler", op.Type, op.Name)
	}
	key := op.Name
	if op.Instance {
		key = "/" + op.Name
	}
	if known.operations[key] != nil {
		return fmt.Errorf("rest: operation %s/$%s is registered twice", op.Type, op.Name)
	}
	known.operations[key] = op
	return nil
}

func (l Limits) withDefaults() Limits {
	for _, f := range []struct{ field, fallback *int }{
		{&l.Body, &DefaultLimits.Body},
		{&l.Bundle, &DefaultLimits.Bundle},
		{&l.Entries, &DefaultLimits.Entries},
		{&l.Page, &DefaultLimits.Page},
		{&l.Concurrent, &DefaultLimits.Concurrent},
		{&l.PerClient, &DefaultLimits.PerClient},
		{&l.Bodies, &DefaultLimits.Bodies},
		{&l.Answer, &DefaultLimits.Answer},
	} {
		if *f.field <= 0 {
			*f.field = *f.fallback
		}
	}
	if l.Timeout <= 0 {
		l.Timeout = DefaultLimits.Timeout
	}
	return l
}

// Server is an http.Server that no slow reader or writer can hold for long: headers in five seconds, a body in thirty,
// an answer in sixty.
func Server(addr string, handler http.Handler) *http.Server {
	return &http.Server{
		Addr:              addr,
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    96 << 10,
	}
}
