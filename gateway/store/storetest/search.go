package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/gateway/search"
	"sotesilta/gateway/store"
)

// The parameters that the suite searches by.
var (
	pID         = &search.Param{Name: "_id", Type: search.Token}
	pUpdated    = &search.Param{Name: "_lastUpdated", Type: search.Date}
	pStatus     = &search.Param{Name: "status", Type: search.Token}
	pCode       = &search.Param{Name: "code", Type: search.Token}
	pSubject    = &search.Param{Name: "subject", Type: search.Reference, Targets: []string{"Group", "Patient"}}
	pDate       = &search.Param{Name: "date", Type: search.Date}
	pName       = &search.Param{Name: "name", Type: search.String}
	pURL        = &search.Param{Name: "url", Type: search.URI}
	pQuantity   = &search.Param{Name: "value-quantity", Type: search.Quantity}
	pBasedOn    = &search.Param{Name: "based-on", Type: search.Reference, Targets: []string{"ServiceRequest"}}
	pIdentifier = &search.Param{Name: "identifier", Type: search.Token}
	pNear       = &search.Param{Name: "near", Type: search.Special}
	pPartOf     = &search.Param{Name: "part-of", Type: search.Reference, Targets: []string{"Task"}}
)

var params = map[string]*search.Param{
	"_id": pID, "_lastUpdated": pUpdated, "status": pStatus, "code": pCode, "subject": pSubject, "date": pDate, "name": pName,
	"url": pURL, "value-quantity": pQuantity, "based-on": pBasedOn, "part-of": pPartOf, "code-value-quantity": pPair, "near": pNear,
}

// token is the clause name=system|code; of any system if it is "".
func token(_, name, system, code string) search.Clause {
	return search.Clause{Param: params[name], Values: []search.Value{{System: system, Code: code, SystemSet: system != ""}}}
}

// refers is the clause name=Type/id.
func refers(name, typ, id string) search.Clause {
	return search.Clause{Param: params[name], Values: []search.Value{{RefType: typ, RefID: id}}}
}

func sortBy(name string, desc bool) search.SortKey {
	return search.SortKey{Param: params[name], Name: name, Desc: desc}
}

func day(d int) time.Time { return time.Date(2026, 1, d, 0, 0, 0, 0, time.UTC) }

// whole is the span of day d, as a search value.
func whole(prefix string, d int) search.Value {
	return search.Value{Prefix: prefix, From: day(d), To: day(d + 1)}
}

