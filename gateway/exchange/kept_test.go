package exchange_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/gateway/exchange"
	"sotesilta/internal/fhir"
)

// bare is a resource without what the gateway itself says of it.
func bare(t *testing.T, text []byte) string {
	v := doc(t, string(text))
	for _, name := range []string{"id", "meta"} {
		v.Set(name, nil)
	}
	return string(v.AppendJSON(nil))
}

// What came in is what is kept: decimals, order, primitive extensions and contained resources, byte for byte (law 5).
func TestWhatCameInIsWhatIsKept(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "..", "shared", "samples", "fhir-r4", "*.json"))
	require.NoError(t, err)
	if len(files) == 0 {
		t.Skip("the samples are not here: ../shared/samples/fhir-r4")
	}
	w := newWorld(t)
	kept := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		in, err := fhir.Parse(text, fhir.DefaultLimits)
		require.NoError(t, err)
		if typ := fhir.ResourceType(in); !slices.Contains(exchange.Types(), typ) || typ == "AuditEvent" || typ == "Consent" || len(fhir.Validate(in)) > 0 { // bundle-questionnaire.json lacks linkIds
			continue
		}
		// The examples speak of patients that are nobody here.
		for ref := range fhir.References(in) {
			if ref.Parse().Type == "Patient" && ref.Parse().Local() {
				ref.Set("Patient/aino")
			}
		}
		want := bare(t, in.AppendJSON(nil))
		out, err := w.Transact(w.ctx, as("jukola-ehr"), []exchange.Op{{Interaction: exchange.Create, Type: fhir.ResourceType(in), Doc: in}})
		require.NoError(t, err, file)
		require.Equal(t, want, bare(t, out[0].Body), file)
		read, err := w.Read(w.ctx, as("jukola-ehr"), out[0].Type, out[0].ID)
		require.NoError(t, err, file)
		require.Equal(t, want, bare(t, read.Body), file)
		require.Equal(t, string(out[0].Body), string(read.Body))
		kept++
	}
	require.Greater(t, kept, 25)
}

// The meta that a sender gives is kept but for what is the gateway's own to say.
func TestTheSendersMetaIsKeptWithoutItsLabels(t *testing.T) {
	w := newWorld(t)
	row := w.put(nurse, `{"resourceType":"Observation","id":"mine","meta":{"versionId":"77","lastUpdated":"1999-01-01T00:00:00Z","source":"urn:x","profile":["http://example.org/p"],`+
		`"security":[{"system":"https://sotesilta.example/fhir/CodeSystem/register","code":"directory"},{"system":"https://sotesilta.example/fhir/CodeSystem/register","code":"social"},{"system":"http://example.org/s","code":"kept"}],`+
		`"tag":[{"system":"http://example.org/t","code":"kept"}]},"status":"final","code":{"text":"x"},"subject":{"reference":"Patient/aino"},"valueQuantity":{"value":1.500}}`)
	v := doc(t, string(row.Body))
	require.NotEqual(t, "mine", row.ID)
	require.Equal(t, "1", v.Text("meta", "versionId"))
	require.Equal(t, "urn:x", v.Text("meta", "source"))
	require.Equal(t, "kept", v.Text("meta", "tag", "code"))
	require.Equal(t, "http://example.org/p", v.Text("meta", "profile"))
	var codes []string
	for _, coding := range v.Get("meta").Get("security").Items() {
		codes = append(codes, coding.Text("code"))
	}
	require.Equal(t, []string{"kept", "health"}, codes)
	require.Contains(t, string(row.Body), "1.500")
	require.Equal(t, consent.Health, w.row("Observation", row.ID).Class.Register)
}
