package access_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/access"
)

// Whatever is wrong with a request, the answer names it and where it lies.
func TestMistakesNameTheirPlace(t *testing.T) {
	w := newWorld(t, 0)
	aino := w.observation("aino")
	without := func(text, member string) string {
		out := strings.Replace(text, member, "", 1)
		require.NotEqual(t, text, out)
		return out
	}
	bundle := func(parts ...string) string {
		return `{'resourceType':'Bundle','type':'transaction','entry':[{'resource':` + strings.Join(parts, `},{'resource':`) + `}]}`
	}
	provenance := `{'resourceType':'Provenance','target':[{'reference':'urn:uuid:1'}],'agent':[{'who':{'reference':'Practitioner/1'}}]}`
	asks := func(path, who string, of ...[3]string) {
		for _, c := range of {
			body, at, says := c[0], c[1], c[2]
			status, answer, _ := w.ask(who, path, body)
			require.Contains(t, []int{http.StatusBadRequest, http.StatusUnprocessableEntity}, status, "%s: %v", body, answer)
			require.Contains(t, answer["error"], says, body)
			require.Equal(t, at, answer["at"], "%s: %v", body, answer)
		}
	}
	ban := of("aino", banHealth)
	asks(access.SimulatePath, "auditor",
		[3]string{without(ban, `'status':'active',`), "/status", "Consent.status: is required"},
		[3]string{without(ban, scope+","), "/scope", "Consent.scope"},
		[3]string{strings.Replace(ban, `'type':'deny'`, `'type':'never'`, 1), "/provision/type", "Consent.provision.type"},
		[3]string{strings.Replace(ban, `'code':'health'`, `'code':'weather'`, 1), "/provision/class/0", "Consent.provision.class[0]"},
		[3]string{bundle(ban, provenance), "/entry/1/resource/recorded", "Provenance.recorded: is required"},
		[3]string{bundle(provenance, without(ban, `'status':'active',`)), "/entry/1/resource/status", "Consent.status: is required"},
		[3]string{bundle(ban, ban), "/entry/1/resource", "one Consent"},
		[3]string{bundle(`{'resourceType':'Patient'}`), "/entry/0/resource", "one Consent"},
		[3]string{`{'resourceType':'Bundle','type':'transaction'}`, "/entry", "one Consent"},
		[3]string{`{`, "", "no FHIR JSON"},
		[3]string{`{'resourceType':'Consent','provision':{'type':'deny','type':'deny'}}`, "/provision/type", "Consent.provision.type"},
	)
	asks(access.EvaluationPath, worker,
		[3]string{without(reads(aino), `'subject':{'type':'user','id':'social-worker'},`), "/subject", "subject is required"},
		[3]string{without(reads(aino), `,'id':'`+aino+`'`), "/resource/id", "resource.id is required"},
		[3]string{strings.Replace(reads(aino), `'name':'read'`, `'name':'look'`, 1), "/action/name", "action.name is"},
		[3]string{strings.Replace(reads(aino), `'Observation'`, `'observation'`, 1), "/resource/type", "resource.type is"},
		[3]string{strings.Replace(reads(aino), `'Observation'`, `[]`, 1), "/resource/type", "AuthZEN"},
	)
	asks(access.ExplainPath, "auditor",
		[3]string{`{'resource':{'type':'AuditEvent'}}`, "/resource/id", "resource.id is required"},
		[3]string{`{'action':{'name':'read'},'resource':{'type':'Observation','id':'` + aino + `'}}`, "/subject", "subject is required"},
		[3]string{strings.TrimSuffix(reads(aino), "}") + `,'context':{'purpos':'care'}}`, "/context/purpos", "context holds"},
	)
	t.Run("all of them, where there are several", func(t *testing.T) {
		_, answer, _ := w.ask("auditor", access.SimulatePath, without(without(ban, `'status':'active',`), scope+","))
		require.Equal(t, []any{
			map[string]any{"at": "/status", "message": "Consent.status: is required"},
			map[string]any{"at": "/scope", "message": "Consent.scope: is required"},
		}, answer["errors"])
	})
	t.Run("of one question among many", func(t *testing.T) {
		_, answer, _ := w.ask(worker, access.EvaluationsPath, `{'subject':{'type':'user','id':'social-worker'},'action':{'name':'look'},
			'evaluations':[{'action':{'name':'read'},'resource':{'type':'Observation'}},{'resource':{'type':'Observation','id':'x'}}]}`)
		var at []any
		for _, one := range answer["evaluations"].([]any) {
			at = append(at, one.(map[string]any)["context"].(map[string]any)["error"].(map[string]any)["at"])
		}
		require.Equal(t, []any{"/evaluations/0/resource/id", "/action/name"}, at)
	})
	t.Run("no place where the request is not to blame", func(t *testing.T) {
		_, answer, _ := w.ask("", access.EvaluationPath, reads(aino))
		require.NotContains(t, answer, "at")
	})
}