func testSearch(t *testing.T, e Engine) {
	s := open(t, e)
	put := func(id string, x search.Index) {
		commit(t, s, store.Change{Put: []store.Row{row(class("Observation", "aino"), id, 1, x)}})
	}
	put("a", search.Index{
		Tokens: []search.TokenEntry{
			{Param: "status", System: "http://s", Code: "final", Text: "loppullinen"},
			{Param: "code", System: "http://x", Code: "1"},
			{Param: "code", Code: "2"},
			{Param: "code", Text: "verenpaine oikea"},
		},
		References: []search.ReferenceEntry{{Param: "subject", Type: "Patient", ID: "aino"}, {Param: "based-on", URL: "http://elsewhere/1"}},
		Dates:      []search.DateEntry{{Param: "date", From: day(10), To: day(11)}},
		Strings:    []search.StringEntry{{Param: "name", Folded: "aino maria", Exact: "Aino Maria"}},
		URIs:       []search.StringEntry{{Param: "url", Exact: "http://a/b"}},
		Numbers:    []search.NumberEntry{{Param: "value-quantity", System: "http://u", Code: "mg", Low: 100, High: 100}},
	})
	put("b", search.Index{
		Tokens:     []search.TokenEntry{{Param: "status", System: "http://s", Code: "draft"}, {Param: "code", System: "http://y", Code: "1"}},
		References: []search.ReferenceEntry{{Param: "subject", Type: "Group", ID: "aino", System: "urn:i", Code: "77"}},
		Dates:      []search.DateEntry{{Param: "date", From: day(10), To: day(20)}},
		Strings:    []search.StringEntry{{Param: "name", Folded: "eino", Exact: "EINO"}},
		Numbers:    []search.NumberEntry{{Param: "value-quantity", System: "http://u", Code: "mg", Low: 90, High: 110}},
	})
	put("c", search.Index{})
	any := func(name string, modifier string, values ...search.Value) search.Clause {
		return search.Clause{Param: params[name], Modifier: modifier, Values: values}
	}
	v := func(prefix string, low, high float64) search.Value {
		return search.Value{Prefix: prefix, Low: low, High: high}
	}
	for _, c := range []struct {
		name  string
		where []search.Clause
		want  []string
	}{
		{"everything", nil, []string{"a", "b", "c"}},
		{"code of any system", []search.Clause{token("", "code", "", "1")}, []string{"a", "b"}},
		{"code of a system", []search.Clause{token("", "code", "http://x", "1")}, []string{"a"}},
		{"code of no system", []search.Clause{any("code", "", search.Value{Code: "2", SystemSet: true})}, []string{"a"}},
		{"code that has a system, of none", []search.Clause{any("code", "", search.Value{Code: "1", SystemSet: true})}, nil},
		{"any code of a system", []search.Clause{any("code", "", search.Value{System: "http://y", SystemSet: true})}, []string{"b"}},
		{"one or the other", []search.Clause{any("status", "", search.Value{Code: "final"}, search.Value{Code: "draft"})}, []string{"a", "b"}},
		{"any of several", []search.Clause{{Any: []search.Clause{refers("subject", "Patient", "aino"), token("", "status", "", "draft"), any("url", "missing", search.Value{Missing: false})}}}, []string{"a", "b"}},
		{"any of several, and another", []search.Clause{{Any: []search.Clause{refers("subject", "Patient", "aino"), token("", "status", "", "draft")}}, token("", "code", "", "2")}, []string{"a"}},
		{"one and the other", []search.Clause{token("", "status", "", "final"), token("", "code", "", "2")}, []string{"a"}},
		{"not", []search.Clause{any("status", "not", search.Value{Code: "final"})}, []string{"b", "c"}},
		{"text", []search.Clause{any("code", "text", search.Value{Text: "verenp"})}, []string{"a"}},
		{"text from its middle", []search.Clause{any("code", "text", search.Value{Text: "oikea"})}, nil},
		{"missing", []search.Clause{any("date", "missing", search.Value{Missing: true})}, []string{"c"}},
		{"not missing", []search.Clause{any("date", "missing", search.Value{Missing: false})}, []string{"a", "b"}},
		{"missing url", []search.Clause{any("url", "missing", search.Value{Missing: true})}, []string{"b", "c"}},
		{"reference", []search.Clause{refers("subject", "Patient", "aino")}, []string{"a"}},
		{"reference of any type", []search.Clause{any("subject", "", search.Value{RefID: "aino"})}, []string{"a", "b"}},
		{"reference elsewhere", []search.Clause{any("based-on", "", search.Value{URL: "http://elsewhere/1"})}, []string{"a"}},
		{"reference by identifier", []search.Clause{any("subject", "identifier", search.Value{System: "urn:i", Code: "77", SystemSet: true})}, []string{"b"}},
		{"date within", []search.Clause{any("date", "", whole("", 10))}, []string{"a"}},
		{"date ne", []search.Clause{any("date", "", whole("ne", 10))}, []string{"b"}},
		{"date gt", []search.Clause{any("date", "", whole("gt", 10))}, []string{"b"}},
		{"date ge", []search.Clause{any("date", "", whole("ge", 10))}, []string{"a", "b"}},
		{"date lt", []search.Clause{any("date", "", whole("lt", 11))}, []string{"a", "b"}},
		{"date le", []search.Clause{any("date", "", whole("le", 10))}, []string{"a"}},
		{"date sa", []search.Clause{any("date", "", whole("sa", 9))}, []string{"a", "b"}},
		{"date eb", []search.Clause{any("date", "", whole("eb", 11))}, []string{"a"}},
		{"date ap", []search.Clause{any("date", "", whole("ap", 15))}, []string{"b"}},
		{"string begins", []search.Clause{any("name", "", search.Value{Text: "aino"})}, []string{"a"}},
		{"string contains", []search.Clause{any("name", "contains", search.Value{Text: "ino"})}, []string{"a", "b"}},
		{"string contains no pattern", []search.Clause{any("name", "contains", search.Value{Text: "%"})}, nil},
		{"string exact", []search.Clause{any("name", "exact", search.Value{Text: "EINO"})}, []string{"b"}},
		{"string exact of another case", []search.Clause{any("name", "exact", search.Value{Text: "eino"})}, nil},
		{"uri", []search.Clause{any("url", "", search.Value{Text: "http://a/b"})}, []string{"a"}},
		{"number eq", []search.Clause{any("value-quantity", "", v("", 99.5, 100.5))}, []string{"a"}},
		{"number gt", []search.Clause{any("value-quantity", "", v("gt", 100, 100))}, []string{"b"}},
		{"number ge", []search.Clause{any("value-quantity", "", v("ge", 100, 100))}, []string{"a", "b"}},
		{"number sa", []search.Clause{any("value-quantity", "", v("sa", 95, 95))}, []string{"a"}},
		{"quantity of a unit", []search.Clause{any("value-quantity", "", search.Value{Low: 99, High: 101, System: "http://u", Code: "mg", SystemSet: true})}, []string{"a"}},
		{"quantity of another unit", []search.Clause{any("value-quantity", "", search.Value{Low: 99, High: 101, Code: "g"})}, nil},
		{"id", []search.Clause{any("_id", "", search.Value{Code: "a"}, search.Value{Code: "c"}, search.Value{Code: "x"})}, []string{"a", "c"}},
		{"updated", []search.Clause{any("_lastUpdated", "", search.Value{Prefix: "gt", From: noon, To: noon.Add(time.Millisecond)})}, []string{"a", "b", "c"}},
		{"updated before", []search.Clause{any("_lastUpdated", "", search.Value{Prefix: "lt", From: noon.Add(time.Millisecond), To: noon.Add(2 * time.Millisecond)})}, nil},
		{"hostile text", []search.Clause{token("", "code", "", "'; DROP TABLE resource; --\x00")}, nil},
		{"a parameter without any values", []search.Clause{refers("part-of", "Task", "1")}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := find(t, s, &search.Query{Type: "Observation", Where: c.where, Count: 10, Total: true}, everything())
			require.Equal(t, append([]string{}, c.want...), ids(got.Matches))
			require.EqualValues(t, len(c.want), got.Total)
			require.Empty(t, got.Next)
		})
	}
	t.Run("gives whole rows and no total unless asked", func(t *testing.T) {
		got := find(t, s, &search.Query{Type: "Observation", Where: []search.Clause{token("", "code", "", "2")}, Count: 1}, everything())
		require.EqualValues(t, -1, got.Total)
		want := row(class("Observation", "aino"), "a", 1, search.Index{})
		require.Equal(t, want, got.Matches[0].Row)
	})
	t.Run("gives the total alone", func(t *testing.T) {
		got := find(t, s, &search.Query{Type: "Observation", Summary: true, Total: true}, everything())
		require.EqualValues(t, 3, got.Total)
		require.Empty(t, got.Matches)
		got = find(t, s, &search.Query{Type: "Observation", Summary: true, Total: true, Where: []search.Clause{token("", "code", "", "none")}}, everything())
		require.EqualValues(t, 0, got.Total)
	})
	t.Run("follows a row's values and forgets the deleted", func(t *testing.T) {
		s := open(t, e)
		one := row(class("Task", "aino"), "1", 1, search.Index{Tokens: []search.TokenEntry{{Param: "status", Code: "draft"}, {Param: "code", Code: "x"}}})
		commit(t, s, store.Change{Put: []store.Row{one}})
		two := row(class("Task", "aino"), "1", 2, search.Index{Tokens: []search.TokenEntry{{Param: "status", Code: "ready"}, {Param: "code", Code: "x"}}})
		commit(t, s, store.Change{Put: []store.Row{two}})
		count := func(code, value string) int {
			return len(find(t, s, &search.Query{Type: "Task", Count: 10, Where: []search.Clause{token("Task", code, "", value)}}, everything()).Matches)
		}
		require.Equal(t, 0, count("status", "draft"))
		require.Equal(t, 1, count("status", "ready"))
		require.Equal(t, 1, count("code", "x"))
		commit(t, s, store.Change{Put: []store.Row{deletion(two)}})
		require.Equal(t, 0, count("status", "ready"))
		require.Equal(t, 0, count("code", "x"))
		commit(t, s, store.Change{Put: []store.Row{row(class("Task", "aino"), "1", 4, one.Index)}})
		require.Equal(t, 1, count("status", "draft"))
		history := within(t, s, func(n store.Snapshot) ([]store.Row, error) { return n.History(t.Context(), "Task", "1", 0, 10) })
		require.Len(t, history, 4)
	})
	t.Run("includes what is referred to and what refers, each row once", func(t *testing.T) {
		s := open(t, e)
		patient := func(id string) store.Row { return row(class("Patient", id), id, 1, search.Index{}) }
		task := func(id, client, parent string) store.Row {
			x := search.Index{References: []search.ReferenceEntry{{Param: "subject", Type: "Patient", ID: client}}}
			if parent != "" {
				x.References = append(x.References, search.ReferenceEntry{Param: "part-of", Type: "Task", ID: parent})
			}
			return row(class("Task", client), id, 1, x)
		}
		commit(t, s, store.Change{Put: []store.Row{
			patient("aino"), patient("onni"), task("1", "aino", ""), task("2", "aino", "1"), task("3", "aino", "2"), task("4", "onni", "3"),
		}})
		include := func(reverse bool, name, target string, iterate bool) search.Include {
			return search.Include{Reverse: reverse, Type: "Task", Params: []*search.Param{params[name]}, Target: target, Iterate: iterate}
		}
		for _, c := range []struct {
			name     string
			id       string
			includes []search.Include
			want     []string
		}{
			{"forward", "2", []search.Include{include(false, "subject", "", false)}, []string{"aino"}},
			{"forward to a type", "2", []search.Include{include(false, "subject", "Patient", false)}, []string{"aino"}},
			{"forward to another type", "2", []search.Include{include(false, "subject", "Group", false)}, nil},
			{"one step", "3", []search.Include{include(false, "part-of", "", false)}, []string{"2"}},
			{"all steps", "3", []search.Include{include(false, "part-of", "", true)}, []string{"2", "1"}},
			{"reverse", "1", []search.Include{include(true, "part-of", "", false)}, []string{"2"}},
			{"reverse all steps", "1", []search.Include{include(true, "part-of", "", true), include(false, "subject", "", true)}, []string{"2", "aino", "3", "4", "onni"}},
		} {
			t.Run(c.name, func(t *testing.T) {
				q := &search.Query{Type: "Task", Count: 10, Where: []search.Clause{token("", "_id", "", c.id)}, Includes: c.includes}
				got := find(t, s, q, everything())
				require.Equal(t, []string{c.id}, ids(got.Matches))
				require.ElementsMatch(t, c.want, ids(got.Includes))
			})
		}
		got := find(t, s, &search.Query{Type: "Task", Count: 10, Includes: []search.Include{include(false, "part-of", "", true)}}, everything())
		require.Empty(t, got.Includes, "a match is not included again")
	})
	t.Run("bounds what is included", func(t *testing.T) {
		s := open(t, e)
		var rows []store.Row
		for i := range 1200 {
			rows = append(rows, row(class("Task", "aino"), fmt.Sprintf("%04d", i), 1, search.Index{
				References: []search.ReferenceEntry{{Param: "subject", Type: "Patient", ID: "aino"}},
			}))
		}
		commit(t, s, store.Change{Put: append(rows, row(class("Patient", "aino"), "aino", 1, search.Index{}))})
		got := find(t, s, &search.Query{Type: "Patient", Count: 1, Includes: []search.Include{{Reverse: true, Type: "Task", Params: []*search.Param{pSubject}}}}, everything())
		require.Len(t, got.Includes, 1000)
		require.True(t, got.Cut, "it says so")
		q := &search.Query{Type: "Patient", Count: 1, Includes: []search.Include{{Reverse: true, Type: "Task", Params: []*search.Param{pSubject}}}}
		few := find(t, s, q, &guard{reach: store.Reach{All: true}, decide: deny(func(c consent.Class) bool { return c.Type == "Task" })})
		require.Empty(t, few.Includes)
		require.False(t, few.Cut, "what is denied is not counted")
	})
}

// deny answers for classes: permitted unless f says so.
func deny(f func(consent.Class) bool) func(consent.Class) consent.Decision {
	return func(c consent.Class) consent.Decision {
		if f(c) {
			return consent.Decision{Outcome: consent.Denied}
		}
		return consent.Decision{Outcome: consent.Permitted}
	}
}
