package rest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"sotesilta/gateway/exchange"
	"sotesilta/gateway/search"
	"sotesilta/internal/fhir"
)

// memoryDesk stands in for *exchange.Desk: it keeps versions in memory and knows no law but a list of what is denied.
type memoryDesk struct {
	cut       bool // says that more was to be included
	mu        sync.Mutex
	rows      map[string][]exchange.Resource // by Type/id, oldest first
	order     []string
	denied    map[string]bool // Type/id that answers as absent
	fail      error           // answered by everything
	next      int
	calls     []string // interaction and target, in order
	ids       []string // request ids of the callers
	bulks     []exchange.Bulk
	cancelled []string
	queries   []*search.Query
	person    string        // Patient id that Match finds
	care      exchange.Span // of the last Everything
}

var someTime = time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)

func newDesk() *memoryDesk {
	return &memoryDesk{rows: map[string][]exchange.Resource{}, denied: map[string]bool{}}
}

// put adds a version.
func (d *memoryDesk) put(body string) exchange.Resource {
	doc, err := fhir.Parse([]byte(body), fhir.DefaultLimits)
	if err != nil {
		panic(err)
	}
	return d.keep(doc, "PUT")
}

func (d *memoryDesk) keep(doc *fhir.Value, method string) exchange.Resource {
	typ, id := fhir.ResourceType(doc), fhir.ID(doc)
	ref := typ + "/" + id
	version := int64(len(d.rows[ref])) + 1
	updated := someTime.Add(time.Duration(version) * time.Minute)
	fhir.SetMeta(doc, fhir.Meta{ID: id, VersionID: strconv.FormatInt(version, 10), LastUpdated: updated})
	if version == 1 {
		method = "POST"
		d.order = append(d.order, ref)
	}
	r := exchange.Resource{Type: typ, ID: id, Version: version, Updated: updated, Method: method, Body: doc.JSON()}
	d.rows[ref] = append(d.rows[ref], r)
	return r
}

func (d *memoryDesk) erase(ref string) {
	typ, id, _ := strings.Cut(ref, "/")
	version := int64(len(d.rows[ref])) + 1
	d.rows[ref] = append(d.rows[ref], exchange.Resource{
		Type: typ, ID: id, Version: version, Updated: someTime.Add(time.Duration(version) * time.Minute), Deleted: true, Method: "DELETE",
	})
}

// begin notes a call and refuses what the scope or the test refuses.
func (d *memoryDesk) begin(c exchange.Caller, i exchange.Interaction, typ, rest string) error {
	d.calls = append(d.calls, string(i)+" "+typ+rest)
	d.ids = append(d.ids, c.RequestID)
	if c.Allows == nil || !c.Allows(typ, i) {
		return exchange.Refuse(exchange.Forbidden, "forbidden", "", "The scope does not allow it.")
	}
	return d.fail
}

func (d *memoryDesk) current(ref string) (*exchange.Resource, error) {
	versions := d.rows[ref]
	if len(versions) == 0 || d.denied[ref] {
		// Two texts on purpose: whatever the desk says, the face answers both alike.
		text := ref + " does not exist"
		if d.denied[ref] {
			text = ref + " is denied by a ban"
		}
		return nil, exchange.Refuse(exchange.Absent, "not-found", ref, text)
	}
	last := versions[len(versions)-1]
	if last.Deleted {
		return nil, exchange.Refuse(exchange.Gone, "deleted", "", ref+" was deleted.")
	}
	return &last, nil
}

func (d *memoryDesk) Read(_ context.Context, c exchange.Caller, typ, id string) (*exchange.Resource, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.begin(c, exchange.Read, typ, "/"+id); err != nil {
		return nil, err
	}
	return d.current(typ + "/" + id)
}

func (d *memoryDesk) VRead(_ context.Context, c exchange.Caller, typ, id string, version int64) (*exchange.Resource, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.begin(c, exchange.VRead, typ, "/"+id); err != nil {
		return nil, err
	}
	versions := d.rows[typ+"/"+id]
	if d.denied[typ+"/"+id] || version > int64(len(versions)) {
		return nil, exchange.Refuse(exchange.Absent, "not-found", "", "no such version")
	}
	return &versions[version-1], nil
}

func (d *memoryDesk) History(_ context.Context, c exchange.Caller, typ, id string, p exchange.Past) ([]exchange.Resource, int64, error) {
	before, limit := p.Before, p.Count
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.begin(c, exchange.History, typ, "/"+id); err != nil {
		return nil, 0, err
	}
	if d.denied[typ+"/"+id] {
		return nil, 0, exchange.Refuse(exchange.Absent, "not-found", "", "denied")
	}
	var out []exchange.Resource
	for _, r := range slices.Backward(d.rows[typ+"/"+id]) {
		if before > 0 && r.Version >= before {
			continue
		}
		if len(out) == limit {
			return out, out[limit-1].Version, nil
		}
		out = append(out, r)
	}
	if len(out) == 0 {
		return nil, 0, exchange.Refuse(exchange.Absent, "not-found", "", "absent")
	}
	return out, 0, nil
}

