package rest

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/exchange"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

// counting is an operation that changes nothing and answers its Parameters.
func counting(c *Config) {
	c.Operations = append(c.Operations, Operation{
		Type: "PlanDefinition", Name: "count", Definition: "https://gw.example/OperationDefinition/count",
		Asked: map[string]string{"count": "valueInteger"},
		Handle: func(_ context.Context, _ exchange.Caller, _ string, in *fhir.Value) (*exchange.Resource, error) {
			return &exchange.Resource{Type: "Parameters", Body: in.AppendJSON(nil)}, nil
		},
	})
}

// An entry of a batch asks an operation as a request of its own would: the same answer, decided and recorded by itself.
func TestBatchesAskOperations(t *testing.T) {
	f := newFace(t, counting)
	f.desk.put(`{"resourceType":"Patient","id":"aino","gender":"female"}`)
	f.desk.put(`{"resourceType":"Observation","id":"o1","status":"final"}`)
	f.desk.put(`{"resourceType":"Patient","id":"hidden"}`)
	f.desk.denied["Patient/hidden"] = true
	get := func(url string) string { return `{"request":{"method":"GET","url":"` + url + `"}}` }
	w := f.ask("POST", "", bundleOf("batch",
		get("Patient/aino/$everything?_type=Observation&_elements=status&_format=json"),
		get("Patient/aino/$meta"),
		get("PlanDefinition/$count?count=2"),
		`{"request":{"method":"POST","url":"PlanDefinition/$count"},"resource":{"resourceType":"Parameters","parameter":[{"name":"count","valueInteger":3}]}}`,
		`{"request":{"method":"POST","url":"PlanDefinition/joint/$apply"},"resource":{"resourceType":"Parameters"}}`,
		`{"request":{"method":"POST","url":"PlanDefinition/joint/$apply"}}`,
		get("metadata?mode=normative&_elements=fhirVersion"),
		get("_history?_count=1"),
		get("Patient/hidden/$everything"),
		get("Patient/nobody/$everything"),
		get("PlanDefinition/$count?colour=red"),
		`{"request":{"method":"DELETE","url":"Patient/aino/$meta"}}`,
		`{"request":{"method":"POST","url":"PlanDefinition/$count"},"resource":{"resourceType":"Toimeksianto"}}`,
	))
	require.Equal(t, 200, w.Code, "%s", w.Body)
	entries := parsed(t, w).Get("entry").Items()
	var statuses []string
	for _, e := range entries {
		statuses = append(statuses, strings.Fields(e.Text("response", "status"))[0])
	}
	require.Equal(t, []string{"200", "200", "200", "200", "200", "422", "200", "200", "404", "404", "400", "405", "400"}, statuses, "%s", w.Body)
	require.Equal(t, "searchset", entries[0].Text("resource", "type"))
	require.Equal(t, "final", entries[0].Text("resource", "entry", "resource", "status"))
	require.JSONEq(t, f.ask("GET", "/Patient/aino/$meta", "").Body.String(), string(entries[1].Get("resource").JSON()))
	require.Nil(t, entries[1].Get("fullUrl"), "what an operation makes is nowhere")
	require.Equal(t, "2", entries[2].Text("resource", "parameter", "valueInteger"))
	require.Equal(t, "3", entries[3].Text("resource", "parameter", "valueInteger"))
	require.Equal(t, base+"/CarePlan/joint", entries[4].Text("fullUrl"))
	require.Equal(t, "Parameters.parameter", entries[5].Text("response", "outcome", "issue", "expression"))
	require.Equal(t, "4.0.1", entries[6].Text("resource", "fhirVersion"))
	require.Equal(t, "history", entries[7].Text("resource", "type"))
	hidden, nobody := string(entries[8].JSON()), string(entries[9].JSON())
	require.Equal(t, nobody, hidden, "denied looks absent")
	require.Equal(t, []string{"everything Patient/aino", "read Patient/aino", "history-system ", "everything Patient/hidden", "everything Patient/nobody"}, f.desk.calls[:5])
	ids := map[string]bool{}
	for _, id := range f.desk.ids[:5] {
		require.False(t, ids[id], "each is an exchange of its own")
		ids[id] = true
	}

	alone := f.ask("GET", "/Patient/aino/$everything?_type=Observation", "")
	inXML := f.ask("POST", "", bundleOf("batch", get("Patient/aino/$everything?_type=Observation"), get("metadata")), "Accept", "application/fhir+xml")
	require.Contains(t, inXML.Body.String(), "<CapabilityStatement")
	require.Contains(t, alone.Body.String(), "final")
}

