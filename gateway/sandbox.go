package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"sotesilta/consent/ledger"
	"sotesilta/gateway/auth"
	"sotesilta/gateway/inbound"
	"sotesilta/gateway/sandbox"
	"sotesilta/mappings/hl7v2"
)

// sandboxCommand is the product's demonstration and the newcomer's first look.
type sandboxCommand struct {
	settings
	NoJourney bool    `xor:"journey" help:"Only serve; exchanges are printed as they come."`
	Rate      float64 `env:"SOTESILTA_RATE" help:"Requests a second per API client; without it as many as come."`
	Exit      bool    `xor:"journey" help:"End after the journey, reading every printed line back as the auditor; exit code 0 only if all went as the law says."`
}

// sequenceSoon is how often the sandbox gives records their places: at once for the eye.
const sequenceSoon = 15 * time.Millisecond

// Run serves until the context ends, or the journey does with --exit.
func (s *sandboxCommand) Run(ctx context.Context, out streams) error {
	if err := unknownVariables(os.Environ()); err != nil {
		return err
	}
	if s.Rate < 0 {
		return errors.New("SOTESILTA_RATE: requests a second, above 0")
	}
	if s.MLLPAddr == "off" && !s.NoJourney {
		return errors.New("SOTESILTA_MLLP_ADDR: the journey sends HL7 v2; give it an address, or --no-journey")
	}
	// The address is taken first: a second sandbox on the same one must not touch the first one's folder.
	listener, err := net.Listen("tcp", s.Addr)
	if err != nil {
		return fmt.Errorf("SOTESILTA_ADDR: %w", err)
	}
	defer listener.Close()
	s.Addr = listenedAddr(s.Addr, listener)
	dir, err := s.keysFolder()
	if err != nil {
		return err
	}
	folder, err := freshFolder(s.Addr)
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	keptIn := folder // a database that is made anew under the same name is no older ledger
	switch path, isFile := strings.CutPrefix(s.Store, "sqlite:"); {
	case s.Store == "":
		s.Store = "sqlite:" + filepath.Join(folder, "sandbox.db")
	case isFile:
		keptIn = s.keptFolder(dir)
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) && s.Keys == "" {
			if err := os.RemoveAll(keptIn); err != nil { // likewise a file that is not there
				return err
			}
		}
	}
	if dir != filepath.Join(folder, "keys") {
		// The token command finds the keys by the address alone.
		absolute, err := filepath.Abs(dir)
		if err != nil {
			return err
		}
		if err := os.Symlink(absolute, filepath.Join(folder, "keys")); err != nil {
			return err
		}
	}
	own, err := openKeys(dir, true)
	if err != nil {
		return err
	}
	registry, err := sandbox.Clients(dir)
	if err != nil {
		return err
	}
	joint, err := sandbox.JointServices()
	if err != nil {
		return err
	}
	ehr, err := sandbox.NewEHR()
	if err != nil {
		return err
	}
	defer ehr.Close()
	feed := sandbox.NewFeed()
	n, err := startNode(ctx, nodeConfig{
		settings: s.settings, Keys: own, KeptIn: keptIn, Registry: registry, JointServices: joint, Switches: map[string]string{"O11": "on"},
		MLLP: mllp{source: "jukola-ehr", receivers: []receiver{{"jukola-ehr", ehr.Address(), inbound.Sender{Application: hl7v2.HD{"JUKOLA"}}}}}, SyntheticOnly: true,
		Observe: feed.Observe, Sequence: sequenceSoon, Rate: rate.Limit(s.Rate),
		Log: slog.New(slog.NewTextHandler(out.err, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}, listener)
	if err != nil {
		return err
	}
	defer n.Close()

	size := func(ctx context.Context) (int64, error) {
		checkpoint, err := newest(ctx, n, own)
		return checkpoint.Size, err
	}
	already, err := size(ctx)
	if err != nil {
		return err
	}
	feed.Begin(already)
	operator, _ := registry.Actor("operator", "")
	if err := n.publish(ctx, operator, nil); err != nil {
		return err
	}
	if _, err := sandbox.Load(ctx, n.desk, registry); err != nil {
		return err
	}
	if err := feed.Quiesce(ctx, n.store.Ledger(), size); err != nil {
		return err
	}
	n.loaded.set(true)
	mllp := "off"
	if n.mllp != nil {
		mllp = n.mllp.String()
	}
	fmt.Fprintf(out.out, "Sotesilta %s · FHIR %s/fhir · tokens %s%s · HL7 v2 %s · ledger %s/ledger/checkpoint\n",
		version, n.root, n.root, auth.TokenPath, mllp, n.root)
	fmt.Fprintf(out.out, "A synthetic county is loaded: 7 clients, two registers, %d ledger records. Keys: %s\n", feed.Size(), dir)
	feed.Keep(!s.NoJourney)
	feed.Print(out.out)

	if !s.NoJourney {
		journey := &sandbox.Journey{
			Root: n.root, MLLP: loopback(n.mllp), Feed: feed, Out: out.out, EHR: ehr,
			Keys: func(client string) (*auth.Key, error) { return auth.ReadClientKey(dir, client) },
		}
		if err := journey.Play(ctx); err != nil {
			return fmt.Errorf("the journey did not go as the law says: %w", err)
		}
		if err := s.summary(ctx, out, n, own, feed); err != nil {
			return err
		}
		if s.Exit {
			return s.compare(ctx, out, feed, journey)
		}
	}
	lines := feed.Lines()
	feed.Keep(false)
	sandbox.CurlLines(out.out, n.root, s.explain(), lines)
	select {
	case <-ctx.Done():
		fmt.Fprintln(out.out, "stopping")
		return nil
	case err := <-n.failed:
		return err
	}
}

// summary prints the ledger's size and root, as its newest checkpoint signs them.
func (s *sandboxCommand) summary(ctx context.Context, out streams, n *node, own keys, feed *sandbox.Feed) error {
	if err := feed.Quiesce(ctx, n.store.Ledger(), func(context.Context) (int64, error) { return feed.Size(), nil }); err != nil {
		return err
	}
	checkpoint, err := newest(ctx, n, own)
	if err != nil {
		return err
	}
	permits, denials := 0, 0
	for _, line := range feed.Lines() {
		if line.Permitted() {
			permits++
		} else {
			denials++
		}
	}
	_, err = fmt.Fprintf(out.out, "\nThe journey is over: %d exchanges permitted, %d denied. Ledger: %d records, root %s\n",
		permits, denials, checkpoint.Size, hex.EncodeToString(checkpoint.Root[:]))
	return err
}

// newest is the newest checkpoint, of size 0 when there is none yet.
func newest(ctx context.Context, n *node, own keys) (ledger.Checkpoint, error) {
	signed, err := ledger.Latest(ctx, n.store.Ledger())
	if err != nil || signed == nil {
		return ledger.Checkpoint{}, err
	}
	return ledger.OpenCheckpoint(signed, own.ledger.Verifier())
}

// compare reads every printed line's AuditEvent back as the auditor.
func (s *sandboxCommand) compare(ctx context.Context, out streams, feed *sandbox.Feed, journey *sandbox.Journey) error {
	lines := feed.Lines()
	feed.Print(nil)
	if err := journey.Audit(ctx, lines); err != nil {
		return fmt.Errorf("the ledger does not say what was printed: %w", err)
	}
	_, err := fmt.Fprintf(out.out, "The auditor read %d AuditEvents back: each says what its line says.\n", len(lines))
	return err
}

// explain is the environment that the printed commands need: only what differs from the defaults.
func (s *sandboxCommand) explain() string {
	var env string
	for _, name := range []string{"SOTESILTA_ADDR", "SOTESILTA_STORE", "SOTESILTA_KEYS", "SOTESILTA_BASE_URL"} {
		if value := os.Getenv(name); value != "" {
			env += name + "='" + value + "' "
		}
	}
	return env
}

// freshFolder makes the sandbox's own folder anew. It is under a shared folder of the machine, so a folder that is
// another user's is refused.
func freshFolder(addr string) (string, error) {
	folder, err := sandboxFolder(addr)
	if err != nil {
		return "", err
	}
	if err := os.RemoveAll(folder); err != nil {
		return "", fmt.Errorf("the sandbox's folder cannot be made anew: %w", err)
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		if errors.Is(err, os.ErrExist) {
			return "", fmt.Errorf("the sandbox's folder %s is somebody else's", folder)
		}
		return "", err
	}
	return folder, nil
}

// listenedAddr is the address with the port that was really taken (for port 0).
func listenedAddr(addr string, listener net.Listener) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return addr
	}
	return net.JoinHostPort(host, port)
}

// loopback is an address of this machine to dial for one that is listened on.
func loopback(addr net.Addr) string {
	_, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return addr.String()
	}
	return net.JoinHostPort("127.0.0.1", port)
}
