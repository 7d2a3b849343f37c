package auth

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// maxJWS bounds a JWT, assertion or access token, before anything of it is read.
const maxJWS = 12 << 10

// header is the JOSE header (RFC 7515 § 4.1), as far as it means something here.
type header struct {
	Alg  string         `json:"alg"`
	Kid  string         `json:"kid"`
	Typ  string         `json:"typ"`
	Jku  string         `json:"jku"`
	Crit jsontext.Value `json:"crit"`
}

// compact is a JWT whose form was read and whose signature was not looked at: nothing in it is true yet.
type compact struct {
	header  header
	signed  string // what the signature is over
	payload []byte
	sig     []byte
}

// readCompact reads the form of a JWT. It is strict (base64url without padding or spare bits, JSON without duplicate
// members or bad UTF-8), so that no two readers can understand one token differently. The errors quote nothing.
func readCompact(raw string) (compact, error) {
	if len(raw) > maxJWS {
		return compact{}, fmt.Errorf("the JWT is longer than %d characters", maxJWS)
	}
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return compact{}, errors.New("not a JWT of three parts (RFC 7515)")
	}
	var decoded [3][]byte
	for i, part := range parts {
		b, err := strict64.DecodeString(part)
		if err != nil || strings.ContainsAny(part, "\r\n") { // the decoder would skip line ends
			return compact{}, errors.New("a part of the JWT is not base64url")
		}
		decoded[i] = b
	}
	c := compact{signed: raw[:len(raw)-len(parts[2])-1], payload: decoded[1], sig: decoded[2]}
	if err := json.Unmarshal(decoded[0], &c.header); err != nil {
		return compact{}, errors.New("the JWT's header is not a JSON object of the JOSE members")
	}
	if c.header.Crit != nil {
		return compact{}, errors.New("crit is not supported (RFC 7515 § 4.1.11)")
	}
	if len(c.header.Kid) > maxKeyID {
		return compact{}, errors.New("kid is too long")
	}
	return c, nil
}

// signJWT signs claims.
func signJWT(key *Key, typ string, claims any) (string, error) {
	payload, err := json.Marshal(claims, json.Deterministic(true))
	if err != nil {
		return "", errors.New("auth: the claims cannot be written")
	}
	head, err := json.Marshal(struct {
		Alg string `json:"alg"`
		Kid string `json:"kid"`
		Typ string `json:"typ"`
	}{key.public.alg, key.public.id, typ})
	if err != nil {
		return "", errors.New("auth: the header cannot be written")
	}
	signed := b64(head) + "." + b64(payload)
	sig, err := key.public.method.Sign(signed, key.signer)
	if err != nil {
		return "", errors.New("auth: cannot sign")
	}
	return signed + "." + b64(sig), nil
}

// numericDate is seconds since 1970 (RFC 7519 § 2); nil is absent.
type numericDate *float64

// moment is the time of a numeric date within sensible years.
func moment(d numericDate) (time.Time, bool) {
	if d == nil || math.IsNaN(*d) || *d < 0 || *d > 1<<36 {
		return time.Time{}, false
	}
	sec, frac := math.Modf(*d)
	return time.Unix(int64(sec), int64(frac*1e9)), true
}

func dateOf(t time.Time) numericDate {
	sec := float64(t.Unix())
	return &sec
}

// audience is the aud claim: a text, or an array of them (RFC 7519 § 4.1.3).
type audience []string

// UnmarshalJSON reads either form.
func (a *audience) UnmarshalJSON(data []byte) error {
	if jsontext.Value(data).Kind() == '[' {
		return json.Unmarshal(data, (*[]string)(a))
	}
	*a = audience{""}
	return json.Unmarshal(data, &(*a)[0])
}

// MarshalJSON writes a single one as a text, as SMART shows it.
func (a audience) MarshalJSON() ([]byte, error) {
	if len(a) == 1 {
		return json.Marshal(a[0])
	}
	return json.Marshal([]string(a))
}
