package access_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/access"
	"sotesilta/gateway/allowance"
	"sotesilta/gateway/auth"
	"sotesilta/gateway/exchange"
	"sotesilta/gateway/process"
	"sotesilta/gateway/sandbox"
	"sotesilta/gateway/search"
	"sotesilta/gateway/store/sqlite"
)

// world is the decision API before the sandbox's county, under the real law.
type world struct {
	t      *testing.T
	face   *gin.Engine
	desk   *exchange.Desk
	source ledger.Source
	callers
}

// callers are who the tests' tokens speak for: the token is the user's name.
type callers func(who string) (exchange.Caller, bool)

func newWorld(t *testing.T, limit rate.Limit) *world {
	t.Helper()
	gin.SetMode(gin.TestMode)
	registry, err := sandbox.Clients(t.TempDir())
	require.NoError(t, err)
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "county.db"), sqlite.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	services, err := sandbox.JointServices()
	require.NoError(t, err)
	law, err := consent.New(consent.Config{Switches: map[string]string{"O11": "on"}, JointServices: services})
	require.NoError(t, err)
	rules, err := process.New()
	require.NoError(t, err)
	w := &world{t: t, face: gin.New(), source: s.Ledger()}
	w.desk, err = exchange.New(exchange.Config{Store: s, Law: law, Person: registry.Person, Rules: rules, Bases: []string{"http://localhost:8080/fhir"}})
	require.NoError(t, err)
	_, err = sandbox.Load(t.Context(), w.desk, registry)
	require.NoError(t, err)
	w.callers = func(who string) (exchange.Caller, bool) {
		user, app, both := strings.Cut(who, "@")
		if !both {
			user, app = "", who
		}
		actor, ok := registry.Actor(app, user)
		return exchange.Caller{Actor: actor, Purpose: consent.Care, Allows: func(string, exchange.Interaction) bool { return true }}, ok
	}
	w.face.Use(func(c *gin.Context) { c.Header("X-Request-Id", ledger.NewID()) })
	access.Routes(w.face, access.Config{Desk: w.desk, Allowance: allowance.New(limit, 0, nil), Staff: access.Staff{Actor: registry.Actor, Professionals: registry.Professionals()}, Authenticate: func(_ context.Context, authorization string) (exchange.Caller, error) {
		if caller, ok := w.callers(strings.TrimPrefix(authorization, "Bearer ")); ok && authorization != "" {
			return caller, nil
		}
		return exchange.Caller{}, &auth.Unauthorized{}
	}})
	return w
}

// ask posts a body, with ' for ", and answers status, JSON and headers.
func (w *world) ask(who, path, body string) (int, map[string]any, http.Header) {
	w.t.Helper()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(strings.ReplaceAll(body, "'", `"`)))
	r.Header.Set("Content-Type", "application/json")
	if who != "" {
		r.Header.Set("Authorization", "Bearer "+who)
	}
	out := httptest.NewRecorder()
	w.face.ServeHTTP(out, r)
	var answer map[string]any
	require.NoError(w.t, json.Unmarshal(out.Body.Bytes(), &answer), out.Body.String())
	return out.Code, answer, out.Header()
}

// an Observation of a client, found by the nurse.
func (w *world) observation(client string) string {
	w.t.Helper()
	caller, _ := w.callers("nurse@jukola-ehr")
	q, err := search.Parse("Observation", []search.Pair{{Name: "patient", Value: "Patient/" + client}}, search.Options{DefaultCount: 1, MaxCount: 1})
	require.NoError(w.t, err)
	page, err := w.desk.Search(w.t.Context(), caller, q)
	require.NoError(w.t, err)
	require.NotEmpty(w.t, page.Matches)
	return page.Matches[0].ID
}

// records are the ledger's records by id.
func (w *world) records() map[string]*ledger.Record {
	w.t.Helper()
	out := map[string]*ledger.Record{}
	for entry, err := range w.source.Pending(w.t.Context()) {
		require.NoError(w.t, err)
		rec, err := ledger.ParseRecord(entry.Canonical)
		require.NoError(w.t, err)
		out[rec.ID] = rec
	}
	return out
}

const worker = "social-worker@county-social"

func reads(id string) string {
	return `{'subject':{'type':'user','id':'social-worker'},'action':{'name':'read'},'resource':{'type':'Observation','id':'` + id + `'}}`
}