// A transaction takes what only reads, and goes nowhere when that cannot be answered.
func TestTransactionsAskWhatOnlyReads(t *testing.T) {
	f := newFace(t, counting)
	f.desk.put(`{"resourceType":"Patient","id":"aino"}`)
	create := `{"request":{"method":"POST","url":"Task"},"resource":{"resourceType":"Task"}}`
	w := f.ask("POST", "", bundleOf("transaction", create,
		`{"request":{"method":"GET","url":"Patient/aino/$everything"}}`, `{"request":{"method":"GET","url":"metadata?_elements=fhirVersion"}}`,
		`{"request":{"method":"POST","url":"PlanDefinition/$count"},"resource":{"resourceType":"Parameters"}}`))
	require.Equal(t, 200, w.Code, "%s", w.Body)
	entries := parsed(t, w).Get("entry").Items()
	require.Len(t, entries[1].Get("resource").Get("entry").Items(), 2, "what the transaction wrote is there")
	require.Equal(t, "4.0.1", entries[2].Text("resource", "fhirVersion"))
	require.Equal(t, "Parameters", entries[3].Text("resource", "resourceType"))

	before := len(f.desk.order)
	w = f.ask("POST", "", bundleOf("transaction", create, `{"request":{"method":"GET","url":"Patient/nobody/$everything"}}`))
	require.Equal(t, "Bundle.entry[1]", outcome(t, w, 404, "not-found").Text("expression"))
	w = f.ask("POST", "", bundleOf("transaction", create,
		`{"request":{"method":"POST","url":"PlanDefinition/joint/$apply"},"resource":{"resourceType":"Parameters"}}`))
	require.Contains(t, outcome(t, w, 400, "not-supported").Text("diagnostics"), "may change something")
	require.Len(t, f.desk.order, before, "nothing was written")
}

// Everything that is wrong is told of a resource beside the changes of a transaction, which it does not stop; only a question
// that cannot be answered does.
func TestTransactionsValidate(t *testing.T) {
	f := newValidating(t)
	f.desk.put(`{"resourceType":"Task","id":"t1","status":"draft","intent":"order"}`)
	create := `{"request":{"method":"POST","url":"Task"},"resource":{"resourceType":"Task","status":"draft","intent":"order"}}`
	validate := func(address, resource string) string {
		return `{"request":{"method":"POST","url":"` + address + `"},"resource":` + resource + `}`
	}
	w := f.ask("POST", "", bundleOf("transaction",
		validate("Task/$validate", `{"resourceType":"Task","status":"draft","intent":"order","nope":1}`),
		create,
		validate("Task/$validate?mode=update", `{"resourceType":"Task","status":"draft","intent":"order"}`),
		`{"request":{"method":"POST","url":"Task/t1/$validate"}}`,
		`{"request":{"method":"PUT","url":"Task/t1"},"resource":{"resourceType":"Task","id":"t1","status":"draft","intent":"order","authoredOn":"2026-02-01","lastModified":"2026-01-01"}}`,
	))
	require.Equal(t, 200, w.Code, "%s", w.Body)
	entries := parsed(t, w).Get("entry").Items()
	require.Equal(t, "201 Created", entries[1].Text("response", "status"))
	for i, place := range map[int]string{0: "Task.nope", 2: "Task.id", 3: "inv-1"} {
		require.Equal(t, "200 OK", entries[i].Text("response", "status"))
		require.Equal(t, "OperationOutcome", entries[i].Text("resource", "resourceType"))
		require.Contains(t, string(entries[i].Get("resource").JSON()), place, "the third is of what the transaction wrote")
	}

	before := len(f.desk.order)
	for body, status := range map[string]int{
		validate("Task/$validate", `{"resourceType":"Parameters","parameter":[{"name":"nope","valueCode":"x"}]}`): 400,
		`{"request":{"method":"POST","url":"Task/$validate"}}`:                                                    400,
		`{"request":{"method":"POST","url":"Task/nobody/$validate"}}`:                                             404,
		`{"request":{"method":"GET","url":"Task/$validate"}}`:                                                     405,
	} {
		w := f.ask("POST", "", bundleOf("transaction", create, body))
		require.Equal(t, status, w.Code, "%s: %s", body, w.Body)
		require.Contains(t, parsed(t, w).Text("issue", "expression"), "Bundle.entry[1]", body)
	}
	require.Len(t, f.desk.order, before, "nothing was written")

	w = f.ask("POST", "", bundleOf("batch", create, validate("Task/$validate", `{"resourceType":"Task","nope":1}`)))
	require.Contains(t, string(parsed(t, w).Get("entry").Items()[1].Get("resource").JSON()), "Task.nope", "in a batch likewise")
}

