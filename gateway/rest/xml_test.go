package rest

import (
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/internal/fhir"
)

const taskXML = `<?xml version="1.0" encoding="UTF-8"?>
<Task xmlns="http://hl7.org/fhir">
  <text><status value="generated"/><div xmlns="http://www.w3.org/1999/xhtml">Kutsu <b>palveluun</b></div></text>
  <status value="requested"/><_ unused=""/>
</Task>`

// xmlOf reads an answer in XML.
func xmlOf(t testing.TB, w *httptest.ResponseRecorder, status int) *fhir.Value {
	t.Helper()
	require.Equal(t, status, w.Code, w.Body)
	require.Equal(t, fhirXML+"; charset=utf-8", w.Header().Get("Content-Type"))
	doc, err := fhir.ParseXML(w.Body.Bytes(), fhir.Limits{})
	require.NoError(t, err, w.Body)
	return doc
}

func TestEveryInteractionSpeaksXML(t *testing.T) {
	f := newFace(t)
	task := `<Task xmlns="http://hl7.org/fhir"><!-- dropped --><text><status value="generated"/>` +
		`<div xmlns="http://www.w3.org/1999/xhtml">Kutsu <b>palveluun</b></div></text><status value="draft"/><intent value="order"/>` +
		`<for><reference value="Patient/aino"/></for><input><type><text value="määrä"/></type><valueDecimal value="1.10"/></input></Task>`
	asXML := []string{"Content-Type", fhirXML, "Accept", fhirXML}

	made := xmlOf(t, f.ask("POST", "/Task", task, asXML...), 201)
	require.Equal(t, "1.10", made.Text("input", "valueDecimal"))
	require.Equal(t, "Patient/aino", made.Text("for", "reference"))

	read := xmlOf(t, f.ask("GET", "/Task/"+fhir.ID(made), "", "Accept", fhirXML), 200)
	require.Equal(t, `<div xmlns="http://www.w3.org/1999/xhtml">Kutsu <b>palveluun</b></div>`, read.Text("text", "div"))
	asJSON := parsed(t, f.ask("GET", "/Task/"+fhir.ID(made), ""))
	require.Equal(t, "1.10", asJSON.Text("input", "valueDecimal"), "what came as XML is what JSON tells")

	require.Equal(t, "Bundle", fhir.ResourceType(xmlOf(t, f.ask("GET", "/Task/"+fhir.ID(made)+"/_history?_format=xml", ""), 200)))
	require.Equal(t, "CapabilityStatement", fhir.ResourceType(xmlOf(t, f.ask("GET", "/metadata", "", "Accept", fhirXML), 200)))

	missing := xmlOf(t, f.ask("GET", "/Task/nobody", "", "Accept", fhirXML), 404)
	require.Equal(t, "not-found", missing.Text("issue", "code"), "errors too")
	broken := xmlOf(t, f.ask("POST", "/Task", taskXML, asXML...), 400)
	require.Equal(t, "Task._", broken.Text("issue", "expression"))

	batch := `<Bundle xmlns="http://hl7.org/fhir"><type value="batch"/><entry><resource>` + task +
		`</resource><request><method value="POST"/><url value="Task"/></request></entry></Bundle>`
	answered := xmlOf(t, f.ask("POST", "", batch, asXML...), 200)
	require.Equal(t, "201 Created", answered.Text("entry", "response", "status"))
}
