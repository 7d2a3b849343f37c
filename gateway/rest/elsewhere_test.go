package rest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/search"
)

// TestRefusalsSayTheWayRound: what FHIR has and this service has not is refused as not supported, with what to do
// instead, and never as a row that is absent.
func TestRefusalsSayTheWayRound(t *testing.T) {
	f := newFace(t)
	for _, c := range []struct {
		method, target, body string
		status               int
		says                 string
	}{
		{"GET", "/Patient/aino/Task/", "", 404, "Task is not in the compartment of Patient: search GET [base]/Task?patient=Patient/aino"},
		{"GET", "/Patient/a_b/Task", "", 404, "Task?patient=Patient/[id]"},
		{"GET", "/Patient/aino/PlanDefinition", "", 404, "PlanDefinition is not in the compartment of Patient."},
		{"GET", "/Task/t1/Patient", "", 404, "Patient is not in the compartment of Task"},
		{"POST", "/Patient/aino/Task/_search", "", 404, "Task is not in the compartment of Patient"},
		{"GET", "/Task/t1/*?_type=Task", "", 404, "There is nothing at this address"},
		{"PUT", "/Task?colour=red", `{"resourceType":"Task"}`, 400, "colour"},
		{"PUT", "", "", 405, "Allow names those"},
		{"POST", "/$export", "", 404, "There is no such operation here"},
	} {
		w := f.ask(c.method, c.target, c.body)
		code := "not-supported"
		if strings.HasPrefix(c.says, "There is nothing") {
			code = "not-found"
		}
		is := outcome(t, w, c.status, code)
		require.Contains(t, is.Text("diagnostics"), c.says, "%s %s", c.method, c.target)
	}
	require.Empty(t, f.desk.calls, "no row is asked for")
}

func TestWhatBundlesDoNotTake(t *testing.T) {
	f := newFace(t)
	for url, says := range map[string]string{
		"Patient/$match":                      "Allow names those",
		"PlanDefinition/joint-client/$apply":  "Allow names those",
		"$export":                             "There is no such operation here",
		"Patient/$export":                     "An export is not taken here",
		"Patient/$colour":                     "There is no such operation here",
		"Task/_search":                        "A search in a Bundle is a GET",
		"Patient/aino/Task":                   "Task?patient=Patient/aino",
		"Patient/aino/Observation/_search":    "A search in a Bundle is a GET",
		base + "/PlanDefinition/joint/$apply": "Allow names those",
	} {
		for _, kind := range []string{"batch", "transaction"} {
			w := f.ask("POST", "", bundleOf(kind, `{"request":{"method":"GET","url":"`+url+`"}}`))
			require.Contains(t, w.Body.String(), says, "%s of %s", kind, url)
			require.Contains(t, w.Body.String(), `"code":"not-supported"`)
		}
	}
	require.Empty(t, f.desk.calls)
}

func TestASlashAtTheEndChangesNothing(t *testing.T) {
	f := newFace(t)
	f.desk.put(`{"resourceType":"Task","id":"t1","status":"draft"}`)
	require.Equal(t, 201, f.ask("POST", "/Task/", `{"resourceType":"Task"}`).Code)
	require.Equal(t, f.ask("GET", "/Task/t1", "").Body.String(), f.ask("GET", "/Task/t1/", "").Body.String())
	require.Equal(t, 200, f.ask("GET", "/Task/?status=draft", "").Code)
	require.Equal(t, 200, f.ask("GET", "/metadata/", "").Code)
	w := f.ask("POST", "", bundleOf("batch", `{"request":{"method":"GET","url":"Task/t1/"}}`))
	require.Contains(t, w.Body.String(), `"status":"200 OK"`)
}

// The numbers of rows that the CapabilityStatement names are those that hold.
func TestPagesAreAsLongAsMetadataSays(t *testing.T) {
	q, err := search.Parse("Task", nil, search.Options{})
	require.NoError(t, err)
	require.Equal(t, 50, q.Count)
	q, err = search.Parse("Task", []search.Pair{{Name: "_count", Value: "501"}}, search.Options{})
	require.NoError(t, err)
	require.Equal(t, 500, q.Count)
}
