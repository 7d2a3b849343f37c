package ledger

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// cosigner is a witness as C2SP tlog-cosignature has it.
type cosigner struct {
	name  string
	key   ed25519.PrivateKey
	typed []byte
}

func newCosigner(t *testing.T, name string) *cosigner {
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	return &cosigner{name, private, append([]byte{cosignature}, public...)}
}

func (c *cosigner) text() string {
	return fmt.Sprintf("%s+%08x+%s", c.name, witnessHash(c.name, c.typed), base64.StdEncoding.EncodeToString(c.typed))
}

// cosign adds the witness's line to a signed checkpoint.
func (c *cosigner) cosign(signed []byte, at time.Time) []byte {
	body, _, _ := strings.Cut(string(signed), "\n\n")
	stamp := binary.BigEndian.AppendUint64(nil, uint64(at.Unix()))
	sig := ed25519.Sign(c.key, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s\n", at.Unix(), body))
	line := binary.BigEndian.AppendUint32(nil, witnessHash(c.name, c.typed))
	line = append(append(line, stamp...), sig...)
	return fmt.Appendf(signed[:len(signed):len(signed)], "— %s %s\n", c.name, base64.StdEncoding.EncodeToString(line))
}

func TestAWitnessCosigns(t *testing.T) {
	m, key := written(t, 20)
	signed := m.checkpoints[len(m.checkpoints)-1]
	w, other := newCosigner(t, "witness.example"), newCosigner(t, "witness.example")
	saw := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	both := w.cosign(signed, saw)

	at, err := Cosigned(both, key.Verifier(), w.text())
	require.NoError(t, err)
	require.Equal(t, saw, at)
	_, err = Cosigned(signed, key.Verifier(), w.text())
	require.ErrorIs(t, err, ErrNotCosigned)
	_, err = Cosigned(both, key.Verifier(), other.text())
	require.ErrorIs(t, err, ErrNotCosigned)
	_, err = Cosigned(w.cosign(m.checkpoints[0], saw), must(NewKey(Origin)).Verifier(), w.text())
	require.ErrorIs(t, err, ErrWrongKey)
	// A cosignature taken from another checkpoint.
	_, line, _ := strings.Cut(string(w.cosign(m.checkpoints[0], saw)), "— witness")
	_, err = Cosigned([]byte(string(signed)+"— witness"+line), key.Verifier(), w.text())
	require.ErrorIs(t, err, ErrNotCosigned)
	for _, bad := range []string{"", "x+y", key.Verifier(), strings.Replace(w.text(), "witness", "somebody", 1)} {
		_, err := Cosigned(both, key.Verifier(), bad)
		require.ErrorContains(t, err, "not the key of a witness", bad)
	}
}

// The client proves what they were shown, and learns nothing of what was held back.
func TestProofOfTheOpenPart(t *testing.T) {
	m, key := written(t, 57)
	tree := NewTree(m)
	checkpoint := m.checkpoints[5]
	whole, err := tree.Prove(context.Background(), &m.placed[20], checkpoint)
	require.NoError(t, err)
	open := whole.OpenPart()
	text := open.Text()
	p, err := ParseProof(text)
	require.NoError(t, err)
	require.False(t, p.Whole())
	r, err := p.Verify(key.Verifier())
	require.NoError(t, err)
	full, err := whole.Verify(key.Verifier())
	require.NoError(t, err)
	require.Equal(t, full.Open(), r)
	require.Equal(t, "record-20", r.ID)
	require.Empty(t, r.Actor.Person)
	extra, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(strings.Split(string(text), "\n")[1], "extra "))
	require.NoError(t, err)
	require.NotContains(t, string(extra), "Practitioner")
	require.NotContains(t, string(extra), string(m.placed[20].Salt))
	require.Nil(t, open.OpenPart())

	p.Canonical = []byte(strings.Replace(string(p.Canonical), `"permit"`, `"deny"`, 1))
	_, err = p.Verify(key.Verifier())
	require.Error(t, err, "what is shown is what was recorded")
	// The whole record cannot be passed off as an open part, nor the other way round.
	forged := *open
	forged.Canonical = whole.Canonical
	_, err = forged.Verify(key.Verifier())
	require.Error(t, err)

	_, err = tree.Prove(context.Background(), &m.pending[0], checkpoint)
	require.ErrorIs(t, err, ErrUnplaced)
}
