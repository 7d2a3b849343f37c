package sqlstore

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"sotesilta/consent/ledger"
	"sotesilta/gateway/store"
)

// nodeBits is how many bits of an entry's key are its count; those above are the number of the node.
const nodeBits = 40

// maxNode is the highest number of a node of the ledger; the lowest is 1.
const maxNode = 1<<22 - 1

// nodeName is what a node is called in the entries that it writes. Its number is a part of the name, so that the chain,
// and with it the tree, is over the number too.
func nodeName(no int64, id string) string { return strconv.FormatInt(no, 10) + "-" + id }

// entryKey is the key of a node's count-th entry.
func entryKey(node, count int64) int64 { return node<<nodeBits | count }

// spanKeys are the keys of a range of a node's entries; false when it is none.
func spanKeys(s store.Span) (first, last int64, ok bool) {
	number, _, named := strings.Cut(s.Node, "-")
	no, err := strconv.ParseInt(number, 10, 64)
	if err != nil || !named || no < 1 || no >= 1<<(63-nodeBits) || s.First < 1 || s.Last < s.First || s.Last >= 1<<nodeBits {
		return 0, 0, false
	}
	return entryKey(no, s.First), entryKey(no, s.Last), true
}

// EraseSQL is the statement, with two arguments written by arg, that takes content, salt and columns from the entries of
// a range of keys. What stays is what the tree and the chains are made of.
func EraseSQL(arg func(n int) string) string {
	set := []string{"salt = NULL", "canonical = NULL"}
	for _, name := range ColumnNames() {
		set = append(set, name+" = ''")
	}
	return "UPDATE ledger_entry SET " + strings.Join(set, ", ") + " WHERE entry BETWEEN " + arg(1) + " AND " + arg(2)
}

// chain is where a node's chain of ledger entries stands.
type chain struct {
	node  string // id: random, of this run of the store
	no    int64  // number of the node in the table ledger_node; 0 while it has none
	name  string // of number and id; "" while it has no number
	count int64
	prev  [32]byte
}

// look tells what must be known to settle jobs. Interned numbers that are known already are not asked for.
func (s *Store) look(jobs []*job, now time.Time) *Look {
	l := &looking{s: s, Look: Look{Now: millis(now)}}
	records := 0
	for _, j := range jobs {
		records += len(j.records)
		l.expected(j)
		l.written(j)
	}
	if records > 0 && s.chain.no == 0 {
		l.Node = s.chain.node
	}
	return &l.Look
}

// looking is a Look under construction.
type looking struct {
	Look
	s                                    *Store
	rows, lockRows, put                  set[RowKey]
	clients, lockClients, keys, lockKeys set[string]
	absent, created, onces, classes      set[string]
	params                               set[ParamKey]
}

// expected adds what a job expects.
func (l *looking) expected(j *job) {
	for _, e := range j.change.Expect {
		name := ""
		switch {
		case e.Client != "":
			l.clients.add(&l.Clients, e.Client)
			if j.writing {
				l.lockClients.add(&l.LockClients, e.Client)
			}
			name = clientName(e.Client)
		case e.Key != "":
			l.keys.add(&l.Keys, e.Key)
			if j.writing {
				l.lockKeys.add(&l.LockKeys, e.Key)
			}
			name = keyName(e.Key)
		default:
			key := RowKey{e.Type, e.ID}
			l.rows.add(&l.Rows, key)
			if j.writing {
				l.lockRows.add(&l.LockRows, key)
			}
			name = rowName(key)
		}
		if j.writing && e.Version == 0 {
			l.absent.add(&l.Absent, name)
		}
	}
}

