package constraints

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/internal/fhir"
	"sotesilta/internal/official"
)

// uncompiled are the official invariants that the FHIRPath of ours does not compile, with the reason.
var uncompiled = map[string]string{}

func TestEveryInvariantCompiles(t *testing.T) {
	require.Len(t, tables().all, 236)
	for _, i := range tables().all {
		if _, err := i.expression(); err != nil && uncompiled[i.Key] == "" {
			t.Errorf("%s %s: %v: %s", i.Place, i.Key, err, i.Expression)
		}
	}
}

// defects are the official examples that break an invariant, with its key.
var defects = map[string]string{
	"Bundle-dataelements":            "bdl-7",
	"StructureDefinition-Definition": "sdf-4",
	"StructureDefinition-Event":      "sdf-4",
	"StructureDefinition-FiveWs":     "sdf-4",
	"StructureDefinition-Request":    "sdf-4",
}

func TestOfficialExamplesKeepTheInvariants(t *testing.T) {
	for _, file := range official.Test(t).Files("*") {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		v, err := fhir.Parse(data, fhir.Limits{Bytes: 64 << 20, Values: 1 << 24})
		require.NoError(t, err, file)
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		var found []string
		for _, is := range Check(v, Everything) {
			require.False(t, is.Code == "incomplete" || is.Code == "too-costly" && len(data) < 8<<20, "%s: %s: %s", name, is.Expression, is.Diagnostics)
			if is.Severity != "error" {
				continue
			}
			found = append(found, is.Expression+": "+is.Diagnostics)
		}
		switch defect := defects[name]; {
		case len(found) > 0 && (defect == "" || !strings.Contains(strings.Join(found, "\n"), "("+defect+")")):
			t.Errorf("%s: %s", name, strings.Join(found[:min(3, len(found))], "\n\t"))
		case len(found) == 0 && defect != "":
			t.Errorf("%s: no issue where its defect is %s", name, defect)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	data, err := os.ReadFile("../fhir/testdata/CarePlan-preg.json")
	require.NoError(b, err)
	v, err := fhir.Parse(data, fhir.Limits{})
	require.NoError(b, err)
	require.Empty(b, Check(v, Errors))
	b.ReportAllocs()
	for b.Loop() {
		Check(v, Errors)
	}
}
