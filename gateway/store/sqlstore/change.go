package sqlstore

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/store"
)

// columns are the columns of ledger_entry that repeat members of a record, with their names in ledger.Columns.
// Those that come more than once are kept as a JSON list, in the order of ledger.Columns.
var columns = [...]struct {
	Name string // in the table
	Of   string // in the record
	Many bool
}{
	{"id", ledger.ColumnID, false},
	{"exchange", ledger.ColumnExchange, false},
	{"time", ledger.ColumnTime, false},
	{"interaction", ledger.ColumnInteraction, false},
	{"outcome", ledger.ColumnOutcome, false},
	{"client", ledger.ColumnClient, false},
	{"controller", ledger.ColumnController, false},
	{"actor_controller", ledger.ColumnActorController, false},
	{"app", ledger.ColumnApp, false},
	{"recipient", ledger.ColumnRecipient, false},
	{"user_id", ledger.ColumnUser, false},
	{"person", ledger.ColumnPerson, false},
	{"role", ledger.ColumnRole, false},
	{"basis", ledger.ColumnBasis, true},
	{"target", ledger.ColumnTarget, true},
}

// ColumnNames are the columns of ledger_entry that EntryRow.Columns fills, in its order.
func ColumnNames() []string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
	}
	return names
}

// columnPlace finds a column by its name in ledger.Columns.
var columnPlace = func() map[string]int {
	m := make(map[string]int, len(columns))
	for i, c := range columns {
		m[c.Of] = i
	}
	return m
}()

// entryColumns spreads the columns of a record over the columns of the table.
func entryColumns(list []ledger.Column) (out [len(columns)]string, err error) {
	var many [len(columns)][]string
	for _, c := range list {
		i, ok := columnPlace[c.Name]
		switch {
		case !ok:
			return out, fmt.Errorf("sqlstore: no column for %q of a record", c.Name)
		case columns[i].Many:
			many[i] = append(many[i], c.Value)
		default:
			out[i] = c.Value
		}
	}
	for i, values := range many {
		if values != nil {
			out[i] = listText(values)
		}
	}
	return out, nil
}

// columnsOf is the reverse of entryColumns. damaged names the columns that hold no list as listText writes it; the others
// are told all the same, so that Verify blames none of them.
func columnsOf(row [len(columns)]string) (out []ledger.Column, damaged []string) {
	out = make([]ledger.Column, 0, len(columns)+2)
	for i, value := range row {
		if value == "" {
			continue
		}
		if !columns[i].Many {
			out = append(out, ledger.Column{Name: columns[i].Of, Value: value})
			continue
		}
		values, ok := listed(value)
		if !ok {
			damaged = append(damaged, columns[i].Name)
		}
		for _, v := range values {
			out = append(out, ledger.Column{Name: columns[i].Of, Value: v})
		}
	}
	return out, damaged
}

// listed reads a list as listText writes it, and nothing else.
func listed(text string) (values []string, ok bool) {
	if inner, ok := strings.CutPrefix(text, `["`); ok {
		if inner, ok = strings.CutSuffix(inner, `"]`); ok {
			values = strings.Split(inner, `","`)
			if !slices.ContainsFunc(values, func(v string) bool { return !plain(v) }) {
				return values, true
			}
		}
	}
	err := json.Unmarshal([]byte(text), &values)
	return values, err == nil && listText(values) == text
}

// listText is a JSON list of texts; quoted finds one of them in it.
func listText(values []string) string {
	size := 2
	for _, v := range values {
		if size += len(v) + 3; !plain(v) {
			b, _ := json.Marshal(values) // texts always marshal
			return string(b)
		}
	}
	b := append(make([]byte, 0, size), '[')
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, '"'), v...), '"')
	}
	return string(append(b, ']'))
}

// plain says whether JSON writes a text as it is.
func plain(text string) bool {
	for i := range len(text) {
		switch c := text[i]; {
		case c < ' ', c >= utf8.RuneSelf, c == '"', c == '\\', c == '<', c == '>', c == '&':
			return false
		}
	}
	return true
}

func quoted(value string) string {
	b, _ := json.Marshal(value)
	return string(b)
}

// The states of a job.
const (
	waiting int32 = iota
	taken         // by the writer: its outcome is the answer
	dropped       // by who waited for it: nothing is committed
)

// job is a change that waits for the writer, with all that can be made ready without the database.
type job struct {
	change  *store.Change
	writing bool // more than records
	puts    []put
	facts   []string // JSON, per Change.Facts
	records []record
	erased  [][2]int64 // keys of entries, both ends inside

	state atomic.Int32
	err   error
	done  chan struct{}
}

