package sqlstore

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sotesilta/consent/ledger"
	"sotesilta/gateway/store"
)

// entryColumnsSQL are what an entryScan reads, of an entry e, its node n and, if it has one, its leaf l.
var entryColumnsSQL = "e.entry, n.node, coalesce(l.seq, -1), e.prev, e.commitment, e.chain, e.salt, e.canonical, e." +
	strings.Join(ColumnNames(), ", e.")

// nodeOf spells the number of the node of an entry e. A shift is the same on both engines.
const nodeOf = "(e.entry >> 40)"

// known keeps to entries that Verify reads: with a count, of a node that is named.
const known = "(e.entry & 1099511627775) > 0 AND EXISTS (SELECT 1 FROM ledger_node k WHERE k.no = " + nodeOf + " AND k.no BETWEEN 1 AND 4194303 LIMIT 1 OFFSET 0)"

// entryFrom joins an entry e with its node and its leaf.
const entryFrom = " CROSS JOIN ledger_node n LEFT JOIN ledger_leaf l ON l.entry = e.entry"

// fixedColumns are how many of entryColumnsSQL come before the list columns.
const fixedColumns = 8

// entryScan reads entries, one after the other.
type entryScan struct {
	values   [fixedColumns + len(columns)]any
	dest     []any
	key, seq int64
	// The name of the node of the entry before, which is mostly that of the next as well.
	no       int64
	id, name string
}

func newEntryScan() *entryScan {
	s := new(entryScan)
	s.dest = make([]any, len(s.values))
	for i := range s.values {
		s.dest[i] = &s.values[i]
	}
	s.dest[0], s.dest[2] = &s.key, &s.seq
	return s
}

// next reads an entry as it lies there. What is not as a store writes it, as after tampering (SQLite keeps any kind of
// value in any column), is told in Damage, so that Verify names the entry instead of failing.
func (s *entryScan) next(rows Rows) (e ledger.Entry, key int64, err error) {
	if err = rows.Scan(s.dest...); err != nil {
		return e, s.key, err
	}
	key, e.Seq = s.key, s.seq
	values := &s.values
	var damaged []string
	e.Count = key & (1<<nodeBits - 1)
	if node, ok := values[1].(string); ok {
		if no := key >> nodeBits; s.name == "" || s.no != no || s.id != node {
			s.no, s.id, s.name = no, node, nodeName(no, node)
		}
		e.Node = s.name
	} else {
		damaged = append(damaged, "node")
	}
	for i, hash := range [...]struct {
		name string
		into *[32]byte
	}{{"prev", &e.Prev}, {"commitment", &e.Commitment}, {"chain", &e.Chain}} {
		b, ok := values[3+i].([]byte)
		if copy(hash.into[:], b); !ok || len(b) != len(hash.into) {
			damaged = append(damaged, hash.name)
		}
	}
	for i, content := range [...]struct {
		name string
		into *[]byte
	}{{"salt", &e.Salt}, {"canonical", &e.Canonical}} {
		var ok bool
		if *content.into, ok = values[6+i].([]byte); !ok && values[6+i] != nil {
			damaged = append(damaged, content.name)
		}
	}
	var list [len(columns)]string
	for i, c := range columns {
		var ok bool
		if list[i], ok = values[fixedColumns+i].(string); !ok {
			damaged = append(damaged, c.Name)
		}
	}
	var lists []string
	e.Columns, lists = columnsOf(list)
	damaged = append(damaged, lists...)
	if len(damaged) > 0 {
		e.Damage = "not as it was written: " + strings.Join(damaged, ", ")
	}
	return e, key, nil
}

