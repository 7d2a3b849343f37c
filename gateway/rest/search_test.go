package rest

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/exchange"
	"sotesilta/internal/fhir"
)

func TestSearchAnswersASearchset(t *testing.T) {
	f := newFace(t)
	kept := f.desk.put(`{"resourceType":"Task","id":"t1","status":"ready"}`)
	f.desk.put(`{"resourceType":"Task","id":"t2","status":"draft"}`)
	w := f.ask("GET", "/Task?status=ready&_total=accurate&_format=json", "")
	require.Equal(t, 200, w.Code, "%s", w.Body)
	doc := parsed(t, w)
	require.Equal(t, "searchset", doc.Text("type"))
	require.Equal(t, "1", doc.Text("total"))
	entries := doc.Get("entry").Items()
	require.Len(t, entries, 1)
	require.Equal(t, base+"/Task/t1", entries[0].Text("fullUrl"))
	require.Equal(t, "match", entries[0].Text("search", "mode"))
	require.Contains(t, w.Body.String(), string(kept.Body), "bodies leave as they are kept")
	self := links(doc)["self"]
	require.True(t, strings.HasPrefix(self, base+"/Task?"), self)
	require.Contains(t, self, "status=ready")
	require.Equal(t, string(doc.Get("entry").JSON()), string(parsed(t, f.ask("GET", self, "")).Get("entry").JSON()))

	empty := parsed(t, f.ask("GET", "/Task?status=failed", ""))
	require.Nil(t, empty.Get("entry"), "FHIR has no empty arrays")
	require.Nil(t, empty.Get("total"), "no total unless asked for")

	count := parsed(t, f.ask("GET", "/Task?_summary=count", ""))
	require.Equal(t, "2", count.Text("total"))
	require.Nil(t, count.Get("entry"))
}

func TestSearchPages(t *testing.T) {
	f := newFace(t)
	for i := range 5 {
		f.desk.put(fmt.Sprintf(`{"resourceType":"Task","id":"t%d","status":"ready"}`, i))
	}
	var seen []string
	address := "/Task?status=ready&_count=2"
	for address != "" {
		doc := parsed(t, f.ask("GET", address, ""))
		for _, id := range doc.All("entry", "resource", "id") {
			seen = append(seen, id.Str())
		}
		address = links(doc)["next"]
		if address != "" {
			require.Regexp(t, `^https://gw\.example/fhir/Task\?_page=[\w-]+$`, address)
			again := links(parsed(t, f.ask("GET", address, "")))["self"]
			require.Regexp(t, `_page=`, again)
		}
		require.Less(t, len(seen), 6)
	}
	require.Equal(t, []string{"t0", "t1", "t2", "t3", "t4"}, seen)

	next := links(parsed(t, f.ask("GET", "/Task?_count=2", "")))["next"]
	outcome(t, f.ask("GET", next, "", "Authorization", "Bearer doctor"), 400, "invalid")
	outcome(t, f.ask("GET", strings.Replace(next, "/Task?", "/Patient?", 1), ""), 400, "invalid")
	outcome(t, f.ask("GET", next[:len(next)-2]+"AA", ""), 400, "invalid")
	outcome(t, f.ask("GET", next+"&status=draft", ""), 400, "not-supported")
	require.Equal(t, 200, f.ask("GET", next+"&_pretty=true&_format=json", "").Code)

	// Another node with the same key goes on where this one stopped, a node with another key does not.
	same, other := newFace(t), newFace(t, func(c *Config) { c.PageKey = []byte("fedcba9876543210") })
	same.desk.rows, same.desk.order = f.desk.rows, f.desk.order
	require.Len(t, parsed(t, same.ask("GET", next, "")).Get("entry").Items(), 2)
	outcome(t, other.ask("GET", next, ""), 400, "invalid")
}

