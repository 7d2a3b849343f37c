package ledger

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// maxCheckpoint bounds the bytes of a signed checkpoint that are read.
const maxCheckpoint = 64 << 10

// Checkpoint says what the whole tree was at one size (C2SP tlog-checkpoint).
type Checkpoint struct {
	Origin string
	Size   int64    // leaves
	Root   [32]byte // RFC 6962 § 2.1; of no leaves SHA-256 of nothing
}

// sign is the checkpoint as a signed note.
func (k *Key) sign(size int64, root [32]byte) ([]byte, error) {
	text := fmt.Sprintf("%s\n%d\n%s\n", k.Origin(), size, base64.StdEncoding.EncodeToString(root[:]))
	return note.Sign(&note.Note{Text: text}, k.signer)
}

// Errors of OpenCheckpoint.
var (
	// ErrWrongKey: the checkpoint is not signed by the key asked for.
	ErrWrongKey = errors.New("ledger: the checkpoint is not signed by this key")
	// ErrNotCheckpoint: the bytes are no checkpoint.
	ErrNotCheckpoint = errors.New("ledger: not a checkpoint")
)

// OpenCheckpoint reads a signed checkpoint and checks that verifier (the text of ledger.pub) signed it for its
// origin. Signatures of others, such as witnesses, may stand beside. ErrWrongKey, ErrNotCheckpoint.
func OpenCheckpoint(signed []byte, verifier string) (Checkpoint, error) {
	v, err := note.NewVerifier(verifier)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("ledger: not a verifier key: %w", err)
	}
	return openCheckpoint(signed, v)
}

func openCheckpoint(signed []byte, v note.Verifier) (Checkpoint, error) {
	if len(signed) > maxCheckpoint {
		return Checkpoint{}, ErrNotCheckpoint
	}
	n, err := note.Open(signed, note.VerifierList(v))
	if err != nil {
		var unsigned *note.UnverifiedNoteError
		var invalid *note.InvalidSignatureError
		if errors.As(err, &unsigned) || errors.As(err, &invalid) {
			return Checkpoint{}, ErrWrongKey
		}
		return Checkpoint{}, ErrNotCheckpoint
	}
	c, err := parseCheckpoint(n.Text)
	if err == nil && c.Origin != v.Name() {
		return Checkpoint{}, ErrWrongKey
	}
	return c, err
}

// ReadCheckpoint reads what a signed checkpoint says, without asking who signed it. ErrNotCheckpoint.
func ReadCheckpoint(signed []byte) (Checkpoint, error) {
	text, _, ok := strings.Cut(string(signed[:min(len(signed), maxCheckpoint)]), "\n\n")
	if !ok {
		return Checkpoint{}, ErrNotCheckpoint
	}
	return parseCheckpoint(text + "\n")
}

// parseCheckpoint reads the text of the note: origin, size, root, and lines of extensions that do not matter.
func parseCheckpoint(text string) (Checkpoint, error) {
	lines := strings.SplitN(text, "\n", 4)
	if len(lines) < 4 || lines[0] == "" {
		return Checkpoint{}, ErrNotCheckpoint
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || lines[1] != strconv.FormatInt(size, 10) {
		return Checkpoint{}, ErrNotCheckpoint
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != 32 {
		return Checkpoint{}, ErrNotCheckpoint
	}
	return Checkpoint{Origin: lines[0], Size: size, Root: [32]byte(root)}, nil
}