// Histories answers every version newest first, by the order of rows; its cursor is how many were answered.
func (d *memoryDesk) Histories(_ context.Context, c exchange.Caller, typ string, p exchange.Past) (*exchange.Page, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := exchange.HistorySystem
	if typ != "" {
		i = exchange.HistoryType
	}
	if err := d.begin(c, i, typ, ""); err != nil {
		return nil, err
	}
	page := &exchange.Page{Total: -1}
	from, _ := strconv.Atoi(p.Cursor)
	for _, ref := range slices.Backward(d.order) {
		for _, r := range slices.Backward(d.rows[ref]) {
			if typ != "" && r.Type != typ || d.denied[ref] || r.Updated.Before(p.Since) {
				continue
			}
			if from--; from >= 0 {
				continue
			}
			if len(page.Matches) == p.Count {
				before, _ := strconv.Atoi(p.Cursor)
				page.Next = strconv.Itoa(before + p.Count)
				return page, nil
			}
			page.Matches = append(page.Matches, r)
		}
	}
	return page, nil
}

func (d *memoryDesk) Everything(_ context.Context, c exchange.Caller, typ, id string, of exchange.Gathering) (*exchange.Page, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.begin(c, exchange.Everything, typ, "/"+id); err != nil {
		return nil, err
	}
	if _, err := d.current(typ + "/" + id); err != nil {
		return nil, err
	}
	page, from := &exchange.Page{Total: -1}, 0
	fmt.Sscan(of.Cursor, &from)
	d.care = of.Care
	n := 0
	for _, ref := range d.order {
		r, err := d.current(ref)
		if err != nil || len(of.Types) > 0 && !slices.Contains(of.Types, r.Type) {
			continue
		}
		if n++; n <= from {
			continue
		}
		if len(page.Matches) == of.Count {
			page.Next = strconv.Itoa(from + of.Count)
			break
		}
		page.Matches = append(page.Matches, *r)
	}
	return page, nil
}

// Search knows the parameters _id, identifier and status, each by equality.
func (d *memoryDesk) Search(_ context.Context, c exchange.Caller, q *search.Query) (*exchange.Page, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.queries = append(d.queries, q)
	i := exchange.Search
	if len(q.Across) > 0 {
		i = exchange.SearchSystem
	}
	if err := d.begin(c, i, q.Type, ""); err != nil {
		return nil, err
	}
	found := d.matching(q)
	page := &exchange.Page{Total: -1, Cut: d.cut}
	if q.Total || q.Summary {
		page.Total = int64(len(found))
	}
	if q.Summary {
		return page, nil
	}
	from := 0
	if q.Cursor != "" {
		var err error
		if from, err = strconv.Atoi(q.Cursor); err != nil {
			return nil, exchange.Refuse(exchange.Invalid, "invalid", "", "damaged cursor")
		}
	}
	to := min(from+q.Count, len(found))
	page.Matches = found[from:to]
	if to < len(found) {
		page.Next = strconv.Itoa(to)
	}
	return page, nil
}

func (d *memoryDesk) matching(q *search.Query) []exchange.Resource {
	var out []exchange.Resource
	for _, ref := range d.order {
		r, err := d.current(ref)
		for _, of := range q.Of() {
			if err != nil || r.Type != of.Type {
				continue
			}
			doc, _ := fhir.Parse(r.Body, fhir.DefaultLimits)
			if !slices.ContainsFunc(of.Where, func(c search.Clause) bool { return !holds(c, doc) }) {
				out = append(out, *r)
			}
		}
	}
	return out
}

func holds(c search.Clause, doc *fhir.Value) bool {
	if len(c.Any) > 0 {
		return slices.ContainsFunc(c.Any, func(alternative search.Clause) bool { return holds(alternative, doc) })
	}
	return slices.ContainsFunc(c.Values, func(v search.Value) bool {
		switch c.Param.Name {
		case "_id":
			return fhir.ID(doc) == v.Code
		case "identifier":
			return slices.ContainsFunc(doc.All("identifier", "value"), func(x *fhir.Value) bool { return x.Str() == v.Code })
		case "status":
			return doc.Text("status") == v.Code
		}
		return true
	})
}

