package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"sotesilta/consent"
)

// Client is a registered API client: a system that speaks for itself and for its users.
type Client struct {
	ID         string
	Name       string
	Kind       ClientKind
	Controller string           // Organization/… that answers for what the client writes
	Register   consent.Register // health or social; empty when it serves both and the unit tells (Omaks)
	Units      []Unit
	Purposes   []consent.Purpose // what its users may claim at most
	Users      []User

	scopes  scopes
	keys    keySource
	jwksURI string
	byUser  map[string]*User // by own id and by national provider identifier
	units   map[string]*Unit // by reference and by OID
}

// ClientKind tells what sort of API client it is.
type ClientKind string

// The kinds of client.
const (
	SystemApp   ClientKind = "system"   // a system of care, its professionals and perhaps its clients' own views
	OwnViewApp  ClientKind = "own-view" // clients' and guardians' own view only; never without a user
	AuditorApp  ClientKind = "auditor"  // supervision of the controller's registers (703/2023 § 10; 906/2019 § 17)
	OperatorApp ClientKind = "operator" // upkeep of the gateway (decree 457/2024 § 22)
)

// Unit is a unit of a client.
type Unit struct {
	ID         string           // Organization/…
	Name       string           // for people
	Register   consent.Register // health or social
	Controller string           // Organization/…
	OID        string           // urn:oid:…, which subject_organization_id may name as well
	Producer   bool             // a producer's, which acts for the controller (703/2023 § 14)
}

// User is a registered user of a client.
type User struct {
	ID                         string
	Name                       string
	Kind                       consent.Kind
	Person                     string // Practitioner/…; Patient/… or RelatedPerson/… in an own view
	Role                       string // PractitionerRole/…
	Unit                       string // Organization/…
	Controller                 string // of the unit
	Register                   consent.Register
	Task                       string            // of decree 457/2024, such as 3.1 or 10.1.1
	Service                    string            // of decree 457/2024 § 4, such as 4.1
	Authority                  bool              // a social authority (sosiaalihuollon viranomainen)
	Clients                    []string          // own view: Patient ids
	NationalProviderIdentifier string            // such as a Terhikki number
	SubjectRoles               []string          // further codes, or system|code, that subject_role may claim
	Purposes                   []consent.Purpose // what this user may claim; at least one
}

// Registry is the registered clients and their users. It never changes: a new one takes its place (Server.Use).
type Registry struct {
	clients  []*Client
	byID     map[string]*Client
	persons  map[string]consent.Actor // by PractitionerRole/…, and Practitioner/… where it is one user only
	keyFiles []string
}

// Client finds a client by id.
func (r *Registry) Client(id string) (*Client, bool) {
	c, ok := r.byID[id]
	return c, ok
}

// KeyFiles are the files of keys (jwksFile) that the clients were read with.
func (r *Registry) KeyFiles() []string { return r.keyFiles }

// Clients gives the clients in the order of the file.
func (r *Registry) Clients() iter.Seq[*Client] { return slices.Values(r.clients) }

// Professionals gives the registered users at work, in the order of the file.
func (r *Registry) Professionals() iter.Seq[consent.Actor] {
	return func(yield func(consent.Actor) bool) {
		for _, c := range r.clients {
			for i := range c.Users {
				if c.Users[i].Kind == consent.Professional && !yield(c.actorOf(&c.Users[i])) {
					return
				}
			}
		}
	}
}

// Person finds the registered user behind Practitioner/… or PractitionerRole/…; it is an exchange.Person. A
// Practitioner who is registered in several roles is found by role only: by person alone it would be a guess whose
// unit and register count.
func (r *Registry) Person(ref string) (consent.Actor, bool) {
	actor, ok := r.persons[ref]
	return actor, ok
}

// Party is Person, and for Organization/… the registered unit, as the system that serves it: who may be asked for data, or
// be given them by a human's act.
func (r *Registry) Party(ref string) (consent.Actor, bool) {
	if actor, ok := r.persons[ref]; ok {
		return actor, true
	}
	for _, c := range r.clients {
		if unit := c.units[ref]; c.Kind == SystemApp && unit != nil && unit.ID == ref {
			return consent.Actor{
				Kind: consent.System, App: c.ID, Controller: unit.Controller, Register: unit.Register, Unit: unit.ID, Units: []string{unit.ID},
			}, true
		}
	}
	return consent.Actor{}, false
}

// Actor is who speaks when the client's token names the user; "" is the client itself.
func (r *Registry) Actor(clientID, userID string) (consent.Actor, bool) {
	c, ok := r.byID[clientID]
	if !ok {
		return consent.Actor{}, false
	}
	if userID == "" {
		return c.actor()
	}
	for i := range c.Users {
		if c.Users[i].ID == userID {
			return c.actorOf(&c.Users[i]), true
		}
	}
	return consent.Actor{}, false
}

// Scope is the scopes the client may have at most, as one text.
func (c *Client) Scope() string { return c.scopes.String() }

// user finds a user by the client's own id or by national provider identifier.
func (c *Client) user(id string) (*User, bool) {
	u, ok := c.byUser[id]
	return u, ok
}

