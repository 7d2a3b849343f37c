package fhir

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"

	"sotesilta/internal/official"
)

// exampleDefects are the official examples that break their own definition, with the defect.
var exampleDefects = map[string]string{
	"ActivityDefinition-blood-tubes-supply":        "a narrative without content (txt-2)",
	"Questionnaire-zika-virus-exposure-assessment": "a narrative without content (txt-2)",
	"ActivityDefinition-heart-valve-replacement":   "a narrative without content (txt-2)",
	"EventDefinition-example":                      "a narrative without content (txt-2)",
	"DeviceMetric-example":                         "parent refers to a DeviceDefinition",
	"DeviceUseStatement-example":                   "reasonReference refers to a Procedure",
	"ImplementationGuide-fhir":                     "no name, no status",
	"ig-r4":                                        "no name, no status",
	"MedicationRequest-medrx0301":                  "dispenseRequest.performer refers to a Practitioner, not to an Organization",
	"Observation-clinical-gender":                  "performer refers to an Encounter",
	"Questionnaire-qs1":                            "items without linkId",
	"SearchParameter-questionnaireresponse-extensions-QuestionnaireResponse-item-subject": "an id of 65 characters",

	"SearchParameter-codesystem-extensions-CodeSystem-author":    "no base",
	"SearchParameter-codesystem-extensions-CodeSystem-effective": "no base",
	"SearchParameter-codesystem-extensions-CodeSystem-end":       "no base",
	"SearchParameter-codesystem-extensions-CodeSystem-keyword":   "no base",
	"SearchParameter-codesystem-extensions-CodeSystem-workflow":  "no base",
	"SearchParameter-valueset-extensions-ValueSet-author":        "no base",
	"SearchParameter-valueset-extensions-ValueSet-effective":     "no base",
	"SearchParameter-valueset-extensions-ValueSet-end":           "no base",
	"SearchParameter-valueset-extensions-ValueSet-keyword":       "no base",
	"SearchParameter-valueset-extensions-ValueSet-workflow":      "no base",
}

// examples calls f for every official example, or skips where the package hl7.fhir.r4.examples 4.0.1 is not there.
func examples(t *testing.T, f func(name string, data []byte)) {
	t.Helper()
	n := 0
	for _, file := range official.Test(t).Files("*") {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		n++
		f(filepath.Base(file), data)
	}
	require.Equal(t, 5306, n, "the package has 5,306 resources")
}

// The definitions that are examples too are larger than anything at the door.
var wide = Limits{Bytes: 64 << 20, Depth: 64, Values: 1 << 24}

func TestOfficialExamplesKeepTheirContentAndAreValid(t *testing.T) {
	examples(t, func(name string, data []byte) {
		v, err := Parse(data, wide)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		want := jsontext.Value(data)
		require.NoError(t, want.Format(jsontext.PreserveRawStrings(false)))
		if !bytes.Equal(want, v.JSON()) {
			t.Errorf("%s: what is written differs from what was read", name)
		}
		var found []string
		for _, issue := range Validate(v) {
			found = append(found, issue.Expression+": "+issue.Diagnostics)
		}
		defect := exampleDefects[strings.TrimSuffix(name, ".json")]
		switch {
		case len(found) > 0 && defect == "":
			t.Errorf("%s: %s", name, strings.Join(found, "\n\t"))
		case len(found) == 0 && defect != "":
			t.Errorf("%s: no issue where its defect is %s", name, defect)
		}
	})
}
