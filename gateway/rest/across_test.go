package rest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/internal/fhir"
)

// refsOf are what a searchset holds, Type/id.
func refsOf(doc *fhir.Value) (out []string) {
	for _, e := range doc.Get("entry").Items() {
		if e.Text("search", "mode") == "match" {
			out = append(out, fhir.ResourceType(e.Get("resource"))+"/"+fhir.ID(e.Get("resource")))
		}
	}
	return out
}

// A search across types names them; it is one search with one self link and one order of pages.
func TestSearchAcrossTypes(t *testing.T) {
	f := newFace(t)
	for _, body := range []string{
		`{"resourceType":"Task","id":"t1","status":"ready"}`, `{"resourceType":"Observation","id":"o1","status":"final"}`,
		`{"resourceType":"CareTeam","id":"c1"}`, `{"resourceType":"Task","id":"t2","status":"draft"}`,
	} {
		f.desk.put(body)
	}
	w := f.ask("GET", "?_type=Task,Observation&_total=accurate&_format=json", "")
	require.Equal(t, 200, w.Code, "%s", w.Body)
	doc := parsed(t, w)
	require.Equal(t, "3", doc.Text("total"))
	require.Equal(t, []string{"Task/t1", "Observation/o1", "Task/t2"}, refsOf(doc))
	require.Equal(t, base+"?_type=Observation,Task&_total=accurate", links(doc)["self"])
	require.Equal(t, refsOf(doc), refsOf(parsed(t, f.ask("GET", links(doc)["self"], ""))))
	require.Equal(t, []string{"Task/t1"}, refsOf(parsed(t, f.ask("GET", "/?_type=Task,Observation&status=ready", ""))))

	require.Equal(t, refsOf(doc), refsOf(parsed(t, f.ask("GET", "?_type=Task&_type=Observation", ""))), "one list, in however many parameters")

	// POST, whose parameters are in no link.
	posted := parsed(t, f.ask("POST", "/_search", "_type=Task%2CObservation&_count=2&status=ready,final", "Content-Type", "application/x-www-form-urlencoded"))
	require.Equal(t, []string{"Task/t1", "Observation/o1"}, refsOf(posted))
	require.Regexp(t, `^https://gw\.example/fhir\?_page=[\w-]+$`, links(posted)["self"])

	// Pages.
	var seen []string
	for next := base + "?_type=Task,CareTeam&_count=1"; next != ""; {
		page := parsed(t, f.ask("GET", next, ""))
		seen = append(seen, refsOf(page)...)
		next = links(page)["next"]
		require.Less(t, len(seen), 4)
	}
	require.Equal(t, []string{"Task/t1", "CareTeam/c1", "Task/t2"}, seen)
	next := links(parsed(t, f.ask("GET", "?_type=Task&_count=1", "")))["next"]
	outcome(t, f.ask("GET", strings.Replace(next, "?", "/Task?", 1), ""), 400, "invalid")

	// In a compartment, and in a Bundle.
	within := parsed(t, f.ask("GET", "/Patient/aino/*?_type=Observation,CareTeam", ""))
	require.Equal(t, base+"/Patient/aino/*?_type=CareTeam,Observation", links(within)["self"])
	require.Equal(t, "Patient/aino", f.desk.queries[len(f.desk.queries)-1].Within.String())
	require.Equal(t, "_compartment=Patient/aino&_type=CareTeam,Observation", f.desk.queries[len(f.desk.queries)-1].Asked())
	require.Equal(t, 200, f.ask("POST", "/Patient/aino/*/_search", "_type=Observation", "Content-Type", "application/x-www-form-urlencoded").Code)
	w = f.ask("POST", "", bundleOf("batch", `{"request":{"method":"GET","url":"?_type=Task,CareTeam"}}`, `{"request":{"method":"GET","url":"Patient/aino/*?_type=Observation"}}`))
	require.Equal(t, []string{"Task/t1", "CareTeam/c1", "Task/t2"}, refsOf(parsed(t, w).Get("entry").Items()[0].Get("resource")), "%s", w.Body)
	require.Equal(t, []string{"Observation/o1"}, refsOf(parsed(t, w).Get("entry").Items()[1].Get("resource")))
	for _, call := range f.desk.calls {
		require.Equal(t, "search-system ", call)
	}
}

func TestWhatASearchAcrossTypesRefuses(t *testing.T) {
	f := newFace(t)
	for target, code := range map[string]string{
		"":                                    "required",
		"?_lastUpdated=gt2026":                "required",
		"?_type=":                             "required",
		"/Patient/aino/*":                     "required",
		"?_type=Task,Toimeksianto":            "value",
		"?_type=Basic":                        "value",
		"?_type=Task,AuditEvent":              "value",
		"?_type=Task,Patient&owner=x":         "not-supported",
		"?_type=Task,Patient&_sort=status":    "not-supported",
		"?_type=Task&_type=Patient&colour=x":  "not-supported",
		"?_type=Task,Patient&_include=Slot:*": "invalid",
		"/Patient/aino/*?_type=Task":          "not-supported",
		"?_type=Task&identifier=010190-900R":  "invalid",
	} {
		outcome(t, f.ask("GET", target, ""), 400, code)
	}
	require.Equal(t, "GET, HEAD, POST, OPTIONS", f.ask("PUT", "", "{}").Header().Get("Allow"))
	require.Empty(t, f.desk.calls)
	lenient := parsed(t, f.ask("GET", "?_type=Task,Patient&owner=x", "", "Prefer", "handling=lenient"))
	require.Contains(t, string(lenient.JSON()), "The parameter owner is not supported")
}
