package main

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/redis/go-redis/v9"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/access"
	"sotesilta/gateway/allowance"
	"sotesilta/gateway/auth"
	"sotesilta/gateway/conformance"
	"sotesilta/gateway/exchange"
	"sotesilta/gateway/inbound"
	"sotesilta/gateway/openapi"
	"sotesilta/gateway/process"
	"sotesilta/gateway/profiles"
	"sotesilta/gateway/rest"
	"sotesilta/gateway/shared"
	"sotesilta/gateway/wake"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

// startNode opens everything and serves. listener is already bound, so that two gateways never share an address.
func startNode(ctx context.Context, cfg nodeConfig, listener net.Listener) (_ *node, err error) {
	root, err := cfg.root()
	if err != nil {
		return nil, err
	}
	n := &node{root: root, log: cfg.Log, terms: cfg.Retention, metrics: newMetrics(), failed: make(chan error, 4)}
	n.background, n.stop = context.WithCancel(context.WithoutCancel(ctx))
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
	for _, step := range []func(context.Context, nodeConfig) error{n.putInForce, n.meetOthers, n.openDoor, n.admit, n.translate} {
		if err := step(ctx, cfg); err != nil {
			return nil, err
		}
	}
	face, err := n.face(cfg)
	if err != nil {
		return nil, err
	}
	if err := n.sequencer.CatchUp(ctx); err != nil {
		return nil, err
	}
	n.run(func() { n.sequencer.Run(n.background) })
	n.run(func() { n.bell.Run(n.background) })
	n.serve(listener, rest.Server(cfg.Addr, face))
	if cfg.AdminAddr != "" {
		admin, err := net.Listen("tcp", cfg.AdminAddr)
		if err != nil {
			return nil, fmt.Errorf("SOTESILTA_ADMIN_ADDR: %w", err)
		}
		n.serve(admin, rest.Server(cfg.AdminAddr, n.metrics.handler(cfg.AdminAddr)))
	}
	if err := n.listenMLLP(cfg); err != nil {
		return nil, err
	}
	return n, n.deliver(cfg)
}

// putInForce reads the law, the rules of the process and the profiles made of them.
func (n *node) putInForce(_ context.Context, cfg nodeConfig) error {
	engine, err := cfg.law()
	if err != nil {
		return err
	}
	law := consent.NewInForce(engine)
	n.metrics.policy("loaded", law.Version())
	n.policies = &policies{law: law, read: cfg.law, files: cfg.watched(), metrics: n.metrics, log: cfg.Log}
	if n.rules, err = process.New(); err != nil {
		return err
	}
	n.profiles, err = profiles.New(n.rules)
	return err
}

// meetOthers finds the memory that nodes share, if there is one, and the bell by which they wake each other.
func (n *node) meetOthers(_ context.Context, cfg nodeConfig) error {
	if cfg.RedisURL != "" {
		options, err := redis.ParseURL(cfg.RedisURL)
		if err != nil {
			return errors.New("SOTESILTA_REDIS_URL: not a redis:// URL") // the error would quote its password
		}
		n.memory = shared.New(redis.NewClient(options), cfg.Log)
	}
	n.bell = wake.New(n.memory, strings.HasPrefix(cfg.Store, "sqlite:"))
	n.allowed = allowance.New(cfg.Rate, 0, n.memory)
	return nil
}

