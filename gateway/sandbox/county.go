// Package sandbox is the synthetic county and one joint client's journey through it. The county is data (county/):
// population, directory, registered API clients, and the records of two registers. The journey plays its parties as
// separate API clients, through the gateway's public interfaces only: HTTP with real tokens, and MLLP over a socket.
//
// Everybody in it is synthetic: identity codes have individual numbers 900–999.
package sandbox

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"go.yaml.in/yaml/v3"

	"sotesilta/consent"
	"sotesilta/gateway/auth"
	"sotesilta/gateway/exchange"
	"sotesilta/internal/fhir"
)

//go:embed county
var county embed.FS

// Clients is the registry of the sandbox's API clients, with keys made (or found) in dir/clients.
func Clients(dir string) (*auth.Registry, error) {
	file, err := county.Open("county/clients.yaml")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return auth.LoadRegistry(file, auth.WithKeys(func(client string) ([]auth.PublicKey, error) {
		key, err := auth.LoadOrCreateClientKey(dir, client)
		if err != nil {
			return nil, err
		}
		return []auth.PublicKey{key.Public()}, nil
	}))
}

// JointServices is the county's signed list of joint services.
func JointServices() ([]consent.JointService, error) {
	text, err := county.ReadFile("county/joint-services.yaml")
	if err != nil {
		return nil, err
	}
	var list struct {
		JointServices []consent.JointService `yaml:"joint-services"`
	}
	if err := yaml.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("sandbox: joint-services.yaml: %w", err)
	}
	return list.JointServices, nil
}

// Desk is what loading needs of the exchange.
type Desk interface {
	Publish(ctx context.Context, operator consent.Actor, docs []*fhir.Value) (int, error)
	Transact(ctx context.Context, c exchange.Caller, ops []exchange.Op) ([]exchange.Written, error)
}

// Load puts the county into the gateway: the operator publishes population and directory; the systems write their
// registers' records, and their professionals the directives they received. A county that is there already is left
// as it is; Load answers whether it was new.
func Load(ctx context.Context, desk Desk, registry *auth.Registry) (bool, error) {
	operator, _ := registry.Actor("operator", "")
	published := 0
	for _, name := range []string{"directory.json", "population.json"} {
		docs, err := bundle(name)
		if err != nil {
			return false, err
		}
		n, err := desk.Publish(ctx, operator, docs)
		if err != nil {
			return false, fmt.Errorf("sandbox: %s: %w", name, err)
		}
		published = n
	}
	if published == 0 {
		return false, nil
	}
	for _, client := range []string{"jukola-ehr", "county-social"} {
		actor, ok := registry.Actor(client, "")
		if !ok {
			return false, fmt.Errorf("sandbox: no API client %s", client)
		}
		if err := write(ctx, desk, actor, client+".json"); err != nil {
			return false, err
		}
	}
	for _, given := range []struct{ file, client, user string }{
		{"directives-health.json", "jukola-ehr", "nurse"},
		{"directives-social.json", "county-social", "social-worker"},
	} {
		actor, ok := registry.Actor(given.client, given.user)
		if !ok {
			return false, fmt.Errorf("sandbox: no user %s of %s", given.user, given.client)
		}
		if err := write(ctx, desk, actor, given.file); err != nil {
			return false, err
		}
	}
	return true, nil
}

// write sends a transaction Bundle of the county as an actor.
func write(ctx context.Context, desk Desk, actor consent.Actor, name string) error {
	doc, err := parse(name)
	if err != nil {
		return err
	}
	var ops []exchange.Op
	for _, entry := range doc.Get("entry").Items() {
		resource := entry.Get("resource")
		ops = append(ops, exchange.Op{
			Interaction: exchange.Create, Type: fhir.ResourceType(resource), Doc: resource, FullURL: entry.Text("fullUrl"),
		})
	}
	_, err = desk.Transact(ctx, exchange.Caller{
		Actor: actor, Purpose: consent.Care, Allows: func(string, exchange.Interaction) bool { return true },
	}, ops)
	if err != nil {
		return fmt.Errorf("sandbox: %s: %w", name, err)
	}
	return nil
}

// bundle reads the resources of a Bundle of the county.
func bundle(name string) ([]*fhir.Value, error) {
	doc, err := parse(name)
	if err != nil {
		return nil, err
	}
	return doc.All("entry", "resource"), nil
}

func parse(name string) (*fhir.Value, error) {
	text, err := fs.ReadFile(county, "county/"+name)
	if err != nil {
		return nil, err
	}
	doc, err := fhir.Parse(text, fhir.DefaultLimits)
	if err != nil {
		return nil, fmt.Errorf("sandbox: %s: %w", name, err)
	}
	return doc, nil
}
