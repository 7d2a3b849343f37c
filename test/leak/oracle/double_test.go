package oracle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// denied is the client whose data the double hides from the asker.
const denied = "kielto-0001"

// double is a small FHIR server that hides a client's data from the asker, and tells of them by one oracle: the one it
// is switched to. Switched to none it tells nothing.
type double struct {
	leaks Oracle
	noise bool // answers take as unevenly long as those of a server that does more than walk through a slice
	http  *httptest.Server

	mu   sync.Mutex
	rows []*row
	made int
	log  int      // entries of the public log
	subs []string // endpoints of the asker's subscriptions
}

type row struct {
	typ, id, by, text string
	doc               map[string]any
}

func newDouble(t testing.TB, leaks Oracle) *double {
	t.Helper()
	d := &double{leaks: leaks}
	d.http = httptest.NewServer(http.HandlerFunc(d.serve))
	t.Cleanup(d.http.Close)
	d.add("Patient", denied, "preparer", `{"identifier":[{"system":"urn:x","value":"K-123456"}],"name":[{"family":"Kiellonen","given":["Kaisa"]}],"birthDate":"1970-01-01"}`)
	d.add("Patient", "oma-00001", "asker", `{"name":[{"family":"Oma"}]}`)
	for i := range 3 {
		d.add("Observation", fmt.Sprintf("seen-%d", i), "asker", `{"subject":{"reference":"Patient/oma-00001"}}`)
	}
	return d
}

func (d *double) config() Config {
	return Config{
		Base: d.http.URL, Asker: Bearer("asker"), Preparer: Bearer("preparer"), Patient: denied, Own: "oma-00001", Write: true,
		Listen: "127.0.0.1:0", Patience: 100 * time.Millisecond,
	}
}

func (d *double) add(typ, id, by, body string) *row {
	if id == "" {
		d.made++
		id = fmt.Sprintf("%08x-0000-4000-8000-%012x", d.made*7919, d.made)
	}
	r := &row{typ: typ, id: id, by: by, doc: map[string]any{}}
	if err := json.Unmarshal([]byte(body), &r.doc); err != nil {
		panic(err)
	}
	r.doc["resourceType"], r.doc["id"] = typ, id
	text, _ := json.Marshal(r.doc)
	r.text = string(text)
	d.rows = append(d.rows, r)
	return r
}

func (r *row) hidden() bool {
	return r.by == "preparer" && (strings.Contains(r.text, `"Patient/`+denied+`"`) || r.typ == "Patient" && r.id == denied)
}

// visit is one request, or one entry of a Bundle.
type visit struct {
	*double
	by      string
	bundled bool // an entry of a Bundle: only the Bundle's own oracle leaks
	header  http.Header
}

func (v *visit) on(o Oracle) bool { return v.leaks == o && !v.bundled }

// sees says whether the party may have a row, or has it by an oracle.
func (v *visit) sees(r *row, o Oracle) bool { return v.by == "preparer" || !r.hidden() || v.on(o) }

func (v *visit) get(typ, id string) *row {
	for _, r := range v.rows {
		if r.typ == typ && r.id == id {
			return r
		}
	}
	return nil
}

// reply is an answer of the double.
type reply struct {
	status int
	body   string
	header map[string]string
}

func no(status int, text string) reply {
	return reply{status: status, body: `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"processing","diagnostics":"` + text + `"}]}`}
}

func (d *double) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	by := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	query := r.URL.Query()
	if strings.HasSuffix(r.URL.Path, "/_search") {
		query, _ = url.ParseQuery(string(body))
	}
	d.mu.Lock()
	if r.URL.Path == "/ledger/checkpoint" {
		_, _ = fmt.Fprintf(w, "double.example\n%d\nroot\n", d.log)
		d.mu.Unlock()
		return
	}
	d.log++
	if d.leaks == Log && slices.ContainsFunc(d.rows, func(x *row) bool { return x.hidden() && strings.Contains(r.RequestURI, x.id) }) {
		d.log++
	}
	v := &visit{d, by, false, r.Header}
	a := v.route(r.Method, strings.Trim(r.URL.Path, "/"), query, body)
	d.mu.Unlock()
	if d.noise {
		time.Sleep(rand.N(300 * time.Microsecond))
	}
	w.Header().Set("Content-Type", "application/fhir+json")
	for name, value := range a.header {
		w.Header().Set(name, value)
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, a.body)
}

