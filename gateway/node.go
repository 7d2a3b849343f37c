package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

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
	"sotesilta/gateway/process"
	"sotesilta/gateway/profiles"
	"sotesilta/gateway/rest"
	"sotesilta/gateway/shared"
	"sotesilta/gateway/store"
	"sotesilta/gateway/store/postgres"
	"sotesilta/gateway/store/sqlite"
	"sotesilta/gateway/wake"
	"sotesilta/internal/fhir"
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

// node is a running gateway; startNode fills it in.
type node struct {
	root     string
	log      *slog.Logger
	store    store.Store
	policies *policies // the law in force
	rules    *process.Process
	profiles *profiles.Set
	metrics  *metrics
	memory   *shared.Memory // nil: the node is alone
	bell     *wake.Bell
	kept     *ledger.Kept
	terms    ledger.Terms // how long the controller keeps records

	tree      *ledger.Tree
	sequencer *exchange.Sequencer
	desk      *exchange.Desk
	who       *auth.Server
	clients   *clients
	allowed   *allowance.Allowance
	lenses    []*mappings.Lens
	sealer    *inbound.Sealer
	sources   map[string]*inbound.Source // of HL7 v2, by client
	loaded    gate
	mllp      net.Addr

	stop context.CancelFunc
	// background ends when the node does.
	background context.Context
	running    sync.WaitGroup
	servers    []*http.Server
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

// translate makes ready what takes HL7 v2: the lenses, and the registered systems that send messages.
func (n *node) translate(_ context.Context, cfg nodeConfig) (err error) {
	if n.lenses, err = jukola.Lenses(); err != nil {
		return err
	}
	if n.sealer, err = inbound.NewSealer(cfg.Keys.data); err != nil {
		return err
	}
	n.sources = cfg.MLLP.bare()
	for client, source := range n.sources {
		caller, err := n.system(client)
		if err != nil {
			return err
		}
		source.Caller, source.Lenses, source.Senders, source.SyntheticOnly = caller, n.lenses, cfg.MLLP.senders[client], cfg.SyntheticOnly
	}
	return nil
}

// listenMLLP takes messages, where any system sends them.
func (n *node) listenMLLP(cfg nodeConfig) error {
	if len(n.sources) == 0 || cfg.MLLPAddr == "off" {
		return nil
	}
	from, err := inbound.Peers(cfg.MLLP.from(n.sources)...)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", cfg.MLLPAddr)
	if err != nil {
		return fmt.Errorf("SOTESILTA_MLLP_ADDR: %w", err)
	}
	n.mllp = listener.Addr()
	server := &inbound.Server{
		Desk: n.desk, Quarantine: inbound.WorkQueueTasks{Desk: n.desk}, Sealer: n.sealer, Source: from, Log: cfg.Log,
	}
	n.run(func() {
		if err := server.Serve(n.background, listener); err != nil {
			n.failed <- fmt.Errorf("MLLP: %w", err)
		}
	})
	return nil
}

// deliver starts sending messages to the receivers.
func (n *node) deliver(cfg nodeConfig) error {
	worker := &notify.Worker{Desk: n.desk, Bell: n.bell, Log: cfg.Log}
	for _, to := range cfg.MLLP.receivers {
		caller, err := n.system(to.client)
		if err != nil {
			return err
		}
		worker.Receivers = append(worker.Receivers, notify.Receiver{
			ID: to.client, Caller: caller, Address: to.address, Lens: mappings.Find(n.lenses, "jukola-siu"), Types: []string{"Appointment"}, Dial: dialPrivate,
			Envelope: mappings.Envelope{
				Sender: hl7v2.HD{"SOTESILTA"}, Receiver: to.name.Application, ReceiverFacility: to.name.Facility,
			},
		})
	}
	if len(worker.Receivers) == 0 {
		return nil
	}
	n.run(func() {
		if err := worker.Run(n.background); err != nil {
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
	if len(n.servers) > 0 { // it served
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
