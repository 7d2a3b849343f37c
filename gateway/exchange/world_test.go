package exchange_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/auth"
	"sotesilta/gateway/exchange"
	"sotesilta/gateway/process"
	"sotesilta/gateway/sandbox"
	"sotesilta/gateway/search"
	"sotesilta/gateway/store"
	"sotesilta/gateway/store/sqlite"
	"sotesilta/internal/fhir"
)

// county is the sandbox's county, loaded once and copied for each test.
var county = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "county")
	if err != nil {
		return "", err
	}
	s, err := sqlite.Open(context.Background(), filepath.Join(dir, "county.db"), sqlite.Options{})
	if err != nil {
		return "", err
	}
	desk, err := newDesk(s, exchange.Config{})
	if err != nil {
		return "", err
	}
	if _, err := sandbox.Load(context.Background(), desk, registry()); err != nil {
		return "", err
	}
	return dir, s.Close()
})

var registry = sync.OnceValue(func() *auth.Registry {
	dir, err := os.MkdirTemp("", "keys")
	if err != nil {
		panic(err)
	}
	r, err := sandbox.Clients(dir)
	if err != nil {
		panic(err)
	}
	return r
})

// law is the real law as the sandbox configures it.
var law = sync.OnceValue(func() *consent.Engine {
	services, err := sandbox.JointServices()
	if err != nil {
		panic(err)
	}
	e, err := consent.New(consent.Config{
		Switches: map[string]string{"O11": "on"}, JointServices: services, Public: []string{"Organization/county"},
	})
	if err != nil {
		panic(err)
	}
	return e
})

const base = "http://localhost:8080/fhir"

func newDesk(s store.Store, cfg exchange.Config) (*exchange.Desk, error) {
	rules, err := process.New()
	if err != nil {
		return nil, err
	}
	cfg.Store, cfg.Person, cfg.Bases = s, registry().Person, []string{base}
	if cfg.Law == nil {
		cfg.Law = law()
	}
	if cfg.Rules == nil {
		cfg.Rules = rules
	}
	return exchange.New(cfg)
}

// world is the county in a real store behind a Desk; the store's commits can be watched and made to fail.
type world struct {
	*exchange.Desk
	t     *testing.T
	ctx   context.Context
	store *watched
}

// watched is a store whose commits are seen, and fail when told to.
type watched struct {
	store.Store
	mu       sync.Mutex
	commits  [][]ledger.Record // of the commits that succeeded
	tried    int
	fail     func(store.Change) error
	snapshot func(store.Snapshot) store.Snapshot
}

func (s *watched) Commit(ctx context.Context, c store.Change) error {
	s.mu.Lock()
	fail := s.fail
	s.tried++
	s.mu.Unlock()
	if fail != nil {
		if err := fail(c); err != nil {
			return err
		}
	}
	if err := s.Store.Commit(ctx, c); err != nil {
		return err
	}
	s.mu.Lock()
	s.commits = append(s.commits, slices.Clone(c.Records))
	s.mu.Unlock()
	return nil
}

func (s *watched) Snapshot(ctx context.Context) (store.Snapshot, error) {
	snap, err := s.Store.Snapshot(ctx)
	if err == nil && s.snapshot != nil {
		snap = s.snapshot(snap)
	}
	return snap, err
}

func (s *watched) failing(f func(store.Change) error) {
	s.mu.Lock()
	s.fail = f
	s.mu.Unlock()
}

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := county(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

func newWorld(t *testing.T) *world { return newWorldWith(t, exchange.Config{}) }

func newWorldWith(t *testing.T, cfg exchange.Config) *world {
	t.Helper()
	from, err := county()
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(filepath.Join(dir, "s"), os.DirFS(from)))
	s, err := sqlite.Open(t.Context(), filepath.Join(dir, "s", "county.db"), sqlite.Options{Readers: 4})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	w := &world{t: t, ctx: context.Background(), store: &watched{Store: s}}
	w.Desk, err = newDesk(w.store, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { repeated(t, s) })
	return w
}

// as is a caller: "nurse@jukola-ehr", or a system without a user.
func as(who string, with ...func(*exchange.Caller)) exchange.Caller {
	user, app, both := strings.Cut(who, "@")
	if !both {
		user, app = "", who
	}
	actor, ok := registry().Actor(app, user)
	if !ok {
		panic("nobody is registered as " + who)
	}
	c := exchange.Caller{Actor: actor, Purpose: consent.Care, Allows: func(string, exchange.Interaction) bool { return true }}
	for _, f := range with {
		f(&c)
	}
	return c
}

const (
	nurse     = "nurse@jukola-ehr"
	doctor    = "doctor@jukola-ehr"
	worker    = "social-worker@county-social"
	counsel   = "counsellor@county-social"
	physician = "physician@private-clinic"
	aino      = "aino@omaks"
)

// records are the commits' records made by f.
func (w *world) records(f func()) [][]ledger.Record {
	w.store.mu.Lock()
	n := len(w.store.commits)
	w.store.mu.Unlock()
	f()
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	return slices.Clone(w.store.commits[n:])
}

// flat are all records of commits.
func flat(commits [][]ledger.Record) []ledger.Record { return slices.Concat(commits...) }