func (v *visit) route(method, path string, query url.Values, body []byte) reply {
	part := strings.Split(path, "/")
	switch {
	case path == "" && method == "POST":
		return v.bundle(body)
	case path == "" || path == "_search" || strings.HasSuffix(path, "/*"):
		if len(part) == 3 {
			query.Set("patient", part[1])
		}
		var rows []*row
		for typ := range strings.SplitSeq(query.Get("_type"), ",") {
			rows = append(rows, v.conditions(typ, query, SearchSystem)...)
		}
		total := len(rows)
		if query.Get("_summary") == "count" {
			rows = nil
		}
		return searchset(rows, nil, &total, "")
	case path == "metadata":
		return reply{status: 200, body: metadata}
	case path == "_history":
		return v.history(HistorySystem, func(*row) bool { return true })
	case path == "$export" || strings.HasSuffix(path, "/$export"):
		return reply{202, "", map[string]string{"Content-Location": v.http.URL + "/export-status"}}
	case path == "export-status":
		return reply{status: 200, body: `{"output":[{"type":"Observation","url":"` + v.http.URL + `/export-file"}]}`}
	case path == "export-file":
		var lines strings.Builder
		for _, r := range v.rows {
			if v.sees(r, Export) {
				lines.WriteString(r.text + "\n")
			}
		}
		return reply{status: 200, body: lines.String()}
	case len(part) == 1, len(part) == 2 && part[1] == "_search":
		return v.atType(method, part[0], query, body)
	case part[1] == "_history":
		return v.history(HistoryType, func(r *row) bool { return r.typ == part[0] })
	case part[1] == "$match":
		return v.match(body)
	case len(part) == 2:
		return v.atInstance(method, part[0], part[1], query)
	}
	r := v.get(part[0], part[1])
	switch {
	case part[2] == "_history" && len(part) == 4:
		if r == nil || !v.sees(r, Version) || part[3] != "1" {
			return no(404, "absent")
		}
		return v.give(r)
	case part[2] == "_history":
		if r == nil || !v.sees(r, History) {
			return no(404, "absent")
		}
		return v.history(History, func(other *row) bool { return other == r })
	case part[2] == "$everything":
		if r == nil || !v.sees(r, Everything) {
			return no(404, "absent")
		}
		return searchset([]*row{r}, nil, nil, "")
	default: // a compartment
		var rows []*row
		for _, r := range v.rows {
			if r.typ == part[2] && strings.Contains(r.text, part[0]+"/"+part[1]+`"`) && v.sees(r, Compartment) {
				rows = append(rows, r)
			}
		}
		return searchset(rows, nil, nil, "")
	}
}

const metadata = `{"resourceType":"CapabilityStatement","software":{"name":"double"},"rest":[{"interaction":[{"code":"transaction"},{"code":"batch"},
	{"code":"history-system"},{"code":"search-compartment"},{"code":"search-system"}],"operation":[{"name":"export"},{"name":"everything"},{"name":"match"}],"resource":[` +
	`{"type":"Observation",` + all + `},{"type":"DocumentReference",` + all + `},{"type":"Patient",` + all + `},{"type":"Subscription",` + all + `}]}]}`

const all = `"interaction":[{"code":"read"},{"code":"vread"},{"code":"history-instance"},{"code":"history-type"},{"code":"create"},{"code":"update"},{"code":"patch"},
	{"code":"delete"}],"conditionalCreate":true,"conditionalUpdate":true,"conditionalDelete":"single","searchParam":[{"name":"identifier"},{"name":"code"},{"name":"related"}]`

func (v *visit) give(r *row) reply {
	return reply{200, r.text, map[string]string{"Etag": `W/"1"`, "Last-Modified": "Sat, 21 Nov 2026 10:00:00 GMT"}}
}

