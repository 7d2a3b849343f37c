package oracle

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// request is one question; path is below the base.
type request struct {
	method, path, body string
	header             []string // names and values in turn
}

// with puts values into the places {name} of a request: percent-encoded in the path and in forms, as they are
// elsewhere.
func (q request) with(values map[string]string) request {
	form := strings.HasSuffix(q.path, "/_search")
	fill := func(text string, encode bool) string {
		for name, value := range values {
			if encode {
				value = url.QueryEscape(value)
			}
			text = strings.ReplaceAll(text, "{"+name+"}", value)
		}
		return text
	}
	out := request{method: q.method, path: fill(q.path, true), body: fill(q.body, form), header: slices.Clone(q.header)}
	for i := range out.header {
		out.header[i] = fill(out.header[i], out.header[max(i-1, 0)] == "If-None-Exist")
	}
	return out
}

func (q request) String() string {
	text := q.method + " /" + q.path
	for i := 0; i+1 < len(q.header); i += 2 {
		text += " " + q.header[i] + ": " + q.header[i+1]
	}
	return text
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	length int64 // Content-Length, or -1
	body   []byte
	took   time.Duration
}

func readAll(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxAnswer+1))
	if err == nil && len(data) > maxAnswer {
		err = fmt.Errorf("an answer of more than %d MB", maxAnswer>>20)
	}
	return data, err
}

func sameHost(a, b string) bool {
	x, err1 := url.Parse(a)
	y, err2 := url.Parse(b)
	return err1 == nil && err2 == nil && x.Scheme == y.Scheme && x.Host == y.Host
}

// doc is the little that the battery reads of any resource.
type doc struct {
	Type     string          `json:"resourceType"`
	ID       string          `json:"id"`
	Total    json.RawMessage `json:"total"`
	Link     []docLink       `json:"link"`
	Entry    []docEntry      `json:"entry"`
	Meta     struct{ VersionID string }
	Software struct{ Name, Version string }
	Rest     []docRest `json:"rest"`
}

type docLink struct{ Relation, URL string }

type docEntry struct {
	FullURL  string `json:"fullUrl"`
	Resource json.RawMessage
	Search   struct{ Mode string }
	Response json.RawMessage
}

// errNoFHIR says that an answer is not a resource in JSON.
var errNoFHIR = errors.New("the answer is no FHIR resource in JSON")

func (a *answer) doc() (*doc, error) {
	d := &doc{}
	if json.Unmarshal(a.body, d) != nil || d.Type == "" {
		return nil, errNoFHIR
	}
	return d, nil
}

// matches are Type/id of a searchset's entries that are matches; a server that does not say the mode means matches.
func (d *doc) matches() []string {
	var refs []string
	for _, e := range d.Entry {
		if e.Search.Mode == "" || e.Search.Mode == "match" {
			var r doc
			if json.Unmarshal(e.Resource, &r) == nil && r.Type != "" {
				refs = append(refs, r.Type+"/"+r.ID)
			}
		}
	}
	return refs
}

func (d *doc) link(relation string) string {
	for _, l := range d.Link {
		if l.Relation == relation {
			return l.URL
		}
	}
	return ""
}

// aspects are what can be told of an answer, each under its name, without what was asked for and without times and
// random ids: those of two answers that mean the same are equal.
type aspects map[string]string

var (
	instant  = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)`)
	httpDate = regexp.MustCompile(`[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT`)
	uuid     = regexp.MustCompile(`[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}`)
	marks    = regexp.MustCompile(`[a-z]{7}[1-9]{25}`) // that the battery makes its own resources known by
	sealed   = regexp.MustCompile(`[A-Za-z0-9_%+/=-]{40,}`)
	location = regexp.MustCompile(`/([A-Za-z0-9.-]{1,64})/_history/`)
)

// plain takes out of a text what was asked for and what differs between any two answers.
func plain(text string, replace []string) string {
	text = strings.NewReplacer(replace...).Replace(text)
	text = instant.ReplaceAllString(text, "TIME")
	text = httpDate.ReplaceAllString(text, "TIME")
	text = uuid.ReplaceAllString(text, "UUID")
	text = marks.ReplaceAllString(text, "MARK")
	return sealed.ReplaceAllStringFunc(text, func(s string) string { return fmt.Sprintf("<%d bytes>", len(s)) })
}

// aspects takes an answer apart. replace holds what was asked for, and what stands for it, in turn.
func (a *answer) aspects(replace []string) aspects {
	if created := location.FindStringSubmatch(a.header.Get("Location")); created != nil {
		replace = append(slices.Clone(replace), created[1], "NEW")
	}
	out := aspects{"status": fmt.Sprint(a.status)}
	for name, values := range a.header {
		if name == "Content-Length" {
			continue // told by the body; of HEAD below
		}
		out["header "+name] = plain(strings.Join(values, "\n"), replace)
	}
	if len(a.body) == 0 {
		out["length"] = fmt.Sprint(a.length)
		return out
	}
	d, err := a.doc()
	switch {
	case err != nil:
		out["body"] = plain(string(a.body), replace)
	case d.Type == "OperationOutcome":
		out["outcome"] = plain(string(a.body), replace)
	case d.Type == "Bundle":
		out["total"] = string(d.Total)
		for _, l := range d.Link {
			if l.Relation != "self" {
				out["link "+l.Relation] = plain(l.URL, replace)
			}
		}
		out["self"] = plain(d.link("self"), replace)
		var entries strings.Builder
		for _, e := range d.Entry {
			fmt.Fprintf(&entries, "%s %s %s %s\n", e.FullURL, e.Search.Mode, e.Resource, e.Response)
		}
		out["entries"], out["rows"] = plain(entries.String(), replace), fmt.Sprint(len(d.Entry)) // rows: should entries be noise
		out["rest"] = rest(a.body, replace)
	default:
		out["body"] = plain(string(a.body), replace)
	}
	return out
}

// rest is what a Bundle has beside entries, links and total.
func rest(body []byte, replace []string) string {
	members := map[string]json.RawMessage{}
	if json.Unmarshal(body, &members) != nil {
		return ""
	}
	for _, known := range []string{"entry", "link", "total", "id"} {
		delete(members, known)
	}
	text, _ := json.Marshal(members) // of raw members; keys sorted
	return plain(string(text), replace)
}

// differing are the names of what two absent answers share and the hidden one has otherwise, in order.
func differing(hidden, absent, control aspects) []string {
	var names []string
	for name := range hidden {
		names = append(names, name)
	}
	for name := range absent {
		if _, both := hidden[name]; !both {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.DeleteFunc(names, func(name string) bool {
		value, has := absent[name]
		if again, hasAgain := control[name]; has != hasAgain || value != again {
			return true // noise
		}
		found, hasFound := hidden[name]
		return hasFound == has && found == value
	})
}
