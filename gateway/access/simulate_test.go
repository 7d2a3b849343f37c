package access_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/access"
)

const (
	scope     = `'scope':{'coding':[{'system':'http://terminology.hl7.org/CodeSystem/consentscope','code':'patient-privacy'}]}`
	banHealth = `{'resourceType':'Consent','status':'active',` + scope + `,
 'category':[{'coding':[{'system':'https://sotesilta.example/fhir/CodeSystem/directive','code':'ban'}]}],
 'patient':{'reference':'Patient/CLIENT'},'policyRule':{'coding':[{'system':'https://sotesilta.example/fhir/CodeSystem/legal-basis','code':'ATL-59'}]},
 'provision':{'type':'deny','class':[{'system':'https://sotesilta.example/fhir/CodeSystem/register','code':'health'}]}}`
	permitToSocial = `{'resourceType':'Consent','status':'active',` + scope + `,
 'category':[{'coding':[{'system':'https://sotesilta.example/fhir/CodeSystem/permit-direction','code':'1'}]}],
 'patient':{'reference':'Patient/CLIENT'},'policyRule':{'coding':[{'system':'https://sotesilta.example/fhir/CodeSystem/legal-basis','code':'ATL-53.2'}]},
 'provision':{'type':'permit'}}`
)

func of(client, wish string) string { return strings.ReplaceAll(wish, "CLIENT", client) }

// What would a ban stop, what would a permit open: told before the client gives it, and nothing is stored.
func TestSimulate(t *testing.T) {
	w := newWorld(t, 0)
	onni, aino := w.observation("onni"), w.observation("aino")
	w.ask(worker, access.EvaluationPath, reads(onni))
	w.ask(worker, access.EvaluationPath, reads(aino))
	before := len(w.records())

	present := func(answer map[string]any) map[string]float64 {
		out := map[string]float64{}
		for _, e := range answer["present"].([]any) {
			e := e.(map[string]any)
			for _, way := range []string{"stopped", "opened"} {
				if n := e[way].(float64); n > 0 {
					out[e["unit"].(string)+" "+e["purpose"].(string)+" "+way+" "+e["type"].(string)] += n
				}
			}
		}
		return out
	}

	status, answer, headers := w.ask("auditor", access.SimulatePath, of("onni", banHealth))
	require.Equal(t, http.StatusOK, status, "%v", answer)
	require.Equal(t, headers.Get("X-Request-Id"), answer["id"])
	stopped := present(answer)
	require.Equal(t, 3.0, stopped["Organization/county-social care stopped Observation"], "%v", stopped)
	require.Equal(t, 2.0, stopped["Organization/county-social care stopped Condition"])
	require.Equal(t, 3.0, stopped["Organization/county-social need-assessment stopped Observation"], "O2: a person decides")
	for kind := range stopped {
		require.Contains(t, kind, "Organization/county-social", "the patient register's own use goes on")
	}
	past := answer["past"].(map[string]any)
	require.Equal(t, 1.0, past["stopped"], "%v", past)
	lines := answer["lines"].([]any)
	require.Contains(t, lines[0].(map[string]any)["fi"], "ei enää näkisi")
	require.Contains(t, lines[len(lines)-1].(map[string]any)["fi"], "1 olisi estynyt")
	rec := w.records()[answer["id"].(string)]
	require.Equal(t, "simulate", rec.Interaction)
	require.True(t, rec.Success)
	require.Len(t, w.records(), before+1, "nothing but the record of the question")

	status, answer, _ = w.ask("aino@omaks", access.SimulatePath, of("aino", permitToSocial))
	require.Equal(t, http.StatusOK, status, "%v", answer)
	require.Equal(t, 3.0, present(answer)["Organization/county-social care opened Observation"])
	require.NotContains(t, present(answer), "Organization/county-social need-assessment opened Observation", "as in ordinary care")
	require.Equal(t, 0.0, answer["past"].(map[string]any)["opened"], "denied attempts are for the auditor")
	_, answer, _ = w.ask("auditor", access.SimulatePath, of("aino", permitToSocial))
	require.Equal(t, 1.0, answer["past"].(map[string]any)["opened"])

	t.Run("a ban of what nobody sees across changes nothing", func(t *testing.T) {
		status, answer, _ := w.ask("aino@omaks", access.SimulatePath, of("aino", banHealth))
		require.Equal(t, http.StatusOK, status)
		for kind := range present(answer) {
			require.Contains(t, kind, "need-assessment", "only the authority's right is weighed against it")
		}
	})
	t.Run("the wish is not given", func(t *testing.T) {
		_, answer, _ := w.ask(worker, access.EvaluationPath, reads(onni))
		require.Equal(t, true, answer["decision"])
	})
	t.Run("refused", func(t *testing.T) {
		for _, c := range []struct {
			who, body string
			status    int
		}{
			{worker, of("onni", banHealth), http.StatusForbidden},
			{"lumi-guardian@omaks", of("lumi", banHealth), http.StatusForbidden},
			{"aino@omaks", of("onni", banHealth), http.StatusNotFound},
			{"auditor", of("nobody", banHealth), http.StatusNotFound},
			{"auditor", strings.Replace(of("onni", banHealth), "'deny'", "'permit'", 1), http.StatusUnprocessableEntity},
			{"auditor", strings.Replace(of("onni", banHealth), "'status':'active',", "", 1), http.StatusBadRequest},
			{"auditor", `{'resourceType':'Bundle','type':'transaction'}`, http.StatusBadRequest},
			{"auditor", `{'resourceType':'Patient'}`, http.StatusBadRequest},
			{"auditor", `{`, http.StatusBadRequest},
		} {
			status, answer, _ := w.ask(c.who, access.SimulatePath, c.body)
			require.Equal(t, c.status, status, "%s: %v", c.who, answer)
		}
	})
}
