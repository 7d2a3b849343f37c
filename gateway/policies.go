package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"sotesilta/consent"
	"sotesilta/gateway/exchange"
	"sotesilta/internal/fhir"
	"sotesilta/internal/yamlerr"
)

// law reads the law as the settings have it now: the built-in policies, those of the folder in their place, the answers
// to open questions and the county's lists.
func (cfg *nodeConfig) law() (*consent.Engine, error) {
	c := consent.Config{Switches: maps.Clone(cfg.Switches), JointServices: cfg.JointServices, Public: cfg.Public}
	if cfg.JointList != "" {
		var err error
		if c.JointServices, err = jointServices(cfg.JointList); err != nil {
			return nil, fmt.Errorf("SOTESILTA_JOINT_SERVICES: %s: %w", cfg.JointList, yamlerr.Plain(err))
		}
	}
	if cfg.Policies != "" {
		c.Bases = os.DirFS(cfg.Policies)
	}
	e, err := consent.New(c)
	if err != nil && cfg.Policies != "" {
		return nil, fmt.Errorf("SOTESILTA_POLICIES: %s", inFolder(err, cfg.Policies))
	}
	return e, err
}

// inFolder is an error of the law in which the files of the folder are named as they lie there.
func inFolder(err error, folder string) string {
	text := err.Error()
	names, _ := filepath.Glob(filepath.Join(folder, "*"))
	for _, name := range names {
		text = strings.ReplaceAll(text, "consent/bases/"+filepath.Base(name), name)
	}
	return text
}

// policies keeps the law in force up to date with its files: on SIGHUP, and when the files changed. What has an error
// never comes into force: the version before stays, and the error is told aloud until it is mended.
type policies struct {
	law     *consent.InForce
	read    func() (*consent.Engine, error)
	files   []string                                     // folder and files to follow; empty: SIGHUP alone
	keep    func(context.Context, *consent.Engine) error // makes the text durable, before it comes into force
	metrics *metrics
	log     *slog.Logger

	mu    sync.Mutex
	fault error
}

// errNotKept: the law is in order, but its text could not be made durable.
var errNotKept = fmt.Errorf("the text of the policies could not be kept: %w", errAgain)

// load reads the law and puts it in force, or says aloud why not.
func (p *policies) load(ctx context.Context) error {
	before := p.law.Version()
	e, err := p.read()
	if err == nil && e.Version() != before {
		if keepErr := p.keep(ctx, e); keepErr != nil {
			err = fmt.Errorf("%w: %w", errNotKept, keepErr)
		}
	}
	p.mu.Lock()
	p.fault = err
	p.mu.Unlock()
	if err != nil {
		p.metrics.policy("error", before)
		p.log.ErrorContext(ctx, "the policies are not loaded: the version before stays in force", "error", err, "version", before)
		return err
	}
	p.law.Replace(e)
	p.metrics.policy("loaded", e.Version())
	if e.Version() == before {
		p.log.InfoContext(ctx, "the policies are as they were", "version", before)
		return nil
	}
	p.log.WarnContext(ctx, "other policies are in force", "version", e.Version(), "before", before)
	return nil
}

// lost says for readiness that an older version is in force than the files have.
func (p *policies) lost() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fault == nil {
		return nil
	}
	return []string{"the newest policies (an error keeps version " + p.law.Version()[:12] + " in force)"}
}

// watched are the files that the law is read from.
func (cfg *nodeConfig) watched() []string {
	return slices.DeleteFunc([]string{cfg.Policies, cfg.JointList}, func(path string) bool { return path == "" })
}

// keepLaw publishes the text of an Engine, so that what is decided under it can be decided again.
func (n *node) keepLaw(ctx context.Context, operator consent.Actor, e *consent.Engine) error {
	library, err := exchange.LawLibrary(e)
	if err != nil {
		return err
	}
	_, err = n.desk.Publish(ctx, operator, []*fhir.Value{library})
	return err
}
