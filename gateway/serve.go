package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
	"golang.org/x/time/rate"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/auth"
	"sotesilta/gateway/rest"
	"sotesilta/gateway/store"
	"sotesilta/internal/fhir"
	"sotesilta/internal/yamlerr"
)

// serveCommand is production. Every setting may come by flag, by variable, or from the file that --config names; flags
// and variables win over the file.
type serveCommand struct {
	settings
	Config        string   `env:"SOTESILTA_CONFIG" type:"existingfile" help:"YAML file of settings, named as the flags without dashes in front."`
	Clients       string   `env:"SOTESILTA_CLIENTS" help:"File of the registered API clients (gateway/auth/README.md); read anew when it changes, and on SIGHUP."`
	KeyHosts      []string `env:"SOTESILTA_KEY_HOSTS" help:"Hosts (or host:port) that clients' keys may be fetched from (jwksUri), by https; none by default."`
	JointServices string   `env:"SOTESILTA_JOINT_SERVICES" help:"File of the county's signed joint-service list; without it there is none."`
	Public        []string `name:"public-controllers" env:"SOTESILTA_PUBLIC_CONTROLLERS" help:"Organization/… of the public controllers."`
	Switches      []string `env:"SOTESILTA_SWITCHES" help:"Answers to open questions, such as O11=on (consent/bases/switches.yaml)."`
	Publish       []string `env:"SOTESILTA_PUBLISH" help:"Files of Bundles that the operator publishes: population data and directory."`
	MLLPSource    string   `name:"mllp-source" env:"SOTESILTA_MLLP_SOURCE" help:"API client that plain loopback peers of the MLLP listener are (a TLS proxy in front); without it and peers there is no listener."`
	MLLPPeers     []string `name:"mllp-peers" env:"SOTESILTA_MLLP_PEERS" help:"CLIENT=ADDRESS or CLIENT=NETWORK/BITS: other machines whose plain connections to the MLLP listener are an API client's; within private networks only."`
	MLLPSenders   []string `name:"mllp-senders" env:"SOTESILTA_MLLP_SENDERS" help:"CLIENT=APPLICATION or CLIENT=APPLICATION|FACILITY: the names (MSH-3, MSH-4) that an API client sends HL7 v2 under; others over its connections are refused. By default any."`
	MLLPReceivers []string `name:"mllp-receivers" env:"SOTESILTA_MLLP_RECEIVERS" help:"CLIENT=HOST:PORT: where an API client takes HL7 v2 messages, plain, within private networks only; by default nobody does."`
	Retention     []string `env:"SOTESILTA_RETENTION" help:"CLASS=YEARS: classes of log data that the controller keeps longer than the law, such as disclosure=15 (gateway retain --dry-run shows the classes)."`
	Rate          float64  `env:"SOTESILTA_RATE" default:"200" help:"Requests a second per API client."`
	InitKeys      bool     `help:"Make the keys of a new gateway in the folder of keys, if everything else is in order; then serve."`
}

// Run serves until the context ends.
func (s *serveCommand) Run(ctx context.Context, out streams) error {
	if err := unknownVariables(os.Environ()); err != nil {
		return err
	}
	cfg, docs, err := s.config(out)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", s.Addr)
	if err != nil {
		return fmt.Errorf("SOTESILTA_ADDR: %w", err)
	}
	cfg.Addr = listenedAddr(cfg.Addr, listener)
	if cfg.Opened, cfg.Keys, err = s.open(ctx, cfg.Log); err != nil {
		return errors.Join(err, listener.Close())
	}
	n, err := startNode(ctx, cfg, listener)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer n.Close()
	operator := consent.Actor{Kind: consent.Operator, App: "operator"}
	for client := range cfg.Registry.Clients() {
		if actor, ok := cfg.Registry.Actor(client.ID, ""); ok && actor.Kind == consent.Operator {
			operator = actor
		}
	}
	if err := n.publish(ctx, operator, docs); err != nil {
		return fmt.Errorf("SOTESILTA_PUBLISH: what is published at the start is not taken: %w", err)
	}
	n.loaded.set(true)
	cfg.Log.Info("serving", "version", version, "fhir", n.root+"/fhir")
	select {
	case <-ctx.Done():
		cfg.Log.Info("stopping")
		return nil
	case err := <-n.failed:
		return err
	}
}