func TestWhatWasAskedInABodyIsInNoLink(t *testing.T) {
	f := newFace(t)
	for i := range 3 {
		f.desk.put(fmt.Sprintf(`{"resourceType":"Patient","id":"p%d","identifier":[{"value":"010190-900R"}]}`, i))
	}
	w := f.ask("POST", "/Patient/_search", "identifier="+url.QueryEscape("urn:oid:1.2.246.21|")+ainoCode+"&family=Virtanen&_count=1",
		"Content-Type", formBody)
	require.Equal(t, 200, w.Code, "%s", w.Body)
	doc := parsed(t, w)
	require.Len(t, doc.Get("entry").Items(), 1)
	for _, relation := range []string{"self", "next"} {
		require.Regexp(t, `^https://gw\.example/fhir/Patient\?_page=[\w-]+$`, links(doc)[relation])
		answer := f.ask("GET", links(doc)[relation], "")
		require.Equal(t, 200, answer.Code, "%s", answer.Body)
		require.NotContains(t, links(parsed(t, answer))["self"], "Virtanen")
	}
	require.NotContains(t, links(doc)["self"]+links(doc)["next"], "irtanen")
	require.NotContains(t, f.log.String(), "900R")
	require.NotContains(t, f.log.String(), "irtanen")

	// In a Bundle the links are those of the same address outside of one, apart from what no URL may hold.
	for address, self := range map[string]string{
		"Task?status=ready&_count=1":                                            `^https://gw\.example/fhir/Task\?status=ready&_count=1$`,
		"Patient/aino/Observation?status=final":                                 `^https://gw\.example/fhir/Patient/aino/Observation\?status=final$`,
		"Patient?identifier=urn:oid:1.2.246.21%7C" + ainoCode + "&_count=1":     `^https://gw\.example/fhir/Patient\?_page=[\w-]+$`,
		"Patient?family=" + ainoCode:                                            `^https://gw\.example/fhir/Patient\?_page=[\w-]+$`,
		"Patient?_has:Observation:subject:identifier=%2530%2531" + ainoCode[2:]: `^https://gw\.example/fhir/Patient\?_page=[\w-]+$`,
	} {
		for _, kind := range []string{"batch", "transaction"} {
			w := f.ask("POST", "", bundleOf(kind, `{"request":{"method":"GET","url":"`+address+`"}}`))
			require.Equal(t, 200, w.Code, "%s: %s", address, w.Body)
			found := parsed(t, w).Get("entry").Items()[0].Get("resource")
			require.Regexp(t, self, links(found)["self"], "%s of %s", kind, address)
			require.Equal(t, 200, f.ask("GET", links(found)["self"], "").Code, "the link leads there")
		}
	}

	// The URL and the form are read together; only what is public is shown.
	w = f.ask("POST", "/Task/_search?status=ready", "_id=t1", "Content-Type", formBody+"; charset=utf8") // as some write it
	require.Equal(t, 200, w.Code, "%s", w.Body)
	require.Len(t, f.desk.queries[len(f.desk.queries)-1].Where, 2)
	require.Equal(t, 200, f.ask("POST", "/Task/_search?status=ready", "", "Content-Length", "0").Code)
	outcome(t, f.ask("POST", "/Task/_search", `{"resourceType":"Parameters"}`), 415, "not-supported")
	outcome(t, f.ask("POST", "/Task/_search", "_id="+strings.Repeat("x", 20<<10), "Content-Type", formBody), 413, "too-long")
	outcome(t, f.ask("POST", "/Task/_search", "_id=%zz", "Content-Type", formBody), 400, "invalid")
}

func TestUnknownParametersAreRefusedUnlessLenient(t *testing.T) {
	f := newFace(t)
	f.desk.put(`{"resourceType":"Task","id":"t1"}`)
	is := outcome(t, f.ask("GET", "/Task?colour=red", ""), 400, "not-supported")
	require.Contains(t, is.Text("diagnostics"), "colour")
	require.NotContains(t, is.Text("diagnostics"), "red")
	require.Empty(t, f.desk.calls)

	w := f.ask("GET", "/Task?colour=red&_count=1", "", "Prefer", "handling=lenient")
	require.Equal(t, 200, w.Code, "%s", w.Body)
	doc := parsed(t, w)
	require.NotContains(t, links(doc)["self"], "red", "self says what was understood")
	entries := doc.Get("entry").Items()
	require.Equal(t, "outcome", entries[len(entries)-1].Text("search", "mode"))
	require.Contains(t, entries[len(entries)-1].Text("resource", "issue", "diagnostics"), "colour")
}

