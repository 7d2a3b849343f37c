package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/time/rate"
)

// remoteKeys is a client's keys at its jwksUri, fetched when first needed, when they are old, and when a kid is not
// known (a rotated key), the last as often as the limiter allows. While the address does not answer, the keys known
// stay good for a day (SMART asks for caching, and not for longer than the client allows).
type remoteKeys struct {
	uri     string
	client  *http.Client
	limiter *rate.Limiter
	now     func() time.Time

	mu      sync.Mutex
	set     keySet
	fetched time.Time
	running chan struct{} // closed when the fetch under way is over; nil: none
}

const (
	remoteFresh   = time.Hour
	remoteStale   = 24 * time.Hour
	remoteTimeout = 5 * time.Second
)

func newRemoteKeys(uri string, client *http.Client) *remoteKeys {
	if client == nil {
		client = http.DefaultClient
	}
	own := *client
	own.Timeout = remoteTimeout
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	// Three in a row, then one in ten seconds: keys rotate at once, unknown kids cannot make us flood the client.
	return &remoteKeys{uri: uri, client: &own, limiter: rate.NewLimiter(rate.Every(10*time.Second), 3), now: time.Now}
}

func (r *remoteKeys) key(ctx context.Context, kid string) (PublicKey, error) {
	r.mu.Lock()
	k, known := r.set[kid]
	age := r.now().Sub(r.fetched)
	if known && age < remoteFresh {
		r.mu.Unlock()
		return k, nil
	}
	wait := r.running
	if wait == nil && r.limiter.Allow() {
		wait = make(chan struct{})
		r.running = wait
		go r.refresh(wait)
	}
	r.mu.Unlock()
	if wait != nil {
		select {
		case <-wait:
		case <-ctx.Done():
			return PublicKey{}, ctx.Err()
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if k, known = r.set[kid]; known && r.now().Sub(r.fetched) < remoteStale {
		return k, nil
	}
	return PublicKey{}, errUnknownKey
}

// refresh runs apart from the request that asked: one fetch serves all who wait, and none can cut it short.
func (r *remoteKeys) refresh(done chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), remoteTimeout)
	defer cancel()
	set, err := r.fetch(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.set, r.fetched = set, r.now()
	}
	r.running = nil
	close(done)
}

func (r *remoteKeys) fetch(ctx context.Context) (keySet, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.uri, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	res, err := r.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", res.StatusCode)
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, maxKeySetSize+1))
	if err != nil || len(data) > maxKeySetSize {
		return nil, errors.New("unreadable or too big")
	}
	return readKeySet(data)
}

// readKeySet takes the keys it can use from a set that others wrote; keys of other kinds and uses are no fault
// (RFC 7517 § 5).
func readKeySet(data []byte) (keySet, error) {
	var file jwks
	if json.Unmarshal(data, &file) != nil {
		return nil, errors.New("not a JWK Set")
	}
	set := keySet{}
	for _, m := range file.Keys {
		if k, err := m.registered(); err == nil {
			_ = set.add(k) // a kid used twice: the first counts
		}
	}
	if len(set) == 0 {
		return nil, errors.New("no key for ES384 or RS384")
	}
	return set, nil
}
