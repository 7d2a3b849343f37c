package rest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/internal/fhir"
)

func TestPartsOfResources(t *testing.T) {
	f := newFace(t)
	for _, id := range []string{"t1", "t2"} {
		f.desk.put(`{"resourceType":"Task","id":"` + id + `","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>"},"status":"draft","intent":"order","description":"d","note":[{"text":"n"}]}`)
	}
	members := map[string]string{
		"_summary=true":            "resourceType id meta status intent description",
		"_summary=text":            "resourceType id meta text status intent",
		"_summary=data":            "resourceType id meta status intent description note",
		"_summary=false":           "resourceType id meta text status intent description note",
		"_elements=note":           "resourceType id meta status intent note",
		"_elements=note,Task.text": "resourceType id meta text status intent note",
	}
	for query, want := range members {
		for _, target := range []string{"/Task/t1?", "/Task/t1/_history/1?"} {
			doc := parsed(t, f.ask("GET", target+query, ""))
			var names []string
			for _, m := range doc.Members() {
				names = append(names, m.Name)
			}
			require.ElementsMatch(t, strings.Fields(want), names, target+query)
			require.Equal(t, query != "_summary=false", doc.Text("meta", "tag", "code") == "SUBSETTED", target+query)
		}
		next, seen := base+"/Task?_count=1&"+query, 0
		for next != "" {
			doc := parsed(t, f.ask("GET", next, ""))
			for _, e := range doc.Get("entry").Items() {
				require.Len(t, e.Get("resource").Members(), len(strings.Fields(want)), "%s: pages keep what was asked", query)
				seen++
			}
			if query != "_summary=false" && seen == 1 {
				require.Contains(t, links(doc)["self"], strings.SplitN(query, "=", 2)[0])
			}
			next = links(doc)["next"]
		}
		require.Equal(t, 2, seen)
	}
	f.desk.put(`{"resourceType":"Observation","id":"o1","status":"final","code":{"text":"c"},"valueString":"v"}`)
	for _, choice := range []string{"value", "value[x]", "Observation.value[x]", "valueString"} {
		require.Equal(t, "v", parsed(t, f.ask("GET", "/Observation/o1?_elements="+choice, "")).Text("valueString"), choice)
	}
	w := f.ask("POST", "", bundleOf("batch", `{"request":{"method":"GET","url":"Task/t1?_elements=note"}}`))
	require.Nil(t, parsed(t, w).Get("entry").Items()[0].Get("resource").Get("description"))
	require.Equal(t, 400, f.ask("GET", "/Task?_summary=text&_include=Task:patient", "").Code)
	for _, bad := range []string{"_summary=true&_elements=note", "_elements=", "_elements=a%20b", "_elements=note.text", "_elements=Task.note.text", "_summary=short", "_elements=" + strings.Repeat("a,", 70) + "a"} {
		require.Equal(t, 400, f.ask("GET", "/Task/t1?"+bad, "").Code, bad)
		require.Equal(t, 400, f.ask("GET", "/Task?"+bad, "").Code, bad)
	}
	require.Contains(t, string(f.desk.rows["Task/t1"][0].Body), "description", "what is kept stays whole")
}

// A history and everything of a client are shortened as reads are, on every page.
func TestHistoriesAndEverythingInPart(t *testing.T) {
	f := newFace(t)
	for range 3 {
		f.desk.put(`{"resourceType":"Patient","id":"aino","gender":"female","birthDate":"1990-01-01"}`)
	}
	f.desk.put(`{"resourceType":"Task","id":"t","status":"requested","intent":"order","description":"x"}`)
	for address, rows := range map[string]int{
		"/Patient/aino/_history?_elements=birthDate&_count=5": 3, "/_history?_summary=false&_elements=birthDate&_count=1": 4,
		"/Patient/aino/$everything?_elements=birthDate&_count=1": 2, "/Patient/aino/$everything?_type=Patient&_elements=birthDate": 1,
	} {
		n := 0
		for next := address; next != ""; {
			doc := parsed(t, f.ask("GET", next, ""))
			require.Equal(t, "Bundle", fhir.ResourceType(doc), "%s: %s", next, doc.JSON())
			for _, row := range doc.All("entry", "resource") {
				n++
				require.Equal(t, "SUBSETTED", row.Text("meta", "tag", "code"), address)
				require.Empty(t, row.Text("gender"), address)
				require.Empty(t, row.Text("description"), address)
				require.Equal(t, row.Text("resourceType") == "Patient", row.Text("birthDate") != "", address)
			}
			next = links(doc)["next"]
		}
		require.Equal(t, rows, n, address)
	}
	for _, address := range []string{"/Patient/aino", "/Patient/aino/_history", "/Patient/aino/_history/1", "/Patient/_history", "/_history", "/Patient/aino/$everything"} {
		counted := outcome(t, f.ask("GET", address+"?_summary=count", ""), 400, "not-supported")
		require.Equal(t, "http._summary", counted.Text("expression"), address)
		require.Contains(t, counted.Text("diagnostics"), "_summary=count is of searches", address)
		other := outcome(t, f.ask("GET", address+"?_summary=short", ""), 400, "value")
		require.Contains(t, other.Text("diagnostics"), "true, text, data or false", address)
		outcome(t, f.ask("GET", address+"?_summary=false&_summary=true&_summary=count", ""), 400, "not-supported")
		require.Equal(t, 200, f.ask("GET", address+"?_summary=count", "", "Prefer", "handling=lenient").Code, "left out, as is asked")
	}
	outcome(t, f.ask("GET", "/Patient/aino/_history?_summary=true&_elements=gender", ""), 400, "invalid")
}
