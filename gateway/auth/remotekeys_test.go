package auth

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// keyHost is a vendor's https server with a JWK Set that can change and fail.
type keyHost struct {
	*httptest.Server
	mu     sync.Mutex
	answer func(http.ResponseWriter)
	asked  atomic.Int64
}

func newKeyHost(t *testing.T) *keyHost {
	h := &keyHost{}
	h.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h.asked.Add(1)
		h.mu.Lock()
		defer h.mu.Unlock()
		h.answer(w)
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *keyHost) publish(keys ...*Key) {
	var set jwks
	for _, k := range keys {
		set.Keys = append(set.Keys, mustMembers(k.Public()))
	}
	set.Keys = append(set.Keys, jwk{Kty: "OKP", Kid: "of-another-kind"})
	h.say(http.StatusOK, string(mustJSON(set)))
}

func (h *keyHost) say(status int, body string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answer = func(w http.ResponseWriter) {
		w.Header().Set("Location", "https://elsewhere.example/")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

func newVendorKey(t *testing.T) *Key {
	key, err := NewClientKey()
	require.NoError(t, err)
	return key
}

// withHTTPClient sets the client that fetches jwksUri.
func withHTTPClient(client *http.Client) RegistryOption { return func(l *loader) { l.client = client } }

func TestKeysAtAnAddress(t *testing.T) {
	host := newKeyHost(t)
	first, second := newVendorKey(t), newVendorKey(t)
	host.publish(first)
	w := newWorld(t)
	registry := func(options ...RegistryOption) (*Registry, error) {
		return LoadRegistry(strings.NewReader(`{"clients":[{"id":"auditor","name":"A","kind":"auditor","controller":"Organization/c",
			"scopes":["system/AuditEvent.rs"],"purposes":["supervision"],"jwksUri":"`+host.URL+`/jwks"}]}`), options...)
	}
	_, err := registry(withHTTPClient(host.Client()))
	require.ErrorContains(t, err, "list of allowed key hosts")
	reg, err := registry(withHTTPClient(host.Client()), WithKeyHosts(strings.TrimPrefix(host.URL, "https://")))
	require.NoError(t, err)
	w.Use(reg)
	ask := func(key *Key) int {
		w.keys["auditor"] = key
		status, _, _ := w.ask(w.assertion("auditor", Claims{}), "")
		return status
	}
	require.Equal(t, http.StatusOK, ask(first))
	require.Equal(t, http.StatusOK, ask(first))
	require.EqualValues(t, 1, host.asked.Load(), "fetched once")

	// A rotated key is found at once; unknown ones do not make us flood the vendor.
	host.publish(first, second)
	require.Equal(t, http.StatusOK, ask(second))
	for range 20 {
		require.Equal(t, http.StatusUnauthorized, ask(newVendorKey(t)))
	}
	require.LessOrEqual(t, host.asked.Load(), int64(4))
	require.Equal(t, http.StatusOK, ask(first))
}

func TestAnAddressThatFailsKeepsTheKnownKeysForADay(t *testing.T) {
	host := newKeyHost(t)
	key := newVendorKey(t)
	host.publish(key)
	keys := newRemoteKeys(host.URL, host.Client())
	keys.limiter.SetLimit(1e6)
	now := &clock{t: time.Now()}
	keys.now = now.now
	ctx := context.Background()
	_, err := keys.key(ctx, key.Public().ID())
	require.NoError(t, err)
	for name, fail := range map[string]func(){
		"error":    func() { host.say(http.StatusInternalServerError, "") },
		"redirect": func() { host.say(http.StatusFound, "") },
		"rubbish":  func() { host.say(http.StatusOK, "<html>") },
		"no keys":  func() { host.say(http.StatusOK, `{"keys":[]}`) },
		"too big":  func() { host.say(http.StatusOK, `{"keys":[]}`+strings.Repeat(" ", maxKeySetSize)) },
	} {
		fail()
		now.pass(remoteFresh)
		_, err = keys.key(ctx, key.Public().ID())
		require.NoError(t, err, name)
	}
	now.pass(remoteStale)
	_, err = keys.key(ctx, key.Public().ID())
	require.ErrorIs(t, err, errUnknownKey, "and no longer")
	host.publish(key)
	_, err = keys.key(ctx, key.Public().ID())
	require.NoError(t, err)

	// A key the vendor withdrew is gone with the next fetch.
	host.publish(newVendorKey(t))
	now.pass(remoteFresh)
	_, err = keys.key(ctx, key.Public().ID())
	require.ErrorIs(t, err, errUnknownKey)
}