// actor is the client itself, without a user. An own-view app never speaks for itself.
func (c *Client) actor() (consent.Actor, bool) {
	kind, ok := map[ClientKind]consent.Kind{
		SystemApp: consent.System, AuditorApp: consent.Auditor, OperatorApp: consent.Operator,
	}[c.Kind]
	if !ok {
		return consent.Actor{}, false
	}
	a := consent.Actor{Kind: kind, App: c.ID, Controller: c.Controller, Register: c.Register}
	for _, u := range c.Units {
		a.Units = append(a.Units, u.ID)
	}
	if len(c.Units) == 1 {
		a.Unit = c.Units[0].ID
	}
	return a, true
}

// actorOf is one of the client's users. A professional has the units of the own register and controller only, so that
// a unit of the other sector in the same system opens nothing; a client or guardian has none.
func (c *Client) actorOf(u *User) consent.Actor {
	a := consent.Actor{
		Kind: u.Kind, App: c.ID, User: u.ID, Name: u.Name, Person: u.Person, Role: u.Role,
		Controller: u.Controller, Register: u.Register, Unit: u.Unit,
		Task: u.Task, Service: u.Service, Authority: u.Authority, Clients: u.Clients,
	}
	if ownView(u.Kind) {
		return a
	}
	for _, unit := range c.Units {
		if unit.ID == u.Unit {
			a.Producer = unit.Producer && u.Kind == consent.Professional
		}
		if unit.Register == u.Register && unit.Controller == u.Controller {
			a.Units = append(a.Units, unit.ID)
		}
	}
	return a
}

// key finds the client's key of the kid.
func (c *Client) key(ctx context.Context, kid string) (PublicKey, error) { return c.keys.key(ctx, kid) }

// keySource is where a client's keys come from: the registration itself or its jwksUri.
type keySource interface {
	key(ctx context.Context, kid string) (PublicKey, error)
}

func (s keySet) key(_ context.Context, kid string) (PublicKey, error) {
	k, ok := s[kid]
	if !ok {
		return PublicKey{}, errUnknownKey
	}
	return k, nil
}

var errUnknownKey = errors.New("no such key")

// The registry's file. See README.md of this folder for the format in words.
type registryFile struct {
	Clients []clientEntry `yaml:"clients"`
}

type clientEntry struct {
	ID         string      `yaml:"id"`
	Name       string      `yaml:"name"`
	Kind       string      `yaml:"kind"`
	Controller string      `yaml:"controller"`
	Register   string      `yaml:"register"`
	Units      []unitEntry `yaml:"units"`
	Scopes     []string    `yaml:"scopes"`
	Purposes   []string    `yaml:"purposes"`
	JWKS       *jwks       `yaml:"jwks"`
	JWKSFile   string      `yaml:"jwksFile"`
	JWKSURI    string      `yaml:"jwksUri"`
	Users      []userEntry `yaml:"users"`
}

type unitEntry struct {
	ID         string `yaml:"id"`
	Name       string `yaml:"name"`
	Register   string `yaml:"register"`
	Controller string `yaml:"controller"`
	OID        string `yaml:"oid"`
	Producer   bool   `yaml:"producer"`
}

type userEntry struct {
	ID                         string   `yaml:"id"`
	Name                       string   `yaml:"name"`
	Kind                       string   `yaml:"kind"`
	Person                     string   `yaml:"person"`
	Role                       string   `yaml:"role"`
	Unit                       string   `yaml:"unit"`
	Task                       string   `yaml:"task"`
	Service                    string   `yaml:"service"`
	Authority                  bool     `yaml:"authority"`
	Clients                    []string `yaml:"clients"`
	NationalProviderIdentifier string   `yaml:"nationalProviderIdentifier"`
	SubjectRoles               []string `yaml:"subjectRoles"`
	Purposes                   []string `yaml:"purposes"`
}

const (
	maxRegistrySize = 16 << 20
	maxText         = 200 // characters of a name or a reference
)

// LoadRegistry reads the registered clients and users, as YAML or JSON, and validates them. An error names every
// place that is wrong, such as "clients/omaks/users/digi-nurse: unit: …"; then there is no Registry.
func LoadRegistry(r io.Reader, options ...RegistryOption) (*Registry, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxRegistrySize+1))
	if err != nil {
		return nil, fmt.Errorf("auth: registry: %w", err)
	}
	if len(data) > maxRegistrySize {
		return nil, fmt.Errorf("auth: registry: larger than %d bytes", maxRegistrySize)
	}
	decoder := yaml.NewDecoder(strings.NewReader(string(data)))
	decoder.KnownFields(true)
	var file registryFile
	if err := decoder.Decode(&file); err != nil {
		return nil, fmt.Errorf("auth: registry: %w", err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("auth: registry: more than one document")
	}
	l := loader{registry: &Registry{byID: map[string]*Client{}, persons: map[string]consent.Actor{}}}
	for _, option := range options {
		option(&l)
	}
	l.load(file)
	if err := errors.Join(l.problems...); err != nil {
		return nil, fmt.Errorf("auth: registry: %w", err)
	}
	return l.registry, nil
}