func doc(t testing.TB, text string) *fhir.Value {
	t.Helper()
	v, err := fhir.Parse([]byte(text), fhir.DefaultLimits)
	require.NoError(t, err, text)
	return v
}

func create(t testing.TB, text string, urn ...string) exchange.Op {
	v := doc(t, text)
	op := exchange.Op{Interaction: exchange.Create, Type: fhir.ResourceType(v), Doc: v}
	if len(urn) > 0 {
		op.FullURL = urn[0]
	}
	return op
}

func update(t testing.TB, id, text string) exchange.Op {
	op := create(t, text)
	op.Interaction, op.ID = exchange.Update, id
	return op
}

func remove(typ, id string) exchange.Op {
	return exchange.Op{Interaction: exchange.Delete, Type: typ, ID: id}
}

// put writes one resource, which must succeed, and answers it.
func (w *world) put(who, text string) exchange.Resource {
	w.t.Helper()
	out, err := w.Transact(w.ctx, as(who), []exchange.Op{create(w.t, text)})
	require.NoError(w.t, err)
	return out[0].Resource
}

func query(t testing.TB, typ, params string) *search.Query {
	t.Helper()
	var pairs []search.Pair
	for _, pair := range strings.Split(params, "&") {
		if name, value, ok := strings.Cut(pair, "="); ok {
			pairs = append(pairs, search.Pair{Name: name, Value: value})
		}
	}
	q, err := search.Parse(typ, pairs, search.Options{Base: base, DefaultCount: 50, MaxCount: 200})
	require.NoError(t, err)
	return q
}

// found are the references of a search's matches.
func (w *world) found(who, typ, params string) []string {
	w.t.Helper()
	page, err := w.Search(w.ctx, as(who), query(w.t, typ, params))
	require.NoError(w.t, err)
	return refs(page.Matches)
}

func refs(rows []exchange.Resource) []string {
	out := []string{}
	for _, r := range rows {
		out = append(out, r.Type+"/"+r.ID)
	}
	return out
}

func kind(err error) exchange.ErrorKind {
	var refusal *exchange.Error
	if errors.As(err, &refusal) {
		return refusal.Kind
	}
	return 0
}

// observation of a client, issued on a day.
func observation(client, day string) string {
	return `{"resourceType":"Observation","status":"final","code":{"text":"RR"},"subject":{"reference":"Patient/` + client + `"},"issued":"` + day + `T10:00:00Z","valueString":"secret"}`
}

// episode of a client in a unit; "" names none.
func episode(client, unit, status string) string {
	named := ""
	if unit != "" {
		named = `"managingOrganization":{"reference":"` + unit + `"},`
	}
	return `{"resourceType":"EpisodeOfCare","status":"` + status + `",` + named + `"patient":{"reference":"Patient/` + client + `"},"period":{"start":"2025-01-01"}}`
}

// directive is a transaction of a Consent and its Provenance, as a professional records it.
func directive(t testing.TB, who, client, consentText string) []exchange.Op {
	actor := as(who).Actor
	agents := `{"type":{"coding":[{"system":"http://gen.kanta.fi/figen-cs-provenancerolecategory","code":"12"}]},"who":{"reference":"Patient/` + client + `"}}`
	if actor.Kind == consent.Professional {
		agents += `,{"type":{"coding":[{"system":"http://gen.kanta.fi/figen-cs-provenancerolecategory","code":"2"}]},"who":{"reference":"` + actor.Person + `"}}` +
			`,{"type":{"coding":[{"system":"http://gen.kanta.fi/figen-cs-provenancerolecategory","code":"7"}]},"who":{"reference":"` + actor.Unit + `"}}`
	}
	return []exchange.Op{
		create(t, consentText, "urn:uuid:0c1"),
		create(t, `{"resourceType":"Provenance","target":[{"reference":"urn:uuid:0c1"}],"recorded":"2026-01-01T00:00:00Z","agent":[`+agents+`]}`),
	}
}

// give records a directive and answers the Consent's id.
func (w *world) give(who, client, consentText string) string {
	w.t.Helper()
	out, err := w.Transact(w.ctx, as(who), directive(w.t, who, client, consentText))
	require.NoError(w.t, err)
	return out[0].ID
}

// facts are what is known of a client.
func (w *world) facts(client string) *consent.Facts {
	w.t.Helper()
	snap, err := w.store.Store.Snapshot(w.ctx)
	require.NoError(w.t, err)
	defer snap.Close()
	facts, err := snap.Facts(w.ctx, client)
	require.NoError(w.t, err)
	return facts[client]
}

// row is a row as it lies in the store.
func (w *world) row(typ, id string) store.Row {
	w.t.Helper()
	snap, err := w.store.Store.Snapshot(w.ctx)
	require.NoError(w.t, err)
	defer snap.Close()
	row, err := snap.Get(w.ctx, typ, id)
	require.NoError(w.t, err)
	return row
}

func needAssessment(c *exchange.Caller) {
	c.Purpose = consent.NeedAssessment
	c.Assertion = consent.Assertion{Task: "need-assessment", Service: "working-age", Ground: "ATL-53.5b", Reason: "assessment"}
}
