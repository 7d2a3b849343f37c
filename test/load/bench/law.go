package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sotesilta/consent"
	"sotesilta/gateway/auth"
	"sotesilta/gateway/exchange"
	"sotesilta/gateway/rest"
	"sotesilta/gateway/sandbox"
	"sotesilta/gateway/store"
	"sotesilta/gateway/store/sqlite"
	"sotesilta/test/load"
)

// The goals of the issue "The law", § Speed and size.
const (
	wantRecorded = .35       // recorded read : the same read without decision and record, at 32 connections
	wantDecided  = 1 - .15   // deciding alone : the same
	lawWord      = "lawless" // makes the command a server of either kind; see serveLawless
)

// unrecording is a store that keeps no record of reads.
type unrecording struct{ store.Store }

func (unrecording) Commit(context.Context, store.Change) error { return nil }

// permitting is a law that permits everything without looking at it.
type permitting struct{}

func (permitting) Decide(consent.Request, consent.Class, []*consent.Facts) consent.Decision {
	return consent.Decision{Outcome: consent.Permitted, Bases: []consent.Basis{{ID: "none"}}}
}

func (permitting) Version() string { return "none" }

// serveLawless serves the FHIR face over a copy of a gateway's SQLite file: the same face, tokens, desk and store, but
// what is read is not recorded, and is decided on only if the law is asked ("decide").
func serveLawless(addr, file, keys, issuer, decide string) error {
	ctx := context.Background()
	s, err := sqlite.Open(ctx, file, sqlite.Options{})
	if err != nil {
		return err
	}
	defer s.Close()
	registry, err := sandbox.Clients(keys)
	if err != nil {
		return err
	}
	var law consent.Decider = permitting{}
	if decide == "decide" {
		services, err := sandbox.JointServices()
		if err != nil {
			return err
		}
		if law, err = consent.New(consent.Config{
			Switches: map[string]string{"O11": "on"}, JointServices: services, Public: []string{"Organization/county"},
		}); err != nil {
			return err
		}
	}
	desk, err := exchange.New(exchange.Config{Store: unrecording{s}, Law: law, Person: registry.Person, Bases: []string{issuer + "/fhir"}})
	if err != nil {
		return err
	}
	key, err := auth.LoadOrCreateKey(keys)
	if err != nil {
		return err
	}
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	who, err := auth.New(auth.Config{
		BaseURL: issuer, Registry: registry, Key: key, Limits: auth.Limits{Off: true}, Log: quiet,
		Used: auth.UsedFunc(func(context.Context, string, time.Time) error { return errors.New("no tokens are given here") }),
	})
	if err != nil {
		return err
	}
	face, err := rest.New(rest.Config{
		Desk: desk, Authenticate: who.Authenticate, Base: issuer + "/fhir", PageKey: make([]byte, 32), Log: quiet,
		Types: []rest.Type{{Name: "CarePlan", Interactions: rest.ReadWrite}},
	})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	return http.Serve(listener, face)
}

// law compares a recorded read with the same read decided on and not recorded, and neither decided nor recorded.
func (b *bench) law(ctx context.Context) error {
	const connections = 32
	dir, err := os.MkdirTemp(b.dir, "law-")
	if err != nil {
		return err
	}
	file, keys := filepath.Join(dir, "bench.db"), filepath.Join(dir, "keys")
	start := func(addr string) (*load.Gateway, error) {
		return load.Start(ctx, load.Config{Binary: b.binary, Store: "sqlite:" + file, Keys: keys, Addr: addr})
	}
	g, err := start("")
	if err != nil {
		return err
	}
	defer func() { _ = g.Kill() }()
	token, err := g.Token(ctx, "jukola-ehr", "nurse")
	if err != nil {
		return err
	}
	ref, err := g.Put(token, "CarePlan", load.CarePlan(client))
	if err != nil {
		return err
	}
	if err := g.Stop(); err != nil { // its file is whole when it has ended
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	without := map[string]*load.Process{}
	for _, kind := range []string{"decide", "nothing"} {
		copied := filepath.Join(dir, kind+".db")
		if err := copyFile(file, copied); err != nil {
			return err
		}
		addr, err := load.FreeAddr()
		if err != nil {
			return err
		}
		p, err := load.StartProcess(addr, os.Environ(), self, lawWord, addr, copied, keys, g.Root, kind)
		if err != nil {
			return err
		}
		defer func() { _ = p.Kill() }()
		if err := p.Await(ctx, "/healthz"); err != nil {
			return err
		}
		without[kind] = p
	}
	if g, err = start(strings.TrimPrefix(g.Root, "http://")); err != nil {
		return err
	}
	c, err := load.Dial(g.Addr)
	if err != nil {
		return err
	}
	defer c.Close()
	a, err := c.Do(g.Read(token, ref))
	if err != nil || a.Status != http.StatusOK {
		return fmt.Errorf("GET %s: %w %v", ref, err, a)
	}
	size := len(a.Body)
	fmt.Fprintf(b.out, "what the law costs a read of %s, %d bytes\n", "CarePlan", size)
	lines := map[string][]line{}
	for range b.rounds { // turn and turn about
		if token, err = g.Token(ctx, "jukola-ehr", "nurse"); err != nil {
			return err
		}
		for _, kind := range []string{"nothing", "decide", "recorded"} {
			p, of, name := without[kind], (*load.Gateway)(nil), map[string]string{"nothing": "read alone", "decide": "decided", "recorded": "decided and recorded"}[kind]
			if kind == "recorded" {
				p, of = g.Process, g
			}
			request := load.NewRequest("GET", p.Addr, "/fhir/"+ref, nil, "Authorization", "Bearer "+token, "Accept", "application/fhir+json")
			l, err := b.profiled(ctx, "law-"+kind, of, func() (line, error) { return measure(ctx, name, p, of, b.reading(p.Addr, request, connections, size)) })
			if err != nil {
				return err
			}
			lines[kind] = append(lines[kind], l)
		}
	}
	for _, kind := range []string{"nothing", "decide", "recorded"} {
		b.show(middle(lines[kind]))
	}
	alone := middle(lines["nothing"]).Rate
	b.goal(fmt.Sprintf("recorded read : without decision and record, at %d connections", connections), middle(lines["recorded"]).Rate/alone, wantRecorded, false)
	b.goal("the same decided but not recorded (deciding costs at most 15 %)", middle(lines["decide"]).Rate/alone, wantDecided, false)
	return nil
}

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o600)
}