func (v *visit) history(o Oracle, of func(*row) bool) reply {
	var rows []*row
	for _, r := range v.rows {
		if of(r) && v.sees(r, o) {
			rows = append(rows, r)
		}
	}
	return searchset(rows, nil, nil, "")
}

func (v *visit) atInstance(method, typ, id string, query url.Values) reply {
	r := v.get(typ, id)
	there := r != nil && (v.by == "preparer" || !r.hidden())
	behind := r != nil && !there
	condition := v.header.Get("If-Match") != ""
	switch method {
	case "GET", "HEAD":
		o := Body
		if v.header.Get("If-None-Match")+v.header.Get("If-Modified-Since") != "" {
			o = ETag
		} else if query.Has("_elements") || query.Has("_summary") {
			o = Elements
		}
		switch {
		case r != nil && v.sees(r, o):
			if o == ETag {
				return reply{status: 304}
			}
			return v.give(r)
		case behind && o == Body && v.on(Status):
			return no(403, "absent")
		case behind && o == Body && v.on(Text) && method == "GET":
			return no(404, "hidden by consent")
		case behind && o == Body && v.on(Header):
			a := no(404, "absent")
			a.header = map[string]string{"X-Consent": "denied"}
			return a
		case behind && o == Body && v.on(Time):
			for begun := time.Now(); time.Since(begun) < 400*time.Microsecond; {
			}
		}
		return no(404, "absent")
	case "PUT":
		switch {
		case behind && condition && v.on(Precondition):
			return no(412, "not that version")
		case behind && !condition && v.on(Update):
			return no(403, "not yours")
		case !there:
			return no(405, "no update-as-create")
		}
		return v.give(r)
	case "PATCH":
		switch {
		case behind && v.on(Patch):
			return no(403, "not yours")
		case !there:
			return no(404, "absent")
		}
		return v.give(r)
	case "DELETE":
		switch {
		case behind && condition && v.on(Precondition):
			return no(412, "not that version")
		case behind && !condition && v.on(Delete):
			return no(403, "not yours")
		}
		return reply{status: 204}
	}
	return no(405, "method")
}

// conditions are the rows that a conditional interaction matches.
func (v *visit) conditions(typ string, query url.Values, o Oracle) []*row {
	var rows []*row
	for _, r := range v.rows {
		if r.typ == typ && v.sees(r, o) && r.meets(query) {
			rows = append(rows, r)
		}
	}
	return rows
}

// meets holds a row against plain parameters.
func (r *row) meets(query url.Values) bool {
	for name, values := range query {
		name, _, _ = strings.Cut(name, ":")
		_, value, token := strings.Cut(values[0], "|")
		if !token {
			value = values[0]
		}
		switch name {
		case "_id":
			if r.id != value {
				return false
			}
		case "identifier", "code", "family", "given", "birthdate", "related":
			if !strings.Contains(r.text, `"`+value+`"`) {
				return false
			}
		case "patient", "subject":
			if !strings.Contains(r.text, `"Patient/`+strings.TrimPrefix(value, "Patient/")+`"`) {
				return false
			}
		}
	}
	return true
}

func (v *visit) atType(method, typ string, query url.Values, body []byte) reply {
	conditional := len(query) > 0
	switch {
	case method == "PUT" && conditional:
		if len(v.conditions(typ, query, ConditionalUpdate)) > 0 {
			return no(403, "not yours")
		}
		return v.create(typ, body)
	case method == "PATCH" && conditional:
		if len(v.conditions(typ, query, ConditionalPatch)) > 0 {
			return no(403, "not yours")
		}
		return no(404, "absent")
	case method == "DELETE" && conditional:
		if len(v.conditions(typ, query, ConditionalDelete)) > 0 {
			return no(403, "not yours")
		}
		return reply{status: 204}
	case method == "POST" && !bytes.HasPrefix(body, []byte("{")), method == "GET":
		return v.search(typ, query)
	}
	if condition := v.header.Get("If-None-Exist"); condition != "" {
		parsed, _ := url.ParseQuery(condition)
		if len(v.conditions(typ, parsed, ConditionalCreate)) > 0 {
			return no(412, "there is one")
		}
	}
	return v.create(typ, body)
}