// What is asked before the changes and after them is the same question.
func TestATransactionAsksTwiceAlike(t *testing.T) {
	f := newFace(t)
	f.desk.put(`{"resourceType":"Patient","id":"aino"}`)
	f.desk.put(`{"resourceType":"Observation","id":"o1","status":"final","issued":"2026-01-01T10:00:00Z"}`)
	w := f.ask("POST", "", bundleOf("transaction", `{"request":{"method":"POST","url":"Task"},"resource":{"resourceType":"Task"}}`,
		`{"request":{"method":"GET","url":"Patient/aino/$everything?_type=Observation&_elements=status&_count=5"}}`))
	require.Equal(t, 200, w.Code, "%s", w.Body)
	entry := parsed(t, w).Get("entry").Items()[1]
	require.Equal(t, "200 OK", entry.Text("response", "status"), "%s", w.Body)
	found := entry.Get("resource").All("entry", "resource")
	require.Len(t, found, 1)
	require.Equal(t, "final", found[0].Text("status"))
	require.Nil(t, found[0].Get("issued"))
}

// A transaction takes $match; a log report, each asking of which is on record with what a person decided, is asked for alone.
func TestTransactionsMatch(t *testing.T) {
	f := newFace(t, func(c *Config) {
		c.Operations = append(c.Operations, Operation{
			Type: "Patient", Name: "disclosure-report", Instance: true, Definition: "https://gw.example/OperationDefinition/report",
			Handle: func(context.Context, exchange.Caller, string, *fhir.Value) (*exchange.Resource, error) {
				panic("asked")
			},
		})
	})
	f.desk.person = "aino"
	f.desk.put(`{"resourceType":"Patient","id":"aino"}`)
	create := `{"request":{"method":"POST","url":"Task"},"resource":{"resourceType":"Task"}}`
	match := func(patient string) string {
		return `{"request":{"method":"POST","url":"Patient/$match"},"resource":{"resourceType":"Parameters","parameter":[{"name":"resource","resource":` + patient + `}]}}`
	}
	w := f.ask("POST", "", bundleOf("transaction", create,
		match(`{"resourceType":"Patient","identifier":[{"system":"`+terms.HETU+`","value":"`+ainoCode+`"}],"name":[{"family":"Virtanen","given":["Aino"]}]}`)))
	require.Equal(t, 200, w.Code, "%s", w.Body)
	require.Equal(t, "aino", parsed(t, w).Get("entry").Items()[1].Text("resource", "entry", "resource", "id"))

	before := len(f.desk.order)
	w = f.ask("POST", "", bundleOf("transaction", create, match(`{"resourceType":"Patient"}`)))
	require.Equal(t, 422, w.Code, "%s", w.Body)
	w = f.ask("POST", "", bundleOf("transaction", create, `{"request":{"method":"POST","url":"Patient/aino/$disclosure-report"}}`))
	require.Contains(t, outcome(t, w, 400, "not-supported").Text("diagnostics"), "log data")
	require.Len(t, f.desk.order, before, "nothing was written")
}
