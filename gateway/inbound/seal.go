package inbound

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
)

// sealVersion is the first byte of what is sealed: AES-256-GCM, nonce of 12 bytes, the source as associated data.
const sealVersion = 1

// Sealer seals messages at rest under keys derived (HKDF, RFC 5869) from the gateway's data.key. It is safe for
// concurrent use.
type Sealer struct {
	aead cipher.AEAD
	mac  []byte
}

// NewSealer takes the secret of data.key: at least 32 bytes.
func NewSealer(secret []byte) (*Sealer, error) {
	if len(secret) < 32 {
		return nil, errors.New("inbound: the data key is shorter than 32 bytes")
	}
	key, err := hkdf.Key(sha256.New, secret, nil, "sotesilta inbound seal 1", 32)
	if err != nil {
		return nil, err
	}
	mac, err := hkdf.Key(sha256.New, secret, nil, "sotesilta inbound fingerprint 1", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &Sealer{aead, mac}, nil
}

// Seal encrypts a message of a source.
func (s *Sealer) Seal(source string, message []byte) []byte {
	out := make([]byte, 1+s.aead.NonceSize(), 1+s.aead.NonceSize()+len(message)+s.aead.Overhead())
	out[0] = sealVersion
	rand.Read(out[1:]) // never fails (crypto/rand)
	return s.aead.Seal(out, out[1:], message, []byte(source))
}

// Open decrypts what Seal made for the same source.
func (s *Sealer) Open(source string, sealed []byte) ([]byte, error) {
	head := 1 + s.aead.NonceSize()
	if len(sealed) < head || sealed[0] != sealVersion {
		return nil, errors.New("inbound: not a sealed message")
	}
	message, err := s.aead.Open(nil, sealed[1:head], sealed[head:], []byte(source))
	if err != nil {
		return nil, errors.New("inbound: the sealed message does not open: another key, another source, or changed")
	}
	return message, nil
}

// Fingerprint is equal for equal messages of a source and tells nothing of them without the key.
func (s *Sealer) Fingerprint(source string, message []byte) string {
	h := hmac.New(sha256.New, s.mac)
	h.Write([]byte(source))
	h.Write([]byte{0})
	h.Write(message)
	return hex.EncodeToString(h.Sum(nil))
}
