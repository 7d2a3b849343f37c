package auth

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"

	"github.com/go-json-experiment/json"
	"github.com/golang-jwt/jwt/v5"
)

// The signature algorithms (RFC 7518 § 3.1). SMART App Launch 2.2 wants ES384 and RS384 of every server; access
// tokens of ours are ES256, seven times faster to verify.
const (
	ES256 = "ES256"
	ES384 = "ES384"
	RS384 = "RS384"
)

// Bounds of registered keys. The upper bound of RSA keeps the cost of one verification bounded.
const (
	minRSABits    = 2048
	maxRSABits    = 4096
	maxKeys       = 16
	maxKeyID      = 128
	maxKeySetSize = 64 << 10
)

// jwk is a JSON Web Key (RFC 7517, 7518 § 6) of the kinds we know. The yaml names are those of JSON.
type jwk struct {
	Kty    string   `json:"kty" yaml:"kty"`
	Kid    string   `json:"kid,omitempty" yaml:"kid"`
	Alg    string   `json:"alg,omitempty" yaml:"alg"`
	Use    string   `json:"use,omitempty" yaml:"use"`
	KeyOps []string `json:"key_ops,omitempty" yaml:"key_ops"`
	Ext    *bool    `json:"ext,omitempty" yaml:"ext"`
	Crv    string   `json:"crv,omitempty" yaml:"crv"`
	X      string   `json:"x,omitempty" yaml:"x"`
	Y      string   `json:"y,omitempty" yaml:"y"`
	N      string   `json:"n,omitempty" yaml:"n"`
	E      string   `json:"e,omitempty" yaml:"e"`
	// Private members: d of both kinds, the rest of RSA, k of symmetric keys. A registration refuses them.
	D  string `json:"d,omitempty" yaml:"d"`
	P  string `json:"p,omitempty" yaml:"p"`
	Q  string `json:"q,omitempty" yaml:"q"`
	DP string `json:"dp,omitempty" yaml:"dp"`
	DQ string `json:"dq,omitempty" yaml:"dq"`
	QI string `json:"qi,omitempty" yaml:"qi"`
	K  string `json:"k,omitempty" yaml:"k"`
}

// jwks is a JSON Web Key Set.
type jwks struct {
	Keys []jwk `json:"keys" yaml:"keys"`
}

// PublicKey verifies signatures of one algorithm. The zero PublicKey verifies nothing.
type PublicKey struct {
	id     string
	alg    string
	method jwt.SigningMethod
	key    crypto.PublicKey // *ecdsa.PublicKey or *rsa.PublicKey
	thumb  string
}

// ID is the key's kid.
func (k PublicKey) ID() string { return k.id }

// Algorithm is ES256, ES384 or RS384.
func (k PublicKey) Algorithm() string { return k.alg }

func (k PublicKey) verify(signed string, sig []byte) error {
	if k.method == nil {
		return errors.New("no key")
	}
	return k.method.Verify(signed, sig, k.key)
}

// Key signs. Its text forms never show the private part.
type Key struct {
	public PublicKey
	signer crypto.Signer // *ecdsa.PrivateKey or *rsa.PrivateKey
}

// Public is what verifies the key's signatures.
func (k *Key) Public() PublicKey { return k.public }

// String is the key's id.
func (k *Key) String() string { return "key " + k.public.id }

// GoString is the key's id, so that %#v shows no secret either.
func (k *Key) GoString() string { return k.String() }

// NewClientKey makes a client's key for assertions: ES384.
func NewClientKey() (*Key, error) { return newECKey(elliptic.P384()) }

func newTokenKey() (*Key, error) { return newECKey(elliptic.P256()) }

func newECKey(curve elliptic.Curve) (*Key, error) {
	priv, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("auth: new key: %w", err)
	}
	return newKey(priv, "")
}

// newKey makes a Key of an ECDSA P-256 (ES256), P-384 (ES384) or RSA (RS384) private key. With no id, the kid is the
// key's thumbprint (RFC 7638).
func newKey(priv crypto.Signer, id string) (*Key, error) {
	pub, err := newPublicKey(priv.Public(), id)
	if err != nil {
		return nil, err
	}
	return &Key{public: pub, signer: priv}, nil
}