func TestEvaluation(t *testing.T) {
	w := newWorld(t, 0)
	onni, aino := w.observation("onni"), w.observation("aino")

	status, permitted, headers := w.ask(worker, access.EvaluationPath, reads(onni))
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, map[string]any{"decision": true, "context": map[string]any{"id": headers.Get("X-Request-Id")}}, permitted)
	rec := w.records()[headers.Get("X-Request-Id")]
	require.Equal(t, "evaluate", rec.Interaction)
	require.Equal(t, "ATL-53.2", rec.Bases[0].ID)
	require.Equal(t, "onni", rec.Client)

	t.Run("denied looks like absent", func(t *testing.T) {
		var answers []map[string]any
		var reasons []string
		for _, id := range []string{aino, "nowhere"} {
			status, answer, headers := w.ask(worker, access.EvaluationPath, reads(id))
			require.Equal(t, http.StatusOK, status)
			told := answer["context"].(map[string]any)
			require.Equal(t, headers.Get("X-Request-Id"), told["id"])
			rec := w.records()[told["id"].(string)]
			require.Equal(t, "deny", rec.Outcome)
			reasons = append(reasons, rec.Reason)
			delete(told, "id")
			headers.Del("X-Request-Id")
			answers = append(answers, answer, map[string]any{"headers": headers})
		}
		require.Equal(t, false, answers[0]["decision"])
		require.Equal(t, answers[0], answers[2])
		require.Equal(t, answers[1], answers[3])
		require.NotEqual(t, reasons[0], reasons[1], "the ledger tells them apart")
	})

	t.Run("what is asked about another, or not in this shape", func(t *testing.T) {
		for name, c := range map[string]struct {
			who, body string
			status    int
		}{
			"no token":          {"", reads(onni), http.StatusUnauthorized},
			"another's subject": {"nurse@jukola-ehr", reads(onni), http.StatusForbidden},
			"the person's own":  {worker, strings.Replace(reads(onni), `'user','id'`, `'Practitioner','id'`, 1), http.StatusOK},
			"a user as client":  {worker, strings.Replace(reads(onni), `'user','id':'social-worker'`, `'client','id':'county-social'`, 1), http.StatusForbidden},
			"no resource":       {worker, `{'subject':{'type':'user','id':'social-worker'},'action':{'name':'read'}}`, http.StatusBadRequest},
			"no such action":    {worker, strings.Replace(reads(onni), "'read'", "'print'", 1), http.StatusBadRequest},
			"no such type":      {worker, strings.Replace(reads(onni), "'Observation'", "'../Observation'", 1), http.StatusBadRequest},
			"a member twice":    {worker, strings.Replace(reads(onni), "{'subject'", "{'action':{'name':'read'},'subject'", 1), http.StatusBadRequest},
			"no JSON":           {worker, "read", http.StatusBadRequest},
			"too large":         {worker, `{'context':'` + strings.Repeat("x", 300<<10) + `'}`, http.StatusRequestEntityTooLarge},
		} {
			before := len(w.records())
			status, answer, headers := w.ask(c.who, access.EvaluationPath, c.body)
			require.Equal(t, c.status, status, "%s: %v", name, answer)
			if status != http.StatusOK {
				require.NotEmpty(t, answer["error"], name)
				require.Len(t, w.records(), before, "%s: nothing was looked at", name)
			}
			require.Equal(t, status == http.StatusUnauthorized, headers.Get("WWW-Authenticate") != "", name)
		}
	})
}

func TestEvaluations(t *testing.T) {
	w := newWorld(t, 0)
	onni, aino := w.observation("onni"), w.observation("aino")
	body := func(options string, ids ...string) string {
		list := make([]string, len(ids))
		for i, id := range ids {
			list[i] = `{'resource':{'type':'Observation','id':'` + id + `'}}`
		}
		return `{'subject':{'type':'user','id':'social-worker'},'action':{'name':'read'},` + options +
			`'evaluations':[` + strings.Join(list, ",") + `]}`
	}
	decisions := func(answer map[string]any) []any {
		var out []any
		for _, one := range answer["evaluations"].([]any) {
			out = append(out, one.(map[string]any)["decision"])
		}
		return out
	}
	for semantic, want := range map[string][]any{
		``: {false, true, false},
		`'options':{'evaluations_semantic':'execute_all'},`:            {false, true, false},
		`'options':{'evaluations_semantic':'deny_on_first_deny'},`:     {false},
		`'options':{'evaluations_semantic':'permit_on_first_permit'},`: {false, true},
	} {
		before := len(w.records())
		status, answer, _ := w.ask(worker, access.EvaluationsPath, body(semantic, aino, onni, "nowhere"))
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, want, decisions(answer), semantic)
		require.Len(t, w.records(), before+len(want), "one record for each that was made")
	}

	t.Run("a mistake in one is told there and ends nothing", func(t *testing.T) {
		status, answer, _ := w.ask(worker, access.EvaluationsPath, body("", "not an id", onni))
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, []any{false, true}, decisions(answer))
		first := answer["evaluations"].([]any)[0].(map[string]any)["context"].(map[string]any)
		require.EqualValues(t, http.StatusBadRequest, first["error"].(map[string]any)["status"])
	})
	t.Run("without evaluations it is a single one", func(t *testing.T) {
		status, answer, _ := w.ask(worker, access.EvaluationsPath, reads(onni))
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, true, answer["decision"])
	})
	t.Run("an unknown semantic and too many are refused", func(t *testing.T) {
		status, _, _ := w.ask(worker, access.EvaluationsPath, body(`'options':{'evaluations_semantic':'guess'},`, onni))
		require.Equal(t, http.StatusBadRequest, status)
		status, _, _ = w.ask(worker, access.EvaluationsPath, body("", make([]string, 101)...))
		require.Equal(t, http.StatusBadRequest, status)
	})
}

func TestAnAPIClientAsksNoOftenerThanItsRate(t *testing.T) {
	w := newWorld(t, 2)
	onni := w.observation("onni")
	seen := map[int]int{}
	var headers http.Header
	for range 4 {
		var status int
		status, _, headers = w.ask(worker, access.EvaluationPath, reads(onni))
		seen[status]++
	}
	require.Equal(t, map[int]int{http.StatusOK: 2, http.StatusTooManyRequests: 2}, seen)
	require.NotEmpty(t, headers.Get("Retry-After"))
}