func (v *visit) create(typ string, body []byte) reply {
	if typ == "Subscription" {
		var s struct{ Channel struct{ Endpoint string } }
		_ = json.Unmarshal(body, &s)
		v.subs = append(v.subs, s.Channel.Endpoint)
	}
	for _, r := range v.rows {
		if v.on(Reference) && v.by == "asker" && r.hidden() && bytes.Contains(body, []byte(r.typ+"/"+r.id+`"`)) {
			return no(422, "a reference to what is not yours")
		}
	}
	r := v.add(typ, "", v.by, string(body))
	for _, endpoint := range v.subs {
		asker := &visit{double: v.double, by: "asker"}
		if asker.sees(r, Notification) && typ != "Subscription" && v.by == "preparer" {
			go func() {
				if res, err := http.Post(endpoint, "application/fhir+json", strings.NewReader(r.text)); err == nil {
					res.Body.Close()
				}
			}()
		}
	}
	return reply{201, r.text, map[string]string{"Location": v.http.URL + "/" + typ + "/" + r.id + "/_history/1"}}
}

// search finds rows. What kind of search it is says which oracle may leak in it.
func (v *visit) search(typ string, query url.Values) reply {
	kind, rows := Search, []*row(nil)
	plain, special := url.Values{}, map[string]string{}
	for name, values := range query {
		switch {
		case name == "_summary" && values[0] == "count", name == "_count" && values[0] == "0":
			kind = Count
		case name == "_summary", name == "_elements":
			kind = Elements
		case name == "_sort":
			kind = Sort
		case strings.HasPrefix(name, "_include"):
			special["include"] = values[0]
		case strings.HasPrefix(name, "_revinclude"):
			special["revinclude"] = values[0]
		case strings.HasPrefix(name, "_has:"):
			special["has"] = name + "=" + values[0]
		case strings.Contains(name, "."):
			special["chain"] = name + "=" + values[0]
		case strings.HasPrefix(name, "_") && name != "_id":
		default:
			plain[name] = values
		}
	}
	if len(special) > 0 {
		kind = ""
	}
	var counted int
	for _, r := range v.rows {
		if r.typ != typ || !r.meets(plain) || !v.related(r, special) {
			continue
		}
		if v.sees(r, Total) {
			counted++
		}
		if v.sees(r, kind) || kind == Search && v.on(Page) && onlyCount(query) {
			rows = append(rows, r)
		}
	}
	var total *int
	switch {
	case kind == Count || query.Get("_summary") == "count":
		n := len(rows)
		return searchset(nil, nil, &n, "")
	case query.Has("_total"):
		total = &counted
	}
	if query.Has("_sort") {
		rows = slices.Clone(rows)
		slices.Reverse(rows) // newest first
	}
	next := ""
	if limit, err := strconv.Atoi(query.Get("_count")); err == nil {
		from, _ := strconv.Atoi(query.Get("_from"))
		if to := min(from+limit, len(rows)); from+limit < len(rows) {
			following := maps.Clone(query)
			following.Set("_from", strconv.Itoa(to))
			next, rows = v.http.URL+"/"+typ+"?"+following.Encode(), rows[from:to]
		} else {
			rows = rows[min(from, len(rows)):]
		}
		if next == "" && v.on(Link) && len(plain) > 0 && len(special) == 0 && kind == Search && len(rows) == 0 && v.hides(typ, plain) {
			next = v.http.URL + "/" + typ + "?_from=1"
		}
	}
	// What was only counted in is taken out after the page was cut: the mistake behind short pages.
	rows = slices.DeleteFunc(slices.Clone(rows), func(r *row) bool { return !v.sees(r, Search) && !v.sees(r, Elements) })
	var included []*row
	for _, r := range rows {
		for _, other := range v.rows {
			if special["include"] != "" && strings.Contains(r.text, `"`+other.typ+"/"+other.id+`"`) && v.sees(other, Include) ||
				special["revinclude"] != "" && strings.Contains(other.text, `"`+r.typ+"/"+r.id+`"`) && v.sees(other, RevInclude) {
				included = append(included, other)
			}
		}
	}
	return searchset(rows, included, total, next)
}