func newPublicKey(key crypto.PublicKey, id string) (PublicKey, error) {
	k := PublicKey{id: id, key: key}
	switch pub := key.(type) {
	case *ecdsa.PublicKey:
		switch pub.Curve {
		case elliptic.P256():
			k.alg, k.method = ES256, jwt.SigningMethodES256
		case elliptic.P384():
			k.alg, k.method = ES384, jwt.SigningMethodES384
		default:
			return PublicKey{}, errors.New("the curve is neither P-256 nor P-384")
		}
	case *rsa.PublicKey:
		if bits := pub.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return PublicKey{}, fmt.Errorf("an RSA key has %d to %d bits", minRSABits, maxRSABits)
		}
		// Small odd exponents only: a huge one makes each verification cost as much as a signature.
		if pub.E < 65537 || pub.E > 1<<31-1 || pub.E%2 == 0 {
			return PublicKey{}, errors.New("the RSA exponent is not 65537 or a small odd number above it")
		}
		k.alg, k.method = RS384, jwt.SigningMethodRS384
	default:
		return PublicKey{}, errors.New("the key is neither ECDSA nor RSA")
	}
	members, err := k.members()
	if err != nil {
		return PublicKey{}, err
	}
	k.thumb = thumbprint(members)
	if k.id == "" {
		k.id = k.thumb
	}
	if len(k.id) > maxKeyID || !printable(k.id) {
		return PublicKey{}, fmt.Errorf("a kid is at most %d printable characters", maxKeyID)
	}
	return k, nil
}

