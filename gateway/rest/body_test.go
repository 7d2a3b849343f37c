package rest

import (
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/require"
)

// A byte order mark before UTF-8 is passed over in every body, as RFC 8259 § 8.1 lets who reads do; UTF-16 is refused in
// words that say so.
func TestAByteOrderMarkChangesNothing(t *testing.T) {
	const mark = "\ufeff"
	task := `{"resourceType":"Task","id":"t1","status":"ready"}`
	inXML := `<Task xmlns="http://hl7.org/fhir"><id value="t1"/><status value="ready"/></Task>`
	for name, c := range map[string]struct {
		method, target, mediaType, body string
		status                          int
	}{
		"a create":             {"POST", "/Task", fhirJSON, task, 201},
		"a create in XML":      {"POST", "/Task", fhirXML, inXML, 201},
		"an update":            {"PUT", "/Task/t1", plainJSON, task, 200},
		"a declared document":  {"PUT", "/Task/t1", fhirXML, `<?xml version="1.0" encoding="UTF-8"?>` + inXML, 200},
		"a JSON Patch":         {"PATCH", "/Task/t1", jsonPatch, toReady, 200},
		"a FHIRPath Patch":     {"PATCH", "/Task/t1", fhirJSON, pathForm, 200},
		"a form":               {"POST", "/Task/_search", formBody, "_id=t1", 200},
		"a batch":              {"POST", "", fhirJSON, bundleOf("batch", post("Task", "", "1")), 200},
		"a transaction":        {"POST", "", fhirJSON, bundleOf("transaction", post("Task", "", "1"), patchEntry("Task/t1", mark+toReady)), 200},
		"a transaction in XML": {"POST", "", fhirXML, `<Bundle xmlns="http://hl7.org/fhir"><type value="transaction"/></Bundle>`, 200},
	} {
		f := newFace(t)
		f.desk.put(`{"resourceType":"Task","id":"t1","status":"draft"}`)
		w := f.ask(c.method, c.target, mark+c.body, "Content-Type", c.mediaType)
		require.Equal(t, c.status, w.Code, "%s: %s", name, w.Body)
		if name == "a form" {
			require.Equal(t, []string{"Task/t1"}, refsOf(parsed(t, w)), "the first parameter is understood")
		}
		for _, marked := range []string{mark, ""} {
			for _, little := range []bool{true, false} {
				is := outcome(t, f.ask(c.method, c.target, inUTF16(marked+c.body, little), "Content-Type", c.mediaType), 415, "not-supported")
				require.Contains(t, is.Text("diagnostics"), "send it in UTF-8", name)
			}
		}
		outcome(t, f.ask(c.method, c.target, inUTF16(c.body, true), "Content-Type", c.mediaType+"; charset=utf-16"), 415, "not-supported")
	}
	outcome(t, newFace(t).ask("POST", "/Task", mark), 400, "required")
	outcome(t, newFace(t).ask("POST", "/Task", mark+mark+task), 400, "structure")
}

func inUTF16(text string, little bool) string {
	var b strings.Builder
	for _, unit := range utf16.Encode([]rune(text)) {
		first, second := byte(unit>>8), byte(unit)
		if little {
			first, second = second, first
		}
		b.WriteByte(first)
		b.WriteByte(second)
	}
	return b.String()
}
