package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// readyCommand asks a running gateway whether it can serve. Orchestrators run it inside the container, whose image holds
// nothing else that could ask.
type readyCommand struct {
	Addr string `env:"SOTESILTA_ADDR" default:":8080" help:"Address of the gateway on this machine."`
}

// readyWithin is how long the answer may take.
const readyWithin = 4 * time.Second

// Run prints what the gateway answers; the error says why it is not ready.
func (r *readyCommand) Run(ctx context.Context, out streams) error {
	host, port, err := net.SplitHostPort(r.Addr)
	if err != nil {
		return fmt.Errorf("SOTESILTA_ADDR: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/readyz", nil)
	if err != nil {
		return fmt.Errorf("SOTESILTA_ADDR: %w", err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("not ready: %w", err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 4096))
	if err != nil {
		return fmt.Errorf("not ready: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		return errors.New("not ready: " + strings.TrimSpace(string(text)))
	}
	_, err = fmt.Fprintln(out.out, strings.TrimSpace(string(text)))
	return err
}
