package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"sotesilta/test/load"
)

// turn is a load that is compared with others.
type turn struct {
	profile string        // names the CPU profile
	gateway *load.Gateway // that is profiled; nil: none
	run     func() (line, error)
}

// compare measures loads turn and turn about, so that what else the machine does meets all alike, and shows and answers the
// line of each one's median rate.
func (b *bench) compare(ctx context.Context, turns ...turn) ([]line, error) {
	rounds := make([][]line, len(turns))
	for range b.rounds {
		for i, t := range turns {
			l, err := b.profiled(ctx, t.profile, t.gateway, t.run)
			if err != nil {
				return nil, err
			}
			rounds[i] = append(rounds[i], l)
		}
	}
	out := make([]line, len(turns))
	for i, lines := range rounds {
		out[i] = middle(lines)
		b.show(out[i])
	}
	return out, nil
}

// planned is a gateway on a new SQLite store with a CarePlan to read.
type planned struct {
	*bench
	g    *load.Gateway
	ref  string
	body []byte // as it is answered
}

func (b *bench) planned(ctx context.Context) (*planned, error) {
	g, err := b.onFile(ctx)
	if err != nil {
		return nil, err
	}
	p := &planned{bench: b, g: g}
	if err := p.put(ctx); err != nil {
		return nil, errors.Join(err, g.Kill())
	}
	return p, nil
}

func (p *planned) put(ctx context.Context) error {
	token, err := p.g.Token(ctx, "jukola-ehr", "nurse")
	if err != nil {
		return err
	}
	if p.ref, err = p.g.Put(token, "CarePlan", load.CarePlan(client)); err != nil {
		return err
	}
	c, err := load.Dial(p.g.Addr)
	if err != nil {
		return err
	}
	defer c.Close()
	a, err := c.Do(p.g.Read(token, p.ref))
	if err != nil {
		return err
	}
	if a.Status != http.StatusOK {
		return fmt.Errorf("GET %s: %d: %s", p.ref, a.Status, a.Body)
	}
	p.body = a.Body
	return nil
}

// read is a turn of reading the plan with a token from a server, which g is when it keeps a ledger.
func (p *planned) read(ctx context.Context, profile, name string, of *load.Process, g *load.Gateway, connections int) turn {
	return turn{profile, g, func() (line, error) {
		token, err := p.g.Token(ctx, "jukola-ehr", "nurse") // it lives five minutes
		if err != nil {
			return line{}, err
		}
		return measure(ctx, name, of, g, p.reading(of, get(of, token, p.ref), connections))
	}}
}

// reading is the load of a request to a server that answers it with the plan.
func (p *planned) reading(of *load.Process, request load.Request, connections int) load.Plan {
	return load.Plan{
		Addr: of.Addr, Connections: connections, Plain: p.plain, Warmup: p.duration / 5, Duration: p.duration,
		Next: func(int, int) load.Request { return request },
		Seen: func(_, _ int, a *load.Answer) bool { return a.Status == http.StatusOK && len(a.Body) == len(p.body) },
	}
}