// Entry implements store.Snapshot. Ids are random; of two entries with one, as after a forgery, the first placed counts.
func (n *snapshot) Entry(ctx context.Context, id string) (ledger.Entry, error) {
	var out ledger.Entry
	found := false
	if id == "" || clean(id) != id {
		return out, store.ErrNotFound
	}
	scan := newEntryScan()
	err := each(ctx, n.r, func(rows Rows) (err error) {
		out, _, err = scan.next(rows)
		found = true
		return err
	}, "SELECT "+entryColumnsSQL+" FROM ledger_entry e"+entryFrom+" WHERE n.no = "+nodeOf+" AND e.id = $1 AND "+known+" ORDER BY coalesce(l.seq, 9223372036854775807), e.entry LIMIT 1", id)
	switch {
	case err != nil:
		return out, fmt.Errorf("sqlstore: entry: %w", err)
	case !found:
		return out, store.ErrNotFound
	}
	return out, nil
}

// entryTime is how times lie in the column time.
const entryTime = "2006-01-02T15:04:05.000Z"

// entryCursor is where a page of entries ended.
type entryCursor struct {
	Print uint64 `json:"p"`
	Time  string `json:"t"`
	Entry int64  `json:"e"`
}

// maxEntries bounds a page of entries.
const maxEntries = 1000