// Transact refuses a Task of the status rejected as Unprocessable, and makes all the changes or none.
func (d *memoryDesk) Transact(_ context.Context, c exchange.Caller, ops []exchange.Op) ([]exchange.Written, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	saved, savedOrder := map[string][]exchange.Resource{}, slices.Clone(d.order)
	for ref, versions := range d.rows {
		saved[ref] = slices.Clone(versions)
	}
	urns := map[string]string{}
	ids := make([]string, len(ops))
	for i, op := range ops {
		ids[i] = op.ID
		if op.Interaction == exchange.Create {
			d.next++
			ids[i] = fmt.Sprintf("new-%d", d.next)
		}
		if op.FullURL != "" {
			urns[op.FullURL] = op.Type + "/" + ids[i]
		}
	}
	var out []exchange.Written
	for i, op := range ops {
		w, err := d.change(c, op, ids[i], urns)
		if err != nil {
			d.rows, d.order = saved, savedOrder
			var refusal *exchange.Error
			if errors.As(err, &refusal) {
				named := *refusal
				named.Entry = i
				return nil, &named
			}
			return nil, err
		}
		out = append(out, w)
	}
	return out, nil
}

func (d *memoryDesk) change(c exchange.Caller, op exchange.Op, id string, urns map[string]string) (exchange.Written, error) {
	ref := op.Type + "/" + id
	if err := d.begin(c, op.Interaction, op.Type, strings.TrimSuffix("/"+op.ID, "/")); err != nil {
		return exchange.Written{}, err
	}
	if op.IfNoneExist != nil {
		d.queries = append(d.queries, op.IfNoneExist)
		if found := d.matching(op.IfNoneExist); len(found) > 0 {
			if len(found) > 1 {
				return exchange.Written{}, exchange.Refuse(exchange.Ambiguous, "multiple-matches", "", "The condition matches several.")
			}
			return exchange.Written{Resource: found[0], Existing: true}, nil
		}
	}
	if op.Where != nil {
		d.queries = append(d.queries, op.Where)
		found := d.matching(op.Where)
		switch len(found) {
		case 0:
		case 1:
			ref = op.Type + "/" + found[0].ID
			id = found[0].ID
		default:
			return exchange.Written{}, exchange.Refuse(exchange.Ambiguous, "multiple-matches", "", "The condition matches several.")
		}
	}
	if op.Interaction != exchange.Create {
		now, err := d.current(ref)
		if err != nil && op.Interaction == exchange.Update {
			return exchange.Written{}, exchange.Refuse(exchange.NotAllowed, "not-supported", "", "There is no update-as-create.")
		}
		if err != nil {
			return exchange.Written{}, err
		}
		if op.IfMatch != 0 && op.IfMatch != now.Version {
			return exchange.Written{}, exchange.Refuse(exchange.Stale, "conflict", "", "It has changed meanwhile.")
		}
	}
	if op.Interaction == exchange.Patch {
		now, _ := d.current(ref)
		doc, _ := fhir.Parse(now.Body, fhir.DefaultLimits)
		var err error
		if op.Doc, err = op.Patch(doc); err != nil {
			return exchange.Written{}, err
		}
	}
	if op.Interaction == exchange.Delete {
		d.erase(ref)
		versions := d.rows[ref]
		return exchange.Written{Resource: versions[len(versions)-1]}, nil
	}
	if op.Doc.Text("status") == "rejected" {
		return exchange.Written{}, exchange.Refuse(exchange.Unprocessable, "business-rule", "Task.status", "requested → rejected: not allowed.")
	}
	for r := range fhir.References(op.Doc) {
		if to := urns[r.Text()]; to != "" {
			r.Set(to)
		}
	}
	op.Doc.Set("id", fhir.NewString(id))
	return exchange.Written{Resource: d.keep(op.Doc, "PUT"), Created: op.Interaction == exchange.Create}, nil
}

func (d *memoryDesk) Match(_ context.Context, c exchange.Caller, who exchange.Identification) (*exchange.Resource, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.begin(c, exchange.Match, "Patient", ""); err != nil {
		return nil, err
	}
	if who.IdentityCode != ainoCode || who.Family != "Virtanen" {
		return nil, exchange.Refuse(exchange.Absent, "not-found", "", "no certain match")
	}
	return d.current("Patient/" + d.person)
}

// Bulk gives all rows of a type, one a page.
func (d *memoryDesk) Bulk(_ context.Context, c exchange.Caller, b exchange.Bulk, typ, cursor string) (*exchange.Page, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.bulks = append(d.bulks, b)
	found := d.matching(&search.Query{Type: typ})
	from, _ := strconv.Atoi(cursor)
	page := &exchange.Page{Matches: found[from:min(from+1, len(found))]}
	if from+1 < len(found) {
		page.Next = strconv.Itoa(from + 1)
	}
	return page, nil
}

func (d *memoryDesk) BeginBulk(context.Context, exchange.Caller, exchange.Bulk) error { return nil }

func (d *memoryDesk) CancelBulk(_ context.Context, _ exchange.Caller, b exchange.Bulk) error {
	d.cancelled = append(d.cancelled, b.ID)
	return nil
}

func (d *memoryDesk) Cancelled(_ context.Context, b exchange.Bulk) (bool, error) {
	return slices.Contains(d.cancelled, b.ID), nil
}
