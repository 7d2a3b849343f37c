package main

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/redis/go-redis/v9"
	"golang.org/x/time/rate"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/access"
	"sotesilta/gateway/allowance"
	"sotesilta/gateway/auth"
	"sotesilta/gateway/conformance"
	"sotesilta/gateway/exchange"
	"sotesilta/gateway/inbound"
	"sotesilta/gateway/notify"
	"sotesilta/gateway/openapi"
	"sotesilta/gateway/process"
	"sotesilta/gateway/profiles"
	"sotesilta/gateway/rest"
	"sotesilta/gateway/shared"
	"sotesilta/gateway/store"
	"sotesilta/gateway/store/postgres"
	"sotesilta/gateway/store/sqlite"
	"sotesilta/gateway/wake"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
	"sotesilta/mappings"
	"sotesilta/mappings/hl7v2"
	"sotesilta/mappings/jukola"
)

// version of this software, told by /metadata.
const version = "0.1.0"

// release is the date of the version.
var release = time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)

// served are the resource types at the FHIR base: those that the exchange has a rule for.
func served(profiled map[string][]string) []rest.Type {
	var types []rest.Type
	for _, name := range exchange.Types() {
		t := rest.Type{Name: name, Interactions: rest.ReadWrite, Profiles: profiled[name]}
		if name == "AuditEvent" {
			t.Interactions, t.Params, t.Modifiers = rest.ReadOnly, exchange.AuditParams, exchange.AuditModifiers
			t.Documentation = exchange.AuditSearch
		}
		types = append(types, t)
	}
	return types
}

// nodeConfig is what one node is made of.
type nodeConfig struct {
	settings
	Keys          keys
	Opened        store.Store // nil: startNode opens the one that Store names
	KeptIn        string      // folder of the newest checkpoint of the ledger; "": that of the keys
	Registry      *auth.Registry
	ReadRegistry  func() (*auth.Registry, error) // reads it again; nil: it stays as it is
	RegistryFile  string                         // where it is read from
	JointServices []consent.JointService
	JointList     string // file of the joint services, read anew with the policies; "": those above
	Public        []string
	Switches      map[string]string
	Retention     ledger.Terms         // classes that the controller keeps longer than the law
	Rate          rate.Limit           // requests a second per API client; 0: unlimited
	LimitTokens   bool                 // limits token requests as well
	MLLP          mllp                 // without anybody who sends there is no listener
	SyntheticOnly bool                 // refuses identity codes that may be real people's
	Observe       func([]ledger.Entry) // shown each sequenced batch
	Sequence      time.Duration        // how often records get their places
	Log           *slog.Logger
}

// node is a running gateway.
type node struct {
	sequencer *exchange.Sequencer
	store     store.Store
	clients   *clients
	policies  *policies
	kept      *ledger.Kept
	memory    *shared.Memory // nil: the node is alone
	bell      *wake.Bell
	desk      *exchange.Desk
	terms     ledger.Terms // how long the controller keeps records
	profiles  *profiles.Set
	who       *auth.Server
	root      string
	mllp      net.Addr
	ready     func(ready bool)
	stop      context.CancelFunc
	// background ends when the node does.
	background context.Context
	running    sync.WaitGroup
	servers    []*http.Server
	log        *slog.Logger
	failed     chan error
}

// openStore opens the store that a setting names. With an error the store is nil, never a nil pointer in an interface.
func openStore(ctx context.Context, setting string) (store.Store, error) {
	var opened store.Store
	var err error
	switch path, isFile := strings.CutPrefix(setting, "sqlite:"); {
	case isFile && path != "":
		opened, err = sqlite.Open(ctx, path, sqlite.Options{})
	case strings.HasPrefix(setting, "postgres://"), strings.HasPrefix(setting, "postgresql://"):
		opened, err = postgres.Open(ctx, setting, postgres.Options{})
	default:
		err = errors.New("neither sqlite:PATH nor a postgres:// URL")
	}
	if err != nil {
		return nil, fmt.Errorf("SOTESILTA_STORE: %w", err)
	}
	return opened, nil
}

