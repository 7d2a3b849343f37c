package load

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// ErrNoPostgres says that this machine lacks PostgreSQL's programs; make prepare installs them.
var ErrNoPostgres = errors.New("PostgreSQL's server programs are not installed (make prepare)")

// Postgres is a PostgreSQL server of our own: a fresh cluster on a free loopback port, durable as in production.
type Postgres struct {
	URL  string // postgres:// of the database that is there
	data string
	bin  string
	as   []string // runs a program as a user other than root, which PostgreSQL refuses
	port string
}

// StartPostgres makes a cluster below dir and starts it. stop ends the server and removes the cluster.
func StartPostgres(ctx context.Context, dir string) (p *Postgres, stop func(), err error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if len(found) == 0 {
		return nil, nil, ErrNoPostgres
	}
	slices.Sort(found)
	addr, err := FreeAddr()
	if err != nil {
		return nil, nil, err
	}
	p = &Postgres{bin: filepath.Dir(found[len(found)-1]), port: addr[strings.LastIndexByte(addr, ':')+1:]}
	// Not below dir: as root that would be a folder that the server's user may not enter.
	if p.data, err = os.MkdirTemp("", "sotesilta-pg-"); err != nil {
		return nil, nil, err
	}
	remove := func() { _ = os.RemoveAll(p.data) }
	if os.Geteuid() == 0 {
		owner, err := user.Lookup("postgres")
		if err != nil {
			remove()
			return nil, nil, ErrNoPostgres
		}
		uid, _ := strconv.Atoi(owner.Uid)
		gid, _ := strconv.Atoi(owner.Gid)
		if err := os.Chown(p.data, uid, gid); err != nil {
			remove()
			return nil, nil, err
		}
		p.as = []string{"runuser", "-u", "postgres", "--"}
	}
	if err := p.run(ctx, "initdb", "-D", p.cluster(), "-A", "trust", "-U", "sotesilta", "-E", "UTF8", "--locale=C", "--no-sync"); err != nil {
		remove()
		return nil, nil, err
	}
	if err := p.Start(ctx); err != nil {
		remove()
		return nil, nil, err
	}
	p.URL = "postgres://sotesilta@127.0.0.1:" + p.port + "/postgres?sslmode=disable"
	return p, func() {
		_ = p.Stop(context.Background(), "fast")
		remove()
	}, nil
}

func (p *Postgres) cluster() string { return filepath.Join(p.data, "cluster") }

// Start starts the server (again).
func (p *Postgres) Start(ctx context.Context) error {
	return p.run(ctx, "pg_ctl", "start", "-w", "-D", p.cluster(), "-l", filepath.Join(p.data, "log"),
		"-o", "-c listen_addresses=127.0.0.1 -c port="+p.port+" -c unix_socket_directories= -c fsync=on -c synchronous_commit=on")
}

// Stop ends the server in a mode of pg_ctl: fast tidies up, immediate is a crash.
func (p *Postgres) Stop(ctx context.Context, mode string) error {
	return p.run(ctx, "pg_ctl", "stop", "-w", "-D", p.cluster(), "-m", mode)
}

func (p *Postgres) run(ctx context.Context, program string, args ...string) error {
	line := append(slices.Clone(p.as), append([]string{filepath.Join(p.bin, program)}, args...)...)
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Dir = "/"
	// Not a pipe: the server inherits it, and reading it would wait for the server's end.
	log, err := os.CreateTemp("", "sotesilta-pg-*.log")
	if err != nil {
		return err
	}
	defer os.Remove(log.Name())
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		said, _ := os.ReadFile(log.Name())
		return fmt.Errorf("%s: %w: %s", program, err, said)
	}
	return nil
}