func onlyCount(query url.Values) bool {
	for name := range query {
		if name != "_count" && name != "_from" {
			return false
		}
	}
	return query.Has("_count")
}

func (v *visit) hides(typ string, plain url.Values) bool {
	return slices.ContainsFunc(v.rows, func(r *row) bool { return r.typ == typ && r.hidden() && r.meets(plain) })
}

// related holds a row against a chain or _has.
func (v *visit) related(r *row, special map[string]string) bool {
	if chain := special["chain"]; chain != "" {
		_, rest, _ := strings.Cut(chain, ".")
		name, value, _ := strings.Cut(rest, "=")
		return slices.ContainsFunc(v.rows, func(target *row) bool {
			return strings.Contains(r.text, `"`+target.typ+"/"+target.id+`"`) && v.sees(target, Chain) && target.meets(url.Values{name: {value}})
		})
	}
	if has := special["has"]; has != "" {
		part := strings.SplitN(strings.TrimPrefix(has, "_has:"), ":", 3)
		name, value, _ := strings.Cut(part[2], "=")
		return slices.ContainsFunc(v.rows, func(source *row) bool {
			return source.typ == part[0] && strings.Contains(source.text, `"`+r.typ+"/"+r.id+`"`) && v.sees(source, Has) && source.meets(url.Values{name: {value}})
		})
	}
	return true
}

func (v *visit) match(body []byte) reply {
	var rows []*row
	for _, r := range v.rows {
		if r.typ == "Patient" && v.sees(r, Match) && r.doc["identifier"] != nil && bytes.Contains(body, []byte(`"K-123456"`)) {
			rows = append(rows, r)
		}
	}
	return searchset(rows, nil, nil, "")
}

func (v *visit) bundle(body []byte) reply {
	var b struct {
		Type  string
		Entry []struct {
			Resource json.RawMessage
			Request  struct{ Method, URL string }
		}
	}
	_ = json.Unmarshal(body, &b)
	own := map[string]Oracle{"transaction": Transaction, "batch": Batch}[b.Type]
	var entries []string
	for _, e := range b.Entry {
		at, query, _ := strings.Cut(e.Request.URL, "?")
		values, _ := url.ParseQuery(query)
		inner := &visit{v.double, v.by, true, http.Header{}}
		a := inner.route(e.Request.Method, at, values, e.Resource)
		for _, r := range v.rows {
			if v.on(own) && r.hidden() && strings.HasSuffix(at, r.typ+"/"+r.id) {
				a = no(403, "not yours")
			}
		}
		if a.status >= 400 && b.Type == "transaction" {
			return a
		}
		text := `{"response":{"status":"` + strconv.Itoa(a.status) + `"}`
		if a.body != "" {
			text += `,"resource":` + a.body
		}
		entries = append(entries, text+"}")
	}
	return reply{status: 200, body: `{"resourceType":"Bundle","type":"` + b.Type + `-response","entry":[` + strings.Join(entries, ",") + `]}`}
}

func searchset(rows, included []*row, total *int, next string) reply {
	text := `{"resourceType":"Bundle","type":"searchset"`
	if total != nil {
		text += `,"total":` + strconv.Itoa(*total)
	}
	if next != "" {
		link, _ := json.Marshal(next)
		text += `,"link":[{"relation":"next","url":` + string(link) + `}]`
	}
	var entries []string
	for i, r := range append(slices.Clone(rows), included...) {
		mode := "match"
		if i >= len(rows) {
			mode = "include"
		}
		entries = append(entries, `{"resource":`+r.text+`,"search":{"mode":"`+mode+`"}}`)
	}
	return reply{status: 200, body: text + `,"entry":[` + strings.Join(entries, ",") + `]}`}
}
