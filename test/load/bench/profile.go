package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"sotesilta/test/load"
)

// profiled runs a load and, when profiles are wanted, keeps the gateway's CPU profile of it.
func (b *bench) profiled(ctx context.Context, name string, g *load.Gateway, run func() (line, error)) (line, error) {
	if b.profile == "" || g == nil {
		return run()
	}
	seconds := max(int(b.duration.Seconds()), 1)
	fetched := make(chan error, 1)
	go func() {
		fetched <- fetch(ctx, fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", g.Admin, seconds), filepath.Join(b.profile, name+".pprof"))
	}()
	l, err := run()
	if err == nil {
		err = <-fetched
	}
	return l, err
}

func fetch(ctx context.Context, url, path string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("profile: %s", res.Status)
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, res.Body); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}
