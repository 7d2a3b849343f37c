package exchange

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/search"
	"sotesilta/gateway/store"
	"sotesilta/gateway/store/turns"
	"sotesilta/internal/constraints"
	"sotesilta/internal/fhir"
)

// snapshotLife is how long after its opening a snapshot may still answer (law 4): an answer that took longer is
// thrown away, because a change of mind may have been committed meanwhile.
const snapshotLife = 2 * time.Second

// attempts is how often a change that went stale is decided anew before the caller is told of the conflict.
const attempts = 8

// Config is what a Desk needs. Store, Law and Person are required.
type Config struct {
	Store  store.Store
	Law    consent.Decider
	Person Person
	Rules  Rules // nil: no process governs changes
	// Profiles are those that a resource is held to when it claims them in meta.profile; others are kept as they are claimed.
	Profiles constraints.Profiles
	// Bases are the FHIR base URLs of this gateway, without a trailing slash: references to them are references here.
	Bases []string
	// Sequencer says how far the ledger's tree lags behind; an error stops all exchanges (Unrecorded).
	Sequencer func() error
	Tree      *ledger.Tree // that proofs are made by; nil: one of the store's ledger
	// Changed is told the type of each resource that changed, when its event is durable. It must not block.
	Changed func(typ string)
	Log     *slog.Logger
	Now     func() time.Time
	// Wait is how an answer that says no waits for its mark: for so long, or until the context ends. It is for tests.
	Wait func(context.Context, time.Duration)
}

// Desk is the door. It holds no state beside its configuration and is safe for concurrent use.
type Desk struct {
	store     store.Store
	law       consent.Decider
	person    Person
	rules     Rules
	profiles  constraints.Profiles
	bases     []string
	sequencer func() error
	tree      *ledger.Tree
	beside    *turns.Turns // of openBeside
	changed   func(typ string)
	log       *slog.Logger
	now       func() time.Time
	paces     sync.Map // *pace by pacing: registered API clients by interactions, so they are few
	wait      func(context.Context, time.Duration)
}

