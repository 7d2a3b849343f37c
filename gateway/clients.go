package main

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"

	"sotesilta/consent"
	"sotesilta/gateway/auth"
)

// clients keeps the registered API clients and users up to date with the operator's file: whoever is taken out of it is
// nobody from the next request on, and a key is rotated by registering the next one beside it. A file with an error
// changes nothing, and is told aloud until it is mended.
type clients struct {
	who   *auth.Server
	read  func() (*auth.Registry, error)
	file  string                                      // the operator's; those of keys that it names lie beside it
	wires *mllp                                       // the clients whose wire carries no token: they must stay systems
	keep  func(context.Context, *auth.Registry) error // makes durable who has which rights, before they come into force
	log   *slog.Logger

	mu    sync.Mutex
	fault error
}

// load reads the file and puts what it says in force, or says aloud why not.
func (c *clients) load(ctx context.Context) error {
	registry, err := c.read()
	if err == nil {
		err = c.wires.systems(registry)
	}
	if err == nil && c.keep != nil {
		if err = c.keep(ctx, registry); err != nil {
			err = fmt.Errorf("the register of users and rights could not be kept: %w", err)
		}
	}
	c.mu.Lock()
	told := c.fault != nil && err != nil && c.fault.Error() == err.Error()
	c.fault = err
	c.mu.Unlock()
	if err != nil {
		if !told {
			c.log.ErrorContext(ctx, "the registered clients are not loaded: those of before stay in force", "error", err)
		}
		return fmt.Errorf("%w: %w", errAgain, err) // a file of keys that is mended is one that nothing in force names
	}
	c.who.Use(registry)
	c.log.InfoContext(ctx, "the registered clients are loaded")
	return nil
}

// keepRights makes durable who has which rights by a registry, so that supervision can read it of any date (703/2023 § 9.3).
func (n *node) keepRights(ctx context.Context, operator consent.Actor, registry *auth.Registry) error {
	_, err := n.desk.KeepRights(ctx, operator, registry.Rights())
	return err
}

// lost says for readiness that others are in force than the file names.
func (c *clients) lost() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fault == nil {
		return nil
	}
	return []string{"the newest registered clients (an error keeps those of before in force)"}
}

// files are those that the clients in force were read from.
func (c *clients) files() []string {
	files := []string{c.file}
	for _, name := range c.who.Registry().KeyFiles() {
		files = append(files, filepath.Join(filepath.Dir(c.file), filepath.FromSlash(name)))
	}
	return files
}