// put is a row to be put.
type put struct {
	class string // key
	index []named
}

// record is a record made ready for the ledger.
type record struct {
	canonical, salt []byte
	columns         [len(columns)]string
	listed          []ledger.Column // the same as ledger.Columns gives them
}

// prepare checks a change and makes it ready.
func prepare(c *store.Change) (*job, error) {
	j := &job{change: c, done: make(chan struct{})}
	j.writing = len(c.Put)+len(c.Facts)+len(c.Keys)+len(c.Events)+len(c.Once)+len(c.Erase) > 0
	needless := len(c.Put)+len(c.Facts)+len(c.Keys)+len(c.Events)+len(c.Erase) == 0 && len(c.Once) > 0
	if len(c.Records) == 0 && !needless {
		return nil, store.ErrUnrecorded
	}
	for _, e := range c.Expect {
		forms := 0
		if e.Type != "" || e.ID != "" {
			forms++
		}
		if e.Client != "" {
			forms++
		}
		if e.Key != "" {
			forms++
		}
		if forms != 1 {
			return nil, fmt.Errorf("sqlstore: an expectation of %d forms", forms)
		}
	}
	if err := distinct(c); err != nil {
		return nil, err
	}
	for _, s := range c.Erase {
		from, to, ok := spanKeys(s)
		if !ok {
			return nil, fmt.Errorf("sqlstore: entries %d to %d of %q cannot be erased: not a range of a node's counts", s.First, s.Last, s.Node)
		}
		j.erased = append(j.erased, [2]int64{from, to})
	}
	j.puts = make([]put, len(c.Put))
	for i := range c.Put {
		r := &c.Put[i]
		if r.Type == "" || r.ID == "" || r.Version < 1 || r.Deleted != (r.Body == nil) || r.Class.Type != r.Type || clean(r.ID) != r.ID {
			return nil, fmt.Errorf("sqlstore: %s/%s: not a version of a row", r.Type, r.ID)
		}
		j.puts[i].class = r.Class.Key()
		if !r.Deleted {
			j.puts[i].index = indexRows(&r.Index)
		}
	}
	j.facts = make([]string, len(c.Facts))
	for i, f := range c.Facts {
		if f == nil || f.Client == "" || f.Version < 1 {
			return nil, fmt.Errorf("sqlstore: facts without a client or version")
		}
		b, err := json.Marshal(f)
		if err != nil {
			return nil, fmt.Errorf("sqlstore: facts: %w", err)
		}
		j.facts[i] = string(b)
	}
	j.records = make([]record, len(c.Records))
	for i := range c.Records {
		r := &c.Records[i]
		listed := ledger.Columns(r)
		cols, err := entryColumns(listed)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", store.ErrUnrecorded, err)
		}
		j.records[i] = record{canonical: r.Canonical(), salt: ledger.NewSalt(), columns: cols, listed: listed}
	}
	return j, nil
}

// distinct refuses a change that writes a row or a client's facts twice, or uses a key twice, and counts each of its
// Keys once.
func distinct(c *store.Change) error {
	if len(c.Put) > 1 {
		rows := make(set[RowKey], len(c.Put))
		for i := range c.Put {
			if !rows.add(nil, RowKey{c.Put[i].Type, c.Put[i].ID}) {
				return fmt.Errorf("sqlstore: %s/%s is put twice in one change", c.Put[i].Type, c.Put[i].ID)
			}
		}
	}
	if len(c.Facts) > 1 {
		clients := make(set[string], len(c.Facts))
		for _, f := range c.Facts {
			if f != nil && !clients.add(nil, f.Client) {
				return fmt.Errorf("sqlstore: the facts of a client are put twice in one change")
			}
		}
	}
	if len(c.Once) > 1 {
		keys := make(set[string], len(c.Once))
		for _, o := range c.Once {
			if !keys.add(nil, o.Key) {
				return store.ErrUsed
			}
		}
	}
	if len(c.Keys) > 1 {
		keys := slices.Clone(c.Keys) // the caller's own stay as they are
		slices.Sort(keys)
		c.Keys = slices.Compact(keys)
	}
	return nil
}

// relations are the parties that facts tell of.
func relations(f *consent.Facts) []Relation {
	var out []Relation
	for _, r := range f.Relationships {
		for _, party := range [...]string{r.Unit, r.Person} {
			if party != "" && !strings.ContainsRune(party, 0) {
				out = append(out, Relation{party, f.Client})
			}
		}
	}
	return out
}
