package rest

import (
	"net/http/httptest"
	"strings"
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

// One entry of a batch that is not FHIR's leaves the others alone in XML as in JSON (FHIR R4 § 3.1.0.11.1); a transaction is
// refused whole, and so is what tells the entries apart.
func TestAFaultyEntryOfABatchInXML(t *testing.T) {
	f := newFace(t)
	post := func(resource string) string {
		return `<entry><resource>` + resource + `</resource><request><method value="POST"/><url value="Task"/></request></entry>`
	}
	bundle := func(kind string, entries ...string) string {
		return `<Bundle xmlns="http://hl7.org/fhir"><type value="` + kind + `"/>` + strings.Join(entries, "") + `</Bundle>`
	}
	entries := []string{
		post(`<Task><status value="draft"/></Task>`),
		post(`<Task><colour value="red"/><status value="draft"/><input><shade/></input></Task>`),
		post(`<Nope/>`),
		post(`<Task/><Task/>`),
		post(``),
		post(`<Task><status value="ready"/></Task>`),
	}
	asXML := []string{"Content-Type", fhirXML, "Accept", fhirXML}
	answered := xmlOf(t, f.ask("POST", "", bundle("batch", entries...), asXML...), 200).Get("entry").Items()
	require.Len(t, answered, len(entries))
	for i, want := range []string{"201 Created", "400 Bad Request", "400 Bad Request", "400 Bad Request", "400 Bad Request", "201 Created"} {
		require.Equal(t, want, answered[i].Text("response", "status"), "entry %d", i)
		require.Equal(t, want[:3] == "400", answered[i].Get("response").Get("outcome") != nil, "entry %d", i)
	}
	told := answered[1].All("response", "outcome", "issue")
	require.Len(t, told, 2)
	require.Equal(t, "Task.colour", told[0].Text("expression"), "the place within the resource")
	require.Equal(t, "Task.input[0].shade", told[1].Text("expression"))
	require.Len(t, f.desk.rows, 2, "the two that were whole")

	refused := xmlOf(t, f.ask("POST", "", bundle("transaction", entries...), asXML...), 400)
	require.Equal(t, "Bundle.entry[1].resource.colour", refused.Text("issue", "expression"))
	for _, whole := range []string{
		bundle("batch", entries[0], `<entry><colour value="red"/></entry>`),
		bundle("batch", entries[0], `<colour value="red"/>`),
		bundle("batch", entries[0], post(`<Task><status value="draft"></Task>`)),
		bundle("batch", entries[0], post(`<Task>`+strings.Repeat(`<colour/>`, 300)+`</Task>`)),
		strings.Replace(bundle("batch", entries[1]), "Bundle", "Basket", 2),
	} {
		require.Equal(t, "OperationOutcome", fhir.ResourceType(xmlOf(t, f.ask("POST", "", whole, asXML...), 400)), whole)
	}
	require.Len(t, f.desk.rows, 2)
}
