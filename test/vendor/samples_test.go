package vendor_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/test/gatewaytest"
)

// samples is a folder of public samples beside the project, or skips.
func samples(t *testing.T, folder, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(gatewaytest.ProjectRoot(), "..", "shared", "samples", folder, pattern))
	require.NoError(t, err)
	if len(files) == 0 {
		t.Skipf("0 samples: ../shared/samples/%s is not here", folder)
	}
	return files
}

// refused are the samples of types that are written which the gateway does not take, and why.
var refused = map[string]struct {
	status int
	says   string
}{
	"bundle-questionnaire.json": {400, "linkId"},            // items without linkId, which R4 demands
	"consent-example.json":      {422, "permits or denies"}, // no directive: what is not understood as one must not look like one
}

// TestSamplesSurvive: every sample of a type that may be written is created and read in JSON and in XML, and means what it
// meant: the same elements with the same values, decimals to the last digit (law 5). JSON is read with encoding/json and
// XML with encoding/xml, which know nothing of this gateway's readers.
func TestSamplesSurvive(t *testing.T) {
	files := samples(t, "fhir-r4", "*.json")
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		written := writable(t, g)
		nurse := g.Nurse()
		kept, withheld := 0, 0
		for _, file := range files {
			name := filepath.Base(file)
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			in := meaning(t, data)
			typ, _ := in["resourceType"].(string)
			if !written[typ] {
				continue
			}
			present(in) // the samples speak of patients that are nobody here
			body, err := json.Marshal(in)
			require.NoError(t, err)
			want := own(in)
			made := nurse.Do(t, "POST", typ, body)
			if no, ok := refused[name]; ok {
				require.Equal(t, no.status, made.Status, "%s: %s", name, made.Body)
				require.Contains(t, string(made.Body), no.says, name)
				withheld++
				continue
			}
			made.Want(t, 201)
			require.Equal(t, want, own(meaning(t, made.Body)), name)
			address := gatewaytest.Ref(made.Doc(t))
			require.Equal(t, want, own(meaning(t, nurse.Get(t, address).Body)), "%s read as JSON", name)

			read := nurse.Do(t, "GET", address, nil, "Accept", "application/fhir+xml").Want(t, 200)
			require.Equal(t, leaves(meaning(t, made.Body)), attributes(t, read.Body), "%s read as XML", name)
			again := nurse.Do(t, "POST", typ, read.Body, "Content-Type", "application/fhir+xml", "Accept", "application/fhir+xml").Want(t, 201)
			at := strings.TrimPrefix(again.Header.Get("Location"), g.Root+"/fhir/")
			require.Equal(t, want, own(meaning(t, nurse.Get(t, at).Body)), "%s created as XML, read as JSON", name)
			kept++
		}
		t.Logf("%d samples kept, %d refused as they must be, %d in all", kept, withheld, len(files))
		require.Equal(t, len(refused), withheld)
		require.Greater(t, kept, 25)
	})
}

// writable are the types that the CapabilityStatement offers to create.
func writable(t *testing.T, g *gatewaytest.Gateway) map[string]bool {
	types := map[string]bool{}
	for _, r := range g.Send(t, "GET", "/fhir/metadata", nil).Want(t, 200).Doc(t).All("rest", "resource") {
		for _, code := range r.All("interaction", "code") {
			if code.Str() == "create" {
				types[r.Text("type")] = true
			}
		}
	}
	return types
}

// meaning is a resource without the order of its members; numbers are the digits that were written.
func meaning(t *testing.T, data []byte) map[string]any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var doc map[string]any
	require.NoError(t, d.Decode(&doc), "%s", data)
	return doc
}

// present makes the references to patients, relative or of elsewhere, those to onni.
func present(v any) {
	switch v := v.(type) {
	case map[string]any:
		for name, item := range v {
			if text, ok := item.(string); ok && name == "reference" && strings.Contains("/"+text, "/Patient/") {
				v[name] = "Patient/onni"
			}
			present(item)
		}
	case []any:
		for _, item := range v {
			present(item)
		}
	}
}

// own is what the sender said of a resource: without id and version, and without the gateway's labels.
func own(doc map[string]any) map[string]any {
	out := map[string]any{}
	for name, item := range doc {
		out[name] = item
	}
	delete(out, "id")
	delete(out, "meta")
	meta, _ := doc["meta"].(map[string]any)
	kept := map[string]any{}
	for name, item := range meta {
		kept[name] = item
	}
	delete(kept, "versionId")
	delete(kept, "lastUpdated")
	labels, _ := kept["security"].([]any)
	labels = slices.DeleteFunc(slices.Clone(labels), func(label any) bool {
		system, _ := label.(map[string]any)["system"].(string)
		return strings.HasPrefix(system, "https://sotesilta.example/")
	})
	if kept["security"] = any(labels); len(labels) == 0 {
		delete(kept, "security")
	}
	if len(kept) > 0 {
		out["meta"] = kept
	}
	return out
}

// leaves are the names and values of all primitives of a resource in JSON, sorted, without the narrative's XHTML.
func leaves(doc map[string]any) []string {
	var out []string
	var visit func(name string, v any)
	visit = func(name string, v any) {
		name = strings.TrimPrefix(name, "_")
		switch v := v.(type) {
		case map[string]any:
			for member, item := range v {
				switch {
				case member == "resourceType" || member == "div":
				case member == "id" && v["resourceType"] == nil || member == "url" && name == "extension" || member == "url" && name == "modifierExtension":
					out = append(out, name+"@"+member+"="+item.(string)) // attributes of the element itself in XML
				default:
					visit(member, item)
				}
			}
		case []any:
			for _, item := range v {
				visit(name, item)
			}
		case string:
			out = append(out, name+"@value="+v)
		case json.Number:
			out = append(out, name+"@value="+v.String())
		case bool:
			out = append(out, name+"@value="+map[bool]string{true: "true", false: "false"}[v])
		}
	}
	visit("", doc)
	slices.Sort(out)
	return out
}

// attributes are the same of a resource in XML.
func attributes(t *testing.T, data []byte) []string {
	t.Helper()
	var out []string
	d := xml.NewDecoder(bytes.NewReader(data))
	for {
		token, err := d.Token()
		if err == io.EOF {
			slices.Sort(out)
			return out
		}
		require.NoError(t, err, "%s", data)
		start, ok := token.(xml.StartElement)
		switch {
		case !ok:
		case start.Name.Local == "div":
			require.NoError(t, d.Skip())
		default:
			for _, a := range start.Attr {
				if a.Name.Local != "xmlns" {
					out = append(out, start.Name.Local+"@"+a.Name.Local+"="+a.Value)
				}
			}
		}
	}
}