func TestAnAnswerWhoseIncludesAreCutSaysSo(t *testing.T) {
	f := newFace(t)
	f.desk.put(`{"resourceType":"Patient","id":"aino"}`)
	require.Len(t, parsed(t, f.ask("GET", "/Patient?_revinclude=Task:*", "")).Get("entry").Items(), 1)
	f.desk.cut = true
	entries := parsed(t, f.ask("GET", "/Patient?_revinclude=Task:*", "")).Get("entry").Items()
	require.Len(t, entries, 2)
	require.Equal(t, "outcome", entries[1].Text("search", "mode"))
	require.Equal(t, "incomplete", entries[1].Text("resource", "issue", "code"))
}

func TestTheNoticeIsThereWhetherOrNotAnythingIs(t *testing.T) {
	const notice = "Protected data, if any, need confirmation."
	f := newFace(t, func(c *Config) {
		c.Notice = func(_ exchange.Caller, typ string) []fhir.Issue {
			if typ != "Observation" {
				return nil
			}
			return []fhir.Issue{{Severity: "information", Code: "suppressed", Diagnostics: notice}}
		}
	})
	empty := parsed(t, f.ask("GET", "/Observation", ""))
	f.desk.put(`{"resourceType":"Observation","id":"o1"}`)
	full := parsed(t, f.ask("GET", "/Observation", ""))
	require.Equal(t, notice, empty.Text("entry", "resource", "issue", "diagnostics"))
	last := full.Get("entry").Items()[1]
	require.Equal(t, string(empty.Get("entry").Items()[0].JSON()), string(last.JSON()))
	require.Equal(t, "outcome", last.Text("search", "mode"))
	require.Nil(t, parsed(t, f.ask("GET", "/Task", "")).Get("entry"))
}

// A compartment is searched like its type, by GET and by POST, alone and in Bundles, and its links stay in it.
func TestCompartmentsAreSearched(t *testing.T) {
	f := newFace(t)
	for i := range 3 {
		f.desk.put(fmt.Sprintf(`{"resourceType":"Observation","id":"o%d","status":"final","subject":{"reference":"Patient/aino"}}`, i))
	}
	doc := parsed(t, f.ask("GET", "/Patient/aino/Observation?status=final&_count=2", ""))
	require.Len(t, doc.All("entry"), 2)
	require.Equal(t, base+"/Patient/aino/Observation?status=final&_count=2", links(doc)["self"])
	next := links(doc)["next"]
	require.Regexp(t, `^https://gw\.example/fhir/Patient/aino/Observation\?_page=[\w-]+$`, next)
	require.Equal(t, []string{"o2"}, idsIn(parsed(t, f.ask("GET", next, "")).All("entry", "resource", "id")))
	_, page, _ := strings.Cut(next, "?")
	for _, other := range []string{"/Patient/eino/Observation?", "/Observation?"} {
		outcome(t, f.ask("GET", other+page, ""), 400, "invalid")
	}
	posted := parsed(t, f.ask("POST", "/Patient/aino/Observation/_search", "status=final&_count=500", "Content-Type", "application/x-www-form-urlencoded"))
	require.Len(t, posted.All("entry"), 3)
	require.Regexp(t, `/Patient/aino/Observation\?_page=`, links(posted)["self"])
	for _, kind := range []string{"batch", "transaction"} {
		w := f.ask("POST", "", bundleOf(kind, `{"request":{"method":"GET","url":"Patient/aino/Observation?status=final"}}`))
		require.Equal(t, 200, w.Code, "%s", w.Body)
		require.Len(t, parsed(t, w).All("entry", "resource", "entry"), 3, kind)
	}
	require.Equal(t, "GET, HEAD, OPTIONS", f.ask("PUT", "/Patient/aino/Observation", "{}").Header().Get("Allow"))
	outcome(t, f.ask("GET", "/Patient/a_b/Observation", ""), 404, "not-found")
	require.Contains(t, f.ask("GET", "/metadata", "").Body.String(), `"compartment":["http://hl7.org/fhir/CompartmentDefinition/patient"`)
}

func idsIn(values []*fhir.Value) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = v.Str()
	}
	return out
}
