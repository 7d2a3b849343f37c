package access_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/access"
)

func TestExplain(t *testing.T) {
	w := newWorld(t, 0)
	onni, aino := w.observation("onni"), w.observation("aino")
	_, denied, _ := w.ask(worker, access.EvaluationPath, reads(aino))
	record := denied["context"].(map[string]any)["id"].(string)
	about := func(typ, id string) string { return `{'resource':{'type':'` + typ + `','id':'` + id + `'}}` }
	as := func(subject, id, more string) string {
		return `{'subject':` + subject + `,'action':{'name':'read'},'resource':{'type':'Observation','id':'` + id + `'}` + more + `}`
	}
	const socialWorker = `{'type':'user','id':'social-worker','properties':{'client':'county-social'}}`

	t.Run("a past exchange", func(t *testing.T) {
		status, answer, headers := w.ask("auditor", access.ExplainPath, about("AuditEvent", record))
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, false, answer["decision"])
		told := answer["context"].(map[string]any)
		require.Equal(t, headers.Get("X-Request-Id"), told["id"])
		require.Contains(t, told["reason_user"].(map[string]any)["fi"], "lupasi tai suostumuksesi")
		require.Contains(t, told["reason_admin"].(map[string]any)["en"], "ATL-53.2: no permit")
		explanation := told["explanation"].(map[string]any)
		require.Equal(t, record, explanation["record"].(map[string]any)["id"])
		part := explanation["parts"].([]any)[0].(map[string]any)["clients"].([]any)[0].(map[string]any)
		require.Equal(t, "aino", part["client"])
		require.Greater(t, len(part["policies"].([]any)), 50, "every policy")
		require.Equal(t, "explain", w.records()[told["id"].(string)].Interaction)
	})
	t.Run("some classes of a past exchange", func(t *testing.T) {
		narrowed := func(context string) map[string]any {
			status, answer, _ := w.ask("auditor", access.ExplainPath, `{'resource':{'type':'AuditEvent','id':'`+record+`'},'context':`+context+`}`)
			require.Equal(t, http.StatusOK, status, "%v", answer)
			require.Equal(t, false, answer["decision"])
			return answer["context"].(map[string]any)["explanation"].(map[string]any)
		}
		require.EqualValues(t, 1, narrowed(`{'register':'health','type':'Observation'}`)["total"])
		none := narrowed(`{'register':'social'}`)
		require.EqualValues(t, 0, none["total"])
		require.Empty(t, none["parts"])
		require.NotContains(t, none, "next")
	})
	t.Run("a hypothesis", func(t *testing.T) {
		status, answer, _ := w.ask("auditor", access.ExplainPath, as(socialWorker, onni, ""))
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, true, answer["decision"])
		_, answer, _ = w.ask("auditor", access.ExplainPath, as(socialWorker, aino, ""))
		require.Equal(t, false, answer["decision"])
		_, answer, _ = w.ask("auditor", access.ExplainPath, as(socialWorker, aino, `,'context':{'purpose':'need-assessment','task':'palvelutarpeen arviointi'}`))
		require.Equal(t, true, answer["decision"])
		_, answer, _ = w.ask("auditor", access.ExplainPath, as(socialWorker, aino, `,'context':{'purpose':'need-assessment','task':'x','time':'2020-01-01T10:00:00Z'}`))
		require.Equal(t, false, answer["decision"], "before the law was in force")
	})
	t.Run("the client", func(t *testing.T) {
		status, answer, _ := w.ask("aino@omaks", access.ExplainPath, as(`{'type':'Organization','id':'county-social'}`, aino, ""))
		require.Equal(t, http.StatusOK, status, "%v", answer)
		require.Equal(t, false, answer["decision"])
		told := answer["context"].(map[string]any)
		require.NotContains(t, told, "reason_admin")
		require.NotContains(t, told["explanation"], "record")
		part := told["explanation"].(map[string]any)["parts"].([]any)[0].(map[string]any)["clients"].([]any)[0].(map[string]any)
		require.NotContains(t, part, "policies")
		require.NotContains(t, part, "reason")
	})
	t.Run("refused", func(t *testing.T) {
		for _, c := range []struct {
			who, body string
			status    int
			says      string
		}{
			{worker, about("AuditEvent", record), http.StatusForbidden, "for the auditor and for the client's own app"},
			{"nurse@jukola-ehr", as(socialWorker, onni, ""), http.StatusForbidden, "for the auditor"},
			{"lumi-guardian@omaks", about("AuditEvent", record), http.StatusForbidden, "for the auditor"},
			{"aino@omaks", about("AuditEvent", record), http.StatusNotFound, "not known"}, // a denial
			{"lumi@omaks", about("AuditEvent", record), http.StatusNotFound, "not known"},
			{"auditor", about("AuditEvent", "nowhere"), http.StatusNotFound, "not known"},
			{"auditor", as(socialWorker, "nowhere", ""), http.StatusNotFound, "not known"},
			{"aino@omaks", as(`{'type':'Organization','id':'jukola'}`, onni, ""), http.StatusNotFound, "not known"},
			{"aino@omaks", as(socialWorker, aino, ""), http.StatusBadRequest, "the unit that would ask"},
			{"auditor", as(`{'type':'user','id':'nobody','properties':{'client':'county-social'}}`, aino, ""), http.StatusBadRequest, "not registered"},
			{"auditor", as(`{'type':'user','id':'nurse'}`, aino, ""), http.StatusBadRequest, "properties.client"},
			{"auditor", as(socialWorker, aino, `,'context':{'purpos':'care'}`), http.StatusBadRequest, "context holds"},
			{"auditor", `{'resource':{'type':'AuditEvent','id':'` + record + `'},'context':{'registre':'health'}}`, http.StatusBadRequest, "context narrows"},
			{"auditor", `{'resource':{'type':'AuditEvent','id':'` + record + `'},'context':{'after':'x'}}`, http.StatusBadRequest, "the next of the page before"},
			{"auditor", `{'resource':{'type':'AuditEvent','id':'a b'}}`, http.StatusBadRequest, "X-Request-Id"},
			{"auditor", `{'subject':` + socialWorker + `}`, http.StatusBadRequest, "resource is required"},
			{"auditor", `{`, http.StatusBadRequest, "JSON"},
			{"", about("AuditEvent", record), http.StatusUnauthorized, ""},
		} {
			status, answer, _ := w.ask(c.who, access.ExplainPath, c.body)
			require.Equal(t, c.status, status, "%s %s: %v", c.who, c.body, answer)
			require.True(t, strings.Contains(answer["error"].(string), c.says), "%v", answer)
		}
	})
}
