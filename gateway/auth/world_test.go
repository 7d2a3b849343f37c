package auth

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json"
	"github.com/stretchr/testify/require"

	"sotesilta/consent"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.TestMode)
	os.Exit(m.Run())
}

// rsaKey is made once: RSA keys take long.
var rsaKey = sync.OnceValue(func() *Key {
	priv, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	key, err := newKey(priv, "rsa-1")
	if err != nil {
		panic(err)
	}
	return key
})

// world is a gateway's root with the test county behind a real HTTP server.
type world struct {
	*Server
	t        testing.TB
	keys     map[string]*Key // of the clients
	tokenURL string
	fhir     string
	used     *memory
	log      *syncBuffer
	clock    *clock
}

type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time       { c.mu.Lock(); defer c.mu.Unlock(); return c.t }
func (c *clock) pass(d time.Duration) { c.mu.Lock(); c.t = c.t.Add(d); c.mu.Unlock() }

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}
func (s *syncBuffer) String() string { s.mu.Lock(); defer s.mu.Unlock(); return s.b.String() }

// memory remembers used keys as a store does, in one process.
type memory struct {
	mu    sync.Mutex
	keys  map[string]time.Time
	asked int
	err   error
}

func (m *memory) Use(_ context.Context, key string, until time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	if m.err != nil {
		return m.err
	}
	if _, used := m.keys[key]; used {
		return ErrUsed
	}
	m.keys[key] = until
	return nil
}

// newWorld starts the county; change may adjust the configuration.
func newWorld(t testing.TB, change ...func(*Config)) *world {
	t.Helper()
	w := &world{
		t: t, keys: map[string]*Key{}, used: &memory{keys: map[string]time.Time{}}, log: &syncBuffer{},
		clock: &clock{t: time.Now().Truncate(time.Second)},
	}
	engine := gin.New()
	srv := httptest.NewServer(engine)
	t.Cleanup(srv.Close)
	tokenKey, err := LoadOrCreateKey(t.TempDir())
	require.NoError(t, err)
	config := Config{
		BaseURL: srv.URL, Registry: w.registry(nil), Key: tokenKey, Used: w.used, Limits: Limits{Off: true},
		Log: slog.New(slog.NewJSONHandler(w.log, nil)), Now: w.clock.now,
	}
	for _, f := range change {
		f(&config)
	}
	w.Server, err = New(config)
	require.NoError(t, err)
	w.Routes(engine)
	engine.Any("/fhir/.well-known/smart-configuration", gin.WrapF(w.ServeSMART)) // as the FHIR face does
	w.tokenURL, w.fhir = srv.URL+TokenPath, srv.URL+"/fhir"
	return w
}

// registry loads the county; change may edit the file's text.
func (w *world) registry(change func(string) string) *Registry {
	w.t.Helper()
	data, err := os.ReadFile("testdata/registry.yaml")
	require.NoError(w.t, err)
	text := string(data)
	if change != nil {
		text = change(text)
	}
	reg, err := LoadRegistry(strings.NewReader(text), WithKeys(w.clientKey))
	require.NoError(w.t, err)
	return reg
}

func (w *world) clientKey(id string) ([]PublicKey, error) {
	if w.keys[id] == nil {
		key, err := NewClientKey()
		if err != nil {
			return nil, err
		}
		w.keys[id] = key
	}
	if id == "county-social" { // has a key of each kind
		return []PublicKey{w.keys[id].Public(), rsaKey().Public()}, nil
	}
	return []PublicKey{w.keys[id].Public()}, nil
}

// assertion signs claims as the client, now.
func (w *world) assertion(client string, c Claims) string {
	w.t.Helper()
	text, err := assertionAt(w.clock.now(), w.keys[client], client, w.tokenURL, c)
	require.NoError(w.t, err)
	return text
}

// claims is the plain payload of a good assertion, to be spoiled.
func (w *world) claims(client string) map[string]any {
	now := w.clock.now()
	return map[string]any{
		"iss": client, "sub": client, "aud": w.tokenURL, "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(4 * time.Minute).Unix(),
	}
}

func (w *world) sign(key *Key, claims map[string]any) string {
	w.t.Helper()
	text, err := signJWT(key, "JWT", claims)
	require.NoError(w.t, err)
	return text
}

// ask posts an assertion and answers status and body.
func (w *world) ask(assertion, scope string) (int, map[string]any, http.Header) {
	w.t.Helper()
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_assertion_type": {assertionType}, "client_assertion": {assertion},
	}
	if scope != "" {
		form.Set("scope", scope)
	}
	return w.post("application/x-www-form-urlencoded", form.Encode())
}

func (w *world) post(contentType, body string) (int, map[string]any, http.Header) {
	w.t.Helper()
	res, err := http.Post(w.tokenURL, contentType, strings.NewReader(body))
	require.NoError(w.t, err)
	return read(w.t, res)
}

func read(t testing.TB, res *http.Response) (int, map[string]any, http.Header) {
	t.Helper()
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	var body map[string]any
	require.NoError(t, json.Unmarshal(data, &body), "%s", data)
	return res.StatusCode, body, res.Header
}

// token gets a token the way clients do.
func (w *world) token(client string, c Claims, scope string) Token {
	w.t.Helper()
	tok, err := Fetch(context.Background(), w.tokenURL, w.assertion(client, c), scope)
	require.NoError(w.t, err)
	return tok
}

// refused asks for a token and answers the error.
func (w *world) refused(client string, c Claims, scope string) *TokenError {
	w.t.Helper()
	_, err := Fetch(context.Background(), w.tokenURL, w.assertion(client, c), scope)
	var refused *TokenError
	require.True(w.t, errors.As(err, &refused), "got %v", err)
	return refused
}

var needAssessment = &consent.Assertion{
	Task: "need-assessment", Ground: "ATL-53.5b", Reason: "assessing the need for services",
	Facts: map[string]string{"assessor": "social-worker"},
}
