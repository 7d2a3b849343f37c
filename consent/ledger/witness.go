package ledger

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// cosignature is the type of a witness's key and signature (C2SP tlog-cosignature, cosignature/v1).
const cosignature = 4

// ErrNotCosigned: the checkpoint bears no cosignature of the witness asked for.
var ErrNotCosigned = errors.New("ledger: no cosignature of this witness")

// Cosigned reads a checkpoint that verifier signed and a witness cosigned, and answers when the witness saw it. witness
// is the text of its key, NAME+HASH+KEY of type 4 (C2SP tlog-cosignature). A witness signs only what begins with all
// that it signed before, so a ledger that was made anew, or shown otherwise to others, bears no cosignature.
func Cosigned(signed []byte, verifier, witness string) (time.Time, error) {
	if _, err := OpenCheckpoint(signed, verifier); err != nil {
		return time.Time{}, err
	}
	w, err := newWitness(witness)
	if err != nil {
		return time.Time{}, err
	}
	n, err := note.Open(signed, note.VerifierList(w))
	if err != nil {
		return time.Time{}, ErrNotCosigned
	}
	for _, sig := range n.Sigs {
		raw, err := base64.StdEncoding.DecodeString(sig.Base64)
		if err == nil && len(raw) == 4+8+ed25519.SignatureSize {
			return time.Unix(int64(binary.BigEndian.Uint64(raw[4:])), 0).UTC(), nil
		}
	}
	return time.Time{}, ErrNotCosigned
}

// witnessKey is the public key of a witness; it implements note.Verifier.
type witnessKey struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func newWitness(text string) (*witnessKey, error) {
	bad := errors.New("ledger: not the key of a witness: NAME+HASH+KEY of type 4 (C2SP tlog-cosignature)")
	parts := strings.SplitN(text, "+", 3)
	if len(parts) != 3 || parts[0] == "" {
		return nil, bad
	}
	hash, err := strconv.ParseUint(parts[1], 16, 32)
	if err != nil || len(parts[1]) != 8 {
		return nil, bad
	}
	key, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(key) != 1+ed25519.PublicKeySize || key[0] != cosignature {
		return nil, bad
	}
	if uint32(hash) != witnessHash(parts[0], key) {
		return nil, bad
	}
	return &witnessKey{parts[0], uint32(hash), key[1:]}, nil
}

// witnessHash is the key id: the first four bytes of SHA-256(name ‖ newline ‖ type and key) (C2SP signed-note).
func witnessHash(name string, typed []byte) uint32 {
	sum := sha256.Sum256(append([]byte(name+"\n"), typed...))
	return binary.BigEndian.Uint32(sum[:])
}

func (w *witnessKey) Name() string    { return w.name }
func (w *witnessKey) KeyHash() uint32 { return w.hash }

// Verify checks a cosignature: eight bytes of Unix time, then Ed25519 over the time and the checkpoint.
func (w *witnessKey) Verify(msg, sig []byte) bool {
	if len(sig) != 8+ed25519.SignatureSize {
		return false
	}
	text := fmt.Sprintf("cosignature/v1\ntime %d\n%s", binary.BigEndian.Uint64(sig), msg)
	return ed25519.Verify(w.key, []byte(text), sig[8:])
}
