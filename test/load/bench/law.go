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
	"runtime/debug"
	"strings"
	"time"

	"sotesilta/consent"
	"sotesilta/gateway/auth"
	"sotesilta/gateway/exchange"
	"sotesilta/gateway/rest"
	"sotesilta/gateway/sandbox"
	"sotesilta/gateway/store"
	"sotesilta/gateway/store/postgres"
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

// serveLawless serves the FHIR face over a gateway's store: the same face, tokens, desk and store, but what is read is
// not recorded, and is decided on only if the law is asked ("decide").
func serveLawless(addr, url, keys, issuer, decide string) error {
	debug.SetGCPercent(400) // as the gateway does while little lives; the pair is not about collecting
	ctx := context.Background()
	s, err := open(ctx, url)
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
		Types: []rest.Type{{Name: "CarePlan", Interactions: rest.ReadWrite}, {Name: "Task", Interactions: rest.ReadWrite}, {Name: "Patient", Interactions: rest.ReadWrite}},
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

func open(ctx context.Context, url string) (store.Store, error) {
	if file, ok := strings.CutPrefix(url, "sqlite:"); ok {
		return sqlite.Open(ctx, file, sqlite.Options{})
	}
	return postgres.Open(ctx, url, postgres.Options{})
}

// lawless starts a server beside a gateway, on its store. It writes nothing.
func (b *bench) lawless(ctx context.Context, g *load.Gateway, kind string) (*load.Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	addr, err := load.FreeAddr()
	if err != nil {
		return nil, err
	}
	p, err := load.StartProcess(addr, os.Environ(), self, lawWord, addr, g.Store, g.Keys, g.Root, kind)
	if err != nil {
		return nil, err
	}
	if err := p.Await(ctx, "/healthz"); err != nil {
		return nil, errors.Join(err, p.Kill())
	}
	return p, nil
}

// get is a read of either server.
func get(p *load.Process, token, path string) load.Request {
	return load.NewRequest("GET", p.Addr, "/fhir/"+path, nil, "Authorization", "Bearer "+token, "Accept", "application/fhir+json")
}

// law compares a recorded read with the same read decided on and not recorded, and neither decided nor recorded.
func (b *bench) law(ctx context.Context) error {
	const connections = 32
	p, err := b.planned(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = p.g.Kill() }()
	var turns []turn
	for _, without := range []struct{ kind, name string }{{"nothing", "read alone"}, {"decide", "decided"}} {
		server, err := b.lawless(ctx, p.g, without.kind)
		if err != nil {
			return err
		}
		defer func() { _ = server.Kill() }()
		turns = append(turns, p.read(ctx, "", without.name, server, nil, connections))
	}
	turns = append(turns, p.read(ctx, "law-recorded", "decided and recorded", p.g.Process, p.g, connections))
	fmt.Fprintf(b.out, "what the law costs a read of %s, %d bytes\n", "CarePlan", len(p.body))
	lines, err := b.compare(ctx, turns...)
	if err != nil {
		return err
	}
	alone, decided, recorded := lines[0].Rate, lines[1].Rate, lines[2].Rate
	b.goal(fmt.Sprintf("recorded read : without decision and record, at %d connections", connections), recorded/alone, wantRecorded, false)
	b.goal("the same decided but not recorded (deciding costs at most 15 %)", decided/alone, wantDecided, false)
	return nil
}