// written adds what a job writes.
func (l *looking) written(j *job) {
	c := j.change
	for i := range c.Put {
		r := &c.Put[i]
		key := RowKey{r.Type, r.ID}
		l.rows.add(&l.Rows, key)
		l.NewVersions++
		if r.Version == 1 {
			l.NewRows++
			l.created.add(&l.Created, rowName(key))
		} else {
			l.lockRows.add(&l.LockRows, key)
			l.put.add(&l.Put, key)
		}
		if class := j.puts[i].class; l.s.names.class(class) == 0 && l.classes.add(nil, class) {
			text, _ := json.Marshal(r.Class) // texts and booleans always marshal
			l.Classes = append(l.Classes, Interned{class, string(text), r.Class})
		}
		last := ""
		for _, x := range j.puts[i].index {
			if x.param != last {
				last = x.param
				if key := (ParamKey{r.Type, last}); l.s.names.param(key) == 0 {
					l.params.add(&l.Params, key)
				}
			}
		}
	}
	for _, f := range c.Facts {
		l.clients.add(&l.Clients, f.Client)
		if f.Version == 1 {
			l.created.add(&l.Created, clientName(f.Client))
		} else {
			l.lockClients.add(&l.LockClients, f.Client)
		}
	}
	for _, k := range c.Keys {
		l.keys.add(&l.Keys, k)
		l.lockKeys.add(&l.LockKeys, k)
		l.created.add(&l.Created, keyName(k))
	}
	for _, o := range c.Once {
		l.onces.add(&l.Once, o.Key)
	}
}

// set remembers what was added.
type set[T comparable] map[T]struct{}

// add appends v to list, if given, unless it was added before; it says whether it was new.
func (s *set[T]) add(list *[]T, v T) bool {
	if _, ok := (*s)[v]; ok {
		return false
	}
	if *s == nil {
		*s = set[T]{}
	}
	(*s)[v] = struct{}{}
	if list != nil {
		*list = append(*list, v)
	}
	return true
}

// rowState is a row as it stands after the jobs that were settled.
type rowState struct {
	Current
	existed bool // before the batch
	vid     int64
	put     *store.Row // the newest version of the batch; nil when none
	ready   *put
}

// settling is the settling of one batch.
type settling struct {
	s       *Store
	there   *There
	rows    map[RowKey]*rowState
	changed []*rowState
	clients map[string]int64
	keys    map[string]int64
	used    map[string]bool
	related set[Relation]
	chain   chain
	now     time.Time
	w       Writes
}

// settle decides, one job after the other, which hold, sets the err of the others, and gives what the former write.
// It gives nil when none holds. The chain it answers is that after the writes.
func (s *Store) settle(jobs []*job, there *There, now time.Time) (*Writes, chain) {
	t := &settling{
		s: s, there: there, now: now, chain: s.chain,
		rows: make(map[RowKey]*rowState, len(there.Rows)), clients: map[string]int64{}, keys: map[string]int64{},
		used: map[string]bool{}, related: set[Relation]{},
	}
	if there.Node != 0 {
		t.chain.no, t.chain.name = there.Node, nodeName(there.Node, t.chain.node)
	}
	t.w.Now = millis(now)
	any := false
	for _, j := range jobs {
		if j.err = t.check(j); j.err == nil {
			t.apply(j)
			any = true
		}
	}
	if !any {
		return nil, s.chain
	}
	t.finish()
	return &t.w, t.chain
}

// row is the state of a row; never nil.
func (t *settling) row(key RowKey) *rowState {
	r := t.rows[key]
	if r == nil {
		current, ok := t.there.Rows[key]
		r = &rowState{Current: current, existed: ok}
		t.rows[key] = r
	}
	return r
}

// facts is the version of a client's facts, and whether it was there before the batch.
func (t *settling) facts(client string) int64 {
	if v, ok := t.clients[client]; ok {
		return v
	}
	return t.there.Clients[client]
}

func (t *settling) key(key string) int64 {
	if v, ok := t.keys[key]; ok {
		return v
	}
	return t.there.Keys[key]
}

// check says whether a job holds: nil, ErrStale or ErrUsed.
func (t *settling) check(j *job) error {
	c := j.change
	for _, e := range c.Expect {
		var version int64
		switch {
		case e.Client != "":
			version = t.facts(e.Client)
		case e.Key != "":
			version = t.key(e.Key)
		default:
			version = t.row(RowKey{e.Type, e.ID}).Version
		}
		if version != e.Version {
			return store.ErrStale
		}
	}
	for i := range c.Put {
		if r := &c.Put[i]; t.row(RowKey{r.Type, r.ID}).Version != r.Version-1 {
			return store.ErrStale
		}
	}
	for _, f := range c.Facts {
		if t.facts(f.Client) != f.Version-1 {
			return store.ErrStale
		}
	}
	for _, o := range c.Once {
		if t.used[o.Key] || t.there.Once[o.Key] {
			return store.ErrUsed
		}
	}
	return nil
}

