package vendor_test

import (
	"encoding/xml"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/test/gatewaytest"
)

// required is what a CapabilityStatement of kind requirements asks of a service.
type required struct {
	Format []coded `xml:"format"`
	Rest   struct {
		Resource []struct {
			Type        coded   `xml:"type"`
			Interaction []coded `xml:"interaction>code"`
			Param       []struct {
				Name coded `xml:"name"`
				Type coded `xml:"type"`
			} `xml:"searchParam"`
		} `xml:"resource"`
		Interaction []coded `xml:"interaction>code"`
	} `xml:"rest"`
}

type coded struct {
	Value string `xml:"value,attr"`
}

// ofR4 are the parameters whose type IHE's drafts have otherwise than FHIR R4, with that of R4: a token that names a
// definition is a reference or a URI there, and both are asked in the same way.
var ofR4 = map[string]string{"CarePlan.instantiates-canonical": "reference", "CarePlan.instantiates-uri": "uri"}

// TestIHEServices: what the gateway says it does is a superset of what IHE asks of a CarePlan service (DCP) and of a CareTeam
// service (DCTM), but for Subscription, which is not there yet.
func TestIHEServices(t *testing.T) {
	files := samples(t, "ihe", "IHE_*.xml")
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		ours := g.Send(t, "GET", "/fhir/metadata", nil).Want(t, 200).Doc(t)
		set := map[string]bool{}
		types := map[string]string{}
		for _, format := range ours.Get("format").Items() {
			set[format.Str()] = true
		}
		for _, code := range ours.All("rest", "interaction", "code") {
			set[code.Str()] = true
		}
		for _, r := range ours.All("rest", "resource") {
			for _, code := range r.All("interaction", "code") {
				set[r.Text("type")+" "+code.Str()] = true
			}
			for _, param := range r.Get("searchParam").Items() {
				types[r.Text("type")+"."+param.Text("name")] = param.Text("type")
			}
		}
		checked := 0
		for _, file := range files {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			var want required
			require.NoError(t, xml.Unmarshal(data, &want), file)
			for _, demand := range append(want.Format, want.Rest.Interaction...) {
				require.True(t, set[demand.Value], "%s demands %s", file, demand.Value)
			}
			for _, r := range want.Rest.Resource {
				if r.Type.Value == "Subscription" {
					continue
				}
				for _, code := range r.Interaction {
					require.True(t, set[r.Type.Value+" "+code.Value], "%s demands %s of %s", file, code.Value, r.Type.Value)
					checked++
				}
				for _, param := range r.Param {
					name := r.Type.Value + "." + param.Name.Value
					typ := param.Type.Value
					if ofR4[name] != "" {
						typ = ofR4[name]
					}
					require.Equal(t, typ, types[name], "%s demands the parameter %s", file, name)
					checked++
				}
			}
		}
		require.Greater(t, checked, 30)
		t.Logf("%d demands of %d services are met", checked, len(files))
	})
}