func (n *snapshot) Entries(ctx context.Context, q store.EntryQuery) (store.EntryPage, error) {
	out := store.EntryPage{Total: -1}
	s := &statement{plan: &plan{d: n.s.engine}}
	where := []string{"e.canonical IS NOT NULL", known}
	oneOf := func(columns []string, values []string) {
		if len(values) == 0 {
			return
		}
		list := make([]string, len(values))
		for i, v := range values {
			list[i] = s.arg(clean(v))
		}
		var any []string
		for _, column := range columns {
			any = append(any, column+" IN ("+strings.Join(list, ", ")+")")
		}
		where = append(where, join(any, " OR "))
	}
	listed := func(column string, values []string) {
		if len(values) == 0 {
			return
		}
		var any []string
		for _, v := range values {
			any = append(any, s.d.Contains(column, s.arg(quoted(v))))
		}
		where = append(where, join(any, " OR "))
	}
	oneOf([]string{"e.controller", "e.actor_controller"}, q.Controllers)
	oneOf([]string{"e.id"}, q.ID)
	if len(q.Place) > 0 {
		where = append(where, "e.entry IN (SELECT p.entry FROM ledger_leaf p WHERE p.seq IN ("+s.ints(q.Place)+"))")
	}
	if q.Exchange != "" {
		// Its first record has its id, the others an index of their own: asked for apart, neither looks at the whole ledger.
		id := s.arg(clean(q.Exchange))
		where = append(where, "e.entry IN (SELECT x.entry FROM ledger_entry x WHERE x.id = "+id+" AND x.exchange = "+id+
			" UNION ALL SELECT x.entry FROM ledger_entry x WHERE x.exchange = "+id+" AND x.exchange <> x.id)")
	}
	// What the indexes are about is said again, so that they are seen to fit.
	for _, c := range [...]struct {
		column string
		values []string
	}{{"e.client", q.Client}, {"e.user_id", q.User}, {"e.person", q.Person}} {
		if len(c.values) > 0 {
			where = append(where, c.column+" <> ''")
		}
	}
	if len(q.Outcome) > 0 && !slices.Contains(q.Outcome, "permit") {
		where = append(where, "e.outcome <> 'permit'")
	}
	oneOf([]string{"e.client"}, q.Client)
	oneOf([]string{"e.app"}, q.App)
	oneOf([]string{"e.user_id"}, q.User)
	oneOf([]string{"e.person"}, q.Person)
	oneOf([]string{"e.outcome"}, q.Outcome)
	oneOf([]string{"e.interaction"}, q.Interaction)
	var ways []way
	targeted := func() {
		if !q.TargetLed {
			listed("e.target", q.Target)
		}
	}
	switch led := len(q.ID)+len(q.Place)+len(q.Client) > 0 || q.Exchange != ""; { // by an index that is told of already
	case !led && len(q.TargetOf) > 0:
		targeted()
		ways = targetWays(q)
	case !led && len(q.Basis) > 0:
		targeted()
		var err error
		if ways, err = n.basisWays(ctx, q.Basis); err != nil {
			return out, fmt.Errorf("sqlstore: entries: %w", err)
		}
		if len(ways) == 0 { // nothing ever rested on it
			if q.Total {
				out.Total = 0
			}
			return out, nil
		}
	default:
		targeted()
	}
	if len(q.TargetOf) > 0 || len(ways) == 0 {
		listed("e.basis", q.Basis)
	}
	if !q.From.IsZero() {
		where = append(where, "e.time >= "+s.arg(moment(ceilMillis(q.From)).Format(entryTime)))
	}
	if !q.To.IsZero() {
		where = append(where, "e.time < "+s.arg(moment(ceilMillis(q.To)).Format(entryTime)))
	}
	if q.Total {
		var err error
		if out.Total, err = n.countAlong(ctx, s, where, ways, len(q.TargetOf) == 0); err != nil {
			return out, fmt.Errorf("sqlstore: entries: %w", err)
		}
	}
	if q.Limit <= 0 {
		return out, nil
	}
	limit := min(q.Limit, maxEntries)
	print := fingerprint(fmt.Sprint(q.Controllers, q.ID, q.Place, q.Exchange, q.Client, q.App, q.User, q.Person, q.Outcome, q.Basis,
		q.Interaction, q.Target, q.TargetOf, q.TargetLed, q.From.UnixMilli(), q.To.UnixMilli(), q.Ascending))
	sign, direction := " < ", " DESC"
	if q.Ascending {
		sign, direction = " > ", ""
	}
	if q.After != "" {
		c, err := readEntryCursor(q.After, print)
		if err != nil {
			return out, err
		}
		at := s.arg(c.Time)
		where = append(where, "e.time"+strings.TrimRight(sign, " ")+"= "+at+" AND (e.time"+sign+at+" OR e.entry"+sign+s.arg(c.Entry)+")")
	}
	order := " ORDER BY e.time" + direction + ", e.entry" + direction
	inner := "SELECT e.* FROM ledger_entry e WHERE " + strings.Join(where, " AND ") + order + " LIMIT " + strconv.Itoa(limit+1)
	if len(ways) > 0 {
		keys, err := n.keysAlong(ctx, s, where, ways, order, limit+1, q.Ascending)
		if err != nil {
			return out, fmt.Errorf("sqlstore: entries: %w", err)
		}
		s = &statement{plan: s.plan}
		inner = "SELECT e.* FROM ledger_entry e WHERE e.entry IN (" + s.ints(keys) + ")"
	}
	sql := "SELECT " + entryColumnsSQL + " FROM (" + inner + ") e" + entryFrom + " WHERE n.no = " + nodeOf + order
	var last int64
	scan, size := newEntryScan(), 0
	err := each(ctx, n.r, func(rows Rows) error {
		if len(out.Entries) == limit || size >= store.EntryBytes {
			before := out.Entries[len(out.Entries)-1]
			at := ""
			if i := slices.IndexFunc(before.Columns, func(c ledger.Column) bool { return c.Name == ledger.ColumnTime }); i >= 0 {
				at = before.Columns[i].Value
			}
			out.Next = entryCursor{print, at, last}.String()
			return errEnough
		}
		e, key, err := scan.next(rows)
		size += len(e.Canonical)
		out.Entries, last = append(out.Entries, e), key
		return err
	}, sql, s.args...)
	if err != nil {
		return out, fmt.Errorf("sqlstore: entries: %w", err)
	}
	return out, nil
}

func (c entryCursor) String() string {
	b, _ := json.Marshal(c) // numbers and text always marshal
	return base64.RawURLEncoding.EncodeToString(b)
}

func readEntryCursor(text string, print uint64) (entryCursor, error) {
	var c entryCursor
	if len(text) > maxCursor {
		return c, store.ErrCursor
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || json.Unmarshal(b, &c) != nil || c.Print != print || clean(c.Time) != c.Time {
		return c, store.ErrCursor
	}
	return c, nil
}

// ceilMillis is the first whole millisecond not before t.
func ceilMillis(t time.Time) int64 {
	ms := t.UnixMilli()
	if time.UnixMilli(ms).Before(t) {
		ms++
	}
	return ms
}