// openDoor opens the ledger, and the exchange before the store.
func (n *node) openDoor(ctx context.Context, cfg nodeConfig) error {
	n.tree = ledger.NewTree(n.store.Ledger())
	sealing, err := n.openLedger(ctx, cfg)
	if err != nil {
		return err
	}
	n.sequencer = exchange.NewSequencer(n.store, sealing.Seal, ledger.NewID(), cfg.Sequence, cfg.Log,
		func(entries []ledger.Entry) {
			sealing.Committed()
			n.metrics.sequenced(entries)
			if cfg.Observe != nil {
				cfg.Observe(entries)
			}
		})
	bases := []string{n.root + "/fhir"}
	for _, twin := range loopbackTwins(n.root) {
		bases = append(bases, twin+"/fhir")
	}
	if n.desk, err = exchange.New(exchange.Config{
		Store: n.store, Law: n.policies.law, Person: func(ref string) (consent.Actor, bool) { return n.who.Party(ref) },
		Rules: n.rules, Profiles: n.profiles.Checks, Bases: bases, Sequencer: n.sequencer.Err, Tree: n.tree,
		Changed: n.bell.Ring, Log: cfg.Log,
	}); err != nil {
		return err
	}
	indexed, err := n.desk.Reindex(ctx)
	if err == nil && indexed > 0 {
		cfg.Log.Info("the store's rows were indexed anew for this release's search parameters", "rows", indexed)
	}
	return err
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

// admit lets the registered clients in, with tokens of ours.
func (n *node) admit(_ context.Context, cfg nodeConfig) (err error) {
	var used auth.Used = auth.UsedFunc(n.use)
	if n.memory != nil {
		used = auth.SpareUsed(used, n.memory)
	}
	var tokenURLs []string
	for _, twin := range loopbackTwins(n.root) {
		tokenURLs = append(tokenURLs, twin+auth.TokenPath)
	}
	if n.who, err = auth.New(auth.Config{
		BaseURL: n.root, TokenURLs: tokenURLs, Registry: cfg.Registry, Key: cfg.Keys.token, Used: used,
		Limits: auth.Limits{Off: !cfg.LimitTokens, Memory: n.memory}, Reasoned: n.policies.law.Reasoned, Refused: n.desk.RefuseClaim, Log: cfg.Log,
	}); err != nil {
		return err
	}
	n.clients = &clients{who: n.who, read: cfg.ReadRegistry, file: cfg.RegistryFile, wires: &cfg.MLLP, log: cfg.Log}
	return nil
}

// face is what the public address serves.
func (n *node) face(cfg nodeConfig) (http.Handler, error) {
	pageKey, err := hkdf.Key(sha256.New, cfg.Keys.data, nil, "sotesilta page links 1", 32)
	if err != nil {
		return nil, err
	}
	types := served(n.profiles.ByType)
	operations := n.operations(types)
	return rest.New(rest.Config{
		Desk: n.desk, Authenticate: n.who.Authenticate, Base: n.root + "/fhir", Types: types, Operations: operations,
		Documents: func(statement *fhir.Value, beside []rest.Route) ([]rest.Document, error) {
			return openapi.Documents(statement, n.root+"/fhir", append(rest.Own(types), operations...), beside)
		},
		Terms: conformance.Terms{}, PageKey: pageKey, Origins: cfg.Origins, Allowance: n.allowed, TokenURL: n.root + auth.TokenPath,
		SMART: http.HandlerFunc(n.who.ServeSMART),
		Mount: func(r gin.IRouter) {
			n.who.Routes(r)
			mountLedger(r, n.tree, n.store.Ledger())
			access.Routes(r, access.Config{
				Desk: n.desk, Authenticate: n.who.Authenticate, Staff: staff(cfg.Registry), Allowance: n.allowed, Enter: rest.Enter, Log: cfg.Log,
			})
		},
		Ready: n.ready, Notice: n.desk.Notice, Observe: n.metrics.seen, Log: cfg.Log, Version: version, Released: release,
	})
}

// operations are those that the FHIR base serves beside the interactions.
func (n *node) operations(types []rest.Type) []rest.Operation {
	operations := append(rest.Reports(n.desk),
		rest.Match(n.desk, n.root+"/fhir"),
		rest.Operation{
			Type: "PlanDefinition", Name: "apply", Instance: true,
			Definition:    "http://hl7.org/fhir/OperationDefinition/PlanDefinition-apply",
			Documentation: "Starts the joint-client process: draft CarePlan, CareTeam and first Task; answers the stored CarePlan.",
			Handle: func(ctx context.Context, c exchange.Caller, id string, in *fhir.Value) (*exchange.Resource, error) {
				if terms.Base+"PlanDefinition/"+id != terms.JointClient {
					return nil, exchange.Refuse(exchange.Absent, "not-found", "", "PlanDefinition/"+id+" cannot be applied.")
				}
				return n.rules.Apply(ctx, n.desk, c, in)
			},
		})
	operations = append(operations, rest.Validate(n.desk, types, n.profiles.Checks)...)
	operations = append(operations, rest.Terminology(n.desk, conformance.Terms{})...)
	resolver := &inbound.Resolver{Desk: n.desk, Sealer: n.sealer, Source: func(client string) *inbound.Source { return n.sources[client] }}
	return append(operations, rest.Resolve(resolver.Resolve))
}

// ready says whether the gateway can serve, and what it goes on without.
func (n *node) ready(ctx context.Context) (without []string, _ error) {
	if err := n.loaded.err(); err != nil {
		return nil, err
	}
	without = append(n.policies.lost(), n.clients.lost()...)
	if n.memory != nil && n.memory.Ping(ctx) != nil {
		without = append(without, "redis")
	}
	return without, n.desk.Ready(ctx)
}