// config reads what the settings name, and refuses what is missing, unsafe or not understood; all of it at once, so that
// nobody learns of the second fault by mending the first. It makes nothing.
func (s *serveCommand) config(out streams) (nodeConfig, []*fhir.Value, error) {
	cfg := nodeConfig{Log: slog.New(slog.NewJSONHandler(out.err, nil))}
	if err := s.file(); err != nil {
		return cfg, nil, err
	}
	var faults []error
	fault := func(setting string, err error) {
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", setting, yamlerr.Plain(err)))
		}
	}
	fault("needed in production", s.missing())
	fault("SOTESILTA_BASE_URL", s.safeRoot())
	if host, _, err := net.SplitHostPort(s.AdminAddr); s.AdminAddr != "" && (err != nil || !loopbackHost(host)) {
		fault("SOTESILTA_ADMIN_ADDR", errors.New("metrics and profiling are served on a loopback address only"))
	}
	if s.Rate <= 0 {
		fault("SOTESILTA_RATE", errors.New("a production gateway limits its rates"))
	}
	for _, origin := range s.Origins {
		fault("SOTESILTA_ORIGINS", safeOrigin(origin))
	}
	cfg.MLLP.read(s, fault)
	var err error
	if s.Clients != "" {
		cfg.Registry, err = s.registry()
		fault("SOTESILTA_CLIENTS", err)
	}
	if cfg.Registry != nil {
		if err := cfg.MLLP.systems(cfg.Registry); err != nil {
			faults = append(faults, err) // it names the setting
		}
		cfg.ReadRegistry, cfg.RegistryFile = s.registry, s.Clients
	}
	cfg.JointServices, err = jointServices(s.JointServices)
	fault("SOTESILTA_JOINT_SERVICES", err)
	cfg.Retention, err = ledger.ParseTerms(s.Retention)
	fault("SOTESILTA_RETENTION", err)
	cfg.Switches = map[string]string{}
	for _, answer := range s.Switches {
		name, value, ok := strings.Cut(answer, "=")
		if !ok {
			fault("SOTESILTA_SWITCHES", fmt.Errorf("%q is not of the form O11=on", answer))
		}
		cfg.Switches[name] = value
	}
	// The law is tried with one list at a time, so that its refusal is that of a setting.
	for _, part := range []struct {
		setting string
		config  consent.Config
	}{
		{"SOTESILTA_SWITCHES", consent.Config{Switches: cfg.Switches}},
		{"SOTESILTA_JOINT_SERVICES", consent.Config{JointServices: cfg.JointServices}},
		{"SOTESILTA_PUBLIC_CONTROLLERS", consent.Config{Public: s.Public}},
	} {
		if len(faults) == 0 && s.Policies == "" { // with policies of its own, all at once below
			_, err := consent.New(part.config)
			fault(part.setting, err)
		}
	}
	cfg.settings, cfg.Public, cfg.JointList = s.settings, s.Public, s.JointServices
	if len(faults) == 0 && s.Policies != "" {
		_, err := cfg.law()
		if err != nil {
			faults = append(faults, err) // it names the setting, the file and the line
		}
	}
	docs, err := s.published()
	fault("SOTESILTA_PUBLISH", err)
	if err := errors.Join(faults...); err != nil {
		return cfg, nil, err
	}
	cfg.Rate, cfg.LimitTokens = rate.Limit(s.Rate), true
	if len(cfg.MLLP.bare()) == 0 || s.MLLPAddr == "off" {
		cfg.Log.Info("no MLLP listener", "cause", "SOTESILTA_MLLP_SOURCE and SOTESILTA_MLLP_PEERS name no client, or SOTESILTA_MLLP_ADDR is off")
	}
	return cfg, docs, nil
}

// missing names every setting that production needs and has not.
func (s *serveCommand) missing() error {
	var names []string
	for _, needed := range []struct{ name, value string }{
		{"SOTESILTA_STORE (--store)", s.Store}, {"SOTESILTA_KEYS (--keys)", s.Keys}, {"SOTESILTA_CLIENTS (--clients)", s.Clients},
	} {
		if needed.value == "" {
			names = append(names, needed.name)
		}
	}
	if names == nil {
		return nil
	}
	return errors.New(strings.Join(names, ", ") + "; deploy/README.md has an example")
}

// safeRoot refuses a public root that would carry tokens and person data over the network in the clear: it is https,
// with TLS ending in front of the gateway, or on this machine.
func (s *serveCommand) safeRoot() error {
	root, err := s.root()
	if err != nil {
		return err
	}
	u, err := url.Parse(root)
	if err != nil || u.Scheme == "https" || loopbackHost(u.Hostname()) {
		return err
	}
	return fmt.Errorf("%s is not https: in production the public root is https, TLS ending in front of the gateway, or a loopback address", root)
}

// safeOrigin refuses an origin whose pages anybody on the way could replace.
func safeOrigin(origin string) error {
	if err := rest.CheckOrigin(origin); err != nil {
		return err
	}
	if u, err := url.Parse(origin); err != nil || u.Scheme != "https" && !loopbackHost(u.Hostname()) {
		return fmt.Errorf("%s is not https", origin)
	}
	return nil
}

// registry reads the registered clients.
func (s *serveCommand) registry() (*auth.Registry, error) {
	file, err := os.Open(s.Clients)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return auth.LoadRegistry(file, auth.WithFiles(os.DirFS(filepath.Dir(s.Clients))), auth.WithKeyHosts(s.KeyHosts...))
}

// published reads the Bundles that the operator publishes.
func (s *serveCommand) published() ([]*fhir.Value, error) {
	var docs []*fhir.Value
	for _, path := range s.Publish {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		bundle, err := fhir.Parse(text, fhir.Limits{Bytes: 256 << 20})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if fhir.ResourceType(bundle) != "Bundle" {
			return nil, fmt.Errorf("%s: not a Bundle", path)
		}
		docs = append(docs, bundle.All("entry", "resource")...)
	}
	return docs, nil
}

