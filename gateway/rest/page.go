package rest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"sotesilta/gateway/exchange"
	"sotesilta/gateway/search"
	"sotesilta/internal/finland"
)

// pageParam is the one parameter of a link to another page.
const pageParam = "_page"

// place is where a page begins: the search or history it belongs to and how far that has come. Links carry it sealed,
// so that neither a cursor (the last row's sort key) nor a parameter (a name, an identity code) is ever in a URL.
// It gives no rights: every page is decided anew.
type place struct {
	Type    string        `json:"t"`
	ID      string        `json:"i,omitempty"` // history of this instance
	Within  search.Within `json:"w,omitzero"`  // the compartment searched
	Past    bool          `json:"a,omitempty"` // a history; otherwise a search
	Params  string        `json:"p,omitempty"` // the search, form-encoded as it was asked; of a history what chooses and shortens rows
	Cursor  string        `json:"c,omitempty"` // of a search, and of the history of a type or the system
	Before  int64         `json:"b,omitempty"` // of the history of an instance
	Since   int64         `json:"s,omitempty"` // of a history, in milliseconds; likewise From and To
	From    int64         `json:"f,omitempty"`
	To      int64         `json:"o,omitempty"`
	Count   int           `json:"n,omitempty"` // of a history
	subset  wanted        // Params hold what asked for it
	Lenient bool          `json:"l,omitempty"` // asked with handling=lenient
	Hidden  bool          `json:"h,omitempty"` // asked in a body: no link repeats the parameters
}

func newSealer(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("rest: key of page links: %w", err)
	}
	return cipher.NewGCM(block)
}

// binding ties sealed text to its kind and to who got it: it is of no use to others, and not elsewhere.
func binding(kind string, c exchange.Caller) []byte {
	return []byte(kind + "\x00" + c.Actor.App + "\x00" + c.Actor.User)
}

// seal is p as opaque text for the caller's links.
func (s *server) seal(c exchange.Caller, p place) string { return s.sealAs("page", c, p) }

// unseal is the place of a link; the error says that it is damaged, another's or made with an old key.
func (s *server) unseal(c exchange.Caller, text string) (place, error) {
	var p place
	if s.unsealAs("page", c, text, &p) != nil {
		return p, exchange.Refuse(exchange.Invalid, "invalid", pageParam,
			"The page link is damaged, of another caller or too old. Start again from the first page.")
	}
	return p, nil
}

// sealAs is a struct of texts, numbers and times as opaque text of a kind, of use to the caller only.
func (s *server) sealAs(kind string, c exchange.Caller, of any) string {
	plain, err := json.Marshal(of)
	if err != nil {
		panic(err)
	}
	for {
		sealed := make([]byte, s.sealer.NonceSize(), s.sealer.NonceSize()+len(plain)+s.sealer.Overhead())
		_, _ = rand.Read(sealed) // never fails
		text := base64.RawURLEncoding.EncodeToString(s.sealer.Seal(sealed, sealed, plain, binding(kind, c)))
		if !finland.FindIdentityCode(text) { // by chance it seems to hold one about never, but then the link would be refused
			return text
		}
	}
}

// unsealAs opens what sealAs made; the error says that it is damaged, another's, of another kind or of an old key.
func (s *server) unsealAs(kind string, c exchange.Caller, text string, into any) error {
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return err
	}
	n := s.sealer.NonceSize()
	if len(sealed) <= n {
		return errors.New("rest: sealed text that is too short")
	}
	plain, err := s.sealer.Open(nil, sealed[:n], sealed[n:], binding(kind, c))
	if err != nil {
		return err
	}
	return json.Unmarshal(plain, into)
}