// startNode opens everything and serves. listener is already bound, so that two gateways never share an address.
func startNode(ctx context.Context, cfg nodeConfig, listener net.Listener) (_ *node, err error) {
	root, err := cfg.root()
	if err != nil {
		return nil, err
	}
	n := &node{root: root, log: cfg.Log, terms: cfg.Retention, failed: make(chan error, 4)}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	n.stop, n.background = stop, background
	defer func() {
		if err != nil {
			n.Close()
		}
	}()

	if n.store = cfg.Opened; n.store == nil {
		if n.store, err = openStore(ctx, cfg.Store); err != nil {
			return nil, err
		}
	}
	engine, err := cfg.law()
	if err != nil {
		return nil, err
	}
	law := consent.NewInForce(engine)
	rules, err := process.New()
	if err != nil {
		return nil, err
	}
	if n.profiles, err = profiles.New(rules); err != nil {
		return nil, err
	}
	metrics := newMetrics()
	metrics.policy("loaded", law.Version())
	n.policies = &policies{law: law, read: cfg.law, files: cfg.watched(), metrics: metrics, log: cfg.Log}
	tree := ledger.NewTree(n.store.Ledger())
	sealing, err := n.openLedger(ctx, cfg)
	if err != nil {
		return nil, err
	}
	sequencer := exchange.NewSequencer(n.store, sealing.Seal, ledger.NewID(), cfg.Sequence, cfg.Log,
		func(entries []ledger.Entry) {
			sealing.Committed()
			metrics.sequenced(entries)
			if cfg.Observe != nil {
				cfg.Observe(entries)
			}
		})
	var used auth.Used = auth.UsedFunc(n.use)
	var lost func(context.Context) []string
	if cfg.RedisURL != "" {
		options, err := redis.ParseURL(cfg.RedisURL)
		if err != nil {
			return nil, errors.New("SOTESILTA_REDIS_URL: not a redis:// URL") // the error would quote its password
		}
		n.memory = shared.New(redis.NewClient(options), cfg.Log)
		used = auth.SpareUsed(used, n.memory)
		lost = func(ctx context.Context) []string {
			if n.memory.Ping(ctx) != nil {
				return []string{"redis"}
			}
			return nil
		}
	}
	n.bell = wake.New(n.memory, strings.HasPrefix(cfg.Store, "sqlite:"))
	bases := []string{root + "/fhir"}
	for _, twin := range loopbackTwins(root) {
		bases = append(bases, twin+"/fhir")
	}
	if n.desk, err = exchange.New(exchange.Config{
		Store: n.store, Law: law, Person: func(ref string) (consent.Actor, bool) { return n.who.Party(ref) }, Rules: rules, Profiles: n.profiles.Checks, Bases: bases, Sequencer: sequencer.Err, Tree: tree,
		Changed: n.bell.Ring, Log: cfg.Log,
	}); err != nil {
		return nil, err
	}
	if n, err := n.desk.Reindex(ctx); err != nil {
		return nil, err
	} else if n > 0 {
		cfg.Log.Info("the store's rows were indexed anew for this release's search parameters", "rows", n)
	}

	allowed := allowance.New(cfg.Rate, 0, n.memory)
	var tokenURLs []string
	for _, twin := range loopbackTwins(root) {
		tokenURLs = append(tokenURLs, twin+auth.TokenPath)
	}
	who, err := auth.New(auth.Config{
		BaseURL: root, TokenURLs: tokenURLs, Registry: cfg.Registry, Key: cfg.Keys.token, Used: used,
		Limits: auth.Limits{Off: !cfg.LimitTokens, Memory: n.memory}, Reasoned: law.Reasoned, Refused: n.desk.RefuseClaim, Log: cfg.Log,
	})
	if err != nil {
		return nil, err
	}
	n.who = who
	n.clients = &clients{who: who, read: cfg.ReadRegistry, file: cfg.RegistryFile, wires: &cfg.MLLP, log: cfg.Log}
	pageKey, err := hkdf.Key(sha256.New, cfg.Keys.data, nil, "sotesilta page links 1", 32)
	if err != nil {
		return nil, err
	}
	loaded := newGate()
	n.ready = loaded.set
	types := served(n.profiles.ByType)
	operations := append(rest.Reports(n.desk), []rest.Operation{
		rest.Match(n.desk, root+"/fhir"),
		{
			Type: "PlanDefinition", Name: "apply", Instance: true,
			Definition:    "http://hl7.org/fhir/OperationDefinition/PlanDefinition-apply",
			Documentation: "Starts the joint-client process: draft CarePlan, CareTeam and first Task; answers the stored CarePlan.",
			Handle: func(ctx context.Context, c exchange.Caller, id string, in *fhir.Value) (*exchange.Resource, error) {
				if terms.Base+"PlanDefinition/"+id != terms.JointClient {
					return nil, exchange.Refuse(exchange.Absent, "not-found", "", "PlanDefinition/"+id+" cannot be applied.")
				}
				return rules.Apply(ctx, n.desk, c, in)
			},
		},
	}...)
	operations = append(operations, rest.Validate(n.desk, types, n.profiles.Checks)...)
	operations = append(operations, rest.Terminology(n.desk, conformance.Terms{})...)
	lenses, err := jukola.Lenses()
	if err != nil {
		return nil, err
	}
	sealer, err := inbound.NewSealer(cfg.Keys.data)
	if err != nil {
		return nil, err
	}
	sources, err := n.sources(cfg, lenses)
	if err != nil {
		return nil, err
	}
	resolver := &inbound.Resolver{Desk: n.desk, Sealer: sealer, Source: func(client string) *inbound.Source { return sources[client] }}
	operations = append(operations, rest.Resolve(resolver.Resolve))
	face, err := rest.New(rest.Config{
		Desk: n.desk, Authenticate: who.Authenticate, Base: root + "/fhir", Types: types,
		Operations: operations,
		Documents: func(statement *fhir.Value, beside []rest.Route) ([]rest.Document, error) {
			return openapi.Documents(statement, root+"/fhir", append(rest.Own(types), operations...), beside)
		},
		Terms: conformance.Terms{}, PageKey: pageKey, Origins: cfg.Origins, Allowance: allowed, TokenURL: root + auth.TokenPath,
		Mount: func(r gin.IRouter) {
			who.Routes(r)
			mountLedger(r, tree, n.store.Ledger())
			access.Routes(r, access.Config{
				Desk: n.desk, Authenticate: who.Authenticate, Staff: staff(cfg.Registry), Allowance: allowed, Enter: rest.Enter, Log: cfg.Log,
			})
		},
		Ready: func(ctx context.Context) ([]string, error) {
			if err := loaded.err(); err != nil {
				return nil, err
			}
			without := append(n.policies.lost(), n.clients.lost()...)
			if lost != nil {
				without = append(without, lost(ctx)...)
			}
			return without, n.desk.Ready(ctx)
		},
		Notice: n.desk.Notice, Observe: metrics.seen, Log: cfg.Log, Version: version, Released: release,
	})
	if err != nil {
		return nil, err
	}

	n.sequencer = sequencer
	if err := sequencer.CatchUp(ctx); err != nil {
		return nil, err
	}
	n.run(func() { sequencer.Run(background) })
	n.run(func() { n.bell.Run(background) })
	n.serve(listener, rest.Server(cfg.Addr, face))
	if cfg.AdminAddr != "" {
		admin, err := net.Listen("tcp", cfg.AdminAddr)
		if err != nil {
			return nil, fmt.Errorf("SOTESILTA_ADMIN_ADDR: %w", err)
		}
		n.serve(admin, rest.Server(cfg.AdminAddr, metrics.handler(cfg.AdminAddr)))
	}
	if len(sources) > 0 && cfg.MLLPAddr != "off" {
		if err := n.listenMLLP(background, cfg, sources, sealer); err != nil {
			return nil, err
		}
	}
	return n, n.deliver(background, cfg, lenses)
}

