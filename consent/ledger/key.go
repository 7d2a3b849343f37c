package ledger

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// Origin is the name of the ledger in its checkpoints and keys unless another is chosen (C2SP tlog-checkpoint: a
// URL without a scheme).
const Origin = "sotesilta.example/ledger"

// The files of a folder of keys.
const (
	privateFile = "ledger.key" // 0600: note signer key
	publicFile  = "ledger.pub" // 0644: note verifier key, for auditors to pin
)

// Key signs checkpoints: an Ed25519 key with the ledger's origin as its name (C2SP signed-note).
type Key struct {
	signer  note.Signer
	private string
	public  string
}

// NewKey makes a key for the ledger called origin.
func NewKey(origin string) (*Key, error) {
	private, _, err := note.GenerateKey(rand.Reader, origin)
	if err != nil {
		return nil, fmt.Errorf("ledger: no key for origin %q: %w", origin, err)
	}
	return parseKey(private)
}

// LoadKey reads ledger.key of a folder; without one the error is fs.ErrNotExist. A ledger.key that others than its
// owner may read, and a ledger.pub of another key beside it, are errors.
func LoadKey(dir string) (*Key, error) {
	path := filepath.Join(dir, privateFile)
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("ledger: %s may be read by others than its owner (mode %04o): make it 0600", path, info.Mode().Perm())
	}
	private, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	k, err := parseKey(strings.TrimSpace(string(private)))
	if err != nil {
		return nil, fmt.Errorf("ledger: %s: %w", path, err)
	}
	public, err := LoadVerifierKey(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err == nil && public != k.public {
		return nil, fmt.Errorf("ledger: %s is not the public half of %s", filepath.Join(dir, publicFile), path)
	}
	return k, nil
}

// LoadVerifierKey reads ledger.pub of a folder: what an auditor pins.
func LoadVerifierKey(dir string) (string, error) {
	public, err := os.ReadFile(filepath.Join(dir, publicFile))
	if err != nil {
		return "", fmt.Errorf("ledger: %w", err)
	}
	return strings.TrimSpace(string(public)), nil
}

// Save writes ledger.key (0600) and ledger.pub (0644) into a folder, which is made (0700) if absent. It never
// replaces a key: when there is one already the error is fs.ErrExist, and LoadKey reads that one.
func (k *Key) Save(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	if err := writeOnce(filepath.Join(dir, privateFile), k.private, 0o600); err != nil {
		return err
	}
	return writeOnce(filepath.Join(dir, publicFile), k.public, 0o644)
}

// writeOnce makes a file with the text whole or not at all, and fails when it exists.
func writeOnce(path, text string, mode fs.FileMode) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".")
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(text + "\n")
	if err = errors.Join(err, tmp.Chmod(mode), tmp.Sync(), tmp.Close()); err == nil {
		err = os.Link(tmp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	return nil
}

// Verifier is the public half as text, such as sotesilta.example/ledger+1a2b3c4d+AQ….
func (k *Key) Verifier() string { return k.public }

// Origin is the name of the ledger that the key signs for.
func (k *Key) Origin() string { return k.signer.Name() }

// Format prints the public half only, whatever the verb.
func (k Key) Format(f fmt.State, _ rune) { fmt.Fprint(f, k.public) }

// parseKey reads a note signer key, PRIVATE+KEY+origin+hash+base64(1 ‖ seed), and finds its public half.
func parseKey(private string) (*Key, error) {
	signer, err := note.NewSigner(private)
	if err != nil {
		return nil, errors.New("not a signer key of a note")
	}
	_, encoded, _ := strings.Cut(strings.TrimPrefix(private, "PRIVATE+KEY+"+signer.Name()+"+"), "+")
	seed, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(seed) != 1+ed25519.SeedSize {
		return nil, errors.New("not an Ed25519 key")
	}
	pub := ed25519.NewKeyFromSeed(seed[1:]).Public().(ed25519.PublicKey)
	public, err := note.NewEd25519VerifierKey(signer.Name(), pub)
	if err != nil {
		return nil, err
	}
	return &Key{signer: signer, private: private, public: public}, nil
}
