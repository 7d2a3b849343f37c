package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
	"golang.org/x/time/rate"

	"sotesilta/consent"
	"sotesilta/gateway/auth"
	"sotesilta/internal/fhir"
)

// serveCommand is production. Every setting may come by flag, by variable, or from the file that --config names; flags
// and variables win over the file.
type serveCommand struct {
	settings
	Config        string   `env:"SOTESILTA_CONFIG" type:"existingfile" help:"YAML file of settings, named as the flags without dashes in front."`
	Clients       string   `env:"SOTESILTA_CLIENTS" help:"File of the registered API clients (gateway/auth/README.md)."`
	JointServices string   `env:"SOTESILTA_JOINT_SERVICES" help:"File of the county's signed joint-service list; without it there is none."`
	Public        []string `name:"public-controllers" env:"SOTESILTA_PUBLIC_CONTROLLERS" help:"Organization/… of the public controllers."`
	Switches      []string `env:"SOTESILTA_SWITCHES" help:"Answers to open questions, such as O11=on (consent/bases/switches.yaml)."`
	Publish       []string `env:"SOTESILTA_PUBLISH" help:"Files of Bundles that the operator publishes: population data and directory."`
	MLLPSource    string   `name:"mllp-source" env:"SOTESILTA_MLLP_SOURCE" help:"API client that plain loopback peers of the MLLP listener are (a TLS proxy in front); without it there is no listener."`
	Rate          float64  `env:"SOTESILTA_RATE" default:"200" help:"Requests a second per API client."`
	InitKeys      bool     `help:"Make the keys of a new gateway in the folder of keys."`
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
		return err
	}
	n.ready(true)
	cfg.Log.Info("serving", "version", version, "fhir", n.root+"/fhir")
	select {
	case <-ctx.Done():
		cfg.Log.Info("stopping")
		return nil
	case err := <-n.failed:
		return err
	}
}

// config reads what the settings name, and refuses what is missing or unsafe.
func (s *serveCommand) config(out streams) (nodeConfig, []*fhir.Value, error) {
	cfg := nodeConfig{Log: slog.New(slog.NewJSONHandler(out.err, nil))}
	if err := s.file(); err != nil {
		return cfg, nil, err
	}
	for _, needed := range []struct{ name, value string }{
		{"SOTESILTA_STORE", s.Store}, {"SOTESILTA_KEYS", s.Keys}, {"SOTESILTA_CLIENTS", s.Clients},
	} {
		if needed.value == "" {
			return cfg, nil, fmt.Errorf("%s: needed in production", needed.name)
		}
	}
	if host, _, err := net.SplitHostPort(s.AdminAddr); s.AdminAddr != "" && (err != nil || net.ParseIP(host) == nil || !net.ParseIP(host).IsLoopback()) {
		return cfg, nil, errors.New("SOTESILTA_ADMIN_ADDR: metrics and profiling are served on a loopback address only")
	}
	if s.Rate <= 0 {
		return cfg, nil, errors.New("SOTESILTA_RATE: a production gateway limits its rates")
	}
	var err error
	if cfg.Keys, err = openKeys(s.Keys, s.InitKeys); err != nil {
		return cfg, nil, err
	}
	file, err := os.Open(s.Clients)
	if err != nil {
		return cfg, nil, fmt.Errorf("SOTESILTA_CLIENTS: %w", err)
	}
	defer file.Close()
	if cfg.Registry, err = auth.LoadRegistry(file, auth.WithFiles(os.DirFS(filepath.Dir(s.Clients)))); err != nil {
		return cfg, nil, fmt.Errorf("SOTESILTA_CLIENTS: %w", err)
	}
	if cfg.JointServices, err = jointServices(s.JointServices); err != nil {
		return cfg, nil, fmt.Errorf("SOTESILTA_JOINT_SERVICES: %w", err)
	}
	cfg.Switches = map[string]string{}
	for _, answer := range s.Switches {
		name, value, ok := strings.Cut(answer, "=")
		if !ok {
			return cfg, nil, fmt.Errorf("SOTESILTA_SWITCHES: %q is not of the form O11=on", answer)
		}
		cfg.Switches[name] = value
	}
	var docs []*fhir.Value
	for _, path := range s.Publish {
		text, err := os.ReadFile(path)
		if err != nil {
			return cfg, nil, fmt.Errorf("SOTESILTA_PUBLISH: %w", err)
		}
		bundle, err := fhir.Parse(text, fhir.Limits{Bytes: 256 << 20})
		if err != nil {
			return cfg, nil, fmt.Errorf("SOTESILTA_PUBLISH: %s: %w", path, err)
		}
		docs = append(docs, bundle.All("entry", "resource")...)
	}
	cfg.settings, cfg.Public, cfg.Rate, cfg.LimitTokens, cfg.MLLPSource = s.settings, s.Public, rate.Limit(s.Rate), true, s.MLLPSource
	return cfg, docs, nil
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
		Clients           string   `yaml:"clients"`
		JointServices     string   `yaml:"joint-services"`
		PublicControllers []string `yaml:"public-controllers"`
		Switches          []string `yaml:"switches"`
		Publish           []string `yaml:"publish"`
		MLLPSource        string   `yaml:"mllp-source"`
		Rate              float64  `yaml:"rate"`
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&f); err != nil {
		return fmt.Errorf("SOTESILTA_CONFIG: %s: %w", s.Config, err)
	}
	for _, setting := range []struct {
		to             *string
		from, standard string
	}{
		{&s.Addr, f.Addr, defaultAddr}, {&s.AdminAddr, f.AdminAddr, "127.0.0.1:9090"}, {&s.MLLPAddr, f.MLLPAddr, ":2575"},
		{&s.Store, f.Store, ""}, {&s.RedisURL, f.RedisURL, ""}, {&s.Keys, f.Keys, ""}, {&s.BaseURL, f.BaseURL, ""},
		{&s.Clients, f.Clients, ""}, {&s.JointServices, f.JointServices, ""}, {&s.MLLPSource, f.MLLPSource, ""},
	} {
		if setting.from != "" && *setting.to == setting.standard {
			*setting.to = setting.from
		}
	}
	for _, list := range []struct {
		to   *[]string
		from []string
	}{{&s.Public, f.PublicControllers}, {&s.Switches, f.Switches}, {&s.Publish, f.Publish}} {
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