// apply adds what a job writes.
func (t *settling) apply(j *job) {
	c := j.change
	for i := range c.Put {
		t.put(&c.Put[i], &j.puts[i])
	}
	for i, f := range c.Facts {
		t.clients[f.Client] = f.Version
		t.w.Facts = append(t.w.Facts, FactsRow{f.Client, f.Version, j.facts[i]})
		for _, r := range relations(f) {
			t.related.add(&t.w.Relations, r)
		}
	}
	for _, k := range c.Keys {
		t.keys[k] = t.key(k) + 1
	}
	for _, o := range c.Once {
		t.used[o.Key] = true
		t.w.Once = append(t.w.Once, OnceRow{o.Key, millis(o.Until)})
	}
	for _, e := range c.Events {
		t.w.Events = append(t.w.Events, EventRow{e.Type, e.ID, e.Version, e.Interaction, millis(e.Time), e.Record})
	}
	t.w.Erased = append(t.w.Erased, j.erased...)
	for i := range j.records {
		r := &j.records[i]
		t.chain.count++
		e := ledger.NewEntry(t.chain.name, t.chain.count, t.chain.prev, r.salt, r.canonical)
		e.Columns = r.listed
		t.chain.prev = e.Chain
		t.w.Entries = append(t.w.Entries, EntryRow{
			Key: entryKey(t.chain.no, t.chain.count), Entry: e, Columns: r.columns,
		})
	}
}

func (t *settling) put(r *store.Row, ready *put) {
	row := t.row(RowKey{r.Type, r.ID})
	if row.Rid == 0 {
		row.Rid = t.there.NextRow()
	}
	if row.put == nil {
		t.changed = append(t.changed, row)
	}
	row.Version, row.Deleted = r.Version, r.Deleted
	row.vid, row.put, row.ready = t.there.NextVersion(), r, ready
	v := VersionRow{
		Vid: row.vid, Rid: row.Rid, Version: r.Version, Class: t.class(ready.class),
		Recorded: millis(r.Recorded), Updated: millis(r.Updated), Method: r.Method, Body: r.Body,
	}
	if r.Deleted {
		v.Deleted = 1
	}
	t.w.Versions = append(t.w.Versions, v)
}

func (t *settling) class(key string) int64 {
	if no := t.s.names.class(key); no != 0 {
		return no
	}
	return t.there.Classes[key]
}

func (t *settling) param(key ParamKey) int64 {
	if no := t.s.names.param(key); no != 0 {
		return no
	}
	return t.there.Params[key]
}

// finish adds what depends on the last version only.
func (t *settling) finish() {
	for _, row := range t.changed {
		r := row.put
		out := ResourceRow{
			Rid: row.Rid, Version: row.Version, Vid: row.vid, Class: t.class(row.ready.class), Type: r.Type, ID: r.ID,
			Recorded: millis(r.Recorded), Updated: millis(r.Updated),
		}
		if r.Deleted {
			out.Deleted = 1
		}
		if row.existed {
			t.w.Updated = append(t.w.Updated, out)
		} else {
			t.w.Inserted = append(t.w.Inserted, out)
		}
		after := make([]IndexRow, len(row.ready.index))
		for i, x := range row.ready.index {
			after[i] = x.row
			after[i].Rid, after[i].Param = row.Rid, t.param(ParamKey{r.Type, x.param})
		}
		slices.SortFunc(after, place)
		t.w.Dropped, t.w.Added = diff(t.there.Index[row.Rid], after, t.w.Dropped, t.w.Added)
	}
	for client, version := range t.clients {
		t.w.Clients = append(t.w.Clients, Counter{client, version, t.there.Clients[client] == 0})
	}
	for key, version := range t.keys {
		t.w.Keys = append(t.w.Keys, Counter{key, version, t.there.Keys[key] == 0})
	}
	// In one order everywhere, so that several writers do not wait for each other in a ring.
	byName := func(a, b Counter) int { return strings.Compare(a.Name, b.Name) }
	slices.SortFunc(t.w.Clients, byName)
	slices.SortFunc(t.w.Keys, byName)
	slices.SortFunc(t.w.Once, func(a, b OnceRow) int { return strings.Compare(a.Key, b.Key) })
	slices.SortFunc(t.w.Relations, func(a, b Relation) int {
		return cmp.Or(strings.Compare(a.Party, b.Party), strings.Compare(a.Client, b.Client))
	})
}