// New makes a Desk.
func New(cfg Config) (*Desk, error) {
	if cfg.Store == nil || cfg.Law == nil || cfg.Person == nil {
		return nil, errors.New("exchange: a desk needs a store, the law and the register of persons")
	}
	d := &Desk{
		store: cfg.Store, law: cfg.Law, person: cfg.Person, rules: cfg.Rules, profiles: cfg.Profiles, bases: cfg.Bases,
		sequencer: cfg.Sequencer, tree: cfg.Tree, beside: turns.New(besides, besideWait), changed: cfg.Changed, log: cfg.Log, now: cfg.Now, wait: cfg.Wait,
	}
	if d.tree == nil {
		d.tree = ledger.NewTree(cfg.Store.Ledger())
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	if d.now == nil {
		d.now = time.Now
	}
	if d.wait == nil {
		d.wait = wait
	}
	if d.sequencer == nil {
		d.sequencer = func() error { return nil }
	}
	return d, nil
}

// Ready says whether exchanges can be recorded and served now.
func (d *Desk) Ready(ctx context.Context) error {
	if err := d.store.Ping(ctx); err != nil {
		return err
	}
	return d.sequencer()
}

// Reindex brings the index of every row to the edition of this gateway's search parameters, and answers how many rows
// changed. It is done before serving: a search by a new parameter would not find what an older gateway wrote.
func (d *Desk) Reindex(ctx context.Context) (int, error) {
	return d.store.Reindex(ctx, search.Edition(), func(body []byte) search.Index {
		doc, err := fhir.Parse(body, fhir.DefaultLimits)
		if err != nil {
			return search.Index{Over: true} // keeps the index it has
		}
		return search.Extract(doc, d.bases...)
	})
}

// open opens a snapshot after checking that what it yields could be recorded.
func (d *Desk) open(ctx context.Context) (store.Snapshot, error) {
	if err := d.sequencer(); err != nil {
		return nil, unrecorded(err)
	}
	snap, err := d.store.Snapshot(ctx)
	if err != nil {
		return nil, unrecorded(err)
	}
	return snap, nil
}

// besides are how many exchanges may be under way that read the store beside the snapshot they hold. They are fewer than the
// connections that read, so that what they wait for is never all held by themselves.
const besides = 4

// besideWait is how long one of them waits for its turn.
const besideWait = 5 * time.Second

// openBeside is open for an exchange that, before it closes its snapshot, reads the store by another one or the ledger.
func (d *Desk) openBeside(ctx context.Context) (store.Snapshot, error) {
	if err := d.beside.Take(ctx); err != nil {
		return nil, d.failed(err)
	}
	snap, err := d.open(ctx)
	if err != nil {
		d.beside.Give()
		return nil, err
	}
	return &besideSnapshot{Snapshot: snap, give: sync.OnceFunc(d.beside.Give)}, nil
}

// besideSnapshot gives its turn back when it is closed.
type besideSnapshot struct {
	store.Snapshot
	give func()
}

func (s *besideSnapshot) Close() error {
	defer s.give()
	return s.Snapshot.Close()
}

// Asking tells whom the requests under a context are of: API clients that wait for the store take turns.
func Asking(ctx context.Context, app string) context.Context { return turns.For(ctx, app) }

// clock is the time of an exchange: UTC milliseconds, as records and meta.lastUpdated keep it.
func (d *Desk) clock() time.Time { return d.now().UTC().Truncate(time.Millisecond) }

// complete gives a Caller a request id, which becomes the id of the first record, and the law that its whole exchange is
// decided by, whatever comes into force meanwhile.
func (d *Desk) complete(c Caller) Caller {
	if c.law == nil {
		c.law = d.current()
	}
	if c.RequestID == "" {
		c.RequestID = ledger.NewID()
	}
	if c.Purpose == "" {
		c.Purpose = consent.Care
	}
	return c
}

// current is the law in force now.
func (d *Desk) current() consent.Decider {
	if changing, ok := d.law.(interface{ Current() consent.Decider }); ok {
		return changing.Current()
	}
	return d.law
}

// allowed refuses what the token's scopes do not allow. The refusal says nothing of any client.
func allowed(c Caller, typ string, i Interaction) error {
	if c.Allows != nil && c.Allows(typ, i) {
		return nil
	}
	return Refuse(Forbidden, "forbidden", "",
		"The access token's scopes do not allow "+string(i)+" on "+typ+". Ask the token endpoint for a wider scope.")
}

// commit makes the records of a read durable, and checks that its snapshot is still young enough to answer from.
func (d *Desk) commit(ctx context.Context, opened time.Time, records ...ledger.Record) error {
	change, err := d.owed(ctx, records)
	if err != nil {
		return err
	}
	err = d.put(ctx, change)
	for again := 0; errors.Is(err, store.ErrStale) && again < attempts; again++ { // another answer made the same Task
		if change, err = d.owed(ctx, records); err != nil {
			return err
		}
		err = d.put(ctx, change)
	}
	if err != nil {
		return d.failed(err)
	}
	if d.now().Sub(opened) > snapshotLife {
		return &Error{Kind: Busy, Entry: -1, Issues: []fhir.Issue{{
			Severity: "error", Code: "timeout", Diagnostics: "The answer took too long to be released lawfully. Try again.",
		}}}
	}
	return nil
}

// put commits a change and tells who waits for its events that they are there.
func (d *Desk) put(ctx context.Context, c store.Change) error {
	err := d.store.Commit(ctx, c)
	if err == nil && d.changed != nil {
		for i := range c.Events {
			d.changed(c.Events[i].Type)
		}
	}
	return err
}

// failed turns an error of the store into a refusal.
func (d *Desk) failed(err error) error {
	var refusal *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refusal):
		return err
	case errors.Is(err, store.ErrBusy):
		return &Error{Kind: Busy, Entry: -1, Err: err, Issues: []fhir.Issue{{
			Severity: "error", Code: "throttled", Diagnostics: "Too many exchanges wait to be recorded. Try again in a moment.",
		}}}
	case errors.Is(err, store.ErrTooCostly):
		return Refuse(TooCostly, "too-costly", "",
			"The search reaches too many clients to be decided on. Narrow it, for example to one patient.")
	case errors.Is(err, store.ErrTexts):
		return Refuse(TooCostly, "too-costly", "", "Words are looked for in at most "+strconv.Itoa(MaxTexts)+" resources, and in "+
			strconv.Itoa(TextBytes>>20)+" MB of them. Narrow the search by other parameters, such as patient, _id, identifier or a date.")
	case errors.Is(err, store.ErrCursor):
		return Refuse(Invalid, "invalid", "", "The page link is damaged or not ours. Start again from the first page.")
	default:
		return unrecorded(err)
	}
}

// unrecorded is the refusal when the record, the decision or the store is missing: no data leaves (law 3).
func unrecorded(err error) *Error {
	return &Error{Kind: Unrecorded, Entry: -1, Err: err, Issues: []fhir.Issue{{
		Severity: "error", Code: "exception", Diagnostics: "The exchange could not be recorded, so nothing was done. Try again later.",
	}}}
}

// absent is the one answer to what does not exist and to what is denied.
func absent(typ, id string) *Error {
	return Refuse(Absent, "not-found", "", typ+"/"+id+" is not known.")
}