// open opens the store and reads the keys. With InitKeys it makes those that are missing, last of all, and not for a
// store whose ledger was signed with others: nobody could verify it any more.
func (s *serveCommand) open(ctx context.Context, log *slog.Logger) (store.Store, keys, error) {
	own, keyless := openKeys(s.Keys, false)
	if keyless != nil && !s.InitKeys {
		return nil, keys{}, fmt.Errorf("SOTESILTA_KEYS: %w", keyless)
	}
	opened, err := openStore(ctx, s.Store)
	if err != nil || keyless == nil {
		return opened, own, err
	}
	begun, err := hasRecords(ctx, opened.Ledger())
	if err == nil && begun && !haveKeys(s.Keys) {
		err = fmt.Errorf("%w; --init-keys makes none for a store that has a ledger: put back those that signed it", keyless)
	}
	if err == nil {
		own, err = openKeys(s.Keys, true)
	}
	if err != nil {
		return nil, keys{}, errors.Join(fmt.Errorf("SOTESILTA_KEYS: %w", err), opened.Close())
	}
	log.Info("keys made", "folder", s.Keys)
	return opened, own, nil
}

// file fills what neither a flag nor a variable said from the file of settings. An unknown setting is refused.
func (s *serveCommand) file() error {
	if s.Config == "" {
		return nil
	}
	text, err := os.ReadFile(s.Config)
	if err != nil {
		return fmt.Errorf("SOTESILTA_CONFIG: %w", err)
	}
	var f struct {
		Addr              string   `yaml:"addr"`
		AdminAddr         string   `yaml:"admin-addr"`
		MLLPAddr          string   `yaml:"mllp-addr"`
		Store             string   `yaml:"store"`
		RedisURL          string   `yaml:"redis-url"`
		Keys              string   `yaml:"keys"`
		BaseURL           string   `yaml:"base-url"`
		Policies          string   `yaml:"policies"`
		Clients           string   `yaml:"clients"`
		JointServices     string   `yaml:"joint-services"`
		PublicControllers []string `yaml:"public-controllers"`
		Switches          []string `yaml:"switches"`
		Retention         []string `yaml:"retention"`
		Publish           []string `yaml:"publish"`
		MLLPSource        string   `yaml:"mllp-source"`
		MLLPPeers         []string `yaml:"mllp-peers"`
		MLLPSenders       []string `yaml:"mllp-senders"`
		MLLPReceivers     []string `yaml:"mllp-receivers"`
		KeyHosts          []string `yaml:"key-hosts"`
		Origins           []string `yaml:"origins"`
		Rate              float64  `yaml:"rate"`
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&f); err != nil {
		return fmt.Errorf("SOTESILTA_CONFIG: %s: %w", s.Config, yamlerr.Plain(err))
	}
	for _, setting := range []struct {
		to             *string
		from, standard string
	}{
		{&s.Addr, f.Addr, defaultAddr},
		{&s.AdminAddr, f.AdminAddr, "127.0.0.1:9090"},
		{&s.MLLPAddr, f.MLLPAddr, ":2575"},
		{&s.Store, f.Store, ""},
		{&s.RedisURL, f.RedisURL, ""},
		{&s.Keys, f.Keys, ""},
		{&s.BaseURL, f.BaseURL, ""},
		{&s.Policies, f.Policies, ""},
		{&s.Clients, f.Clients, ""},
		{&s.JointServices, f.JointServices, ""},
		{&s.MLLPSource, f.MLLPSource, ""},
	} {
		if setting.from != "" && *setting.to == setting.standard {
			*setting.to = setting.from
		}
	}
	for _, list := range []struct {
		to   *[]string
		from []string
	}{
		{&s.Public, f.PublicControllers},
		{&s.Switches, f.Switches},
		{&s.Retention, f.Retention},
		{&s.Publish, f.Publish},
		{&s.Origins, f.Origins},
		{&s.KeyHosts, f.KeyHosts},
		{&s.MLLPPeers, f.MLLPPeers},
		{&s.MLLPSenders, f.MLLPSenders},
		{&s.MLLPReceivers, f.MLLPReceivers},
	} {
		if len(*list.to) == 0 {
			*list.to = list.from
		}
	}
	if f.Rate != 0 && s.Rate == 200 {
		s.Rate = f.Rate
	}
	return nil
}

// jointServices reads the county's signed list.
func jointServices(path string) ([]consent.JointService, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var list struct {
		JointServices []consent.JointService `yaml:"joint-services"`
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&list); err != nil {
		return nil, err
	}
	return list.JointServices, nil
}

// hasRecords says whether a ledger was begun: it holds a record, with or without its place in the tree.
func hasRecords(ctx context.Context, src ledger.Source) (bool, error) {
	for _, err := range src.Entries(ctx, 0) {
		return true, err
	}
	for _, err := range src.Pending(ctx) {
		return true, err
	}
	return false, nil
}
