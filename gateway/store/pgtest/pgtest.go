// Package pgtest gives tests a PostgreSQL of their own, started from the binaries that Debian's package postgresql
// installs. It is as durable as a real one: fsync is on.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Postgres is the URL of an empty database that is dropped when the test is over. The server is started once per test
// process and stops, and leaves nothing behind, when the process ends in whatever way. Without PostgreSQL's binaries
// the test is skipped.
func Postgres(t testing.TB) string {
	t.Helper()
	s, err := server()
	if errors.Is(err, errAbsent) {
		t.Skip("pgtest: no PostgreSQL on this machine: apt-get install postgresql")
	}
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("t%d_%d", os.Getpid(), databases.Add(1))
	if err := s.admin("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.admin("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	return s.url(name)
}

var (
	errAbsent = errors.New("pgtest: no PostgreSQL on this machine")
	databases atomic.Int64
	server    = sync.OnceValues(start)
)

// instance is a running server; the sockets of its connections lie in dir.
type instance struct {
	dir   string
	alive io.Closer // while it is open, the server runs
}

func (s *instance) url(database string) string {
	return "postgres://postgres@/" + database + "?host=" + s.dir
}

// patience is how long a statement may take on a machine that does much else: to create or drop a database, everything
// that was written must reach the disk first.
const patience = 3 * time.Minute

func (s *instance) admin(statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := pgx.Connect(ctx, s.url("postgres"))
	if err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	defer c.Close(ctx)
	if _, err := c.Exec(ctx, statement); err != nil {
		return fmt.Errorf("pgtest: %s: %w", statement, err)
	}
	return nil
}

// guardian runs the server until its standard input ends, which it does when the test process does, and cleans up.
const guardian = `
"$1/postgres" -D "$2/data" -k "$2" -c listen_addresses= -c max_connections=200 -c shared_buffers=128MB -c log_min_messages=panic &
server=$!
cat >/dev/null
kill -QUIT $server
wait $server
rm -rf "$2"
`

func start() (*instance, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "pgtest")
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o711); err != nil { // gateways of other users may connect
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	// PostgreSQL refuses to run as root.
	var as *syscall.SysProcAttr
	if os.Geteuid() == 0 {
		credential, err := postgresUser()
		if err == nil {
			err = os.Chown(dir, int(credential.Uid), int(credential.Gid))
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("pgtest: the user postgres: %w", err), os.RemoveAll(dir))
		}
		as = &syscall.SysProcAttr{Credential: credential}
	}
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", filepath.Join(dir, "data"), "-U", "postgres", "-A", "trust",
		"-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
	initdb.SysProcAttr, initdb.Dir = as, dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("pgtest: initdb: %w: %s", err, out), os.RemoveAll(dir))
	}
	run := exec.Command("/bin/sh", "-c", guardian, "pgtest", bin, dir)
	run.SysProcAttr, run.Dir, run.Stderr = as, dir, os.Stderr
	alive, err := run.StdinPipe()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := run.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("pgtest: %w", err), os.RemoveAll(dir))
	}
	s := &instance{dir, alive}
	for begun := time.Now(); time.Since(begun) < patience; time.Sleep(50 * time.Millisecond) {
		if err = s.admin("SELECT 1"); err == nil {
			return s, nil
		}
	}
	return nil, err
}

// binaries is the folder of the newest PostgreSQL there is.
func binaries() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(path), nil
		}
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is sound
	if len(found) == 0 {
		return "", errAbsent
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		return n
	}
	newest := slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })
	return filepath.Dir(newest), nil
}

func postgresUser() (*syscall.Credential, error) {
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(err1, err2)
}