// openLedger makes sure that the ledger in the store is the one that was signed, and not an older state of it, before
// anything is recorded or signed.
func (n *node) openLedger(ctx context.Context, cfg nodeConfig) (*ledger.Log, error) {
	dir := cfg.KeptIn
	if dir == "" {
		var err error
		if dir, err = cfg.keysFolder(); err != nil {
			return nil, err
		}
		dir = cfg.keptFolder(dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("the folder of the newest checkpoint: %w", err)
	}
	var err error
	n.kept, err = ledger.OpenKept(dir, cfg.Keys.ledger.Verifier(), func(err error) {
		cfg.Log.Warn("ledger: the newest checkpoint is not kept outside the store", "error", err)
	})
	if err != nil {
		return nil, fmt.Errorf("the checkpoint beside the keys: %w", err)
	}
	sealing := ledger.NewLog(cfg.Keys.ledger)
	if err := sealing.Open(ctx, n.store.Ledger(), n.kept); err != nil {
		return nil, err
	}
	if signed, err := ledger.Latest(ctx, n.store.Ledger()); err == nil && signed != nil && n.kept.Newest().Size == 0 {
		cfg.Log.Warn("ledger: no checkpoint was kept beside the keys: nothing here tells whether the store was cut back", "file", n.kept.Path())
	}
	return sealing, nil
}

// retainEvery is how often records over their retention time are looked for.
const retainEvery = time.Hour

// retainMost is how many records are erased each time: the gateway has other work.
const retainMost = 20_000

// retain erases what is over its retention time, now and from time to time.
func (n *node) retain(ctx context.Context) {
	retainer := n.desk.Retainer()
	n.run(func() {
		for {
			switch erased, err := retainer.Erase(ctx, retainMost, nil); {
			case err != nil && ctx.Err() == nil:
				n.log.Warn("ledger: records over their retention time could not be erased", "error", err)
			case erased > 0:
				n.log.Info("ledger: records over their retention time erased", "records", erased)
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(retainEvery):
			}
		}
	})
}

// publish puts our own definitions, and what the operator publishes, into the directory and the population data.
func (n *node) publish(ctx context.Context, operator consent.Actor, docs []*fhir.Value) error {
	definitions, err := conformance.Resources()
	if err != nil {
		return err
	}
	if _, err = n.desk.Publish(ctx, operator, slices.Concat(definitions, n.profiles.Definitions, docs)); err != nil {
		return err
	}
	switch changed, err := n.desk.KeepTerms(ctx, operator, n.terms); {
	case err != nil:
		return fmt.Errorf("how long records are kept could not be kept: %w", err)
	case changed:
		n.log.Info("ledger: how long records are kept is set", "longer", n.terms.List())
	}
	n.retain(n.background)
	return n.followLaw(ctx, operator)
}

// followLaw keeps the text of the law in force and the register of users and rights, and from then on whatever their files
// become.
func (n *node) followLaw(ctx context.Context, operator consent.Actor) error {
	n.policies.keep = func(ctx context.Context, e *consent.Engine) error { return n.keepLaw(ctx, operator, e) }
	if err := n.policies.keep(ctx, n.policies.law.Engine()); err != nil {
		return err
	}
	n.clients.keep = func(ctx context.Context, registry *auth.Registry) error { return n.keepRights(ctx, operator, registry) }
	if err := n.clients.keep(ctx, n.who.Registry()); err != nil {
		return fmt.Errorf("the register of users and rights could not be kept: %w", err)
	}
	n.run(func() { follow(n.background, func() []string { return n.policies.files }, n.policies.load) })
	if n.clients.read != nil {
		n.run(func() { follow(n.background, n.clients.files, n.clients.load) })
	}
	return nil
}

// staff is the registry as explanations and simulations know it.
func staff(registry *auth.Registry) access.Staff {
	return access.Staff{Actor: registry.Actor, Professionals: registry.Professionals()}
}

// use makes the use of an assertion durable: the truth behind auth.
func (n *node) use(ctx context.Context, key string, until time.Time) error {
	err := n.store.Commit(ctx, store.Change{Once: []store.Once{{Key: key, Until: until}}})
	if errors.Is(err, store.ErrUsed) {
		return auth.ErrUsed
	}
	return err
}

// system is the caller of a registered system without a user, as it is registered now, for wires that carry no token. One
// that is registered no more may do nothing.
func (n *node) system(client string) (func() exchange.Caller, error) {
	current := func() exchange.Caller {
		caller, ok := n.who.Caller(client, "")
		if !ok || caller.Actor.Kind != consent.System {
			return exchange.Caller{}
		}
		return caller
	}
	if current().Actor.Kind != consent.System {
		return nil, fmt.Errorf("%s is not a registered system", client)
	}
	return current, nil
}

// sources are the registered systems that send messages, by client.
func (n *node) sources(cfg nodeConfig, lenses []*mappings.Lens) (map[string]*inbound.Source, error) {
	sources := cfg.MLLP.bare()
	for client, source := range sources {
		caller, err := n.system(client)
		if err != nil {
			return nil, err
		}
		source.Caller, source.Lenses, source.Senders, source.SyntheticOnly = caller, lenses, cfg.MLLP.senders[client], cfg.SyntheticOnly
	}
	return sources, nil
}

func (n *node) listenMLLP(ctx context.Context, cfg nodeConfig, sources map[string]*inbound.Source, sealer *inbound.Sealer) error {
	from, err := inbound.Peers(cfg.MLLP.from(sources)...)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", cfg.MLLPAddr)
	if err != nil {
		return fmt.Errorf("SOTESILTA_MLLP_ADDR: %w", err)
	}
	n.mllp = listener.Addr()
	server := &inbound.Server{
		Desk: n.desk, Quarantine: inbound.WorkQueueTasks{Desk: n.desk}, Sealer: sealer, Source: from, Log: cfg.Log,
	}
	n.run(func() {
		if err := server.Serve(ctx, listener); err != nil {
			n.failed <- fmt.Errorf("MLLP: %w", err)
		}
	})
	return nil
}

// deliver starts sending messages to the receivers.
func (n *node) deliver(ctx context.Context, cfg nodeConfig, lenses []*mappings.Lens) error {
	worker := &notify.Worker{Desk: n.desk, Bell: n.bell, Log: cfg.Log}
	for _, to := range cfg.MLLP.receivers {
		caller, err := n.system(to.client)
		if err != nil {
			return err
		}
		worker.Receivers = append(worker.Receivers, notify.Receiver{
			ID: to.client, Caller: caller, Address: to.address, Lens: mappings.Find(lenses, "jukola-siu"), Types: []string{"Appointment"}, Dial: dialPrivate,
			Envelope: mappings.Envelope{
				Sender: hl7v2.HD{"SOTESILTA"}, Receiver: to.name.Application, ReceiverFacility: to.name.Facility,
			},
		})
	}
	if len(worker.Receivers) == 0 {
		return nil
	}
	n.run(func() {
		if err := worker.Run(ctx); err != nil {
			n.failed <- fmt.Errorf("messages out: %w", err)
		}
	})
	return nil
}

func (n *node) run(f func()) {
	n.running.Add(1)
	go func() {
		defer n.running.Done()
		f()
	}()
}

func (n *node) serve(listener net.Listener, server *http.Server) {
	n.servers = append(n.servers, server)
	n.run(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			n.failed <- err
		}
	})
}

// shutdownTime is how long requests under way may take to end.
const shutdownTime = 10 * time.Second

// Close lets the requests under way end, then stops everything and closes the store.
func (n *node) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTime)
	defer cancel()
	var errs []error
	for _, server := range n.servers {
		errs = append(errs, server.Shutdown(ctx))
	}
	n.stop()
	n.running.Wait()
	if n.sequencer != nil {
		// What was recorded last gets its place too, so that an auditor of the store at rest sees nothing waiting.
		_, err := n.sequencer.Once(ctx)
		errs = append(errs, err)
	}
	errs = append(errs, n.memory.Close())
	if n.kept != nil {
		errs = append(errs, n.kept.Close())
	}
	if n.store != nil {
		errs = append(errs, n.store.Close())
	}
	return errors.Join(errs...)
}

// gate says whether the gateway's first data are in place.
type gate struct {
	mu   sync.Mutex
	open bool
}

func newGate() *gate { return &gate{} }

func (g *gate) set(open bool) {
	g.mu.Lock()
	g.open = open
	g.mu.Unlock()
}

func (g *gate) err() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open {
		return nil
	}
	return rest.ErrLoading
}