// thumbprint is SHA-256 over the required members in the order of their names (RFC 7638 § 3).
func thumbprint(m jwk) string {
	var text string
	if m.Kty == "EC" {
		text = fmt.Sprintf(`{"crv":%q,"kty":"EC","x":%q,"y":%q}`, m.Crv, m.X, m.Y)
	} else {
		text = fmt.Sprintf(`{"e":%q,"kty":"RSA","n":%q}`, m.E, m.N)
	}
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// members is the public JWK.
func (k PublicKey) members() (jwk, error) {
	m := jwk{Kid: k.id, Alg: k.alg, Use: "sig"}
	switch pub := k.key.(type) {
	case *ecdsa.PublicKey:
		point, err := pub.Bytes()
		if err != nil {
			return jwk{}, errors.New("the point is not on the curve")
		}
		half := (len(point) - 1) / 2
		m.Kty, m.Crv = "EC", pub.Curve.Params().Name
		m.X, m.Y = b64(point[1:1+half]), b64(point[1+half:])
	case *rsa.PublicKey:
		m.Kty, m.N, m.E = "RSA", b64(pub.N.Bytes()), b64(big.NewInt(int64(pub.E)).Bytes())
	}
	return m, nil
}

// public reads the public part of a JWK.
func (m jwk) public() (PublicKey, error) {
	if m.Use != "" && m.Use != "sig" {
		return PublicKey{}, errors.New("use is not sig")
	}
	var key crypto.PublicKey
	switch m.Kty {
	case "EC":
		curve, size := elliptic.P256(), 32
		switch m.Crv {
		case "P-256":
		case "P-384":
			curve, size = elliptic.P384(), 48
		default:
			return PublicKey{}, errors.New("crv is neither P-256 nor P-384")
		}
		x, err := unb64(m.X, size)
		if err != nil {
			return PublicKey{}, fmt.Errorf("x: %w", err)
		}
		y, err := unb64(m.Y, size)
		if err != nil {
			return PublicKey{}, fmt.Errorf("y: %w", err)
		}
		pub, err := ecdsa.ParseUncompressedPublicKey(curve, bytes.Join([][]byte{{4}, x, y}, nil))
		if err != nil {
			return PublicKey{}, errors.New("the point is not on the curve")
		}
		key = pub
	case "RSA":
		n, err := unb64(m.N, 0)
		if err != nil {
			return PublicKey{}, fmt.Errorf("n: %w", err)
		}
		e, err := unb64(m.E, 0)
		if err != nil {
			return PublicKey{}, fmt.Errorf("e: %w", err)
		}
		if len(n) > maxRSABits/8 || len(e) > 4 {
			return PublicKey{}, errors.New("the RSA key is too big")
		}
		key = &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	default:
		return PublicKey{}, errors.New("kty is neither EC nor RSA")
	}
	pub, err := newPublicKey(key, m.Kid)
	if err != nil {
		return PublicKey{}, err
	}
	if m.Alg != "" && m.Alg != pub.alg {
		return PublicKey{}, fmt.Errorf("alg does not fit the key, which is for %s", pub.alg)
	}
	return pub, nil
}

// secret says whether the JWK holds private or symmetric key material.
func (m jwk) secret() bool { return m.D+m.P+m.Q+m.DP+m.DQ+m.QI+m.K != "" }

// registered reads a JWK of a client's registration: public, with a kid, for ES384 or RS384.
func (m jwk) registered() (PublicKey, error) {
	if m.secret() {
		return PublicKey{}, errors.New("holds a private key; register the public part only")
	}
	if m.Kid == "" {
		return PublicKey{}, errors.New("kid is missing")
	}
	pub, err := m.public()
	if err != nil {
		return PublicKey{}, err
	}
	if pub.alg != ES384 && pub.alg != RS384 {
		return PublicKey{}, errors.New("a client's key is for ES384 or RS384")
	}
	return pub, nil
}

// MarshalJWK writes the key, private part and all, as a JWK.
func (k *Key) MarshalJWK() ([]byte, error) {
	m, err := k.public.members()
	if err != nil {
		return nil, err
	}
	switch priv := k.signer.(type) {
	case *ecdsa.PrivateKey:
		d, err := priv.Bytes()
		if err != nil {
			return nil, errors.New("auth: the key cannot be written")
		}
		m.D = b64(d)
	case *rsa.PrivateKey:
		priv.Precompute()
		m.D, m.P, m.Q = b64(priv.D.Bytes()), b64(priv.Primes[0].Bytes()), b64(priv.Primes[1].Bytes())
		m.DP, m.DQ, m.QI = b64(priv.Precomputed.Dp.Bytes()), b64(priv.Precomputed.Dq.Bytes()), b64(priv.Precomputed.Qinv.Bytes())
	default:
		return nil, errors.New("auth: the key cannot be written")
	}
	return json.Marshal(m)
}

// ParseKey reads a private JWK: EC P-256 or P-384, or RSA of two primes. The errors show nothing of its content.
func ParseKey(data []byte) (*Key, error) {
	var m jwk
	if len(data) > maxKeySetSize || json.Unmarshal(data, &m) != nil {
		return nil, errors.New("not a JWK")
	}
	pub, err := m.public()
	if err != nil {
		return nil, err
	}
	if m.D == "" {
		return nil, errors.New("the JWK holds no private key")
	}
	var signer crypto.Signer
	switch key := pub.key.(type) {
	case *ecdsa.PublicKey:
		d, err := unb64(m.D, (key.Curve.Params().BitSize+7)/8)
		if err != nil {
			return nil, fmt.Errorf("d: %w", err)
		}
		priv, err := ecdsa.ParseRawPrivateKey(key.Curve, d)
		if err != nil || !priv.PublicKey.Equal(key) {
			return nil, errors.New("the private key does not fit the public one")
		}
		signer = priv
	case *rsa.PublicKey:
		var parts [3][]byte
		for i, text := range []string{m.D, m.P, m.Q} {
			if parts[i], err = unb64(text, 0); err != nil {
				return nil, errors.New("the private key is not complete")
			}
		}
		priv := &rsa.PrivateKey{PublicKey: *key, D: new(big.Int).SetBytes(parts[0])}
		priv.Primes = []*big.Int{new(big.Int).SetBytes(parts[1]), new(big.Int).SetBytes(parts[2])}
		if priv.Validate() != nil {
			return nil, errors.New("the private key does not fit the public one")
		}
		priv.Precompute()
		signer = priv
	}
	return &Key{public: pub, signer: signer}, nil
}

// keySet is a client's keys by kid.
type keySet map[string]PublicKey

func (s keySet) add(k PublicKey) error {
	if _, taken := s[k.id]; taken {
		return errors.New("kid is used twice")
	}
	if len(s) >= maxKeys {
		return fmt.Errorf("more than %d keys", maxKeys)
	}
	s[k.id] = k
	return nil
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

var strict64 = base64.RawURLEncoding.Strict()

// unb64 decodes base64url of the size; 0 is any.
func unb64(text string, size int) ([]byte, error) {
	b, err := strict64.DecodeString(text)
	switch {
	case err != nil || len(b) == 0:
		return nil, errors.New("not base64url")
	case size != 0 && len(b) != size:
		return nil, fmt.Errorf("not %d octets", size)
	}
	return b, nil
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < 0x21 || s[i] > 0x7e {
			return false
		}
	}
	return true
}
