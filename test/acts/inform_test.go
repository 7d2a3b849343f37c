package acts

import (
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
	"sotesilta/test/gatewaytest"
)

// 812/2000 § 12.2: what the social authority obtained without the client's consent is told to the client. The unit that
// obtained it has a Task of it, made with the record: one a day, however often it reads.
func TestTheClientIsToldWhatWasObtained(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		duty := "Task?patient=Patient/aino&code=" + terms.HumanAct + "%7Cinform-client"
		before := len(g.SocialWorker().All(t, duty))
		for range 2 {
			require.NotEmpty(t, g.NeedAssessment().All(t, "Observation?patient=Patient/aino"))
		}
		found := g.SocialWorker().All(t, duty)
		require.LessOrEqual(t, before, 1)
		require.Len(t, found, 1)
		require.Equal(t, "Organization/county-social", found[0].Text("owner", "reference"))
		require.Contains(t, found[0].Text("description"), "potilasrekisteri, Organization/county")
		require.Contains(t, found[0].Text("description"), "703/2023 § 53.5")
		require.Empty(t, g.Nurse().All(t, duty), "it is the social register's")
		put(t, g.SocialWorker(), gatewaytest.Ref(found[0]), with("completed")).Want(t, 200)
		put(t, g.SocialWorker(), gatewaytest.Ref(found[0]), func(doc *fhir.Value) { doc.Set("status", fhir.NewString("requested")) }).Outcome(t, 422)
		require.NotEmpty(t, g.NeedAssessment().All(t, "Observation?patient=Patient/aino"))
		require.Len(t, g.SocialWorker().All(t, duty), 1, "told once a day")
		// An exchange that owes nothing of the sort makes none: onni gave a permit.
		require.NotEmpty(t, g.SocialWorker().All(t, "Observation?patient=Patient/onni"))
		require.Empty(t, g.SocialWorker().All(t, "Task?patient=Patient/onni&code="+terms.HumanAct+"%7Cinform-client"))
		said := string(audited(t, g, "aino", "ATL-53.5b")[0].JSON())
		for _, obligation := range []string{"inform", "source", "onward"} {
			require.Contains(t, said, `{"type":"obligation","valueString":"`+obligation+`"}`)
		}
	})
}
