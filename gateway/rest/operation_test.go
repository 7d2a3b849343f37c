package rest

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/exchange"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

func TestMatchFindsOneOrNobody(t *testing.T) {
	f := newFace(t)
	f.desk.person = "aino"
	f.desk.put(`{"resourceType":"Patient","id":"aino"}`)
	input := func(code, family string) string {
		return `{"resourceType":"Parameters","parameter":[{"name":"resource","resource":{"resourceType":"Patient",` +
			`"identifier":[{"system":"` + terms.HETU + `","value":"` + code + `"}],"name":[{"family":"` + family + `","given":["Aino"]}]}}]}`
	}
	w := f.ask("POST", "/Patient/$match", input(ainoCode, "Virtanen"))
	require.Equal(t, 200, w.Code, "%s", w.Body)
	doc := parsed(t, w)
	require.Equal(t, "1", doc.Text("total"))
	found := doc.Get("entry").Items()[0]
	require.Equal(t, "aino", found.Text("resource", "id"))
	require.Equal(t, base+"/Patient/aino", found.Text("fullUrl"))
	require.Equal(t, "1", found.Text("search", "score"))
	require.Equal(t, "certain", found.Text("search", "extension", "valueCode"))
	require.Equal(t, w.Header().Get("X-Request-Id"), f.desk.ids[0])

	nobody := f.ask("POST", "/Patient/$match", input("010190-901S", "Virtanen"))
	f.desk.denied["Patient/aino"] = true
	denied := f.ask("POST", "/Patient/$match", input(ainoCode, "Virtanen"))
	require.Equal(t, `{"resourceType":"Bundle","type":"searchset","total":0}`, nobody.Body.String())
	require.Equal(t, nobody.Body.String(), denied.Body.String())

	require.Equal(t, "Patient.identifier", outcome(t, f.ask("POST", "/Patient/$match",
		`{"resourceType":"Parameters","parameter":[{"name":"resource","resource":{"resourceType":"Patient","name":[{"family":"X"}]}}]}`), 422, "required").Text("expression"))
	outcome(t, f.ask("POST", "/Patient/$match",
		`{"resourceType":"Parameters","parameter":[{"name":"resource","resource":{"resourceType":"Patient","identifier":[{"system":"`+terms.HETU+`","value":"`+ainoCode+`"}]}}]}`), 422, "required")
	outcome(t, f.ask("POST", "/Patient/$match", `{"resourceType":"Patient"}`), 400, "structure")
	outcome(t, f.ask("POST", "/Patient/$match", ""), 400, "structure")
	outcome(t, f.ask("POST", "/Patient/$match", input(ainoCode, "Virtanen"), "Authorization", "Bearer limited"), 403, "forbidden")
	require.NotContains(t, f.log.String(), ainoCode)
}

func TestOperationOfAnInstance(t *testing.T) {
	f := newFace(t)
	w := f.ask("POST", "/PlanDefinition/joint-client/$apply", `{"resourceType":"Parameters"}`)
	require.Equal(t, 200, w.Code)
	require.Equal(t, `W/"1"`, w.Header().Get("ETag"))
	require.Equal(t, `{"resourceType":"CarePlan"}`, w.Body.String())
	outcome(t, f.ask("POST", "/PlanDefinition/joint-client/$apply", ""), 422, "required")
	outcome(t, f.ask("POST", "/PlanDefinition/$apply", ""), 404, "not-supported")
}

// What changes nothing and asks of nobody may be asked with GET: its primitive parameters are those of the URL.
func TestOperationAskedByGet(t *testing.T) {
	f := newFace(t, func(c *Config) {
		c.Operations = append(c.Operations, Operation{
			Type: "PlanDefinition", Name: "count", Definition: "https://gw.example/OperationDefinition/count",
			Asked: map[string]string{"url": "valueUri", "count": "valueInteger"},
			Handle: func(_ context.Context, _ exchange.Caller, _ string, in *fhir.Value) (*exchange.Resource, error) {
				return &exchange.Resource{Type: "Parameters", Body: in.AppendJSON(nil)}, nil
			},
		})
	})
	w := f.ask("GET", "/PlanDefinition/$count?url=http://x.example/a%20b%7C1&count=2", "")
	outcome(t, w, 400, "value")
	w = f.ask("GET", "/PlanDefinition/$count?url=http://x.example/a%7C1&count=2&_format=json", "")
	require.Equal(t, 200, w.Code, "%s", w.Body)
	require.Equal(t, `{"resourceType":"Parameters","parameter":[{"name":"url","valueUri":"http://x.example/a|1"},{"name":"count","valueInteger":2}]}`, w.Body.String())
	require.Empty(t, f.ask("HEAD", "/PlanDefinition/$count?count=2", "").Body.String())
	require.Equal(t, "GET, HEAD, POST, OPTIONS", f.ask("OPTIONS", "/PlanDefinition/$count", "").Header().Get("Allow"))
	for query, is := range map[string]string{"count=two": "a whole number", "count=": "a whole number", "url=": "not empty"} {
		require.Contains(t, outcome(t, f.ask("GET", "/PlanDefinition/$count?"+query, ""), 400, "value").Text("diagnostics"), is)
	}
	outcome(t, f.ask("GET", "/PlanDefinition/$count?colour=red", ""), 400, "not-supported")
	require.Equal(t, 200, f.ask("GET", "/PlanDefinition/$count?colour=red", "", "Prefer", "handling=lenient").Code)
	outcome(t, f.ask("POST", "/PlanDefinition/$count?count=2", `{"resourceType":"Parameters"}`), 400, "not-supported")
	outcome(t, f.ask("GET", "/PlanDefinition/$count?url=010190-900R", ""), 400, "invalid")
	outcome(t, f.ask("GET", "/PlanDefinition/joint-client/$apply?subject=Patient/aino", ""), 405, "not-supported")
}
