package auth

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/exchange"
)

func TestScopesAreNarrowed(t *testing.T) {
	w := newWorld(t) // county-social: system/*.rs system/Task.cu system/QuestionnaireResponse.c
	for asked, want := range map[string]string{
		"":                     "system/*.rs system/QuestionnaireResponse.c system/Task.cu",
		"system/*.cruds":       "system/*.rs system/QuestionnaireResponse.c system/Task.cu",
		"system/Patient.cruds": "system/Patient.rs",
		"system/Patient.r system/Patient.s system/Task.cruds": "system/Patient.rs system/Task.crus",
		"system/*.c": "system/QuestionnaireResponse.c system/Task.c",
		"system/Observation.d   system/Condition.r": "system/Condition.r",
	} {
		require.Equal(t, want, w.token("county-social", Claims{}, asked).Scope, asked)
	}
	for asked, says := range map[string]string{
		"system/Observation.d":             "none of the scopes",
		"system/Patient.read":              "v1",
		"patient/Patient.rs":               "only system/",
		"openid":                           "only system/",
		"system/Patient.sr":                "order",
		"system/Patient.":                  "order",
		"system/Observation.rs?category=x": "search parameters",
		"system/patient.r":                 "system/Type",
		strings.Repeat("system/A.r ", 201): "more than 200",
	} {
		refused := w.refused("county-social", Claims{}, asked)
		require.Equal(t, 400, refused.Status, asked)
		require.Equal(t, "invalid_scope", refused.Code)
		require.Contains(t, refused.Description, says)
	}
}

func TestScopesOpenInteractions(t *testing.T) {
	w := newWorld(t)
	allows := func(scope string) func(string, exchange.Interaction) bool {
		caller, err := w.Authenticate(context.Background(), w.token("jukola-ehr", Claims{}, scope).Authorization())
		require.NoError(t, err)
		return caller.Allows
	}
	all := []exchange.Interaction{
		exchange.Read, exchange.VRead, exchange.History, exchange.Search, exchange.Create, exchange.Update, exchange.Delete,
		exchange.Match, exchange.Apply, exchange.Receive, exchange.Notify, exchange.Export,
	}
	for scope, want := range map[string][]exchange.Interaction{
		"system/Patient.r":  {exchange.Read, exchange.VRead, exchange.History, exchange.Match, exchange.Notify, exchange.Export},
		"system/Patient.s":  {exchange.Search, exchange.Match},
		"system/Patient.c":  {exchange.Create, exchange.Receive},
		"system/Patient.u":  {exchange.Update},
		"system/Patient.d":  {exchange.Delete},
		"system/CarePlan.c": {exchange.Apply},
		"system/*.cruds":    all,
	} {
		f := allows(scope)
		for _, i := range all {
			expected := false
			for _, x := range want {
				expected = expected || x == i
			}
			require.Equal(t, expected, f("Patient", i), "%s %s", scope, i)
		}
		require.False(t, f("Patient", "import"), scope)
	}
	require.False(t, allows("system/Patient.cruds")("Task", exchange.Read))
	require.True(t, allows("system/CarePlan.c")("PlanDefinition", exchange.Apply))
	require.False(t, allows("system/PlanDefinition.cruds")("PlanDefinition", exchange.Apply))
}
